"""Peak signal-to-noise ratio: how large the error of a masked image is, on a logarithmic scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colfw.resampling import bootstrapped, score_of_means
from colfw_metrics.image_options import Pooling
from colfw_metrics.images import RANGE, image_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.samples import Samples, Score
    from colfw_metrics.image_options import PsnrConfig
    from colfw_metrics.images import ImagePairs


class Psnr:
    """10 log10(range^2 / mean squared error) in dB, of images as they are: not rounded to 8 bits.

    The value of a set is the mean over its samples, that of a video the mean over its frames; with pooling,
    one logarithm is taken of the squared error of all images. Equal images would have an infinite value,
    and one of them would make every mean infinite: no logarithm counts for more than the ceiling.
    """

    def __init__(self, config: PsnrConfig) -> None:
        self._config = config

    def score(self, dense: Samples, masked: Samples) -> Score:
        pairs = image_pairs(dense, masked)
        errors = squared_errors(pairs)
        if self._config.pooling is Pooling.POOLED:
            return self._pooled(pairs.per_sample(errors), pairs.images_of_sample)
        return score_of_means(pairs.per_sample(self._decibels(errors)), most=self._config.ceiling_db)

    def _pooled(self, errors: NDArray[np.float64], weights: NDArray[np.int64]) -> Score:
        def of(drawn: NDArray[np.int64]) -> float:
            return float(self._decibels(np.average(errors[drawn], weights=weights[drawn])))

        everything = np.arange(len(errors))
        return bootstrapped(of(everything), of, samples=len(errors), most=self._config.ceiling_db)

    def _decibels(self, errors: Any) -> Any:
        with np.errstate(divide="ignore"):
            return np.minimum(10 * np.log10(RANGE**2 / errors), self._config.ceiling_db)


def squared_errors(pairs: ImagePairs) -> NDArray[np.float64]:
    """The mean squared error of each image, one at a time: a set in float64 may not fit the memory."""
    return np.array(
        [
            np.mean((dense.astype(np.float64) - masked) ** 2)
            for dense, masked in zip(pairs.dense, pairs.masked, strict=True)
        ]
    )
