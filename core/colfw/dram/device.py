"""A DRAM device as resolved numbers: what a simulator needs, every expression worked out in clocks."""

from __future__ import annotations

import math
from enum import StrEnum
from fractions import Fraction

from attrs import field, frozen, validators

_positive = validators.ge(1)


class Role(StrEnum):
    """What a command does to the banks in its scope; a controller chooses commands by their role."""

    ACTIVATE = "activate"
    PRECHARGE = "precharge"
    PRECHARGE_ALL = "precharge-all"
    READ = "read"
    WRITE = "write"
    REFRESH = "refresh"
    UNUSED = "unused"
    """Known to the standard, issued by no controller here (auto-precharge, per-bank refresh)."""


@frozen(kw_only=True)
class DeviceCommand:
    """A command, what it does, and the level whose node it addresses."""

    name: str
    role: Role
    scope: str
    bus: str = ""
    """Commands on different buses may be issued in one clock; one bus unless a standard has more."""


@frozen(kw_only=True)
class Constraint:
    """After the `window`-th last of `preceding` at a node of `level`, `following` waits `clocks` there.

    A command is at every node that has to do with its banks: at the one above them, and at all below the
    node that an all-bank command addresses. It is legal when none of these nodes makes it wait. The
    `window`-th last counts all of `preceding` together, the one just issued being the last.

    `sibling`: what waits are the other nodes of the same parent, not the node of the preceding command; of
    a node that is alone below its parent, and of the channel, there are none.
    """

    level: str
    preceding: tuple[str, ...]
    following: tuple[str, ...]
    clocks: int
    window: int = field(default=1, validator=_positive)
    sibling: bool = False


@frozen(kw_only=True)
class Device:
    """One channel's worth of DRAM in numbers.

    `levels` names the nodes from the channel down to the bank, with their count below one node of the
    level above: `(("Channel", 1), ("BankGroup", 4), ("Bank", 4))`.
    """

    name: str
    levels: tuple[tuple[str, int], ...]
    rows: int = field(validator=_positive)
    columns: int = field(validator=_positive)
    """Of one row, in words of the channel's width."""
    channel_width_bits: int = field(validator=_positive)
    data_buses: int = field(default=1, validator=_positive)
    """Of that width each: more than one where pseudo-channels have their own."""
    prefetch: int = field(validator=_positive)
    """Words that one column command moves."""
    clock_ps: int = field(validator=_positive)
    burst_clocks: int = field(validator=_positive)
    """Clocks for which one column command holds the data bus."""
    read_latency_clocks: int = field(validator=_positive)
    """From a read command to its last word."""
    write_latency_clocks: int = field(validator=_positive)
    """From a write command to its last word."""
    refresh_interval_clocks: int = field(validator=_positive)
    commands: tuple[DeviceCommand, ...]
    constraints: tuple[Constraint, ...]
    timings: tuple[tuple[str, int], ...] = ()
    """The named timings that the constraints were resolved from."""

    @property
    def burst_bytes(self) -> int:
        """What one column command moves."""
        return self.prefetch * self.channel_width_bits // 8

    @property
    def banks(self) -> int:
        """Of one channel, over all levels."""
        return math.prod(count for _, count in self.levels)

    @property
    def bursts_per_row(self) -> int:
        return self.columns // self.prefetch

    @property
    def row_bytes(self) -> int:
        return self.bursts_per_row * self.burst_bytes

    @property
    def channel_bytes(self) -> int:
        """The capacity of one channel."""
        return self.row_bytes * self.rows * self.banks

    @property
    def clock_hz(self) -> float:
        return 1e12 / self.clock_ps

    @property
    def peak_bytes_per_clock(self) -> Fraction:
        """What the data buses of one channel carry when they are never idle."""
        return Fraction(self.data_buses * self.burst_bytes, self.burst_clocks)

    @property
    def peak_bytes_per_second(self) -> float:
        """The same in time."""
        return float(self.peak_bytes_per_clock) * self.clock_hz

    def nanoseconds(self, clocks: int) -> float:
        return clocks * self.clock_ps / 1000

    def span(self, level: str) -> int:
        """How many banks lie below one node of `level`; banks are numbered in the order of the tree."""
        depth = [name for name, _ in self.levels].index(level)
        return math.prod(count for _, count in self.levels[depth + 1 :])

    def named(self, role: Role) -> DeviceCommand:
        """The command of a role that every device has once."""
        return next(command for command in self.commands if command.role is role)
