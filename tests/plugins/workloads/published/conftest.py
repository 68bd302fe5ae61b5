"""The sites of the seven published models at full size, from the golden data."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from colfw.profile import ActivationProfile, Provenance
from colfw.sites import Ffn, Site
from colfw.study import FINE_GRID
from colfw.vocabulary import SourceKind
from colfw_workloads.published import report, synthesise
from colfw_workloads.published.comparison import Row

MODELS = Path(__file__).parents[3] / "golden" / "models"

MakeProfile = Callable[..., ActivationProfile]
FullReport = Callable[..., tuple[Row, ...]]


@cache
def _sites(workload: str) -> tuple[Site, ...]:
    entries = json.loads((MODELS / workload / "sites.json").read_text())["sites"]
    return tuple(
        Site(
            name=entry["site"],
            rows=entry["M_per_step"],
            columns=entry["N"],
            operator=Ffn(d_in=entry["d_model"], d_out=entry["d_model"], gated="GEGLU" in entry["kind"]),
        )
        for entry in entries
    )


@cache
def _profile(workload: str, seed: int = 0, iterations: int = 50) -> ActivationProfile:
    made = synthesise(
        workload, _sites(workload), iterations=iterations, samples=1, seed=seed, thresholds=FINE_GRID
    )
    return ActivationProfile(
        provenance=Provenance(
            workload=workload, source=SourceKind.PUBLISHED, seed=seed, samples=1, iterations=iterations
        ),
        thresholds=FINE_GRID,
        sites=made,
    )


@pytest.fixture(scope="session")
def full_sites() -> Callable[[str], tuple[Site, ...]]:
    """The sites of a workload at full size."""
    return _sites


@cache
def _report(workload: str, seed: int = 0) -> tuple[Row, ...]:
    return report(workload, _profile(workload, seed))


@pytest.fixture(scope="session")
def full_report() -> FullReport:
    """The report of a workload's published profile at full size, of seed 0 unless asked for another."""
    return _report


@pytest.fixture(scope="session")
def full_profile() -> MakeProfile:
    """The published profile of a workload at full size: 50 iterations, seed 0 unless asked for others."""
    return _profile
