"""Stable Diffusion v1.4: a UNet on the latent of an image, led by text.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022). The denoiser is
diffusers' own UNet at the published configuration: it is the CompVis network under other names. Both the
folders of diffusers and the original `sd-v1-4.ckpt` are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from colfw.denoising.checkpoints import CheckpointLayout
from colfw.denoising.workload import Condition, Layer
from colfw.errors import StudyError
from colfw.sites import Ffn, Site
from colfw.vocabulary import RowConvention
from colfw_workloads.autoencoder import ImageLatents
from colfw_workloads.samplers import ddim, guidance, last, plms
from colfw_workloads.samplers.schedules import Schedule
from colfw_workloads.sizes import require
from colfw_workloads.studied import StudiedWorkload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from colfw.denoising.workload import Generation
    from colfw_workloads.options import StableDiffusionOptions, UnetOptions
    from colfw_workloads.samplers import Predict

LATENT_CHANNELS = 4
LEVELS = 4
"""Resolutions of the UNet, each half of the one before; only the first three have attention of their own."""
EXPANSION = 4
"""Hidden columns of a feed-forward network for each column that enters it."""
NORM_GROUPS = 32
TEXT_STATES = "hidden states of the text encoder CLIP ViT-L/14"
ENCODER = "colfw.denoising.encoders:clip_hidden_states"
SAMPLERS = ("plms", "pndm", "ddim")

# --- the denoiser -------------------------------------------------------------------------------------


def unet(config: UnetOptions, **more: Any) -> nn.Module:
    """diffusers' UNet as configured in the folder `unet` of CompVis/stable-diffusion-v1-4."""
    with_attention = LEVELS - 1
    made: nn.Module = UNet2DConditionModel(
        sample_size=config.latent_size,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=config.widths,
        down_block_types=("CrossAttnDownBlock2D",) * with_attention + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * with_attention,
        layers_per_block=2,
        attention_head_dim=config.heads,  # by an old mistake, diffusers' name for the number of heads
        cross_attention_dim=config.context_width,
        norm_num_groups=NORM_GROUPS,
        norm_eps=1e-5,
        act_fn="silu",
        flip_sin_to_cos=True,
        freq_shift=0,
        **more,
    )
    return made


def layers(config: UnetOptions, *, forwards: int) -> tuple[Layer, ...]:
    """The feed-forward networks of the UNet; each place of the latent is a row of every forward."""
    return tuple(_layer(config, path, level, forwards) for path, level in feed_forwards())


def _layer(config: UnetOptions, path: str, level: int, forwards: int) -> Layer:
    width = config.widths[level]
    site = Site(
        name=f"{path}.net.0",
        rows=forwards * (config.latent_size >> level) ** 2,
        columns=EXPANSION * width,
        operator=Ffn(d_in=width, d_out=width, gated=True),
    )
    return Layer(site=site, linear2=f"{path}.net.2")


def feed_forwards() -> Iterator[tuple[str, int]]:
    """The path of each feed-forward network in execution order, and its level; 3 is the middle."""
    with_attention = range(LEVELS - 1)
    for level in with_attention:
        for layer in range(2):
            yield f"down_blocks.{level}.attentions.{layer}.transformer_blocks.0.ff", level
    yield "mid_block.attentions.0.transformer_blocks.0.ff", LEVELS - 1
    for level in reversed(with_attention):
        for layer in range(3):
            yield f"up_blocks.{LEVELS - 1 - level}.attentions.{layer}.transformer_blocks.0.ff", level


# --- files of weights ---------------------------------------------------------------------------------


def _blocks() -> Iterator[tuple[str, str]]:
    """What CompVis and diffusers call each part of the UNet: one counts blocks, the other levels."""
    yield from {
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in",
        "middle_block.0": "mid_block.resnets.0",
        "middle_block.1": "mid_block.attentions.0",
        "middle_block.2": "mid_block.resnets.1",
        "out.0": "conv_norm_out",
        "out.2": "conv_out",
    }.items()
    for level in range(LEVELS):
        yield from _blocks_down(level)
        yield from _blocks_up(level)


def _blocks_down(level: int) -> Iterator[tuple[str, str]]:
    first = 3 * level + 1
    for layer in range(2):
        yield f"input_blocks.{first + layer}.0", f"down_blocks.{level}.resnets.{layer}"
        yield f"input_blocks.{first + layer}.1", f"down_blocks.{level}.attentions.{layer}"
    yield f"input_blocks.{first + 2}.0", f"down_blocks.{level}.downsamplers.0"


def _blocks_up(level: int) -> Iterator[tuple[str, str]]:
    """diffusers counts levels on the way up from the lowest, which has no attention."""
    first, has_attention = 3 * level, level > 0
    for layer in range(3):
        yield f"output_blocks.{first + layer}.0", f"up_blocks.{level}.resnets.{layer}"
        if has_attention:
            yield f"output_blocks.{first + layer}.1", f"up_blocks.{level}.attentions.{layer}"
    yield f"output_blocks.{first + 2}.{1 + has_attention}", f"up_blocks.{level}.upsamplers.0"


