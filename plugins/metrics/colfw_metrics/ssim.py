"""Structural similarity: whether brightness, contrast and structure agree, window by window.

Three codes are in wide use and give three different numbers for the same images. They differ in the window,
in what they do at the border, and in how they estimate a variance; the formula is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.lib.stride_tricks import sliding_window_view

from colfw.errors import UnavailableError
from colfw.resampling import score_of_means
from colfw_metrics.image_options import SsimConvention
from colfw_metrics.images import image_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from colfw.samples import Samples, Score
    from colfw_metrics.image_options import SsimConfig

    Plane = NDArray[np.float64]

# Wang et al. 2004, section III-C: K1 and K2, squared, of a range of 1.
_BRIGHTNESS_FLOOR: Final = 0.01**2
_CONTRAST_FLOOR: Final = 0.03**2
_GAUSSIAN_RADIUS: Final = 5
_GAUSSIAN_DEVIATION: Final = 1.5
_UNIFORM_PIXELS: Final = 7


@frozen(kw_only=True, eq=False)
class Window:
    """How local means and variances are taken: the weights of a window's pixels, along each axis."""

    weights: NDArray[np.float64]
    reflects: bool = False
    """Whether windows reach over the border, where the image is reflected, or lie within the image."""
    variance_factor: float = 1.0
    """Above 1 for the variance of a sample instead of that of a population."""

    @property
    def pixels(self) -> int:
        return len(self.weights)

    @property
    def least_pixels(self) -> int:
        """The smallest side of an image that it can be laid on."""
        return self.pixels // 2 + 1 if self.reflects else self.pixels

    def means(self, plane: Plane) -> Plane:
        """The weighted mean of `plane[..., height, width]` in each window."""
        if self.reflects:
            border = (self.pixels // 2,) * 2
            plane = np.pad(plane, [(0, 0)] * (plane.ndim - 2) + [border] * 2, mode="reflect")
        for axis in (-1, -2):
            plane = sliding_window_view(plane, self.pixels, axis=axis) @ self.weights
        return plane


def _gaussian() -> NDArray[np.float64]:
    offsets = np.arange(-_GAUSSIAN_RADIUS, _GAUSSIAN_RADIUS + 1)
    weights = np.exp(-((offsets / _GAUSSIAN_DEVIATION) ** 2) / 2)
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


_UNIFORM: Final = np.full(_UNIFORM_PIXELS, 1 / _UNIFORM_PIXELS)

WINDOWS: Final[Mapping[SsimConvention, Window]] = {
    SsimConvention.WANG: Window(weights=_gaussian()),
    SsimConvention.TORCHMETRICS: Window(weights=_gaussian(), reflects=True),
    SsimConvention.SCIKIT_IMAGE: Window(
        weights=_UNIFORM, variance_factor=_UNIFORM_PIXELS**2 / (_UNIFORM_PIXELS**2 - 1)
    ),
}


class Ssim:
    """The mean over samples of SSIM, of a video over its frames, of a colour image over its channels."""

    def __init__(self, config: SsimConfig) -> None:
        self._config = config

    def score(self, dense: Samples, masked: Samples) -> Score:
        pairs = image_pairs(dense, masked)
        self._check_size(*pairs.dense.shape[-2:])
        window = WINDOWS[self._config.convention]
        of_images = [similarity(*pair, window) for pair in zip(pairs.dense, pairs.masked, strict=True)]
        return score_of_means(pairs.per_sample(np.array(of_images)), least=-1.0, most=1.0)

    def _check_size(self, height: int, width: int) -> None:
        convention = self._config.convention
        window = WINDOWS[convention]
        if min(height, width) >= window.least_pixels:
            return
        fitting = [name.value for name, other in WINDOWS.items() if min(height, width) >= other.least_pixels]
        raise UnavailableError(
            f"images of {height}x{width} pixels are too small for the {window.pixels}x{window.pixels} window"
            f" of convention {convention.value!r}: {window.least_pixels} pixels are the least",
            hint=f"choose convention = {' or '.join(map(repr, fitting))}" if fitting else None,
        )


def similarity(dense: NDArray[Any], masked: NDArray[Any], window: Window) -> float:
    """SSIM of two images `[channel, height, width]` from -1 to 1."""
    # The formula knows black: it is defined for values from 0 up.
    one, other = ((each.astype(np.float64) + 1) / 2 for each in (dense, masked))
    means = window.means(one), window.means(other)
    brightness = means[0] ** 2 + means[1] ** 2
    product = means[0] * means[1]
    contrast = window.variance_factor * (window.means(one**2 + other**2) - brightness)
    covariance = window.variance_factor * (window.means(one * other) - product)
    agreement = (2 * product + _BRIGHTNESS_FLOOR) * (2 * covariance + _CONTRAST_FLOOR)
    most = (brightness + _BRIGHTNESS_FLOOR) * (contrast + _CONTRAST_FLOOR)
    return float(np.mean(agreement / most))
