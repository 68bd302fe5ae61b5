from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from colfw.denoising.checkpoints import load_into, read_checkpoint
from colfw.denoising.noise import SeededNoise
from colfw.denoising.workload import Generation
from colfw.errors import StoreError, StudyError
from colfw.observing.hooks import watching
from colfw.protocols import DenoiseRequest
from colfw.vocabulary import SourceKind
from colfw_workloads import dance, skeleton
from colfw_workloads.edge import FEATURES, Edge, Rotary
from colfw_workloads.options import EdgeOptions

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.sites import Site

Noise = Callable[[Sequence[int]], Tensor]
Seen = Callable[[Tensor], None]
Fill = Callable[[nn.Module, Iterable[str]], nn.Module]

TINY = EdgeOptions(windows=2, frames=4, width=8, hidden=12, depth=1, heads=2, music_width=5)


def tensors(file: Any) -> dict[str, Tensor]:
    """The arrays of a golden file as tensors, by name."""
    return {name: torch.from_numpy(file[name]) for name in file.files if name != "meta"}


def one_stream() -> Noise:
    """Noise as the golden loops drew it: all of it from one stream."""
    rng = np.random.default_rng(0)
    return lambda shape: torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def generation(
    *,
    samples: int,
    iterations: int,
    music: Tensor,
    noise: Noise | None = None,
    begin: Callable[[int], None] = lambda _: None,
) -> Generation:
    return Generation(
        samples=samples,
        iterations=iterations,
        device=torch.device("cpu"),
        dtype=torch.float32,
        conditioning={"music": music},
        noise=noise or one_stream(),
        begin=begin,
    )


def test_the_denoiser_says_what_the_official_one_says(golden_root: Path, golden_fill: Fill) -> None:
    """With and without music the output is the official one's, and so is every site's largest activation."""
    with np.load(golden_root / "models" / "edge" / "golden_public.npz") as file:
        golden, meta = tensors(file), json.loads(str(file["meta"]))
    workload = Edge(EdgeOptions())
    denoiser = golden_fill(workload.build(), meta["left_as_computed"])
    x, music, times = golden["input.x"], golden["input.cond_embed"].float(), golden["input.times"]
    maxima = {}
    seen = {
        layer.linear2: lambda a, name=layer.site.name: maxima.update({name: a.abs().flatten(0, -2).amax(0)})
        for layer in workload.layers()
    }
    with watching(denoiser, seen):
        torch.testing.assert_close(denoiser(x, music, times), golden["output"], rtol=0, atol=3e-4)
    for layer in workload.layers():
        expected = golden[f"colmax.{layer.site.name}"]
        torch.testing.assert_close(maxima[layer.site.name], expected, rtol=0, atol=3e-4)
    unconditional = denoiser(x, music, times, with_music=False)
    torch.testing.assert_close(unconditional, golden["output_uncond"], rtol=0, atol=3e-4)


def test_the_frequencies_are_all_that_is_computed(golden_root: Path) -> None:
    """Of the official state, the layout leaves out the eleven copies of the frequencies and nothing else."""
    golden = json.loads((golden_root / "models" / "edge" / "state_dict.json").read_text())
    computed = [key for key in golden["params"] if Edge.checkpoint_layout.computes(key)]
    assert sorted(computed) == sorted(golden["computed_buffers"])


