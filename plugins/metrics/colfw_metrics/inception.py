"""The Inception network of FID and of the Inception Score, and how images are shown to it.

It is Inception v3 as TensorFlow's graph of 2015-12-05 has it, which the weights come from that everyone uses.
Against the Inception v3 of the libraries: average pools leave out the padding, the last block pools by the
maximum, there are 1008 classes, and batch normalisation adds 1e-3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from attrs import field, frozen
from torch import nn
from torch.nn import functional

from colfw.denoising.checkpoints import CheckpointLayout, read_checkpoint
from colfw.errors import UnavailableError
from colfw.features import features_of
from colfw.vocabulary import is_kind_of
from colfw_metrics.images import image_pairs
from colfw_metrics.inception_options import Resize
from colfw_metrics.networks import Architecture, extractor
from colfw_metrics.resizing import as_tensorflow_1, in_8_bits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from numpy.typing import NDArray
    from torch import Tensor

    from colfw.samples import Samples
    from colfw_metrics.images import ImagePairs
    from colfw_metrics.inception_options import InceptionConfig
    from colfw_metrics.networks import NetworkExtractor

SIDE_PX: Final = 299
CLASSES: Final = 1008
DEEPEST: Final = 2048
"""Dimensions of the features that the classes are told from."""

Kernel = int | tuple[int, int]
Layer = tuple[str, int, Kernel]
"""The name of a unit, how many maps leave it, and the size of its kernel."""


# --- building blocks ------------------------------------------------------------------------------


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, arriving: int, leaving: int, kernel: Kernel, *, stride: int = 1, pads: bool) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if pads else 0
        self.conv = nn.Conv2d(arriving, leaving, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(leaving, eps=1e-3)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(maps)))


@frozen
class Branch:
    """Units one after the other, and after them those of `ends` side by side."""

    chain: tuple[Layer, ...]
    ends: tuple[Layer, ...] = field(default=(), kw_only=True)
    halves: bool = field(default=False, kw_only=True)
    """Whether the last unit takes every second pixel, and does not pad."""


class Block(nn.Module):
    """Branches side by side, the last of them a pool; what they give lies in that order."""

    def __init__(
        self, arriving: int, branches: tuple[Branch, ...], pool: nn.Module, *, pooled: int | None = None
    ) -> None:
        super().__init__()
        self.branches, self.pool = branches, pool
        for branch in branches:
            self._add(branch, arriving)
        self.branch_pool = nn.Identity() if pooled is None else Unit(arriving, pooled, 1, pads=True)

    def _add(self, branch: Branch, arriving: int) -> None:
        for layer in branch.chain:
            name, leaving, kernel = layer
            halves = branch.halves and layer == branch.chain[-1]
            unit = Unit(arriving, leaving, kernel, stride=2 if halves else 1, pads=not halves)
            self.add_module(_key(name), unit)
            arriving = leaving
        for name, leaving, kernel in branch.ends:
            self.add_module(_key(name), Unit(arriving, leaving, kernel, pads=True))

    def forward(self, maps: Tensor) -> Tensor:
        found = [end for branch in self.branches for end in self._through(branch, maps)]
        return torch.cat([*found, self.branch_pool(self.pool(maps))], dim=1)

    def _through(self, branch: Branch, maps: Tensor) -> list[Tensor]:
        for name, _, _ in branch.chain:
            maps = self.get_submodule(_key(name))(maps)
        return [self.get_submodule(_key(name))(maps) for name, _, _ in branch.ends] or [maps]


def _key(name: str) -> str:
    return f"branch{name}"


def _average() -> nn.Module:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def _maximum() -> nn.Module:
    return nn.MaxPool2d(3, stride=1, padding=1)


def _halving() -> nn.Module:
    return nn.MaxPool2d(3, stride=2)


# --- the network ----------------------------------------------------------------------------------


def _block_5(arriving: int, pooled: int) -> Block:
    branches = (
        Branch((("1x1", 64, 1),)),
        Branch((("5x5_1", 48, 1), ("5x5_2", 64, 5))),
        Branch((("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3), ("3x3dbl_3", 96, 3))),
    )
    return Block(arriving, branches, _average(), pooled=pooled)


def _block_6a() -> Block:
    branches = (
        Branch((("3x3", 384, 3),), halves=True),
        Branch((("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3), ("3x3dbl_3", 96, 3)), halves=True),
    )
    return Block(288, branches, _halving())


def _block_6(inner: int) -> Block:
    across, down = (1, 7), (7, 1)
    once = (("7x7_1", inner, 1), ("7x7_2", inner, across), ("7x7_3", 192, down))
    twice = (
        ("7x7dbl_1", inner, 1),
        ("7x7dbl_2", inner, down),
        ("7x7dbl_3", inner, across),
        ("7x7dbl_4", inner, down),
        ("7x7dbl_5", 192, across),
    )
    return Block(768, (Branch((("1x1", 192, 1),)), Branch(once), Branch(twice)), _average(), pooled=192)


def _block_7a() -> Block:
    seven = (("7x7x3_1", 192, 1), ("7x7x3_2", 192, (1, 7)), ("7x7x3_3", 192, (7, 1)), ("7x7x3_4", 192, 3))
    three = (("3x3_1", 192, 1), ("3x3_2", 320, 3))
    return Block(768, (Branch(three, halves=True), Branch(seven, halves=True)), _halving())


def _block_7(arriving: int, pool: nn.Module) -> Block:
    across, down = (1, 3), (3, 1)
    branches = (
        Branch((("1x1", 320, 1),)),
        Branch((("3x3_1", 384, 1),), ends=(("3x3_2a", 384, across), ("3x3_2b", 384, down))),
        Branch(
            (("3x3dbl_1", 448, 1), ("3x3dbl_2", 384, 3)),
            ends=(("3x3dbl_3a", 384, across), ("3x3dbl_3b", 384, down)),
        ),
    )
    return Block(arriving, branches, pool, pooled=192)


class Inception(nn.Module):
    """Features of pictures `[sample, 3, 299, 299]` from -1 to 1: means over what is left of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, stride=2, pads=False)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, pads=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, pads=True)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1, pads=False)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, pads=False)
        self.Mixed_5b = _block_5(192, pooled=32)
        self.Mixed_5c = _block_5(256, pooled=64)
        self.Mixed_5d = _block_5(288, pooled=64)
        self.Mixed_6a = _block_6a()
        self.Mixed_6b = _block_6(128)
        self.Mixed_6c = _block_6(160)
        self.Mixed_6d = _block_6(160)
        self.Mixed_6e = _block_6(192)
        self.Mixed_7a = _block_7a()
        self.Mixed_7b = _block_7(1280, _average())
        self.Mixed_7c = _block_7(2048, _maximum())
        self.fc = nn.Linear(DEEPEST, CLASSES)

    def forward(self, pictures: Tensor, dimensions: int = DEEPEST) -> Tensor:
        maps = pictures
        for stage in self._stages():
            for module in stage:
                maps = module(maps)
            if maps.shape[1] == dimensions:
                break
        return maps.mean(dim=(2, 3))

    def _stages(self) -> tuple[tuple[nn.Module, ...], ...]:
        """What stands before the places where features are taken: 64, 192, 768 and 2048 of them."""
        return (
            (self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3, _halving()),
            (self.Conv2d_3b_1x1, self.Conv2d_4a_3x3, _halving()),
            (self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, *self._blocks_6()),
            (self.Mixed_7a, self.Mixed_7b, self.Mixed_7c),
        )

    def _blocks_6(self) -> tuple[nn.Module, ...]:
        return self.Mixed_6a, self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e


