"""The roofline: what is counted as work, which iterations a point stands for, and where the roofs are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from colfw.binding import bind
from colfw.plugins import load_plugins
from colfw.study import study_from
from colfw.testing.contracts import ExperimentContract
from colfw_experiments.roofline import PEAK_GMAC_PER_S, Roofline

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = Mapping[str, Any]

MASK = "tau=0.164"
SITE = {"workload": "mdm", "site": "a", "rows": 10, "columns": 8, "d_in": 4, "d_out": 4, "gated": False}


def timing(mask: str, iteration: int, **more: Any) -> dict[str, Any]:
    """A row of timing, as far as the roofline reads it."""
    return {
        "workload": "mdm",
        "seed": 0,
        "evidence": "synthesised",
        "machine": "paper",
        "layout": "row-major" if mask == "dense" else "uniform-hot-cold",
        "mask": mask,
        "site": "a",
        "iteration": iteration,
        "core_cycles": 800,
        "read_bytes": 100,
        "written_bytes": 60,
        "peak_bytes": 64_000,
        **more,
    }


def tables(*, gated: bool = False) -> dict[str, list[dict[str, Any]]]:
    hot = {"workload": "mdm", "seed": 0, "mask": MASK, "site": "a"}
    return {
        "sites": [{**SITE, "gated": gated}],
        "sparsity": [{**hot, "iteration": 0, "hot_columns": 7}, {**hot, "iteration": 1, "hot_columns": 2}],
        "timing": [
            *(timing("dense", iteration) for iteration in (0, 1)),
            *(timing(MASK, iteration, core_cycles=400, read_bytes=20) for iteration in (0, 1)),
        ],
    }


def points(found: Mapping[str, list[dict[str, Any]]]) -> dict[str, Row]:
    (figure,) = Roofline().figures(found)
    return {str(row["case"]): row for row in figure.data.rows}


class TestRoofline(ExperimentContract):
    """It is an experiment."""

    tables = tables()

    @pytest.fixture
    def experiment(self) -> Roofline:
        return Roofline()


def test_its_study_binds() -> None:
    """Both machines and both layouts exist."""
    bound = bind(study_from(dict(Roofline().study()), where="x"), load_plugins(), where="x")
    assert [machine.name for machine in bound.machines] == ["paper", "reference"]


def test_dense_work_is_rows_times_columns_times_both_widths() -> None:
    """10 rows x 8 columns x (4 + 4), in each of two iterations, over all bytes and all time."""
    dense = points(tables())["mdm"]
    assert dense["needed_mac"] == 2 * 10 * 8 * 8
    assert dense["mac_per_byte"] == 1280 / 320
    assert dense["gmac_per_s"] == pytest.approx(1280 / 2000)  # 1,600 core cycles at 800 MHz
    assert dense["bandwidth_gb_per_s"] == pytest.approx(320 / 2000)


def test_a_gate_is_work_too() -> None:
    """Two matrices lead in."""
    assert points(tables(gated=True))["mdm"]["needed_mac"] == 2 * 10 * 8 * (2 * 4 + 4)


def test_masked_work_is_that_of_sparse_iterations() -> None:
    """Iteration 0 is dense and takes no part; of iteration 1, the hot columns alone are needed."""
    masked = points(tables())[f"mdm {MASK}"]
    assert masked["needed_mac"] == 10 * 2 * 8
    assert masked["core_cycles"] == 400
    assert masked["moved_bytes"] == 80


def test_each_machine_has_a_picture_of_its_own() -> None:
    """Its roofs are those of its own bus."""
    found = tables()
    found["timing"] += [{**row, "machine": "reference", "peak_bytes": 96_000} for row in found["timing"]]
    figures = Roofline().figures(found)
    assert [figure.name for figure in figures] == ["roofline-paper", "roofline-reference"]
    roofs = [{corner["roof"] for corner in figure.chart["datasets"]["roof"]} for figure in figures]
    assert any("128.0 GB/s" in name for name in roofs[0])
    assert any("192.0 GB/s" in name for name in roofs[1])


def test_no_point_lies_above_the_peak_of_the_array() -> None:
    """4,096 multiply-accumulates a core cycle at 800 MHz are 3,277 a nanosecond."""
    assert pytest.approx(3276.8) == PEAK_GMAC_PER_S


def test_a_site_that_moved_nothing_has_no_point() -> None:
    """Without a byte there is no intensity."""
    found = tables()
    found["timing"] = [{**row, "read_bytes": 0, "written_bytes": 0} for row in found["timing"]]
    assert not Roofline().figures(found)
