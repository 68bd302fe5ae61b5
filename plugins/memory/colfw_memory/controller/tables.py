"""A device's constraints as the integer tables that the kernel works on.

The kernel keeps, for every bank, the first clock in which each command is legal there. Issuing a
command pushes such clocks back: for the whole channel at once (a matrix), or for the banks of a node
(a list of pushes for each command). Rows that cannot matter are dropped here: those of commands that
no controller issues, and those that another row outlasts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from colfw.dram.device import Role
from colfw.errors import StudyError
from colfw_memory.controller import rules as of_device

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from colfw.dram.device import Device
    from colfw_memory.controller.rules import Rule

ACT, PRE, RD, WR, PREA, REF = of_device.NUMBERS
COMMANDS = len(of_device.NUMBERS)
MAX_BANKS = of_device.MAX_BANKS
MAX_WINDOW_SLOTS = 256
"""Remembered clocks of commands that a window counts (four activations, say), over all nodes."""
STRIDE = 16
NO_LIMIT = -(1 << 40)
"""A latency that holds nobody back."""

MAX_LEVELS = 8
MAX_PUSHES = 256
MAX_WINDOWS = 32

# Offsets into the table of a device: one flat array, for a compiled function is called fastest with that.
BANKS = 0
UNIT_BANKS = 1  # banks that one refresh covers
UNITS = 2
REFRESH_INTERVAL = 3
READ_LATENCY = 4
TWO_BUSES = 5  # whether a column and a row command may be issued in one clock
LANES = 6  # banks, rounded up to what a decision looks at in one stride
CHANNEL_LATENCY = 8  # [command, following] what a command imposes on the whole channel
PUSH_BEGIN = CHANNEL_LATENCY + COMMANDS * COMMANDS  # [command] where its pushes begin in the lists below
PUSHES = PUSH_BEGIN + COMMANDS + 1  # a record each, of:
PUSH_FOLLOWING, PUSH_LEVEL = 0, 1
PUSH_SPAN = 2  # banks of the node concerned
PUSH_STEP = 3  # distance between the banks that are pushed
PUSH_OUTSIDE = 4  # whether the parent's other nodes are to wait
PUSH_CLOCKS = 5
PUSH_WORDS = 6
WINDOW_BEGIN = PUSHES + MAX_PUSHES * PUSH_WORDS  # [command] where its windows begin in the lists below
WINDOW_FOLLOWING = WINDOW_BEGIN + COMMANDS + 1
WINDOW_LEVEL = WINDOW_FOLLOWING + MAX_WINDOWS
WINDOW_SPAN = WINDOW_LEVEL + MAX_WINDOWS
WINDOW_LENGTH = WINDOW_SPAN + MAX_WINDOWS
WINDOW_CLOCKS = WINDOW_LENGTH + MAX_WINDOWS
WINDOW_MEMORY = WINDOW_CLOCKS + MAX_WINDOWS  # where the remembered clocks of its first node are kept
FIRST_BANK = WINDOW_MEMORY + MAX_WINDOWS  # [level, bank] the first bank of the node that a bank lies in
NODE = FIRST_BANK + MAX_LEVELS * MAX_BANKS  # [level, bank] the number of that node
UNIT = NODE + MAX_LEVELS * MAX_BANKS  # [bank] the refresh unit that a bank lies in
LEVEL_SPAN = UNIT + MAX_BANKS  # [level] banks of a node
TABLE_WORDS = LEVEL_SPAN + MAX_LEVELS


@lru_cache(maxsize=64)
def table_of(device: Device) -> NDArray[np.int64]:
    """All tables of a device, or a refusal that says what the controller cannot do."""
    rules = of_device.rules_of(device)
    plain = [rule for rule in rules if rule.window == 1]
    unit_banks = device.span(device.named(Role.REFRESH).scope)
    table = np.zeros(TABLE_WORDS, np.int64)
    table[BANKS] = device.banks
    table[UNIT_BANKS] = unit_banks
    table[UNITS] = device.banks // unit_banks
    table[REFRESH_INTERVAL] = device.refresh_interval_clocks
    table[READ_LATENCY] = device.read_latency_clocks
    table[TWO_BUSES] = device.named(Role.READ).bus != device.named(Role.ACTIVATE).bus
    table[LANES] = -(-device.banks // STRIDE) * STRIDE
    _write_nodes(table, device, unit_banks)
    table[CHANNEL_LATENCY:PUSH_BEGIN] = _channel_latency(plain, device.banks).ravel()
    pushes = _pushes(plain, device.banks)
    _check_room("pushes", len(pushes), MAX_PUSHES, device)
    _write_pushes(table, pushes, unit_banks)
    _write_windows(table, [rule for rule in rules if rule.window > 1], device)
    return table


def _write_nodes(table: NDArray[np.int64], device: Device, unit_banks: int) -> None:
    _check_room("levels", len(device.levels), MAX_LEVELS, device)
    banks = np.arange(device.banks)
    for level, (name, _) in enumerate(device.levels):
        span = device.span(name)
        table[LEVEL_SPAN + level] = span
        at = level * MAX_BANKS
        table[FIRST_BANK + at : FIRST_BANK + at + device.banks] = banks - banks % span
        table[NODE + at : NODE + at + device.banks] = banks // span
    table[UNIT : UNIT + device.banks] = banks // unit_banks


def _channel_latency(rules: Iterable[Rule], banks: int) -> NDArray[np.int64]:
    matrix = np.full((COMMANDS, COMMANDS), NO_LIMIT, np.int64)
    for rule in rules:
        if rule.span == banks and not rule.sibling:
            cell = rule.command, rule.following
            matrix[cell] = max(matrix[cell], rule.clocks)
    return matrix


def _pushes(rules: Iterable[Rule], banks: int) -> list[Rule]:
    """The rules of nodes below the channel, without those that a wider and longer one outlasts."""
    longest: dict[tuple[int, int, int, bool], Rule] = {}
    everywhere = _channel_latency(rules, banks)
    for rule in rules:
        # Nodes of one span are the same at all levels; siblings they have at one of them only.
        key = rule.command, rule.following, rule.span, rule.sibling
        if (rule.span == banks and not rule.sibling) or (
            everywhere[rule.command, rule.following] >= rule.clocks
        ):
            continue
        if key not in longest or longest[key].clocks < rule.clocks:
            longest[key] = rule
    kept = [rule for rule in longest.values() if not _outlasted(rule, longest.values())]
    return sorted(kept, key=lambda rule: (rule.command, rule.following, rule.span, rule.sibling))


def _outlasted(rule: Rule, others: Iterable[Rule]) -> bool:
    return not rule.sibling and any(
        (other.command, other.following) == (rule.command, rule.following)
        and not other.sibling
        and other.span > rule.span
        and other.clocks >= rule.clocks
        for other in others
    )


def _step(rule: Rule, unit_banks: int) -> int:
    """Commands for all banks of a unit are checked on all of them, so one bank stands for a unit."""
    return unit_banks if rule.following in (PREA, REF) and rule.span >= unit_banks else 1


def _write_pushes(table: NDArray[np.int64], pushes: list[Rule], unit_banks: int) -> None:
    _write(table, PUSH_BEGIN, _begins(pushes))
    for i, rule in enumerate(pushes):
        step, outside = _step(rule, unit_banks), int(rule.sibling)
        record = [rule.following, rule.level, rule.span, step, outside, rule.clocks]
        _write(table, PUSHES + i * PUSH_WORDS, record)


def _write_windows(table: NDArray[np.int64], rules: list[Rule], device: Device) -> None:
    """Windows, with a place each in the kernel's memory; commands of one row share its place."""
    rules = sorted(rules, key=lambda rule: (rule.command, rule.row, rule.following))
    memory_of: dict[tuple[int, int], int] = {}
    used = 0
    for rule in rules:
        if (rule.row, rule.following) not in memory_of:
            memory_of[rule.row, rule.following] = used
            used += (rule.window + 1) * (device.banks // rule.span)
    _check_room("windows", len(rules), MAX_WINDOWS, device)
    _check_room("clocks that windows remember", used, MAX_WINDOW_SLOTS, device)
    _write(table, WINDOW_BEGIN, _begins(rules))
    _write(table, WINDOW_FOLLOWING, [rule.following for rule in rules])
    _write(table, WINDOW_LEVEL, [rule.level for rule in rules])
    _write(table, WINDOW_SPAN, [rule.span for rule in rules])
    _write(table, WINDOW_LENGTH, [rule.window for rule in rules])
    _write(table, WINDOW_CLOCKS, [rule.clocks for rule in rules])
    _write(table, WINDOW_MEMORY, [memory_of[rule.row, rule.following] for rule in rules])


def _check_room(what: str, needed: int, room: int, device: Device) -> None:
    if needed > room:
        raise StudyError(f"{needed} {what}; the controller has room for {room}", where=device.name)


def _begins(rules: list[Rule]) -> list[int]:
    return [sum(rule.command < command for rule in rules) for command in range(COMMANDS + 1)]


def _write(table: NDArray[np.int64], at: int, values: list[int]) -> None:
    table[at : at + len(values)] = values
