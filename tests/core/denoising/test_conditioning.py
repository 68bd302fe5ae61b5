"""The rules of conditioning: what a denoiser is given, from a file, from prompts or from the seed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from colfw.denoising import conditioning as module
from colfw.denoising.conditioning import Condition, conditioning, files_digest
from colfw.denoising.options import DenoiserOptions, PromptedOptions
from colfw.errors import ColfwError, StoreError, StudyError

THIS = f"{__name__}:letters"
TEXT = Condition(shape=(2, 3), what="hidden states of a text encoder", encoder=THIS)
EMPTY = evolve(TEXT, what="hidden states of the empty prompt", varies=False)
LABEL = Condition(shape=(), what="a class of ImageNet", below=10)
CONDITIONS = {"text": TEXT, "empty": EMPTY, "label": LABEL}
SEEDED = DenoiserOptions()

CALLS: list[tuple[str, ...]] = []


def letters(folder: Path, prompts: tuple[str, ...]) -> torch.Tensor:
    """Stands for an encoder: six numbers of a prompt, shaped as its folder is called."""
    CALLS.append(prompts)
    shape = [int(length) for length in folder.name.split("x")]
    values = [float(len(prompt)) if folder.parent.name != "nan" else float("nan") for prompt in prompts]
    return torch.stack([torch.full(shape, value) for value in values])


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test modules cannot be imported by name: the stand-in for an encoder is handed over."""
    monkeypatch.setattr(module.lazy, "load", {THIS: letters}.__getitem__)
    module._remembered.cache_clear()
    CALLS.clear()


def from_file(path: Path, **arrays: Any) -> DenoiserOptions:
    arrays = {
        "text": np.zeros((2, 3), np.float32),
        "empty": np.zeros((2, 3), np.float32),
        "label": 1,
    } | arrays
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return DenoiserOptions(conditioning=path)


def refusal_of(options: Any, conditions: Any = CONDITIONS) -> ColfwError:
    """The refusal, in one line."""
    with pytest.raises(ColfwError) as refusal:
        conditioning(conditions, options=options, samples=2, seed=0)
    assert "\n" not in str(refusal.value)
    return refusal.value


# --- from the seed --------------------------------------------------------------------------------


@given(st.integers(0, 2**40), st.integers(0, 3), st.integers(1, 3))
def test_a_sample_is_the_same_in_whatever_batch(seed: int, first: int, samples: int) -> None:
    """What is drawn depends on the seed, the name and the number of the sample, and not on the batch."""
    whole = conditioning(CONDITIONS, options=SEEDED, samples=6, seed=seed)
    part = conditioning(CONDITIONS, options=SEEDED, samples=samples, seed=seed, first_sample=first)
    for name, tensor in part.items():
        assert torch.equal(tensor, whole[name][first : first + samples])


def test_what_is_drawn_has_the_shape_and_type_of_its_condition() -> None:
    """Embeddings are float32 and classes int64 below their bound, a row a sample."""
    drawn = conditioning(CONDITIONS, options=SEEDED, samples=200, seed=0)
    assert drawn["text"].shape == (200, 2, 3)
    assert drawn["text"].dtype is torch.float32
    assert drawn["label"].shape == (200,)
    assert drawn["label"].dtype is torch.int64
    assert set(drawn["label"].tolist()) == set(range(10))


def test_what_is_drawn_is_standard_normal() -> None:
    """Drawn embeddings have mean 0 and deviation 1."""
    wide = {"text": Condition(shape=(1000,), what="")}
    drawn = conditioning(wide, options=SEEDED, samples=10, seed=0)["text"]
    assert abs(float(drawn.mean())) < 0.05
    assert abs(float(drawn.std()) - 1) < 0.05


def test_samples_names_and_seeds_differ_and_what_does_not_vary_is_one() -> None:
    """Two samples, two names and two seeds give different numbers; the empty prompt is one for all."""
    drawn = conditioning(CONDITIONS, options=SEEDED, samples=3, seed=0)
    other = conditioning(CONDITIONS, options=SEEDED, samples=3, seed=1)
    assert not torch.equal(drawn["text"][0], drawn["text"][1])
    assert torch.equal(drawn["empty"][0], drawn["empty"][2])
    assert not torch.equal(drawn["text"][0], drawn["empty"][0])
    assert not torch.equal(drawn["text"], other["text"])
    assert not torch.equal(drawn["empty"], other["empty"])


