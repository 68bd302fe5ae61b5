"""One sample as each set has it, and what a modality must know to show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from colfw.samples import Samples


@frozen(kw_only=True)
class Row:
    """Samples of one seed and index, the dense one first: what differs between them, masks did.

    `alone` is the path of each without a suffix, `together` that of files that hold all of them.
    """

    labels: tuple[str, ...]
    samples: tuple[NDArray[Any], ...]
    alone: tuple[Path, ...]
    together: Path


class Medium(Protocol):
    """How samples of a modality are shown."""

    def remarks(self, label: str, samples: Samples) -> Iterator[str]:
        """What one who looks at the files of a set should know: whatever differs from the numbers."""

    def write(self, row: Row) -> Iterator[Path]:
        """The files of a row; each path is told when its file is there."""

    def stills(self, samples: Sequence[NDArray[Any]]) -> list[Image]:
        """A picture of each sample of a row, all of one scale; none where there is nothing to see."""


def trimmed(samples: Samples, number: int) -> NDArray[Any]:
    """One sample without its padding."""
    sample: NDArray[Any] = samples.data[number]
    return sample if samples.lengths is None else sample[: samples.lengths[number]]


def file_at(stem: Path, suffix: str) -> Path:
    """The path of a file, in a folder that is there."""
    stem.parent.mkdir(exist_ok=True)
    return stem.with_name(f"{stem.name}{suffix}")
