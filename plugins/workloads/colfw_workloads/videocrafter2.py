"""VideoCrafter2: a UNet on the latents of a video's frames, led by text.

Chen et al., "VideoCrafter2: Overcoming Data Limitations for High-Quality Video Diffusion Models" (2024). The
denoiser is the UNet of Stable Diffusion on each frame, with layers that look along time between its own: four
convolutions after each residual block, and a transformer after the first convolution and after each of its
transformers. Names are those of the released checkpoint, `temopral_conv` included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from colfw.denoising.checkpoints import CheckpointLayout
from colfw.denoising.workload import Condition
from colfw.vocabulary import RowConvention
from colfw_workloads import unet
from colfw_workloads.autoencoder import ImageLatents
from colfw_workloads.samplers import last
from colfw_workloads.samplers.ddim import ddim, dynamic_rescale
from colfw_workloads.samplers.guidance import in_two_forwards
from colfw_workloads.samplers.schedules import Schedule
from colfw_workloads.sizes import require
from colfw_workloads.studied import StudiedWorkload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from colfw.denoising.workload import Generation, Layer
    from colfw_workloads.options import VideoCrafterOptions
    from colfw_workloads.samplers import Predict

MULTIPLIERS = (1, 2, 4, 4)
"""Of the width, a level."""
ATTENDED_LEVELS = 3
FIRST_HEADS = 8
"""Of the transformer after the first convolution, whatever the width of the model."""
TEXT_ENCODER = "colfw.denoising.encoders:openclip_penultimate_states"

# --- layers that look along time --------------------------------------------------------------------------


class TemporalConvolutions(nn.Module):
    """Four convolutions over three frames each, beside a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = self._convolution(channels)
        self.conv2 = self._convolution(channels, nn.Identity())
        self.conv3 = self._convolution(channels, nn.Identity())
        self.conv4 = self._convolution(channels, nn.Identity())

    @staticmethod
    def _convolution(channels: int, *dropout: nn.Module) -> nn.Sequential:
        """The official code has a dropout in all but the first; what takes its place keeps the numbering."""
        convolution = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
        return nn.Sequential(nn.GroupNorm(unet.NORM_GROUPS, channels), nn.SiLU(), *dropout, convolution)

    def forward(self, video: Tensor) -> Tensor:
        """`[samples, channels, frames, height, width]`; frames beyond the ends count as zero."""
        changed: Tensor = self.conv4(self.conv3(self.conv2(self.conv1(video))))
        return video + changed


class VideoResBlock(unet.ResBlock):
    """A residual block of each frame, then convolutions along time."""

    def __init__(self, d_in: int, d_out: int, *, embedding_width: int) -> None:
        super().__init__(d_in, d_out, embedding_width=embedding_width)
        self.temopral_conv = TemporalConvolutions(d_out)

    def forward(self, frames: Tensor, guide: unet.Guide) -> Tensor:
        video = as_video(super().forward(frames, guide), guide.frames)
        return as_frames(self.temopral_conv(video))


class TemporalTransformer(unet.Transformer):
    """At each place of the image, all frames of a sample see each other, and nothing else."""

    def forward(self, frames: Tensor, guide: unet.Guide) -> Tensor:
        normed = self.norm(as_video(frames, guide.frames))
        samples, _, _, height, width = normed.shape
        moments = normed.permute(0, 3, 4, 2, 1).flatten(0, 2)
        change = self.transformed(moments, None).reshape(samples, height, width, *moments.shape[1:])
        return frames + change.permute(0, 3, 4, 1, 2).flatten(0, 1)


def as_video(frames: Tensor, count: int) -> Tensor:
    """`[samples * count, channels, ...]` -> `[samples, channels, count, ...]`."""
    return frames.reshape(-1, count, *frames.shape[1:]).transpose(1, 2)


def as_frames(video: Tensor) -> Tensor:
    """The reverse of `as_video`."""
    return video.transpose(1, 2).flatten(0, 1)


# --- the denoiser -----------------------------------------------------------------------------------------


class VideoUNet(unet.UNet):
    """Predicts the noise in `[n, 4, frames, height, width]`, given timesteps, text and frames a second."""

    def __init__(self, levels: unet.Levels, *, head_width: int, context_width: int) -> None:
        def residual(d_in: int, d_out: int) -> VideoResBlock:
            return VideoResBlock(d_in, d_out, embedding_width=4 * levels.width)

        def transformers(channels: int) -> list[nn.Module]:
            heads = channels // head_width
            return [
                unet.SpatialTransformer(channels, heads=heads, context_width=context_width),
                TemporalTransformer(channels, heads=heads),
            ]

        super().__init__(unet.Design(levels=levels, residual=residual, transformers=transformers))
        self.fps_embedding = unet.embedder(levels.width)
        first = TemporalTransformer(
            levels.width, heads=FIRST_HEADS, width=FIRST_HEADS * head_width, dimensions=1
        )
        self.init_attn = unet.Block([first])

    def forward(self, latent: Tensor, timesteps: Tensor, context: Tensor, fps: Tensor) -> Tensor:
        count = latent.shape[2]
        embedding = self.embedded(timesteps, self.time_embed) + self.embedded(fps, self.fps_embedding)
        guide = unet.Guide(
            embedding.repeat_interleave(count, dim=0), context.repeat_interleave(count, dim=0), count
        )
        frames = self.init_attn(self.begun(as_frames(latent)), guide)
        return as_video(self.down_and_up(frames, guide), count)


