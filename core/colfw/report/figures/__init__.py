"""Figures: tables drawn once, in Vega-Lite, for the page, for print and for whoever wants the numbers.

`figure` says what a figure is, `shapes` draws the usual ones, `standard` those of every run, and
`drawing` makes files of them.
"""

from colfw.report.figures.drawing import write_figures
from colfw.report.figures.figure import Figure

__all__ = ["Figure", "write_figures"]
