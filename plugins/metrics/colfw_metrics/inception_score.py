"""Inception Score: whether Inception is sure of each image's class, and finds many classes in the set."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from colfw.errors import UnavailableError
from colfw.resampling import bootstrapped
from colfw_metrics.config import Of
from colfw_metrics.inception import CLASSES, logits, still_pairs
from colfw_metrics.networks import weights_digest
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from colfw.samples import Samples, Score
    from colfw_metrics.images import ImagePairs
    from colfw_metrics.inception_options import InceptionScoreConfig

    Matrix = NDArray[np.float64]
    Drawn = NDArray[np.int64]

_SHUFFLE_SEED: Final = 2020
"""Of torch-fidelity."""
_TINY: Final = float(np.finfo(np.float64).tiny)


class InceptionScore:
    """The score of the masked set: it compares nothing. What a mask costs is its difference to the score of
    the dense set, which `of = "difference"` gives; `of = "dense"` gives that score.

    A set is cut into parts, and the score is the mean of theirs: exp of the mean divergence of the classes of
    an image from those of its part. It is at least 1, and at most the number of classes, or of images in a
    part where they are fewer.
    """

    def __init__(self, config: InceptionScoreConfig) -> None:
        self._config = config

    def score(self, dense: Samples, masked: Samples) -> Score:
        pairs = still_pairs(dense, masked)
        self._check_count(len(masked))
        of = self._of(pairs)
        least, most = (1 - CLASSES, CLASSES - 1) if self._config.of is Of.DIFFERENCE else (1, CLASSES)
        return bootstrapped(
            of(np.arange(len(masked))),
            of,
            samples=len(masked),
            replicates=self._config.replicates,
            least=least,
            most=most,
        )

    def inputs_digest(self) -> str | None:
        return weights_digest(self._config)

    def _of(self, pairs: ImagePairs) -> Callable[[Drawn], float]:
        """What is asked for, of the samples that are drawn."""
        if self._config.of is not Of.DIFFERENCE:
            shown = self._judged(pairs.dense if self._config.of is Of.DENSE else pairs.masked)
            return lambda drawn: float(shown.scores(drawn).mean())
        first, second = self._judged(pairs.dense), self._judged(pairs.masked)
        return lambda drawn: float(second.scores(drawn).mean() - first.scores(drawn).mean())

    def _judged(self, images: NDArray[Any]) -> JudgedSet:
        config = self._config
        return JudgedSet.of(logits(images, config), splits=config.splits, shuffle=config.shuffle)

    def _check_count(self, samples: int) -> None:
        splits = self._config.splits
        if samples < splits:
            raise UnavailableError(
                f"{samples} samples cannot be cut into {splits} parts",
                where="inception-score",
                hint=f"give it {splits} samples or more, or the option `splits = 1`",
            )
        if samples <= splits * CLASSES:
            warnings.warn(
                f"inception-score: {samples} samples in {splits} parts, where more than {splits * CLASSES}"
                f" are needed to fill {CLASSES} classes in each: the score comes out too small",
                SampleCountWarning,
                stacklevel=3,
            )


@frozen(kw_only=True, eq=False)
class JudgedSet:
    """How likely each class is for each image, and which positions of a drawn set make up a part."""

    probabilities: Matrix
    certainties: Matrix
    """Minus the entropy of each image's classes."""
    parts: tuple[Drawn, ...]

    @classmethod
    def of(cls, logits: NDArray[Any], *, splits: int, shuffle: bool) -> JudgedSet:
        logarithms = _log_probabilities(logits)
        probabilities = np.exp(logarithms)
        return cls(
            probabilities=probabilities,
            certainties=(probabilities * logarithms).sum(axis=1),
            parts=_parts(len(logits), splits, shuffle=shuffle),
        )

    def scores(self, drawn: Drawn) -> Matrix:
        """The score of each part of the set `drawn`, which may hold an image several times."""
        count = len(self.certainties)
        shares = np.stack([np.bincount(drawn[part], minlength=count) / len(part) for part in self.parts])
        classes = shares @ self.probabilities
        # What no image can be adds nothing: 0 log 0 is 0.
        entropies = -(classes * np.log(np.maximum(classes, _TINY))).sum(axis=1)
        scores: Matrix = np.exp(shares @ self.certainties + entropies)
        # Images that are all alike have the score 1, which rounding may miss.
        return np.maximum(scores, 1.0)


def _log_probabilities(logits: NDArray[Any]) -> Matrix:
    highest = logits.max(axis=1, keepdims=True)
    lowered = logits.astype(np.float64) - highest
    logarithms: Matrix = lowered - np.log(np.exp(lowered).sum(axis=1, keepdims=True))
    return logarithms


def _parts(samples: int, splits: int, *, shuffle: bool) -> tuple[Drawn, ...]:
    order = np.arange(samples)
    if shuffle:
        # The old generator, for the reference uses it, and another order would give another score.
        order = np.random.RandomState(_SHUFFLE_SEED).permutation(samples)
    bounds = [part * samples // splits for part in range(splits + 1)]
    return tuple(order[first:end] for first, end in pairwise(bounds))
