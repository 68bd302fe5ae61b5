"""Stable Diffusion 3 medium: a flow-matching transformer, through diffusers.

Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis" (2024). Image and text
have feed-forward networks of their own in every block, but for the last, which drops the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from colfw.denoising.workload import Condition, Layer
from colfw.sites import Ffn, Site
from colfw.vocabulary import RowConvention
from colfw_workloads.autoencoder import ImageLatents
from colfw_workloads.samplers import guidance, last

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from colfw.denoising.workload import Generation
    from colfw_workloads.options import StableDiffusion3Options
    from colfw_workloads.samplers import Predict

LATENT_CHANNELS = 16
PATCH_SIZE = 2
POSITIONS = 192
"""Places a side that the table of positions has; smaller images use its middle."""
EXPANSION = 4
SHIFT = 3.0
"""Of the schedule's sigmas towards noise, as released."""


class StableDiffusion3(ImageLatents):
    """Text to image by Euler steps along the flow, guided by one forward of both passes."""

    latent_channels = LATENT_CHANNELS
    config: StableDiffusion3Options

    def layers(self) -> tuple[Layer, ...]:
        blocks = [f"transformer_blocks.{block}" for block in range(self.config.depth)]
        paths = [f"{block}.{part}" for block in blocks for part in ("ff", "ff_context")]
        return tuple(self._layer(path) for path in paths[:-1])

    def _layer(self, name: str) -> Layer:
        width = self.config.heads * self.config.head_width
        site = Site(
            name=f"{name}.net.0",
            rows=self._rows(of_text=name.endswith("ff_context")),
            columns=EXPANSION * width,
            operator=Ffn(d_in=width, d_out=width),
        )
        return Layer(site=site, linear2=f"{name}.net.2")

    def _rows(self, *, of_text: bool) -> int:
        patches = (self.config.latent_size // PATCH_SIZE) ** 2
        tokens = self.config.text_tokens if of_text else patches
        return tokens if self.config.rows is RowConvention.PAPER else 2 * tokens

    def build(self) -> nn.Module:
        config = self.config
        made: nn.Module = SD3Transformer2DModel(
            sample_size=config.latent_size,
            patch_size=PATCH_SIZE,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            num_layers=config.depth,
            num_attention_heads=config.heads,
            attention_head_dim=config.head_width,
            joint_attention_dim=config.text_width,
            caption_projection_dim=config.heads * config.head_width,
            pooled_projection_dim=config.pooled_width,
            pos_embed_max_size=max(POSITIONS, config.latent_size // PATCH_SIZE),
        )
        return made

    def conditions(self) -> Mapping[str, Condition]:
        text = (self.config.text_tokens, self.config.text_width)
        pooled = (self.config.pooled_width,)
        tokens, feature = "hidden states of CLIP and T5", "pooled features of two CLIP encoders"
        return {
            "text": Condition(shape=text, what=tokens),
            "pooled_text": Condition(shape=pooled, what=feature),
            "unconditional_text": Condition(shape=text, what=tokens, varies=False),
            "unconditional_pooled_text": Condition(shape=pooled, what=feature, varies=False),
        }

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        """Latents from noise; the half of the batch without text comes first, as in the official pipeline."""
        given = {name: tensor.to(run.dtype) for name, tensor in run.conditioning.items()}
        text = torch.cat([given["unconditional_text"], given["text"]])
        pooled = torch.cat([given["unconditional_pooled_text"], given["pooled_text"]])

        def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
            run.begin(iteration)
            prediction: Tensor = denoiser(x.to(run.dtype), text, pooled, t.to(run.dtype)).sample
            return prediction.float()

        size = self.config.latent_size
        start = run.noise((run.samples, LATENT_CHANNELS, size, size))
        guided = guidance.in_one_forward(predict, self.config.guidance_scale)
        return last(_along_the_flow(guided, start, run.iterations))


def _along_the_flow(predict: Predict, x: Tensor, iterations: int) -> Iterator[Tensor]:
    """Euler's method on diffusers' schedule."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    scheduler.set_timesteps(iterations, device=x.device)
    for iteration, t in enumerate(scheduler.timesteps):
        x = scheduler.step(predict(x, t.expand(x.shape[0]), iteration), t, x).prev_sample
        yield x
