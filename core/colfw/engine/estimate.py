"""What a run will take, before it starts: time from what such work took here before, memory and disk from
the sites. What was never measured is said to be unknown, not guessed.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from attrs import frozen

from colfw.engine.tasks import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from colfw.engine.plan import Plan, WorkloadPlan
    from colfw.engine.tasks import Task
    from colfw.store.objects import ObjectStore

_BYTES_OF_TIMING = 400
"""Of one site in one iteration, at most: where programs repeat, timings.json holds each of them once."""
_BYTES_OF_OBJECT = 800
"""Of any result: its description and the headers of its files, measured on the example."""


@frozen(kw_only=True)
class StepEstimate:
    """One step of a run: how much there is to do, how much of it is in the cache, how long the rest takes."""

    step: str
    tasks: int
    cached: int
    work: float
    unit: str
    seconds: float | None
    """None where the cache holds no such work by the same plugins to go by."""


@frozen(kw_only=True)
class Estimate:
    """What a run will take."""

    steps: tuple[StepEstimate, ...]
    memory_bytes: int
    """Of the largest activation and of the profile that is folded beside it; the model comes on top."""
    disk_bytes: int
    """Of what is cached short of the report. Samples come on top: their size is the workload's secret."""

    @property
    def seconds(self) -> float | None:
        """The sum, where every step is known."""
        known = [step.seconds for step in self.steps if step.seconds is not None]
        return sum(known) if len(known) == len(self.steps) else None


def estimate(plan: Plan, store: ObjectStore, *, fresh: bool = False) -> Estimate:
    distinct = list({task.digest: task for task in plan.tasks}.values())
    steps = [
        _estimate_step(step, [task for task in distinct if task.step == step], store, fresh=fresh)
        for step in STEPS
        if any(task.step == step for task in distinct)
    ]
    return Estimate(
        steps=tuple(steps),
        memory_bytes=max(_memory_bytes(workload) for workload in plan.workloads),
        disk_bytes=sum(_disk_bytes(workload, distinct) for workload in plan.workloads),
    )


def _estimate_step(step: str, tasks: Sequence[Task], store: ObjectStore, *, fresh: bool) -> StepEstimate:
    open_tasks = [task for task in tasks if fresh or store.find(task.digest) is None]
    return StepEstimate(
        step=step,
        tasks=len(tasks),
        cached=len(tasks) - len(open_tasks),
        work=sum(task.work for task in open_tasks),
        unit=STEPS[step].unit,
        seconds=_seconds(step, open_tasks, store) if open_tasks else 0.0,
    )


def _seconds(step: str, tasks: Iterable[Task], store: ObjectStore) -> float | None:
    """Work times the median rate of the same plugins in the past, or None if one is unknown."""
    history = store.history(step)
    total = 0.0
    for task in tasks:
        rates = [past.seconds / past.work for past in history if past.work and past.plugins == task.plugins]
        if not rates:
            return None
        total += task.work * median(rates)
    return total


def _memory_bytes(workload: WorkloadPlan) -> int:
    samples = workload.generation.samples
    largest = max(site.rows * site.columns for site in workload.sites) * samples * 4
    return largest + _profile_bytes(workload)


def _profile_bytes(workload: WorkloadPlan) -> int:
    """float32 maxima, and an int64 count a threshold, of every site and iteration."""
    counts = 8 * (len(workload.request.thresholds) + 1)
    an_iteration = sum(4 * site.columns + counts for site in workload.sites)
    return workload.request.iterations * an_iteration


def _disk_bytes(workload: WorkloadPlan, tasks: Iterable[Task]) -> int:
    iterations = workload.request.iterations
    columns = sum(site.columns for site in workload.sites)
    mine = [task for task in tasks if task.context.items() >= workload.context.items()]
    placed = sum(task.step == "place" for task in mine)
    timed = sum(task.step == "simulate" for task in mine)
    # A placement is a slot a column and a flag a column and iteration, and so is the mask beside it.
    placements = placed * columns * (8 + 2 * iterations)
    timings = timed * len(workload.sites) * iterations * _BYTES_OF_TIMING
    return _profile_bytes(workload) + placements + timings + len(mine) * _BYTES_OF_OBJECT
