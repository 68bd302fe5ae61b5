"""Samples that nobody can see or hear, such as latents: their numbers, one NPY file a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from colfw.media.row import file_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from colfw.media.row import Row
    from colfw.samples import Samples


@frozen(kw_only=True)
class Arrays:
    """Samples of whatever form."""

    def remarks(self, label: str, samples: Samples) -> Iterator[str]:  # noqa: ARG002  (the same of all)
        yield f"Samples of {samples.modality} cannot be seen or heard: their numbers are in NPY files."

    def write(self, row: Row) -> Iterator[Path]:
        return write_arrays(row)

    def stills(self, samples: Sequence[NDArray[Any]]) -> list[Image]:  # noqa: ARG002
        return []


def write_arrays(row: Row) -> Iterator[Path]:
    for stem, sample in zip(row.alone, row.samples, strict=True):
        path = file_at(stem, ".npy")
        np.save(path, sample, allow_pickle=False)
        yield path
