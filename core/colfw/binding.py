"""A study meets the plugins: names become records, options become typed, and what cannot work is
refused with file, key path, problem and the nearest valid name, before anything heavy is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from colfw.errors import ColfwError, PluginError, StudyError
from colfw.masks import MaskPolicy
from colfw.names import did_you_mean
from colfw.records import AcceleratorSpec, LayoutSpec, MetricSpec, WorkloadSpec
from colfw.typed import structure, unstructure
from colfw.vocabulary import Kind, MaskKind, SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from colfw.plugins import Registered, Registry
    from colfw.study import LayoutChoice, MachineChoice, PluginChoice, Study, WorkloadChoice


@frozen(kw_only=True)
class Choice:
    """A plugin that a study chose, with every option spelled out."""

    name: str
    """As the study writes it."""
    registered: Registered
    options: Mapping[str, Any] | None
    """None for a plugin that takes none."""
    label: str = ""
    """What tables call it: its name, and what sets it apart where a study chooses a plugin twice."""

    def make(self) -> Any:
        """The object that does the work."""
        config_class = self.registered.config_class()
        if config_class is None:
            return self.registered.make(None)
        config: object = structure(config_class, self.options or {}, where=str(self.registered))
        return self.registered.make(config)

    @property
    def identity(self) -> dict[str, Any]:
        """All that the results of this plugin depend on, as plain data."""
        return {
            "kind": str(self.registered.kind),
            "plugin": self.registered.qualified_name,
            "version": self.registered.owner.version,
            "fingerprint": self.registered.owner.fingerprint,
            "options": None if self.options is None else dict(self.options),
        }

    @classmethod
    def from_identity(cls, registry: Registry, identity: Mapping[str, Any]) -> Choice:
        """The same choice in another process; code that differs from the planner's is refused."""
        name = identity["plugin"]
        registered = registry.find(Kind(identity["kind"]), name)
        if registered.owner.fingerprint != identity["fingerprint"]:
            raise PluginError(
                f"planned with version {identity['version']}, but other code is installed here",
                where=str(registered),
                hint="install the same version everywhere",
            )
        return cls(name=name, registered=registered, options=identity["options"])


@frozen(kw_only=True)
class BoundWorkload:
    """A workload of a study: what is run, from which weights, for how long."""

    choice: Choice
    source: SourceKind
    checkpoint: Path | None
    iterations: int


@frozen(kw_only=True)
class BoundLayout:
    """A layout of a study and the masks it is simulated with."""

    choice: Choice
    masks: tuple[MaskPolicy, ...]


@frozen(kw_only=True)
class BoundMachine:
    """A machine of a study: an accelerator with its memory."""

    name: str
    accelerator: Choice
    memory: Choice
    observers: tuple[str, ...]


