"""Masks: which columns are hot, and every statistic that follows from that.

A column is hot in an iteration iff max|a| over its rows exceeds tau, strictly. Everything here is
exact: no sampling, no search tolerance, and thresholds are compared as real numbers
(see `colfw.thresholds`).
"""

from __future__ import annotations

import hashlib
import itertools
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np
from attrs import field, frozen

from colfw import arrayfile
from colfw.errors import InvariantError
from colfw.sites import Site, check_distinct
from colfw.thresholds import float32_floor
from colfw.vocabulary import MaskKind, OverTime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from colfw.profile import ActivationProfile, SiteProfile

    Hot = NDArray[np.bool_]
    """`[iteration, column]`: True where the column is hot."""

MASK_SCHEMA_VERSION = 1


# --- which columns are hot ------------------------------------------------------------------------


@frozen
class MaskPolicy:
    """All columns hot; or one tau for all sites; or per site the tau that meets a target.

    A target is a share of hot columns (rho), or of elements that exceed tau (eta).
    """

    kind: MaskKind = field(converter=MaskKind)
    value: float | None = None
    over_time: OverTime = field(default=OverTime.PER_ITERATION, converter=OverTime)

    def __attrs_post_init__(self) -> None:
        where = f"mask policy {self.kind}"
        if self.kind is MaskKind.DENSE:
            if self.value is not None:
                raise InvariantError("takes no value", where=where)
        elif self.value is None or not np.isfinite(self.value) or self.value < 0:
            raise InvariantError(f"needs a finite number >= 0, not {self.value}", where=where)
        elif self.calibrated and self.value > 1:
            raise InvariantError(f"{self.value} is no share in 0..1", where=where)

    @classmethod
    def dense(cls) -> Self:
        return cls(MaskKind.DENSE)

    @classmethod
    def uniform(cls, tau: float) -> Self:
        return cls(MaskKind.UNIFORM, float(tau))

    @classmethod
    def per_layer(cls, target_hot_ratio: float) -> Self:
        return cls(MaskKind.PER_LAYER, float(target_hot_ratio))

    @classmethod
    def per_layer_elements(cls, target_element_ratio: float) -> Self:
        return cls(MaskKind.PER_LAYER_ELEMENTS, float(target_element_ratio))

    @property
    def calibrated(self) -> bool:
        """Whether each site gets a threshold of its own, from its iterations 1 and later."""
        return self.kind in {MaskKind.PER_LAYER, MaskKind.PER_LAYER_ELEMENTS}

    @property
    def label(self) -> str:
        """A short name that tells policies apart: `dense`, `tau=0.164`, `rho=0.164 static`, `eta=0.164`."""
        if self.kind is MaskKind.DENSE:
            return "dense"
        suffix = " static" if self.over_time is OverTime.STATIC else ""
        return f"{_SYMBOLS[self.kind]}={self.value}{suffix}"


_SYMBOLS = {MaskKind.UNIFORM: "tau", MaskKind.PER_LAYER: "rho", MaskKind.PER_LAYER_ELEMENTS: "eta"}


@frozen(kw_only=True, eq=False)
class SiteMask:
    """The hot columns of one site in every iteration, and the threshold that made them."""

    site: Site
    tau: float | None
    hot: Hot

    def __attrs_post_init__(self) -> None:
        if self.hot.dtype != np.bool_ or self.hot.ndim != 2:
            raise InvariantError("must be flags [iteration, column]", where=self._where)
        if self.hot.shape[1] != self.site.columns:
            raise InvariantError(
                f"is {self.hot.shape[1]} columns wide, the site has {self.site.columns}",
                where=self._where,
            )

    @property
    def _where(self) -> str:
        return f"mask of site {self.site.name}"

    def with_first_dense(self) -> SiteMask:
        hot = self.hot.copy()
        hot[0] = True
        return attrs.evolve(self, hot=hot)


