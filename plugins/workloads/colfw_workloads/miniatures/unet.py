"""`digits-unet`: a UNet that draws 8 x 8 digits, built like Stable Diffusion's with every number smaller.

Two resolutions (8 x 8 and 4 x 4). After each residual block stands a transformer block: attention to
itself, attention to four tokens that say which digit, and a GEGLU feed-forward network that is four
times as wide. The network predicts the noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from colfw.denoising.workload import Layer
from colfw.sites import Ffn, Site
from colfw.vocabulary import RowConvention
from colfw_workloads.miniatures.parts import Attention, TimeEmbedding
from colfw_workloads.miniatures.workload import Digits
from colfw_workloads.unet import FeedForward

if TYPE_CHECKING:
    from torch import Tensor

PIXELS = 8
CHANNELS = (32, 64)
"""At 8 x 8 and at 4 x 4."""
HEADS = 4
CLASSES = 10
CONTEXT_TOKENS = 4
CONTEXT_WIDTH = 32
TIME_WIDTH = 64
GROUPS = 8


class ResidualBlock(nn.Module):
    """Two convolutions around the step; the way past them is fitted where the channels change."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.time_emb_proj = nn.Linear(TIME_WIDTH, channels_out)
        self.norm2 = nn.GroupNorm(GROUPS, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        fits = channels_in == channels_out
        self.conv_shortcut = nn.Identity() if fits else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        hidden = hidden + self.time_emb_proj(functional.silu(time))[:, :, None, None]
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        out: Tensor = self.conv_shortcut(x) + hidden
        return out


class TransformerBlock(nn.Module):
    """Pixels look at each other, then at the digit, then each goes through the feed-forward network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, HEADS)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, HEADS, CONTEXT_WIDTH)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        tokens = tokens + self.attn1(self.norm1(tokens))
        tokens = tokens + self.attn2(self.norm2(tokens), context)
        tokens = tokens + self.ff(self.norm3(tokens))
        out: Tensor = x + self.proj_out(tokens.transpose(1, 2).reshape(x.shape))
        return out


class Stage(nn.Module):
    """A residual block and the transformer block after it."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.resnet = ResidualBlock(channels_in, channels_out)
        self.attention = TransformerBlock(channels_out)

    def forward(self, x: Tensor, time: Tensor, context: Tensor) -> Tensor:
        out: Tensor = self.attention(self.resnet(x, time), context)
        return out


class DigitsUNet(nn.Module):
    """`x [n, 1, 8, 8]`, step `[n]` and digit `[n]` to the noise in `x`; digit 10 stands for no digit."""

    def __init__(self) -> None:
        super().__init__()
        fine, coarse = CHANNELS
        self.time_embedding = TimeEmbedding(TIME_WIDTH)
        self.class_embedding = nn.Embedding(CLASSES + 1, CONTEXT_TOKENS * CONTEXT_WIDTH)
        self.conv_in = nn.Conv2d(1, fine, 3, padding=1)
        self.down_fine = Stage(fine, fine)
        self.downsample = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.down_coarse = Stage(coarse, coarse)
        self.middle = Stage(coarse, coarse)
        self.up_coarse = Stage(2 * coarse, coarse)
        self.upsample = nn.Conv2d(coarse, fine, 3, padding=1)
        self.up_fine = Stage(2 * fine, fine)
        self.norm_out = nn.GroupNorm(GROUPS, fine)
        self.conv_out = nn.Conv2d(fine, 1, 3, padding=1)

    def forward(self, x: Tensor, step: Tensor, label: Tensor) -> Tensor:
        time = self.time_embedding(step)
        context = self.class_embedding(label).view(-1, CONTEXT_TOKENS, CONTEXT_WIDTH)
        fine = self.down_fine(self.conv_in(x), time, context)
        coarse = self.down_coarse(self.downsample(fine), time, context)
        h = self.middle(coarse, time, context)
        h = self.up_coarse(torch.cat([h, coarse], dim=1), time, context)
        h = self.upsample(functional.interpolate(h, scale_factor=2.0, mode="nearest"))
        h = self.up_fine(torch.cat([h, fine], dim=1), time, context)
        noise: Tensor = self.conv_out(functional.silu(self.norm_out(h)))
        return noise


STAGES = {
    "down_fine": (PIXELS, CHANNELS[0]),
    "down_coarse": (PIXELS // 2, CHANNELS[1]),
    "middle": (PIXELS // 2, CHANNELS[1]),
    "up_coarse": (PIXELS // 2, CHANNELS[1]),
    "up_fine": (PIXELS, CHANNELS[0]),
}
"""Pixels a side and channels of each stage, in execution order."""


class DigitsUnet(Digits):
    """The workload; one pass has a row a pixel, and `paper` counts one pass as Table 1 does for UNets."""

    name = "digits-unet"
    network = DigitsUNet

    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layer(f"{stage}.attention.ff", *size) for stage, size in STAGES.items())

    def _layer(self, name: str, side: int, width: int) -> Layer:
        passes = 1 if self.config.rows is RowConvention.PAPER else 2
        operator = Ffn(d_in=width, d_out=width, gated=True)
        site = Site(name=f"{name}.net.0", rows=passes * side**2, columns=4 * width, operator=operator)
        return Layer(site=site, linear2=f"{name}.net.2")
