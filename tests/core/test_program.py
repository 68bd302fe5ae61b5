from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.program import Advance, Buffer, Gather, Program, Repeat, Tensor, Tile, Transfer, Work
from colfw.testing.strategies import gathers, programs, steps, tensor_sizes_bytes, transfers, unrolled

if TYPE_CHECKING:
    from colfw.program import Step

READ = Transfer(tensor="weights", buffer="left", direction="read", offset_bytes=0, run_bytes=8)
PROGRAM = Program(
    name="mlp",
    core_clock_hz=1,
    tensors=(Tensor(name="weights", base_bytes=0, size_bytes=64),),
    buffers=(Buffer(name="left", slot_bytes=16, slots=2),),
    steps=(Tile(transfers=(READ,)),),
)


def running(*described: Step) -> Program:
    return attrs.evolve(PROGRAM, steps=described)


# --- what it amounts to ---------------------------------------------------------------------------


@given(programs())
def test_work_is_that_of_every_tile_in_turn(program: Program) -> None:
    """What a description amounts to is what its tiles do when they are run one by one."""
    run = list(unrolled(program.steps))
    moved = [transfer for tile in run for transfer in tile.transfers]
    by_tensor: Counter[str] = Counter()
    for transfer in moved:
        by_tensor[transfer.tensor] += int((transfer.strided_runs[:, 1] * transfer.strided_runs[:, 2]).sum())
    assert program.work == Work(
        tiles=len(run),
        compute_core_cycles=sum(tile.compute_core_cycles for tile in run),
        other_core_cycles=sum(tile.other_core_cycles for tile in run),
        waiting_core_cycles=sum(tile.waiting_core_cycles for tile in run),
        read_bytes=sum(transfer.size_bytes for transfer in moved if transfer.direction == "read"),
        written_bytes=sum(transfer.size_bytes for transfer in moved if transfer.direction == "write"),
        bytes_of_tensor=tuple(sorted(by_tensor.items())),
    )


@given(programs())
def test_all_that_moves_is_read_or_written(program: Program) -> None:
    """Bytes moved are bytes read and written, and those of all tensors together."""
    work = program.work
    assert work.moved_bytes == work.read_bytes + work.written_bytes
    assert work.moved_bytes == sum(size_bytes for _, size_bytes in work.bytes_of_tensor)


def test_a_description_does_not_grow_with_what_it_describes() -> None:
    """A program of 10^12 tiles is made, checked and added up at once."""
    step: Step = Tile(transfers=(READ,), compute_core_cycles=3)
    for _ in range(4):
        step = Repeat(rounds=1000, body=(step,))
    assert running(step).work.tiles == 10**12
    assert running(step).work.read_bytes == 8 * 10**12


@given(transfers())
def test_a_transfer_touches_its_runs(transfer: Transfer) -> None:
    """Size and end of a transfer are those of the bytes that its runs touch, each of them once."""
    touched = [
        transfer.offset_bytes + run * transfer.stride_bytes + byte
        for run in range(transfer.runs)
        for byte in range(transfer.run_bytes)
    ]
    assert len(set(touched)) == transfer.size_bytes
    assert max(touched) + 1 == transfer.end_bytes


@given(gathers())
def test_a_gather_touches_its_runs(gather: Gather) -> None:
    """Size and end of a gather are those of its runs, and a list of equal runs is an equal gather."""
    touched = [byte for offset, size in gather.runs.tolist() for byte in range(offset, offset + size)]
    assert len(touched) == gather.size_bytes
    assert max(touched) + 1 == gather.end_bytes
    again = attrs.evolve(gather, packed_runs=gather.runs.copy().tobytes())
    assert again == gather
    assert hash(again) == hash(gather)


@pytest.mark.parametrize(("offset_bytes", "run_bytes"), [(-1, 4), (0, 0)])
def test_a_gather_of_nothing_is_refused(offset_bytes: int, run_bytes: int) -> None:
    """Each run begins inside its tensor and has a byte."""
    with pytest.raises(InvariantError, match="gather of weights"):
        Gather.of(
            tensor="weights",
            buffer="left",
            direction="read",
            offsets_bytes=np.array([0, offset_bytes]),
            run_bytes=np.array([4, run_bytes]),
        )


