"""DiT-XL/2 is the official network, reads both layouts of its files, and samples as the official loop."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.denoising.checkpoints import load_into, read_checkpoint
from colfw.denoising.noise import SeededNoise
from colfw.denoising.workload import Generation
from colfw.errors import StoreError, StudyError
from colfw.observing.hooks import watching
from colfw.protocols import DenoiseRequest
from colfw.vocabulary import SourceKind
from colfw_workloads.dit import DitXl2, from_diffusers
from colfw_workloads.options import DitOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import nn

    Fill = Callable[[nn.Module, Sequence[str]], nn.Module]

NAME = "dit-xl-2"
TINY = DitOptions(latent_size=16, width=96, depth=4, heads=4, classes=10)
"""The size of the golden data."""


def options_of(constructor: dict[str, Any]) -> DitOptions:
    """The options of a golden model, from the arguments of the official class."""
    return DitOptions(
        latent_size=constructor["input_size"],
        patch_size=constructor["patch_size"],
        width=constructor["hidden_size"],
        depth=constructor["depth"],
        heads=constructor["num_heads"],
        classes=constructor["num_classes"],
    )


def model_goldens(root: Path) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Each golden forward: what it says of itself, and its arrays."""
    found = []
    for path in sorted((root / "models" / NAME).glob("golden*.npz")):
        with np.load(path) as file:
            found.append((json.loads(str(file["meta"])), {key: file[key] for key in file.files}))
    assert found
    return found


def run(config: DitOptions, labels: torch.Tensor, **changed: Any) -> Generation:
    """A batch of one sample a label; what is not changed is quick."""
    samples = len(labels)
    parts: dict[str, Any] = {
        "samples": samples,
        "iterations": 2,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "conditioning": {"labels": labels},
        "noise": SeededNoise(seed=0, first_sample=0, samples=samples),
        "begin": lambda iteration: None,
    }
    return Generation(**{**parts, **changed})


# --- the network --------------------------------------------------------------------------------------


def test_forward_equals_the_official_one(golden_root: Path, golden_fill: Fill) -> None:
    """The output is the official one, and so is the largest value of each hidden column at every site."""
    for meta, golden in model_goldens(golden_root):
        workload = DitXl2(options_of(meta["source"]["constructor"]))
        model = golden_fill(workload.build(), meta["left_as_computed"])
        maxima: dict[str, torch.Tensor] = {}

        def keep(name: str, maxima: dict[str, torch.Tensor] = maxima) -> Callable[[torch.Tensor], None]:
            return lambda hidden: maxima.update({name: hidden.abs().flatten(0, -2).amax(0)})

        with watching(model, {layer.linear2: keep(layer.site.name) for layer in workload.layers()}):
            output = model(*(torch.from_numpy(golden[f"input.{name}"]) for name in ("x", "t", "y")))
        np.testing.assert_allclose(output.numpy(), golden["output"], atol=2e-5, rtol=0)
        assert {f"colmax.{name}" for name in maxima} == {key for key in golden if key.startswith("colmax.")}
        for name, maximum in maxima.items():
            np.testing.assert_allclose(maximum.numpy(), golden[f"colmax.{name}"], atol=2e-5, rtol=0)


@given(
    side=st.integers(1, 6),
    patch=st.integers(1, 3),
    heads=st.integers(1, 3),
    share=st.integers(1, 3),
    depth=st.integers(1, 3),
)
def test_layers_say_what_one_iteration_of_one_sample_does(
    side: int, patch: int, heads: int, share: int, depth: int
) -> None:
    """At any size, the sites that the options alone tell are those that run: same order, rows and columns."""
    config = DitOptions(
        latent_size=side * patch,
        patch_size=patch,
        width=4 * heads * share,
        heads=heads,
        depth=depth,
        classes=2,
    )
    workload = DitXl2(config)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def count(name: str) -> Callable[[torch.Tensor], None]:
        return lambda hidden: seen.append((name, tuple(hidden.flatten(0, -2).shape)))

    model = workload.build()
    with watching(model, {layer.linear2: count(layer.site.name) for layer in workload.layers()}):
        made = workload.generate(model, run(config, torch.tensor([1]), iterations=1))
    assert made.shape == (1, 4, side * patch, side * patch)
    assert seen == [(at.site.name, (at.site.rows, at.site.columns)) for at in workload.layers()]


