"""PLMS: a multistep form of DDIM, by CompVis (`plms`) and by diffusers (`pndm`).

Both go through the same samples and ask the denoiser N + 1 times in N steps: the first step is done twice,
the second time in the direction halfway between its ends. CompVis counts both as iteration 0, diffusers
counts them as two.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch
from diffusers.schedulers.scheduling_pndm import PNDMScheduler

from colfw_workloads.samplers import at
from colfw_workloads.samplers.ddim import clean_sample, renoised
from colfw_workloads.samplers.schedules import leading_offset, leading_steps, refuse_unless_possible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from colfw_workloads.samplers import Predict
    from colfw_workloads.samplers.schedules import Schedule, Step

ADAMS_BASHFORTH = (
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the present prediction and of those before it, for one, two and three before it."""


def plms(predict: Predict, x: Tensor, *, schedule: Schedule, steps: int) -> Iterator[Tensor]:
    """The sample after each of `steps` iterations; iteration 0 asks the denoiser twice, all others once."""
    path = leading_steps(schedule, steps)
    earlier: deque[Tensor] = deque(maxlen=3)
    for step in path:
        predicted = predict(x, at(step.timestep, x), step.iteration)
        if earlier:
            direction = _weighted([predicted, *earlier])
        else:
            there = path[min(1, steps - 1)].timestep
            arrived = _moved(x, predicted, step)
            direction = (predicted + predict(arrived, at(there, x), step.iteration)) / 2
        earlier.appendleft(predicted)
        x = _moved(x, direction, step)
        yield x


def pndm(predict: Predict, x: Tensor, *, schedule: Schedule, steps: int) -> Iterator[Tensor]:
    """The sample after each of `steps` + 1 iterations (of one, for one step), by diffusers' scheduler.

    The sample after iteration 0 is provisional: iteration 1 does the first step again.
    """
    refuse_unless_possible(len(schedule), steps)
    scheduler = PNDMScheduler(
        num_train_timesteps=len(schedule),
        trained_betas=schedule.betas.tolist(),
        skip_prk_steps=True,
        steps_offset=leading_offset(len(schedule), steps),
    )
    scheduler.set_timesteps(steps)
    for iteration, timestep in enumerate(scheduler.timesteps.tolist()):
        predicted = predict(x, at(timestep, x), iteration)
        x = scheduler.step(predicted, timestep, x).prev_sample
        yield x


def _moved(x: Tensor, direction: Tensor, step: Step) -> Tensor:
    return renoised(clean_sample(x, direction, step.alpha), direction, step.next_alpha)


def _weighted(predictions: list[Tensor]) -> Tensor:
    """The direction of a step, from the present prediction and up to three before it."""
    weights = ADAMS_BASHFORTH[len(predictions) - 2]
    return torch.stack([weight * one for weight, one in zip(weights, predictions, strict=True)]).sum(0)
