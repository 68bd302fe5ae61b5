"""A run from study to run directory: plan, conduct, report, and leave everything where it belongs."""

from __future__ import annotations

import json
import os
import platform
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from colfw.engine.conductor import Outcome, conduct
from colfw.engine.executors import InProcess, ProcessPool
from colfw.engine.listeners import Broadcast
from colfw.engine.plan import plan_study, report_task
from colfw.engine.steps.profiling import PROFILE_FILE, SAMPLES_FILE
from colfw.engine.steps.reporting import NOTICES_FILE, TABLES_FOLDER
from colfw.engine.tasks import file_name_of
from colfw.errors import StoreError
from colfw.store.atomic import write_text
from colfw.store.objects import ObjectStore, digest_of
from colfw.store.runs import Manifest, RunDirectory
from colfw.study import study_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from colfw.binding import BoundStudy
    from colfw.engine.conductor import TaskResult
    from colfw.engine.executors import Executor
    from colfw.engine.listeners import Display
    from colfw.engine.plan import Plan
    from colfw.engine.tasks import Task
    from colfw.plugins import Registry
    from colfw.store.objects import StoredObject


@frozen(kw_only=True)
class RunOptions:
    """How to run, as opposed to what: none of this changes a number."""

    runs_root: Path
    cache_root: Path
    workers: int = 1
    fresh: bool = False
    """Compute everything again, whatever is in the cache."""
    study_file: str | None = None
    overrides: tuple[str, ...] = ()


@frozen(kw_only=True)
class Run:
    """A run that has ended."""

    directory: RunDirectory
    manifest: Manifest
    results: tuple[TaskResult, ...]
    notices: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[TaskResult, ...]:
        return tuple(result for result in self.results if result.outcome is Outcome.FAILED)


def run_study(bound: BoundStudy, registry: Registry, options: RunOptions, display: Display) -> Run:
    """Run a study. Whatever happens, the run directory says how far it came and holds what finished."""
    plan = plan_study(bound)
    store = ObjectStore(options.cache_root)
    directory = RunDirectory.create(
        options.runs_root, bound.study.name, digest_of(study_data(bound.study)), datetime.now(UTC)
    )
    manifest = _opening(directory, bound, registry, options)
    directory.write_manifest(manifest)
    broadcast = Broadcast.of(registry, display)
    with _closing(directory, manifest):
        results = _perform_all(plan, registry, store, options, broadcast)
        tables = _deliver(directory, bound, store, results)
        hidden = _show_samples(directory, bound, store, results) if bound.study.output.samples else ()
        _write_errors(directory, results)
    manifest = evolve(
        manifest,
        status=_status(results),
        finished=_now(),
        tasks=tuple(_task_entry(result) for result in results),
        tables=tables,
    )
    directory.write_manifest(manifest)
    return Run(
        directory=directory,
        manifest=manifest,
        results=results,
        notices=(*broadcast.notices, *_report_notices(store, results), *hidden, *_damaged(store)),
    )


@contextmanager
def _closing(directory: RunDirectory, manifest: Manifest) -> Iterator[None]:
    """Whatever ends a run early, its manifest does not go on saying that it is running."""
    try:
        yield
    except BaseException as error:
        status: Any = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        directory.write_manifest(evolve(manifest, status=status, finished=_now()))
        raise


def _perform_all(
    plan: Plan, registry: Registry, store: ObjectStore, options: RunOptions, audience: Broadcast
) -> tuple[TaskResult, ...]:
    """Everything that was planned, and a report of what came of it."""
    display = audience.display
    display.planned(plan.tasks)
    try:
        executor = _executor(options, store, registry, display)
        results = conduct(plan.tasks, executor, store, audience, fresh=options.fresh)
        # The report is small: the tasks are over, and so are the workers.
        local = InProcess(store, registry, display.progressed)
        finished = [result.task for result in results if result.usable and result.task.step != "generate"]
        reports = [report_task(plan, finished, registry)] if finished else []
        return (*results, *conduct(reports, local, store, audience, fresh=options.fresh))
    finally:
        display.close()


def _executor(options: RunOptions, store: ObjectStore, registry: Registry, display: Display) -> Executor:
    if options.workers > 1:
        return ProcessPool(options.cache_root, registry.policy, display.progressed, workers=options.workers)
    return InProcess(store, registry, display.progressed)


