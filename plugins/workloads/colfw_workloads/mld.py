"""MLD: a small transformer that denoises one latent token of a motion, led by one text feature.

The sequence has three tokens: latent, time, text. The encoder is U-shaped: what its first blocks put out
is handed to its last ones. Official code: ChenFengYe/motion-latent-diffusion,
`mld/models/architectures/mld_denoiser.py` (text, trans_enc with skip connections).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from colfw.denoising.workload import CheckpointLayout, Condition, Layer
from colfw.errors import StudyError
from colfw.sites import Ffn, Site
from colfw_workloads.samplers import ddim, guidance, last
from colfw_workloads.samplers.schedules import Schedule
from colfw_workloads.studied import StudiedWorkload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from colfw.denoising.workload import Generation
    from colfw_workloads.options import MldOptions

TOKENS = 3
"""Latent, time and text."""
POSITIONS = 500
"""Rows of the learned tables of positions; only the first three are used."""


class MldDenoiser(nn.Module):
    """Predicts the noise in a latent `[samples, 1, width]`.

    Attributes carry the official names, so that the state dict does.
    """

    def __init__(self, *, width: int, hidden: int, depth: int, heads: int, text_width: int) -> None:
        super().__init__()
        self.time_embedding = TimestepEmbedding(text_width, width)
        self.emb_proj = nn.Sequential(nn.ReLU(), nn.Linear(text_width, width))
        self.query_pos = LearnedPositions(width)
        self.mem_pos = LearnedPositions(width)  # of another variant: in every checkpoint, never used here
        self.encoder = SkipEncoder(width, hidden, depth, heads)

    def forward(self, sample: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        """`timestep` is a number or `[samples]`; `text` is `[samples, 1, text_width]`."""
        time = self.time_embedding(timestep.expand(len(sample)))[:, None]
        tokens = torch.cat([sample, time, self.emb_proj(text)], dim=1)
        # Sequence before batch, as in the official code: PyTorch has no fused path around such layers.
        sequence = self.query_pos(tokens.transpose(0, 1))
        denoised: Tensor = self.encoder(sequence)[:1].transpose(0, 1)
        return denoised


class TimestepEmbedding(nn.Module):
    """Cosines and sines of the time step, through two layers."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.channels = channels
        self.linear_1 = nn.Linear(channels, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, timesteps: Tensor) -> Tensor:
        waves = _waves(timesteps, self.channels).to(self.linear_1.weight.dtype)
        embedding: Tensor = self.linear_2(nn.functional.silu(self.linear_1(waves)))
        return embedding


def _waves(timesteps: Tensor, channels: int) -> Tensor:
    """Cosines, then sines, of the time steps at frequencies that fall from 1 towards 1 / 10000."""
    half = channels // 2
    frequencies = torch.exp(torch.arange(half, device=timesteps.device) * (-math.log(10_000.0) / half))
    angles = timesteps[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class LearnedPositions(nn.Module):
    """Adds a learned row to each token of a sequence `[tokens, samples, width]`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pe = nn.Parameter(torch.rand(POSITIONS, 1, width))

    def forward(self, sequence: Tensor) -> Tensor:
        return sequence + self.pe[: len(sequence)]


class SkipEncoder(nn.Module):
    """A stack of layers in which the first hands its output to the last, the second to the last but one..."""

    def __init__(self, width: int, hidden: int, depth: int, heads: int) -> None:
        super().__init__()
        half = depth // 2

        def layers(count: int) -> nn.ModuleList:
            return nn.ModuleList(_layer(width, hidden, heads) for _ in range(count))

        self.input_blocks = layers(half)
        self.middle_block = _layer(width, hidden, heads)
        self.output_blocks = layers(half)
        self.linear_blocks = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(half))
        self.norm = nn.LayerNorm(width)

    def forward(self, sequence: Tensor) -> Tensor:
        skipped = []
        for block in self.input_blocks:
            sequence = block(sequence)
            skipped.append(sequence)
        sequence = self.middle_block(sequence)
        for block, merge in zip(self.output_blocks, self.linear_blocks, strict=True):
            sequence = block(merge(torch.cat([sequence, skipped.pop()], dim=-1)))
        normalised: Tensor = self.norm(sequence)
        return normalised


def _layer(width: int, hidden: int, heads: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, activation="gelu")


class Mld(StudiedWorkload):
    """Text to motion in the latent space of MLD's HumanML3D autoencoder; samples are `[1, width]`."""

    config: MldOptions
    name = "mld"
    modality: ClassVar[str] = "motion-latent"
    # A Lightning file, which holds the autoencoder and the evaluators as well.
    checkpoint_layout: ClassVar[CheckpointLayout] = CheckpointLayout(
        nesting=("state_dict",), prefixes=("denoiser.", "")
    )

    def __init__(self, config: MldOptions) -> None:
        _check_sizes(config)
        super().__init__(config)

    def layers(self) -> tuple[Layer, ...]:
        half = range(self.config.depth // 2)
        first = tuple(f"encoder.input_blocks.{index}" for index in half)
        last_ones = tuple(f"encoder.output_blocks.{index}" for index in half)
        return tuple(self._layer(path) for path in (*first, "encoder.middle_block", *last_ones))

    def _layer(self, path: str) -> Layer:
        config = self.config
        # One forward an iteration, of an unconditional and a conditional sample; Table 1 counts alike.
        operator = Ffn(d_in=config.width, d_out=config.width)
        site = Site(name=path, rows=2 * TOKENS, columns=config.hidden, operator=operator)
        return Layer(site=site, linear2=f"{path}.linear2")

    def build(self) -> MldDenoiser:
        config = self.config
        return MldDenoiser(
            width=config.width,
            hidden=config.hidden,
            depth=config.depth,
            heads=config.heads,
            text_width=config.text_width,
        )

    def conditions(self) -> Mapping[str, Condition]:
        feature = "a CLIP ViT-L/14 text feature"
        encoder = "colfw.denoising.encoders:clip_text_features"
        shape = (1, self.config.text_width)
        return {
            "text": Condition(shape=shape, what=feature, encoder=encoder),
            "unconditional_text": Condition(
                shape=shape, what=f"{feature} of the empty prompt", encoder=encoder, varies=False
            ),
        }

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        """DDIM without noise; an iteration is one forward of all samples twice, without and with the text."""
        given = run.conditioning
        text = torch.cat([given["unconditional_text"], given["text"]]).to(run.dtype)

        def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
            run.begin(iteration)
            noise: Tensor = denoiser(x.to(run.dtype), t, text)
            return noise.float()

        loop = ddim.ddim(
            guidance.in_one_forward(predict, self.config.guidance_scale),
            run.noise((run.samples, 1, self.config.width)),
            schedule=Schedule.scaled_linear(),
            noise=run.noise,
            steps=run.iterations,
        )
        return last(loop)


def _check_sizes(config: MldOptions) -> None:
    """Refuse numbers that make no MLD, before anything is built."""
    where = "options of mld"
    if config.width % config.heads:
        raise StudyError("width must be a multiple of heads", where=where)
    if config.text_width % 2:
        raise StudyError("text_width must be even: it is also that of the time step's waves", where=where)
    if config.depth % 2 == 0:
        raise StudyError(f"depth must be odd, not {config.depth}: one layer lies in the middle", where=where)
