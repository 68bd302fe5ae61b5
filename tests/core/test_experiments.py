"""Experiments: found by what they are for, in the order of their declaration, with the study they state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from colfw import hookimpl
from colfw.errors import PluginError, StudyError
from colfw.experiments import experiments_of, find_experiment, study_of
from colfw.plugins import Candidate, Owner, PluginPolicy, load_plugins
from colfw.records import ExperimentSpec
from colfw.vocabulary import ExperimentGroup

if TYPE_CHECKING:
    from colfw.plugins import Registry


class Small:
    """States a study of one workload."""

    def study(self) -> dict[str, Any]:
        return {"workloads": ["tiny-denoiser"], "samples": 3}


class Broken:
    """Fails when it is asked."""

    def study(self) -> dict[str, Any]:
        raise RuntimeError("no idea")


class _Paper:
    """A plugin."""

    @staticmethod
    @hookimpl
    def colfw_experiments() -> list[ExperimentSpec]:
        return [
            ExperimentSpec(
                name=name,
                summary="A test's",
                api_version=1,
                group=group,
                factory=f"{__name__}:{factory.__name__}",
            )
            for name, group, factory in (
                ("zeta", ExperimentGroup.REPRODUCTION, Small),
                ("alpha", ExperimentGroup.REPRODUCTION, Broken),
                ("knob", ExperimentGroup.ABLATION, Small),
            )
        ]


@pytest.fixture
def registry() -> Registry:
    """Nothing but the experiments above."""
    return load_plugins(PluginPolicy(), [Candidate(Owner("paper", "1", "paper", __name__), _Paper)])


def test_a_group_is_listed_in_the_order_of_its_declaration(registry: Registry) -> None:
    """Only what is for the same; a publication's order is its own."""
    listed = [found.name for found in experiments_of(registry, ExperimentGroup.REPRODUCTION)]
    assert listed == ["zeta", "alpha"]


def test_an_experiment_is_found_by_either_name(registry: Registry) -> None:
    """Its name alone, or with the distribution that it is of."""
    for name in ("zeta", "paper/zeta"):
        assert find_experiment(registry, ExperimentGroup.REPRODUCTION, name).name == "zeta"


@pytest.mark.parametrize(("name", "hint"), [("zeat", "did you mean 'zeta'?"), ("knob", "known: alpha, zeta")])
def test_another_group_s_experiment_is_not_found(registry: Registry, name: str, hint: str) -> None:
    """What is missing is refused with the nearest name of the same group."""
    with pytest.raises(StudyError) as refused:
        find_experiment(registry, ExperimentGroup.REPRODUCTION, name)
    assert refused.value.problem == f"there is no reproduction {name!r}"
    assert refused.value.hint == hint


def test_the_study_names_its_experiment(registry: Registry) -> None:
    """The report of the study shows what the experiment makes of it; overrides apply as to any study."""
    [found, *_] = experiments_of(registry, ExperimentGroup.REPRODUCTION)
    study, where = study_of(found, ("seeds=[7]",))
    assert (study.name, study.samples, study.seeds) == ("zeta", 3, (7,))
    assert study.experiments == ("paper/zeta",)
    assert where == "experiment zeta"


def test_an_experiment_that_fails_is_named(registry: Registry) -> None:
    """The plugin, and what it was doing."""
    found = find_experiment(registry, ExperimentGroup.REPRODUCTION, "alpha")
    with pytest.raises(PluginError, match=r"alpha.*paper 1.*no idea.*while it stated its study"):
        study_of(found, ())
