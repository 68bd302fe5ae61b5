"""The UNet of latent diffusion, in the layout of CompVis: Make-an-Audio's, and the base of VideoCrafter2's.

On the way down, a level has two residual blocks, each followed by transformers where the level has any, and
halves height and width at its end. On the way up it has three, and each block takes in what a block on the
way down left. Names of modules are those of the released checkpoints; `nn.Identity` stands where the official
code has a dropout, so that the numbers in those names agree.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from attrs import frozen
from torch import nn
from torch.nn import functional

from colfw.denoising.workload import Layer
from colfw.sites import Ffn, Site
from colfw_workloads.sizes import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

LATENT_CHANNELS = 4
NORM_GROUPS = 32
EXPANSION = 4
"""Hidden columns of a feed-forward network for each column that enters it."""


class Guide(NamedTuple):
    """What steers every layer of one forward pass."""

    embedding: Tensor
    """`[n, 4 width]`: of the timestep, and of all else that is one number a sample."""
    context: Tensor
    """`[n, tokens, width of the context]`: attended to."""
    frames: int = 1
    """`n` runs over samples and, within a sample, over this many frames."""


@frozen(kw_only=True)
class Levels:
    """The channels of a UNet's levels, from full size down, and which levels hold transformers."""

    width: int
    multipliers: tuple[int, ...]
    attended: int
    """So many levels from the top hold transformers; the middle block always does."""

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(self.width * multiplier for multiplier in self.multipliers)

    @property
    def lowest(self) -> int:
        return len(self.multipliers) - 1

    def left_on_the_way_down(self) -> list[int]:
        """Channels of what the blocks on the way down leave for the way up, in order."""
        after_each_level = [wide for wide in self.channels for _ in range(3)]
        return [self.width, *after_each_level[:-1]]  # the lowest level is not halved

    def transformer_blocks(self) -> Iterator[tuple[str, int]]:
        """Path and level of each block that holds transformers, in execution order."""
        for level in range(self.attended):
            yield from ((f"input_blocks.{1 + 3 * level + index}", level) for index in range(2))
        yield "middle_block", self.lowest
        for level in reversed(range(self.attended)):
            first = 3 * (self.lowest - level)
            yield from ((f"output_blocks.{first + index}", level) for index in range(3))


def feed_forward(transformer: str, *, width: int, rows: int) -> Layer:
    """The feed-forward network of the transformer at a path."""
    net = f"{transformer}.transformer_blocks.0.ff.net"
    site = Site(
        name=f"{net}.0",
        rows=rows,
        columns=EXPANSION * width,
        operator=Ffn(d_in=width, d_out=width, gated=True),
    )
    return Layer(site=site, linear2=f"{net}.2")


# --- transformers ---------------------------------------------------------------------------------


