"""One look for all figures: told apart without colour vision, readable in print and without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# The converter brings the first of these along; the others have its widths, for browsers without it.
FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"

# Okabe and Ito, "Color universal design": yellow is left out, which is too faint for lines on white.
COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKS: Final = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
DASHES: Final = ((1, 0), (6, 2), (2, 2), (8, 2, 2, 2), (4, 4))
"""Colours, marks and dashes come in numbers without a common factor: together they repeat after 210."""

RANGE_COLOUR: Final = "#c8ccd0"
INK: Final = "#1f2328"
_GRID: Final = "#e4e7eb"

_AXIS: Final[Mapping[str, Any]] = {
    "labelColor": INK,
    "titleColor": INK,
    "titleFontWeight": "normal",
    "labelFontSize": 11,
    "titleFontSize": 12,
    "gridColor": _GRID,
    "domainColor": INK,
    "tickColor": INK,
    "labelLimit": 320,
}

THEME: Final[Mapping[str, Any]] = {
    "background": "white",
    "font": FONT,
    "axis": _AXIS,
    "header": {"labelFontSize": 12, "labelColor": INK, "labelFontWeight": "normal"},
    "legend": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 320},
    "title": {
        "anchor": "start",
        "frame": "group",
        "fontSize": 15,
        "fontWeight": "normal",
        "color": INK,
        "subtitleColor": INK,
        "subtitleFontSize": 11,
        "offset": 12,
    },
    "view": {"stroke": None},
    "line": {"strokeWidth": 1.8},
    "point": {"size": 40, "filled": True, "opacity": 1},
    "range": {"category": list(COLOURS), "symbol": list(MARKS)},
}
