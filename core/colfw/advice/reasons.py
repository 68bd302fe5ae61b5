"""Why: what the numbers of a survey say, each in a sentence and as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import field, frozen

from colfw.advice.survey import mean_column_sparsity
from colfw.advice.traffic import SiteCost, natural_columns_per_piece
from colfw.masks import Regime, classify, column_sparsity, exceeding_share_bounds, side_by_side
from colfw.study import DEFAULT_THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from colfw.advice.survey import Calibration, Case, Sensitivity, Survey
    from colfw.advice.traffic import Criteria
    from colfw.masks import MaskSet
    from colfw.profile import ActivationProfile

    Numbers = Mapping[str, float | int | str | None]

GELU_MINIMUM = 0.169971
"""|min x Phi(x)|, at x = -0.75179; of its approximation by tanh, 0.170041. Beyond it, a column whose inputs
stay negative is cold at once."""


@frozen(kw_only=True)
class Reason:
    """One thing that the numbers say."""

    about: str
    sentence: str
    numbers: Numbers = field(factory=dict)


def reasons(found: Survey) -> tuple[Reason, ...]:
    """All reasons, the most telling first."""
    return (
        _regime(found.natural),
        _decay(found.natural, found.criteria),
        _shape(found),
        *([] if found.best is None else [_partition(found, found.best)]),
        *(_calibrated(calibration, found.criteria) for calibration in found.calibrations.values()),
        _neighbours(found),
    )


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def gated_sites(profile: ActivationProfile) -> int:
    return sum(entry.site.operator.gated for entry in profile.sites)


def _between(low: float, high: float) -> str:
    ends = dict.fromkeys([percent(low), percent(high)])
    return " to ".join(ends)


def _span(values: Iterable[float]) -> str:
    """`6`, or `200 to 800`."""
    found = sorted(values)
    return " to ".join(dict.fromkeys([f"{found[0]:,g}", f"{found[-1]:,g}"]))


# --- how columns behave ---------------------------------------------------------------------------


def _regime(masks: MaskSet) -> Reason:
    found = classify(masks)
    mean, least = percent(found.mean_jaccard), percent(found.min_jaccard)
    shared = f"consecutive hot sets share {mean} of their union on average, {least} at least"
    sentences = {
        Regime.CONCENTRATION: f"{shared}. The hot set settles: a layout that is decided once serves as far as"
        " cold columns stay the same.",
        Regime.DISPERSION: f"{shared}, and {percent(found.turn_on_share)} of all changes turn a column on."
        " What is cold late was cold early: a layout that is decided once stays valid, but saves less and"
        " less.",
        Regime.CHURN: f"{shared}. They differ in more than they share: no partition that is decided once"
        " fits the run.",
    }
    again = _cold_again(masks)
    stay = (
        "" if again is None else f" Of what is cold in one iteration, {percent(again)} is cold in the next."
    )
    return Reason(
        about="regime",
        sentence=f"{found.regime}: {sentences[found.regime]}{stay}",
        numbers={**attrs.asdict(found), "cold_again": again},
    )


def _cold_again(masks: MaskSet) -> float | None:
    """Of the columns that are cold in an iteration, the share that is cold in the next; None without any.

    Where few columns are cold, hot sets share most of their union however much the cold ones change.
    """
    cold = ~side_by_side(masks.sites)[1:]
    pairs = np.count_nonzero(cold[:-1])
    return float(np.count_nonzero(cold[1:] & cold[:-1]) / pairs) if pairs else None


def _decay(masks: MaskSet, criteria: Criteria) -> Reason:
    sparsity = [float(value) for value in column_sparsity(side_by_side(masks.sites))]
    mean = mean_column_sparsity(masks)
    half = _half_skipped_by(masks, criteria)
    when = f" Half of all skipping is done by iteration {half} of {len(sparsity)}." if half else ""
    return Reason(
        about="column sparsity",
        sentence=f"{percent(sparsity[0])} of the columns are cold in iteration 0, {percent(sparsity[1])} in"
        f" iteration 1 and {percent(sparsity[-1])} in the last; {percent(mean)} on average over iterations 1"
        f" and later.{when}",
        numbers={
            "iteration_0": sparsity[0],
            "iteration_1": sparsity[1],
            "last_iteration": sparsity[-1],
            "mean": mean,
            "half_skipped_by_iteration": half,
        },
    )


def _half_skipped_by(masks: MaskSet, criteria: Criteria) -> int | None:
    """The iteration by which half of the traffic that can be skipped has been; None where none can."""
    skipped = np.zeros(masks.sites[0].hot.shape[0] - 1)
    for mask in masks.sites:
        cold = mask.site.columns - np.count_nonzero(mask.hot[1:], axis=1)
        skipped += cold * float(SiteCost.of(mask.site, criteria).unit_bytes)
    so_far = np.cumsum(skipped)
    return int(np.searchsorted(so_far, so_far[-1] / 2)) + 1 if so_far[-1] > 0 else None


def _shape(found: Survey) -> Reason:
    """Rows and expansion: why columns can be cold at all, and what single elements would offer."""
    entries = found.profile.sites
    rows = [entry.site.rows for entry in entries]
    expansions = [round(entry.site.columns / entry.site.operator.d_in, 2) for entry in entries]
    elements, by_chance = _cold_elements(found), _cold_by_chance(found)
    cold = mean_column_sparsity(found.natural)
    return Reason(
        about="rows and expansion",
        sentence=f"a column is cold only if all its rows are, so few rows help. Sites have {_span(rows)} rows"
        f" and {_span(expansions)} times as many hidden columns as inputs. A share p ="
        f" {_between(*elements)} of the elements is cold; were the M rows independent, p^M ="
        f" {_between(*by_chance)} of the columns would be, and {percent(cold)} are. The other"
        f" {_between(*(end - cold for end in elements))} is open to machines that skip single elements.",
        numbers={
            "fewest_rows": min(rows),
            "most_rows": max(rows),
            "least_expansion": min(expansions),
            "greatest_expansion": max(expansions),
            "element_sparsity_low": elements[0],
            "element_sparsity_high": elements[1],
            "column_sparsity_if_rows_were_independent_low": by_chance[0],
            "column_sparsity_if_rows_were_independent_high": by_chance[1],
            "column_sparsity": cold,
        },
    )


def _cold_elements(found: Survey) -> tuple[float, float]:
    """Bounds on the share of cold elements, a mean in which every column weighs the same."""
    return _over_columns(found, lambda cold, _: cold)


def _cold_by_chance(found: Survey) -> tuple[float, float]:
    """The same of columns, were rows independent: all of a column's rows are cold."""
    return _over_columns(found, lambda cold, rows: float(cold**rows))


