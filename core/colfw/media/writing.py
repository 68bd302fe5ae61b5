"""A folder of samples: each alone, and dense and masked side by side.

FOLDER/notes.txt           what is what, and how the files differ from the numbers
FOLDER/dense/0000.png      a sample as its set has it; tau=0.2/0000.png the same one masked
FOLDER/side-by-side.png    a row a sample and a column a set
FOLDER/side-by-side/0000.gif  all sets of one sample in one file, where they move or sound
"""

from __future__ import annotations

import re
import unicodedata
from itertools import count
from typing import TYPE_CHECKING, Final

from attrs import frozen

from colfw.errors import InvariantError, StoreError
from colfw.media.modalities import medium_of
from colfw.media.pictures import sheet
from colfw.media.row import Row, trimmed
from colfw.store.atomic import new_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from colfw.media.row import Medium
    from colfw.samples import Samples

DENSE: Final = "dense"
TOGETHER: Final = "side-by-side"
SHEET: Final = f"{TOGETHER}.png"
NOTES: Final = "notes.txt"
LARGEST_SHEET: Final = 16_000_000
"""Pixels of a sheet; what does not fit goes on a second one."""
_LONGEST_NAME: Final = 60


def write_samples(
    folder: Path, dense: Samples, masked: Mapping[str, Samples], *, limit: int | None = None
) -> tuple[Path, ...]:
    """Write the first `limit` samples, or all, of the dense set and of each masked one by its label.

    The folder is new, and whole or absent; equal samples give equal bytes. Returns the files.
    """
    compared = _Compared.of(dense, masked, limit)
    medium = medium_of(compared.sets[DENSE])
    _refuse_taken(folder)
    with new_directory(folder) as temporary:
        written = [*_samples(temporary, compared, medium), _notes(temporary, compared, medium)]
        # Another process may have been quicker, and what it wrote need not be the same.
        _refuse_taken(folder)
    return tuple(folder / path.relative_to(temporary) for path in written)


@frozen(kw_only=True)
class _Compared:
    """Sets of the same seed by their label, and the name of the folder of each; the dense one first."""

    sets: Mapping[str, Samples]
    folders: Mapping[str, str]

    @classmethod
    def of(cls, dense: Samples, masked: Mapping[str, Samples], limit: int | None) -> _Compared:
        if limit is not None and limit < 1:
            raise InvariantError(f"must be at least 1, not {limit}", where="limit")
        if DENSE in masked:
            raise InvariantError(f"no masked set can be called {DENSE!r}", where="masked samples")
        for label, samples in masked.items():
            _check_pairs(dense, samples, label)
        sets = {label: samples.at(slice(limit)) for label, samples in ((DENSE, dense), *masked.items())}
        return cls(sets=sets, folders=_folder_names(sets))

    def __len__(self) -> int:
        return len(self.sets[DENSE])

    def row(self, folder: Path, number: int) -> Row:
        name = f"{number:04d}"
        return Row(
            labels=tuple(self.sets),
            samples=tuple(trimmed(samples, number) for samples in self.sets.values()),
            alone=tuple(folder / self.folders[label] / name for label in self.sets),
            together=folder / TOGETHER / name,
        )


def _check_pairs(dense: Samples, masked: Samples, label: str) -> None:
    for name in ("modality", "seed", "rate_hz"):
        ours, theirs = getattr(dense, name), getattr(masked, name)
        if ours != theirs:
            raise InvariantError(f"{name} is {theirs}, and that of the dense set {ours}", where=label)
    if dense.data.shape != masked.data.shape:
        raise InvariantError(
            f"shape is {masked.data.shape}, and that of the dense set {dense.data.shape}", where=label
        )


def _samples(folder: Path, compared: _Compared, medium: Medium) -> Iterator[Path]:
    for number in range(len(compared)):
        yield from medium.write(compared.row(folder, number))
    yield from _sheets(folder, compared, medium)


def _sheets(folder: Path, compared: _Compared, medium: Medium) -> Iterator[Path]:
    """As many as are needed; one at a time is in memory."""
    first = medium.stills(compared.row(folder, 0).samples)
    if not first:
        return
    rows = max(1, LARGEST_SHEET // sum(still.width * still.height for still in first))
    for page, begin in enumerate(range(0, len(compared), rows), start=1):
        shown = [compared.row(folder, number) for number in range(len(compared))[begin : begin + rows]]
        path = folder / (SHEET if page == 1 else f"{TOGETHER}-{page}.png")
        stills = [medium.stills(row.samples) for row in shown]
        sheet(stills, tuple(compared.sets), [row.together.name for row in shown]).save(path)
        yield path


def _notes(folder: Path, compared: _Compared, medium: Medium) -> Path:
    dense = compared.sets[DENSE]
    lines = [f"{len(compared)} samples of {dense.modality}, seed {dense.seed}; equal numbers are a pair.", ""]
    for label, name in compared.folders.items():
        digest = compared.sets[label].mask_digest
        lines.append(f"{name}/ holds {label}" + (f", masks {digest}" if digest else ""))
    lines.append(
        f"{TOGETHER} holds all of them, from the left or one after another: {', '.join(compared.sets)}"
    )
    remarks = [line for label, samples in compared.sets.items() for line in medium.remarks(label, samples)]
    path = folder / NOTES
    path.write_bytes("\n".join([*lines, "", *dict.fromkeys(remarks), ""]).encode())
    return path


def _refuse_taken(folder: Path) -> None:
    if folder.exists():
        raise StoreError(
            "is there already", where=str(folder), hint="choose another folder, or move this one away"
        )


def _folder_names(labels: Iterable[str]) -> dict[str, str]:
    """A name for each label that works on every file system and differs in more than case."""
    names: dict[str, str] = {}
    for label in labels:
        numbered = (_plain(label) if number == 1 else f"{_plain(label)}-{number}" for number in count(1))
        taken = {TOGETHER, SHEET, NOTES, *(name.casefold() for name in names.values())}
        names[label] = next(name for name in numbered if name.casefold() not in taken)
    return names


def _plain(label: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", label).encode("ascii", "replace").decode()
    return re.sub(r"[^A-Za-z0-9=._+-]+", "_", ascii_only)[:_LONGEST_NAME].strip(".") or "masked"
