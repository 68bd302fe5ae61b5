"""A program runs as docs/memory.md says: compared with the oracle, and with what the study measured."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from colfw.errors import ColfwError
from colfw.program import Advance, Buffer, Gather, Program, Repeat, Tensor, Tile, Transfer
from colfw.testing.strategies import slot_sizes_bytes, tensor_sizes_bytes
from colfw_memory import standards
from colfw_memory.backend import SimulatedDram
from colfw_memory.config import DramConfig, Refresh, Scheduler, Writes
from colfw_memory.controller import memo, running
from colfw_memory.controller.memo import Memo

if TYPE_CHECKING:
    from types import ModuleType

    from hypothesis.strategies import DrawFn

TENSORS = ("weights", "inputs", "outputs")
BUFFERS = ("left", "right")
SPECS = (
    standards.GDDR6_PAPER,
    standards.GDDR6_14000,
    standards.DDR4_2400,
    standards.DDR5_3200,
    standards.HBM2_1600,
)


# --- programs that keep a DRAM busy -----------------------------------------------------------------


@st.composite
def transfers(draw: DrawFn) -> Transfer:
    """From a part of a burst to several rows, aligned or not, in one run or more."""
    run_bytes = draw(st.sampled_from([32, 64, 100, 256, 1000, 2048, 5000]))
    return Transfer(
        tensor=draw(st.sampled_from(TENSORS)),
        buffer=draw(st.sampled_from(BUFFERS)),
        direction=draw(st.sampled_from(["read", "read", "write"])),
        offset_bytes=draw(st.sampled_from([0, 64, 4096, 30_000]) | st.integers(0, 9000)),
        run_bytes=run_bytes,
        runs=draw(st.sampled_from([1, 1, 2, 5])),
        stride_bytes=run_bytes + draw(st.sampled_from([0, 1, 64, 1000, 8192, 20_000])),
    )


@st.composite
def gathers(draw: DrawFn) -> Gather:
    """A few runs of several sizes, one after the other or far apart, as a layout leaves them."""
    sizes = draw(st.lists(st.sampled_from([32, 64, 100, 640, 2304]), min_size=1, max_size=6))
    gaps = draw(st.lists(st.sampled_from([0, 64, 640, 5000]), min_size=len(sizes), max_size=len(sizes)))
    ends = np.cumsum(np.array(sizes) + np.array(gaps))
    return Gather.of(
        tensor=draw(st.sampled_from(TENSORS)),
        buffer=draw(st.sampled_from(BUFFERS)),
        direction=draw(st.sampled_from(["read", "read", "write"])),
        offsets_bytes=ends - np.array(sizes),
        run_bytes=np.array(sizes),
    )


@st.composite
def tiles(draw: DrawFn) -> Tile:
    return Tile(
        transfers=tuple(draw(st.lists(transfers() | gathers(), max_size=3))),
        compute_core_cycles=draw(st.sampled_from([0, 0, 1, 7, 50, 300, 2000])),
        other_core_cycles=draw(st.sampled_from([0, 0, 3])),
        waiting_core_cycles=draw(st.sampled_from([0, 0, 5])),
    )


def repeats(body: st.SearchStrategy) -> st.SearchStrategy[Repeat]:
    advances = st.lists(
        st.builds(Advance, tensor=st.sampled_from(TENSORS), step_bytes=st.sampled_from([0, 64, 2048, 5000])),
        max_size=2,
    )
    return st.builds(
        Repeat,
        rounds=st.integers(1, 4),
        body=st.lists(body, min_size=1, max_size=2).map(tuple),
        advances=advances.map(tuple),
    )


@st.composite
def programs(draw: DrawFn) -> Program:
    steps = tuple(draw(st.lists(st.recursive(tiles(), repeats, max_leaves=4), min_size=1, max_size=3)))
    tensors: list[Tensor] = []
    for name, size_bytes in tensor_sizes_bytes(steps).items():
        begin = tensors[-1].end_bytes if tensors else 0
        base_bytes = begin + draw(st.sampled_from([0, 0, 64, 12_345]))
        tensors.append(Tensor(name=name, base_bytes=base_bytes, size_bytes=size_bytes))
    buffers = [
        Buffer(name=name, slot_bytes=size_bytes, slots=draw(st.integers(1, 3)))
        for name, size_bytes in slot_sizes_bytes(steps).items()
    ]
    return Program(
        name="drawn",
        core_clock_hz=draw(st.sampled_from([1_000_000_000, 800_000_000, 333_000_000, 3_000_000_000])),
        tensors=tuple(tensors),
        buffers=tuple(buffers),
        steps=steps,
        window_requests=draw(st.sampled_from([None, 1, 3, 16, 64])),
    )


@st.composite
def row_tiles(draw: DrawFn) -> Program:
    """A small FFN as an accelerator lowers it: the same weights, in part skipped, for each tile of rows."""
    rounds = draw(st.integers(2, 9))
    unit_bytes = draw(st.sampled_from([64, 200, 640, 2304]))
    hot = sorted(draw(st.sets(st.integers(0, 30), min_size=1, max_size=24)))
    at_once = draw(st.integers(1, 12))
    rows_bytes = draw(st.sampled_from([512, 1000, 4096, 9000]))
    step_bytes = rows_bytes + draw(st.sampled_from([0, 64, 4096, 1 << 19]))
    cycles = st.sampled_from([0, 1, 7, 50, 300, 1000])
    spread = draw(st.booleans())

    def run(tensor: str, buffer: str, direction: Literal["read", "write"], begin: int, size: int) -> Transfer:
        return Transfer(tensor=tensor, buffer=buffer, direction=direction, offset_bytes=begin, run_bytes=size)

    def weight_tiles(tensor: str, hidden: Literal["read", "write"]) -> list[Tile]:
        """Weights of some hidden units each; with them, if they are spread, come or go hidden values."""
        found = []
        for begin in range(0, len(hot), at_once):
            units = np.array(hot[begin : begin + at_once])
            weights: list[Transfer | Gather] = [
                Gather.of(
                    tensor=tensor,
                    buffer="weights",
                    direction="read",
                    offsets_bytes=units * unit_bytes,
                    run_bytes=np.full(units.size, unit_bytes),
                )
            ]
            if spread:
                weights.append(run("hidden", "rows", hidden, 32 * begin, 32 * units.size))
            found.append(Tile(transfers=tuple(weights), compute_core_cycles=draw(cycles)))
        return found

    between = () if spread else ("write", "read")
    whole = [run("hidden", "rows", direction, 0, 32 * len(hot)) for direction in between]
    body = (
        Tile(transfers=(run("inputs", "rows", "read", 0, rows_bytes),)),
        *weight_tiles("up", "write"),
        *(Tile(transfers=(move,), compute_core_cycles=draw(cycles)) for move in whole),
        *weight_tiles("down", "read"),
        Tile(transfers=(run("outputs", "rows", "write", 0, rows_bytes),)),
    )
    tensors: list[Tensor] = []
    for name, size_bytes in {
        "inputs": rounds * step_bytes,
        "up": 31 * unit_bytes,
        "hidden": 1024,
        "down": 31 * unit_bytes,
        "outputs": rounds * step_bytes,
    }.items():
        begin = tensors[-1].end_bytes if tensors else 0
        base_bytes = begin + draw(st.sampled_from([0, 64, 4096]))
        tensors.append(Tensor(name=name, base_bytes=base_bytes, size_bytes=size_bytes))
    slots = st.integers(1, 3)
    return Program(
        name="row tiles",
        core_clock_hz=draw(st.sampled_from([1_000_000_000, 800_000_000, 333_000_000])),
        tensors=tuple(tensors),
        buffers=(
            Buffer(name="rows", slot_bytes=9000, slots=draw(slots)),
            Buffer(name="weights", slot_bytes=at_once * unit_bytes, slots=draw(slots)),
        ),
        steps=(
            Repeat(
                rounds=rounds,
                body=body,
                advances=tuple(Advance(tensor=n, step_bytes=step_bytes) for n in ("inputs", "outputs")),
            ),
        ),
        window_requests=draw(st.sampled_from([None, None, 1, 3, 16, 64])),
    )


def configs(**fixed: object) -> st.SearchStrategy[DramConfig]:
    options: dict = {
        "channels": st.integers(1, 4),
        "scheduler": st.sampled_from(Scheduler),
        "refresh": st.sampled_from(Refresh),
        "requests_per_clock": st.sampled_from([1, 1, 2, 4]),
        "writes": st.sampled_from(Writes),
    }
    return st.builds(DramConfig, **{**options, **{name: st.just(value) for name, value in fixed.items()}})


def bursts_at_most(program: Program, limit: int) -> bool:
    work = program.work
    return sum(size for _, size in work.bytes_of_tensor) <= 32 * limit and (
        work.compute_core_cycles / program.core_clock_hz < 20e-6
    )


# --- the oracle -------------------------------------------------------------------------------------

ORACLE_NAMES = {Scheduler.FR_FCFS: "frfcfs", Scheduler.ROW_HIT: "frfcfs-row-hit"}
COUNTED = (
    "reads",
    "writes",
    "reads_served",
    "writes_served",
    "reads_forwarded",
    "writes_merged",
    "row_hits",
    "row_misses",
    "row_conflicts",
    "refreshes_due",
    "refreshes_issued",
    "refreshes_waiting",
    "left_over",
)


def simulated(memory: SimulatedDram) -> running.Simulated:
    return running.Simulated(
        device=memory.device, mapping=memory.mapping, channels=memory.channels, config=memory.config
    )


@given(programs(), st.sampled_from(SPECS), configs())
def test_a_program_runs_as_the_plain_rules_say(
    oracle: ModuleType, program: Program, spec: standards.DramSpec, config: DramConfig
) -> None:
    """Time, counts and every read latency are those of a simulation that is a clock at a time."""
    assume(bursts_at_most(program, 3000))
    if spec.name.startswith("gddr6"):
        # Refresh often, so that short programs see many.
        config = evolve(config, timing={"nREFI": 900})
    memory = SimulatedDram(spec, config)
    found = running.simulate(simulated(memory), program)
    expected = oracle.run(
        memory.device,
        program,
        channels=memory.channels,
        scheduler=ORACLE_NAMES[config.scheduler],
        refresh=config.refresh is not Refresh.NONE,
        postpone=config.refresh is Refresh.POSTPONED,
        requests_per_clock=config.requests_per_clock,
        writes=config.writes.value,
    )
    assert (found.clocks, found.core_cycles) == (expected.memory_clocks, expected.core_cycles)
    for mine, theirs in zip(found.channels, expected.counts, strict=True):
        assert {n: getattr(mine, n) for n in COUNTED} == {n: getattr(theirs, n) for n in COUNTED}
        assert dict(mine.read_latency_clocks) == dict(Counter(theirs.read_latencies))


# --- with memory and without ------------------------------------------------------------------------


def often_refreshed(spec: standards.DramSpec, config: DramConfig, interval: int) -> DramConfig:
    return evolve(config, timing={"nREFI": interval}) if spec.name.startswith("gddr6") else config


@settings(max_examples=4 * settings().max_examples)
@given(programs(), st.sampled_from(SPECS), configs(), st.sampled_from([700, 900, 1501, 3333]))
def test_skipping_what_recurs_changes_nothing(
    program: Program, spec: standards.DramSpec, config: DramConfig, interval: int
) -> None:
    """Time, counts and latencies are the same with and without memory, and with a memory that is full
    of the same program already.
    """
    assume(bursts_at_most(program, 50_000))
    config = often_refreshed(spec, config, interval)
    dram = simulated(SimulatedDram(spec, config))
    memory = Memo()
    plain = running.simulate(dram, program)
    assert running.simulate(dram, program, memory=memory) == plain
    assert running.simulate(dram, program, memory=memory) == plain


@given(st.lists(programs(), min_size=2, max_size=4), st.sampled_from(SPECS), configs())
def test_one_memory_serves_many_programs(
    drawn: list[Program], spec: standards.DramSpec, config: DramConfig
) -> None:
    """What one program left in the memory is true for another."""
    dram = simulated(SimulatedDram(spec, config))
    memory = Memo()
    for program in drawn:
        assume(bursts_at_most(program, 20_000))
        same_window = evolve(program, window_requests=drawn[0].window_requests)
        plain = running.simulate(dram, same_window)
        assert running.simulate(dram, same_window, memory=memory) == plain


@given(programs(), st.sampled_from(SPECS), configs(), st.integers(1, 3))
def test_ages_that_are_renumbered_keep_their_order(
    program: Program, spec: standards.DramSpec, config: DramConfig, stops: int
) -> None:
    """A run of any length stays in order: renumbering at every few stops changes nothing."""
    assume(bursts_at_most(program, 3000))
    dram = simulated(SimulatedDram(spec, config))
    plain = running.simulate(dram, program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.k, "OLD_AGE", 40)
        patch.setattr(running.closed_loop, "A_WHILE", stops)
        assert running.simulate(dram, program) == plain


@settings(max_examples=2 * settings().max_examples)
@given(row_tiles(), row_tiles(), st.sampled_from(SPECS), configs(), st.sampled_from([700, 900, 3333]))
def test_skipping_the_loads_of_whole_tiles_changes_nothing(
    first: Program, second: Program, spec: standards.DramSpec, config: DramConfig, interval: int
) -> None:
    """Row tiles that load the same weights again, in one program and the next, are timed as if they were
    the first; wherever computations end, stores begin and refreshes fall due.
    """
    dram = simulated(SimulatedDram(spec, often_refreshed(spec, config, interval)))
    memory = Memo()
    for program in (first, evolve(second, window_requests=first.window_requests), first):
        assert running.simulate(dram, program, memory=memory) == running.simulate(dram, program)


@given(row_tiles(), st.sampled_from([standards.GDDR6_PAPER, standards.DDR4_2400]), configs())
def test_where_the_loads_of_tiles_lie_may_be_forgotten(
    program: Program, spec: standards.DramSpec, config: DramConfig
) -> None:
    """With room for a few tiles, or for none, results are the same."""
    dram = simulated(SimulatedDram(spec, config))
    plain = running.simulate(dram, program)
    for room in (1, 700):
        memory = Memo(places=np.zeros(room, np.int64))
        assert running.simulate(dram, program, memory=memory) == plain


def feed_forward(rows: int, *, aligned_bytes: int, iterations: int = 1, cold: float = 0.0) -> list[Program]:
    """A layer of 512 x 1024 with 16 rows to a tile; in each iteration other hidden units are cold."""
    draw = np.random.default_rng(1)
    unit_bytes, tile_bytes = 1024, 16 * 1024
    step_bytes = max(tile_bytes, aligned_bytes)
    found = []
    for _ in range(iterations):
        hot = np.flatnonzero(draw.random(1024) >= cold)
        weights = [
            Tile(
                transfers=(
                    Gather.of(
                        tensor=tensor,
                        buffer="weights",
                        direction="read",
                        offsets_bytes=units * unit_bytes,
                        run_bytes=np.full(units.size, unit_bytes),
                    ),
                ),
                compute_core_cycles=400,
            )
            for tensor in ("up", "down")
            for units in np.split(hot, range(192, hot.size, 192))
        ]
        load, store = (
            Transfer(tensor=name, buffer="rows", direction=way, offset_bytes=0, run_bytes=tile_bytes)
            for name, way in (("inputs", "read"), ("outputs", "write"))
        )
        size_bytes = rows // 16 * step_bytes
        sizes = {"inputs": size_bytes, "up": 1 << 20, "down": 1 << 20, "outputs": size_bytes}
        bases = np.cumsum([0, *sizes.values()]).tolist()
        found.append(
            Program(
                name="feed-forward",
                core_clock_hz=800_000_000,
                tensors=tuple(
                    Tensor(name=name, base_bytes=base, size_bytes=size)
                    for (name, size), base in zip(sizes.items(), bases, strict=False)
                ),
                buffers=(
                    Buffer(name="rows", slot_bytes=tile_bytes, slots=2),
                    Buffer(name="weights", slot_bytes=192 * unit_bytes, slots=3),
                ),
                steps=(
                    Repeat(
                        rounds=rows // 16,
                        body=(Tile(transfers=(load,)), *weights, Tile(transfers=(store,))),
                        advances=tuple(
                            Advance(tensor=name, step_bytes=step_bytes) for name in ("inputs", "outputs")
                        ),
                    ),
                ),
                window_requests=16,
            )
        )
    return found


def made_and_followed(memory: Memo) -> tuple[int, int]:
    return int(memory.arena[memo.MADE]), int(memory.arena[memo.FOLLOWED])


@pytest.mark.parametrize("refresh", [Refresh.NONE, Refresh.POSTPONED])
def test_the_loads_of_a_tile_are_one_move(refresh: Refresh) -> None:
    """Of 800 loads of 192 KiB in scattered runs nearly all take one move each, and few are simulated."""
    dram = simulated(SimulatedDram(standards.GDDR6_PAPER, DramConfig(channels=4, refresh=refresh)))
    memory = Memo()
    [program] = feed_forward(1280, aligned_bytes=1 << 19, cold=0.2)
    running.simulate(dram, program, memory=memory)
    made, followed = made_and_followed(memory)
    assert program.work.tiles == 80 * 12
    assert followed < 1.5 * program.work.tiles
    assert made < 0.1 * program.work.tiles


def test_more_rows_are_no_more_to_simulate() -> None:
    """Where each row tile begins in the same bank, the cost is that of the first few."""
    dram = simulated(SimulatedDram(standards.GDDR6_PAPER, DramConfig(channels=4, refresh="none")))
    made = []
    for rows in (320, 3200):
        memory = Memo()
        [program] = feed_forward(rows, aligned_bytes=1 << 19, cold=0.2)
        running.simulate(dram, program, memory=memory)
        made.append(made_and_followed(memory)[0])
    assert made[0] == made[1]


# --- refreshes that are postponed -------------------------------------------------------------------


def postponing(spec: standards.DramSpec, **options: object) -> SimulatedDram:
    config: dict = {"channels": 1, "refresh": Refresh.POSTPONED, **options}
    return SimulatedDram(spec, DramConfig(**config))


@pytest.mark.parametrize("intervals", [3, 8, 20])
def test_no_more_than_eight_intervals_are_postponed(oracle: ModuleType, intervals: int) -> None:
    """In the middle of a tile, what fell due is served as soon as it is eight intervals: as the plain rules
    have it, and with memory as without.
    """
    memory = postponing(standards.GDDR6_14000, timing={"nREFI": 300})
    size_bytes = intervals * 300 // 2 * memory.device.burst_bytes
    program = evolve(stream(size_bytes, None, tile_bytes=size_bytes))
    found = running.simulate(simulated(memory), program)
    expected = oracle.run(memory.device, program, postpone=True)
    assert running.simulate(simulated(memory), program, memory=Memo()) == found
    assert found.clocks == expected.memory_clocks
    [mine], [theirs] = found.channels, expected.counts
    assert {n: getattr(mine, n) for n in COUNTED} == {n: getattr(theirs, n) for n in COUNTED}
    assert mine.refreshes_due == mine.refreshes_issued + mine.refreshes_waiting
    assert mine.refreshes_waiting <= 8


def test_a_memory_at_rest_postpones_nothing() -> None:
    """An hour of computation is refreshed as it is without the option, and counted in no time."""
    hour = Tile(compute_core_cycles=3600 * 10**9)
    program = evolve(stream(1 << 20, None), steps=(hour,))
    timing = postponing(standards.GDDR6_14000).run(program)
    assert timing.refreshes_due == timing.memory_cycles // 3333
    assert timing.refreshes_waiting <= 1


def test_refreshes_come_between_tiles() -> None:
    """While a tile is loaded none is issued, so that fewer rows are opened twice."""
    spec, tile_bytes = standards.GDDR6_PAPER, 1 << 19
    timing = postponing(spec, channels=4).run(stream(1 << 25, None, tile_bytes=tile_bytes))
    at_once = SimulatedDram(spec, DramConfig(channels=4)).run(stream(1 << 25, None, tile_bytes=tile_bytes))
    assert timing.refreshes_issued + timing.refreshes_waiting == timing.refreshes_due
    assert timing.row_hits > at_once.row_hits


def test_a_memory_that_overflows_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small it is, the result is the same, and it never holds more than it has room for."""
    dram = simulated(SimulatedDram(standards.GDDR6_PAPER, DramConfig(channels=2)))
    program = stream(1 << 22, None)
    plain = running.simulate(dram, program)
    emptied: list[int] = []
    forget = running.skipping.forget

    def counting_forget(arena: np.ndarray, *others: np.ndarray) -> None:
        forget(arena, *others)
        emptied.append(int(arena[memo.USED]))

    monkeypatch.setattr(running.skipping, "forget", counting_forget)
    memory = Memo()
    memory.arena[memo.USED] = memo.ARENA_WORDS - memo.ARENA_RESERVE - 20_000
    assert running.simulate(dram, program, memory=memory) == plain
    assert emptied
    assert max(emptied) < memo.ARENA_WORDS // 2


