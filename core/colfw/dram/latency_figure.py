"""A latency curve as a picture: SVG for light and dark pages, told apart by shape as well as by colour,
with title and description for those who cannot see it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colfw.dram.latency_curve import LatencyCurve

_WIDTH: Final = 720
_HEIGHT: Final = 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 696, 76, 376

_STYLE: Final = """\
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .paper { fill: #ffffff; }
  .grid { stroke: #d8dee4; }
  .axis { stroke: #59636e; }
  .peak { stroke: #59636e; stroke-dasharray: 6 4; }
  .line { fill: none; stroke-width: 2; }
  .average { stroke: #0550ae; } .p95 { stroke: #9a4b00; } .p99 { stroke: #8a3ffc; }
  .p95.line { stroke-dasharray: 8 3; } .p99.line { stroke-dasharray: 2 3; }
  .mark { fill: #ffffff; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .paper, .mark { fill: #0d1117; }
    .grid { stroke: #30363d; }
    .axis, .peak { stroke: #9198a1; }
    .average { stroke: #79c0ff; } .p95 { stroke: #ffa657; } .p99 { stroke: #d2a8ff; }
  }
"""


@frozen(kw_only=True)
class _Series:
    """One line of the figure: how it is styled, what the legend calls it, the shape of its marks."""

    style: str
    label: str
    mark: str
    """A path around the point (0, 0)."""

    @property
    def column(self) -> str:
        return f"{self.style}_read_latency_ns"


_SERIES: Final = (
    _Series(style="p99", label="99th percentile", mark="M0 -4.5 L4 3.5 L-4 3.5 Z"),
    _Series(style="p95", label="95th percentile", mark="M-3.5 -3.5 H3.5 V3.5 H-3.5 Z"),
    _Series(style="average", label="average", mark="M-4 0 A4 4 0 1 0 4 0 A4 4 0 1 0 -4 0 Z"),
)


@frozen(kw_only=True)
class _Axis:
    """Numbers from 0 on, to places between two edges of the plot."""

    ticks: tuple[float, ...]
    first: float
    last: float

    @classmethod
    def covering(cls, largest: float, first: float, last: float) -> _Axis:
        step = tick_step(largest)
        return cls(
            ticks=tuple(step * count for count in range(math.ceil(largest / step - 1e-9) + 1)),
            first=first,
            last=last,
        )

    def place(self, number: float) -> float:
        return self.first + (self.last - self.first) * number / self.ticks[-1]


def tick_step(largest: float) -> float:
    """The step of 1, 2 or 5 times a power of ten that gives at most ten.

    >>> tick_step(64), tick_step(100), tick_step(0.3)
    (10.0, 10.0, 0.05)
    """
    exponent = math.floor(math.log10(largest)) - 1
    steps = [float(f"{digit}e{exponent + tens}") for tens in (0, 1) for digit in (1, 2, 5)]
    return next(step for step in steps if largest <= 10 * step)


def svg(curve: LatencyCurve) -> str:
    """The figure: read latency in ns over achieved bandwidth in GB/s, and the peak of the data bus."""
    peak = curve.gb_per_second(curve.peak_bytes_per_clock)
    highest = max(row[series.column] for row in curve.rows for series in _SERIES)
    across = _Axis.covering(peak, _LEFT, _RIGHT)
    upward = _Axis.covering(highest, _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
        f' height="{_HEIGHT}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(_title(curve))}</title>',
        f'<desc id="desc">{escape(_description(curve))}</desc>',
        f"<style>\n{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="title" x="{_LEFT}" y="26">{escape(_title(curve))}</text>',
        f'<text x="{_LEFT}" y="46">{escape(_conditions(curve))}</text>',
        *_grid(across, upward),
        *_peak(across.place(peak), peak),
        *(part for series in _SERIES for part in _line(series, curve, across, upward)),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title(curve: LatencyCurve) -> str:
    return f"Read latency against load: {curve.memory}"


def _conditions(curve: LatencyCurve) -> str:
    stream = curve.stream
    channels = "1 channel" if curve.channels == 1 else f"{curve.channels} channels"
    return (
        f"{channels}, {stream.pattern}, {stream.read_share:.0%} reads,"
        f" {stream.requests:,} requests a point, seed {stream.seed}"
    )


def _description(curve: LatencyCurve) -> str:
    low, high = curve.rows[0], curve.rows[-1]
    return (
        f"{_conditions(curve)}. Average read latency goes from {low['average_read_latency_ns']:.4g} ns at"
        f" {low['achieved_gb_per_s']:.4g} GB/s to {high['average_read_latency_ns']:.4g} ns at"
        f" {high['achieved_gb_per_s']:.4g} GB/s; the 99th percentile at the highest load is"
        f" {high['p99_read_latency_ns']:.4g} ns. The peak of the data bus is"
        f" {curve.gb_per_second(curve.peak_bytes_per_clock):.4g} GB/s."
    )


def _grid(across: _Axis, upward: _Axis) -> Iterator[str]:
    for number in upward.ticks:
        y = upward.place(number)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number:g}</text>'
    for number in across.ticks:
        x = across.place(number)
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_BOTTOM}" y2="{_BOTTOM + 5}"/>'
        yield f'<text x="{x:.1f}" y="{_BOTTOM + 20}" text-anchor="middle">{number:g}</text>'
    yield f'<path class="axis" fill="none" d="M{_LEFT} {_TOP} V{_BOTTOM} H{_RIGHT}"/>'
    middle = (_LEFT + _RIGHT) / 2
    yield f'<text x="{middle:g}" y="{_BOTTOM + 44}" text-anchor="middle">achieved bandwidth (GB/s)</text>'
    middle = (_TOP + _BOTTOM) / 2
    turned = f"translate(20 {middle:g}) rotate(-90)"
    yield f'<text transform="{turned}" text-anchor="middle">read latency (ns)</text>'


def _peak(x: float, peak: float) -> Iterator[str]:
    yield f'<line class="peak" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>'
    yield f'<text x="{x:.1f}" y="{_TOP - 6}" text-anchor="end">peak {peak:.4g} GB/s</text>'


def _line(series: _Series, curve: LatencyCurve, across: _Axis, upward: _Axis) -> Iterator[str]:
    rows = curve.rows
    places = [(across.place(row["achieved_gb_per_s"]), upward.place(row[series.column])) for row in rows]
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline class="{series.style} line" points="{joined}"/>'
    for (x, y), row in zip(places, rows, strict=True):
        told = (
            f"{series.label}: {row[series.column]:.4g} ns at {row['achieved_gb_per_s']:.4g} GB/s"
            f" (offered {row['offered_gb_per_s']:.4g} GB/s)"
        )
        yield (
            f'<path class="{series.style} mark" transform="translate({x:.1f} {y:.1f})" d="{series.mark}">'
            f"<title>{told}</title></path>"
        )


def _legend() -> Iterator[str]:
    for position, series in enumerate(_SERIES):
        x, y = _LEFT + 20, _TOP + 18 + 20 * position
        yield f'<line class="{series.style} line" x1="{x}" x2="{x + 32}" y1="{y}" y2="{y}"/>'
        yield f'<path class="{series.style} mark" transform="translate({x + 16} {y})" d="{series.mark}"/>'
        yield f'<text x="{x + 40}" y="{y + 4}">{series.label}</text>'
