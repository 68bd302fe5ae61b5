"""Telling everybody how a run goes: the display of the command line and the listeners of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define, field

from colfw.engine.conductor import Outcome
from colfw.plugins import PluginCrashError, guarded
from colfw.protocols import StageEvent
from colfw.vocabulary import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from colfw.engine.conductor import TaskResult
    from colfw.engine.tasks import Task
    from colfw.plugins import Registry
    from colfw.protocols import RunListener


class Display(Protocol):
    """Shows a run to the person who started it."""

    def planned(self, tasks: Sequence[Task]) -> None: ...

    def started(self, task: Task) -> None: ...

    def progressed(self, digest: str, work: float) -> None: ...

    def ended(self, result: TaskResult) -> None: ...

    def close(self) -> None:
        """The run is over, however it ended."""


class Silent:
    """A display that shows nothing."""

    def planned(self, tasks: Sequence[Task]) -> None: ...

    def started(self, task: Task) -> None: ...

    def progressed(self, digest: str, work: float) -> None: ...

    def ended(self, result: TaskResult) -> None: ...

    def close(self) -> None: ...


@define
class Broadcast:
    """The audience of a conductor. A listener that raises is told nothing more, and the run goes on."""

    display: Display
    listeners: dict[str, RunListener]
    notices: list[str] = field(factory=list)

    @classmethod
    def of(cls, registry: Registry, display: Display) -> Broadcast:
        broadcast = cls(display, {})
        for registered in registry.all(Kind.LISTENER):
            try:
                broadcast.listeners[str(registered)] = registered.make(None)
            except PluginCrashError as error:
                broadcast.notices.append(str(error))
        return broadcast

    def started(self, task: Task) -> None:
        self.display.started(task)
        event = StageEvent(stage=str(task.stage), label=task.label)
        self._tell(lambda listener: listener.stage_started(event))

    def ended(self, result: TaskResult) -> None:
        self.display.ended(result)
        event = StageEvent(
            stage=str(result.task.stage),
            label=result.task.label,
            cached=result.outcome is Outcome.CACHED,
            seconds=result.seconds,
            error=result.error,
        )
        if result.usable:
            self._tell(lambda listener: listener.stage_finished(event))
        elif result.outcome is Outcome.FAILED:
            self._tell(lambda listener: listener.stage_failed(event))

    def _tell(self, message: Callable[[RunListener], None]) -> None:
        for name, listener in list(self.listeners.items()):
            try:
                with guarded(name, "while it listened; it is told nothing more"):
                    message(listener)
            except PluginCrashError as error:
                self.notices.append(str(error))
                del self.listeners[name]
