"""I3D gives the logits of the graph from which its weights come, and reads them from the released layout."""

from __future__ import annotations

import json
import zlib
from functools import cache
from math import ceil, prod, sqrt
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colfw.denoising.checkpoints import load_into, read_checkpoint
from colfw.samples import Samples
from colfw_metrics.fvd import Fvd, shown
from colfw_metrics.i3d import I3D, network, same
from colfw_metrics.media_options import FvdConfig, FvdFrames

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

TOLERANCE = {1.0: 2e-6, sqrt(2): 5e-5}
"""Of logits, by the gain of the weights: logits have a standard deviation of 0.1 and of 1."""


def filled(key: str, shape: tuple[int, ...], gain: float) -> Tensor:
    """What the golden data gives an entry of this key in a released file."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    drawn = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if drawn.ndim >= 2:
        return torch.from_numpy(drawn / np.float32(sqrt(prod(shape[1:]))) * np.float32(gain))
    if key.endswith(("weight", "running_var")):
        return torch.from_numpy(1 + np.float32(0.1) * np.abs(drawn))
    return torch.from_numpy(np.float32(0.1) * drawn)


@cache
def weights(gain: float) -> dict[str, Tensor]:
    return {key: filled(key, tuple(held.shape), gain) for key, held in network().state_dict().items()}


def loaded(state: dict[str, Tensor]) -> nn.Sequential:
    built = network().requires_grad_(requires_grad=False).eval()
    built.load_state_dict(state)
    return built


def golden_arrays(golden_root: Path) -> dict[str, NDArray[np.float32]]:
    with np.load(golden_root / "metrics" / "fvd" / "i3d_forward.npz") as archive:
        return {name: archive[name] for name in archive.files if name != "meta"}


def in_our_form(golden: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The video as samples hold videos: channels before pixels, from -1 to 1."""
    video = golden["video"].astype(np.float32).transpose(0, 1, 4, 2, 3)
    return video / np.float32(127.5) - 1


def video(golden: dict[str, NDArray[np.float32]], frames: FvdFrames) -> Tensor:
    return shown(torch.from_numpy(in_our_form(golden)), frames)


def test_keys_and_shapes_are_those_of_the_released_file(golden_root: Path) -> None:
    """Every entry of the released file has its place in the network, and there is no other."""
    released = json.loads((golden_root / "metrics" / "fvd" / "state_dict.json").read_text("utf-8"))["params"]
    ours = {key: list(tensor.shape) for key, tensor in network().state_dict().items()}
    assert ours == released


@pytest.mark.parametrize(("gain", "fill"), [(1.0, ""), (sqrt(2), "_gain2")])
def test_logits_are_those_of_the_port_with_the_graphs_epsilon(
    golden_root: Path, gain: float, fill: str
) -> None:
    """Both fills of the weights, frames shown as TATS shows them."""
    golden = golden_arrays(golden_root)
    logits = loaded(weights(gain))(video(golden, FvdFrames.TATS))
    expected = golden[f"eps1e-3{fill}.logits"]
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4, atol=TOLERANCE[gain])


@pytest.mark.parametrize(
    ("frames", "name"), [(FvdFrames.TATS, "logits"), (FvdFrames.ORIGINAL, "logits_tf1_resize")]
)
def test_logits_are_those_of_the_published_graph(golden_root: Path, frames: FvdFrames, name: str) -> None:
    """The TensorFlow graph itself, whose batch norms have no scale, with either resize."""
    state = {
        key: torch.ones_like(tensor) if key.endswith("bn.weight") else tensor
        for key, tensor in weights(sqrt(2)).items()
    }
    golden = golden_arrays(golden_root)
    logits = loaded(state)(video(golden, frames)).numpy()
    np.testing.assert_allclose(logits, golden[f"tfhub_graph.{name}"], rtol=1e-4, atol=TOLERANCE[sqrt(2)])
    other = golden["tfhub_graph." + ("logits_tf1_resize" if name == "logits" else "logits")]
    assert np.abs(logits - other).max() > 100 * TOLERANCE[sqrt(2)]


def test_inner_layers_are_those_of_the_port_as_published(golden_root: Path) -> None:
    """With the epsilon of TATS's class the first layer, the pooled features and the logits are TATS's."""
    golden = golden_arrays(golden_root)
    port = loaded(weights(sqrt(2)))
    for module in port.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.eps = 1e-5
    x, means = video(golden, FvdFrames.TATS), {}
    for name, layer in port.named_children():
        x = layer(x)
        means[name] = x.numpy() if x.ndim == 2 else x.mean(dim=(2, 3, 4)).numpy()
    for name, ours in (("conv1a_mean", "Conv3d_1a_7x7"), ("pooled1024", "pooled"), ("logits", "logits")):
        expected = golden[f"tats_gain2.{name}"]
        np.testing.assert_allclose(means[ours], expected, rtol=1e-4, atol=TOLERANCE[sqrt(2)])


def test_the_metric_sees_what_the_released_file_sees(golden_root: Path, tmp_path: Path) -> None:
    """From a file in the released layout, in the form that samples have, to the reference's logits."""
    file = tmp_path / "i3d_pretrained_400.pt"
    torch.save(weights(sqrt(2)), file)
    golden = golden_arrays(golden_root)
    metric = Fvd(FvdConfig(weights=file, frames=FvdFrames.TATS, device="cpu"))
    features = metric._features(Samples(modality="video", data=in_our_form(golden), seed=0))
    file.unlink()  # 51 MB
    np.testing.assert_allclose(features, golden["eps1e-3_gain2.logits"], rtol=1e-4, atol=TOLERANCE[sqrt(2)])


def test_a_file_may_lack_the_counts_of_training_steps(tmp_path: Path) -> None:
    """They say nothing of what the network sees, and converted files may lack them."""
    file, built = tmp_path / "converted.pt", network()
    torch.save({key: held for key, held in weights(1.0).items() if "num_batches" not in key}, file)
    load_into(built, read_checkpoint(file, I3D.layout).state, I3D.layout, where=str(file))
    assert torch.equal(built.state_dict()["logits.conv3d.bias"], weights(1.0)["logits.conv3d.bias"])


@given(
    sizes=st.tuples(*[st.integers(1, 20)] * 3),
    kernel=st.tuples(*[st.integers(1, 7)] * 3),
    stride=st.tuples(*[st.integers(1, 3)] * 3),
)
def test_a_stride_leaves_one_of_every_so_many(
    sizes: tuple[int, int, int], kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    """Padding is what a window needs to end at the last place, and the odd zero goes to the end."""
    x = torch.ones(1, 1, *sizes)
    padded = same(x, kernel, stride)
    windows = [
        (size - width) // step + 1 for size, width, step in zip(padded.shape[2:], kernel, stride, strict=True)
    ]
    assert windows == [ceil(size / step) for size, step in zip(sizes, stride, strict=True)]
    assert padded.sum() == prod(sizes)
    first = [int(axis.min()) for axis in torch.nonzero(padded[0, 0]).T]
    assert first == [(after - before) // 2 for before, after in zip(sizes, padded.shape[2:], strict=True)]
