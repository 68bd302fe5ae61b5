"""DDIM: the loop of CompVis (Stable Diffusion, Make-an-Audio), of VideoCrafter2, and of diffusers (MLD).

They are one algorithm; VideoCrafter2 adds noise (eta 1) and rescales the clean sample by timestep.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from colfw.errors import InvariantError
from colfw_workloads.samplers import at, drawn_for
from colfw_workloads.samplers.schedules import leading_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from colfw_workloads.samplers import Noise, Predict
    from colfw_workloads.samplers.schedules import Schedule, Step


def ddim(  # noqa: PLR0913  (what a loop is made of)
    predict: Predict,
    x: Tensor,
    *,
    schedule: Schedule,
    noise: Noise,
    steps: int,
    eta: float = 0.0,
    rescale: Sequence[float] | None = None,
) -> Iterator[Tensor]:
    """The sample after each of `steps` iterations, by a denoiser that predicts the noise.

    `eta` 0 adds no noise (and draws none), 1 as much as DDPM, in the last iteration too. `rescale` holds the
    size of clean samples by timestep, see `dynamic_rescale`.
    """
    if not 0 <= eta <= 1:
        raise InvariantError(f"lies between 0 (no noise) and 1 (as much as DDPM), not at {eta}", where="eta")
    for step in leading_steps(schedule, steps):
        predicted_noise = predict(x, at(step.timestep, x), step.iteration)
        deviation = eta * largest_deviation(step)
        now, after = (rescale[step.timestep], rescale[step.next_timestep]) if rescale else (1.0, 1.0)
        clean = clean_sample(x, predicted_noise, step.alpha) * (after / now)
        x = renoised(clean, predicted_noise, step.next_alpha, deviation)
        if deviation:
            x = x + deviation * drawn_for(x, noise)
        yield x


def clean_sample(x: Tensor, predicted_noise: Tensor, alpha: float) -> Tensor:
    """What is left of `x` without the predicted noise, at full size."""
    return (x - sqrt(1 - alpha) * predicted_noise) / sqrt(alpha)


def renoised(clean: Tensor, predicted_noise: Tensor, alpha: float, deviation: float = 0.0) -> Tensor:
    """The clean sample with the predicted noise of another timestep, less what fresh noise will add."""
    return sqrt(alpha) * clean + sqrt(1 - alpha - deviation**2) * predicted_noise


def largest_deviation(step: Step) -> float:
    """The standard deviation of fresh noise at eta 1 (Song et al. 2021, equation 16)."""
    added = 1 - step.alpha / step.next_alpha
    return sqrt((1 - step.next_alpha) / (1 - step.alpha) * added)


def dynamic_rescale(length: int = 1000, *, smallest: float = 0.7, falling: int = 400) -> tuple[float, ...]:
    """VideoCrafter2's sizes of clean samples by timestep: from 1 down to `smallest`, then constant."""
    sizes = np.full(max(length, falling), smallest)
    sizes[:falling] = np.linspace(1, smallest, falling)
    return tuple(float(size) for size in sizes[:length])
