from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from colfw.errors import InvariantError, StoreError, UnavailableError
from colfw.media import write_samples, writing
from colfw.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Sets = Callable[[str], tuple[Samples, dict[str, Samples]]]

pytestmark = pytest.mark.usefixtures("_without_ffmpeg")

SET_FOLDERS = ("dense", "tau=0.2", "rho=0.5_static")
NUMBERS = ("0000", "0001", "0002")


def names(folder: Path, written: tuple[Path, ...]) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in written)


def alone(suffix: str) -> set[str]:
    return {f"{folder}/{number}{suffix}" for folder in SET_FOLDERS for number in NUMBERS}


def together(suffix: str) -> set[str]:
    return {f"side-by-side/{number}{suffix}" for number in NUMBERS}


FILES = {
    "image": alone(".png") | {"side-by-side.png"},
    "image/digits": alone(".png") | {"side-by-side.png"},
    "video": alone(".gif") | together(".gif") | {"side-by-side.png"},
    "audio": alone(".wav") | together(".wav") | {"side-by-side.png"},
    "motion": alone(".npy") | together(".gif") | {"side-by-side.png"},
    "latent": alone(".npy"),
}
each_modality = pytest.mark.parametrize("modality", FILES)


@each_modality
def test_each_modality_has_its_files(tmp_path: Path, sets: Sets, modality: str) -> None:
    """Those that are told are those that are there: each sample alone, all sets together, and notes."""
    folder = tmp_path / "samples"
    written = write_samples(folder, *sets(modality))
    assert set(names(folder, written)) == FILES[modality] | {"notes.txt"}
    assert sorted(written) == sorted(path for path in folder.rglob("*") if path.is_file())
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


@each_modality
def test_equal_samples_give_equal_bytes(tmp_path: Path, sets: Sets, modality: str) -> None:
    """Neither time nor folder is in any file."""
    found = [
        [hashlib.sha256(path.read_bytes()).hexdigest() for path in write_samples(folder, *sets(modality))]
        for folder in (tmp_path / "a", tmp_path / "b")
    ]
    assert found[0] == found[1]


@each_modality
def test_a_limit_leaves_the_last_ones_out(tmp_path: Path, sets: Sets, modality: str) -> None:
    """The first two are what two samples alone would be."""
    dense, masked = sets(modality)
    limited = write_samples(tmp_path / "limited", dense, masked, limit=2)
    few = {label: samples.at(slice(2)) for label, samples in masked.items()}
    plain = write_samples(tmp_path / "few", dense.at(slice(2)), few)
    assert [path.read_bytes() for path in limited] == [path.read_bytes() for path in plain]
    assert not [path for path in limited if path.stem == "0002"]


def test_a_limit_beyond_the_samples_leaves_none_out(tmp_path: Path, sets: Sets) -> None:
    """There may be fewer than asked for."""
    assert len(write_samples(tmp_path / "out", *sets("latent"), limit=99)) == len(FILES["latent"]) + 1


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_one_at_least(tmp_path: Path, sets: Sets, limit: int) -> None:
    """No sample at all is nothing to look at, and counting from the end is not meant."""
    with pytest.raises(InvariantError, match="at least 1"):
        write_samples(tmp_path / "out", *sets("image"), limit=limit)


def test_a_dense_set_alone_can_be_written(tmp_path: Path, sets: Sets) -> None:
    """Nothing need be masked."""
    written = write_samples(tmp_path / "out", sets("image")[0], {})
    assert [path.parent.name for path in written] == ["dense"] * 3 + ["out"] * 2


# --- the folder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_there_is_left_alone(tmp_path: Path, sets: Sets, kind: str) -> None:
    """The folder has to be new; the refusal names it, and says what to do."""
    taken = tmp_path / "out"
    taken.mkdir() if kind == "folder" else taken.write_text("mine")
    with pytest.raises(StoreError, match=r"is there already.*choose another folder") as refusal:
        write_samples(taken, *sets("image"))
    assert refusal.value.where == str(taken)
    assert list(tmp_path.rglob("*")) == [taken]


