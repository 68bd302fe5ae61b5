"""Judges: small classifiers, trained and shipped with colfw, through whose eyes miniatures are compared.

A judge is a trunk, whose output is what metrics compare, and a head that tells classes apart: for that it was
trained. `MODEL_CARD.md` beside this file says on what each was trained and what its distances mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from attrs import frozen
from torch import nn
from torch.nn import functional

from colfw.errors import InvariantError
from colfw.features import features_of
from colfw.resampling import score_of_means
from colfw_metrics.config import NetworkConfig
from colfw_metrics.frechet import frechet_score
from colfw_metrics.networks import Architecture, extractor, weights_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from colfw.samples import Samples, Score

FEATURES = 32
"""Few, so that some hundred samples tell their means and covariances."""


class JudgeNetwork(nn.Module):
    """Logits `[sample, class]` of what was looked at.

    The trunk ends in features of mean 0 and variance 1 over what the judge was trained on, so a distance
    counts in standard deviations of real samples, whatever the scale of the weights.
    """

    def __init__(self, looking: nn.Sequential, classes: int) -> None:
        super().__init__()
        # Slow averages: when training ends they are those of its last hundred batches.
        self.trunk = nn.Sequential(*looking, nn.BatchNorm1d(FEATURES, affine=False, momentum=0.01))
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, seen: Tensor) -> Tensor:
        logits: Tensor = self.head(functional.gelu(self.trunk(seen)))
        return logits


@frozen(kw_only=True)
class Judge:
    """A shipped classifier: what it is built of, what it can look at, and how that is shown to it."""

    name: str
    version: int
    """Rises when the same weights would give other features."""
    build: Callable[[], JudgeNetwork]
    show: Callable[[Tensor], Tensor]
    """From samples as they are stored to what the network takes."""
    refuse: Callable[[Samples], None]
    """Raises what says why these samples cannot be looked at."""
    folder: Path = Path(__file__).parent
    batch_samples: int = 64

    @property
    def config(self) -> NetworkConfig:
        # So small that a GPU would be no quicker, and it rounds differently.
        return NetworkConfig(weights=self.weights, device="cpu", batch_samples=self.batch_samples)

    @property
    def weights(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    @property
    def digest(self) -> str | None:
        """By which results of other weights are told apart."""
        return weights_digest(self.config)

    def features(self, samples: Samples) -> NDArray[Any]:
        """`[sample, feature]`: where a Fréchet distance is taken."""
        return self._seen(samples, "features", lambda network, seen: network.trunk(seen))

    def classes(self, samples: Samples) -> NDArray[np.int64]:
        """The number of the class that each sample most looks like."""
        logits = self._seen(samples, "logits", lambda network, seen: network(seen))
        return np.asarray(logits.argmax(axis=1), np.int64)

    def _seen(self, samples: Samples, view: str, look: Callable[[Any, Tensor], Tensor]) -> NDArray[Any]:
        self.refuse(samples)
        architecture = Architecture(
            name=self.name, version=self.version, build=self.build, released="shipped with colfw"
        )
        looks = extractor(
            architecture, self.config, lambda network, batch: look(network, self.show(batch)), view=view
        )
        return features_of(looks, samples.data)


class Distance:
    """A metric: the Fréchet distance between features, in variances of a real feature; 0 for equal sets."""

    judge: ClassVar[Judge]
    name: ClassVar[str]

    def inputs_digest(self) -> str | None:
        return self.judge.digest

    def score(self, dense: Samples, masked: Samples) -> Score:
        return distance(self.judge, dense, masked, name=self.name)


class Agreement:
    """A metric: how many of a hundred masked samples look like the class of their dense twin."""

    judge: ClassVar[Judge]

    def inputs_digest(self) -> str | None:
        return self.judge.digest

    def score(self, dense: Samples, masked: Samples) -> Score:
        return agreement(self.judge, dense, masked)


def distance(judge: Judge, dense: Samples, masked: Samples, *, name: str) -> Score:
    _check_pairs(dense, masked)
    return frechet_score(judge.features(dense), judge.features(masked), name=name)


def agreement(judge: Judge, dense: Samples, masked: Samples) -> Score:
    _check_pairs(dense, masked)
    return score_of_means(100.0 * (judge.classes(dense) == judge.classes(masked)), least=0.0, most=100.0)


def _check_pairs(dense: Samples, masked: Samples) -> None:
    if dense.data.shape != masked.data.shape:
        raise InvariantError(
            f"dense samples are {list(dense.data.shape)} and masked ones {list(masked.data.shape)}",
            where=f"{dense.modality} samples",
        )
