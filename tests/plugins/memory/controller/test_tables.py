"""Probe, issue, assert the earliest legal clock: for every row of every DRAM, and for rows nobody wrote."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.dram.device import Constraint, Device, DeviceCommand, Role
from colfw.dram.spec import DramSpec, resolve
from colfw.errors import ColfwError
from colfw_memory import standards
from colfw_memory.controller import kernel, tables
from colfw_memory.controller.books import ROLES
from colfw_memory.controller.compiling import compiled
from colfw_memory.controller.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SPECS = [value for value in vars(standards).values() if isinstance(value, DramSpec)]
DEVICES = {spec.name: resolve(spec) for spec in SPECS}
# Of one rank alone nobody can say whether other ranks wait.
DEVICES["ddr5-3200 of two ranks"] = resolve(standards.DDR5_3200, organisation_overrides={"Rank": 2})

BEGIN = 1000
"""The clock of the first command, later than any latency: nothing is legal sooner by accident."""
LONGEST = 5000
"""Longer than any other constraint."""


# --- the tables, as the kernel uses them --------------------------------------------------------------


@compiled
def issue_in_kernel(state: NDArray[np.int64], table: NDArray[np.int64], how: NDArray[np.int64]) -> None:
    """`how`: command, bank, clock."""
    kernel._restrain(words(state), 0, words(table), how[0], how[1], how[2])


@compiled
def reset_kernel(state: NDArray[np.int64]) -> None:
    kernel.reset(words(state), 0, kernel.NEVER, 0, -1)


class Kernel:
    """A channel of which only the constraints are used."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.table = tables.table_of(device)
        self.state = np.empty(kernel.CHANNEL_WORDS, np.int64)
        reset_kernel(self.state)

    def issue(self, role: Role, bank: int, clock: int) -> None:
        issue_in_kernel(self.state, self.table, np.array([NUMBERS[role], bank, clock]))

    def earliest(self, role: Role, bank: int) -> int:
        """Legal in all banks that the command is for, and as far as the whole channel goes."""
        number = NUMBERS[role]
        ready = kernel.READY + number * tables.MAX_BANKS
        in_banks = self.state[ready + np.array(banks_of(self.device, role, bank))]
        return int(max(in_banks.max(), self.state[kernel.CHANNEL_READY + number]))


NUMBERS = {role: number for number, role in ROLES.items()}


# --- the rows, read naively ---------------------------------------------------------------------------


class Issued(NamedTuple):
    """A command that was issued."""

    name: str
    banks: range
    """Which it was for."""
    clock: int


def banks_of(device: Device, role: Role, bank: int) -> range:
    """The banks that a command is for if it is addressed to this one."""
    return node(device, device.named(role).scope, bank)


