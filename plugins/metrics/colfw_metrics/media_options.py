"""What one may choose about metrics on video and audio: light to import, for studies are checked with it."""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen, validators

from colfw.typed import non_negative
from colfw_metrics.config import NetworkConfig


class FvdFrames(StrEnum):
    """How frames come to the 224x224 pixels that I3D looks at: codes differ, and so do their numbers."""

    ORIGINAL = "original"
    """The first code of FVD: squashed to a square, by TensorFlow 1's bilinear resize."""
    TATS = "tats"
    """Squashed to a square, by a bilinear resize about the middle of pixels."""
    VIDEOGPT = "videogpt"
    """Shorter side to 224, bilinear about the middle of pixels; of the longer side the middle is kept."""


class FadWindows(StrEnum):
    """Which windows of 0.96 s VGGish hears: the Frechet distances of the two are not comparable."""

    ADJACENT = "adjacent"
    """One every 0.96 s, as ports to PyTorch have it (torchvggish, frechet-audio-distance)."""
    OVERLAPPING = "overlapping"
    """One every 0.5 s, as Google's code has it. That also scales each clip by its peak; this does not."""


class PesqBand(StrEnum):
    """Which of PESQ's two mappings is used; their numbers differ."""

    NARROW = "narrow"
    """ITU-T P.862.1: telephone speech; from 1.02 to 4.55."""
    WIDE = "wide"
    """ITU-T P.862.2: up to 7 kHz, of samples at 16 kHz; from 1.04 to 4.64."""


@frozen(kw_only=True)
class FrechetConfig(NetworkConfig):
    """Options of a distance between what a network sees, or hears, in both sets."""

    replicates: int | None = field(default=None, validator=validators.optional(non_negative))
    """How often samples are drawn for the confidence interval; by default as often as minutes allow, and
    0 leaves the interval out."""


@frozen(kw_only=True)
class FvdConfig(FrechetConfig):
    """Options of the Frechet video distance; `weights` is the file of I3D's weights."""

    frames: FvdFrames = field(default=FvdFrames.ORIGINAL, converter=FvdFrames)


@frozen(kw_only=True)
class FadConfig(FrechetConfig):
    """Options of the Frechet audio distance; `weights` is the file of VGGish's weights."""

    windows: FadWindows = field(default=FadWindows.ADJACENT, converter=FadWindows)


@frozen(kw_only=True)
class PesqConfig:
    """Options of the perceptual evaluation of speech quality."""

    band: PesqBand = field(default=PesqBand.WIDE, converter=PesqBand)
    resample: bool = True
    """Whether samples of another rate than PESQ's 8 and 16 kHz are brought to one, or left out."""
