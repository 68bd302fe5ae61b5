from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from colfw_workloads.published.recipe import RECIPES
from colfw_workloads.published.targets import (
    CONTRADICTIONS,
    KEYS,
    PRIMARY_TAU,
    PUBLISHED_ITERATIONS,
    SWEEP,
    TARGETS,
    Quantity,
    Target,
    target,
)

if TYPE_CHECKING:
    from pathlib import Path

    Paper = dict[str, Any]


@pytest.fixture(scope="module")
def paper(golden_root: Path) -> Paper:
    published = golden_root / "paper" / "published.json"
    if not published.exists():
        pytest.skip(f"{golden_root} has no folder paper: published numbers lie in the repository's own")
    return json.loads(published.read_text(encoding="utf-8"))


def _followed(paper: Paper, path: str) -> tuple[Any, float | None]:
    """What a path leads to, and the tolerance stated there or the nearest level above."""
    found, tolerance = paper, None
    for step in path.split("/"):
        found = found[step]
        tolerance = found.get("tol", tolerance) if isinstance(found, dict) else tolerance
        if step in {"uniform_sweep_reduction_pct", "per_layer_sweep_reduction_pct"}:
            tolerance = paper[step]["tol"]
    return found, tolerance


def _numbers(found: Any) -> tuple[float, float]:
    if isinstance(found, dict):
        return tuple(found["range"]) if "range" in found else (found["value"], found["value"])
    return found, found


@pytest.mark.parametrize("entry", TARGETS, ids=lambda entry: f"{entry.workload}: {entry.label}")
def test_numbers_are_the_published_ones(entry: Target, paper: Paper) -> None:
    """Every target has the numbers and the tolerance that published.json has at its path."""
    found, tolerance = _followed(paper, entry.path)
    assert _numbers(found) == (entry.low, entry.high)
    assert entry.tolerance == pytest.approx(tolerance)


@pytest.mark.parametrize("entry", TARGETS, ids=lambda entry: f"{entry.workload}: {entry.label}")
def test_unit_and_place_are_stated(entry: Target, paper: Paper) -> None:
    """Every target says where it was published, and in percent only what published.json has in percent."""
    assert entry.where
    assert (entry.unit == "%") == ("_pct" in entry.path and entry.unit != "points")


def test_all_of_published_json_is_targeted(paper: Paper) -> None:
    """No number that published.json has about sparsity, Jaccard, thresholds or reductions is left out."""
    groups = {
        "column_sparsity_pct": {"definition", "fig1_range", "illustration"},
        "jaccard": {"definition", "unet_range"},
        "calibrated_thresholds": set(),
        "uniform_sweep_reduction_pct": {"where", "tol", "mld_at_0.164", "overall_range"},
        "per_layer_sweep_reduction_pct": {
            "where",
            "tol",
            "dit_inflation_artifact_pct_of_reduction",
            "dit_at_rho_0.164_derived",
        },
    }
    paths = {entry.path for entry in TARGETS}
    for group, others in groups.items():
        for key in set(paper[group]) - others:
            assert any(f"{path}/".startswith(f"{group}/{key}/") for path in paths), f"{group}/{key}"


def test_operating_point_and_sweep_are_the_published_ones(paper: Paper) -> None:
    """The primary threshold, the sweep and the number of iterations are those of the study."""
    assert paper["operating_point"]["uniform_threshold_tau"]["value"] == PRIMARY_TAU
    assert tuple(paper["operating_point"]["sweep_values"]) == SWEEP
    assert paper["denoising_iterations"]["value"] == PUBLISHED_ITERATIONS


def test_one_recipe_for_each_workload() -> None:
    """Every workload of the study can be made, and no other."""
    assert set(RECIPES) == set(KEYS) == {entry.workload for entry in TARGETS}


def test_every_contradiction_concerns_a_target() -> None:
    """A contradiction that concerns no target explains nothing."""
    for known in CONTRADICTIONS:
        assert any(known.concerns(entry) for entry in TARGETS)


def test_printed_has_the_digits_of_the_study() -> None:
    """A target is shown with as many digits as the study printed."""
    assert target("mdm", Quantity.COLUMNS_MEAN).printed == "12.1"
    assert target("mld", Quantity.COLUMNS_MEAN, (0.17,)).printed == "88.0"
    assert target("dit-xl-2", Quantity.LAYERS_ITERATION_0).printed == "18 to 86"
    assert target("edge", Quantity.JACCARD_MEAN).printed == "0.950"


def test_unpublished_quantity_is_refused() -> None:
    """Asking for what the study does not publish fails instead of giving a number."""
    with pytest.raises(KeyError):
        target("mld", Quantity.ELEMENTS_MEAN)


def test_label_names_thresholds_unless_primary() -> None:
    """The label names the thresholds of a target unless they are the primary one."""
    assert target("mdm", Quantity.COLUMNS_MEAN, (0.17,)).label.endswith("at 0.17")
    assert isinstance(target("mdm", Quantity.COLUMNS_MEAN), Target)
    assert target("mdm", Quantity.COLUMNS_MEAN).label == "column sparsity, iterations 1 and later"
