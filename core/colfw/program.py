"""Programs: what an accelerator asks of its memory for one site in one iteration.

A program is described, not listed: tiles, strided transfers, compute times, buffer slots, and
repetition. A full study moves 10^11 bursts; nothing here grows with them, and equal programs compare
equal, so that what repeats exactly may be computed once, exactly.
"""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from attrs import evolve, field, frozen, validators

from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray


@frozen(kw_only=True)
class Tensor:
    """A region of DRAM that holds one tensor."""

    name: str
    base_bytes: int = field(validator=validators.ge(0))
    size_bytes: int = field(validator=validators.ge(1))

    @property
    def end_bytes(self) -> int:
        return self.base_bytes + self.size_bytes


@frozen(kw_only=True)
class Buffer:
    """An on-chip buffer: a transfer fills one slot while computation uses another."""

    name: str
    slot_bytes: int = field(validator=validators.ge(1))
    slots: int = field(validator=validators.ge(1))


@frozen(kw_only=True)
class Transfer:
    """`runs` runs of `run_bytes`, `stride_bytes` apart, between a tensor and a slot of a buffer."""

    tensor: str
    buffer: str
    direction: Literal["read", "write"] = field(validator=validators.in_(("read", "write")))
    offset_bytes: int = field(validator=validators.ge(0))
    run_bytes: int = field(validator=validators.ge(1))
    runs: int = field(default=1, validator=validators.ge(1))
    stride_bytes: int = field(default=0, validator=validators.ge(0))

    def __attrs_post_init__(self) -> None:
        if self.runs > 1 and self.stride_bytes < self.run_bytes:
            raise InvariantError(
                f"runs of {self.run_bytes} bytes overlap at a stride of {self.stride_bytes}",
                where=f"transfer of {self.tensor}",
            )

    @property
    def size_bytes(self) -> int:
        return self.run_bytes * self.runs

    @property
    def end_bytes(self) -> int:
        """One past the last byte touched, counted from the start of the tensor."""
        return self.offset_bytes + (self.runs - 1) * self.stride_bytes + self.run_bytes

    def moved_on(self, step_bytes: int) -> Transfer:
        """The same, so many bytes further into its tensor."""
        return evolve(self, offset_bytes=self.offset_bytes + step_bytes)

    @property
    def strided_runs(self) -> NDArray[np.int64]:
        """`[1, 4]`: offset, bytes of a run, how many runs, stride."""
        return np.array([[self.offset_bytes, self.run_bytes, self.runs, self.stride_bytes]], np.int64)


@frozen(kw_only=True)
class Gather:
    """Runs of any size anywhere in a tensor, in the order of a list, to or from a slot of a buffer.

    A layout may leave thousands of runs to a tile, so they are kept as the bytes of one array: gathers are
    made, compared and hashed at once.
    """

    tensor: str
    buffer: str
    direction: Literal["read", "write"] = field(validator=validators.in_(("read", "write")))
    packed_runs: bytes = field(validator=validators.min_len(16), repr=False)
    """Of an int64 array `[run, 2]`: offset and bytes of each run."""

    @classmethod
    def of(
        cls,
        *,
        tensor: str,
        buffer: str,
        direction: Literal["read", "write"],
        offsets_bytes: NDArray[np.int64],
        run_bytes: NDArray[np.int64],
    ) -> Gather:
        runs = np.column_stack((offsets_bytes, run_bytes)).astype(np.int64)
        return cls(tensor=tensor, buffer=buffer, direction=direction, packed_runs=runs.tobytes())

    def __attrs_post_init__(self) -> None:
        if self.runs.min() < 0 or not self.runs[:, 1].all():
            raise InvariantError(
                "runs must begin at 0 or later and have a byte or more", where=f"gather of {self.tensor}"
            )

    @cached_property
    def runs(self) -> NDArray[np.int64]:
        """`[run, 2]`: offset and bytes of each run."""
        return np.frombuffer(self.packed_runs, np.int64).reshape(-1, 2)

    @cached_property
    def size_bytes(self) -> int:
        return int(self.runs[:, 1].sum())

    @cached_property
    def end_bytes(self) -> int:
        """One past the last byte touched, counted from the start of the tensor."""
        return int(self.runs.sum(axis=1).max())

    def moved_on(self, step_bytes: int) -> Gather:
        """The same, so many bytes further into its tensor."""
        return evolve(self, packed_runs=(self.runs + np.array([step_bytes, 0])).tobytes())

    @property
    def strided_runs(self) -> NDArray[np.int64]:
        """`[run, 4]`: offset, bytes of a run, 1, 0."""
        runs = self.runs
        return np.column_stack((runs, np.ones(len(runs), np.int64), np.zeros(len(runs), np.int64)))


