"""The end of a run: tables of what a designer looks at first, and in ten lines what they say.

The lines come last, where a terminal stands when the run is over: what was done, on what evidence, how
columns behave, what each layout saves on each machine, why machines differ, and where the rest lies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from colfw.cli.common import console, duration, say, table
from colfw.masks import MaskPolicy
from colfw.report.evidence import evidence_sentences
from colfw.report.schemas import SCHEMAS
from colfw.store.tables import Table, read_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from colfw.engine.run import Run

    Row = dict[str, Any]

_ROWS: Final = 32
_LINES: Final = 10


def print_summary(ended: Run) -> None:
    tables = _tables(ended)
    regimes, totals, scores = (_rows(tables, name) for name in ("regimes", "totals", "scores"))
    for rows, columns, title in (
        (regimes, _REGIME, "Regimes"),
        (_side_by_side(totals), _total_columns(totals), "Simulated totals"),
        (scores, _SCORE, "Masked against dense samples"),
    ):
        if rows:
            _print(rows, columns, title)
    places = list(_places(ended))
    facts = [_work(ended, totals), evidence_sentences(tables), *_columns(regimes), *_machines(totals)]
    for line in [line for line in facts if line][: _LINES - len(places)] + places:
        say(line)


def _tables(ended: Run) -> dict[str, Table]:
    wanted = ("profiles", "regimes", "totals", "scores")
    folder = ended.directory.path / "tables"
    paths = {name: folder / f"{name}.parquet" for name in wanted}
    return {name: read_parquet(path, SCHEMAS[name]) for name, path in paths.items() if path.exists()}


def _rows(tables: dict[str, Table], name: str) -> list[Row]:
    return [dict(row) for row in tables[name].rows] if name in tables else []


# --- the lines ------------------------------------------------------------------------------------


def _work(ended: Run, totals: Sequence[Row]) -> str:
    """How much was done: requests are counted whether they were simulated now or lay in the cache."""
    tasks = ended.manifest.tasks
    seconds = sum(float(task["seconds"] or 0) for task in tasks if not task["cached"])
    cached = sum(bool(task["cached"]) for task in tasks)
    requests = sum(row["accesses"] for row in totals)
    counted = f"{requests:.3g} DRAM requests in " if requests else ""
    simulated = f", {counted}{len(totals)} simulated cases" if totals else ""
    return f"done    {duration(seconds)} of work{simulated}; {cached} of {len(tasks)} results from the cache"


def _columns(regimes: Sequence[Row]) -> Iterator[str]:
    """How columns behave under the first mask, of one threshold if there is any: regimes, then sparsity."""
    shown = min((row["mask"] for row in regimes), key=_uniform_first, default=None)
    first = [row for row in regimes if row["mask"] == shown]
    if first:
        named: dict[str, list[str]] = {}
        for row in first:
            named.setdefault(row["regime"], []).append(row["workload"])
        verdicts = "; ".join(f"{regime}: {_listed(names)}" for regime, names in named.items())
        yield f"columns {verdicts} ({first[0]['mask']})"
        yield f"cold    {_span(first, 'mean_column_sparsity')} of columns in iterations 1 and later"


def _machines(totals: Sequence[Row]) -> Iterator[str]:
    """What the dense run waits for, on each machine, and then what each layout saves on all of them."""
    for machine, rows in _grouped(totals, ("machine",)).items():
        dense = [row for row in rows if row["mask"] == MaskPolicy.dense().label and row["memory_cycles"]]
        if dense:
            rate = sum(map(_moved, dense)) / sum(row["memory_cycles"] for row in dense)
            yield (
                f"dense   {machine[0]} waits for memory {_span(dense, 'stall_share')} of the time,"
                f" at {rate:.3g} bytes a memory clock"
            )
    cases = _grouped(sorted(totals, key=lambda row: _uniform_first(row["mask"])), ("layout", "mask"))
    for (layout, mask), rows in cases.items():
        saved = [
            f"{_span(of_machine, 'cycle_reduction')} on {machine[0]}"
            for machine, of_machine in _grouped(rows, ("machine",)).items()
            if of_machine[0]["cycle_reduction"] is not None
        ]
        if saved and mask != MaskPolicy.dense().label:
            yield f"saved   {', '.join(saved)}: {layout}, {mask}"


def _places(ended: Run) -> Iterator[str]:
    folder = ended.directory.path
    if (folder / "report.html").exists():
        drawn = len(list((folder / "figures").glob("*.svg")))
        yield f"report  {folder / 'report.html'}" + (f", {drawn} figures in figures/" if drawn else "")
    yield f"run     {folder} ({ended.manifest.status})"


_UNIFORM: Final = MaskPolicy.uniform(0).label.partition("=")[0]


def _uniform_first(mask: str) -> bool:
    """A calibrated threshold says little of a workload's own columns: it makes them cold."""
    return mask.partition("=")[0] != _UNIFORM


