"""Specs: what they resolve to, and what of a study's changes is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from colfw.dram.device import Device, DeviceCommand, Role
from colfw.dram.spec import resolve
from colfw.errors import InvariantError, StudyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.dram.spec import DramSpec

    ToySpec = Callable[..., DramSpec]


def test_a_spec_resolves_to_a_device_in_numbers(toy_spec: ToySpec) -> None:
    """Organisation, latencies, commands and timings, every one worked out."""
    spec = toy_spec()
    device = resolve(spec)
    assert device == Device(
        name="toy-1000",
        levels=(("Channel", 1), ("Rank", 2), ("Bank", 2)),
        rows=512,
        columns=128,
        channel_width_bits=16,
        prefetch=8,
        clock_ps=2000,
        burst_clocks=4,
        read_latency_clocks=9,
        write_latency_clocks=7,
        refresh_interval_clocks=100,
        commands=(
            DeviceCommand(name="ACT", role=Role.ACTIVATE, scope="Bank"),
            DeviceCommand(name="PREpb", role=Role.PRECHARGE, scope="Bank"),
            DeviceCommand(name="PREab", role=Role.PRECHARGE_ALL, scope="Rank"),
            DeviceCommand(name="RD", role=Role.READ, scope="Bank"),
            DeviceCommand(name="WR", role=Role.WRITE, scope="Bank"),
            DeviceCommand(name="REFab", role=Role.REFRESH, scope="Rank"),
        ),
        constraints=spec.standard.constraints(dict(spec.standard.presets[0].clocks)),
        timings=spec.standard.presets[0].clocks,
    )


def test_what_a_study_changes_goes_before_what_the_spec_changes(toy_spec: ToySpec) -> None:
    """The preset gives way to the spec, the spec to the study."""
    spec = toy_spec(timing_overrides={"nCL": 8, "nRCD": 9})
    device = resolve(
        spec,
        timing_overrides={"nCL": 11, "tCK_ps": 500},
        organisation_overrides={"Rank": 1, "columns": 256, "channel_width_bits": 32},
    )
    assert (dict(device.timings)["nCL"], dict(device.timings)["nRCD"]) == (11, 9)
    assert device.read_latency_clocks == 11 + 4
    assert device.clock_ps == 500
    assert device.levels == (("Channel", 1), ("Rank", 1), ("Bank", 2))
    assert (device.columns, device.channel_width_bits, device.row_bytes) == (256, 32, 1024)
    assert resolve(spec).read_latency_clocks == 8 + 4


def test_pseudo_channels_have_data_buses_of_their_own(toy: Callable[..., Any], toy_spec: ToySpec) -> None:
    """One for each node of the level that a standard names, each as wide as stated."""
    device = resolve(toy_spec(standard=toy(data_bus_level="Rank")))
    assert device.data_buses == 2
    assert device.peak_bytes_per_second == 2 * resolve(toy_spec()).peak_bytes_per_second


BAD_TIMINGS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"nRCDD": 3},
        "toy-1000: timing: unknown name 'nRCDD' (did you mean 'nRCD'?)",
    ),
    "negative": ({"nRCD": -3}, "toy-1000: timing: nRCD must be a whole number, not -3"),
    "a fraction": ({"nRCD": 3.5}, "toy-1000: timing: nRCD must be a whole number, not 3.5"),
    "true": ({"nRCD": True}, "toy-1000: timing: nRCD must be a whole number, not True"),
    "no clock": ({"tCK_ps": 0}, "toy-1000: timing: tCK_ps must be at least 1"),
    "no burst": ({"nBL": 0}, "toy-1000: latency 'nBL' is 0 clocks, at least 1 is needed"),
    "contradiction": (
        {"nCWL": 12},
        "Toy, row Rank: RD -> WR 'nCL + nBL + 2 - nCWL': is -1 clocks, and a latency cannot be negative"
        " (write max(0, …) if it may be none)",
    ),
}
BAD_ORGANISATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"ranks": 2},
        "toy-1000: organisation: unknown name 'ranks' (did you mean 'Rank'?)",
    ),
    "none": ({"Rank": 0}, "toy-1000: organisation: Rank must be at least 1, not 0"),
    "the channel": (
        {"Channel": 2},
        "toy-1000: organisation: unknown name 'Channel'"
        " (known: Bank, Rank, channel_width_bits, columns, rows)",
    ),
    "odd width": (
        {"channel_width_bits": 20},
        "toy-1000: organisation: channel_width_bits 20 is no multiple of the 8 data pins of a device",
    ),
    "odd columns": (
        {"columns": 100},
        "toy-1000: organisation: columns 100 is no multiple of the 8 words of a burst",
    ),
}


@pytest.mark.parametrize("kind", BAD_TIMINGS)
def test_a_bad_change_of_timing_is_refused_as_the_studys(toy_spec: ToySpec, kind: str) -> None:
    """One line names the spec, the timing and what may have been meant; the exit code is the study's."""
    changes, message = BAD_TIMINGS[kind]
    with pytest.raises(StudyError) as refusal:
        resolve(toy_spec(), timing_overrides=changes)
    assert str(refusal.value) == message


@pytest.mark.parametrize("kind", BAD_ORGANISATIONS)
def test_a_bad_change_of_the_organisation_is_refused_as_the_studys(toy_spec: ToySpec, kind: str) -> None:
    """Likewise for counts of levels, rows, columns and the width of the channel."""
    changes, message = BAD_ORGANISATIONS[kind]
    with pytest.raises(StudyError) as refusal:
        resolve(toy_spec(), organisation_overrides=changes)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timing_overrides": {"nRCDD": 3}}, "unknown name 'nRCDD'"),
        ({"organisation_overrides": {"columns": 100}}, "columns 100 is no multiple"),
        ({"channel_width_bits": 4}, "channel_width_bits 4 is no multiple of the 8 data pins"),
        ({"organisation": "1Mb-x4"}, "Toy: unknown organisation '1Mb-x4' (did you mean '1Mb-x8'?)"),
        ({"timing": "slwo"}, "Toy: unknown timing preset 'slwo' (did you mean 'slow'?)"),
    ],
)
def test_a_spec_that_does_not_resolve_cannot_be_made(
    toy_spec: ToySpec, changes: dict[str, Any], message: str
) -> None:
    """What is wrong in a plugin's spec is found when it is imported, not when it is simulated."""
    with pytest.raises(InvariantError) as refusal:
        toy_spec(**changes)
    assert message in str(refusal.value)
