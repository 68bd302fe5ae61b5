"""Comparisons of published numbers with ours."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.comparison import Comparison
from colfw.errors import InvariantError

NUMBERS = st.floats(-1e3, 1e3)

SEVENTEEN = Comparison(
    table="table3",
    model="it",
    quantity="stall",
    unit="%",
    machine="m",
    published=(17.0, 17.0),
    printed_tolerance=0.05,
    ours=17.04,
    bound=1.5,
)


@given(ends=st.tuples(NUMBERS, NUMBERS), ours=NUMBERS)
def test_inside_a_range_nothing_differs(ends: tuple[float, float], ours: float) -> None:
    """The difference is the distance to the nearer end, with its sign, and 0 in between."""
    low, high = sorted(ends)
    difference = evolve(SEVENTEEN, published=(low, high), ours=ours).difference
    assert difference == (ours - low if ours < low else ours - high if ours > high else 0.0)


@pytest.mark.parametrize(
    ("ours", "as_printed", "within"),
    [
        (17.05, True, True),
        (16.95, True, True),
        (17.06, False, True),
        (18.5, False, True),
        (18.51, False, False),
    ],
)
def test_the_ends_of_a_tolerance_belong_to_it(ours: float, as_printed: bool, within: bool) -> None:  # noqa: FBT001
    """Half a unit of the last digit rounds to the printed number, and a bound is met when it is reached."""
    found = evolve(SEVENTEEN, ours=ours)
    assert (found.as_printed, found.within) == (as_printed, within)


@pytest.mark.parametrize("missing", [{"bound": None}, {"ours": None}])
def test_what_is_missing_has_its_reason(missing: dict[str, Any]) -> None:
    """No bound, or no number of ours, is only accepted with a note; nothing is then within or outside."""
    with pytest.raises(InvariantError, match="a note must say why"):
        evolve(SEVENTEEN, **missing)
    assert evolve(SEVENTEEN, note="the study contradicts itself", **missing).within is None


def test_a_lost_number_is_compared_with_nothing() -> None:
    """Where the publication lost its number there is no difference."""
    lost = evolve(SEVENTEEN, published=None, printed_tolerance=None)
    assert (lost.difference, lost.as_printed, lost.within) == (None, None, None)


def test_a_range_has_its_ends_in_order() -> None:
    """Ends the wrong way round are refused."""
    with pytest.raises(InvariantError, match="is no range"):
        evolve(SEVENTEEN, published=(2.0, 1.0))
