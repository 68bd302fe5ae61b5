"""SSIM agrees with each of the three codes whose conventions it offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colfw.errors import UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw.vocabulary import Direction
from colfw_metrics.image_options import SsimConfig, SsimConvention
from colfw_metrics.ssim import WINDOWS, Ssim, similarity

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RNG = np.random.default_rng(0)
GOLDEN = {
    SsimConvention.WANG: "ssim.skimage_wang2004_per_image",
    SsimConvention.TORCHMETRICS: "ssim.torchmetrics_gauss11_per_image",
    SsimConvention.SCIKIT_IMAGE: "ssim.skimage_default_per_image",
}
IMAGES = hnp.arrays(np.float64, (1, 12, 13), elements=st.floats(-1, 1, width=16))


def images(*shape: int) -> Samples:
    return Samples(modality="image", data=RNG.uniform(-1, 1, shape), seed=0)


def from_bytes(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = pixels / 127.5 - 1
    return found


class TestWang(MetricContract):
    """The default."""

    identity_value = 1.0
    direction = Direction.HIGHER
    symmetric = True

    @pytest.fixture
    def metric(self) -> Ssim:
        return Ssim(SsimConfig())

    @pytest.fixture
    def dense(self) -> Samples:
        return images(4, 3, 16, 14)


class TestTorchmetrics(TestWang):
    """The image reflected at its border."""

    @pytest.fixture
    def metric(self) -> Ssim:
        return Ssim(SsimConfig(convention=SsimConvention.TORCHMETRICS))


class TestScikitImageOnDigits(TestWang):
    """The one of the miniatures, whose images are small."""

    @pytest.fixture
    def metric(self) -> Ssim:
        return Ssim(SsimConfig(convention=SsimConvention.SCIKIT_IMAGE))

    @pytest.fixture
    def dense(self) -> Samples:
        return Samples(modality="image/digits", data=RNG.uniform(-1, 1, (4, 1, 8, 8)), seed=0)


class TestOfVideos(TestWang):
    """The mean over videos of the mean over their frames."""

    @pytest.fixture
    def dense(self) -> Samples:
        data = RNG.uniform(-1, 1, (3, 2, 3, 12, 13))
        return Samples(modality="video", data=data, seed=0, lengths=np.array([2, 1, 1]))


@pytest.mark.parametrize("convention", list(SsimConvention))
def test_it_is_that_of_the_reference(golden_root: Path, convention: SsimConvention) -> None:
    """Of each image, and of all images their mean."""
    golden = np.load(golden_root / "metrics" / "ssim" / "ssim.npz")
    pair = from_bytes(golden["ref"]), from_bytes(golden["test"])
    expected = golden[GOLDEN[convention]]
    found = [similarity(*images, WINDOWS[convention]) for images in zip(*pair, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)
    sets = [Samples(modality="image", data=each, seed=0) for each in pair]
    score = Ssim(SsimConfig(convention=convention)).score(*sets)
    assert score.value == pytest.approx(expected.mean(), rel=1e-12)


def test_a_grey_image_is_one_channel(golden_root: Path) -> None:
    """One channel has the value of scikit-image's grey image."""
    golden = np.load(golden_root / "metrics" / "ssim" / "ssim.npz")
    pairs = zip(from_bytes(golden["ref"][:, :1]), from_bytes(golden["test"][:, :1]), strict=True)
    found = [similarity(*pair, WINDOWS[SsimConvention.WANG]) for pair in pairs]
    np.testing.assert_allclose(found, golden["ssim.skimage_gray_wang2004"], rtol=1e-12, atol=0)


@pytest.mark.parametrize("convention", list(SsimConvention))
@given(one=IMAGES, other=IMAGES)
def test_it_is_bounded_and_symmetric(
    convention: SsimConvention, one: NDArray[np.float64], other: NDArray[np.float64]
) -> None:
    """From -1 to 1, the same both ways, and 1 of an image with itself, constant ones included."""
    window = WINDOWS[convention]
    value = similarity(one, other, window)
    assert -1 - 1e-9 <= value <= 1 + 1e-9
    assert value == pytest.approx(similarity(other, one, window), abs=1e-9)
    assert similarity(one, one, window) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_constant_images_have_a_value(value: float) -> None:
    """Without contrast SSIM compares brightness alone; black with black is equal."""
    flat = Samples(modality="image", data=np.full((2, 1, 11, 11), value), seed=0)
    black = Samples(modality="image", data=np.full((2, 1, 11, 11), -1.0), seed=0)
    assert Ssim(SsimConfig()).score(flat, flat).value == pytest.approx(1)
    brightness = (value + 1) / 2
    expected = 0.01**2 / (brightness**2 + 0.01**2)
    assert Ssim(SsimConfig()).score(flat, black).value == pytest.approx(expected)


@pytest.mark.parametrize("convention", list(SsimConvention))
def test_more_noise_is_a_lower_value(convention: SsimConvention) -> None:
    """Louder noise is less similar, step by step."""
    dense = images(2, 1, 16, 16)
    noise = RNG.normal(0, 1, dense.data.shape)
    values = [
        Ssim(SsimConfig(convention=convention))
        .score(dense, Samples(modality="image", data=dense.data + deviation * noise, seed=0))
        .value
        for deviation in (0, 0.05, 0.1, 0.2, 0.4, 0.8)
    ]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize(
    ("convention", "least"),
    [
        (SsimConvention.WANG, 11),
        (SsimConvention.TORCHMETRICS, 6),
        (SsimConvention.SCIKIT_IMAGE, 7),
    ],
)
def test_images_smaller_than_the_window_have_none(convention: SsimConvention, least: int) -> None:
    """The least size has a value; one pixel less makes the metric unavailable, and says what would do."""
    metric = Ssim(SsimConfig(convention=convention))
    fitting, small = images(2, 1, least, least + 3), images(2, 1, least + 3, least - 1)
    assert metric.score(fitting, fitting).value == pytest.approx(1)
    with pytest.raises(UnavailableError, match=f"{least} pixels are the least"):
        metric.score(small, small)


def test_digits_are_told_which_convention_fits() -> None:
    """Images of 8x8 pixels are too small for the default; the line names the conventions that fit."""
    digits = images(2, 1, 8, 8)
    with pytest.raises(UnavailableError, match="convention = 'torchmetrics' or 'scikit-image'"):
        Ssim(SsimConfig()).score(digits, digits)


def test_nothing_fits_a_stamp() -> None:
    """Where no window fits, nothing is advised."""
    stamp = images(2, 1, 5, 5)
    with pytest.raises(UnavailableError, match=r"are the least$"):
        Ssim(SsimConfig()).score(stamp, stamp)