def node(device: Device, level: str, bank: int) -> range:
    """The banks of the node of a level in which a bank lies."""
    span = device.span(level)
    return range(bank // span * span, bank // span * span + span)


def siblings(device: Device, level: str, banks: range) -> list[range]:
    """The other nodes in the same node of the level above."""
    names = [name for name, _ in device.levels]
    if level == names[0]:
        return []
    parent = node(device, names[names.index(level) - 1], banks[0])
    found = [node(device, level, bank) for bank in parent[:: device.span(level)]]
    return [other for other in found if other != banks]


def meet(one: range, other: range) -> bool:
    return max(one.start, other.start) < min(one.stop, other.stop)


def waits_until(device: Device, row: Constraint, issued: list[Issued], name: str, banks: range) -> int:
    """The first clock in which one row allows a command for these banks, all issued before it in order."""
    if name not in row.following:
        return 0
    until = 0
    for first in range(banks[0], banks[-1] + 1):
        at = node(device, row.level, first)
        for heard in siblings(device, row.level, at) if row.sibling else [at]:
            past = [one.clock for one in issued if one.name in row.preceding and meet(one.banks, heard)]
            if len(past) >= row.window:
                until = max(until, past[-row.window] + row.clocks)
    return until


def naive(device: Device, issued: list[Issued], name: str, banks: range) -> int:
    return max(waits_until(device, row, issued, name, banks) for row in device.constraints)


# --- every row of every DRAM --------------------------------------------------------------------------


def controlled(device: Device) -> set[str]:
    """Commands that the controller issues."""
    return {command.name for command in device.commands if command.role is not Role.UNUSED}


def pairs(device: Device, row: Constraint) -> Iterator[tuple[DeviceCommand, DeviceCommand]]:
    """Of a row, each preceding with each following command, as far as the controller issues them."""
    named = {command.name: command for command in device.commands if command.role is not Role.UNUSED}
    for first, then in product(row.preceding, row.following):
        if first in named and then in named:
            yield named[first], named[then]


def title(name: str, number: int, row: Constraint) -> str:
    arrow = "=>" if row.sibling else "->"
    window = f" x{row.window}" if row.window > 1 else ""
    return f"{name}-{number}-{row.level}: {' '.join(row.preceding)}{window} {arrow} {' '.join(row.following)}"


ROWS = [(name, number) for name, device in DEVICES.items() for number in range(len(device.constraints))]
PROBED = [
    pytest.param(name, number, id=title(name, number, DEVICES[name].constraints[number]))
    for name, number in ROWS
    if any(pairs(DEVICES[name], DEVICES[name].constraints[number]))
]


def test_rows_that_cannot_be_probed_are_those_of_commands_that_nobody_issues() -> None:
    """All others are probed below: each that is left out has, on one side, unused commands alone."""
    probed = {tuple(case.values) for case in PROBED}
    for name, number in ROWS:
        device, row = DEVICES[name], DEVICES[name].constraints[number]
        unused = {command.name for command in device.commands if command.role is Role.UNUSED}
        left_out = set(row.preceding) <= unused or set(row.following) <= unused
        assert left_out is ((name, number) not in probed), (name, row)


def issue_row(
    device: Device, channel: Kernel, row: Constraint, first: DeviceCommand, bank: int
) -> list[Issued]:
    """The preceding command once, or as often as a window counts, a clock apart, last of all at `bank`."""
    inside = node(device, row.level, bank)
    issued = []
    for number in range(row.window):
        # A window goes through the banks of its node, as activations do.
        addressed = inside[(inside.index(bank) + number + 1 - row.window) % len(inside)]
        channel.issue(first.role, banks_of(device, first.role, addressed)[0], BEGIN + number)
        issued.append(Issued(first.name, banks_of(device, first.role, addressed), BEGIN + number))
    return issued


def probe(device: Device, row: Constraint) -> Iterator[tuple[Kernel, list[Issued], DeviceCommand, range]]:
    """Every command of a row issued in the first and the last bank, then each following one everywhere."""
    for first, then in pairs(device, row):
        for bank in (0, device.banks - 1):
            channel = Kernel(device)
            issued = issue_row(device, channel, row, first, bank)
            units = range(0, device.banks, device.span(then.scope))
            for other in units:
                yield channel, issued, then, banks_of(device, then.role, other)


@pytest.mark.parametrize(("name", "number"), PROBED)
def test_a_command_is_legal_as_soon_as_all_rows_allow(name: str, number: int) -> None:
    """In the same bank and in every other, after what the row is about: no clock sooner, none later."""
    device = DEVICES[name]
    for channel, issued, then, banks in probe(device, device.constraints[number]):
        assert channel.earliest(then.role, banks[0]) == naive(device, issued, then.name, banks)


@pytest.mark.parametrize(("name", "number"), PROBED)
def test_a_row_binds_where_it_is_the_longest(name: str, number: int) -> None:
    """Made longer than all others, it alone says when a command is legal in the nodes that it is about."""
    row = evolve(DEVICES[name].constraints[number], clocks=LONGEST)
    others = DEVICES[name].constraints[:number] + DEVICES[name].constraints[number + 1 :]
    device = evolve(DEVICES[name], constraints=(*others, row))
    bound = 0
    for channel, issued, then, banks in probe(device, row):
        until = waits_until(device, row, issued, then.name, banks)
        bound += until > 0
        assert until in {0, BEGIN + LONGEST}
        assert channel.earliest(then.role, banks[0]) == (until or naive(device, issued, then.name, banks))
    # A row about siblings is about nobody where there is but one.
    assert bound > 0 or (row.sibling and dict(device.levels)[row.level] == 1)


# --- any sequence -------------------------------------------------------------------------------------


class Kept(NamedTuple):
    """A kernel and the naive list, of the same commands."""

    kernel: Kernel
    issued: list[Issued]

    def check(self) -> None:
        device = self.kernel.device
        for role in NUMBERS:
            command = device.named(role)
            for bank in range(0, device.banks, device.span(command.scope)):
                expected = naive(device, self.issued, command.name, banks_of(device, role, bank))
                assert self.kernel.earliest(role, bank) == expected, (self.issued, role, bank)

    def issue(self, role: Role, bank: int, later: int) -> None:
        """As soon as it is legal, or so many clocks later."""
        device = self.kernel.device
        banks = banks_of(device, role, bank)
        before = self.issued[-1].clock if self.issued else 0
        clock = max(before, self.kernel.earliest(role, banks[0])) + later
        self.kernel.issue(role, banks[0], clock)
        self.issued.append(Issued(device.named(role).name, banks, clock))


def sequences() -> st.SearchStrategy[list[tuple[Role, int, int]]]:
    """What is issued, in which bank (taken modulo how many there are), and how much later than it might."""
    later = st.integers(0, 3) | st.integers(0, 100)
    return st.lists(
        st.tuples(st.sampled_from(list(NUMBERS)), st.integers(0, 63), later), min_size=1, max_size=12
    )


@given(st.sampled_from(sorted(DEVICES)), sequences())
def test_after_any_sequence_a_command_is_legal_as_soon_as_all_rows_allow(
    name: str, sequence: list[tuple[Role, int, int]]
) -> None:
    """Whatever was issued, in whatever order: the kernel's clocks are those of a naive reading."""
    kept = Kept(Kernel(DEVICES[name]), [])
    for role, bank, later in sequence:
        kept.issue(role, bank % DEVICES[name].banks, later)
        kept.check()


SHAPES = [
    (("Channel", 1), ("Bank", 3)),
    (("Channel", 1), ("Rank", 2), ("Bank", 1)),
    (("Channel", 1), ("Rank", 3), ("BankGroup", 2), ("Bank", 2)),
    (("Channel", 1), ("Rank", 2), ("BankGroup", 3), ("Bank", 1)),
    (("Channel", 1), ("Rank", 2), ("BankGroup", 1), ("Bank", 3)),
    (("Channel", 1), ("BankGroup", 1), ("Bank", 5)),
    (("Channel", 1), ("BankGroup", 4), ("Bank", 16)),
]
NAMES = {
    "ACT": Role.ACTIVATE,
    "PREpb": Role.PRECHARGE,
    "PREab": Role.PRECHARGE_ALL,
    "RD": Role.READ,
    "WR": Role.WRITE,
    "REFab": Role.REFRESH,
    "RDA": Role.UNUSED,
}


def odd_device(
    levels: tuple[tuple[str, int], ...], scope: str, constraints: tuple[Constraint, ...]
) -> Device:
    wide = {Role.PRECHARGE_ALL, Role.REFRESH}
    return Device(
        name="odd",
        levels=levels,
        rows=4,
        columns=8,
        channel_width_bits=8,
        prefetch=4,
        clock_ps=1000,
        burst_clocks=1,
        read_latency_clocks=3,
        write_latency_clocks=2,
        refresh_interval_clocks=100,
        commands=tuple(
            DeviceCommand(name=name, role=role, scope=scope if role in wide else levels[-1][0])
            for name, role in NAMES.items()
        ),
        constraints=constraints,
    )


@st.composite
def odd_devices(draw: st.DrawFn) -> Device:
    """Shapes and rows that no standard has."""
    levels = draw(st.sampled_from(SHAPES))
    names = st.lists(st.sampled_from(sorted(NAMES)), min_size=1, max_size=3, unique=True).map(tuple)
    one_row = st.builds(
        Constraint,
        level=st.sampled_from([name for name, _ in levels]),
        preceding=names,
        following=names,
        clocks=st.integers(0, 40),
        window=st.sampled_from([1, 1, 1, 2, 4]),
        sibling=st.sampled_from([False, False, True]),
    )
    scope = draw(st.sampled_from([name for name, _ in levels]))
    return odd_device(levels, scope, tuple(draw(st.lists(one_row, min_size=1, max_size=8))))


def check_kept_or_refused(device: Device, sequence: list[tuple[Role, int, int]]) -> None:
    try:
        kept = Kept(Kernel(device), [])
    except ColfwError:
        return
    for role, bank, later in sequence:
        kept.issue(role, bank % device.banks, later)
        kept.check()


@given(odd_devices(), sequences())
def test_rows_of_any_shape_are_kept_or_refused(device: Device, sequence: list[tuple[Role, int, int]]) -> None:
    """Levels of one node, windows, siblings, scopes: what the tables cannot express is refused."""
    check_kept_or_refused(device, sequence)


RANKS = (("Channel", 1), ("Rank", 2), ("BankGroup", 2), ("Bank", 2))


@pytest.mark.parametrize(
    ("levels", "row"),
    [
        # Below a rank of one group there are no siblings; of the rank there is one.
        (
            (("Channel", 1), ("Rank", 2), ("BankGroup", 1), ("Bank", 2)),
            Constraint(level="BankGroup", preceding=("RD",), following=("RD",), clocks=9, sibling=True),
        ),
        (RANKS, Constraint(level="Bank", preceding=("RD",), following=("RD",), clocks=9, sibling=True)),
        (
            (("Channel", 1), ("Rank", 3), ("Bank", 1)),
            Constraint(level="Rank", preceding=("RD",), following=("RD",), clocks=9, sibling=True),
        ),
        (
            RANKS,
            Constraint(level="BankGroup", preceding=("REFab",), following=("ACT",), clocks=9, sibling=True),
        ),
        (
            RANKS,
            Constraint(
                level="Rank", preceding=("ACT",), following=("ACT",), clocks=20, window=2, sibling=True
            ),
        ),
        (
            RANKS,
            Constraint(level="Bank", preceding=("ACT", "PREab"), following=("ACT",), clocks=20, window=2),
        ),
        (RANKS, Constraint(level="Channel", preceding=("RD",), following=("RD",), clocks=9, sibling=True)),
    ],
    ids=[
        "siblings that are none",
        "siblings that are banks",
        "siblings of one bank each",
        "siblings below an all-bank command",
        "a window over siblings",
        "a window over commands of two scopes",
        "siblings of the channel",
    ],
)
def test_a_row_is_kept_or_refused(levels: tuple[tuple[str, int], ...], row: Constraint) -> None:
    """Never something else: a wrong number that nobody is told of."""
    device = odd_device(levels, "Rank", (row,))
    for bank, other in product(range(device.banks), repeat=2):
        for role in (NAMES[name] for name in row.preceding):
            check_kept_or_refused(device, [(role, bank, 3), (NAMES[row.preceding[0]], other, 2)])


def test_siblings_of_two_levels_are_told_apart() -> None:
    """Where a group is a rank, rows about sibling groups and about sibling ranks stay what they are."""
    levels = (("Channel", 1), ("Rank", 2), ("BankGroup", 1), ("Bank", 2))
    ranks = Constraint(level="Rank", preceding=("RD",), following=("RD",), clocks=3, sibling=True)
    device = odd_device(levels, "Rank", (ranks, evolve(ranks, level="BankGroup", clocks=9)))
    check_kept_or_refused(device, [(Role.READ, 0, 5)])


# --- what there is no room for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timing", "organisation"),
    [
        ({"nRCD": 1 << 18}, {}),
        ({"nRCD": 3_000_000}, {}),
        ({"nRFC": 1 << 18, "nREFI": 1 << 20}, {}),
        ({}, {"Rank": 5}),
    ],
    ids=str,
)
def test_what_the_kernel_cannot_hold_is_refused(timing: dict[str, int], organisation: dict[str, int]) -> None:
    """More than 64 banks, or waits that overflow the key by which it chooses: a refusal, not a crash."""
    device = resolve(standards.DDR4_2400, timing_overrides=timing, organisation_overrides=organisation)
    with pytest.raises(ColfwError) as refusal:
        tables.table_of(device)
    assert device.name in str(refusal.value)
