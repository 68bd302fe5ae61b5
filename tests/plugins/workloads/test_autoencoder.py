"""Latents become the images that diffusers' own autoencoder makes of them, whichever files hold it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors.torch import load_file, save_file

from colfw.errors import StoreError
from colfw.protocols import DenoiseRequest
from colfw.vocabulary import SourceKind
from colfw_workloads import autoencoder
from colfw_workloads.autoencoder import decoder_only
from colfw_workloads.dit import DitXl2
from colfw_workloads.latent_consistency import LatentConsistency
from colfw_workloads.options import (
    DitOptions,
    LatentConsistencyOptions,
    StableDiffusion3Options,
    StableDiffusionOptions,
    VideoCrafterOptions,
)
from colfw_workloads.stable_diffusion import StableDiffusionV14
from colfw_workloads.stable_diffusion_3 import StableDiffusion3
from colfw_workloads.videocrafter2 import VideoCrafter2

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.denoising.workload import TorchWorkload
    from colfw.samples import Samples

    State = dict[str, torch.Tensor]

REQUEST = DenoiseRequest(source=SourceKind.RANDOM, iterations=1, samples=3, seed=2)
TINY: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
}
OF_SD3 = {
    "latent_channels": 16,
    "scaling_factor": 1.5305,
    "shift_factor": 0.0609,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}

UNET = {"widths": (32, 32, 32, 32), "heads": 2, "context_tokens": 2, "context_width": 8, "latent_size": 16}


def dit(**options: Any) -> DitXl2:
    sizes = {"latent_size": 8, "width": 16, "depth": 1, "heads": 2, "classes": 3}
    return DitXl2(DitOptions(**sizes, **options))


def sd3(**options: Any) -> StableDiffusion3:
    sizes = {"latent_size": 8, "depth": 1, "heads": 1, "head_width": 8, "text_tokens": 2, "text_width": 8}
    return StableDiffusion3(StableDiffusion3Options(**sizes, pooled_width=8, **options))


def sd(**options: Any) -> StableDiffusionV14:
    return StableDiffusionV14(StableDiffusionOptions(**UNET, **options))


def lcm(**options: Any) -> LatentConsistency:
    return LatentConsistency(LatentConsistencyOptions(**UNET, guidance_width=8, **options))


def videocrafter(**options: Any) -> VideoCrafter2:
    sizes = {"frames": 2, "latent_height": 8, "latent_width": 16, "width": 32, "head_width": 16}
    return VideoCrafter2(VideoCrafterOptions(**sizes, context_tokens=2, context_width=8, **options))


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    autoencoder._loaded.cache_clear()


def saved(folder: Path, *, seed: int = 0, **changed: Any) -> AutoencoderKL:
    """A tiny autoencoder with seeded weights, which diffusers saved into a folder."""
    torch.manual_seed(seed)
    model: Any = AutoencoderKL(**{**TINY, **changed})
    model.save_pretrained(folder)
    return model.eval()


def run(workload: TorchWorkload) -> Samples:
    return workload.denoise(REQUEST, [], None)


def decoded(model: Any, latents: np.ndarray) -> np.ndarray:
    """What the official pipelines make of latents, but for the conversion to whole numbers."""
    unscaled = torch.from_numpy(latents) / model.config.scaling_factor + (model.config.shift_factor or 0)
    pixels: np.ndarray = model.decode(unscaled).sample.clamp(-1, 1).numpy()
    return pixels


# --- what comes out -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "configuration"),
    [(dit, {}), (sd, {"scaling_factor": 0.3}), (lcm, {}), (sd3, OF_SD3)],
    ids=["dit", "sd", "lcm", "sd3"],
)
def test_samples_are_what_diffusers_decodes(tmp_path: Path, make: Any, configuration: dict[str, Any]) -> None:
    """With a decoder samples are images, of latents scaled and shifted by its own numbers.

    The latents, which are those of a run without a decoder, stay with them.
    """
    model = saved(tmp_path, **configuration)
    latents, images = run(make()), run(make(decoder=tmp_path))
    assert (latents.modality, images.modality) == ("image-latent", "image")
    np.testing.assert_array_equal(images.view("latent"), latents.data)
    size = 2 * latents.data.shape[-1]
    assert images.data.shape == (3, 3, size, size)
    np.testing.assert_allclose(images.data, decoded(model, latents.data), atol=1e-5)
    assert np.ptp(images.data) > 0.01


def test_pixels_beyond_the_range_are_cut_off(tmp_path: Path) -> None:
    """However far a decoder overshoots, an image lies between -1 and 1."""
    model = saved(tmp_path)
    model.decoder.conv_out.weight.data *= 1e3
    model.save_pretrained(tmp_path)
    images = run(dit(decoder=tmp_path)).data
    assert (images.min(), images.max()) == (-1, 1)


@pytest.mark.parametrize("size", [1, 2, 8])
def test_batches_do_not_matter(tmp_path: Path, size: int) -> None:
    """Images are the same however many are decoded together."""
    model = saved(tmp_path)
    images = run(dit(decoder=tmp_path, batch_samples=size))
    np.testing.assert_allclose(images.data, decoded(model, images.view("latent")), atol=1e-5)


def test_each_frame_of_a_video_is_decoded_by_itself(tmp_path: Path) -> None:
    """A video has frames before channels, and its k-th frame is the image of the k-th frame's latent."""
    model = saved(tmp_path)
    videos = run(videocrafter(decoder=tmp_path))
    assert (videos.modality, videos.rate_hz, videos.data.shape) == ("video", 10.0, (3, 2, 3, 16, 32))
    for frame in range(2):
        expected = decoded(model, videos.view("latent")[:, :, frame])
        np.testing.assert_allclose(videos.data[:, frame], expected, atol=1e-5)
    assert run(videocrafter()).modality == "video-latent"