# --- files of weights ---------------------------------------------------------------------------------


@pytest.fixture
def in_diffusers() -> Any:
    """diffusers' class at the golden size with random weights, set to the official frequencies."""
    from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel  # noqa: PLC0415

    torch.manual_seed(0)
    model = DiTTransformer2DModel(
        num_attention_heads=4,
        attention_head_dim=24,
        in_channels=4,
        out_channels=8,
        num_layers=4,
        sample_size=16,
        patch_size=2,
        num_embeds_ada_norm=10,
        norm_eps=1e-6,
    ).eval()
    first = model.transformer_blocks[0].norm1.emb.state_dict()
    for block in model.transformer_blocks:
        block.norm1.emb.load_state_dict(first)
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    return model


def test_diffusers_layout_gives_the_same_model(in_diffusers: Any) -> None:
    """diffusers' entries fill the official network completely, and both then say the same."""
    state = from_diffusers(in_diffusers.state_dict())
    model = DitXl2(TINY).build().eval()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["pos_embed"], [])
    x, t, y = torch.randn(3, 4, 16, 16), torch.tensor([0, 999, 500]), torch.tensor([0, 9, 10])
    expected = in_diffusers(x, t, y).sample
    torch.testing.assert_close(model(x, t, y), expected, atol=2e-5, rtol=0)


def test_diffusers_blocks_must_share_their_embedders(in_diffusers: Any) -> None:
    """Blocks with embedders of their own are another network: refused, with the entry that differs."""
    state = in_diffusers.state_dict()
    key = "transformer_blocks.2.norm1.emb.class_embedder.embedding_table.weight"
    state[key] = state[key] + 1
    with pytest.raises(StoreError, match=key) as refused:
        from_diffusers(state)
    assert "y_embedder.embedding_table" in refused.value.problem


def test_official_layout_stays_as_it_is() -> None:
    """A state under the official names is not touched."""
    state = DitXl2(TINY).build().state_dict()
    assert from_diffusers(state) is state


def test_unknown_and_incomplete_entries_keep_names_that_can_be_told() -> None:
    """What is no part of a DiT is not guessed at: it keeps its name, and a third of `qkv` is not one."""
    state = {
        "transformer_blocks.0.attn1.to_q.weight": torch.zeros(4, 4),
        "transformer_blocks.0.attn2.to_q.weight": torch.zeros(4, 4),
        "adapter.weight": torch.zeros(1),
    }
    assert set(from_diffusers(state)) == {
        "blocks.0.attn1.to_q.weight",
        "blocks.0.attn2.to_q.weight",
        "adapter.weight",
    }


@pytest.mark.parametrize("layout", ["released", "trained", "diffusers"])
def test_files_of_every_layout_are_read(in_diffusers: Any, tmp_path: Path, layout: str) -> None:
    """The released file, one of the official training and a folder of diffusers give the same model."""
    official = DitXl2(TINY).build().eval()
    official.load_state_dict(from_diffusers(in_diffusers.state_dict()), strict=False)
    state = official.state_dict()
    path = tmp_path if layout == "diffusers" else tmp_path / "DiT.pt"
    if layout == "diffusers":
        in_diffusers.save_pretrained(tmp_path / "transformer")
    elif layout == "trained":
        started = {key: torch.zeros_like(entry) for key, entry in state.items()}
        args = Namespace(model="DiT-XL/2")
        torch.save({"model": started, "ema": state, "opt": {"state": {}}, "args": args}, path)
    else:
        torch.save(state, path)
    with torch.device("meta"):
        model = DitXl2(TINY).build().eval()
    load_into(
        model, read_checkpoint(path, DitXl2.checkpoint_layout).state, DitXl2.checkpoint_layout, where=""
    )
    x, t, y = torch.randn(3, 4, 16, 16), torch.tensor([0, 999, 500]), torch.tensor([0, 9, 10])
    torch.testing.assert_close(model(x, t, y), official(x, t, y), atol=0, rtol=0)


