"""Hot columns first, decided again while the model runs; what moves is read and written once, and paid for.

The unit of cost is what fetching one hidden unit takes in an iteration: a read for every row tile. A unit
that moves costs one read and one write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw.placement import Epoch, SitePlacement
from colfw_layouts.config import HotRegion
from colfw_layouts.regions import fetched_under, hot_of, partitioned, with_dense_start

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.masks import SiteMask
    from colfw.profile import SiteProfile
    from colfw_layouts.config import DynamicConfig

    Flags = NDArray[np.bool_]

READ_AND_WRITTEN = 2


class DynamicHotCold:
    """Begins as the static layout decided from iteration 0, and moves columns where that pays.

    Before iteration t it has seen the iterations below t. It knows how often each column was hot in the last
    `look_back` of them, expects that to go on for `horizon` iterations, and moves if what the present
    partition would waste in them exceeds the cost of moving. Those iterations lie under the present
    partition, so that no waste is an argument twice.
    """

    def __init__(self, config: DynamicConfig) -> None:
        self._config = config

    def place(self, profile: SiteProfile, mask: SiteMask) -> SitePlacement:
        hot = hot_of(profile, mask)
        epochs = [partitioned(hot[0])]
        for iteration in range(self._config.check_every, len(hot), self._config.check_every):
            # The dense iteration 0 wastes nothing: it says nothing about the partition.
            begun = max(epochs[-1].first_iteration, 1)
            if iteration - begun >= self._config.look_back:
                horizon = min(self._config.horizon, len(hot) - iteration)
                seen = hot[iteration - self._config.look_back : iteration]
                move_cost = READ_AND_WRITTEN / -(-profile.site.rows // self._config.row_tile)
                epochs += self._moved(epochs[-1], seen.mean(axis=0), iteration, horizon, move_cost)
        return SitePlacement(site=profile.site, epochs=tuple(epochs), fetched=self._fetched(hot, epochs))

    def _fetched(self, hot: Flags, epochs: list[Epoch]) -> Flags:
        starts = [epoch.first_iteration for epoch in epochs]
        parts = np.split(hot, starts[1:])
        fetched = [
            fetched_under(part, epoch.in_hot_region, self._config.hot_region)
            for part, epoch in zip(parts, epochs, strict=True)
        ]
        return with_dense_start(np.concatenate(fetched))

    def _moved(
        self, epoch: Epoch, hot_share: NDArray[np.float64], iteration: int, horizon: int, move_cost: float
    ) -> list[Epoch]:
        """The epoch that begins here, if a move pays."""
        inside, outside = self._costs(hot_share)
        now = epoch.in_hot_region
        saving = horizon * np.where(now, inside - outside, outside - inside)
        proposed = now ^ (saving > move_cost)
        slots, moved = swapped(epoch.slot_of_column, proposed)
        if saving[proposed != now].sum() <= move_cost * moved:
            return []
        return [
            Epoch(
                first_iteration=iteration,
                slot_of_column=slots,
                hot_slots=int(np.count_nonzero(proposed)),
                moved_columns=moved,
            )
        ]

    def _costs(self, hot_share: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What each column costs an iteration inside the hot region, and outside."""
        streamed = self._config.hot_region is HotRegion.STREAM
        inside = np.ones_like(hot_share) if streamed else hot_share
        return inside, hot_share * (1 + self._config.scattered_extra)


def swapped(slot_of_column: NDArray[np.int64], in_region: Flags) -> tuple[NDArray[np.int64], int]:
    """The slots after the fewest moves that make `in_region` the hot region, and how many columns moved.

    Only columns on the wrong side of the new boundary move, each with one from the other side.

    >>> slots, moved = swapped(np.array([0, 1, 2, 3]), np.array([True, False, False, True]))
    >>> slots.tolist(), moved
    ([0, 3, 2, 1], 2)
    """
    lies_inside = slot_of_column < np.count_nonzero(in_region)
    leaving = np.flatnonzero(lies_inside & ~in_region)
    joining = np.flatnonzero(~lies_inside & in_region)
    slots = slot_of_column.copy()
    slots[leaving], slots[joining] = slot_of_column[joining], slot_of_column[leaving]
    return slots, leaving.size + joining.size
