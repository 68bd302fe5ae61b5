"""The oracle issues the commands of the golden runs, and its closed loop what one works out by hand."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.dram.device import Constraint, Device, DeviceCommand, Role
from colfw.dram.requests import Trace
from colfw.program import Buffer, Program, Tensor, Tile, Transfer
from colfw.testing.strategies import programs, unrolled

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from colfw.program import Step

# --- open loop: the golden runs -----------------------------------------------------------------------

ROLES = {
    "ACT": Role.ACTIVATE,
    "PREpb": Role.PRECHARGE,
    "PREab": Role.PRECHARGE_ALL,
    "RD": Role.READ,
    "WR": Role.WRITE,
    "REFab": Role.REFRESH,
}
REFRESHED_TOGETHER = {"GDDR6": "Channel", "HBM2": "PseudoChannel", "DDR4": "Rank", "DDR5": "Rank"}
CONFIGS = ("ddr4-2400r", "ddr5", "gddr6-14000-16gb-x16", "gddr6-paper-double", "gddr6-paper-quad", "hbm2")


def device_of(spec: dict[str, Any]) -> Device:
    """What a golden spec file describes."""
    organisation, timing = spec["organization"], spec["timing"]
    levels = [level for level in spec["levels"] if level not in {"Row", "Column"}]
    scopes = dict.fromkeys(("PREab", "REFab"), REFRESHED_TOGETHER[spec["standard"]])
    buses = dict.fromkeys(spec["row_bus"], "row") | dict.fromkeys(spec["column_bus"], "column")
    return Device(
        name=spec["config"],
        levels=tuple((level, organisation.get(level.lower(), 1)) for level in levels),
        rows=organisation["row"],
        columns=organisation["column"],
        channel_width_bits=organisation["channel_width"],
        prefetch=spec["internal_prefetch_size"],
        clock_ps=timing["tCK_ps"],
        burst_clocks=timing["nBL"],
        read_latency_clocks=spec["read_latency"],
        write_latency_clocks=timing["nCWL"] + timing["nBL"],
        refresh_interval_clocks=timing["nREFI"],
        commands=tuple(
            DeviceCommand(
                name=name,
                role=ROLES.get(name, Role.UNUSED),
                scope=scopes.get(name, "Bank"),
                bus=buses.get(name, ""),
            )
            for name in spec["commands"]
        ),
        constraints=tuple(
            Constraint(
                level=row["level"],
                preceding=tuple(row["preceding"]),
                following=tuple(row["following"]),
                clocks=row["latency"],
                window=row["window"],
                sibling=row["sibling"],
            )
            for row in spec["constraints"]
        ),
    )


def golden_run(path: Path) -> tuple[dict[str, Any], Trace, np.ndarray]:
    """What stands beside a run, its requests, and the commands that Ramulator issued."""
    with np.load(path) as archive:
        trace = Trace(is_write=archive["is_write"], address=archive["address"], name=path.name)
        return json.loads(str(archive["meta"])), trace, archive["commands"]


def replayed(oracle: ModuleType, path: Path, meta: dict[str, Any], trace: Trace) -> Any:
    spec = json.loads((path.parent / f"{meta['config']}.spec.json").read_text("utf-8"))
    return oracle.replay(
        device_of(spec),
        trace,
        channels=meta["channels"],
        scheduler="frfcfs-row-hit" if meta["scheduler"] == "FRFCFSRowHit" else "frfcfs",
        refresh=meta["refresh"] == "AllBank",
    )


def as_golden(counts: Any) -> dict[str, int]:
    """The counts of a channel under the names of the golden files."""
    return {
        "cycles": counts.cycles,
        "row_hits": counts.row_hits,
        "row_misses": counts.row_misses,
        "row_conflicts": counts.row_conflicts,
        "num_read_reqs": counts.reads,
        "num_write_reqs": counts.writes,
        "num_read_reqs_served": counts.reads_served,
        "num_write_reqs_served": counts.writes_served,
        "num_maintenance_reqs_served": counts.refreshes_issued,
        "num_read_reqs_forwarded": counts.reads_forwarded,
        "num_write_reqs_coalesced": counts.writes_merged,
        "read_latency": counts.read_latency,
    }


def check_whole(oracle: ModuleType, path: Path) -> None:
    meta, trace, commands = golden_run(path)
    found = replayed(oracle, path, meta, trace)
    np.testing.assert_array_equal(found.rows(meta["command_names"]), commands, err_msg=path.name)
    assert [as_golden(counts) for counts in found.counts] == meta["stats"], path.name


def check_beginning(oracle: ModuleType, path: Path, requests: int) -> list[str]:
    """A replay knows nothing of requests to come: a shorter trace is the same until it ends."""
    meta, trace, commands = golden_run(path)
    beginning = Trace(is_write=trace.is_write[:requests], address=trace.address[:requests])
    found = replayed(oracle, path, meta, beginning)
    expected = commands[commands[:, 0] <= found.counts[0].cycles]
    assert len(expected) > 0
    np.testing.assert_array_equal(found.rows(meta["command_names"]), expected, err_msg=path.name)
    return [meta["command_names"][number] for number in expected[:, 2]]


def runs_of(golden_root: Path, pattern: str) -> list[Path]:
    found = sorted((golden_root / "dram").glob(f"{pattern}.npz"))
    if not found:
        pytest.skip(f"{golden_root} has no golden run {pattern}")
    return found


@pytest.mark.parametrize(
    "run",
    [
        "hbm2.ch1.zipf_mix",  # two buses
        "ddr4-2400r.ch4.random_mix",  # ranks, several channels
        "ddr4-2400r.ch1.two_rows.frfcfsrowhit",
        "gddr6-14000-16gb-x16.ch1.zipf_mix.frfcfsrowhit",
        "gddr6-paper-double.ch1.zipf_mix",  # a forwarded read completes with the read before it
    ],
)
def test_whole_golden_runs_are_reproduced(oracle: ModuleType, golden_root: Path, run: str) -> None:
    """Every command in its clock, and every statistic, are those of Ramulator."""
    for path in runs_of(golden_root, run):
        check_whole(oracle, path)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_golden_run_begins_as_the_oracle_does(
    oracle: ModuleType, golden_root: Path, config: str
) -> None:
    """Of every run, the first requests lead to the same commands in the same clocks."""
    for path in runs_of(golden_root, f"{config}.*"):
        check_beginning(oracle, path, requests=100)


@pytest.mark.parametrize(
    ("config", "requests"),
    [("ddr5", 400), ("gddr6-14000-16gb-x16", 300), ("gddr6-paper-quad", 500), ("hbm2", 500)],
)
def test_golden_runs_go_on_alike_beyond_a_refresh(
    oracle: ModuleType, golden_root: Path, config: str, requests: int
) -> None:
    """A slow pattern is followed for long enough to see a refresh, and still agrees."""
    for path in runs_of(golden_root, f"{config}.ch1.few_banks"):
        assert "REFab" in check_beginning(oracle, path, requests)


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS)
def test_all_golden_runs_are_reproduced(oracle: ModuleType, golden_root: Path, config: str) -> None:
    """Of every configuration, every run: every command in its clock, and every statistic."""
    for path in runs_of(golden_root, f"{config}.*"):
        check_whole(oracle, path)


# --- a device to work things out by hand --------------------------------------------------------------

BURST_BYTES = 64
ROW_BYTES = 4 * BURST_BYTES
"""One bank's row; the next one lies in the other bank."""

