"""`colfw run`: from a study to a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from colfw.binding import bind
from colfw.cli.common import PluginOptions, console, duration, say, say_json, size, table, warn
from colfw.cli.config import Overrides, StudyFile, load_study
from colfw.machine import cores

if TYPE_CHECKING:
    from colfw.binding import BoundStudy
    from colfw.engine.estimate import Estimate
    from colfw.engine.plan import Plan
    from colfw.engine.run import Run, RunOptions
    from colfw.plugins import Registry

INTERRUPTED = 130
"""The exit code of a process that ended by Ctrl-C."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class HowToRun:
    """How to run; none of this changes a number."""

    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None
    """Folder that gets the run directory; default: the study's, else COLFW_RUNS, else `runs` here."""
    workers: Annotated[int | None, Parameter(name=["--workers", "-j"], validator=Number(gte=1))] = None
    """How many processes work at once; default: 1, or one a core for what colfw itself offers to run."""
    fresh: Annotated[bool, Parameter(negative="")] = False
    """Compute everything again, whatever is in the cache."""
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False
    """Show no progress and no summary, only warnings and errors."""
    json: Annotated[bool, Parameter(negative="")] = False
    """Print the outcome as JSON, and nothing else on stdout."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Shortcuts:
    """The overrides that are needed most, under names of their own."""

    iterations: int | None = None
    """Denoising iterations; short for --set iterations=N."""
    samples: int | None = None
    """Samples a workload and seed; short for --set samples=N."""
    seed: Annotated[tuple[int, ...], Parameter(negative="")] = ()
    """Seed; may be repeated; short for --set seeds=[N,...]."""
    device: str | None = None
    """Where denoisers run, such as cuda; short for --set device=NAME."""

    @property
    def overrides(self) -> tuple[str, ...]:
        given = {"iterations": self.iterations, "samples": self.samples, "device": self.device}
        texts = [f"{key}={value}" for key, value in given.items() if value is not None]
        return (*texts, *([f"seeds={list(self.seed)}"] if self.seed else []))


def run(
    study: StudyFile = None,
    *,
    overrides: Overrides = (),
    shortcuts: Shortcuts | None = None,
    how: HowToRun | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    plugins: PluginOptions | None = None,
) -> int:
    """Run a study: profile, place, simulate, score, report.

    What is finished is kept, whatever happens; running again goes on from there.

    Parameters
    ----------
    dry_run
        Print stages, plugins, and an estimate of time, memory and disk; run nothing.
    """
    changes = (*overrides, *(shortcuts or Shortcuts()).overrides)
    registry = (plugins or PluginOptions()).load()
    typed, where = load_study(study, changes, registry)
    bound = bind(typed, registry, where=where)
    how = how or HowToRun()
    if study is None and typed.experiments:
        how = attrs.evolve(how, workers=how.workers or cores())
    options = run_options(bound, how, study_file=where, overrides=changes)
    if dry_run:
        _dry_run(bound, options, how)
        return 0
    return finish(run_bound(bound, registry, options, how), how)


def run_options(
    bound: BoundStudy, how: HowToRun, *, study_file: str | None, overrides: tuple[str, ...]
) -> RunOptions:
    from colfw.engine.run import RunOptions  # noqa: PLC0415
    from colfw.store.objects import default_root  # noqa: PLC0415
    from colfw.store.runs import default_runs_root  # noqa: PLC0415

    return RunOptions(
        runs_root=how.output or bound.study.output.directory or default_runs_root(),
        cache_root=default_root(),
        workers=how.workers or 1,
        fresh=how.fresh,
        study_file=study_file,
        overrides=overrides,
    )


def run_bound(bound: BoundStudy, registry: Registry, options: RunOptions, how: HowToRun) -> Run:
    from colfw.cli.display import display_for  # noqa: PLC0415
    from colfw.engine.run import run_study  # noqa: PLC0415

    ended = run_study(bound, registry, options, display_for(quiet=how.quiet or how.json))
    warn(ended.notices)
    return ended


def finish(ended: Run, how: HowToRun) -> int:
    """Show the outcome; the exit code says whether it is whole."""
    from colfw.cli.summary import print_summary  # noqa: PLC0415

    if how.json:
        say_json(_outcome(ended))
    elif not how.quiet:
        print_summary(ended)
    for result in ended.failures:
        warn([f"{result.task.label}: {result.error}"])
    if ended.manifest.status == "interrupted":
        warn(["interrupted; what is finished is kept: run again to go on"])
        return INTERRUPTED
    return 0 if ended.manifest.status == "finished" else _failed(ended)


def _failed(ended: Run) -> int:
    from colfw.errors import RunFailed  # noqa: PLC0415

    raise RunFailed(
        f"{len(ended.failures)} task(s) failed; what is finished is kept",
        where=str(ended.directory.path),
        hint=f"tracebacks: {ended.directory.path / 'errors.txt'}",
    )


def _outcome(ended: Run) -> dict[str, Any]:
    return {
        "run": ended.directory.id,
        "path": str(ended.directory.path.absolute()),
        "status": ended.manifest.status,
        "tables": dict(ended.manifest.tables),
        "tasks": [dict(task) for task in ended.manifest.tasks],
    }


def _dry_run(bound: BoundStudy, options: RunOptions, how: HowToRun) -> None:
    from colfw.engine.estimate import estimate  # noqa: PLC0415
    from colfw.engine.plan import plan_study  # noqa: PLC0415
    from colfw.engine.run import participants  # noqa: PLC0415
    from colfw.store.objects import ObjectStore  # noqa: PLC0415

    plan = plan_study(bound)
    found = estimate(plan, ObjectStore(options.cache_root), fresh=options.fresh)
    if how.json:
        say_json({"plugins": list(participants(bound)), **attrs.asdict(found), "seconds": found.seconds})
    elif not how.quiet:
        _print_estimate(found, plan, options)


def _print_estimate(found: Estimate, plan: Plan, options: RunOptions) -> None:
    _print_steps(found)
    _print_plugins(plan)
    say(f"time    {duration(found.seconds)} on one worker (from what such work took here before)")
    say(f"memory  {size(found.memory_bytes)} beside the models")
    say(f"disk    {size(found.disk_bytes)} in {options.cache_root}")


def _print_steps(found: Estimate) -> None:
    listing = table("step", "tasks>", "cached>", "work left>", "time>")
    for step in found.steps:
        work = f"{step.work:,.0f} {step.unit}"
        listing.add_row(step.step, str(step.tasks), str(step.cached), work, duration(step.seconds))
    console().print(listing)


def _print_plugins(plan: Plan) -> None:
    listing = table("kind", "plugin", "owner")
    for choice in plan.bound.choices:
        listing.add_row(str(choice.registered.kind), choice.registered.name, str(choice.registered.owner))
    console().print(listing)
