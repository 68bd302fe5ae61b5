"""Videos: an animation of each, and one of all sets side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from colfw.media.animation import animate, remarks_on_animations
from colfw.media.images import remark_on_range
from colfw.media.pictures import beside, enlarged, labelled, picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

    from colfw.media.row import Row
    from colfw.samples import Samples

ASSUMED_HZ: Final = 8.0
STILLS: Final = 4
"""How many moments of a sample a sheet shows."""


@frozen(kw_only=True)
class Videos:
    """`[frame, channel, height, width]` from -1 to 1."""

    rate_hz: float | None

    def remarks(self, label: str, samples: Samples) -> Iterator[str]:
        yield from remark_on_range(label, samples)
        if samples.data.shape[2] > 1:
            yield "GIFs hold 256 colours a frame, the nearest to those of the samples; stills and MP4 all."
        yield from remarks_on_animations(self.rate_hz, ASSUMED_HZ)

    def write(self, row: Row) -> Iterator[Path]:
        rate = self.rate_hz or ASSUMED_HZ
        videos = [[enlarged(picture(frame)) for frame in sample] for sample in row.samples]
        for stem, frames in zip(row.alone, videos, strict=True):
            yield from animate(stem, frames, rate)
        yield from animate(row.together, together(videos, row.labels), rate)

    def stills(self, samples: Sequence[NDArray[Any]]) -> list[Image]:
        return [
            beside([enlarged(picture(sample[moment])) for moment in moments(len(sample), STILLS)], gap=2)
            for sample in samples
        ]


def together(videos: Sequence[Sequence[Image]], labels: Sequence[str]) -> list[Image]:
    """Frames that show all videos at the same moment; one that ended keeps its last frame."""
    longest = max(len(frames) for frames in videos)
    return [
        labelled([frames[min(moment, len(frames) - 1)] for frames in videos], labels)
        for moment in range(longest)
    ]


def moments(frames: int, count: int) -> list[int]:
    """So many frames from the first to the last, evenly; the same ones again where there are too few."""
    chosen: list[int] = np.linspace(0, frames - 1, count).round().astype(int).tolist()
    return chosen
