"""From figures to files: SVG, PDF, the numbers as CSV and the specification, all without a network."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from attrs import frozen

from colfw.errors import InvariantError
from colfw.report.figures.figure import ROWS
from colfw.report.figures.settled import settled_pdf, settled_svg
from colfw.report.figures.theme import FONT, INK, THEME
from colfw.store.atomic import write_bytes, write_text
from colfw.store.tables import write_csv

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from colfw.report.figures.figure import Figure

GRAMMAR: Final = "6.4"
"""The version of Vega-Lite that charts are written in and the converter reads."""

_CAPTION_CHARACTERS: Final = 110
_CHARACTER_WIDTH: Final = 5.6
"""Of the caption's font, on average and rounded up, in pixels."""
_TITLE_HEIGHT, _LINE_HEIGHT, _MARGIN = 26, 14, 5
_OPENING: Final = re.compile(r'width="([\d.]+)" height="([\d.]+)" viewBox="0 0 [\d.]+ [\d.]+">')


@frozen(kw_only=True)
class Picture:
    """A figure that has been drawn; `svg` is the picture alone, for a page that writes title and caption."""

    figure: Figure
    svg: str

    @property
    def lettered_svg(self) -> str:
        """The picture below its title and caption, so that it never travels without what it rests on."""
        size = _OPENING.search(self.svg)
        assert size is not None
        width, height = float(size[1]), float(size[2])
        words = _lettering(self.figure, int((width - 2 * _MARGIN) / _CHARACTER_WIDTH))
        above = _TITLE_HEIGHT + _LINE_HEIGHT * len(words)
        box = (
            f'width="{width:g}" height="{height + above:g}" viewBox="0 {-above} {width:g} {height + above:g}"'
        )
        paper = f'<rect y="{-above}" width="{width:g}" height="{height + above:g}" fill="white"/>'
        lettering = f'<g transform="translate({_MARGIN},{-above})">{"".join(words)}</g>'
        return f"{self.svg[: size.start()]}{box}>{paper}{lettering}{self.svg[size.end() :]}"


def _lettering(figure: Figure, letters: int) -> list[str]:
    """Title and caption as lines of text, from the top of the picture down."""
    caption = textwrap.wrap(figure.caption, letters, break_on_hyphens=False)
    below = (_TITLE_HEIGHT + _LINE_HEIGHT * number for number in range(len(caption)))
    return [
        _text(figure.title, 18, 15),
        *(_text(line, y + 8, 11) for line, y in zip(caption, below, strict=True)),
    ]


def _text(line: str, y_px: int, size_px: int) -> str:
    look = f'font-family="{FONT}" font-size="{size_px}px" fill="{INK}"'
    return f'<text y="{y_px}" {look}>{escape(line)}</text>'


def draw(figure: Figure) -> Picture:
    import vl_convert  # noqa: PLC0415  (starts a JavaScript engine)

    try:
        # Without a single allowed address, a chart that would fetch something is refused.
        svg = vl_convert.vegalite_to_svg(specified(figure), vl_version=GRAMMAR, allowed_base_urls=[])
    except ValueError as error:
        first_line = str(error).strip().partition("\n")[0]
        raise InvariantError(f"cannot be drawn: {first_line}", where=f"figure {figure.name}") from error
    return Picture(figure=figure, svg=settled_svg(svg, figure.name))


def write_figures(
    figures: Iterable[Figure], folder: Path, *, beside: Iterable[Figure] = ()
) -> tuple[Picture, ...]:
    """For each figure `NAME.svg`, `NAME.pdf`, `NAME.csv` and `NAME.vl.json`; equal figures, equal bytes.

    `beside` names figures that lie in the folder already and are not to be overwritten.
    """
    wanted = list(figures)
    _check_distinct([figure.name for figure in (*beside, *wanted)])
    pictures = tuple(draw(figure) for figure in wanted)
    for picture in pictures:
        _write(picture, folder / picture.figure.name)
    return pictures


def _write(picture: Picture, stem: Path) -> None:
    import vl_convert  # noqa: PLC0415  (starts a JavaScript engine)

    svg = picture.lettered_svg
    specification = json.dumps(titled(picture.figure), indent=1)
    write_text(stem.with_name(f"{stem.name}.svg"), svg + "\n")
    write_bytes(stem.with_name(f"{stem.name}.pdf"), settled_pdf(vl_convert.svg_to_pdf(svg)))
    write_csv(picture.figure.data, stem.with_name(f"{stem.name}.csv"))
    write_text(stem.with_name(f"{stem.name}.vl.json"), specification + "\n")


def specified(figure: Figure) -> dict[str, Any]:
    """The whole specification: chart, numbers, theme, and what each column means in which unit."""
    columns = {
        column.name: {"unit": column.unit, "meaning": column.meaning} for column in figure.data.schema.columns
    }
    chart = {key: value for key, value in figure.chart.items() if key != "config"}
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{GRAMMAR}.json",
        "description": f"{figure.title}. {figure.caption}",
        **chart,
        "datasets": {**figure.chart.get("datasets", {}), ROWS: [dict(row) for row in figure.data.rows]},
        "config": THEME,
        "usermeta": {"columns": columns},
    }


def titled(figure: Figure) -> dict[str, Any]:
    """The specification with title and caption above the picture, for whoever opens it elsewhere."""
    caption = textwrap.wrap(figure.caption, _CAPTION_CHARACTERS)
    return {**specified(figure), "title": {"text": figure.title, "subtitle": caption}}


def _check_distinct(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvariantError(
                f"two figures are called {name!r}: one would overwrite the other", where="figures"
            )
