"""The figures of every run: where time goes, what a layout saves, and how sparse and stable columns are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from colfw.masks import MaskPolicy
from colfw.report.evidence import evidence_of
from colfw.report.figures.shapes import grouped_bars, lines, stacked_bars, trade_off
from colfw.report.schemas import TIMING, TRADE_OFF
from colfw.store.tables import Column, Table, TableSchema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from colfw.report.figures.figure import Figure

    Row = Mapping[str, Any]

_PARTS: Final = ("compute", "stall", "other")
_CAUSES: Final = {"by_work": "less work", "by_traffic": "fewer bytes", "by_locality": "quicker bytes"}

_KNOWN: Final = {column.name: column for column in TIMING.columns}
_WORKLOAD, _EVIDENCE, _MACHINE = _KNOWN["workload"], _KNOWN["evidence"], _KNOWN["machine"]
_MASK, _ITERATION = _KNOWN["mask"], _KNOWN["iteration"]
_SEED = _KNOWN["seed"]
_CYCLES_SAVED, _BEST, _BEYOND_CLIFF = (
    column for column in TRADE_OFF.columns if column.name in {"cycle_reduction", "best", "beyond_cliff"}
)
_CASE = Column("case", "text", "name", "Layout and mask")


def standard_figures(tables: Mapping[str, Table]) -> tuple[Figure, ...]:
    """Those figures for which the tables of a run have rows."""
    totals, reductions, sparsity = (
        tables[name].rows if name in tables else () for name in ("totals", "reductions", "sparsity")
    )
    scored = tables["trade_off"].rows if "trade_off" in tables else ()
    drawn = (
        *_trade_offs(scored),
        _time(totals),
        _reduction(totals),
        _causes(reductions),
        _element_against_column(sparsity),
        _over_iterations("column_sparsity", sparsity),
        _over_iterations("jaccard", sparsity),
    )
    return tuple(figure for figure in drawn if figure is not None)


# One function for each figure ---------------------------------------------------------------------------


def _time(totals: Sequence[Row]) -> Figure | None:
    means = _Means(keys=("workload", "machine", "part"))
    for row in totals:
        if _is_baseline(row) and row["core_cycles"]:
            for part in _PARTS:
                means.add({**row, "part": part}, row[f"{part}_core_cycles"] / row["core_cycles"])
    table = means.table(
        "time-breakdown",
        "Where the time of the dense run goes.",
        (_MACHINE, Column("part", "text", "name", "Compute, memory stall or other")),
        Column("core_cycle_share", "real", "1", "Cycles of the part over all core cycles"),
    )
    if table is None:
        return None
    return stacked_bars(
        table,
        title="Where the time of the dense run goes",
        caption="Core cycles in which the array computes, waits for memory, or does neither. " + means.basis,
        x="workload",
        y="core_cycle_share",
        series="part",
        panel="machine",
        orders={"part": _PARTS},
    )


def _reduction(totals: Sequence[Row]) -> Figure | None:
    means = _Means(keys=("workload", "machine", "case"))
    for row in totals:
        if row["cycle_reduction"] is not None and not _is_baseline(row):
            means.add({**row, "case": _case_of(row)}, row["cycle_reduction"])
    table = means.table(
        "cycle-reduction",
        "What each layout and mask saves.",
        (_MACHINE, _CASE),
        Column("cycle_reduction", "real", "1", "1 - core cycles / core cycles of the dense run"),
    )
    if table is None:
        return None
    return grouped_bars(
        table,
        title="Core cycles saved against the dense run",
        caption="For each layout and mask, on each machine. " + means.basis,
        x="case",
        y="cycle_reduction",
        series="machine",
        panel="workload",
    )


def _causes(reductions: Sequence[Row]) -> Figure | None:
    means = _Means(keys=("workload", "panel", "case", "cause"))
    for row in reductions:
        for column, cause in _CAUSES.items():
            if row[column] is not None:
                panel = f"{row['workload']}, {row['machine']}"
                means.add({**row, "panel": panel, "case": _case_of(row), "cause": cause}, row[column])
    table = means.table(
        "reduction-causes",
        "Where reductions come from.",
        (
            Column("panel", "text", "name", "Workload and machine"),
            _CASE,
            Column("cause", "text", "name", "What saves the cycles"),
        ),
        Column("cycle_reduction", "real", "1", "Share of the dense run's core cycles that the cause saves"),
    )
    if table is None:
        return None
    return stacked_bars(
        table,
        title="What saves the cycles",
        caption="Parts of the reduction: computing fewer columns, moving fewer bytes, and moving the rest"
        " quicker; what lies below zero costs time. Where no layout fetches everything, less work is part"
        " of the other two. " + means.basis,
        x="case",
        y="cycle_reduction",
        series="cause",
        panel="panel",
        orders={"cause": tuple(_CAUSES.values())},
    )


def _element_against_column(sparsity: Sequence[Row]) -> Figure | None:
    means = _Means(keys=("workload", "counted", "tau"))
    for row in sparsity:
        if row["iteration"] and row["mask"] == MaskPolicy.uniform(row["tau"]).label:
            for counted in ("element", "column"):
                share = row[f"{counted}_sparsity"]
                if share is not None:
                    means.add({**row, "counted": f"{counted}s"}, share, row["columns"])
    table = means.table(
        "element-and-column-sparsity",
        "Sparsity by element and by whole column.",
        (
            Column("counted", "text", "name", "Elements or whole columns"),
            Column("tau", "real", "activation", "The threshold, one for all sites"),
        ),
        Column("sparsity", "real", "1", "Share of elements, or of columns, that do not exceed tau"),
    )
    if table is None:
        return None
    return lines(
        table,
        title="Sparsity by element and by whole column",
        caption="A column is cold when none of its elements exceeds tau. Means over iterations 1 and later"
        " and over sites, weighted by columns; elements are counted at the thresholds of the profile's grid"
        " only. " + means.basis,
        x="tau",
        y="sparsity",
        series="counted",
        panel="workload",
        orders={"counted": ("elements", "columns")},
    )


_OVER_ITERATIONS: Final = {
    "column_sparsity": (
        "column-sparsity-over-iterations",
        "Column sparsity over iterations",
        "Cold columns over all columns. ",
    ),
    "jaccard": (
        "jaccard-over-iterations",
        "How much of the hot columns stays from one iteration to the next",
        "Intersection over union of the hot columns of an iteration and the one before; mean over sites,"
        " weighted by columns. ",
    ),
}


def _over_iterations(quantity: str, sparsity: Sequence[Row]) -> Figure | None:
    means = _Means(keys=("workload", "mask", "iteration"))
    for row in sparsity:
        if row[quantity] is not None:
            means.add(row, row[quantity], row["columns"])
    name, title, caption = _OVER_ITERATIONS[quantity]
    unit = Column(quantity, "real", "1", caption.strip())
    table = means.table(name, f"{title}.", (_MASK, _ITERATION), unit)
    if table is None:
        return None
    return lines(
        table,
        title=title,
        caption=caption + means.basis,
        x="iteration",
        y=quantity,
        series="mask",
        panel="workload",
    )


def _trade_offs(rows: Sequence[Row]) -> Iterator[Figure]:
    """One for each metric: its values know no other's scale."""
    for metric in dict.fromkeys(row["metric"] for row in rows):
        scored = [_trade_off_row(row) for row in rows if row["metric"] == metric]
        unit, direction = (
            next(row[name] for row in rows if row["metric"] == metric) for name in ("unit", "direction")
        )
        columns = (
            *(_WORKLOAD, _EVIDENCE, _SEED, _MACHINE, _MASK, _CYCLES_SAVED, _BEST, _BEYOND_CLIFF),
            Column("panel", "text", "name", "Workload and machine"),
            Column("sweep", "text", "name", "Layout, and what is swept"),
            Column("score", "real", unit, f"{metric}: {direction}"),
        )
        key = ("workload", "seed", "machine", "sweep", "mask")
        schema = TableSchema(
            name=f"trade-off-{_plain(metric)}", meaning=f"What {metric} costs.", columns=columns, key=key
        )
        yield trade_off(
            Table(schema, [{column.name: row[column.name] for column in columns} for row in scored]),
            title=f"{metric} against core cycles saved",
            caption=f"{direction.capitalize()}. Ringed: no other mask or layout saves as much at as good a"
            " score. Crossed: quality has broken down since the mask before. "
            + evidence_of((row["workload"], row["evidence"]) for row in scored),
            x="cycle_reduction",
            y="score",
            series="sweep",
            ringed="best",
            crossed="beyond_cliff",
            panel="panel",
        )


