"""Replays: the compiled controller does what the oracle does, whatever is asked of it."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from colfw.dram.counts import ChannelCounts
from colfw.dram.device import Constraint, Device, DeviceCommand, Role
from colfw.dram.requests import Trace
from colfw.dram.spec import resolve
from colfw.errors import InvariantError, StudyError
from colfw_memory import standards
from colfw_memory.config import DramConfig
from colfw_memory.controller import kernel, replaying
from colfw_memory.mapping import mapping_of

if TYPE_CHECKING:
    from types import ModuleType

    from colfw.dram.requests import CommandLog, Replay

# --- what is replayed ---------------------------------------------------------------------------------


@frozen(kw_only=True)
class Case:
    """A replay that both can do."""

    device: Device
    channels: int
    scheduler: str
    refresh: str
    drain: bool
    clocks_apart: Fraction
    trace: Trace

    @property
    def config(self) -> DramConfig:
        return DramConfig(channels=self.channels, scheduler=self.scheduler, refresh=self.refresh)


ORACLE_SCHEDULERS = {"fr-fcfs": "frfcfs", "fr-fcfs-row-hit": "frfcfs-row-hit"}


def kernel_replay(case: Case, **how: Any) -> Replay:
    """As the backend does it, for a device of which there is no spec."""
    offered = replaying.Offered(
        clocks_apart=case.clocks_apart, drain=case.drain, log_commands=how.pop("log_commands", True)
    )
    mapping = mapping_of("RoBaRaCoCh", case.device, case.channels)
    config = evolve(case.config, **how)
    return replaying.replay(case.device, mapping, case.channels, config, case.trace, offered)


def oracle_replay(oracle: ModuleType, case: Case) -> Any:
    return oracle.replay(
        case.device,
        case.trace,
        channels=case.channels,
        scheduler=ORACLE_SCHEDULERS[case.scheduler],
        refresh=case.refresh == "all-bank",
        clocks_apart=case.clocks_apart,
        drain=case.drain,
    )


@st.composite
def traces(draw: st.DrawFn, device: Device, channels: int, *, max_requests: int = 300) -> Trace:
    """Few banks, few rows, some addresses far hotter than others: all that queues can be in for."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, max_requests) | st.just(max_requests))
    banks = draw(st.integers(1, device.banks))
    rows = draw(st.integers(1, min(4, device.rows)))
    columns = draw(st.integers(1, min(8, device.bursts_per_row)))
    heat = draw(st.sampled_from([1, 1, 4, 12]))
    writes = draw(st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]))
    place = [
        (random.random(count) ** heat * size).astype(np.int64) for size in (columns, channels, banks, rows)
    ]
    sizes = (device.bursts_per_row, channels, device.banks)
    burst = place[1] + channels * (place[0] + sizes[0] * (place[2] + sizes[2] * place[3]))
    within = random.integers(0, 2, count) * draw(st.sampled_from([0, 0, 1]))
    return Trace(
        is_write=(random.random(count) < writes).astype(np.uint8),
        address=burst * device.burst_bytes + within,
    )


APART = [
    Fraction(1),
    Fraction(1),
    Fraction(3, 2),
    Fraction(7),
    Fraction(1, 2),
    Fraction(3, 7),
    Fraction(1, 40),
]


@st.composite
def cases(draw: st.DrawFn, devices: st.SearchStrategy[Device], **how: Any) -> Case:
    device = draw(devices)
    channels = draw(st.sampled_from([1, 1, 2, 3, 6]))
    return Case(
        device=device,
        channels=channels,
        scheduler=draw(st.sampled_from(sorted(ORACLE_SCHEDULERS))),
        refresh=draw(st.sampled_from(["all-bank", "all-bank", "none"])),
        drain=draw(st.booleans()),
        clocks_apart=draw(st.sampled_from(APART)),
        trace=draw(traces(device, channels, **how)),
    )


# --- devices ------------------------------------------------------------------------------------------

BUILT_IN = {
    spec.name: spec
    for spec in (standards.DDR4_2400, standards.DDR5_3200, standards.GDDR6_PAPER, standards.GDDR6_14000)
} | {"hbm2-1600": standards.HBM2_1600}
REFRESH_TIME = {"DDR4": "nRFC", "DDR5": "nRFC", "GDDR6": "nRFCab", "HBM2": "nRFC"}


