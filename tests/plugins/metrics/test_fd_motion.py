from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError, UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw.vocabulary import Direction
from colfw_metrics.fd_motion import JUDGE, FdMotion, WalksKept
from colfw_metrics.warnings import SampleCountWarning
from colfw_workloads.miniatures import gait

if TYPE_CHECKING:
    from colfw.protocols import Metric

both = pytest.mark.parametrize("metric", [FdMotion(), WalksKept()], ids=["fd-motion", "walks-kept"])


def some_walks(count: int, seed: int = 1) -> Samples:
    """Walks in the six styles in turn."""
    motions = gait.walks(torch.arange(count) % 6, torch.Generator().manual_seed(seed))
    joints = gait.joints(motions).numpy()
    return Samples(modality="motion/walker", data=joints, seed=seed, rate_hz=gait.RATE_HZ)


def in_batches(kind: type[Metric], batch_samples: int) -> Metric:
    """The metric of a judge that looks at so many walks at a time."""
    judge = evolve(JUDGE, batch_samples=batch_samples)
    other: type[Metric] = type("InBatches", (kind,), {"judge": judge})
    return other()


class TestFdMotion(MetricContract):
    """The distance keeps the contract of a metric."""

    symmetric = True
    noise_levels = (0.005, 0.02, 0.1, 0.5)
    relative_tolerance = 1e-4  # of features in single precision, whose rounding depends on the batch
    absolute_tolerance = 1e-6

    @pytest.fixture
    def metric(self) -> Metric:
        return FdMotion()

    @pytest.fixture
    def dense(self) -> Samples:
        return some_walks(42)

    def metric_in_batches(self, batch_samples: int) -> Metric:
        return in_batches(FdMotion, batch_samples)


class TestWalksKept(MetricContract):
    """So does the share of walks that are still told to be of their style."""

    symmetric = True
    identity_value = 100.0
    direction = Direction.HIGHER
    noise_levels = (0.01, 0.1, 0.5)

    @pytest.fixture
    def metric(self) -> Metric:
        return WalksKept()

    @pytest.fixture
    def dense(self) -> Samples:
        return some_walks(42)

    @pytest.fixture
    def masked(self, dense: Samples) -> Samples:
        return self.noisy(dense, 0.5)

    def metric_in_batches(self, batch_samples: int) -> Metric:
        return in_batches(WalksKept, batch_samples)


def test_a_walk_is_seen_as_what_it_is() -> None:
    """Walks that the judge never saw are told to be of their styles."""
    assert JUDGE.classes(some_walks(12, seed=7)).tolist() == 2 * list(range(6))


@given(place=st.tuples(st.floats(-20, 20), st.floats(-20, 20)))
def test_where_on_the_floor_someone_walks_is_no_matter(place: tuple[float, float]) -> None:
    """Walks that begin elsewhere have the same features, to the rounding of places 20 m away."""
    walks = some_walks(2)
    elsewhere = evolve(walks, data=walks.data + np.float32([*place, 0.0]))
    np.testing.assert_allclose(JUDGE.features(elsewhere), JUDGE.features(walks), atol=2e-3)


def test_what_floats_or_slides_is_noticed() -> None:
    """Feet 10 cm above the ground, or half the speed under the same strides, are no real walk."""
    walks = some_walks(120)
    floor = FdMotion().score(walks, some_walks(120, seed=2)).value
    floating = evolve(walks, data=walks.data + np.float32([0.0, 0.0, 0.1]))
    slowed = walks.data.copy()
    slowed[..., 0] -= 0.5 * walks.data[:, :, :1, 0]
    assert FdMotion().score(walks, floating).value > 5 * floor
    assert FdMotion().score(walks, evolve(walks, data=slowed)).value > 5 * floor


def test_one_style_is_not_all_of_them() -> None:
    """Each sample may be a good walk: a set that lost its variety is far away all the same."""
    walks = some_walks(120)
    strolls = walks.at(np.arange(120) // 6 * 6)
    floor = FdMotion().score(walks, some_walks(120, seed=2)).value
    assert FdMotion().score(walks, strolls).value > 20 * floor


@both
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"data": np.zeros((40, 30, 15, 3), np.float32)}, r"these are \[30, 15, 3\]"),
        ({"data": np.zeros((40, 60, 22, 3), np.float32)}, r"these are \[60, 22, 3\]"),
        ({"rate_hz": None}, "do not say their rate"),
        ({"rate_hz": 30.0}, "these have 30"),
        ({"lengths": np.arange(21, 61)}, "shorter, 21 frames"),
    ],
    ids=["frames", "joints", "no rate", "rate", "lengths"],
)
def test_other_motion_is_refused(metric: Metric, change: dict[str, Any], problem: str) -> None:
    """What the judge was not trained on is said to be unavailable, with what it knows."""
    samples = evolve(some_walks(40), **change)
    with pytest.raises(UnavailableError, match=f"60 frames of 15 joints at 20 Hz, and .*{problem}"):
        metric.score(samples, samples)


@both
def test_lengths_that_say_all_frames_count_change_nothing(metric: Metric) -> None:
    """Lengths of 60 frames are no padding."""
    walks, others = some_walks(40), some_walks(40, seed=2)
    stated = [evolve(each, lengths=np.full(40, 60)) for each in (walks, others)]
    assert metric.score(*stated) == metric.score(walks, others)


@both
def test_sets_of_different_size_are_no_pairs(metric: Metric) -> None:
    """Forty dense samples cannot be compared with thirty-nine masked ones."""
    dense = some_walks(40)
    with pytest.raises(InvariantError, match="dense samples are"):
        metric.score(dense, dense.at(slice(39)))


def test_too_few_samples_are_warned_of() -> None:
    """Below 33 samples the distance comes with a warning that names the count."""
    dense = some_walks(32)
    with pytest.warns(SampleCountWarning, match="fd-motion: 32 samples for 32 features"):
        assert FdMotion().score(dense, dense).value == pytest.approx(0.0, abs=1e-6)


def test_who_stands_still_is_no_error() -> None:
    """Walks that are all the same frame have a finite distance, to one another none."""
    dense = some_walks(40)
    still = evolve(dense, data=np.broadcast_to(dense.data[:1, :1], dense.data.shape).copy())
    assert FdMotion().score(dense, still).value > 1.0
    assert FdMotion().score(still, still).value == pytest.approx(0.0, abs=1e-6)