INCEPTION: Final = Architecture(
    name="Inception of 2015-12-05",
    version=1,
    build=Inception,
    released="pt_inception-2015-12-05-6726825d.pth, from the releases of github.com/mseitzer/pytorch-fid",
    # Counts of training steps, which the released file may lack.
    layout=CheckpointLayout(computed=("*.num_batches_tracked",)),
)


# --- how images are shown to it -------------------------------------------------------------------


def pictures(images: Tensor, resize: Resize) -> Tensor:
    """Images `[sample, channel, height, width]` from -1 to 1, as the code that `resize` names shows them.

    The codes read files: images are clipped and rounded to 8 bits as if they came from one, and a grey
    one has three equal channels.
    """
    return _SHOWN[resize](in_8_bits(images).expand(-1, 3, -1, -1))


def _as_torch_fidelity(levels: Tensor) -> Tensor:
    return (as_tensorflow_1(levels, SIDE_PX) - 128) / 128


def _as_pytorch_fid(levels: Tensor) -> Tensor:
    shown = functional.interpolate(levels / 255, (SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False)
    return 2 * shown - 1


def _as_clean_fid(levels: Tensor) -> Tensor:
    # Pillow sums in float64 and keeps float32.
    shown = functional.interpolate(levels.double(), (SIDE_PX, SIDE_PX), mode="bicubic", antialias=True)
    return (shown.float() - 128) / 128


_SHOWN: Final[Mapping[Resize, Callable[[Tensor], Tensor]]] = {
    Resize.TORCH_FIDELITY: _as_torch_fidelity,
    Resize.PYTORCH_FID: _as_pytorch_fid,
    Resize.CLEAN_FID: _as_clean_fid,
}


# --- what metrics ask for -------------------------------------------------------------------------


def still_pairs(dense: Samples, masked: Samples) -> ImagePairs:
    """The images of two sets; frames of a video are no independent images, and are not taken for such."""
    for samples in (dense, masked):
        if not is_kind_of(samples.modality, "image"):
            raise UnavailableError(f"looks at single images, and these samples are {samples.modality}")
    return image_pairs(dense, masked)


def features(images: NDArray[Any], config: InceptionConfig, *, dimensions: int = DEEPEST) -> NDArray[Any]:
    """What Inception sees of each image: `[sample, dimensions]`."""
    return features_of(_looking(config, dimensions), images)


def logits(images: NDArray[Any], config: InceptionConfig) -> NDArray[Any]:
    """How likely Inception finds each class, without the bias of the classes: `[sample, class]`.

    They are made from the features that FID has, so that an image is looked at once for both.
    """
    found = _looking(config, DEEPEST)
    weights = read_checkpoint(found.weights, INCEPTION.layout).state["fc.weight"].float().numpy()
    shown: NDArray[Any] = features(images, config) @ weights.T
    return shown


def _looking(config: InceptionConfig, dimensions: int) -> NetworkExtractor:
    return extractor(
        INCEPTION,
        config,
        lambda network, shown: network(pictures(shown, config.resize), dimensions),
        view=f"{dimensions} {config.resize}",
    )