TOY = Device(
    name="toy",
    levels=(("Channel", 1), ("Bank", 2)),
    rows=8,
    columns=64,
    channel_width_bits=32,
    prefetch=16,
    clock_ps=1000,
    burst_clocks=2,
    read_latency_clocks=5,
    write_latency_clocks=4,
    refresh_interval_clocks=50,
    commands=(
        DeviceCommand(name="ACT", role=Role.ACTIVATE, scope="Bank"),
        DeviceCommand(name="PREpb", role=Role.PRECHARGE, scope="Bank"),
        DeviceCommand(name="PREab", role=Role.PRECHARGE_ALL, scope="Channel"),
        DeviceCommand(name="RD", role=Role.READ, scope="Bank"),
        DeviceCommand(name="WR", role=Role.WRITE, scope="Bank"),
        DeviceCommand(name="REFab", role=Role.REFRESH, scope="Channel"),
    ),
    constraints=(
        Constraint(level="Bank", preceding=("ACT",), following=("RD", "WR"), clocks=3),
        Constraint(level="Bank", preceding=("ACT",), following=("PREpb", "PREab"), clocks=6),
        Constraint(level="Bank", preceding=("PREpb", "PREab"), following=("ACT", "REFab"), clocks=4),
        Constraint(level="Channel", preceding=("PREab",), following=("REFab",), clocks=4),
        Constraint(level="Channel", preceding=("REFab",), following=("ACT",), clocks=10),
        Constraint(level="Channel", preceding=("RD", "WR"), following=("RD", "WR"), clocks=2),
    ),
)
"""A row takes 3 clocks to open, a column command 2 clocks of the bus, a read 5 clocks to come back."""


