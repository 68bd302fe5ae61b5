from __future__ import annotations

import csv
import math
import pickle
import random
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colfw.errors import InvariantError, StoreError
from colfw.store.tables import (
    Column,
    Table,
    TableSchema,
    glossary_markdown,
    read_parquet,
    write_csv,
    write_parquet,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from colfw.store.tables import Kind

SCHEMA = TableSchema(
    "stalls",
    "Where the cycles of each site went.",
    (
        Column("site", "text", "name", "The site."),
        Column("iteration", "integer", "1", "The denoising iteration, from 0."),
        Column("cycles", "integer", "core cycles", "How long it took."),
        Column("share", "real", "1", "Share of columns whose max|a| exceeds tau."),
        Column("note", "text", "name", "Anything odd.", nullable=True),
        Column("energy", "real", "joules", "Energy, where the machine states it.", nullable=True),
        Column("cached", "flag", "1", "Whether it was computed before.", nullable=True),
        Column("bursts", "integer", "1", "DRAM bursts, where there is a DRAM.", nullable=True),
    ),
    ("site", "iteration"),
)
ROW: dict[str, Any] = {
    "site": "mid.ffn",
    "iteration": 3,
    "cycles": 1200,
    "share": 0.1,
    "note": None,
    "energy": None,
    "cached": True,
    "bursts": 7,
}

texts = st.text(st.characters(exclude_categories=["Cs"]))
int64s = st.integers(-(2**63), 2**63 - 1)
reals = st.floats(allow_nan=False, allow_infinity=False)
rows_strategy = st.lists(
    st.fixed_dictionaries(
        {
            "site": texts,
            "iteration": int64s,
            "cycles": int64s,
            "share": reals,
            "note": st.none() | texts,
            "energy": st.none() | reals,
            "cached": st.none() | st.booleans(),
            "bursts": st.none() | int64s,
        }
    ),
    unique_by=lambda row: (row["site"], row["iteration"]),
    max_size=12,
)


def _row(**changes: Any) -> dict[str, Any]:
    return ROW | changes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("tables")


class TestSchema:
    """What a table may be declared as."""

    @pytest.mark.parametrize(
        ("columns", "key", "problem"),
        [
            (("site", "site"), ("site",), "column 'site' is declared twice"),
            (("site", "tau"), ("site", "site"), "key column 'site' is declared twice"),
            (("site", "tau"), ("sight",), "key column 'sight' does not exist"),
        ],
    )
    def test_columns_and_key_must_agree(
        self, columns: tuple[str, ...], key: tuple[str, ...], problem: str
    ) -> None:
        """Names are unique, and every column of the key exists."""
        declared = tuple(Column(name, "text", "name", "What it is.") for name in columns)
        with pytest.raises(InvariantError, match=problem) as caught:
            TableSchema("stalls", "Where the cycles went.", declared, key)
        assert caught.value.where == "table stalls"

    def test_a_key_column_always_has_a_value(self) -> None:
        """Rows without a key could not be told apart."""
        column = Column("site", "text", "name", "The site.", nullable=True)
        with pytest.raises(InvariantError, match="key column 'site' is nullable"):
            TableSchema("stalls", "Where the cycles went.", (column,), ("site",))

    @pytest.mark.parametrize(
        "change",
        [
            {"name": ""},
            {"name": "core cycles"},
            {"name": "a|b"},
            {"kind": "number"},
            {"unit": ""},
            {"meaning": ""},
        ],
        ids=str,
    )
    def test_a_column_says_everything(self, change: dict[str, Any]) -> None:
        """No column goes without a plain name, a known kind, a unit and a meaning."""
        with pytest.raises(ValueError, match=next(iter(change))):
            attrs.evolve(SCHEMA.columns[0], **change)

    @pytest.mark.parametrize(
        "change",
        [{"name": "a/b"}, {"name": "Stalls"}, {"meaning": ""}, {"columns": ()}, {"key": ()}],
        ids=str,
    )
    def test_a_schema_says_everything(self, change: dict[str, Any]) -> None:
        """A table has a name that works in file names, a meaning, columns and a key."""
        with pytest.raises(ValueError, match=next(iter(change))):
            attrs.evolve(SCHEMA, **change)


class TestChecking:
    """What a table takes for a row."""

    def test_rows_come_back_in_the_order_of_the_key(self) -> None:
        """However rows come, they are kept sorted, with their columns in the schema's order."""
        rows = [_row(site="b", iteration=0), _row(site="a", iteration=10), _row(site="a", iteration=9)]
        table = Table(SCHEMA, rows)
        assert [(row["site"], row["iteration"]) for row in table.rows] == [("a", 9), ("a", 10), ("b", 0)]
        assert [tuple(row) for row in table.rows] == [SCHEMA.column_names] * 3
        assert len(table) == 3

    def test_later_changes_of_the_rows_given_do_not_reach_the_table(self) -> None:
        """A table that was checked stays as it was checked."""
        row = _row()
        table = Table(SCHEMA, [row])
        row["share"] = math.nan
        assert table.rows[0]["share"] == 0.1

    def test_a_table_may_be_empty(self) -> None:
        """A study without a result of one kind still has that table."""
        assert Table(SCHEMA, []).rows == ()
        assert len(Table(SCHEMA, [])) == 0

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"cycles": True}, "True is no integer"),
            ({"cycles": 3.0}, "3.0 is no integer"),
            ({"cycles": None}, "None is no integer"),
            ({"cycles": 2**63}, "is not within 64 bits"),
            ({"bursts": -(2**63) - 1}, "is not within 64 bits"),
            ({"share": "0.1"}, "'0.1' is no real"),
            ({"share": False}, "False is no real"),
            ({"share": math.nan}, "nan is not finite"),
            ({"share": np.float32("nan")}, "nan is not finite"),
            ({"share": 10**400}, "inf is not finite"),
            ({"energy": -math.inf}, "-inf is not finite"),
            ({"note": 7}, "7 is no text"),
            ({"note": b"odd"}, "b'odd' is no text"),
            ({"note": "\ud800"}, "is not valid Unicode"),
            ({"cached": 1}, "1 is no flag"),
        ],
        ids=str,
    )
    def test_a_wrong_cell_is_refused_by_table_key_and_column(
        self, change: dict[str, Any], problem: str
    ) -> None:
        """The message says which cell of which row is wrong, and what is wrong with it."""
        (column,) = change
        rows = [_row(iteration=0), _row(iteration=1, **change), _row(iteration=2)]
        with pytest.raises(InvariantError, match=problem) as caught:
            Table(SCHEMA, rows)
        assert caught.value.where == f"table stalls, site='mid.ffn', iteration=1, column {column}"

    def test_numbers_of_numpy_become_python_s(self) -> None:
        """Results come as numpy scalars; the table holds plain ones of the same value."""
        row = _row(
            site=np.str_("mid.ffn"),
            cycles=np.int32(5),
            share=np.float32(0.5),
            cached=np.bool_(True),  # noqa: FBT003  (a cell)
            energy=2,
        )
        (found,) = Table(SCHEMA, [row]).rows
        assert found == _row(cycles=5, share=0.5, energy=2.0)
        types = {name: type(cell) for name, cell in found.items() if cell is not None}
        assert types == {
            "site": str,
            "iteration": int,
            "cycles": int,
            "share": float,
            "energy": float,
            "cached": bool,
            "bursts": int,
        }

    def test_missing_and_unknown_columns_are_named(self) -> None:
        """A row has the columns of the schema, no more and no fewer."""
        row = _row(shares=0.1)
        del row["share"]
        with pytest.raises(
            InvariantError, match="lacks column 'share', has unknown column 'shares'"
        ) as caught:
            Table(SCHEMA, [_row(iteration=4), row])
        assert caught.value.where == "table stalls, site='mid.ffn', iteration=3"

    def test_no_two_rows_share_a_key(self) -> None:
        """A key that comes twice is refused wherever the two rows stand."""
        with pytest.raises(InvariantError, match="another row has the same key") as caught:
            Table(SCHEMA, [_row(cycles=1), _row(iteration=0), _row(cycles=2)])
        assert "site='mid.ffn', iteration=3" in str(caught.value.where)

    def test_a_table_survives_the_way_to_another_process(self) -> None:
        """Executors may pass tables between processes."""
        table = Table(SCHEMA, [_row()])
        assert pickle.loads(pickle.dumps(table)) == table  # noqa: S301  (made right here)