def test_the_folder_is_whole_or_absent(tmp_path: Path, sets: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stops the writing leaves nothing behind."""

    def interrupt(*_: object) -> None:
        assert len(list(tmp_path.rglob("*.png"))) == 10
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "_notes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_samples(tmp_path / "out", *sets("image"))
    assert list(tmp_path.iterdir()) == []


def test_who_was_quicker_is_not_replaced_and_not_claimed(
    tmp_path: Path, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that appears meanwhile stays as it is, and its files are not said to be ours."""
    notes = writing._notes

    def meanwhile(*arguments: object) -> object:
        (tmp_path / "out").mkdir()
        return notes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "_notes", meanwhile)
    with pytest.raises(StoreError, match="is there already"):
        write_samples(tmp_path / "out", *sets("image"))
    assert list(tmp_path.rglob("*")) == [tmp_path / "out"]


def test_folders_above_are_made(tmp_path: Path, sets: Sets) -> None:
    """A run's folder need not have one for samples yet."""
    written = write_samples(tmp_path / "run" / "samples" / "digits", *sets("image"), limit=1)
    assert all(path.is_file() for path in written)


# --- labels ---------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=80), max_size=6, unique=True))
def test_every_label_gets_a_folder_of_its_own(labels: list[str]) -> None:
    """Names work on any file system, differ in more than case, and leave the other files' names alone."""
    found = writing._folder_names(["dense", *labels])
    assert list(found) == list(dict.fromkeys(["dense", *labels]))
    folded = [name.casefold() for name in found.values()]
    assert len(set(folded)) == len(folded)
    for name in folded:
        assert name.isascii()
        assert 0 < len(name) < 70
        assert not set(name) & set('/\\:*?"<>| \n\0')
        assert not name.startswith(".")
        assert not name.endswith(".")
        assert name not in {"side-by-side", "notes.txt", "side-by-side.png"}


@pytest.mark.parametrize(
    ("labels", "folders"),
    [
        (["tau=0.164"], ["tau=0.164"]),
        (["rho=0.164 static"], ["rho=0.164_static"]),
        (["../../etc"], ["_.._etc"]),
        (["side-by-side", "Notes.txt"], ["side-by-side-2", "Notes.txt-2"]),
        (["A", "a", "Dense"], ["A", "a-2", "Dense-2"]),
        (["", "..."], ["masked", "masked-2"]),
    ],
)
def test_a_folder_is_named_after_its_label(labels: list[str], folders: list[str]) -> None:
    """As closely as file systems allow; what would be the same name is numbered."""
    assert list(writing._folder_names(["dense", *labels]).values()) == ["dense", *folders]


def test_no_masked_set_is_called_dense(tmp_path: Path, sets: Sets) -> None:
    """It would be mistaken for the other one."""
    dense, _ = sets("image")
    with pytest.raises(InvariantError, match="can be called 'dense'"):
        write_samples(tmp_path / "out", dense, {"dense": dense})


@pytest.mark.parametrize("label", ["", "two\nlines", "τ=0.2", "long " * 30])
def test_any_label_can_be_drawn(tmp_path: Path, sets: Sets, label: str) -> None:
    """A label is a text like any other; a long one is cut."""
    dense, masked = sets("image")
    written = write_samples(tmp_path / "out", dense, {label: masked["tau=0.2"]}, limit=1)
    with Image.open(written[-2]) as sheet:
        assert sheet.width < 600


# --- pairs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 6}, "seed is 6, and that of the dense set 5"),
        ({"modality": "image/digits"}, "modality is image/digits"),
        ({"rate_hz": 9.0}, "rate_hz is 9.0"),
        ({"data": np.zeros((2, 3, 5, 7))}, r"shape is \(2, 3, 5, 7\)"),
    ],
)
def test_what_is_no_pair_is_not_shown_as_one(
    tmp_path: Path, sets: Sets, change: dict[str, object], named: str
) -> None:
    """Sets side by side are of one seed and form; the refusal names the set."""
    dense, masked = sets("image")
    masked["tau=0.2"] = evolve(masked["tau=0.2"], **change)
    with pytest.raises(InvariantError, match=named) as refusal:
        write_samples(tmp_path / "out", dense, masked)
    assert refusal.value.where == "tau=0.2"


@pytest.mark.parametrize(
    ("modality", "shape"),
    [
        ("image", (2, 4, 8, 8)),
        ("image/digits", (2, 8, 8)),
        ("image", (2, 1, 0, 8)),
        ("video", (2, 3, 8, 8)),
        ("video", (2, 0, 3, 8, 8)),
        ("audio", (2, 1, 80)),
        ("motion", (2, 60, 31)),
        ("motion", (2, 60, 5, 2)),
    ],
)
def test_samples_of_another_form_are_unavailable(
    tmp_path: Path, modality: str, shape: tuple[int, ...]
) -> None:
    """What has a modality's name and not its form is not drawn as if it had; the refusal says both forms."""
    samples = Samples(modality=modality, data=np.zeros(shape), seed=3, rate_hz=8.0)
    with pytest.raises(UnavailableError, match="their shape is") as refusal:
        write_samples(tmp_path / "out", samples, {})
    assert refusal.value.where == f"{modality} samples of seed 3"
    assert "[sample, " in refusal.value.problem


