"""A study meets the plugins: which masks occur."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import colfw_tiny.plugin as tiny
from colfw.binding import bind
from colfw.engine.plan import plan_study
from colfw.plugins import Candidate, Owner, PluginPolicy, load_plugins
from colfw.study import study_from

if TYPE_CHECKING:
    from colfw.binding import BoundStudy

STUDY: dict[str, Any] = {
    "workloads": ["tiny-denoiser"],
    "iterations": 3,
    "thresholds": [0.1],
    "target_hot_ratios": [0.5],
    "target_element_ratios": [0.2, 0.3],
    "metrics": ["tiny-distance"],
    "layouts": ["tiny-hot-first"],
    "machines": [{"name": "it", "accelerator": "tiny-array", "memory": "tiny-bus"}],
}
BY_ELEMENTS = {"layouts": [{"name": "tiny-hot-first", "masks": ["dense", "target-hot-elements"]}]}


def bound(**changes: Any) -> BoundStudy:
    example = Candidate(Owner("colfw-tiny", "0.1.0", "tiny", "colfw_tiny.plugin"), lambda: tiny)
    registry = load_plugins(PluginPolicy(), [example])
    return bind(study_from({**STUDY, **changes}, where="study"), registry, where="study")


def masks_placed(study: BoundStudy) -> list[str]:
    return [task.context["mask"] for task in plan_study(study).tasks if task.step == "place"]


def masks_scored(study: BoundStudy) -> set[str]:
    return {task.context["mask"] for task in plan_study(study).tasks if task.step == "score"}


def test_targets_of_elements_occur_only_where_a_layout_asks() -> None:
    """A study that says nothing of them gets no more cases for their targets."""
    assert [mask.label for mask in bound().masks] == ["dense", "tau=0.1", "rho=0.5"]
    assert masks_placed(bound()) == ["dense", "tau=0.1", "rho=0.5"]


def test_a_layout_that_asks_is_placed_and_scored_with_them() -> None:
    """One case for each target of elements; uniform masks are scored as ever, those of columns are not."""
    study = bound(**BY_ELEMENTS)
    assert [mask.label for mask in study.masks] == ["dense", "tau=0.1", "eta=0.2", "eta=0.3"]
    assert masks_placed(study) == ["dense", "eta=0.2", "eta=0.3"]
    assert masks_scored(study) == {"tau=0.1", "eta=0.2", "eta=0.3"}


def test_one_iteration_calibrates_nothing() -> None:
    """Targets need iterations 1 and later: without any, masks that have a target are left out."""
    assert masks_placed(bound(iterations=1)) == ["dense", "tau=0.1"]
    assert masks_placed(bound(iterations=1, **BY_ELEMENTS)) == ["dense"]
    assert masks_scored(bound(iterations=1, **BY_ELEMENTS)) == {"tau=0.1"}
