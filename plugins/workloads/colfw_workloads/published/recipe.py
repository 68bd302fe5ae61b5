"""What each workload is made to: the published numbers, and beside them what had to be assumed.

A field is either `printed(...)`, or a number with a comment that says which published number fixes it, or
that nothing does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import field, frozen

from colfw_workloads.published.targets import (
    PRIMARY_TAU,
    PUBLISHED_ITERATIONS,
    SWEEP,
    Quantity,
    printed,
    target,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_Q = Quantity

SKIPPED_ITERATIONS = (PUBLISHED_ITERATIONS - 1) / PUBLISHED_ITERATIONS
"""Iteration 0 is dense, and cold columns are skipped in all others: cycles fall by 49/50 of sparsity."""


class Order(StrEnum):
    """Which layers are the sparse ones. The study does not say."""

    SCATTERED = "scattered"
    """Spread over the depth by the fractional part of multiples of the square root of 3. Any irrational
    step would do; with this one SD's mean weighted by traffic is the 3.9 % / 0.98 that its cycles ask
    for."""
    WIDE = "wide"
    """The wider the sparser."""


@frozen(kw_only=True)
class Spread:
    """How unlike the layers are: the shares of cold columns of the least and the most sparse layer."""

    low: float
    high: float
    order: Order


@frozen(kw_only=True)
class ByElements:
    """A calibration to a share of hot elements: the threshold that meets it, and what is cold there."""

    tau: float
    """Assumed, the same in all layers."""
    sparsity: float
    """The column sparsity over iterations 1 and later that the published cycle reduction asks for, a column
    weighing as much as its traffic."""


@frozen(kw_only=True)
class Recipe:
    """The statistics that one workload's activations are made to have; sparsities are shares, not percent."""

    mean: float
    """Column sparsity at 0.164 over iterations 1 and later, every column weighing the same."""
    start: float | None = None
    """Column sparsity in the iteration where it starts to fall; None: it does not change."""
    only_turns_on: bool = False
    """The fall starts in iteration 0, is over at a stated level, and a column that is hot stays hot."""
    settled: float | None = None
    """The level it falls to, where stated; otherwise the mean decides."""
    spread: Spread | None = None
    """Over iteration 0 where columns only turn on, else over the mean; None: all layers are alike."""
    elements: float
    """Element sparsity at 0.164 over iterations 1 and later, every element weighing the same."""
    jaccard_mean: float
    jaccard_min: float | None = None
    sweep: Mapping[float, float] = field(factory=dict)
    """Column sparsity at further thresholds, as `mean`."""
    by_elements: Mapping[float, ByElements] = field(factory=dict)
    """By the target: what the reductions for thresholds per layer ask for, read as shares of hot elements."""
    densest_layer_tau: float = 0.34
    """The calibrated threshold of the layer with the fewest cold columns: the end of the range of natural
    layers (4.4), printed for SD and Make-an-Audio and assumed for the others but DiT."""


def _share(workload: str, quantity: Quantity, at: tuple[float, ...] = (PRIMARY_TAU,)) -> float:
    return printed(workload, quantity, at) / 100


def _spread(workload: str, quantity: Quantity) -> Spread:
    entry = target(workload, quantity)
    return Spread(low=entry.low / 100, high=entry.high / 100, order=Order.SCATTERED)


def _reduction(workload: str, at: tuple[float, ...], which: str = "high") -> float:
    entry = target(workload, _Q.UNIFORM_REDUCTION, at)
    return float(getattr(entry, which)) / 100


def _sparsity_of_reduction(workload: str, at: tuple[float, ...], which: str) -> float:
    """The column sparsity that a published cycle reduction asks for where no sparsity is published."""
    return _reduction(workload, at, which) / SKIPPED_ITERATIONS


def _by_elements(
    workload: str, taus: Mapping[float, float], *, skipped: float = SKIPPED_ITERATIONS
) -> Mapping[float, ByElements]:
    """Calibrations to the targets at the ends of the sweep, and to the primary one where it is printed.

    The lower the target, the higher the threshold and the reduction (5.3). `taus` are of the grid that
    studies of such calibrations count, where elements that are normally distributed, with the element
    sparsity stated for 0.164, put them; or else the reason is given. `skipped` is the share of cycles that
    falls with the columns.
    """
    span = target(workload, _Q.ELEMENT_REDUCTION, SWEEP)
    reductions = {SWEEP[0]: span.high, SWEEP[-1]: span.low}
    if PRIMARY_TAU in taus:
        reductions[PRIMARY_TAU] = printed(workload, _Q.ELEMENT_REDUCTION)
    return {
        share: ByElements(tau=tau, sparsity=reductions[share] / 100 / skipped) for share, tau in taus.items()
    }


_BEFORE_GELU_ENDS = 0.169
"""GELU is never below -0.170 and flat there, so elements crowd between 0.164 and 0.170, and columns of
negative inputs alone turn cold at 0.17: it may be why sparsity leaps there (5.5). The reductions ask for a
target of 0.10 that is met before the leap."""

_NEXT = (0.17,)
_NEXT_TO_LAST = (0.17, 0.2)

