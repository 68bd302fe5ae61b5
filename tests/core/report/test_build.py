"""From stored results to tables: every number again, by another way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from colfw.errors import InvariantError
from colfw.masks import MaskPolicy, calibrate_elements, masks_of
from colfw.placement import Epoch, Placement, SitePlacement
from colfw.report.build import Result, Sources, build_tables
from colfw.report.html import render
from colfw.report.schemas import SCHEMAS
from colfw.store.tables import Table
from colfw.testing.strategies import profiles
from colfw.timing import Timing

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.profile import ActivationProfile

TAU, RHO = MaskPolicy.uniform(0.5), MaskPolicy.per_layer(0.5)
ETA = MaskPolicy.per_layer_elements(0.5)
DENSE = MaskPolicy.dense()
WHERE = {"workload": "it", "seed": 3}


def timing(core_cycles: int) -> Timing:
    return Timing(
        core_cycles=core_cycles,
        compute_core_cycles=1,
        stall_core_cycles=core_cycles - 1,
        other_core_cycles=0,
        memory_cycles=core_cycles,
        peak_bytes=100,
        read_bytes_requested=10,
        read_bytes_served=10,
        written_bytes_requested=0,
        written_bytes_served=0,
    )


def stored(folder: Path, step: str, context: dict[str, Any], **files: bytes) -> Result:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return Result(step=step, context={**WHERE, **context}, file=lambda name: folder / name)


def case(folder: Path, profile: ActivationProfile, mask: MaskPolicy, core_cycles: int) -> list[Result]:
    """A placement under a mask, simulated to take so many cycles a site and iteration."""
    masks = masks_of(profile, mask)
    placed = tuple(
        SitePlacement(
            site=m.site,
            epochs=(Epoch(first_iteration=0, slot_of_column=np.arange(m.site.columns), hot_slots=0),),
            fetched=m.hot,
        )
        for m in masks.sites
    )
    totals = attrs.asdict(timing(core_cycles), filter=attrs.filters.exclude("channels"))
    sites = [
        {"site": m.site.name, "iteration": i, "program": 0} for m in masks.sites for i in range(len(m.hot))
    ]
    program = {"timing": totals, "bytes_of_tensor": {"up": 3, "down": 4}, "channels": []}
    context = {"layout": "plain", "mask": mask.label}
    place = stored(
        folder / f"place-{mask.label}",
        "place",
        context,
        masks__safetensors=masks.to_bytes(),
        placement__safetensors=Placement(layout="plain", sites=placed).to_bytes(),
    )
    simulate = stored(
        folder / f"simulate-{mask.label}",
        "simulate",
        {**context, "machine": "m"},
        timings__json=json.dumps({"sites": sites, "programs": [program]}).encode(),
    )
    return [place, simulate]


def measured(folder: Path, profile: ActivationProfile) -> Result:
    return stored(folder / "profile", "profile", {}, profile__safetensors=profile.to_bytes())


def tables_of(results: list[Result]) -> dict[str, Table]:
    return build_tables(Sources(results, [DENSE, TAU, RHO], [0.5]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=15)
@given(profile=profiles(min_iterations=3, max_iterations=4))
def test_shares_follow_from_the_hot_columns(
    tmp_path_factory: pytest.TempPathFactory, profile: ActivationProfile
) -> None:
    """Sparsity counts columns with a maximum above tau; every site, iteration and mask has its row."""
    tables = tables_of([measured(tmp_path_factory.mktemp("report"), profile)])
    rows = tables["sparsity"].rows
    assert len(rows) == 2 * len(profile.sites) * profile.provenance.iterations
    for row in rows:
        entry = profile.site(str(row["site"]))
        assert isinstance(row["iteration"], int)
        hot = int((entry.maxima[row["iteration"]].astype(np.float64) > row["tau"]).sum())
        assert row["hot_columns"] == hot
        assert row["column_sparsity"] == pytest.approx(1 - hot / entry.site.columns)
        assert (row["jaccard"] is None) == (row["iteration"] == 0)
    assert {row["mask"] for row in tables["calibration"].rows} == {RHO.label}
    assert all(float(row["hot_ratio"] or 0) <= 0.5 for row in tables["calibration"].rows)
    assert {row["evidence"] for row in rows} == {profile.provenance.source.evidence}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=15)
@given(profile=profiles(min_iterations=1, max_iterations=3))
def test_a_target_of_elements_says_how_exact_it_is(
    tmp_path_factory: pytest.TempPathFactory, profile: ActivationProfile
) -> None:
    """Beside its threshold stands the next lower counted one, which misses; targets of columns are exact.

    A run of one iteration has no calibration at all.
    """
    start = measured(tmp_path_factory.mktemp("report"), profile)
    tables = build_tables(Sources([start], [RHO, ETA], [0.5]))
    rows = tables["calibration"].rows if "calibration" in tables else []
    kinds = {RHO.label: "columns", ETA.label: "elements"} if profile.provenance.iterations > 1 else {}
    assert {str(row["mask"]): row["target_of"] for row in rows} == kinds
    for row in rows:
        if row["mask"] == RHO.label:
            assert (row["missed_tau"], row["missed_share"]) == (None, None)
            continue
        found = calibrate_elements(profile, str(row["site"]), 0.5)
        assert (row["tau"], row["missed_tau"]) == (found.tau, found.missed_tau)
        assert row["missed_share"] is None or float(row["missed_share"]) > 0.5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=5)
@given(profile=profiles(min_iterations=3, max_iterations=3))
def test_reductions_are_held_against_the_dense_run(
    tmp_path_factory: pytest.TempPathFactory, profile: ActivationProfile
) -> None:
    """Half the cycles of the dense run are a reduction of one half, and without one there is none."""
    folder = tmp_path_factory.mktemp("report")
    start = measured(folder, profile)
    sparse = case(folder, profile, TAU, 40)
    alone = tables_of([start, *sparse])["totals"].rows
    assert [(row["baseline_layout"], row["cycle_reduction"]) for row in alone] == [(None, None)]
    both = tables_of([start, *sparse, *case(folder, profile, DENSE, 80)])["totals"].rows
    assert {row["mask"]: row["cycle_reduction"] for row in both} == {DENSE.label: 0.0, TAU.label: 0.5}
    steps = len(profile.sites) * 3
    assert {row["mask"]: row["core_cycles"] for row in both} == {
        DENSE.label: 80 * steps,
        TAU.label: 40 * steps,
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=5)
@given(profile=profiles(min_iterations=3, max_iterations=3))
def test_a_score_with_another_mask_than_the_simulators_is_refused(
    tmp_path_factory: pytest.TempPathFactory, profile: ActivationProfile
) -> None:
    """The digest beside the score must be that of the simulated mask."""
    folder = tmp_path_factory.mktemp("report")
    results = [measured(folder, profile), *case(folder, profile, TAU, 40)]
    context = {"mask": TAU.label, "metric": "m", "unit": "1", "direction": "lower is better"}

    def scored(digest: str) -> Result:
        content = json.dumps({"value": 1.0, "samples": 1, "mask_digest": digest}).encode()
        return stored(folder / f"score-{digest[:4]}", "score", context, score__json=content)

    right = masks_of(profile, TAU).digest
    assert len(tables_of([*results, scored(right)])["scores"]) == 1
    with pytest.raises(InvariantError, match=r"table scores: .* has mask"):
        tables_of([*results, scored("0" * 64)])


def test_the_page_escapes_what_is_not_its_own_and_explains_every_column() -> None:
    """Names come from studies and plugins; each table's columns are explained, be it empty or not."""
    tables = {name: Table(schema, []) for name, schema in SCHEMAS.items()}
    page = render(name="<i>", tables=tables, sections=[], study="a < b", plugins=["<p>"])
    assert "<i>" not in page
    assert "&lt;i&gt;" in page
    assert "a &lt; b" in page
    for schema in SCHEMAS.values():
        assert all(page.count(column.name) >= 1 for column in schema.columns)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=5)
