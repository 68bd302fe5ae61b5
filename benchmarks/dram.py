"""How fast DRAM is simulated, beside a fixed reference loop; what memory that takes; how soon it starts.

    python benchmarks/dram.py

Requests are replayed as a user would replay them, `SimulatedDram.replay(trace)`: addresses are decoded within
the time that is measured; reading a trace from disk is not. One channel of gddr6-14000, one thread, compiled
before the clock starts. Machines differ and are shared: requests per million steps of the reference loop,
timed next to each replay, can be compared between machines; requests a second cannot.

Fails when the first use or a later one takes longer than it may.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numba
import numpy as np
from attrs import evolve

from colfw.dram.requests import Trace
from colfw.program import Advance, Buffer, Program, Repeat, Tensor, Tile, Transfer
from colfw_memory.backend import SimulatedDram
from colfw_memory.config import DramConfig
from colfw_memory.standards import GDDR6_14000, GDDR6_PAPER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from colfw.timing import Timing

REQUESTS = 400_000
ROUNDS = 9
SEED = 1

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "dram"
GOLDEN_CONFIG = "gddr6-14000-16gb-x16"

SEQUENTIAL, RANDOM = "sequential reads", "random, 70 % reads"
RAMULATOR_PER_SECOND = {SEQUENTIAL: 357_000, RANDOM: 108_000}
"""Ramulator 2.1, the same two streams, on the machine of the golden runs (`tests/golden/dram/README.md`)."""

FIRST_USE_LIMIT_SECONDS = 20.0
LATER_LIMIT_SECONDS = 1.0


# --- the reference --------------------------------------------------------------------------------

STEPS = 4_000_000
TABLE = (np.arange(4096, dtype=np.uint64) * np.uint64(2654435761)) % np.uint64(65521)


def look_ups(table: NDArray[np.uint64], steps: int) -> np.uint64:
    """Each waits for the one before. Never change it: figures of years are compared through it."""
    x = np.uint64(1)
    for step in range(steps):
        x = table[x & np.uint64(4095)] ^ ((x >> np.uint64(3)) + np.uint64(step))
    return x


reference: Callable[..., Any] = numba.njit(look_ups)


def seconds(action: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - began


# --- open loop ------------------------------------------------------------------------------------


def streams(dram: SimulatedDram) -> Iterator[tuple[str, Trace]]:
    """The two of the golden README, and every golden pattern repeated to the same length."""
    device = dram.device
    reads = np.zeros(REQUESTS, np.uint8)
    yield SEQUENTIAL, Trace(is_write=reads, address=np.arange(REQUESTS, dtype=np.int64) * device.burst_bytes)
    draw = np.random.default_rng(SEED)
    bursts = draw.integers(0, device.channel_bytes // device.burst_bytes, REQUESTS)
    writes = (draw.random(REQUESTS) >= 0.7).astype(np.uint8)
    yield RANDOM, Trace(is_write=writes, address=bursts * device.burst_bytes)
    start = f"{GOLDEN_CONFIG}.ch1."
    for path in sorted(GOLDEN.glob(f"{start}*.npz")):
        pattern = path.stem.removeprefix(start)
        if "." in pattern:
            continue  # the same requests, other options of the controller
        with np.load(path) as golden:
            is_write, address = golden["is_write"], golden["address"]
        trace = Trace(is_write=np.resize(is_write, REQUESTS), address=np.resize(address, REQUESTS))
        yield f"golden {pattern}", trace


def open_loop() -> None:
    """Replays and the reference in turn, so that a slow moment of the machine meets both."""
    dram = SimulatedDram(GDDR6_14000, None)
    traces = dict(streams(dram))
    reference(TABLE, 1)
    dram.replay(next(iter(traces.values())))
    taken: dict[str, list[float]] = {name: [] for name in traces}
    per_step: dict[str, list[float]] = {name: [] for name in traces}
    steps: list[float] = []
    for _ in range(ROUNDS):
        for name, trace in traces.items():
            steps.append(seconds(reference, TABLE, STEPS) / STEPS)
            taken[name].append(seconds(dram.replay, trace))
            per_step[name].append(REQUESTS * steps[-1] / taken[name][-1])
    print(f"{REQUESTS:,} requests, {GDDR6_14000.name}, one channel, one thread, decoding included")
    print(f"medians of {ROUNDS} rounds; a step of the reference loop takes {median(steps) * 1e9:.2f} ns")
    print(f"{'stream':<22} {'requests/s':>14} {'a million steps':>16}")
    for name in traces:
        per_second = REQUESTS / median(taken[name])
        per_million = median(per_step[name]) * 1e6
        print(f"{name:<22} {per_second:>14,.0f} {per_million:>16,.0f}{_beside(name, per_second)}")
    print("Ramulator 2.1 ran on another machine: the golden README has its figures and how they were taken.")


def _beside(name: str, per_second: float) -> str:
    if name not in RAMULATOR_PER_SECOND:
        return ""
    theirs = RAMULATOR_PER_SECOND[name]
    return f"   {per_second / theirs:.0f} times the {theirs:,} of Ramulator 2.1"


# --- closed loop ----------------------------------------------------------------------------------

WEIGHT_BYTES = 1152 * 4608
TILE_BYTES = 65_536
CORE_HZ = 800_000_000


def sequential_read(size_bytes: int) -> Program:
    """One stream in tiles, without computation."""
    return Program(
        name="sequential read",
        core_clock_hz=CORE_HZ,
        tensors=(Tensor(name="data", base_bytes=0, size_bytes=size_bytes),),
        buffers=(Buffer(name="in", slot_bytes=TILE_BYTES, slots=2),),
        steps=(_tiles_of("data", size_bytes, 0),),
        window_requests=16,
    )


def feed_forward(row_tiles: int) -> Program:
    """The dense FFN of a transformer: inputs, both matrices read anew for each 16 rows, hidden and output."""
    inputs, hidden = 16 * 1152, 16 * 4608
    sizes = {
        "inputs": row_tiles * inputs,
        "up": WEIGHT_BYTES,
        "hidden": row_tiles * hidden,
        "down": WEIGHT_BYTES,
        "outputs": row_tiles * inputs,
    }
    bases = np.cumsum([0, *sizes.values()])
    moving = {"inputs": inputs, "hidden": hidden, "outputs": inputs}
    row_tile = (
        _tile("inputs", "in", "read", inputs),
        _tiles_of("up", WEIGHT_BYTES, 256),
        _tile("hidden", "out", "write", hidden),
        _tile("hidden", "in", "read", hidden),
        _tiles_of("down", WEIGHT_BYTES, 256),
        _tile("outputs", "out", "write", inputs),
    )
    return Program(
        name="feed-forward",
        core_clock_hz=CORE_HZ,
        tensors=tuple(
            Tensor(name=name, base_bytes=int(base), size_bytes=size)
            for (name, size), base in zip(sizes.items(), bases, strict=False)
        ),
        buffers=tuple(Buffer(name=name, slot_bytes=hidden, slots=2) for name in ("in", "out")),
        steps=(
            Repeat(
                rounds=row_tiles,
                body=row_tile,
                advances=tuple(Advance(tensor=name, step_bytes=step) for name, step in moving.items()),
            ),
        ),
    )


def _tile(tensor: str, buffer: str, direction: Literal["read", "write"], size_bytes: int) -> Tile:
    move = Transfer(tensor=tensor, buffer=buffer, direction=direction, offset_bytes=0, run_bytes=size_bytes)
    return Tile(transfers=(move,))


def _tiles_of(tensor: str, size_bytes: int, cycles: int) -> Repeat:
    load = evolve(_tile(tensor, "in", "read", TILE_BYTES), compute_core_cycles=cycles)
    step = Advance(tensor=tensor, step_bytes=TILE_BYTES)
    return Repeat(rounds=size_bytes // TILE_BYTES, body=(load,), advances=(step,))


def closed_loop() -> None:
    """Programs on gddr6-paper with refresh, with and without skipping what recurs; then a long one."""
    print(f"\n{'closed loop':24} {'bursts':>13} {'skipping':>10} {'without':>10} {'faster':>7}  bursts/s")
    for program in (sequential_read(1 << 27), feed_forward(10), feed_forward(100)):
        _run(feed_forward(1), skip=True)
        _run(feed_forward(1), skip=False)
        skipping, timing = _run(program, skip=True)
        without, same = _run(program, skip=False)
        assert timing == same
        faster = f"{without / skipping:7.1f}"
        bursts = timing.accesses
        print(
            f"{program.name:24} {bursts:13,} {skipping:8.2f} s {without:8.2f} s {faster}"
            f"  {bursts / skipping:,.0f}"
        )
    for program in (sequential_read(12 << 30), feed_forward(6000)):
        skipping, timing = _run(program, skip=True)
        bursts = timing.accesses
        print(f"{program.name:24} {bursts:13,} {skipping:8.2f} s {'':10} {'':7}  {bursts / skipping:,.0f}")


def _run(program: Program, *, skip: bool) -> tuple[float, Timing]:
    """How long a program takes on a memory that remembers nothing yet, and what comes out."""
    dram = SimulatedDram(GDDR6_PAPER, DramConfig(skip_repetition=skip))
    start = time.perf_counter()
    timing = dram.run(program)
    return time.perf_counter() - start, timing


# --- memory ---------------------------------------------------------------------------------------

# The kernel's own account of the peak: what getrusage says of a child includes its parent's.
PEAKS = """
import sys
import numpy as np
from colfw.dram.requests import Trace
from colfw_memory.backend import SimulatedDram
from colfw_memory.standards import GDDR6_14000