# --- the loop -----------------------------------------------------------------------------------------


def test_a_sample_is_the_same_alone_and_in_a_batch(golden_fill: Fill) -> None:
    """Samples that run together do not touch each other, so batch_samples changes speed alone."""
    workload = DitXl2(TINY)
    model = golden_fill(workload.build(), ["pos_embed"])
    labels = torch.tensor([3, 7])
    together = workload.generate(model, run(TINY, labels))
    alone = workload.generate(
        model, run(TINY, labels[1:], noise=SeededNoise(seed=0, first_sample=1, samples=1))
    )
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-5)


def test_labels_and_guidance_lead_the_sample(golden_fill: Fill) -> None:
    """Another class is another sample; without guidance no class matters to the three guided channels."""
    model = golden_fill(DitXl2(TINY).build(), ["pos_embed"])

    def made(label: int, scale: float) -> torch.Tensor:
        config = evolve(TINY, guidance_scale=scale)
        return DitXl2(config).generate(model, run(config, torch.tensor([label]), iterations=1))[:, :3]

    assert not torch.equal(made(1, 4.0), made(2, 4.0))
    torch.testing.assert_close(made(1, 0.0), made(2, 0.0), atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_runs_in_lower_precision(golden_fill: Fill, dtype: torch.dtype) -> None:
    """The network computes in the precision of the run; the loop, and the sample, stay in float32."""
    workload = DitXl2(TINY)
    model = golden_fill(workload.build(), ["pos_embed"])
    expected = workload.generate(model, run(TINY, torch.tensor([3])))
    made = workload.generate(model.to(dtype), run(TINY, torch.tensor([3]), dtype=dtype))
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, expected, atol=0.05 * float(expected.abs().max()), rtol=0)


def denoised(config: DitOptions, seed: int = 0) -> np.ndarray:
    """What a whole run makes: three samples of two iterations, with random weights."""
    request = DenoiseRequest(source=SourceKind.RANDOM, iterations=2, samples=3, seed=seed)
    return DitXl2(config).denoise(request, [], None).data


def test_a_run_depends_on_its_seed_alone() -> None:
    """The same seed gives the same samples in whatever batches they run, another seed gives others."""
    once = denoised(TINY)
    assert once.shape == (3, 4, 16, 16)
    np.testing.assert_allclose(denoised(evolve(TINY, batch_samples=2)), once, atol=1e-4, rtol=1e-5)
    assert not np.allclose(denoised(TINY, seed=1), once)


def test_labels_of_the_options_lead_the_samples() -> None:
    """Each sample gets the label whose turn it is, in whatever batch it runs."""
    mixed = denoised(evolve(TINY, labels=(1, 2)))
    same = denoised(evolve(TINY, labels=(1,), batch_samples=3))
    rounding = 1e-5 * np.abs(same).max()  # of sums in another order, through fifty iterations
    np.testing.assert_allclose(mixed[[0, 2]], same[[0, 2]], atol=rounding)
    assert not np.allclose(mixed[1], same[1])


# --- what cannot be -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"latent_size": 15}, "latent_size must be a multiple of patch_size"),
        ({"width": 100}, "width must be a multiple of heads"),
        ({"width": 18, "heads": 9}, "width must be a multiple of 4"),
        ({"labels": (3, 1000)}, r"labels \[1000\]"),
        ({"labels": (-1,)}, r"labels \[-1\]"),
    ],
)
def test_sizes_that_make_no_dit_are_refused(options: dict[str, Any], said: str) -> None:
    """What cannot be built is refused when the workload is made, by the name of the option."""
    with pytest.raises(StudyError, match=said):
        DitXl2(DitOptions(**options))