def test_the_folder_of_a_pipeline_will_do(tmp_path: Path) -> None:
    """Its autoencoder lies in vae/, beside other models."""
    saved(tmp_path / "pipeline" / "vae")
    saved(tmp_path / "alone")
    images = [run(dit(decoder=tmp_path / name)).data for name in ("pipeline", "alone")]
    np.testing.assert_array_equal(*images)


# --- original files -----------------------------------------------------------------------------------

WIDTHS = (32, 64)
"""Of the levels of a small original decoder, from the image downwards."""


def original(channels: int = 4) -> State:
    """An original decoder's entries, by the names and shapes of its code."""
    generator = torch.Generator().manual_seed(0)
    state: State = {}

    def layer(name: str, *shape: int) -> None:
        fan = max(int(np.prod(shape[1:])), 1)
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) / fan**0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(shape[:1], generator=generator)

    def block(name: str, d_in: int, d_out: int) -> None:
        layer(f"{name}.norm1", d_in)
        layer(f"{name}.conv1", d_out, d_in, 3, 3)
        layer(f"{name}.norm2", d_out)
        layer(f"{name}.conv2", d_out, d_out, 3, 3)
        if d_in != d_out:
            layer(f"{name}.nin_shortcut", d_out, d_in, 1, 1)

    deepest = WIDTHS[-1]
    layer("post_quant_conv", channels, channels, 1, 1)
    layer("decoder.conv_in", deepest, channels, 3, 3)
    for number in (1, 2):
        block(f"decoder.mid.block_{number}", deepest, deepest)
    layer("decoder.mid.attn_1.norm", deepest)
    for name in ("q", "k", "v", "proj_out"):
        layer(f"decoder.mid.attn_1.{name}", deepest, deepest, 1, 1)
    width = deepest
    for level in reversed(range(len(WIDTHS))):
        for number in range(3):
            block(f"decoder.up.{level}.block.{number}", width, WIDTHS[level])
            width = WIDTHS[level]
        if level:
            layer(f"decoder.up.{level}.upsample.conv", width, width, 3, 3)
    layer("decoder.norm_out", width)
    layer("decoder.conv_out", 3, width, 3, 3)
    return state


def by_diffusers(state: State) -> State:
    """The same under diffusers' names, by its own converter, with matrices where it keeps convolutions."""
    levels = ["UpDecoderBlock2D"] * len(WIDTHS)
    converted = convert_ldm_vae_checkpoint(state, {"down_block_types": levels, "up_block_types": levels})
    return {
        key: entry.squeeze() if ".attentions." in key and entry.ndim == 4 else entry
        for key, entry in converted.items()
    }


