"""A set of samples as one small picture, for a page that has little room."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

from colfw.errors import UnavailableError
from colfw.media.modalities import medium_of
from colfw.media.pictures import beside, stacked
from colfw.media.row import trimmed

if TYPE_CHECKING:
    from PIL.Image import Image

    from colfw.samples import Samples

WIDTH: Final = 640
_GAP: Final = 6
_LARGEST: Final = ((WIDTH - _GAP) // 2, 128)
"""Larger pictures of a sample are made smaller."""


def preview(samples: Samples, *, limit: int = 8) -> bytes:
    """A PNG of the first samples, at most 640 pixels wide; UnavailableError where there is nothing to see."""
    medium = medium_of(samples)
    shown = range(min(limit, len(samples)))
    stills = [_small(still) for number in shown for still in medium.stills([trimmed(samples, number)])]
    if not stills:
        raise UnavailableError("cannot be shown", where=f"{samples.modality} samples of seed {samples.seed}")
    a_line = max(1, (WIDTH + _GAP) // (max(still.width for still in stills) + _GAP))
    lines = [stills[first : first + a_line] for first in range(0, len(stills), a_line)]
    page = BytesIO()
    stacked([beside(line, gap=_GAP) for line in lines]).save(page, "PNG")
    return page.getvalue()


def _small(still: Image) -> Image:
    still.thumbnail(_LARGEST)
    return still
