"""From latents to images: the decoder of the autoencoder in whose latent space a denoiser works.

Kingma & Welling's autoencoder in the form of Rombach et al., "High-Resolution Image Synthesis with Latent
Diffusion Models" (2022), as diffusers' `AutoencoderKL`. Two kinds of files are read: a folder of diffusers,
and an original checkpoint that holds the autoencoder beside the denoiser, under `first_stage_model.`. Its
encoder is never built.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import evolve
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from colfw.denoising.checkpoints import (
    CheckpointLayout,
    check_regular,
    digest,
    file_digest,
    first_line,
    load_into,
    read_checkpoint,
)
from colfw.denoising.decoding import in_parts, joint_digest
from colfw.denoising.weights import without_initialisation
from colfw.denoising.workload import TorchWorkload
from colfw.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from colfw.protocols import DenoiseRequest
    from colfw.samples import Samples

# --- workloads that have latents --------------------------------------------------------------------------


class ImageLatents(TorchWorkload):
    """A workload whose loop makes latents of images: with the option `decoder`, samples are the images.

    The latents stay with them, as the view `latent`. The decoder always computes in float32, whatever the
    precision of the denoiser: what is compared is what the denoiser did.
    """

    modality = "image-latent"
    decoded_modality: ClassVar[str] = "image"
    latent_channels: ClassVar[int] = 4

    def decoding_digest(self) -> str | None:
        decoder = self.config.decoder
        return None if decoder is None else decoder_digest(decoder, channels=self.latent_channels)

    def decoded(self, made: Tensor, request: DenoiseRequest) -> Samples:
        latents = super().decoded(made, request)
        if self.config.decoder is None:
            return latents
        data = self.pictures(made, device=request.device).numpy()
        return evolve(latents, modality=self.decoded_modality, data=data, views={"latent": latents.data})

    def pictures(self, latents: Tensor, *, device: str) -> Tensor:
        """Images `[n, channel, height, width]` from -1 to 1."""
        decoder: Path = self.config.decoder
        content = decoder_digest(decoder, channels=self.latent_channels)
        return images(_loaded(decoder, content, device), latents, size=self.config.batch_samples)


# --- the decoder ------------------------------------------------------------------------------------------


def images(decoder: Any, latents: Tensor, *, size: int) -> Tensor:
    """Pixels from -1 to 1 of latents as the denoiser has them, so many at a time.

    The denoiser's latents are scaled, and in newer models shifted, to unit variance; the decoder's are not.
    What the decoder puts beyond the ends of the range is cut off, as it is when images are saved.
    """
    scale, shift = decoder.config.scaling_factor, decoder.config.shift_factor or 0.0

    def decode(part: Tensor) -> Tensor:
        pixels: Tensor = decoder.decode(part.to(decoder.device) / scale + shift, return_dict=False)[0]
        return pixels.clamp(-1, 1)

    return in_parts(decode, latents, size=size)


def decoder_digest(path: Path, *, channels: int) -> str | None:
    """A hash of the decoder's files; refuses those of an autoencoder with other latents."""
    if not path.is_dir():
        return file_digest(path)
    place = _part(path)
    found = _configuration(place).get("latent_channels", 4)
    if found != channels:
        raise StoreError(
            f"an autoencoder of {found} latent channels; this model's latents have {channels}",
            where=str(place),
        )
    return joint_digest(file_digest(place / "config.json"), digest(place))


@lru_cache(maxsize=1)
def _loaded(path: Path, content: str, device: str) -> nn.Module:  # noqa: ARG001  (part of its key)
    """The decoder of these files, kept for the process: a sweep asks for it once a mask."""
    place = _part(path) if path.is_dir() else path
    state = read_checkpoint(place, LAYOUT).state
    model = _built(_configuration(place) if path.is_dir() else _original_configuration(state, place), place)
    load_into(model, state, LAYOUT, where=str(place))
    return model.eval().requires_grad_(requires_grad=False).to(device)


def _built(configuration: dict[str, Any], place: Path) -> nn.Module:
    """The autoencoder without the half that is never used."""
    try:
        with without_initialisation():
            model: nn.Module = AutoencoderKL.from_config(configuration)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError) as error:
        raise StoreError(
            f"its configuration makes no AutoencoderKL: {first_line(error)}", where=str(place)
        ) from error
    for unused in ("encoder", "quant_conv"):
        setattr(model, unused, None)
    return model


# --- files of weights -------------------------------------------------------------------------------------


def _part(folder: Path) -> Path:
    """The folder itself, or the autoencoder's in the folder of a pipeline."""
    for place in (folder / "vae", folder):
        if (place / "config.json").is_file():
            return place
    raise StoreError(
        "no folder of an autoencoder: neither it nor its vae/ has a config.json",
        where=str(folder),
        hint="one that save_pretrained of diffusers' AutoencoderKL made",
    )


