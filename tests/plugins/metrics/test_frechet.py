"""The Frechet distance agrees with seven published codes, and is what mathematics says where they are not."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError, UnavailableError
from colfw_metrics import frechet
from colfw_metrics.frechet import (
    FEWEST_REPLICATES,
    affordable_replicates,
    frechet_distance,
    frechet_score,
    merged,
    moments_of,
)
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

SHAPES = {"rows": st.integers(2, 40), "dimensions": st.integers(1, 12), "seed": st.integers(0, 999)}
# Hand-made float32 roots, and covariances that have none: see the README of the golden data.
TOLERANCES = {"videogpt_tats_f32": 1e-3}
SINGULAR = {"fewer_samples_than_dims", "fewer_samples_float32", "constant_and_duplicate_columns"}


def drawn(rows: int, dimensions: int, seed: int) -> Matrix:
    """Features that depend on one another, of sizes that differ."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((dimensions, dimensions)) * 10.0 ** rng.integers(-2, 2, dimensions)
    return rng.standard_normal((rows, dimensions)) @ mixing + rng.standard_normal(dimensions)


def pair(rows: int, dimensions: int, seed: int) -> tuple[Matrix, Matrix]:
    dense = drawn(rows, dimensions, seed)
    return dense, dense + 0.3 * drawn(rows, dimensions, seed + 1)


def distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    return frechet_distance(moments_of(first), moments_of(second))


def value(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The value of the score alone, whichever way it is computed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SampleCountWarning)
        return frechet_score(first, second, name="test", replicates=0).value


def scale_of(*sets: Matrix) -> float:
    """What rounding is measured by: the traces, and the means."""
    return sum(float(np.var(each, axis=0).sum() + (each.mean(axis=0) ** 2).sum()) for each in sets)


# --- the references -------------------------------------------------------------------------------


def test_the_distance_is_that_of_every_reference(golden_root: Path) -> None:
    """Each case of each code, at the precision that the code has there; equal sets are zero, not nearly."""
    golden = np.load(golden_root / "metrics" / "fid" / "frechet.npz")
    meta = json.loads(str(golden["meta"]))
    for case in meta["cases"]:
        found = distance(golden[f"{case}.x"], golden[f"{case}.y"])
        for code in meta["values"]:
            if f"{case}.{code}" not in golden:
                continue  # the code raises there
            rtol = TOLERANCES.get(code, 1e-6 if case in SINGULAR else 1e-10)
            np.testing.assert_allclose(found, golden[f"{case}.{code}"], rtol=rtol, atol=1e-5, err_msg=code)
    assert distance(golden["identical_sets.x"], golden["identical_sets.y"]) == 0.0
    assert distance(golden["shift_only.x"], golden["shift_only.y"]) == pytest.approx(2.5, rel=1e-13)


def test_the_distance_of_video_features_is_that_of_the_references(golden_root: Path) -> None:
    """400 logits of fewer videos, which the score compares by their rows."""
    golden = np.load(golden_root / "metrics" / "fvd" / "frechet.npz")
    for found in (distance(golden["real"], golden["fake"]), value(golden["real"], golden["fake"])):
        np.testing.assert_allclose(found, golden["videogpt_tats_f64"], rtol=1e-12)
        np.testing.assert_allclose(found, golden["stylegan_v"], rtol=1e-6)
        np.testing.assert_allclose(found, golden["videogpt_tats_f32"], rtol=1e-3)


# --- what must hold of it -------------------------------------------------------------------------


@given(**SHAPES)
def test_it_is_symmetric_and_never_negative(rows: int, dimensions: int, seed: int) -> None:
    """Either set may be the first."""
    first, second = pair(rows, dimensions, seed)
    there, back = distance(first, second), distance(second, first)
    assert there >= 0
    assert there == pytest.approx(back, rel=1e-9, abs=1e-12 * scale_of(first, second))


