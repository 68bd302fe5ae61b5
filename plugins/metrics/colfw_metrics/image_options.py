"""What one may choose about metrics on images: light to import, for studies are checked with it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003  (cattrs resolves annotations)

from attrs import field, frozen

from colfw.typed import positive
from colfw_metrics.config import NetworkConfig


class Pooling(StrEnum):
    """Of what PSNR takes the logarithm."""

    PER_IMAGE = "per-image"
    """Of each image's squared error; the values in dB are averaged."""
    POOLED = "pooled"
    """Of the mean squared error of all images together: the worst images decide."""


class SsimConvention(StrEnum):
    """Which of three well-known codes SSIM agrees with; their numbers differ."""

    WANG = "wang"
    """Wang et al. 2004: Gaussian window of 11x11 pixels, where it lies within the image."""
    TORCHMETRICS = "torchmetrics"
    """The same window over the whole image, reflected at its border."""
    SCIKIT_IMAGE = "scikit-image"
    """That library's default: uniform window of 7x7 pixels within the image, sample covariance."""


class LpipsNetwork(StrEnum):
    """The network whose features LPIPS compares."""

    VGG = "vgg"
    ALEX = "alex"


class ClipConvention(StrEnum):
    """On which scale a CLIP score is given."""

    TORCHMETRICS = "torchmetrics"
    """100 times the mean cosine, at least 0: from 0 to 100."""
    HESSEL = "hessel"
    """Hessel et al. 2021: 2.5 times the mean of the cosines, each at least 0: from 0 to 2.5."""


@frozen(kw_only=True)
class PsnrConfig:
    """Options of the peak signal-to-noise ratio."""

    pooling: Pooling = field(default=Pooling.PER_IMAGE, converter=Pooling)
    ceiling_db: float = field(default=100.0, validator=positive)
    """What equal images count for, instead of infinity: a root mean square error of 1e-5 of the range."""


@frozen(kw_only=True)
class SsimConfig:
    """Options of the structural similarity."""

    convention: SsimConvention = field(default=SsimConvention.WANG, converter=SsimConvention)


@frozen(kw_only=True)
class LpipsConfig(NetworkConfig):
    """Options of LPIPS; `weights` is torchvision's released file of the network."""

    network: LpipsNetwork = field(default=LpipsNetwork.VGG, converter=LpipsNetwork)


@frozen(kw_only=True)
class ClipConfig(NetworkConfig):
    """Options of CLIP's view of images; `weights` is a folder that transformers' save_pretrained made."""


@frozen(kw_only=True)
class ClipScoreConfig(ClipConfig):
    """Options of the CLIP score: how well images follow their prompts."""

    prompts: Path | None = None
    """A text file with a prompt a line; samples are of them in turn, as a workload's are of its prompts."""
    convention: ClipConvention = field(default=ClipConvention.TORCHMETRICS, converter=ClipConvention)