def bursts(tensor: str, buffer: str, direction: Any, *, first: int = 0, count: int = 1) -> Transfer:
    return Transfer(
        tensor=tensor,
        buffer=buffer,
        direction=direction,
        offset_bytes=first * BURST_BYTES,
        run_bytes=count * BURST_BYTES,
    )


def loads(first: int = 0, count: int = 1) -> Transfer:
    """From row 0 of bank 0."""
    return bursts("in", "left", "read", first=first, count=count)


def stores(first: int = 0, count: int = 1) -> Transfer:
    """To row 0 of bank 1."""
    return bursts("out", "right", "write", first=first, count=count)


def tile(*transfers: Transfer, compute: int = 10, other: int = 0) -> Tile:
    return Tile(transfers=transfers, compute_core_cycles=compute, other_core_cycles=other)


def program(*steps: Step, slots: int = 2, window: int | None = None, core_mhz: int = 1000) -> Program:
    return Program(
        name="by hand",
        core_clock_hz=core_mhz * 10**6,
        tensors=(
            Tensor(name="in", base_bytes=0, size_bytes=ROW_BYTES),
            Tensor(name="out", base_bytes=ROW_BYTES, size_bytes=3 * ROW_BYTES),
        ),
        buffers=(
            Buffer(name="left", slot_bytes=ROW_BYTES, slots=slots),
            Buffer(name="right", slot_bytes=2 * ROW_BYTES, slots=slots),
        ),
        steps=steps,
        window_requests=window,
    )


def issued(found: Any) -> list[tuple[int, str]]:
    """What was issued in which clock, on one channel."""
    return [(command.clock, command.name) for command in found.commands[0]]


def trace_of(*requests: tuple[str, int]) -> Trace:
    return Trace(
        is_write=np.array([kind == "ST" for kind, _ in requests], np.uint8),
        address=np.array([address for _, address in requests], np.int64),
    )


# --- open loop, by hand -------------------------------------------------------------------------------


def test_a_replay_ends_before_the_last_request_is_served(oracle: ModuleType) -> None:
    """The second read is taken in clock 2, before its tick: one tick, one ACT, both left over."""
    found = oracle.replay(TOY, trace_of(("LD", 0), ("LD", 64)))
    assert issued(found) == [(1, "ACT")]
    [counts] = found.counts
    assert (counts.cycles, counts.left_over, counts.undecided) == (1, 2, 1)