def test_padding_is_left_out(tmp_path: Path, sets: Sets) -> None:
    """Where a set says how many frames count, no file has more of them."""
    dense, _ = sets("motion")
    dense = evolve(dense, lengths=np.array([2, 6, 1]))
    written = write_samples(tmp_path / "out", dense, {})
    assert [np.load(path).shape[0] for path in written if path.suffix == ".npy"] == [2, 6, 1]


# --- sheets and notes -----------------------------------------------------------------------------


def test_a_sheet_that_would_be_too_large_goes_on(
    tmp_path: Path, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sample is on one sheet, in order, and no sheet has more rows than its pixels allow."""
    monkeypatch.setattr(writing, "LARGEST_SHEET", 2 * 3 * 96 * 96)
    folder = tmp_path / "out"
    written = write_samples(folder, *sets("image/digits"))
    sheets = [path for path in written if path.parent == folder and path.suffix == ".png"]
    assert [path.name for path in sheets] == ["side-by-side.png", "side-by-side-2.png"]
    heights = [np.asarray(Image.open(path)).shape[0] for path in sheets]
    assert heights == [20 + 96 + 6 + 96, 20 + 96]


def test_a_row_larger_than_a_sheet_is_a_sheet(
    tmp_path: Path, sets: Sets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left out, however large."""
    monkeypatch.setattr(writing, "LARGEST_SHEET", 1)
    written = write_samples(tmp_path / "out", *sets("image"))
    assert len([path for path in written if path.name.startswith("side-by-side")]) == 3


def test_notes_say_what_is_what(tmp_path: Path, sets: Sets) -> None:
    """Modality, seed, the folder of each set and the masks that made it."""
    dense, masked = sets("image/digits")
    notes = write_samples(tmp_path / "out", dense, masked)[-1].read_text("utf-8")
    assert notes.splitlines()[:6] == [
        "3 samples of image/digits, seed 5; equal numbers are a pair.",
        "",
        "dense/ holds dense",
        f"tau=0.2/ holds tau=0.2, masks {'1' * 64}",
        f"rho=0.5_static/ holds rho=0.5 static, masks {'2' * 64}",
        "side-by-side holds all of them, from the left or one after another: dense, tau=0.2, rho=0.5 static",
    ]


def test_notes_say_what_was_cut(tmp_path: Path, sets: Sets) -> None:
    """Values that no picture can hold are counted, set by set; sets that fit are not mentioned."""
    dense, masked = sets("image/digits")
    data = dense.data.copy()
    data[0, 0, :2, 0] = (1.5, -7)
    notes = write_samples(tmp_path / "out", evolve(dense, data=data), masked)[-1].read_text("utf-8")
    assert notes.splitlines()[-1] == "dense: 2 of 192 values lie outside -1 to 1, drawn as the nearer end."


@pytest.mark.parametrize("modality", ["video", "motion", "latent"])
def test_a_remark_is_made_once(tmp_path: Path, sets: Sets, modality: str) -> None:
    """What holds of all sets is said once, not for each."""
    notes = write_samples(tmp_path / "out", *sets(modality))[-1].read_text("utf-8").splitlines()
    said = [line for line in notes if line]
    assert len(set(said)) == len(said)
    assert modality == "latent" or sum("No MP4" in line for line in said) == 1


def test_numbers_of_what_cannot_be_seen_are_kept(tmp_path: Path, sets: Sets) -> None:
    """Latents come back from their NPY files as they were."""
    dense, masked = sets("latent")
    folder = tmp_path / "out"
    write_samples(folder, dense, masked)
    for label, name in (("tau=0.2", "tau=0.2"), ("rho=0.5 static", "rho=0.5_static")):
        for number in range(3):
            found = np.load(folder / name / f"{number:04d}.npy", allow_pickle=False)
            np.testing.assert_array_equal(found, masked[label].data[number], strict=True)
    assert "cannot be seen or heard" in (folder / "notes.txt").read_text("utf-8")
