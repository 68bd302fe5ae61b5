"""DRAM energy from what a data sheet states: currents and voltages, by state of the device.

The arithmetic is the usual one (Micron TN-40-07, DRAMPower): a command costs what the device draws
beyond standby while the command is at work, and standby is charged for every clock. What a spec has no
current for is left out, and named; a spec without currents has no energy at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from colfw.dram.device import Role
from colfw.dram.expressions import parse
from colfw.dram.spec import clocks_of
from colfw.dram.standard import CLOCK, STATES
from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from colfw.dram.counts import ChannelCounts
    from colfw.dram.device import Device
    from colfw.dram.spec import DramSpec
    from colfw.dram.standard import Supply

Picojoules = tuple[tuple[str, float], ...]
"""Energy by name."""

NOT_MODELLED = ("data pins and termination", "power-down and self refresh")
"""What no number here contains, whatever currents a spec has."""

_OPEN, _CLOSED = "a bank open", "all banks closed"


@frozen(kw_only=True)
class Energy:
    """Energy of all devices behind the channels that were counted, and what it covers.

    States are written as data sheets do: supply and state, `VDD 4R` for IDD4R.
    """

    by_command: Picojoules
    """Commands that were issued and have a cost of their own; a precharge is paid for by its ACT."""
    background: Picojoules
    covered_states: tuple[str, ...]
    missing_states: tuple[str, ...]
    """Of the states that energy is computed from, those for which the spec states no current."""
    source: str

    @property
    def total_pj(self) -> float:
        """Of what is covered."""
        return sum(energy for _, energy in (*self.by_command, *self.background))

    @property
    def left_out(self) -> tuple[str, ...]:
        return NOT_MODELLED


def energy_pj(counts: ChannelCounts, device: Device, spec: DramSpec) -> Energy | None:
    """The energy of `counts` on `device`, which `spec` resolved to; None if the spec has no currents.

    What a command costs is a property of the device at the timing for which its currents are stated,
    the spec's own; how long it stands by follows from the clock that was simulated.
    """
    if spec.currents is None:
        return None
    devices = device.channel_width_bits // spec.organisation_preset.dq_bits
    supplies = spec.currents.supplies
    command_pj = _added(_of_commands(supply, spec, device) for supply in supplies)
    standby_pj = _added(_of_standby(supply, device.clock_ps) for supply in supplies)
    issued = dict(counts.commands)
    clocks = {_OPEN: counts.open_clocks, _CLOSED: counts.closed_clocks}
    return Energy(
        by_command=tuple(
            (name, issued[name] * devices * each) for name, each in command_pj.items() if name in issued
        ),
        background=tuple((state, clocks[state] * devices * each) for state, each in standby_pj.items()),
        covered_states=_states(supplies, stated=True),
        missing_states=_states(supplies, stated=False),
        source=spec.currents.source,
    )


def _states(supplies: tuple[Supply, ...], *, stated: bool) -> tuple[str, ...]:
    return tuple(
        f"{supply.name} {state}"
        for supply in supplies
        for state in STATES
        if (state in dict(supply.milliamps)) is stated
    )


def _added(supplies: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Picojoules by name, over all supplies."""
    total: dict[str, float] = {}
    for energies in supplies:
        for name, energy in energies.items():
            total[name] = total.get(name, 0.0) + energy
    return total


def _of_standby(supply: Supply, clock_ps: int) -> dict[str, float]:
    """Picojoules of one device in one clock."""
    currents = dict(supply.milliamps)
    return {
        name: _picojoules(supply, currents[state], clock_ps)
        for name, state in ((_OPEN, "3N"), (_CLOSED, "2N"))
        if state in currents
    }


def _of_commands(supply: Supply, spec: DramSpec, device: Device) -> dict[str, float]:
    """Picojoules of one command of one device, beyond the standby that its clocks are charged anyway."""
    currents = dict(supply.milliamps)
    clocks = clocks_of(spec)
    clock_ps = clocks.pop(CLOCK)
    standard = spec.standard
    burst = parse(standard.burst_clocks).evaluate(clocks)
    cycle = parse(standard.row_cycle).evaluate(clocks)
    row_open = parse(standard.row_active).evaluate(clocks)
    refresh = parse(standard.refresh_time).evaluate(clocks)
    # Each a sum of clocks in a state; IDD0 is measured over cycles of which a part is spent open.
    # A refresh starts and ends with all banks closed.
    draws: Mapping[Role, tuple[tuple[int, str], ...]] = {
        Role.ACTIVATE: ((cycle, "0"), (-row_open, "3N"), (row_open - cycle, "2N")),
        Role.READ: ((burst, "4R"), (-burst, "3N")),
        Role.WRITE: ((burst, "4W"), (-burst, "3N")),
        Role.REFRESH: ((refresh, "5B"), (-refresh, "2N")),
    }
    found = {
        device.named(role).name: _picojoules(supply, sum(n * currents[state] for n, state in terms), clock_ps)
        for role, terms in draws.items()
        if all(state in currents for _, state in terms)
    }
    for command, energy in found.items():
        if energy < 0:
            raise InvariantError(
                f"{command} would cost {energy:.3g} pJ: currents and timings do not belong together",
                where=f"{spec.name}: {supply.name}",
            )
    return found


def _picojoules(supply: Supply, milliamp_clocks: float, clock_ps: int) -> float:
    """mA times V times ns are pJ."""
    return supply.volts * milliamp_clocks * clock_ps / 1000
