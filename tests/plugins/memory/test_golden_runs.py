"""The controller issues the commands that Ramulator 2.1 issued, in the same clocks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from colfw.dram.requests import Trace
from colfw_memory import standards
from colfw_memory.backend import SimulatedDram
from colfw_memory.config import DramConfig

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.dram.counts import ChannelCounts
    from colfw.dram.requests import CommandLog

SPECS = {
    "gddr6-paper-quad": standards.GDDR6_PAPER,
    "gddr6-paper-double": standards.GDDR6_PAPER_DOUBLE,
    "gddr6-14000-16gb-x16": standards.GDDR6_14000,
    "ddr4-2400r": standards.DDR4_2400,
    "ddr5": standards.DDR5_3200,
    "hbm2": standards.HBM2_1600,
}
SCHEDULERS = {"FRFCFS": "fr-fcfs", "FRFCFSRowHit": "fr-fcfs-row-hit"}
REFRESHES = {"AllBank": "all-bank", "NoRefresh": "none"}


def golden_runs(golden_root: Path, config: str) -> list[Path]:
    files = sorted((golden_root / "dram").glob(f"{config}.ch*.npz"))
    assert files, f"no golden run of {config}"
    return files


def memory_of(meta: dict) -> SimulatedDram:
    return SimulatedDram(
        SPECS[meta["config"]],
        DramConfig(
            channels=meta["channels"],
            scheduler=SCHEDULERS[meta["scheduler"]],
            refresh=REFRESHES[meta["refresh"]],
        ),
    )


def statistics(counts: ChannelCounts) -> dict[str, int]:
    """Ramulator's names of what a channel counts."""
    return {
        "cycles": counts.clocks,
        "row_hits": counts.row_hits,
        "row_misses": counts.row_misses,
        "row_conflicts": counts.row_conflicts,
        "num_read_reqs": counts.reads,
        "num_write_reqs": counts.writes,
        "num_read_reqs_served": counts.reads_served,
        "num_write_reqs_served": counts.writes_served,
        "num_maintenance_reqs_served": counts.refreshes_issued,
        "num_read_reqs_forwarded": counts.reads_forwarded,
        "num_write_reqs_coalesced": counts.writes_merged,
        "read_latency": counts.read_latency_sum,
    }


def golden_rows(commands: np.ndarray, meta: dict, log: CommandLog) -> np.ndarray:
    """The golden commands with the command numbers of `log`."""
    number = np.array([log.names.index(name) for name in meta["command_names"]])
    rows = commands.astype(np.int64)
    rows[:, 2] = number[rows[:, 2]]
    return rows


@pytest.mark.parametrize("config", SPECS)
def test_every_command_of_every_golden_run(golden_root: Path, config: str) -> None:
    """For each run: the same commands in the same clocks, and the same statistics of each channel."""
    for file in golden_runs(golden_root, config):
        golden = np.load(file)
        meta = json.loads(str(golden["meta"]))
        trace = Trace(is_write=golden["is_write"], address=golden["address"], name=file.name)
        replay = memory_of(meta).replay(trace, log_commands=True)
        assert [statistics(counts) for counts in replay.channels] == meta["stats"], file.name
        assert replay.commands is not None
        assert list(replay.commands.columns) == meta["command_columns"]
        expected = golden_rows(golden["commands"], meta, replay.commands)
        np.testing.assert_array_equal(replay.commands.rows, expected, err_msg=file.name)