@given(st.integers(1, 8), st.integers(1, 3), st.integers(0, 10))
def test_runs_never_overlap(run_bytes: int, runs: int, stride_bytes: int) -> None:
    """Several runs lie at least their own length apart, or the transfer is refused."""
    change: dict[str, Any] = {"run_bytes": run_bytes, "runs": runs, "stride_bytes": stride_bytes}
    if runs == 1 or stride_bytes >= run_bytes:
        assert attrs.evolve(READ, **change).size_bytes == run_bytes * runs
        return
    with pytest.raises(InvariantError, match=f"overlap at a stride of {stride_bytes}") as refusal:
        attrs.evolve(READ, **change)
    assert refusal.value.where == "transfer of weights"


@given(programs())
def test_equal_programs_are_one_key(program: Program) -> None:
    """Programs made alike compare and hash equal, so that what repeats may be computed once."""
    again = copy.deepcopy(program)
    assert again == program
    assert again is not program
    assert hash(again) == hash(program)


@given(programs())
def test_a_change_makes_another_program(program: Program) -> None:
    """Programs that differ in a step, a clock or the requests in flight are different keys."""
    changes: list[dict[str, Any]] = [
        {"steps": (*program.steps, Tile())},
        {"core_clock_hz": program.core_clock_hz + 1},
        {"window_requests": (program.window_requests or 0) + 1},
    ]
    assert len({program, *(attrs.evolve(program, **change) for change in changes)}) == 4


# --- what is refused ------------------------------------------------------------------------------


@given(st.lists(steps(), min_size=1, max_size=3).map(tuple), st.data())
def test_addresses_stay_inside_iff_every_tile_does(described: tuple[Step, ...], data: st.DataObject) -> None:
    """A program is refused iff some tile, run in its turn, would leave its tensor."""
    needed = tensor_sizes_bytes(described)
    sizes = {
        name: max(1, size + data.draw(st.sampled_from([0, 0, 0, -1, 1]))) for name, size in needed.items()
    }
    tensors = tuple(
        Tensor(name=name, base_bytes=index * 10**6, size_bytes=size)
        for index, (name, size) in enumerate(sizes.items())
    )
    buffers = tuple(Buffer(name=name, slot_bytes=10**6, slots=1) for name in ("left", "right"))
    change: dict[str, Any] = {"tensors": tensors, "buffers": buffers, "steps": described}
    if all(sizes[name] >= size for name, size in needed.items()):
        assert attrs.evolve(PROGRAM, **change).tensors == tensors
        return
    with pytest.raises(InvariantError, match=r"a transfer ends \d+ bytes into tensor") as refusal:
        attrs.evolve(PROGRAM, **change)
    assert refusal.value.where == "program mlp"


def nested(outer_step_bytes: int) -> Repeat:
    """Three rounds of two that advance together; the last of 8 bytes ends at 2 x outer + 1 x 10 + 8."""
    inner = Repeat(
        rounds=2,
        body=(Tile(transfers=(READ,)),),
        advances=(Advance(tensor="weights", step_bytes=4), Advance(tensor="weights", step_bytes=6)),
    )
    advance = Advance(tensor="weights", step_bytes=outer_step_bytes)
    return Repeat(rounds=3, body=(inner,), advances=(advance,))


def test_nested_repetitions_push_together() -> None:
    """Advances of inner and outer repetitions add up: the last of 64 bytes may be touched, none after it."""
    assert tensor_sizes_bytes([nested(23)]) == {"weights": 64, "inputs": 1, "outputs": 1}
    assert running(nested(23)).work.read_bytes == 6 * 8
    with pytest.raises(InvariantError, match="ends 66 bytes into tensor weights of 64 bytes"):
        running(nested(24))


