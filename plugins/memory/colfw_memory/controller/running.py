"""Running a program: the closed loop's books, closed."""

from __future__ import annotations

from fractions import Fraction
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen

from colfw.dram.counts import total
from colfw.errors import ColfwError, InvariantError
from colfw.timing import Timing
from colfw_memory.config import Refresh, Writes
from colfw_memory.controller import closed_loop, open_loop, port, rounds, skipping
from colfw_memory.controller import front_end as fe
from colfw_memory.controller import kernel as k
from colfw_memory.controller.canonical import turning_tables
from colfw_memory.controller.memo import Memo
from colfw_memory.controller.replaying import Kernel
from colfw_memory.controller.script import script_of
from colfw_memory.controller.tables import UNITS

if TYPE_CHECKING:
    from colfw.dram.counts import ChannelCounts
    from colfw.dram.device import Device
    from colfw.program import Program, Work
    from colfw_memory.config import DramConfig
    from colfw_memory.controller.words import Integers
    from colfw_memory.mapping import AddressMapping

_HOLDS = {Writes.POSTED: port.POSTED, Writes.SERVED: port.SERVED, Writes.READ_LATENCY: port.LATENT}


@frozen(kw_only=True)
class Ended:
    """What a run of a program came to."""

    work: Work
    clocks: int
    core_cycles: int
    channels: tuple[ChannelCounts, ...]
    logs: tuple[Integers, ...] = field(default=(), eq=False)


@frozen(kw_only=True)
class Simulated:
    """What a program runs on."""

    device: Device
    mapping: AddressMapping
    channels: int
    config: DramConfig


class Runner:
    """Runs programs on one DRAM, and remembers from one to the next what recurs."""

    def __init__(self, dram: Simulated) -> None:
        self._dram = dram
        self._memory: Memo | None = None
        self._window: int | None = None
        self._in_use = Lock()

    def run(self, program: Program) -> Timing:
        """The timing of a program."""
        if not self._dram.config.skip_repetition:
            return timing_of(program, simulate(self._dram, program))
        with self._in_use:
            if self._memory is None or self._window != program.window_requests:
                # A state says nothing of the window: with another, it goes on otherwise.
                self._memory, self._window = Memo(), program.window_requests
            try:
                return timing_of(program, simulate(self._dram, program, memory=self._memory))
            except BaseException:
                # A run that is broken off leaves counts in the memory that no later run may add up.
                self._memory = None
                raise


def simulate(dram: Simulated, program: Program, *, memory: Memo | None = None, log_lines: int = 0) -> Ended:
    """Run a program to its end, with memory if there is one and no command is to be logged."""
    device, config = dram.device, dram.config
    _check_fits(program, dram)
    script = script_of(program)
    work = program.work
    ratio = _clocks_per_core_cycle(program, work, device)
    front = fe.front_end(
        script,
        dram.mapping,
        dram.channels,
        burst_bytes=device.burst_bytes,
        clocks_per_core_cycle=(ratio.numerator, ratio.denominator),
        window=_window(program),
        # Where nothing limits the window, nothing holds a slot of it.
        write_hold=port.POSTED if program.window_requests is None else _HOLDS[config.writes],
        width=config.requests_per_clock,
        refresh_every=device.refresh_interval_clocks if config.refresh is Refresh.ALL_BANK else 0,
        postponed_every=device.refresh_interval_clocks if config.refresh is Refresh.POSTPONED else 0,
    )
    kernel = Kernel(device, config, dram.channels, log_lines)
    if config.refresh is Refresh.POSTPONED:
        kernel.channels[:, k.REFRESH_AT] = k.NEVER
    kernel.channels[:, k.HOLD_SERVED_WRITES] = int(front[fe.WRITE_HOLD] == port.SERVED)
    closed_loop.begin(front, script)
    seen = rounds.rounds_of(program, script, dram.mapping, device.burst_bytes)
    if memory is None or log_lines or not _run_remembering(kernel, front, script, memory, seen):
        _run(kernel, front, script)
    return _closed(kernel, front, ratio, work)


def _run(kernel: Kernel, front: Integers, script: Integers) -> None:
    stop = closed_loop.GO_ON
    while stop in (closed_loop.GO_ON, closed_loop.MAKE_ROOM):
        kernel.empty_out()
        kernel.renumber()
        stop = closed_loop.run_program(front, script, *kernel.arrays, closed_loop.A_WHILE)
    _check_over(stop)


def _check_over(stop: int) -> None:
    if stop != closed_loop.OVER:
        raise InvariantError("nothing can move any more", where="simulation of a program")


def _run_remembering(kernel: Kernel, front: Integers, script: Integers, memory: Memo, seen: Integers) -> bool:
    """Run with memory; False, and nothing is changed, if a latency is too long to be remembered."""
    untouched = front.copy(), kernel.state.copy()
    table = np.concatenate((kernel.table, turning_tables(kernel.device)))
    counted = _Counted(memory, len(kernel.channels))
    _, _, log = kernel.arrays
    skipping.begin_remembering(
        front,
        script,
        kernel.state,
        table,
        memory.arena,
        memory.states,
        memory.names,
        memory.scratch,
        memory.places,
    )
    stop, before = closed_loop.GO_ON, front
    while stop in (closed_loop.GO_ON, closed_loop.MAKE_ROOM, rounds.RECURRED, rounds.REPEATED):
        if stop == closed_loop.MAKE_ROOM:
            counted.add_up()
            skipping.forget(memory.arena, memory.states, memory.moves, memory.scratch, memory.places)
            rounds.forget_rounds(seen)
        elif stop == rounds.RECURRED:
            before = front.copy()
            counted.begin_period()
        elif stop == rounds.REPEATED:
            counted.end_period(rounds.skip_rounds(front, before, script, memory.arena, memory.rows, seen))
        stop = skipping.run_remembering(
            front, script, kernel.state, table, log, *memory.arrays, seen, counted.counters
        )
    counted.add_up()
    if stop == skipping.GIVE_UP:
        front[:], kernel.state[:] = untouched
        return False
    _check_over(stop)
    skipping.end_remembering(front, kernel.state, table, memory.arena)
    channels = kernel.channels
    channels[:, k.COUNT : k.COUNT + k.COUNTERS] += counted.counters.reshape(len(channels), -1)
    channels[:, k.LATENCY : k.LATENCY + k.LATENCIES] += counted.latencies.reshape(len(channels), -1)
    return True


