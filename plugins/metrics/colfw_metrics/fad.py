"""FAD: the Frechet distance between what VGGish hears in dense and in masked sound (Kilgour et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from colfw.errors import InvariantError, UnavailableError
from colfw_metrics import vggish
from colfw_metrics.audio import WHERE, rate_of_pair, resampled, resampled_length
from colfw_metrics.frechet import frechet_score
from colfw_metrics.media_options import FadWindows
from colfw_metrics.networks import extractor, weights_digest
from colfw_metrics.unpadded import features_without_padding

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from colfw.samples import Samples, Score
    from colfw_metrics.media_options import FadConfig
    from colfw_metrics.networks import Architecture

_HOP_FRAMES = {FadWindows.ADJACENT: 96, FadWindows.OVERLAPPING: 50}
"""From one window to the next, of 10 ms."""


class Fad:
    """The distance between the features of all windows of both sets.

    A sample has several windows, and for the interval samples are drawn with all of theirs: windows of one
    sample resemble each other, and drawing them one by one would promise too much.
    """

    def __init__(self, config: FadConfig, architecture: Architecture = vggish.VGGISH) -> None:
        self._config = config
        self._architecture = architecture

    def inputs_digest(self) -> str | None:
        return weights_digest(self._config)

    def score(self, dense: Samples, masked: Samples) -> Score:
        rate_hz = rate_of_pair(dense, masked)
        samples = self._sample_of_window(dense, rate_hz)
        if not np.array_equal(samples, self._sample_of_window(masked, rate_hz)):
            raise InvariantError("dense and masked sounds of one seed differ in length", where=WHERE)
        features = [self._features(sounds, rate_hz) for sounds in (dense, masked)]
        return frechet_score(*features, name="fad", replicates=self._config.replicates, sample_of_row=samples)

    def _features(self, sounds: Samples, rate_hz: float) -> NDArray[Any]:
        """`[window, feature]`, window after window and sample after sample."""
        hears = extractor(
            self._architecture,
            self._config,
            lambda network, batch: self._heard(network, batch, rate_hz),
            view=f"{self._config.windows} windows of {rate_hz!r} Hz",
        )
        return np.concatenate(features_without_padding(hears, sounds))

    def _heard(self, network: Any, batch: Tensor, rate_hz: float) -> Tensor:
        """`[sample, window, feature]`; spectrograms are made in float64 on the CPU, as the reference does."""
        waves = resampled(batch.cpu().numpy(), rate_hz, vggish.RATE_HZ)
        cut = torch.from_numpy(vggish.windows(waves, self._hop).astype(np.float32))
        features: Tensor = network(cut.flatten(0, 1)[:, None].to(batch.device))
        return features.reshape(*cut.shape[:2], -1)

    def _sample_of_window(self, sounds: Samples, rate_hz: float) -> NDArray[np.int64]:
        """The sample to which each window belongs; each sample has one at least."""
        lengths = [resampled_length(int(n), rate_hz, vggish.RATE_HZ) for n in sounds.counting]
        counts = [vggish.count_windows(length, self._hop) for length in lengths]
        if not all(counts):
            raise UnavailableError(
                f"VGGish hears windows of 0.96 s, and sample {counts.index(0)} (from 0) fills none",
                where=WHERE,
                hint=f"{vggish.LEAST_SAMPLES} values at {vggish.RATE_HZ} Hz do",
            )
        return np.repeat(np.arange(len(sounds)), counts)

    @property
    def _hop(self) -> int:
        return _HOP_FRAMES[self._config.windows]
