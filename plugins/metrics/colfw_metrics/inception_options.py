"""Options of the metrics on Inception's features: light to import, for studies are checked with them."""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen, validators

from colfw.resampling import REPLICATES
from colfw.typed import non_negative, positive
from colfw_metrics.config import NetworkConfig, Of


class Resize(StrEnum):
    """Which of three well-known codes brings images to Inception's 299 x 299 pixels; their numbers differ.

    All three read files of 8-bit images, so samples are rounded to 256 levels first.
    """

    TORCH_FIDELITY = "torch-fidelity"
    """As TensorFlow 1 did: bilinear, between pixels whose corners coincide."""
    PYTORCH_FID = "pytorch-fid"
    """Bilinear, between the centres of pixels."""
    CLEAN_FID = "clean-fid"
    """Bicubic, and smoothed where the image shrinks."""


@frozen(kw_only=True)
class InceptionConfig(NetworkConfig):
    """Options of a metric that looks at images with Inception."""

    resize: Resize = field(default=Resize.TORCH_FIDELITY, converter=Resize)


@frozen(kw_only=True)
class FidConfig(InceptionConfig):
    """Options of FID."""

    dimensions: int = field(default=2048, validator=validators.in_((64, 192, 768, 2048)))
    """Which features are compared; published values are of 2048. Fewer need fewer samples, and see less."""
    replicates: int | None = field(default=None, validator=validators.optional(non_negative))
    """How often samples are drawn for the confidence interval; by default as often as minutes allow, and
    0 leaves the interval out."""


@frozen(kw_only=True)
class InceptionScoreConfig(InceptionConfig):
    """Options of the Inception Score."""

    splits: int = field(default=10, validator=positive)
    """Into how many parts the set is cut; the score is the mean of theirs."""
    shuffle: bool = True
    """Whether the set is shuffled before, always the same way, as torch-fidelity does."""
    of: Of = field(default=Of.MASKED, converter=Of)
    replicates: int = field(default=REPLICATES, validator=non_negative)
    """How often samples are drawn for the confidence interval; 0 leaves it out."""
