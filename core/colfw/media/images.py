"""Images: a PNG of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from colfw.media.pictures import enlarged, picture
from colfw.media.row import file_at, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from colfw.media.row import Row
    from colfw.samples import Samples


@frozen(kw_only=True)
class Images:
    """`[channel, height, width]` from -1 to 1."""

    def remarks(self, label: str, samples: Samples) -> Iterator[str]:
        yield from remark_on_range(label, samples)

    def write(self, row: Row) -> Iterator[Path]:
        for stem, sample in zip(row.alone, row.samples, strict=True):
            path = file_at(stem, ".png")
            picture(sample).save(path)
            yield path

    def stills(self, samples: Sequence[NDArray[Any]]) -> list[Image]:
        return [enlarged(picture(sample)) for sample in samples]


def remark_on_range(label: str, samples: Samples) -> Iterator[str]:
    """Says how much of a set cannot be drawn as it is."""
    each = [trimmed(samples, number) for number in range(len(samples))]
    outside = sum(int(np.count_nonzero(np.abs(sample) > 1)) for sample in each)
    if outside:
        values = sum(sample.size for sample in each)
        yield f"{label}: {outside} of {values} values lie outside -1 to 1, drawn as the nearer end."
