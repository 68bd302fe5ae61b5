"""A partition that is decided again while running: when it moves, what it costs, and what can be promised."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from colfw.masks import SiteMask
from colfw.profile import SiteProfile
from colfw.sites import Ffn, Site
from colfw.testing.strategies import bijections, flags, observed_masks
from colfw_layouts.config import DynamicConfig, HotColdConfig, HotRegion
from colfw_layouts.dynamic import DynamicHotCold, swapped
from colfw_layouts.hot_cold import HotCold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.placement import SitePlacement

    Drawn = tuple[SiteProfile, SiteMask]

READ_AND_WRITTEN = 2
"""What moving a unit costs, counted in units fetched."""

drawn = observed_masks(min_iterations=2, max_iterations=24)
configs = st.builds(
    DynamicConfig,
    hot_region=st.sampled_from(HotRegion),
    check_every=st.integers(1, 4),
    look_back=st.integers(1, 4),
    horizon=st.integers(1, 12),
    scattered_extra=st.sampled_from([0.0, 0.1, 1.0]),
)


def placed(drawn: Drawn, **options: Any) -> SitePlacement:
    return DynamicHotCold(DynamicConfig(**options)).place(*drawn)


def static(drawn: Drawn, hot_region: HotRegion = HotRegion.STREAM) -> SitePlacement:
    return HotCold(HotColdConfig(hot_region=hot_region)).place(*drawn)


def cost(placement: SitePlacement) -> int:
    """Units fetched, and units moved twice over."""
    moved = sum(epoch.moved_columns for epoch in placement.epochs)
    return int(np.count_nonzero(placement.fetched)) + READ_AND_WRITTEN * moved


def scattered(placement: SitePlacement, hot: NDArray[np.bool_]) -> int:
    """How often, after iteration 0, a hot column had to be fetched from the cold region."""
    return sum(
        int(np.count_nonzero(hot[iteration] & (epoch.slot_of_column >= epoch.hot_slots)))
        for iteration in range(1, len(hot))
        for epoch in (placement.epoch_at(iteration),)
    )


def seen(hot: NDArray[np.bool_]) -> Drawn:
    site = Site(name="mlp", rows=1, columns=hot.shape[1], operator=Ffn(d_in=1, d_out=1))
    profile = SiteProfile(
        site=site,
        maxima=hot.astype(np.float32),
        exceeding=np.zeros((len(hot), 0), np.int64),
        elements=np.ones(len(hot), np.int64),
    )
    return profile, SiteMask(site=site, tau=0.5, hot=hot)


def turning(iterations: int, *, columns: int = 8) -> Drawn:
    """The first half of the columns is hot in iteration 0, the second half from then on."""
    first_half = np.arange(columns) < columns // 2
    hot = np.tile(~first_half, (iterations, 1))
    hot[0] = first_half
    return seen(hot)


# --- moving -------------------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 12))
def test_no_fewer_moves_make_the_region(data: st.DataObject, columns: int) -> None:
    """The region is made, each column on the right side stays in its slot, and all others change places."""
    before = data.draw(bijections(columns))
    in_region = data.draw(flags(1, columns))[0]
    after, moved = swapped(before, in_region)
    hot_slots = np.count_nonzero(in_region)
    assert np.array_equal(after < hot_slots, in_region)
    must_move = (before < hot_slots) != in_region
    assert np.array_equal(after != before, must_move)
    assert moved == np.count_nonzero(must_move)
    assert sorted(after.tolist()) == list(range(columns))


@given(drawn, configs)
def test_every_move_is_stated(drawn: Drawn, config: DynamicConfig) -> None:
    """What moves before an iteration is what its epoch says was moved, and no slot is written twice."""
    placement = DynamicHotCold(config).place(*drawn)
    for epoch in placement.epochs:
        moves = placement.moves_before(epoch.first_iteration)
        assert len(moves) == epoch.moved_columns
        assert sorted(old for old, _ in moves) == sorted(new for _, new in moves)


def test_a_hot_region_that_turned_cold_is_given_up() -> None:
    """What is fetched in vain for `look_back` sparse iterations is not streamed any longer.

    By default scattered columns cost too little for the other half to be worth moving: none moves.
    """
    late = turning(60)
    placement = placed(late)
    assert [(epoch.first_iteration, epoch.hot_slots) for epoch in placement.epochs] == [(0, 4), (9, 0)]
    assert np.array_equal(placement.fetched[9:], late[1].hot[9:])
    assert cost(placement) < cost(static(late))


def test_scattered_columns_are_moved_together_where_they_cost_enough() -> None:
    """The new half takes the slots of the old one, every column of both moving once."""
    placement = placed(turning(60), scattered_extra=0.5)
    assert placement.epochs[1].hot_slots == 4
    assert placement.moves_before(9) == ((0, 4), (1, 5), (2, 6), (3, 7), (4, 0), (5, 1), (6, 2), (7, 3))
    assert placement.fetched_runs(9) == ((0, 4),)


def test_it_does_not_move_at_the_end() -> None:
    """What a move saves in the iterations that are left must pay for it: in the last ones it cannot."""
    starts = [len(placed(turning(iterations)).epochs) for iterations in range(10, 20)]
    assert starts == sorted(starts)
    assert starts[0] == 1
    assert starts[-1] == 2


def test_a_region_that_shrinks_moves_only_across_its_new_border() -> None:
    """Columns that turn cold at the end of the hot region drop out of it without moving."""
    hot = np.ones((20, 6), np.bool_)
    hot[1:, 4:] = False
    placement = placed(seen(hot))
    assert [(epoch.hot_slots, epoch.moved_columns) for epoch in placement.epochs] == [(6, 0), (4, 0)]


def test_gathering_moves_only_for_locality() -> None:
    """Where cold columns are skipped one by one, a move saves no bytes, so it must save scattered fetches."""
    late = turning(60)
    gathered = {"hot_region": "gather", "horizon": 40}
    assert len(placed(late, **gathered, scattered_extra=0).epochs) == 1
    assert len(placed(late, **gathered, scattered_extra=0.2).epochs) > 1


def test_more_row_tiles_make_moving_cheaper() -> None:
    """A unit moves once and is fetched for every row tile: with four, moves pay that did not with one."""
    profile, mask = turning(60)
    site = evolve(profile.site, rows=64)
    many = evolve(profile, site=site), evolve(mask, site=site)
    moved = [placed(many, row_tile=row_tile).epochs[1].moved_columns for row_tile in (16, 64)]
    assert moved == [8, 0]


# --- deciding -----------------------------------------------------------------------------------------


@given(drawn, configs)
def test_it_begins_as_the_static_layout(drawn: Drawn, config: DynamicConfig) -> None:
    """Until the first move, slots and fetches are those of the layout decided from iteration 0."""
    placement = DynamicHotCold(config).place(*drawn)
    fixed = static(drawn, config.hot_region)
    assert np.array_equal(placement.epochs[0].slot_of_column, fixed.epochs[0].slot_of_column)
    until = placement.epochs[1].first_iteration if len(placement.epochs) > 1 else len(drawn[1].hot)
    assert np.array_equal(placement.fetched[:until], fixed.fetched[:until])


@given(drawn, st.sampled_from(HotRegion))
def test_who_never_asks_is_static(drawn: Drawn, hot_region: HotRegion) -> None:
    """With fewer iterations than to the first question, it is the static layout."""
    placement = placed(drawn, hot_region=hot_region, check_every=len(drawn[1].hot), look_back=1, horizon=99)
    assert len(placement.epochs) == 1
    assert np.array_equal(placement.fetched, static(drawn, hot_region).fetched)


@given(drawn, configs)
def test_it_decides_at_the_stated_iterations(drawn: Drawn, config: DynamicConfig) -> None:
    """Moves happen at multiples of `check_every`, after `look_back` sparse iterations in one place."""
    starts = [epoch.first_iteration for epoch in DynamicHotCold(config).place(*drawn).epochs]
    assert all(start % config.check_every == 0 for start in starts)
    for before, after in pairwise(starts):
        assert after - max(before, 1) >= config.look_back


@given(drawn, configs)
def test_only_the_window_decides(drawn: Drawn, config: DynamicConfig) -> None:
    """A move follows from `look_back` iterations: what was hot before them, but after iteration 0, is not
    remembered.
    """
    profile, mask = drawn
    epochs = DynamicHotCold(config).place(profile, mask).epochs
    if len(epochs) == 1:
        return
    start = epochs[1].first_iteration
    hot = mask.hot.copy()
    hot[1 : start - config.look_back] = hot[0]  # The partition fits this, so that nothing moves early.
    again = DynamicHotCold(config).place(profile, evolve(mask, hot=hot)).epochs
    assume(all(epoch.first_iteration >= start for epoch in again[1:]))
    assert again[1].first_iteration == start
    assert np.array_equal(again[1].slot_of_column, epochs[1].slot_of_column)


# --- what can be promised -----------------------------------------------------------------------------


@given(drawn, configs)
def test_moves_cost_no_more_than_was_wasted(drawn: Drawn, config: DynamicConfig) -> None:
    """Waste, that is cold units fetched and the extra of scattered ones, bounds all moves together.

    They cost at most horizon / look_back times the waste, whatever is hot and whenever it changes: each
    move is argued with waste that no other was argued with.
    """
    profile, mask = drawn
    placement = DynamicHotCold(config).place(profile, mask)
    in_vain = int(np.count_nonzero(placement.fetched[1:] & ~mask.hot[1:]))
    wasted = in_vain + config.scattered_extra * scattered(placement, mask.hot)
    moved = sum(epoch.moved_columns for epoch in placement.epochs)
    assert READ_AND_WRITTEN * moved <= config.horizon / config.look_back * wasted + 1e-9


@given(drawn)
def test_by_default_the_bill_is_at_most_twice_the_waste_over_what_is_needed(drawn: Drawn) -> None:
    """Bytes fetched and moved are those needed, the waste, and at most as much again for moves."""
    hot = np.repeat(drawn[1].hot, 3, axis=0)  # Changes last long enough for the defaults to answer them.
    longer = seen(hot)
    placement = placed(longer, scattered_extra=0)
    dense_start = np.count_nonzero(placement.fetched[0])
    needed = dense_start + np.count_nonzero(hot[1:])
    wasted = np.count_nonzero(placement.fetched[1:] & ~hot[1:])
    assert cost(placement) <= needed + 2 * wasted


def test_it_can_lose_to_the_static_layout() -> None:
    """Nothing better is promised: where hot sets turn back just after a move, it was paid for in vain."""
    first_half = np.arange(8) < 4
    adverse = seen(np.array([first_half] + [~first_half] * 8 + [first_half] * 8))
    assert cost(placed(adverse, scattered_extra=0.5)) > cost(static(adverse))


@pytest.mark.parametrize("hot_region", HotRegion)
def test_what_does_not_change_is_never_moved(hot_region: HotRegion) -> None:
    """Where the same columns stay hot, nothing is wasted, and no move can pay."""
    hot = np.tile(np.arange(9) % 3 == 0, (40, 1))
    assert len(placed(seen(hot), hot_region=hot_region, look_back=1, horizon=99).epochs) == 1
