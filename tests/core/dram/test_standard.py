"""Standards: rows worked out in clocks, and every kind of bad data refused with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.dram.device import Constraint, Role
from colfw.dram.standard import (
    Command,
    ConstraintRow,
    Currents,
    Organisation,
    Standard,
    Supply,
    TimingName,
    TimingPreset,
)
from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable

    Toy = Callable[..., Standard]


def row(level: str, preceding: str, following: str, latency: str, **options: Any) -> ConstraintRow:
    return ConstraintRow(level, preceding, following, latency, "test", **options)


def constraint(level: str, preceding: str, following: str, clocks: int, **options: Any) -> Constraint:
    before, after = tuple(preceding.split()), tuple(following.split())
    return Constraint(level=level, preceding=before, following=after, clocks=clocks, **options)


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(InvariantError) as error:
        make()
    assert "\n" not in str(error.value)
    return str(error.value)


# --- what it resolves to --------------------------------------------------------------------------


def test_rows_are_resolved_in_order_after_the_command_bus(toy: Toy) -> None:
    """ACT takes two clocks: it keeps all off the bus, and counts from its second clock."""
    standard = toy()
    assert standard.constraints(dict(standard.presets[0].clocks)) == (
        constraint("Channel", "ACT", "ACT PREpb PREab RD WR REFab", 2),
        constraint("Rank", "RD", "WR", 5 + 4 + 2 - 3),
        # To ACT one clock less, for ACT is at work only in its second: the row splits.
        constraint("Rank", "REFab", "ACT", 20 - 1),
        constraint("Rank", "REFab", "PREab", 20),
        constraint("Bank", "ACT", "RD WR", 6 + 1),
        constraint("Rank", "RD", "RD", 4 + 2, sibling=True),
    )


def test_each_bus_is_occupied_by_its_own_commands_only(toy: Toy) -> None:
    """Commands on different buses may be sent in one clock."""
    bus = {"RD": "column", "WR": "column"}
    commands = tuple(evolve(command, bus=bus.get(command.name, "row")) for command in toy().commands)
    standard = toy(commands=commands, rows=())
    assert standard.constraints(dict(standard.presets[0].clocks)) == (
        constraint("Channel", "ACT", "ACT PREpb PREab REFab", 2),
    )


def test_a_row_without_commands_of_several_clocks_is_one_constraint(toy: Toy) -> None:
    """Whatever order a row lists its commands in, the constraint has the standard's."""
    commands = tuple(evolve(command, clocks=1) for command in toy().commands)
    standard = toy(commands=commands, rows=(row("Rank", "WR RD", "REFab PREab ACT", "nRP", window=3),))
    assert standard.constraints(dict(standard.presets[0].clocks)) == (
        constraint("Rank", "RD WR", "ACT PREab REFab", 7, window=3),
    )


@given(before=st.integers(1, 4), after=st.integers(1, 4), latency=st.integers(3, 50))
def test_latencies_run_from_last_clock_to_last_clock(before: int, after: int, latency: int) -> None:
    """The clock after the last of `preceding` plus the latency is the last clock of `following`."""
    commands = tuple(
        Command(role.value, role, "Bank", clocks={Role.READ: before, Role.WRITE: after}.get(role, 1))
        for role in Role
    )
    clocks = {"nCL": 1, "nCWL": 1, "nBL": 1, "nREFI": 1, "nRC": 1, "nRAS": 1, "nRFC": 1, "n": latency}
    standard = Standard(
        name="Any",
        levels=("Channel", "Bank"),
        density_level="Channel",
        prefetch=1,
        timings=tuple(TimingName(name, name) for name in clocks),
        commands=commands,
        rows=(row("Bank", "read", "write", "n"),),
        organisations=(
            Organisation(
                name="o", density_megabits=1, dq_bits=1, counts={}, rows=1024, columns=1024, source="test"
            ),
        ),
        presets=(TimingPreset(name="p", clock_ps=1, rate_mbps=1, clocks=clocks, source="test"),),
    )
    found = standard.constraints(clocks)[-1]
    first_of_read = 1
    last_of_read = first_of_read + before - 1
    assert first_of_read + found.clocks + after - 1 == last_of_read + latency


# --- what is refused ------------------------------------------------------------------------------


