"""Figures 11 to 13, drawn from the reductions of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from colfw.masks import MaskPolicy
from colfw_experiments.machines import PAPER, REFERENCE
from colfw_experiments.pictures import WORKLOAD, Picture, ends, percent, text
from colfw_experiments.published import PER_LAYER_AT_0164, PER_LAYER_SWEEP, UNIFORM_AT_0164, UNIFORM_SWEEPS
from colfw_experiments.studied import GATHERED, OPERATING_POINT, PER_LAYER, STREAMED, SWEEP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from colfw.report.figures import Figure
    from colfw_experiments.published import Published
    from colfw_experiments.reading import Found

_PAPER: Final = str(PAPER["name"])
_REFERENCE: Final = str(REFERENCE["name"])
_MACHINES: Final = (_PAPER, _REFERENCE)

_REDUCTION: Final = percent("cycle_reduction", "Core cycles saved, of those of the dense run")
_ALONG: Final = text("value", "The threshold, or the share that is to be hot in each layer")
_CASE: Final = text("case", "Machine, and how the layout is used")
_LAYOUT: Final = text("layout", "The layout, and what its target is a share of")


@frozen(kw_only=True)
class _Case:
    """A machine and a layout under masks of one kind, as a legend calls them."""

    name: str
    machine: str
    layout: str
    policy: Callable[[float], MaskPolicy]

    def rows(self, found: Found, value: float) -> Iterator[dict[str, Any]]:
        """The reduction of each workload that was run so."""
        for workload in found.workloads:
            reduction = found.reduction(workload, self.machine, self.layout, self.policy(value).label)
            if reduction is not None:
                yield {WORKLOAD.name: workload, _CASE.name: self.name, _REDUCTION.name: reduction}


_UNIFORM: Final = tuple(
    _Case(name=how, machine=_PAPER, layout=layout, policy=MaskPolicy.uniform)
    for how, layout in (("gathered", GATHERED), ("streamed", STREAMED))
)
_PER_LAYER: Final = tuple(
    _Case(name=reading, machine=_PAPER, layout=PER_LAYER, policy=policy)
    for reading, policy in (
        ("hot columns", MaskPolicy.per_layer),
        ("hot elements", MaskPolicy.per_layer_elements),
    )
)


# --- sweeps ---------------------------------------------------------------------------------------


def uniform_sweep(found: Found) -> tuple[Figure, ...]:
    ranges = {
        (one.model, tau): one for taus, swept in UNIFORM_SWEEPS.items() for one in swept for tau in taus
    }
    points = {(one.model, OPERATING_POINT): one for one in UNIFORM_AT_0164}
    picture = Picture(
        name="fig11-uniform-sweep",
        title="Figure 11: cycle reduction with one threshold",
        caption="Cold columns of the hot region skipped one by one (gathered), as the study must have done,"
        " or fetched with it in one piece (streamed). Grey: what is printed for the threshold, or the range"
        f" over several. {found.basis}",
        key=(_ALONG, WORKLOAD, _CASE),
        ours=(_REDUCTION,),
    )
    return _sweep(found, picture, _UNIFORM, ranges | points)


def per_layer_sweep(found: Found) -> tuple[Figure, ...]:
    ranges = {(one.model, target): one for one in PER_LAYER_SWEEP for target in SWEEP}
    points = {(one.model, OPERATING_POINT): one for one in PER_LAYER_AT_0164}
    picture = Picture(
        name="fig12-per-layer-sweep",
        title="Figure 12: cycle reduction with a threshold a layer",
        caption="The target as a share of hot columns, as the study defines it, and of hot elements, as its"
        " numbers have it. Grey: what is printed for the target, or the range over all of them."
        f" {found.basis}",
        key=(_ALONG, WORKLOAD, _CASE),
        ours=(_REDUCTION,),
    )
    return _sweep(found, picture, _PER_LAYER, ranges | points)


def _sweep(
    found: Found,
    picture: Picture,
    cases: tuple[_Case, ...],
    printed: Mapping[tuple[str, float], Published],
) -> tuple[Figure, ...]:
    rows = [
        {_ALONG.name: f"{value:g}", **row, **ends(printed.get((row[WORKLOAD.name], value)))}
        for value in SWEEP
        for case in cases
        for row in case.rows(found, value)
    ]
    orders = {_ALONG.name: [f"{value:g}" for value in SWEEP], _CASE.name: [case.name for case in cases]}
    return picture.beside_published(rows, series=_CASE.name, panel=WORKLOAD.name, orders=orders)


# --- side by side ---------------------------------------------------------------------------------


def side_by_side(found: Found) -> tuple[Figure, ...]:
    uniform = {one.model: one for one in UNIFORM_AT_0164}
    per_layer = {one.model: one for one in (*PER_LAYER_SWEEP, *PER_LAYER_AT_0164)}
    panels = {
        "uniform": (_on_both(GATHERED, MaskPolicy.uniform), uniform),
        "per-layer, hot columns": (_on_both(PER_LAYER, MaskPolicy.per_layer), per_layer),
        "per-layer, hot elements": (_on_both(PER_LAYER, MaskPolicy.per_layer_elements), per_layer),
    }
    picture = Picture(
        name="fig13-side-by-side",
        title=f"Figure 13: cycle reductions at {OPERATING_POINT:g}",
        caption="Cold columns skipped one by one. Grey: what is printed; for a threshold a layer the range of"
        f" the sweep where the point itself is not. {found.basis}",
        key=(WORKLOAD, _CASE, _LAYOUT),
        ours=(_REDUCTION,),
    )
    rows = [
        {**row, _LAYOUT.name: name, **ends(printed.get(row[WORKLOAD.name]))}
        for name, (cases, printed) in panels.items()
        for case in cases
        for row in case.rows(found, OPERATING_POINT)
    ]
    return picture.beside_published(
        rows, series=_CASE.name, panel=_LAYOUT.name, orders={_LAYOUT.name: list(panels)}
    )


def _on_both(layout: str, policy: Callable[[float], MaskPolicy]) -> tuple[_Case, ...]:
    return tuple(_Case(name=machine, machine=machine, layout=layout, policy=policy) for machine in _MACHINES)


def nothing(_: Found) -> Iterable[Figure]:
    """What there is to see of Table 4 without metrics is in Figure 13."""
    return ()