def _status(results: Sequence[TaskResult]) -> Any:
    if any(result.outcome is Outcome.CANCELLED for result in results):
        return "interrupted"
    return "finished" if all(result.usable for result in results) else "failed"


# --- what the run directory gets ------------------------------------------------------------------


def _deliver(
    directory: RunDirectory, bound: BoundStudy, store: ObjectStore, results: Sequence[TaskResult]
) -> dict[str, str]:
    tables: dict[str, str] = {}
    for result in results:
        if not result.usable:
            continue
        stored = _stored(store, result.task)
        if result.task.step == "report":
            tables = _deliver_report(directory, stored)
            continue
        name = file_name_of(result.task.context)
        if result.task.step == "profile":
            directory.add_file(stored.file(PROFILE_FILE), f"profiles/{name}.safetensors")
        if bound.study.output.samples and SAMPLES_FILE in stored.files:
            directory.add_file(stored.file(SAMPLES_FILE), f"samples/{name}.safetensors")
    return tables


def _show_samples(
    directory: RunDirectory, bound: BoundStudy, store: ObjectStore, results: Sequence[TaskResult]
) -> tuple[str, ...]:
    from colfw.engine.showing import show_samples  # noqa: PLC0415  (only where pictures are asked for)

    usable = ((result.task, _stored(store, result.task)) for result in results if result.usable)
    limit = bound.study.output.shown_samples
    return tuple(show_samples(directory.path / "samples", usable, limit=limit))


def _deliver_report(directory: RunDirectory, stored: StoredObject) -> dict[str, str]:
    stored.verify()
    delivered = [name for name in sorted(stored.files) if name != NOTICES_FILE]
    for name in delivered:
        directory.add_file(stored.file(name), name)
    return {name: stored.files[name].sha256 for name in delivered if name.startswith(TABLES_FOLDER)}


def _stored(store: ObjectStore, task: Task) -> StoredObject:
    found = store.find(task.digest)
    if found is None:
        raise StoreError(f"{task.label}: its result vanished from the cache", where=str(store.root))
    return found


def _write_errors(directory: RunDirectory, results: Sequence[TaskResult]) -> None:
    text = "\n".join(f"{r.task.label}\n{r.traceback}" for r in results if r.traceback)
    if text:
        write_text(directory.path / "errors.txt", text)


def _report_notices(store: ObjectStore, results: Sequence[TaskResult]) -> Iterator[str]:
    for result in results:
        if result.usable and result.task.step == "report":
            yield from json.loads(_stored(store, result.task).file(NOTICES_FILE).read_bytes())


def _damaged(store: ObjectStore) -> tuple[str, ...]:
    return tuple(f"damaged cache entry set aside: {path}" for path in store.damaged)


# --- the manifest ---------------------------------------------------------------------------------


def _opening(directory: RunDirectory, bound: BoundStudy, registry: Registry, options: RunOptions) -> Manifest:
    return Manifest(
        run=directory.id,
        name=bound.study.name,
        status="running",
        study=study_data(bound.study),
        study_file=options.study_file,
        overrides=options.overrides,
        versions=_versions(),
        plugins=participants(bound),
        plugin_failures=registry.notices,
        seeds=bound.study.seeds,
        hardware={"cpus": os.cpu_count(), "machine": platform.machine()},
        host={"name": platform.node(), "system": platform.platform()},
        started=_now(),
    )


def participants(bound: BoundStudy) -> tuple[dict[str, Any], ...]:
    """The plugins that take part in a study, with what identifies their code."""
    return tuple(
        {
            "kind": str(choice.registered.kind),
            "name": choice.registered.name,
            "distribution": choice.registered.owner.distribution,
            "version": choice.registered.owner.version,
            "fingerprint": choice.registered.owner.fingerprint,
        }
        for choice in bound.choices
    )


_RECORDED = ("colfw", "numpy", "torch", "diffusers", "numba", "pyarrow", "safetensors", "attrs", "pluggy")


def _versions() -> Mapping[str, str]:
    """Versions of what numbers rest on; read from metadata, so that nothing is imported for it."""
    versions = {"python": platform.python_version(), "implementation": sys.implementation.name}
    for name in _RECORDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _task_entry(result: TaskResult) -> dict[str, Any]:
    return {
        "label": result.task.label,
        "stage": str(result.task.stage),
        "digest": result.task.digest,
        "status": str(result.outcome),
        "cached": str(result.outcome) == "cached",
        "seconds": round(result.seconds, 3),
        "error": result.error,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
