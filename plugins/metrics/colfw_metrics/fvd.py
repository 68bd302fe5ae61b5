"""FVD: the Frechet distance between what I3D sees in dense and in masked videos (Unterthiner et al. 2018)."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.nn import functional

from colfw.errors import InvariantError, UnavailableError
from colfw.samples import FORMS
from colfw.vocabulary import is_kind_of
from colfw_metrics.frechet import frechet_score
from colfw_metrics.i3d import I3D, LEAST_FRAMES, SIDE
from colfw_metrics.media_options import FvdFrames
from colfw_metrics.networks import extractor, weights_digest
from colfw_metrics.resizing import as_tensorflow_1, in_8_bits
from colfw_metrics.unpadded import features_without_padding

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from colfw.samples import Samples, Score
    from colfw_metrics.media_options import FvdConfig
    from colfw_metrics.networks import Architecture


class Fvd:
    """The distance between both sets' logits of 400 actions, averaged over time."""

    def __init__(self, config: FvdConfig, architecture: Architecture = I3D) -> None:
        self._config = config
        self._architecture = architecture

    def inputs_digest(self) -> str | None:
        return weights_digest(self._config)

    def score(self, dense: Samples, masked: Samples) -> Score:
        _check_pair(dense, masked)
        return frechet_score(
            self._features(dense), self._features(masked), name="fvd", replicates=self._config.replicates
        )

    def _features(self, videos: Samples) -> NDArray[Any]:
        """`[sample, class]`."""
        _check_form(videos)
        looks = extractor(
            self._architecture,
            self._config,
            lambda network, batch: network(shown(batch, self._config.frames)),
            view=f"logits of {self._config.frames} frames",
        )
        return np.stack(features_without_padding(looks, videos))


def shown(videos: Tensor, frames: FvdFrames) -> Tensor:
    """From `[sample, frame, channel, height, width]` to `[sample, 3, frame, 224, 224]`, -1 to 1.

    The codes read files: pixels are rounded to 8 bits as if they came from one, and a grey video has
    three equal channels.
    """
    count, length = videos.shape[:2]
    squares = _SQUARES[frames](in_8_bits(videos.flatten(0, 1))) / 127.5 - 1
    return squares.expand(-1, 3, -1, -1).reshape(count, length, 3, SIDE, SIDE).transpose(1, 2)


def _squashed_by_tensorflow(images: Tensor) -> Tensor:
    return as_tensorflow_1(images, SIDE)


def _squashed(images: Tensor) -> Tensor:
    return functional.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


def _cropped(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    scale = SIDE / min(height, width)
    size = tuple(SIDE if side == min(height, width) else ceil(side * scale) for side in (height, width))
    resized = functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
    top, left = ((side - SIDE) // 2 for side in size)
    return resized[..., top : top + SIDE, left : left + SIDE]


_SQUARES = {
    FvdFrames.ORIGINAL: _squashed_by_tensorflow,
    FvdFrames.TATS: _squashed,
    FvdFrames.VIDEOGPT: _cropped,
}


def _check_pair(dense: Samples, masked: Samples) -> None:
    if dense.data.shape != masked.data.shape:
        raise InvariantError(
            f"dense {list(dense.data.shape)} and masked {list(masked.data.shape)} are no pair", where="videos"
        )


def _check_form(videos: Samples) -> None:
    shape = videos.data.shape
    if not is_kind_of(videos.modality, "video") or len(shape) != 5 or shape[2] not in {1, 3} or 0 in shape:
        raise UnavailableError(
            f"must be videos {FORMS['video']}; these are {videos.modality} {list(shape)}", where="fvd"
        )
    shortest = int(videos.counting.min())
    if shortest < LEAST_FRAMES:
        raise UnavailableError(
            f"I3D looks at {LEAST_FRAMES} frames at least, and the shortest video has {shortest}", where="fvd"
        )