@st.composite
def built_in_devices(draw: st.DrawFn) -> Device:
    """Real ones, but refreshed so often that a short trace sees many refreshes."""
    spec = BUILT_IN[draw(st.sampled_from(sorted(BUILT_IN)))]
    timing = {
        "nREFI": draw(st.integers(250, 500)),
        REFRESH_TIME[spec.standard.name]: draw(st.integers(90, 120)),
    }
    ranks = {"Rank": draw(st.integers(1, 2))} if "Rank" in spec.standard.levels else {}
    return resolve(spec, timing_overrides=timing, organisation_overrides=ranks)


SHAPES = [
    (("Channel", 1), ("Bank", 3)),
    (("Channel", 1), ("Rank", 3), ("BankGroup", 2), ("Bank", 2)),
    (("Channel", 1), ("PseudoChannel", 2), ("Bank", 5)),
    (("Channel", 1), ("BankGroup", 1), ("Bank", 1)),
    (("Channel", 1), ("BankGroup", 4), ("Bank", 16)),
]
NAMES = {
    "ACT": Role.ACTIVATE,
    "PREpb": Role.PRECHARGE,
    "PREab": Role.PRECHARGE_ALL,
    "RD": Role.READ,
    "WR": Role.WRITE,
    "REFab": Role.REFRESH,
}
COLUMN_COMMANDS = {Role.READ, Role.WRITE}


@st.composite
def odd_devices(draw: st.DrawFn) -> Device:
    """Sizes and rows that no standard has; of the rows only those of the data bus are always there."""
    levels = draw(st.sampled_from(SHAPES))
    burst_clocks = draw(st.integers(1, 4))
    two_buses = draw(st.booleans())
    scope = draw(st.sampled_from([name for name, _ in levels]))
    depth = [name for name, _ in levels].index(scope)
    # Refreshes that come faster than they can be issued would let nothing else pass.
    units = math.prod(count for _, count in levels[: depth + 1])
    wide = {Role.PRECHARGE_ALL, Role.REFRESH}
    names = st.lists(st.sampled_from(sorted(NAMES)), min_size=1, max_size=3, unique=True).map(tuple)
    one_row = st.builds(
        Constraint,
        level=st.sampled_from([name for name, _ in levels]),
        preceding=names,
        following=names,
        clocks=st.integers(0, 20),
    )
    return Device(
        name="odd",
        levels=levels,
        rows=draw(st.integers(1, 5)),
        columns=2 * draw(st.integers(1, 7)),
        channel_width_bits=8,
        prefetch=2,
        clock_ps=1000,
        burst_clocks=burst_clocks,
        read_latency_clocks=draw(st.integers(1, 40)),
        write_latency_clocks=2,
        refresh_interval_clocks=20 + 60 * units + draw(st.integers(0, 60)),
        commands=tuple(
            DeviceCommand(
                name=name,
                role=role,
                scope=scope if role in wide else levels[-1][0],
                bus="" if not two_buses else "column" if role in COLUMN_COMMANDS else "row",
            )
            for name, role in NAMES.items()
        ),
        constraints=(
            Constraint(level="Channel", preceding=("RD", "WR"), following=("RD", "WR"), clocks=burst_clocks),
            Constraint(level="Bank", preceding=("ACT",), following=("RD", "WR"), clocks=burst_clocks),
            *draw(st.lists(one_row, max_size=8)),
        ),
    )


# --- the comparison -----------------------------------------------------------------------------------


def as_lists(log: CommandLog) -> list[list[Any]]:
    """The rows with names instead of numbers."""
    return [[row[0], row[1], log.names[row[2]], *row[3:]] for row in log.rows.tolist()]


def units_of(device: Device) -> int:
    """How many nodes are refreshed together."""
    return device.banks // device.span(device.named(Role.REFRESH).scope)


