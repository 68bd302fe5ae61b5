from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colfw.errors import InvariantError
from colfw.placement import Epoch, Placement, SitePlacement
from colfw.sites import Ffn, Site
from colfw.testing.strategies import bijections, flags, placements, site_placements, sites

if TYPE_CHECKING:
    from numpy.typing import NDArray

slots = st.integers(1, 8).flatmap(bijections)
placed = st.integers(1, 6).flatmap(
    lambda iterations: sites().flatmap(lambda site: site_placements(site, iterations=iterations))
)


def epoch(first_iteration: int = 0, *, columns: int = 3, **changes: Any) -> Epoch:
    plain: dict[str, Any] = {"slot_of_column": np.arange(columns), "hot_slots": 0}
    return Epoch(first_iteration=first_iteration, **(plain | changes))


def placement_of(*starts: int, iterations: int = 4) -> SitePlacement:
    return SitePlacement(
        site=Site(name="mlp", rows=1, columns=3, operator=Ffn(d_in=1, d_out=1)),
        epochs=tuple(epoch(start) for start in starts),
        fetched=np.zeros((iterations, 3), np.bool_),
    )


# --- epochs ---------------------------------------------------------------------------------------


@given(hnp.arrays(np.int64, st.integers(0, 5), elements=st.integers(-1, 5)))
def test_only_a_bijection_is_an_epoch(slot_of_column: NDArray[np.int64]) -> None:
    """Each column has a slot of its own, and each slot a column; anything else is refused."""
    if sorted(slot_of_column.tolist()) == list(range(slot_of_column.size)):
        assert epoch(slot_of_column=slot_of_column).slot_of_column is slot_of_column
        return
    with pytest.raises(InvariantError, match="bijection"):
        epoch(slot_of_column=slot_of_column)


@pytest.mark.parametrize(
    "slot_of_column", [np.array([1.0, 0.0]), np.array([[0, 1], [2, 3]]), np.array([True, False])]
)
def test_slots_are_numbers_in_a_row(slot_of_column: NDArray[Any]) -> None:
    """Slots are counted: fractions, flags and tables of them are refused, whatever their values."""
    with pytest.raises(InvariantError, match="bijection"):
        epoch(slot_of_column=slot_of_column)


@given(slots)
def test_the_column_of_a_slot_is_the_inverse(slot_of_column: NDArray[np.int64]) -> None:
    """Where column c lies in slot s, slot s holds column c: both ways round."""
    column_of_slot = epoch(slot_of_column=slot_of_column).column_of_slot
    identity = list(range(slot_of_column.size))
    assert column_of_slot[slot_of_column].tolist() == identity
    assert slot_of_column[column_of_slot].tolist() == identity


@given(st.integers(1, 5), st.integers(-2, 8))
def test_the_hot_region_lies_within_the_slots(columns: int, hot_slots: int) -> None:
    """The hot region has from none to all of the slots."""
    if 0 <= hot_slots <= columns:
        assert epoch(columns=columns, hot_slots=hot_slots).hot_slots == hot_slots
        return
    with pytest.raises(InvariantError, match=f"{hot_slots} is outside 0..{columns}"):
        epoch(columns=columns, hot_slots=hot_slots)


@pytest.mark.parametrize("change", [{"first_iteration": -1}, {"moved_columns": -1}])
def test_nothing_is_negative(change: dict[str, Any]) -> None:
    """No epoch starts before the run, and none moves fewer than no columns."""
    with pytest.raises(ValueError, match=next(iter(change))):
        attrs.evolve(epoch(), **change)


# --- a site over a run ----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), max_size=4), st.integers(1, 5))
def test_epochs_start_at_zero_and_ascend_within_the_run(starts: list[int], iterations: int) -> None:
    """The first epoch starts with the run, each later one after the one before, and none after the end."""
    if starts[:1] == [0] and starts == sorted(set(starts)) and starts[-1] < iterations:
        assert len(placement_of(*starts, iterations=iterations).epochs) == len(starts)
        return
    with pytest.raises(InvariantError, match="must start at 0 and ascend") as refusal:
        placement_of(*starts, iterations=iterations)
    assert refusal.value.where == "placement of site mlp"


@given(placed)
def test_an_iteration_falls_in_the_last_epoch_begun(placement: SitePlacement) -> None:
    """Every iteration has one epoch: the latest that started no later than it."""
    for iteration in range(len(placement.fetched)):
        found = placement.epoch_at(iteration)
        later = placement.epochs[placement.epochs.index(found) + 1 :]
        assert found.first_iteration <= iteration
        assert all(iteration < other.first_iteration for other in later)


@given(placed)
def test_fetched_slots_are_those_of_the_fetched_columns(placement: SitePlacement) -> None:
    """The fetched slots ascend, and the columns that lie in them are just the fetched ones."""
    for iteration, fetched in enumerate(placement.fetched):
        found = placement.fetched_slots(iteration).tolist()
        columns = placement.epoch_at(iteration).column_of_slot[found]
        assert found == sorted(set(found))
        assert set(columns.tolist()) == set(np.flatnonzero(fetched).tolist())


