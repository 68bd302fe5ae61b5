"""`walker`: a transformer encoder that makes motion, built like MDM with every number smaller.

Step and style are added up into one token that goes before the frames; the layers are those of the
original transformer (normalised after each sum) with a GELU feed-forward network that is twice as wide.
The network predicts the clean motion. What a motion is made of says `gait`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import evolve
from torch import nn
from torch.nn import functional

from colfw.denoising.workload import Layer
from colfw.sites import Ffn, Site
from colfw_workloads.miniature_options import STYLES
from colfw_workloads.miniatures import gait
from colfw_workloads.miniatures.parts import Attention, TimeEmbedding, sinusoids
from colfw_workloads.miniatures.workload import Miniature
from colfw_workloads.samplers import ddpm, guidance, last
from colfw_workloads.samplers.schedules import Schedule

if TYPE_CHECKING:
    from torch import Tensor

    from colfw.denoising.workload import Generation
    from colfw.protocols import DenoiseRequest
    from colfw.samples import Samples

WIDTH = 96
HIDDEN = 2 * WIDTH
DEPTH = 6
HEADS = 4
TOKENS = 1 + gait.FRAMES


class EncoderLayer(nn.Module):
    """Attention and feed-forward network, normalised after each sum."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention(WIDTH, HEADS)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.linear1 = nn.Linear(WIDTH, HIDDEN)
        self.linear2 = nn.Linear(HIDDEN, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.self_attn(x))
        out: Tensor = self.norm2(x + self.linear2(functional.gelu(self.linear1(x))))
        return out


class WalkerTransformer(nn.Module):
    """`x [n, frame, feature]`, step `[n]` and style `[n]` to the clean motion; style 6 is none."""

    positions: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.pose_embedding = nn.Linear(gait.FEATURES, WIDTH)
        self.embed_timestep = TimeEmbedding(WIDTH)
        self.embed_style = nn.Embedding(len(STYLES) + 1, WIDTH)
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(DEPTH))
        self.pose_final = nn.Linear(WIDTH, gait.FEATURES)
        places = torch.arange(TOKENS, device="cpu")  # a table needs values on the meta device too
        self.register_buffer("positions", sinusoids(places, WIDTH), persistent=False)

    def forward(self, x: Tensor, step: Tensor, style: Tensor) -> Tensor:
        token = self.embed_timestep(step) + self.embed_style(style)
        sequence = torch.cat([token[:, None], self.pose_embedding(x)], dim=1) + self.positions
        for layer in self.layers:
            sequence = layer(sequence)
        motion: Tensor = self.pose_final(sequence[:, 1:])
        return motion


class Walker(Miniature):
    """DDPM respaced from 1000 steps; an iteration has two forwards, the one with the style first.

    The loop makes motions `[frame, feature]` in radians, metres and metres a second. Samples are the
    positions of joints that follow from them, and hold the motions as the view `features`.
    """

    name = "walker"
    modality = "motion/walker"
    rate_hz = gait.RATE_HZ
    classes = len(STYLES)
    network = WalkerTransformer

    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layer(f"layers.{index}") for index in range(DEPTH))

    def _layer(self, name: str) -> Layer:
        # Both guidance passes count in both conventions, as they do for MDM.
        operator = Ffn(d_in=WIDTH, d_out=WIDTH)
        site = Site(name=name, rows=2 * TOKENS, columns=HIDDEN, operator=operator)
        return Layer(site=site, linear2=f"{name}.linear2")

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        styles = run.conditioning["labels"]
        steps = ddpm.respaced(
            guidance.in_two_forwards(
                conditional=self.predict(denoiser, run, styles),
                unconditional=self.predict(denoiser, run, self.unlabelled(styles)),
                scale=self.config.guidance_scale,
            ),
            run.noise((run.samples, gait.FRAMES, gait.FEATURES)),
            schedule=Schedule.cosine(),
            noise=run.noise,
            steps=run.iterations,
            output=ddpm.Output.CLEAN_SAMPLE,
        )
        return gait.in_units(last(steps))

    def decoded(self, made: Tensor, request: DenoiseRequest) -> Samples:
        return evolve(
            super().decoded(gait.joints(made), request),
            views={"features": made.numpy()},
            bones=gait.BONE_ENDS,
        )
