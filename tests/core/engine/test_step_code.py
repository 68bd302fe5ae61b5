"""A stale result is a silent wrong number: what a step rests on must be part of its code version."""

from __future__ import annotations

from functools import cache

import grimp
import pytest

from colfw.engine.tasks import STEPS

DECISIVE = {
    f"colfw.{name}"
    for name in (
        "arrayfile",
        "dram.counts",
        "folding",
        "masks",
        "placement",
        "profile",
        "program",
        "report.build",
        "report.evidence",
        "report.figures.drawing",
        "report.figures.figure",
        "report.figures.settled",
        "report.figures.shapes",
        "report.figures.standard",
        "report.figures.theme",
        "report.html",
        "report.schemas",
        "samples",
        "sites",
        "thresholds",
        "timing",
    )
}
"""The modules whose code makes numbers; the rest finds plugins, reads studies and moves files."""


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("colfw", exclude_type_checking_imports=True, cache_dir=None)


@pytest.mark.parametrize("name", STEPS)
def test_everything_that_a_step_imports_and_that_makes_numbers_is_in_its_code_version(name: str) -> None:
    """A step's declared code covers every decisive module that its function's module imports."""
    step = STEPS[name]
    imported = imports().find_upstream_modules(step.function.partition(":")[0])
    assert imported & DECISIVE <= set(step.code)


@pytest.mark.parametrize("name", STEPS)
def test_code_versions_are_stable_and_tell_steps_apart(name: str) -> None:
    """A step has one code version, and no other step shares it."""
    versions = [step.code_version for step in STEPS.values()]
    assert versions.count(STEPS[name].code_version) == 1


def test_what_memories_are_made_of_is_in_the_code_version_of_a_simulation() -> None:
    """A memory plugin resolves its DRAM by core's code, which its own fingerprint does not cover."""
    made_of = {"colfw.dram.energy", "colfw.dram.spec", "colfw.dram.requests"}
    needed = made_of.union(*map(imports().find_upstream_modules, made_of))
    assert {name for name in needed if name.startswith("colfw.dram.")} <= set(STEPS["simulate"].code)


@pytest.mark.parametrize("name", ["profile", "generate"])
def test_what_torch_workloads_are_made_of_is_in_the_code_version_of_denoising(name: str) -> None:
    """A workload denoises and folds by core's code, which its own fingerprint does not cover."""
    made_of = {"colfw.denoising.workload", "colfw.denoising.encoders", "colfw.folding"}
    needed = made_of.union(*map(imports().find_upstream_modules, made_of))
    kit = {one for one in needed if one.startswith(("colfw.denoising.", "colfw.observing.", "colfw.folding"))}
    assert kit <= set(STEPS[name].code)