@given(st.integers(1, 3), st.sampled_from([2, 4]), st.integers(1, 3), st.integers(1, 3))
def test_rows_of_an_iteration_are_as_declared(
    windows: int, frames: int, samples: int, iterations: int
) -> None:
    """What enters each layer in one iteration has the declared rows and columns for each dance."""
    workload = Edge(attrs.evolve(TINY, windows=windows, frames=frames))
    rows, iteration = Counter(), [-1]

    def counting(site: Site) -> Seen:
        def seen(activation: Tensor) -> None:
            assert activation.shape[-1] == site.columns
            rows[site.name, iteration[-1]] += activation[..., 0].numel()

        return seen

    model = workload.build().eval()
    music = torch.ones(samples, windows, frames, TINY.music_width)
    run = generation(samples=samples, iterations=iterations, music=music, begin=iteration.append)
    with watching(model, {layer.linear2: counting(layer.site) for layer in workload.layers()}):
        made = workload.generate(model, run)
    assert made.shape == (samples, windows, frames, FEATURES)
    expected = {
        (layer.site.name, index): samples * layer.site.rows
        for layer in workload.layers()
        for index in range(iterations)
    }
    assert rows == expected


@given(st.integers(1, 3), st.integers(2, 3))
def test_a_dance_is_the_same_alone_and_among_others(windows: int, samples: int) -> None:
    """Noise, music and stitching stay within a dance: a batch of dances is each of them by itself."""
    workload = Edge(attrs.evolve(TINY, windows=windows))
    torch.manual_seed(0)
    model = workload.build().eval()
    music = torch.randn(samples, windows, TINY.frames, TINY.music_width)

    def made(first: int, count: int) -> Tensor:
        noise = SeededNoise(seed=1, first_sample=first, samples=count)
        given_music = music[first : first + count]
        return workload.generate(
            model, generation(samples=count, iterations=3, music=given_music, noise=noise)
        )

    alone = torch.cat([made(index, 1) for index in range(samples)])
    torch.testing.assert_close(made(0, samples), alone, rtol=0, atol=1e-5)


def test_positions_survive_half_precision() -> None:
    """A model cast to bfloat16 turns late frames by the same angles, but for the rounding of its values."""
    rotary = Rotary(512)
    x = torch.randn(150, 512)
    exact = rotary(x)
    rounded = rotary.to(torch.bfloat16)(x.to(torch.bfloat16))
    # Two roundings to 8 bits of values up to 5; frequencies rounded so would be wrong by more than 1.
    assert float((rounded.float() - exact).abs().max()) < 0.1


def test_released_files_are_read_with_their_normalizer_left_inert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The averaged weights are taken; the pickled normalizer is read without its classes being there."""
    workload = Edge(TINY)
    kept, other = workload.build(), workload.build()
    file = tmp_path / "checkpoint.pt"
    with monkeypatch.context() as patched:
        normalizer = _official_normalizer(patched)
        content = {"ema_state_dict": kept.state_dict(), "model_state_dict": other.state_dict()}
        torch.save({**content, "optimizer_state_dict": {}, "normalizer": normalizer}, file)
    checkpoint = read_checkpoint(file, Edge.checkpoint_layout)
    model = workload.build()
    load_into(model, checkpoint.state, Edge.checkpoint_layout, where=str(file))
    torch.testing.assert_close(model.state_dict(), kept.state_dict(), rtol=0, atol=0)
    assert "normalizer" in checkpoint.extras
    assert "dataset.preprocess" not in sys.modules


def _official_normalizer(patched: pytest.MonkeyPatch) -> Any:
    """An object of the official repository's classes, which stand in modules of the official names."""
    modules = {name: ModuleType(name) for name in ("dataset", "dataset.preprocess", "dataset.scaler")}
    for name, module in modules.items():
        patched.setitem(sys.modules, name, module)
    scaler = type("MinMaxScaler", (), {"__module__": "dataset.scaler"})
    normalizer = type("Normalizer", (), {"__module__": "dataset.preprocess"})
    modules["dataset.scaler"].MinMaxScaler = scaler
    modules["dataset.preprocess"].Normalizer = normalizer
    made, made.scaler = normalizer(), scaler()
    made.scaler.scale_ = torch.full((FEATURES,), 0.5)
    made.scaler.min_ = torch.full((FEATURES,), 0.25)
    made.scaler.feature_range = (-1, 1)
    return made


