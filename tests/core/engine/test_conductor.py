"""The conductor: what is ready is performed, what failed stops only what needs it."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING, Any, Self

import pytest
from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colfw.engine import tasks as tasks_module
from colfw.engine.conductor import Outcome, conduct
from colfw.engine.tasks import Task
from colfw.store.objects import ObjectStore

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.engine.conductor import TaskResult


@define
class Recorder:
    """An executor that stores an empty result for each task, fails some, and is interrupted at one."""

    store: ObjectStore
    slots: int = 1
    failing: frozenset[str] = frozenset()
    interrupted_at: str | None = None
    performed: list[str] = field(factory=list)

    def submit(self, task: Task, *, replace: bool) -> Future[None]:
        assert all(self.store.find(digest) for digest in task.needs.values())
        if task.label == self.interrupted_at:
            raise KeyboardInterrupt
        future: Future[None] = Future()
        self.performed.append(task.label)
        if task.label in self.failing:
            future.set_exception(RuntimeError(f"{task.label} is broken"))
            return future
        created = self.store.create(
            task.digest, stage=task.step, label=task.label, plugins=(), work=1.0, replace=replace
        )
        with created:
            pass
        future.set_result(None)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


@define
class Ears:
    """Hears what the audience of a conductor hears."""

    heard: list[str] = field(factory=list)

    def started(self, task: Task) -> None:
        self.heard.append(f"started {task.label}")

    def ended(self, result: TaskResult) -> None:
        self.heard.append(f"{result.outcome} {result.task.label}")


def graph(needs: list[set[int]]) -> list[Task]:
    """Task i needs the tasks in needs[i], all of them earlier."""
    made: list[Task] = []
    for index, needed in enumerate(needs):
        made.append(
            Task(
                step="profile",
                label=f"t{index}",
                payload={"index": index},
                needs={str(other): made[other].digest for other in sorted(needed)},
            )
        )
    return made


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[set[int]], frozenset[str]]:
    size = draw(st.integers(1, 8))
    needs = [set(draw(st.sets(st.integers(0, i - 1)))) if i else set() for i in range(size)]
    failing = draw(st.sets(st.integers(0, size - 1)))
    return needs, frozenset(f"t{index}" for index in failing)


def outcomes(results: tuple[TaskResult, ...]) -> list[str]:
    return [str(result.outcome) for result in results]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs())
def test_a_failure_skips_exactly_what_needs_it(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[list[set[int]], frozenset[str]]
) -> None:
    """A task is done iff it does not fail itself and everything that it needs is done."""
    needs, failing = case
    store = ObjectStore(tmp_path_factory.mktemp("store"))
    results = conduct(graph(needs), Recorder(store, failing=failing), store, Ears())
    expected: list[str] = []
    for index, needed in enumerate(needs):
        if any(expected[other] != "done" for other in needed):
            expected.append("skipped")
        else:
            expected.append("failed" if f"t{index}" in failing else "done")
    assert outcomes(results) == expected


def test_what_is_in_the_store_is_not_performed_again_unless_asked(tmp_path: Path) -> None:
    """Cached tasks are only counted; `fresh` performs them all."""
    store, chain = ObjectStore(tmp_path), graph([set(), {0}, {1}])
    first, second, third = (Recorder(store) for _ in range(3))
    assert outcomes(conduct(chain, first, store, Ears())) == ["done"] * 3
    assert outcomes(conduct(chain, second, store, Ears())) == ["cached"] * 3
    assert outcomes(conduct(chain, third, store, Ears(), fresh=True)) == ["done"] * 3
    assert (first.performed, second.performed) == (["t0", "t1", "t2"], [])
    assert third.performed == first.performed


def test_an_interrupted_run_keeps_what_is_finished(tmp_path: Path) -> None:
    """Ctrl-C cancels the rest; the next run goes on from there."""
    store, chain = ObjectStore(tmp_path), graph([set(), {0}, {1}])
    results = conduct(chain, Recorder(store, interrupted_at="t1"), store, Ears())
    assert outcomes(results) == ["done", "cancelled", "cancelled"]
    assert outcomes(conduct(chain, Recorder(store), store, Ears())) == ["cached", "done", "done"]


def test_a_pool_whose_worker_died_fails_its_tasks_one_by_one(tmp_path: Path) -> None:
    """An executor that takes nothing more ends the tasks with its reason; the conductor goes on."""

    class Dead(Recorder):
        def submit(self, task: Task, *, replace: bool) -> Future[None]:
            raise BrokenExecutor("a worker died")

    store = ObjectStore(tmp_path)
    results = conduct(graph([set(), set(), {0}]), Dead(store), store, Ears())
    assert outcomes(results) == ["failed", "failed", "skipped"]
    assert results[0].error == "a worker died"


def test_equal_tasks_are_one_piece_of_work_with_several_uses(tmp_path: Path) -> None:
    """Tasks of equal digest run once, and each use gets the result under its own label."""
    store = ObjectStore(tmp_path)
    twins = [
        Task(step="profile", label=label, payload={}, context={"machine": label})
        for label in ("one", "other")
    ]
    executor = Recorder(store)
    results = conduct(twins, executor, store, Ears())
    assert twins[0].digest == twins[1].digest
    assert len(executor.performed) == 1
    assert [(r.task.label, str(r.outcome)) for r in results] == [("one", "done"), ("other", "done")]


def test_the_audience_hears_of_every_start_and_every_end(tmp_path: Path) -> None:
    """A cached task ends without having started; a failed one says why."""
    store, chain = ObjectStore(tmp_path), graph([set(), {0}])
    ears = Ears()
    results = conduct(chain, Recorder(store, failing=frozenset({"t1"})), store, ears)
    assert ears.heard == ["started t0", "done t0", "started t1", "failed t1"]
    assert results[1].error == "t1 is broken"
    assert "RuntimeError: t1 is broken" in str(results[1].traceback)
    again = Ears()
    conduct(chain[:1], Recorder(store), store, again)
    assert again.heard == ["cached t0"]


def test_no_more_than_the_executors_slots_are_in_flight(tmp_path: Path) -> None:
    """The engine never hands an executor more than it works on at once."""
    store = ObjectStore(tmp_path)
    pending: list[tuple[Task, Future[None]]] = []
    most = 0

    class Slow(Recorder):
        def submit(self, task: Task, *, replace: bool) -> Future[None]:
            nonlocal most
            future: Future[None] = Future()
            pending.append((task, future))
            most = max(most, len(pending))
            if len(pending) == self.slots:
                for waiting, promise in pending:
                    with store.create(waiting.digest, stage="x", label="x", plugins=(), work=1.0):
                        pass
                    promise.set_result(None)
                pending.clear()
            return future

    results = conduct(graph([set()] * 6), Slow(store, slots=2), store, Ears())
    assert outcomes(results) == [Outcome.DONE] * 6
    assert most == 2


CHANGES: list[tuple[str, dict[str, Any], bool]] = [
    ("payload", {"payload": {"tau": 0.2}}, True),
    ("needs", {"needs": {"profile": "b" * 64}}, True),
    ("step", {"step": "place"}, True),
    ("label", {"label": "another"}, False),
    ("context", {"context": {"machine": "another"}}, False),
    ("local", {"local": {"checkpoint": "/elsewhere"}}, False),
    ("work", {"work": 2.0}, False),
]


@pytest.mark.parametrize(("what", "change", "matters"), CHANGES, ids=[c[0] for c in CHANGES])
def test_a_digest_follows_what_decides_the_result_and_nothing_else(
    what: str, change: dict[str, Any], *, matters: bool
) -> None:
    """Step, payload and needs decide; names, places on this machine and amounts of work do not."""
    base: dict[str, Any] = {"step": "profile", "label": "it", "payload": {"tau": 0.1}, "needs": {}}
    assert (Task(**base).digest != Task(**{**base, **change}).digest) == matters, what


def test_a_digest_follows_the_code_of_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the source of a step changes, nothing older is reused."""
    before = Task(step="profile", label="it", payload={}).digest
    monkeypatch.setattr(tasks_module, "_source_digest", lambda step: "other code")
    assert Task(step="profile", label="it", payload={}).digest != before
