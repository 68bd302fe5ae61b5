"""LPDDR5 as data: it keeps the promises of a memory, and is as fast and as large as it says."""

import numpy as np
import pytest

from colfw.dram.requests import Trace
from colfw.dram.standard import ConstraintRow
from colfw.testing.contracts import MemoryContract
from colfw_lpddr5.plugin import colfw_memories
from colfw_lpddr5.standard import LPDDR5, LPDDR5_6400
from colfw_memory.backend import SimulatedDram
from colfw_memory.config import DramConfig


@pytest.fixture
def dram() -> SimulatedDram:
    return SimulatedDram(LPDDR5_6400, None)


def stream(requests: int) -> Trace:
    """Reads of one burst after the other."""
    address = np.arange(requests, dtype=np.int64) * 32
    return Trace(is_write=np.zeros(requests, np.uint8), address=address)


class TestLpddr5(MemoryContract):
    @pytest.fixture
    def memory(self, dram) -> SimulatedDram:
        return dram


def test_it_is_declared_as_not_validated() -> None:
    """Nothing was compared, so nothing may say that it was."""
    [record] = colfw_memories()
    assert record.name == LPDDR5_6400.name
    assert record.validated is None


def test_it_is_as_fast_and_as_large_as_the_part(dram) -> None:
    """16 pins at 6.4 Gb/s are 12.8 GB/s, 8 Gb are 1 GiB, a row is 2 KiB."""
    assert dram.device.peak_bytes_per_second == 12.8e9
    assert dram.device.channel_bytes == 1 << 30
    assert dram.device.row_bytes == 2 << 10


@pytest.mark.parametrize("row", LPDDR5.rows, ids=str)
def test_every_row_names_a_public_source(row: ConstraintRow) -> None:
    """Or admits to be a convention."""
    assert row.source.startswith(("gem5, ", "LiteDRAM, ", "Ramulator 2.", "convention: "))


def test_a_stream_over_all_bank_groups_fills_the_bus(dram) -> None:
    """With the mapping of the spec, what a sequential stream loses is refresh and little else."""
    counts = dram.replay(stream(20_000), drain=True).total
    busy = counts.reads * dram.device.burst_clocks / counts.clocks
    refreshing = dict(dram.device.timings)["nRFCab"] / dram.device.refresh_interval_clocks
    assert 0.97 * (1 - refreshing) < busy <= 1 - refreshing


def test_within_one_bank_group_every_second_clock_is_lost() -> None:
    """A burst takes two clocks, and its bank group two more: a mapping that stays in one pays for it."""
    requests = 256  # four rows, one in each bank of a group
    clocks = {}
    for mapping in (LPDDR5_6400.mapping, "RoBgBaCoCh"):
        dram = SimulatedDram(LPDDR5_6400, DramConfig(mapping=mapping))
        clocks[mapping] = dram.replay(stream(requests), drain=True).total.clocks
    assert clocks[LPDDR5_6400.mapping] < 2.5 * requests
    assert clocks["RoBgBaCoCh"] > 4 * (requests - 1)
