"""Layouts that are decided once: which columns lie where, and what each option fetches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.masks import SiteMask
from colfw.profile import SiteProfile
from colfw.sites import Ffn, Site
from colfw.testing.strategies import observed_masks
from colfw_layouts.config import DecideFrom, HotColdConfig, HotRegion, RowMajorConfig
from colfw_layouts.hot_cold import HotCold
from colfw_layouts.row_major import RowMajor

if TYPE_CHECKING:
    from colfw.placement import SitePlacement

    Drawn = tuple[SiteProfile, SiteMask]

drawn = observed_masks(min_iterations=2)
deciding = st.sampled_from([DecideFrom.ITERATION_0, DecideFrom.FIRST_SPARSE, DecideFrom.UNION])

# Five columns: 0 is always hot, 1 and 3 at first, 2 and 4 from iteration 2 on.
EXAMPLE = ["xx.x.", "xx...", "x.x.x"]


def seen(rows: list[str]) -> tuple[SiteProfile, SiteMask]:
    """A profile and its mask, from one line an iteration: `x` is hot."""
    hot = np.array([[letter == "x" for letter in row] for row in rows])
    site = Site(name="mlp", rows=1, columns=hot.shape[1], operator=Ffn(d_in=1, d_out=1))
    profile = SiteProfile(
        site=site,
        maxima=hot.astype(np.float32),
        exceeding=np.zeros((len(hot), 0), np.int64),
        elements=np.ones(len(hot), np.int64),
    )
    return profile, SiteMask(site=site, tau=0.5, hot=hot)


def placed(rows: list[str], **options: Any) -> SitePlacement:
    return HotCold(HotColdConfig(**options)).place(*seen(rows))


def fetched(placement: SitePlacement) -> list[str]:
    """The other way: one line an iteration, by column."""
    return ["".join(".x"[flag] for flag in row.tolist()) for row in placement.fetched]


# --- row-major ----------------------------------------------------------------------------------------


@given(drawn)
def test_row_major_keeps_every_column_in_its_place(drawn: Drawn) -> None:
    """Column c lies in slot c, and what is hot is gathered from there."""
    placement = RowMajor(RowMajorConfig()).place(*drawn)
    (epoch,) = placement.epochs
    columns = drawn[0].site.columns
    assert epoch.slot_of_column.tolist() == list(range(columns))
    assert epoch.hot_slots == columns
    assert np.array_equal(placement.fetched[1:], drawn[1].hot[1:])


@given(drawn)
def test_fetching_all_skips_no_traffic(drawn: Drawn) -> None:
    """With `fetch = "all"` a mask changes nothing that is brought: only work can be skipped."""
    assert RowMajor(RowMajorConfig(fetch="all")).place(*drawn).fetched.all()


# --- hot and cold -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "order", "hot_slots"),
    [
        ({"decide_from": "iteration-0"}, [0, 1, 3, 2, 4], 3),
        ({"decide_from": "first-sparse"}, [0, 1, 2, 3, 4], 2),
        ({"decide_from": "union"}, [0, 1, 3, 2, 4], 3),
        ({"decide_from": "union", "union_of": (1, 2)}, [0, 1, 2, 4, 3], 4),
    ],
    ids=str,
)
def test_the_stated_iterations_decide(options: dict[str, Any], order: list[int], hot_slots: int) -> None:
    """A column hot in any of them goes to the hot region; both regions keep the columns' own order."""
    (epoch,) = placed(EXAMPLE, **options).epochs
    assert epoch.column_of_slot.tolist() == order
    assert epoch.hot_slots == hot_slots


@pytest.mark.parametrize(
    ("hot_region", "expected"),
    [("stream", ["xxxxx", "xx.x.", "xxxxx"]), ("gather", ["xxxxx", "xx...", "x.x.x"])],
)
def test_a_stream_brings_what_is_cold_inside_it(hot_region: str, expected: list[str]) -> None:
    """Columns 1 and 3 turn cold inside the hot region: a stream fetches them all the same.

    Columns 2 and 4 turn hot in the cold region, and are fetched either way.
    """
    assert fetched(placed(EXAMPLE, hot_region=hot_region)) == expected


@given(drawn, deciding, st.sampled_from(HotRegion))
def test_regions_keep_the_order_of_columns(
    drawn: Drawn, decide_from: DecideFrom, hot_region: HotRegion
) -> None:
    """Inside the hot and inside the cold region, slots ascend with columns."""
    config = HotColdConfig(decide_from=decide_from, hot_region=hot_region)
    (epoch,) = HotCold(config).place(*drawn).epochs
    for region in np.split(epoch.column_of_slot, [epoch.hot_slots]):
        assert (np.diff(region) > 0).all()


@given(drawn, deciding)
def test_a_stream_is_one_piece(drawn: Drawn, decide_from: DecideFrom) -> None:
    """In every iteration, the hot region is part of one run of slots."""
    placement = HotCold(HotColdConfig(decide_from=decide_from)).place(*drawn)
    hot_slots = placement.epochs[0].hot_slots
    for iteration in range(len(placement.fetched)):
        if hot_slots:
            first, count = placement.fetched_runs(iteration)[0]
            assert (first, count >= hot_slots) == (0, True)


@given(drawn, deciding)
def test_gathering_fetches_what_row_major_fetches(drawn: Drawn, decide_from: DecideFrom) -> None:
    """Only where the columns lie differs: all that is left of the layout is locality."""
    gathered = HotCold(HotColdConfig(decide_from=decide_from, hot_region="gather")).place(*drawn)
    in_order = RowMajor(RowMajorConfig()).place(*drawn)
    assert np.array_equal(gathered.fetched, in_order.fetched)


@given(drawn)
def test_where_columns_only_turn_on_nothing_is_fetched_in_vain(drawn: Drawn) -> None:
    """Then a layout from iteration 0 stays valid throughout (the study, 4.2): a stream wastes nothing."""
    profile, mask = drawn
    growing = SiteMask(site=mask.site, tau=mask.tau, hot=np.logical_or.accumulate(mask.hot, axis=0))
    placement = HotCold(HotColdConfig()).place(profile, growing)
    assert np.array_equal(placement.fetched[1:], growing.hot[1:])


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"decide_from": "first-sparse"}, "decide_from"),
        ({"decide_from": "union"}, "union_of"),
        ({"decide_from": "union", "union_of": (0, 7)}, "union_of"),
    ],
    ids=str,
)
def test_too_few_iterations_to_decide_are_refused(options: dict[str, Any], field: str) -> None:
    """The line names the option, the iteration that is missing, and what would do."""
    problem = r"looks at iteration \d, and the profile ends with iteration 0"
    with pytest.raises(InvariantError, match=problem) as refusal:
        placed(EXAMPLE[:1], **options)
    assert refusal.value.where == field
    assert "iteration-0" in str(refusal.value)
    assert placed(EXAMPLE[:1]).fetched.all()