def test_a_drained_replay_ends_when_all_reads_are_back(oracle: ModuleType) -> None:
    """ACT 1, RD 4, the next RD 2 clocks later, and back 5 after that: 11 ticks, latencies 9 and 10."""
    found = oracle.replay(TOY, trace_of(("LD", 0), ("LD", 64)), drain=True)
    assert issued(found) == [(1, "ACT"), (4, "RD"), (6, "RD")]
    [counts] = found.counts
    assert counts.cycles == 11
    assert counts.read_latencies == {9: 1, 10: 1}
    assert (counts.row_misses, counts.row_hits) == (1, 1)


@pytest.mark.parametrize(
    ("clocks_apart", "clocks"), [(Fraction(10), 30), (Fraction(5, 2), 7), (Fraction(1), 3)]
)
def test_requests_are_offered_as_far_apart_as_asked(
    oracle: ModuleType, clocks_apart: Fraction, clocks: int
) -> None:
    """The last of four is due at 30, 7.5 or 3, and taken when 30, 7 or 3 clocks are over."""
    trace = trace_of(("LD", 0), ("ST", 64), ("ST", 128), ("ST", 192))
    [counts] = oracle.replay(TOY, trace, clocks_apart=clocks_apart).counts
    assert counts.cycles == clocks


@pytest.mark.parametrize(("requests", "latencies"), [(9, {}), (10, {9: 1, 1: 2})])
def test_a_forwarded_read_completes_with_the_read_before_it(
    oracle: ModuleType, requests: int, latencies: dict[int, int]
) -> None:
    """The fifth request and those after it are answered from the fourth, but behind the RD issued at 4.

    That one is back in clock 9, and with it the fifth and the sixth, as if after 1 clock; the next wait
    for the RD issued at 6. The n-th request is taken in clock n, after n - 1 ticks.
    """
    trace = trace_of(
        ("LD", 0), ("LD", 64), ("LD", 128), ("ST", 320), *(("LD", 320) for _ in range(requests - 4))
    )
    [counts] = oracle.replay(TOY, trace).counts
    assert counts.read_latencies == latencies


# --- closed loop, by hand -----------------------------------------------------------------------------


def test_one_tile(oracle: ModuleType) -> None:
    """Load, compute, store.

    The load is taken in clock 1: ACT 1, RD 4, complete at 9. Computation runs from core cycle 9 to 19,
    so the store goes in clock 20: ACT 20, WR 23. Of 23 cycles 8 are compute, 2 other and 13 stall.
    """
    found = oracle.run(TOY, program(tile(loads(), stores(), compute=8, other=2)), refresh=False)
    assert issued(found) == [(1, "ACT"), (4, "RD"), (20, "ACT"), (23, "WR")]
    assert (found.core_cycles, found.memory_clocks) == (23, 23)
    assert (found.compute_core_cycles, found.other_core_cycles, found.stall_core_cycles) == (8, 2, 13)


def test_a_program_bound_by_computation_waits_for_its_first_load_alone(oracle: ModuleType) -> None:
    """The first load completes at 9; three computations of 100 follow without a gap: 309 cycles, 9 stall."""
    found = oracle.run(
        TOY, program(*(tile(loads(number), compute=100) for number in range(3))), refresh=False
    )
    assert (found.core_cycles, found.stall_core_cycles) == (309, 9)


def test_nothing_to_do_takes_no_time(oracle: ModuleType) -> None:
    """A program without tiles takes no clock; one that only computes takes what it computes."""
    assert oracle.run(TOY, program()).memory_clocks == 0
    found = oracle.run(TOY, program(tile(compute=7), core_mhz=800))
    # 7 core cycles of 1.25 clocks end at 8.75: in clock 9, which core cycle 8 would follow.
    assert (found.core_cycles, found.memory_clocks, found.stall_core_cycles) == (7, 9, 0)


def test_core_cycles_are_exact_fractions_of_memory_clocks(oracle: ModuleType) -> None:
    """At 800 MHz a core cycle is 1.25 clocks.

    The load completes at 9, in core cycle 7.2: computation runs from 8 to 18, which is time 22.5. The
    store goes in the first clock k with 22.5 <= k - 1, which is 24: WR 27. 27 clocks are 21.6 core cycles.
    """
    found = oracle.run(TOY, program(tile(loads(), stores()), core_mhz=800), refresh=False)
    assert issued(found)[2:] == [(24, "ACT"), (27, "WR")]
    assert (found.core_cycles, found.memory_clocks, found.stall_core_cycles) == (22, 27, 12)


