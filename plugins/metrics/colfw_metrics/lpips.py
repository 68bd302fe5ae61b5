"""LPIPS v0.1: how far two images are apart in what a network sees, weighted as people judge.

Zhang et al. 2018. The network is VGG-16 or AlexNet as torchvision releases them; the weights of the distance
are small and come with this package (`data/LPIPS-LICENSE`).
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from attrs import frozen
from safetensors.torch import load_file
from torch import nn

from colfw.denoising.checkpoints import CheckpointLayout
from colfw.errors import UnavailableError
from colfw.features import features_of
from colfw.resampling import score_of_means
from colfw_metrics.image_options import LpipsNetwork
from colfw_metrics.images import image_pairs
from colfw_metrics.networks import Architecture, extractor, weights_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from colfw.samples import Samples, Score
    from colfw_metrics.image_options import LpipsConfig

# Mean and deviation of ImageNet's colours, of pixels from -1 to 1, to the digits that LPIPS was trained with.
_SHIFT: Final = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
_SCALE: Final = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
# Keeps pixels where nothing is seen from being divided by zero.
_LEAST_NORM: Final = 1e-10


@frozen(kw_only=True)
class Trunk:
    """A network that sees, and after which of its layers it is asked what it saw."""

    architecture: Architecture
    taps: tuple[int, ...]
    least_pixels: int
    """Of a smaller side of an image nothing is left at the last tap."""


def _vgg16() -> nn.Sequential:
    """The convolutions of VGG-16 up to relu5_3: blocks of 3x3 convolutions, halved between them."""
    layers: list[nn.Module] = []
    channels = 3
    for wide, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [nn.MaxPool2d(2)] if layers else []
        widths = [channels, *[wide] * convolutions]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        channels = wide
    return nn.Sequential(*layers)


def _alexnet() -> nn.Sequential:
    """The convolutions of AlexNet, in the form of Krizhevsky 2014, up to relu5."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    )


# The released files hold classifiers as well, which are not asked.
_LAYOUT: Final = CheckpointLayout(prefixes=("features.",))

TRUNKS: Final[Mapping[LpipsNetwork, Trunk]] = {
    LpipsNetwork.VGG: Trunk(
        architecture=Architecture(
            name="VGG-16",
            version=1,
            build=_vgg16,
            released="torchvision's vgg16-397923af.pth, from download.pytorch.org/models",
            layout=_LAYOUT,
        ),
        taps=(3, 8, 15, 22, 29),
        least_pixels=16,
    ),
    LpipsNetwork.ALEX: Trunk(
        architecture=Architecture(
            name="AlexNet",
            version=1,
            build=_alexnet,
            released="torchvision's alexnet-owt-7be5be79.pth, from download.pytorch.org/models",
            layout=_LAYOUT,
        ),
        taps=(1, 4, 7, 9, 11),
        least_pixels=31,
    ),
}


class Lpips:
    """The mean over samples of LPIPS, of a video over its frames; a grey image is seen as one in colour.

    Images go in as they are, without a resize. What a network sees in an image is larger than the image, so
    it is compared at once and only the distances are kept.
    """

    def __init__(self, config: LpipsConfig) -> None:
        self._config = config

    def inputs_digest(self) -> str | None:
        return weights_digest(self._config)

    def score(self, dense: Samples, masked: Samples) -> Score:
        pairs = image_pairs(dense, masked)
        trunk = TRUNKS[self._config.network]
        self._check_size(trunk, *pairs.dense.shape[-2:])
        distances = features_of(self._extractor(trunk), np.stack([pairs.dense, pairs.masked], axis=1))
        values = distances.astype(np.float64).sum(axis=1)
        return score_of_means(pairs.per_sample(values), least=0.0)

    def _extractor(self, trunk: Trunk) -> Any:
        linear = released_linear(self._config.network)
        return extractor(
            trunk.architecture,
            self._config,
            lambda network, pairs: distances_of_layers(network, trunk.taps, linear, pairs),
            view="LPIPS v0.1",
        )

    def _check_size(self, trunk: Trunk, height: int, width: int) -> None:
        if min(height, width) < trunk.least_pixels:
            raise UnavailableError(
                f"images of {height}x{width} pixels are too small for {trunk.architecture.name}:"
                f" {trunk.least_pixels} pixels are the least"
            )


def distances_of_layers(
    network: nn.Sequential, taps: Sequence[int], linear: Sequence[Tensor], pairs: Tensor
) -> Tensor:
    """`[pair, layer]` of `pairs[pair, 2, channel, height, width]` from -1 to 1; LPIPS is the sum of layers.

    At each pixel the features of a layer are scaled to length 1, so that what counts is which are strong and
    not how strong they are together.
    """
    colour = pairs.float().expand(-1, -1, 3, -1, -1).flatten(0, 1)
    seen = (colour - _SHIFT.to(colour.device)) / _SCALE.to(colour.device)
    distances: list[Tensor] = []
    for index, layer in enumerate(network):
        seen = layer(seen)
        if index in taps:
            weights = linear[len(distances)].to(seen.device)
            distances.append(_distance(seen.unflatten(0, (-1, 2)), weights))
    return torch.stack(distances, dim=1)


def _distance(features: Tensor, weights: Tensor) -> Tensor:
    norm = features.square().sum(dim=2, keepdim=True).sqrt()
    dense, masked = (features / (norm + _LEAST_NORM)).unbind(dim=1)
    return torch.einsum("pchw,c->phw", (dense - masked).square(), weights).mean(dim=(1, 2))


@cache
def released_linear(network: LpipsNetwork) -> tuple[Tensor, ...]:
    """The weights of the distance, of each tap: one a channel, none negative."""
    released = load_file(Path(__file__).with_name("data") / "lpips-v0.1.safetensors")
    return tuple(released[f"{network.value}.lin{tap}.model.1.weight"] for tap in range(5))
