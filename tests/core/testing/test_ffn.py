"""The network that runs as a program says: a right program passes, and every way to be wrong is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve

from colfw.addresses import WeightMap
from colfw.program import Advance, Buffer, Program, Repeat, Tensor, Tile, Transfer
from colfw.sites import Ffn, Site
from colfw.testing.contracts import MemoryContract
from colfw.testing.ffn import FfnError, Network, Storage, expected, run_ffn
from colfw.testing.ideal_memory import IdealMemory

if TYPE_CHECKING:
    from colfw.protocols import Memory

SITE = Site(name="mlp", rows=4, columns=6, operator=Ffn(d_in=2, d_out=4, gated=True))
STORAGE = Storage(row_tile=2, weight_alignment_bytes=2)
HOT = np.ones(6, np.bool_)


def moved(tensor: str, direction: str, size: int, *, offset: int = 0) -> Transfer:
    buffers = {"input": "in", "hidden": "in" if direction == "read" else "out", "output": "out"}
    return Transfer(
        tensor=tensor,
        buffer=buffers.get(tensor, "weight"),
        direction=direction,
        offset_bytes=offset,
        run_bytes=size,
    )


LOAD = Tile(transfers=(moved("input", "read", 8),))
LEAD_IN = Tile(
    transfers=(moved("up", "read", 12), moved("gate", "read", 12), moved("hidden", "write", 12)),
)
LEAD_OUT = Tile(transfers=(moved("down", "read", 24), moved("hidden", "read", 12)))
STORE = Tile(transfers=(moved("output", "write", 16),))


def program(
    *, body: tuple[Tile | Repeat, ...] | None = None, slots: int = 2, output_step: int = 16
) -> Program:
    """Two row tiles of two rows; weights in two tiles of three units; nothing is larger than it must be."""
    halves = {"up": 12, "gate": 12, "down": 24, "hidden": 12}
    advances = tuple(Advance(tensor=name, step_bytes=step) for name, step in halves.items())
    whole = (
        LOAD,
        Repeat(rounds=2, body=(LEAD_IN,), advances=advances),
        Repeat(rounds=2, body=(LEAD_OUT,), advances=advances),
        STORE,
    )
    sizes = {"input": 16, "hidden": 24, "output": 32}
    weights = WeightMap.of(SITE, alignment_bytes=2).matrices
    tensors = [Tensor(name=m.name, base_bytes=m.base_bytes, size_bytes=m.size_bytes) for m in weights]
    for name, size in sizes.items():
        tensors.append(Tensor(name=name, base_bytes=tensors[-1].end_bytes, size_bytes=size))
    rows = (Advance(tensor="input", step_bytes=8), Advance(tensor="output", step_bytes=output_step))
    return Program(
        name="by hand",
        core_clock_hz=1,
        tensors=tuple(tensors),
        buffers=tuple(Buffer(name=name, slot_bytes=64, slots=slots) for name in ("in", "weight", "out")),
        steps=(Repeat(rounds=2, body=whole if body is None else body, advances=rows),),
    )


def without(tile: Tile, tensor: str) -> Tile:
    return evolve(tile, transfers=tuple(move for move in tile.transfers if move.tensor != tensor))


def test_a_right_program_computes_the_network() -> None:
    """Whole numbers, so exactly; cold units count for nothing though they are fetched."""
    network = Network.drawn(SITE, seed=3)
    for hot in (HOT, np.arange(6) < 4, np.zeros(6, np.bool_)):
        right = expected(network, hot, dense=False, reuses=False)
        assert np.array_equal(run_ffn(program(), network, STORAGE, hot).output, right.output)


@pytest.mark.parametrize("seed", range(3))
def test_the_network_is_the_formula(seed: int) -> None:
    """max(0, X Wu) times X Wg, times Wd."""
    network = Network.drawn(SITE, seed)
    up, gate, down = (network.weights[name] for name in ("up", "gate", "down"))
    hidden = np.maximum(network.inputs @ up.T, 0) * (network.inputs @ gate.T)
    assert np.array_equal(network.output(np.arange(6)), hidden @ down)


@pytest.mark.parametrize(
    ("tile", "tensor"),
    [(LOAD, "input"), (LEAD_IN, "up"), (LEAD_IN, "gate"), (LEAD_IN, "hidden"), (STORE, "output")],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_was_not_loaded_cannot_be_stored(tile: Tile, tensor: str) -> None:
    """A program that forgets inputs, weights or a store is refused with what is missing."""
    with pytest.raises(FfnError, match="stored"):
        run_ffn(_replaced(tile, without(tile, tensor)), Network.drawn(SITE, seed=0), STORAGE, HOT)


@pytest.mark.parametrize("tensor", ["down", "hidden"])
def test_what_was_not_read_back_does_not_count(tensor: str) -> None:
    """Without the weights that lead out, or without hidden values, outputs are wrong."""
    network = Network.drawn(SITE, seed=0)
    found = run_ffn(_replaced(LEAD_OUT, without(LEAD_OUT, tensor)), network, STORAGE, HOT)
    assert not np.array_equal(found.output, network.output(np.arange(6)))


def test_a_buffer_holds_as_many_loads_as_it_has_slots() -> None:
    """Inputs in two loads are lost if there is one slot."""
    parts = tuple(Tile(transfers=(moved("input", "read", 4, offset=offset),)) for offset in (0, 4))
    network = Network.drawn(SITE, seed=0)
    split = _replaced(LOAD, *parts)
    assert np.array_equal(run_ffn(split, network, STORAGE, HOT).output, network.output(np.arange(6)))
    short = evolve(split, buffers=tuple(evolve(buffer, slots=1) for buffer in split.buffers))
    with pytest.raises(FfnError, match="hidden values are stored"):
        run_ffn(short, network, STORAGE, HOT)


def test_outputs_stored_over_each_other_are_missed() -> None:
    """Every element must have been stored."""
    with pytest.raises(FfnError, match="8 elements of output were never stored"):
        run_ffn(program(output_step=0), Network.drawn(SITE, seed=0), STORAGE, HOT)


def _replaced(tile: Tile, *others: Tile) -> Program:
    """The program with other tiles in place of one."""
    [rows] = program().steps
    assert isinstance(rows, Repeat)
    body: list[Tile | Repeat] = []
    for step in rows.body:
        if step == tile:
            body += others
        elif isinstance(step, Repeat) and step.body == (tile,):
            body.append(evolve(step, body=others))
        else:
            body.append(step)
    return program(body=tuple(body))


class TestIdealMemory(MemoryContract):
    """The memory that anyone can check by hand is a memory."""

    @pytest.fixture
    def memory(self) -> Memory:
        return IdealMemory(bytes_per_clock=8)


def test_the_ideal_memory_can_be_checked_by_hand() -> None:
    """Load 64 bytes in 8 clocks, compute 5, load 8 more bytes meanwhile, compute 5, store 16 bytes in 2."""
    load, store = (
        Transfer(tensor="input", buffer="in", direction=direction, offset_bytes=0, run_bytes=size)
        for direction, size in (("read", 64), ("write", 16))
    )
    tiles = (
        Tile(transfers=(load,), compute_core_cycles=5),
        Tile(transfers=(evolve(load, run_bytes=8), store), compute_core_cycles=5),
    )
    described = Program(
        name="by hand",
        core_clock_hz=1_000,
        tensors=(Tensor(name="input", base_bytes=0, size_bytes=64),),
        buffers=(Buffer(name="in", slot_bytes=64, slots=2),),
        steps=tiles,
    )
    timing = IdealMemory(bytes_per_clock=8, clock_hz=1_000).run(described)
    assert timing.memory_cycles == 8 + 5 + 5 + 2
    assert timing.stall_core_cycles == 10
