"""Timing: what a memory reports of one program, closed by the sanity block of every simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, fields, frozen, validators

from colfw.dram.counts import ChannelCounts
from colfw.errors import InvariantError

if TYPE_CHECKING:
    from colfw.program import Program

_count = validators.ge(0)
_channels = validators.deep_iterable(validators.instance_of(ChannelCounts), validators.instance_of(tuple))

_SANITY_BLOCK = "sanity block of a simulation"
_OF_CHANNELS = (
    "peak_bytes",
    "row_hits",
    "row_misses",
    "row_conflicts",
    "refreshes_issued",
    "refreshes_waiting",
)
"""Totals that are the sum of what the channels count by the same name; accesses and refreshes due follow."""


@frozen(kw_only=True)
class Timing:
    """How long one program took and what the memory did; every field is a total and adds up.

    A Timing that contradicts itself cannot be made: bytes asked for are bytes served, bandwidth stays
    below the peak, refreshes due were issued or still wait, and every access is a hit, a miss or a
    conflict. Channels, where a memory counts them, run as long as the memory and add up to its totals;
    they count whole bursts, so their bytes need not be the bytes asked for.
    """

    core_cycles: int = field(validator=_count)
    compute_core_cycles: int = field(validator=_count)
    stall_core_cycles: int = field(validator=_count)
    other_core_cycles: int = field(validator=_count)

    memory_cycles: int = field(validator=_count)
    peak_bytes: int = field(validator=_count)
    """What the data bus could have carried in `memory_cycles`."""

    read_bytes_requested: int = field(validator=_count)
    read_bytes_served: int = field(validator=_count)
    written_bytes_requested: int = field(validator=_count)
    written_bytes_served: int = field(validator=_count)

    accesses: int = field(default=0, validator=_count)
    """Column accesses to DRAM; 0 for a memory without rows."""
    row_hits: int = field(default=0, validator=_count)
    row_misses: int = field(default=0, validator=_count)
    row_conflicts: int = field(default=0, validator=_count)

    refreshes_issued: int = field(default=0, validator=_count)
    refreshes_waiting: int = field(default=0, validator=_count)
    """Due, and not yet issued when the last request was done."""
    refreshes_due: int = field(default=0, validator=_count)

    channels: tuple[ChannelCounts, ...] = field(default=(), validator=_channels)
    """One of each memory channel; empty for a memory without."""

    def __attrs_post_init__(self) -> None:
        parts = self.compute_core_cycles + self.stall_core_cycles + self.other_core_cycles
        self._same("core cycles", "compute + stall + other", parts, self.core_cycles)
        self._same("bytes read", "served", self.read_bytes_served, self.read_bytes_requested)
        self._same("bytes written", "served", self.written_bytes_served, self.written_bytes_requested)
        refreshes = self.refreshes_issued + self.refreshes_waiting
        self._same("refreshes", "issued + waiting", refreshes, self.refreshes_due)
        outcomes = self.row_hits + self.row_misses + self.row_conflicts
        self._same("accesses", "hits + misses + conflicts", outcomes, self.accesses)
        if self.moved_bytes > self.peak_bytes:
            raise InvariantError(
                f"moved {self.moved_bytes} bytes where the bus carries at most {self.peak_bytes}",
                where=_SANITY_BLOCK,
            )
        if self.channels:
            self._check_channels()

    def _check_channels(self) -> None:
        for number, counts in enumerate(self.channels):
            self._same("memory cycles", f"channel {number}", counts.clocks, self.memory_cycles)
            self._same("requests left over", f"channel {number}", counts.left_over, 0)
        for name in _OF_CHANNELS:
            added = sum(getattr(counts, name) for counts in self.channels)
            self._same(name.replace("_", " "), "the sum of all channels", added, getattr(self, name))

    @staticmethod
    def _same(quantity: str, name: str, found: int, expected: int) -> None:
        if found != expected:
            raise InvariantError(
                f"{quantity}: {name} gives {found}, expected {expected}",
                where=_SANITY_BLOCK,
            )

    @property
    def moved_bytes(self) -> int:
        return self.read_bytes_served + self.written_bytes_served

    @property
    def row_buffer_hit_rate(self) -> float | None:
        """Hits over accesses; None for a memory without rows."""
        return self.row_hits / self.accesses if self.accesses else None

    @property
    def bus_utilisation(self) -> float:
        """Share of the bus's peak that carried data; 0 for an empty program."""
        return self.moved_bytes / self.peak_bytes if self.peak_bytes else 0.0

    def __add__(self, other: Timing) -> Timing:
        sums = {name: getattr(self, name) + getattr(other, name) for name in _TOTALS}
        return Timing(channels=self._channels_with(other), **sums)

    def _channels_with(self, other: Timing) -> tuple[ChannelCounts, ...]:
        """Channel by channel; nothing has as many channels as what it is added to."""
        if NOTHING in (self, other):
            return self.channels or other.channels
        if len(self.channels) != len(other.channels):
            raise InvariantError(
                f"timings of {len(self.channels)} and of {len(other.channels)} channels do not add up",
                where="sum of timings",
            )
        return tuple(mine + theirs for mine, theirs in zip(self.channels, other.channels, strict=True))

    def check_answers(self, program: Program) -> None:
        """Raise unless this is an answer to `program`: the bytes and cycles that it asked for."""
        work = program.work
        asked = {
            "bytes read": (work.read_bytes, self.read_bytes_requested),
            "bytes written": (work.written_bytes, self.written_bytes_requested),
            "compute core cycles": (work.compute_core_cycles, self.compute_core_cycles),
            "other core cycles": (work.other_core_cycles, self.other_core_cycles),
        }
        for quantity, (wanted, found) in asked.items():
            if wanted != found:
                raise InvariantError(
                    f"{quantity}: the program asks for {wanted}, the memory reports {found}",
                    where=f"timing of {program.name}",
                )


_TOTALS = tuple(f.name for f in fields(Timing) if f.name != "channels")

NOTHING = Timing(
    core_cycles=0,
    compute_core_cycles=0,
    stall_core_cycles=0,
    other_core_cycles=0,
    memory_cycles=0,
    peak_bytes=0,
    read_bytes_requested=0,
    read_bytes_served=0,
    written_bytes_requested=0,
    written_bytes_served=0,
)
"""The neutral element of adding timings."""
