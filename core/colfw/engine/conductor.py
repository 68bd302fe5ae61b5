"""The conductor: hands tasks to an executor as what they need becomes ready, and minds the cache."""

from __future__ import annotations

import time
import traceback
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from attrs import define, evolve, field, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colfw.engine.executors import Executor
    from colfw.engine.tasks import Task
    from colfw.store.objects import ObjectStore


class Outcome(StrEnum):
    """What became of a task."""

    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Something it needs failed."""
    CANCELLED = "cancelled"
    """The run was interrupted first."""


@frozen(kw_only=True)
class TaskResult:
    """A task and what became of it."""

    task: Task
    outcome: Outcome
    seconds: float = 0.0
    error: str | None = None
    traceback: str | None = None

    @property
    def usable(self) -> bool:
        return self.outcome in (Outcome.DONE, Outcome.CACHED)


class Audience(Protocol):
    """Who is told how the work goes."""

    def started(self, task: Task) -> None: ...

    def ended(self, result: TaskResult) -> None: ...


def conduct(
    tasks: Sequence[Task],
    executor: Executor,
    store: ObjectStore,
    audience: Audience,
    *,
    fresh: bool = False,
) -> tuple[TaskResult, ...]:
    """Perform all tasks that can be, and say of each, in their order, what became of it.

    A failure stops only what needs it; Ctrl-C keeps what is finished and cancels the rest.
    """
    score = _Score(tasks, executor, store, audience, fresh=fresh)
    with suppress(KeyboardInterrupt), executor:
        score.play()
    return tuple(score.result(task) for task in tasks)


@define
class _Score:
    """The state of one performance. Tasks of equal digest are one piece of work with several uses."""

    tasks: Sequence[Task]
    executor: Executor
    store: ObjectStore
    audience: Audience
    fresh: bool = field(kw_only=True)
    own: frozenset[str] = field(init=False)
    ended: dict[str, TaskResult] = field(factory=dict)
    running: dict[Future[None], tuple[Task, float]] = field(factory=dict)

    @own.default
    def _own_digests(self) -> frozenset[str]:
        return frozenset(task.digest for task in self.tasks)

    def play(self) -> None:
        waiting = list({task.digest: task for task in self.tasks}.values())
        while waiting or self.running:
            waiting = [task for task in waiting if not self._settled_or_started(task)]
            if self.running:
                self._collect()

    def _settled_or_started(self, task: Task) -> bool:
        # What is no task of this performance lies in the store already.
        needed = [self.ended.get(digest) for digest in task.needs.values() if digest in self.own]
        if any(result is not None and not result.usable for result in needed):
            self._end(TaskResult(task=task, outcome=Outcome.SKIPPED))
            return True
        if None in needed or len(self.running) >= self.executor.slots:
            return False
        if not self.fresh and self.store.find(task.digest) is not None:
            self._end(TaskResult(task=task, outcome=Outcome.CACHED))
            return True
        self._start(task)
        return True

    def _start(self, task: Task) -> None:
        self.audience.started(task)
        began = time.perf_counter()
        try:
            future = self.executor.submit(task, replace=self.fresh)
        except BrokenExecutor as error:
            # A worker died before, of too little memory perhaps: its pool takes nothing more.
            future = Future()
            future.set_exception(error)
        self.running[future] = (task, began)

    def _collect(self) -> None:
        for future in wait(self.running, return_when=FIRST_COMPLETED).done:
            task, began = self.running.pop(future)
            self._end(_result_of(task, future, time.perf_counter() - began))

    def _end(self, result: TaskResult) -> None:
        self.ended[result.task.digest] = result
        self.audience.ended(result)

    def result(self, task: Task) -> TaskResult:
        """What became of a task: its own result, or that of another task with the same digest."""
        found = self.ended.get(task.digest)
        return TaskResult(task=task, outcome=Outcome.CANCELLED) if found is None else evolve(found, task=task)


def _result_of(task: Task, future: Future[None], seconds: float) -> TaskResult:
    error = future.exception()
    if error is None:
        return TaskResult(task=task, outcome=Outcome.DONE, seconds=seconds)
    return TaskResult(
        task=task,
        outcome=Outcome.FAILED,
        seconds=seconds,
        error=str(error) or type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )
