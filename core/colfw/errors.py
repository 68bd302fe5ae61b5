"""What can go wrong that a user can act on.

There are two kinds of error. One is this family: each is shown as one line (what, where, what next)
and sets the exit code. Everything else is a bug and keeps its traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ColfwError(Exception):
    """A problem that the reader of the message can do something about.

    >>> print(ColfwError("no such run", where="runs/2026", hint="see `colfw runs list`"))
    runs/2026: no such run (see `colfw runs list`)
    """

    exit_code = 1

    def __init__(self, problem: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.problem}{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries; the default would lose `where` and `hint`.
        return _rebuild, (type(self), self.problem, self.where, self.hint)


def _rebuild(kind: type[ColfwError], problem: str, where: str | None, hint: str | None) -> ColfwError:
    return kind(problem, where=where, hint=hint)


class StudyError(ColfwError):
    """The study asks for something that cannot be done; every problem found is listed, a line each."""

    exit_code = 2

    @classmethod
    def of(cls, problems: Sequence[str]) -> StudyError:
        return cls("\n".join(problems))


class PluginError(ColfwError):
    """A plugin is missing, broken, blocked or contested, or failed while at work."""

    exit_code = 3


class InvariantError(ColfwError, ValueError):
    """A value violates a rule that must always hold; no number is made of it."""

    exit_code = 4


class StoreError(ColfwError):
    """A file or folder cannot be read, or is not what it claims to be."""

    exit_code = 5


class UnavailableError(ColfwError):
    """What was asked for cannot be had here, such as a metric without its weights; the rest goes on."""


class RunFailed(ColfwError):  # noqa: N818  (an outcome, not a mistake: some stages ended in an error)
    """Some stages of a run failed; what finished is kept and usable."""

    exit_code = 6


class ReproductionError(ColfwError):
    """A run was repeated and did not give the same tables."""

    exit_code = 7
