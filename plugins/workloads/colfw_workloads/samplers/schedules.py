"""Noise schedules, and which of their timesteps a run of N iterations visits.

The constructors give the schedules that the models were trained with. The three functions below differ
in where they begin and end: 50 of 1000 timesteps are 981 ... 1 (`leading`), 999 ... 0 (`spread`) or
999 ... 19 (`trailing`). All three fall strictly and visit exactly as many timesteps as asked for.
"""

from __future__ import annotations

from itertools import accumulate, pairwise, repeat
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen

from colfw.errors import InvariantError, StudyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attrs import Attribute
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LARGEST_BETA = 0.999
_COSINE_OFFSET = 0.008
"""Both of the cosine schedule (Nichol and Dhariwal 2021, section 3.2); MDM and EDGE use the same values."""


def _are_variances(_schedule: Schedule, _attribute: Attribute[Floats], betas: Floats) -> None:
    if betas.ndim != 1 or not betas.size:
        raise InvariantError(f"expected one number a timestep, found the shape {betas.shape}", where="betas")
    if not np.all((betas > 0) & (betas < 1)):
        raise InvariantError("variances of added noise lie between 0 and 1, exclusively", where="betas")


@frozen(eq=False)
class Schedule:
    """The variance of the noise that training added at each timestep, timestep 0 the cleanest.

    `alphas_cumprod[t]` is the share of the clean sample's variance that is left at timestep t.
    """

    betas: Floats = field(validator=_are_variances)
    alphas_cumprod: Floats = field(init=False)

    @alphas_cumprod.default
    def _products(self) -> Floats:
        return np.cumprod(1 - self.betas, dtype=np.float64)

    def __len__(self) -> int:
        return self.betas.size

    @classmethod
    def linear(cls, length: int = 1000, *, first: float = 1e-4, last: float = 0.02) -> Schedule:
        """Betas in equal steps; the defaults are DDPM's and DiT's."""
        return cls(np.linspace(first, last, length))

    @classmethod
    def scaled_linear(cls, length: int = 1000, *, first: float = 0.00085, last: float = 0.012) -> Schedule:
        """Square roots of betas in equal steps; the defaults are those of Stable Diffusion and its kin."""
        return cls(np.linspace(first**0.5, last**0.5, length) ** 2)

    @classmethod
    def cosine(cls, length: int = 1000) -> Schedule:
        """The share of the clean sample falls as a squared cosine; MDM's and EDGE's."""
        share = (
            np.cos((np.linspace(0, 1, length + 1) + _COSINE_OFFSET) / (1 + _COSINE_OFFSET) * np.pi / 2) ** 2
        )
        return cls(np.minimum(1 - share[1:] / share[:-1], _LARGEST_BETA))

    def keeping(self, timesteps: Sequence[int]) -> Schedule:
        """The schedule of these timesteps alone, with betas that lead through the same shares."""
        shares = self.alphas_cumprod[sorted(timesteps)]
        return Schedule(1 - shares / np.concatenate(([1.0], shares[:-1])))


@frozen
class Step:
    """One iteration of a loop that goes from the share `alpha` of the clean sample to `next_alpha`."""

    iteration: int
    timestep: int
    next_timestep: int
    """-1 is where no noise at all is left."""
    alpha: float
    next_alpha: float


def leading_steps(schedule: Schedule, steps: int) -> list[Step]:
    """The iterations of DDIM and PLMS (CompVis, diffusers): they end at timestep 0, which is not visited."""
    return _through(schedule, [*leading(len(schedule), steps), 0])


def trailing_steps(schedule: Schedule, steps: int) -> list[Step]:
    """The iterations of EDGE, which end at no noise."""
    return _through(schedule, [*trailing(len(schedule), steps), -1])


def _through(schedule: Schedule, timesteps: Sequence[int]) -> list[Step]:
    shares = [*(float(share) for share in schedule.alphas_cumprod), 1.0]
    return [Step(i, t, after, shares[t], shares[after]) for i, (t, after) in enumerate(pairwise(timesteps))]


def leading(length: int, steps: int) -> list[int]:
    """Timesteps a whole stride apart, the last of them 1; only a run of all timesteps ends at 0."""
    refuse_unless_possible(length, steps)
    stride = length // steps
    return [i * stride + leading_offset(length, steps) for i in reversed(range(steps))]


def leading_offset(length: int, steps: int) -> int:
    """The last timestep: 1 in Stable Diffusion and its kin, unless there is no room for it."""
    return int(steps < length)


def spread(length: int, steps: int) -> list[int]:
    """Timesteps from the noisiest to 0 in equal strides, rounded (`space_timesteps` of DiT and MDM).

    A single step is timestep 0, as in the official code.
    """
    refuse_unless_possible(length, steps)
    stride = (length - 1) / (steps - 1) if steps > 1 else 1.0
    # Added up and rounded half to even, as officially: other ways differ by one timestep at times.
    rising = accumulate(repeat(stride, steps - 1), initial=0.0)
    return [round(t) for t in rising][::-1]


def trailing(length: int, steps: int) -> list[int]:
    """Timesteps from the noisiest in equal strides, the next of which would be -1 (EDGE)."""
    refuse_unless_possible(length, steps)
    return [i * length // steps - 1 for i in range(steps, 0, -1)]


def refuse_unless_possible(length: int, steps: int) -> None:
    """Raise unless so many iterations can each have a timestep of their own."""
    if not 1 <= steps <= length:
        raise StudyError(
            f"{steps} asked for, but this model was trained with {length} timesteps",
            where="iterations",
            hint=f"ask for 1 to {length}",
        )