@pytest.mark.parametrize(("slots", "second_read", "core_cycles"), [(2, 6, 29), (1, 20, 35)])
def test_a_load_waits_for_a_free_slot(
    oracle: ModuleType, slots: int, second_read: int, core_cycles: int
) -> None:
    """The first tile computes from 9 to 19.

    With two slots the second load goes in clock 2, is read at 6, and computation goes on from 19 to 29.
    With one it goes in clock 20, is read at once, completes at 25, and computation ends at 35.
    """
    found = oracle.run(TOY, program(tile(loads(0)), tile(loads(1)), slots=slots), refresh=False)
    assert issued(found) == [(1, "ACT"), (4, "RD"), (second_read, "RD")]
    assert found.core_cycles == core_cycles


@pytest.mark.parametrize(("slots", "loaded_in"), [(1, 101), (2, 1)])
def test_loads_run_no_further_ahead_than_the_deepest_buffer(
    oracle: ModuleType, slots: int, loaded_in: int
) -> None:
    """The third tile's load may go when at most `slots` tiles lie between it and the first unfinished.

    With one slot that is when tile 1 is the first: tile 0 ends at 100, so in clock 101.
    """
    idle = tile(compute=100)
    found = oracle.run(TOY, program(idle, idle, tile(loads()), slots=slots), refresh=False)
    assert issued(found)[0] == (loaded_in, "ACT")


@pytest.mark.parametrize("requests_per_clock", [1, 2])
def test_a_load_waits_for_earlier_stores_to_its_tensor(oracle: ModuleType, requests_per_clock: int) -> None:
    """The second tile reads what the first one stores.

    The first ends at 10, its store is taken in clock 11: ACT 11, WR 14. The load goes in clock 12,
    even if the port has a second turn in clock 11; the write has left its queue, so the read goes to DRAM:
    RD 16, complete at 21, and the end is at 31.
    """
    back = bursts("out", "left", "read")
    found = oracle.run(
        TOY, program(tile(stores()), tile(back)), refresh=False, requests_per_clock=requests_per_clock
    )
    assert issued(found) == [(11, "ACT"), (14, "WR"), (16, "RD")]
    assert found.core_cycles == 31


def test_stores_go_before_loads(oracle: ModuleType) -> None:
    """With one slot, the end of the first tile at 19 lets both its store and the next load go.

    The store goes in clock 20, the load in clock 21 and to an open row; WR follows 2 clocks after that RD,
    the row being open since 20. The load completes at 26, and computation ends at 36.
    """
    found = oracle.run(TOY, program(tile(loads(0), stores()), tile(loads(1)), slots=1), refresh=False)
    assert issued(found)[2:] == [(20, "ACT"), (21, "RD"), (23, "WR")]
    assert found.core_cycles == 36


@pytest.mark.parametrize(("slots", "written"), [(1, [14, 16, 23, 25]), (2, [14, 16, 21, 23])])
def test_computation_waits_for_a_slot_to_store_from(
    oracle: ModuleType, slots: int, written: list[int]
) -> None:
    """The first tile ends at 10; its two stores are taken in clocks 11 and 12, WR 14 and 16.

    With one slot the second tile computes from 12 to 22: taken in 23 and 24, WR 23 and 25 (the row is
    open). With two it computes from 10 to 20: taken in 21 and 22, WR 21 and 23.
    """
    found = oracle.run(TOY, program(tile(stores(0, 2)), tile(stores(2, 2)), slots=slots), refresh=False)
    assert [clock for clock, name in issued(found) if name == "WR"] == written
    assert found.core_cycles == written[-1]


