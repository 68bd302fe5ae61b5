"""How many columns are cold: shares by site and iteration, and the exact counts that follow.

Sparsity falls from its start along one curve, DiT's, whose steepness its four published numbers fix. Layers
keep their differences on the scale of log-odds, on which no share leaves 0..1.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from colfw_workloads.published.recipe import RECIPES, Order
from colfw_workloads.published.targets import PUBLISHED_ITERATIONS, SETTLED_ITERATION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from colfw.sites import Site
    from colfw_workloads.published.recipe import Recipe, Spread

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

# --- small tools ----------------------------------------------------------------------------------


def logit(share: Floats | float) -> Floats:
    """Log-odds of a share; 0 and 1 are moved in by less than any count can tell."""
    inside = np.clip(share, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def logistic(odds: Floats | float) -> Floats:
    """The share that has these log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.asarray(odds))))


def solve(rises: Callable[[Floats], Floats], target: Floats | float, low: float, high: float) -> Floats:
    """Where non-decreasing functions reach their targets, by halving; else the nearer end of the range."""
    goal = np.asarray(target, np.float64)
    below, above = np.full(goal.shape, low), np.full(goal.shape, high)
    for _ in range(60):
        middle = (below + above) / 2
        short = rises(middle) < goal
        below, above = np.where(short, middle, below), np.where(short, above, middle)
    return np.asarray((below + above) / 2)


def later(by_iteration: Floats) -> Floats:
    """Iterations 1 and later, over which the study averages; the only one where there is only one."""
    return by_iteration[..., 1:] if by_iteration.shape[-1] > 1 else by_iteration


def traffic_weights(sites: Sequence[Site]) -> Floats:
    """The share of each site in what is moved.

    Weights are streamed once for every few rows, so traffic goes as rows times weights.
    """
    traffic = [site.rows * site.columns * (site.operator.d_in + site.operator.d_out) for site in sites]
    return np.array(traffic, np.float64) / sum(traffic)


# --- the curve over iterations --------------------------------------------------------------------


def remaining(iteration: Floats, start: int, steepness: float) -> Floats:
    """The part of the fall that is still to come: 1 up to `start`, 0 from iteration 40 on."""
    passed = (iteration - start) / (SETTLED_ITERATION - start)
    return np.asarray((1 - np.clip(passed, 0, 1)) ** steepness)


@cache
def steepness() -> float:
    """The steepness with which DiT falls from 42.6 to 10 % and averages 17 %; assumed for all that fall."""
    recipe = RECIPES["dit-xl-2"]
    assert recipe.start is not None
    assert recipe.settled is not None
    part = (recipe.mean - recipe.settled) / (recipe.start - recipe.settled)
    iterations = np.arange(1.0, PUBLISHED_ITERATIONS)
    return float(-solve(lambda minus: remaining(iterations, 0, -float(minus)).mean(), part, -20.0, -0.1))


def published_curve(recipe: Recipe) -> Floats:
    """Column sparsity of all sites together in each of the 50 published iterations.

    Where the fall starts in iteration 1, iteration 0 is like it: nothing is published about that one.
    """
    if recipe.start is None:
        return np.full(PUBLISHED_ITERATIONS, recipe.mean)
    start = 0 if recipe.only_turns_on else 1
    left = remaining(np.arange(float(PUBLISHED_ITERATIONS)), start, steepness())
    settled = recipe.settled
    if settled is None:
        average = float(later(left).mean())
        settled = max(0.0, (recipe.mean - average * recipe.start) / (1 - average))
    return np.asarray(settled + (recipe.start - settled) * left)


# --- the layers -----------------------------------------------------------------------------------


def cold_shares(recipe: Recipe, columns: Counts, iterations: int) -> Floats:
    """The wanted share of cold columns `[site, iteration]`; the published curve is stretched over the run."""
    curve = published_curve(recipe)
    if recipe.spread is None:
        shares = np.tile(curve, (columns.size, 1))
    else:
        shares = _spread_shares(recipe, recipe.spread, columns, curve)
    published = np.arange(PUBLISHED_ITERATIONS)
    wanted = np.linspace(0, PUBLISHED_ITERATIONS - 1, iterations)
    return np.stack([np.interp(wanted, published, site) for site in shares])


def _spread_shares(recipe: Recipe, spread: Spread, columns: Counts, curve: Floats) -> Floats:
    """Shares whose layers lie between the ends of the spread and together follow the curve."""
    weights = columns / columns.sum()
    if recipe.only_turns_on:
        level = logit(_layer_shares(spread, columns, float(curve[0])))
        return _following(level, weights, curve)
    means = _layer_shares(spread, columns, float(later(curve).mean()))
    level = logit(means)
    for _ in range(40):
        shares = _following(level, weights, curve)
        level += logit(means) - logit(later(shares).mean(axis=1))
    return _following(level, weights, curve)


