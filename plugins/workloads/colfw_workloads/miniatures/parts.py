"""What the networks of the three miniatures share: attention, and the encoding of time and place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Cosines and sines of each position at `width / 2` frequencies from 1 down to 1 / 10000."""
    frequencies = torch.exp(
        torch.arange(width // 2, device=positions.device) * (-math.log(10_000) / (width // 2))
    )
    angles = positions.float()[..., None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimeEmbedding(nn.Module):
    """A diffusion step as a vector: sinusoids, then a small network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.linear_1 = nn.Linear(width, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, step: Tensor) -> Tensor:
        waves = sinusoids(step, self.width).to(self.linear_1.weight.dtype)
        embedded: Tensor = self.linear_2(functional.silu(self.linear_1(waves)))
        return embedded


class Attention(nn.Module):
    """Multi-head attention of `x` to a context, or to itself where none is given."""

    def __init__(self, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(context_width or width, width)
        self.to_v = nn.Linear(context_width or width, width)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        source = x if context is None else context
        q, k, v = self._split(self.to_q(x)), self._split(self.to_k(source)), self._split(self.to_v(source))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)
