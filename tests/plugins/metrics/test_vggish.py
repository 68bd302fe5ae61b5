"""VGGish hears what the reference hears, and reads its weights from the released layout."""

from __future__ import annotations

import json
import zlib
from functools import lru_cache
from math import prod, sqrt
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colfw.samples import Samples
from colfw_metrics import vggish
from colfw_metrics.fad import Fad
from colfw_metrics.media_options import FadConfig
from colfw_metrics.vggish import Vggish

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

TOLERANCE = {1.0: 1e-5, sqrt(2): 1e-4}
"""Of features, by the gain of the weights: they reach 0.8 and 14."""
APART = 96
"""Frames from one window to the next where windows do not overlap."""


def filled(key: str, shape: tuple[int, ...], gain: float) -> Tensor:
    """What the golden data gives an entry of this key in a released file."""
    drawn = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if drawn.ndim >= 2:
        return torch.from_numpy(drawn / np.float32(sqrt(prod(shape[1:]))) * np.float32(gain))
    return torch.from_numpy(np.float32(0.1) * drawn)


@lru_cache(maxsize=1)  # 288 MB each
def weights(gain: float) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = {key: tuple(held.shape) for key, held in Vggish().state_dict().items()}
    return {key: filled(key, shape, gain) for key, shape in shapes.items()}


def golden_arrays(golden_root: Path) -> dict[str, NDArray[np.float32]]:
    with np.load(golden_root / "metrics" / "fad" / "vggish_forward.npz") as archive:
        return {name: archive[name] for name in archive.files if name != "meta"}


def wave(golden: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    return golden["wave_int16"][None] / np.float64(32768)


def test_spectrograms_are_those_of_the_reference(golden_root: Path) -> None:
    """To 1e-6, of a sound with a tail that fills no window, and of another at a lower level."""
    golden = golden_arrays(golden_root)
    sound = wave(golden)
    np.testing.assert_allclose(vggish.windows(sound, APART)[0], golden["log_mel"][:, 0], rtol=0, atol=1e-6)
    mixed = (sound + sound[:, ::-1] * 0.5) / 2
    np.testing.assert_allclose(
        vggish.windows(mixed, APART)[0, 0, :10], golden["log_mel_stereo_first"][0, 0], rtol=0, atol=1e-6
    )


def test_mel_bands_are_those_of_the_reference(golden_root: Path) -> None:
    """Every eighth of the 64 bands, to 1e-12."""
    ours = vggish.mel_matrix()
    assert ours.shape == (257, 64)
    np.testing.assert_allclose(ours[:, ::8], golden_arrays(golden_root)["mel_matrix"], rtol=0, atol=1e-12)


def test_keys_and_shapes_are_those_of_the_released_file(golden_root: Path) -> None:
    """Every entry of the released file has its place; the post-processing lies in a file of its own."""
    released = json.loads((golden_root / "metrics" / "fad" / "state_dict.json").read_text("utf-8"))["params"]
    with torch.device("meta"):
        ours = {key: list(tensor.shape) for key, tensor in Vggish().state_dict().items()}
    assert ours == {key: shape for key, shape in released.items() if not key.startswith("pproc.")}


@pytest.mark.parametrize(("gain", "fill"), [(1.0, ""), (sqrt(2), "_gain2")])
def test_features_are_those_of_the_reference(golden_root: Path, gain: float, fill: str) -> None:
    """Both fills of the weights: after the convolutions, at the end, and with the ReLU that is left out."""
    golden = golden_arrays(golden_root)
    with torch.device("meta"):
        network = Vggish().requires_grad_(requires_grad=False).eval()
    network.load_state_dict(weights(gain), assign=True)
    shown = torch.from_numpy(vggish.windows(wave(golden), APART)[0, :, None].astype(np.float32))
    found = {
        "conv_map_mean_hw": network.features(shown).mean(dim=(2, 3)),
        "embedding_fad": network(shown),
        "embedding_relu": network(shown).relu(),
    }
    for name, ours in found.items():
        expected = golden[f"{name}{fill}"]
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-4, atol=TOLERANCE[gain])


def test_the_metric_hears_what_the_released_file_hears(golden_root: Path, tmp_path: Path) -> None:
    """From a file in the released layout, in the form that samples have, to the reference's features.

    A file that holds the post-processing as well is read without it.
    """
    file = tmp_path / "vggish-10086976.pth"
    torch.save({**weights(sqrt(2)), "pproc.pca_means": torch.zeros(128, 1)}, file)
    golden = golden_arrays(golden_root)
    sounds = Samples(modality="audio", data=wave(golden).repeat(2, axis=0), seed=0, rate_hz=16000)
    features = Fad(FadConfig(weights=file, device="cpu"))._features(sounds, 16000)
    file.unlink()  # 288 MB
    expected = np.tile(golden["embedding_fad_gain2"], (2, 1))
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=TOLERANCE[sqrt(2)])


@given(length=st.integers(15600, 60000), hop=st.sampled_from([APART, 50]))
def test_windows_are_counted_without_making_them(length: int, hop: int) -> None:
    """As many as there are, each of 96 frames of 64 bands."""
    found = vggish.windows(np.zeros((2, length)), hop)
    assert found.shape == (2, vggish.count_windows(length, hop), 96, 64)


@given(length=st.integers(0, vggish.LEAST_SAMPLES - 1), hop=st.sampled_from([APART, 50]))
def test_less_than_a_window_is_none(length: int, hop: int) -> None:
    """Sound of 0.975 s fills the first window, and no shorter one does."""
    assert vggish.count_windows(length, hop) == 0
    assert vggish.count_windows(vggish.LEAST_SAMPLES, hop) == 1


def test_silence_has_a_spectrogram() -> None:
    """It is the logarithm of what is added to every band."""
    np.testing.assert_array_equal(vggish.log_mel(np.zeros((1, 400))), np.full((1, 1, 64), np.log(0.01)))


def test_windows_that_overlap_hold_the_same_frames() -> None:
    """The second of them begins 50 frames, half a second, after the first."""
    sound = np.random.default_rng(0).normal(size=(1, 32000))
    apart, overlapping = vggish.windows(sound, APART), vggish.windows(sound, 50)
    np.testing.assert_array_equal(apart[:, 0, 50:], overlapping[:, 1, :46])