Move = Transfer | Gather


@frozen(kw_only=True)
class Tile:
    """One step of the machine: load, compute, store. Loads of the next tile may overlap its computation."""

    transfers: tuple[Move, ...] = ()
    compute_core_cycles: int = field(default=0, validator=validators.ge(0))
    other_core_cycles: int = field(default=0, validator=validators.ge(0))
    waiting_core_cycles: int = field(default=0, validator=validators.ge(0))
    """In which the array stands still for no want of data, as in a handshake: they count as stall."""

    @property
    def busy_core_cycles(self) -> int:
        """From the start of the tile's computation to its end."""
        return self.compute_core_cycles + self.other_core_cycles + self.waiting_core_cycles


@frozen(kw_only=True)
class Advance:
    """In each round of a repetition, offsets into `tensor` move on by `step_bytes`."""

    tensor: str
    step_bytes: int = field(validator=validators.ge(0))


@frozen(kw_only=True)
class Repeat:
    """`body`, `rounds` times over; offsets advance from round to round."""

    rounds: int = field(validator=validators.ge(1))
    body: tuple[Tile | Repeat, ...] = field(validator=validators.min_len(1))
    advances: tuple[Advance, ...] = ()

    def step_bytes(self, tensor: str) -> int:
        return sum(advance.step_bytes for advance in self.advances if advance.tensor == tensor)


Step = Tile | Repeat


@frozen(kw_only=True)
class Work:
    """What a program asks for in total, computed from its description without unrolling it."""

    tiles: int = 0
    compute_core_cycles: int = 0
    other_core_cycles: int = 0
    waiting_core_cycles: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    bytes_of_tensor: tuple[tuple[str, int], ...] = ()

    @property
    def moved_bytes(self) -> int:
        return self.read_bytes + self.written_bytes

    @property
    def busy_core_cycles(self) -> int:
        """What the tiles take one after the other when no data is ever late."""
        return self.compute_core_cycles + self.other_core_cycles + self.waiting_core_cycles


