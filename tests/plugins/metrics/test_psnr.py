"""PSNR agrees with torchmetrics and scikit-image, and equal images have a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw.vocabulary import Direction
from colfw_metrics.image_options import Pooling, PsnrConfig
from colfw_metrics.psnr import Psnr

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CEILING_DB = PsnrConfig().ceiling_db
RNG = np.random.default_rng(0)


def samples(pixels: NDArray[np.uint8]) -> Samples:
    return Samples(modality="image", data=pixels / 127.5 - 1, seed=0)


def noisy(dense: Samples, deviation: float) -> Samples:
    noise = np.random.default_rng(7).normal(0, deviation, dense.data.shape)
    return Samples(modality=dense.modality, data=dense.data + noise, seed=0, lengths=dense.lengths)


class TestPerImage(MetricContract):
    """The mean of images of digits."""

    identity_value = CEILING_DB
    direction = Direction.HIGHER
    symmetric = True

    @pytest.fixture
    def metric(self) -> Psnr:
        return Psnr(PsnrConfig())

    @pytest.fixture
    def dense(self) -> Samples:
        return Samples(modality="image/digits", data=RNG.uniform(-1, 1, (4, 1, 8, 8)), seed=0)


class TestPooled(TestPerImage):
    """The mean squared error first."""

    @pytest.fixture
    def metric(self) -> Psnr:
        return Psnr(PsnrConfig(pooling=Pooling.POOLED))


class TestOfVideos(TestPerImage):
    """The mean over videos of the mean over their frames."""

    @pytest.fixture
    def dense(self) -> Samples:
        data = RNG.uniform(-1, 1, (4, 3, 3, 6, 5))
        return Samples(modality="video", data=data, seed=0, lengths=np.array([3, 1, 2, 3]))


def test_it_is_that_of_the_references(golden_root: Path) -> None:
    """Per image it is scikit-image's, over images the mean; pooled it is torchmetrics' batch value."""
    golden = np.load(golden_root / "metrics" / "psnr" / "psnr.npz")
    dense, masked = samples(golden["ref"]), samples(golden["test"])
    metric = Psnr(PsnrConfig())
    of_images = golden["psnr.skimage_per_image_uint8"]
    singles = [slice(i, i + 1) for i in range(len(dense))]
    assert [metric.score(dense.at(i), masked.at(i)).value for i in singles] == pytest.approx(
        of_images.tolist(), rel=1e-12
    )
    assert metric.score(dense, masked).value == pytest.approx(of_images.mean(), rel=1e-12)
    # torchmetrics takes its logarithm in float32.
    pooled = Psnr(PsnrConfig(pooling=Pooling.POOLED)).score(dense, masked)
    assert pooled.value == pytest.approx(float(golden["psnr.torchmetrics_batch_range255"]), abs=1e-6)


def test_a_known_error_has_its_value() -> None:
    """An error of a tenth of the range everywhere is 20 dB."""
    dense = Samples(modality="image", data=np.zeros((2, 3, 4, 4)), seed=0)
    masked = Samples(modality="image", data=np.full((2, 3, 4, 4), 0.2), seed=0)
    for pooling in Pooling:
        assert Psnr(PsnrConfig(pooling=pooling)).score(dense, masked).value == pytest.approx(20.0)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_equal_images_have_the_ceiling(pooling: Pooling) -> None:
    """What is equal is finite, with and without an interval, and one may say how much it counts."""
    dense = samples(RNG.integers(0, 256, (3, 1, 8, 8), np.uint8))
    score = Psnr(PsnrConfig(pooling=pooling, ceiling_db=60.0)).score(dense, dense)
    assert (score.interval_low, score.value, score.interval_high) == (60.0, 60.0, 60.0)
    assert Psnr(PsnrConfig(pooling=pooling)).score(dense.at(slice(1)), dense.at(slice(1))).value == CEILING_DB


def test_the_two_poolings_treat_an_equal_pair_differently() -> None:
    """Per image it counts as the ceiling; pooled it halves the squared error: 3 dB more, no more."""
    dense = Samples(modality="image", data=np.zeros((2, 1, 4, 4)), seed=0)
    data = np.stack([np.zeros((1, 4, 4)), np.full((1, 4, 4), 0.2)])
    masked = Samples(modality="image", data=data, seed=0)
    assert Psnr(PsnrConfig()).score(dense, masked).value == pytest.approx((CEILING_DB + 20) / 2)
    pooled = Psnr(PsnrConfig(pooling=Pooling.POOLED)).score(dense, masked)
    assert pooled.value == pytest.approx(20 + 10 * np.log10(2))


@pytest.mark.parametrize("pooling", list(Pooling))
@given(deviation=st.floats(0.01, 0.5), factor=st.floats(1.01, 4))
def test_more_noise_is_a_lower_value(pooling: Pooling, deviation: float, factor: float) -> None:
    """The same noise, louder by a factor, costs 20 log10(factor) dB."""
    dense = samples(np.random.default_rng(1).integers(0, 256, (3, 3, 8, 8), np.uint8))
    metric = Psnr(PsnrConfig(pooling=pooling))
    quiet, loud = (metric.score(dense, noisy(dense, d)).value for d in (deviation, deviation * factor))
    assert quiet - loud == pytest.approx(20 * np.log10(factor))


def test_pooled_frames_count_alike() -> None:
    """Of videos of different lengths the squared errors of all frames that count are pooled."""
    videos = RNG.uniform(-1, 1, (2, 3, 1, 4, 4))
    dense = Samples(modality="video", data=videos, seed=0, lengths=np.array([1, 3]))
    masked = noisy(dense, 0.1)
    frames = [np.concatenate([each.data[0, :1], each.data[1]]) for each in (dense, masked)]
    flat = [Samples(modality="image", data=each, seed=0) for each in frames]
    metric = Psnr(PsnrConfig(pooling=Pooling.POOLED))
    assert metric.score(dense, masked).value == pytest.approx(metric.score(*flat).value, rel=1e-12)


def test_the_value_lies_in_its_interval() -> None:
    """The interval of varied images has a width, and repeats: its seed is fixed."""
    dense = samples(RNG.integers(0, 256, (8, 1, 8, 8), np.uint8))
    masked = noisy(dense, 0.2)
    for pooling in Pooling:
        score = Psnr(PsnrConfig(pooling=pooling)).score(dense, masked)
        assert score.interval_low is not None
        assert score.interval_high is not None
        assert score.interval_low < score.value < score.interval_high
        assert score == Psnr(PsnrConfig(pooling=pooling)).score(dense, masked)
