"""A published number meets ours: how near it must come, or why it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from colfw.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colfw_experiments.published import Published

ANY_MACHINE: Final = "any"
"""The machine of a number about activations: they are the same on all."""

NOT_RUN: Final = "this run has no such case"


@frozen(kw_only=True)
class Missed:
    """A bound that was asked for and cannot be met without a fudge: of what, and why."""

    models: tuple[str, ...]
    quantities: tuple[str, ...]
    why: str
    machines: tuple[str, ...] = ()
    """Empty: on whatever machine."""

    def concerns(self, row: Comparison) -> bool:
        return (
            row.model in self.models
            and row.quantity in self.quantities
            and (not self.machines or row.machine in self.machines)
        )


@frozen(kw_only=True)
class Claims:
    """The rows of one table or figure of the publication, and which of its bounds are out of reach."""

    table: str
    missed: tuple[Missed, ...] = ()

    def held(
        self,
        published: Published,
        ours: float | None,
        bound: float,
        *,
        machine: str = ANY_MACHINE,
        note: str = "",
    ) -> Comparison:
        """A number that must come within a bound, unless it is known to be out of reach."""
        row = self._row(published, ours, bound, machine, note)
        reasons = [missed.why for missed in self.missed if missed.concerns(row)]
        if not reasons:
            return row
        asked = f"asked for within {bound:.3g} {published.unit}, and missed:"
        return evolve(row, bound=None, note=" ".join([asked, *reasons]))

    def shown(
        self, published: Published, ours: float | None, note: str, *, machine: str = ANY_MACHINE
    ) -> Comparison:
        """A number that stands beside ours without a bound; the note says why."""
        return self._row(published, ours, None, machine, note)

    def ends(
        self, published: Published, values: Iterable[float], bound: float, *, machine: str = ANY_MACHINE
    ) -> tuple[Comparison, ...]:
        """A printed range whose ends are the smallest and the largest of ours."""
        found = sorted(values)
        ours = (found[0], found[-1]) if found else (None, None)
        return tuple(
            self.held(end, value, bound, machine=machine)
            for end, value in zip(published.both_ends, ours, strict=True)
        )

    def _row(
        self, published: Published, ours: float | None, bound: float | None, machine: str, note: str
    ) -> Comparison:
        return Comparison(
            table=self.table,
            model=published.model,
            quantity=published.quantity,
            unit=published.unit,
            machine=machine,
            published=published.span,
            printed_tolerance=published.tolerance,
            ours=ours,
            bound=bound,
            note=note or (NOT_RUN if ours is None else ""),
        )


def farthest(values: Iterable[float], span: tuple[float, float]) -> float | None:
    """Of several values that should all lie in a range, the one that is farthest from its middle."""
    middle = sum(span) / 2
    return max(values, key=lambda value: abs(value - middle), default=None)