@frozen(kw_only=True)
class Program:
    """The traffic and computation of one site in one iteration.

    At most `window_requests` requests are in flight (None: no limit). All addresses stay inside the
    tensors, whatever the repetition, and what a tile moves into or out of a buffer fits one slot:
    both are checked here, once.
    """

    name: str
    core_clock_hz: int = field(validator=validators.ge(1))
    tensors: tuple[Tensor, ...]
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    window_requests: int | None = field(default=None, validator=validators.optional(validators.ge(1)))

    def __attrs_post_init__(self) -> None:
        self._check_tensors()
        self._check_buffers()
        buffers = {buffer.name: buffer for buffer in self.buffers}
        tensors = {tensor.name: tensor for tensor in self.tensors}
        for tile, reach in _tiles_with_reach(self.steps):
            self._check_tile(tile, reach, tensors, buffers)

    def _check_tensors(self) -> None:
        ordered = sorted(self.tensors, key=lambda tensor: tensor.base_bytes)
        for left, right in itertools.pairwise(ordered):
            if left.end_bytes > right.base_bytes:
                raise InvariantError(
                    f"tensors {left.name} and {right.name} overlap", where=f"program {self.name}"
                )
        if len({tensor.name for tensor in self.tensors}) != len(self.tensors):
            raise InvariantError("two tensors share a name", where=f"program {self.name}")

    def _check_buffers(self) -> None:
        if len({buffer.name for buffer in self.buffers}) != len(self.buffers):
            raise InvariantError("two buffers share a name", where=f"program {self.name}")

    def _check_tile(
        self,
        tile: Tile,
        reach: Mapping[str, int],
        tensors: Mapping[str, Tensor],
        buffers: Mapping[str, Buffer],
    ) -> None:
        where = f"program {self.name}"
        if not reach.keys() <= tensors.keys():
            tensor = min(reach.keys() - tensors.keys())
            raise InvariantError(f"a repetition advances in undeclared tensor {tensor!r}", where=where)
        filled: dict[tuple[str, str], int] = {}
        for transfer in tile.transfers:
            if transfer.tensor not in tensors or transfer.buffer not in buffers:
                unknown = f"{transfer.tensor!r} or buffer {transfer.buffer!r}"
                raise InvariantError(f"undeclared tensor {unknown}", where=where)
            last_byte = transfer.end_bytes + reach.get(transfer.tensor, 0)
            if last_byte > tensors[transfer.tensor].size_bytes:
                raise InvariantError(
                    f"a transfer ends {last_byte} bytes into tensor {transfer.tensor}"
                    f" of {tensors[transfer.tensor].size_bytes} bytes",
                    where=where,
                )
            slot = transfer.buffer, transfer.direction
            filled[slot] = filled.get(slot, 0) + transfer.size_bytes
        for (buffer, direction), size_bytes in filled.items():
            if size_bytes > buffers[buffer].slot_bytes:
                raise InvariantError(
                    f"a tile's {direction}s of {size_bytes} bytes do not fit"
                    f" a slot of {buffers[buffer].slot_bytes} bytes",
                    where=f"{where}, buffer {buffer}",
                )

    @cached_property
    def work(self) -> Work:
        """Asked for by whoever runs the program, checks the answer, and reports it."""
        return _work_of(self.steps)


def _tiles_with_reach(
    steps: Iterable[Step], reach: Mapping[str, int] | None = None
) -> Iterator[tuple[Tile, dict[str, int]]]:
    """Each described tile once, with how far the surrounding repetitions push each tensor's offsets."""
    reach = dict(reach or {})
    for step in steps:
        if isinstance(step, Tile):
            yield step, reach
        else:
            deeper = dict(reach)
            for tensor in {advance.tensor for advance in step.advances}:
                pushed = (step.rounds - 1) * step.step_bytes(tensor)
                deeper[tensor] = deeper.get(tensor, 0) + pushed
            yield from _tiles_with_reach(step.body, deeper)


def _tiles_with_times(steps: Iterable[Step], times: int = 1) -> Iterator[tuple[Tile, int]]:
    """Each described tile once, with how often the surrounding repetitions have it run."""
    for step in steps:
        if isinstance(step, Tile):
            yield step, times
        else:
            yield from _tiles_with_times(step.body, times * step.rounds)


def _work_of(steps: Iterable[Step]) -> Work:
    tiles = compute = other = waiting = 0
    of_direction = {"read": 0, "write": 0}
    of_tensor: Counter[str] = Counter()
    for tile, times in _tiles_with_times(steps):
        tiles += times
        compute += times * tile.compute_core_cycles
        other += times * tile.other_core_cycles
        waiting += times * tile.waiting_core_cycles
        for move in tile.transfers:
            of_direction[move.direction] += times * move.size_bytes
            of_tensor[move.tensor] += times * move.size_bytes
    return Work(
        tiles=tiles,
        compute_core_cycles=compute,
        other_core_cycles=other,
        waiting_core_cycles=waiting,
        read_bytes=of_direction["read"],
        written_bytes=of_direction["write"],
        bytes_of_tensor=tuple(sorted(of_tensor.items())),
    )