# --- from a file ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_rows_of_a_file_come_in_turn(tmp_path: Path, suffix: str) -> None:
    """A file's rows are given to the samples one after another and from the start again."""
    arrays = {
        "text": np.arange(12, dtype=np.float16).reshape(2, 2, 3),
        "empty": np.ones((2, 3), np.float64),
        "label": np.array([4, 9, 0], np.uint8),
        "unused": np.zeros(1),
    }
    path = tmp_path / f"given.{suffix}"
    if suffix == "npz":
        np.savez(path, **arrays)
    else:
        save_file(arrays, path)
    options = DenoiserOptions(conditioning=path)
    found = conditioning(CONDITIONS, options=options, samples=4, seed=0, first_sample=1)
    assert set(found) == set(CONDITIONS)
    torch.testing.assert_close(found["text"], torch.from_numpy(arrays["text"]).float()[[1, 0, 1, 0]])
    torch.testing.assert_close(found["empty"], torch.ones(4, 2, 3))
    assert found["label"].tolist() == [9, 0, 4, 9]
    assert found["label"].dtype is torch.int64


def test_bfloat16_is_read(tmp_path: Path) -> None:
    """Embeddings in a type that numpy lacks are read from safetensors."""
    path = tmp_path / "given.safetensors"
    save_tensors({"text": torch.full((2, 3), 0.5, dtype=torch.bfloat16)}, path)
    found = conditioning({"text": TEXT}, options=DenoiserOptions(conditioning=path), samples=1, seed=0)
    torch.testing.assert_close(found["text"], torch.full((1, 2, 3), 0.5))


@pytest.mark.parametrize(
    ("name", "array", "problem"),
    [
        ("text", np.zeros((2, 4)), "is [2, 4]; wanted: [n, 2, 3] floats, hidden states of a text encoder"),
        ("text", np.zeros((0, 2, 3)), "is [0, 2, 3]; wanted: "),
        ("text", np.zeros((1, 1, 2, 3)), "is [1, 1, 2, 3]; wanted: "),
        ("text", np.zeros((2, 3), np.int64), "is int64; wanted: "),
        ("text", np.zeros((2, 3), np.complex64), "is complex64; wanted: "),
        ("text", np.full((2, 3), np.nan), "has NaN or infinity; wanted: "),
        ("text", np.full((2, 3), 1e300), "has NaN or infinity; wanted: "),
        ("empty", np.zeros((2, 2, 3)), "has 2 rows, and all samples share one; wanted: [2, 3] floats, "),
        ("label", np.zeros(3), "is float64; wanted: [n] whole numbers below 10, a class of ImageNet"),
        ("label", np.array([True]), "is bool; wanted: "),
        ("label", np.array([3, 10]), "has values from 3 to 10; wanted: "),
        ("label", np.array(-1), "has values from -1 to -1; wanted: "),
    ],
)
def test_arrays_of_another_modality_are_refused(tmp_path: Path, name: str, array: Any, problem: str) -> None:
    """A wrong shape, type or value is refused by file and array, with what is wanted."""
    refusal = refusal_of(from_file(tmp_path / "a.npz", **{name: array}))
    assert refusal.where == f"{tmp_path / 'a.npz'}: {name}"
    assert refusal.problem.startswith(problem)


