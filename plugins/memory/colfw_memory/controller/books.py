"""A channel's books: its state after the last clock, as counts that must add up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from colfw.dram.counts import ChannelCounts
from colfw.dram.device import Role
from colfw_memory.controller import kernel as k
from colfw_memory.controller.tables import ACT, MAX_BANKS, PRE, PREA, RD, REF, UNITS, WR

if TYPE_CHECKING:
    from colfw.dram.device import Device
    from colfw_memory.controller.words import Integers

ROLES = {
    ACT: Role.ACTIVATE,
    PRE: Role.PRECHARGE,
    RD: Role.READ,
    WR: Role.WRITE,
    PREA: Role.PRECHARGE_ALL,
    REF: Role.REFRESH,
}


def counts_of(
    channel: Integers, table: Integers, device: Device, end: int, spilled: Counter[int]
) -> ChannelCounts:
    """The counts of one channel that has been ticked up to and including clock `end`.

    `spilled` are the read latencies that were too long for the kernel's histogram.
    """
    counters = channel[k.COUNT : k.COUNT + k.COUNTERS].tolist()
    issued = counters[k.ISSUED : k.ISSUED + len(ROLES)]
    left_over, undecided = _waiting(channel)
    open_clocks = counters[k.OPEN_CLOCKS] + _still_open(channel, end)
    return ChannelCounts(
        burst_bytes=device.burst_bytes,
        clocks=end,
        busy_clocks=-(-(issued[RD] + issued[WR]) * device.burst_clocks // device.data_buses),
        peak_bytes=-(-end * device.data_buses * device.burst_bytes // device.burst_clocks),
        reads=counters[k.ACCEPTED + k.READS],
        writes=counters[k.ACCEPTED + k.WRITES],
        reads_served=counters[k.SERVED + k.READS],
        writes_served=counters[k.SERVED + k.WRITES],
        reads_forwarded=counters[k.FORWARDED],
        writes_merged=counters[k.MERGED],
        left_over=left_over,
        row_hits=counters[k.HITS],
        row_misses=counters[k.MISSES],
        row_conflicts=counters[k.CONFLICTS],
        undecided=undecided,
        open_clocks=open_clocks,
        closed_clocks=int(table[UNITS]) * end - open_clocks,
        refreshes_issued=issued[REF],
        refreshes_due=counters[k.REFRESHES_DUE],
        refreshes_waiting=int(channel[k.REFRESH_WAITING]),
        commands=tuple(
            sorted((device.named(ROLES[number]).name, times) for number, times in enumerate(issued) if times)
        ),
        read_latency_clocks=_latencies(channel, end, spilled),
    )


def _waiting(channel: Integers) -> tuple[int, int]:
    """Requests that were not served, and those of them for which nothing was done."""
    slots = [int(slot) for at in range(2 * MAX_BANKS) for slot in _list_from(channel, at)]
    active = int(channel[k.ACTIVE_BANKS]).bit_count()
    return len(slots) + active, sum(channel[k.SLOT_BEGUN + slot] == 0 for slot in slots)


def _list_from(channel: Integers, at: int) -> list[int]:
    slots = []
    slot = channel[k.HEAD + at]
    while slot != k.NOBODY:
        slots.append(int(slot))
        slot = channel[k.SLOT_NEXT + slot]
    return slots


def _still_open(channel: Integers, end: int) -> int:
    """Clocks since banks were opened that are open at the end."""
    is_open = channel[k.UNIT_OPEN : k.UNIT_OPEN + MAX_BANKS] > 0
    since = channel[k.UNIT_SINCE : k.UNIT_SINCE + MAX_BANKS]
    return int((end + 1 - since[is_open]).sum())


def _latencies(channel: Integers, end: int, spilled: Counter[int]) -> tuple[tuple[int, int], ...]:
    """How often each read latency occurred, without the reads that had not come back at the end."""
    bins = channel[k.LATENCY : k.LATENCY + k.LATENCIES]
    often = Counter({int(clocks): int(bins[clocks]) for clocks in np.flatnonzero(bins)})
    often.update(spilled)
    pushed = int(channel[k.PUSHED_READS])
    for place in range(pushed - 1, max(0, pushed - k.RELEASES) - 1, -1):
        if channel[k.READ_RING + place % k.RELEASES] <= end:
            break
        often[int(channel[k.READ_RING_LATENCY + place % k.RELEASES])] -= 1
    return tuple(sorted((clocks, times) for clocks, times in often.items() if times))
