"""Comparisons: a number that somebody published, the one that was found here, and how near they are."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from colfw.errors import InvariantError

_HALF_ULP = 1e-9
"""What rounding may add to a difference of decimal numbers: far below any printed digit."""


def _range(_: Comparison, attribute: Any, value: tuple[float, float] | None) -> None:
    if value is not None and value[0] > value[1]:
        raise InvariantError(f"is no range: {value[0]} > {value[1]}", where=attribute.name)


@frozen(kw_only=True)
class Comparison:
    """One published number beside ours. `published` is a range (its ends equal for a single number).

    `bound` is how far ours may lie outside of it before the reproduction counts as broken; None where
    no bound is accepted, and then `note` says why.
    """

    table: str
    """Of the publication: `table3`, `fig11`."""
    model: str
    quantity: str
    unit: str
    machine: str
    published: tuple[float, float] | None = field(validator=_range)
    """None where the publication's text lost the number, or it never printed one."""
    printed_tolerance: float | None
    """Half a unit of the last printed digit."""
    ours: float | None
    """None where it could not be measured, and then `note` says why."""
    bound: float | None = None
    note: str = ""

    def __attrs_post_init__(self) -> None:
        if not self.note and (self.bound is None or self.ours is None):
            raise InvariantError(
                "without a bound or a number of ours, a note must say why",
                where=f"{self.table}: {self.model}: {self.quantity}",
            )

    @property
    def difference(self) -> float | None:
        """How far ours lies outside of what is published, with its sign; 0 inside a range."""
        if self.published is None or self.ours is None:
            return None
        low, high = self.published
        return min(self.ours - low, 0.0) + max(self.ours - high, 0.0)

    @property
    def as_printed(self) -> bool | None:
        """Whether ours would have been printed with the same digits."""
        if self.difference is None or self.printed_tolerance is None:
            return None
        return abs(self.difference) <= self.printed_tolerance + _HALF_ULP

    @property
    def within(self) -> bool | None:
        """Whether ours lies within the accepted bound; None where there is none to lie in."""
        if self.bound is None or self.difference is None:
            return None
        return abs(self.difference) <= self.bound + _HALF_ULP
