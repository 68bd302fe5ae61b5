"""Executors: who performs tasks. A task is plain data and its result lies in the store, so an executor
only needs to run `perform` somewhere that sees the same store: here, in a pool, or on other machines.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, Self

from attrs import define, field, frozen

from colfw.engine.tasks import perform
from colfw.machine import cores
from colfw.plugins import load_plugins
from colfw.store.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.queues import SimpleQueue
    from pathlib import Path
    from types import TracebackType

    from colfw.engine.tasks import Task
    from colfw.plugins import PluginPolicy, Registry

    Progress = Callable[[str, float], None]
    """Told the digest of a task and how much of its work is done."""


class Executor(Protocol):
    """Performs tasks whose needs are in the store. A context manager: leaving it ends its workers."""

    @property
    def slots(self) -> int:
        """How many tasks it works on at once; the engine never hands it more."""

    def submit(self, task: Task, *, replace: bool) -> Future[None]:
        """Perform a task and store its result; the future carries nothing but success or the error."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


@define
class InProcess:
    """Performs each task at once, in this process: no copies, ordinary tracebacks."""

    store: ObjectStore
    registry: Registry
    progress: Progress
    slots: int = field(default=1, init=False)

    def submit(self, task: Task, *, replace: bool) -> Future[None]:
        future: Future[None] = Future()
        try:
            perform(
                task,
                self.store,
                self.registry,
                advance=lambda work: self.progress(task.digest, work),
                replace=replace,
            )
        except Exception as error:  # noqa: BLE001  (whoever reads the future gets it)
            future.set_exception(error)
        else:
            future.set_result(None)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""


@frozen
class _Bench:
    """What a worker process keeps between tasks."""

    store: ObjectStore
    registry: Registry
    messages: SimpleQueue[tuple[str, float] | None]


_bench: _Bench | None = None


def threads_of_each(workers: int, cores: int) -> int:
    """How many threads a worker's torch may use: all cores are shared out, for more would wait for others."""
    return max(1, cores // workers)


def _set_up(
    root: Path, policy: PluginPolicy, messages: SimpleQueue[tuple[str, float] | None], threads: int
) -> None:
    import signal  # noqa: PLC0415

    # Read when torch is loaded, which is later. Whoever set it knows better.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))

    # Ctrl-C reaches the whole process group; the parent decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _bench  # noqa: PLW0603  (a process pool hands its workers nothing else to keep state in)
    _bench = _Bench(ObjectStore(root), load_plugins(policy), messages)


def _perform_in_worker(task: Task, replace: bool) -> None:  # noqa: FBT001  (called by the pool)
    assert _bench is not None
    messages = _bench.messages
    perform(
        task,
        _bench.store,
        _bench.registry,
        advance=lambda work: messages.put((task.digest, work)),
        replace=replace,
    )


class ProcessPool:
    """Performs tasks in worker processes on this machine; each loads the same plugins for itself."""

    def __init__(self, root: Path, policy: PluginPolicy, progress: Progress, *, workers: int) -> None:
        # Fresh interpreters: a forked torch or numba may deadlock.
        context = multiprocessing.get_context("spawn")
        self._messages: Any = context.SimpleQueue()
        self._progress = progress
        self._workers = workers
        self._pool = ProcessPoolExecutor(
            max_workers=workers,
            mp_context=context,
            initializer=_set_up,
            initargs=(root, policy, self._messages, threads_of_each(workers, cores())),
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)

    @property
    def slots(self) -> int:
        return self._workers

    def submit(self, task: Task, *, replace: bool) -> Future[None]:
        return self._pool.submit(_perform_in_worker, task, replace)

    def _listen(self) -> None:
        while (message := self._messages.get()) is not None:
            self._progress(*message)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            # Interrupted: what the workers are at is not wanted any more, and nothing half-done is kept.
            for process in list((self._pool._processes or {}).values()):  # noqa: SLF001
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._messages.put(None)
        self._listener.join()
        self._messages.close()
