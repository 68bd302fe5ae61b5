"""The range of values at each site: what a quantiser has to cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colfw.profile import Statistics
    from colfw.sites import Site


class ValueRange:
    """Makes an observer for each run."""

    def start(self, sites: Sequence[Site], *, iterations: int) -> RangeFold:
        return RangeFold(sites, iterations)


class RangeFold:
    """Folds activations into `low` and `high`, `[iteration]` float32: signed, unlike column maxima.

    >>> from colfw.sites import Ffn, Site
    >>> site = Site(name="mlp", rows=1, columns=2, operator=Ffn(d_in=1, d_out=1))
    >>> fold = RangeFold([site], iterations=1)
    >>> fold.observe(site, 0, np.array([[-0.25, 2.0]]))
    >>> fold.statistics()["mlp"]["low"].tolist()
    [-0.25]
    """

    def __init__(self, sites: Sequence[Site], iterations: int) -> None:
        self._low = {site.name: np.full(iterations, np.inf, np.float32) for site in sites}
        self._high = {site.name: np.full(iterations, -np.inf, np.float32) for site in sites}

    def observe(self, site: Site, iteration: int, activation: Any) -> None:
        """Take in an array or a tensor on any device; only two numbers leave it."""
        low, high = self._low[site.name], self._high[site.name]
        low[iteration] = min(low[iteration], float(activation.min()))
        high[iteration] = max(high[iteration], float(activation.max()))

    def statistics(self) -> Statistics:
        return {name: {"low": low, "high": self._high[name]} for name, low in self._low.items()}
