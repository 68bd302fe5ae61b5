"""Advice: which memory layout pays for a profile, what it saves, why, and when the numbers say don't.

This is the decision procedure of the study's section 6. It simulates nothing: every layout that is plugged in
places the profile's columns, and what it would fetch is counted against a dense run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from colfw.advice.objections import Objection, objections
from colfw.advice.reasons import Reason, percent, reasons
from colfw.advice.survey import Case, layouts_of, survey
from colfw.advice.traffic import ESTIMATE, Criteria
from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colfw.advice.survey import Survey
    from colfw.binding import Choice
    from colfw.profile import ActivationProfile

__all__ = ["ESTIMATE", "Advice", "Case", "Criteria", "Objection", "Reason", "advice_on", "layouts_of"]


@frozen(kw_only=True)
class Advice:
    """What was counted, why it says what it says, and what speaks against it."""

    survey: Survey
    reasons: tuple[Reason, ...]
    objections: tuple[Objection, ...]
    """Those that stop first."""

    @property
    def advised(self) -> Case | None:
        """The layout to use, unless the numbers say don't."""
        return None if any(objection.stops for objection in self.objections) else self.survey.best

    @property
    def verdict(self) -> str:
        case = self.advised
        if case is None:
            return f"Don't: {next(o.sentence for o in self.objections if o.stops)}."
        backing = f"; naturally cold columns back {percent(case.backed)}" if case.unbacked else ""
        return (
            f"Use {case.label}: it is expected to save {percent(case.expected)} of the traffic"
            f" (at most {percent(case.at_most)}{backing})."
        )


def advice_on(
    profile: ActivationProfile, layouts: Sequence[Choice], criteria: Criteria | None = None
) -> Advice:
    """Compare all layouts on a profile, and say which one pays, or why none does."""
    _check_length(profile)
    found = survey(profile, layouts, criteria or Criteria())
    return Advice(survey=found, reasons=reasons(found), objections=objections(found))


def _check_length(profile: ActivationProfile) -> None:
    iterations = profile.provenance.iterations
    if iterations < 3:
        raise InvariantError(
            f"{iterations} iteration{'s' if iterations > 1 else ''}, of which the first is dense:"
            " 3 are needed to see a regime",
            where=f"profile of {profile.provenance.workload}",
            hint="profile more iterations",
        )
