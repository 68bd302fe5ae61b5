"""The usual shapes, in Altair: bars beside each other or stacked, lines, a roofline, ranges with points.

Each takes a table and the names of its columns, and gives a figure. Titles of axes come from the columns,
with their units. `panel` names the column whose every value gets a picture of its own, all to one scale;
`orders` says in which order the values of a column come, where that is not the table's; columns in `logs`
get logarithmic axes.
"""

# ruff: noqa: PLR0913  (given by name, each says one thing about the picture)

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import altair as alt
from attrs import field, frozen, validators

from colfw.report.figures.figure import ROWS, Figure, axis_title, column_of, is_share
from colfw.report.figures.theme import COLOURS, DASHES, INK, MARKS, RANGE_COLOUR

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from colfw.store.tables import Table

    Orders = Mapping[str, Sequence[str]]

_PAGE: Final = 960
_PANEL: Final = 210
_BAR: Final = 9
_HEIGHT: Final = 260
_PANEL_HEIGHT: Final = 140
_AXIS_ROOM: Final = 50
_ASLANT_CHARACTERS: Final = 12
_LARGE: Final = 10_000
_MARKED_AT_MOST: Final = 20
_ROOF: Final = "roof"
_RING: Final = 150


def grouped_bars(
    table: Table,
    *,
    title: str,
    caption: str,
    x: str,
    y: str,
    series: str,
    panel: str | None = None,
    orders: Orders | None = None,
) -> Figure:
    """For each value of `x` a bar for every series, side by side: published beside ours."""
    axes = _Axes(table=table, orders=orders or {})
    bars = _rows().mark_bar().encode(
        x=axes.x(x), y=axes.y(y), xOffset=axes.offset(series), color=axes.colour(series)
    )  # fmt: skip
    width = _BAR * len(axes.values(x)) * (len(axes.values(series)) + 1)
    return Figure(title=title, caption=caption, data=table, chart=axes.arranged(bars, panel, width))


def stacked_bars(
    table: Table,
    *,
    title: str,
    caption: str,
    x: str,
    y: str,
    series: str,
    panel: str | None = None,
    orders: Orders | None = None,
) -> Figure:
    """For each value of `x` one bar of the parts that add up to it, the first part at the bottom."""
    axes = _Axes(table=table, orders=orders or {})
    bars = axes.placed(_rows(), series).mark_bar().encode(
        x=axes.x(x), y=axes.y(y), color=axes.colour(series), order=alt.Order("place", type="quantitative")
    )  # fmt: skip
    width = 3 * _BAR * len(axes.values(x))
    return Figure(title=title, caption=caption, data=table, chart=axes.arranged(bars, panel, width))


def lines(
    table: Table,
    *,
    title: str,
    caption: str,
    x: str,
    y: str,
    series: str,
    panel: str | None = None,
    orders: Orders | None = None,
    logs: Collection[str] = (),
) -> Figure:
    """A line for every series over a swept parameter; with points on it while they are few."""
    axes = _Axes(table=table, orders=orders or {}, logs=logs)
    encoded = _rows().encode(
        x=axes.x(x, swept=True), y=axes.y(y), color=axes.colour(series), strokeDash=axes.dash(series)
    )
    drawn = [encoded.mark_line()]
    if len(axes.values(x)) <= _MARKED_AT_MOST:
        drawn.append(
            _rows().mark_point().encode(
                x=axes.x(x, swept=True), y=axes.y(y), color=axes.colour(series), shape=axes.shape(series)
            )
        )  # fmt: skip
    return Figure(
        title=title, caption=caption, data=table, chart=axes.arranged(alt.LayerChart(layer=drawn), panel)
    )


def scatter(
    table: Table,
    *,
    title: str,
    caption: str,
    x: str,
    y: str,
    series: str,
    panel: str | None = None,
    orders: Orders | None = None,
    logs: Collection[str] = (),
) -> Figure:
    """A point for every row, told apart by colour and by shape."""
    axes = _Axes(table=table, orders=orders or {}, logs=logs)
    return Figure(
        title=title, caption=caption, data=table, chart=axes.arranged(axes.points(x, y, series), panel)
    )


