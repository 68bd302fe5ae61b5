from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colfw.errors import InvariantError
from colfw.resampling import CONFIDENCE, bootstrapped, score_of_means

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from colfw.samples import Score

    Statistic = Callable[[NDArray[np.int64]], float]

several = hnp.arrays(np.float64, st.integers(2, 20), elements=st.floats(-1e6, 1e6))


def ends(score: Score) -> tuple[float, float]:
    assert score.interval_low is not None
    assert score.interval_high is not None
    return score.interval_low, score.interval_high


def normal(count: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(count)


@given(several)
def test_a_mean_lies_within_its_interval_and_that_within_the_values(values: NDArray[np.float64]) -> None:
    """The value is the plain mean; no interval is wider than twice the range that means can have."""
    score = score_of_means(values, replicates=50)
    low, high = ends(score)
    assert score.value == np.mean(values)
    assert score.samples == len(values)
    assert low <= score.value <= high
    assert high - low <= 2 * np.ptp(values) + 1e-9


@given(several)
def test_the_same_values_give_the_same_interval(values: NDArray[np.float64]) -> None:
    """The seed is fixed: an interval is a property of the values."""
    assert score_of_means(values, replicates=20) == score_of_means(values.copy(), replicates=20)


@given(st.floats(-1e6, 1e6), st.integers(2, 20))
def test_equal_values_leave_no_doubt(value: float, count: int) -> None:
    """Where all samples agree the interval is the value."""
    score = score_of_means(np.full(count, value), replicates=20)
    np.testing.assert_allclose(ends(score), value, rtol=1e-12)


@given(several, st.floats(-100, 100), st.floats(0.01, 100))
def test_an_interval_of_a_mean_goes_along_with_its_values(
    values: NDArray[np.float64], shift: float, scale: float
) -> None:
    """Other units change value and interval alike."""
    plain, moved = (ends(score_of_means(each, replicates=30)) for each in (values, scale * values + shift))
    np.testing.assert_allclose(moved, scale * np.array(plain) + shift, rtol=1e-6, atol=1e-6)


def test_the_interval_is_as_wide_as_theory_says() -> None:
    """Of a mean of n independent values it is about 1.96 standard errors to each side."""
    values = normal(400)
    low, high = ends(score_of_means(values))
    error = values.std() / math.sqrt(len(values))
    np.testing.assert_allclose([low, high], values.mean() + np.array([-1.96, 1.96]) * error, atol=0.2 * error)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of 200 sets drawn from a known distribution, about 95 of a hundred intervals hold its mean."""
    held = 0
    for seed in range(200):
        low, high = ends(score_of_means(normal(60, seed), replicates=200))
        held += low <= 0 <= high
    assert abs(held / 200 - CONFIDENCE) < 0.05


def test_more_samples_narrow_the_interval() -> None:
    """A hundred times as many samples make it about a tenth as wide."""
    few, many = (np.ptp(ends(score_of_means(normal(count)))) for count in (40, 4000))
    assert 6 < few / many < 15


def test_a_statistic_that_grows_when_samples_repeat_keeps_its_value_inside() -> None:
    """Replicates are moved by what repeating adds, so the interval lies around the value, not beside it."""
    spread = normal(50)

    def repeats(drawn: NDArray[np.int64]) -> float:
        return 100.0 + float(spread[drawn].mean())

    score = bootstrapped(3.0, repeats, samples=50)
    low, high = ends(score)
    assert 2 < low < 3 < high < 4
    plain = ends(score_of_means(spread))
    assert high - low == pytest.approx(np.ptp(plain))


def test_the_statistic_sees_as_many_samples_as_there_are() -> None:
    """Indices are drawn from all samples with replacement, as many, once a replicate."""
    seen: list[NDArray[np.int64]] = []

    def count(drawn: NDArray[np.int64]) -> float:
        seen.append(drawn)
        return 0.0

    bootstrapped(0.0, count, samples=7, replicates=200)
    together = np.stack(seen)
    assert together.shape == (200, 7)
    assert set(together.ravel().tolist()) == set(range(7))
    assert any(len(set(drawn.tolist())) < 7 for drawn in seen)


def test_bounds_cut_the_interval_and_never_the_value() -> None:
    """What cannot be is in no interval; a value beyond a bound keeps one all the same."""
    values = normal(30)
    low, high = ends(score_of_means(values))
    middle = float(values.mean())

    def mean(drawn: NDArray[np.int64]) -> float:
        return float(values[drawn].mean())

    bounded = bootstrapped(middle, mean, samples=30, least=middle - 0.01, most=middle + 0.02)
    assert ends(bounded) == (middle - 0.01, middle + 0.02)
    assert ends(bootstrapped(middle, mean, samples=30)) == (low, high)
    assert ends(score_of_means(values, least=middle - 0.01, most=middle + 0.02)) == ends(bounded)
    outside = bootstrapped(middle, mean, samples=30, least=middle + 1)
    assert outside.interval_low == middle


@pytest.mark.parametrize(("count", "replicates"), [(1, 100), (5, 1), (5, 0)])
def test_one_sample_or_one_replicate_has_no_interval(count: int, replicates: int) -> None:
    """What says nothing about other samples gives a value alone."""
    score = score_of_means(np.arange(count, dtype=float), replicates=replicates)
    assert (score.interval_low, score.interval_high) == (None, None)
    assert score.value == (count - 1) / 2


@pytest.mark.parametrize("values", [[math.inf, math.inf], [math.inf, 1.0, 2.0], [-math.inf, 0.0]])
def test_an_infinite_score_has_no_interval(values: list[float]) -> None:
    """The PSNR of equal images is infinite, and so is a mean with one of them: a value, and no warning."""
    score = score_of_means(np.array(values))
    assert score.value == values[0]
    assert (score.interval_low, score.interval_high) == (None, None)


def test_a_finite_value_with_infinite_replicates_has_no_interval() -> None:
    """Where some draws are infinite no percentile can be trusted."""
    score = bootstrapped(1.0, lambda drawn: math.inf if drawn[0] == 0 else 1.0, samples=3)
    assert (score.value, score.interval_low, score.interval_high) == (1.0, None, None)


@pytest.mark.parametrize(
    "statistic", [lambda _: math.nan, lambda drawn: math.nan if drawn[0] else 1.0], ids=["always", "at times"]
)
def test_nan_is_never_an_interval(statistic: Statistic) -> None:
    """A statistic that fails for drawn samples is an error, not an interval without an end."""
    with pytest.raises(InvariantError, match="NaN"):
        bootstrapped(1.0, statistic, samples=3)