def busy_and_open(device: Device, log: list[Any], clocks: int) -> tuple[int, int]:
    """From the oracle's commands alone: clocks in which data moved, and those of units with a bank open."""
    moved = sum(command.name in {"RD", "WR"} for command in log)
    scope = [name for name, _ in device.levels].index(device.named(Role.REFRESH).scope)
    banks: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    opened: dict[tuple[int, ...], int] = {}
    total = 0
    for command in log:
        unit = command.levels[:scope]
        inside = banks.setdefault(unit, set())
        if command.name == "ACT":
            if not inside:
                opened[unit] = command.clock
            inside.add(command.levels)
        elif inside and command.name in {"PREpb", "PREab"}:
            inside.clear() if command.name == "PREab" else inside.remove(command.levels)
            if not inside:
                total += command.clock - opened[unit]
    total += sum(clocks + 1 - opened[unit] for unit, inside in banks.items() if inside)
    return -(-moved * device.burst_clocks // device.data_buses), total


def expected_counts(device: Device, counts: Any, log: list[Any], peak_bytes: int) -> ChannelCounts:
    """All that a channel counts, from the oracle's counts and commands."""
    busy, opened = busy_and_open(device, log, counts.cycles)
    return ChannelCounts(
        burst_bytes=device.burst_bytes,
        clocks=counts.cycles,
        busy_clocks=busy,
        peak_bytes=peak_bytes,
        reads=counts.reads,
        writes=counts.writes,
        reads_served=counts.reads_served,
        writes_served=counts.writes_served,
        reads_forwarded=counts.reads_forwarded,
        writes_merged=counts.writes_merged,
        left_over=counts.left_over,
        row_hits=counts.row_hits,
        row_misses=counts.row_misses,
        row_conflicts=counts.row_conflicts,
        undecided=counts.undecided,
        open_clocks=opened,
        closed_clocks=units_of(device) * counts.cycles - opened,
        refreshes_issued=counts.refreshes_issued,
        refreshes_due=counts.refreshes_due,
        refreshes_waiting=counts.refreshes_waiting,
        commands=tuple(sorted(Counter(command.name for command in log).items())),
        read_latency_clocks=tuple(sorted(counts.read_latencies.items())),
    )


def check(oracle: ModuleType, case: Case) -> Any:
    """The kernel's commands and counts are the oracle's."""
    expected = oracle_replay(oracle, case)
    found = kernel_replay(case)
    assert found.commands is not None
    commands = [
        [one.clock, one.channel, one.name, *one.levels, one.row, one.column]
        for channel in expected.commands
        for one in channel
    ]
    assert as_lists(found.commands) == commands
    for counts, theirs, log in zip(found.channels, expected.counts, expected.commands, strict=True):
        assert counts == expected_counts(case.device, theirs, log, counts.peak_bytes)
        assert counts.open_clocks + counts.closed_clocks == units_of(case.device) * counts.clocks
        # Whole bursts, the one that is under way at the end included.
        bursts = Fraction(counts.clocks * case.device.data_buses, case.device.burst_clocks)
        assert 0 <= Fraction(counts.peak_bytes, counts.burst_bytes) - bursts < case.device.data_buses + 1
    return expected


@settings(max_examples=100)  # rare meetings of arrivals and plans: the more the better
@given(cases(built_in_devices()))
def test_real_drams_are_replayed_as_the_oracle_does(oracle: ModuleType, case: Case) -> None:
    """Every command in its clock and every count, whatever the requests, schedulers, refreshes, channels."""
    check(oracle, case)


@settings(max_examples=300)
@given(cases(odd_devices()))
def test_odd_drams_are_replayed_as_the_oracle_does(oracle: ModuleType, case: Case) -> None:
    """Sizes that are no powers of two, buses, scopes and rows as no standard has them: all the same."""
    check(oracle, case)


@pytest.mark.parametrize("scheduler", sorted(ORACLE_SCHEDULERS))
@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_busy_trace_meets_all_that_can_happen(oracle: ModuleType, name: str, scheduler: str) -> None:
    """Forwarding, merging, hits, misses, conflicts, refreshes and full queues, all in one trace."""
    spec = BUILT_IN[name]
    timing = {"nREFI": 300, REFRESH_TIME[spec.standard.name]: 100}
    device = resolve(spec, timing_overrides=timing)
    random = np.random.default_rng(0)
    count = 2000
    hot = (random.random(count) ** 3 * 40).astype(np.int64)
    case = Case(
        device=device,
        channels=1,
        scheduler=scheduler,
        refresh="all-bank",
        drain=False,
        clocks_apart=Fraction(1),
        trace=Trace(
            is_write=(random.random(count) < 0.5).astype(np.uint8),
            address=hot % 8 * device.burst_bytes + hot // 8 * device.row_bytes * (device.banks // 2),
        ),
    )
    [counts] = check(oracle, case).counts
    assert counts.reads_forwarded > 0
    assert counts.writes_merged > 0
    assert counts.row_hits > 0
    assert counts.row_misses > 0
    assert counts.row_conflicts > 0
    assert counts.refreshes_issued > 5
    assert counts.cycles > count, "no queue was ever full"


# --- how requests are offered -------------------------------------------------------------------------


def reads(device: Device, bursts: list[int], **how: Any) -> Case:
    """Reads of these bursts, on one channel, without refresh unless it is asked for."""
    trace = Trace(
        is_write=np.zeros(len(bursts), np.uint8), address=np.array(bursts, np.int64) * device.burst_bytes
    )
    usual: dict[str, Any] = {
        "channels": 1,
        "scheduler": "fr-fcfs",
        "refresh": "none",
        "drain": False,
        "clocks_apart": Fraction(1),
    }
    return Case(device=device, trace=trace, **(usual | how))


@pytest.mark.parametrize(
    ("clocks_apart", "clocks"),
    [(Fraction(1, 3), 2), (Fraction(2, 3), 4), (Fraction(3, 7), 2), (Fraction(1, 100), 0), (Fraction(2), 12)],
    ids=str,
)
def test_requests_may_come_several_a_clock(oracle: ModuleType, clocks_apart: Fraction, clocks: int) -> None:
    """The seventh request is due at 6 * `clocks_apart`; it is taken when that many whole clocks are over."""
    case = reads(resolve(standards.GDDR6_PAPER), list(range(7)), clocks_apart=clocks_apart)
    assert check(oracle, case).counts[0].cycles == clocks


def test_no_more_than_are_due_are_taken_in_a_clock(oracle: ModuleType) -> None:
    """After a full queue there is no rush: two thirds of a clock apart, at most two are taken in one.

    The first 32 reads fill the queue within 22 clocks; every other is taken one by one as others leave.
    """
    bursts = [64 * 1000 * number for number in range(60)]
    check(oracle, reads(resolve(standards.DDR4_2400), bursts, clocks_apart=Fraction(2, 3)))
    check(oracle, reads(resolve(standards.DDR4_2400), bursts, clocks_apart=Fraction(1, 10)))


def test_an_empty_trace_takes_no_clock() -> None:
    """Nothing is counted, drained or not, and no command is logged."""
    for drain in (False, True):
        found = kernel_replay(reads(resolve(standards.GDDR6_PAPER), [], drain=drain, channels=3))
        assert found.channels == (ChannelCounts(burst_bytes=64),) * 3
        assert found.commands is not None
        assert found.commands.rows.shape == (0, len(found.commands.columns))


@pytest.mark.parametrize("ports", ["shared", "per-channel"])
def test_a_trace_of_one_request(ports: str) -> None:
    """It is taken before the first tick: 0 clocks; drained, it takes an activation and a read latency."""
    device = resolve(standards.GDDR6_PAPER)
    [counts] = kernel_replay(reads(device, [0]), ports=ports).channels
    assert (counts.clocks, counts.left_over, counts.undecided) == (0, 1, 1)
    [counts] = kernel_replay(reads(device, [0], drain=True), ports=ports).channels
    # ACT in clock 1, RD nRCDRD = 26 clocks later, the last word after 24 + 4.
    assert (counts.clocks, counts.read_latency_clocks) == (1 + 26 + 28, ((1 + 26 + 28, 1),))
    assert (counts.open_clocks, counts.closed_clocks, counts.busy_clocks) == (1 + 26 + 28, 0, 4)


def test_a_stream_uses_six_channels_evenly() -> None:
    """However it ends, no channel gets more than one request more than another."""
    device = resolve(standards.GDDR6_PAPER)
    for count in (600, 601, 605):
        found = kernel_replay(reads(device, list(range(count)), channels=6, drain=True))
        share = [counts.reads_served for counts in found.channels]
        assert sum(share) == count
        assert max(share) - min(share) <= 1


@given(cases(built_in_devices(), max_requests=150))
def test_channels_with_ports_of_their_own_know_nothing_of_each_other(case: Case) -> None:
    """Each does what it would do as the only channel, given its own requests."""
    found = kernel_replay(case, ports="per-channel")
    assert found.commands is not None
    burst, byte = np.divmod(case.trace.address, case.device.burst_bytes)
    for channel, counts in enumerate(found.channels):
        mine = burst % case.channels == channel
        address = (burst // case.channels * case.device.burst_bytes + byte)[mine]
        trace = Trace(is_write=case.trace.is_write[mine], address=address)
        alone = kernel_replay(evolve(case, channels=1, trace=trace))
        assert alone.commands is not None
        assert counts == alone.channels[0]
        rows = found.commands.rows[found.commands.rows[:, 1] == channel]
        np.testing.assert_array_equal(np.delete(rows, 1, 1), np.delete(alone.commands.rows, 1, 1))


@given(cases(odd_devices()), st.integers(1, 9))
def test_pausing_changes_nothing(case: Case, lines: int) -> None:
    """With room for a few commands in the log, the same commands and counts come out."""
    expected = kernel_replay(case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaying, "LOG_LINES", lines)
        found = kernel_replay(case)
    assert found.channels == expected.channels
    assert found.commands is not None
    assert expected.commands is not None
    np.testing.assert_array_equal(found.commands.rows, expected.commands.rows)


@given(cases(odd_devices()), st.integers(1, 50), st.sampled_from(["shared", "per-channel"]))
def test_blocks_change_nothing(case: Case, requests: int, ports: str) -> None:
    """A trace that is handed over in many small blocks comes to the same."""
    expected = kernel_replay(case, ports=ports)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaying, "BLOCK", requests)
        found = kernel_replay(case, ports=ports)
    assert found.channels == expected.channels
    assert found.commands is not None
    assert expected.commands is not None
    np.testing.assert_array_equal(found.commands.rows, expected.commands.rows)


@given(cases(odd_devices()))
def test_logging_changes_nothing(case: Case) -> None:
    """The counts are the same whether commands are written down or not."""
    quiet = kernel_replay(case, log_commands=False)
    assert quiet.commands is None
    assert quiet.channels == kernel_replay(case).channels


# --- extremes -----------------------------------------------------------------------------------------


def test_latencies_beyond_the_histogram_are_counted() -> None:
    """Of reads alone, a CAS latency longer by so much makes every read latency longer by so much.

    So many that the kernel must pause to hand them over.
    """
    longer = 20_000 - 24
    assert longer > kernel.LATENCIES
    bursts = list(range(kernel.SPILL + 200))
    spec = standards.GDDR6_PAPER
    usual, slow = (
        kernel_replay(reads(resolve(spec, timing_overrides={"nCL": clocks}), bursts, drain=True)).channels[0]
        for clocks in (24, 24 + longer)
    )
    assert usual.reads_completed == len(bursts)
    expected = tuple((clocks + longer, often) for clocks, often in usual.read_latency_clocks)
    assert slow.read_latency_clocks == expected


def test_reads_that_wait_for_a_long_refresh_are_counted(oracle: ModuleType) -> None:
    """Latencies on both sides of the last bin of the histogram, as the oracle has them."""
    timing = {"nREFI": 30_000, "nRFC": 17_000}
    device = resolve(standards.DDR4_2400, timing_overrides=timing)
    case = reads(device, list(range(50)), clocks_apart=Fraction(1000), refresh="all-bank", drain=True)
    latencies = check(oracle, case).counts[0].read_latencies
    assert min(latencies) < kernel.LATENCIES < max(latencies)


def test_latencies_that_have_not_ended_are_not_counted(oracle: ModuleType) -> None:
    """However many reads are on their way back at the end.

    With a CAS latency of 6000 clocks, more than the kernel remembers are: 1400 reads 4 clocks apart.
    """
    device = resolve(standards.GDDR6_PAPER, timing_overrides={"nCL": 6000})
    check(oracle, reads(device, list(range(1400))))


def test_forwarded_reads_that_have_not_come_back_are_not_counted(oracle: ModuleType) -> None:
    """A hundred reads a clock are answered by a waiting write, but come back behind the reads before them."""
    device = resolve(standards.GDDR6_PAPER)
    bursts = [*range(30), *[64] * 5001]
    case = reads(device, bursts, clocks_apart=Fraction(1, 100))
    case.trace.is_write[30] = 1
    assert check(oracle, case).counts[0].reads_forwarded == 5000


def test_all_of_sixty_four_banks_can_be_active(oracle: ModuleType) -> None:
    """The last bank is as good as any other, also when the replay ends while it is being opened."""
    device = resolve(standards.DDR5_3200, organisation_overrides={"Rank": 4})
    assert device.banks == 64
    bursts = [bank * device.bursts_per_row for bank in reversed(range(64))]
    for count in range(3, 64):
        check(oracle, reads(device, bursts[:count]))


def test_sixty_four_active_banks_and_one_request_more_are_drained(oracle: ModuleType) -> None:
    """The set of all banks is -1: one request that waits besides does not make it nothing."""
    slow = {"nRCD": 2000, "nRAS": 2020, "nRC": 2036}
    device = resolve(standards.DDR5_3200, timing_overrides=slow, organisation_overrides={"Rank": 4})
    bursts = [bank * device.bursts_per_row for bank in range(64)]
    [counts] = check(oracle, reads(device, [*bursts, 1], drain=True)).counts
    assert (counts.reads_served, counts.left_over) == (65, 0)


@pytest.mark.parametrize("ports", ["shared", "per-channel"])
def test_channels_keep_their_own_reads_on_the_way(ports: str) -> None:
    """However many the rings of three channels had no room for: drained, each read has its latency."""
    device = resolve(standards.GDDR6_PAPER, timing_overrides={"nCL": 9000})
    case = reads(device, list(range(4500)), channels=3, clocks_apart=Fraction(1, 4))
    for counts in kernel_replay(case, ports=ports).channels:
        assert counts.reads_served > kernel.RELEASES
        assert counts.reads_completed == 0
    for counts in kernel_replay(evolve(case, drain=True), ports=ports).channels:
        assert counts.reads_completed == 1500


@pytest.mark.parametrize("clocks_apart", [Fraction(0), Fraction(-1, 2)], ids=str)
def test_requests_that_are_no_time_apart_are_refused(clocks_apart: Fraction) -> None:
    """In one line, before anything is replayed."""
    with pytest.raises(InvariantError, match=rf"clocks_apart must be more than 0, not {clocks_apart}"):
        kernel_replay(reads(resolve(standards.GDDR6_PAPER), [0], clocks_apart=clocks_apart))


def test_a_distance_that_overflows_is_refused() -> None:
    """A fraction made from a float has numbers too large to be multiplied by those of requests."""
    case = reads(resolve(standards.GDDR6_PAPER), list(range(5000)), clocks_apart=Fraction(0.3))
    with pytest.raises(InvariantError, match="5000 requests"):
        kernel_replay(case)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_refreshes_are_refused_where_no_row_can_be_opened_between_them(oracle: ModuleType, name: str) -> None:
    """A clock more between them, and every request is served in the end; a clock less never."""
    spec = BUILT_IN[name]

    def case(interval: int) -> Case:
        timing = {"nREFI": interval, REFRESH_TIME[spec.standard.name]: 60}
        device = resolve(spec, timing_overrides=timing)
        bursts = [0, device.bursts_per_row, device.bursts_per_row * (device.banks - 1)]
        return reads(device, bursts, clocks_apart=Fraction(interval), refresh="all-bank", drain=True)

    with pytest.raises(StudyError, match="nREFI") as refusal:
        kernel_replay(case(10))
    least = int(str(refusal.value).split("at least ")[1].split()[0])
    with pytest.raises(StudyError, match=f"every {least} clocks .nREFI."):
        kernel_replay(case(least))
    [counts] = check(oracle, case(least + 1)).counts
    assert counts.reads_served == 3
    # Without refresh, it does not matter how often there would be one.
    assert kernel_replay(evolve(case(10), refresh="none")).channels[0].reads_served == 3


def test_a_burst_longer_than_an_activation_is_no_contradiction() -> None:
    """A replay may end with its first burst under way: 8 clocks of data, 4 clocks after the first ACT."""
    device = resolve(standards.GDDR6_PAPER_DOUBLE, timing_overrides={"nRCDRD": 3})
    [counts] = kernel_replay(reads(device, [0] * 5)).channels
    assert (counts.clocks, counts.reads_served) == (4, 1)


def test_an_all_bank_command_has_no_address_below_its_scope(oracle: ModuleType) -> None:
    """Not even of levels that have one node: a rank of one group of one bank."""
    ranks = {"Rank": 1, "BankGroup": 1, "Bank": 1}
    device = resolve(standards.DDR4_2400, timing_overrides={"nREFI": 600}, organisation_overrides=ranks)
    check(oracle, reads(device, list(range(300)), clocks_apart=Fraction(10), refresh="all-bank"))
