"""A denoiser small enough to read: x <- x + step * FFN(x), layer by layer, from noise."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from colfw.masks import MaskSet
from colfw.protocols import DenoiseRequest, Observer
from colfw.samples import Samples
from colfw.sites import Ffn, Site
from colfw.vocabulary import Reuse
from colfw_tiny.config import DenoiserConfig

Array = NDArray[np.float32]

LAYERS = 2


class TinyDenoiser:
    """Two feed-forward layers with seeded random weights; iteration 0 sees the most noise."""

    def __init__(self, config: DenoiserConfig) -> None:
        self.config = config

    def sites(self, request: DenoiseRequest) -> tuple[Site, ...]:
        operator = Ffn(d_in=self.config.width, d_out=self.config.width)
        return tuple(
            Site(
                name=f"layers.{layer}.mlp",
                rows=self.config.rows,
                columns=self.config.columns,
                operator=operator,
            )
            for layer in range(LAYERS)
        )

    def weights_digest(self, request: DenoiseRequest) -> None:
        """The seed and this code decide the weights."""

    def denoise(
        self, request: DenoiseRequest, observers: Sequence[Observer], masks: MaskSet | None
    ) -> Samples:
        rng = np.random.default_rng(request.seed)
        weights = [self._layer(rng) for _ in range(LAYERS)]
        shape = (request.samples, self.config.rows, self.config.width)
        x = rng.standard_normal(shape).astype(np.float32)
        kept: dict[str, Array] = {}
        for iteration in range(request.iterations):
            for site, (up, down) in zip(self.sites(request), weights, strict=True):
                hidden = gelu(x @ up)
                for observer in observers:
                    observer.observe(site, iteration, hidden)
                hidden = _masked(hidden, site, iteration, masks, request.reuse, kept)
                x = x + hidden @ down / np.float32(request.iterations)
        return Samples(modality="vector", data=x, seed=request.seed)

    def _layer(self, rng: np.random.Generator) -> tuple[Array, Array]:
        width, columns = self.config.width, self.config.columns
        # Columns of unequal strength, as in trained models: some are hardly ever hot.
        strength = rng.exponential(0.5, columns)
        up = rng.standard_normal((width, columns)) * strength / np.sqrt(width)
        down = rng.standard_normal((columns, width)) / np.sqrt(columns)
        return up.astype(np.float32), down.astype(np.float32)


def gelu(x: Array) -> Array:
    """GELU in its tanh form."""
    inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3)
    return np.asarray(np.float32(0.5) * x * (1 + np.tanh(inner)), np.float32)


def _masked(
    hidden: Array,
    site: Site,
    iteration: int,
    masks: MaskSet | None,
    reuse: Reuse,
    kept: dict[str, Array],
) -> Array:
    """Cold columns hold nothing, or what they held in iteration 0, which is dense."""
    if masks is None:
        return hidden
    if iteration == 0:
        kept[site.name] = hidden
        return hidden
    cold = kept[site.name] if reuse is Reuse.STALE else np.zeros_like(hidden)
    return np.where(masks.site(site.name).hot[iteration], hidden, cold)
