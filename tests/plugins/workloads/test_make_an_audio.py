"""Make-an-Audio is the official network, and its sites are known from the options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from colfw.denoising.checkpoints import read_checkpoint
from colfw.denoising.noise import SeededNoise
from colfw.denoising.workload import Generation
from colfw.errors import StudyError
from colfw.observing.hooks import watching
from colfw.vocabulary import RowConvention
from colfw_workloads.make_an_audio import MakeAnAudio
from colfw_workloads.options import MakeAnAudioOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    Fill = Callable[[nn.Module, Sequence[str]], nn.Module]

NAME = "make-an-audio"
REDUCED = MakeAnAudioOptions(latent_width=16, width=32, heads=4, context_tokens=7, context_width=48)
"""The size of the golden data."""


def options_of(meta: dict[str, Any], golden: dict[str, np.ndarray]) -> MakeAnAudioOptions:
    """The options of a golden model, from the official class's arguments and the shapes of its inputs."""
    constructor = meta["source"]["constructor"]
    return MakeAnAudioOptions(
        latent_height=golden["input.x"].shape[2],
        latent_width=golden["input.x"].shape[3],
        width=constructor["model_channels"],
        heads=constructor["num_heads"],
        context_tokens=golden["input.context"].shape[1],
        context_width=constructor["context_dim"],
    )


def model_goldens(root: Path) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Each golden forward: what it says of itself, and its arrays."""
    found = []
    for path in sorted((root / "models" / NAME).glob("golden*.npz")):
        with np.load(path) as file:
            found.append((json.loads(str(file["meta"])), {key: file[key] for key in file.files}))
    assert found
    return found


def run(config: MakeAnAudioOptions, samples: int = 2, **changed: Any) -> Generation:
    """A batch with seeded noise and conditions; what is not changed is quick."""
    context = (samples, config.context_tokens, config.context_width)
    noise = SeededNoise(seed=0, first_sample=0, samples=samples)
    parts: dict[str, Any] = {
        "samples": samples,
        "iterations": 2,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "conditioning": {name: noise(context) for name in MakeAnAudio(config).conditions()},
        "noise": noise,
        "begin": lambda iteration: None,
    }
    return Generation(**{**parts, **changed})


@pytest.fixture(scope="module")
def reduced(golden_fill: Fill) -> nn.Module:
    return golden_fill(MakeAnAudio(REDUCED).build(), ())


# --- the network --------------------------------------------------------------------------------------


def test_forward_equals_the_official_one(golden_root: Path, golden_fill: Fill) -> None:
    """The output is the official one, and so is the largest value of each hidden column at every site."""
    for meta, golden in model_goldens(golden_root):
        workload = MakeAnAudio(options_of(meta, golden))
        model = golden_fill(workload.build(), meta["left_as_computed"])
        maxima: dict[str, Tensor] = {}

        def keep(name: str, maxima: dict[str, Tensor] = maxima) -> Callable[[Tensor], None]:
            return lambda hidden: maxima.update({name: hidden.abs().flatten(0, -2).amax(0)})

        with watching(model, {layer.linear2: keep(layer.site.name) for layer in workload.layers()}):
            output = model(*(torch.from_numpy(golden[f"input.{name}"]) for name in meta["argument_order"]))
        np.testing.assert_allclose(output.numpy(), golden["output"], atol=2e-5, rtol=0)
        assert {f"colmax.{name}" for name in maxima} == {key for key in golden if key.startswith("colmax.")}
        for name, maximum in maxima.items():
            np.testing.assert_allclose(maximum.numpy(), golden[f"colmax.{name}"], atol=2e-5, rtol=1e-5)


def test_paper_counts_one_pass(golden_root: Path) -> None:
    """By the paper's convention a site has the rows of one pass: 800 and 200, as Table 1 says."""
    expected = json.loads((golden_root / "models" / NAME / "sites.json").read_text())["sites"]
    layers = MakeAnAudio(MakeAnAudioOptions(rows=RowConvention.PAPER)).layers()
    assert [layer.site.rows for layer in layers] == [at["M_per_sample"] for at in expected]
    assert {layer.site.rows for layer in layers} == {800, 200}


