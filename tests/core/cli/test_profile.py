"""`colfw profile`: the table is made of the profile's own numbers, and what cannot be done is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import diffusers
import numpy as np
import pytest
import torch

from colfw.profile import ActivationProfile

if TYPE_CHECKING:
    from collections.abc import Callable

    Colfw = Callable[..., tuple[int, str, str]]

SITES = ["transformer_blocks.0.ff.net.0", "transformer_blocks.1.ff.net.0"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny DiT pipeline with random weights."""
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4)
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=8,
    )
    path = tmp_path_factory.mktemp("pipeline")
    diffusers.DiTPipeline(
        transformer=transformer, vae=vae, scheduler=diffusers.DDIMScheduler()
    ).save_pretrained(path)
    return path


# --- pipelines ------------------------------------------------------------------------------------


def test_a_pipeline_is_profiled(colfw: Colfw, pipeline: Path) -> None:
    """A row a site, a column a threshold, and the file that all of it comes from."""
    arguments = ("--pipeline", pipeline, "--call", "class_labels=[1]", "--iterations", 2)
    code, out, err = colfw("profile", *arguments, "--threshold", 0.2, "--threshold", 0.1)
    assert (code, err) == (0, "")
    assert "DiTPipeline: 2 sites, 2 iterations, measured, rows official" in out
    assert [line.split()[0] for line in out.splitlines() if "ff.net" in line] == SITES
    assert out.index("tau 0.1") < out.index("tau 0.2")
    assert out.splitlines()[-1] == "profile profile.safetensors"
    made = ActivationProfile.from_file(Path("profile.safetensors"))
    assert {0.1, 0.2} <= set(made.thresholds)


def test_the_numbers_are_the_profiles(colfw: Colfw, pipeline: Path) -> None:
    """Shares of elements and of columns that do not exceed the threshold, as the file has them."""
    arguments = ("--pipeline", pipeline, "--call", "class_labels=[1, 2]", "--iterations", 2, "--seed", 3)
    code, out, _ = colfw("profile", *arguments, "--threshold", 0.17, "--json", "-o", "deep/p.safetensors")
    assert code == 0
    told = json.loads(out)
    made = ActivationProfile.from_file(Path("deep/p.safetensors"))
    assert Path(told["profile"]) == Path("deep/p.safetensors").absolute()
    assert told["provenance"]["seed"] == made.provenance.seed == 3
    assert told["provenance"]["samples"] == 2
    assert told["evidence"] == "measured"
    at = made.thresholds.index(0.17)
    for told_site, site in zip(told["sites"], made.sites, strict=True):
        assert told_site["name"] == site.site.name
        elements = 1 - site.exceeding[:, at].sum() / site.elements.sum()
        assert told_site["element_sparsity"] == pytest.approx([elements])
        columns = np.mean([np.mean(row.astype(float) <= 0.17) for row in site.maxima])
        assert told_site["column_sparsity"] == pytest.approx([columns])


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")  # DiT copies its labels
def test_an_argument_may_lie_in_a_file(colfw: Colfw, pipeline: Path) -> None:
    """`@` reads what numpy.save wrote; what it did not is refused."""
    np.save("labels.npy", np.array([1, 2]))
    arguments = ("profile", "--pipeline", pipeline, "--iterations", 1, "--json")
    code, out, _ = colfw(*arguments, "--call", "class_labels=@labels.npy")
    assert (code, json.loads(out)["provenance"]["samples"]) == (0, 2)
    assert json.loads(out)["provenance"]["options"]["call"]["class_labels"] == "Tensor [2]"
    Path("bad.npy").write_text("no array", encoding="utf-8")
    assert colfw(*arguments, "--call", "class_labels=@bad.npy")[2] == (
        "colfw: bad.npy: holds no array of numbers (numpy.save writes one)\n"
    )
    assert "none.npy: no such file" in colfw(*arguments, "--call", "class_labels=@none.npy")[2]


# --- workloads ------------------------------------------------------------------------------------


def test_a_workload_is_profiled(colfw: Colfw) -> None:
    """The profile is that of a study of this workload, and says what its numbers are worth."""
    code, out, err = colfw("profile", "tiny-denoiser", "--iterations", 3, "--set", "rows=4")
    assert (code, err) == (0, "")
    assert "colfw-tiny/tiny-denoiser: 2 sites, 3 iterations, measured-random, rows official" in out
    made = ActivationProfile.from_file(Path("profile.safetensors"))
    assert [site.site.rows for site in made.sites] == [4, 4]
    assert made.provenance.iterations == 3


def test_what_a_study_has_made_is_not_made_again(colfw: Colfw, tmp_path: Path) -> None:
    """The same workload, seed and grid have one place in the cache."""
    arguments = ("profile", "tiny-denoiser", "--iterations", 2, "--samples", 2, "--json")
    first = json.loads(colfw(*arguments)[1])
    cached = sorted((tmp_path / "cache").rglob("profile.safetensors"))
    assert len(cached) == 1
    assert json.loads(colfw(*arguments)[1]) == first
    assert sorted((tmp_path / "cache").rglob("profile.safetensors")) == cached


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ((), 2, "nothing is named (give the name of a workload, or --pipeline PATH)"),
        (("tiny-denoiser", "--pipeline", "x"), 2, "a workload and a pipeline are named"),
        (("tiny-denoiser", "--prompt", "a cat"), 2, "--prompt: is for a pipeline"),
        (("tiny-denoiser", "--discover-always"), 2, "--discover-always: is for a pipeline"),
        (("--pipeline", "x", "--set", "rows=4"), 2, "--set: is for a workload"),
        (("--pipeline", "x", "--samples", 2), 2, "--samples: is for a workload"),
        (("--pipeline", "none"), 5, "none: no such folder"),
        (("--pipeline", "x", "--call", "2"), 2, "--call 2: is no argument (write NAME=VALUE, such as"),
        (("tiny-denoise",), 3, "unknown workload 'tiny-denoise' (did you mean 'tiny-denoiser'?)"),
        (("tiny-denoiser", "--set", "row=4"), 2, "row: unknown key (did you mean 'rows'?)"),
        (("tiny-denoiser", "--source", "published"), 2, "has no source 'published'"),
        (("tiny-denoiser", "--iterations", 0), 2, "Must be >= 1"),
        (("tiny-denoiser", "--output", "."), 5, "--output .: is a folder (name a file in it)"),
        (("tiny-denoiser", "--threshold", -1), 4, "--threshold: threshold -1.0 is not a finite number"),
    ],
    ids=lambda value: " ".join(str(v) for v in value) if isinstance(value, tuple) else None,
)
def test_a_refusal_is_one_line(
    arguments: tuple[object, ...], code: int, line: str, colfw: Colfw, tmp_path: Path
) -> None:
    """What, where and what next; nothing on stdout, and no file."""
    found, out, err = colfw("profile", *arguments)
    assert (found, out) == (code, "")
    [only] = err.splitlines()
    assert only.startswith("colfw: ")
    assert line in only
    assert not (tmp_path / "profile.safetensors").exists()


def test_a_missing_argument_is_named(colfw: Colfw, pipeline: Path) -> None:
    """Before anything runs."""
    code, out, err = colfw("profile", "--pipeline", pipeline)
    assert (code, out) == (2, "")
    assert f"{pipeline}: needs class_labels (--call class_labels=VALUE; --prompt TEXT)" in err
