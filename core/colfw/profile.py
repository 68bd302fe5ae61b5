"""The activation profile: one run of a denoiser, kept so that every threshold can be asked later.

A column is hot iff max|a| over its rows exceeds tau. So a profile keeps, for each site, the exact
float32 maxima `[iteration, column]` and exact counts of elements above each threshold of a declared
grid. Activations are folded while they pass and never kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

import attrs
import numpy as np
from attrs import field, frozen, validators

from colfw import arrayfile
from colfw.errors import InvariantError
from colfw.folding import DeviceFold, fold_rows, host_rows, is_tensor
from colfw.sites import Site, check_distinct
from colfw.thresholds import check_thresholds, float32_floor
from colfw.vocabulary import RowConvention, SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from colfw.folding import Folded

PROFILE_SCHEMA_VERSION = 1

Statistics = Mapping[str, Mapping[str, "NDArray[Any]"]]
"""What one observer found: site name -> statistic name -> array."""


@frozen(kw_only=True)
class Provenance:
    """What a profile was made from: enough to make it again, and to say what its numbers are worth."""

    workload: str
    source: SourceKind = field(converter=SourceKind)
    seed: int
    samples: int = field(validator=validators.ge(1))
    iterations: int = field(validator=validators.ge(1))
    weights_digest: str | None = None
    options: Mapping[str, Any] = field(factory=dict)
    rows_convention: RowConvention = field(default=RowConvention.OFFICIAL, converter=RowConvention)


@frozen(kw_only=True, eq=False)
class SiteProfile:
    """What was seen at one site: float32 maxima, exact counts, and how many elements were looked at."""

    site: Site
    maxima: NDArray[np.float32]
    exceeding: NDArray[np.int64]
    elements: NDArray[np.int64]

    def __attrs_post_init__(self) -> None:
        where = f"profile of site {self.site.name}"
        iterations = self.maxima.shape[0] if self.maxima.ndim == 2 else 0
        _require(iterations > 0, "maxima must be [iteration, column]", where)
        _require(self.maxima.dtype == np.float32, "maxima must be float32", where)
        _require(self.maxima.shape[1] == self.site.columns, "a maximum per column is needed", where)
        _require(self.elements.shape == (iterations,), "one element count per iteration", where)
        _require(
            self.exceeding.ndim == 2 and self.exceeding.shape[0] == iterations,
            "counts must be [iteration, threshold]",
            where,
        )
        self._check_values(where)

    def _check_values(self, where: str) -> None:
        bad = np.flatnonzero(~np.isfinite(self.maxima).all(axis=1))
        _require(bad.size == 0, f"NaN or infinity in iteration {bad[:1].tolist()}", where)
        _require(bool((self.maxima >= 0).all()), "a maximum of |a| cannot be negative", where)
        _require(bool((self.elements > 0).all()), "an iteration without a single element", where)
        counts = np.column_stack([self.elements, self.exceeding])
        _require(
            bool((np.diff(counts, axis=1) <= 0).all()),
            "more elements exceed a higher threshold",
            where,
        )
        _require(bool((self.exceeding >= 0).all()), "a count cannot be negative", where)

    @property
    def iterations(self) -> int:
        return int(self.maxima.shape[0])


@frozen(kw_only=True, eq=False)
class ActivationProfile:
    """All sites of one run of a denoiser, the grid of thresholds that was counted, and its origin."""

    provenance: Provenance
    thresholds: tuple[float, ...]
    sites: tuple[SiteProfile, ...]
    statistics: Mapping[str, Statistics] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        where = f"profile of {self.provenance.workload}"
        _require(bool(self.sites), "a profile needs at least one site", where)
        check_distinct(tuple(entry.site for entry in self.sites), where)
        check_thresholds(self.thresholds, where)
        for entry in self.sites:
            _require(
                entry.iterations == self.provenance.iterations,
                f"site {entry.site.name} has {entry.iterations} iterations,"
                f" the run had {self.provenance.iterations}",
                where,
            )
            _require(
                entry.exceeding.shape[1] == len(self.thresholds),
                f"site {entry.site.name} counts another grid of thresholds",
                where,
            )

    def site(self, name: str) -> SiteProfile:
        for entry in self.sites:
            if entry.site.name == name:
                return entry
        raise InvariantError(f"no site {name!r}", where=f"profile of {self.provenance.workload}")

    def to_bytes(self) -> bytes:
        """The profile as a safetensors file; see `from_file`."""
        header = {
            "provenance": attrs.asdict(self.provenance),
            "thresholds": list(self.thresholds),
            "sites": [entry.site.to_json() for entry in self.sites],
            "statistics": [key for key, _ in self._statistics()],
        }
        return arrayfile.dump("activation profile", PROFILE_SCHEMA_VERSION, header, self._arrays())

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        for index, entry in enumerate(self.sites):
            arrays[f"maxima/{index}"] = entry.maxima
            arrays[f"exceeding/{index}"] = entry.exceeding
            arrays[f"elements/{index}"] = entry.elements
        for index, (_, array) in enumerate(self._statistics()):
            arrays[f"statistics/{index}"] = array
        return arrays

    def _statistics(self) -> list[tuple[tuple[str, str, str], NDArray[Any]]]:
        """The arrays of further observers by observer, site and statistic, in one order."""
        keyed = (
            ((observer, site, name), array)
            for observer, statistics in self.statistics.items()
            for site, found in statistics.items()
            for name, array in found.items()
        )
        return sorted(keyed, key=itemgetter(0))

    @classmethod
    def from_file(cls, path: Path) -> ActivationProfile:
        """Read a profile; a corrupted, foreign or inconsistent file is refused."""
        header, arrays = arrayfile.load(path, "activation profile", PROFILE_SCHEMA_VERSION)
        with arrayfile.refusing_inconsistency(path):
            sites = tuple(
                SiteProfile(
                    site=Site.from_json(data),
                    maxima=arrays[f"maxima/{index}"],
                    exceeding=arrays[f"exceeding/{index}"],
                    elements=arrays[f"elements/{index}"],
                )
                for index, data in enumerate(header["sites"])
            )
            return cls(
                provenance=Provenance(**header["provenance"]),
                thresholds=tuple(header["thresholds"]),
                sites=sites,
                statistics=_statistics(header["statistics"], arrays),
            )


def _statistics(
    keys: Iterable[tuple[str, str, str]], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, Statistics]:
    found: dict[str, dict[str, dict[str, NDArray[Any]]]] = {}
    for index, (observer, site, name) in enumerate(keys):
        found.setdefault(observer, {}).setdefault(site, {})[name] = arrays[f"statistics/{index}"]
    return dict(found)


class ColumnMaxima:
    """The observer behind every profile: folds activations into column maxima and element counts.

    Several activations of one site in one iteration (guidance passes, samples, ragged rows) fold
    together: maxima by maximum, counts by sum.

    >>> from colfw.sites import Ffn
    >>> site = Site(name="mlp", rows=2, columns=2, operator=Ffn(d_in=1, d_out=1))
    >>> fold = ColumnMaxima([site], iterations=1, thresholds=(0.5,))
    >>> fold.observe(site, 0, [[0.25, -1.0], [0.5, 0.75]])
    >>> [profile] = fold.site_profiles()
    >>> profile.maxima.tolist(), profile.exceeding.tolist()
    ([[0.5, 1.0]], [[2]])
    """

    def __init__(self, sites: Sequence[Site], *, iterations: int, thresholds: Iterable[float]) -> None:
        self._thresholds = check_thresholds(thresholds, "thresholds to count")
        self._floors = np.array([float32_floor(tau) for tau in self._thresholds], np.float32)
        check_distinct(tuple(sites), "sites to observe")
        self._sites = {site.name: site for site in sites}
        self._iterations = iterations
        self._maxima = {site.name: np.zeros((iterations, site.columns), np.float32) for site in sites}
        self._exceeding = {site.name: np.zeros((iterations, len(self._floors)), np.int64) for site in sites}
        self._elements = {site.name: np.zeros(iterations, np.int64) for site in sites}
        self._on_device: dict[str, tuple[int, DeviceFold]] = {}

    def observe(self, site: Site, iteration: int, activation: ArrayLike | Tensor) -> None:
        """Fold one activation `[..., columns]`; NaN or infinity is an error naming site and iteration.

        What lies on another device than the processor is folded there, and an error about it comes when
        the next iteration of the site is observed, or the result is asked for.
        """
        declared = self._declared(site, iteration)
        if is_tensor(activation):
            tensor = cast("Tensor", activation)
            if tensor.device.type != "cpu" and tensor.is_floating_point() and tensor.element_size() <= 4:
                self._fold_on_device(declared, iteration, tensor)
                return
            activation = host_rows(tensor)
        rows = self._rows(declared, activation)
        if rows.size:
            self._take_in(declared.name, iteration, fold_rows(rows, self._floors))

    def _fold_on_device(self, site: Site, iteration: int, tensor: Tensor) -> None:
        _check_columns(site, tuple(tensor.shape))
        if not tensor.numel():
            return
        before, fold = self._on_device.get(site.name, (iteration, None))
        if fold is None or before != iteration:
            self._settle(site.name)
            fold = DeviceFold(self._floors)
            self._on_device[site.name] = iteration, fold
        fold.add(tensor)

    def _settle(self, site: str) -> None:
        """Take in what still lies on a device."""
        if site in self._on_device:
            iteration, fold = self._on_device.pop(site)
            self._take_in(site, iteration, fold.result())

    def _take_in(self, site: str, iteration: int, found: Folded) -> None:
        if not np.isfinite(found.maxima).all():
            raise InvariantError(
                f"NaN or infinity in the activation of iteration {iteration}",
                where=f"site {site}",
                hint="the denoiser diverged: look at its weights, precision and inputs",
            )
        maxima = self._maxima[site][iteration]
        np.maximum(maxima, found.maxima, out=maxima)
        self._elements[site][iteration] += found.elements
        self._exceeding[site][iteration] += found.exceeding

    def _declared(self, site: Site, iteration: int) -> Site:
        where = f"site {site.name}"
        declared = self._sites.get(site.name)
        if declared is None:
            raise InvariantError("was not declared by its workload", where=where)
        if not 0 <= iteration < self._iterations:
            raise InvariantError(
                f"iteration {iteration} is outside the {self._iterations} of this run", where=where
            )
        return declared

    def _rows(self, site: Site, activation: ArrayLike) -> NDArray[np.float32]:
        array = np.asarray(activation)
        _check_columns(site, array.shape)
        return _as_float32(array, f"site {site.name}").reshape(-1, site.columns)

    def site_profiles(self) -> tuple[SiteProfile, ...]:
        """What was seen; a site that was never called in some iteration is an error."""
        self._settle_all()
        return tuple(self._site_profile(site) for site in self._sites.values())

    def statistics(self) -> Statistics:
        """The same as plain arrays: an observer like any other."""
        self._settle_all()
        return {
            name: {
                "maxima": self._maxima[name].copy(),
                "exceeding": self._exceeding[name].copy(),
                "elements": self._elements[name].copy(),
            }
            for name in self._sites
        }

    def _settle_all(self) -> None:
        for site in self._sites:
            self._settle(site)

    def _site_profile(self, site: Site) -> SiteProfile:
        unseen = np.flatnonzero(self._elements[site.name] == 0)
        if unseen.size:
            raise InvariantError(
                f"was not called in iteration {unseen[0]}",
                where=f"site {site.name}",
                hint="is the site named after the right module?",
            )
        return SiteProfile(
            site=site,
            maxima=self._maxima[site.name].copy(),  # what was seen stays as it is when folding goes on
            exceeding=self._exceeding[site.name].copy(),
            elements=self._elements[site.name].copy(),
        )


def _check_columns(site: Site, shape: tuple[int, ...]) -> None:
    if not shape or shape[-1] != site.columns:
        raise InvariantError(
            f"activation of shape {shape} has not its {site.columns} columns", where=f"site {site.name}"
        )


def _as_float32(array: NDArray[Any], where: str) -> NDArray[np.float32]:
    """The same values as float32; a type that float32 cannot hold exactly is refused."""
    if np.can_cast(array.dtype, np.float32, casting="safe"):
        return array.astype(np.float32, copy=False)
    with np.errstate(over="ignore"):  # what overflows differs, and is refused below
        narrowed = array.astype(np.float32)
    equal = np.array_equal(narrowed, array, equal_nan=array.dtype.kind == "f")
    if not equal or _beyond_float64(array):
        raise InvariantError(
            f"activation of type {array.dtype} holds values that float32 does not", where=where
        )
    return narrowed


def _beyond_float64(array: NDArray[Any]) -> bool:
    """Whether integers are so large that comparing them with a float rounds them first."""
    return array.dtype.kind in "iu" and array.size > 0 and max(-int(array.min()), int(array.max())) > 2**53


def _require(condition: bool, problem: str, where: str) -> None:  # noqa: FBT001
    if not condition:
        raise InvariantError(problem, where=where)
