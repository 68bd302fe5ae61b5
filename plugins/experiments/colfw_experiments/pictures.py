"""What the figures of all experiments have in common: columns, and published numbers beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from colfw.report.figures.shapes import range_bars
from colfw.store.tables import Column, Table, TableSchema
from colfw_experiments.studied import SEVEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from colfw.report.figures import Figure
    from colfw_experiments.published import Published

WORKLOAD: Final = Column("workload", "text", "name", "The workload")
_LOW: Final = Column("published_low", "real", "as ours", "Low end of what is published", nullable=True)
_HIGH: Final = Column("published_high", "real", "as ours", "High end of what is published", nullable=True)


def text(name: str, meaning: str) -> Column:
    return Column(name, "text", "name", meaning)


def percent(name: str, meaning: str) -> Column:
    return Column(name, "real", "%", meaning)


def ends(published: Published | None) -> dict[str, float | None]:
    """The cells of a published number; empty ones where there is none."""
    low, high = published.span if published else (None, None)
    return {_LOW.name: low, _HIGH.name: high}


@frozen(kw_only=True)
class Picture:
    """What is drawn, before there are rows: its name and words, its key, and the column of ours."""

    name: str
    title: str
    caption: str
    key: tuple[Column, ...]
    ours: tuple[Column, ...]

    def table(self, rows: Iterable[Mapping[str, Any]], *more: Column) -> Table:
        schema = TableSchema(
            name=self.name,
            meaning=f"{self.title}.",
            columns=(*self.key, *self.ours, *more),
            key=tuple(column.name for column in self.key),
        )
        return Table(schema, rows)

    def beside_published(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        series: str,
        panel: str | None = None,
        orders: Mapping[str, Sequence[str]] | None = None,
    ) -> tuple[Figure, ...]:
        """A grey range for each published number, and ours as points; nothing where there are no rows.

        The first column of the key goes along the x axis.
        """
        shown = self.table(rows, _LOW, _HIGH)
        if not len(shown):
            return ()
        drawn = range_bars(
            shown,
            title=self.title,
            caption=self.caption,
            x=self.key[0].name,
            y=self.ours[0].name,
            low=_LOW.name,
            high=_HIGH.name,
            series=series,
            panel=panel,
            orders={WORKLOAD.name: SEVEN, **(orders or {})},
        )
        return (drawn,)