def _following(level: Floats, weights: Floats, curve: Floats) -> Floats:
    """Shares of these log-odds by layer, all moved alike so that together they follow the curve."""
    move = solve(lambda move: weights @ logistic(level[:, None] + move), curve, -40.0, 40.0)
    return logistic(level[:, None] + move)


def _layer_shares(spread: Spread, columns: Counts, mean: float) -> Floats:
    """Shares from the low to the high end, bent so that their mean over columns is as wanted.

    Too few layers to have both ends and the mean keep the mean.
    """
    weights = columns / columns.sum()
    rank = _ranks(spread.order, columns) / max(1, columns.size - 1)

    def bent(power: float) -> Floats:
        return np.asarray(spread.low + (spread.high - spread.low) * rank**power)

    power = -solve(lambda minus: weights @ bent(-float(minus)), mean, -50.0, -0.02)
    return _following(logit(bent(float(power))), weights, np.array([mean]))[:, 0]


def _ranks(order: Order, columns: Counts) -> Floats:
    """The place of each layer from least to most sparse."""
    key = (np.arange(columns.size) * np.sqrt(3)) % 1 if order is Order.SCATTERED else columns
    return np.argsort(np.argsort(key, kind="stable"), kind="stable").astype(np.float64)


# --- counts ---------------------------------------------------------------------------------------


def rounded(wanted: Floats) -> Counts:
    """Whole numbers that follow these `[site, iteration]`, their sum over sites rounded only once."""
    totals = np.rint(np.cumsum(wanted, axis=0))
    return np.asarray(np.diff(totals, axis=0, prepend=0), np.int64)


def cold_counts(recipe: Recipe, columns: Counts, iterations: int) -> Counts:
    """How many columns are cold `[site, iteration]`."""
    counts = rounded(cold_shares(recipe, columns, iterations) * columns[:, None])
    return np.minimum.accumulate(counts, axis=1) if recipe.only_turns_on else counts


def staying_hot(recipe: Recipe, columns: Counts, cold: Counts) -> Counts:
    """How many hot columns stay hot `[site, step]`, so that the Jaccard is as wanted.

    Between the least that the counts admit and the most, every step and site takes the same part of the way;
    where a minimum is published, that part grows from it as sparsity falls elsewhere: steepest at first.
    """
    hot = columns[:, None] - cold
    least = np.maximum(0, hot[:, :-1] + hot[:, 1:] - columns[:, None])
    most = np.minimum(hot[:, :-1], hot[:, 1:])
    if recipe.only_turns_on or cold.shape[1] == 1:
        return np.asarray(most, np.int64)
    part = _stability(recipe, least, most, _Unions(hot))
    return np.asarray(least + rounded(part * (most - least)), np.int64)


class _Unions:
    """The Jaccard of each step from the sizes of the hot sets and of what they share, over all sites."""

    def __init__(self, hot: Counts) -> None:
        self._sizes = (hot[:, :-1] + hot[:, 1:]).sum(axis=0)

    def jaccard(self, shared: Floats | Counts) -> Floats:
        both = shared.sum(axis=0)
        union = self._sizes - both
        return np.asarray(np.divide(both, union, out=np.ones(union.shape), where=union > 0), np.float64)


def _stability(recipe: Recipe, least: Counts, most: Counts, unions: _Unions) -> Floats:
    """The part of the way from the least to the most that stays hot, by step."""
    steps = least.shape[1]
    counted = slice(1, None) if steps > 1 else slice(None)  # the step out of iteration 0 is not counted

    def jaccard(part: Floats) -> Floats:
        return unions.jaccard(least + part * (most - least))[counted]

    if recipe.jaccard_min is None:
        return np.asarray(
            solve(lambda part: jaccard(np.full(steps, part)).mean(), recipe.jaccard_mean, 0.0, 1.0)
        )
    lowest = float(solve(lambda part: jaccard(np.full(steps, part))[0], recipe.jaccard_min, 0.0, 1.0))
    left = _left_by_step(steps)
    highest = solve(
        lambda part: jaccard(part + (lowest - part) * left).mean(), recipe.jaccard_mean, lowest, 1.0
    )
    return np.asarray(highest + (lowest - highest) * left)


def _left_by_step(steps: int) -> Floats:
    """What remains of the fall, by step between iterations, stretched over the run."""
    return remaining(np.linspace(0, PUBLISHED_ITERATIONS - 1, steps + 1)[:-1], 1, steepness())
