"""Make-an-Audio: a UNet on the latent of a sound's spectrogram, led by a caption.

Huang et al., "Make-An-Audio: Text-To-Audio Generation with Prompt-Enhanced Diffusion Models" (2023). The
denoiser is the UNet of Stable Diffusion with two levels, both with transformers. Its parts are in `unet`,
under the names of the released checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from colfw.denoising.checkpoints import CheckpointLayout
from colfw.denoising.workload import Condition
from colfw.vocabulary import RowConvention
from colfw_workloads import unet
from colfw_workloads.samplers import last
from colfw_workloads.samplers.ddim import ddim
from colfw_workloads.samplers.guidance import in_one_forward
from colfw_workloads.samplers.schedules import Schedule
from colfw_workloads.sizes import require
from colfw_workloads.studied import StudiedWorkload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from colfw.denoising.workload import Generation, Layer
    from colfw_workloads.options import MakeAnAudioOptions

MULTIPLIERS = (1, 2)
"""Of the width, a level; the published model has no more levels, and attention in both."""


# --- the denoiser -----------------------------------------------------------------------------------------


class AudioUNet(unet.UNet):
    """Predicts the noise in latents `[n, 4, height, width]`, given timesteps and a caption.

    All transformers have as many heads, whatever their width.
    """

    def __init__(self, levels: unet.Levels, *, heads: int, context_width: int) -> None:
        def residual(d_in: int, d_out: int) -> unet.ResBlock:
            return unet.ResBlock(d_in, d_out, embedding_width=4 * levels.width)

        def transformers(channels: int) -> list[nn.Module]:
            return [unet.SpatialTransformer(channels, heads=heads, context_width=context_width, dimensions=2)]

        super().__init__(unet.Design(levels=levels, residual=residual, transformers=transformers))

    def forward(self, latent: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        guide = unet.Guide(self.embedded(timesteps, self.time_embed), context)
        return self.down_and_up(self.begun(latent), guide)


# --- the workload -----------------------------------------------------------------------------------------


class MakeAnAudio(StudiedWorkload):
    """Text to sound with the official DDIM sampler (eta 0) and guidance, as the official `gen_wav.py`.

    Samples are latents as the denoiser has them: the official code divides them by a scale that its
    checkpoint holds before it decodes them.
    """

    name = "make-an-audio"
    modality = "audio-latent"
    checkpoint_layout = CheckpointLayout(
        nesting=("state_dict",),
        prefixes=("model.diffusion_model.", ""),
    )
    config: MakeAnAudioOptions

    def __init__(self, config: MakeAnAudioOptions) -> None:
        check_sizes(config)
        super().__init__(config)

    @property
    def levels(self) -> unet.Levels:
        return unet.Levels(width=self.config.width, multipliers=MULTIPLIERS, attended=len(MULTIPLIERS))

    def layers(self) -> tuple[Layer, ...]:
        return tuple(
            unet.feed_forward(f"{block}.1", width=self.levels.channels[level], rows=self._rows(level))
            for block, level in self.levels.transformer_blocks()
        )

    def _rows(self, level: int) -> int:
        """A row a place; the official code runs each sample twice, without and with its caption."""
        places = (self.config.latent_height >> level) * (self.config.latent_width >> level)
        return places if self.config.rows is RowConvention.PAPER else 2 * places

    def build(self) -> AudioUNet:
        return AudioUNet(self.levels, heads=self.config.heads, context_width=self.config.context_width)

    def conditions(self) -> Mapping[str, Condition]:
        shape = (self.config.context_tokens, self.config.context_width)
        what = "projected tokens of the caption encoder of CLAP"
        return {
            "caption": Condition(shape=shape, what=what),
            "unconditional_caption": Condition(
                shape=shape, what=f"{what} for an empty caption", varies=False
            ),
        }

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        """Latents from noise; the unconditional half of the batch comes first."""
        given = run.conditioning
        context = torch.cat([given["unconditional_caption"], given["caption"]]).to(run.dtype)

        def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
            run.begin(iteration)
            noise: Tensor = denoiser(x.to(run.dtype), t, context)
            return noise.float()

        size = (self.config.latent_height, self.config.latent_width)
        samples = ddim(
            in_one_forward(predict, self.config.guidance_scale),
            run.noise((run.samples, unet.LATENT_CHANNELS, *size)),
            schedule=Schedule.scaled_linear(),
            noise=run.noise,
            steps=run.iterations,
        )
        return last(samples)


def check_sizes(config: MakeAnAudioOptions) -> None:
    """Refuse numbers that make no such UNet, before anything is built."""
    unet.check_sizes(
        "make-an-audio",
        len(MULTIPLIERS),
        width=config.width,
        latent_height=config.latent_height,
        latent_width=config.latent_width,
    )
    require("make-an-audio", config.width % config.heads == 0, "width must be a multiple of heads")