@given(placed)
def test_fetched_runs_are_the_fetched_slots_in_as_few_pieces_as_they_lie_in(
    placement: SitePlacement,
) -> None:
    """Runs unrolled are the fetched slots, and between two of them lies a slot that is not fetched."""
    for iteration in range(len(placement.fetched)):
        runs = placement.fetched_runs(iteration)
        unrolled = [slot for first, count in runs for slot in range(first, first + count)]
        assert unrolled == placement.fetched_slots(iteration).tolist()
        assert all(first + count < following for (first, count), (following, _) in pairwise(runs))


@given(placed)
def test_moves_lead_from_each_epoch_to_the_next(placement: SitePlacement) -> None:
    """Carrying out the moves before each iteration keeps every column where its epoch says it lies."""
    column_in = dict(enumerate(placement.epochs[0].column_of_slot.tolist()))
    for iteration in range(len(placement.fetched)):
        moves = placement.moves_before(iteration)
        column_in |= {new: column_in[old] for old, new in moves}
        epoch = placement.epoch_at(iteration)
        assert [column_in[slot] for slot in sorted(column_in)] == epoch.column_of_slot.tolist()
        assert len(moves) == (epoch.moved_columns if epoch.first_iteration == iteration else 0)
        assert all(old != new for old, new in moves)


@given(placed, st.data())
def test_a_placement_serves_iff_all_that_is_hot_is_fetched(
    placement: SitePlacement, data: st.DataObject
) -> None:
    """A hot column that is not fetched is refused with its number and iteration; cold ones need nothing."""
    hot = data.draw(flags(*placement.fetched.shape))
    unserved = [tuple(pair) for pair in np.argwhere(hot & ~placement.fetched).tolist()]
    placement.check_serves(hot & placement.fetched)
    if not unserved:
        placement.check_serves(hot)
        assert not (hot & ~placement.fetched).any()
        return
    iteration, column = unserved[0]
    with pytest.raises(
        InvariantError, match=f"column {column} is hot in iteration {iteration} and is not"
    ) as refusal:
        placement.check_serves(hot)
    assert refusal.value.where == f"placement of site {placement.site.name}"


@pytest.mark.parametrize("shape", [(3,), (1, 3), (5, 3), (4, 1), (4, 2)])
def test_a_mask_of_another_shape_is_not_served(shape: tuple[int, ...]) -> None:
    """A placement answers for masks of its own iterations and columns; others are refused, not stretched."""
    with pytest.raises(InvariantError, match=r"is of shape \(.*\), the placement of \(4, 3\)"):
        placement_of(0).check_serves(np.zeros(shape, np.bool_))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"fetched": np.zeros((4, 3))}, "must be flags"),
        ({"fetched": np.zeros(3, np.bool_)}, "must be flags"),
        ({"fetched": np.zeros((4, 2), np.bool_)}, "must cover 3 columns"),
        ({"epochs": (epoch(columns=4),)}, "must cover 3 columns"),
        ({"epochs": (epoch(), epoch(1, columns=2))}, "must cover 3 columns"),
        ({"epochs": ()}, "must start at 0"),
        ({"epochs": (epoch(moved_columns=1),)}, "cannot have moved anything"),
        (
            {"epochs": (epoch(), epoch(2, moved_columns=1))},
            "0 columns change slots before iteration 2, and moved_columns says 1",
        ),
        (
            {"epochs": (epoch(), epoch(1, slot_of_column=np.array([1, 0, 2])))},
            "2 columns change slots before iteration 1, and moved_columns says 0",
        ),
    ],
)
def test_a_senseless_placement_is_refused(change: dict[str, Any], problem: str) -> None:
    """Each rule of a site's placement, violated alone, is refused with the name of the site."""
    with pytest.raises(InvariantError, match=problem) as refusal:
        attrs.evolve(placement_of(0), **change)
    assert refusal.value.where == "placement of site mlp"


# --- all sites ------------------------------------------------------------------------------------


@given(placements())
def test_each_site_is_placed_once(placement: Placement) -> None:
    """The same site twice in one placement is refused."""
    with pytest.raises(InvariantError, match="declared twice"):
        attrs.evolve(placement, sites=(*placement.sites, placement.sites[0]))


@given(placements())
def test_a_placement_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, placement: Placement
) -> None:
    """Layout, sites, epochs and what is fetched are read as they were written."""
    path = tmp_path_factory.getbasetemp() / "placement.safetensors"
    path.write_bytes(placement.to_bytes())
    found = Placement.from_file(path)
    assert found.layout == placement.layout
    for one, other in zip(found.sites, placement.sites, strict=True):
        assert one.site == other.site
        np.testing.assert_array_equal(one.fetched, other.fetched, strict=True)
        for early, late in zip(one.epochs, other.epochs, strict=True):
            np.testing.assert_equal(attrs.asdict(early), attrs.asdict(late))
