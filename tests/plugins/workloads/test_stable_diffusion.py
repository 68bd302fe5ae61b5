"""Stable Diffusion is the published UNet, reads both layouts of its files, and samples as it should."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from colfw.denoising.checkpoints import load_into, read_checkpoint
from colfw.denoising.noise import SeededNoise
from colfw.denoising.workload import Generation
from colfw.errors import StoreError, StudyError
from colfw.observing.hooks import watching
from colfw.protocols import DenoiseRequest
from colfw.vocabulary import SourceKind
from colfw_workloads.options import StableDiffusionOptions
from colfw_workloads.stable_diffusion import StableDiffusionV14, diffusers_name, from_compvis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from colfw.sites import Site

    Fill = Callable[[nn.Module, Sequence[str]], nn.Module]

NAME = "sd-v1-4"
TINY = StableDiffusionOptions(
    latent_size=16, widths=(32, 64, 64, 64), heads=4, context_tokens=11, context_width=48
)
"""The size of the golden data."""


def options_of(constructor: dict[str, Any], tokens: int) -> StableDiffusionOptions:
    """The options of a golden model, from the arguments of diffusers' class."""
    return StableDiffusionOptions(
        latent_size=constructor["sample_size"],
        widths=tuple(constructor["block_out_channels"]),
        heads=constructor["attention_head_dim"],
        context_tokens=tokens,
        context_width=constructor["cross_attention_dim"],
    )


def model_goldens(root: Path) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Each golden forward: what it says of itself, and its arrays."""
    found = []
    for path in sorted((root / "models" / NAME).glob("golden*.npz")):
        with np.load(path) as file:
            found.append((json.loads(str(file["meta"])), {key: file[key] for key in file.files}))
    assert found
    return found


def compvis_keys(root: Path) -> dict[str, str]:
    """diffusers' key -> the key in the original file."""
    keys: dict[str, str] = json.loads((root / "models" / NAME / "compvis_keys.json").read_text())["map"]
    return keys


def run(config: StableDiffusionOptions, samples: int = 1, **changed: Any) -> Generation:
    """A batch with texts drawn from nowhere in particular; what is not changed is quick."""
    shape = (samples, config.context_tokens, config.context_width)
    texts = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    parts: dict[str, Any] = {
        "samples": samples,
        "iterations": 2,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "conditioning": {"text": texts[0], "unconditional_text": texts[1]},
        "noise": SeededNoise(seed=0, first_sample=0, samples=samples),
        "begin": lambda iteration: None,
    }
    return Generation(**{**parts, **changed})


@pytest.fixture(scope="module")
def tiny(golden_fill: Fill) -> nn.Module:
    """The UNet at golden size with golden weights."""
    return golden_fill(StableDiffusionV14(TINY).build(), [])


# --- the network --------------------------------------------------------------------------------------


def test_forward_equals_the_official_one(golden_root: Path, golden_fill: Fill) -> None:
    """The output is the official one, and so is the largest value of each hidden column at every site."""
    for meta, golden in model_goldens(golden_root):
        inputs = [torch.from_numpy(golden[f"input.{name}"]) for name in meta["argument_order"]]
        workload = StableDiffusionV14(options_of(meta["source"]["constructor"], inputs[2].shape[1]))
        model = golden_fill(workload.build(), meta["left_as_computed"])
        maxima: dict[str, torch.Tensor] = {}

        def keep(name: str, maxima: dict[str, torch.Tensor] = maxima) -> Callable[[torch.Tensor], None]:
            return lambda hidden: maxima.update({name: hidden.abs().flatten(0, -2).amax(0)})

        with watching(model, {layer.linear2: keep(layer.site.name) for layer in workload.layers()}):
            output = model(*inputs).sample
        np.testing.assert_allclose(output.numpy(), golden["output"], atol=2e-5, rtol=0)
        assert {f"colmax.{name}" for name in maxima} == {key for key in golden if key.startswith("colmax.")}
        for name, maximum in maxima.items():
            np.testing.assert_allclose(maximum.numpy(), golden[f"colmax.{name}"], atol=2e-5, rtol=0)


@settings(max_examples=5)  # a forward on the meta device takes a tenth of a second
@given(
    side=st.integers(1, 3),
    heads=st.sampled_from([1, 4, 8]),
    widths=st.tuples(*[st.sampled_from([32, 64])] * 4),
    context_width=st.sampled_from([8, 24]),
)
def test_layers_say_what_one_iteration_of_one_sample_does(
    side: int, heads: int, widths: tuple[int, ...], context_width: int
) -> None:
    """At any size, the sites that the options alone tell are those that run: same order, rows and columns."""
    config = StableDiffusionOptions(
        latent_size=8 * side,
        widths=widths,
        heads=heads,
        context_tokens=3,
        context_width=context_width,
        sampler="ddim",
    )
    workload = StableDiffusionV14(config)
    seen: list[tuple[str, tuple[int, ...]]] = []

    def count(name: str) -> Callable[[torch.Tensor], None]:
        return lambda hidden: seen.append((name, tuple(hidden.flatten(0, -2).shape)))

    model = workload.build().eval()
    with watching(model, {layer.linear2: count(layer.site.name) for layer in workload.layers()}):
        made = workload.generate(model, run(config, iterations=1))
    assert made.shape == (1, 4, 8 * side, 8 * side)
    assert seen == [(at.site.name, (at.site.rows, at.site.columns)) for at in workload.layers()]


