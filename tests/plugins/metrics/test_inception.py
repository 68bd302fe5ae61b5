"""Inception sees what the published codes see: the same network, and images brought to it their way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.denoising.checkpoints import load_into, read_checkpoint
from colfw.denoising.weights import without_initialisation
from colfw.errors import InvariantError, StoreError, UnavailableError
from colfw.samples import Samples
from colfw_metrics.inception import INCEPTION, Inception, features, logits, pictures, still_pairs
from colfw_metrics.inception_options import InceptionConfig, Resize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Weights = Callable[[str], Path]

FILLS = {"": "plain", "_gain2": "gain2"}
"""What is added to the names of golden arrays, and how the weights were filled."""
# The golden data was reproduced to 2e-7 and 6e-6, and its README suggests 1e-5 and 1e-4.
ATOL = {"": 1e-6, "_gain2": 2e-5}


def from_minus_one(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return levels / np.float32(127.5) - 1


def shown(levels: NDArray[np.uint8], resize: Resize) -> NDArray[Any]:
    return pictures(torch.from_numpy(from_minus_one(levels)[None]), resize)[0].numpy()


# --- the network ----------------------------------------------------------------------------------


def test_the_network_has_the_released_entries(golden_root: Path) -> None:
    """Every key and shape of the released file, and no other."""
    listed = json.loads((golden_root / "metrics" / "fid" / "state_dict.json").read_text("utf-8"))["params"]
    with without_initialisation():
        state = Inception().state_dict()
    assert {key: list(entry.shape) for key, entry in state.items()} == listed


@pytest.mark.parametrize("suffix", FILLS)
def test_features_at_every_depth_are_torch_fidelitys(
    golden_root: Path, inception_weights: Weights, suffix: str
) -> None:
    """64, 192, 768 and 2048 features, and the logits without their bias."""
    golden = np.load(golden_root / "metrics" / "fid" / "inception_forward.npz")
    config = InceptionConfig(weights=inception_weights(FILLS[suffix]), resize=Resize.TORCH_FIDELITY)
    images = from_minus_one(golden["images"])
    for dimensions in (64, 192, 768, 2048):
        np.testing.assert_allclose(
            features(images, config, dimensions=dimensions),
            golden[f"torch_fidelity{suffix}.{dimensions}"],
            rtol=1e-4,
            atol=ATOL[suffix],
        )
    expected = golden[f"torch_fidelity{suffix}.logits_unbiased"]
    np.testing.assert_allclose(logits(images, config), expected, rtol=1e-4, atol=ATOL[suffix])


@pytest.mark.parametrize("suffix", FILLS)
def test_features_are_pytorch_fids(golden_root: Path, inception_weights: Weights, suffix: str) -> None:
    """The same network shown images the other way: the last features, and 768 on the way to them."""
    golden = np.load(golden_root / "metrics" / "fid" / "inception_forward.npz")
    config = InceptionConfig(weights=inception_weights(FILLS[suffix]), resize=Resize.PYTORCH_FID)
    images = from_minus_one(golden["images"])
    for dimensions, key in ((2048, "2048"), (768, "768_mean")):
        found = features(images, config, dimensions=dimensions)
        np.testing.assert_allclose(found, golden[f"pytorch_fid{suffix}.{key}"], rtol=1e-4, atol=ATOL[suffix])


def test_counts_of_steps_may_be_missing(inception_weights: Weights, tmp_path: Path) -> None:
    """A file without `num_batches_tracked`, as older torch saved it, is the same network; less is refused."""
    state = dict(read_checkpoint(inception_weights("plain"), INCEPTION.layout).state)
    fewer = {key: entry for key, entry in state.items() if not key.endswith("num_batches_tracked")}
    with without_initialisation():
        network = Inception()
    load_into(network, fewer, INCEPTION.layout, where="test")
    del fewer["fc.bias"]
    torch.save(fewer, tmp_path / "cut.pth")
    config = InceptionConfig(weights=tmp_path / "cut.pth")
    with pytest.raises(StoreError, match=r"1 keys missing \(fc.bias\)"):
        features(np.zeros((1, 3, 8, 8), np.float32), config, dimensions=64)


# --- how images are shown to it -------------------------------------------------------------------

REFERENCES = {
    Resize.TORCH_FIDELITY: ("torch_fidelity_0_255", "torch_fidelity", lambda levels: (levels - 128) / 128),
    Resize.PYTORCH_FID: ("pytorch_fid_0_1", "pytorch_fid", lambda share: 2 * share - 1),
    Resize.CLEAN_FID: ("clean_fid_bicubic_0_255", "clean_fid", lambda levels: (levels - 128) / 128),
}


@pytest.mark.parametrize("resize", Resize)
@pytest.mark.parametrize("size", ["small", "large"])
def test_images_are_resized_as_the_reference_does(golden_root: Path, size: str, resize: Resize) -> None:
    """Smaller and larger images than 299 x 299: a lattice of pixels, and the means of all."""
    golden = np.load(golden_root / "metrics" / "fid" / "preprocess.npz")
    pixels, means, scaled = REFERENCES[resize]
    found = shown(golden[f"image_{size}"], resize)
    # One unit in the last place of float32 levels is 1.5e-5, and of -1 to 1 a 128th of that.
    np.testing.assert_allclose(found[:, ::13, ::13], scaled(golden[f"{size}.{pixels}"]), rtol=0, atol=5e-7)
    # clean-fid's means were summed in float32.
    expected = scaled(golden[f"{size}.{means}_channel_mean"])
    np.testing.assert_allclose(found.mean(axis=(1, 2), dtype=np.float64), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("resize", Resize)
@given(level=st.integers(0, 255), height=st.integers(1, 40), width=st.integers(1, 40))
def test_even_images_stay_even(resize: Resize, level: int, height: int, width: int) -> None:
    """An image of one level is that level everywhere, whatever its size."""
    found = shown(np.full((3, height, width), level, np.uint8), resize)
    middle, half = (127.5, 127.5) if resize is Resize.PYTORCH_FID else (128, 128)
    assert found.shape == (3, 299, 299)
    np.testing.assert_allclose(found, (level - middle) / half, rtol=0, atol=2e-6)


@pytest.mark.parametrize("resize", Resize)
def test_images_of_the_right_size_are_not_resized(resize: Resize) -> None:
    """299 x 299 pixels are shown as they are."""
    levels = np.random.default_rng(0).integers(0, 256, (3, 299, 299)).astype(np.uint8)
    middle, half = (127.5, 127.5) if resize is Resize.PYTORCH_FID else (128, 128)
    np.testing.assert_allclose(
        shown(levels, resize), (levels.astype(np.float64) - middle) / half, rtol=0, atol=1e-6
    )


def test_images_are_rounded_to_eight_bits() -> None:
    """What the codes read from files: 256 levels, the nearest one, and none beyond the range."""
    every = np.arange(256, dtype=np.float64)
    for beside in (-0.49, 0.0, 0.49):
        images = torch.from_numpy(((every + beside) / 127.5 - 1).reshape(1, 1, 16, 16))
        levels = pictures(images, Resize.PYTORCH_FID)
        exact = pictures(torch.from_numpy((every / 127.5 - 1).reshape(1, 1, 16, 16)), Resize.PYTORCH_FID)
        assert torch.equal(levels, exact)
    beyond = pictures(torch.tensor([-3.0, 7.0]).reshape(2, 1, 1, 1), Resize.TORCH_FIDELITY)
    assert beyond[0].unique().tolist() == [-1.0]
    assert beyond[1].unique().tolist() == [127 / 128]


@pytest.mark.parametrize("resize", Resize)
def test_grey_images_have_three_equal_channels(resize: Resize) -> None:
    """A grey image is shown as the colour image of its level."""
    grey = torch.rand((2, 1, 9, 5)) * 2 - 1
    assert torch.equal(pictures(grey, resize), pictures(grey.repeat(1, 3, 1, 1), resize))


# --- what it is asked for -------------------------------------------------------------------------


def test_without_weights_there_are_no_features() -> None:
    """The message names the file, and where it is."""
    with pytest.raises(UnavailableError, match=r"pt_inception-2015-12-05-6726825d\.pth"):
        features(np.zeros((1, 3, 8, 8), np.float32), InceptionConfig())


def test_only_single_images_are_looked_at() -> None:
    """Frames of a video and motions make the metric unavailable; sets of two sizes are a broken call."""
    dense = Samples(modality="image", data=np.zeros((2, 3, 8, 8), np.float32), seed=0)
    for modality, shape in (("video", (2, 4, 3, 8, 8)), ("motion", (2, 4, 22, 3))):
        others = Samples(modality=modality, data=np.zeros(shape, np.float32), seed=0)
        with pytest.raises(UnavailableError, match=f"single images, and these samples are {modality}"):
            still_pairs(others, others)
    with pytest.raises(InvariantError, match="no pairs"):
        still_pairs(dense, evolve(dense, data=dense.data[:, :, :4]))
    digits = evolve(dense, modality="image/digits", data=dense.data[:, :1])
    assert still_pairs(digits, digits).dense.shape == (2, 1, 8, 8)
