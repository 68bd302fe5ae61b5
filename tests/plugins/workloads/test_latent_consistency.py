"""The consistency model is diffusers' UNet and diffusers' steps, with noise of each sample's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attrs import evolve
from diffusers import LatentConsistencyModelPipeline, LCMScheduler
from diffusers.schedulers import scheduling_lcm

from colfw.errors import StudyError
from colfw.protocols import DenoiseRequest
from colfw.vocabulary import SourceKind
from colfw_workloads.latent_consistency import LatentConsistency, consistency, scale_embedding
from colfw_workloads.options import LatentConsistencyOptions

REQUEST = DenoiseRequest(source=SourceKind.RANDOM, iterations=4, samples=2, seed=1)
TINY = LatentConsistencyOptions(
    latent_size=16,
    widths=(32, 64, 64, 64),
    heads=4,
    context_tokens=11,
    context_width=48,
    guidance_width=16,
)


def test_the_defaults_are_the_published_model() -> None:
    """The UNet of Stable Diffusion v1 and one matrix for the scale; one forward, so rows are places."""
    workload = LatentConsistency(LatentConsistencyOptions())
    with torch.device("meta"):
        model = workload.build()
    assert sum(parameter.numel() for parameter in model.parameters()) == 859_520_964 + 256 * 320
    assert [layer.site.rows for layer in workload.layers()][:7:2] == [96 * 96, 48 * 48, 24 * 24, 12 * 12]


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_steps_are_those_of_diffusers(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Given the same noise, every iteration gives what diffusers' scheduler gives."""
    stream = torch.Generator().manual_seed(3)
    drawn = [torch.randn(1, 4, 4, 4, generator=stream) for _ in range(steps)]
    start = torch.randn(1, 4, 4, 4, generator=stream)

    def predict(x: torch.Tensor, t: torch.Tensor, iteration: int) -> torch.Tensor:
        return torch.tanh(x) * (1 + iteration) / 4 + t.view(-1, 1, 1, 1) / 1000

    ours_noise, their_noise = iter(drawn), iter(drawn)
    ours = list(consistency(predict, start, noise=lambda shape: next(ours_noise), steps=steps))
    monkeypatch.setattr(scheduling_lcm, "randn_tensor", lambda *_, **__: next(their_noise))
    scheduler = LCMScheduler()
    scheduler.set_timesteps(steps)
    x = start
    for iteration, t in enumerate(scheduler.timesteps):
        x = scheduler.step(predict(x, t.view(1), iteration), t, x).prev_sample
        np.testing.assert_allclose(ours[iteration].numpy(), x.numpy(), atol=1e-5)


def test_the_scale_is_told_as_in_diffusers() -> None:
    """The embedding of the guidance scale is that of diffusers' pipeline."""
    theirs = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, torch.tensor([7.5]), 256)
    np.testing.assert_allclose(scale_embedding(7.5, 256).numpy(), theirs.numpy(), atol=1e-3)


def test_the_scale_matters() -> None:
    """The network hears the guidance scale."""
    one, other = (
        LatentConsistency(evolve(TINY, guidance_scale=scale)).denoise(REQUEST, [], None)
        for scale in (1.0, 8.0)
    )
    assert not np.array_equal(one.data, other.data)


def test_impossible_sizes_are_refused() -> None:
    """Sizes that make no such UNet are refused before anything is built."""
    with pytest.raises(StudyError, match="latent_size must be a multiple of 8"):
        LatentConsistency(evolve(TINY, latent_size=15))
