"""A device's constraints in the controller's numbers, and what of them it refuses to simulate.

A DRAM is checked with this as soon as it is made, so nothing here needs more than plain Python.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import frozen

from colfw.dram.device import Role
from colfw.errors import StudyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from colfw.dram.device import Constraint, Device

ACT, PRE, RD, WR, PREA, REF = NUMBERS = range(6)
MAX_BANKS = 64
"""Of one channel: the kernel keeps sets of banks in one machine word."""
CLOCKS_LIMIT = 1 << 17
"""Every latency is below: the key by which the kernel chooses has room for twice that."""
INTERVAL_LIMIT = 1 << 40
"""The refresh interval is below: clocks are counted in machine words."""

_NUMBER_OF_ROLE = {
    Role.ACTIVATE: ACT,
    Role.PRECHARGE: PRE,
    Role.READ: RD,
    Role.WRITE: WR,
    Role.PRECHARGE_ALL: PREA,
    Role.REFRESH: REF,
}


@frozen(kw_only=True)
class Rule:
    """One pair of commands of one constraint."""

    row: int
    command: int
    following: int
    level: int
    """How far below the channel."""
    span: int
    parent_span: int
    """Banks of the node above, in which the siblings are."""
    sibling: bool
    clocks: int
    window: int


@lru_cache(maxsize=64)
def check(device: Device, *, refreshed: bool) -> None:
    """Refuse, in one line, a device that the controller cannot simulate."""
    rules = rules_of(device)
    if refreshed:
        _check_refresh(device, rules)


def rules_of(device: Device) -> list[Rule]:
    """Every constraint between two commands that the controller issues, pair by pair."""
    _check_shape(device)
    issued = {c.name: c for c in device.commands if c.role is not Role.UNUSED}
    numbers = {name: _NUMBER_OF_ROLE[command.role] for name, command in issued.items()}
    depths = {name: depth for depth, (name, _) in enumerate(device.levels)}
    scopes = {numbers[name]: depths[command.scope] for name, command in issued.items()}
    rules: list[Rule] = []
    for number, row in enumerate(device.constraints):
        found = list(_of_row(device, number, row, numbers, scopes))
        _check_row(device, row, found)
        rules += found
    return rules


def _of_row(
    device: Device, number: int, row: Constraint, numbers: dict[str, int], scopes: dict[int, int]
) -> Iterator[Rule]:
    depth = [name for name, _ in device.levels].index(row.level)
    if row.sibling and device.levels[depth][1] == 1:
        return  # of a node that is its parent's only one nobody is a sibling
    preceding = [numbers[name] for name in dict.fromkeys(row.preceding) if name in numbers]
    following = [numbers[name] for name in dict.fromkeys(row.following) if name in numbers]
    for command in preceding:
        # What an all-bank command imposes on a node below its scope, it imposes on all of them; and each
        # of them is a sibling of another.
        below = depth > scopes[command]
        level = min(depth, scopes[command])
        for then in following:
            yield Rule(
                row=number,
                command=command,
                following=then,
                level=level,
                span=device.span(device.levels[level][0]),
                parent_span=device.span(device.levels[max(0, level - 1)][0]),
                sibling=row.sibling and not below,
                clocks=row.clocks,
                window=row.window,
            )


# --- what cannot be simulated -------------------------------------------------------------------------


def _check_shape(device: Device) -> None:
    if device.banks > MAX_BANKS:
        raise StudyError(
            f"{device.banks} banks a channel; the controller handles at most {MAX_BANKS}", where=device.name
        )
    if device.named(Role.REFRESH).scope != device.named(Role.PRECHARGE_ALL).scope:
        raise StudyError("the all-bank refresh and precharge differ in scope", where=device.name)
    for role in (Role.ACTIVATE, Role.PRECHARGE, Role.READ, Role.WRITE):
        if device.named(role).scope != device.levels[-1][0]:
            raise StudyError(f"{device.named(role).name} is not for one bank", where=device.name)
    if device.read_latency_clocks >= CLOCKS_LIMIT:
        raise StudyError(
            f"a read latency of {device.read_latency_clocks} clocks; the controller counts up to"
            f" {CLOCKS_LIMIT - 1}",
            where=device.name,
        )
    if device.refresh_interval_clocks >= INTERVAL_LIMIT:
        raise StudyError(
            f"refreshes every {device.refresh_interval_clocks} clocks (nREFI); the controller counts up to"
            f" {INTERVAL_LIMIT - 1}",
            where=device.name,
        )


def _check_row(device: Device, row: Constraint, rules: list[Rule]) -> None:
    """Refuse what the tables cannot express; no standard has it."""
    problem = None
    if rules and row.clocks >= CLOCKS_LIMIT:
        problem = f"{row.clocks} clocks; the controller counts up to {CLOCKS_LIMIT - 1}"
    elif any(rule.sibling and rule.window > 1 for rule in rules):
        problem = "the controller has no windows over siblings"
    elif any(rule.sibling and rule.span == 1 for rule in rules):
        problem = "the controller has no siblings of one bank"
    elif row.window > 1 and len({rule.span for rule in rules}) > 1:
        problem = "the controller has no windows over commands of different scope"
    if problem:
        arrow = "=>" if row.sibling else "->"
        title = f"{row.level}: {' '.join(row.preceding)} {arrow} {' '.join(row.following)}"
        raise StudyError(problem, where=f"{device.name}, row '{title}'")


def _check_refresh(device: Device, rules: Iterable[Rule]) -> None:
    """Refuse refreshes that, once they begin, leave no clock in which a row may be opened.

    All that is refreshed falls due at once, a unit after the other is refreshed, and while a refresh
    waits no row is opened. So a bank can be opened only if, even where all REFs are issued as soon as they
    are legal and nothing needs a precharge, its ACT is legal before the next refreshes fall due. And if a
    round of REFs takes all of the interval, the first one that is late makes all others late.
    """
    again = [rule for rule in rules if (rule.command, rule.following, rule.window) == (REF, REF, 1)]
    opening = [rule for rule in rules if (rule.command, rule.following, rule.window) == (REF, ACT, 1)]
    scope = device.named(Role.REFRESH).scope
    units = range(0, device.banks, device.span(scope))
    issued: dict[int, int] = {}
    for unit in units:
        after = [clock + max(1, _wait(again, other, unit)) for other, clock in issued.items()]
        issued[unit] = max(after, default=0)
    opened = max(
        max(clock + max(1, _wait(opening, unit, bank)) for unit, clock in issued.items())
        for bank in range(device.banks)
    )
    following = [*units[1:], *units[:1]]
    one_by_one = sum(max(1, _wait(again, unit, then)) for unit, then in zip(units, following, strict=True))
    needed = max(opened, one_by_one, *(_wait(again, unit, unit) for unit in units))
    if needed >= device.refresh_interval_clocks:
        raise StudyError(
            f"refreshes fall due every {device.refresh_interval_clocks} clocks (nREFI), but to refresh all"
            f" ({len(units)} x {scope}) and open a row takes at least {needed}",
            where=device.name,
            hint="a longer nREFI, or refresh none",
        )


def _wait(rules: Iterable[Rule], bank: int, other: int) -> int:
    """How long a command at one bank holds back one at another, by rules of these two commands."""
    return max((rule.clocks for rule in rules if _binds(rule, bank, other)), default=0)


def _binds(rule: Rule, bank: int, other: int) -> bool:
    same_node = bank // rule.span == other // rule.span
    if rule.sibling:
        return not same_node and bank // rule.parent_span == other // rule.parent_span
    return same_node
