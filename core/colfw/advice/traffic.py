"""What a layout moves over a run, counted from masks and placements: a first-order estimate (`ESTIMATE`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import field, frozen

from colfw.addresses import WeightMap
from colfw.masks import MaskPolicy
from colfw.typed import non_negative, positive, share
from colfw.vocabulary import MaskKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from colfw.masks import MaskSet, SiteMask
    from colfw.placement import Epoch, SitePlacement
    from colfw.sites import Site

ESTIMATE = (
    "First-order estimate: in a memory-bound machine, traffic that is skipped is time that is saved."
    " Expected saving = 1 - traffic fetched / traffic of the dense run. In each iteration a fetched hidden"
    " unit moves its weight vectors (up, gate if there is one, down) once per row tile, and its hidden values"
    " out and back in; inputs and outputs always move; iteration 0 is dense; a moved column is read and"
    " written once. At most = the same with exactly the hot columns fetched and nothing moved. Row-buffer"
    " locality, refresh and computation are left to `colfw run`."
)

OPERATING_POINT = 0.164
"""Of the study (3.3), on both axes: a threshold of |a|, and a share of hot columns."""


@frozen(kw_only=True)
class Criteria:
    """At which masks layouts are compared, on which machine, and what makes one worthwhile."""

    threshold: float = field(default=OPERATING_POINT, validator=non_negative)
    """Of |a|: a column above it is hot."""
    target: float = field(default=OPERATING_POINT, validator=share)
    """What layouts that calibrate a threshold per site leave hot."""
    worth: float = field(default=0.05, validator=share)
    """The least share of traffic. The estimate misses simulated reductions of the study by up to 6 points,
    and a machine pays for tables and permuted matrices: below 5 % a gain may well be none."""
    row_tile: int = field(default=16, validator=positive)
    """Rows that share one pass over the weights: those of the study's array."""
    element_bytes: int = field(default=2, validator=positive)

    def policy(self, kind: MaskKind) -> MaskPolicy:
        """The mask of a kind: dense, at the threshold, or at the target for every kind that has one."""
        values = {MaskKind.DENSE: None, MaskKind.UNIFORM: self.threshold}
        return MaskPolicy(kind, values.get(kind, self.target))


@frozen(kw_only=True)
class SiteCost:
    """What a site moves in one iteration."""

    unit_bytes: int
    """For each fetched hidden unit: its weights once per row tile, its hidden values out and back in."""
    fixed_bytes: int
    """Inputs and outputs, whatever is skipped."""
    move_bytes: int
    """For each hidden unit that a layout moves: its weights read and written once."""

    @classmethod
    def of(cls, site: Site, criteria: Criteria) -> SiteCost:
        weights_bytes = WeightMap.of(site, element_bytes=criteria.element_bytes).unit_bytes
        row_tiles = -(-site.rows // criteria.row_tile)
        row_bytes = site.rows * criteria.element_bytes
        return cls(
            unit_bytes=row_tiles * weights_bytes + 2 * row_bytes,
            fixed_bytes=(site.operator.d_in + site.operator.d_out) * row_bytes,
            move_bytes=2 * weights_bytes,
        )

    def always_bytes(self, mask: SiteMask) -> int:
        """What no layout can skip: inputs and outputs, and all of the dense iteration 0."""
        return len(mask.hot) * self.fixed_bytes + mask.site.columns * self.unit_bytes


@frozen(kw_only=True)
class Tally:
    """What one layout moves over a run, and how its partition met the hot columns."""

    dense_bytes: int
    needed_bytes: int
    """Had exactly the hot columns been fetched."""
    fetched_bytes: int
    """Without what moving columns costs."""
    moved_bytes: int
    moved_columns: int
    extra_bytes: int
    """Of columns that were fetched and not hot."""
    columns: int
    """In iterations 1 and later together, as all counts below."""
    fetched: int
    hot_outside: int
    """Hot, and outside the hot region."""
    cold_inside: int
    """Cold, and inside the hot region."""
    pieces: int
    """Runs of neighbouring slots that were fetched."""


def tally(mask: SiteMask, placement: SitePlacement, criteria: Criteria) -> Tally:
    cost = SiteCost.of(mask.site, criteria)
    hot, fetched, inside = mask.hot[1:], placement.fetched[1:], _inside_hot_region(placement)[1:]
    always_bytes = cost.always_bytes(mask)
    moved = sum(epoch.moved_columns for epoch in placement.epochs)
    return Tally(
        dense_bytes=always_bytes + hot.size * cost.unit_bytes,
        needed_bytes=always_bytes + _count(hot) * cost.unit_bytes,
        fetched_bytes=always_bytes + _count(fetched) * cost.unit_bytes,
        moved_bytes=moved * cost.move_bytes,
        moved_columns=moved,
        extra_bytes=_count(fetched & ~hot) * cost.unit_bytes,
        columns=hot.size,
        fetched=_count(fetched),
        hot_outside=_count(hot & ~inside),
        cold_inside=_count(~hot & inside),
        pieces=_pieces(_by_slot(placement)[1:]),
    )


def total(tallies: Sequence[Tally]) -> Tally:
    names = [attribute.name for attribute in attrs.fields(Tally)]
    return Tally(**{name: sum(getattr(each, name) for each in tallies) for name in names})


def saving_bound(masks: MaskSet, criteria: Criteria) -> float:
    """What fetching exactly the hot columns of every iteration would save, whatever the layout."""
    dense_bytes = needed_bytes = 0
    for mask in masks.sites:
        cost = SiteCost.of(mask.site, criteria)
        dense_bytes += cost.always_bytes(mask) + mask.hot[1:].size * cost.unit_bytes
        needed_bytes += cost.always_bytes(mask) + _count(mask.hot[1:]) * cost.unit_bytes
    return 1 - needed_bytes / dense_bytes


def natural_columns_per_piece(masks: MaskSet) -> float:
    """How many hot columns lie side by side in their own order: what a layout is there to improve."""
    hot = [mask.hot[1:] for mask in masks.sites]
    return sum(_count(each) for each in hot) / max(sum(_pieces(each) for each in hot), 1)


def _count(flags: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(flags))


def _pieces(flags: NDArray[np.bool_]) -> int:
    """Runs of neighbouring true flags, over all rows."""
    before = np.pad(flags[:, :-1], ((0, 0), (1, 0)))
    return _count(flags & ~before)


def _stretches(placement: SitePlacement) -> Iterator[tuple[Epoch, slice]]:
    """Each epoch and the iterations that it serves."""
    ends = [*(epoch.first_iteration for epoch in placement.epochs[1:]), len(placement.fetched)]
    for epoch, end in zip(placement.epochs, ends, strict=True):
        yield epoch, slice(epoch.first_iteration, end)


def _inside_hot_region(placement: SitePlacement) -> NDArray[np.bool_]:
    inside = np.empty_like(placement.fetched)
    for epoch, iterations in _stretches(placement):
        inside[iterations] = epoch.in_hot_region
    return inside


def _by_slot(placement: SitePlacement) -> NDArray[np.bool_]:
    """What is fetched, `[iteration, slot]`."""
    by_slot = np.empty_like(placement.fetched)
    for epoch, iterations in _stretches(placement):
        by_slot[iterations] = placement.fetched[iterations][:, epoch.column_of_slot]
    return by_slot
