"""A memory that anyone can check by hand: one bus, so many bytes a clock, nothing lost in between."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from attrs import field, frozen, validators

from colfw.testing.strategies import unrolled
from colfw.timing import Timing

if TYPE_CHECKING:
    from colfw.program import Program, Tile


@frozen(kw_only=True)
class IdealMemory:
    """Moves what is asked for in the order of the program; loads may overlap the computation before them."""

    bytes_per_clock: int = field(default=64, validator=validators.ge(1))
    clock_hz: int = field(default=1_000_000_000, validator=validators.ge(1))

    def run(self, program: Program) -> Timing:
        work, end = program.work, self._end_clocks(program)
        memory_cycles = math.ceil(end)
        core_cycles = math.ceil(end * program.core_clock_hz / self.clock_hz)
        return Timing(
            core_cycles=core_cycles,
            compute_core_cycles=work.compute_core_cycles,
            stall_core_cycles=core_cycles - work.compute_core_cycles - work.other_core_cycles,
            other_core_cycles=work.other_core_cycles,
            memory_cycles=memory_cycles,
            peak_bytes=memory_cycles * self.bytes_per_clock,
            read_bytes_requested=work.read_bytes,
            read_bytes_served=work.read_bytes,
            written_bytes_requested=work.written_bytes,
            written_bytes_served=work.written_bytes,
        )

    def _end_clocks(self, program: Program) -> Fraction:
        bus_free = computed = Fraction(0)
        for tile in unrolled(program.steps):
            bus_free += self._clocks(tile, "read")
            computed = max(computed, bus_free) + self._computation_clocks(program, tile)
            stored = self._clocks(tile, "write")
            bus_free = max(bus_free, computed) + stored if stored else bus_free
        return max(bus_free, computed)

    def _clocks(self, tile: Tile, direction: str) -> Fraction:
        moved = sum(move.size_bytes for move in tile.transfers if move.direction == direction)
        return Fraction(moved, self.bytes_per_clock)

    def _computation_clocks(self, program: Program, tile: Tile) -> Fraction:
        return Fraction(tile.busy_core_cycles * self.clock_hz, program.core_clock_hz)