# --- the workload -----------------------------------------------------------------------------------------


class VideoCrafter2(ImageLatents, StudiedWorkload):
    """Text to video with the official DDIM sampler (eta 1, clean samples rescaled by timestep) and guidance.

    Each iteration runs the denoiser twice, with the text and then without; a row is a place of a frame. Of
    the 33 layers, 11 have 40960 rows in one forward pass, 10 have 10240, 10 have 2560 and 2 have 640. Table 1
    of the study says 2560 to 10240, and no run has all layers in so narrow a range. `paper` counts a quarter
    of one pass, four frames of the sixteen, because that explains the cycles that the study published: 10240,
    2560, 640 and 160 rows, of which Table 1 states the two largest.
    """

    name = "videocrafter2"
    modality = "video-latent"
    decoded_modality = "video"
    rate_hz = 10.0  # at which the official code saves its videos
    checkpoint_layout = CheckpointLayout(
        nesting=(
            "module",
            "state_dict",
        ),  # DeepSpeed's, which the official loader tries first, and Lightning's
        prefixes=("_forward_module.model.diffusion_model.", "model.diffusion_model.", ""),
    )
    config: VideoCrafterOptions

    def __init__(self, config: VideoCrafterOptions) -> None:
        check_sizes(config)
        super().__init__(config)

    @property
    def levels(self) -> unet.Levels:
        return unet.Levels(width=self.config.width, multipliers=MULTIPLIERS, attended=ATTENDED_LEVELS)

    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layers())

    def _layers(self) -> Iterator[Layer]:
        width = FIRST_HEADS * self.config.head_width
        yield unet.feed_forward("init_attn.0", width=width, rows=self._rows(0))
        for block, level in self.levels.transformer_blocks():
            for transformer in (f"{block}.1", f"{block}.2"):  # spatial, temporal
                width = self.levels.channels[level]
                yield unet.feed_forward(transformer, width=width, rows=self._rows(level))

    def _rows(self, level: int) -> int:
        """A row a place of a frame; the official code runs each sample twice, with its text and without."""
        places = (self.config.latent_height >> level) * (self.config.latent_width >> level)
        rows = self.config.frames * places
        return max(rows // 4, 1) if self.config.rows is RowConvention.PAPER else 2 * rows

    def build(self) -> VideoUNet:
        return VideoUNet(
            self.levels, head_width=self.config.head_width, context_width=self.config.context_width
        )

    def conditions(self) -> Mapping[str, Condition]:
        shape = (self.config.context_tokens, self.config.context_width)
        what = "hidden states before the last layer of the text encoder OpenCLIP ViT-H/14"
        return {
            "text": Condition(shape=shape, what=what, encoder=TEXT_ENCODER),
            "unconditional_text": Condition(
                shape=shape, what=f"{what} for an empty prompt", encoder=TEXT_ENCODER, varies=False
            ),
        }

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        """Latents from noise; both passes are told the same frames a second."""
        fps = torch.full((run.samples,), self.config.fps, dtype=torch.int64, device=run.device)

        def given(condition: str) -> Predict:
            context = run.conditioning[condition].to(run.dtype)

            def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
                run.begin(iteration)
                noise: Tensor = denoiser(x.to(run.dtype), t, context, fps)
                return noise.float()

            return predict

        size = (self.config.frames, self.config.latent_height, self.config.latent_width)
        schedule = Schedule.scaled_linear()
        samples = ddim(
            in_two_forwards(
                conditional=given("text"),
                unconditional=given("unconditional_text"),
                scale=self.config.guidance_scale,
            ),
            run.noise((run.samples, unet.LATENT_CHANNELS, *size)),
            schedule=schedule,
            noise=run.noise,
            steps=run.iterations,
            eta=1.0,
            rescale=dynamic_rescale(len(schedule)),
        )
        return last(samples)

    def pictures(self, latents: Tensor, *, device: str) -> Tensor:
        """Videos `[n, frame, channel, height, width]`; each frame is decoded by itself."""
        frames = super().pictures(as_frames(latents), device=device)
        return frames.reshape(latents.shape[0], latents.shape[2], *frames.shape[1:])


def check_sizes(config: VideoCrafterOptions) -> None:
    """Refuse numbers that make no such UNet, before anything is built."""
    unet.check_sizes(
        "videocrafter2",
        len(MULTIPLIERS),
        width=config.width,
        latent_height=config.latent_height,
        latent_width=config.latent_width,
    )
    require("videocrafter2", config.width % config.head_width == 0, "width must be a multiple of head_width")
