"""All reproductions in one run: each case is simulated once, each number compared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colfw_experiments import activations, reductions, table1, table3
from colfw_experiments.machines import PAPER, PAPER_TEMPLATE, REFERENCE
from colfw_experiments.reproduction import Reproduction
from colfw_experiments.studied import GATHERED, PER_LAYER, STREAMED, SWEEP, activations_of_seven, layouts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colfw.comparison import Comparison
    from colfw.report.figures import Figure
    from colfw_experiments.reading import Found

_PARTS: Final = (
    table1.table1,
    table3.table3,
    reductions.table4,
    activations.fig6,
    activations.fig7,
    activations.fig8,
    activations.fig9,
    activations.fig10,
    reductions.fig11,
    reductions.fig12,
    reductions.fig13,
)
"""In the order of the publication."""


def everything() -> Reproduction:
    plan = activations_of_seven(
        SWEEP,
        target_hot_ratios=list(SWEEP),
        target_element_ratios=list(SWEEP),
        layouts=layouts("row-major", GATHERED, STREAMED, PER_LAYER),
        machines=[dict(machine) for machine in (PAPER, PAPER_TEMPLATE, REFERENCE)],
    )
    return Reproduction(plan=plan, compare=compare, draw=draw)


def compare(found: Found) -> Iterator[Comparison]:
    for part in _PARTS:
        yield from part().compare(found)


def draw(found: Found) -> Iterator[Figure]:
    for part in _PARTS:
        yield from part().draw(found)
