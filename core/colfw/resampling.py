"""Confidence intervals by resampling: how far a score would move had other samples been drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from colfw.errors import InvariantError
from colfw.samples import Score

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

REPLICATES: Final = 1000
CONFIDENCE: Final = 0.95
SEED: Final = 20_260


def score_of_means(
    values: NDArray[np.float64],
    *,
    replicates: int = REPLICATES,
    least: float = -np.inf,
    most: float = np.inf,
) -> Score:
    """The mean of one value a sample, with its interval; `least` and `most` bound what can be."""
    return bootstrapped(
        float(np.mean(values)),
        lambda drawn: float(np.mean(values[drawn])),
        samples=len(values),
        replicates=replicates,
        least=least,
        most=most,
    )


def bootstrapped(
    value: float,
    statistic: Callable[[NDArray[np.int64]], float],
    *,
    samples: int,
    replicates: int = REPLICATES,
    least: float = -np.inf,
    most: float = np.inf,
) -> Score:
    """`value`, with an interval from `statistic` of samples drawn with replacement; the seed is fixed.

    Replicates are moved so that their median is the value: a distance between distributions comes out
    larger of drawn samples, which repeat, than of the samples themselves, and its plain percentiles would
    lie beside the value. `least` and `most` bound what can be. One sample says nothing about others, and
    has no interval; nor has a score that is infinite for some samples, such as the PSNR of equal ones.
    """
    if samples < 2 or replicates < 2:
        return Score(value=value, samples=samples)
    generator = np.random.default_rng(SEED)
    drawn = np.array([statistic(generator.integers(0, samples, samples)) for _ in range(replicates)])
    if np.isnan(drawn).any():
        raise InvariantError("the statistic of drawn samples is NaN", where="resampling")
    if not np.isfinite([value, *drawn]).all():
        return Score(value=value, samples=samples)
    tail = (1 - CONFIDENCE) / 2
    low, middle, high = np.quantile(drawn, [tail, 0.5, 1 - tail])
    return Score(
        value=value,
        samples=samples,
        interval_low=min(value, max(least, value + float(low - middle))),
        interval_high=max(value, min(most, value + float(high - middle))),
    )
