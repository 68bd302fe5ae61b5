"""What a figure is: a table, and a chart that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen, validators

from colfw.errors import InvariantError
from colfw.names import did_you_mean
from colfw.store.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from colfw.store.tables import Column

ROWS: Final = "rows"
"""What a chart calls the rows of its figure's table: `alt.NamedData("rows")` in Altair."""

_WORDS: Final = ("1", "name")


def _some_text(_: object, attribute: Any, text: str) -> None:
    if not text.strip():
        raise InvariantError(f"a figure needs a {attribute.name}", where=attribute.name)


@frozen(kw_only=True)
class Figure:
    """A picture of a table: whatever it shows lies beside it as numbers.

    The table's name is that of the files. `caption` says what is shown and what the numbers rest on;
    units stand in the table and are written on the axes. `chart` is a Vega-Lite specification without
    data and without a theme; one of Altair's is `chart.to_dict()`. It may name columns of the table and
    what its own transforms and data sets hold, nothing else: a misspelt column would be an empty picture.
    """

    title: str = field(validator=_some_text)
    caption: str = field(validator=_some_text)
    data: Table = field(validator=validators.instance_of(Table))
    chart: Mapping[str, Any] = field(hash=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not len(self.data):
            raise InvariantError("there is nothing to draw: its table has no rows", where=self.name)
        made = {*_values_of("as", self.chart), *_fields_of(self.chart.get("datasets", {}))}
        for name in _values_of("field", self.chart):
            if name not in made:
                column_of(self.data, name)

    @property
    def name(self) -> str:
        return self.data.schema.name


def column_of(table: Table, name: str) -> Column:
    """The column of this name, or a refusal that names the nearest."""
    for column in table.schema.columns:
        if column.name == name:
            return column
    hint = did_you_mean(name, table.schema.column_names)
    raise InvariantError(f"there is no column {name!r} to draw", where=table.schema.name, hint=hint)


def axis_title(column: Column) -> str:
    """The name in words, with the unit; a share is read in percent.

    >>> from colfw.store.tables import Column
    >>> axis_title(Column("read_latency_ns", "real", "ns", "Mean latency"))
    'read latency (ns)'
    >>> axis_title(Column("core_cycles", "integer", "core cycles", "Time taken"))
    'core cycles'
    >>> axis_title(Column("stall_share", "real", "1", "Of these, waiting"))
    'stall share (%)'
    """
    words = column.name.replace("_", " ")
    if is_share(column):
        return f"{words} (%)"
    if column.unit in _WORDS or words == column.unit:
        return words
    return f"{words.removesuffix(f' {column.unit}')} ({column.unit})"


def is_share(column: Column) -> bool:
    """Reals without a unit are shares, as in all tables of colfw."""
    return column.kind == "real" and column.unit == "1"


def _values_of(wanted: str, chart: Any) -> Iterator[str]:
    """The texts that stand at a key anywhere in a specification."""
    if isinstance(chart, dict):
        for key, value in chart.items():
            if key == wanted:
                yield from [value] if isinstance(value, str) else _texts(value)
            yield from _values_of(wanted, value)
    elif isinstance(chart, (list, tuple)):
        for item in chart:
            yield from _values_of(wanted, item)


def _fields_of(datasets: Mapping[str, Any]) -> Iterator[str]:
    for rows in datasets.values():
        for row in rows:
            yield from row


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (list, tuple)):
        yield from (item for item in value if isinstance(item, str))
