"""EDGE's loops: DDIM with noise, for windows of a dance by themselves or stitched together.

The denoiser predicts the clean sample, which is clamped to [-1, 1]; the noise is what is left of x then.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from colfw.errors import InvariantError
from colfw_workloads.samplers import at, drawn_for
from colfw_workloads.samplers.ddim import largest_deviation, renoised
from colfw_workloads.samplers.schedules import trailing_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from colfw_workloads.samplers import Noise, Predict
    from colfw_workloads.samplers.schedules import Schedule, Step


def ddim(predict: Predict, x: Tensor, *, schedule: Schedule, noise: Noise, steps: int) -> Iterator[Tensor]:
    """The windows after each of `steps` iterations, each window by itself; the last adds no noise."""
    return _loop(predict, x, trailing_steps(schedule, steps), noise, between=lambda x: x)


def long_ddim(
    predict: Predict, x: Tensor, *, schedule: Schedule, noise: Noise, steps: int, windows: int
) -> Iterator[Tensor]:
    """As `ddim`, for dances of `windows` windows that overlap by half, one dance after the other in `x`.

    After every iteration but the last, the first half of each window becomes the second half of the one
    before it; in the end they agree only nearly. The official loop raises its guidance by
    `guidance.ramp`, and is not used for dances of one window.
    """
    if windows < 1 or x.shape[0] % windows:
        raise InvariantError(f"{x.shape[0]} windows make no whole dances of {windows}", where="windows")

    def between(x: Tensor) -> Tensor:
        return stitched(x.reshape(-1, windows, *x.shape[1:])).flatten(0, 1)

    return _loop(predict, x, trailing_steps(schedule, steps), noise, between=between)


def stitched(dances: Tensor) -> Tensor:
    """`[dances, windows, frames, ...]`, where each window now begins as the one before it ends."""
    half = dances.shape[2] // 2
    joined = dances.clone()
    joined[:, 1:, :half] = dances[:, :-1, half:]
    return joined


def _loop(
    predict: Predict, x: Tensor, path: list[Step], noise: Noise, between: Callable[[Tensor], Tensor]
) -> Iterator[Tensor]:
    for step in path:
        clean = predict(x, at(step.timestep, x), step.iteration).clamp(-1, 1)
        noise_left = (x - sqrt(step.alpha) * clean) / sqrt(1 - step.alpha)
        deviation = largest_deviation(step)
        x = renoised(clean, noise_left, step.next_alpha, deviation)
        if step is not path[-1]:
            x = between(x + deviation * drawn_for(x, noise))
        yield x
