"""`colfw config`: a study, checked and spelled out, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from attrs import evolve
from cyclopts import Parameter

from colfw.binding import BoundStudy, Choice, bind
from colfw.cli.common import PluginOptions, say, say_json
from colfw.errors import StudyError
from colfw.experiments import experiments_of, study_of
from colfw.records import WorkloadSpec
from colfw.study import Study, read_study, study_data, study_from, study_toml
from colfw.vocabulary import ExperimentGroup, Kind, SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colfw.plugins import Registry
    from colfw.study import PluginChoice

C = TypeVar("C", bound="PluginChoice")

DEFAULT_STUDY = Path("study.toml")

StudyFile = Annotated[
    Path | None,
    Parameter(help="The study; default: study.toml here, else a tour of what there is."),
]
Overrides = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", help="Override a value, such as iterations=8; may be repeated."),
]


def load_study(
    path: Path | None,
    overrides: tuple[str, ...],
    registry: Registry,
    otherwise: ExperimentGroup = ExperimentGroup.TOUR,
) -> tuple[Study, str]:
    """The study in a file, and how to call the file in messages; without any file, the group's first one."""
    if path is None and not DEFAULT_STUDY.exists():
        offered = experiments_of(registry, otherwise)
        return study_of(offered[0], overrides) if offered else _first_look(overrides, registry)
    chosen = path or DEFAULT_STUDY
    return read_study(chosen, overrides), str(chosen)


def _first_look(overrides: tuple[str, ...], registry: Registry) -> tuple[Study, str]:
    """What runs where no plugin offers a tour: every workload that ships weights of its own, profiled."""
    shipped = [
        registered.name
        for registered in registry.all(Kind.WORKLOAD)
        if isinstance(registered.record, WorkloadSpec) and SourceKind.MINIATURE in registered.record.sources
    ]
    if not shipped:
        raise StudyError(
            "no study is named, there is no study.toml here, and no workload ships weights to try",
            hint="colfw run STUDY.toml; examples/colfw-tiny/study.toml is one to begin with",
        )
    first_look = {
        "name": "first-look",
        "workloads": shipped,
        "source": {"kind": str(SourceKind.MINIATURE)},
    }
    return study_from(first_look, where="first look", overrides=overrides), "first look"


def show(
    study: StudyFile = None,
    *,
    overrides: Overrides = (),
    json: Annotated[bool, Parameter(negative="")] = False,
    plugins: PluginOptions | None = None,
) -> None:
    """Print a study with every default spelled out, options of plugins included.

    Parameters
    ----------
    json
        Print JSON instead of TOML.
    """
    registry = (plugins or PluginOptions()).load()
    typed, where = load_study(study, overrides, registry)
    bound = bind(typed, registry, where=where)
    expanded = spelled_out(bound)
    if json:
        say_json(study_data(expanded))
    else:
        say(study_toml(expanded).rstrip())


def spelled_out(bound: BoundStudy) -> Study:
    """The study with the options of every plugin as they will be, defaults and presets resolved."""
    study = bound.study
    machines = zip(study.machines, bound.machines, strict=True)
    return evolve(
        study,
        workloads=_with_options(study.workloads, [w.choice for w in bound.workloads]),
        layouts=_with_options(study.layouts, [layout.choice for layout in bound.layouts]),
        metrics=_with_options(study.metrics, bound.metrics),
        machines=tuple(
            evolve(
                machine,
                accelerator=_with_option(machine.accelerator, made.accelerator),
                memory=_with_option(machine.memory, made.memory),
            )
            for machine, made in machines
        ),
    )


def _with_options(chosen: tuple[C, ...], bound: Iterable[Choice]) -> tuple[C, ...]:
    return tuple(_with_option(one, other) for one, other in zip(chosen, bound, strict=True))


def _with_option(chosen: C, bound: Choice) -> C:
    # The preset's options are among the resolved ones.
    return evolve(chosen, preset=None, options=dict(bound.options or {}))


def check(
    study: StudyFile = None, *, overrides: Overrides = (), plugins: PluginOptions | None = None
) -> None:
    """Check a study against the plugins; every problem is named, and nothing heavy is imported."""
    registry = (plugins or PluginOptions()).load()
    typed, where = load_study(study, overrides, registry)
    bound = bind(typed, registry, where=where)
    cases = sum(len(layout.masks) for layout in bound.layouts) * len(bound.machines)
    say(
        f"{where}: ok: {len(bound.workloads)} workload(s), {cases} simulated case(s) each,"
        f" {len(bound.metrics)} metric(s)"
    )
