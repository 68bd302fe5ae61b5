from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.testing.strategies import activation_values, threshold_grids, thresholds
from colfw.thresholds import check_thresholds, float32_floor

LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)

any_tau = thresholds() | st.floats(allow_nan=False, allow_infinity=False)


def beside(tau: float) -> st.SearchStrategy[float]:
    return activation_values([tau]) | st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(any_tau.flatmap(lambda tau: st.tuples(st.just(tau), beside(tau))))
@example((1e300, LARGEST))
@example((1e-60, SMALLEST))
@example((SMALLEST / 2, SMALLEST))
@example((0.0, -0.0))
@example((-0.0, SMALLEST))
@example((0.1, float(np.float32(0.1))))
def test_exceeding_is_that_of_the_real_numbers(case: tuple[float, float]) -> None:
    """A float32 exceeds tau iff the number it stands for exceeds the number tau stands for."""
    tau, value = case
    assert bool(np.float32(value) > float32_floor(tau)) == (Fraction(value) > Fraction(tau))


@given(any_tau, st.floats(width=16, allow_nan=False, allow_infinity=False))
@example(0.1, float(np.float16(0.1)))
@example(1e-8, float(np.finfo(np.float16).smallest_subnormal))
def test_a_half_precision_value_keeps_its_side(tau: float, value: float) -> None:
    """A float16 is some float32, and so its side of tau is that of the number it stands for."""
    widened = np.float16(value).astype(np.float32)
    assert bool(widened > float32_floor(tau)) == (Fraction(value) > Fraction(tau))


@given(any_tau)
def test_the_floor_is_the_largest_float32_not_above(tau: float) -> None:
    """The floor does not exceed tau, and the next float32 does."""
    floor = float32_floor(tau)
    with np.errstate(over="ignore"):
        above = np.nextafter(floor, np.float32(np.inf))
    assert floor.dtype == np.float32
    assert float(floor) <= tau < float(above)


@given(threshold_grids())
def test_an_ascending_grid_is_itself(grid: tuple[float, ...]) -> None:
    """Thresholds that ascend are returned as they are, as a tuple of float."""
    assert check_thresholds(list(grid), "study") == grid


@given(threshold_grids(min_size=2).flatmap(lambda grid: st.tuples(st.just(grid), st.permutations(grid))))
def test_only_ascending_thresholds_pass(case: tuple[tuple[float, ...], list[float]]) -> None:
    """Of all orders of the same thresholds only the ascending one is a grid."""
    grid, order = case
    if tuple(order) == grid:
        assert check_thresholds(order, "study") == grid
        return
    with pytest.raises(InvariantError, match="ascend"):
        check_thresholds(order, "study")


@given(threshold_grids(min_size=1))
def test_a_repeated_threshold_is_refused(grid: tuple[float, ...]) -> None:
    """A threshold stands in a grid once."""
    with pytest.raises(InvariantError, match="without repeats"):
        check_thresholds([*grid, grid[-1]], "study")


@pytest.mark.parametrize("tau", [float("nan"), float("inf"), -float("inf"), -0.1, -SMALLEST])
def test_a_senseless_threshold_is_refused(tau: float) -> None:
    """A threshold is a finite number that is not negative; the refusal says which one is not, and where."""
    with pytest.raises(InvariantError, match=f"threshold {tau}") as refusal:
        check_thresholds([tau], "study.toml: thresholds")
    assert refusal.value.where == "study.toml: thresholds"