def _trade_off_row(row: Row) -> Row:
    return {
        **row,
        "panel": f"{row['workload']}, {row['machine']}",
        "sweep": f"{row['layout']}, {row['sweep']}",
        "score": row["value"],
    }


def _plain(name: str) -> str:
    """A name of letters, digits and dashes, as files have it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


# From rows to the means that are drawn -------------------------------------------------------------------


@frozen(kw_only=True)
class _Means:
    """Weighted means of a quantity over all that its keys do not tell apart, and what they rest on."""

    keys: tuple[str, ...]
    sums: dict[tuple[Any, ...], tuple[float, float]] = field(init=False, factory=dict)
    """Key -> the sum of weight times quantity, and that of the weights."""
    evidence: dict[str, str] = field(init=False, factory=dict)
    seeds: set[int] = field(init=False, factory=set)

    def add(self, row: Row, quantity: float, weight: float = 1.0) -> None:
        key = tuple(row[name] for name in self.keys)
        total, weights = self.sums.get(key, (0.0, 0.0))
        self.sums[key] = (total + weight * quantity, weights + weight)
        self.evidence[row["workload"]] = row["evidence"]
        self.seeds.add(row["seed"])

    @property
    def basis(self) -> str:
        """What the means rest on, in words; empty before anything was added."""
        seeds = f"Means over {len(self.seeds)} seeds. " if len(self.seeds) > 1 else ""
        return seeds + evidence_of(self.evidence.items()) if self.evidence else ""

    def table(self, name: str, meaning: str, columns: tuple[Column, ...], quantity: Column) -> Table | None:
        """The means as a table whose other columns are its key; None without any."""
        if not self.sums:
            return None
        schema = TableSchema(
            name=name, meaning=meaning, columns=(_WORKLOAD, *columns, _EVIDENCE, quantity), key=self.keys
        )
        return Table(schema, [self._row(key, quantity.name) for key in self.sums])

    def _row(self, key: tuple[Any, ...], quantity: str) -> Row:
        named = dict(zip(self.keys, key, strict=True))
        total, weights = self.sums[key]
        return {**named, "evidence": self.evidence[named["workload"]], quantity: total / weights}


def _is_baseline(row: Row) -> bool:
    """The dense run that others are held against; its machine may run others, under other layouts."""
    return bool(row["mask"] == MaskPolicy.dense().label and row["layout"] == row["baseline_layout"])


def _case_of(row: Row) -> str:
    return f"{row['layout']}, {row['mask']}"
