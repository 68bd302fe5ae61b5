"""Energy: the arithmetic of data sheets, done by hand for a small device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colfw.dram.counts import ChannelCounts
from colfw.dram.energy import energy_pj
from colfw.dram.spec import resolve
from colfw.dram.standard import Currents, Supply
from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.dram.energy import Energy
    from colfw.dram.spec import DramSpec

    ToySpec = Callable[..., DramSpec]

# nRC 17, nRAS 10, nBL 4, nRFC 20, clocks of 2 ns, two devices a rank.
VDD = Supply(name="VDD", volts=1.5, milliamps={"0": 60, "2N": 30, "3N": 40, "4R": 140, "4W": 130, "5B": 230})
VPP = Supply(name="VPP", volts=2.5, milliamps={"0": 4, "2N": 3, "3N": 3, "5B": 23})

COUNTS = ChannelCounts(
    burst_bytes=16,
    open_clocks=1000,
    closed_clocks=500,
    commands=(("ACT", 10), ("PREpb", 9), ("RD", 7), ("REFab", 2), ("WR", 5)),
)


def of(counts: ChannelCounts, spec: DramSpec, **overrides: int) -> Energy:
    found = energy_pj(counts, resolve(spec, timing_overrides=overrides), spec)
    assert found is not None
    return found


def currents(*supplies: Supply) -> Currents:
    return Currents(supplies=supplies, source="a data sheet")


def test_energy_is_current_times_voltage_times_time(toy_spec: ToySpec) -> None:
    """Each command costs what is drawn beyond standby: mA times V times ns are pJ, for two devices."""
    energy = of(COUNTS, toy_spec(currents=currents(VDD)))
    each_ma_clocks = {
        "ACT": 17 * 60 - 10 * 40 - 7 * 30,
        "RD": 4 * (140 - 40),
        "WR": 4 * (130 - 40),
        "REFab": 20 * (230 - 30),
    }
    issued = dict(COUNTS.commands)
    for command, pj in energy.by_command:
        assert pj == pytest.approx(issued[command] * 2 * 1.5 * each_ma_clocks[command] * 2.0)
    assert {command for command, _ in energy.by_command} == set(each_ma_clocks)
    assert dict(energy.background) == {
        "a bank open": pytest.approx(1000 * 2 * 1.5 * 40 * 2.0),
        "all banks closed": pytest.approx(500 * 2 * 1.5 * 30 * 2.0),
    }
    parts = [pj for _, pj in (*energy.by_command, *energy.background)]
    assert energy.total_pj == pytest.approx(sum(parts))


def test_a_device_that_only_refreshes_draws_the_refresh_current(toy_spec: ToySpec) -> None:
    """Command and standby add up to what the data sheet measured: the same for reading and cycling."""
    spec = toy_spec(currents=currents(VDD))
    per_ma_clock = 2 * 1.5 * 2.0

    def draws(command: str, *, opened: int = 0, closed: int = 0) -> float:
        counts = ChannelCounts(
            burst_bytes=16, open_clocks=opened, closed_clocks=closed, commands=((command, 1),)
        )
        return of(counts, spec).total_pj / per_ma_clock

    assert draws("REFab", closed=20) == pytest.approx(20 * 230)
    assert draws("RD", opened=4) == pytest.approx(4 * 140)
    assert draws("WR", opened=4) == pytest.approx(4 * 130)
    assert draws("ACT", opened=10, closed=7) == pytest.approx(17 * 60)


def test_supplies_add_up_and_what_is_missing_is_named(toy_spec: ToySpec) -> None:
    """A supply without a current for a state leaves that part out, and the energy says which."""
    one = of(COUNTS, toy_spec(currents=currents(VDD)))
    both = of(COUNTS, toy_spec(currents=currents(VDD, VPP)))
    pump = of(COUNTS, toy_spec(currents=currents(VPP)))
    assert both.total_pj == pytest.approx(one.total_pj + pump.total_pj)
    assert [command for command, _ in pump.by_command] == ["ACT", "REFab"]
    assert pump.covered_states == ("VPP 0", "VPP 2N", "VPP 3N", "VPP 5B")
    assert pump.missing_states == ("VPP 4R", "VPP 4W")
    assert one.missing_states == ()
    assert "data pins and termination" in one.left_out
    assert one.source == "a data sheet"


def test_without_currents_there_is_no_energy(toy_spec: ToySpec) -> None:
    """No number rather than an invented one."""
    spec = toy_spec()
    assert energy_pj(COUNTS, resolve(spec), spec) is None


def test_a_command_costs_what_it_costs_at_the_timing_of_the_data_sheet(toy_spec: ToySpec) -> None:
    """A slower row cycle in a study makes no activation dearer; a slower clock makes standby dearer."""
    spec = toy_spec(currents=currents(VDD))
    usual, slower = of(COUNTS, spec), of(COUNTS, spec, nRAS=20, nRC=40, tCK_ps=4000)
    assert slower.by_command == usual.by_command
    assert dict(slower.background) == {name: 2 * pj for name, pj in usual.background}


def test_currents_that_make_a_command_gain_energy_are_refused(toy_spec: ToySpec) -> None:
    """IDD4R below IDD3N is a misread table."""
    supply = Supply(name="VDD", volts=1.5, milliamps={"3N": 40, "4R": 14})
    with pytest.raises(InvariantError) as refusal:
        of(COUNTS, toy_spec(currents=currents(supply)))
    assert str(refusal.value) == (
        "toy-1000: VDD: RD would cost -312 pJ: currents and timings do not belong together"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # this one only makes specs
@given(reads=st.integers(0, 10**12), opened=st.integers(0, 10**12))
def test_energy_is_proportional_to_what_was_counted(toy_spec: ToySpec, reads: int, opened: int) -> None:
    """Twice the counts are twice the energy, however many they are."""
    counts = ChannelCounts(burst_bytes=16, open_clocks=opened, commands=(("RD", reads),))
    spec = toy_spec(currents=currents(VDD, VPP))
    assert of(counts + counts, spec).total_pj == pytest.approx(2 * of(counts, spec).total_pj)
