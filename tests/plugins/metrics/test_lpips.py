"""LPIPS agrees with the package that released it, layer by layer, for both networks."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve

from colfw.denoising.checkpoints import digest
from colfw.errors import StoreError, UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw_metrics.image_options import LpipsConfig, LpipsNetwork
from colfw_metrics.lpips import TRUNKS, Lpips, distances_of_layers, released_linear

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    Weights = Callable[[LpipsNetwork, float], Path]

GAINS = {"": 1.0, "_gain2": math.sqrt(2)}
RNG = np.random.default_rng(0)


def filled(key: str, shape: tuple[int, ...], gain: float) -> Tensor:
    """What the golden data gives an entry of this key in a released file."""
    drawn = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if drawn.ndim >= 2:
        return torch.from_numpy(drawn / np.float32(math.sqrt(math.prod(shape[1:]))) * np.float32(gain))
    return torch.from_numpy(np.float32(0.1) * drawn)


def released_state(network: LpipsNetwork, gain: float) -> dict[str, Tensor]:
    state = TRUNKS[network].architecture.build().state_dict()
    shapes = {f"features.{key}": tuple(entry.shape) for key, entry in state.items()}
    return {key: filled(key, shape, gain) for key, shape in shapes.items()}


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """A file in torchvision's layout, classifier included, with the weights of the golden data."""
    written: dict[tuple[LpipsNetwork, float], Path] = {}

    def of(network: LpipsNetwork, gain: float = 1.0) -> Path:
        if (network, gain) not in written:
            path = tmp_path_factory.mktemp("lpips") / f"{network}.pth"
            torch.save({**released_state(network, gain), "classifier.6.weight": torch.zeros(2, 2)}, path)
            written[network, gain] = path
        return written[network, gain]

    return of


def golden_of(golden_root: Path, network: LpipsNetwork) -> Any:
    return np.load(golden_root / "metrics" / "lpips" / f"lpips_{network}.npz")


def image(pixels: np.ndarray) -> Samples:
    return Samples(modality="image", data=pixels / np.float32(127.5) - 1, seed=0)


class TestAlex(MetricContract):
    """The smaller network, on grey images."""

    symmetric = True
    # A network's batch of another size is summed in another order, in float32.
    relative_tolerance = 1e-5

    @pytest.fixture
    def config(self, weights: Weights) -> LpipsConfig:
        return LpipsConfig(network=LpipsNetwork.ALEX, weights=weights(LpipsNetwork.ALEX, 1.0))

    @pytest.fixture
    def metric(self, config: LpipsConfig) -> Lpips:
        self._config = config
        return Lpips(config)

    def metric_in_batches(self, batch_samples: int) -> Lpips:
        return Lpips(evolve(self._config, batch_samples=batch_samples))

    @pytest.fixture
    def dense(self) -> Samples:
        data = RNG.uniform(-1, 1, (4, 1, 40, 33)).astype(np.float32)
        return Samples(modality="image", data=data, seed=0)