# --- files of weights ---------------------------------------------------------------------------------


def test_every_original_key_gets_its_name_in_diffusers(golden_root: Path) -> None:
    """All 686 keys of the original file map to those of diffusers, one to one."""
    keys = compvis_keys(golden_root)
    assert len(keys) == 686
    for expected, original in keys.items():
        assert diffusers_name(original.removeprefix("model.diffusion_model.")) == expected


def original_file(model: nn.Module, keys: dict[str, str]) -> dict[str, Any]:
    """What `sd-v1-4.ckpt` looks like: nested, prefixed, among other networks and bookkeeping."""
    state = {keys[key]: entry.clone() for key, entry in model.state_dict().items()}
    others = {
        "betas": torch.ones(1000),
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.diffusion_modeloutbias": torch.zeros(320),
        "first_stage_model.decoder.conv_in.weight": torch.ones(3, 3),
        "cond_stage_model.transformer.text_model.final_layer_norm.weight": torch.ones(3),
    }
    return {"epoch": 1, "global_step": 470_000, "state_dict": {**others, **state}}


def loaded(path: Path) -> nn.Module:
    model = StableDiffusionV14(TINY).build().eval()
    layout = StableDiffusionV14.checkpoint_layout
    load_into(model, read_checkpoint(path, layout).state, layout, where=str(path))
    return model


def said(model: nn.Module) -> torch.Tensor:
    """What a UNet makes of some input."""
    draws = torch.Generator().manual_seed(2)
    x, text = torch.randn(2, 4, 16, 16, generator=draws), torch.randn(2, 11, 48, generator=draws)
    prediction: torch.Tensor = model(x, torch.tensor([981, 1]), text).sample
    return prediction


def test_original_file_gives_the_same_model(golden_root: Path, tiny: nn.Module, tmp_path: Path) -> None:
    """The weights of an original file land where they belong: the network says what it said before."""
    torch.save(original_file(tiny, compvis_keys(golden_root)), tmp_path / "sd-v1-4.ckpt")
    torch.testing.assert_close(said(loaded(tmp_path / "sd-v1-4.ckpt")), said(tiny), atol=0, rtol=0)


def test_original_file_that_does_not_fit_is_refused_by_its_keys(
    golden_root: Path, tiny: nn.Module, tmp_path: Path
) -> None:
    """A key that is no part of the UNet, and one that is missing, are named as far as they are known."""
    file = original_file(tiny, compvis_keys(golden_root))
    del file["state_dict"]["model.diffusion_model.out.2.bias"]
    file["state_dict"]["model.diffusion_model.label_emb.0.0.weight"] = torch.ones(1)
    torch.save(file, tmp_path / "sd-v2.ckpt")
    with pytest.raises(StoreError, match=r"conv_out\.bias.*label_emb\.0\.0\.weight"):
        loaded(tmp_path / "sd-v2.ckpt")


@pytest.mark.parametrize("safe", [True, False])
def test_diffusers_folder_gives_the_same_model(tiny: Any, tmp_path: Path, safe: bool) -> None:  # noqa: FBT001
    """A pipeline's folder is read as diffusers saves it, in either format."""
    tiny.save_pretrained(tmp_path / "unet", safe_serialization=safe)
    torch.testing.assert_close(said(loaded(tmp_path)), said(tiny), atol=0, rtol=0)


def test_diffusers_names_stay_as_they_are(tiny: nn.Module) -> None:
    """A state under diffusers' names is not touched."""
    state = tiny.state_dict()
    assert from_compvis(state) is state


# --- the loop -----------------------------------------------------------------------------------------


class Silent(nn.Module):
    """A denoiser that predicts no noise, and so costs nothing."""

    def forward(self, x: torch.Tensor, *_: torch.Tensor) -> Any:
        return type("Output", (), {"sample": torch.zeros_like(x)})


