"""`colfw advise`: which layout pays for a profile, what it is expected to save, why, and when not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number

from colfw.advice import ESTIMATE, Criteria, advice_on, layouts_of
from colfw.cli.common import PluginOptions, console, say, say_json, table
from colfw.errors import StoreError
from colfw.profile import ActivationProfile

if TYPE_CHECKING:
    from colfw.advice import Advice, Case
    from colfw.profile import Provenance

_SHARE = Number(gte=0, lte=1)


@Parameter(name="*")
@frozen(kw_only=True)
class AdviseOptions:
    """At which masks layouts are compared, and what makes one worthwhile."""

    threshold: Annotated[float, Parameter(validator=Number(gte=0))] = 0.164
    """Of |a|, above which a column is hot; default: 0.164."""
    target: Annotated[float, Parameter(validator=_SHARE)] = 0.164
    """Share that layouts with a threshold per site leave hot; default: 0.164."""
    worth: Annotated[float, Parameter(validator=_SHARE)] = 0.05
    """Least share of traffic whose saving is worth a layout; default: 0.05."""
    row_tile: Annotated[int, Parameter(validator=Number(gte=1))] = 16
    """Rows that share one pass over the weights; default: 16."""
    json: Annotated[bool, Parameter(negative="")] = False
    """Print JSON instead of text and a table."""

    @property
    def criteria(self) -> Criteria:
        return Criteria(
            threshold=self.threshold, target=self.target, worth=self.worth, row_tile=self.row_tile
        )


def advise(
    profile: Path,
    *,
    options: AdviseOptions | None = None,
    plugins: PluginOptions | None = None,
) -> None:
    """Say which memory layout pays for a profile, what it is expected to save, why, and when not.

    Parameters
    ----------
    profile
        A profile: what `colfw profile` writes, or a file of `profiles/` in a run directory.
    """
    how = options or AdviseOptions()
    made = _read(profile)
    advice = advice_on(made, layouts_of((plugins or PluginOptions()).load()), how.criteria)
    if how.json:
        say_json(_as_json(advice, profile, made.provenance))
    else:
        _print(advice, made)


def _read(path: Path) -> ActivationProfile:
    if path.is_dir():
        hint = "name a file in it, such as profiles/NAME.safetensors of a run"
        raise StoreError("is a folder", where=str(path), hint=hint)
    return ActivationProfile.from_file(path)


# --- what is shown --------------------------------------------------------------------------------


def _print(advice: Advice, profile: ActivationProfile) -> None:
    say(advice.verdict)
    minded = [objection.about for objection in advice.objections if not objection.stops]
    if minded:
        say(f"Mind: {', '.join(minded)}; see below.")
    listing = table("layout", "masks", "expected %>", "backed %>", "at most %>", "not needed %>", "moved>")
    for case in advice.survey.cases:
        listing.add_row(*_cells(case))
    console().print(listing)
    for failed in advice.survey.not_placed:
        say(f"{failed.layout} at {failed.mask} is left out: {failed.problem}")
    _print_reasons(advice, profile)


def _cells(case: Case) -> tuple[str, ...]:
    shares = (case.expected, case.backed, case.at_most, case.extra_share)
    return (
        case.choice.label,
        case.mask.label,
        *(f"{100 * share:.1f}" for share in shares),
        f"{case.tally.moved_columns:,}",
    )


def _print_reasons(advice: Advice, profile: ActivationProfile) -> None:
    about = profile.provenance
    say(
        f"Why: {about.workload}, {len(profile.sites)} sites, {about.iterations} iterations,"
        f" {about.source.evidence}, rows {about.rows_convention}"
    )
    for reason in advice.reasons:
        say(f"- {reason.about}: {reason.sentence}")
    if advice.objections:
        say("When the numbers say don't:")
    for objection in advice.objections:
        say(f"- {objection.about}: {objection.sentence}.")
    say(ESTIMATE)


def _as_json(advice: Advice, path: Path, about: Provenance) -> dict[str, Any]:
    advised = advice.advised
    return {
        "profile": str(path.absolute()),
        "provenance": attrs.asdict(about),
        "evidence": about.source.evidence,
        "criteria": attrs.asdict(advice.survey.criteria),
        "verdict": advice.verdict,
        "advised": None if advised is None else _case(advised),
        "layouts": [_case(case) for case in advice.survey.cases],
        "not_placed": [attrs.asdict(failed) for failed in advice.survey.not_placed],
        "reasons": [attrs.asdict(reason) for reason in advice.reasons],
        "objections": [attrs.asdict(objection) for objection in advice.objections],
        "sensitivity": [attrs.asdict(point) for point in advice.survey.sensitivity],
        "estimate": ESTIMATE,
    }


def _case(case: Case) -> dict[str, Any]:
    """Shares are of the dense run's traffic, but for what was not needed of the traffic itself."""
    return {
        "layout": case.choice.label,
        "mask": case.mask.label,
        "expected_saving": case.expected,
        "backed_saving": case.backed,
        "saving_at_most": case.at_most,
        "unbacked_share_of_saving": case.unbacked,
        "not_needed_share_of_fetched": case.extra_share,
        "moved_columns": case.tally.moved_columns,
        "moved_share_of_dense_traffic": case.moved_share,
        "columns_per_piece": case.columns_per_piece,
        "bytes": attrs.asdict(case.tally),
    }
