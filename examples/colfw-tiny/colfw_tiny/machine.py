"""A machine and its memory: both described in full by a few numbers."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from colfw.program import Advance, Buffer, Program, Repeat, Tensor, Tile, Transfer
from colfw.protocols import LoweringRequest
from colfw.timing import Timing
from colfw_tiny.config import ArrayConfig, BusConfig


class TinyArray:
    """Fetches each needed column of W1 and row of W2 once, in runs of neighbouring slots."""

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config

    def lower(self, request: LoweringRequest) -> Program:
        site = request.site
        d_in, d_out = site.operator.d_in, site.operator.d_out
        column_bytes = (d_in + d_out) * self.config.element_bytes
        products = site.rows * (d_in + d_out)
        cycles = -(-products // self.config.multipliers)
        runs = _runs(request.placement.fetched_slots(request.iteration))
        return Program(
            name=f"{site.name} iteration {request.iteration}",
            core_clock_hz=self.config.core_clock_mhz * 1_000_000,
            tensors=(Tensor(name="weights", base_bytes=0, size_bytes=site.columns * column_bytes),),
            buffers=(Buffer(name="weights", slot_bytes=column_bytes, slots=2),),
            steps=tuple(_columns(first, count, column_bytes, cycles) for first, count in runs),
        )


def _runs(slots: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First slot and length of every run of neighbouring slots."""
    starts = np.flatnonzero(np.diff(slots, prepend=-2) > 1)
    return [(int(slots[start]), int(end - start)) for start, end in pairwise([*starts, slots.size])]


def _columns(first: int, count: int, column_bytes: int, cycles: int) -> Repeat:
    load = Transfer(
        tensor="weights",
        buffer="weights",
        direction="read",
        offset_bytes=first * column_bytes,
        run_bytes=column_bytes,
    )
    return Repeat(
        rounds=count,
        body=(Tile(transfers=(load,), compute_core_cycles=cycles),),
        advances=(Advance(tensor="weights", step_bytes=column_bytes),),
    )


class TinyBus:
    """Moves a fixed number of bytes a cycle; computation overlaps with all transfers but is never faster."""

    def __init__(self, config: BusConfig) -> None:
        self.config = config

    def run(self, program: Program) -> Timing:
        work = program.work
        busy = -(-work.moved_bytes // self.config.bytes_per_cycle)
        clock_hz = self.config.clock_mhz * 1_000_000
        core_cycles = max(work.busy_core_cycles, -(-busy * program.core_clock_hz // clock_hz))
        memory_cycles = max(busy, -(-core_cycles * clock_hz // program.core_clock_hz))
        return Timing(
            core_cycles=core_cycles,
            compute_core_cycles=work.compute_core_cycles,
            stall_core_cycles=core_cycles - work.compute_core_cycles - work.other_core_cycles,
            other_core_cycles=work.other_core_cycles,
            memory_cycles=memory_cycles,
            peak_bytes=memory_cycles * self.config.bytes_per_cycle,
            read_bytes_requested=work.read_bytes,
            read_bytes_served=work.read_bytes,
            written_bytes_requested=work.written_bytes,
            written_bytes_served=work.written_bytes,
        )