class _Counted:
    """What a run with memory counts: counters and latency histograms of all channels."""

    def __init__(self, memory: Memo, channels: int) -> None:
        self.counters, self.latencies = memory.counted(channels)
        self._arena, self._channels = memory.arena, channels
        self._before: tuple[Integers, Integers] = self.counters, self.latencies

    def add_up(self) -> None:
        """Add what was counted with the moves that were used."""
        skipping.add_up(self._arena, self._channels, self.counters, self.latencies)

    def begin_period(self) -> None:
        self.add_up()
        self._before = self.counters.copy(), self.latencies.copy()

    def end_period(self, more: int) -> None:
        """Count what was counted since `begin_period` so many times more."""
        self.add_up()
        counters, latencies = self._before
        self.counters += more * (self.counters - counters)
        self.latencies += more * (self.latencies - latencies)


def _closed(kernel: Kernel, front: Integers, ratio: Fraction, work: Work) -> Ended:
    """Tick every channel up to the end, and close the books."""
    computed = int(front[fe.COMPUTED_UNTIL])
    moved = kernel.last_completion()
    clocks = max(moved, _ceil(computed * ratio))
    while not open_loop.advance_channels(*kernel.arrays, len(kernel.channels), clocks):
        kernel.empty_out()
    kernel.empty_out()
    if front[fe.POSTPONED_EVERY]:
        _count_postponed(kernel, front, clocks)
    return Ended(
        work=work,
        clocks=clocks,
        core_cycles=max(computed, _ceil(moved / ratio)),
        channels=tuple(kernel.counts(clocks)),
        logs=tuple(kernel.logged()),
    )


def _count_postponed(kernel: Kernel, front: Integers, clocks: int) -> None:
    """Refreshes fell due as ever; those that were not called for wait still."""
    due = clocks // int(front[fe.POSTPONED_EVERY])
    units = int(kernel.table[UNITS])
    kernel.channels[:, k.COUNT + k.REFRESHES_DUE] = due * units
    kernel.channels[:, k.REFRESH_WAITING] += (due - int(front[fe.CALLED]) + int(front[fe.CALLING])) * units


def timing_of(program: Program, ended: Ended) -> Timing:
    """The end of a run as the nouns of the core have it; what does not add up cannot be made."""
    work = ended.work
    counts = total(ended.channels)
    if counts.left_over:
        raise InvariantError(f"{counts.left_over} requests were not served", where=f"{program.name}")
    return Timing(
        core_cycles=ended.core_cycles,
        compute_core_cycles=work.compute_core_cycles,
        stall_core_cycles=ended.core_cycles - work.compute_core_cycles - work.other_core_cycles,
        other_core_cycles=work.other_core_cycles,
        memory_cycles=ended.clocks,
        peak_bytes=counts.peak_bytes,
        read_bytes_requested=work.read_bytes,
        read_bytes_served=work.read_bytes,
        written_bytes_requested=work.written_bytes,
        written_bytes_served=work.written_bytes,
        accesses=counts.accesses,
        row_hits=counts.row_hits,
        row_misses=counts.row_misses,
        row_conflicts=counts.row_conflicts,
        refreshes_issued=counts.refreshes_issued,
        refreshes_waiting=counts.refreshes_waiting,
        refreshes_due=counts.refreshes_due,
        channels=ended.channels,
    )


def _window(program: Program) -> int | None:
    window = program.window_requests
    if window is not None and window > k.RELEASES:
        raise ColfwError(
            f"a window of {window} requests; at most {k.RELEASES} can be simulated",
            where=f"program {program.name}",
            hint="leave it out for no limit",
        )
    return window


def _check_fits(program: Program, dram: Simulated) -> None:
    capacity = dram.device.channel_bytes * dram.channels
    end = max((tensor.end_bytes for tensor in program.tensors), default=0)
    if end > capacity:
        raise ColfwError(
            f"its tensors end at byte {end}, beyond the {capacity} bytes of {dram.device.name}",
            where=f"program {program.name}",
            hint="more channels, or a larger organisation",
        )


def _clocks_per_core_cycle(program: Program, work: Work, device: Device) -> Fraction:
    """Memory clocks in one core cycle, exactly."""
    ratio = Fraction(10**12, program.core_clock_hz * device.clock_ps)
    cycles = work.busy_core_cycles
    if max(ratio.numerator * max(1, cycles), ratio.denominator << 20) >= 1 << 62:
        raise ColfwError(
            f"{cycles} core cycles at {program.core_clock_hz} Hz are too long to be simulated exactly",
            where=f"program {program.name}",
        )
    return ratio


def _ceil(value: Fraction | int) -> int:
    return -(-value.numerator // value.denominator)