def _configuration(place: Path) -> dict[str, Any]:
    file = place / "config.json"
    check_regular(file)
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        kind = found.get("_class_name")
    except (OSError, ValueError, AttributeError, RecursionError):
        raise StoreError("no configuration of a model", where=str(file)) from None
    if kind != "AutoencoderKL":
        raise StoreError(f"of a model of kind {kind!r}; AutoencoderKL is wanted", where=str(file))
    if found.get("latents_mean") or found.get("latents_std"):
        raise StoreError("scales each latent channel apart, unlike these models", where=str(file))
    return found


def decoder_only(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The decoder's entries under the names that diffusers gives them today.

    The original code has other names, and diffusers once called the parts of attention otherwise.
    """
    kept = {key: tensor for key, tensor in state.items() if key.startswith(("decoder.", "post_quant_conv."))}
    levels = len({key.split(".")[2] for key in kept if key.startswith("decoder.up.")})
    return {diffusers_name(key, levels): _as_linear(key, tensor) for key, tensor in kept.items()}


LAYOUT = CheckpointLayout(
    nesting=("module", "state_dict"),  # of DeepSpeed and of Lightning, as for the denoisers
    prefixes=("_forward_module.first_stage_model.", "first_stage_model.", ""),
    renamed=decoder_only,
)

_NAMES = {
    r"^decoder\.mid\.block_1\.": "decoder.mid_block.resnets.0.",
    r"^decoder\.mid\.block_2\.": "decoder.mid_block.resnets.1.",
    r"^decoder\.mid\.attn_1\.": "decoder.mid_block.attentions.0.",
    r"^decoder\.norm_out\.": "decoder.conv_norm_out.",
    r"\.nin_shortcut\.": ".conv_shortcut.",
    r"\.attentions\.0\.norm\.": ".attentions.0.group_norm.",
    r"\.attentions\.0\.(q|k|v)\.": r".attentions.0.to_\1.",
    r"\.attentions\.0\.(q|k|v)(uery|ey|alue)\.": r".attentions.0.to_\1.",
    r"\.attentions\.0\.(proj_out|proj_attn)\.": ".attentions.0.to_out.0.",
}


def diffusers_name(key: str, levels: int) -> str:
    """What diffusers calls an entry of the original decoder, which has so many levels of resolution.

    The original code counts levels from the image downwards, diffusers from the latent upwards.

    >>> diffusers_name("decoder.up.0.block.2.nin_shortcut.weight", levels=4)
    'decoder.up_blocks.3.resnets.2.conv_shortcut.weight'
    >>> diffusers_name("decoder.mid.attn_1.proj_out.bias", levels=4)
    'decoder.mid_block.attentions.0.to_out.0.bias'
    """
    for original, name in _NAMES.items():
        key = re.sub(original, name, key)
    if found := re.match(r"decoder\.up\.(\d+)\.(block|upsample)\.", key):
        part = {"block": "resnets", "upsample": "upsamplers.0"}[found[2]]
        return f"decoder.up_blocks.{levels - 1 - int(found[1])}.{part}.{key[found.end() :]}"
    return key


def _as_linear(key: str, tensor: Tensor) -> Tensor:
    """Projections of attention as matrices; in the original code they are convolutions of a single place."""
    return tensor.flatten(1) if ".mid.attn_1." in key and tensor.ndim > 1 else tensor


SCALING_FACTOR = 0.18215
"""Of the autoencoder of Stable Diffusion v1, which VideoCrafter2 has too; original checkpoints do not say."""
ORIGINAL_CHANNELS = 4
NORM_GROUPS = 32


def _original_configuration(state: Mapping[str, Tensor], where: Path) -> dict[str, Any]:
    """The configuration of an original decoder, whose sizes are those of its weights."""
    blocks = {key.split(".")[2] for key in state if key.startswith("decoder.up_blocks.")}
    first = "decoder.up_blocks.{}.resnets.{}.conv1.weight"
    try:
        widths = [state[first.format(level, 0)].shape[0] for level in reversed(range(len(blocks)))]
        latents, pixels = state["decoder.conv_in.weight"].shape[1], state["decoder.conv_out.weight"].shape[0]
    except KeyError as missing:
        raise StoreError(
            f"holds no whole decoder of images: {missing} is not among its keys",
            where=str(where),
            hint="the folder of diffusers' AutoencoderKL, often called vae",
        ) from None
    if latents != ORIGINAL_CHANNELS:
        raise StoreError(
            f"a decoder of {latents} latent channels, whose scale only a config.json tells",
            where=str(where),
            hint="the folder of diffusers' AutoencoderKL, often called vae",
        )
    layers = sum(first.format(0, layer) in state for layer in range(len(state)))
    return {
        "out_channels": pixels,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "block_out_channels": widths,
        "layers_per_block": layers - 1,  # the decoder has one more a level than the encoder
        "latent_channels": latents,
        "norm_num_groups": NORM_GROUPS,
        "scaling_factor": SCALING_FACTOR,
    }