def peak_kib():
    with open("/proc/self/status") as status:
        return next(line.split()[1] for line in status if line.startswith("VmHWM"))

def trace(requests):
    address = np.arange(requests) % (1 << 25) * 32
    return Trace(is_write=np.zeros(requests, np.uint8), address=address)

dram = SimulatedDram(GDDR6_14000, None)
dram.replay(trace(1000))
wanted = trace(int(sys.argv[1]))
before = peak_kib()
dram.replay(wanted)
print(before, peak_kib())
"""


def memory() -> None:
    """The peak of a process before and after a replay, and after one ten times as long."""
    if not Path("/proc/self/status").exists():
        print("memory: not measured, for this system has no /proc")
        return
    print(f"{'requests':>12} {'peak before':>14} {'after':>12} {'more, a request':>18}")
    for requests in (REQUESTS, 10 * REQUESTS):
        found = subprocess.run(
            [sys.executable, "-c", PEAKS, str(requests)], check=True, capture_output=True, text=True
        )
        before, after = (int(kib) for kib in found.stdout.split())
        more = (after - before) * 1024 / requests
        print(f"{requests:>12,} {before / 1024:>10,.1f} MiB {after / 1024:>8,.1f} MiB {more:>12,.1f} bytes")
    print("'before' holds the trace, 9 bytes a request; what comes on top is the decoded trace.")


# --- start-up -------------------------------------------------------------------------------------

TINY = """
import numpy as np
from colfw.dram.requests import Trace
from colfw_memory.backend import SimulatedDram
from colfw_memory.standards import GDDR6_14000

trace = Trace(is_write=np.zeros(4, np.uint8), address=np.arange(4) * 32)
SimulatedDram(GDDR6_14000, None).replay(trace)
"""


def start_up() -> list[str]:
    """A process that imports and replays four requests: nothing compiled yet, and from the cache."""
    with TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}

        def run(code: str) -> None:
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)

        cold = seconds(run, TINY)
        warm, bare = [], []
        for _ in range(ROUNDS):
            warm.append(seconds(run, TINY))
            bare.append(seconds(run, "import numba"))
    print(f"first use, compiling  {cold:>7.2f} s")
    print(f"later, from the cache {median(warm):>7.2f} s   of which import numba takes {median(bare):.2f} s")
    limits = {"first use": (cold, FIRST_USE_LIMIT_SECONDS), "later use": (median(warm), LATER_LIMIT_SECONDS)}
    return [
        f"{what} takes {took:.2f} s; it may take {limit} s"
        for what, (took, limit) in limits.items()
        if took >= limit
    ]


def main() -> int:
    slow = start_up()
    print()
    open_loop()
    closed_loop()
    print()
    memory()
    for line in slow:
        print(line)
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
