"""The standards that come with colfw: data that resolves to the golden numbers, row by row."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from colfw.dram.device import Role
from colfw.dram.energy import energy_pj
from colfw.dram.expressions import parse
from colfw.dram.spec import DramSpec, resolve
from colfw.errors import InvariantError
from colfw_memory import standards
from colfw_memory.standards import (
    DDR4,
    DDR4_2400,
    DDR5,
    DDR5_3200,
    GDDR6,
    GDDR6_14000,
    GDDR6_PAPER,
    GDDR6_PAPER_DOUBLE,
    HBM2,
    HBM2_1600,
)

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.dram.device import Constraint
    from colfw.dram.standard import ConstraintRow, Standard

GOLDEN_SPECS: dict[str, DramSpec] = {
    "ddr4-2400r": DDR4_2400,
    "ddr5": DDR5_3200,
    "gddr6-14000-16gb-x16": GDDR6_14000,
    "gddr6-paper-double": GDDR6_PAPER_DOUBLE,
    "gddr6-paper-quad": GDDR6_PAPER,
    "hbm2": HBM2_1600,
}
STANDARDS = (DDR4, DDR5, GDDR6, HBM2)
ROWS = [
    pytest.param(standard, index, id=f"{standard.name}-{index}")
    for standard in STANDARDS
    for index in range(len(standard.rows))
]


@pytest.fixture(params=sorted(GOLDEN_SPECS))
def golden(request: pytest.FixtureRequest, golden_root: Path) -> tuple[DramSpec, dict[str, Any]]:
    """A spec, and what the golden runs say of it."""
    path = golden_root / "dram" / f"{request.param}.spec.json"
    if not path.exists():
        pytest.skip(f"no {path.name} in this folder")
    return GOLDEN_SPECS[request.param], json.loads(path.read_text(encoding="utf-8"))


def test_every_golden_configuration_has_its_spec(golden_root: Path) -> None:
    """No golden file is left out by oversight."""
    names = {path.name.removesuffix(".spec.json") for path in (golden_root / "dram").glob("*.spec.json")}
    assert names <= GOLDEN_SPECS.keys()


def _as_golden(constraint: Constraint) -> dict[str, Any]:
    return {
        "level": constraint.level,
        "preceding": list(constraint.preceding),
        "following": list(constraint.following),
        "latency": constraint.clocks,
        "window": constraint.window,
        "sibling": constraint.sibling,
    }


def test_constraints_resolve_as_in_the_golden_runs(golden: tuple[DramSpec, dict[str, Any]]) -> None:
    """Every constraint in clocks, in order, those of several clocks and of the command bus included."""
    spec, expected = golden
    assert [_as_golden(constraint) for constraint in resolve(spec).constraints] == expected["constraints"]


def test_rows_are_the_golden_ones(golden: tuple[DramSpec, dict[str, Any]]) -> None:
    """Level, commands, latency as an expression, window and sibling of every row, in order."""
    spec, expected = golden
    found = [
        {
            "level": row.level,
            "preceding": list(row.preceding),
            "following": list(row.following),
            "formula": row.latency,
            "window": row.window,
            "sibling": row.sibling,
        }
        for row in spec.standard.rows
    ]
    assert found == expected["constraint_rows"]


def test_timings_are_the_golden_ones(golden: tuple[DramSpec, dict[str, Any]]) -> None:
    """Every named timing, the clock, the data rate and what follows from them."""
    spec, expected = golden
    device = resolve(spec)
    timing = dict(expected["timing"])
    rate, clock_ps = timing.pop("rate"), timing.pop("tCK_ps")
    assert dict(device.timings) == timing
    assert device.clock_ps == clock_ps
    assert spec.standard.preset(spec.timing).rate_mbps == rate
    assert device.read_latency_clocks == expected["read_latency"]
    assert device.burst_clocks == timing["nBL"]
    assert device.write_latency_clocks == timing["nCWL"] + timing["nBL"]
    assert device.refresh_interval_clocks == timing["nREFI"]


def test_the_organisation_is_the_golden_one(golden: tuple[DramSpec, dict[str, Any]]) -> None:
    """Counts of every level, rows, columns, widths, density and prefetch."""
    spec, expected = golden
    device = resolve(spec)
    found = {
        "density": spec.organisation_preset.density_megabits,
        "dq": spec.organisation_preset.dq_bits,
        "channel_width": device.channel_width_bits,
        **{level.lower(): count for level, count in device.levels[1:]},
        "row": device.rows,
        "column": device.columns,
    }
    assert found == expected["organization"]
    assert device.prefetch == expected["internal_prefetch_size"]


def test_commands_are_the_golden_ones(golden: tuple[DramSpec, dict[str, Any]]) -> None:
    """Names in order, clocks on the bus, which bus, and what serves reads and writes."""
    spec, expected = golden
    commands = spec.standard.commands
    assert [command.name for command in commands] == expected["commands"]
    assert {command.name: command.clocks for command in commands} == expected["command_cycles"]
    for bus in ("row", "column"):
        assert [command.name for command in commands if command.bus == bus] == expected[f"{bus}_bus"]
    device = resolve(spec)
    served = {"Read": device.named(Role.READ).name, "Write": device.named(Role.WRITE).name}
    assert served == expected["supported_requests"]


# --- each row -------------------------------------------------------------------------------------


def _with_row(standard: Standard, index: int, row: ConstraintRow) -> Standard:
    return evolve(standard, rows=(*standard.rows[:index], row, *standard.rows[index + 1 :]))


@pytest.mark.parametrize(("standard", "index"), ROWS)
def test_every_row_says_where_it_comes_from(standard: Standard, index: int) -> None:
    """A JEDEC document with the parameter, or an admitted convention of modelling."""
    source = standard.rows[index].source
    assert source.startswith(("JESD", "convention: "))
    assert len(source.split()) > 1


@pytest.mark.parametrize(("standard", "index"), ROWS)
def test_every_row_is_held_to_its_names(standard: Standard, index: int) -> None:
    """A misspelt timing, level or command in any row is refused, and the message names the row."""
    row = standard.rows[index]
    timing = parse(row.latency).names[0]
    for bad, problem in (
        (evolve(row, latency=row.latency.replace(timing, "nXX", 1)), "unknown timing 'nXX'"),
        (evolve(row, level="Bnak"), "unknown level 'Bnak'"),
        (evolve(row, preceding=(*row.preceding, "ATC")), "unknown command 'ATC'"),
        (evolve(row, following=("ATC",)), "unknown command 'ATC'"),
        (evolve(row, latency="nBL - 9999"), "a latency cannot be negative"),
    ):
        with pytest.raises(InvariantError) as refusal:
            _with_row(standard, index, bad)
        assert str(refusal.value).startswith(f"{standard.name}, row {bad}: ")
        assert problem in str(refusal.value)


@pytest.mark.parametrize(("standard", "index"), ROWS)
def test_every_row_counts(standard: Standard, index: int) -> None:
    """A clock more in a row is a clock more in the constraints that it resolves to, and in no other."""
    row = standard.rows[index]
    clocks = dict(standard.presets[0].clocks)
    before = standard.constraints(clocks)
    after = _with_row(standard, index, evolve(row, latency=f"{row.latency} + 1")).constraints(clocks)
    changed = [(one, two) for one, two in zip(before, after, strict=True) if one != two]
    assert changed
    for one, two in changed:
        assert two == evolve(one, clocks=one.clocks + 1)
        assert set(one.preceding) <= set(row.preceding)
        assert set(one.following) <= set(row.following)
        assert (one.level, one.window, one.sibling) == (row.level, row.window, row.sibling)


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
def test_every_timing_of_a_preset_is_needed(standard: Standard) -> None:
    """A preset that lacks any one of them is refused, and the message names it."""
    preset = standard.presets[0]
    for name, _ in preset.clocks:
        less = evolve(preset, clocks=tuple(pair for pair in preset.clocks if pair[0] != name))
        with pytest.raises(InvariantError) as refusal:
            evolve(standard, presets=(less,))
        assert str(refusal.value) == f"{standard.name}, timing preset {preset.name}: lacks timing {name!r}"


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
def test_every_organisation_is_held_to_its_density(standard: Standard) -> None:
    """Twice the rows, columns or banks of any organisation is refused."""
    for organisation in standard.organisations:
        banks = {**dict(organisation.counts), "Bank": 2 * organisation.count("Bank")}
        for bad in (
            evolve(organisation, rows=2 * organisation.rows),
            evolve(organisation, columns=2 * organisation.columns),
            evolve(organisation, counts=banks),
        ):
            with pytest.raises(InvariantError, match="does not multiply out"):
                evolve(standard, organisations=(bad,))


# --- specs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "gigabytes_per_second", "capacity_bytes", "row_bytes"),
    [
        # The study states 96 GB/s over six channels.
        (GDDR6_PAPER, 96 / 6, 2 << 30, 8 << 10),
        (GDDR6_PAPER_DOUBLE, 48 / 6, 2 << 30, 8 << 10),
        # 14 Gb/s on 16 pins are 28 GB/s; a clock of 570 ps is a little short of 4/7 ns.
        (GDDR6_14000, 28.07, 1 << 30, 4 << 10),
        (DDR4_2400, 19.2, 16 << 30, 8 << 10),
        (DDR5_3200, 12.8, 8 << 30, 8 << 10),
        # 128 pins, half of them each pseudo-channel's.
        (HBM2_1600, 25.6, 256 << 20, 1 << 10),
    ],
    ids=lambda value: value.name if isinstance(value, DramSpec) else "",
)
def test_a_spec_is_as_fast_and_as_large_as_it_should_be(
    spec: DramSpec, gigabytes_per_second: float, capacity_bytes: int, row_bytes: int
) -> None:
    """Peak bandwidth, capacity and row size, from what such parts are sold as."""
    device = resolve(spec)
    assert device.peak_bytes_per_second / 1e9 == pytest.approx(gigabytes_per_second, rel=5e-4)
    assert device.channel_bytes == capacity_bytes
    assert device.row_bytes == row_bytes


def test_names_are_what_a_study_types() -> None:
    """Every spec that is declared has its own name."""
    found = [value for value in vars(standards).values() if isinstance(value, DramSpec)]
    names = {spec.name for spec in found}
    assert names == {
        "gddr6-paper",
        "gddr6-paper-double",
        "gddr6-14000",
        "ddr4-2400",
        "ddr5-3200",
        "hbm2-1600",
    }
    assert len(found) == len(names)


def test_only_a_spec_with_a_data_sheet_has_energy() -> None:
    """DDR4 names its part; of the others no public table of currents is at hand."""
    assert [spec.name for spec in GOLDEN_SPECS.values() if spec.currents] == ["ddr4-2400"]
    assert DDR4_2400.currents is not None
    assert "MT40A1G8" in DDR4_2400.currents.source


def test_the_currents_of_ddr4_add_up_to_the_table_of_the_module() -> None:
    """MTA18ASF2G72HZ, table 15: in mA, one rank of nine in the state, the other in IDD2P (25) or IPP3N."""
    assert DDR4_2400.currents is not None
    vdd, vpp = (dict(supply.milliamps) for supply in DDR4_2400.currents.supplies)
    one_rank = {"0": 657, "4R": 1440, "4W": 1332, "5B": 2475}
    both_ranks = {"2N": 612, "3N": 774}
    assert {state: 9 * (vdd[state] + 25) for state in one_rank} == one_rank
    assert {state: 18 * vdd[state] for state in both_ranks} == both_ranks
    assert {state: 9 * (vpp[state] + vpp["3N"]) for state in ("0", "5B")} == {"0": 54, "5B": 279}
    assert 18 * vpp["3N"] == 54


def test_the_energy_of_ddr4_covers_all_states() -> None:
    """A read costs 8 devices * 4 clocks * 0.833 ns * (92 mA * 1.2 V), an eighth of a nanojoule a device."""
    from colfw.dram.counts import ChannelCounts  # noqa: PLC0415  (only this test counts)

    counts = ChannelCounts(burst_bytes=64, commands=(("RD", 1),))
    energy = energy_pj(counts, resolve(DDR4_2400), DDR4_2400)
    assert energy is not None
    assert energy.missing_states == ()
    assert dict(energy.by_command)["RD"] == pytest.approx(8 * 4 * 0.833 * 92 * 1.2)


def test_standards_are_light_to_import() -> None:
    """Listing what DRAMs there are loads neither numba nor numpy nor torch."""
    code = (
        "import sys, colfw_memory.standards;"
        " print(sorted({'numba', 'numpy', 'torch', 'pyarrow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
