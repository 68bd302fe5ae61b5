"""How alike consecutive iterations are: what machines that compute differences live on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colfw.errors import InvariantError
from colfw.folding import is_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colfw.profile import Statistics
    from colfw.sites import Site


class TemporalSimilarity:
    """Makes an observer for each run."""

    def start(self, sites: Sequence[Site], *, iterations: int) -> SimilarityFold:
        return SimilarityFold(sites, iterations)


class SimilarityFold:
    """Folds activations into `cosine`, `[iteration]` float64: the angle to the iteration before.

    Each call of an iteration is held against the same call of the iteration before, and the cosine is that of
    all calls strung together. Iteration 0 has none before it, and zeros have no direction: both are NaN.
    One iteration of every site is kept, which for a large model is several hundred megabytes.

    >>> from colfw.sites import Ffn, Site
    >>> site = Site(name="mlp", rows=1, columns=2, operator=Ffn(d_in=1, d_out=1))
    >>> fold = SimilarityFold([site], iterations=2)
    >>> fold.observe(site, 0, np.array([[1.0, 0.0]]))
    >>> fold.observe(site, 1, np.array([[3.0, 4.0]]))
    >>> fold.statistics()["mlp"]["cosine"].tolist()
    [nan, 0.6]
    """

    def __init__(self, sites: Sequence[Site], iterations: int) -> None:
        self._iterations = iterations
        # Of each iteration: the product with the one before, and the squares of both.
        self._sums = {site.name: np.zeros((iterations, 3)) for site in sites}
        self._kept = {site.name: _Kept() for site in sites}

    def observe(self, site: Site, iteration: int, activation: Any) -> None:
        """Take in an array or a tensor on any device; what is kept of it stays there."""
        before = self._kept[site.name].exchange(iteration, activation)
        if before is None:
            return
        if before.shape != activation.shape:
            raise InvariantError(
                f"activation of shape {tuple(activation.shape)} cannot be compared with"
                f" {tuple(before.shape)} of the iteration before",
                where=f"site {site.name}",
            )
        self._sums[site.name][iteration] += (
            _product(before, activation),
            _product(before, before),
            _product(activation, activation),
        )

    def statistics(self) -> Statistics:
        return {name: {"cosine": _cosine(sums)} for name, sums in self._sums.items()}


class _Kept:
    """The activations of one site in this iteration and the one before, call by call."""

    def __init__(self) -> None:
        self._iteration: int | None = None
        self._before: list[Any] = []
        self._now: list[Any] = []

    def exchange(self, iteration: int, activation: Any) -> Any:
        """Keep this call's activation; returns that of the same call in the iteration before, if any."""
        if iteration != self._iteration:
            follows = self._iteration is not None and iteration == self._iteration + 1
            self._before, self._now = self._now if follows else [], []
            self._iteration = iteration
        self._now.append(_frozen(activation))
        call = len(self._now) - 1
        return self._before[call] if call < len(self._before) else None


def _frozen(activation: Any) -> Any:
    """The values as they are now: what runs afterwards may write over them."""
    return activation.detach().clone() if is_tensor(activation) else np.array(activation)


def _product(one: Any, other: Any) -> float:
    if is_tensor(one):
        return float((one.double() * other.detach().double()).sum())
    return float(np.sum(np.asarray(one, np.float64) * np.asarray(other, np.float64)))


def _cosine(sums: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return sums[:, 0] / np.sqrt(sums[:, 1] * sums[:, 2])
