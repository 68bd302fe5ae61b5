from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError, UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw.vocabulary import Direction
from colfw_metrics.fd_digits import JUDGE, DigitsKept, FdDigits
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from colfw.protocols import Metric


def some_digits(count: int) -> Samples:
    """Real digits, in the order of scikit-learn, from 0 to 9 in turn at first."""
    sklearn = pytest.importorskip("sklearn.datasets")
    images = sklearn.load_digits().images[:count, None].astype(np.float32) / 8 - 1
    return Samples(modality="image/digits", data=images, seed=1)


def in_batches(kind: type[Metric], batch_samples: int) -> Metric:
    """The metric of a judge that looks at so many digits at a time."""
    judge = evolve(JUDGE, batch_samples=batch_samples)
    other: type[Metric] = type("InBatches", (kind,), {"judge": judge})
    return other()


class TestFdDigits(MetricContract):
    """The distance keeps the contract of a metric."""

    symmetric = True
    relative_tolerance = 1e-4  # of features in single precision, whose rounding depends on the batch
    absolute_tolerance = 1e-6

    @pytest.fixture
    def metric(self) -> Metric:
        return FdDigits()

    @pytest.fixture
    def dense(self) -> Samples:
        return some_digits(40)

    def metric_in_batches(self, batch_samples: int) -> Metric:
        return in_batches(FdDigits, batch_samples)


class TestDigitsKept(MetricContract):
    """So does the share of digits that can still be read."""

    symmetric = True
    identity_value = 100.0
    direction = Direction.HIGHER
    noise_levels = (0.05, 0.5, 2.0)

    @pytest.fixture
    def metric(self) -> Metric:
        return DigitsKept()

    @pytest.fixture
    def dense(self) -> Samples:
        return some_digits(40)

    @pytest.fixture
    def masked(self, dense: Samples) -> Samples:
        return self.noisy(dense, 1.0)

    def metric_in_batches(self, batch_samples: int) -> Metric:
        return in_batches(DigitsKept, batch_samples)


@given(replaced=st.sets(st.integers(0, 39)))
def test_the_share_counts_what_looks_like_another_digit(replaced: set[int]) -> None:
    """Where n of 40 digits give way to the next one, which is another, 100 - 2.5 n per cent are left."""
    dense = some_digits(40)
    classes = JUDGE.classes(dense)
    others = {index: int(np.flatnonzero(classes != classes[index])[0]) for index in replaced}
    order = np.array([others.get(index, index) for index in range(40)])
    score = DigitsKept().score(dense, dense.at(order))
    assert score.value == pytest.approx(100 - 2.5 * len(replaced))
    assert score.interval_low >= 0.0
    assert score.interval_high <= 100.0


def test_a_digit_is_seen_as_what_it_is() -> None:
    """Of the first ten digits, which are 0 to 9, each is told right."""
    assert JUDGE.classes(some_digits(10)).tolist() == list(range(10))


def test_paper_alone_is_far_from_digits() -> None:
    """Empty images, which have no spread at all, get a finite distance, far above that of paler ones."""
    dense = some_digits(64)
    empty = evolve(dense, data=np.full_like(dense.data, -1.0))
    paler = evolve(dense, data=dense.data * np.float32(0.9))
    assert FdDigits().score(dense, empty).value > 20 * FdDigits().score(dense, paler).value
    assert FdDigits().score(empty, empty).value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("metric", [FdDigits(), DigitsKept()], ids=["fd-digits", "digits-kept"])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 16, 16), (64,)], ids=str)
def test_other_images_are_refused(metric: Metric, shape: tuple[int, ...]) -> None:
    """What the judge was not trained on is said to be unavailable, with both shapes."""
    samples = Samples(modality="image", data=np.zeros((40, *shape), np.float32), seed=1)
    with pytest.raises(UnavailableError, match=r"knows images \[1, 8, 8\], and these are \["):
        metric.score(samples, samples)


@pytest.mark.parametrize("metric", [FdDigits(), DigitsKept()], ids=["fd-digits", "digits-kept"])
def test_sets_of_different_size_are_no_pairs(metric: Metric) -> None:
    """Forty dense samples cannot be compared with thirty-nine masked ones."""
    dense = some_digits(40)
    with pytest.raises(InvariantError, match="dense samples are"):
        metric.score(dense, dense.at(slice(39)))


def test_too_few_samples_are_warned_of() -> None:
    """Below 33 samples the distance comes with a warning that names the count."""
    dense = some_digits(32)
    with pytest.warns(SampleCountWarning, match="fd-digits: 32 samples for 32 features"):
        assert FdDigits().score(dense, dense).value == pytest.approx(0.0, abs=1e-6)


def test_one_sample_has_no_spread() -> None:
    """One digit has no distance; that it can still be read is a score without an interval."""
    one = some_digits(1)
    with pytest.raises(UnavailableError, match="two samples"):
        FdDigits().score(one, one)
    assert DigitsKept().score(one, one).value == 100.0
    assert DigitsKept().score(one, one).interval_low is None
