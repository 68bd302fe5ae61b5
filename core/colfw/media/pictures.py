"""Pictures of values from -1 to 1, and sheets of labelled pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SMALLEST_SIDE: Final = 96
"""Pictures whose longer side has fewer pixels are scaled up by a whole factor to at least this."""

WHITE: Final = 255
BLACK: Final = 0
_GAP: Final = 6
_TEXT_SIZE: Final = 13
_LINE: Final = 20
"""Height in pixels of a line of text."""
_LONGEST_LABEL: Final = 40


def shades(values: NDArray[Any]) -> NDArray[np.uint8]:
    """-1 is 0, 1 is 255; what lies outside is drawn as the nearer end."""
    inside = np.clip(values, -1, 1).astype(np.float64)
    scaled: NDArray[np.uint8] = np.rint((inside + 1) * 127.5).astype(np.uint8)
    return scaled


def picture(values: NDArray[Any]) -> Image.Image:
    """`[channel, height, width]`, one channel or three, as it is: a pixel for a pixel."""
    pixels = shades(values)
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1).copy())


def enlarged(small: Image.Image) -> Image.Image:
    """Scaled up by a whole factor where it is tiny; every pixel becomes a square, none is invented."""
    factor = -(-SMALLEST_SIDE // max(small.size))
    return small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)


def beside(pictures: Sequence[Image.Image], *, gap: int = 0) -> Image.Image:
    """Pictures in a line from left to right, on white."""
    places = np.cumsum([0, *(each.width + gap for each in pictures)]).tolist()
    line = _canvas(places.pop() - gap, max(each.height for each in pictures), pictures)
    for left, each in zip(places, pictures, strict=True):
        line.paste(each, (left, 0))
    return line


def stacked(lines: Sequence[Image.Image], *, gap: int = _GAP) -> Image.Image:
    """Pictures below one another, on white."""
    places = np.cumsum([0, *(each.height + gap for each in lines)]).tolist()
    page = _canvas(max(each.width for each in lines), places.pop() - gap, lines)
    for top, each in zip(places, lines, strict=True):
        page.paste(each, (0, top))
    return page


def labelled(pictures: Sequence[Image.Image], labels: Sequence[str]) -> Image.Image:
    """Pictures in a line, what each is written above it."""
    columns = [
        stacked([_text(label, each.width), _widened(each, _text_width(label))], gap=0)
        for label, each in zip(labels, pictures, strict=True)
    ]
    return beside(columns, gap=_GAP)


def sheet(rows: Sequence[Sequence[Image.Image]], labels: Sequence[str], names: Sequence[str]) -> Image.Image:
    """A row a sample and a column a set; labels stand above the columns, names before the rows."""
    margin = max(_text_width(name) for name in names)
    lines = [labelled(rows[0], labels)]
    widths = [max(each.width, _text_width(label)) for label, each in zip(labels, rows[0], strict=True)]
    lines += [
        beside([_widened(each, width) for each, width in zip(row, widths, strict=True)], gap=_GAP)
        for row in rows[1:]
    ]
    named = [
        beside([_text(name, margin, line.height - row[0].height), line])
        for name, line, row in zip(names, lines, rows, strict=True)
    ]
    return stacked(named)


def _canvas(width: int, height: int, pictures: Sequence[Image.Image]) -> Image.Image:
    if all(each.mode == "L" for each in pictures):
        return Image.new("L", (width, height), WHITE)
    return Image.new("RGB", (width, height), (WHITE, WHITE, WHITE))


def _widened(narrow: Image.Image, width: int) -> Image.Image:
    canvas = _canvas(max(narrow.width, width), narrow.height, [narrow])
    canvas.paste(narrow, (0, 0))
    return canvas


def _text(text: str, width: int, top: int = 0) -> Image.Image:
    line = Image.new("L", (max(width, _text_width(text)), top + _LINE), WHITE)
    ImageDraw.Draw(line).text((1, top + 2), _shortened(text), fill=BLACK, font=_font())
    return line


def _text_width(text: str) -> int:
    return int(_font().getlength(_shortened(text))) + 2 * _GAP


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_LABEL else f"{line[:_LONGEST_LABEL]} ..."


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT_SIZE)
