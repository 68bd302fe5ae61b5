"""`colfw score`: what quality costs, mask by mask, which masks are best, and where quality breaks down."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, Final

from attrs import evolve
from cyclopts import Parameter

from colfw.binding import bind
from colfw.cli.common import PluginOptions, console, four_digits, rows_of, say, table
from colfw.cli.config import Overrides, StudyFile, load_study
from colfw.cli.run import HowToRun, Shortcuts, finish, run_bound, run_options
from colfw.errors import StudyError
from colfw.machine import cores
from colfw.report.schemas import SCORES, TRADE_OFF
from colfw.vocabulary import ExperimentGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from colfw.engine.run import Run

    Row = Mapping[str, Any]


def score(
    study: StudyFile = None,
    *,
    overrides: Overrides = (),
    shortcuts: Shortcuts | None = None,
    how: HowToRun | None = None,
    keep_samples: Annotated[bool, Parameter(negative="")] = False,
    plugins: PluginOptions | None = None,
) -> int:
    """Generate with each mask of a study, score it, and draw quality against the cycles that it saves.

    Without a study and without study.toml, the miniatures are swept.

    Parameters
    ----------
    keep_samples
        Write samples too, dense and masked side by side; short for --set output.samples=true.
    """
    kept = ("output.samples=true",) if keep_samples else ()
    changes = (*overrides, *(shortcuts or Shortcuts()).overrides, *kept)
    registry = (plugins or PluginOptions()).load()
    typed, where = load_study(study, changes, registry, ExperimentGroup.TRADE_OFF)
    if not typed.metrics:
        raise StudyError(
            "metrics: there is none, and so nothing to score",
            where=where,
            hint="`colfw plugins list` names them",
        )
    bound = bind(typed, registry, where=where)
    how = how or HowToRun()
    if typed.experiments:
        how = evolve(how, workers=how.workers or cores())
    ended = run_bound(bound, registry, run_options(bound, how, study_file=where, overrides=changes), how)
    if not (how.quiet or how.json):
        print_scores(ended)
    return finish(ended, evolve(how, quiet=how.quiet or not how.json))


# --- printing -------------------------------------------------------------------------------------


def print_scores(ended: Run) -> None:
    """A table for each workload and metric, what could not be measured, and the findings."""
    points = rows_of(ended, TRADE_OFF)
    scores = rows_of(ended, SCORES)
    for key, group in _grouped(points or scores, _ONE_TABLE):
        _print_sweep(key, list(group))
    for line in dict.fromkeys([*_unmeasured(scores), *_findings(points)]):
        say(line)
    folder = ended.directory.path
    drawn = sorted(path.stem for path in (folder / "figures").glob("trade-off-*.svg"))
    if drawn:
        say(f"figures {', '.join(drawn)} in {folder / 'figures'}")
    say(f"run     {folder} ({ended.manifest.status})")


_ONE_TABLE: Final = ("workload", "seed", "metric")
_ALONG_SWEEPS: Final = ("layout", "sweep", "cycle_reduction")


def _grouped(rows: Iterable[Row], names: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], Iterator[Row]]]:
    def key(row: Row) -> tuple[Any, ...]:
        return tuple(row.get(name, "-") for name in names)

    return groupby(sorted(rows, key=key), key)


def _print_sweep(key: tuple[Any, ...], rows: list[Row]) -> None:
    """A line for each layout and mask, from what saves least on; what it saves on each machine."""
    workload, seed, metric = key
    say(f"{workload} seed {seed}: {metric}, {rows[0]['direction']}")
    machines = list(dict.fromkeys(row["machine"] for row in rows if "machine" in row))
    listing = table(
        "layout", "mask", f"{rows[0]['unit']}>", "interval>", *(f"{m} saves %>" for m in machines), ""
    )
    for (layout, mask), cases in _cases(rows).items():
        saved = {case["machine"]: case["cycle_reduction"] for case in cases if "machine" in case}
        listing.add_row(
            layout,
            mask,
            four_digits(cases[0]["value"]),
            _interval(cases[0]),
            *(f"{100 * saved[machine]:.1f}" if machine in saved else "-" for machine in machines),
            _marks(cases),
        )
    console().print(listing)


def _cases(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """The rows of each layout and mask, sweep by sweep."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: [row.get(name, 0) for name in _ALONG_SWEEPS]):
        found.setdefault((row.get("layout", "-"), row["mask"]), []).append(row)
    return found


def _interval(row: Row) -> str:
    ends = (row["interval_low"], row["interval_high"])
    return "-" if None in ends else " to ".join(map(four_digits, ends))


def _marks(cases: Iterable[Row]) -> str:
    cases = list(cases)
    best = any(case.get("best") for case in cases)
    beyond = any(case.get("beyond_cliff") for case in cases)
    return ", ".join([*(["best"] if best else []), *(["beyond the cliff"] if beyond else [])])


def _unmeasured(scores: Iterable[Row]) -> Iterator[str]:
    for row in scores:
        if row["note"]:
            verdict = "not measured" if row["value"] is None else "note"
            yield f"{row['metric']} on {row['workload']}: {verdict}: {row['note']}"


def _findings(points: Sequence[Row]) -> Iterator[str]:
    """For each sweep that has a cliff, how far one can go before it, and what that saves on each machine."""
    found: dict[str, list[str]] = {}
    for (workload, _, metric, layout, _, machine), group in _grouped(points, _ONE_SWEEP):
        sweep = sorted(group, key=lambda row: row["cycle_reduction"])
        fallen = next((place for place, row in enumerate(sweep) if row["beyond_cliff"]), None)
        if fallen is None:
            continue
        last, first = sweep[fallen - 1], sweep[fallen]
        what = (
            f"cliff   {workload}, {layout}: {metric} goes from {four_digits(last['value'])} at {last['mask']}"
            f" to {four_digits(first['value'])} at {first['mask']}"
        )
        saved = [f"{100 * row['cycle_reduction']:.1f} %" for row in (last, first)]
        found.setdefault(what, []).append(f"{' and '.join(saved)} on {machine}")
    return (f"{what}, which save {'; '.join(machines)}" for what, machines in found.items())


_ONE_SWEEP: Final = ("workload", "seed", "metric", "layout", "sweep", "machine")
