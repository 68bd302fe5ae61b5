"""Stable Diffusion 3 is diffusers' model and diffusers' flow, at any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from attrs import evolve
from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline

from colfw.protocols import DenoiseRequest
from colfw.vocabulary import RowConvention, SourceKind
from colfw_workloads.options import StableDiffusion3Options
from colfw_workloads.stable_diffusion_3 import StableDiffusion3

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import SD3Transformer2DModel

TINY = StableDiffusion3Options(
    latent_size=8, depth=2, heads=2, head_width=8, text_tokens=5, text_width=12, pooled_width=10
)
REQUEST = DenoiseRequest(source=SourceKind.RANDOM, iterations=4, samples=2, seed=1)


def test_the_defaults_are_the_published_model() -> None:
    """Stable Diffusion 3 medium has 2.03 billion parameters and 47 feed-forward networks of 6144 columns."""
    workload = StableDiffusion3(StableDiffusion3Options())
    with torch.device("meta"):
        model = workload.build()
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_028_328_000
    layers = workload.layers()
    assert len(layers) == 47
    assert {layer.site.columns for layer in layers} == {6144}
    assert [layer.site.rows for layer in layers[:2]] == [2 * 4096, 2 * 333]
    for layer in layers:
        assert model.get_submodule(layer.linear2).in_features == layer.site.columns


def test_rows_without_guidance() -> None:
    """By the convention of the study's Table 1, guidance passes of image models are not counted."""
    layers = StableDiffusion3(evolve(TINY, rows=RowConvention.PAPER)).layers()
    assert [layer.site.rows for layer in layers] == [16, 5, 16]


def test_a_folder_of_diffusers_is_run_as_its_pipeline_does(tmp_path: Path) -> None:
    """Weights saved by diffusers, given embeddings and noise: the latents of diffusers' own pipeline."""
    torch.manual_seed(0)
    workload = StableDiffusion3(evolve(TINY, batch_samples=2, guidance_scale=5.0))
    model: SD3Transformer2DModel = workload.build()
    model.save_pretrained(tmp_path / "transformer")
    rng = np.random.default_rng(0)
    given = {
        name: rng.standard_normal((2, *condition.shape)).astype(np.float32)
        for name, condition in workload.conditions().items()
    }
    for name in ("unconditional_text", "unconditional_pooled_text"):
        given[name] = given[name][:1]
    np.savez(tmp_path / "given.npz", **given)
    workload.config = evolve(workload.config, conditioning=tmp_path / "given.npz")
    request = evolve(REQUEST, source=SourceKind.CHECKPOINT, checkpoint=tmp_path / "transformer")
    noise = []
    original = workload.generate
    workload.generate = lambda denoiser, run: original(  # type: ignore[method-assign]
        denoiser, evolve(run, noise=lambda shape: noise.append(run.noise(shape)) or noise[-1])
    )
    ours = workload.denoise(request, [], None).data

    pipeline = StableDiffusion3Pipeline(
        transformer=model.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        **dict.fromkeys(
            (
                "vae",
                "text_encoder",
                "tokenizer",
                "text_encoder_2",
                "tokenizer_2",
                "text_encoder_3",
                "tokenizer_3",
            )
        ),
    )
    pipeline.set_progress_bar_config(disable=True)
    tensors = {name: torch.from_numpy(array) for name, array in given.items()}
    theirs = pipeline(
        prompt_embeds=tensors["text"],
        pooled_prompt_embeds=tensors["pooled_text"],
        negative_prompt_embeds=tensors["unconditional_text"].expand(2, -1, -1),
        negative_pooled_prompt_embeds=tensors["unconditional_pooled_text"].expand(2, -1),
        latents=noise[0].clone(),
        num_inference_steps=4,
        guidance_scale=5.0,
        height=64,
        width=64,
        output_type="latent",
    ).images
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize("iterations", [1, 28])
def test_any_number_of_iterations(iterations: int) -> None:
    """The flow is cut into as many steps as asked for, and ends finite."""
    samples = StableDiffusion3(TINY).denoise(evolve(REQUEST, iterations=iterations), [], None)
    assert samples.data.shape == (2, 16, 8, 8)
