"""The plan of a run: every task, in the order of the study, each after what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from colfw.binding import Choice
from colfw.engine.steps.requests import request_data
from colfw.engine.tasks import Task
from colfw.errors import InvariantError
from colfw.masks import MaskPolicy
from colfw.plugins import guarded
from colfw.protocols import DenoiseRequest
from colfw.records import MetricSpec, WorkloadSpec
from colfw.study import study_toml
from colfw.vocabulary import Kind, MaskKind, SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from colfw.binding import BoundLayout, BoundMachine, BoundStudy, BoundWorkload
    from colfw.plugins import Registry
    from colfw.sites import Site
    from colfw.study import Study

    Context = Mapping[str, Any]


@frozen(kw_only=True)
class WorkloadPlan:
    """One workload with one seed: what is asked of it, and what is known before it runs."""

    bound: BoundWorkload
    request: DenoiseRequest
    """What is profiled."""
    generation: DenoiseRequest
    """What is generated to be scored: as many samples or more, of which the first are those."""
    sites: tuple[Site, ...]
    weights_digest: str | None
    inputs_digest: str | None

    def denoising(self, request: DenoiseRequest) -> dict[str, Any]:
        """What a denoising loop depends on, as plain data."""
        return {
            "request": request_data(request),
            "weights_digest": self.weights_digest,
            "inputs_digest": self.inputs_digest,
        }

    @property
    def context(self) -> dict[str, Any]:
        return {"workload": self.bound.choice.label, "seed": self.request.seed}

    @property
    def title(self) -> str:
        return f"{self.bound.choice.label} seed {self.request.seed}"

    @property
    def runs_a_model(self) -> bool:
        """A synthesised profile has no model behind it, and so nothing to mask and score."""
        return self.request.source is not SourceKind.PUBLISHED


@frozen(kw_only=True)
class Plan:
    """What a run will do, short of its report."""

    bound: BoundStudy
    workloads: tuple[WorkloadPlan, ...]
    tasks: tuple[Task, ...]


def plan_study(bound: BoundStudy) -> Plan:
    """Decide every task; the workloads are made and asked for their sites, no model is built."""
    workloads = tuple(_planned_workloads(bound))
    tasks = [task for workload in workloads for task in _tasks_of(bound, workload)]
    return Plan(bound=bound, workloads=workloads, tasks=tuple(tasks))


def _planned_workloads(bound: BoundStudy) -> Iterator[WorkloadPlan]:
    for workload in bound.workloads:
        model = workload.choice.make()
        for seed in bound.study.seeds:
            generation = DenoiseRequest(
                source=workload.source,
                iterations=workload.iterations,
                samples=bound.study.samples,
                seed=seed,
                checkpoint=workload.checkpoint,
                thresholds=bound.study.threshold_grid,
                reuse=bound.study.mask_reuse,
                device=bound.study.device,
                precision=bound.study.precision,
            )
            request = attrs.evolve(generation, samples=_profiled_samples(bound.study))
            with guarded(str(workload.choice.registered), "while it was planned"):
                sites = tuple(model.sites(request))
                if not sites:
                    raise InvariantError("has no site to observe")
                digest = model.weights_digest(request)
                inputs = model.inputs_digest(request) if hasattr(model, "inputs_digest") else None
            yield WorkloadPlan(
                bound=workload,
                request=request,
                generation=generation,
                sites=sites,
                weights_digest=digest,
                inputs_digest=inputs,
            )


def _profiled_samples(study: Study) -> int:
    return min(study.calibration_samples or study.samples, study.samples)


def _work(request: DenoiseRequest) -> float:
    """Iterations of all samples: what the time of a denoising loop grows with."""
    return float(request.iterations * request.samples)


def _tasks_of(bound: BoundStudy, workload: WorkloadPlan) -> Iterator[Task]:
    profile = _profile_task(bound, workload)
    yield profile
    for layout in bound.layouts:
        for mask in _possible(layout.masks, workload):
            placed = _place_task(workload, profile, layout, mask)
            yield placed
            for machine in bound.machines:
                yield _simulate_task(workload, profile, placed, machine)
    if workload.runs_a_model:
        yield from _score_tasks(bound, workload, profile)


def _possible(masks: Iterable[MaskPolicy], workload: WorkloadPlan) -> Iterator[MaskPolicy]:
    """Per-layer thresholds are calibrated on iterations 1 and later: with one iteration there are none."""
    for mask in masks:
        if not mask.calibrated or workload.request.iterations > 1:
            yield mask


def _profile_task(bound: BoundStudy, workload: WorkloadPlan) -> Task:
    observers = {f"observer {choice.name}": choice.identity for choice in bound.observers}
    return Task(
        step="profile",
        label=f"profile {workload.title}",
        payload={
            "plugins": {"workload": workload.bound.choice.identity, **observers},
            **workload.denoising(workload.request),
        },
        work=_work(workload.request),
        context=workload.context,
        local=_local(workload),
    )


def _local(workload: WorkloadPlan) -> dict[str, str]:
    checkpoint = workload.request.checkpoint
    return {} if checkpoint is None else {"checkpoint": str(Path(checkpoint).absolute())}


def _place_task(workload: WorkloadPlan, profile: Task, layout: BoundLayout, mask: MaskPolicy) -> Task:
    return Task(
        step="place",
        label=f"place {workload.title} {layout.choice.label} {mask.label}",
        payload={"plugins": {"layout": layout.choice.identity}, "mask": _mask_data(mask)},
        needs={"profile": profile.digest},
        work=float(len(workload.sites)),
        context={**workload.context, "layout": layout.choice.label, "mask": mask.label},
    )


def _simulate_task(workload: WorkloadPlan, profile: Task, placed: Task, machine: BoundMachine) -> Task:
    case = placed.label.removeprefix("place ")
    return Task(
        step="simulate",
        label=f"simulate {case} on {machine.name}",
        payload={
            "plugins": {
                "accelerator": machine.accelerator.identity,
                "memory": machine.memory.identity,
            }
        },
        needs={"profile": profile.digest, "placement": placed.digest},
        work=float(len(workload.sites) * workload.request.iterations),
        context={**placed.context, "machine": machine.name},
    )


def _score_tasks(bound: BoundStudy, workload: WorkloadPlan, profile: Task) -> Iterator[Task]:
    spec = workload.bound.choice.registered.record
    assert isinstance(spec, WorkloadSpec)
    metrics = [(choice, _inputs_digest(choice)) for choice in bound.metrics if _suits(choice, spec)]
    if not metrics:
        return
    dense = profile
    if workload.generation != workload.request:
        dense = _generate_task(workload, profile, MaskPolicy.dense())
        yield dense
    for mask in _possible(bound.masks, workload):
        if mask.kind is MaskKind.DENSE:
            continue
        generated = _generate_task(workload, profile, mask)
        yield generated
        for metric, inputs_digest in metrics:
            yield _score_task(workload, dense, generated, metric, inputs_digest)


def _suits(metric: Choice, workload: WorkloadSpec) -> bool:
    spec = metric.registered.record
    assert isinstance(spec, MetricSpec)
    return spec.suits(workload.modality)


def _inputs_digest(metric: Choice) -> str | None:
    """A hash of the files that a metric reads, if it reads any; what is missing is refused now."""
    made = metric.make()
    with guarded(str(metric.registered), "while it was planned"):
        return made.inputs_digest() if hasattr(made, "inputs_digest") else None


def _generate_task(workload: WorkloadPlan, profile: Task, mask: MaskPolicy) -> Task:
    return Task(
        step="generate",
        label=f"generate {workload.title} {mask.label}",
        payload={
            "plugins": {"workload": workload.bound.choice.identity},
            **workload.denoising(workload.generation),
            "mask": _mask_data(mask),
        },
        needs={"profile": profile.digest},
        work=_work(workload.generation),
        context={**workload.context, "mask": mask.label},
        local=_local(workload),
    )


def _score_task(
    workload: WorkloadPlan, dense: Task, generated: Task, metric: Choice, inputs_digest: str | None
) -> Task:
    spec = metric.registered.record
    assert isinstance(spec, MetricSpec)
    return Task(
        step="score",
        label=f"score {generated.label.removeprefix('generate ')} by {metric.label}",
        payload={"plugins": {"metric": metric.identity}, "inputs_digest": inputs_digest},
        needs={"dense": dense.digest, "masked": generated.digest},
        work=float(workload.generation.samples),
        context={
            **generated.context,
            "metric": metric.label,
            "unit": spec.unit,
            "direction": str(spec.direction),
        },
    )


def _mask_data(mask: MaskPolicy) -> dict[str, Any]:
    return {"kind": str(mask.kind), "value": mask.value, "over_time": str(mask.over_time)}


def report_task(plan: Plan, finished: Sequence[Task], registry: Registry) -> Task:
    """The report of what has finished, be it all or a part."""
    study = plan.bound.study
    results = [
        {"step": task.step, "context": dict(task.context), "role": f"{index}"}
        for index, task in enumerate(finished)
    ]
    sections = [
        Choice(name=found.name, registered=found, options=None, label=found.name)
        for found in registry.all(Kind.SECTION)
    ]
    return Task(
        step="report",
        label="report",
        payload={
            "plugins": {
                **{f"section {s.registered.qualified_name}": s.identity for s in sections},
                **{f"experiment {e.registered.qualified_name}": e.identity for e in plan.bound.experiments},
            },
            "participants": [f"{c.registered}" for c in plan.bound.choices],
            # Where the results go decides nothing about them.
            "study": study_toml(attrs.evolve(study, output=type(study.output)())),
            "masks": [_mask_data(mask) for mask in plan.bound.masks],
            "uniform_range": list(study.thresholds),
            "results": results,
        },
        needs={f"{index}": task.digest for index, task in enumerate(finished)},
        work=float(len(finished)),
    )