def test_a_run_that_is_broken_off_leaves_no_counts_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C the same memory answers the next program as if nothing had been."""
    program = stream(1 << 28, 16)
    memory = SimulatedDram(standards.GDDR6_PAPER, DramConfig(channels=1))
    expected = SimulatedDram(standards.GDDR6_PAPER, DramConfig(channels=1)).run(program)
    going_on = running.skipping.run_remembering

    def broken_off(*arguments: np.ndarray) -> int:
        assert going_on(*arguments) == running.closed_loop.GO_ON
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(running.skipping, "run_remembering", broken_off)
        with pytest.raises(KeyboardInterrupt):
            memory.run(program)
    assert memory.run(program) == expected


def test_a_stream_is_mostly_skipped() -> None:
    """Of the moves of a long stream with refresh, fewer than 1 % are simulated."""
    dram = simulated(SimulatedDram(standards.GDDR6_PAPER, DramConfig(channels=4)))
    memory = Memo()
    running.simulate(dram, stream(1 << 31, 16), memory=memory)
    assert memory.arena[memo.MADE] < 0.01 * memory.arena[memo.FOLLOWED]


def test_a_latency_beyond_the_histogram_is_counted_all_the_same() -> None:
    """Reads that a refresh of 50,000 clocks holds up are remembered by no move: the run goes without."""
    config = DramConfig(channels=1, timing={"nRFCab": 50_000, "nREFI": 60_000})
    dram = simulated(SimulatedDram(standards.GDDR6_PAPER, config))
    program = stream(1 << 22, 16)
    plain = running.simulate(dram, program)
    longest = plain.channels[0].read_latency_percentile(100)
    assert longest is not None
    assert longest > 50_000
    assert running.simulate(dram, program, memory=Memo()) == plain


# --- the study's points -----------------------------------------------------------------------------


def stream(size_bytes: int, window: int | None, tile_bytes: int = 65_536) -> Program:
    """One sequential read of a tensor, in tiles without computation."""
    load = Transfer(tensor="data", buffer="in", direction="read", offset_bytes=0, run_bytes=tile_bytes)
    return Program(
        name="stream",
        core_clock_hz=1_000_000_000,
        tensors=(Tensor(name="data", base_bytes=0, size_bytes=size_bytes),),
        buffers=(Buffer(name="in", slot_bytes=tile_bytes, slots=4),),
        steps=(
            Repeat(
                rounds=size_bytes // tile_bytes,
                body=(Tile(transfers=(load,)),),
                advances=(Advance(tensor="data", step_bytes=tile_bytes),),
            ),
        ),
        window_requests=window,
    )


@pytest.mark.parametrize(
    ("spec", "window", "bytes_per_clock"),
    [
        pytest.param(standards.GDDR6_PAPER, 16, 34.4, id="window of 16"),
        pytest.param(standards.GDDR6_PAPER, None, 45.6, id="no limit"),
        pytest.param(standards.GDDR6_PAPER_DOUBLE, None, 32.0, id="bursts of 8 clocks"),
    ],
)
def test_the_studys_bandwidths(spec: standards.DramSpec, window: int | None, bytes_per_clock: float) -> None:
    """Sequential reads on four live channels with rows of 16 KB and no refresh, within 1 %."""
    config = DramConfig(channels=4, refresh="none", organisation={"columns": 4096})
    timing = SimulatedDram(spec, config).run(stream(1 << 25, window))
    assert timing.moved_bytes / timing.memory_cycles == pytest.approx(bytes_per_clock, rel=0.01)


# --- what is refused, and what costs nothing --------------------------------------------------------


def test_a_tensor_beyond_the_capacity_is_refused() -> None:
    """Its end, the capacity and a way out stand in one line."""
    memory = SimulatedDram(standards.GDDR6_14000, None)
    with pytest.raises(ColfwError, match="beyond the 1073741824 bytes of gddr6-14000"):
        memory.run(stream(1 << 31, None))


def test_a_window_larger_than_can_be_remembered_is_refused() -> None:
    """No silent limit."""
    with pytest.raises(ColfwError, match="at most 1024 can be simulated"):
        SimulatedDram(standards.GDDR6_14000, None).run(stream(1 << 20, 5000))


def test_a_long_computation_is_not_ticked_through() -> None:
    """An hour of computation is refreshed 2 billion times, and counted in no time."""
    hour = Tile(compute_core_cycles=3600 * 10**9)
    program = evolve(stream(1 << 20, None), steps=(hour,))
    timing = SimulatedDram(standards.GDDR6_14000, None).run(program)
    assert timing.core_cycles == 3600 * 10**9
    assert timing.memory_cycles == -(-3600 * 10**12 // 570)
    assert timing.refreshes_due == timing.memory_cycles // 3333
