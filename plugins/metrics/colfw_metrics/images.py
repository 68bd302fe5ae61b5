"""Pairs of images out of pairs of samples: what the metrics that compare image with image share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from colfw.errors import InvariantError, UnavailableError
from colfw.vocabulary import is_kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.samples import Samples

RANGE: Final = 2.0
"""From the least to the greatest value of a pixel: images are from -1 to 1."""

_AXES: Final = {"image": 4, "video": 5}


@frozen(kw_only=True, eq=False)
class ImagePairs:
    """Dense and masked images `[image, channel, height, width]`; the frames of a video follow each other."""

    dense: NDArray[Any]
    masked: NDArray[Any]
    images_of_sample: NDArray[np.int64]
    """1 for images, for videos the frames that count."""

    def per_sample(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of `values[image]` over the images of each sample."""
        return per_sample(values, self.images_of_sample)


def image_pairs(dense: Samples, masked: Samples) -> ImagePairs:
    """The images of two sets, in pairs; padding of shorter videos is left out."""
    if dense.data.shape != masked.data.shape:
        raise InvariantError(
            f"dense {dense.data.shape} and masked {masked.data.shape} are no pairs", where="samples"
        )
    dense_images, images_of_sample = images(dense)
    masked_images, masked_images_of_sample = images(masked)
    if not np.array_equal(images_of_sample, masked_images_of_sample):
        raise InvariantError("dense and masked videos differ in length: no pairs", where="samples")
    return ImagePairs(dense=dense_images, masked=masked_images, images_of_sample=images_of_sample)


def images(samples: Samples) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """All images `[image, channel, height, width]` of the samples in order, and how many each sample has."""
    _check_form(samples)
    frames = samples.data if samples.data.ndim == _AXES["video"] else samples.data[:, np.newaxis]
    count, longest = frames.shape[:2]
    lengths = np.full(count, longest) if samples.lengths is None else samples.lengths
    if (lengths == longest).all():
        return frames.reshape(-1, *frames.shape[2:]), lengths
    return frames[np.arange(longest) < lengths[:, np.newaxis]], lengths


def per_sample(values: NDArray[np.float64], images_of_sample: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of one value an image over the images of each sample."""
    firsts = np.cumsum(images_of_sample) - images_of_sample
    means: NDArray[np.float64] = np.add.reduceat(values, firsts) / images_of_sample
    return means


def _check_form(samples: Samples) -> None:
    wanted = [name for name in _AXES if is_kind_of(samples.modality, name)]
    if not wanted:
        raise UnavailableError(f"compares images and videos, and these samples are {samples.modality}")
    shape = samples.data.shape
    if samples.data.ndim != _AXES[wanted[0]] or shape[-3] not in {1, 3} or not samples.data.size:
        raise UnavailableError(
            f"needs {wanted[0]}s of one channel or three, and got an array {shape}",
            hint="[sample, channel, height, width], for videos [sample, frame, channel, height, width]",
        )