@given(st.lists(st.tuples(st.sampled_from(["read", "write"]), st.integers(1, 16)), max_size=4))
def test_what_a_tile_moves_fits_a_slot(moved: list[tuple[Any, int]]) -> None:
    """All that one tile reads into a buffer fits one slot together, and so does all it writes from it."""
    tile = Tile(
        transfers=tuple(attrs.evolve(READ, direction=direction, run_bytes=size) for direction, size in moved)
    )
    filled = {side: sum(size for direction, size in moved if direction == side) for side in ("read", "write")}
    if max(filled.values()) <= 16:
        assert running(tile).work.moved_bytes == sum(filled.values())
        return
    with pytest.raises(InvariantError, match="do not fit a slot of 16 bytes") as refusal:
        running(tile)
    assert refusal.value.where == "program mlp, buffer left"


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=4))
def test_tensors_do_not_overlap(regions: list[tuple[int, int]]) -> None:
    """Tensors are refused iff two of them share a byte, in whatever order they are declared."""
    tensors = tuple(
        Tensor(name=f"t{index}", base_bytes=base, size_bytes=size)
        for index, (base, size) in enumerate(regions)
    )
    touched = Counter(byte for tensor in tensors for byte in range(tensor.base_bytes, tensor.end_bytes))
    if max(touched.values(), default=0) <= 1:
        assert attrs.evolve(PROGRAM, tensors=tensors, steps=()).tensors == tensors
        return
    with pytest.raises(InvariantError, match="overlap"):
        attrs.evolve(PROGRAM, tensors=tensors, steps=())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"tensors": (*PROGRAM.tensors, Tensor(name="weights", base_bytes=64, size_bytes=1))},
            "two tensors share a name",
        ),
        (
            {"buffers": (*PROGRAM.buffers, Buffer(name="left", slot_bytes=1, slots=1))},
            "two buffers share a name",
        ),
        ({"tensors": ()}, "undeclared tensor 'weights'"),
        ({"buffers": ()}, "undeclared .* buffer 'left'"),
        (
            {
                "steps": (
                    Repeat(rounds=2, body=(Tile(),), advances=(Advance(tensor="wieghts", step_bytes=1),)),
                )
            },
            "undeclared tensor 'wieghts'",
        ),
        (
            {
                "steps": (
                    Repeat(
                        rounds=1,
                        body=(
                            Repeat(rounds=1, body=(Tile(),), advances=(Advance(tensor="x", step_bytes=0),)),
                        ),
                    ),
                )
            },
            "undeclared tensor 'x'",
        ),
    ],
)
def test_names_are_declared_once(change: dict[str, Any], problem: str) -> None:
    """What a step or an advance names is declared, and each name stands for one thing."""
    with pytest.raises(InvariantError, match=problem) as refusal:
        attrs.evolve(PROGRAM, **change)
    assert refusal.value.where == "program mlp"


@pytest.mark.parametrize(
    ("kind", "fields", "bad"),
    [
        (Tensor, {"name": "t", "base_bytes": 0, "size_bytes": 1}, {"base_bytes": -1, "size_bytes": 0}),
        (Buffer, {"name": "b", "slot_bytes": 1, "slots": 1}, {"slot_bytes": 0, "slots": 0}),
        (Tile, {}, {"compute_core_cycles": -1, "other_core_cycles": -1, "waiting_core_cycles": -1}),
        (Advance, {"tensor": "t", "step_bytes": 0}, {"step_bytes": -1}),
        (Repeat, {"rounds": 1, "body": (Tile(),)}, {"rounds": 0, "body": ()}),
        (
            Transfer,
            attrs.asdict(READ),
            {"direction": "copy", "offset_bytes": -1, "run_bytes": 0, "runs": 0, "stride_bytes": -1},
        ),
        (Program, attrs.asdict(PROGRAM, recurse=False), {"core_clock_hz": 0, "window_requests": 0}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_senseless_numbers_are_refused(kind: type, fields: dict[str, Any], bad: dict[str, Any]) -> None:
    """Nothing is empty that must hold something, nor negative; the refusal names the field."""
    assert kind(**fields) == kind(**fields)
    for name, value in bad.items():
        with pytest.raises(ValueError, match=name):
            kind(**(fields | {name: value}))