def trade_off(
    table: Table,
    *,
    title: str,
    caption: str,
    x: str,
    y: str,
    series: str,
    ringed: str,
    crossed: str,
    panel: str | None = None,
) -> Figure:
    """What is lost against what is gained, a line for every series; points whose flags say so are marked.

    The scale of `y` begins where the values do: what counts is where they fall, not how far from nothing.
    """
    axes = _Axes(table=table, orders={})
    encoded = _rows().encode(x=axes.x(x), y=axes.y(y).scale(zero=False, nice=True), color=axes.colour(series))
    layers = [
        encoded.mark_line(opacity=0.5),
        encoded.mark_point().encode(shape=axes.shape(series)),
        _flagged(encoded, ringed).mark_point(size=_RING, filled=False, color=INK, strokeWidth=1.2),
        _flagged(encoded, crossed).mark_text(text="\u2715", fontSize=13, dy=-12, color=INK),
    ]
    chart = axes.arranged(alt.LayerChart(layer=layers), panel)
    return Figure(title=title, caption=caption, data=table, chart=chart)


def _flagged(chart: alt.Chart, flag: str) -> alt.Chart:
    flagged: alt.Chart = chart.transform_filter(f"datum.{flag}").encode(color=alt.value(INK))
    return flagged


@frozen(kw_only=True)
class Roof:
    """What a machine can reach: a peak, and below it what the bandwidth allows.

    In the units of the axes: `peak` in that of y, `per_x` in units of y for one of x.
    """

    name: str
    peak: float = field(validator=validators.gt(0))
    per_x: float = field(validator=validators.gt(0))

    @property
    def ridge(self) -> float:
        """Where on the x axis the bandwidth is just enough for the peak."""
        return self.peak / self.per_x

    def height(self, x: float) -> float:
        return min(self.peak, self.per_x * x)


def roofline(
    table: Table,
    *,
    title: str,
    caption: str,
    x: str,
    y: str,
    series: str,
    roofs: Sequence[Roof],
) -> Figure:
    """Points under the roofs of machines, both axes logarithmic: what is bound by what."""
    axes = _Axes(table=table, orders={}, logs=(x, y))
    places = [*map(float, axes.values(x)), *(roof.ridge for roof in roofs)]
    first, last = min(places) / 2, max(places) * 2
    corners = [
        {_ROOF: roof.name, x: corner, y: roof.height(corner)}
        for roof in roofs
        for corner in (first, roof.ridge, last)
    ]
    layers = alt.LayerChart(layer=[_roof_lines(axes, x, y), axes.points(x, y, series)])
    chart = {**axes.arranged(layers, None), "datasets": {_ROOF: corners}}
    return Figure(title=title, caption=caption, data=table, chart=chart)


def range_bars(
    table: Table,
    *,
    title: str,
    caption: str,
    x: str,
    y: str,
    low: str,
    high: str,
    series: str,
    panel: str | None = None,
    orders: Orders | None = None,
) -> Figure:
    """For each value of `x` a grey bar from `low` to `high`, and points where `y` lies; null draws none."""
    axes = _Axes(table=table, orders=orders or {})
    said = [axis_title(column_of(table, y)), f"grey: {_words(low)} to {_words(high)}"]
    ranges = (
        _rows()
        .transform_filter(f"isValid(datum.{low}) && isValid(datum.{high})")
        .mark_bar(size=2 * _BAR, color=RANGE_COLOUR, stroke=RANGE_COLOUR, strokeWidth=2)
        .encode(x=axes.x(x), y=axes.y(low).title(said), y2=alt.Y2(high))
    )
    points = _rows().mark_point().encode(
        x=axes.x(x), y=axes.y(y).title(said), color=axes.colour(series), shape=axes.shape(series)
    )  # fmt: skip
    width = 4 * _BAR * len(axes.values(x))
    chart = axes.arranged(alt.LayerChart(layer=[ranges, points]), panel, width)
    return Figure(title=title, caption=caption, data=table, chart=chart)


# How columns become axes and colours -----------------------------------------------------------------


