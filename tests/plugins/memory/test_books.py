"""The books of a channel: plain integers that say what happened up to the last clock, and add up."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest

from colfw.dram.requests import Trace
from colfw.dram.spec import resolve
from colfw_memory import standards
from colfw_memory.backend import SimulatedDram
from colfw_memory.config import DramConfig

if TYPE_CHECKING:
    from colfw.dram.counts import ChannelCounts
    from colfw.dram.requests import Replay
    from colfw.dram.spec import DramSpec

DDR4 = resolve(standards.DDR4_2400)
ROW = DDR4.row_bytes
RANK = ROW
"""The rank is the lowest bit above the row of one bank, the bank group above it."""


def replay(spec: DramSpec, requests: list[tuple[str, int]], **how: Any) -> Replay:
    trace = Trace(
        is_write=np.array([kind == "ST" for kind, _ in requests], np.uint8),
        address=np.array([address for _, address in requests], np.int64),
    )
    options = {name: how.pop(name) for name in ("refresh", "timing", "channels") if name in how}
    return SimulatedDram(spec, DramConfig(**options)).replay(trace, **how)


def one(requests: list[tuple[str, int]], **how: Any) -> ChannelCounts:
    [counts] = replay(standards.DDR4_2400, requests, **how).channels
    return counts


def numbers(value: Any) -> list[Any]:
    return [n for part in value for n in numbers(part)] if isinstance(value, tuple) else [value]


@pytest.mark.parametrize("drain", [False, True])
def test_counts_are_plain_integers(drain: bool) -> None:  # noqa: FBT001  (a parameter)
    """None is an integer of numpy, which JSON cannot write and which overflows."""
    counts = one([("LD", 0), ("ST", 64), ("LD", 64), ("LD", 2 * ROW)], drain=drain)
    for attribute in attrs.fields(type(counts)):
        found = {type(number) for number in numbers(getattr(counts, attribute.name))}
        assert found <= {int, str}, attribute.name


def test_what_is_left_over_is_told_apart() -> None:
    """Taken in clocks 1 to 3; ACT 1 for the first, ACT 5 not yet for the second (another group): 2 ticks.

    The first is active, its bank opened for it; the others wait, and nobody knows yet if they hit or miss.
    """
    counts = one([("LD", 0), ("LD", 2 * ROW), ("LD", 64)])
    assert dict(counts.commands) == {"ACT": 1}
    assert (counts.left_over, counts.undecided, counts.row_misses) == (3, 2, 1)


def test_a_request_for_which_a_row_was_closed_is_decided() -> None:
    """It waits in its queue after the precharge: left over, but a conflict."""
    requests = [("LD", 0), ("LD", 16 * 2 * ROW), ("LD", 64)]
    counts = one(requests, clocks_apart=Fraction(30))
    # ACT 1, RD 17, the second is taken in clock 31, PREpb 40, ACT 56; the last is taken in clock 61.
    assert dict(counts.commands) == {"ACT": 2, "PREpb": 1, "RD": 1}
    counts = one(requests, clocks_apart=Fraction(25))
    # PREpb 40, the last is taken in clock 51, 50 ticks.
    assert dict(counts.commands) == {"ACT": 1, "PREpb": 1, "RD": 1}
    assert (counts.left_over, counts.undecided, counts.row_conflicts) == (2, 1, 1)


def test_only_reads_that_came_back_have_a_latency() -> None:
    """ACT 1, RD 17, the last word in clock 37: counted by a replay of 37 ticks, not by one of 36."""
    requests = [("LD", 0), ("LD", 64)]
    assert one(requests, clocks_apart=Fraction(36)).read_latency_clocks == ()
    assert one(requests, clocks_apart=Fraction(37)).read_latency_clocks == ((37, 1),)


def test_open_and_closed_clocks_are_those_of_ranks() -> None:
    """One rank is opened in clock 1 and stays open; the other never is. Two ranks, 37 clocks."""
    counts = one([("LD", 0)], drain=True)
    assert (counts.clocks, counts.open_clocks, counts.closed_clocks) == (37, 37, 37)
    # The other rank is opened in clock 3, in which its read is taken.
    counts = one([("LD", 0), ("LD", RANK)], clocks_apart=Fraction(2), drain=True)
    assert counts.open_clocks == counts.clocks + (counts.clocks - 2)


def test_a_rank_with_two_open_banks_is_open_once() -> None:
    """The second bank of a rank changes nothing: it is open from clock 1 on."""
    counts = one([("LD", 0), ("LD", 2 * ROW)], drain=True)
    assert counts.open_clocks == counts.clocks


def test_a_refresh_closes_its_rank() -> None:
    """Due in clock 60: PREab, nRP = 16 clocks later REFab; the other rank is closed and needs no PREab."""
    log = replay(
        standards.DDR4_2400,
        [("LD", 0), ("LD", 64)],
        clocks_apart=Fraction(90),
        timing={"nREFI": 60, "nRFC": 10},
        log_commands=True,
    )
    [counts] = log.channels
    assert log.commands is not None
    rows = [(row[0], log.commands.names[row[2]], row[3]) for row in log.commands.rows.tolist()]
    # The second read is taken in clock 91; refreshes of both ranks fell due in clock 60.
    assert rows == [(1, "ACT", 0), (17, "RD", 0), (60, "PREab", 0), (76, "REFab", 0), (77, "REFab", 1)]
    assert (counts.open_clocks, counts.closed_clocks) == (59, 2 * 90 - 59)
    assert (counts.refreshes_due, counts.refreshes_issued, counts.refreshes_waiting) == (2, 2, 0)


def test_a_refresh_that_had_no_time_is_waiting() -> None:
    """Due in clock 60 and not yet issued when the replay ends with 60 ticks."""
    often = {"nREFI": 60, "nRFC": 10}
    counts = one([("LD", 0), ("LD", 64)], clocks_apart=Fraction(60), timing=often)
    assert (counts.refreshes_due, counts.refreshes_issued, counts.refreshes_waiting) == (2, 0, 2)
    counts = one([("LD", 0), ("LD", 64)], clocks_apart=Fraction(59), timing=often)
    assert counts.refreshes_due == 0


def test_channels_add_up_to_the_total() -> None:
    """Six channels of a stream: every count of the total is the sum."""
    found = replay(standards.GDDR6_PAPER, [("LD", 64 * number) for number in range(60)], drain=True)
    assert found.total.reads == 60
    assert found.total.clocks == sum(counts.clocks for counts in found.channels)
    assert found.total.moved_bytes == 60 * 64


def test_the_data_buses_of_pseudo_channels_are_two() -> None:
    """HBM2: a burst is 2 clocks of one of two buses, so one clock of the channel."""
    device = resolve(standards.HBM2_1600)
    assert (device.burst_clocks, device.data_buses) == (2, 2)
    [counts] = replay(standards.HBM2_1600, [("LD", 0)], drain=True).channels
    assert counts.busy_clocks == 1
    # Whole bursts: two on each bus in 3 clocks, as in 4.
    assert counts.peak_bytes == 2 * -(-counts.clocks // 2) * device.burst_bytes


def test_a_write_behind_a_read_may_be_a_burst_more() -> None:
    """Where data come sooner after RD than after WR, WR may follow in the next clock: ACT 1, RD 2, WR 3."""
    requests = [("LD", 0), ("ST", 64), ("ST", 128)]
    timing = {"nCL": 1, "nCWL": 6, "nRCD": 1}
    counts = one(requests, timing=timing, clocks_apart=Fraction(3, 2))
    assert (counts.clocks, counts.served, counts.peak_bytes) == (3, 2, 2 * 64)
