"""Sizes that make no model are refused before anything is built."""

from __future__ import annotations

from colfw.errors import StudyError


def require(workload: str, holds: bool, problem: str) -> None:  # noqa: FBT001  (the rule itself)
    """Refuse the options of a workload unless a rule holds."""
    if not holds:
        raise StudyError(problem, where=f"options of {workload}")
