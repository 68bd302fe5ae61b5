"""EDGE: a transformer that denoises five seconds of dance, led by the music.

Encoded music is attended to, frame by frame, and its mean modulates every layer together with the time step.
The network predicts the clean motion itself. Longer dances are windows that overlap by half.
Official code: Stanford-TML/EDGE, `model/model.py` and `model/rotary_embedding_torch.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from attrs import evolve
from torch import nn
from torch.nn import functional

from colfw.denoising.checkpoints import file_digest, read_checkpoint
from colfw.denoising.workload import CheckpointLayout, Condition, Layer
from colfw.errors import StudyError
from colfw.sites import Ffn, Site
from colfw.vocabulary import SourceKind
from colfw_workloads import dance, skeleton
from colfw_workloads.samplers import edge as sampler
from colfw_workloads.samplers import guidance, last
from colfw_workloads.samplers.schedules import Schedule
from colfw_workloads.studied import StudiedWorkload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from colfw.denoising.workload import Generation
    from colfw.protocols import DenoiseRequest
    from colfw.samples import Samples
    from colfw_workloads.options import EdgeOptions
    from colfw_workloads.samplers import Predict

FEATURES = dance.FEATURES
"""Of a pose: 4 foot contacts, the root's position (3) and 24 joint rotations of 6 numbers each."""
MUSIC_LAYERS = 2
"""Layers of the encoder of music."""


class DanceDecoder(nn.Module):
    """Predicts the clean motion `[windows, frames, 151]` from the noisy one.

    Attributes carry the official names, so that the state dict does.
    """

    def __init__(
        self, *, frames: int, width: int, hidden: int, depth: int, heads: int, music_width: int
    ) -> None:
        super().__init__()
        self.rotary = rotary = Rotary(width)
        # Entry 0 stands for the waves, which `forward` computes in float32.
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(width, 4 * width), nn.Mish())
        self.to_time_cond = nn.Sequential(nn.Linear(4 * width, width))
        self.to_time_tokens = nn.Sequential(nn.Linear(4 * width, 2 * width), nn.Unflatten(-1, (2, width)))
        self.null_cond_embed = nn.Parameter(torch.randn(1, frames, width))
        self.null_cond_hidden = nn.Parameter(torch.randn(1, width))
        self.norm_cond = nn.LayerNorm(width)
        self.input_projection = nn.Linear(FEATURES, width)
        self.cond_encoder = nn.Sequential(
            *(EncoderLayer(width, hidden, heads, rotary) for _ in range(MUSIC_LAYERS))
        )
        self.cond_projection = nn.Linear(music_width, width)
        self.non_attn_cond_projection = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.seqTransDecoder = DecoderStack(
            [DecoderLayer(width, hidden, heads, rotary) for _ in range(depth)]
        )
        self.final_layer = nn.Linear(width, FEATURES)

    def forward(self, x: Tensor, music: Tensor, times: Tensor, *, with_music: bool = True) -> Tensor:
        """`music` is `[windows, frames, music_width]` and `times` `[windows]`.

        Without music learned embeddings take its place; the official code encodes it all the same, so
        that the encoder's layers run in both passes.
        """
        waves = _waves(times, self.input_projection.out_features).to(x.dtype)
        hidden = self.time_mlp(waves)
        tokens, modulation = self._conditioning(music, with_music=with_music)
        memory = self.norm_cond(torch.cat([tokens, self.to_time_tokens(hidden)], dim=1))
        modulation = modulation + self.to_time_cond(hidden)
        motion: Tensor = self.final_layer(self.seqTransDecoder(self.input_projection(x), memory, modulation))
        return motion

    def _conditioning(self, music: Tensor, *, with_music: bool) -> tuple[Tensor, Tensor]:
        """What is attended to, `[windows, frames, width]`, and what modulates, `[windows, width]`."""
        tokens = self.cond_encoder(self.cond_projection(music))
        if with_music:
            return tokens, self.non_attn_cond_projection(tokens.mean(dim=1))
        windows = len(music)
        return self.null_cond_embed.expand(windows, -1, -1), self.null_cond_hidden.expand(windows, -1)


