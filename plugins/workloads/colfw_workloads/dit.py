"""DiT-XL/2: a transformer on the patches of an image's latent, led by a class.

Peebles and Xie, "Scalable Diffusion Models with Transformers" (2023); the names of modules and of state
entries are those of facebookresearch/DiT, so that its released file loads as it is. diffusers'
`DiTTransformer2DModel` is not used: its timestep embedding has other frequencies, and other outputs.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  (the name that readers of torch code know)

from colfw.denoising.checkpoints import CheckpointLayout
from colfw.denoising.workload import Condition, Layer
from colfw.errors import StoreError
from colfw.sites import Ffn, Site
from colfw.vocabulary import RowConvention
from colfw_workloads.autoencoder import ImageLatents
from colfw_workloads.samplers import ddpm, guidance, last
from colfw_workloads.samplers.schedules import Schedule
from colfw_workloads.sizes import require
from colfw_workloads.studied import StudiedWorkload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from colfw.denoising.workload import Generation
    from colfw_workloads.options import DitOptions

LATENT_CHANNELS = 4
GUIDED_CHANNELS = 3
"""The official `forward_with_cfg` guides the first three channels only, and leaves the fourth as it is."""
EXPANSION = 4
"""Hidden columns of a feed-forward network for each column that enters it."""

# --- the denoiser -------------------------------------------------------------------------------------


class DiT(nn.Module):
    """Predicts the noise in a latent `[n, 4, size, size]`, and the range of its variance: eight channels."""

    def __init__(
        self, *, latent_size: int, patch_size: int, width: int, depth: int, heads: int, classes: int
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.x_embedder = PatchEmbedder(patch_size, width)
        self.t_embedder = TimestepEmbedder(width)
        self.y_embedder = LabelEmbedder(classes, width)
        self.register_buffer("pos_embed", position_table(latent_size // patch_size, width)[None])
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_layer = FinalLayer(width, patch_size)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """`t` and `y` hold a timestep and a class for each latent; class number `classes` stands for none."""
        tokens = self.x_embedder(x) + self.pos_embed
        condition = self.t_embedder(t, x.dtype) + self.y_embedder(y)
        for block in self.blocks:
            tokens = block(tokens, condition)
        return self.unpatchify(self.final_layer(tokens, condition))

    def unpatchify(self, tokens: Tensor) -> Tensor:
        """Put patches `[n, token, row * column * channel]` back to where they were cut from."""
        side, patch = math.isqrt(tokens.shape[1]), self.patch_size
        patches = tokens.reshape(-1, side, side, patch, patch, 2 * LATENT_CHANNELS)
        return patches.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


class PatchEmbedder(nn.Module):
    """Cuts a latent into squares, each of which becomes a token."""

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(LATENT_CHANNELS, width, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.proj(x)
        return tokens.flatten(2).transpose(1, 2)


class TimestepEmbedder(nn.Module):
    """Cosines and sines of the timestep, at frequencies from 1 towards 1/10000, through a small network."""

    def __init__(self, width: int, frequencies: int = 128) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """In `dtype`, but the angles in float32: bfloat16 does not hold all timesteps."""
        exponents = torch.arange(self.frequencies, dtype=torch.float32, device=t.device) / self.frequencies
        angles = t[:, None].float() * torch.exp(-math.log(10_000) * exponents)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
        embedding: Tensor = self.mlp(waves.to(dtype))
        return embedding


class LabelEmbedder(nn.Module):
    """A learned vector for each class, and one more for "no class"."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, width)

    def forward(self, y: Tensor) -> Tensor:
        embedding: Tensor = self.embedding_table(y)
        return embedding


class Block(nn.Module):
    """Attention, then a feed-forward network; the condition shifts, scales and gates both."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = plain_norm(width)
        self.attn = Attention(width, heads)
        self.norm2 = plain_norm(width)
        self.mlp = FeedForward(width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(condition)[:, None].chunk(6, -1)
        tokens = tokens + gate1 * self.attn(modulate(self.norm1(tokens), shift1, scale1))
        out: Tensor = tokens + gate2 * self.mlp(modulate(self.norm2(tokens), shift2, scale2))
        return out


class Attention(nn.Module):
    """Self-attention of all tokens, its three projections in one matrix."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """The site that is looked at: the hidden activation after the tanh form of GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, EXPANSION * width)
        self.act = nn.GELU(approximate="tanh")
        self.fc2 = nn.Linear(EXPANSION * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(tokens)))
        return out


class FinalLayer(nn.Module):
    """From tokens back to the pixels of patches: the noise, and the range of its variance."""

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.norm_final = plain_norm(width)
        self.linear = nn.Linear(width, patch_size**2 * 2 * LATENT_CHANNELS)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(condition)[:, None].chunk(2, -1)
        out: Tensor = self.linear(modulate(self.norm_final(tokens), shift, scale))
        return out


def plain_norm(width: int) -> nn.LayerNorm:
    """Without weights of its own: the condition scales and shifts instead."""
    return nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)


