"""`colfw score`: quality against cycles saved, the best masks, the cliff, and why a cell is empty."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from colfw.cli.score import _findings, _unmeasured
from colfw.report.schemas import TRADE_OFF
from colfw.store.tables import read_parquet

if TYPE_CHECKING:
    from collections.abc import Callable

    Colfw = Callable[..., tuple[int, str, str]]

STUDY = """
workloads = ["tiny-denoiser"]
iterations = 4
samples = 3
thresholds = [0.05, 0.1, 0.2, 0.4]
target_hot_ratios = [0.9, 0.5]
target_element_ratios = []
metrics = ["tiny-distance"]
layouts = ["row-major", "uniform-hot-cold", "per-layer-hot-cold"]

[[machines]]
name = "tiny"
accelerator = "tiny-array"
memory = "tiny-bus"
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text(STUDY)
    return path


def test_each_mask_is_scored_beside_what_it_saves(colfw: Colfw, study: Path) -> None:
    """A line for each layout and mask, in the order of what they save, and the best ones marked."""
    code, out, _ = colfw("score", study)
    assert code == 0
    assert "tiny-denoiser seed 0: tiny-distance, lower is better" in out
    lines = [line.split() for line in out.splitlines() if line.split()[:1] == ["uniform-hot-cold"]]
    assert [line[1] for line in lines] == ["tau=0.05", "tau=0.1", "tau=0.2", "tau=0.4"]
    saved = [float(line[4]) for line in lines]
    assert saved == sorted(saved)
    assert any("best" in line for line in out.splitlines())
    assert "figures trade-off-tiny-distance in" in out


def test_the_table_and_the_figure_lie_in_the_run(colfw: Colfw, study: Path) -> None:
    """What is printed is a table of the run, and each metric has a figure with its data beside it."""
    _, out, _ = colfw("score", study, "--json")
    folder = Path(json.loads(out)["path"])
    rows = read_parquet(folder / "tables" / "trade_off.parquet", TRADE_OFF).rows
    assert {row["mask"] for row in rows} == {
        *(f"tau={tau}" for tau in (0.05, 0.1, 0.2, 0.4)),
        *(f"rho={rho}" for rho in (0.5, 0.9)),
    }
    assert {"trade-off-tiny-distance.svg", "trade-off-tiny-distance.csv"} <= {
        path.name for path in (folder / "figures").iterdir()
    }


def test_without_machines_quality_stands_alone(colfw: Colfw, study: Path) -> None:
    """A study that simulates nothing still scores its masks."""
    code, out, _ = colfw("score", study, "--set", "machines=[]", "--set", "layouts=[]")
    assert code == 0
    assert "tau=0.4" in out
    assert "saves" not in out


def test_a_study_without_metrics_is_refused(colfw: Colfw, study: Path) -> None:
    """Nothing is run that could not be scored."""
    code, _, err = colfw("score", study, "--set", "metrics=[]")
    assert code == 2
    assert err.splitlines() == [
        f"colfw: {study}: metrics: there is none, and so nothing to score (`colfw plugins list` names them)"
    ]


def row(mask: str, reduction: float, value: float, *, beyond_cliff: bool = False) -> dict[str, Any]:
    return {
        "workload": "w",
        "seed": 0,
        "metric": "m",
        "machine": "a",
        "layout": "hot",
        "sweep": "tau",
        "mask": mask,
        "cycle_reduction": reduction,
        "value": value,
        "beyond_cliff": beyond_cliff,
    }


def test_a_cliff_is_told_from_the_last_mask_before_it() -> None:
    """How far one can go, and what the next step costs."""
    rows = [row("tau=0.3", 0.3, 9.0, beyond_cliff=True), row("tau=0.1", 0.1, 1.0), row("tau=0.2", 0.2, 1.5)]
    assert list(_findings(rows)) == [
        "cliff   w, hot: m goes from 1.5 at tau=0.2 to 9 at tau=0.3, which save 20.0 % and 30.0 % on a"
    ]


def test_why_a_cell_is_empty_is_said_once_a_workload() -> None:
    """A metric without its weights names what it needs; a value with a warning shows it as a note."""
    scores = [
        {"workload": "w", "metric": "fid", "value": None, "note": "needs weights"},
        {"workload": "w", "metric": "fd", "value": 1.0, "note": "few samples"},
        {"workload": "w", "metric": "psnr", "value": 1.0, "note": None},
    ]
    assert list(_unmeasured(scores)) == [
        "fid on w: not measured: needs weights",
        "fd on w: note: few samples",
    ]