@given(**SHAPES)
def test_equal_moments_are_nothing_apart(rows: int, dimensions: int, seed: int) -> None:
    """A set and itself are exactly zero apart, however many rows it has; in another order, nearly so."""
    features = drawn(rows, dimensions, seed)
    assert distance(features, features) == 0.0
    assert value(features, features.copy()) == 0.0
    assert distance(features, features[::-1].copy()) < 1e-11 * scale_of(features)


@given(**SHAPES, shift=st.floats(-100, 100))
def test_a_shift_counts_by_its_square(rows: int, dimensions: int, seed: int, shift: float) -> None:
    """Of means alone the distance is the squared one."""
    features = drawn(rows, dimensions, seed)
    moved = features.copy()
    moved[:, 0] += shift
    for found in (distance(features, moved), value(features, moved)):
        assert found == pytest.approx(shift**2, rel=1e-9, abs=1e-10 * scale_of(features, moved))


@given(**SHAPES)
def test_turning_all_features_changes_nothing(rows: int, dimensions: int, seed: int) -> None:
    """Neither does the order of rows, which may differ between the sets."""
    first, second = pair(rows, dimensions, seed)
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((dimensions, dimensions)))
    turned = distance(rng.permutation(first @ turn), second @ turn)
    # What is singular has a root of rounding only up to the root of rounding.
    tolerance = 1e-10 if rows > dimensions + 1 else 1e-6
    assert turned == pytest.approx(distance(first, second), rel=1e-8, abs=tolerance * scale_of(first, second))


@given(**SHAPES)
def test_the_ways_to_the_distance_agree(rows: int, dimensions: int, seed: int) -> None:
    """Rows give what covariances give, and replicates what the value is, also where rows count repeatedly."""
    first, second = pair(rows, dimensions, seed)
    drawn_rows = np.random.default_rng(seed).integers(0, rows, rows)
    counts = np.bincount(drawn_rows, minlength=rows)
    expected = distance(first[drawn_rows], second[drawn_rows])
    # Rounding enters a singular covariance, and its root is not small.
    nearly = pytest.approx(expected, rel=1e-6, abs=3e-7 * scale_of(first, second))
    assert frechet._distance_of_rows(first, second, counts) == nearly
    assert frechet._quick_distance(first, second, counts) == nearly


@pytest.mark.parametrize("rank", [2, 5, 9])
def test_directions_of_rounding_are_none(rank: int) -> None:
    """Of a singular covariance the distance is the exact one of its rows, to twelve digits."""
    rng = np.random.default_rng(rank)
    singular, regular = rng.standard_normal((rank + 1, 11)), rng.standard_normal((60, 11))
    roots = [(each - each.mean(axis=0)) / np.sqrt(len(each) - 1) for each in (singular, regular)]
    shift = singular.mean(axis=0) - regular.mean(axis=0)
    overlap = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    expected = shift @ shift + sum((root**2).sum() for root in roots) - 2 * overlap
    assert distance(singular, regular) == pytest.approx(expected, rel=1e-12)


def test_one_feature_is_the_formula_itself() -> None:
    """Of one feature: squared difference of means plus that of standard deviations."""
    first, second = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    assert distance(first, second) == pytest.approx((2.0 - 1.0) ** 2, rel=1e-14)
    assert distance(first, second + 3) == pytest.approx(9.0 + 1.0, rel=1e-14)


def test_constant_features_have_no_spread() -> None:
    """Sets of equal rows are as far apart as their rows, by either way."""
    first, second = np.zeros((5, 3)), np.ones((5, 3))
    assert distance(first, second) == pytest.approx(3.0, rel=1e-14)
    assert value(np.zeros((3, 5)), np.ones((3, 5))) == pytest.approx(5.0, rel=1e-14)


def test_directions_that_no_set_shares_count_in_full() -> None:
    """Of covariances without a common direction nothing is subtracted: the distance is both traces."""
    first, second = np.zeros((6, 4)), np.zeros((6, 4))
    first[:, 0], second[:, 2] = [-1, 1, -1, 1, -1, 1], [-2, 2, -2, 2, -2, 2]
    assert distance(first, second) == pytest.approx(6 / 5 + 24 / 5, rel=1e-14)