class TestVgg(TestAlex):
    """The larger network, on videos."""

    @pytest.fixture
    def config(self, weights: Weights) -> LpipsConfig:
        return LpipsConfig(weights=weights(LpipsNetwork.VGG, 1.0))

    @pytest.fixture
    def dense(self) -> Samples:
        data = RNG.uniform(-1, 1, (3, 2, 3, 16, 17)).astype(np.float32)
        return Samples(modality="video", data=data, seed=0, lengths=np.array([2, 1, 1]))


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("network", list(LpipsNetwork))
def test_it_is_that_of_the_reference(
    golden_root: Path, weights: Weights, network: LpipsNetwork, gain: str
) -> None:
    """From the file of weights to the value of each pair, with the released weights of the distance."""
    golden = golden_of(golden_root, network)
    metric = Lpips(LpipsConfig(network=network, weights=weights(network, GAINS[gain])))
    dense, masked = image(golden["img0"]), image(golden["img1"])
    expected = golden[f"released_lin{gain}.value"]
    singles = [slice(i, i + 1) for i in range(len(dense))]
    found = [metric.score(dense.at(i), masked.at(i)).value for i in singles]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=0)
    assert metric.score(dense, masked).value == pytest.approx(expected.mean(), rel=2e-6)
    # Images from 0 to 1 would have raised no error, and another value.
    wrong = golden[f"released_lin{gain}.value_WRONG_0_1_without_normalize"]
    assert not np.allclose(found, wrong, rtol=0.5)


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("network", list(LpipsNetwork))
def test_each_layer_is_that_of_the_reference(golden_root: Path, network: LpipsNetwork, gain: str) -> None:
    """With weights of the distance of either sign, so that errors cannot cancel by chance."""
    golden = golden_of(golden_root, network)
    trunk = TRUNKS[network].architecture.build().requires_grad_(requires_grad=False)
    state = released_state(network, GAINS[gain])
    trunk.load_state_dict({key.removeprefix("features."): entry for key, entry in state.items()})
    pairs = torch.from_numpy(np.stack([image(golden[name]).data for name in ("img0", "img1")], axis=1))
    linear = [
        filled(f"lin{tap}.model.1.weight", (1, len(released), 1, 1), GAINS[gain]).flatten()
        for tap, released in enumerate(released_linear(network))
    ]
    found = distances_of_layers(trunk, TRUNKS[network].taps, linear, pairs)
    np.testing.assert_allclose(found.T, golden[f"filled{gain}.per_layer"], rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found.sum(dim=1), golden[f"filled{gain}.value"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("network", list(LpipsNetwork))
def test_the_shipped_weights_are_the_released_ones(golden_root: Path, network: LpipsNetwork) -> None:
    """Bit for bit, and none is negative: a distance can only grow."""
    golden = golden_of(golden_root, network)
    for tap, weights in enumerate(released_linear(network)):
        assert np.array_equal(weights, golden[f"released_weights.lin{tap}.model.1.weight"])
        assert (weights >= 0).all()


@pytest.mark.parametrize("network", list(LpipsNetwork))
def test_without_weights_it_is_unavailable(network: LpipsNetwork) -> None:
    """It can be made, and says on use which file is needed; nothing tells its inputs apart."""
    metric = Lpips(LpipsConfig(network=network))
    images = Samples(modality="image", data=np.zeros((2, 3, 64, 64)), seed=0)
    assert metric.inputs_digest() is None
    with pytest.raises(UnavailableError, match=r"torchvision's .*\.pth"):
        metric.score(images, images)


def test_its_inputs_are_its_weights(weights: Weights) -> None:
    """Results of another file of weights are told apart."""
    path = weights(LpipsNetwork.ALEX, 1.0)
    assert Lpips(LpipsConfig(network=LpipsNetwork.ALEX, weights=path)).inputs_digest() == digest(path)


def test_another_networks_file_is_refused(weights: Weights) -> None:
    """AlexNet's file is none of VGG: no value comes of it."""
    images = Samples(modality="image", data=np.zeros((2, 3, 64, 64)), seed=0)
    with pytest.raises(StoreError, match=r"\.pth"):
        Lpips(LpipsConfig(weights=weights(LpipsNetwork.ALEX, 1.0))).score(images, images)


@pytest.mark.parametrize(("network", "least"), [(LpipsNetwork.VGG, 16), (LpipsNetwork.ALEX, 31)])
def test_small_images_have_none(weights: Weights, network: LpipsNetwork, least: int) -> None:
    """The least size has a value; of one pixel less nothing would be left at the last layer."""
    metric = Lpips(LpipsConfig(network=network, weights=weights(network, 1.0)))
    sizes = [(2, 3, least, least + 5), (2, 3, least + 5, least - 1)]
    fitting, small = (Samples(modality="image", data=RNG.uniform(-1, 1, size), seed=0) for size in sizes)
    assert metric.score(fitting, fitting.at(np.array([1, 0]))).value > 0
    with pytest.raises(UnavailableError, match=f"{least} pixels are the least"):
        metric.score(small, small)


def test_a_grey_image_is_seen_in_colour(weights: Weights) -> None:
    """Three equal channels and one have the same value."""
    metric = Lpips(LpipsConfig(network=LpipsNetwork.ALEX, weights=weights(LpipsNetwork.ALEX, 1.0)))
    grey = [RNG.uniform(-1, 1, (2, 1, 32, 32)) for _ in range(2)]
    values = [
        metric.score(*(Samples(modality="image", data=np.repeat(each, n, axis=1), seed=0) for each in grey))
        for n in (1, 3)
    ]
    assert values[0] == values[1]


def test_more_noise_is_a_larger_distance(weights: Weights) -> None:
    """Louder noise is further away, step by step, from 0 of none."""
    metric = Lpips(LpipsConfig(weights=weights(LpipsNetwork.VGG, math.sqrt(2))))
    # Real images are smooth; of white noise a network sees the same everywhere.
    ramp = np.linspace(-0.5, 0.5, 32)
    data = np.broadcast_to(ramp[:, None] * ramp, (2, 3, 32, 32))
    dense = Samples(modality="image", data=data, seed=0)
    noise = RNG.normal(0, 1, data.shape)
    values = [
        metric.score(dense, Samples(modality="image", data=data + deviation * noise, seed=0)).value
        for deviation in (0, 0.05, 0.1, 0.2, 0.4)
    ]
    assert values[0] == pytest.approx(0, abs=1e-12)
    assert values == sorted(values)
    assert len(set(values)) == len(values)