@settings(max_examples=10)
@given(height=st.integers(1, 6), width=st.integers(1, 6), samples=st.integers(1, 3))
def test_layers_say_what_one_iteration_does(
    reduced: nn.Module, height: int, width: int, samples: int
) -> None:
    """At any size, the sites that the options alone tell are those that run: same order, rows and columns."""
    config = evolve(REDUCED, latent_height=2 * height, latent_width=2 * width)
    workload = MakeAnAudio(config)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def count(name: str) -> Callable[[Tensor], None]:
        return lambda hidden: seen.append((name, tuple(hidden.flatten(0, -2).shape)))

    with watching(reduced, {layer.linear2: count(layer.site.name) for layer in workload.layers()}):
        made = workload.generate(reduced, run(config, samples, iterations=1))
    assert made.shape == (samples, 4, 2 * height, 2 * width)
    assert seen == [(at.site.name, (samples * at.site.rows, at.site.columns)) for at in workload.layers()]


# --- sampling -----------------------------------------------------------------------------------------
# That whole runs are the official ones is tested with the sampling loops.


def test_one_forward_an_iteration_without_and_with_the_caption(reduced: nn.Module) -> None:
    """Each iteration is one forward of twice the samples; the half without a caption comes first."""
    begun: list[int] = []
    contexts: list[Tensor] = []

    def denoiser(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        contexts.append(context)
        return reduced(x, t, context)

    batch = run(REDUCED, begin=begun.append)
    MakeAnAudio(REDUCED).generate(denoiser, batch)
    given_each_time = [batch.conditioning[name] for name in ("unconditional_caption", "caption")]
    assert begun == [0, 1]
    assert len(contexts) == 2
    assert all(torch.equal(context, torch.cat(given_each_time)) for context in contexts)


def test_bfloat16_is_for_the_denoiser_alone(reduced: nn.Module) -> None:
    """A denoiser in bfloat16 is given bfloat16; the sample stays in float32, and close to the exact one."""
    workload = MakeAnAudio(REDUCED)
    halved = workload.build()
    halved.load_state_dict(reduced.state_dict())
    exact = workload.generate(reduced, run(REDUCED))
    made = workload.generate(halved.to(torch.bfloat16), run(REDUCED, dtype=torch.bfloat16))
    assert made.dtype == torch.float32
    assert 0 < (made - exact).abs().max() < 0.05 * exact.abs().max()


# --- files and options --------------------------------------------------------------------------------


def test_the_official_file_is_read(tmp_path: Path) -> None:
    """Of a Lightning checkpoint, the denoiser's entries are taken without their prefix, and no others."""
    weight = torch.arange(3.0)
    lightning = {"model.diffusion_model.out.0.weight": weight, "cond_stage_model.out.0.weight": weight + 1}
    torch.save({"state_dict": lightning, "global_step": 7}, tmp_path / "maa1_full.ckpt")
    state = read_checkpoint(tmp_path / "maa1_full.ckpt", MakeAnAudio.checkpoint_layout).state
    assert list(state) == ["out.0.weight"]
    assert torch.equal(state["out.0.weight"], weight)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"latent_height": 11}, "latent_height must be a multiple of 2"),
        ({"latent_width": 15}, "latent_width must be a multiple of 2"),
        ({"width": 48, "heads": 4}, "width must be a multiple of 32"),
        ({"heads": 5}, "width must be a multiple of heads"),
    ],
)
def test_numbers_that_make_no_unet_are_refused(change: dict[str, int], problem: str) -> None:
    """Sizes that cannot be halved, grouped or shared by heads are refused before anything is built."""
    with pytest.raises(StudyError, match=f"options of make-an-audio: {problem}"):
        MakeAnAudio(evolve(REDUCED, **change))
