"""Figures 6 to 10, drawn from the activations of a run."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from colfw.report.figures.shapes import lines, scatter
from colfw.store.tables import Column
from colfw_experiments.pictures import WORKLOAD, Picture, ends, percent, text
from colfw_experiments.published import COLUMNS, ELEMENTS, FIG6, FIG10, JACCARD_MEAN
from colfw_experiments.reading import mean_of_elements, mean_of_sparse
from colfw_experiments.studied import OPERATING_POINT, SEVEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from colfw.report.figures import Figure
    from colfw_experiments.published import Published
    from colfw_experiments.reading import Found

    Rows = Sequence[dict[str, Any]]

_ITERATION: Final = Column("iteration", "integer", "1", "Denoising iteration, from 0")
_AT: Final = f"At threshold {OPERATING_POINT:g}."
_ORDER: Final = {WORKLOAD.name: SEVEN}


# --- Figure 6 -------------------------------------------------------------------------------------

_MEANS: Final = {ELEMENTS: ("elements", mean_of_elements), COLUMNS: ("columns", mean_of_sparse)}


def element_against_column(found: Found) -> tuple[Figure, ...]:
    picture = Picture(
        name="fig6-element-against-column",
        title="Figure 6: sparsity by element and by whole column",
        caption=f"{_AT} Means over iterations 1 and later. Grey: published, for some groups as a range."
        f" {found.basis}",
        key=(WORKLOAD, text("counted", "Elements or whole columns")),
        ours=(percent("sparsity", "Of all elements, or of all columns, over iterations 1 and later"),),
    )
    orders = {"counted": ("elements", "columns")}
    return picture.beside_published(_fig6(found), series="counted", panel="counted", orders=orders)


def _fig6(found: Found) -> Iterator[dict[str, Any]]:
    for workload in found.workloads:
        iterations = found.iterations(workload)
        for quantity, (counted, mean) in _MEANS.items():
            ours = mean(iterations)
            if ours is not None:
                printed = ends(_among(FIG6, workload, quantity))
                yield {WORKLOAD.name: workload, "counted": counted, "sparsity": ours, **printed}


def _among(published: tuple[Published, ...], workload: str, quantity: str) -> Published | None:
    return next((one for one in published if (one.model, one.quantity) == (workload, quantity)), None)


# --- Figures 7 and 9 ------------------------------------------------------------------------------


def over_iterations(found: Found) -> tuple[Figure, ...]:
    picture = Picture(
        name="fig7-column-sparsity-over-iterations",
        title="Figure 7: column sparsity over iterations",
        caption=f"{_AT} All layers of a workload together. {found.basis}",
        key=(WORKLOAD, _ITERATION),
        ours=(percent("column_sparsity", "Cold columns over columns, all layers together"),),
    )
    return _lines(
        picture,
        [
            {WORKLOAD.name: workload, _ITERATION.name: iteration, "column_sparsity": one.column_sparsity}
            for workload in found.workloads
            for iteration, one in enumerate(found.iterations(workload))
        ],
    )


def stability_over_iterations(found: Found) -> tuple[Figure, ...]:
    picture = Picture(
        name="fig9-jaccard-over-iterations",
        title="Figure 9: Jaccard index of the hot columns of consecutive iterations",
        caption=f"{_AT} All layers of a workload together. {found.basis}",
        key=(WORKLOAD, _ITERATION),
        ours=(Column("jaccard", "real", "index", "Columns hot in both iterations over those hot in either"),),
    )
    return _lines(
        picture,
        [
            {WORKLOAD.name: workload, _ITERATION.name: iteration, "jaccard": one.kept}
            for workload in found.workloads
            for iteration, one in enumerate(found.iterations(workload))
            if one.kept is not None and iteration > 1  # iteration 0 is dense: its hot set takes no part
        ],
    )


def _lines(picture: Picture, rows: Rows) -> tuple[Figure, ...]:
    if not rows:
        return ()
    drawn = lines(
        picture.table(rows),
        title=picture.title,
        caption=picture.caption,
        x=_ITERATION.name,
        y=picture.ours[0].name,
        series=WORKLOAD.name,
        orders=_ORDER,
    )
    return (drawn,)


# --- Figure 8 -------------------------------------------------------------------------------------


def against_rows(found: Found) -> tuple[Figure, ...]:
    picture = Picture(
        name="fig8-column-sparsity-against-rows",
        title="Figure 8: column sparsity of each layer against its rows",
        caption=f"{_AT} A point a layer, mean over iterations 1 and later. {found.basis}",
        key=(WORKLOAD, text("site", "The layer")),
        ours=(
            percent("column_sparsity", "Mean over iterations 1 and later"),
            Column("rows", "integer", "rows", "Rows M of the layer's activation in one iteration"),
        ),
    )
    rows = list(_fig8(found))
    if not rows:
        return ()
    drawn = scatter(
        picture.table(rows),
        title=picture.title,
        caption=picture.caption,
        x="rows",
        y="column_sparsity",
        series=WORKLOAD.name,
        orders=_ORDER,
        logs=("rows",),
    )
    return (drawn,)


def _fig8(found: Found) -> Iterator[dict[str, Any]]:
    for workload in found.workloads:
        layers = found.layers(workload)
        for site in found.sites.get(workload, ()):
            sparse = layers.get(site["site"], [])[1:]
            if sparse:
                yield {
                    WORKLOAD.name: workload,
                    "site": site["site"],
                    "rows": site["rows"],
                    "column_sparsity": fmean(sparse),
                }


# --- Figure 10 ------------------------------------------------------------------------------------


def mean_stability(found: Found) -> tuple[Figure, ...]:
    picture = Picture(
        name="fig10-mean-jaccard",
        title="Figure 10: how much of the hot columns stays, on average",
        caption=f"{_AT} Mean over iterations 1 and later. Grey: published. {found.basis}",
        key=(WORKLOAD,),
        ours=(
            Column("mean_jaccard", "real", "index", "Mean over iterations 1 and later, all layers together"),
            text("regime", "The verdict of colfw on these numbers"),
        ),
    )
    return picture.beside_published(_fig10(found), series="regime")


def _fig10(found: Found) -> Iterator[dict[str, Any]]:
    for workload in found.workloads:
        regime = found.regime(workload)
        if regime is not None:
            yield {
                WORKLOAD.name: workload,
                "regime": regime["regime"],
                "mean_jaccard": regime["mean_jaccard"],
                **ends(_among(FIG10, workload, JACCARD_MEAN)),
            }
