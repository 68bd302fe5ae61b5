"""Timing: what a memory reports of one program, closed by the sanity block of every simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, fields, frozen, validators

from colfw.errors import InvariantError

if TYPE_CHECKING:
    from colfw.program import Program

_count = validators.ge(0)


@frozen(kw_only=True)
class Timing:
    """How long one program took and what the memory did; every field is a total and adds up.

    A Timing that contradicts itself cannot be made: bytes asked for are bytes served, bandwidth stays
    below the peak, refreshes due were issued or still wait, and every access is a hit, a miss or a
    conflict.
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
                where="sanity block of a simulation",
            )

    @staticmethod
    def _same(quantity: str, name: str, found: int, expected: int) -> None:
        if found != expected:
            raise InvariantError(
                f"{quantity}: {name} gives {found}, expected {expected}",
                where="sanity block of a simulation",
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
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Timing)}
        return Timing(**sums)

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