def _over_columns(found: Survey, quantity: Callable[[float, float], float]) -> tuple[float, float]:
    low = high = 0.0
    columns = sum(entry.site.columns for entry in found.profile.sites)
    for entry in found.profile.sites:
        least, most = exceeding_share_bounds(found.profile, entry.site.name, found.criteria.threshold)
        rows = float(entry.elements[1:].mean()) / entry.site.columns  # of all samples: maxima are over them
        weight = entry.site.columns / columns
        low += weight * quantity(1 - most, rows)
        high += weight * quantity(1 - least, rows)
    return low, high


# --- what a layout makes of it --------------------------------------------------------------------


def _partition(found: Survey, best: Case) -> Reason:
    counts = best.tally
    outside, inside = counts.hot_outside / counts.columns, counts.cold_inside / counts.columns
    natural = natural_columns_per_piece(found.masks[best.mask.kind])
    return Reason(
        about="partition",
        sentence=f"with {best.label}, {percent(outside)} of the columns are hot outside the hot region and"
        f" {percent(inside)} cold inside it, on average over iterations 1 and later;"
        f" {percent(best.extra_share)} of what is fetched is not needed. It is fetched in pieces of"
        f" {best.columns_per_piece:,.1f} columns; in their own order, hot columns lie in pieces of"
        f" {natural:,.1f}. {_moving(best)}",
        numbers={
            "hot_outside_hot_region": outside,
            "cold_inside_hot_region": inside,
            "fetched_not_needed": best.extra_share,
            "columns_per_piece": best.columns_per_piece,
            "columns_per_piece_in_own_order": natural,
            "moved_columns": counts.moved_columns,
            "moved_share_of_dense_traffic": best.moved_share,
        },
    )


def _moving(best: Case) -> str:
    if not best.moves:
        return "Nothing moves while the model runs."
    return (
        f"It moves {best.tally.moved_columns:,} columns for {percent(best.moved_share)} of the dense traffic."
    )


def _calibrated(found: Calibration, criteria: Criteria) -> Reason:
    numbers = attrs.asdict(found, filter=attrs.filters.exclude("policy"))
    return Reason(
        about=f"calibration {found.policy.label}",
        sentence=f"{found.raised} of {found.sites} sites need a threshold above {criteria.threshold:g} for it"
        f" ({found.lowest_tau:.3g} to {found.highest_tau:.3g}), {found.beyond_sweep} above"
        f" {max(DEFAULT_THRESHOLDS):g}, where the study's sweep ends; in {found.beyond_99th_percentile} at"
        f" most 1 % of the elements exceed it. Of the {percent(found.at_most)} that this could save at most,"
        f" a share of {percent(found.unbacked)} is not backed by columns that are cold at"
        f" {criteria.threshold:g} (1 - uniform / per-layer).",
        numbers={**numbers, "policy": found.policy.label},
    )


# --- thresholds beside this one -------------------------------------------------------------------


def _neighbours(found: Survey) -> Reason:
    """What the thresholds beside this one would do, and where it stands to the minimum of GELU."""
    points, case = found.sensitivity, found.best_of_one_threshold
    here = [point.threshold for point in points].index(found.criteria.threshold)
    told = "; ".join(_told(point) for point in points[max(here - 1, 0) : here + 2])
    of_what = "at most" if case is None else f"by {case.choice.label}"
    return Reason(
        about="threshold",
        sentence=f"columns cold, and traffic saved {of_what}: {told}. {_beside_gelu(found)}",
        numbers={"gelu_minimum": GELU_MINIMUM, "gated_sites": gated_sites(found.profile)},
    )


def _told(point: Sensitivity) -> str:
    saving = point.at_most if point.expected is None else point.expected
    return f"{percent(point.column_sparsity)} and {percent(saving)} at {point.threshold:g}"


def _beside_gelu(found: Survey) -> str:
    if gated_sites(found.profile) == len(found.profile.sites):
        return "All sites are gated: a product with a gate has no least value that a threshold could pass."
    threshold = found.criteria.threshold
    side = "below" if threshold < GELU_MINIMUM else "beyond"
    return (
        f"{threshold:g} lies {side} {GELU_MINIMUM:.5f}, the size of GELU's least value: beyond it, every"
        " column whose inputs stay negative is cold at once, and quality may fall off."
    )
