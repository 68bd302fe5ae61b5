"""Replaying a trace: the front end's loop around the kernel, and the command log."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from colfw.dram.requests import CommandLog, Replay
from colfw.errors import InvariantError
from colfw_memory.config import Ports, Refresh, Scheduler
from colfw_memory.controller import kernel as k
from colfw_memory.controller import open_loop
from colfw_memory.controller.addresses import Decoded, Decoder
from colfw_memory.controller.books import ROLES, Aside, counts_of, in_ring
from colfw_memory.controller.rules import check
from colfw_memory.controller.tables import REF, REFRESH_INTERVAL, table_of

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import NDArray

    from colfw.dram.counts import ChannelCounts
    from colfw.dram.device import Device
    from colfw.dram.requests import Trace
    from colfw_memory.config import DramConfig
    from colfw_memory.controller.words import Integers
    from colfw_memory.mapping import AddressMapping

BLOCK = 1 << 15
"""Requests that a front end is given at once: decoded, they fit into a processor's cache."""
LOG_LINES = 1 << 16
"""Of one channel, before they are copied out of the kernel."""


@frozen(kw_only=True)
class Offered:
    """How a trace is offered."""

    clocks_apart: Fraction
    drain: bool
    log_commands: bool

    def __attrs_post_init__(self) -> None:
        if self.clocks_apart <= 0:
            raise InvariantError(
                f"clocks_apart must be more than 0, not {self.clocks_apart}", where="replay of a trace"
            )


def replay(
    device: Device, mapping: AddressMapping, channels: int, config: DramConfig, trace: Trace, how: Offered
) -> Replay:
    """Offer all requests of a trace, by one front end or by one for each channel."""
    _check_countable(how.clocks_apart, len(trace))
    shared = config.ports is Ports.SHARED
    block = BLOCK if shared else BLOCK * channels
    decoder = Decoder(mapping, device.burst_bytes, block)
    fronts = [
        _FrontEnd(device, config, channels if shared else 1, how) for _ in range(1 if shared else channels)
    ]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        for begin in range(0, len(trace), block):
            is_write = trace.is_write[begin : begin + block]
            decoded = decoder.decode(trace.address[begin : begin + block])
            if shared:
                fronts[0].offer(is_write, decoded)
            else:
                list(threads.map(_offer_own, fronts, range(channels), repeat(is_write), repeat(decoded)))
        ends = list(threads.map(_FrontEnd.end, fronts))
    log = _joined([lines for end in ends for lines in end.log], device) if how.log_commands else None
    return Replay(channels=tuple(counts for end in ends for counts in end.counts), commands=log)


def _check_countable(apart: Fraction, requests: int) -> None:
    if requests >= k.OLD_AGE:
        raise InvariantError(
            f"{requests} requests; at most {k.OLD_AGE - 1} can be kept in order", where="replay of a trace"
        )
    if max(requests * apart.numerator, apart.denominator) >= open_loop.FOREVER:
        raise InvariantError(
            f"{requests} requests {apart} clocks apart are too much to be counted exactly",
            where="replay of a trace",
            hint="a fraction of smaller numbers",
        )


@frozen(kw_only=True, eq=False)
class _End:
    """What one front end leaves behind: counts and command lines of each of its channels."""

    counts: list[ChannelCounts]
    log: list[Integers]


class _FrontEnd:
    """Offers requests to some channels, a block after the other."""

    def __init__(self, device: Device, config: DramConfig, channels: int, how: Offered) -> None:
        self._how = how
        self._kernel = Kernel(device, config, channels, LOG_LINES if how.log_commands else 0)
        self._front = np.zeros(open_loop.FRONT_WORDS, np.int64)
        self._front[open_loop.OFFERED_AT] = 1

    def offer(self, is_write: NDArray[np.uint8], decoded: Decoded) -> None:
        """Offer a block until its last request is taken."""
        apart = self._how.clocks_apart
        front = self._front
        front[open_loop.EARLIER_REQUESTS] += front[open_loop.NEXT_REQUEST]
        front[open_loop.NEXT_REQUEST] = 0
        while not open_loop.replay(
            *self._kernel.arrays, front, is_write, *decoded, apart.numerator, apart.denominator
        ):
            self._kernel.make_room()

    def end(self) -> _End:
        """Close the books."""
        kernel, channels = self._kernel, len(self._kernel.channels)
        # The replay ends in the clock in which the last request is taken, before the channels tick.
        end = max(0, int(self._front[open_loop.LAST_TAKEN]) - 1)
        if self._how.drain:
            while not open_loop.drain_channels(*kernel.arrays, channels):
                kernel.make_room()
            end = kernel.last_completion()
        while not open_loop.advance_channels(*kernel.arrays, channels, end):
            kernel.make_room()
        kernel.empty_out()
        return _End(counts=kernel.counts(end), log=kernel.logged())


def _offer_own(front: _FrontEnd, channel: int, is_write: NDArray[np.uint8], decoded: Decoded) -> None:
    """The share of one channel, which is the only one that its front end has."""
    mine = np.flatnonzero(decoded.channel == channel)
    alone = np.zeros(len(mine), np.int64)
    front.offer(is_write[mine], Decoded(alone, decoded.bank[mine], decoded.row[mine], decoded.place[mine]))


