"""Experiments: studies that plugins declare ready to run, found by what they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw.binding import Choice
from colfw.errors import StudyError
from colfw.names import did_you_mean
from colfw.plugins import Registered, guarded
from colfw.records import ExperimentSpec
from colfw.study import study_from

if TYPE_CHECKING:
    from colfw.plugins import Registry
    from colfw.study import Study
    from colfw.vocabulary import ExperimentGroup


def experiments_of(registry: Registry, group: ExperimentGroup) -> list[Registered]:
    """The experiments of a group, in the order in which their plugins declare them."""
    return [
        Registered(record, plugin.owner)
        for plugin in registry.plugins
        for record in plugin.records
        if isinstance(record, ExperimentSpec) and record.group is group
    ]


def find_experiment(registry: Registry, group: ExperimentGroup, name: str) -> Registered:
    """The experiment of that name and group; the nearest name is offered where there is none."""
    offered = {found.name: found for found in experiments_of(registry, group)}
    offered.update({found.qualified_name: found for found in offered.values()})
    if name not in offered:
        names = {found.name for found in offered.values()}
        raise StudyError(
            f"there is no {group} {name!r}", where="command line", hint=did_you_mean(name, names)
        )
    return offered[name]


def study_of(found: Registered, overrides: tuple[str, ...]) -> tuple[Study, str]:
    """The study of an experiment, whose report then shows what the experiment makes of it."""
    choice = Choice(name=found.name, registered=found, options=None, label=found.name)
    with guarded(str(found), "while it stated its study"):
        data = choice.make().study()
    where = f"experiment {found.name}"
    stated = {"name": found.name, **data, "experiments": [found.qualified_name]}
    return study_from(stated, where=where, overrides=overrides), where
