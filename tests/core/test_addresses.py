from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.addresses import Matrix, WeightMap, rounded_up, runs_of
from colfw.errors import InvariantError
from colfw.sites import Ffn, Site
from colfw.testing.strategies import sites

if TYPE_CHECKING:
    from collections.abc import Callable

maps = st.builds(
    WeightMap.of,
    sites(),
    element_bytes=st.sampled_from([1, 2, 4]),
    alignment_bytes=st.sampled_from([1, 2, 32, 64]),
    base_bytes=st.integers(0, 200),
)


def matrix(**changes: Any) -> Matrix:
    plain: dict[str, Any] = {
        "name": "up", "base_bytes": 64, "slots": 3, "elements": 5, "element_bytes": 2, "stride_bytes": 16
    }  # fmt: skip
    return Matrix(**(plain | changes))


# --- whole multiples and runs -------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(1, 10**4))
def test_rounding_up_gives_the_next_multiple(size: int, multiple: int) -> None:
    """A multiple that is not below the size, and less than one multiple above it."""
    rounded = rounded_up(size, multiple)
    assert rounded % multiple == 0
    assert size <= rounded < size + multiple


@given(st.sets(st.integers(0, 30)))
def test_runs_are_the_slots_in_as_few_pieces_as_possible(chosen: set[int]) -> None:
    """Unrolled, runs are the slots again; and no run begins where another ends."""
    runs = runs_of(np.array(sorted(chosen), np.int64))
    assert [slot for first, count in runs for slot in range(first, first + count)] == sorted(chosen)
    assert all(first + count < following for (first, count), (following, _) in pairwise(runs))


# --- one matrix ---------------------------------------------------------------------------------------


def test_an_address_counts_slots_and_elements() -> None:
    """Base, strides of whole slots, elements of the slot: worked out by hand."""
    assert matrix().address_of(0, 0) == 64
    assert matrix().address_of(2, 3) == 64 + 2 * 16 + 3 * 2
    assert matrix().vector_bytes == 10
    assert matrix().size_bytes == 48
    assert matrix().end_bytes == 112


@pytest.mark.parametrize(
    ("address", "expected"),
    [(63, None), (64, (0, 0)), (65, (0, 0)), (73, (0, 4)), (74, None), (80, (1, 0)), (112, None)],
)
def test_a_byte_belongs_to_one_element_or_to_none(address: int, expected: tuple[int, int] | None) -> None:
    """Both bytes of an element lead to it; padding and what lies before and after lead nowhere."""
    assert matrix().element_at(address) == expected


@pytest.mark.parametrize(("slot", "element"), [(3, 0), (-1, 0), (0, 5), (0, -1)])
def test_no_address_lies_outside(slot: int, element: int) -> None:
    """A slot or element that the matrix does not have is refused with what it has."""
    with pytest.raises(InvariantError, match=f"no element {element} in slot {slot}: 3 slots of 5") as refusal:
        matrix().address_of(slot, element)
    assert refusal.value.where == "matrix up"


def test_vectors_do_not_overlap() -> None:
    """A stride shorter than a vector is refused; one as long is not."""
    assert matrix(stride_bytes=10).size_bytes == 30
    with pytest.raises(InvariantError, match="vectors of 10 bytes overlap at a stride of 9"):
        matrix(stride_bytes=9)


@pytest.mark.parametrize(
    ("field", "value"),
    [("base_bytes", -1), ("slots", 0), ("elements", 0), ("element_bytes", 0), ("stride_bytes", 0)],
)
def test_sizes_that_make_no_sense_are_refused(field: str, value: int) -> None:
    """Each with the name of the field."""
    with pytest.raises(ValueError, match=field):
        matrix(**{field: value})


# --- all matrices of a site ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gated", "elements"),
    [(False, {"up": 40, "down": 20}), (True, {"up": 40, "gate": 40, "down": 20})],
)
def test_a_hidden_unit_has_a_vector_a_matrix(gated: bool, elements: dict[str, int]) -> None:  # noqa: FBT001
    """Its column of each matrix that leads in, and its row of the one that leads out."""
    site = Site(name="mlp", rows=1, columns=7, operator=Ffn(d_in=40, d_out=20, gated=gated))
    weights = WeightMap.of(site)
    assert {each.name: each.elements for each in weights.matrices} == elements
    assert all(each.slots == 7 for each in weights.matrices)
    assert weights.unit_bytes == 2 * sum(elements.values())
    assert weights.padded_unit_bytes == 128 * (len(elements) - 1) + 64


def test_a_matrix_is_found_by_its_name() -> None:
    """And one that the site does not have is refused."""
    weights = WeightMap.of(Site(name="mlp", rows=1, columns=7, operator=Ffn(d_in=4, d_out=2)))
    assert weights.matrix("down") is weights.matrices[-1]
    with pytest.raises(InvariantError, match="no matrix 'gate'"):
        weights.matrix("gate")


@given(maps)
def test_matrices_lie_one_after_the_other(weights: WeightMap) -> None:
    """No byte belongs to two of them, and the last one ends the map."""
    for before, after in pairwise(weights.matrices):
        assert before.end_bytes == after.base_bytes
    assert weights.end_bytes == weights.matrices[-1].end_bytes


@pytest.mark.parametrize("rule", [lambda each: each.base_bytes, lambda each: each.stride_bytes])
@given(site=sites(), alignment_bytes=st.integers(1, 100), base_bytes=st.integers(0, 200))
def test_every_vector_is_aligned(
    rule: Callable[[Matrix], int], site: Site, alignment_bytes: int, base_bytes: int
) -> None:
    """Matrices begin on multiples of the alignment, at or after the base, and so does each vector."""
    weights = WeightMap.of(site, alignment_bytes=alignment_bytes, base_bytes=base_bytes)
    assert all(rule(each) % alignment_bytes == 0 for each in weights.matrices)
    assert base_bytes <= weights.matrices[0].base_bytes < base_bytes + alignment_bytes


@given(maps)
def test_every_element_has_one_address_and_comes_back_from_it(weights: WeightMap) -> None:
    """As many addresses as elements, each of which leads back to its element and to no other matrix."""
    found: dict[int, tuple[str, int, int]] = {}
    for each in weights.matrices:
        for slot in range(each.slots):
            for element in range(each.elements):
                found[each.address_of(slot, element)] = each.name, slot, element
    assert len(found) == sum(each.slots * each.elements for each in weights.matrices)
    for address, (name, slot, element) in found.items():
        owners = {each.name: each.element_at(address) for each in weights.matrices}
        assert {owner: at for owner, at in owners.items() if at} == {name: (slot, element)}