def test_original_names_are_translated_as_diffusers_translates_them() -> None:
    """Every entry of the decoder has the name and the values that diffusers' converter gives it."""
    ours, theirs = decoder_only(original()), by_diffusers(original())
    assert sorted(ours) == sorted(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("make", [sd, videocrafter])
def test_an_original_checkpoint_decodes_too(tmp_path: Path, make: Any) -> None:
    """A released file that holds denoiser, encoder and decoder is read for the decoder alone."""
    weights = original()
    others = {
        "model.diffusion_model.out.0.weight": torch.ones(1),
        "first_stage_model.encoder.x": torch.ones(1),
    }
    state = {f"first_stage_model.{key}": tensor for key, tensor in weights.items()}
    torch.save({"state_dict": {**state, **others}}, tmp_path / "model.ckpt")
    model: Any = AutoencoderKL(
        block_out_channels=WIDTHS,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=2,
    )
    found = model.load_state_dict(by_diffusers(weights), strict=False)
    assert not found.unexpected_keys
    assert all(key.startswith(("encoder.", "quant_conv.")) for key in found.missing_keys)
    images = run(make(decoder=tmp_path / "model.ckpt"))
    latents = images.view("latent")
    if images.modality == "video":
        images, latents = evolve(images, data=images.data[:, 1]), latents[:, :, 1]
    np.testing.assert_allclose(images.data, decoded(model, latents), atol=1e-5)


def test_names_that_diffusers_once_gave_are_read(tmp_path: Path) -> None:
    """Folders of its early versions name the projections of attention otherwise, and give the same images."""
    saved(tmp_path)
    expected = run(dit(decoder=tmp_path)).data
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(file)
    for new, once in old.items():
        state = {key.replace(f"attentions.0.{new}", f"attentions.0.{once}"): x for key, x in state.items()}
    save_file(state, file)
    np.testing.assert_array_equal(run(dit(decoder=tmp_path)).data, expected)


# --- results of other decoders ------------------------------------------------------------------------


def test_other_decoders_are_other_inputs(tmp_path: Path) -> None:
    """Weights and configuration of a decoder tell results apart; its other files do not."""
    assert dit().inputs_digest(REQUEST) is None
    saved(tmp_path / "one")
    saved(tmp_path / "two", seed=1)
    saved(tmp_path / "three", scaling_factor=0.5)
    save_file(original(), tmp_path / "four.safetensors")
    names = ("one", "two", "three", "four.safetensors")
    digests = [dit(decoder=tmp_path / name).inputs_digest(REQUEST) for name in names]
    assert len({*digests, None}) == len(names) + 1
    (tmp_path / "one" / "README.md").write_text("a decoder")
    assert dit(decoder=tmp_path / "one").inputs_digest(REQUEST) == digests[0]


def test_the_conditioning_still_counts(tmp_path: Path) -> None:
    """With the same decoder, other labels in a file are other inputs."""
    saved(tmp_path)
    digests = {dit(decoder=tmp_path).inputs_digest(REQUEST)}
    for label in (1, 2):
        np.savez(tmp_path / "given.npz", labels=np.array([label]))
        digests.add(dit(decoder=tmp_path, conditioning=tmp_path / "given.npz").inputs_digest(REQUEST))
    assert len(digests) == 3


# --- what cannot decode -------------------------------------------------------------------------------


def test_other_folders_are_refused_while_planning(tmp_path: Path) -> None:
    """What is no autoencoder, or one of other latents, is refused by name before anything runs."""

    def refusal(**config: Any) -> str:
        text = json.dumps({"_class_name": "AutoencoderKL", **config}) if config else "[]"
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(StoreError) as refused:
            dit(decoder=tmp_path).inputs_digest(REQUEST)
        return str(refused.value)

    with pytest.raises(StoreError, match=r"neither it nor its vae/ has a config\.json"):
        dit(decoder=tmp_path).inputs_digest(REQUEST)
    with pytest.raises(StoreError, match="no such file"):
        dit(decoder=tmp_path / "nowhere").inputs_digest(REQUEST)
    assert "no configuration of a model" in refusal()
    assert "kind 'UNet2DConditionModel'; AutoencoderKL is wanted" in refusal(
        _class_name="UNet2DConditionModel"
    )
    assert "16 latent channels; this model's latents have 4" in refusal(latent_channels=16)
    assert "scales each latent channel apart" in refusal(latents_mean=[0.1] * 4)
    assert "without weights" in refusal(latent_channels=4)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A folder whose configuration and weights are of different models names the entries that differ."""
    saved(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "block_out_channels": [8, 8]}))
    with pytest.raises(StoreError, match=r"decoder\.conv_in"):
        run(dit(decoder=tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({**config, "block_out_channels": [8, 7]}))
    with pytest.raises(StoreError, match="makes no AutoencoderKL"):
        run(dit(decoder=tmp_path))


def test_files_without_a_known_decoder_are_refused(tmp_path: Path) -> None:
    """A file of a denoiser alone, and a decoder whose scale is not known, say what to give instead."""
    save_file({"blocks.0.mlp.fc1.weight": torch.ones(1)}, tmp_path / "dit.safetensors")
    with pytest.raises(StoreError, match=r"no whole decoder.*diffusers' AutoencoderKL"):
        run(dit(decoder=tmp_path / "dit.safetensors"))
    save_file(original(channels=16), tmp_path / "sd3.safetensors")
    with pytest.raises(StoreError, match=r"16 latent channels, whose scale only a config\.json tells"):
        run(sd3(decoder=tmp_path / "sd3.safetensors"))