def test_missing_arrays_are_named_with_those_that_are_there(tmp_path: Path) -> None:
    """A file for another workload is refused with what is missing and what it has."""
    refusal = refusal_of(from_file(tmp_path / "a.npz", text=None, music=np.zeros(3)))
    assert refusal.problem == (
        "lacks text ([n, 2, 3] floats, hidden states of a text encoder); it has empty, label, music"
    )


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"PK\x05\x06", b"# notes\n", b"\x00" * 100, b"\x93NUMPY"]
)
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    """What is neither safetensors nor npz is refused in one line."""
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    assert refusal_of(DenoiserOptions(conditioning=path)).where == str(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    """Where no file lies, the refusal says so."""
    assert refusal_of(DenoiserOptions(conditioning=tmp_path / "none")).problem == "no such file"
    refusal_of(DenoiserOptions(conditioning=tmp_path))


def test_what_has_no_end_is_refused(tmp_path: Path) -> None:
    """A pipe is refused at once, before anybody waits for what never comes."""
    os.mkfifo(tmp_path / "pipe")
    assert refusal_of(DenoiserOptions(conditioning=tmp_path / "pipe")).where == str(tmp_path / "pipe")
    with pytest.raises(StoreError, match="a pipe or a device"):
        files_digest(DenoiserOptions(conditioning=tmp_path / "pipe"))


def test_names_in_a_file_are_shown_in_one_line(tmp_path: Path) -> None:
    """Only the first arrays are named, and neither line breaks nor colours in a name reach the message."""
    path = tmp_path / "a.safetensors"
    save_file({name: np.ones(1) for name in ("a\nb\x1b[31m", "b", "c", "d")}, path)
    refusal = refusal_of(DenoiserOptions(conditioning=path))
    assert refusal.problem.endswith("it has a\\nb\\x1b[31m, b, c, ...")


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    """An npz file may hold objects; they are not read."""
    refusal = refusal_of(from_file(tmp_path / "a.npz", text=np.array([{}, None], object)))
    assert "Object arrays cannot be loaded" in refusal.problem


# --- from prompts ---------------------------------------------------------------------------------


def test_prompts_come_in_turn_and_the_rest_is_drawn() -> None:
    """Each prompt is encoded once, the empty one where nothing varies; other conditions are drawn."""
    options = PromptedOptions(prompts=("a", "bcd"), encoder=Path("2x3"))
    for first in (0, 1):
        found = conditioning(CONDITIONS, options=options, samples=3, seed=5, first_sample=first)
        assert found["text"].shape == (3, 2, 3)
        assert found["text"][:, 0, 0].tolist() == [[1, 3, 1], [3, 1, 3]][first]
        assert found["empty"].count_nonzero() == 0
        drawn = conditioning(CONDITIONS, options=SEEDED, samples=3, seed=5, first_sample=first)
        assert torch.equal(found["label"], drawn["label"])
    assert CALLS == [("a", "bcd"), ("",)]


def test_an_axis_of_one_is_no_difference() -> None:
    """A feature of a whole prompt fits a condition of one token."""
    token = {"text": Condition(shape=(1, 6), what="", encoder=THIS)}
    options = PromptedOptions(prompts=("a",), encoder=Path("6"))
    assert conditioning(token, options=options, samples=2, seed=0)["text"].shape == (2, 1, 6)


def test_an_encoder_of_another_size_is_refused() -> None:
    """The refusal says what the encoder gives and what is wanted."""
    refusal = refusal_of(PromptedOptions(prompts=("a",), encoder=Path("3x2")))
    assert isinstance(refusal, StoreError)
    assert refusal.problem == (
        "gives [3, 2] a prompt; text is [n, 2, 3] floats, hidden states of a text encoder"
    )


def test_an_encoder_of_broken_weights_is_refused() -> None:
    """NaN from an encoder goes no further."""
    refusal = refusal_of(PromptedOptions(prompts=("a",), encoder=Path("nan/2x3")))
    assert "NaN" in refusal.problem


@pytest.mark.parametrize(
    ("options", "conditions", "where"),
    [
        (PromptedOptions(prompts=("a",)), CONDITIONS, "encoder"),
        (PromptedOptions(encoder=Path("2x3")), CONDITIONS, "prompts"),
        (PromptedOptions(prompts=("a",), encoder=Path("2x3")), {"label": LABEL}, "prompts"),
        (
            PromptedOptions(prompts=("a",), encoder=Path("2x3"), conditioning=Path("x")),
            CONDITIONS,
            "conditioning",
        ),
    ],
)
def test_prompts_that_cannot_be_followed_are_refused(options: Any, conditions: Any, where: str) -> None:
    """Prompts need an encoder and a workload that reads text, and exclude a file; encoders need prompts."""
    refusal = refusal_of(options, conditions)
    assert isinstance(refusal, StudyError)
    assert refusal.where == where


def test_files_are_told_apart_by_their_content(tmp_path: Path) -> None:
    """A changed file or encoder has another digest; what the seed decides has none."""
    assert files_digest(SEEDED) is None
    assert files_digest(PromptedOptions()) is None
    given = tmp_path / "given.npz"
    folder = tmp_path / "encoder" / "tokenizer"
    folder.mkdir(parents=True)
    options = PromptedOptions(conditioning=given, encoder=folder.parent)
    digests = set()
    for file in (given, folder / "vocab.json"):
        for content in (b"one", b"other!"):
            for path in (given, folder / "vocab.json"):
                path.touch()
            file.write_bytes(content)
            digests.add(files_digest(options))
    assert len(digests) == 4
