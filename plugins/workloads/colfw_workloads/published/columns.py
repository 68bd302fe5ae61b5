"""Column maxima and element counts that have the wanted statistics.

A column has a place in the order of its site's maxima in every iteration. First the cold columns at the
primary threshold are drawn, in exactly the wanted numbers: the lowest of a slowly changing latent value
leave the hot set, the highest enter it. Then the places become magnitudes through one monotone curve that
passes through the sparsity wanted at every threshold, so that a single profile serves them all.
"""

from __future__ import annotations

import itertools
import math
import zlib
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from colfw.errors import InvariantError
from colfw.masks import hot_columns
from colfw.profile import SiteProfile
from colfw.sites import check_distinct
from colfw.thresholds import check_thresholds, float32_floor
from colfw_workloads.published.recipe import RECIPES
from colfw_workloads.published.sparsity import (
    cold_counts,
    later,
    logistic,
    logit,
    solve,
    staying_hot,
    traffic_weights,
)
from colfw_workloads.published.targets import PRIMARY_TAU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from colfw.sites import Site
    from colfw_workloads.published.recipe import Recipe

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]
    Hot = NDArray[np.bool_]

TAIL_SLOPE = 4.0
"""How fast log-odds of being cold rise with log tau above the last stated threshold. Assumed: with it the
largest maxima are several times the calibrated threshold."""


def synthesise(
    workload: str,
    sites: Sequence[Site],
    *,
    iterations: int,
    samples: int,
    seed: int,
    thresholds: tuple[float, ...],
) -> tuple[SiteProfile, ...]:
    """Profiles of these sites with the statistics that are published for a workload.

    The same arguments give the same bytes. Any sites, iterations (the curves are stretched) and thresholds
    will do; how near small sizes come to the published numbers is a matter of rounding.
    """
    recipe = _recipe(workload)
    _check(workload, sites, iterations, samples)
    check_thresholds(thresholds, f"published activations of {workload}")
    columns = np.array([site.columns for site in sites], np.int64)
    cold = cold_counts(recipe, columns, iterations)
    staying = staying_hot(recipe, columns, cold)
    curve = _curve(recipe, columns, cold, traffic_weights(sites))
    tail = ElementTail.of(recipe)
    return tuple(
        _site_profile(
            site,
            maxima=_maxima(
                recipe, curve, cold[index], staying[index], site, _generator(workload, site, seed)
            ),
            tail=tail,
            samples=samples,
            thresholds=thresholds,
        )
        for index, site in enumerate(sites)
    )


def _recipe(workload: str) -> Recipe:
    if workload not in RECIPES:
        raise InvariantError(
            f"nothing is published about the activations of {workload!r}",
            where="published activations",
            hint=f"there are {', '.join(sorted(RECIPES))}",
        )
    return RECIPES[workload]


def _check(workload: str, sites: Sequence[Site], iterations: int, samples: int) -> None:
    where = f"published activations of {workload}"
    if not sites:
        raise InvariantError("there are no sites to make them for", where=where)
    check_distinct(tuple(sites), where)
    if iterations < 1 or samples < 1:
        raise InvariantError(
            f"{iterations} iterations of {samples} samples cannot be made; both must be at least 1",
            where=where,
        )


def _generator(workload: str, site: Site, seed: int) -> np.random.Generator:
    """A generator of its own for every site, so that a site's columns do not depend on the others'."""
    words = [zlib.crc32(workload.encode()), zlib.crc32(site.name.encode()), int(seed < 0)]
    return np.random.default_rng([abs(seed), *words])


# --- from place to magnitude ----------------------------------------------------------------------


@frozen(kw_only=True)
class _Curve:
    """Log-odds of being cold, less those at the primary threshold, against the log of the threshold."""

    log_tau: Floats
    odds: Floats

    def magnitude(self, odds: Floats) -> Floats:
        """The magnitude below which a column lies with these relative log-odds."""
        return np.asarray(np.exp(np.interp(odds, self.odds, self.log_tau)))


_FAR = 60.0
"""Relative log-odds beyond those of any place in any site."""


