"""The end of a run: at most ten lines that say what was found, after the tables they are about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from colfw.cli.summary import print_summary
from colfw.report.schemas import REGIMES, TOTALS
from colfw.store.tables import Table, write_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.store.tables import TableSchema


def rows(schema: TableSchema, *given: dict[str, Any]) -> Table:
    """Rows of a table that say what a test is about, and something sound about all else."""
    filler = {"text": "x", "integer": 0, "real": 0.0, "flag": False}
    return Table(schema, [{c.name: filler[c.kind] for c in schema.columns} | row for row in given])


def total(workload: str, machine: str, mask: str, **more: Any) -> dict[str, Any]:
    numbers = {"core_cycles": 800, "memory_cycles": 1000, "read_bytes": 34_400, "accesses": 500}
    return {"workload": workload, "machine": machine, "layout": "cold", "mask": mask, **numbers, **more}


TOTALS_ROWS = (
    *(total("dit", machine, "dense", stall_share=0.88, cycle_reduction=0.0) for machine in ("old", "new")),
    total("mld", "old", "dense", stall_share=0.5, cycle_reduction=0.0),
    total("dit", "old", "rho=0.2", cycle_reduction=0.8),
    total("dit", "old", "tau=0.1", cycle_reduction=0.12),
    total("mld", "old", "tau=0.1", cycle_reduction=0.5),
    total("dit", "new", "tau=0.1", cycle_reduction=0.1),
)
REGIME_ROWS = (
    {"workload": "dit", "mask": "rho=0.2", "regime": "churn", "mean_column_sparsity": 0.8},
    {"workload": "dit", "mask": "tau=0.1", "regime": "dispersion", "mean_column_sparsity": 0.17},
    {"workload": "mld", "mask": "tau=0.1", "regime": "churn", "mean_column_sparsity": 0.583},
)


@pytest.fixture
def ended(tmp_path: Path) -> Any:
    """A finished run of two tasks with a report."""
    tasks = ({"seconds": 4.0, "cached": False}, {"seconds": 9.0, "cached": True})
    (tmp_path / "tables").mkdir()
    (tmp_path / "report.html").touch()
    return SimpleNamespace(
        directory=SimpleNamespace(path=tmp_path), manifest=SimpleNamespace(tasks=tasks, status="finished")
    )


def test_the_lines_say_what_was_found(ended: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Work and requests, regimes and sparsity under the uniform mask, stall by machine, savings, paths."""
    for table in (rows(TOTALS, *TOTALS_ROWS), rows(REGIMES, *REGIME_ROWS)):
        write_parquet(table, tmp_path / "tables" / f"{table.schema.name}.parquet")
    print_summary(ended)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-9:] == [
        "done    4 s of work, 3.5e+03 DRAM requests in 7 simulated cases; 1 of 2 results from the cache",
        "columns dispersion: dit; churn: mld (tau=0.1)",
        "cold    17.0 % (dit) to 58.3 % (mld) of columns in iterations 1 and later",
        "dense   new waits for memory 88.0 % of the time, at 34.4 bytes a memory clock",
        "dense   old waits for memory 50.0 % (mld) to 88.0 % (dit) of the time, at 34.4 bytes a memory clock",
        "saved   10.0 % on new, 12.0 % (dit) to 50.0 % (mld) on old: cold, tau=0.1",
        "saved   80.0 % on old: cold, rho=0.2",
        f"report  {tmp_path}/report.html",
        f"run     {tmp_path} (finished)",
    ]


def test_machines_stand_side_by_side(ended: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row a case with the numbers of each machine; a case that a machine lacks is empty there."""
    write_parquet(rows(TOTALS, *TOTALS_ROWS), tmp_path / "tables" / "totals.parquet")
    print_summary(ended)
    cells = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["dit", "tau=0.1", "800", "0.0", "10.0", "800", "0.0", "12.0"] in cells
    assert ["mld", "tau=0.1", "-", "-", "-", "800", "0.0", "50.0"] in cells


def test_ten_lines_are_enough(ended: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However many machines and masks a study has, the paths come last and ten lines are all."""
    many = [total("dit", f"m{i}", "dense", stall_share=0.5, cycle_reduction=0.0) for i in range(20)]
    write_parquet(rows(TOTALS, *many), tmp_path / "tables" / "totals.parquet")
    print_summary(ended)
    out = capsys.readouterr().out.splitlines()
    start = next(place for place, line in enumerate(out) if line.startswith("done "))
    assert len(out) - start == 10
    assert out[-1].startswith("run ")


def test_a_run_that_got_nowhere_says_where_it_is(ended: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Without tables there is the work and the path."""
    print_summary(ended)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["done", "report", "run"]