@given(sampler=st.sampled_from(["plms", "pndm", "ddim"]), iterations=st.integers(1, 60))
def test_exactly_the_iterations_asked_for_are_run(sampler: str, iterations: int) -> None:
    """Every sampler runs as many iterations as asked; only plms asks the denoiser twice, in the first."""
    workload = StableDiffusionV14(evolve(TINY, sampler=sampler))
    begun: list[int] = []
    if (sampler, iterations) == ("pndm", 2):
        with pytest.raises(StudyError, match="iterations: pndm cannot run 2"):
            workload.generate(Silent(), run(TINY, iterations=2))
        return
    workload.generate(Silent(), run(TINY, iterations=iterations, begin=begun.append))
    assert begun == [0] * (sampler == "plms") + list(range(iterations))


def test_a_sample_is_the_same_alone_and_in_a_batch(tiny: nn.Module) -> None:
    """Samples that run together do not touch each other, so batch_samples changes speed alone."""
    workload = StableDiffusionV14(TINY)
    both = run(TINY, 2)
    second = {name: text[1:] for name, text in both.conditioning.items()}
    together = workload.generate(tiny, both)
    noise = SeededNoise(seed=0, first_sample=1, samples=1)
    alone = workload.generate(tiny, run(TINY, conditioning=second, noise=noise))
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-5)


def test_the_guidance_goes_from_no_text_to_text(tiny: nn.Module) -> None:
    """At scale 0 only the unconditional text matters to a sample, at scale 1 only the other."""

    def made(scale: float, **texts: float) -> torch.Tensor:
        config = evolve(TINY, guidance_scale=scale)
        shape = (1, TINY.context_tokens, TINY.context_width)
        conditioning = {name: torch.full(shape, value) for name, value in texts.items()}
        return StableDiffusionV14(config).generate(tiny, run(config, iterations=1, conditioning=conditioning))

    def is_same(scale: float, one: dict[str, float], other: dict[str, float]) -> bool:
        return torch.allclose(made(scale, **one), made(scale, **other), atol=1e-4, rtol=0)

    texts = {"text": 1.0, "unconditional_text": 2.0}
    assert is_same(0, texts, {**texts, "text": 3.0})
    assert is_same(1, texts, {**texts, "unconditional_text": 3.0})
    assert not is_same(0, texts, {**texts, "unconditional_text": 3.0})
    assert not is_same(1, texts, {**texts, "text": 3.0})


def test_runs_in_lower_precision(golden_fill: Fill) -> None:
    """The network computes in the precision of the run; the loop, and the sample, stay in float32."""
    workload = StableDiffusionV14(TINY)
    model = golden_fill(workload.build(), [])
    expected = workload.generate(model, run(TINY))
    made = workload.generate(model.to(torch.bfloat16), run(TINY, dtype=torch.bfloat16))
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, expected, atol=0.05 * float(expected.abs().max()), rtol=0)


class RowCounter:
    """An observer that only counts the rows of each site and iteration."""

    def __init__(self) -> None:
        self.rows: Counter[tuple[str, int]] = Counter()

    def observe(self, site: Site, iteration: int, activation: torch.Tensor) -> None:
        assert activation.shape[-1] == site.columns
        self.rows[site.name, iteration] += activation.flatten(0, -2).shape[0]

    def statistics(self) -> dict[str, dict[str, np.ndarray]]:
        return {}


def test_a_run_shows_each_site_its_rows_in_each_iteration() -> None:
    """Observers see every site, with the rows that it declares; twice as many where plms runs twice."""
    workload = StableDiffusionV14(TINY)
    request = DenoiseRequest(source=SourceKind.RANDOM, iterations=3, samples=2, seed=0)
    counter = RowCounter()
    samples = workload.denoise(request, [counter], None)
    assert (samples.modality, samples.data.shape) == ("image-latent", (2, 4, 16, 16))
    sites = workload.sites(request)
    expected = {(site.name, i): 2 * site.rows * (2 if i == 0 else 1) for site in sites for i in range(3)}
    assert counter.rows == expected


# --- what it is told, and what cannot be --------------------------------------------------------------


def test_conditions_are_those_of_the_text_encoder() -> None:
    """Each sample has its text; the empty prompt is one for all."""
    conditions = StableDiffusionV14(StableDiffusionOptions()).conditions()
    assert {name: (at.shape, at.varies) for name, at in conditions.items()} == {
        "text": ((77, 768), True),
        "unconditional_text": ((77, 768), False),
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sampler": "euler"}, "sampler must be one of plms, pndm, ddim"),
        ({"widths": (320, 640)}, "widths must be 4 numbers"),
        ({"widths": (320, 640, 1280, 1000)}, "widths must be multiples of 32, unlike 1000"),
        ({"heads": 7}, "widths must be multiples of heads = 7"),
        ({"latent_size": 60}, "latent_size must be a multiple of 8"),
    ],
)
def test_options_that_make_no_such_model_are_refused(options: dict[str, Any], said: str) -> None:
    """What cannot be built is refused when the workload is made, by the name of the option."""
    with pytest.raises(StudyError, match=said):
        StableDiffusionV14(StableDiffusionOptions(**options))
