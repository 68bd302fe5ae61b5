"""What a DRAM simulation counts, a channel at a time: exact totals that add up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from attrs import field, fields, frozen, validators

from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable

_count = validators.ge(0)
Key = TypeVar("Key", str, int)

Tally = tuple[tuple[str, int], ...]
"""Counts by name, sorted by name: equal tallies compare equal."""
Histogram = tuple[tuple[int, int], ...]
"""(value, how often), sorted by value."""


@frozen(kw_only=True)
class ChannelCounts:
    """One channel over one simulation, or several channels or simulations added up.

    All fields but `burst_bytes` are totals. A count that contradicts itself cannot be made.
    """

    burst_bytes: int = field(validator=_count)
    """What one column command moves."""
    clocks: int = field(default=0, validator=_count)
    """Memory clocks simulated; of several channels, the sum."""
    busy_clocks: int = field(default=0, validator=_count)
    """Clocks in which the data bus carried data."""
    peak_bytes: int = field(default=0, validator=_count)
    """What the data bus could have carried in `clocks`."""

    reads: int = field(default=0, validator=_count)
    """Reads accepted, those answered from the write queue included."""
    writes: int = field(default=0, validator=_count)
    """Writes accepted, those merged into a waiting write included."""
    reads_served: int = field(default=0, validator=_count)
    """Read commands issued."""
    writes_served: int = field(default=0, validator=_count)
    reads_forwarded: int = field(default=0, validator=_count)
    writes_merged: int = field(default=0, validator=_count)
    left_over: int = field(default=0, validator=_count)
    """Accepted and not served when the simulation ended: a trace ends with its last request."""

    row_hits: int = field(default=0, validator=_count)
    row_misses: int = field(default=0, validator=_count)
    row_conflicts: int = field(default=0, validator=_count)
    undecided: int = field(default=0, validator=_count)
    """Of those left over, the ones for which no command had been issued."""

    open_clocks: int = field(default=0, validator=_count)
    """Clocks in which a bank was open, summed over the nodes that are refreshed together (ranks)."""
    closed_clocks: int = field(default=0, validator=_count)
    """Clocks in which none was, summed likewise."""

    refreshes_issued: int = field(default=0, validator=_count)
    refreshes_due: int = field(default=0, validator=_count)
    refreshes_waiting: int = field(default=0, validator=_count)
    """Due, and not yet issued when the simulation ended."""

    commands: Tally = ()
    read_latency_clocks: Histogram = ()
    """From arrival to last word, of the reads that came back from DRAM or the write queue."""

    def __attrs_post_init__(self) -> None:
        answered = self.reads_forwarded + self.writes_merged + self.served
        self._same("requests accepted", self.reads + self.writes, answered + self.left_over)
        self._same("accesses", self.served + self.left_over, self.accesses + self.undecided)
        self._same("refreshes due", self.refreshes_due, self.refreshes_issued + self.refreshes_waiting)
        if self.moved_bytes > self.peak_bytes:
            raise InvariantError(
                f"moved {self.moved_bytes} bytes where the bus carries at most {self.peak_bytes}",
                where="sanity block of a DRAM channel",
            )

    @staticmethod
    def _same(quantity: str, expected: int, found: int) -> None:
        if expected != found:
            raise InvariantError(
                f"{quantity}: {expected}, accounted for: {found}", where="sanity block of a DRAM channel"
            )

    def __add__(self, other: ChannelCounts) -> ChannelCounts:
        if self.burst_bytes != other.burst_bytes:
            raise InvariantError(
                f"bursts of {self.burst_bytes} and of {other.burst_bytes} bytes do not add up",
                where="counts of DRAM channels",
            )
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in _PLAIN}
        return ChannelCounts(
            burst_bytes=self.burst_bytes,
            commands=_merged(self.commands, other.commands),
            read_latency_clocks=_merged(self.read_latency_clocks, other.read_latency_clocks),
            **sums,
        )

    @property
    def served(self) -> int:
        """Column commands issued."""
        return self.reads_served + self.writes_served

    @property
    def moved_bytes(self) -> int:
        """What the data bus carried, whole bursts."""
        return self.served * self.burst_bytes

    @property
    def accesses(self) -> int:
        """Requests for which a first command was issued: hits, misses and conflicts."""
        return self.row_hits + self.row_misses + self.row_conflicts

    @property
    def row_buffer_hit_rate(self) -> float | None:
        return self.row_hits / self.accesses if self.accesses else None

    @property
    def busy_share(self) -> float:
        """Share of all clocks in which the data bus carried data."""
        return self.busy_clocks / self.clocks if self.clocks else 0.0

    @property
    def peak_share(self) -> float:
        """Achieved bandwidth over peak bandwidth."""
        return self.moved_bytes / self.peak_bytes if self.peak_bytes else 0.0

    @property
    def reads_completed(self) -> int:
        return sum(often for _, often in self.read_latency_clocks)

    @property
    def read_latency_sum(self) -> int:
        return sum(clocks * often for clocks, often in self.read_latency_clocks)

    @property
    def average_read_latency(self) -> float | None:
        """In clocks; None if no read completed."""
        return self.read_latency_sum / self.reads_completed if self.reads_completed else None

    @property
    def read_latency_summary(self) -> dict[str, float | None]:
        """In clocks, `average` and `p50` to `p99`: a few numbers in place of every latency."""
        percentiles = {
            f"p{percent}": self.read_latency_percentile(percent) for percent in LATENCY_PERCENTILES
        }
        return {"average": self.average_read_latency, **percentiles}

    def read_latency_percentile(self, percent: float) -> int | None:
        """The smallest latency that `percent` of the completed reads do not exceed; None without reads.

        >>> counts = ChannelCounts(burst_bytes=64, read_latency_clocks=((28, 98), (40, 2)))
        >>> counts.read_latency_percentile(50), counts.read_latency_percentile(99)
        (28, 40)
        """
        needed = self.reads_completed * percent / 100
        reached = 0
        for clocks, often in self.read_latency_clocks:
            reached += often
            if reached >= needed:
                return clocks
        return None


_PLAIN = tuple(
    f for f in fields(ChannelCounts) if f.name not in ("burst_bytes", "commands", "read_latency_clocks")
)


LATENCY_PERCENTILES = (50, 95, 99)
"""Those that reports give."""


def _merged(one: Iterable[tuple[Key, int]], other: Iterable[tuple[Key, int]]) -> tuple[tuple[Key, int], ...]:
    sums = Counter(dict(one))
    sums.update(dict(other))
    return tuple(sorted(sums.items()))


def total(channels: Iterable[ChannelCounts]) -> ChannelCounts:
    """All channels as one."""
    first, *rest = channels
    for counts in rest:
        first = first + counts
    return first
