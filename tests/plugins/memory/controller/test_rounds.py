"""Rounds of a repetition that are like earlier ones are not run, and nothing else comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colfw.program import Advance, Buffer, Gather, Program, Repeat, Tensor, Tile, Transfer
from colfw_memory import standards
from colfw_memory.backend import SimulatedDram
from colfw_memory.config import DramConfig, Refresh, Scheduler, Writes
from colfw_memory.controller import memo, rounds, running
from colfw_memory.controller.memo import Memo
from colfw_memory.mapping import mapping_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypothesis.strategies import DrawFn

TENSORS = ("weights", "hidden", "inputs", "outputs")
SLOT_BYTES = 8192
SIZE_BYTES = 16_384
"""Of what moves lie in, from where a round begins."""
ROTATION_BYTES = 16_384
"""From a row to the next in the same bank, of one channel of `SMALL`."""
SMALL = {"columns": 256}


# --- programs that go round -------------------------------------------------------------------------


@st.composite
def moves(draw: DrawFn) -> Transfer | Gather:
    tensor = draw(st.sampled_from(TENSORS))
    direction = {"weights": "read", "inputs": "read", "outputs": "write"}.get(
        tensor, draw(st.sampled_from(["read", "write"]))
    )
    buffer = draw(st.sampled_from(["left", "right"]))
    begin = draw(st.sampled_from([0, 64, 1000, 4096, 9000]))
    if draw(st.booleans()):
        size_bytes = draw(st.sampled_from([32, 100, 640, 1500, 2500]))
        return Transfer(
            tensor=tensor, buffer=buffer, direction=direction, offset_bytes=begin, run_bytes=size_bytes
        )
    sizes = np.array(draw(st.lists(st.sampled_from([32, 64, 100, 320]), min_size=1, max_size=4)))
    gaps = np.array(draw(st.lists(st.sampled_from([0, 64, 900]), min_size=sizes.size, max_size=sizes.size)))
    return Gather.of(
        tensor=tensor,
        buffer=buffer,
        direction=direction,
        offsets_bytes=begin + np.cumsum(sizes + gaps) - sizes,
        run_bytes=sizes,
    )


@st.composite
def tiles(draw: DrawFn) -> Tile:
    return Tile(
        transfers=tuple(draw(st.lists(moves(), max_size=3))),
        compute_core_cycles=draw(st.sampled_from([0, 0, 1, 7, 50, 300, 2000])),
        other_core_cycles=draw(st.sampled_from([0, 0, 3])),
    )


@st.composite
def inner_repeats(draw: DrawFn) -> Repeat:
    moving = draw(st.sampled_from(["weights", "hidden"]))
    return Repeat(
        rounds=draw(st.integers(1, 3)),
        body=(draw(tiles()),),
        advances=(Advance(tensor=moving, step_bytes=draw(st.sampled_from([0, 64, 700]))),),
    )


@st.composite
def outer_repeats(draw: DrawFn, rotation_bytes: int) -> Repeat:
    """Tensors advance by whole rows, or by parts of them, and not all alike."""
    steps = st.sampled_from([0, 1, 1, 2, 3]).map(lambda rows: rows * rotation_bytes)
    steps |= st.sampled_from([2, 4]).map(lambda parts: rotation_bytes // parts)
    return Repeat(
        rounds=draw(st.integers(5, 40)),
        body=tuple(draw(st.lists(tiles() | tiles() | inner_repeats(), min_size=1, max_size=4))),
        advances=tuple(Advance(tensor=name, step_bytes=draw(steps)) for name in ("inputs", "outputs")),
    )


@st.composite
def programs(draw: DrawFn, rotation_bytes: int) -> Program:
    """One repetition or two, with something before, between and behind."""
    steps: list[Tile | Repeat] = []
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        steps += draw(st.lists(tiles(), max_size=1))
        steps.append(draw(outer_repeats(rotation_bytes)))
    steps += draw(st.lists(tiles(), max_size=1))
    return program_of(
        steps,
        base_rows=draw(st.sampled_from([True, True, True, False])),
        rotation_bytes=rotation_bytes,
        slots=draw(st.integers(1, 3)),
        core_clock_hz=draw(st.sampled_from([1_000_000_000, 800_000_000, 333_000_000, 30_000_000])),
        window_requests=draw(st.sampled_from([None, None, 1, 3, 16, 64])),
    )


def program_of(
    steps: Iterable[Tile | Repeat],
    *,
    rotation_bytes: int,
    base_rows: bool = True,
    slots: int = 2,
    core_clock_hz: int = 800_000_000,
    window_requests: int | None = 16,
) -> Program:
    """All tensors side by side; each begins in a row of its own, or directly behind the one before."""
    steps = tuple(steps)
    tensors: list[Tensor] = []
    for name in TENSORS:
        begin = tensors[-1].end_bytes if tensors else 0
        if base_rows:
            begin = -(-begin // rotation_bytes) * rotation_bytes
        moved = sum((s.rounds - 1) * s.step_bytes(name) for s in steps if isinstance(s, Repeat))
        tensors.append(Tensor(name=name, base_bytes=begin, size_bytes=SIZE_BYTES + moved))
    return Program(
        name="rounds",
        core_clock_hz=core_clock_hz,
        tensors=tuple(tensors),
        buffers=tuple(Buffer(name=name, slot_bytes=SLOT_BYTES, slots=slots) for name in ("left", "right")),
        steps=steps,
        window_requests=window_requests,
    )


def simulated(config: DramConfig, spec: standards.DramSpec = standards.GDDR6_PAPER) -> running.Simulated:
    memory = SimulatedDram(spec, config)
    return running.Simulated(
        device=memory.device, mapping=memory.mapping, channels=memory.channels, config=memory.config
    )


@st.composite
def runs(draw: DrawFn) -> tuple[running.Simulated, Program]:
    channels = draw(st.integers(1, 6))
    refresh = draw(st.sampled_from([Refresh.NONE, Refresh.NONE, Refresh.POSTPONED, Refresh.ALL_BANK]))
    config = DramConfig(
        channels=channels,
        scheduler=draw(st.sampled_from(Scheduler)),
        refresh=refresh,
        requests_per_clock=draw(st.sampled_from([1, 1, 2, 4])),
        writes=draw(st.sampled_from(Writes)),
        timing={} if refresh is Refresh.NONE else {"nREFI": draw(st.sampled_from([700, 1000, 1501]))},
        organisation=SMALL,
    )
    return simulated(config), draw(programs(ROTATION_BYTES * channels))


def skipped(memory: Memo) -> int:
    return int(memory.arena[memo.ROUNDS_SKIPPED])


def test_the_rotation_is_what_it_says() -> None:
    """The programs below move on by whole rows of `SMALL`, or by parts of them."""
    dram = simulated(DramConfig(channels=1, refresh="none", organisation=SMALL))
    below = [field.size for field in dram.mapping.fields[:-1]]
    assert dram.device.burst_bytes * np.prod(below) == ROTATION_BYTES


def test_further_rounds_change_nothing() -> None:
    """Time, counts and latencies are the same with and without memory: and in many programs most rounds are
    not run at all.
    """
    hits = []

    @settings(max_examples=6 * settings().max_examples)
    @given(runs())
    def compare(drawn: tuple[running.Simulated, Program]) -> None:
        dram, program = drawn
        memory = Memo()
        plain = running.simulate(dram, program)
        for _ in range(2):
            assert running.simulate(dram, program, memory=memory) == plain
            hits.append(skipped(memory) > 0)

    compare()
    assert sum(hits) > len(hits) / 5


# --- when rounds are skipped, and when not ----------------------------------------------------------


def load(tensor: str, size_bytes: int = 4096) -> Transfer:
    return Transfer(tensor=tensor, buffer="left", direction="read", offset_bytes=0, run_bytes=size_bytes)


def store(tensor: str, size_bytes: int = 1024) -> Transfer:
    return Transfer(tensor=tensor, buffer="right", direction="write", offset_bytes=0, run_bytes=size_bytes)


def row_tiles(count: int, *, step_bytes: int, **layout: object) -> Program:
    """Weights, and rows that come in and go out, so many times."""
    body = (
        Tile(transfers=(load("inputs", 1000),)),
        Tile(transfers=(load("weights", 8000),), compute_core_cycles=200),
        Tile(transfers=(load("weights", 6000), store("outputs")), compute_core_cycles=100),
    )
    moving = tuple(Advance(tensor=name, step_bytes=step_bytes) for name in ("inputs", "outputs"))
    options: dict = {"rotation_bytes": 4 * ROTATION_BYTES, **layout}
    return program_of([Repeat(rounds=count, body=body, advances=moving)], **options)


def four_channels(**options: object) -> running.Simulated:
    config: dict = {"channels": 4, "refresh": "none", "writes": "read-latency", "organisation": SMALL}
    return simulated(DramConfig(**{**config, **options}))


def one_channel() -> running.Simulated:
    return simulated(DramConfig(channels=1, refresh="none", organisation=SMALL))


def remembered(dram: running.Simulated, program: Program) -> tuple[Memo, running.Ended]:
    memory = Memo()
    return memory, running.simulate(dram, program, memory=memory)


@pytest.mark.parametrize("parts", [1, 2, 8])
def test_more_rounds_take_no_more_time(parts: int) -> None:
    """However many rounds there are, those that are run are a few dozen: also where a row is shared by the
    rows of several rounds.
    """
    dram, followed = four_channels(), []
    for count in (200, 2000):
        program = row_tiles(count, step_bytes=4 * ROTATION_BYTES // parts)
        memory, ended = remembered(dram, program)
        assert ended == running.simulate(dram, program)
        assert skipped(memory) >= count - 24 * parts
        followed.append(int(memory.arena[memo.FOLLOWED]))
    assert followed[1] < followed[0] + 24 * parts * 3


def test_refreshes_must_come_again_as_well() -> None:
    """Rounds that are as long as it takes refreshes to fall due are skipped; of others, few ever are."""
    took = {}
    for interval in (1000, 7919):
        dram = four_channels(refresh=Refresh.POSTPONED, timing={"nREFI": interval})
        body = (Tile(transfers=(load("inputs"),), compute_core_cycles=1000),)
        moving = (Advance(tensor="inputs", step_bytes=4 * ROTATION_BYTES),)
        program = program_of(
            [Repeat(rounds=300, body=body, advances=moving)],
            rotation_bytes=4 * ROTATION_BYTES,
            core_clock_hz=1_000_000_000,
        )
        memory, ended = remembered(dram, program)
        assert ended == running.simulate(dram, program)
        took[interval] = skipped(memory)
    assert took[1000] > 250
    assert took[7919] == 0


def test_banks_must_come_again_as_well() -> None:
    """Rows that come in a bank further on each time find all banks as the weights have left them, and seem
    to find the same: but one bank is opened again sooner than another.
    """
    dram = one_channel()
    every_bank = Transfer(
        tensor="weights",
        buffer="left",
        direction="read",
        offset_bytes=0,
        run_bytes=64,
        runs=16,
        stride_bytes=ROTATION_BYTES // 16,
    )
    body = (
        Tile(transfers=(load("inputs", 64), every_bank)),
        Tile(transfers=(every_bank,), compute_core_cycles=500),
        Tile(compute_core_cycles=500),
    )
    moving = (Advance(tensor="inputs", step_bytes=ROTATION_BYTES // 16),)
    program = program_of(
        [Repeat(rounds=200, body=body, advances=moving)],
        rotation_bytes=ROTATION_BYTES,
        slots=1,
        core_clock_hz=1_000_000_000,
    )
    memory, ended = remembered(dram, program)
    assert ended == running.simulate(dram, program)
    assert skipped(memory) > 100
    assert skipped(memory) % 16 == 0


@pytest.mark.parametrize("inputs_bytes", [640, 2000])
@pytest.mark.parametrize("weights_bytes", [6000, 7900])
@pytest.mark.parametrize("core_clock_hz", [50_000_000, 20_000_000])
def test_core_cycles_must_come_again_as_well(
    inputs_bytes: int, weights_bytes: int, core_clock_hz: int
) -> None:
    """A slow core sees the end of loads at another point of its cycle in each round, and stores sooner or
    later: what looks alike for a few rounds is not.
    """
    dram = one_channel()
    body = (
        Tile(transfers=(load("inputs", inputs_bytes), store("outputs")), compute_core_cycles=1),
        Tile(transfers=(load("weights", weights_bytes),)),
        Tile(transfers=(load("weights", 8000),)),
    )
    moving = tuple(Advance(tensor=name, step_bytes=ROTATION_BYTES) for name in ("inputs", "outputs"))
    program = program_of(
        [Repeat(rounds=100, body=body, advances=moving)],
        rotation_bytes=ROTATION_BYTES,
        core_clock_hz=core_clock_hz,
    )
    assert remembered(dram, program)[1] == running.simulate(dram, program)


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        pytest.param({"base_rows": False}, {}, id="a row of two tensors, one of which advances"),
        pytest.param({}, {"mapping": "BaRoRaCoCh"}, id="banks above rows"),
    ],
)
def test_where_rows_are_not_shifted_every_round_is_run(layout: dict, options: dict) -> None:
    """Such rounds may look alike; they are never taken for it."""
    dram = four_channels(**options)
    program = row_tiles(100, step_bytes=4 * ROTATION_BYTES, **layout)
    memory, ended = remembered(dram, program)
    assert ended == running.simulate(dram, program)
    assert skipped(memory) == 0


def test_no_round_is_skipped_of_what_is_left_for_less_than_a_period() -> None:
    """The rounds that are skipped are whole periods, and the last round is always run."""
    dram = four_channels()
    for count in range(2, 30):
        program = row_tiles(count, step_bytes=ROTATION_BYTES)
        memory, ended = remembered(dram, program)
        assert ended == running.simulate(dram, program)
        assert skipped(memory) % 4 == 0
        assert skipped(memory) < count


def test_a_memory_that_is_emptied_forgets_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of states move when it is: a round that is seen afterwards is like none before it."""
    dram = four_channels()
    program = row_tiles(60, step_bytes=4 * ROTATION_BYTES)
    plain = running.simulate(dram, program)
    going_on = running.skipping.run_remembering
    stops = []

    def emptied_when_known(*arguments: np.ndarray) -> int:
        stop = going_on(*arguments)
        stops.append(stop)
        return running.closed_loop.MAKE_ROOM if stops == [rounds.RECURRED] else stop

    monkeypatch.setattr(running.skipping, "run_remembering", emptied_when_known)
    memory = Memo()
    assert running.simulate(dram, program, memory=memory) == plain
    assert stops.count(rounds.RECURRED) == 2
    assert stops.count(rounds.REPEATED) == 1


# --- which repetitions ------------------------------------------------------------------------------


def test_whole_rows_are_known_by_the_mapping() -> None:
    """Nothing is, where rows are not the topmost part, or are written in two parts."""
    device = SimulatedDram(standards.GDDR6_PAPER, DramConfig(organisation=SMALL)).device
    for name, rows_lie in {
        "RoBaRaCoCh": 3 * ROTATION_BYTES,
        "RoCoBaRaCh": 3 * ROTATION_BYTES,
        "BaRoRaCoCh": 0,
        "RoBaRo8RaCoCh": 0,
    }.items():
        mapping = mapping_of(name, device, 3)
        assert rounds._rotation_bytes(mapping, device.burst_bytes) == rows_lie
