"""Masked generation: cold columns of a hidden activation hold nothing, or what they held before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from colfw.errors import InvariantError
from colfw.vocabulary import Reuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from colfw.masks import Hot, MaskSet
    from colfw.sites import Site


class Masking:
    """Applies a mask set to activations as they pass.

    With `stale`, cold columns keep what they held in the last dense iteration, in which all columns are
    hot: iteration 0, and any later one. A site that is called several times an iteration keeps each call.
    """

    def __init__(
        self, masks: MaskSet, sites: Sequence[Site], *, iterations: int, reuse: Reuse, device: torch.device
    ) -> None:
        flags = {site.name: _hot(masks, site, iterations) for site in sites}
        self._cold = {name: torch.from_numpy(~hot).to(device) for name, hot in flags.items()}
        self._dense = {name: [bool(columns.all()) for columns in hot] for name, hot in flags.items()}
        self._reuse = reuse
        self._kept: dict[tuple[str, int], Tensor] = {}

    def apply(self, site: Site, iteration: int, call: int, activation: Tensor) -> Tensor | None:
        """The activation that goes on, or None where it is the one that came; `call` counts from 0."""
        if self._dense[site.name][iteration]:
            if self._reuse is Reuse.STALE:
                self._kept[site.name, call] = activation
            return None
        cold = self._cold[site.name][iteration]
        if self._reuse is Reuse.ZERO:
            return activation.masked_fill(cold, 0.0)
        return torch.where(cold, self._kept[site.name, call], activation)


def _hot(masks: MaskSet, site: Site, iterations: int) -> Hot:
    """The flags of one site, if they are for this run."""
    hot = masks.site(site.name).hot
    if hot.shape != (iterations, site.columns):
        raise InvariantError(
            f"the mask is for {hot.shape[0]} iterations of {hot.shape[1]} columns,"
            f" the run has {iterations} of {site.columns}",
            where=f"site {site.name}",
        )
    return hot