def _curve(recipe: Recipe, columns: Counts, cold: Counts, traffic: Floats) -> _Curve:
    """The curve through the primary threshold and all others at which sparsity is known, the last of them the
    densest layer's calibrated one.
    """
    base = _odds_of_counts(columns, cold)
    weights = columns / columns.sum()
    knots = {PRIMARY_TAU: 0.0}
    for tau, sparsity in recipe.sweep.items():
        knots[tau] = _shift(base, weights, sparsity)
    for known in recipe.by_elements.values():
        knots[known.tau] = _shift(base, traffic, known.sparsity)
    densest = int(np.argmin(later(cold / columns[:, None]).mean(axis=1)))
    calibrated = _shift(base[densest : densest + 1], np.ones(1), 1 - PRIMARY_TAU)
    if calibrated > max(knots.values()):
        knots[recipe.densest_layer_tau] = calibrated
    return _through(_rising(knots))


def _odds_of_counts(columns: Counts, cold: Counts) -> Floats:
    """Log-odds of being cold `[site, iteration]`; none and all are just inside the outer places."""
    return logit(np.clip(cold, 0.05, columns[:, None] - 0.05) / columns[:, None])


def _shift(base: Floats, weights: Floats, sparsity: float) -> float:
    """By how much log-odds must rise so that the mean over iterations 1 and later becomes this sparsity."""
    return float(
        solve(lambda move: (weights @ later(logistic(base + move))).mean(), sparsity, -_FAR / 2, _FAR / 2)
    )


def _rising(knots: dict[float, float]) -> list[tuple[float, float]]:
    """The knots in order of tau, without those that tiny sites put out of order."""
    kept = [(PRIMARY_TAU, 0.0)]
    for tau, odds in sorted(knots.items()):
        if tau > PRIMARY_TAU and odds > kept[-1][1]:
            kept.append((tau, odds))
    for tau, odds in sorted(knots.items(), reverse=True):
        if tau < PRIMARY_TAU and odds < kept[0][1]:
            kept.insert(0, (tau, odds))
    return kept


def _lower_slope() -> float:
    """DiT's slope below the primary threshold, the only one published there; assumed for all."""
    recipe = RECIPES["dit-xl-2"]
    rise = logit(recipe.mean) - logit(recipe.sweep[0.1])
    return float(rise / np.log(PRIMARY_TAU / 0.1))


def _through(knots: list[tuple[float, float]]) -> _Curve:
    """The piecewise linear curve through knots, continued on both sides."""
    log_tau = [float(np.log(tau)) for tau, _ in knots]
    odds = [value for _, value in knots]
    before = log_tau[0] - (odds[0] + _FAR) / _lower_slope()
    after = log_tau[-1] + (_FAR - odds[-1]) / TAIL_SLOPE
    return _Curve(log_tau=np.array([before, *log_tau, after]), odds=np.array([-_FAR, *odds, _FAR]))


# --- the columns of one site ----------------------------------------------------------------------