def _moved(row: Row) -> int:
    return int(row["read_bytes"] + row["written_bytes"])


def _span(rows: Sequence[Row], share: str) -> str:
    """The smallest and the largest share, with the workloads that have them."""
    known = [row for row in rows if row[share] is not None]
    low, high = (pick(known, key=lambda row: row[share]) for pick in (min, max))
    if low is high:
        return f"{100 * low[share]:.1f} %"
    ends = (f"{100 * row[share]:.1f} % ({row['workload']})" for row in (low, high))
    return " to ".join(ends)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _grouped(rows: Iterable[Row], key: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in key), []).append(row)
    return found


# --- the tables -----------------------------------------------------------------------------------

_REGIME: Final = ("workload", "mask", "regime", "mean_column_sparsity%", "mean_jaccard")
_CASE: Final = ("workload", "layout", "mask")
_TOTAL: Final = ("core_cycles", "stall_share%", "cycle_reduction%")
_SCORE: Final = ("workload", "mask", "metric", "value", "unit", "direction")


def _total_columns(totals: Sequence[Row]) -> tuple[str, ...]:
    """The case, and then the numbers of each machine."""
    machines = [machine for (machine,) in _grouped(totals, ("machine",))]
    return (*_CASE, *(f"{machine}: {column}" for machine in machines for column in _TOTAL))


def _side_by_side(totals: Sequence[Row]) -> list[Row]:
    """One row a case, the machines beside each other; cells that no machine fills are empty."""
    empty = {column.removesuffix("%"): None for column in _total_columns(totals)}
    return [
        {**empty, **dict(zip(_CASE, case, strict=False)), **_of_machines(rows)}
        for case, rows in _grouped(totals, (*_CASE, "seed")).items()
    ]


def _of_machines(rows: Iterable[Row]) -> Row:
    columns = [column.removesuffix("%") for column in _TOTAL]
    return {f"{row['machine']}: {column}": row[column] for row in rows for column in columns}


def _print(rows: list[Row], columns: tuple[str, ...], title: str) -> None:
    """A column whose name ends in `%` is a share, shown in percent; what all rows share joins the title."""
    same = [c for c in columns if len(rows) > 1 and len({row[c.removesuffix("%")] for row in rows}) == 1]
    shared = [c for c in same if isinstance(rows[0][c.removesuffix("%")], str)]
    if shared:
        title = f"{title}: " + ", ".join(str(rows[0][c]) for c in shared)
        columns = tuple(c for c in columns if c not in shared)
    numeric = {c for c in columns if any(_is_number(row[c.removesuffix("%")]) for row in rows)}
    headings = [c.replace("_", " ").replace("%", " %") + (">" if c in numeric else "") for c in columns]
    say(title)
    listing = table(*headings)
    for row in rows[:_ROWS]:
        listing.add_row(*(_text(row[c.removesuffix("%")], percent=c.endswith("%")) for c in columns))
    console().print(listing)
    if len(rows) > _ROWS:
        say(f"  and {len(rows) - _ROWS} more rows in tables/")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any, *, percent: bool) -> str:
    if value is None:
        return "-"
    if percent:
        return f"{100 * value:.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
