"""Target against achieved: every published number beside what a profile of published activations has.

The statistics are those of `colfw.masks`, on the profile as any study would read it. Cycle reductions are not
simulated here: they follow the first-order rule that skipped columns are skipped traffic.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from colfw.errors import InvariantError
from colfw.masks import (
    MaskPolicy,
    calibrate,
    calibrate_elements,
    column_sparsity,
    consecutive_jaccard,
    hot_columns,
    masks_of,
    side_by_side,
    sparse_iterations,
)
from colfw_workloads.published.sparsity import traffic_weights
from colfw_workloads.published.targets import (
    CONTRADICTIONS,
    KEYS,
    PRIMARY_TAU,
    PUBLISHED_ITERATIONS,
    SETTLED_ITERATION,
    TARGETS,
    Kind,
    Quantity,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from colfw.profile import ActivationProfile
    from colfw_workloads.published.targets import Contradiction, Target

    Floats = NDArray[np.float64]


@frozen(kw_only=True)
class Row:
    """A published number, what was achieved, and what is contradictory about it, if anything."""

    target: Target
    achieved: tuple[float, ...]
    """All values that the target speaks of, such as one for each layer; empty where they were not counted."""
    contradiction: Contradiction | None

    @property
    def within(self) -> bool:
        """Whether the published number is met within its printed tolerance."""
        return bool(self.achieved) and _met(self.target, min(self.achieved), max(self.achieved))

    @property
    def shown(self) -> str:
        """What was achieved, with one digit more than was printed."""
        if not self.achieved:
            return "not counted"
        digits = max(0, round(-np.log10(2 * self.target.tolerance))) + 1
        least, most = min(self.achieved), max(self.achieved)
        if self.target.kind is Kind.UP_TO or len(self.achieved) == 1:
            return f"{most:.{digits}f}"
        return f"{least:.{digits}f} to {most:.{digits}f}"

    @property
    def note(self) -> str:
        """Why a number is missed, or what about it is contradictory."""
        if self.contradiction is None:
            return ""
        return f"{self.contradiction.what}. Followed: {self.contradiction.followed}."


def report(workload: str, profile: ActivationProfile) -> tuple[Row, ...]:
    """Every published number of a workload beside what this profile has.

    Element sparsity is compared where the profile counts threshold 0.164, thresholds calibrated by elements
    where some counted threshold meets the target.
    """
    where = f"comparison of {workload}"
    if workload not in KEYS:
        raise InvariantError(
            "nothing is published about it", where=where, hint=f"there are {', '.join(KEYS)}"
        )
    if profile.sites[0].iterations < 3:
        raise InvariantError("fewer than 3 iterations have no Jaccard to compare", where=where)
    seen = _Statistics(profile)
    return tuple(
        Row(
            target=target,
            achieved=tuple(float(value) for value in _ACHIEVED[target.quantity](seen, target)),
            contradiction=next((known for known in CONTRADICTIONS if known.concerns(target)), None),
        )
        for target in TARGETS
        if target.workload == workload
    )


def render(rows: Iterable[Row]) -> str:
    """The rows as a table in Markdown, and under it the contradictions that they point to."""
    rows = tuple(rows)
    cited = [known for known in CONTRADICTIONS if any(row.contradiction is known for row in rows)]
    lines = [
        "| workload | quantity | unit | published | where | tolerance | synthesised | met |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(row, cited) for row in rows),
        "",
        *(f"[{number}] {known.what}. *Followed:* {known.followed}." for number, known in enumerate(cited, 1)),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row, cited: Sequence[Contradiction]) -> str:
    target = row.target
    mark = f" [{cited.index(row.contradiction) + 1}]" if row.contradiction else ""
    prefix = "up to " if target.kind is Kind.UP_TO else "within " if target.kind is Kind.WITHIN else ""
    cells = (
        target.workload,
        target.label,
        target.unit or "1",
        prefix + target.printed,
        target.where,
        f"{target.tolerance:g}",
        row.shown,
        ("yes" if row.within else "no") + mark,
    )
    return f"| {' | '.join(cells)} |"


def _met(target: Target, least: float, most: float) -> bool:
    slack = target.tolerance * (1 + 1e-9)  # half a unit is not exactly a binary number
    if target.kind is Kind.WITHIN:
        return target.low - slack <= least and most <= target.high + slack
    if target.kind is Kind.UP_TO:
        return abs(most - target.high) <= slack
    return abs(least - target.low) <= slack and abs(most - target.high) <= slack


# --- what was achieved ----------------------------------------------------------------------------


class _Statistics:
    """The statistics of one profile that targets speak of; sparsities in percent."""

    def __init__(self, profile: ActivationProfile) -> None:
        self.profile = profile
        self._sparsity: dict[float, Floats] = {}

    @cached_property
    def columns(self) -> Floats:
        return np.array([entry.site.columns for entry in self.profile.sites], np.float64)

    def layers(self, tau: float) -> Floats:
        """Column sparsity `[site, iteration]`."""
        if tau not in self._sparsity:
            hot = (hot_columns(entry.maxima, tau) for entry in self.profile.sites)
            self._sparsity[tau] = 100 * np.stack([column_sparsity(one) for one in hot])
        return self._sparsity[tau]

    def together(self, tau: float) -> Floats:
        """Column sparsity by iteration, every column weighing the same."""
        return np.asarray(self.columns @ self.layers(tau) / self.columns.sum())

    @cached_property
    def jaccard(self) -> Floats:
        masks = masks_of(self.profile, MaskPolicy.uniform(PRIMARY_TAU))
        return consecutive_jaccard(side_by_side(masks.sites)[1:])

    def elements(self, tau: float) -> list[float]:
        """Element sparsity over iterations 1 and later, where it was counted."""
        if tau not in self.profile.thresholds:
            return []
        place = self.profile.thresholds.index(tau)
        exceeding = sum(int(entry.exceeding[1:, place].sum()) for entry in self.profile.sites)
        elements = sum(int(entry.elements[1:].sum()) for entry in self.profile.sites)
        return [100 * (1 - exceeding / elements)]

    def gap(self, tau: float) -> list[float]:
        """By how much whole columns offer less than elements, over iterations 1 and later."""
        return [share - float(self.together(tau)[1:].mean()) for share in self.elements(tau)]

    def calibrated(self) -> list[float]:
        return [
            calibrate(sparse_iterations(entry.maxima, entry.site.name), PRIMARY_TAU)
            for entry in self.profile.sites
        ]

    def calibrated_by_elements(self, target: float) -> list[float]:
        """The thresholds of the layers; none where too few thresholds were counted to tell."""
        names = [entry.site.name for entry in self.profile.sites]
        taus = [calibrate_elements(self.profile, name, target).tau for name in names]
        return taus if set(taus) <= set(self.profile.thresholds) else []

    def uniform_reduction(self, tau: float) -> float:
        return self._reduction(self.layers(tau))

    def per_layer_reduction(self, policy: MaskPolicy) -> float:
        masks = masks_of(self.profile, policy)
        return self._reduction(100 * np.stack([column_sparsity(mask.hot) for mask in masks.sites]))

    def element_reductions(self, targets: Iterable[float]) -> list[float]:
        return [
            self.per_layer_reduction(MaskPolicy.per_layer_elements(target))
            for target in targets
            if self.calibrated_by_elements(target)
        ]

    def _reduction(self, sparsity: Floats) -> float:
        """Skipped traffic, of iterations 1 and later: iteration 0 is dense."""
        skipped = sparsity[:, 1:].sum(axis=1) / sparsity.shape[1]
        return float(traffic_weights([entry.site for entry in self.profile.sites]) @ skipped)


def _late(seen: _Statistics, target: Target) -> list[float]:
    sparsity = seen.together(target.at[0])
    published = np.linspace(0, PUBLISHED_ITERATIONS - 1, sparsity.size)
    return [float(sparsity[published >= SETTLED_ITERATION].mean())]


_ACHIEVED: dict[Quantity, Callable[[_Statistics, Target], Iterable[float]]] = {
    Quantity.COLUMNS_ITERATION_0: lambda seen, target: seen.together(target.at[0])[:1],
    Quantity.COLUMNS_ITERATION_1: lambda seen, target: seen.together(target.at[0])[1:2],
    Quantity.COLUMNS_LATE: _late,
    Quantity.COLUMNS_MEAN: lambda seen, target: [seen.together(target.at[0])[1:].mean()],
    Quantity.LAYERS_ITERATION_0: lambda seen, target: seen.layers(target.at[0])[:, 0],
    Quantity.LAYERS_MEAN: lambda seen, target: seen.layers(target.at[0])[:, 1:].mean(axis=1),
    Quantity.ELEMENTS_MEAN: lambda seen, target: seen.elements(target.at[0]),
    Quantity.GAP: lambda seen, target: seen.gap(target.at[0]),
    Quantity.JACCARD_MEAN: lambda seen, _: [seen.jaccard.mean()],
    Quantity.JACCARD_MIN: lambda seen, _: [seen.jaccard.min()],
    Quantity.CALIBRATED_TAU: lambda seen, _: seen.calibrated(),
    Quantity.CALIBRATED_TAU_MAX: lambda seen, _: [max(seen.calibrated())],
    Quantity.UNIFORM_REDUCTION: lambda seen, target: [seen.uniform_reduction(tau) for tau in target.at],
    Quantity.PER_LAYER_REDUCTION: lambda seen, target: [
        seen.per_layer_reduction(MaskPolicy.per_layer(rho)) for rho in target.at
    ],
    Quantity.ELEMENT_TAU: lambda seen, target: seen.calibrated_by_elements(target.at[0]),
    Quantity.ELEMENT_TAU_MAX: lambda seen, target: sorted(seen.calibrated_by_elements(target.at[0]))[-1:],
    Quantity.ELEMENT_REDUCTION: lambda seen, target: seen.element_reductions(target.at),
}