def _maxima(
    recipe: Recipe, curve: _Curve, cold: Counts, staying: Counts, site: Site, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Maxima `[iteration, column]` of one site."""
    latent = _latent(recipe, cold.size, site.columns, rng)
    order = np.argsort(np.where(_hot_sets(latent, cold, staying), latent + 100, latent), axis=1)
    places = (np.arange(site.columns) + _jitter(recipe, cold.size, rng)) / site.columns
    relative = logit(places) - _odds_of_counts(np.array([site.columns]), cold[None])[0][:, None]
    ascending = _on_their_side(curve.magnitude(relative).astype(np.float32), cold)
    maxima = np.empty_like(ascending)
    np.put_along_axis(maxima, order, ascending, axis=1)
    return maxima


def _jitter(recipe: Recipe, iterations: int, rng: np.random.Generator) -> Floats:
    """Where inside its place a column stands, `[iteration, 1]`: averages over iterations are then not
    rounded alike.

    Fixed where columns only turn on, or a maximum could fall.
    """
    return np.full((iterations, 1), 0.5) if recipe.only_turns_on else 0.1 + 0.8 * rng.random((iterations, 1))


def _on_their_side(ascending: NDArray[np.float32], cold: Counts) -> NDArray[np.float32]:
    """The same maxima, none pushed over the primary threshold by rounding."""
    floor = float32_floor(PRIMARY_TAU)
    above = np.nextafter(floor, np.float32(np.inf))
    is_cold = np.arange(ascending.shape[1]) < cold[:, None]
    return np.where(is_cold, np.minimum(ascending, floor), np.maximum(ascending, above))


def _latent(recipe: Recipe, iterations: int, columns: int, rng: np.random.Generator) -> Floats:
    """A standard normal value per iteration and column, which persists as the hot sets do."""
    if recipe.only_turns_on:
        return np.tile(rng.standard_normal(columns), (iterations, 1))
    values = rng.standard_normal((iterations, columns))
    kept = recipe.jaccard_mean
    values[1:] *= np.sqrt(1 - kept**2)
    for before, after in itertools.pairwise(values):
        np.add(after, kept * before, out=after)
    return values


def _hot_sets(latent: Floats, cold: Counts, staying: Counts) -> Hot:
    """Which columns are hot in each iteration: so many cold, so many of the hot ones staying hot."""
    hot = np.empty(latent.shape, np.bool_)
    hot[0] = _all_but_lowest(latent[0], int(cold[0]))
    for step, stay in enumerate(staying):
        now, values = hot[step + 1], latent[step + 1]
        were_hot, were_cold = np.flatnonzero(hot[step]), np.flatnonzero(~hot[step])
        turned_cold = were_hot.size - int(stay)
        now[were_hot] = _all_but_lowest(values[were_hot], turned_cold)
        now[were_cold] = _all_but_lowest(values[were_cold], int(cold[step + 1]) - turned_cold)
    return hot


def _all_but_lowest(values: Floats, count: int) -> Hot:
    """True for all but the `count` lowest values."""
    chosen = np.ones(values.size, np.bool_)
    if 0 < count < values.size:
        chosen[np.argpartition(values, count - 1)[:count]] = False
    elif count:
        chosen[:] = False
    return chosen


# --- elements -------------------------------------------------------------------------------------


@frozen(kw_only=True)
class ElementTail:
    """The share of a site's elements whose magnitude exceeds a threshold: the same in all sites and
    iterations, since nothing is published that tells them apart.

    Elements are as near to normally distributed as what is known of them admits: between thresholds with a
    known share, and from 0 on, the threshold in standard deviations runs straight.
    """

    tau: Floats
    deviations: Floats

    @classmethod
    def of(cls, recipe: Recipe) -> ElementTail:
        """Through the element sparsity at the primary threshold, and the targets of the calibrations."""
        known = {PRIMARY_TAU: 1 - recipe.elements}
        known.update({calibrated.tau: target for target, calibrated in recipe.by_elements.items()})
        taus = sorted(known)
        deviations = [NormalDist().inv_cdf(1 - known[tau] / 2) for tau in taus]
        return cls(tau=np.array([0.0, *taus]), deviations=np.array([0.0, *deviations]))

    def share(self, tau: float) -> float:
        """The share that exceeds a threshold; above all known ones deviations grow as the threshold."""
        beyond = max(1.0, tau / float(self.tau[-1]))
        deviations = float(np.interp(tau, self.tau, self.deviations)) * beyond
        return math.erfc(deviations / math.sqrt(2))


def _site_profile(
    site: Site,
    *,
    maxima: NDArray[np.float32],
    tail: ElementTail,
    samples: int,
    thresholds: tuple[float, ...],
) -> SiteProfile:
    rows = site.rows * samples
    counts = [_exceeding(maxima, tau, tail.share(tau), rows) for tau in thresholds]
    return SiteProfile(
        site=site,
        maxima=maxima,
        exceeding=np.array(counts, np.int64).reshape(len(thresholds), maxima.shape[0]).T.copy(),
        elements=np.full(maxima.shape[0], rows * site.columns, np.int64),
    )


def _exceeding(maxima: NDArray[np.float32], tau: float, share: float, rows: int) -> Counts:
    """How many elements exceed tau in each iteration: the wanted share, rounded down so that a target of this
    share is met.

    At least one of each hot column, which is what makes it hot, and none of a cold one.
    """
    hot = np.count_nonzero(hot_columns(maxima, tau), axis=1)
    return np.asarray(np.clip(int(share * rows * maxima.shape[1]), hot, hot * rows), np.int64)
