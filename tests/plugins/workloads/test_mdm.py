from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from colfw.denoising.checkpoints import load_into, read_checkpoint
from colfw.denoising.workload import Generation
from colfw.errors import StudyError
from colfw.observing.hooks import watching
from colfw.protocols import DenoiseRequest
from colfw.vocabulary import SourceKind
from colfw_workloads import humanml3d, skeleton
from colfw_workloads.mdm import POSITIONS, TEXT_WIDTH, Mdm
from colfw_workloads.options import MdmOptions

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.sites import Site

Noise = Callable[[Sequence[int]], Tensor]
Seen = Callable[[Tensor], None]
Fill = Callable[[nn.Module, Iterable[str]], nn.Module]

TINY = MdmOptions(frames=5, features=7, width=8, hidden=12, depth=2, heads=2)


def tensors(file: Any) -> dict[str, Tensor]:
    """The arrays of a golden file as tensors, by name."""
    return {name: torch.from_numpy(file[name]) for name in file.files if name != "meta"}


def generation(
    *,
    samples: int,
    iterations: int,
    text: Tensor,
    noise: Noise | None = None,
    begin: Callable[[int], None] = lambda _: None,
) -> Generation:
    rng = np.random.default_rng(0)
    return Generation(
        samples=samples,
        iterations=iterations,
        device=torch.device("cpu"),
        dtype=torch.float32,
        conditioning={"text": text},
        noise=noise or (lambda shape: torch.from_numpy(rng.standard_normal(shape).astype(np.float32))),
        begin=begin,
    )


@pytest.fixture(scope="module")
def denoiser(golden_root: Path, golden_fill: Fill) -> nn.Module:
    with np.load(golden_root / "models" / "mdm" / "golden_public.npz") as file:
        meta = json.loads(str(file["meta"]))
    return golden_fill(Mdm(MdmOptions()).build(), meta["left_as_computed"])


def test_the_denoiser_says_what_the_official_one_says(golden_root: Path, denoiser: nn.Module) -> None:
    """With and without text the output is the official one's, and so is every site's largest activation."""
    with np.load(golden_root / "models" / "mdm" / "golden_public.npz") as file:
        golden = tensors(file)
    x, timesteps, text = golden["input.x"], golden["input.timesteps"], golden["input.text_embed"][0]
    layers = Mdm(MdmOptions()).layers()
    maxima = {}
    seen = {
        layer.linear2: lambda a, name=layer.site.name: maxima.update({name: a.abs().flatten(0, -2).amax(0)})
        for layer in layers
    }
    with watching(denoiser, seen):
        torch.testing.assert_close(denoiser(x, timesteps, text), golden["output"], rtol=0, atol=2e-5)
    for layer in layers:
        expected = golden[f"colmax.{layer.site.name}"]
        torch.testing.assert_close(maxima[layer.site.name], expected, rtol=0, atol=5e-5)
    unconditional = denoiser(x, timesteps, torch.zeros_like(text))
    torch.testing.assert_close(unconditional, golden["output_uncond"], rtol=0, atol=2e-5)


@pytest.mark.parametrize(("name", "diffusion_steps"), [("native50", 50), ("respaced50", 1000)])
def test_each_iteration_asks_with_text_then_without(
    golden_root: Path, name: str, diffusion_steps: int
) -> None:
    """Both forwards see the official timestep; the second sees a zero feature instead of the text."""
    with np.load(golden_root / "samplers" / f"mdm.ddpm-{name}.npz") as file:
        golden = tensors(file)
    begun, calls = [], []

    def denoiser(x: Tensor, t: Tensor, text: Tensor) -> Tensor:
        calls.append((begun[-1], t.tolist(), bool(text.any())))
        return torch.zeros_like(x)

    text = golden["cond.text_embed"][0]
    config = attrs.evolve(TINY, diffusion_steps=diffusion_steps)
    Mdm(config).generate(denoiser, generation(samples=2, iterations=50, text=text, begin=begun.append))
    iterations, timesteps = golden["calls.iteration"].tolist(), golden["calls.timestep"].tolist()
    assert calls == list(zip(iterations, timesteps, [True, False] * 50, strict=True))


def test_a_model_of_fifty_steps_runs_no_more_than_fifty() -> None:
    """More iterations than the model was trained with are refused, by name."""
    with pytest.raises(StudyError, match="iterations"):
        Mdm(TINY).generate(None, generation(samples=1, iterations=51, text=torch.zeros(1, TEXT_WIDTH)))