class Attention(nn.Module):
    """Attention of tokens to a context, which may be the tokens themselves."""

    def __init__(self, width: int, *, heads: int, context_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Identity())

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        query, key, value = (
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projected in (self.to_q(tokens), self.to_k(context), self.to_v(context))
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return attended


class Geglu(nn.Module):
    """The hidden activation of a feed-forward network: one half of a projection, gated by the other."""

    def __init__(self, d_in: int, columns: int) -> None:
        super().__init__()
        self.proj = nn.Linear(d_in, 2 * columns)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden, gate = self.proj(tokens).chunk(2, dim=-1)
        activation: Tensor = hidden * functional.gelu(gate)
        return activation


class FeedForward(nn.Module):
    """`geglu(X W1) W2`; what enters `net.2` is the activation that colfw looks at."""

    def __init__(self, width: int) -> None:
        super().__init__()
        columns = EXPANSION * width
        self.net = nn.Sequential(Geglu(width, columns), nn.Identity(), nn.Linear(columns, width))

    def forward(self, tokens: Tensor) -> Tensor:
        fed: Tensor = self.net(tokens)
        return fed


class TransformerBlock(nn.Module):
    """Attention of tokens to each other, to the context (without one: to each other again), and an FFN."""

    def __init__(self, width: int, *, heads: int, context_width: int | None) -> None:
        super().__init__()
        self.attn1 = Attention(width, heads=heads, context_width=width)
        self.ff = FeedForward(width)
        self.attn2 = Attention(width, heads=heads, context_width=context_width or width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, context: Tensor | None) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.attn1(normed, normed)
        normed = self.norm2(tokens)
        tokens = tokens + self.attn2(normed, normed if context is None else context)
        fed: Tensor = self.ff(self.norm3(tokens))
        return tokens + fed


class Projection(nn.Linear):
    """A linear layer over channels, whose weights a checkpoint may hold as a convolution of size 1.

    `dimensions` is how many dimensions that convolution has; without any, the checkpoint has a linear layer.
    """

    def __init__(self, d_in: int, d_out: int, *, dimensions: int) -> None:
        super().__init__(d_in, d_out)
        self.weight = nn.Parameter(self.weight.reshape(d_out, d_in, *(1,) * dimensions))

    def forward(self, tokens: Tensor) -> Tensor:
        return functional.linear(tokens, self.weight.flatten(1), self.bias)


class Transformer(nn.Module):
    """A transformer over places of a feature map; subclasses say which places see each other."""

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        width: int | None = None,
        context_width: int | None = None,
        dimensions: int = 0,
    ) -> None:
        super().__init__()
        width = width or channels
        self.norm = nn.GroupNorm(NORM_GROUPS, channels, eps=1e-6)
        self.proj_in = Projection(channels, width, dimensions=dimensions)
        self.transformer_blocks = nn.ModuleList(
            [TransformerBlock(width, heads=heads, context_width=context_width)]
        )
        self.proj_out = Projection(width, channels, dimensions=dimensions)

    def transformed(self, tokens: Tensor, context: Tensor | None) -> Tensor:
        tokens = self.proj_in(tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        projected: Tensor = self.proj_out(tokens)
        return projected


class SpatialTransformer(Transformer):
    """All places of an image see each other, and the context."""

    def forward(self, image: Tensor, guide: Guide) -> Tensor:
        tokens = self.norm(image).flatten(2).mT
        change = self.transformed(tokens, guide.context)
        return image + change.mT.reshape(image.shape)


# --- convolutions ---------------------------------------------------------------------------------


class ResBlock(nn.Module):
    """Two convolutions beside a skip connection; the embedding of the timestep is added between them."""

    def __init__(self, d_in: int, d_out: int, *, embedding_width: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(NORM_GROUPS, d_in), nn.SiLU(), nn.Conv2d(d_in, d_out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding_width, d_out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(NORM_GROUPS, d_out), nn.SiLU(), nn.Identity(), nn.Conv2d(d_out, d_out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if d_in == d_out else nn.Conv2d(d_in, d_out, 1)

    def forward(self, image: Tensor, guide: Guide) -> Tensor:
        hidden = self.in_layers(image) + self.emb_layers(guide.embedding)[:, :, None, None]
        changed: Tensor = self.skip_connection(image) + self.out_layers(hidden)
        return changed


class Downsample(nn.Module):
    """Halves height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, image: Tensor, _guide: Guide) -> Tensor:
        halved: Tensor = self.op(image)
        return halved


class Upsample(nn.Module):
    """Doubles height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, image: Tensor, _guide: Guide) -> Tensor:
        doubled: Tensor = self.conv(functional.interpolate(image, scale_factor=2.0, mode="nearest"))
        return doubled


# --- the whole ------------------------------------------------------------------------------------


def sinusoids(values: Tensor, width: int) -> Tensor:
    """Cosines, then sines of numbers such as timesteps: `[n, width]`, at rates from 1 towards 1/10000."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) / half * torch.arange(half, device=values.device))
    angles = values[:, None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def embedder(width: int) -> nn.Sequential:
    """Makes the embedding that enters every residual block out of sinusoids."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))


class Block(nn.ModuleList):
    """Layers in turn, each given the guide."""

    def forward(self, image: Tensor, guide: Guide) -> Tensor:
        for layer in self:
            image = layer(image, guide)
        return image


@frozen(kw_only=True)
class Design:
    """How a UNet is put together: its levels, and what makes the parts of a block."""

    levels: Levels
    residual: Callable[[int, int], nn.Module]
    """Makes a residual block, from the channels that enter and leave it."""
    transformers: Callable[[int], Sequence[nn.Module]]
    """Makes the transformers of one block, from its channels."""

    def way_down(self) -> Iterator[Block]:
        channels = self.levels.width
        yield Block([nn.Conv2d(LATENT_CHANNELS, channels, 3, padding=1)])
        for level, wide in enumerate(self.levels.channels):
            for _ in range(2):
                yield Block([self.residual(channels, wide), *self._attending(level)])
                channels = wide
            if level < self.levels.lowest:
                yield Block([Downsample(wide)])

    def middle(self) -> Block:
        wide = self.levels.channels[-1]
        return Block([self.residual(wide, wide), *self.transformers(wide), self.residual(wide, wide)])

    def way_up(self) -> Iterator[Block]:
        left = self.levels.left_on_the_way_down()
        channels = self.levels.channels[-1]
        for level, wide in reversed(list(enumerate(self.levels.channels))):
            for index in range(3):
                residual = self.residual(channels + left.pop(), wide)
                doubling = [Upsample(wide)] if index == 2 and level > 0 else []
                yield Block([residual, *self._attending(level), *doubling])
                channels = wide

    def _attending(self, level: int) -> Sequence[nn.Module]:
        return self.transformers(self.levels.channels[level]) if level < self.levels.attended else ()


class UNet(nn.Module):
    """All blocks of a denoiser; subclasses say what guides them."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.width = design.levels.width
        self.time_embed = embedder(self.width)
        self.input_blocks = nn.ModuleList(design.way_down())
        self.middle_block = design.middle()
        self.output_blocks = nn.ModuleList(design.way_up())
        self.out = nn.Sequential(
            nn.GroupNorm(NORM_GROUPS, self.width),
            nn.SiLU(),
            nn.Conv2d(self.width, LATENT_CHANNELS, 3, padding=1),
        )

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def embedded(self, values: Tensor, layers: nn.Module) -> Tensor:
        """Numbers, one a sample, as an embedding in the precision of the weights."""
        embedding: Tensor = layers(sinusoids(values, self.width).to(self.dtype))
        return embedding

    def begun(self, latent: Tensor) -> Tensor:
        """The latent with the channels of the top level."""
        image: Tensor = self.input_blocks.get_submodule("0.0")(latent)
        return image

    def down_and_up(self, image: Tensor, guide: Guide) -> Tensor:
        """All other blocks: what each leaves on the way down, the way up takes in again, last first."""
        left = [image]
        for block in self.input_blocks[1:]:
            image = block(image, guide)
            left.append(image)
        image = self.middle_block(image, guide)
        for block in self.output_blocks:
            image = block(torch.cat([image, left.pop()], dim=1), guide)
        noise: Tensor = self.out(image)
        return noise


# --- what cannot be -------------------------------------------------------------------------------


def check_sizes(workload: str, levels: int, *, width: int, latent_height: int, latent_width: int) -> None:
    """Refuse numbers that make no such UNet, before anything is built."""
    halvings = 2 ** (levels - 1)
    for name, length in (("latent_height", latent_height), ("latent_width", latent_width)):
        require(workload, length % halvings == 0, f"{name} must be a multiple of {halvings}")
    require(
        workload,
        width % NORM_GROUPS == 0,
        f"width must be a multiple of {NORM_GROUPS}: channels are normed in groups",
    )
