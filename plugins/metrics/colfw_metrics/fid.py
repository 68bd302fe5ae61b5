"""FID: the Frechet distance between what Inception sees of dense and of masked images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_metrics.frechet import frechet_score
from colfw_metrics.inception import features, still_pairs
from colfw_metrics.networks import weights_digest

if TYPE_CHECKING:
    from colfw.samples import Samples, Score
    from colfw_metrics.inception_options import FidConfig


class Fid:
    """The distance of the two sets; which image belongs to which seed makes no difference to it.

    Inception was trained on photographs of 299 x 299 pixels. Smaller images are enlarged and grey ones get
    three equal channels, as in the published codes; of images that are far from photographs, such as digits
    of 8 x 8 pixels, the value says little.
    """

    def __init__(self, config: FidConfig) -> None:
        self._config = config

    def score(self, dense: Samples, masked: Samples) -> Score:
        pairs, dimensions = still_pairs(dense, masked), self._config.dimensions
        return frechet_score(
            features(pairs.dense, self._config, dimensions=dimensions),
            features(pairs.masked, self._config, dimensions=dimensions),
            name="fid",
            replicates=self._config.replicates,
        )

    def inputs_digest(self) -> str | None:
        return weights_digest(self._config)
