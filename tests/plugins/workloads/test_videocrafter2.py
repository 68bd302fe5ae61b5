"""VideoCrafter2 is the official network, and its sites are known from the options."""

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
from colfw_workloads.options import VideoCrafterOptions
from colfw_workloads.videocrafter2 import VideoCrafter2, as_frames, as_video

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    Fill = Callable[[nn.Module, Sequence[str]], nn.Module]

NAME = "videocrafter2"
REDUCED = VideoCrafterOptions(
    frames=4, latent_height=8, latent_width=16, width=32, head_width=16, context_tokens=7, context_width=48
)
"""The size of the golden data."""


def options_of(meta: dict[str, Any], golden: dict[str, np.ndarray]) -> VideoCrafterOptions:
    """The options of a golden model, from the official class's arguments and the shapes of its inputs."""
    constructor = meta["source"]["constructor"]
    _, _, frames, height, width = golden["input.x"].shape
    return VideoCrafterOptions(
        frames=frames,
        latent_height=height,
        latent_width=width,
        width=constructor["model_channels"],
        head_width=constructor["num_head_channels"],
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


def run(config: VideoCrafterOptions, samples: int = 2, **changed: Any) -> Generation:
    """A batch with seeded noise and conditions; what is not changed is quick."""
    context = (samples, config.context_tokens, config.context_width)
    noise = SeededNoise(seed=0, first_sample=0, samples=samples)
    parts: dict[str, Any] = {
        "samples": samples,
        "iterations": 2,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "conditioning": {name: noise(context) for name in VideoCrafter2(config).conditions()},
        "noise": noise,
        "begin": lambda iteration: None,
    }
    return Generation(**{**parts, **changed})


@pytest.fixture(scope="module")
def reduced(golden_fill: Fill) -> nn.Module:
    return golden_fill(VideoCrafter2(REDUCED).build(), ())


# --- the network --------------------------------------------------------------------------------------


def test_forward_equals_the_official_one(golden_root: Path, golden_fill: Fill) -> None:
    """The output is the official one, and so is the largest value of each hidden column at every site."""
    for meta, golden in model_goldens(golden_root):
        workload = VideoCrafter2(options_of(meta, golden))
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


def inputs(samples: int, **changed: Tensor) -> tuple[Tensor, ...]:
    """Latents, timesteps, text and frames a second of the reduced model."""
    noise = SeededNoise(seed=1, first_sample=0, samples=samples)
    given_first = {
        "latent": noise((samples, 4, 4, 8, 16)),
        "timesteps": torch.arange(samples) * 400,
        "context": noise((samples, 7, 48)),
        "fps": 8 + torch.arange(samples),
    }
    return tuple({**given_first, **changed}.values())


def test_samples_of_a_batch_do_not_see_each_other(reduced: nn.Module) -> None:
    """A video comes out the same alone and in a batch: only its own frames, text and rate enter."""
    both = inputs(2)
    alone = [reduced(*(part[index : index + 1] for part in both)) for index in range(2)]
    torch.testing.assert_close(reduced(*both), torch.cat(alone), rtol=0, atol=2e-5)


def test_frames_see_each_other(reduced: nn.Module) -> None:
    """A change of the last frame reaches the first one."""
    latent, *others = inputs(1)
    changed = latent.clone()
    changed[:, :, -1] += 1
    moved = reduced(changed, *others) - reduced(latent, *others)
    assert moved[:, :, 0].abs().max() > 1e-2


def test_frames_a_second_matter(reduced: nn.Module) -> None:
    """The same video at another rate is another one."""
    moved = reduced(*inputs(1, fps=torch.tensor([28]))) - reduced(*inputs(1, fps=torch.tensor([27])))
    assert moved.abs().max() > 1e-2


@given(samples=st.integers(1, 3), frames=st.integers(1, 4), height=st.integers(1, 3))
def test_frames_and_videos_are_each_others_reverse(samples: int, frames: int, height: int) -> None:
    """A video's frames lie one after the other, and come back to the same video."""
    video = torch.arange(samples * 2 * frames * height * 5).reshape(samples, 2, frames, height, 5)
    assert torch.equal(as_frames(video)[frames - 1], video[0, :, frames - 1])
    assert torch.equal(as_video(as_frames(video), frames), video)


def test_paper_counts_a_quarter_of_one_pass(golden_root: Path) -> None:
    """By the paper's convention a site has a quarter of one pass; the two largest levels are Table 1's."""
    expected = json.loads((golden_root / "models" / NAME / "sites.json").read_text())["sites"]
    layers = VideoCrafter2(VideoCrafterOptions(rows=RowConvention.PAPER)).layers()
    assert [layer.site.rows for layer in layers] == [at["M_per_sample"] // 4 for at in expected]
    assert {layer.site.rows for layer in layers} == {10240, 2560, 640, 160}


def test_paper_leaves_no_site_without_rows() -> None:
    """A quarter of fewer than four rows is one row: a site of the smallest video is still a site."""
    smallest = evolve(REDUCED, frames=1, latent_width=8, rows=RowConvention.PAPER)
    assert min(layer.site.rows for layer in VideoCrafter2(smallest).layers()) == 1


@settings(max_examples=8)
@given(frames=st.integers(1, 5), height=st.integers(1, 2), width=st.integers(1, 2), samples=st.integers(1, 2))
def test_layers_say_what_one_iteration_does(
    reduced: nn.Module, frames: int, height: int, width: int, samples: int
) -> None:
    """At any size, the sites that the options alone tell are those that run, half of the rows a pass."""
    config = evolve(REDUCED, latent_height=8 * height, latent_width=8 * width, frames=frames)
    workload = VideoCrafter2(config)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def count(name: str) -> Callable[[Tensor], None]:
        return lambda hidden: seen.append((name, tuple(hidden.flatten(0, -2).shape)))

    with watching(reduced, {layer.linear2: count(layer.site.name) for layer in workload.layers()}):
        made = workload.generate(reduced, run(config, samples, iterations=1))
    assert made.shape == (samples, 4, frames, 8 * height, 8 * width)
    one_pass = [(at.site.name, (samples * at.site.rows // 2, at.site.columns)) for at in workload.layers()]
    assert seen == one_pass * 2


# --- sampling -----------------------------------------------------------------------------------------
# That whole runs are the official ones is tested with the sampling loops.


def test_two_forwards_an_iteration_with_the_text_and_without(reduced: nn.Module) -> None:
    """In each iteration the denoiser is given the text, then none; both times the rate of the options."""
    begun: list[int] = []
    calls: list[tuple[list[int], list[int], Tensor]] = []

    def denoiser(latent: Tensor, timesteps: Tensor, context: Tensor, fps: Tensor) -> Tensor:
        calls.append((timesteps.tolist(), fps.tolist(), context))
        return reduced(latent, timesteps, context, fps)

    batch = run(REDUCED, begin=begun.append)
    VideoCrafter2(REDUCED).generate(denoiser, batch)
    assert begun == [0, 0, 1, 1]
    assert [t for t, _, _ in calls] == [[501, 501], [501, 501], [1, 1], [1, 1]]
    assert all(fps == [28, 28] for _, fps, _ in calls)
    expected = [batch.conditioning[name] for name in ("text", "unconditional_text")] * 2
    assert all(torch.equal(call[2], context) for call, context in zip(calls, expected, strict=True))


def test_bfloat16_is_for_the_denoiser_alone(reduced: nn.Module) -> None:
    """A denoiser in bfloat16 is given bfloat16; the sample stays in float32, and near the exact one."""
    workload = VideoCrafter2(REDUCED)
    halved = workload.build()
    halved.load_state_dict(reduced.state_dict())
    exact = workload.generate(reduced, run(REDUCED))
    made = workload.generate(halved.to(torch.bfloat16), run(REDUCED, dtype=torch.bfloat16))
    assert made.dtype == torch.float32
    assert 0 < (made - exact).abs().max() < 0.2 * exact.abs().max()


# --- files and options --------------------------------------------------------------------------------


@pytest.mark.parametrize(("nesting", "prefix"), [("state_dict", ""), ("module", "_forward_module.")])
def test_official_files_are_read(tmp_path: Path, nesting: str, prefix: str) -> None:
    """Of Lightning's and DeepSpeed's layouts, the denoiser's entries are taken without their prefix."""
    weight = torch.arange(3.0)
    entries = {
        f"{prefix}model.diffusion_model.out.0.weight": weight,
        f"{prefix}first_stage_model.out.0.weight": weight + 1,
    }
    torch.save({nesting: entries, "global_step": 7}, tmp_path / "model.ckpt")
    state = read_checkpoint(tmp_path / "model.ckpt", VideoCrafter2.checkpoint_layout).state
    assert list(state) == ["out.0.weight"]
    assert torch.equal(state["out.0.weight"], weight)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"latent_height": 12}, "latent_height must be a multiple of 8"),
        ({"latent_width": 20}, "latent_width must be a multiple of 8"),
        ({"width": 48}, "width must be a multiple of 32"),
        ({"head_width": 24}, "width must be a multiple of head_width"),
    ],
)
def test_numbers_that_make_no_unet_are_refused(change: dict[str, int], problem: str) -> None:
    """Sizes that cannot be halved, grouped or cut into heads are refused before anything is built."""
    with pytest.raises(StudyError, match=f"options of videocrafter2: {problem}"):
        VideoCrafter2(evolve(REDUCED, **change))
