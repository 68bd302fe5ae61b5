"""What skipping saves where layers recur: a feed-forward network's programs with and without, and the curve.

    python benchmarks/skipping.py

A program is a layer in one iteration, lowered as an accelerator with buffers of 24 and 192 KiB does it: for
each tile of 16 rows inputs come in, all weights that are hot stream past, hidden values go out and come back,
outputs go out. In each iteration other hidden units are cold, so that no two programs are the same. Machines
differ and are shared: ratios can be compared between machines, seconds cannot. Seconds are those of the
processor, of `SimulatedDram.run` alone.

Fails when a result differs between the two ways.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from colfw.program import Advance, Buffer, Gather, Program, Repeat, Tensor, Tile, Transfer
from colfw_memory.backend import SimulatedDram
from colfw_memory.config import DramConfig, Refresh, Writes
from colfw_memory.standards import GDDR6_PAPER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from numpy.typing import NDArray

    from colfw.timing import Timing

SEED = 1
KIB = 1024
ROW_TILE = 16
ELEMENT_BYTES = 2
ACTIVATION_SLOT_BYTES, WEIGHT_SLOT_BYTES = 24 * KIB, 192 * KIB
CORE_HZ = 800_000_000


@frozen(kw_only=True)
class Machine:
    """A memory, and what of the accelerator matters to it."""

    memory: DramConfig
    window_requests: int | None
    alignment_bytes: int
    """Tensors, and inputs and outputs of each row tile, begin at multiples of it: one rotation of banks, or
    packed."""
    units_of_a_tile: int | None = None
    """Hidden units whose weights are loaded together; as many as a slot holds if not given."""


MACHINES = {
    "window 16, no refresh": Machine(
        memory=DramConfig(channels=4, refresh=Refresh.NONE, writes=Writes.READ_LATENCY),
        window_requests=16,
        alignment_bytes=512 * KIB,
        units_of_a_tile=16,
    ),
    "postponed refresh": Machine(
        memory=DramConfig(refresh=Refresh.POSTPONED), window_requests=None, alignment_bytes=768 * KIB
    ),
    "refresh at once": Machine(memory=DramConfig(), window_requests=None, alignment_bytes=768 * KIB),
    "refresh at once, packed": Machine(memory=DramConfig(), window_requests=None, alignment_bytes=1),
}
CURVE_OF = ("window 16, no refresh", "postponed refresh")


@frozen(kw_only=True)
class Layer:
    """A feed-forward network: rows, model width, hidden units."""

    rows: int
    width: int
    hidden: int


LAYERS = {
    "DiT": Layer(rows=256, width=1152, hidden=4608),
    "SD, first": Layer(rows=4096, width=320, hidden=1280),
    "EDGE": Layer(rows=3300, width=512, hidden=1024),
    "MLD": Layer(rows=6, width=256, hidden=1024),
}


# --- programs -------------------------------------------------------------------------------------


def program_of(layer: Layer, hot: NDArray[np.int64], machine: Machine) -> Program:
    """The layer in an iteration in which these hidden units are hot."""
    unit_bytes = ELEMENT_BYTES * layer.width
    rows_bytes = ROW_TILE * unit_bytes
    step_bytes = -(-rows_bytes // machine.alignment_bytes) * machine.alignment_bytes
    rounds = -(-layer.rows // ROW_TILE)
    hidden_bytes = ROW_TILE * ELEMENT_BYTES * hot.size
    at_once = machine.units_of_a_tile or WEIGHT_SLOT_BYTES // unit_bytes
    body = (
        *_activations("inputs", "in", "read", rows_bytes),
        *_weights("up", hot, unit_bytes, at_once),
        *_activations("hidden", "out", "write", hidden_bytes),
        *_activations("hidden", "in", "read", hidden_bytes),
        *_weights("down", hot, unit_bytes, at_once),
        *_activations("outputs", "out", "write", rows_bytes),
    )
    sizes = {
        "inputs": rounds * step_bytes,
        "up": layer.hidden * unit_bytes,
        "hidden": ROW_TILE * ELEMENT_BYTES * layer.hidden,
        "down": layer.hidden * unit_bytes,
        "outputs": rounds * step_bytes,
    }
    # Tensors begin in a row of their own, too: those that advance share none with others.
    taken = [-(-size // machine.alignment_bytes) * machine.alignment_bytes for size in sizes.values()]
    bases = np.cumsum([0, *taken]).tolist()
    moving = tuple(Advance(tensor=name, step_bytes=step_bytes) for name in ("inputs", "outputs"))
    return Program(
        name="feed-forward",
        core_clock_hz=CORE_HZ,
        tensors=tuple(
            Tensor(name=name, base_bytes=base, size_bytes=size)
            for (name, size), base in zip(sizes.items(), bases, strict=False)
        ),
        buffers=(
            Buffer(name="in", slot_bytes=ACTIVATION_SLOT_BYTES, slots=2),
            Buffer(name="weights", slot_bytes=WEIGHT_SLOT_BYTES, slots=3),
            Buffer(name="out", slot_bytes=ACTIVATION_SLOT_BYTES, slots=2),
        ),
        steps=(Repeat(rounds=rounds, body=body, advances=moving),),
        window_requests=machine.window_requests,
    )


def _activations(
    tensor: str, buffer: str, direction: Literal["read", "write"], size_bytes: int
) -> Iterator[Tile]:
    for begin in range(0, size_bytes, ACTIVATION_SLOT_BYTES):
        part_bytes = min(ACTIVATION_SLOT_BYTES, size_bytes - begin)
        move = Transfer(
            tensor=tensor, buffer=buffer, direction=direction, offset_bytes=begin, run_bytes=part_bytes
        )
        yield Tile(transfers=(move,))


def _weights(tensor: str, hot: NDArray[np.int64], unit_bytes: int, at_once: int) -> Iterator[Tile]:
    """A systolic array of 16 x 16 x 16 takes as many core cycles as it has tiles to take."""
    for units in np.split(hot, range(at_once, hot.size, at_once)):
        runs = np.split(units, np.flatnonzero(np.diff(units) != 1) + 1)
        load = Gather.of(
            tensor=tensor,
            buffer="weights",
            direction="read",
            offsets_bytes=np.array([run[0] for run in runs]) * unit_bytes,
            run_bytes=np.array([run.size for run in runs]) * unit_bytes,
        )
        cycles = -(-units.size // 16) * -(-unit_bytes // (16 * ELEMENT_BYTES))
        yield Tile(transfers=(load,), compute_core_cycles=cycles)


def dense(layer: Layer, count: int) -> list[NDArray[np.int64]]:
    return [np.arange(layer.hidden)] * count


def scattered(layer: Layer, count: int) -> list[NDArray[np.int64]]:
    """17 % of the hidden units are cold, others in each iteration."""
    draw = np.random.default_rng(SEED)
    return [np.flatnonzero(draw.random(layer.hidden) >= 0.17) for _ in range(count)]


def hot_first(layer: Layer, count: int) -> list[NDArray[np.int64]]:
    """The first 70 % are always hot, and a tenth of the others, scattered, others in each iteration."""
    draw = np.random.default_rng(SEED)
    first = int(0.7 * layer.hidden)
    behind = [first + np.flatnonzero(draw.random(layer.hidden - first) < 0.1) for _ in range(count)]
    return [np.concatenate((np.arange(first), few)) for few in behind]


MASKS = {"dense": dense, "17 % cold, scattered": scattered, "hot first, stragglers": hot_first}


# --- measuring ------------------------------------------------------------------------------------


def run(dram: SimulatedDram, program: Program) -> tuple[float, Timing]:
    start = time.process_time()
    timing = dram.run(program)
    return time.process_time() - start, timing


def memory_of(machine: Machine, *, skip: bool) -> SimulatedDram:
    """Compiled, and remembering nothing of what is measured."""
    dram = SimulatedDram(GDDR6_PAPER, evolve(machine.memory, skip_repetition=skip))
    tiny = Layer(rows=16, width=64, hidden=64)
    dram.run(program_of(tiny, np.arange(64), machine))
    return dram


def with_and_without(iterations: int) -> bool:
    """All layers, one after the other on one memory; the first iteration of each is also run without."""
    same = True
    print(f"{'':24} {'':11} {'':22} {'a program, ms':^26} {'bursts':>9}")
    print(
        f"{'machine':24} {'layer':11} {'mask':22} {'without':>8} {'first':>8} {'later':>8} {'/s, later':>9}"
    )
    for machine_name, machine in MACHINES.items():
        skipping, plain = memory_of(machine, skip=True), memory_of(machine, skip=False)
        for layer_name, layer in LAYERS.items():
            for mask_name, masks in MASKS.items():
                programs = [program_of(layer, hot, machine) for hot in masks(layer, iterations)]
                without, expected = run(plain, programs[0])
                runs = [run(skipping, program) for program in programs]
                same = same and runs[0][1] == expected
                later = sum(seconds for seconds, _ in runs[1:]) / (iterations - 1)
                bursts = runs[-1][1].accesses / later
                print(
                    f"{machine_name:24} {layer_name:11} {mask_name:22} {without * 1e3:8.0f}"
                    f" {runs[0][0] * 1e3:8.1f} {later * 1e3:8.1f} {bursts / 1e6:7,.0f} M"
                )
    return same


def curve() -> None:
    """How the cost of some programs grows with each of what makes a study large."""
    base = Layer(rows=1024, width=512, hidden=1024)
    grown = {
        "rows": [(evolve(base, rows=rows), 4) for rows in (256, 1024, 4096, 16384, 65536)],
        "hidden units": [(evolve(base, hidden=hidden), 4) for hidden in (512, 1024, 2048, 4096)],
        "programs": [(base, count) for count in (1, 4, 16, 64)],
    }
    for name in CURVE_OF:
        print(f"\n{name}: stragglers behind a hot region, on an empty memory")
        print(
            f"{'growing':14} {'rows':>6} {'hidden':>6} {'programs':>8} {'bursts':>14} {'seconds':>8}     M/s"
        )
        for what, points in grown.items():
            for layer, count in points:
                dram = memory_of(MACHINES[name], skip=True)
                programs = [program_of(layer, hot, MACHINES[name]) for hot in hot_first(layer, count)]
                runs = [run(dram, program) for program in programs]
                seconds = sum(taken for taken, _ in runs)
                bursts = sum(timing.accesses for _, timing in runs)
                print(
                    f"{what:14} {layer.rows:6} {layer.hidden:6} {count:8} {bursts:14,} {seconds:8.3f}"
                    f" {bursts / seconds / 1e6:7,.0f}"
                )


def main() -> int:
    same = with_and_without(iterations=8)
    curve()
    if not same:
        print("skipping has changed a result")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