@frozen(kw_only=True)
class BoundStudy:
    """A study in which every name is a plugin and every option has its type."""

    study: Study
    workloads: tuple[BoundWorkload, ...]
    layouts: tuple[BoundLayout, ...]
    machines: tuple[BoundMachine, ...]
    metrics: tuple[Choice, ...]
    observers: tuple[Choice, ...]
    experiments: tuple[Choice, ...] = ()

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Every plugin that takes part, once."""
        machines = [c for m in self.machines for c in (m.accelerator, m.memory)]
        every = [
            *(workload.choice for workload in self.workloads),
            *(layout.choice for layout in self.layouts),
            *machines,
            *self.metrics,
            *self.observers,
            *self.experiments,
        ]
        return tuple({(c.registered.kind, c.registered.qualified_name): c for c in every}.values())

    @property
    def masks(self) -> tuple[MaskPolicy, ...]:
        """Every mask that occurs, once, the dense one first."""
        wanted = {mask for layout in self.layouts for mask in layout.masks}
        wanted.update(masks_of_kind(self.study, MaskKind.UNIFORM))
        order = list(MaskKind)
        return tuple(sorted(wanted, key=lambda m: (order.index(m.kind), m.value or 0.0)))


_VALUES: Final = {
    MaskKind.UNIFORM: "thresholds",
    MaskKind.PER_LAYER: "target_hot_ratios",
    MaskKind.PER_LAYER_ELEMENTS: "target_element_ratios",
}
"""Where a study states the values of each kind of mask."""


def masks_of_kind(study: Study, kind: MaskKind) -> tuple[MaskPolicy, ...]:
    """The masks of a kind that a study asks for."""
    if kind is MaskKind.DENSE:
        return (MaskPolicy.dense(),)
    values: tuple[float, ...] = getattr(study, _VALUES[kind])
    return tuple(MaskPolicy(kind, value, study.mask_over_time) for value in values)


def bind(study: Study, registry: Registry, *, where: str) -> BoundStudy:
    """Resolve every choice of a study, or refuse it with all problems at once."""
    binder = _Binder(study, registry, where)
    bound = binder.bound()
    if binder.problems:
        raise StudyError.of(binder.problems)
    return bound


@frozen
class _Binder:
    """Resolves choice by choice and collects what is wrong instead of stopping at the first problem."""

    study: Study
    registry: Registry
    where: str
    problems: list[str] = field(factory=list)

    def bound(self) -> BoundStudy:
        # In the order of the study's keys, so that problems come in that order too.
        workloads = tuple(self._workloads())
        self._check_checkpoints()
        metrics = tuple(self._metrics())
        layouts = tuple(self._layouts())
        machines = tuple(self._machines())
        experiments = tuple(self._named(Kind.EXPERIMENT, self.study.experiments, "experiments"))
        needed = dict.fromkeys(name for machine in machines for name in machine.observers)
        return BoundStudy(
            study=self.study,
            workloads=workloads,
            layouts=layouts,
            machines=machines,
            metrics=metrics,
            observers=tuple(
                self._named(
                    Kind.OBSERVER,
                    tuple(dict.fromkeys([*self.study.profile.observers, *needed])),
                    "profile.observers",
                )
            ),
            experiments=experiments,
        )

    def refuse(self, path: str, problem: str, hint: str | None = None) -> None:
        advice = f" ({hint})" if hint else ""
        self.problems.append(f"{self.where}: {path}: {problem}{advice}")

    # Each of these yields what could be resolved and notes what could not.

    def _workloads(self) -> Iterator[BoundWorkload]:
        labels = _labels(self.study.workloads)
        for index, chosen in enumerate(self.study.workloads):
            path = f"workloads[{index}]"
            choice = self._choice(Kind.WORKLOAD, chosen, path, labels[index])
            if choice is not None:
                yield self._workload(chosen, choice, path)

    def _workload(self, chosen: WorkloadChoice, choice: Choice, path: str) -> BoundWorkload:
        spec = choice.registered.record
        assert isinstance(spec, WorkloadSpec)
        source = chosen.source or self.study.source.kind
        if source not in spec.sources:
            known = ", ".join(sorted(spec.sources))
            self.refuse(path, f"{chosen.name} has no source {str(source)!r}", f"it has: {known}")
        return BoundWorkload(
            choice=choice,
            source=source,
            checkpoint=self._checkpoint(chosen.name, source, path),
            iterations=self.study.iterations or spec.iterations,
        )

    def _checkpoint(self, workload: str, source: SourceKind, path: str) -> Path | None:
        if source is not SourceKind.CHECKPOINT:
            return None
        written = self.study.source.checkpoints.get(workload)
        if written is None:
            self.refuse(path, f"no checkpoint is given for {workload}", "add it to source.checkpoints")
            return None
        checkpoint = Path(written).expanduser()
        if not checkpoint.exists():
            self.refuse(f"source.checkpoints.{workload}", f"no such file or folder: {checkpoint}")
        return checkpoint

    def _check_checkpoints(self) -> None:
        """A checkpoint for a workload that is not in the study is a slip, most likely of spelling."""
        names = {chosen.name for chosen in self.study.workloads}
        for name in self.study.source.checkpoints:
            if name not in names:
                self.refuse(f"source.checkpoints.{name}", "no such workload here", did_you_mean(name, names))

    def _layouts(self) -> Iterator[BoundLayout]:
        labels = _labels(self.study.layouts)
        for index, chosen in enumerate(self.study.layouts):
            choice = self._choice(Kind.LAYOUT, chosen, f"layouts[{index}]", labels[index])
            if choice is not None:
                yield BoundLayout(choice=choice, masks=self._masks(chosen, choice))

    def _masks(self, chosen: LayoutChoice, choice: Choice) -> tuple[MaskPolicy, ...]:
        spec = choice.registered.record
        assert isinstance(spec, LayoutSpec)
        kinds = spec.masks if chosen.masks is None else chosen.masks
        return tuple(policy for kind in kinds for policy in masks_of_kind(self.study, kind))

    def _machines(self) -> Iterator[BoundMachine]:
        for index, chosen in enumerate(self.study.machines):
            machine = self._machine(chosen, f"machines[{index}]")
            if machine is not None:
                yield machine

    def _machine(self, chosen: MachineChoice, path: str) -> BoundMachine | None:
        accelerator = self._choice(Kind.ACCELERATOR, chosen.accelerator, f"{path}.accelerator")
        memory = self._choice(Kind.MEMORY, chosen.memory, f"{path}.memory")
        if accelerator is None or memory is None:
            return None
        spec = accelerator.registered.record
        assert isinstance(spec, AcceleratorSpec)
        return BoundMachine(
            name=chosen.name, accelerator=accelerator, memory=memory, observers=spec.observers
        )

    def _metrics(self) -> Iterator[Choice]:
        modalities = self._modalities()
        labels = _labels(self.study.metrics)
        for index, chosen in enumerate(self.study.metrics):
            path = f"metrics[{index}]"
            choice = self._choice(Kind.METRIC, chosen, path, labels[index])
            if choice is None:
                continue
            spec = choice.registered.record
            assert isinstance(spec, MetricSpec)
            if modalities and not any(spec.suits(modality) for modality in modalities):
                suits = ", ".join(spec.modalities)
                self.refuse(path, f"{chosen.name} fits no workload of the study", f"it is for: {suits}")
            if self.study.samples < spec.minimum_samples:
                self.refuse(path, f"{chosen.name} needs samples = {spec.minimum_samples} or more")
            yield choice

    def _modalities(self) -> set[str]:
        found = set()
        for chosen in self.study.workloads:
            try:
                spec = self.registry.find(Kind.WORKLOAD, chosen.name).record
            except PluginError:
                continue
            assert isinstance(spec, WorkloadSpec)
            found.add(spec.modality)
        return found

    def _named(self, kind: Kind, names: Sequence[str], path: str) -> Iterator[Choice]:
        """Plugins without options, by their names."""
        for index, name in enumerate(names):
            try:
                registered = self.registry.find(kind, name)
            except PluginError as error:
                self.refuse(f"{path}[{index}]", error.problem, error.hint)
            else:
                yield Choice(name=name, registered=registered, options=None, label=name)

    def _choice(self, kind: Kind, chosen: PluginChoice, path: str, label: str | None = None) -> Choice | None:
        try:
            registered = self.registry.find(kind, chosen.name)
            options = self._options(registered, chosen, path)
        except StudyError as error:
            self.problems.extend(error.problem.splitlines())
        except ColfwError as error:
            self.refuse(f"{path}.name", error.problem, error.hint)
        else:
            return Choice(
                name=chosen.name, registered=registered, options=options, label=label or chosen.name
            )
        return None

    def _options(self, registered: Registered, chosen: PluginChoice, path: str) -> Mapping[str, Any] | None:
        config_class = registered.config_class()
        if config_class is None:
            self._refuse_options(chosen, path)
            return None
        merged = {**self._preset(registered, chosen, path), **chosen.options}
        config: object = structure(config_class, merged, where=self.where, path=f"{path}.options")
        return unstructure(config)

    def _refuse_options(self, chosen: PluginChoice, path: str) -> None:
        if chosen.options:
            self.refuse(f"{path}.options", f"{chosen.name} takes no options")
        if chosen.preset is not None:
            self.refuse(f"{path}.preset", f"{chosen.name} has no presets")

    def _preset(self, registered: Registered, chosen: PluginChoice, path: str) -> Mapping[str, Any]:
        presets = registered.record.presets
        if chosen.preset is None:
            return {}
        if chosen.preset not in presets:
            hint = did_you_mean(chosen.preset, presets)
            self.refuse(f"{path}.preset", f"{chosen.name} has no preset {chosen.preset!r}", hint)
            return {}
        return presets[chosen.preset]


def _labels(chosen: Sequence[PluginChoice]) -> list[str]:
    """A label for each choice: its name where that is enough, else with what it says beyond the name."""
    names = [choice.name for choice in chosen]
    labels = [choice.name if names.count(choice.name) == 1 else _spelled_out(choice) for choice in chosen]
    return [
        label if labels.count(label) == 1 else f"{label}#{index + 1}" for index, label in enumerate(labels)
    ]


def _spelled_out(choice: PluginChoice) -> str:
    said = [choice.preset] if choice.preset else []
    said += [f"{key}={value}" for key, value in sorted(choice.options.items())]
    return f"{choice.name}[{', '.join(said)}]" if said else choice.name