def request_for(checkpoint: Path | None) -> DenoiseRequest:
    source = SourceKind.RANDOM if checkpoint is None else SourceKind.CHECKPOINT
    return DenoiseRequest(source=source, iterations=2, samples=3, seed=1, checkpoint=checkpoint)


def test_with_a_skeleton_and_a_checkpoint_samples_are_joints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 joints in metres a frame of the joined windows; without either, features as the loop made them."""
    file, skeleton_file = tmp_path / "checkpoint.pt", tmp_path / "skeleton.npy"
    with monkeypatch.context() as patched:
        content = {"normalizer": _official_normalizer(patched)}
        torch.save({"ema_state_dict": Edge(TINY).build().state_dict(), **content}, file)
    at_rest = np.random.default_rng(0).normal(0, 0.3, (24, 3)).astype(np.float32)
    np.save(skeleton_file, at_rest)
    with_skeleton = Edge(attrs.evolve(TINY, skeleton=skeleton_file))
    for workload, checkpoint in ((Edge(TINY), file), (with_skeleton, None)):
        samples = workload.denoise(request_for(checkpoint), [], None)
        assert (samples.modality, samples.data.shape) == ("motion-features", (3, 2, 4, 151))
    features = torch.from_numpy(Edge(TINY).denoise(request_for(file), [], None).data)
    dances = with_skeleton.denoise(request_for(file), [], None)
    assert (dances.modality, dances.data.shape, dances.rate_hz) == ("motion", (3, 6, 24, 3), 30.0)
    assert dances.bones == skeleton.bones(24)
    expected = dance.joints((features.clamp(-1, 1) - 0.25) / 0.5, torch.from_numpy(at_rest))
    np.testing.assert_allclose(dances.data, expected.numpy(), atol=1e-5)


def test_a_checkpoint_that_cannot_be_denormalised_is_refused(tmp_path: Path) -> None:
    """Who gives a skeleton wants joints: weights without a normalizer say that they give none."""
    np.save(tmp_path / "skeleton.npy", np.zeros((24, 3)))
    torch.save({"ema_state_dict": Edge(TINY).build().state_dict()}, tmp_path / "weights.pt")
    workload = Edge(attrs.evolve(TINY, skeleton=tmp_path / "skeleton.npy"))
    with pytest.raises(StoreError, match=r"weights\.pt: holds no normalizer"):
        workload.denoise(request_for(tmp_path / "weights.pt"), [], None)


def test_other_skeletons_are_other_inputs(tmp_path: Path) -> None:
    """Results of other offsets are told apart, and a file of something else is refused when planning."""
    digests = {Edge(TINY).inputs_digest(request_for(None))}
    workload = Edge(attrs.evolve(TINY, skeleton=tmp_path / "skeleton.npy"))
    for length in (1.0, 2.0):
        np.save(tmp_path / "skeleton.npy", np.full((24, 3), length))
        digests.add(workload.inputs_digest(request_for(None)))
    assert len(digests) == 3
    np.save(tmp_path / "skeleton.npy", np.zeros((22, 3)))
    with pytest.raises(StoreError, match=r"\[22, 3\]; wanted: \[24, 3\]"):
        workload.inputs_digest(request_for(None))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"heads": 3}, "width must be even, at least 4, and a multiple of heads"),
        ({"width": 2}, "at least 4"),
        ({"frames": 5}, "frames must be even, not 5"),
    ],
)
def test_impossible_sizes_are_refused(change: dict[str, int], problem: str) -> None:
    """Numbers that make no network, or windows that cannot overlap by half, are refused at once."""
    with pytest.raises(StudyError, match=problem):
        Edge(attrs.evolve(TINY, **change))


def test_eleven_windows_are_thirty_seconds() -> None:
    """Windows of five seconds overlap by half, at 30 frames a second."""
    options = EdgeOptions()
    assert (options.windows + 1) / 2 * options.frames / Edge.rate_hz == 30
