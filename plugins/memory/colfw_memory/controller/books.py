"""A channel's books: its state after the last clock, as counts that must add up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from colfw.dram.counts import ChannelCounts
from colfw.dram.device import Role
from colfw_memory.controller import kernel as k
from colfw_memory.controller.tables import ACT, MAX_BANKS, PRE, PREA, RD, REF, UNITS, WR

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
_ALL_BANKS = (1 << MAX_BANKS) - 1


@frozen(kw_only=True, eq=False)
class Aside:
    """What there was no room for in the kernel."""

    latencies: Counter[int]
    """Read latencies too long for the histogram."""
    on_the_way: Integers
    """Reads that had not come back when the ring was emptied: the clocks in which they do, and how long
    each takes, a column a read."""


def counts_of(channel: Integers, table: Integers, device: Device, end: int, aside: Aside) -> ChannelCounts:
    """The counts of one channel that has been ticked up to and including clock `end`."""
    counters = channel[k.COUNT : k.COUNT + k.COUNTERS].tolist()
    issued = counters[k.ISSUED : k.ISSUED + len(ROLES)]
    left_over, undecided = _waiting(channel)
    open_clocks = counters[k.OPEN_CLOCKS] + _still_open(channel, end)
    return ChannelCounts(
        burst_bytes=device.burst_bytes,
        clocks=end,
        busy_clocks=-(-(issued[RD] + issued[WR]) * device.burst_clocks // device.data_buses),
        peak_bytes=_most_bursts(device, end) * device.burst_bytes,
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
        read_latency_clocks=_latencies(channel, end, aside),
    )


def _most_bursts(device: Device, end: int) -> int:
    """How many the data buses can have begun by clock `end`: whole ones, the last may be under way.

    Where data of a write comes later after its command than that of a read (no standard is like that),
    WR may follow RD sooner than bursts follow each other: one burst more on each bus.
    """
    early = min(device.burst_clocks - 1, max(0, device.write_latency_clocks - device.read_latency_clocks))
    return device.data_buses * -(-(end + early) // device.burst_clocks) if end else 0


def _waiting(channel: Integers) -> tuple[int, int]:
    """Requests that were not served, and those of them for which nothing was done."""
    slots = [int(slot) for at in range(2 * MAX_BANKS) for slot in _list_from(channel, at)]
    # Of 64 banks, the last is the sign.
    active = (int(channel[k.ACTIVE_BANKS]) & _ALL_BANKS).bit_count()
    return len(slots) + active, sum(int(channel[k.SLOT_BEGUN + slot]) == 0 for slot in slots)


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


def _latencies(channel: Integers, end: int, aside: Aside) -> tuple[tuple[int, int], ...]:
    """How often each read latency occurred, without the reads that had not come back at the end."""
    bins = channel[k.LATENCY : k.LATENCY + k.LATENCIES]
    often = Counter({int(clocks): int(bins[clocks]) for clocks in np.flatnonzero(bins)})
    often.update(aside.latencies)
    for clocks, takes in (aside.on_the_way, in_ring(channel)):
        often.subtract(takes[clocks > end].tolist())
    return tuple(sorted((clocks, times) for clocks, times in often.items() if times))


def in_ring(channel: Integers) -> NDArray[np.int64]:
    """The reads in the ring: the clocks in which they come back, and how long each takes."""
    pushed = int(channel[k.PUSHED_READS])
    # Where nobody lets them go, the ring holds the last ones; those before have come back.
    first = max(int(channel[k.RELEASED_READS]), pushed - k.RELEASES)
    places = np.arange(first, pushed) % k.RELEASES
    return np.stack((channel[k.READ_RING + places], channel[k.READ_RING_LATENCY + places]))
