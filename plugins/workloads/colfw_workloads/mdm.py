"""MDM: a transformer encoder that denoises motion, led by one text feature.

The time step and the text are added up into one token, which goes before the frames. The network predicts
the clean motion itself. Official code: GuyTevet/motion-diffusion-model, `model/mdm.py` (trans_enc).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from attrs import evolve
from torch import nn

from colfw.denoising.workload import CheckpointLayout, Condition, Layer
from colfw.errors import StudyError
from colfw.sites import Ffn, Site
from colfw_workloads import humanml3d, skeleton
from colfw_workloads.samplers import ddpm, guidance, last
from colfw_workloads.samplers.schedules import Schedule
from colfw_workloads.studied import StudiedWorkload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from colfw.denoising.workload import Generation
    from colfw.protocols import DenoiseRequest
    from colfw.samples import Samples
    from colfw_workloads.options import MdmOptions
    from colfw_workloads.samplers import Predict

TEXT_WIDTH = 512
"""Of the text feature of CLIP ViT-B/32."""
POSITIONS = 5000
"""Rows of the sine table: positions in the sequence and time steps are both looked up in it."""


class MdmDenoiser(nn.Module):
    """Predicts the clean motion `[samples, features, 1, frames]` from the noisy one.

    Attributes carry the official names, so that the state dict does.
    """

    def __init__(self, *, features: int, width: int, hidden: int, depth: int, heads: int) -> None:
        super().__init__()
        positions = SineTable(width)
        self.input_process = nn.ModuleDict({"poseEmbedding": nn.Linear(features, width)})
        self.sequence_pos_encoder = positions
        # Sequence before batch, as in the official code: PyTorch has no fused path around such layers.
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, activation="gelu")
        self.seqTransEncoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.embed_timestep = TimestepToken(width, positions)
        self.embed_text = nn.Linear(TEXT_WIDTH, width)
        self.output_process = nn.ModuleDict({"poseFinal": nn.Linear(width, features)})

    def forward(self, x: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        """`timesteps` is `[samples]` and `text` `[samples, 512]`; zeros stand for no text."""
        frames = self.input_process["poseEmbedding"](x.squeeze(2).permute(2, 0, 1))
        token = self.embed_timestep(timesteps) + self.embed_text(text)
        sequence = self.sequence_pos_encoder(torch.cat([token[None], frames]))
        motion: Tensor = self.output_process["poseFinal"](self.seqTransEncoder(sequence)[1:])
        return motion.permute(1, 2, 0).unsqueeze(2)


class SineTable(nn.Module):
    """Fixed sines and cosines in turn, one row a position."""

    pe: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        frequencies = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
        angles = torch.arange(POSITIONS)[:, None] * frequencies
        self.register_buffer(
            "pe", torch.stack([angles.sin(), angles.cos()], dim=-1).view(POSITIONS, 1, width)
        )

    def forward(self, sequence: Tensor) -> Tensor:
        return sequence + self.pe[: len(sequence)]


class TimestepToken(nn.Module):
    """Turns the time step's row of the sine table into a token `[samples, width]`."""

    def __init__(self, width: int, positions: SineTable) -> None:
        super().__init__()
        self.sequence_pos_encoder = positions
        self.time_embed = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, timesteps: Tensor) -> Tensor:
        token: Tensor = self.time_embed(self.sequence_pos_encoder.pe[timesteps, 0])
        return token


class Mdm(StudiedWorkload):
    """Text to motion on HumanML3D.

    The loop makes features `[263, 1, frames]`, normalised as in training. With the statistics that they were
    normalised with, samples are positions of joints, and the features in units are the view `humanml3d`.
    """

    config: MdmOptions
    name = "mdm"
    modality: ClassVar[str] = "motion-features"
    rate_hz: ClassVar[float | None] = humanml3d.RATE_HZ
    checkpoint_layout: ClassVar[CheckpointLayout] = CheckpointLayout(
        # A release is the bare state dict; newer trainings hold it under "model", averaged under "model_avg".
        nesting=("model_avg", "model"),
        # Older releases hold tables of another length.
        computed=("sequence_pos_encoder.pe", "embed_timestep.sequence_pos_encoder.pe"),
    )

    def __init__(self, config: MdmOptions) -> None:
        _check_sizes(config)
        super().__init__(config)

    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layer(f"seqTransEncoder.layers.{index}") for index in range(self.config.depth))

    def _layer(self, path: str) -> Layer:
        config = self.config
        # Two forwards an iteration, each of the condition's token and the frames; Table 1 counts alike.
        rows = 2 * (1 + config.frames)
        operator = Ffn(d_in=config.width, d_out=config.width)
        site = Site(name=path, rows=rows, columns=config.hidden, operator=operator)
        return Layer(site=site, linear2=f"{path}.linear2")

    def build(self) -> MdmDenoiser:
        config = self.config
        return MdmDenoiser(
            features=config.features,
            width=config.width,
            hidden=config.hidden,
            depth=config.depth,
            heads=config.heads,
        )

    def conditions(self) -> Mapping[str, Condition]:
        text = Condition(
            shape=(TEXT_WIDTH,),
            what="a CLIP ViT-B/32 text feature",
            encoder="colfw.denoising.encoders:clip_short_text_features",
        )
        return {"text": text}

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        """DDPM on the model's own schedule, respaced to fewer iterations where it was trained with more.

        An iteration has two forwards, the one with the text first; without it, the feature is zero.
        """

        def led_by(text: Tensor) -> Predict:
            def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
                run.begin(iteration)
                clean: Tensor = denoiser(x.to(run.dtype), t, text.to(run.dtype))
                return clean.float()

            return predict

        config, text = self.config, run.conditioning["text"]
        guided = guidance.in_two_forwards(
            conditional=led_by(text),
            unconditional=led_by(torch.zeros_like(text)),
            scale=config.guidance_scale,
        )
        loop = ddpm.respaced(
            guided,
            run.noise((run.samples, config.features, 1, config.frames)),
            schedule=Schedule.cosine(config.diffusion_steps),
            noise=run.noise,
            steps=run.iterations,
            output=ddpm.Output.CLEAN_SAMPLE,
        )
        return last(loop)

    def decoding_digest(self) -> str | None:
        statistics = self.config.statistics
        return None if statistics is None else humanml3d.statistics_digest(statistics)

    def decoded(self, made: Tensor, request: DenoiseRequest) -> Samples:
        samples = super().decoded(made, request)
        if self.config.statistics is None:
            return samples
        features = humanml3d.in_units(made.squeeze(2).transpose(1, 2), self.config.statistics)
        return evolve(
            samples,
            modality="motion",
            data=humanml3d.joints(features).numpy(),
            lengths=np.full(len(made), self.config.frames, np.int64),
            views={"humanml3d": features.numpy()},
            bones=skeleton.bones(humanml3d.JOINTS),
        )


def _check_sizes(config: MdmOptions) -> None:
    """Refuse numbers that make no MDM, before anything is built."""
    where = "options of mdm"
    if config.width % config.heads or config.width % 2:
        raise StudyError("width must be even and a multiple of heads", where=where)
    if config.statistics is not None and config.features != humanml3d.FEATURES:
        raise StudyError(
            f"statistics are of the {humanml3d.FEATURES} features of HumanML3D; this model has"
            f" {config.features}",
            where=where,
        )
    if max(config.frames + 1, config.diffusion_steps) > POSITIONS:
        raise StudyError(
            f"frames and diffusion_steps must fit into a table of {POSITIONS} positions", where=where
        )