# --- moments --------------------------------------------------------------------------------------


def assert_same(found: frechet.Moments, mean: Matrix, covariance: Matrix, scale: float) -> None:
    np.testing.assert_allclose(found.mean, mean, rtol=1e-10, atol=1e-12 * np.sqrt(scale))
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-10, atol=1e-12 * scale)


@given(**SHAPES, batch=st.integers(1, 50))
def test_batches_give_the_moments_of_the_whole(rows: int, dimensions: int, seed: int, batch: int) -> None:
    """However the rows are cut, moments are those of numpy on all of them."""
    features = drawn(rows, dimensions, seed)
    found = moments_of(features, batch=batch)
    covariance = np.atleast_2d(np.cov(features, rowvar=False))
    assert found.count == rows
    assert_same(found, features.mean(axis=0), covariance, scale_of(features))


@given(**SHAPES, batch=st.integers(1, 50))
def test_weights_are_repetitions(rows: int, dimensions: int, seed: int, batch: int) -> None:
    """A row that counts n times is n rows, and one that counts 0 times is none."""
    features = drawn(rows, dimensions, seed)
    weights = np.random.default_rng(seed).integers(0, 4, rows)
    weights[0] = 2
    repeated = moments_of(np.repeat(features, weights, axis=0))
    found = moments_of(features, weights=weights, batch=batch)
    assert found.count == weights.sum() == repeated.count
    assert_same(found, repeated.mean, repeated.covariance, scale_of(features))


@given(**SHAPES, cut=st.floats(0, 1))
def test_merged_moments_are_those_of_both(rows: int, dimensions: int, seed: int, cut: float) -> None:
    """A set in two pieces, one of which may be a single row, has the moments of the set."""
    features = drawn(rows, dimensions, seed)
    first = 1 + int(cut * (rows - 2))
    found = merged(moments_of(features[:first]), moments_of(features[first:]))
    whole = moments_of(features)
    assert found.count == rows
    assert_same(found, whole.mean, whole.covariance, scale_of(features))


def test_moments_far_from_zero_keep_their_digits() -> None:
    """A mean of a million times the spread costs a few digits of the covariance, not all of them."""
    features = drawn(500, 3, seed=5)
    moved = moments_of(features + 1e6, batch=7)
    scale = float(np.abs(np.cov(features, rowvar=False)).max())
    np.testing.assert_allclose(moved.covariance, np.cov(features, rowvar=False), rtol=1e-7, atol=1e-9 * scale)


def test_features_may_lie_in_a_file(tmp_path: Path) -> None:
    """Mapped float32 features have the moments of the same in memory."""
    features = drawn(50, 4, seed=1).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert moments_of(mapped, batch=16).mean.tolist() == moments_of(features, batch=16).mean.tolist()
    assert value(mapped, mapped) == 0.0


# --- scores ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [3, 60], ids=["more rows than features", "fewer"])
@pytest.mark.filterwarnings("ignore::colfw_metrics.warnings.SampleCountWarning")
def test_the_interval_holds_the_value_and_shrinks_with_more_samples(dimensions: int) -> None:
    """Pairs are drawn: four times as many samples say about twice as much."""

    def width(rows: int) -> float:
        first, second = pair(rows, dimensions, seed=2)
        score = frechet_score(first, second, name="test", replicates=200)
        assert score.interval_low is not None
        assert score.interval_high is not None
        assert 0 <= score.interval_low <= score.value <= score.interval_high
        return (score.interval_high - score.interval_low) / score.value

    few, many = (12, 48) if dimensions > 50 else (100, 1600)
    assert width(many) < 0.75 * width(few)


def test_equal_sets_are_sure_to_be_equal() -> None:
    """Whichever pairs are drawn, both sets are the same: the interval is zero."""
    features = drawn(30, 4, seed=3)
    score = frechet_score(features, features, name="test", replicates=20)
    assert score.value == 0.0
    assert score.interval_low == 0.0
    assert score.interval_high == pytest.approx(0, abs=1e-7)