_BLOCKS = dict(_blocks())
_WITHIN = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
    "op": "conv",
}
"""Names within residual blocks and downsamplers; within attention, both use the same."""


def from_compvis(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """diffusers' names for the entries of the original UNet; other states stay as they are.

    No entry changes its shape. What is not known keeps its name, and is refused by it.
    """
    if not any(key.startswith("input_blocks.") for key in state):
        return state
    return {diffusers_name(key): tensor for key, tensor in state.items()}


def diffusers_name(key: str) -> str:
    """What diffusers calls an entry of the CompVis UNet.

    >>> diffusers_name("input_blocks.4.0.in_layers.2.weight")
    'down_blocks.1.resnets.0.conv1.weight'
    >>> diffusers_name("output_blocks.2.1.conv.bias")
    'up_blocks.0.upsamplers.0.conv.bias'
    """
    *module, kind = key.split(".")
    for length in (3, 2):
        block, within = ".".join(module[:length]), ".".join(module[length:])
        if block in _BLOCKS:
            return ".".join(part for part in (_BLOCKS[block], _WITHIN.get(within, within), kind) if part)
    return key


# --- the workload -------------------------------------------------------------------------------------


class StableDiffusionV14(ImageLatents, StudiedWorkload):
    """Text to image with the official samplers and guidance.

    An iteration is a step of the sampler as its own code counts them. `plms` runs the denoiser twice in
    iteration 0 and once in each other one. `pndm` is the same algorithm, but each run of the denoiser is an
    iteration: the official 50 steps are 51 iterations.
    """

    name = "sd-v1-4"
    checkpoint_layout = CheckpointLayout(
        nesting=("state_dict",),
        prefixes=("model.diffusion_model.", ""),
        renamed=from_compvis,
    )
    config: StableDiffusionOptions

    def __init__(self, config: StableDiffusionOptions) -> None:
        require(
            "a Stable Diffusion UNet",
            config.sampler in SAMPLERS,
            f"sampler must be one of {', '.join(SAMPLERS)}",
        )
        check_sizes(config)
        super().__init__(config)

    def layers(self) -> tuple[Layer, ...]:
        # The official code runs each sample twice, without and with its text.
        return layers(self.config, forwards=1 if self.config.rows is RowConvention.PAPER else 2)

    def build(self) -> nn.Module:
        return unet(self.config)

    def conditions(self) -> Mapping[str, Condition]:
        shape = (self.config.context_tokens, self.config.context_width)
        return {
            "text": Condition(shape=shape, what=TEXT_STATES, encoder=ENCODER),
            "unconditional_text": Condition(
                shape=shape, what=f"{TEXT_STATES} for the empty prompt", encoder=ENCODER, varies=False
            ),
        }

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        """Latents from noise; the half of the batch without text comes first, as in both official codes."""
        text = torch.cat([run.conditioning["unconditional_text"], run.conditioning["text"]]).to(run.dtype)

        def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
            run.begin(iteration)
            prediction: Tensor = denoiser(x.to(run.dtype), t, text).sample
            return prediction.float()

        size = self.config.latent_size
        start = run.noise((run.samples, LATENT_CHANNELS, size, size))
        guided = guidance.in_one_forward(predict, self.config.guidance_scale)
        return last(self._steps(guided, start, run))

    def _steps(self, predict: Predict, start: Tensor, run: Generation) -> Iterator[Tensor]:
        schedule = Schedule.scaled_linear()
        if self.config.sampler == "ddim":
            return ddim.ddim(predict, start, schedule=schedule, noise=run.noise, steps=run.iterations)
        if self.config.sampler == "plms":
            return plms.plms(predict, start, schedule=schedule, steps=run.iterations)
        return plms.pndm(predict, start, schedule=schedule, steps=pndm_steps(run.iterations))


def pndm_steps(iterations: int) -> int:
    """The steps of diffusers' PNDM in so many iterations: one fewer, because the first is done twice."""
    if iterations == 2:
        raise StudyError(
            "pndm cannot run 2 iterations: 2 steps are 3", where="iterations", hint="ask for 1, or 3 and more"
        )
    return max(iterations - 1, 1)


def check_sizes(config: UnetOptions) -> None:
    """Refuse numbers that make no such UNet, before anything is built."""
    halvings = 2 ** (LEVELS - 1)
    require(
        "a Stable Diffusion UNet",
        len(config.widths) == LEVELS,
        f"widths must be {LEVELS} numbers, one a level",
    )
    require(
        "a Stable Diffusion UNet",
        config.latent_size % halvings == 0,
        f"latent_size must be a multiple of {halvings}",
    )
    for width in config.widths:
        require(
            "a Stable Diffusion UNet",
            width % NORM_GROUPS == 0,
            f"widths must be multiples of {NORM_GROUPS}, unlike {width}",
        )
        require(
            "a Stable Diffusion UNet",
            width % config.heads == 0,
            f"widths must be multiples of heads = {config.heads}",
        )