@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_rows_of_an_iteration_are_as_declared(frames: int, depth: int, samples: int, iterations: int) -> None:
    """What enters each layer in one iteration has the declared rows and columns for each sample."""
    workload = Mdm(attrs.evolve(TINY, frames=frames, depth=depth))
    rows, iteration = Counter(), [-1]

    def counting(site: Site) -> Seen:
        def seen(activation: Tensor) -> None:
            assert activation.shape[-1] == site.columns
            rows[site.name, iteration[-1]] += activation[..., 0].numel()

        return seen

    model = workload.build().eval()
    text = torch.ones(samples, TEXT_WIDTH)
    with watching(model, {layer.linear2: counting(layer.site) for layer in workload.layers()}):
        made = workload.generate(
            model, generation(samples=samples, iterations=iterations, text=text, begin=iteration.append)
        )
    assert made.shape == (samples, 7, 1, frames)
    expected = {
        (layer.site.name, index): samples * layer.site.rows
        for layer in workload.layers()
        for index in range(iterations)
    }
    assert rows == expected


@pytest.mark.parametrize("nesting", [None, "model", "model_avg"])
def test_released_files_are_read(tmp_path: Path, nesting: str | None) -> None:
    """Bare, nested or averaged, and with a table of positions of another length, as older releases have."""
    workload = Mdm(TINY)
    kept, other = workload.build(), workload.build()
    state = {key: entry.clone() for key, entry in kept.state_dict().items()}
    state["sequence_pos_encoder.pe"] = torch.zeros(60, 1, TINY.width)
    file = tmp_path / "model000200000.pt"
    extra = {"model": other.state_dict()} if nesting == "model_avg" else {}
    torch.save({**extra, nesting: state} if nesting else state, file)
    model = workload.build()
    load_into(
        model, read_checkpoint(file, Mdm.checkpoint_layout).state, Mdm.checkpoint_layout, where=str(file)
    )
    torch.testing.assert_close(model.state_dict(), kept.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"heads": 3}, "width must be even and a multiple of heads"),
        ({"width": 9, "heads": 3}, "width must be even"),
        ({"frames": POSITIONS}, "table of 5000 positions"),
        ({"diffusion_steps": POSITIONS + 1}, "table of 5000 positions"),
    ],
)
def test_impossible_sizes_are_refused(change: dict[str, int], problem: str) -> None:
    """Numbers that make no network are refused before anything is built."""
    with pytest.raises(StudyError, match=problem):
        Mdm(attrs.evolve(TINY, **change))


REQUEST = DenoiseRequest(source=SourceKind.RANDOM, iterations=2, samples=3, seed=1)
OF_HUMANML3D = attrs.evolve(TINY, features=263)


def test_with_statistics_samples_are_joints(tmp_path: Path) -> None:
    """22 joints in metres a frame, whose features in units are a view; without statistics, features alone."""
    rng = np.random.default_rng(0)
    mean, std = rng.normal(0, 1, 263).astype(np.float32), rng.uniform(0.5, 2, 263).astype(np.float32)
    np.save(tmp_path / "Mean.npy", mean)
    np.save(tmp_path / "Std.npy", std)
    features = Mdm(OF_HUMANML3D).denoise(REQUEST, [], None)
    motions = Mdm(attrs.evolve(OF_HUMANML3D, statistics=tmp_path)).denoise(REQUEST, [], None)
    assert (features.modality, features.data.shape) == ("motion-features", (3, 263, 1, 5))
    assert (motions.modality, motions.data.shape, motions.rate_hz) == ("motion", (3, 5, 22, 3), 20.0)
    assert motions.lengths is not None
    assert motions.lengths.tolist() == [5] * 3
    assert motions.bones == skeleton.bones(22)
    in_units = features.data[:, :, 0].transpose(0, 2, 1) * std + mean
    np.testing.assert_allclose(motions.view("humanml3d"), in_units, atol=1e-5)
    expected = humanml3d.joints(torch.from_numpy(in_units)).numpy()
    np.testing.assert_allclose(motions.data, expected, atol=1e-4)


def test_other_statistics_are_other_inputs(tmp_path: Path) -> None:
    """Results of other statistics are told apart, and statistics of another data set are refused."""
    digests = set()
    for std in (1.0, 2.0):
        np.save(tmp_path / "Mean.npy", np.zeros(263))
        np.save(tmp_path / "Std.npy", np.full(263, std))
        digests.add(Mdm(attrs.evolve(OF_HUMANML3D, statistics=tmp_path)).inputs_digest(REQUEST))
    assert len({*digests, Mdm(OF_HUMANML3D).inputs_digest(REQUEST)}) == 3
    with pytest.raises(StudyError, match="263 features of HumanML3D; this model has 7"):
        Mdm(attrs.evolve(TINY, statistics=tmp_path))


def test_samples_know_their_frame_rate() -> None:
    """HumanML3D has 20 frames a second: the default 120 frames are six seconds."""
    assert MdmOptions().frames / Mdm.rate_hz == 6
