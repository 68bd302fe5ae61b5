"""Tables that say what every column means and in which unit, as Parquet and as CSV.

A table is checked when it is made, so that a file never holds a number that breaks its schema. Its
rows are kept in the order of the key: equal rows give equal bytes, in whatever order they came.
"""

from __future__ import annotations

import json
import math
import re
from functools import cached_property
from itertools import pairwise, zip_longest
from numbers import Integral, Real
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar, get_args

from attrs import field, frozen, validators

from colfw.errors import InvariantError, StoreError
from colfw.store.atomic import reading, write_bytes, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

_T = TypeVar("_T")

Cell = str | int | float | bool | None
Kind = Literal["text", "integer", "real", "flag"]

_COLUMN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TABLE_NAME: Final = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_BATCH: Final = 512
_NEEDS_QUOTES: Final = re.compile(r'[",\r\n]|^$')


def _some_of(member: type) -> Any:
    several = validators.and_(validators.instance_of(tuple), validators.min_len(1))
    return validators.deep_iterable(validators.instance_of(member), several)


@frozen
class Column:
    """One column: what it holds, in which unit, and what that means.

    The unit of a share or a count is "1", that of a text "name".
    """

    name: str = field(validator=validators.matches_re(_COLUMN_NAME))
    kind: Kind = field(validator=validators.in_(get_args(Kind)))
    unit: str = field(validator=validators.min_len(1))
    meaning: str = field(validator=validators.min_len(1))
    nullable: bool = False


@frozen
class TableSchema:
    """The columns of a table in their order, and the key: the columns that tell its rows apart."""

    name: str = field(validator=validators.matches_re(_TABLE_NAME))
    meaning: str = field(validator=validators.min_len(1))
    columns: tuple[Column, ...] = field(validator=_some_of(Column))
    key: tuple[str, ...] = field(validator=_some_of(str))

    def __attrs_post_init__(self) -> None:
        _check_distinct(self.column_names, "column", self.name)
        _check_distinct(self.key, "key column", self.name)
        known = {column.name: column for column in self.columns}
        for name in self.key:
            if name not in known:
                raise InvariantError(f"key column {name!r} does not exist", where=f"table {self.name}")
            if known[name].nullable:
                raise InvariantError(f"key column {name!r} is nullable", where=f"table {self.name}")

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _check_distinct(names: Sequence[str], what: str, table: str) -> None:
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InvariantError(f"{what} {repeated[0]!r} is declared twice", where=f"table {table}")


@frozen(init=False)
class Table:
    """Rows that keep the promises of their schema, sorted by its key.

    Integers are accepted for reals and the scalars of numpy for Python's own; both are converted.
    """

    schema: TableSchema
    columns: Mapping[str, Sequence[Cell]] = field(repr=False, hash=False)
    """The cells of each column by its name, in the order of the schema."""

    def __init__(self, schema: TableSchema, rows: Iterable[Mapping[str, Any]]) -> None:
        self.__attrs_init__(schema, _checked(schema, _transposed(schema, tuple(rows))))

    @classmethod
    def from_columns(cls, schema: TableSchema, columns: Mapping[str, Sequence[Any]]) -> Table:
        """A table of whole columns, lists or numpy arrays, all of one length."""
        table = cls.__new__(cls)
        table.__attrs_init__(schema, _checked(schema, _listed(schema, columns)))
        return table

    @cached_property
    def rows(self) -> tuple[Mapping[str, Cell], ...]:
        names = self.schema.column_names
        cells = zip(*self.columns.values(), strict=True)
        return tuple(dict(zip(names, row, strict=True)) for row in cells)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def write_parquet(table: Table, path: Path) -> None:
    """Units and meanings go along as metadata of the fields, the table's meaning as that of the file."""
    import pyarrow as pa  # noqa: PLC0415  (heavy)
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = _arrow_schema(table.schema)
    arrays = [pa.array(table.columns[entry.name], type=entry.type) for entry in schema]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def write_csv(table: Table, path: Path) -> None:
    """One header line, reals in their shortest exact form, an empty field for null and `""` for no text."""
    columns = [map(_CSV_FORMS[column.kind], table.columns[column.name]) for column in table.schema.columns]
    lines = [",".join(table.schema.column_names), *map(",".join, zip(*columns, strict=True))]
    write_text(path, "\n".join(lines) + "\n")