def _waves(times: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of the time steps at frequencies that fall from 1 to 1 / 10000."""
    half = width // 2
    frequencies = torch.exp(torch.arange(half, device=times.device) * (-math.log(10_000.0) / (half - 1)))
    angles = times[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Rotary(nn.Module):
    """Turns each pair of neighbouring features by an angle that grows with the frame.

    One object serves all layers, and turns the whole width at once, before it is split into heads.
    """

    freqs: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("freqs", self._frequencies())

    def _frequencies(self, device: torch.device | None = None) -> Tensor:
        exponents = torch.arange(0, self.width, 2, device=device, dtype=torch.float32) / self.width
        return 1.0 / 10_000.0**exponents

    def forward(self, x: Tensor) -> Tensor:
        # `freqs` is only kept because the official state has it: rounded to bfloat16, as a model may be,
        # it would turn the last frames by a third of a radian too much or too little.
        angles = torch.arange(x.shape[-2], device=x.device)[:, None] * self._frequencies(x.device)
        cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        first, second = x[..., 0::2], x[..., 1::2]
        turned = [first * cosine - second * sine, second * cosine + first * sine]
        return torch.stack(turned, dim=-1).flatten(-2)


class RotaryLayer(nn.Module):
    """What the layers of encoder and decoder have in common: self-attention and a feed-forward network."""

    def __init__(self, width: int, hidden: int, heads: int, rotary: Rotary) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.rotary = rotary

    def _self_attention(self, x: Tensor) -> Tensor:
        turned = self.rotary(x)
        attended: Tensor = self.self_attn(turned, turned, x, need_weights=False)[0]
        return attended

    def _feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear2(functional.gelu(self.linear1(x)))
        return out


class EncoderLayer(RotaryLayer):
    """A layer of the encoder of music."""

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._self_attention(self.norm1(x))
        return x + self._feed_forward(self.norm2(x))


class DecoderLayer(RotaryLayer):
    """A layer that attends to the music as well; what each part adds is modulated."""

    def __init__(self, width: int, hidden: int, heads: int, rotary: Rotary) -> None:
        super().__init__(width, hidden, heads, rotary)
        self.multihead_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm3 = nn.LayerNorm(width)
        self.film1 = Film(width)
        self.film2 = Film(width)
        self.film3 = Film(width)

    def forward(self, x: Tensor, memory: Tensor, modulation: Tensor) -> Tensor:
        x = x + self.film1(self._self_attention(self.norm1(x)), modulation)
        x = x + self.film2(self._cross_attention(self.norm2(x), memory), modulation)
        layered: Tensor = x + self.film3(self._feed_forward(self.norm3(x)), modulation)
        return layered

    def _cross_attention(self, x: Tensor, memory: Tensor) -> Tensor:
        query, key = self.rotary(x), self.rotary(memory)
        attended: Tensor = self.multihead_attn(query, key, memory, need_weights=False)[0]
        return attended


class Film(nn.Module):
    """Scales and shifts features as the modulation `[windows, width]` says."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Mish(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        scale, shift = torch.chunk(self.block(modulation)[:, None], 2, dim=-1)
        return (scale + 1) * x + shift


class DecoderStack(nn.Module):
    """The decoder's layers, one after the other."""

    def __init__(self, layers: list[DecoderLayer]) -> None:
        super().__init__()
        self.stack = nn.ModuleList(layers)

    def forward(self, x: Tensor, memory: Tensor, modulation: Tensor) -> Tensor:
        for layer in self.stack:
            x = layer(x, memory, modulation)
        return x


class Edge(StudiedWorkload):
    """Music to dance; the loop makes dances `[windows, frames, 151]`, normalised as in training.

    Where a checkpoint tells how, and a skeleton is given, samples are positions of joints.

    With more than one window the dance is made as the official code's `long` mode makes it: guidance grows
    over the first half of the iterations, and each window begins with the second half of the one before.
    """

    config: EdgeOptions
    name = "edge"
    modality: ClassVar[str] = "motion-features"
    rate_hz: ClassVar[float | None] = 30.0  # frames a second of EDGE's training data
    checkpoint_layout: ClassVar[CheckpointLayout] = CheckpointLayout(
        nesting=("ema_state_dict",),
        computed=("rotary.freqs", "*.rotary.freqs"),
        allowed_globals=("dataset.preprocess.Normalizer", "dataset.scaler.MinMaxScaler"),
    )

    def __init__(self, config: EdgeOptions) -> None:
        _check_sizes(config)
        super().__init__(config)

    def layers(self) -> tuple[Layer, ...]:
        music = tuple(f"cond_encoder.{index}" for index in range(MUSIC_LAYERS))
        dance = tuple(f"seqTransDecoder.stack.{index}" for index in range(self.config.depth))
        return tuple(self._layer(path) for path in (*music, *dance))

    def _layer(self, path: str) -> Layer:
        config = self.config
        # Two forwards an iteration, each of all frames of all windows; Table 1 counts alike.
        rows = 2 * config.windows * config.frames
        operator = Ffn(d_in=config.width, d_out=config.width)
        site = Site(name=path, rows=rows, columns=config.hidden, operator=operator)
        return Layer(site=site, linear2=f"{path}.linear2")

    def build(self) -> DanceDecoder:
        config = self.config
        return DanceDecoder(
            frames=config.frames,
            width=config.width,
            hidden=config.hidden,
            depth=config.depth,
            heads=config.heads,
            music_width=config.music_width,
        )

    def conditions(self) -> Mapping[str, Condition]:
        config = self.config
        music = Condition(
            shape=(config.windows, config.frames, config.music_width),
            what="jukebox features of the music, one a frame of each window",
        )
        return {"music": music}

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        """DDIM with noise, all windows of all dances together.

        An iteration has two forwards, the one without music first.
        """
        windows, frames = self.config.windows, self.config.frames
        music = run.conditioning["music"].flatten(0, 1).to(run.dtype)

        def noise(shape: Sequence[int]) -> Tensor:
            """A row of noise a sample, as rows are shared out among samples: all windows of its dance."""
            return run.noise((run.samples, windows, *shape[1:])).flatten(0, 1)

        def hearing(*, music_on: bool) -> Predict:
            def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
                run.begin(iteration)
                clean: Tensor = denoiser(x.to(run.dtype), music, t, with_music=music_on)
                return clean.float()

            return predict

        guided = guidance.in_two_forwards(
            conditional=hearing(music_on=True),
            unconditional=hearing(music_on=False),
            scale=self._scale(run.iterations),
            conditional_first=False,
        )
        start = noise((len(music), frames, FEATURES))
        schedule = Schedule.cosine()
        if windows == 1:
            loop = sampler.ddim(guided, start, schedule=schedule, noise=noise, steps=run.iterations)
        else:
            loop = sampler.long_ddim(
                guided, start, schedule=schedule, noise=noise, steps=run.iterations, windows=windows
            )
        return last(loop).reshape(run.samples, windows, frames, FEATURES)

    def decoding_digest(self) -> str | None:
        if self.config.skeleton is None:
            return None
        dance.offsets_in(self.config.skeleton)
        return file_digest(self.config.skeleton)

    def decoded(self, made: Tensor, request: DenoiseRequest) -> Samples:
        samples = super().decoded(made, request)
        if self.config.skeleton is None or request.source is not SourceKind.CHECKPOINT:
            return samples
        offsets = dance.offsets_in(self.config.skeleton)
        features = self._normalisation(request).in_units(made)
        return evolve(
            samples,
            modality="motion",
            data=dance.joints(features, offsets).numpy(),
            bones=skeleton.bones(len(offsets)),
        )

    def _normalisation(self, request: DenoiseRequest) -> dance.Normalisation:
        assert request.checkpoint is not None
        extras = read_checkpoint(request.checkpoint, self.checkpoint_layout).extras
        return dance.Normalisation.of(extras.get("normalizer"), where=str(request.checkpoint))

    def _scale(self, iterations: int) -> float | list[float]:
        scale = self.config.guidance_scale
        return scale if self.config.windows == 1 else guidance.ramp(scale, iterations)


def _check_sizes(config: EdgeOptions) -> None:
    """Refuse numbers that make no EDGE, before anything is built."""
    where = "options of edge"
    if config.width % config.heads or config.width % 2 or config.width < 4:
        raise StudyError("width must be even, at least 4, and a multiple of heads", where=where)
    if config.windows > 1 and config.frames % 2:
        raise StudyError(f"frames must be even, not {config.frames}: windows overlap by half", where=where)
