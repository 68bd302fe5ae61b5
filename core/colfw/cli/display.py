"""How a run shows itself on stderr: bars with rate and time left in a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from attrs import define, field

from colfw.cli.common import duration
from colfw.engine.conductor import Outcome
from colfw.engine.listeners import Silent
from colfw.engine.tasks import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress, TaskID
    from rich.progress import Task as Bar

    from colfw.engine.conductor import TaskResult
    from colfw.engine.listeners import Display
    from colfw.engine.tasks import Task


def display_for(*, quiet: bool) -> Display:
    if quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Lines()


@define
class Lines:
    """A line for each task that ends; what was in the cache is only counted."""

    total: int = 0
    ended_tasks: int = 0
    cached: int = 0

    def planned(self, tasks: Sequence[Task]) -> None:
        self.total = len({task.digest for task in tasks}) + 1  # and the report

    def started(self, task: Task) -> None:
        """The line comes when it has ended, with the time it took."""

    def progressed(self, digest: str, work: float) -> None:
        """Too many lines for a log."""

    def ended(self, result: TaskResult) -> None:
        self.ended_tasks += 1
        if result.outcome is Outcome.CACHED:
            self.cached += 1
        else:
            note = f" in {duration(result.seconds)}" if result.outcome is Outcome.DONE else ""
            problem = f": {result.error}" if result.error else ""
            self._write(f"{result.task.label}: {result.outcome}{note}{problem}")

    def close(self) -> None:
        if self.cached:
            self._write(f"{self.cached} result(s) from the cache")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"[{self.ended_tasks}/{self.total}] {text}\n")


@define
class Bars:
    """A bar for each step: how much of its work is done, at which rate, and how long it will take.

    Work found in the cache leaves the bar instead of filling it, so that rates stay honest.
    """

    progress: Progress = field(init=False)
    bars: dict[str, TaskID] = field(factory=dict)
    """By step."""
    partial: dict[str, float] = field(factory=dict)
    """Work done so far of the tasks that run, by digest."""
    steps: dict[str, str] = field(factory=dict)
    lock: threading.Lock = field(factory=threading.Lock)

    @progress.default
    def _make_progress(self) -> Progress:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        return Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
            _rate_column(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def planned(self, tasks: Sequence[Task]) -> None:
        distinct = {task.digest: task for task in tasks}
        for step, about in STEPS.items():
            work = sum(task.work for task in distinct.values() if task.step == step)
            if work:
                self.bars[step] = self.progress.add_task(step, total=work, unit=about.unit, start=False)
        self.progress.start()

    def started(self, task: Task) -> None:
        if task.step not in self.bars:
            unit = STEPS[task.step].unit
            self.bars[task.step] = self.progress.add_task(task.step, total=task.work, unit=unit)
        self.steps[task.digest] = task.step
        self.progress.start_task(self.bars[task.step])

    def progressed(self, digest: str, work: float) -> None:
        with self.lock:
            gained = work - self.partial.get(digest, 0.0)
            self.partial[digest] = work
        self.progress.advance(self.bars[self.steps[digest]], gained)

    def ended(self, result: TaskResult) -> None:
        task = result.task
        if result.outcome is Outcome.DONE:
            self.progressed(task.digest, task.work)
        elif task.step in self.bars:
            self._leave_out(task)
        if result.error:
            self.progress.console.print(f"{task.label}: {result.error}", markup=False, style="red")

    def close(self) -> None:
        self.progress.stop()

    def _leave_out(self, task: Task) -> None:
        bar = self.progress.tasks[self.bars[task.step]]
        undone = task.work - self.partial.get(task.digest, 0.0)
        self.progress.update(bar.id, total=(bar.total or 0.0) - undone)


def _rate_column() -> Any:
    from rich.progress import ProgressColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Rate(ProgressColumn):
        def render(self, task: Bar) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g}/s" if speed else "")

    return Rate()