class TestFromColumns:
    """Tables made of whole columns."""

    def test_columns_and_rows_give_the_same_table(self) -> None:
        """It makes no difference which way a table was built."""
        rows = [_row(iteration=number, share=number / 4) for number in (2, 0, 1)]
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in SCHEMA.column_names}
        columns["iteration"] = np.array([2, 0, 1])
        columns["share"] = np.array([0.5, 0.0, 0.25], dtype=np.float32)
        assert Table.from_columns(SCHEMA, columns) == Table(SCHEMA, rows)

    def test_columns_of_different_lengths_are_refused(self) -> None:
        """No cell is dropped in silence."""
        columns: dict[str, Any] = {name: [ROW[name]] for name in SCHEMA.column_names}
        with pytest.raises(InvariantError, match="different lengths"):
            Table.from_columns(SCHEMA, columns | {"site": ["a", "b"]})

    def test_missing_columns_are_named(self) -> None:
        """As with rows, the columns are exactly those of the schema."""
        with pytest.raises(InvariantError, match="lacks column 'bursts'"):
            Table.from_columns(SCHEMA, {"site": []})


class TestFiles:
    """Tables on disk."""

    @settings(deadline=None)
    @given(rows=rows_strategy, seed=st.integers(0, 2**32))
    def test_equal_rows_give_equal_bytes(self, folder: Path, rows: list[dict[str, Any]], seed: int) -> None:
        """In whatever order rows and their columns come, both files are the same to the byte."""
        shuffled = [dict(reversed(row.items())) for row in rows]
        random.Random(seed).shuffle(shuffled)  # noqa: S311  (no secret)
        for write in (write_parquet, write_csv):
            write(Table(SCHEMA, rows), folder / "one")
            write(Table(SCHEMA, shuffled), folder / "other")
            assert (folder / "one").read_bytes() == (folder / "other").read_bytes()

    @settings(deadline=None)
    @given(rows=rows_strategy)
    def test_parquet_keeps_every_value(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        """A table read back is the table written, exactly."""
        table = Table(SCHEMA, rows)
        write_parquet(table, folder / "table.parquet")
        found = read_parquet(folder / "table.parquet", SCHEMA)
        assert found == table
        assert repr(found.columns) == repr(table.columns)  # tells -0.0 from 0.0, too

    @settings(deadline=None)
    @given(rows=rows_strategy)
    def test_csv_keeps_every_value(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        """Python's own reader of CSV gets every text, and every number to the last bit, out of the file."""
        table = Table(SCHEMA, rows)
        write_csv(table, folder / "table.csv")
        with (folder / "table.csv").open(newline="", encoding="utf-8") as stream:
            header, *lines = csv.reader(stream)
        assert tuple(header) == SCHEMA.column_names
        assert [_read_back(line) for line in lines] == [_as_csv(row) for row in table.rows]

    def test_the_csv_is_what_it_says(self, tmp_path: Path) -> None:
        """Shortest reals, empty fields for null, quotes for no text, and nothing but newlines between."""
        rows = [
            _row(note='a "b", c', share=1e22, energy=0.1 + 0.2),
            _row(site="ä", note="", cached=None, bursts=None, share=1),
        ]
        write_csv(Table(SCHEMA, rows), tmp_path / "table.csv")
        assert (tmp_path / "table.csv").read_bytes().decode() == (
            "site,iteration,cycles,share,note,energy,cached,bursts\n"
            'mid.ffn,3,1200,1e+22,"a ""b"", c",0.30000000000000004,true,7\n'
            'ä,3,1200,1.0,"",,,\n'
        )

    def test_parquet_carries_units_and_meanings(self, tmp_path: Path) -> None:
        """Whoever opens the file without colfw finds what each column means, and in which unit."""
        import pyarrow.parquet as pq  # noqa: PLC0415

        write_parquet(Table(SCHEMA, [_row()]), tmp_path / "table.parquet")
        found = pq.read_schema(tmp_path / "table.parquet")
        assert found.metadata is not None
        assert found.metadata[b"table"] == b"stalls"
        assert found.metadata[b"meaning"] == SCHEMA.meaning.encode()
        assert found.metadata[b"key"] == b'["site", "iteration"]'
        for column, entry in zip(SCHEMA.columns, found, strict=True):
            assert (entry.name, entry.nullable) == (column.name, column.nullable)
            assert entry.metadata is not None
            assert entry.metadata[b"unit"] == column.unit.encode()
            assert entry.metadata[b"meaning"] == column.meaning.encode()

    @pytest.mark.parametrize("write", [write_parquet, write_csv])
    def test_an_empty_table_has_its_header(
        self, tmp_path: Path, write: Callable[[Table, Path], None]
    ) -> None:
        """A table without rows is written like any other, its columns included."""
        write(Table(SCHEMA, []), tmp_path / "table")
        assert b"iteration" in (tmp_path / "table").read_bytes()


def _as_csv(row: Any) -> list[Any]:
    # CSV readers take an empty field and an empty text for the same.
    return ["" if cell is None else cell for cell in row.values()]


def _read_back(fields: list[str]) -> list[Any]:
    read: dict[Kind, Callable[[str], Any]] = {
        "text": str,
        "integer": int,
        "real": float,
        "flag": {"true": True, "false": False}.__getitem__,
    }
    columns = zip(SCHEMA.columns, fields, strict=True)
    return [read[column.kind](field) if field else "" for column, field in columns]


class TestReading:
    """Files that are not the table they are read as."""

    def test_an_absent_file_is_refused(self, tmp_path: Path) -> None:
        """The message names the file that is not there."""
        with pytest.raises(StoreError, match="No such file") as caught:
            read_parquet(tmp_path / "table.parquet", SCHEMA)
        assert caught.value.where == str(tmp_path / "table.parquet")

    @pytest.mark.parametrize("content", [b"", b"site,iteration\n", b"PAR1" + bytes(64) + b"PAR1"], ids=repr)
    def test_what_is_no_parquet_is_refused(self, tmp_path: Path, content: bytes) -> None:
        """An empty file, a CSV and a broken Parquet file are told by name."""
        path = tmp_path / "table.parquet"
        path.write_bytes(content)
        with pytest.raises(StoreError, match="not a readable Parquet file") as caught:
            read_parquet(path, SCHEMA)
        assert caught.value.where == str(path)
        assert "\n" not in str(caught.value)

    def test_damaged_pages_are_refused(self, tmp_path: Path) -> None:
        """A file whose end is sound and whose middle is not gives no numbers."""
        path = tmp_path / "table.parquet"
        write_parquet(Table(SCHEMA, [_row(note="odd")]), path)
        content = path.read_bytes()
        path.write_bytes(content[:4] + bytes(64) + content[68:])
        with pytest.raises(StoreError, match="not a readable Parquet file"):
            read_parquet(path, SCHEMA)

    def test_a_file_cut_short_is_refused(self, tmp_path: Path) -> None:
        """Half a file is no table."""
        path = tmp_path / "table.parquet"
        write_parquet(Table(SCHEMA, [_row()]), path)
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(StoreError, match="not a readable Parquet file"):
            read_parquet(path, SCHEMA)

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"name": "stalls-2"}, "expected table 'stalls-2', found table 'stalls'"),
            ({"key": ("site",)}, "expected key"),
            ({"columns": SCHEMA.columns[:-1]}, "expected no more columns, found column 'bursts'"),
            (
                {"columns": (*SCHEMA.columns, Column("more", "flag", "1", "More."))},
                "expected column 'more' .*, found nothing",
            ),
            (
                {"columns": (*SCHEMA.columns[:-1], attrs.evolve(SCHEMA.columns[-1], unit="bytes"))},
                "unit 'bytes'.*unit '1'",
            ),
            (
                {"columns": (*SCHEMA.columns[:-1], attrs.evolve(SCHEMA.columns[-1], kind="real"))},
                "double.*int64",
            ),
            (
                {"columns": (*SCHEMA.columns[:-1], attrs.evolve(SCHEMA.columns[-1], nullable=False))},
                "int64, unit.*int64, nullable",
            ),
        ],
    )
    def test_another_schema_is_refused(self, tmp_path: Path, change: dict[str, Any], problem: str) -> None:
        """A table with another name, key, column, type or unit is not read as this one."""
        path = tmp_path / "table.parquet"
        write_parquet(Table(SCHEMA, [_row()]), path)
        with pytest.raises(StoreError, match=problem) as caught:
            read_parquet(path, attrs.evolve(SCHEMA, **change))
        assert caught.value.where == str(path)

    def test_a_meaning_may_be_said_better(self, tmp_path: Path) -> None:
        """Old files stay readable when only the words of an explanation change."""
        path = tmp_path / "table.parquet"
        write_parquet(Table(SCHEMA, [_row()]), path)
        columns = tuple(attrs.evolve(column, meaning="Said better.") for column in SCHEMA.columns)
        better = attrs.evolve(SCHEMA, meaning="Said better.", columns=columns)
        assert read_parquet(path, better).rows == (_row(),)

    def test_somebody_else_s_parquet_is_refused(self, tmp_path: Path) -> None:
        """A file of another program has no name, no key and no units that could be trusted."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        path = tmp_path / "table.parquet"
        pq.write_table(pa.table({"site": ["a"]}), path)
        with pytest.raises(StoreError, match="not a table 'stalls'"):
            read_parquet(path, SCHEMA)

    def test_content_that_breaks_the_schema_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another program may have written NaN under our schema; it is not passed on as a number."""
        path = tmp_path / "table.parquet"
        with monkeypatch.context() as patch:
            patch.setattr("colfw.store.tables.math.isfinite", lambda _: True)
            write_parquet(Table(SCHEMA, [_row(share=math.nan)]), path)
        with pytest.raises(StoreError, match="nan is not finite") as caught:
            read_parquet(path, SCHEMA)
        assert caught.value.where == str(path)


