from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colfw_workloads.published.recipe import RECIPES
from colfw_workloads.published.sparsity import (
    cold_counts,
    cold_shares,
    later,
    logistic,
    logit,
    published_curve,
    remaining,
    rounded,
    solve,
    staying_hot,
    steepness,
)
from colfw_workloads.published.targets import KEYS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Widths = NDArray[np.int64]

widths = st.lists(st.integers(8, 64), min_size=1, max_size=6).map(lambda all_: np.array(all_, np.int64))


@given(hnp.arrays(np.float64, (5, 3), elements=st.floats(0, 50)))
def test_rounding_keeps_the_sum(wanted: NDArray[np.float64]) -> None:
    """Each number is rounded up or down, and their sum over sites is off by at most one half."""
    counts = rounded(wanted)
    assert (np.abs(counts - wanted) < 1 + 1e-9).all()
    assert (np.abs(counts.sum(axis=0) - wanted.sum(axis=0)) <= 0.5 + 1e-9).all()


@given(st.floats(0.001, 0.999))
def test_logistic_undoes_logit(share: float) -> None:
    """Log-odds and back is where one started."""
    assert logistic(logit(share)) == pytest.approx(share)


@given(st.floats(-5, 5))
def test_solve_finds_the_place(target: float) -> None:
    """A rising function takes the target where it is found, or the nearer end of the range."""
    assert solve(lambda x: x**3, target, -1.0, 1.0) == pytest.approx(
        np.cbrt(np.clip(target, -1, 1)), abs=1e-9
    )


def test_steepness_is_what_the_four_numbers_of_dit_fix() -> None:
    """With it DiT's curve starts at 42.6 %, settles at 10 % from iteration 40 on and averages 17 %."""
    curve = published_curve(RECIPES["dit-xl-2"])
    assert curve[0] == pytest.approx(0.426)
    assert curve[40:] == pytest.approx(0.1)
    assert later(curve).mean() == pytest.approx(0.17)
    assert 1 < steepness() < 5


def test_nothing_remains_from_iteration_40_on() -> None:
    """All of the fall is still to come at its start, and nothing of it at iteration 40."""
    assert remaining(np.array([0.0, 1.0, 40.0, 49.0]), 1, 2.0).tolist() == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("workload", KEYS)
def test_curve_never_rises_and_averages_to_the_mean(workload: str) -> None:
    """Sparsity falls or stays, and its mean over iterations 1 and later is the wanted one."""
    curve = published_curve(RECIPES[workload])
    assert (np.diff(curve) <= 1e-12).all()
    assert (curve >= 0).all()
    assert later(curve).mean() == pytest.approx(RECIPES[workload].mean)


@given(st.sampled_from(sorted(KEYS)), widths)
def test_layers_follow_the_curve_together(workload: str, columns: Widths) -> None:
    """However many layers there are, all columns together follow the curve."""
    recipe = RECIPES[workload]
    shares = cold_shares(recipe, columns, 50)
    assert columns @ shares / columns.sum() == pytest.approx(published_curve(recipe), abs=1e-6)


@given(st.sampled_from(sorted(KEYS)), widths, st.integers(1, 60))
def test_counts_can_be_drawn(workload: str, columns: Widths, iterations: int) -> None:
    """Cold columns fit the site, and what stays hot fits the hot sets before and after."""
    cold = cold_counts(RECIPES[workload], columns, iterations)
    staying = staying_hot(RECIPES[workload], columns, cold)
    hot = columns[:, None] - cold
    assert ((cold >= 0) & (hot >= 0)).all()
    assert staying.shape == (columns.size, iterations - 1)
    assert (staying <= np.minimum(hot[:, :-1], hot[:, 1:])).all()
    assert (staying >= np.maximum(0, hot[:, :-1] + hot[:, 1:] - columns[:, None])).all()


@given(widths, st.integers(1, 60))
def test_cold_columns_of_dit_only_become_fewer(columns: Widths, iterations: int) -> None:
    """Where columns only turn on, no site's number of cold columns ever rises."""
    assert (np.diff(cold_counts(RECIPES["dit-xl-2"], columns, iterations), axis=1) <= 0).all()
