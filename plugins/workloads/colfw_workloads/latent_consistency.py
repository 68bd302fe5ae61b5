"""LCM Dreamshaper v7: a consistency model that draws an image in a few iterations, through diffusers.

Luo et al., "Latent Consistency Models" (2023). The network is the UNet of Stable Diffusion v1, which is told
the guidance scale instead of being run twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers.schedulers.scheduling_lcm import LCMScheduler

from colfw.denoising.checkpoints import CheckpointLayout
from colfw.denoising.workload import Condition
from colfw_workloads import stable_diffusion
from colfw_workloads.autoencoder import ImageLatents
from colfw_workloads.samplers import at, last

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from colfw.denoising.workload import Generation, Layer
    from colfw_workloads.options import LatentConsistencyOptions
    from colfw_workloads.samplers import Noise, Predict


class LatentConsistency(ImageLatents):
    """Text to image; each iteration goes all the way to an image, and back to less noise than before."""

    checkpoint_layout = CheckpointLayout()
    config: LatentConsistencyOptions

    def __init__(self, config: LatentConsistencyOptions) -> None:
        stable_diffusion.check_sizes(config)
        super().__init__(config)

    def layers(self) -> tuple[Layer, ...]:
        return stable_diffusion.layers(self.config, forwards=1)

    def build(self) -> nn.Module:
        return stable_diffusion.unet(self.config, time_cond_proj_dim=self.config.guidance_width)

    def conditions(self) -> Mapping[str, Condition]:
        shape = (self.config.context_tokens, self.config.context_width)
        return {
            "text": Condition(
                shape=shape, what=stable_diffusion.TEXT_STATES, encoder=stable_diffusion.ENCODER
            )
        }

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        """Latents from noise, by one forward an iteration."""
        text = run.conditioning["text"].to(run.dtype)
        # The network was trained on scale - 1: how far beyond the conditional prediction to go.
        told = scale_embedding(self.config.guidance_scale - 1, self.config.guidance_width).to(text)

        def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
            run.begin(iteration)
            told_each = told.expand(x.shape[0], -1)
            prediction: Tensor = denoiser(x.to(run.dtype), t, text, timestep_cond=told_each).sample
            return prediction.float()

        size = self.config.latent_size
        start = run.noise((run.samples, stable_diffusion.LATENT_CHANNELS, size, size))
        return last(consistency(predict, start, noise=run.noise, steps=run.iterations))


def consistency(predict: Predict, x: Tensor, *, noise: Noise, steps: int) -> Iterator[Tensor]:
    """The sample after each iteration, on the schedule and with the boundary weights of diffusers' scheduler.

    Its own step draws noise that no sample can be given alone; this one asks `noise`.
    """
    scheduler = LCMScheduler()
    scheduler.set_timesteps(steps, device=x.device)
    timesteps = [int(t) for t in scheduler.timesteps]
    for iteration, timestep in enumerate(timesteps):
        alpha = float(scheduler.alphas_cumprod[timestep])
        predicted_noise = predict(x, at(timestep, x), iteration)
        clean = (x - (1 - alpha) ** 0.5 * predicted_noise) / alpha**0.5
        of_x, of_clean = scheduler.get_scalings_for_boundary_condition_discrete(timestep)
        x = float(of_clean) * clean + float(of_x) * x
        if iteration + 1 < len(timesteps):
            alpha = float(scheduler.alphas_cumprod[timesteps[iteration + 1]])
            x = alpha**0.5 * x + (1 - alpha) ** 0.5 * noise(tuple(x.shape)).to(x)
        yield x


def scale_embedding(scale: float, width: int) -> Tensor:
    """Sines and cosines of the guidance scale, a thousand times enlarged, as the network was trained with."""
    half = width // 2
    falloff = torch.log(torch.tensor(10_000.0)) / (half - 1)
    angles = scale * 1000.0 * torch.exp(torch.arange(half) * -falloff)
    return torch.cat([angles.sin(), angles.cos()])[None]