class TestGlossary:
    """What the tables mean, for people."""

    def test_every_table_and_column_is_explained(self) -> None:
        """Each table has a heading, its meaning, its key, and a line for each column."""
        text = glossary_markdown([SCHEMA])
        assert text.startswith(
            "## stalls\n\nWhere the cycles of each site went.\n\nKey: `site`, `iteration`.\n\n"
            "| column | type | unit | meaning |\n| --- | --- | --- | --- |\n"
            "| `site` | text | name | The site. |\n"
        )
        assert "| `energy` | real or empty | joules |" in text
        assert all(f"\n| `{name}` |" in text for name in SCHEMA.column_names)

    def test_pipes_and_line_ends_do_not_break_the_table(self) -> None:
        """`max|a|` stays in its cell."""
        text = glossary_markdown([SCHEMA])
        assert r"Share of columns whose max\|a\| exceeds tau." in text
        column = Column("site", "text", "name", "One\n  line.")
        assert "| One line. |\n" in glossary_markdown([TableSchema("t", "m", (column,), ("site",))])

    def test_tables_follow_each_other(self) -> None:
        """Sections come in the order of the schemas, an empty line between them."""
        text = glossary_markdown([SCHEMA, attrs.evolve(SCHEMA, name="other")])
        assert text.index("## stalls\n") < text.index("\n\n## other\n")
        assert glossary_markdown([]) == ""
