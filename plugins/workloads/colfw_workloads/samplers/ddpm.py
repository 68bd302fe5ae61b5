"""DDPM on a part of the timesteps: the loops of DiT and MDM, and of everything made of the same library.

Each iteration goes to the mean of what the previous timestep may have been, and adds noise, but for the last.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import torch
from attrs import frozen

from colfw_workloads.samplers import at, drawn_for
from colfw_workloads.samplers.ddim import clean_sample
from colfw_workloads.samplers.schedules import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from colfw_workloads.samplers import Noise, Predict
    from colfw_workloads.samplers.schedules import Floats, Schedule


class Output(Enum):
    """What the output of a denoiser is."""

    CLEAN_SAMPLE = "the clean sample"
    NOISE_AND_VARIANCE = "the noise, then as many channels that say where in its range the variance lies"


@frozen(eq=False)
class Posterior:
    """What the sample before may have been, given this one and the clean one: coefficients by timestep.

    The mean is `of_clean * clean + of_noisy * x`. The variance lies between `variance` and
    `largest_variance`; at timestep 0 there is nothing left to vary.
    """

    of_clean: Floats
    of_noisy: Floats
    variance: Floats
    largest_variance: Floats

    @classmethod
    def of(cls, schedule: Schedule) -> Posterior:
        share = schedule.alphas_cumprod
        before = np.concatenate(([1.0], share[:-1]))
        return cls(
            of_clean=schedule.betas * np.sqrt(before) / (1 - share),
            of_noisy=(1 - before) * np.sqrt(1 - schedule.betas) / (1 - share),
            variance=schedule.betas * (1 - before) / (1 - share),
            largest_variance=schedule.betas,
        )

    def deviation(self, index: int, place: Tensor | None) -> Tensor | float:
        """The standard deviation of the noise to add; `place` says where in the range, from -1 to 1."""
        if place is None:
            return float(np.sqrt(self.variance[index]))
        smallest, largest = np.log(self.variance[index]), np.log(self.largest_variance[index])
        upper = (place + 1) / 2
        return torch.exp(0.5 * (upper * float(largest) + (1 - upper) * float(smallest)))


def respaced(
    predict: Predict, x: Tensor, *, schedule: Schedule, noise: Noise, steps: int, output: Output
) -> Iterator[Tensor]:
    """The sample after each of `steps` iterations; the denoiser is told timesteps of the whole schedule.

    As many steps as the schedule has timesteps are DDPM itself. Nothing is clipped. The official loops also
    draw noise in the last iteration, which they multiply by 0; here none is drawn.
    """
    timesteps = spread(len(schedule), steps)
    kept = schedule.keeping(timesteps)
    posterior = Posterior.of(kept)
    for iteration, timestep in enumerate(timesteps):
        index = steps - 1 - iteration
        prediction = predict(x, at(timestep, x), iteration)
        clean, place = _read(prediction, x, float(kept.alphas_cumprod[index]), output)
        x = float(posterior.of_clean[index]) * clean + float(posterior.of_noisy[index]) * x
        if index:
            x = x + posterior.deviation(index, place) * drawn_for(x, noise)
        yield x


def _read(prediction: Tensor, x: Tensor, alpha: float, output: Output) -> tuple[Tensor, Tensor | None]:
    """The clean sample that a prediction means, and where in its range the variance lies, if it says so."""
    if output is Output.CLEAN_SAMPLE:
        return prediction, None
    predicted_noise, place = prediction.chunk(2, dim=1)
    return clean_sample(x, predicted_noise, alpha), place
