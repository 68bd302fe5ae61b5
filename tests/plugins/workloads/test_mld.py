from __future__ import annotations

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
from colfw_workloads.mld import Mld
from colfw_workloads.options import MldOptions

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.sites import Site

Noise = Callable[[Sequence[int]], Tensor]
Seen = Callable[[Tensor], None]
Fill = Callable[[nn.Module, Iterable[str]], nn.Module]

TINY = MldOptions(width=8, hidden=12, depth=3, heads=2, text_width=6)


def tensors(file: Any) -> dict[str, Tensor]:
    """The arrays of a golden file as tensors, by name."""
    return {name: torch.from_numpy(file[name]) for name in file.files if name != "meta"}


def generation(
    *,
    samples: int,
    iterations: int,
    conditioning: dict[str, Tensor],
    begin: Callable[[int], None] = lambda _: None,
) -> Generation:
    rng = np.random.default_rng(0)
    return Generation(
        samples=samples,
        iterations=iterations,
        device=torch.device("cpu"),
        dtype=torch.float32,
        conditioning=conditioning,
        noise=lambda shape: torch.from_numpy(rng.standard_normal(shape).astype(np.float32)),
        begin=begin,
    )


@pytest.fixture(scope="module")
def denoiser(golden_fill: Fill) -> nn.Module:
    return golden_fill(Mld(MldOptions()).build(), [])


def test_the_denoiser_says_what_the_official_one_says(golden_root: Path, denoiser: nn.Module) -> None:
    """The output is the official one's, and so is every site's largest activation."""
    with np.load(golden_root / "models" / "mld" / "golden_public.npz") as file:
        golden = tensors(file)
    inputs = (golden[f"input.{name}"] for name in ("sample", "timestep", "encoder_hidden_states"))
    layers = Mld(MldOptions()).layers()
    maxima = {}
    seen = {
        layer.linear2: lambda a, name=layer.site.name: maxima.update({name: a.abs().flatten(0, -2).amax(0)})
        for layer in layers
    }
    with watching(denoiser, seen):
        torch.testing.assert_close(denoiser(*inputs), golden["output"], rtol=0, atol=2e-5)
    for layer in layers:
        expected = golden[f"colmax.{layer.site.name}"]
        torch.testing.assert_close(maxima[layer.site.name], expected, rtol=0, atol=5e-5)


@given(st.sampled_from([1, 3, 5]), st.integers(1, 3), st.integers(1, 3))
def test_rows_of_an_iteration_are_as_declared(depth: int, samples: int, iterations: int) -> None:
    """What enters each layer in one iteration has the declared rows and columns for each sample."""
    workload = Mld(attrs.evolve(TINY, depth=depth))
    rows, order, iteration = Counter(), [], [-1]

    def counting(site: Site) -> Seen:
        def seen(activation: Tensor) -> None:
            assert activation.shape[-1] == site.columns
            rows[site.name, iteration[-1]] += activation[..., 0].numel()
            order.append(site.name)

        return seen

    model = workload.build().eval()
    text = torch.ones(samples, 1, TINY.text_width)
    run = generation(
        samples=samples,
        iterations=iterations,
        conditioning={"text": text, "unconditional_text": -text},
        begin=iteration.append,
    )
    layers = workload.layers()
    with watching(model, {layer.linear2: counting(layer.site) for layer in layers}):
        made = workload.generate(model, run)
    assert made.shape == (samples, 1, TINY.width)
    assert order == [layer.site.name for layer in layers] * iterations
    expected = {
        (layer.site.name, index): samples * layer.site.rows for layer in layers for index in range(iterations)
    }
    assert rows == expected


@pytest.mark.parametrize("prefix", ["denoiser.", ""])
def test_a_lightning_file_is_read_without_its_other_networks(tmp_path: Path, prefix: str) -> None:
    """Only the denoiser is taken from beside autoencoder and evaluators; a bare denoiser is read as well."""
    workload = Mld(TINY)
    kept = workload.build()
    others = {"vae.query": torch.ones(2), "t2m_textencoder.pos_emb.weight": torch.ones(2)} if prefix else {}
    state = {f"{prefix}{key}": entry for key, entry in kept.state_dict().items()}
    file = tmp_path / "mld.ckpt"
    torch.save({"state_dict": {**others, **state}, "epoch": 1222}, file)
    model = workload.build()
    load_into(
        model, read_checkpoint(file, Mld.checkpoint_layout).state, Mld.checkpoint_layout, where=str(file)
    )
    torch.testing.assert_close(model.state_dict(), kept.state_dict(), rtol=0, atol=0)


def test_the_unconditional_text_is_one_for_all_samples() -> None:
    """The empty prompt has one embedding; prompts have one each."""
    conditions = Mld(MldOptions()).conditions()
    assert {name: (one.shape, one.varies) for name, one in conditions.items()} == {
        "text": ((1, 768), True),
        "unconditional_text": ((1, 768), False),
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"heads": 3}, "width must be a multiple of heads"),
        ({"text_width": 7}, "text_width must be even"),
        ({"depth": 8}, "depth must be odd, not 8"),
    ],
)
def test_impossible_sizes_are_refused(change: dict[str, int], problem: str) -> None:
    """Numbers that make no network are refused before anything is built."""
    with pytest.raises(StudyError, match=problem):
        Mld(attrs.evolve(TINY, **change))