def modulate(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return tokens * (1 + scale) + shift


def position_table(side: int, width: int) -> Tensor:
    """What is added to the token of each place of a `side` x `side` grid, `[side * side, width]`.

    The first half of the columns tells the column of the grid, the second half its row.
    """
    places = torch.arange(side, device="cpu")  # where the model is built without weights, too
    row, column = torch.meshgrid(places, places, indexing="ij")
    return torch.cat([waves(column.flatten(), width // 2), waves(row.flatten(), width // 2)], dim=1).float()


def waves(positions: Tensor, width: int) -> Tensor:
    """Sines, then cosines of positions at `width / 2` frequencies from 1 towards 1/10000."""
    exponents = torch.arange(width // 2, dtype=torch.float64, device="cpu") / (width // 2)
    angles = positions[:, None] / 10_000**exponents
    return torch.cat([angles.sin(), angles.cos()], dim=1)


# --- files of weights ---------------------------------------------------------------------------------

_EMBEDDERS = {
    "timestep_embedder.linear_1": "t_embedder.mlp.0",
    "timestep_embedder.linear_2": "t_embedder.mlp.2",
    "class_embedder.embedding_table": "y_embedder.embedding_table",
}
_OF_A_BLOCK = {
    "norm1.linear": "adaLN_modulation.1",
    "attn1.to_out.0": "attn.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}
_OUTSIDE = {
    "pos_embed.proj": "x_embedder.proj",
    "proj_out_1": "final_layer.adaLN_modulation.1",
    "proj_out_2": "final_layer.linear",
}
_BLOCK_KEY = re.compile(r"transformer_blocks\.(?P<block>\d+)\.(?P<module>.+)\.(?P<kind>weight|bias)")


def from_diffusers(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The official names for the entries of diffusers' `DiTTransformer2DModel`; other states stay as is.

    diffusers splits `qkv` in three, and holds a copy of the embedders in every block.
    """
    if not any(key.startswith("transformer_blocks.") for key in state):
        return state
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = _official_name(key)
        if name in renamed and not torch.equal(renamed[name], tensor):
            raise StoreError(
                f"differs from block to block, but all blocks of DiT-XL/2 share {name}",
                where=key,
                hint="weights that were trained further in diffusers are of another network",
            )
        renamed[name] = tensor
    return _with_joined_qkv(renamed)


def _official_name(key: str) -> str:
    """As it stands in the official state; what is not known stays, and is refused by its own name."""
    found = _BLOCK_KEY.fullmatch(key)
    if not found:
        module, _, kind = key.rpartition(".")
        return f"{_OUTSIDE.get(module, module)}.{kind}"
    embedder = _EMBEDDERS.get(found["module"].removeprefix("norm1.emb."))
    if embedder:
        return f"{embedder}.{found['kind']}"
    module = _OF_A_BLOCK.get(found["module"], found["module"])
    return f"blocks.{found['block']}.{module}.{found['kind']}"


def _with_joined_qkv(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace each whole set of `attn1.to_q`, `to_k` and `to_v` by the one matrix that they were cut from."""
    for key in [key for key in state if ".attn1.to_q." in key]:
        parts = [key.replace("to_q", part) for part in ("to_q", "to_k", "to_v")]
        if all(part in state for part in parts):
            joined = torch.cat([state.pop(part) for part in parts])
            state[key.replace("attn1.to_q", "attn.qkv")] = joined
    return state


# --- the workload -------------------------------------------------------------------------------------


class DitXl2(ImageLatents, StudiedWorkload):
    """Fifty steps of DDPM, respaced, with guidance: as the official `sample.py`."""

    name = "dit-xl-2"
    checkpoint_layout = CheckpointLayout(
        nesting=("ema",),  # what the official train.py saves; the released file is not nested
        computed=("pos_embed",),
        renamed=from_diffusers,
    )
    config: DitOptions

    def __init__(self, config: DitOptions) -> None:
        check_sizes(config)
        super().__init__(config)

    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layer(f"blocks.{index}.mlp") for index in range(self.config.depth))

    def _layer(self, name: str) -> Layer:
        width = self.config.width
        operator = Ffn(d_in=width, d_out=width)
        site = Site(name=f"{name}.act", rows=self._rows(), columns=EXPANSION * width, operator=operator)
        return Layer(site=site, linear2=f"{name}.fc2")

    def _rows(self) -> int:
        """A row a token; the official code runs each sample twice, with its class and without."""
        tokens = (self.config.latent_size // self.config.patch_size) ** 2
        return tokens if self.config.rows is RowConvention.PAPER else 2 * tokens

    def build(self) -> DiT:
        of = self.config
        return DiT(
            latent_size=of.latent_size,
            patch_size=of.patch_size,
            width=of.width,
            depth=of.depth,
            heads=of.heads,
            classes=of.classes,
        )

    def conditions(self) -> Mapping[str, Condition]:
        return {"labels": Condition(shape=(), what="classes of ImageNet", below=self.config.classes)}

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        """Both halves of the batch go all the way, each with noise of its own; the first is the sample."""
        labels = run.conditioning["labels"]
        classes = torch.cat([labels, torch.full_like(labels, self.config.classes)])

        def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
            run.begin(iteration)
            prediction: Tensor = denoiser(x.to(run.dtype), t, classes)
            return prediction.float()

        size = self.config.latent_size
        start = run.noise((run.samples, LATENT_CHANNELS, size, size))
        steps = ddpm.respaced(
            guidance.of_first_channels(predict, self.config.guidance_scale, channels=GUIDED_CHANNELS),
            torch.cat([start, start]),
            schedule=Schedule.linear(),
            noise=run.noise,
            steps=run.iterations,
            output=ddpm.Output.NOISE_AND_VARIANCE,
        )
        return last(steps)[: run.samples]


def check_sizes(config: DitOptions) -> None:
    """Refuse numbers that make no DiT, before anything is built."""
    require(
        "dit-xl-2",
        config.latent_size % config.patch_size == 0,
        "latent_size must be a multiple of patch_size",
    )
    require("dit-xl-2", config.width % config.heads == 0, "width must be a multiple of heads")
    require(
        "dit-xl-2",
        config.width % 4 == 0,
        "width must be a multiple of 4: sines and cosines of rows and columns",
    )
    outside = [label for label in config.labels if not 0 <= label < config.classes]
    require(
        "dit-xl-2", not outside, f"labels {outside} must be 0 or more and below classes = {config.classes}"
    )