def test_no_replicates_no_interval() -> None:
    """The interval can be left out; the value is the same."""
    first, second = pair(30, 4, seed=3)
    score = frechet_score(first, second, name="test", replicates=0)
    assert score.interval_low is None
    assert score.value == frechet_score(first, second, name="test", replicates=5).value


def test_rows_of_a_sample_are_drawn_together() -> None:
    """Where each sample has two equal rows, the interval is about that of the samples, not narrower."""
    first, second = pair(80, 3, seed=4)
    once = frechet_score(first, second, name="test", replicates=100)
    twice = frechet_score(
        np.repeat(first, 2, axis=0),
        np.repeat(second, 2, axis=0),
        name="test",
        replicates=100,
        sample_of_row=np.repeat(np.arange(80) * 10, 2),
    )
    assert twice.samples == once.samples == 80
    assert twice.interval_low == pytest.approx(once.interval_low, rel=0.05)
    assert twice.interval_high == pytest.approx(once.interval_high, rel=0.05)


def test_too_few_samples_are_told_with_the_count_that_is_needed() -> None:
    """As many samples as features still make a singular covariance: the value comes, with a warning."""
    first, second = pair(8, 8, seed=0)
    with pytest.warns(SampleCountWarning, match="test: 8 samples for 8 features, where more than 8 are"):
        frechet_score(first, second, name="test", replicates=0)
    frechet_score(first[:, :7], second[:, :7], name="test", replicates=0)


def test_replicates_follow_the_size() -> None:
    """Many for small sets, fewer for large ones, and never too few for quantiles."""
    assert affordable_replicates(256, 2048) == 1000
    assert FEWEST_REPLICATES <= affordable_replicates(2000, 2048) < 1000
    assert affordable_replicates(50_000, 2048) == FEWEST_REPLICATES


# --- what is refused ------------------------------------------------------------------------------


def test_one_sample_has_no_spread() -> None:
    """Neither a score nor a distance is made of a single row, nor of the rows of a single sample."""
    one = np.ones((1, 4))
    with pytest.raises(UnavailableError, match="needs two samples"):
        frechet_score(one, one, name="test")
    with pytest.raises(UnavailableError, match="two samples"):
        frechet_distance(moments_of(one), moments_of(one))
    with pytest.raises(UnavailableError, match="needs two samples"):
        frechet_score(np.ones((3, 2)), np.ones((3, 2)), name="test", sample_of_row=np.zeros(3, np.int64))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
@pytest.mark.parametrize("rows", [3, 9])
@pytest.mark.filterwarnings("ignore::colfw_metrics.warnings.SampleCountWarning")
def test_what_is_no_number_makes_no_score(bad: float, rows: int) -> None:
    """NaN, infinity, and features whose squares overflow are refused in one line, whichever way is taken."""
    features = np.ones((rows, 5))
    features[1, 2] = bad
    with pytest.raises(UnavailableError, match="NaN or are too large"):
        frechet_score(np.ones((rows, 5)), features, name="test")


@pytest.mark.parametrize("shape", [(4,), (0, 3), (3, 0), (2, 2, 2)])
def test_what_is_no_table_of_features_is_a_broken_call(shape: tuple[int, ...]) -> None:
    """Features are rows of at least one feature."""
    with pytest.raises(InvariantError, match="row, feature"):
        moments_of(np.ones(shape))


def test_pairs_have_one_shape() -> None:
    """Other counts or features on one side, or owners of other rows, are a broken call."""
    features = np.ones((4, 2))
    with pytest.raises(InvariantError, match="dense features"):
        frechet_score(features, np.ones((3, 2)), name="test")
    with pytest.raises(InvariantError, match="2 features against 3"):
        frechet_distance(moments_of(features), moments_of(np.ones((4, 3))))
    with pytest.raises(InvariantError, match="owners"):
        frechet_score(features, features, name="test", sample_of_row=np.arange(3))
    with pytest.raises(InvariantError, match="no row was drawn"):
        moments_of(features, weights=np.zeros(4, np.int64))