@frozen(kw_only=True, eq=False)
class MaskSet:
    """One mask per site under one policy; `digest` identifies its content wherever it is used."""

    policy: MaskPolicy
    sites: tuple[SiteMask, ...]

    def __attrs_post_init__(self) -> None:
        where = f"masks {self.policy.label}"
        if not self.sites:
            raise InvariantError("a mask set needs at least one site", where=where)
        check_distinct(tuple(mask.site for mask in self.sites), where)
        iterations = self.sites[0].hot.shape[0]
        for mask in self.sites:
            if mask.hot.shape[0] != iterations:
                raise InvariantError(
                    f"site {mask.site.name} has {mask.hot.shape[0]} iterations,"
                    f" site {self.sites[0].site.name} has {iterations}",
                    where=where,
                )

    def with_first_dense(self) -> MaskSet:
        """The same with all columns hot in iteration 0, which no machine and no generation masks."""
        return attrs.evolve(self, sites=tuple(mask.with_first_dense() for mask in self.sites))

    @property
    def digest(self) -> str:
        """A hash of which columns are hot: the proof that two stages used the very same mask."""
        content = hashlib.sha256()
        for mask in self.sites:
            # !r: no character of a name can end it early and pose as what follows.
            content.update(f"{mask.site.name!r}\0{mask.hot.shape}\0".encode())
            content.update(np.packbits(mask.hot).tobytes())
        return content.hexdigest()

    def site(self, name: str) -> SiteMask:
        for mask in self.sites:
            if mask.site.name == name:
                return mask
        raise InvariantError(f"no mask for site {name!r}", where=f"masks {self.policy.label}")

    def to_bytes(self) -> bytes:
        header = {
            "policy": attrs.asdict(self.policy),
            "sites": [{"site": m.site.to_json(), "tau": m.tau} for m in self.sites],
        }
        arrays: dict[str, NDArray[Any]] = {f"hot/{i}": m.hot for i, m in enumerate(self.sites)}
        return arrayfile.dump("mask set", MASK_SCHEMA_VERSION, header, arrays)

    @classmethod
    def from_file(cls, path: Path) -> MaskSet:
        header, arrays = arrayfile.load(path, "mask set", MASK_SCHEMA_VERSION)
        with arrayfile.refusing_inconsistency(path):
            masks = (
                SiteMask(site=Site.from_json(data["site"]), tau=data["tau"], hot=arrays[f"hot/{index}"])
                for index, data in enumerate(header["sites"])
            )
            return cls(policy=MaskPolicy(**header["policy"]), sites=tuple(masks))


def hot_columns(maxima: NDArray[np.float32], tau: float) -> Hot:
    """True where a column's maximum exceeds tau, strictly."""
    return np.asarray(maxima > float32_floor(tau), np.bool_)


def masks_of(profile: ActivationProfile, policy: MaskPolicy) -> MaskSet:
    """The masks of all sites of a profile under a policy."""
    sites = (_site_mask(entry, tau_of(profile, entry, policy), policy.over_time) for entry in profile.sites)
    return MaskSet(policy=policy, sites=tuple(sites))


def tau_of(profile: ActivationProfile, entry: SiteProfile, policy: MaskPolicy) -> float | None:
    """The threshold in force at a site of a profile; None where there is none."""
    if policy.kind is MaskKind.PER_LAYER:
        assert policy.value is not None
        return calibrate(sparse_iterations(entry.maxima, entry.site.name), policy.value)
    if policy.kind is MaskKind.PER_LAYER_ELEMENTS:
        assert policy.value is not None
        return calibrate_elements(profile, entry.site.name, policy.value).tau
    return policy.value


def _site_mask(entry: SiteProfile, tau: float | None, over_time: OverTime) -> SiteMask:
    hot = np.ones(entry.maxima.shape, np.bool_) if tau is None else hot_columns(entry.maxima, tau)
    if over_time is OverTime.STATIC:
        hot = np.repeat(hot[:1], hot.shape[0], axis=0)
    return SiteMask(site=entry.site, tau=tau, hot=hot)


# --- how sparse, how stable -----------------------------------------------------------------------


def column_sparsity(hot: Hot) -> NDArray[np.float64]:
    """The share of cold columns in each iteration."""
    cold = hot.shape[1] - np.count_nonzero(hot, axis=1)
    return np.asarray(cold / hot.shape[1], np.float64)


def element_sparsity(profile: ActivationProfile, site: str, tau: float) -> NDArray[np.float64]:
    """The share of elements with |a| <= tau in each iteration; tau must be on the profile's grid."""
    entry = profile.site(site)
    if tau not in profile.thresholds:
        raise InvariantError(
            f"elements were not counted at threshold {tau}",
            where=f"profile of {profile.provenance.workload}",
            hint=_nearest_counted(profile.thresholds, tau),
        )
    within = entry.elements - entry.exceeding[:, profile.thresholds.index(tau)]
    return np.asarray(within / entry.elements, np.float64)


def _nearest_counted(grid: Sequence[float], tau: float) -> str:
    if not grid:
        return "the profile counts no threshold"
    return f"the nearest that was counted is {min(grid, key=lambda counted: abs(counted - tau))}"


