"""When not: the rules that a profile or a saving breaks, each with the number that breaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from colfw.advice.reasons import GELU_MINIMUM, Reason, gated_sites, percent
from colfw.advice.survey import MOSTLY_UNBACKED
from colfw.advice.traffic import natural_columns_per_piece, saving_bound
from colfw.masks import Regime, classify
from colfw.vocabulary import SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colfw.advice.survey import Calibration, Case, Survey


@frozen(kw_only=True)
class Objection(Reason):
    """A rule that is broken."""

    stops: bool = False
    """Whether it turns the advice into a 'don't'; else it is something to mind."""


def objections(found: Survey) -> tuple[Objection, ...]:
    """All broken rules, those that stop first."""
    broken = [
        *_about_profile(found),
        *_about_saving(found),
        *_about_layout(found),
        *_about_calibrations(found),
        *_about_threshold(found),
    ]
    return tuple(sorted(broken, key=lambda objection: not objection.stops))


def _about_profile(found: Survey) -> Iterator[Objection]:
    about = found.profile.provenance
    if about.source is SourceKind.RANDOM:
        yield Objection(
            about="random weights",
            sentence="the profile was measured on random weights, whose hot columns say nothing about those"
            " of a trained model; profile its checkpoint",
            numbers={"evidence": about.source.evidence},
            stops=True,
        )
    elif about.source is SourceKind.PUBLISHED:
        yield Objection(
            about="synthesised",
            sentence="no activation was measured: the profile was synthesised to published statistics, which"
            " leave open which columns are hot together; profile the checkpoint before you build on it",
            numbers={"evidence": about.source.evidence},
        )
    elif about.samples == 1:
        yield Objection(
            about="one sample",
            sentence="the profile saw 1 sample, and its hot set may not hold for another; profile several, or"
            " compare seeds",
            numbers={"samples": 1},
        )


def _about_saving(found: Survey) -> Iterator[Objection]:
    best, worth = found.best, found.criteria.worth
    saving = best.backed if best else 0.0
    at_most = saving_bound(found.natural, found.criteria)
    if best is not None and saving >= worth:
        return
    if at_most < worth:
        threshold = f"{found.criteria.threshold:g}"
        why = f"too few columns are cold at {threshold}, and no layout can save more than {percent(at_most)}"
    elif best is None:
        why = "no layout that is plugged in has a sound saving to offer"
    else:
        why = f"the best layout, {best.label}, is expected to save {percent(saving)}"
    yield Objection(
        about="not worth it",
        sentence=f"{why} of the traffic; it takes {percent(worth)} to be worth a layout{_inflated(found)}",
        numbers={"saving": saving, "at_most": at_most, "worth": worth},
        stops=True,
    )


def _inflated(found: Survey) -> str:
    """What looks like a saving beside one that is not worth it."""
    inflated = [case for case in found.cases if case.unbacked and case.expected >= found.criteria.worth]
    if not inflated:
        return ""
    case = max(inflated, key=lambda case: case.expected)
    return f" (the {percent(case.expected)} of {case.label} exist only by raised thresholds)"


def _about_layout(found: Survey) -> Iterator[Objection]:
    best = found.best
    if best is None or best.backed < found.criteria.worth:
        return
    if best.moves:
        yield Objection(
            about="moves columns",
            sentence=f"{best.label} moves columns while the model runs; their traffic is counted, the tables"
            " and the control that they need are not",
            numbers={"moved_columns": best.tally.moved_columns},
        )
    elif classify(found.natural).regime is Regime.CHURN:
        yield _static_under_churn(found, best)
    yield from _rearranging_gains_little(found, best)


def _static_under_churn(found: Survey, best: Case) -> Objection:
    mean_jaccard = classify(found.natural).mean_jaccard
    outside = best.tally.hot_outside / best.tally.columns
    return Objection(
        about="churn",
        sentence=f"consecutive hot sets share only {percent(mean_jaccard)} of their union, and"
        f" {percent(outside)} of the columns are hot outside the hot region of {best.label}: it saves by"
        " skipping columns one by one, not by where they lie",
        numbers={"mean_jaccard": mean_jaccard, "hot_outside_hot_region": outside},
    )


def _rearranging_gains_little(found: Survey, best: Case) -> Iterator[Objection]:
    """Exact skipping needs no layout; a layout is there to make what is fetched contiguous."""
    natural = natural_columns_per_piece(found.masks[best.mask.kind])
    if best.columns_per_piece < 2 * natural:
        yield Objection(
            about="little rearranged",
            sentence=f"fetching the hot columns where they lie would save {percent(best.at_most)} in pieces"
            f" of {natural:,.1f} columns, and those of {best.label} are not twice as long"
            f" ({best.columns_per_piece:,.1f}): skipping saves here, rearranging hardly",
            numbers={
                "columns_per_piece": best.columns_per_piece,
                "columns_per_piece_in_own_order": natural,
            },
        )


def _about_calibrations(found: Survey) -> Iterator[Objection]:
    for kind, calibration in found.calibrations.items():
        if any(case.mask.kind is kind for case in found.cases):
            yield from _about_calibration(calibration, found.criteria.threshold)


def _about_calibration(found: Calibration, threshold: float) -> Iterator[Objection]:
    label = found.policy.label
    if not found.naturally_met:
        yield Objection(
            about="target out of reach",
            sentence=f"no site meets {label} naturally: all {found.sites} need a threshold above"
            f" {threshold:g}, so columns are forced cold instead of found cold",
            numbers={"sites": found.sites, "naturally_met": 0},
        )
    if found.unbacked > MOSTLY_UNBACKED:
        yield Objection(
            about="inflated thresholds",
            sentence=f"a share of {percent(found.unbacked)} of what {label} could save exists only by raised"
            " thresholds; do not count on it without a look at quality",
            numbers={"unbacked": found.unbacked},
        )


def _about_threshold(found: Survey) -> Iterator[Objection]:
    plain = len(found.profile.sites) - gated_sites(found.profile)
    threshold = found.criteria.threshold
    if plain and threshold >= GELU_MINIMUM:
        yield Objection(
            about="beyond GELU's minimum",
            sentence=f"{threshold:g} lies beyond {GELU_MINIMUM:.5f}: every column of GELU whose inputs stay"
            " negative is cold, and the study saw the quality of motion models fall off there (5.5)",
            numbers={"threshold": threshold, "gelu_minimum": GELU_MINIMUM, "plain_sites": plain},
        )
