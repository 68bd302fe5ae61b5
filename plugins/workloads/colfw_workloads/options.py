"""The options of the denoisers: their published sizes, and what a user changes.

A study is checked with these classes, so nothing here imports torch. The defaults are the published models;
the preset `tiny` of each workload is the same architecture at a size for a first try and for tests.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (cattrs resolves annotations)

from attrs import field, frozen

from colfw.denoising.options import DenoiserOptions, PromptedOptions
from colfw.typed import non_negative, positive


@frozen(kw_only=True)
class DitOptions(DenoiserOptions):
    """DiT-XL/2 at 256 x 256 pixels."""

    latent_size: int = field(default=32, validator=positive)
    patch_size: int = field(default=2, validator=positive)
    width: int = field(default=1152, validator=positive)
    depth: int = field(default=28, validator=positive)
    heads: int = field(default=16, validator=positive)
    classes: int = field(default=1000, validator=positive)
    labels: tuple[int, ...] = ()
    """Classes to draw, one a sample, repeated in turn; without them they are drawn from the seed."""
    guidance_scale: float = field(default=4.0, validator=non_negative)
    decoder: Path | None = None
    """What makes images of the latents: a folder of diffusers' `AutoencoderKL`. Without it, samples are
    latents."""


@frozen(kw_only=True)
class UnetOptions(PromptedOptions):
    """The UNet of Stable Diffusion v1 at 512 x 512 pixels."""

    latent_size: int = field(default=64, validator=positive)
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    heads: int = field(default=8, validator=positive)
    context_tokens: int = field(default=77, validator=positive)
    context_width: int = field(default=768, validator=positive)
    decoder: Path | None = None
    """What makes images of the latents: a folder of diffusers' `AutoencoderKL`, or an original checkpoint
    that holds one, such as `sd-v1-4.ckpt`. Without it, samples are latents."""


@frozen(kw_only=True)
class StableDiffusionOptions(UnetOptions):
    """Stable Diffusion v1.4, with its official samplers."""

    sampler: str = "plms"
    """`plms` (CompVis), `ddim`, or `pndm` (diffusers' form of plms: each forward is an iteration, so that the
    official 50 steps are 51)."""
    guidance_scale: float = field(default=7.5, validator=non_negative)


@frozen(kw_only=True)
class MakeAnAudioOptions(DenoiserOptions):
    """The UNet of Make-an-Audio for ten seconds of sound."""

    latent_height: int = field(default=10, validator=positive)
    latent_width: int = field(default=80, validator=positive)
    width: int = field(default=320, validator=positive)
    heads: int = field(default=8, validator=positive)
    context_tokens: int = field(default=77, validator=positive)
    context_width: int = field(default=1024, validator=positive)
    guidance_scale: float = field(default=3.0, validator=non_negative)


@frozen(kw_only=True)
class VideoCrafterOptions(PromptedOptions):
    """The 3D UNet of VideoCrafter2 at 320 x 512 pixels and 16 frames."""

    frames: int = field(default=16, validator=positive)
    latent_height: int = field(default=40, validator=positive)
    latent_width: int = field(default=64, validator=positive)
    width: int = field(default=320, validator=positive)
    head_width: int = field(default=64, validator=positive)
    context_tokens: int = field(default=77, validator=positive)
    context_width: int = field(default=1024, validator=positive)
    fps: int = field(default=28, validator=positive)
    guidance_scale: float = field(default=12.0, validator=non_negative)
    decoder: Path | None = None
    """What makes frames of the latents: the released checkpoint, which holds an autoencoder too, or a folder
    of diffusers' `AutoencoderKL`. Without it, samples are latents."""


@frozen(kw_only=True)
class MdmOptions(PromptedOptions):
    """MDM, text to motion on HumanML3D."""

    frames: int = field(default=120, validator=positive)
    features: int = field(default=263, validator=positive)
    width: int = field(default=512, validator=positive)
    hidden: int = field(default=1024, validator=positive)
    depth: int = field(default=8, validator=positive)
    heads: int = field(default=4, validator=positive)
    diffusion_steps: int = field(default=50, validator=positive)
    """50: the released 50-step model; 1000: the 1000-step model, respaced to the iterations of the study."""
    guidance_scale: float = field(default=2.5, validator=non_negative)
    statistics: Path | None = None
    """The folder of HumanML3D's `Mean.npy` and `Std.npy`, which turn features into positions of joints.
    Without it, samples are features."""


@frozen(kw_only=True)
class MldOptions(PromptedOptions):
    """MLD, text to motion in a latent space, HumanML3D."""

    width: int = field(default=256, validator=positive)
    hidden: int = field(default=1024, validator=positive)
    depth: int = field(default=9, validator=positive)
    heads: int = field(default=4, validator=positive)
    text_width: int = field(default=768, validator=positive)
    guidance_scale: float = field(default=7.5, validator=non_negative)


@frozen(kw_only=True)
class EdgeOptions(DenoiserOptions):
    """EDGE, music to dance, with jukebox features; a sample is one dance of overlapping windows."""

    windows: int = field(default=11, validator=positive)
    """Windows of five seconds that overlap by half: 11 are 30 seconds."""
    frames: int = field(default=150, validator=positive)
    width: int = field(default=512, validator=positive)
    hidden: int = field(default=1024, validator=positive)
    depth: int = field(default=8, validator=positive)
    heads: int = field(default=8, validator=positive)
    music_width: int = field(default=4800, validator=positive)
    guidance_scale: float = field(default=2.0, validator=non_negative)
    skeleton: Path | None = None
    """An npy file `[24, 3]`: where each joint of SMPL hangs on the one before it, in metres, when none is
    turned. With a released checkpoint, which says how features were normalised, it turns them into positions
    of joints. Without either, samples are features."""


@frozen(kw_only=True)
class StableDiffusion3Options(DenoiserOptions):
    """Stable Diffusion 3 medium at 1024 x 1024 pixels."""

    latent_size: int = field(default=128, validator=positive)
    depth: int = field(default=24, validator=positive)
    heads: int = field(default=24, validator=positive)
    head_width: int = field(default=64, validator=positive)
    text_tokens: int = field(default=333, validator=positive)
    """77 of the two CLIP encoders and 256 of T5, as the official pipeline strings them together."""
    text_width: int = field(default=4096, validator=positive)
    pooled_width: int = field(default=2048, validator=positive)
    guidance_scale: float = field(default=7.0, validator=non_negative)
    decoder: Path | None = None
    """What makes images of the latents: a folder of diffusers' `AutoencoderKL`. Without it, samples are
    latents."""


@frozen(kw_only=True)
class LatentConsistencyOptions(UnetOptions):
    """LCM Dreamshaper v7, a consistency model with the UNet of Stable Diffusion v1, at 768 x 768 pixels."""

    latent_size: int = field(default=96, validator=positive)
    guidance_width: int = field(default=256, validator=positive)
    """Of the embedding that tells the network the guidance scale."""
    guidance_scale: float = field(default=8.0, validator=non_negative)