def granularity_gap(element: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much element sparsity overstates what whole columns offer: their difference, never negative.

    Only where both were measured at the same threshold: a cold column holds cold elements alone, so
    column sparsity above element sparsity is a contradiction, and an error.
    """
    gap = element - column
    if bool((gap < -1e-12).any()):  # the two shares are quotients, each rounded once
        raise InvariantError("column sparsity exceeds element sparsity", where="granularity gap")
    return np.maximum(gap, 0.0)


def jaccard(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Size of the intersection over size of the union of two hot sets; two empty sets give 1.0."""
    union = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / union if union else 1.0


def consecutive_jaccard(hot: Hot) -> NDArray[np.float64]:
    """`jaccard` of each iteration and the one before it: one value fewer than iterations."""
    pairs = itertools.pairwise(hot)
    return np.array([jaccard(before, after) for before, after in pairs], np.float64)


def churn(hot: Hot) -> NDArray[np.float64]:
    """The share of columns that change sides between each iteration and the one before it."""
    changes = np.count_nonzero(hot[1:] != hot[:-1], axis=1)
    return np.asarray(changes / hot.shape[1], np.float64)


def side_by_side(masks: Iterable[SiteMask]) -> Hot:
    """The columns of all sites in one matrix, so that a statistic weighs every column equally."""
    return np.concatenate([mask.hot for mask in masks], axis=1)


# --- per-layer thresholds -------------------------------------------------------------------------


def sparse_iterations(maxima: NDArray[np.float32], site: str) -> NDArray[np.float32]:
    """Iterations 1 and later: iteration 0 is dense and takes no part in calibration."""
    if maxima.shape[0] < 2:
        raise InvariantError(
            "a target is calibrated on iterations 1 and later, and there is only one",
            where=f"site {site}",
        )
    return maxima[1:]


def calibrate(maxima: NDArray[np.float32], target_hot_ratio: float) -> float:
    """The smallest tau >= 0 that leaves at most the target share of all `maxima` hot.

    Exact, from the order of the maxima: with at most k of n hot, tau is the (k+1)-th largest
    maximum, because any smaller threshold would leave at least k+1 above it.

    >>> calibrate(np.array([[1.0, 2.0, 3.0, 4.0]], np.float32), 0.5)
    2.0
    """
    if not 0.0 <= target_hot_ratio <= 1.0:
        raise InvariantError(f"target hot ratio {target_hot_ratio} is no share in 0..1")
    count = maxima.size
    allowed = _largest_count_within(target_hot_ratio, count)
    if allowed >= count:
        return 0.0
    position = count - allowed - 1
    return float(np.partition(maxima, position, axis=None)[position])


def _largest_count_within(share: float, count: int) -> int:
    """The largest k with k / count <= share, free of the rounding of `share * count`."""
    k = min(count, int(share * count) + 1)
    while k > 0 and k / count > share:
        k -= 1
    return k


@frozen(kw_only=True)
class ElementCalibration:
    """The threshold that meets a target share of elements, and how near it is known to be the smallest."""

    tau: float
    missed_tau: float | None
    """The highest counted threshold that leaves more than the target above it, so that the smallest one to
    meet the target lies above this; None where every counted threshold meets it."""
    missed_share: float | None
    """The share of elements above `missed_tau`."""


def calibrate_elements(
    profile: ActivationProfile, site: str, target_element_ratio: float
) -> ElementCalibration:
    """The smallest tau known to leave at most the target share of elements above it.

    Elements are counted at the thresholds of the profile's grid alone, so between two of them the very
    smallest is not known: the counted one is taken, or what the maxima say if that is lower.
    """
    entry = profile.site(site)
    by_maxima = _met_by_maxima(entry, target_element_ratio)
    elements = int(entry.elements[1:].sum())
    allowed = _largest_count_within(target_element_ratio, elements)
    exceeding = entry.exceeding[1:].sum(axis=0)
    missing = int(np.count_nonzero(exceeding > allowed))  # counts never rise with the threshold
    meeting = profile.thresholds[missing : missing + 1]
    return ElementCalibration(
        tau=min([by_maxima, *meeting]),
        missed_tau=profile.thresholds[missing - 1] if missing else None,
        missed_share=float(exceeding[missing - 1] / elements) if missing else None,
    )


def _met_by_maxima(entry: SiteProfile, target_element_ratio: float) -> float:
    """The smallest tau that meets the target whatever was counted.

    No more elements can exceed it than hot columns have; a share of columns is one of elements where all
    iterations have equally many rows. Else only the largest maximum is safe: nothing exceeds that.
    """
    maxima = sparse_iterations(entry.maxima, entry.site.name)
    rows_are_alike = bool((entry.elements[1:] == entry.elements[1]).all())
    return calibrate(maxima, target_element_ratio if rows_are_alike else 0.0)


@frozen
class Inflation:
    """Signs that a calibrated threshold forces columns cold instead of finding them cold."""

    above_uniform_range: bool
    """The threshold exceeds every threshold of the uniform sweep."""
    above_99th_percentile: bool | None
    """At most 1 % of the layer's elements exceed it; None where the counted grid cannot tell."""


def inflation(profile: ActivationProfile, site: str, tau: float, uniform_range: Sequence[float]) -> Inflation:
    """The inflation flags of a calibrated threshold, over iterations 1 and later."""
    low, high = exceeding_share_bounds(profile, site, tau)
    above = True if high <= 0.01 else False if low > 0.01 else None
    return Inflation(
        above_uniform_range=bool(uniform_range) and tau > max(uniform_range),
        above_99th_percentile=above,
    )


def exceeding_share_bounds(profile: ActivationProfile, site: str, tau: float) -> tuple[float, float]:
    """Bounds on the share of elements above `tau` in iterations 1 and later, from the counted grid.

    Equal where tau is on the grid, or beyond every maximum; else the counts at the neighbouring
    thresholds enclose it.
    """
    entry = profile.site(site)
    total = int(entry.elements[1:].sum())
    if total == 0:
        return 0.0, 1.0
    if not hot_columns(entry.maxima[1:], tau).any():
        return 0.0, 0.0
    shares = entry.exceeding[1:].sum(axis=0) / total
    grid = np.array(profile.thresholds)
    below, above = grid <= tau, grid >= tau
    high = float(shares[below].min()) if below.any() else 1.0
    low = float(shares[above].max()) if above.any() else 0.0
    return low, high


# --- the three regimes ----------------------------------------------------------------------------


class Regime(StrEnum):
    """How a workload's hot columns behave over the denoising loop."""

    CONCENTRATION = "concentration"
    """The hot set settles early and stays: a layout decided once serves the whole run."""
    DISPERSION = "dispersion"
    """Columns turn on and hardly ever off: sparsity that is there at first melts away."""
    CHURN = "churn"
    """Consecutive hot sets share less than half their union: no static layout fits."""


@frozen(kw_only=True)
class RegimeRule:
    """Where the regimes part. Round numbers with a plain meaning, not fitted to any workload."""

    churn_below_jaccard: float = 0.5
    """Below one half, two consecutive hot sets differ in more than they share."""
    dispersion_turn_on_share: float = 0.9
    """At least nine of ten changes turn a column on."""
    dispersion_sparsity_left: float = 0.5
    """At most half of iteration 0's column sparsity is left in the last iteration."""


@frozen(kw_only=True)
class Classification:
    """The regime of a workload under one mask policy, with the numbers that decided it."""

    regime: Regime
    mean_jaccard: float
    min_jaccard: float
    turn_on_share: float
    """Of all changes of side, the share that turned a column on; 0.5 where nothing changed."""
    first_column_sparsity: float
    mean_column_sparsity: float
    """Over iterations 1 and later."""
    last_column_sparsity: float


def classify(masks: MaskSet, rule: RegimeRule | None = None) -> Classification:
    """The regime of a workload, from its hot columns alone; every column weighs the same.

    Jaccard and changes are taken over consecutive iterations from 1 on: iteration 0 is dense.
    """
    rule = rule or RegimeRule()
    hot = side_by_side(masks.sites)
    if hot.shape[0] < 3:
        raise InvariantError(
            f"{hot.shape[0]} iterations are too few to see a regime; 3 are needed",
            where=f"masks {masks.policy.label}",
        )
    stability = consecutive_jaccard(hot[1:])
    sparsity = column_sparsity(hot)
    turn_on_share = _turn_on_share(hot[1:])
    disperses = (
        turn_on_share >= rule.dispersion_turn_on_share
        and sparsity[-1] <= rule.dispersion_sparsity_left * sparsity[0]
        and sparsity[0] > 0
    )
    if float(stability.mean()) < rule.churn_below_jaccard:
        regime = Regime.CHURN
    else:
        regime = Regime.DISPERSION if disperses else Regime.CONCENTRATION
    return Classification(
        regime=regime,
        mean_jaccard=float(stability.mean()),
        min_jaccard=float(stability.min()),
        turn_on_share=turn_on_share,
        first_column_sparsity=float(sparsity[0]),
        mean_column_sparsity=float(sparsity[1:].mean()),
        last_column_sparsity=float(sparsity[-1]),
    )


def _turn_on_share(hot: Hot) -> float:
    turned_on = int(np.count_nonzero(hot[1:] & ~hot[:-1]))
    turned_off = int(np.count_nonzero(~hot[1:] & hot[:-1]))
    changes = turned_on + turned_off
    return turned_on / changes if changes else 0.5
