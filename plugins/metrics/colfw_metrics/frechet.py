"""The Frechet distance of two sets of features, each taken as a normal distribution.

|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^1/2, with covariances S of n - 1. The root of S1 S2 is never
formed: where S = F^T F, the trace of it is the sum of the singular values of F1 F2^T, which are real and
never negative however singular the covariances are.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from colfw.errors import InvariantError, UnavailableError
from colfw.resampling import REPLICATES, bootstrapped
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from colfw.samples import Score

    Matrix = NDArray[np.float64]
    Counts = NDArray[np.int64]

BATCH: Final = 1024
"""Rows of features that are looked at together: 16 MiB of 2048 float64 values."""
_ROUNDING: Final = float(np.finfo(np.float64).eps)


@frozen(kw_only=True, eq=False)
class Moments:
    """How many there are, their mean `[feature]` and their covariance `[feature, feature]` of n - 1.

    One alone has the covariance zero, so that it can be merged with others.
    """

    count: int
    mean: Matrix
    covariance: Matrix


def moments_of(features: NDArray[Any], *, weights: Counts | None = None, batch: int = BATCH) -> Moments:
    """Moments of `features[row, feature]`, in float64, a batch at a time: they may be mapped from a file.

    `weights[row]` says how often a row was drawn; a row that was not drawn does not count.
    """
    _check_rows(features)
    total: _Sums | None = None
    # Features that are too large for their squares give infinity, which is refused below.
    with np.errstate(over="ignore", invalid="ignore"):
        for sums in _batches(features, weights, batch):
            total = sums if total is None else total.joined(sums)
    if total is None:
        raise InvariantError("no row was drawn", where="weights")
    return total.moments()


def merged(first: Moments, second: Moments) -> Moments:
    """The moments of both sets together."""
    return _Sums.of(first).joined(_Sums.of(second)).moments()


def frechet_distance(first: Moments, second: Moments) -> float:
    """The distance of two normal distributions with these moments; zero for equal ones, never below."""
    if first.mean.shape != second.mean.shape:
        raise InvariantError(f"{first.mean.size} features against {second.mean.size}", where="moments")
    if min(first.count, second.count) < 2:
        raise UnavailableError("a covariance needs two samples at least")
    overlap = _nuclear_norm(_root(first.covariance) @ _root(second.covariance).T)
    return _distance(first.mean - second.mean, _traces(first, second), overlap)


def frechet_score(
    dense: NDArray[Any],
    masked: NDArray[Any],
    *,
    name: str,
    replicates: int | None = None,
    sample_of_row: Counts | None = None,
) -> Score:
    """The distance of two sets of features `[row, feature]`, and its interval over pairs of samples.

    Row i of both belongs to sample i, or to sample `sample_of_row[i]` where a sample has several rows, such
    as the windows of a piece of audio: samples are drawn, with all their rows. `replicates` is how often
    samples are drawn for the interval, by default as often as the size allows (`affordable_replicates`);
    0 gives none. `name` is that of the metric, for messages.
    """
    _check_pair(dense, masked, name)
    rows, dimensions = dense.shape
    owners = _owners(rows, sample_of_row, name)
    samples = int(owners.max()) + 1
    _check_count(rows, samples, dimensions, name)
    if rows <= dimensions:
        distance = _distance_of_rows
        value = distance(dense, masked, np.ones(rows, np.int64))
    else:
        distance = _quick_distance
        value = frechet_distance(moments_of(dense), moments_of(masked))
    return bootstrapped(
        value,
        lambda drawn: distance(dense, masked, np.bincount(drawn, minlength=samples)[owners]),
        samples=samples,
        replicates=affordable_replicates(rows, dimensions) if replicates is None else replicates,
        least=0.0,
    )


def affordable_replicates(rows: int, dimensions: int) -> int:
    """As many as `REPLICATES`, and fewer where each is dear; decided by size alone, never by a clock."""
    work = 10 * min(rows, dimensions) ** 3 + (2 * rows * dimensions**2 if rows > dimensions else 0)
    return int(np.clip(_AFFORDABLE_WORK // work, FEWEST_REPLICATES, REPLICATES))


FEWEST_REPLICATES: Final = 50
_AFFORDABLE_WORK: Final = 10**13
"""Floating-point operations: up to three minutes of one core."""


# --- sums that can be joined ----------------------------------------------------------------------


@frozen(kw_only=True, eq=False)
class _Sums:
    """Moments before the division: `scatter` is the sum of squared deviations from the mean."""

    count: int
    mean: Matrix
    scatter: Matrix

    @classmethod
    def of(cls, moments: Moments) -> _Sums:
        return cls(count=moments.count, mean=moments.mean, scatter=moments.covariance * (moments.count - 1))

    def joined(self, other: _Sums) -> _Sums:
        """Chan, Golub and LeVeque (1979): stable, for what is added is a deviation, not a square of means."""
        count = self.count + other.count
        shift = other.mean - self.mean
        return _Sums(
            count=count,
            mean=self.mean + shift * (other.count / count),
            scatter=self.scatter
            + other.scatter
            + np.outer(shift, shift) * (self.count * (other.count / count)),
        )

    def moments(self) -> Moments:
        _check_finite(self.mean, self.scatter)
        return Moments(count=self.count, mean=self.mean, covariance=self.scatter / max(1, self.count - 1))


def _batches(features: NDArray[Any], weights: Counts | None, batch: int) -> Iterator[_Sums]:
    for first in range(0, len(features), batch):
        rows = np.asarray(features[first : first + batch], np.float64)
        counts = np.ones(len(rows)) if weights is None else weights[first : first + batch]
        if counts.any():
            yield _sums(rows[counts > 0], counts[counts > 0])


def _sums(rows: Matrix, counts: NDArray[Any]) -> _Sums:
    count = int(counts.sum())
    mean = counts @ rows / count
    deviations = (rows - mean) * np.sqrt(counts)[:, None]
    return _Sums(count=count, mean=mean, scatter=deviations.T @ deviations)


# --- two ways to the distance of what was drawn ---------------------------------------------------


def _distance_of_rows(dense: NDArray[Any], masked: NDArray[Any], counts: Counts) -> float:
    """The distance where row i counts `counts[i]` times, for few rows: F is then the rows less their mean."""
    (mean, root), (other_mean, other_root) = _spread(dense, counts), _spread(masked, counts)
    traces = float((root**2).sum() + (other_root**2).sum())
    return _distance(mean - other_mean, traces, _nuclear_norm(root @ other_root.T))


def _spread(features: NDArray[Any], counts: Counts) -> tuple[Matrix, Matrix]:
    """The mean of the rows that count, and F."""
    rows, count = features[counts > 0].astype(np.float64), int(counts.sum())
    with np.errstate(over="ignore", invalid="ignore"):
        mean = counts[counts > 0] @ rows / count
        root = (rows - mean) * np.sqrt(counts[counts > 0] / (count - 1))[:, None]
        _check_finite(mean, root**2)
    return mean, root


def _quick_distance(dense: NDArray[Any], masked: NDArray[Any], counts: Counts) -> float:
    """The same for many rows, to about eight digits: enough for a replicate, and three times as fast.

    One Cholesky factor and the eigenvalues of F1 S2 F1^T stand for two roots and the singular values.
    """
    first, second = (moments_of(each, weights=counts) for each in (dense, masked))
    root = _quick_root(first.covariance)
    squares = np.linalg.eigvalsh(root @ second.covariance @ root.T)
    overlap = float(np.sqrt(np.maximum(squares, 0)).sum())
    return _distance(first.mean - second.mean, _traces(first, second), overlap)


def _traces(first: Moments, second: Moments) -> float:
    return float(np.trace(first.covariance) + np.trace(second.covariance))


def _distance(shift: Matrix, traces: float, overlap: float) -> float:
    """From the difference of means, the sum of both traces, and the trace of the root of S1 S2."""
    apart = traces - 2 * overlap
    # Two nearly equal sums are subtracted: what is below their rounding, also below zero, is nothing.
    if apart <= 4 * shift.size * _ROUNDING * traces:
        apart = 0.0
    return float(shift @ shift) + apart


def _nuclear_norm(matrix: Matrix) -> float:
    return float(np.linalg.svd(matrix, compute_uv=False).sum())


def _root(covariance: Matrix) -> Matrix:
    """F with covariance = F^T F, of as many rows as the covariance has directions.

    What is below the rounding of the largest variance is no direction, and may be negative.
    """
    variances, directions = np.linalg.eigh(covariance)
    there = variances > max(0.0, variances[-1]) * len(variances) * _ROUNDING
    root: Matrix = np.sqrt(variances[there])[:, None] * directions[:, there].T
    return root


def _quick_root(covariance: Matrix) -> Matrix:
    try:
        return np.asarray(np.linalg.cholesky(covariance).T, np.float64)
    except np.linalg.LinAlgError:  # singular
        return _root(covariance)


# --- what is refused ------------------------------------------------------------------------------


def _check_rows(features: NDArray[Any]) -> None:
    if features.ndim != 2 or 0 in features.shape:
        raise InvariantError(f"must be [row, feature], not of shape {features.shape}", where="features")


def _check_pair(dense: NDArray[Any], masked: NDArray[Any], name: str) -> None:
    _check_rows(dense)
    if dense.shape != masked.shape:
        raise InvariantError(f"dense features {dense.shape}, masked {masked.shape}", where=name)


def _check_finite(*arrays: Matrix) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise UnavailableError("features hold NaN or are too large for their squares")


def _owners(rows: int, sample_of_row: Counts | None, name: str) -> Counts:
    """The sample of each row, numbered from 0 without gaps."""
    if sample_of_row is None:
        return np.arange(rows)
    if sample_of_row.shape != (rows,):
        raise InvariantError(f"{sample_of_row.shape} owners of {rows} rows of features", where=name)
    return np.unique(sample_of_row, return_inverse=True)[1]


def _check_count(rows: int, samples: int, dimensions: int, name: str) -> None:
    if min(rows, samples) < 2:
        raise UnavailableError("needs two samples at least: one has no spread", where=name)
    if rows <= dimensions:
        warnings.warn(
            f"{name}: {rows} samples for {dimensions} features, where more than {dimensions} are needed:"
            " the covariances are singular and the distance comes out too large",
            SampleCountWarning,
            stacklevel=3,
        )