@frozen(kw_only=True)
class _Axes:
    """The columns of one table as Altair's channels."""

    table: Table
    orders: Orders
    logs: Collection[str] = ()

    def values(self, name: str) -> list[Any]:
        """The distinct values of a column in the order they are drawn in."""
        column_of(self.table, name)
        return list(dict.fromkeys([*self.orders.get(name, ()), *self.table.columns[name]]))

    def x(self, name: str, *, swept: bool = False) -> alt.X:
        column = column_of(self.table, name)
        axis = alt.X(name, title=axis_title(column))
        if column.kind in {"text", "flag"}:
            longest = max(len(str(value)) for value in self.values(name))
            # Long labels would push the axis of the leftmost panel away from it, were they aslant.
            angle = -40 if longest <= _ASLANT_CHARACTERS else -90
            return axis.type("nominal").sort(self.values(name)).axis(labelAngle=angle)
        looks = {**self._labels(name), **(self._stops(name) if swept else {})}
        return axis.type("quantitative").scale(self._scale(name, zero=not swept)).axis(**looks)

    def y(self, name: str) -> alt.Y:
        axis = alt.Y(name, type="quantitative", title=axis_title(column_of(self.table, name)))
        return axis.scale(self._scale(name, zero=True)).axis(**self._labels(name))

    def offset(self, name: str) -> alt.XOffset:
        return alt.XOffset(name, type="nominal", sort=self.values(name))

    def colour(self, name: str) -> alt.Color:
        scale = alt.Scale(domain=self.values(name), range=self._repeated(COLOURS, name))
        return alt.Color(name, type="nominal", title=_words(name), scale=scale)

    def shape(self, name: str) -> alt.Shape:
        scale = alt.Scale(domain=self.values(name), range=self._repeated(MARKS, name))
        return alt.Shape(name, type="nominal", title=_words(name), scale=scale)

    def dash(self, name: str) -> alt.StrokeDash:
        dashes = [list(dash) for dash in self._repeated(DASHES, name)]
        scale = alt.Scale(domain=self.values(name), range=dashes)
        return alt.StrokeDash(name, type="nominal", title=_words(name), scale=scale)

    def points(self, x: str, y: str, series: str) -> alt.Chart:
        points: alt.Chart = _rows().mark_point().encode(
            x=self.x(x), y=self.y(y), color=self.colour(series), shape=self.shape(series)
        )  # fmt: skip
        return points

    def placed(self, chart: alt.Chart, name: str) -> alt.Chart:
        """With a field `place`: where the value of a column stands in its order."""
        return chart.transform_calculate(place=f"indexof({json.dumps(self.values(name))}, datum.{name})")

    def arranged(
        self, chart: alt.Chart | alt.LayerChart, panel: str | None, width: int = 0
    ) -> dict[str, Any]:
        """The chart, or one for every value of `panel` in as many columns as a page has room for."""
        rows = alt.NamedData(ROWS)
        if panel is None:
            wide = min(max(width, 2 * _PANEL), _PAGE)
            return dict(chart.properties(data=rows, width=wide, height=_HEIGHT).to_dict())
        wide = min(max(width, _PANEL), _PAGE)
        heading = alt.Facet(panel, type="nominal", title=None, sort=self.values(panel))
        columns = min(len(self.values(panel)), max(1, _PAGE // (wide + _AXIS_ROOM)))
        single = chart.properties(width=wide, height=_PANEL_HEIGHT)
        # A shared axis would stand below the last row even where that has no panel.
        panels = single.facet(facet=heading, columns=columns, data=rows).resolve_axis(x="independent")
        return dict(panels.to_dict())

    def _scale(self, name: str, *, zero: bool) -> alt.Scale:
        if name in self.logs:
            return alt.Scale(type="log", nice=False, padding=12)
        return alt.Scale(zero=zero, nice=True)

    def _labels(self, name: str) -> dict[str, Any]:
        """Shares in percent, as the title of their axis says; large numbers with k, M and G."""
        if is_share(column_of(self.table, name)):
            return {"labelExpr": "format(100 * datum.value, '~r')"}
        large = any(number >= _LARGE for number in self.values(name) if number is not None)
        return {"format": "~s"} if large else {}

    def _stops(self, name: str) -> dict[str, Any]:
        """On a logarithmic axis, ticks where the few swept values lie."""
        values = self.values(name)
        return {"values": values} if name in self.logs and len(values) <= _MARKED_AT_MOST else {}

    def _repeated(self, options: Sequence[Any], name: str) -> list[Any]:
        return [options[place % len(options)] for place in range(len(self.values(name)))]


def _rows() -> alt.Chart:
    """A chart that takes its rows from what it is part of: with data of its own, every panel shows all."""
    return alt.Chart()


def _roof_lines(axes: _Axes, x: str, y: str) -> alt.Chart:
    dash = alt.StrokeDash(_ROOF, type="nominal", sort=None)
    roofs: alt.Chart = alt.Chart(alt.NamedData(_ROOF)).mark_line(color=INK).encode(
        x=axes.x(x), y=axes.y(y), strokeDash=dash
    )  # fmt: skip
    return roofs


def _words(name: str) -> str:
    return name.replace("_", " ")
