"""Classifier-free guidance: forms in which the models combine conditional and unconditional predictions.

Each takes the denoiser's own prediction and gives the guided one, for a sampling loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from colfw_workloads.samplers import Predict

Scale = float | Sequence[float]
"""How far to go from the unconditional prediction to the conditional one and beyond; or one an iteration."""


def guided(unconditional: Tensor, conditional: Tensor, scale: float) -> Tensor:
    """Scale 0 is the unconditional prediction, 1 the conditional one."""
    return unconditional + scale * (conditional - unconditional)


def in_one_forward(predict: Predict, scale: Scale, *, rescale: float = 0.0) -> Predict:
    """One forward of twice the rows, the unconditional half first (Stable Diffusion, Make-an-Audio, MLD).

    `rescale` above 0 is the guidance rescale of `rescaled`.
    """

    def guided_predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        both = predict(torch.cat([x, x]), torch.cat([t, t]), iteration)
        unconditional, conditional = both.chunk(2)
        wanted = guided(unconditional, conditional, _of(scale, iteration))
        return rescaled(wanted, conditional, rescale) if rescale else wanted

    return guided_predict


def in_two_forwards(
    *,
    conditional: Predict,
    unconditional: Predict,
    scale: Scale,
    conditional_first: bool = True,
    rescale: float = 0.0,
) -> Predict:
    """Two forwards of the same rows; which comes first shows only in what an observer is told.

    The conditional pass comes first in VideoCrafter2 and MDM, the unconditional one in EDGE. Both run even
    at scale 0. `rescale` above 0 is the guidance rescale of `rescaled`.
    """
    order = (conditional, unconditional) if conditional_first else (unconditional, conditional)

    def guided_predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        passes = [one(x, t, iteration) for one in order]
        with_condition, without = passes if conditional_first else reversed(passes)
        wanted = guided(without, with_condition, _of(scale, iteration))
        return rescaled(wanted, with_condition, rescale) if rescale else wanted

    return guided_predict


def of_first_channels(predict: Predict, scale: Scale, *, channels: int = 3) -> Predict:
    """DiT's form: x is a conditional and an unconditional half; the denoiser sees the first of them twice.

    Only the first `channels` are guided, the same for both halves; all other channels stay each half's own.
    """

    def guided_predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        half, _ = x.chunk(2)
        prediction = predict(torch.cat([half, half]), t, iteration)
        conditional, unconditional = prediction[:, :channels].chunk(2)
        wanted = guided(unconditional, conditional, _of(scale, iteration))
        return torch.cat([torch.cat([wanted, wanted]), prediction[:, channels:]], dim=1)

    return guided_predict


def ramp(scale: float, steps: int) -> list[float]:
    """A scale an iteration: from 0 in equal steps to `scale` at half of the run, then constant (EDGE)."""
    return [float(weight) for weight in np.minimum(np.linspace(0, 2 * scale, steps), scale)]


def rescaled(prediction: Tensor, conditional: Tensor, share: float) -> Tensor:
    """Draw a guided prediction's spread towards the conditional one's, by `share`.

    Guidance widens the spread, which overexposes; see Lin et al. 2023 (arXiv 2305.08891), section 3.4.
    """
    dimensions = tuple(range(1, prediction.ndim))
    spread = conditional.std(dim=dimensions, keepdim=True) / prediction.std(dim=dimensions, keepdim=True)
    return share * prediction * spread + (1 - share) * prediction


def _of(scale: Scale, iteration: int) -> float:
    return scale[iteration] if isinstance(scale, Sequence) else scale