@given(profile=profiles(min_iterations=3, max_iterations=3))
def test_the_parts_of_a_reduction_add_up(
    tmp_path_factory: pytest.TempPathFactory, profile: ActivationProfile
) -> None:
    """Work, traffic and locality sum to the reduction; equal bytes save nothing by traffic."""
    folder = tmp_path_factory.mktemp("report")
    start = measured(folder, profile)
    tables = tables_of([start, *case(folder, profile, DENSE, 80), *case(folder, profile, TAU, 40)])
    (row,) = tables["reductions"].rows
    parts = [row[name] or 0.0 for name in ("by_work", "by_traffic", "by_locality")]
    assert row["cycle_reduction"] == 0.5
    assert sum(parts) == pytest.approx(0.5)
    assert row["by_traffic"] == 0.0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=5)
@given(profile=profiles(max_iterations=3))
def test_traffic_is_added_up_by_tensor(
    tmp_path_factory: pytest.TempPathFactory, profile: ActivationProfile
) -> None:
    """Each site's tensors have what all its iterations moved."""
    folder = tmp_path_factory.mktemp("report")
    rows = tables_of([measured(folder, profile), *case(folder, profile, DENSE, 80)])["traffic"].rows
    steps = profile.provenance.iterations
    assert {(row["tensor"], row["moved_bytes"]) for row in rows} == {("up", 3 * steps), ("down", 4 * steps)}
    assert len(rows) == 2 * len(profile.sites)
