"""Samples as files to look at and to listen to, where a study asks for them: sets side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from colfw.engine.steps.profiling import SAMPLES_FILE
from colfw.engine.tasks import file_name_of
from colfw.errors import UnavailableError
from colfw.masks import MaskPolicy
from colfw.media import write_samples
from colfw.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from colfw.engine.tasks import Task
    from colfw.store.objects import StoredObject

DENSE = MaskPolicy.dense().label


@define
class _Sets:
    """The sample sets of one workload and seed."""

    profiled: Path | None = None
    generated: dict[str, Path] = field(factory=dict)

    @property
    def dense(self) -> Path | None:
        """Where more samples were generated than profiled, there is a dense set of all of them."""
        return self.generated.get(DENSE, self.profiled)

    @property
    def masked(self) -> Mapping[str, Samples]:
        return {mask: Samples.from_file(path) for mask, path in self.generated.items() if mask != DENSE}


def show_samples(folder: Path, stored: Iterable[tuple[Task, StoredObject]], *, limit: int) -> Iterator[str]:
    """Write the first `limit` samples of each set under `folder`; yields why some could not be shown."""
    for (workload, seed), sets in _by_run(stored).items():
        if sets.dense is None:
            continue
        try:
            name = file_name_of({"workload": workload, "seed": seed})
            write_samples(folder / name, Samples.from_file(sets.dense), sets.masked, limit=limit)
        except UnavailableError as reason:
            yield f"samples of {workload} are not shown: {reason}"


def _by_run(stored: Iterable[tuple[Task, StoredObject]]) -> dict[tuple[Any, Any], _Sets]:
    found: dict[tuple[Any, Any], _Sets] = {}
    for task, result in stored:
        if SAMPLES_FILE not in result.files:
            continue
        sets = found.setdefault((task.context["workload"], task.context["seed"]), _Sets())
        path = result.file(SAMPLES_FILE)
        if task.step == "profile":
            sets.profiled = path
        else:
            sets.generated[task.context["mask"]] = path
    return found
