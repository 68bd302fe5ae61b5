"""Tasks: the pieces of work of a run, as plain data that any process on any machine can perform.

A task is found again by its digest: the hash of its step, that step's code, its payload (study part,
plugin versions, weights hash) and the digests of what it needs. Nothing else may influence its result.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from colfw import lazy
from colfw.binding import Choice
from colfw.errors import StoreError
from colfw.store.objects import digest_of
from colfw.vocabulary import StageName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from colfw.plugins import Registry
    from colfw.store.objects import ObjectStore, StoredObject


@frozen(kw_only=True)
class Step:
    """A kind of task: the stage it belongs to, the function that performs it, and the code it rests on."""

    stage: StageName
    function: str
    code: tuple[str, ...]
    """Modules whose source decides the result, besides the function's own: when one changes, nothing older
    is reused."""
    unit: str
    """What a task's work is counted in, for rates and estimates."""
    files: tuple[str, ...] = ()
    """Files of the colfw package that decide the result as well."""

    @property
    def code_version(self) -> str:
        return _source_digest(self)


_NOUNS = tuple(
    f"colfw.{name}" for name in ("sites", "thresholds", "arrayfile", "folding", "profile", "samples")
)
_MASKS = (*_NOUNS, "colfw.masks")
_DENOISING = "checkpoints conditioning decoding encoders masking noise pickles weights workload"
_DENOISERS = ("colfw.observing.hooks", *(f"colfw.denoising.{name}" for name in _DENOISING.split()))
"""What workloads of torch are made of: a plugin's fingerprint covers its own files only."""
_MACHINES = (*_MASKS, "colfw.placement", "colfw.program", "colfw.timing", "colfw.dram.counts")
_DRAM = tuple(
    f"colfw.dram.{name}" for name in ("device", "energy", "expressions", "requests", "spec", "standard")
)
"""What memories are made of, likewise."""
_FIGURES = tuple(
    f"colfw.report.figures.{name}" for name in ("drawing", "figure", "settled", "shapes", "standard", "theme")
)

STEPS: Mapping[str, Step] = {
    "profile": Step(
        stage=StageName.PROFILE,
        function="colfw.engine.steps.profiling:profile",
        code=(*_NOUNS, *_DENOISERS),
        unit="sample iterations",
    ),
    "place": Step(
        stage=StageName.PLACE,
        function="colfw.engine.steps.placing:place",
        code=(*_MASKS, "colfw.placement"),
        unit="sites",
    ),
    "simulate": Step(
        stage=StageName.SIMULATE,
        function="colfw.engine.steps.simulating:simulate",
        code=(*_MACHINES, *_DRAM),
        unit="site iterations",
    ),
    "generate": Step(
        stage=StageName.SCORE,
        function="colfw.engine.steps.scoring:generate",
        code=(*_MASKS, *_DENOISERS),
        unit="sample iterations",
    ),
    "score": Step(
        stage=StageName.SCORE,
        function="colfw.engine.steps.scoring:score",
        code=(*_MASKS, *_DENOISERS, "colfw.features", "colfw.resampling"),
        unit="samples",
    ),
    "report": Step(
        stage=StageName.REPORT,
        function="colfw.engine.steps.reporting:report",
        code=(
            *_MACHINES,
            "colfw.comparison",
            "colfw.report.schemas",
            "colfw.report.build",
            "colfw.report.evidence",
            "colfw.report.trade_off",
            *_FIGURES,
            "colfw.report.html",
            "colfw.store.tables",
        ),
        unit="results",
        files=("report/template.html.jinja",),
    ),
}


@cache
def _source_digest(step: Step) -> str:
    content = hashlib.sha256(step.function.encode())
    for module in (step.function.partition(":")[0], *step.code):
        spec = util.find_spec(module)
        assert spec is not None, module
        assert spec.origin is not None, module
        content.update(Path(spec.origin).read_bytes())
    for name in step.files:
        content.update(resources.files("colfw").joinpath(name).read_bytes())
    return content.hexdigest()


@frozen(kw_only=True)
class Task:
    """One piece of work: plain data, so that it can travel."""

    step: str
    label: str
    payload: Mapping[str, Any]
    """What decides the result, as JSON: part of the digest."""
    needs: Mapping[str, str] = field(factory=dict)
    """Role -> digest of the objects it reads."""
    work: float = 1.0
    context: Mapping[str, Any] = field(factory=dict)
    """Where it stands in the study (workload, seed, layout, ...): names only, no part of the digest."""
    local: Mapping[str, str] = field(factory=dict)
    """Where things lie on this machine, such as a checkpoint whose hash is in the payload."""
    digest: str = field(init=False)

    @digest.default
    def _content_digest(self) -> str:
        return digest_of(
            {
                "step": self.step,
                "code": STEPS[self.step].code_version,
                "payload": self.payload,
                "needs": dict(self.needs),
            }
        )

    @property
    def stage(self) -> StageName:
        return STEPS[self.step].stage

    @property
    def plugins(self) -> tuple[str, ...]:
        """The plugins that take part, as recorded beside the result."""
        identities = self.payload.get("plugins", {})
        return tuple(f"{identity['plugin']} {identity['version']}" for identity in identities.values())


def file_name_of(context: Mapping[str, Any]) -> str:
    """A file name for a result: its place in the study in words."""
    words = [str(context["workload"]), f"seed-{context['seed']}"]
    words += [str(context["mask"])] if "mask" in context else []
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", "-".join(words)).strip("-")


@define
class Job:
    """What the function of a step works with: its task, what it needs, where to write, whom to tell."""

    task: Task
    inputs: Mapping[str, StoredObject]
    folder: Path
    registry: Registry
    store: ObjectStore
    advance: Callable[[float], None]
    """Called with the work done so far, for progress."""

    def make(self, role: str) -> Any:
        """The object of the plugin that plays `role` in this task."""
        return self.choice(role).make()

    def choice(self, role: str) -> Choice:
        return Choice.from_identity(self.registry, self.task.payload["plugins"][role])

    def write(self, name: str, content: bytes) -> None:
        # The folder itself appears atomically, once everything in it is written.
        (self.folder / name).write_bytes(content)

    def input_file(self, role: str, name: str) -> Path:
        return self.inputs[role].file(name)


def perform(
    task: Task,
    store: ObjectStore,
    registry: Registry,
    *,
    advance: Callable[[float], None],
    replace: bool = False,
) -> StoredObject:
    """Do one piece of work and store its result whole, or not at all."""
    inputs = {role: _present(store, digest, task) for role, digest in task.needs.items()}
    function = lazy.load(STEPS[task.step].function)
    created = store.create(
        task.digest,
        stage=task.step,
        label=task.label,
        plugins=task.plugins,
        work=task.work,
        replace=replace,
    )
    with created as folder:
        function(Job(task, inputs, folder, registry, store, advance))
    return _present(store, task.digest, task)


def _present(store: ObjectStore, digest: str, task: Task) -> StoredObject:
    found = store.find(digest)
    if found is None:
        raise StoreError(
            f"{task.label}: result {digest[:8]} is not in the cache",
            where=str(store.root),
            hint="was the cache emptied during the run? run again",
        )
    return found
