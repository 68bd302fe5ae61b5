"""The options of the three miniatures. Their sizes are fixed: they are what the shipped weights fit.

A study is checked with these classes, so nothing here imports torch.
"""

from __future__ import annotations

from attrs import field, frozen

from colfw.denoising.options import DenoiserOptions
from colfw.typed import non_negative, positive

STYLES = ("stroll", "march", "run", "sneak", "limp", "swagger")
"""Ways of walking that the walker was trained on; a style's number is its place in this list."""


@frozen(kw_only=True)
class MiniatureOptions(DenoiserOptions):
    """As for every denoiser; more samples run at once, because the models are small."""

    batch_samples: int = field(default=16, validator=positive)
    labels: tuple[int, ...] = ()
    """Digits to draw, or numbers of styles to walk in (their places in `STYLES`), one a sample, repeated
    in turn; without them they are drawn from the seed."""
    guidance_scale: float = field(default=2.0, validator=non_negative)
