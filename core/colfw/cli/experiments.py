"""`colfw reproduce` and `colfw ablate`: studies that plugins declare, run, compared and drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from attrs import evolve
from cyclopts import Parameter

from colfw.binding import bind
from colfw.cli.common import PluginOptions, console, four_digits, rows_of, say, say_json, table
from colfw.cli.config import Overrides
from colfw.cli.run import INTERRUPTED, HowToRun, finish, run_bound, run_options
from colfw.errors import ReproductionError
from colfw.experiments import experiments_of, find_experiment, study_of
from colfw.machine import cores
from colfw.report.schemas import COMPARISON
from colfw.vocabulary import ExperimentGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from colfw.engine.run import Run
    from colfw.plugins import Registered, Registry

    Row = Mapping[str, Any]

ALL: Final = "all"


def reproduce(
    *names: Annotated[str, Parameter(help="Which, or `all`; default: all.")],
    overrides: Overrides = (),
    how: HowToRun | None = None,
    show: Annotated[bool, Parameter(name="--list", negative="")] = False,
    plugins: PluginOptions | None = None,
) -> int:
    """Run what was published and print both numbers, their difference, and the bound; draw them too.

    Each becomes a run of its own, and what several need is computed once. The exit code says whether every
    accepted bound holds.

    Parameters
    ----------
    show
        List what can be reproduced, and run nothing.
    """
    registry = (plugins or PluginOptions()).load()
    if show:
        list_experiments(registry, ExperimentGroup.REPRODUCTION)
        return 0
    chosen = [found for name in names or (ALL,) for found in _reproductions(registry, name)]
    return _run_each(chosen, registry, overrides, how or HowToRun())


def ablate(
    *names: Annotated[str, Parameter(help="Which; without a name, they are listed.")],
    overrides: Overrides = (),
    how: HowToRun | None = None,
    plugins: PluginOptions | None = None,
) -> int:
    """Turn one knob of a machine and draw what becomes of each workload."""
    registry = (plugins or PluginOptions()).load()
    if not names:
        list_experiments(registry, ExperimentGroup.ABLATION)
        return 0
    chosen = [find_experiment(registry, ExperimentGroup.ABLATION, name) for name in names]
    return _run_each(chosen, registry, overrides, how or HowToRun())


def _reproductions(registry: Registry, name: str) -> list[Registered]:
    group = ExperimentGroup.REPRODUCTION
    return experiments_of(registry, group) if name == ALL else [find_experiment(registry, group, name)]


# --- which ----------------------------------------------------------------------------------------


def list_experiments(registry: Registry, group: ExperimentGroup) -> None:
    listing = table("name", "what it does", "owner")
    for found in experiments_of(registry, group):
        listing.add_row(found.name, found.record.summary, str(found.owner))
    console().print(listing)


# --- running --------------------------------------------------------------------------------------


def _run_each(
    chosen: Iterable[Registered], registry: Registry, overrides: tuple[str, ...], how: HowToRun
) -> int:
    how = evolve(how, workers=how.workers or cores())
    status, found = 0, []
    for experiment in chosen:
        study, where = study_of(experiment, overrides)
        bound = bind(study, registry, where=where)
        options = run_options(bound, how, study_file=where, overrides=overrides)
        ended = run_bound(bound, registry, options, how)
        # With --json the comparisons are the outcome.
        status = finish(ended, evolve(how, quiet=True, json=False)) or status
        rows = comparisons(ended)
        found += rows
        if not (how.json or how.quiet):
            print_outcome(ended, rows)
        if status == INTERRUPTED:
            break
    if how.json:
        say_json([as_json(row) for row in found])
    _check_bounds(found)
    return status


def comparisons(ended: Run) -> list[Row]:
    """What a run compared; nothing where it compares nothing."""
    return rows_of(ended, COMPARISON)


def as_json(row: Row) -> dict[str, Any]:
    """One comparison as other programs read it: a number, or a range as two."""
    low, high = row["published_low"], row["published_high"]
    return {
        **{name: row[name] for name in ("table", "model", "quantity", "unit", "machine")},
        "published": low if low == high else [low, high],
        **{name: row[name] for name in ("printed_tolerance", "ours", "bound", "within", "note")},
    }


def _check_bounds(rows: Iterable[Row]) -> None:
    broken = [f"{row['table']} {row['model']} {row['quantity']}" for row in rows if row["within"] is False]
    if broken:
        raise ReproductionError(
            f"{len(broken)} accepted bound(s) broken: {', '.join(broken)}",
            where="colfw reproduce",
        )


# --- printing -------------------------------------------------------------------------------------


def print_outcome(ended: Run, rows: Sequence[Row]) -> None:
    if rows:
        print_comparisons(rows)
    folder = ended.directory.path / "figures"
    drawn = sorted(path.stem for path in folder.glob("*.svg")) if folder.exists() else []
    if drawn:
        say(f"figures {', '.join(drawn)} in {folder}")
    say(f"run     {ended.directory.path} ({ended.manifest.status})")


_NAMED: Final = ("table", "model", "quantity", "machine")


def print_comparisons(rows: Sequence[Row]) -> None:
    """Both numbers of each row, and the notes below, each once."""
    notes = list(dict.fromkeys(row["note"] for row in rows if row["note"]))
    listing = table(*_NAMED, "published>", "ours>", "off by>", "bound>", "unit", "")
    for row in rows:
        mark = f"[{notes.index(row['note']) + 1}]" if row["note"] else ""
        listing.add_row(
            *(str(row[name]) for name in _NAMED),
            _published(row),
            *(four_digits(row[name]) for name in ("ours", "difference", "bound")),
            str(row["unit"]),
            " ".join(filter(None, (_verdict(row), mark))),
        )
    console().print(listing)
    for number, note in enumerate(notes, start=1):
        say(f"[{number}] {note}")
    within = sum(row["within"] is True for row in rows)
    bounded = sum(row["within"] is not None for row in rows)
    printed = sum(row["as_printed"] is True for row in rows)
    say(f"{within} of {bounded} accepted bounds hold; {printed} of {len(rows)} numbers agree as printed")


def _published(row: Row) -> str:
    low, high = row["published_low"], row["published_high"]
    if low is None:
        return "-"
    number = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return number if row["printed_tolerance"] is None else f"{number} ±{row['printed_tolerance']:g}"


def _verdict(row: Row) -> str:
    if row["as_printed"]:
        return "as printed"
    return {True: "within", False: "BROKEN", None: ""}[row["within"]]
