"""`digits-dit`: a transformer that draws 8 x 8 digits, built like DiT with every number smaller.

The image is cut into patches; each block is modulated by step and digit (adaLN-Zero) and has a GELU
feed-forward network that is four times as wide. The network predicts the noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from colfw.denoising.workload import Layer
from colfw.sites import Ffn, Site
from colfw.vocabulary import RowConvention
from colfw_workloads.miniatures.parts import Attention, TimeEmbedding, sinusoids
from colfw_workloads.miniatures.workload import Digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

PIXELS = 8
PATCH = 2
TOKENS = (PIXELS // PATCH) ** 2
WIDTH = 96
HIDDEN = 4 * WIDTH
DEPTH = 4
HEADS = 4
CLASSES = 10


def patch_positions() -> Tensor:
    """Half the width says in which row a patch lies, half in which column: `[patches, width]`."""
    side = torch.arange(PIXELS // PATCH, device="cpu")  # a table needs values on the meta device too
    row, column = torch.meshgrid(side, side, indexing="ij")
    halves = [sinusoids(place.flatten(), WIDTH // 2) for place in (row, column)]
    return torch.cat(halves, dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale[:, None]) + shift[:, None]


class Mlp(nn.Module):
    """The feed-forward network of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, HIDDEN)
        self.act = nn.GELU(approximate="tanh")
        self.fc2 = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class Block(nn.Module):
    """Attention and feed-forward network, each shifted, scaled and gated by what it is conditioned on."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(WIDTH, HEADS)
        self.norm2 = nn.LayerNorm(WIDTH, elementwise_affine=False, eps=1e-6)
        self.mlp = Mlp()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 6 * WIDTH))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        parts: Sequence[Tensor] = self.adaLN_modulation(condition).chunk(6, dim=1)
        shift1, scale1, gate1, shift2, scale2, gate2 = parts
        x = x + gate1[:, None] * self.attn(modulate(self.norm1(x), shift1, scale1))
        out: Tensor = x + gate2[:, None] * self.mlp(modulate(self.norm2(x), shift2, scale2))
        return out


class FinalLayer(nn.Module):
    """From tokens to the pixels of their patches."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(WIDTH, elementwise_affine=False, eps=1e-6)
        self.linear = nn.Linear(WIDTH, PATCH * PATCH)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 2 * WIDTH))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=1)
        out: Tensor = self.linear(modulate(self.norm_final(x), shift, scale))
        return out


class DigitsTransformer(nn.Module):
    """`x [n, 1, 8, 8]`, step `[n]` and digit `[n]` to the noise in `x`; digit 10 stands for no digit."""

    positions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.x_embedder = nn.Conv2d(1, WIDTH, kernel_size=PATCH, stride=PATCH)
        self.t_embedder = TimeEmbedding(WIDTH)
        self.y_embedder = nn.Embedding(CLASSES + 1, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.final_layer = FinalLayer()
        self.register_buffer("positions", patch_positions(), persistent=False)

    def forward(self, x: Tensor, step: Tensor, label: Tensor) -> Tensor:
        tokens = self.x_embedder(x).flatten(2).transpose(1, 2) + self.positions
        condition = self.t_embedder(step) + self.y_embedder(label)
        for block in self.blocks:
            tokens = block(tokens, condition)
        return self._image(self.final_layer(tokens, condition))

    def _image(self, patches: Tensor) -> Tensor:
        side = PIXELS // PATCH
        grid = patches.view(-1, side, side, PATCH, PATCH)
        return grid.transpose(2, 3).reshape(-1, 1, PIXELS, PIXELS)


class DigitsDit(Digits):
    """The workload; one pass has a row a patch, and `paper` counts one pass as Table 1 does for DiT."""

    name = "digits-dit"
    network = DigitsTransformer

    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layer(f"blocks.{index}.mlp") for index in range(DEPTH))

    def _layer(self, name: str) -> Layer:
        passes = 1 if self.config.rows is RowConvention.PAPER else 2
        operator = Ffn(d_in=WIDTH, d_out=WIDTH)
        site = Site(name=f"{name}.act", rows=passes * TOKENS, columns=HIDDEN, operator=operator)
        return Layer(site=site, linear2=f"{name}.fc2")