BAD_ROWS = {
    "unknown timing": (
        row("Bank", "RD", "PREpb", "nRTP"),
        "Toy, row Bank: RD -> PREpb 'nRTP': unknown timing 'nRTP' (did you mean 'nRP'?)",
    ),
    "unknown level": (
        row("Rnak", "RD", "WR", "nCL"),
        "Toy, row Rnak: RD -> WR 'nCL': unknown level 'Rnak' (did you mean 'Rank'?)",
    ),
    "unknown preceding": (
        row("Rank", "RD RDA", "WR", "nCL"),
        "Toy, row Rank: RD, RDA -> WR 'nCL': unknown command 'RDA' (did you mean 'RD'?)",
    ),
    "unknown following": (
        row("Rank", "RD", "WRITE", "nCL", sibling=True),
        "Toy, row Rank: RD => WRITE 'nCL': unknown command 'WRITE' (known: ACT, PREab, PREpb, RD, REFab, WR)",
    ),
    "no command": (
        row("Rank", "", "WR", "nCL", window=4),
        "Toy, row Rank:  -> WR 'nCL' (4 in a window): needs a preceding and a following command",
    ),
    "negative latency": (
        row("Rank", "RD", "WR", "nCWL - nCL"),
        "Toy, row Rank: RD -> WR 'nCWL - nCL': is -2 clocks, and a latency cannot be negative"
        " (write max(0, …) if it may be none)",
    ),
    "negative latency of a long command": (
        row("Rank", "RD", "ACT", "nCL - 5"),
        "Toy, row Rank: RD -> ACT 'nCL - 5': is -1 clocks, and a latency cannot be negative"
        " (write max(0, …) if it may be none)",
    ),
    "no expression": (
        row("Rank", "RD", "WR", "nCL +"),
        "expression 'nCL +': unexpected end at position 6",
    ),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_refused_with_the_row_named(toy: Toy, kind: str) -> None:
    """One line says which row, what is wrong with it, and what may have been meant."""
    bad, message = BAD_ROWS[kind]
    assert refusal(lambda: toy(rows=(*toy().rows, bad))) == message


def test_a_density_that_does_not_multiply_out_is_refused(toy: Toy) -> None:
    """Rows, columns, width, banks and channels of a device make its density, or it is no device."""
    organisation = evolve(toy().organisations[0], rows=1024)
    assert refusal(lambda: toy(organisations=(organisation,))) == (
        "Toy, organisation 1Mb-x8: a density of 1 Mb does not multiply out:"
        " 1024 rows * 128 columns * 8 bits * 2 banks are 2 Mb"
    )
    assert toy(organisations=(evolve(organisation, density_megabits=2),)).organisations
    assert toy(organisations=(evolve(organisation, density_megabits=4, channels=2),)).organisations


def test_levels_above_the_device_have_no_part_in_its_density(toy: Toy) -> None:
    """A module may have any number of ranks of the same device."""
    organisation = evolve(toy().organisations[0], counts={"Rank": 4, "Bank": 2})
    assert toy(organisations=(organisation,)).organisation("1Mb-x8").count("Rank") == 4


def preset(toy: Toy, **changes: int | None) -> TimingPreset:
    """The toy's preset with some timings changed; None leaves one out."""
    original = toy().presets[0]
    clocks = {**dict(original.clocks), **changes}
    return evolve(original, clocks={name: n for name, n in clocks.items() if n is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nRFC": None}, "Toy, timing preset slow: lacks timing 'nRFC'"),
        (
            {"nRFCab": 9},
            "Toy, timing preset slow: unknown timing 'nRFCab' (did you mean 'nRFC'?)",
        ),
        ({"nRP": -1}, "Toy, timing preset slow: timing 'nRP' is -1 clocks"),
        ({"nBL": 0}, "Toy, timing preset slow: latency 'nBL' is 0 clocks, at least 1 is needed"),
        ({"nREFI": 0}, "Toy, timing preset slow: latency 'nREFI' is 0 clocks, at least 1 is needed"),
    ],
)
def test_a_bad_preset_is_refused_with_the_timing_named(
    toy: Toy, changes: dict[str, int | None], message: str
) -> None:
    """A preset has every timing of its standard, no other, and each makes sense."""
    assert refusal(lambda: toy(presets=(preset(toy, **changes),))) == message


def test_a_row_is_worked_out_for_every_preset(toy: Toy) -> None:
    """A latency that is negative in the second preset only is refused as well."""
    second = evolve(preset(toy, nCWL=30), name="fast")
    assert refusal(lambda: toy(presets=(toy().presets[0], second))).startswith(
        "Toy, row Rank: RD -> WR 'nCL + nBL + 2 - nCWL': is -19 clocks"
    )


def test_a_standard_has_one_command_for_each_role_that_is_issued(toy: Toy) -> None:
    """The controller would not know which to issue, or have none to issue."""
    without = tuple(command for command in toy().commands if command.role is not Role.PRECHARGE)
    assert refusal(lambda: toy(commands=without)) == "Toy: needs one command with role precharge, has none"
    twice = (*toy().commands, Command("RDX", Role.READ, "Bank"))
    assert refusal(lambda: toy(commands=twice)) == "Toy: needs one command with role read, has RD, RDX"
    unused = (*toy().commands, Command("RDA", Role.UNUSED, "Bank"), Command("WRA", Role.UNUSED, "Bank"))
    assert len(toy(commands=unused).commands) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"density_level": "Module"}, "Toy: unknown level 'Module' (known: Bank, Channel, Rank)"),
        ({"levels": ("Channel", "Bank", "Bank")}, "Toy: two levels are named 'Bank'"),
        ({"refresh_time": "nRFCab"}, "Toy, latency 'nRFCab': unknown timing 'nRFCab' (did you mean 'nRFC'?)"),
        ({"burst_clocks": "nBL *"}, "expression 'nBL *': unexpected end at position 6"),
    ],
)
def test_a_standard_that_contradicts_itself_is_refused(
    toy: Toy, changes: dict[str, Any], message: str
) -> None:
    """Levels and timings are the ones it declares, each once."""
    assert refusal(lambda: toy(**changes)) == message