@pytest.mark.parametrize(("window", "reads"), [(None, [4, 6, 8]), (2, [4, 6, 10]), (1, [4, 10, 16])])
def test_reads_hold_a_slot_of_the_window_until_they_complete(
    oracle: ModuleType, window: int | None, reads: list[int]
) -> None:
    """Three reads of a row, RD 4, 6, 8 if nothing holds them back; the first completes at 9.

    With a window of two the third is taken in clock 10, and read at once. With a window of one the
    second is, which completes at 15, so that the third is taken and read in clock 16.
    """
    found = oracle.run(TOY, program(tile(loads(count=3)), window=window), refresh=False)
    assert [clock for clock, name in issued(found) if name == "RD"] == reads


@pytest.mark.parametrize(("writes", "opened"), [("posted", 12), ("served", 15), ("read-latency", 17)])
def test_writes_hold_a_slot_as_the_option_says(oracle: ModuleType, writes: str, opened: int) -> None:
    """Two stores to closed rows of both banks, and a window of one.

    Computation ends at 10: the first is taken in clock 11, ACT 11, WR 14. The second is taken and its
    row opened in clock 12 (posted), 15 (after the WR at 14), or 17 (11 and a read latency of 5 is 16).
    """
    first, second = bursts("out", "right", "write"), bursts("out", "right", "write", first=4)
    found = oracle.run(TOY, program(tile(first, second), window=1), refresh=False, writes=writes)
    assert [clock for clock, name in issued(found) if name == "ACT"] == [11, opened]


@pytest.mark.parametrize(("requests_per_clock", "expected"), [(1, [1, 2]), (2, [1, 1])])
def test_the_port_takes_so_many_turns_a_clock(
    oracle: ModuleType, requests_per_clock: int, expected: list[int]
) -> None:
    """Two loads for two channels arrive in one clock, or one after the other."""
    found = oracle.run(
        TOY,
        program(tile(loads(count=2))),
        channels=2,
        refresh=False,
        requests_per_clock=requests_per_clock,
    )
    assert [commands[0].clock for commands in found.commands] == expected


def test_a_refresh_holds_up_what_waits(oracle: ModuleType) -> None:
    """A refresh is due at 50, with bank 0 open: PREab 50, REFab 54, and the load of clock 61 opens at 64."""
    first, second = tile(loads(0), compute=51), tile(loads(1))
    found = oracle.run(TOY, program(first, second, slots=1))
    assert issued(found) == [(1, "ACT"), (4, "RD"), (50, "PREab"), (54, "REFab"), (64, "ACT"), (67, "RD")]
    [counts] = found.counts
    assert (counts.refreshes_due, counts.refreshes_issued) == (1, 1)


# --- closed loop, any program -------------------------------------------------------------------------


@given(programs(), st.sampled_from(["posted", "served", "read-latency"]), st.integers(1, 2))
def test_every_burst_is_served_whatever_the_program(
    oracle: ModuleType, drawn: Program, writes: str, requests_per_clock: int
) -> None:
    """All bursts that the runs touch are taken and answered, and nothing ends before its computation."""
    drawn = evolve(drawn, core_clock_hz=800_000_000)
    found = oracle.run(TOY, drawn, writes=writes, requests_per_clock=requests_per_clock)
    asked = {"read": 0, "write": 0}
    base = {tensor.name: tensor.base_bytes for tensor in drawn.tensors}
    for step in unrolled(drawn.steps):
        for transfer in step.transfers:
            for offset_bytes, run_bytes in oracle.runs_of(transfer):
                first = base[transfer.tensor] + offset_bytes
                touched = {byte // BURST_BYTES for byte in range(first, first + run_bytes)}
                asked[transfer.direction] += len(touched)
    [counts] = found.counts
    assert (counts.reads, counts.writes) == (asked["read"], asked["write"])
    assert counts.reads_served + counts.reads_forwarded == counts.reads
    assert counts.writes_served + counts.writes_merged == counts.writes
    assert counts.left_over == 0
    assert counts.cycles == found.memory_clocks
    assert found.stall_core_cycles >= 0