def read_parquet(path: Path, schema: TableSchema) -> Table:
    """The table of a file; one that has other columns, units or another key than `schema` is refused."""
    import pyarrow as pa  # noqa: PLC0415  (heavy)
    import pyarrow.parquet as pq  # noqa: PLC0415

    with reading(path):
        data = path.read_bytes()
    try:
        content = pq.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowException, OSError) as error:  # pyarrow raises OSError for damaged content, too
        problem = f"not a readable Parquet file: {_one_line(str(error))}"
        raise StoreError(problem, where=str(path)) from error
    _check_schema(content.schema, schema, path)
    try:
        return Table.from_columns(schema, {name: content[name].to_pylist() for name in schema.column_names})
    except InvariantError as error:
        raise StoreError(f"its content breaks its schema: {error}", where=str(path)) from error


def glossary_markdown(schemas: Iterable[TableSchema]) -> str:
    """What every table and column means, for people: one section for each table."""
    return "\n".join(_glossary_section(schema) for schema in schemas)


# Checking ------------------------------------------------------------------------------------------


def _transposed(schema: TableSchema, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    expected = frozenset(schema.column_names)
    for row in rows:
        if row.keys() != expected:
            known_key = [f"{name}={row[name]!r}" for name in schema.key if name in row]
            place = ", ".join([f"table {schema.name}", *known_key])
            raise InvariantError(_difference(expected, row.keys()), where=place)
    columns: dict[str, list[Any]] = {name: [] for name in schema.column_names}
    for some in _batches(rows):
        for name, cells in columns.items():
            cells.extend(map(itemgetter(name), some))
    return columns


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """So few at a time that rows stay in the processor's cache while all their columns are visited."""
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def _listed(schema: TableSchema, columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    expected = frozenset(schema.column_names)
    where = f"table {schema.name}"
    if columns.keys() != expected:
        raise InvariantError(_difference(expected, columns.keys()), where=where)
    lists = {name: _as_list(columns[name]) for name in schema.column_names}
    lengths = {name: len(cells) for name, cells in lists.items()}
    if len(set(lengths.values())) > 1:
        raise InvariantError(f"columns of different lengths: {lengths}", where=where)
    return lists


def _as_list(cells: Any) -> list[Any]:
    return cells.tolist() if hasattr(cells, "tolist") else list(cells)


def _difference(expected: Iterable[str], found: Iterable[str]) -> str:
    expected, found = set(expected), set(found)
    missing = [f"lacks column {name!r}" for name in sorted(expected - found)]
    unknown = [f"has unknown column {name!r}" for name in sorted(found - expected)]
    return ", ".join(missing + unknown)


def _checked(schema: TableSchema, raw: Mapping[str, list[Any]]) -> dict[str, tuple[Cell, ...]]:
    """The columns with cells of the right types, sorted by the key."""
    columns = {column.name: _cells(schema, column, raw) for column in schema.columns}
    keys = list(zip(*(columns[name] for name in schema.key), strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    for before, after in pairwise(order):
        if keys[before] == keys[after]:
            _refuse(schema, raw, after, schema.key[-1], "another row has the same key")
    return {name: tuple(cells) for name, cells in _ordered(columns, order).items()}


def _ordered(columns: Mapping[str, list[Any]], order: Sequence[int]) -> Mapping[str, list[Any]]:
    if all(before < after for before, after in pairwise(order)):
        return columns
    ordered: dict[str, list[Any]] = {name: [] for name in columns}
    for some in _batches(order):
        for name, cells in columns.items():
            ordered[name].extend(map(cells.__getitem__, some))
    return ordered


def _cells(schema: TableSchema, column: Column, raw: Mapping[str, list[Any]]) -> list[Any]:
    """The cells of one column as Python's own types; the first that breaks the schema is refused."""
    rule, given = _RULES[column.kind], raw[column.name]
    cells = given
    usual = {rule.type, NoneType} if column.nullable else {rule.type}
    # Nearly all columns hold the usual type only; a pass in C can tell.
    if not usual.issuperset(map(type, given)):
        cells = [rule.convert(cell) for cell in given]
        for index, (cell, before) in enumerate(zip(cells, given, strict=True)):
            if cell is None and not (before is None and column.nullable):
                _refuse(schema, raw, index, column.name, f"{before!r} is no {column.kind}")
    if not rule.fits(_present(cells)):
        index = next(i for i, cell in enumerate(cells) if not rule.fits(_present([cell])))
        _refuse(schema, raw, index, column.name, f"{cells[index]!r} is not {rule.fitting}")
    return cells


def _refuse(
    schema: TableSchema, raw: Mapping[str, list[Any]], index: int, column: str, problem: str
) -> NoReturn:
    key = ", ".join(f"{name}={raw[name][index]!r}" for name in schema.key)
    raise InvariantError(problem, where=f"table {schema.name}, {key}, column {column}")


def _present(cells: list[Any]) -> list[Any]:
    return [cell for cell in cells if cell is not None] if None in cells else cells


# What each kind of column takes ----------------------------------------------------------------------


def _as_text(value: Any) -> str | None:
    return str.__str__(value) if isinstance(value, str) else None


def _as_integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    return int(value) if isinstance(value, Integral) else None


def _as_real(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _as_flag(value: Any) -> bool | None:
    import numpy as np  # noqa: PLC0415  (only a column of something else than Python's bool needs it)

    return bool(value) if isinstance(value, bool | np.bool_) else None


def _are_unicode(cells: Collection[str]) -> bool:
    try:
        "".join(set(cells)).encode()
    except UnicodeEncodeError:
        return False
    return True


def _are_int64(cells: Collection[int]) -> bool:
    return min(cells, default=0) >= -(2**63) and max(cells, default=0) < 2**63


def _are_finite(cells: Collection[float]) -> bool:
    return all(map(math.isfinite, cells))


def _are_flags(_: Collection[bool]) -> bool:
    return True


@frozen
class _Rule:
    """What the cells of one kind of column are in memory."""

    type: type[Any]
    convert: Callable[[Any], Cell]
    """The cell that a value stands for, None when it stands for none of this kind."""
    fits: Callable[[Collection[Any]], bool]
    """Whether a file can hold all of these cells."""
    fitting: str


_RULES: Final[Mapping[str, _Rule]] = {
    "text": _Rule(str, _as_text, _are_unicode, "valid Unicode"),
    "integer": _Rule(int, _as_integer, _are_int64, "within 64 bits"),
    "real": _Rule(float, _as_real, _are_finite, "finite"),
    "flag": _Rule(bool, _as_flag, _are_flags, "a flag"),
}


# Files ---------------------------------------------------------------------------------------------


def _arrow_schema(schema: TableSchema) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415  (heavy)

    types = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64(), "flag": pa.bool_()}
    fields = [
        pa.field(
            column.name,
            types[column.kind],
            nullable=column.nullable,
            metadata={"unit": column.unit, "meaning": column.meaning},
        )
        for column in schema.columns
    ]
    about: dict[bytes | str, bytes | str] = {
        "table": schema.name,
        "meaning": schema.meaning,
        "key": json.dumps(schema.key),
    }
    return pa.schema(fields, metadata=about)


def _check_schema(found: pa.Schema, schema: TableSchema, path: Path) -> None:
    """Refuse a file unless its columns, units, name and key are those of `schema`.

    Meanings may differ: saying them better does not make other numbers of the old ones.
    """
    for expected_line, line in zip_longest(_essence(_arrow_schema(schema)), _essence(found)):
        if line != expected_line:
            raise StoreError(
                f"not a table {schema.name!r} of this colfw: "
                f"expected {expected_line or 'no more columns'}, found {line or 'nothing'}",
                where=str(path),
            )


def _essence(schema: pa.Schema) -> list[str]:
    """What must be the same for a file to be read, a line for each column."""
    lines = [f"{name} {_stated(schema.metadata, name)!r}" for name in ("table", "key")]
    for entry in schema:
        unit = _stated(entry.metadata, "unit")
        null = ", nullable" if entry.nullable else ""
        lines.append(f"column {entry.name!r} ({entry.type}{null}, unit {unit!r})")
    return lines


def _stated(metadata: Mapping[bytes, bytes] | None, name: str) -> str:
    return (metadata or {}).get(name.encode(), b"").decode(errors="replace")


def _csv_text(cell: str | None) -> str:
    if cell is None:
        return ""
    return '"' + cell.replace('"', '""') + '"' if _NEEDS_QUOTES.search(cell) else cell


def _csv_number(cell: float | None) -> str:
    return "" if cell is None else repr(cell)


def _csv_flag(cell: bool | None) -> str:  # noqa: FBT001  (the cell itself is the flag)
    return "" if cell is None else str(cell).lower()


_CSV_FORMS: Final[Mapping[str, Callable[[Any], str]]] = {
    "text": _csv_text,
    "integer": _csv_number,
    "real": _csv_number,
    "flag": _csv_flag,
}


def _glossary_section(schema: TableSchema) -> str:
    key = ", ".join(f"`{name}`" for name in schema.key)
    lines = [
        f"## {_one_line(schema.name)}",
        "",
        _one_line(schema.meaning),
        "",
        f"Key: {key}.",
        "",
        "| column | type | unit | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for column in schema.columns:
        kind = f"{column.kind} or empty" if column.nullable else column.kind
        cells = [f"`{column.name}`", kind, column.unit, column.meaning]
        lines.append("| " + " | ".join(_table_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _table_cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())
