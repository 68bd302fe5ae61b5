"""Masked generation: cold columns of a hidden activation hold nothing, or what they held before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from colfw.vocabulary import Reuse

if TYPE_CHECKING:
    from torch import Tensor

    from colfw.masks import MaskSet
    from colfw.sites import Site


class Masking:
    """Applies a mask set to activations as they pass.

    With `stale`, cold columns keep what they held in the last dense iteration, in which all columns are
    hot: iteration 0, and any later one. A site that is called several times an iteration keeps each call.
    """

    def __init__(self, masks: MaskSet, reuse: Reuse, device: torch.device) -> None:
        self._cold = {
            mask.site.name: torch.from_numpy(~mask.hot).to(device, non_blocking=True) for mask in masks.sites
        }
        self._dense: dict[str, list[bool]] = {
            mask.site.name: [bool(hot.all()) for hot in mask.hot] for mask in masks.sites
        }
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
