"""Figures 6 to 10: how sparse and how stable the columns are. No machine takes part in them."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from colfw_experiments import activation_figures as drawn
from colfw_experiments.claims import Claims, Missed
from colfw_experiments.published import (
    COLUMNS,
    COLUMNS_AT_0,
    COLUMNS_AT_1,
    COLUMNS_LATE,
    ELEMENTS,
    FIG6,
    FIG7,
    FIG8,
    FIG9,
    FIG10,
    JACCARD_MEAN,
    OF_LAYERS_AT_0,
)
from colfw_experiments.reading import mean_of_elements, mean_of_sparse
from colfw_experiments.reproduction import Reproduction
from colfw_experiments.studied import activations_of_seven

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from colfw.comparison import Comparison
    from colfw_experiments.published import Published
    from colfw_experiments.reading import Found

_SETTLED_ITERATION: Final = 40
"""From here on DiT's sparsity is printed as one number."""

PLAN: Final[Mapping[str, Any]] = activations_of_seven()


def fig6() -> Reproduction:
    return Reproduction(plan=PLAN, compare=compare_fig6, draw=drawn.element_against_column)


def fig7() -> Reproduction:
    return Reproduction(plan=PLAN, compare=compare_fig7, draw=drawn.over_iterations)


def fig8() -> Reproduction:
    return Reproduction(plan=PLAN, compare=compare_fig8, draw=drawn.against_rows)


def fig9() -> Reproduction:
    return Reproduction(plan=PLAN, compare=compare_fig9, draw=drawn.stability_over_iterations)


def fig10() -> Reproduction:
    return Reproduction(plan=PLAN, compare=compare_fig10, draw=drawn.mean_stability)


# --- element against column -----------------------------------------------------------------------

_FIG6: Final = Claims(table="fig6")


def compare_fig6(found: Found) -> Iterator[Comparison]:
    for published in FIG6:
        yield _FIG6.held(published, _fig6(found, published), published.tolerance)


def _fig6(found: Found, published: Published) -> float | None:
    iterations = found.iterations(published.model)
    elements, columns = mean_of_elements(iterations), mean_of_sparse(iterations)
    if published.quantity == ELEMENTS:
        return elements
    if published.quantity == COLUMNS:
        return columns
    return None if elements is None or columns is None else elements - columns


# --- over iterations ------------------------------------------------------------------------------

_FIG7: Final = Claims(table="fig7")


def compare_fig7(found: Found) -> Iterator[Comparison]:
    for published in FIG7:
        sparsity = [one.column_sparsity for one in found.iterations(published.model)]
        yield _FIG7.held(published, _fig7(sparsity, published.quantity), published.tolerance)


def _fig7(sparsity: list[float], quantity: str) -> float | None:
    chosen = {
        COLUMNS_AT_0: sparsity[:1],
        COLUMNS_AT_1: sparsity[1:2],
        COLUMNS_LATE: sparsity[_SETTLED_ITERATION:],
    }[quantity]
    return fmean(chosen) if chosen else None


# --- by layer -------------------------------------------------------------------------------------

_FIG8: Final = Claims(table="fig8")


def compare_fig8(found: Found) -> Iterator[Comparison]:
    for published in FIG8:
        layers = found.layers(published.model).values()
        if published.quantity == OF_LAYERS_AT_0:
            values = [layer[0] for layer in layers]
        else:
            values = [fmean(layer[1:]) for layer in layers if layer[1:]]
        yield from _FIG8.ends(published, values, published.tolerance)


# --- stability ------------------------------------------------------------------------------------

_FIG9: Final = Claims(table="fig9")
_FIG10: Final = Claims(
    table="fig10",
    missed=(
        Missed(
            models=("sd-v1-4",),
            quantities=(JACCARD_MEAN,),
            why="the Jaccard of consecutive hot sets is at least 1 - (sum of their cold shares), so a mean of"
            " 0.906 needs a mean column sparsity above 4.7 %; the cycle reduction of 3.9 % says 4.0 %, and"
            " that is followed",
        ),
    ),
)


def compare_fig9(found: Found) -> Iterator[Comparison]:
    for published in FIG9:
        yield _FIG9.held(published, _regime(found, published, "min_jaccard"), published.tolerance)


def compare_fig10(found: Found) -> Iterator[Comparison]:
    for published in FIG10:
        yield _FIG10.held(published, _regime(found, published, "mean_jaccard"), published.tolerance)


def _regime(found: Found, published: Published, column: str) -> float | None:
    row = found.regime(published.model)
    return None if row is None else float(row[column])
