"""What quality costs: each score beside what its mask saves, the best of them, and where quality breaks."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from colfw.vocabulary import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

CLIFF_SLOPE: Final = 3.0
"""A step is a cliff if it costs so many times as much quality per cycle saved as the steps beside it."""
_FEWEST_STEPS: Final = 3
"""Of a sweep in which one can be told from the others."""

_QUALITY: Final = ("workload", "seed", "metric")
_SCORED: Final = ("workload", "seed", "mask")
_SCORE_CELLS: Final = (
    *(*_SCORED, "evidence", "rows_convention", "mask_digest"),
    *("metric", "value", "unit", "direction", "interval_low", "interval_high"),
)


@frozen(kw_only=True)
class Point:
    """One mask under one layout on one machine: what it saves, and what is left of quality."""

    reduction: float
    score: Row = field(eq=False)

    @property
    def quality(self) -> float:
        """The value, turned so that more is better."""
        return self._turned(self.score["value"])

    @property
    def doubt(self) -> tuple[float, float]:
        """The interval of the quality; a point where the metric gives none."""
        ends = [self.score[end] for end in ("interval_low", "interval_high")]
        low, high = sorted(self.quality if end is None else self._turned(end) for end in ends)
        return low, high

    def _turned(self, value: float) -> float:
        return value if self.score["direction"] == Direction.HIGHER else -value

    def is_beaten_by(self, other: Point) -> bool:
        """Whether the other is as good in both, and better in one."""
        mine, others = (self.reduction, self.quality), (other.reduction, other.quality)
        return mine != others and mine[0] <= others[0] and mine[1] <= others[1]


def trade_offs(scores: Iterable[Row], totals: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Each score with each simulation of its mask: whether nothing beats it, whether it is past a cliff."""
    simulated = defaultdict(list)
    for total in totals:
        if total["cycle_reduction"] is not None:
            simulated[_cells(total, _SCORED)].append(total)
    compared: dict[tuple[Any, ...], list[tuple[Row, Point]]] = defaultdict(list)
    for score in scores:
        for total in simulated[_cells(score, _SCORED)] if score["value"] is not None else ():
            point = Point(reduction=total["cycle_reduction"], score=score)
            compared[(*_cells(score, _QUALITY), total["machine"])].append((total, point))
    for cases in compared.values():
        yield from _judged(cases)


def _judged(cases: Sequence[tuple[Row, Point]]) -> Iterator[dict[str, Any]]:
    """The points of one metric on one machine."""
    points = [point for _, point in cases]
    sweeps: dict[tuple[Any, ...], list[Point]] = defaultdict(list)
    for total, point in cases:
        sweeps[total["layout"], sweep_of(total["mask"])].append(point)
    fallen = [beyond_cliff(sweep) for sweep in sweeps.values()]
    for total, point in cases:
        yield {
            **{name: point.score[name] for name in _SCORE_CELLS},
            "machine": total["machine"],
            "layout": total["layout"],
            "sweep": sweep_of(total["mask"]),
            "cycle_reduction": point.reduction,
            "best": not any(map(point.is_beaten_by, points)),
            "beyond_cliff": any(point is first for first in fallen),
        }


def sweep_of(mask: str) -> str:
    """What is swept by masks of this kind, from a mask's label: `tau`, `rho`, `eta`, or `tau static`."""
    symbol, _, value = mask.partition("=")
    return " ".join([symbol, *value.split()[1:]])


def beyond_cliff(sweep: Iterable[Point]) -> Point | None:
    """The first point past the cliff of a sweep, if it has one.

    In the order of what they save, the step that loses most quality per cycle saved is a cliff if it loses
    several times as much as the other steps do in the median, and if the intervals of its ends are apart.
    """
    ordered = sorted(sweep, key=lambda point: (point.reduction, -point.quality))
    steps = [(one, other) for one, other in pairwise(ordered) if other.reduction > one.reduction]
    if len(steps) < _FEWEST_STEPS:
        return None
    steepest = max(steps, key=_slope)
    others = median(_slope(step) for step in steps if step is not steepest)
    before, after = steepest
    is_steep = _slope(steepest) > CLIFF_SLOPE * max(others, 0.0)
    return after if is_steep and before.doubt[0] > after.doubt[1] else None


def _slope(step: tuple[Point, Point]) -> float:
    """Quality lost per cycle saved."""
    before, after = step
    return (before.quality - after.quality) / (after.reduction - before.reduction)


def _cells(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
