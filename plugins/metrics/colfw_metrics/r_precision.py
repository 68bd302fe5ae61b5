"""What the HumanML3D evaluator says of one set of motions: do they fit their texts, do they vary?

R-precision and matching score compare motions with texts; diversity and multimodality compare motions with
one another. Each has a value of the dense and one of the masked motions: option `of` says which is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import evolve

from colfw.errors import UnavailableError
from colfw.resampling import score_of_means
from colfw_metrics.config import Of
from colfw_metrics.motion import WHERE, check_pair
from colfw_metrics.motion_evaluator import inputs_digest, points_of_motions, points_of_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from colfw.samples import Samples, Score
    from colfw_metrics.motion_options import (
        DiversityConfig,
        MotionEvaluatorConfig,
        MultimodalityConfig,
        RPrecisionConfig,
        TextMatchConfig,
    )

    Points = NDArray[Any]
    Values = NDArray[np.float64]

GROUP: Final = 32
"""A text looks for its motion among so many, its own one of them."""


class _TextMatch:
    """A value for each pair of text and motion, and the mean of them.

    Pairs are put in groups of 32 in their order, as the evaluation of MDM does; what is left over counts for
    nothing.
    """

    def __init__(self, config: TextMatchConfig) -> None:
        self._config = config

    def inputs_digest(self) -> str | None:
        return inputs_digest(self._config, self._config.texts)

    def score(self, dense: Samples, masked: Samples) -> Score:
        check_pair(dense, masked)
        config = self._config
        if len(masked) < GROUP:
            raise UnavailableError(f"need {GROUP} samples at least, and are {len(masked)}", where=WHERE)
        texts = points_of_texts(config, samples=len(masked))
        return score_of_means(
            _shown(config, config.of, dense, masked, lambda motions: self.values(texts, motions))
        )

    def values(self, texts: Points, motions: Points) -> Values:
        """A value for each pair of a whole group."""
        raise NotImplementedError


class RPrecision(_TextMatch):
    """The share of texts whose own motion is among the `top` nearest of their group."""

    def __init__(self, config: RPrecisionConfig) -> None:
        super().__init__(config)
        self._top = config.top

    def values(self, texts: Points, motions: Points) -> Values:
        return (ranks(texts, motions) < self._top).astype(np.float64)


class MatchingScore(_TextMatch):
    """The mean distance of a text and its own motion."""

    def values(self, texts: Points, motions: Points) -> Values:
        whole = len(texts) // GROUP * GROUP
        return _distances(texts[:whole], motions[:whole])


class Diversity:
    """The mean distance of motions that were drawn in pairs: of different texts, where samples are."""

    def __init__(self, config: DiversityConfig) -> None:
        self._config = config

    def inputs_digest(self) -> str | None:
        return inputs_digest(self._config)

    def score(self, dense: Samples, masked: Samples) -> Score:
        check_pair(dense, masked)
        config, samples = self._config, len(masked)
        if samples <= config.pairs:
            raise UnavailableError(
                f"need more samples than the {config.pairs} pairs that are drawn, and are {samples}",
                where=WHERE,
                hint="make more samples, or give the metric fewer `pairs`",
            )

        def distances(points: Points) -> Values:
            return distances_of_drawn(points, pairs=config.pairs, seed=config.seed)

        score = score_of_means(_shown(config, config.of, dense, masked, distances))
        return evolve(score, samples=samples)


class Multimodality:
    """The mean distance of motions of one text that were drawn in pairs, over all texts."""

    def __init__(self, config: MultimodalityConfig) -> None:
        self._config = config

    def inputs_digest(self) -> str | None:
        return inputs_digest(self._config)

    def score(self, dense: Samples, masked: Samples) -> Score:
        check_pair(dense, masked)
        config, samples = self._config, len(masked)
        if samples % config.motions_per_text:
            raise UnavailableError(
                f"must be {config.motions_per_text} of each text, one after the other, and are {samples}",
                where=WHERE,
                hint="see the options `samples` of the study and `motions_per_text` of the metric",
            )

        def distances(points: Points) -> Values:
            texts = points.reshape(-1, config.motions_per_text, points.shape[-1])
            drawn = distances_of_drawn(texts.swapaxes(0, 1), pairs=config.pairs, seed=config.seed)
            of_texts: Values = drawn.mean(axis=0)
            return of_texts

        # Motions of one text hang together: texts are what is drawn for the interval.
        score = score_of_means(_shown(config, config.of, dense, masked, distances))
        return evolve(score, samples=samples)


# --- what they are made of ------------------------------------------------------------------------


def ranks(texts: Points, motions: Points) -> NDArray[np.int64]:
    """How many other motions of its group are as near to each text as its own; a tie counts against it.

    So motions that all look alike are found by no text, and not by all of them.
    """
    whole = len(texts) // GROUP * GROUP
    groups = [slice(first, first + GROUP) for first in range(0, whole, GROUP)]
    return np.concatenate([_ranks(texts[group], motions[group]) for group in groups])


def _ranks(texts: Points, motions: Points) -> NDArray[np.int64]:
    distances = _distances(texts[:, None], motions[None])
    as_near: NDArray[np.int64] = (distances <= np.diagonal(distances)[:, None]).sum(axis=1)
    return as_near - 1


def distances_of_drawn(points: Points, *, pairs: int, seed: int) -> Values:
    """Distances of so many pairs `points[i]`, `points[j]`; each side of them holds no point twice.

    The draw is that of the reference evaluations, which seed numpy's old generator.
    """
    generator = np.random.RandomState(seed)
    first, second = (generator.choice(len(points), pairs, replace=False) for _ in range(2))
    return _distances(points[first], points[second])


def _distances(first: Points, second: Points) -> Values:
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    distances: Values = np.linalg.norm(difference, axis=-1)
    return distances


def _shown(
    config: MotionEvaluatorConfig,
    shown: Of,
    dense: Samples,
    masked: Samples,
    values: Callable[[Points], Values],
) -> Values:
    """The values of the set that is shown, or how much more the masked one has."""
    if shown is Of.DIFFERENCE:
        return values(points_of_motions(masked, config)) - values(points_of_motions(dense, config))
    return values(points_of_motions(masked if shown is Of.MASKED else dense, config))