class Kernel:
    """The state of some channels, and what has been emptied out of it on the way."""

    def __init__(self, device: Device, config: DramConfig, channels: int, log_lines: int) -> None:
        refreshed = config.refresh is not Refresh.NONE
        check(device, refreshed=refreshed)
        self.device = device
        self.table = table_of(device)
        self.state = np.empty(channels * k.CHANNEL_WORDS, np.int64)
        self._log = np.empty(max(1, channels * log_lines * k.LOG_COLUMNS), np.int64)
        self._log_lines = log_lines
        self._copied: list[list[Integers]] = [[] for _ in range(channels)]
        nothing = np.empty((2, 0), np.int64)
        self._aside = [Aside(latencies=Counter(), on_the_way=nothing) for _ in range(channels)]
        open_loop.reset_channels(
            self.state,
            channels,
            self.table[REFRESH_INTERVAL] if refreshed else k.NEVER,
            int(config.scheduler is Scheduler.ROW_HIT),
            log_lines or -1,
        )

    @property
    def arrays(self) -> tuple[Integers, Integers, Integers]:
        """What compiled functions take."""
        return self.state, self.table, self._log

    @property
    def channels(self) -> Integers:
        """The states, a row each."""
        return self.state.reshape(-1, k.CHANNEL_WORDS)

    def empty_out(self) -> None:
        """Make room in the logs and spills, so that a channel that paused can go on."""
        for number, channel in enumerate(self.channels):
            spilled = channel[k.SPILLED_LATENCY : k.SPILLED_LATENCY + channel[k.SPILLED]]
            self._aside[number].latencies.update(spilled.tolist())
            channel[k.SPILLED] = 0
            if self._log_lines:
                begin = k.LOG_COLUMNS * int(channel[k.LOG_BEGIN])
                end = begin + k.LOG_COLUMNS * int(channel[k.LOG_LENGTH])
                self._copied[number].append(self._log[begin:end].reshape(-1, k.LOG_COLUMNS).copy())
                channel[k.LOG_LENGTH] = 0
                channel[k.LOG_FREE] = self._log_lines

    def make_room(self) -> None:
        """Empty out, and of the reads in the rings keep those that are still on their way.

        Not for a front end that waits for reads: it takes them from the ring itself.
        """
        self.empty_out()
        for number, channel in enumerate(self.channels):
            aside = self._aside[number]
            reads = np.concatenate((aside.on_the_way, in_ring(channel)), axis=1)
            self._aside[number] = evolve(aside, on_the_way=reads[:, reads[0] >= channel[k.NOW]])
            channel[k.RELEASED_READS] = channel[k.PUSHED_READS]

    def renumber(self) -> None:
        """Give requests lower ages, in the same order, before their keys run out of bits."""
        for channel in self.channels:
            if channel[k.NEXT_AGE] < k.OLD_AGE:
                continue
            waiting = [slot for slot in channel[k.HEAD : k.TAIL].tolist() if slot != k.NOBODY]
            active = channel[k.ACTIVE_KEY : k.ACTIVE_COMMAND]
            oldest = min(
                [int(channel[k.NEXT_AGE]), int(active.min())]
                + [int(channel[k.SLOT_AGE + slot]) for slot in waiting]
            )
            channel[k.NEXT_AGE] -= oldest
            channel[k.SLOT_AGE : k.SLOT_AGE + k.SLOTS] -= oldest
            spans = (k.ACTIVE_KEY, k.ACTIVE_COMMAND), (k.HIT_KEY, k.OTHER_SLOT), (k.OTHER_KEY, k.HEAD)
            for begin, end in spans:
                keys = channel[begin:end]
                keys[keys != k.NO_KEY] -= oldest

    def last_completion(self) -> int:
        """The clock in which the last read completed or the last write was served."""
        return int(max(0, self.channels[:, [k.LAST_RELEASE, k.LAST_WRITE]].max()))

    def counts(self, end: int) -> list[ChannelCounts]:
        return [
            counts_of(channel, self.table, self.device, end, aside)
            for channel, aside in zip(self.channels, self._aside, strict=True)
        ]

    def logged(self) -> list[Integers]:
        """The command lines of each channel."""
        return [np.concatenate(parts or [np.empty((0, k.LOG_COLUMNS), np.int64)]) for parts in self._copied]


def _joined(logs: list[Integers], device: Device) -> CommandLog:
    """Command lines with the channel, and with a column for each level below it."""
    below = [name for name, _ in device.levels[1:]]
    columns = ("clock", "channel", "command", *below, "Row", "Column")
    rows = [_with_levels(lines, channel, device) for channel, lines in enumerate(logs)]
    names = tuple(device.named(role).name for role in ROLES.values())
    return CommandLog(columns=columns, names=names, rows=np.concatenate(rows))


def _with_levels(lines: Integers, channel: int, device: Device) -> Integers:
    clock, command, bank, row, place = lines.T
    everywhere = row < 0
    columns = [clock, np.full_like(clock, channel), command]
    names = [name for name, _ in device.levels]
    scope = names.index(device.named(ROLES[REF]).scope)
    for depth, (name, count) in enumerate(device.levels[1:], start=1):
        # Below its scope an all-bank command has no address.
        within = everywhere & (depth > scope)
        columns.append(np.where(within, -1, bank // device.span(name) % count))
    columns += [row, np.where(everywhere, -1, place // device.burst_bytes)]
    return np.stack(columns, axis=1)
