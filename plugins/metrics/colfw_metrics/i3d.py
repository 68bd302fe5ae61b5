"""I3D: an Inception network of three-dimensional convolutions that tells 400 actions in videos apart.

Carreira and Zisserman 2017. Names follow the released weights. Padding is TensorFlow's `SAME`, and batch
norms add 1e-3 to the variance, as in the graph from which the weights come.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import torch
from torch import nn
from torch.nn import functional

from colfw.denoising.checkpoints import CheckpointLayout
from colfw_metrics.networks import Architecture

if TYPE_CHECKING:
    from torch import Tensor

SIDE: Final = 224
"""Pixels of a frame's side."""
LEAST_FRAMES: Final = 9
"""With fewer than nine frames fewer than two are left for the last pooling, which looks at two."""
CLASSES: Final = 400

_EPSILON: Final = 1e-3
_POOLED: Final = (2, 7, 7)

Triple = tuple[int, int, int]


def same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Zeros around `[..., frame, height, width]` so that a stride of s leaves one of every s, rounded up.

    An odd zero goes to the end. Max pooling may take zeros too: it follows a ReLU here.
    """
    around: list[int] = []
    for size, width, step in zip(reversed(x.shape[-3:]), reversed(kernel), reversed(stride), strict=True):
        missing = max(0, (-(-size // step) - 1) * step + width - size)
        around += [missing // 2, missing - missing // 2]
    return functional.pad(x, around)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, taken: int, given: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(taken, given, self.kernel, self.stride, bias=False)
        self.bn = nn.BatchNorm3d(given, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv3d(same(x, self.kernel, self.stride))))


class MaxPool(nn.Module):
    """The largest of each neighbourhood."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool3d(same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four branches side by side: 1, 1 then 3, 1 then 3, pooling then 1."""

    def __init__(self, taken: int, given: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        single, before_first, first, before_second, second, pooled = given
        self.b0 = Unit(taken, single)
        self.b1a = Unit(taken, before_first)
        self.b1b = Unit(before_first, first, 3)
        self.b2a = Unit(taken, before_second)
        self.b2b = Unit(before_second, second, 3)
        self.b3a = MaxPool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit(taken, pooled)

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x)))
        return torch.cat(branches, dim=1)


class Logits(nn.Module):
    """A score for each class at each place, averaged over places: over time, where frames are 224x224."""

    def __init__(self, taken: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(taken, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.conv3d(x)
        return scores.mean(dim=(2, 3, 4))


def network() -> nn.Sequential:
    """From videos `[sample, 3, frame, 224, 224]`, -1 to 1, to logits `[sample, 400]`."""
    return nn.Sequential(
        OrderedDict(
            {
                "Conv3d_1a_7x7": Unit(3, 64, 7, 2),
                "MaxPool3d_2a_3x3": MaxPool((1, 3, 3), (1, 2, 2)),
                "Conv3d_2b_1x1": Unit(64, 64),
                "Conv3d_2c_3x3": Unit(64, 192, 3),
                "MaxPool3d_3a_3x3": MaxPool((1, 3, 3), (1, 2, 2)),
                "Mixed_3b": Mixed(192, (64, 96, 128, 16, 32, 32)),
                "Mixed_3c": Mixed(256, (128, 128, 192, 32, 96, 64)),
                "MaxPool3d_4a_3x3": MaxPool((3, 3, 3), (2, 2, 2)),
                "Mixed_4b": Mixed(480, (192, 96, 208, 16, 48, 64)),
                "Mixed_4c": Mixed(512, (160, 112, 224, 24, 64, 64)),
                "Mixed_4d": Mixed(512, (128, 128, 256, 24, 64, 64)),
                "Mixed_4e": Mixed(512, (112, 144, 288, 32, 64, 64)),
                "Mixed_4f": Mixed(528, (256, 160, 320, 32, 128, 128)),
                "MaxPool3d_5a_2x2": MaxPool((2, 2, 2), (2, 2, 2)),
                "Mixed_5b": Mixed(832, (256, 160, 320, 32, 128, 128)),
                "Mixed_5c": Mixed(832, (384, 192, 384, 48, 128, 128)),
                "pooled": nn.AvgPool3d(_POOLED, stride=1),
                "logits": Logits(1024),
            }
        )
    )


I3D: Final = Architecture(
    name="I3D (Kinetics-400)",
    version=1,
    build=network,
    released="i3d_pretrained_400.pt, published with VideoGPT and TATS (github.com/songweige/TATS)",
    layout=CheckpointLayout(computed=("*.num_batches_tracked",)),
)