RECIPES: Mapping[str, Recipe] = {
    "dit-xl-2": Recipe(
        mean=_share("dit-xl-2", _Q.COLUMNS_MEAN),
        start=_share("dit-xl-2", _Q.COLUMNS_ITERATION_0),
        settled=_share("dit-xl-2", _Q.COLUMNS_LATE),
        only_turns_on=True,
        spread=_spread("dit-xl-2", _Q.LAYERS_ITERATION_0),
        elements=_share("dit-xl-2", _Q.ELEMENTS_MEAN),
        jaccard_mean=printed("dit-xl-2", _Q.JACCARD_MEAN),
        sweep={
            0.1: _sparsity_of_reduction("dit-xl-2", SWEEP, "low"),
            0.2: _sparsity_of_reduction("dit-xl-2", SWEEP, "high"),
        },
        densest_layer_tau=printed("dit-xl-2", _Q.CALIBRATED_TAU_MAX),
    ),
    "sd-v1-4": Recipe(
        # The lower end of the group's range of means (4.1), and 3.9 % of the cycles.
        mean=0.04,
        start=_share("sd-v1-4", _Q.COLUMNS_ITERATION_1),
        spread=_spread("sd-v1-4", _Q.LAYERS_MEAN),
        # The lower end of the group's range: a larger one would make the gap to the columns exceed 78 points.
        elements=0.81,
        jaccard_mean=printed("sd-v1-4", _Q.JACCARD_MEAN),
        by_elements=_by_elements("sd-v1-4", {0.2: 0.16, 0.164: 0.17, 0.1: 0.2}),
    ),
    "videocrafter2": Recipe(
        # No mean is printed: less would make the gap to the elements exceed 78 points.
        mean=0.08,
        start=_share("videocrafter2", _Q.COLUMNS_ITERATION_1),
        spread=Spread(
            # With 8 % of the columns, 4.9 % of the cycles.
            low=0.004,
            # Assumed: that of SD, a UNet of the same widths.
            high=_spread("sd-v1-4", _Q.LAYERS_MEAN).high,
            order=Order.WIDE,
        ),
        # A target of 16.4 % hot elements saves less than one threshold of 0.164 does, so fewer are hot there:
        # with 14 %, columns turn cold with the threshold about as fast as SD's do between its targets.
        elements=0.86,
        jaccard_mean=printed("videocrafter2", _Q.JACCARD_MEAN),
        by_elements=_by_elements("videocrafter2", {0.2: 0.14, 0.164: 0.155, 0.1: 0.18}),
    ),
    "make-an-audio": Recipe(
        # The upper end of the group's range of means (4.1).
        mean=0.35,
        start=_share("make-an-audio", _Q.COLUMNS_ITERATION_1),
        spread=Spread(
            # With 35 % of the columns, 30.6 % of the cycles: the least sparse layer decides how much less
            # sparse the narrow layers are, which weigh more in cycles.
            low=0.183,
            # Assumed; from 0.7 on, the least sparse layer hardly depends on it.
            high=0.873,
            order=Order.WIDE,
        ),
        # The upper end of the group's range, which the two others cannot have.
        elements=0.92,
        jaccard_mean=printed("make-an-audio", _Q.JACCARD_MEAN),
        # Normal elements would put 0.164 at 0.13: 0.14 is the lower end of natural layers' thresholds (4.4).
        by_elements=_by_elements("make-an-audio", {0.2: 0.13, 0.164: 0.14, 0.1: 0.155}),
    ),
    "mdm": Recipe(
        mean=_share("mdm", _Q.COLUMNS_MEAN),
        # The upper end of the range of MDM and EDGE; EDGE has the lower.
        elements=0.86,
        jaccard_mean=printed("mdm", _Q.JACCARD_MEAN),
        sweep={
            0.17: _share("mdm", _Q.COLUMNS_MEAN, _NEXT),
            # The reduction of 29.2 % asks for less than the 34.3 % at 0.17: only its rise is followed.
            0.2: _share("mdm", _Q.COLUMNS_MEAN, _NEXT)
            * _reduction("mdm", _NEXT_TO_LAST)
            / _reduction("mdm", _NEXT_TO_LAST, "low"),
        },
        by_elements=_by_elements("mdm", {0.2: 0.14, 0.1: _BEFORE_GELU_ENDS}),
    ),
    "mld": Recipe(
        mean=_share("mld", _Q.COLUMNS_MEAN),
        # Not published: the middle of MDM's and EDGE's range.
        elements=0.85,
        jaccard_mean=printed("mld", _Q.JACCARD_MEAN),
        jaccard_min=printed("mld", _Q.JACCARD_MIN),
        sweep={
            0.17: _share("mld", _Q.COLUMNS_MEAN, _NEXT),
            # The reduction of 78.6 % asks for less than the 88.0 % at 0.17: only its rise over 0.164 is
            # followed.
            0.2: _share("mld", _Q.COLUMNS_MEAN)
            * _reduction("mld", SWEEP)
            / _reduction("mld", (PRIMARY_TAU,)),
        },
        by_elements=_by_elements(
            "mld",
            # With 6 rows a column has few elements near GELU's end, and turns cold earlier.
            {0.2: 0.15, 0.1: 0.168},
            skipped=_reduction("mld", (PRIMARY_TAU,)) / _share("mld", _Q.COLUMNS_MEAN),
        ),
    ),
    "edge": Recipe(
        mean=_share("edge", _Q.COLUMNS_MEAN),
        # The largest gap of all, 78 points, is between this and 6.0 %.
        elements=0.84,
        jaccard_mean=printed("edge", _Q.JACCARD_MEAN),
        sweep={
            0.17: _sparsity_of_reduction("edge", _NEXT_TO_LAST, "low"),
            0.2: _sparsity_of_reduction("edge", _NEXT_TO_LAST, "high"),
        },
        by_elements=_by_elements("edge", {0.2: 0.15, 0.1: _BEFORE_GELU_ENDS}),
    ),
}
"""What each of the seven workloads is made to."""
