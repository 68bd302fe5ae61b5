"""A DRAM standard as data: levels, commands, constraint rows, organisations, timings.

A standard is checked as a whole when it is made: what is wrong is refused, with the row named. A row
states its latency as an expression of named timings; `Standard.constraints` works all of them out.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from attrs import field, frozen, validators

from colfw.dram.device import Constraint, Role
from colfw.dram.expressions import parse
from colfw.errors import InvariantError
from colfw.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

_positive = validators.ge(1)

CLOCK = "tCK_ps"
"""The name by which overrides of timings mean the clock itself, in picoseconds."""

MEGABIT = 1 << 20
ISSUED_ROLES = frozenset(Role) - {Role.UNUSED}
"""What the controller issues: a standard has one command for each."""


def _words(text: str | Iterable[str]) -> tuple[str, ...]:
    """`"RD RDA"` reads better in a table than `("RD", "RDA")`."""
    return tuple(text.split()) if isinstance(text, str) else tuple(text)


def _pairs(table: Mapping[str, int] | Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """A table as a tuple, so that what holds it is frozen and hashable."""
    return tuple(table.items() if isinstance(table, Mapping) else table)


def _amounts(table: Mapping[str, float] | Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    return tuple(table.items() if isinstance(table, Mapping) else table)


@frozen
class TimingName:
    """A timing that rows may use: a number of clocks, and what it spans."""

    name: str
    meaning: str


@frozen
class Command:
    """A command, what it does, the level whose node it addresses, how long and on which bus it is sent."""

    name: str
    role: Role
    scope: str
    clocks: int = field(default=1, validator=_positive)
    """Clocks that it holds its bus; the device acts on it after the last."""
    bus: str = ""


@frozen
class ConstraintRow:
    """After the `window`-th last of `preceding` at a node of `level`, `following` waits `latency`.

    Commands are given as one line of words. `sibling`: what waits are the other nodes of the level.
    Latencies run from the last clock of the one command to the last clock of the other.
    """

    level: str
    preceding: tuple[str, ...] = field(converter=_words)
    following: tuple[str, ...] = field(converter=_words)
    latency: str
    source: str = field(validator=validators.min_len(1))
    window: int = field(default=1, validator=_positive, kw_only=True)
    sibling: bool = field(default=False, kw_only=True)

    def __str__(self) -> str:
        arrow = "=>" if self.sibling else "->"
        commands = f"{', '.join(self.preceding)} {arrow} {', '.join(self.following)}"
        window = f" ({self.window} in a window)" if self.window > 1 else ""
        return f"{self.level}: {commands} {self.latency!r}{window}"


@frozen(kw_only=True)
class Organisation:
    """How a device of some density is built. `columns` counts words of `dq_bits`.

    `counts` says how many nodes of each level lie in one of the level above.
    """

    name: str
    density_megabits: int = field(validator=_positive)
    dq_bits: int = field(validator=_positive)
    counts: tuple[tuple[str, int], ...] = field(converter=_pairs)
    rows: int = field(validator=_positive)
    columns: int = field(validator=_positive)
    channels: int = field(default=1, validator=_positive)
    """Independent channels of one device, over which its density is spread."""
    source: str = field(validator=validators.min_len(1))

    def count(self, level: str) -> int:
        """1 unless stated: of levels above the device, a module decides."""
        return dict(self.counts).get(level, 1)


@frozen(kw_only=True)
class TimingPreset:
    """Values of the named timings, in clocks of `clock_ps`."""

    name: str
    clock_ps: int = field(validator=_positive)
    rate_mbps: int = field(validator=_positive)
    """Of one data pin, as parts are named by it; nothing is computed from it."""
    clocks: tuple[tuple[str, int], ...] = field(converter=_pairs)
    source: str = field(validator=validators.min_len(1))


STATES: Mapping[str, str] = {
    "0": "one bank activated and precharged over and over",
    "2N": "standby, all banks closed",
    "3N": "standby, a bank open",
    "4R": "reading without gaps",
    "4W": "writing without gaps",
    "5B": "refreshing without gaps",
}
"""The states of a device whose currents energy is computed from, as in IDD0, IDD2N or IPP5B."""


@frozen(kw_only=True)
class Supply:
    """A supply voltage and the currents that one device draws from it, by state (see `STATES`)."""

    name: str
    volts: float = field(validator=validators.gt(0))
    milliamps: tuple[tuple[str, float], ...] = field(converter=_amounts)

    def __attrs_post_init__(self) -> None:
        where = f"currents of {self.name}"
        for state, current in self.milliamps:
            if state not in STATES:
                raise InvariantError(
                    f"unknown state {state!r}", where=where, hint=did_you_mean(state, STATES)
                )
            if current < 0:
                raise InvariantError(f"{current} mA in state {state!r}", where=where)


@frozen(kw_only=True)
class Currents:
    """What one device draws, all supplies, as its data sheet states it for the timing of the preset."""

    supplies: tuple[Supply, ...] = field(validator=validators.min_len(1))
    source: str = field(validator=validators.min_len(1))


@frozen(kw_only=True)
class Standard:
    """A DRAM standard. A standard that contradicts itself cannot be made."""

    name: str
    levels: tuple[str, ...] = field(validator=validators.min_len(2))
    """From the channel down to the bank."""
    density_level: str
    """The density of an organisation is that of one node of this level, times `channels`."""
    data_bus_level: str | None = None
    """Each node of this level has a data bus of its own; the channel, unless stated."""
    timings: tuple[TimingName, ...]
    commands: tuple[Command, ...]
    rows: tuple[ConstraintRow, ...]
    prefetch: int = field(validator=_positive)
    """Words that one column command moves."""
    read_latency: str = "nCL + nBL"
    """From a read command to its last word."""
    write_latency: str = "nCWL + nBL"
    """From a write command to its last word."""
    burst_clocks: str = "nBL"
    """For which one column command holds the data bus."""
    refresh_interval: str = "nREFI"
    row_cycle: str = "nRC"
    """Between activations of a bank, for which activation currents are stated."""
    row_active: str = "nRAS"
    """The part of it in which the row is open."""
    refresh_time: str = "nRFC"
    """How long an all-bank refresh takes."""
    organisations: tuple[Organisation, ...] = field(validator=validators.min_len(1))
    presets: tuple[TimingPreset, ...] = field(validator=validators.min_len(1))

    def __attrs_post_init__(self) -> None:
        self._check_names()
        self._check_commands()
        for row in self.rows:
            self._check_row(row)
        for text in self._latencies:
            self._check_timings(parse(text).names, f"{self.name}, latency {text!r}")
        for organisation in self.organisations:
            self._check_organisation(organisation)
        for preset in self.presets:
            self._check_preset(preset)

    # --- what others ask it ---

    @property
    def timing_names(self) -> tuple[str, ...]:
        return tuple(timing.name for timing in self.timings)

    def organisation(self, name: str) -> Organisation:
        return _find(name, self.organisations, f"{self.name}: unknown organisation {name!r}")

    def preset(self, name: str) -> TimingPreset:
        return _find(name, self.presets, f"{self.name}: unknown timing preset {name!r}")

    def constraints(self, clocks: Mapping[str, int]) -> tuple[Constraint, ...]:
        """All rows in clocks, from first clock to first clock, after what holds the command buses."""
        return (
            *self._bus_constraints(),
            *(found for row in self.rows for found in self._worked(row, clocks)),
        )

    # --- rows ---

    def _bus_constraints(self) -> Iterable[Constraint]:
        """A command of several clocks keeps all others off its bus: no standard need write that row."""
        for bus in dict.fromkeys(command.bus for command in self.commands):
            sharing = [command for command in self.commands if command.bus == bus]
            for clocks in sorted({command.clocks for command in sharing} - {1}):
                yield Constraint(
                    level=self.levels[0],
                    preceding=tuple(command.name for command in sharing if command.clocks == clocks),
                    following=tuple(command.name for command in sharing),
                    clocks=clocks,
                )

    def _worked(self, row: ConstraintRow, clocks: Mapping[str, int]) -> Iterable[Constraint]:
        """A row from first clock to first clock; one for each pair of lengths that commands in it have."""
        latency = parse(row.latency).evaluate(clocks)
        pairs = itertools.product(self._by_clocks(row.preceding), self._by_clocks(row.following))
        for (before, preceding), (after, following) in pairs:
            shifted = latency + (before - 1) - (after - 1)
            if shifted < 0:
                raise InvariantError(
                    f"is {shifted} clocks, and a latency cannot be negative",
                    where=self._where(row),
                    hint="write max(0, …) if it may be none",
                )
            yield Constraint(
                level=row.level,
                preceding=preceding,
                following=following,
                clocks=shifted,
                window=row.window,
                sibling=row.sibling,
            )

    def _by_clocks(self, names: Iterable[str]) -> list[tuple[int, tuple[str, ...]]]:
        """The commands in the standard's order, those of one length together."""
        groups: dict[int, tuple[str, ...]] = {}
        for command in self.commands:
            if command.name in names:
                groups[command.clocks] = (*groups.get(command.clocks, ()), command.name)
        return list(groups.items())

    # --- checks ---

    @property
    def _latencies(self) -> tuple[str, ...]:
        return (
            self.read_latency,
            self.write_latency,
            self.burst_clocks,
            self.refresh_interval,
            self.row_cycle,
            self.row_active,
            self.refresh_time,
        )

    def _where(self, row: ConstraintRow) -> str:
        return f"{self.name}, row {row}"

    def _check_names(self) -> None:
        lists = {
            "levels": self.levels,
            "timings": self.timing_names,
            "commands": [command.name for command in self.commands],
            "organisations": [organisation.name for organisation in self.organisations],
            "timing presets": [preset.name for preset in self.presets],
        }
        for what, names in lists.items():
            for name, often in Counter(names).items():
                if often > 1:
                    raise InvariantError(f"two {what} are named {name!r}", where=self.name)
        self._check_level(self.density_level, self.name)
        self._check_level(self.data_bus_level or self.levels[0], self.name)

    def _check_commands(self) -> None:
        for command in self.commands:
            self._check_level(command.scope, f"{self.name}, command {command.name}")
        for role in Role:
            having = [command.name for command in self.commands if command.role is role]
            if role in ISSUED_ROLES and len(having) != 1:
                found = ", ".join(having) or "none"
                raise InvariantError(f"needs one command with role {role}, has {found}", where=self.name)

    def _check_row(self, row: ConstraintRow) -> None:
        where = self._where(row)
        self._check_level(row.level, where)
        known = [command.name for command in self.commands]
        for name in (*row.preceding, *row.following):
            if name not in known:
                raise InvariantError(f"unknown command {name!r}", where=where, hint=did_you_mean(name, known))
        if not (row.preceding and row.following):
            raise InvariantError("needs a preceding and a following command", where=where)
        self._check_timings(parse(row.latency).names, where)

    def _check_level(self, level: str, where: str) -> None:
        if level not in self.levels:
            hint = did_you_mean(level, self.levels)
            raise InvariantError(f"unknown level {level!r}", where=where, hint=hint)

    def _check_timings(self, names: Iterable[str], where: str) -> None:
        for name in names:
            if name not in self.timing_names:
                hint = did_you_mean(name, self.timing_names)
                raise InvariantError(f"unknown timing {name!r}", where=where, hint=hint)

    def _check_organisation(self, organisation: Organisation) -> None:
        where = f"{self.name}, organisation {organisation.name}"
        for level, count in organisation.counts:
            self._check_level(level, where)
            if count < 1:
                raise InvariantError(f"has {count} of level {level!r}", where=where)
        if organisation.columns % self.prefetch:
            raise InvariantError(
                f"{organisation.columns} columns are no whole number of bursts of {self.prefetch} words",
                where=where,
            )
        inside = self.levels[self.levels.index(self.density_level) + 1 :]
        banks = math.prod(organisation.count(level) for level in inside) * organisation.channels
        bits = organisation.rows * organisation.columns * organisation.dq_bits * banks
        if bits != organisation.density_megabits * MEGABIT:
            raise InvariantError(
                f"a density of {organisation.density_megabits} Mb does not multiply out:"
                f" {organisation.rows} rows * {organisation.columns} columns * {organisation.dq_bits} bits"
                f" * {banks} banks are {bits / MEGABIT:g} Mb",
                where=where,
            )

    def _check_preset(self, preset: TimingPreset) -> None:
        where = f"{self.name}, timing preset {preset.name}"
        clocks = dict(preset.clocks)
        self._check_timings(clocks, where)
        for name in self.timing_names:
            if name not in clocks:
                raise InvariantError(f"lacks timing {name!r}", where=where)
            if clocks[name] < 0:
                raise InvariantError(f"timing {name!r} is {clocks[name]} clocks", where=where)
        self.constraints(clocks)
        for text in self._latencies:
            at_least_one(text, clocks, where)


def at_least_one(text: str, clocks: Mapping[str, int], where: str) -> int:
    """The value of a latency that cannot be less than a clock."""
    value = parse(text).evaluate(clocks)
    if value < 1:
        raise InvariantError(f"latency {text!r} is {value} clocks, at least 1 is needed", where=where)
    return value


_Preset = TypeVar("_Preset", Organisation, TimingPreset)


def _find(name: str, presets: Iterable[_Preset], problem: str) -> _Preset:
    known = {preset.name: preset for preset in presets}
    if name not in known:
        raise InvariantError(problem, hint=did_you_mean(name, known))
    return known[name]