@pytest.mark.parametrize("part", ["timings", "commands", "organisations", "presets"])
def test_a_name_is_declared_once(toy: Toy, part: str) -> None:
    """Of two things of one name nobody could tell which is meant."""
    declared = getattr(toy(), part)
    assert "are named" in refusal(lambda: toy(**{part: (*declared, declared[0])}))


def test_a_command_addresses_a_level_of_the_standard(toy: Toy) -> None:
    """A scope that is no level is refused with the command named."""
    commands = (evolve(toy().commands[0], scope="Row"), *toy().commands[1:])
    assert refusal(lambda: toy(commands=commands)).startswith("Toy, command ACT: unknown level 'Row'")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": {"Banks": 2}}, "unknown level 'Banks' (did you mean 'Bank'?)"),
        ({"counts": {"Bank": 0}}, "has 0 of level 'Bank'"),
        ({"columns": 100}, "100 columns are no whole number of bursts of 8 words"),
    ],
)
def test_a_bad_organisation_is_refused_by_name(toy: Toy, changes: dict[str, Any], message: str) -> None:
    """Counts are of levels, at least one, and a row holds whole bursts."""
    bad = evolve(toy().organisations[0], **changes)
    assert refusal(lambda: toy(organisations=(bad,))) == f"Toy, organisation 1Mb-x8: {message}"


def test_nothing_is_stated_without_its_source() -> None:
    """A row, an organisation, a preset or a table of currents that names no source cannot be made."""
    with pytest.raises(ValueError, match="Length of 'source'"):
        ConstraintRow("Bank", "RD", "WR", "nCL", "")
    with pytest.raises(ValueError, match="Length of 'source'"):
        Currents(supplies=(Supply(name="VDD", volts=1.2, milliamps={"0": 40}),), source="")


def test_currents_are_of_known_states() -> None:
    """A misspelt state would be a current that no energy contains."""
    assert refusal(lambda: Supply(name="VDD", volts=1.2, milliamps={"4RR": 9})) == (
        "currents of VDD: unknown state '4RR' (did you mean '4R'?)"
    )
    assert refusal(lambda: Supply(name="VDD", volts=1.2, milliamps={"0": -9})) == (
        "currents of VDD: -9 mA in state '0'"
    )


def test_a_standard_may_be_a_key(toy: Toy) -> None:
    """Records are frozen and equal by value: what is computed from one may be kept by it."""
    assert {toy(): 1}[toy()] == 1
