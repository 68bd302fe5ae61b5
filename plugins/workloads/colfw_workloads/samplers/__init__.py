"""The official sampling loops, each a generator that yields the sample after every iteration.

A loop asks `predict` what the denoiser says and `noise` for standard normal values; guidance is the
business of `predict` (see `guidance`). Iteration 0 is the noisiest in every loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable

Predict = Callable[[Tensor, Tensor, int], Tensor]
"""What the denoiser says of a sample: (x, timestep of each row of x as int64, iteration) -> prediction."""

Noise = Callable[[tuple[int, ...]], Tensor]
"""Standard normal values of a shape, drawn in call order."""


def last(samples: Iterable[Tensor]) -> Tensor:
    """Run a sampling loop to its end; the sample after its last iteration."""
    kept = deque(samples, maxlen=1)
    if not kept:
        raise InvariantError("a sampling loop ended before its first iteration")
    return kept[0]


def at(timestep: int, x: Tensor) -> Tensor:
    """The timestep as denoisers take it: one a row of `x`."""
    return torch.full((x.shape[0],), timestep, dtype=torch.int64, device=x.device)


def drawn_for(x: Tensor, noise: Noise) -> Tensor:
    """Noise of the shape, type and device of `x`."""
    return noise(tuple(x.shape)).to(x)
