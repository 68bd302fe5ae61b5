"""Refusals: what is wrong with a value, at which key, and how a message names the value."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from datetime import date, time
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from colfw import keypaths
from colfw.errors import ColfwError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from colfw.keypaths import KeyPath


@frozen
class Problem:
    """One thing that is wrong, at a place below the value that was refused."""

    path: KeyPath
    problem: str
    hint: str | None = None
    expected: str | None = field(default=None, kw_only=True)
    """What belongs here, where the value is of another kind altogether; unions join these."""

    def below(self, *place: str | int) -> Problem:
        return attrs.evolve(self, path=(*place, *self.path))

    def line(self, where: str = "") -> str:
        place = ": ".join(part for part in (where, keypaths.spell(self.path)) if part)
        return " ".join(str(ColfwError(self.problem, where=place, hint=self.hint)).splitlines())

    @property
    def is_of_another_kind(self) -> bool:
        return self.expected is not None and not self.path


class Refusal(InvariantError):  # noqa: N818  (it lists problems; what users see is a StudyError)
    """A value is refused for several reasons at once, each at its place below it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(problem.line() for problem in problems))
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problems,)


@frozen
class Findings:
    """Collects problems instead of stopping at the first."""

    problems: list[Problem] = field(factory=list)

    @contextmanager
    def at(self, *place: str | int) -> Iterator[None]:
        try:
            yield
        except Refusal as refusal:
            self.problems.extend(problem.below(*place) for problem in refusal.problems)

    def settle(self) -> None:
        if self.problems:
            raise Refusal(self.problems)


def shown(value: Any) -> str:  # noqa: PLR0911  (one answer a kind of value)
    """A value as a message names it: as the study would write it, or what kind of thing it is."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Enum():
            return shown(value.value)
        case str():
            return keypaths.quoted(value if len(value) <= 60 else f"{value[:57]}...")
        case int():
            return str(value) if fits_64_bits(value) else "a number of more than 64 bits"
        case float():
            return repr(value)
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
        case date() | time():
            return "a date or time"
    return f"a Python {type(value).__name__}"


def fits_64_bits(value: int) -> bool:
    return -(2**63) <= value < 2**63
