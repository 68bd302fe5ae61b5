"""A program as one flat array that compiled code walks through, repetition and all.

Instructions are tiles, and the beginnings and ends of repetitions; nothing is unrolled. Tiles name their
transfers, and transfers their tensor and buffer, by number.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from colfw.errors import ColfwError
from colfw.program import Tile, Transfer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from colfw.program import Move, Program, Repeat, Step
    from colfw_memory.controller.words import Integers

# The head of the array: where each table begins.
TENSORS = 0  # how many
BUFFERS = 1
DEPTH = 2  # how deep repetitions nest
LEAD = 3  # tiles that loads may run ahead
TENSOR_BASE = 4
BUFFER_SLOTS = 5
CODE = 6
TILES = 7
TRANSFERS = 8
ADVANCES = 9
LISTS = 10
HEAD_WORDS = 16

# An instruction.
OP, ARGUMENT, ROUNDS, TARGET, FIRST_ADVANCE, END_ADVANCE = range(6)
INSTRUCTION_WORDS = 6
TILE, BEGIN, END, HALT = range(4)

# A tile: ranges of its transfers, its cycles, ranges of the buffers that it loads into and stores from, and
# of the tensors that it loads from.
FIRST_READ, END_READ, FIRST_WRITE, END_WRITE, CYCLES, FIRST_IN, END_IN, FIRST_OUT, END_OUT = range(9)
FIRST_FROM, END_FROM = 9, 10
TILE_WORDS = 11

# A transfer; the last flag says that it is its tile's last store from its buffer.
TENSOR, BUFFER, OFFSET, RUN_BYTES, RUNS, STRIDE, LAST_FROM_BUFFER = range(7)
TRANSFER_WORDS = 7

MAX_SLOTS = 62
"""Of one buffer: the kernel keeps apart the loads of so many tiles."""


class _Writer:
    """Lays out the tables of one program."""

    def __init__(self, program: Program) -> None:
        self.tensors = {tensor.name: number for number, tensor in enumerate(program.tensors)}
        self.buffers = {buffer.name: number for number, buffer in enumerate(program.buffers)}
        self.code: list[list[int]] = []
        self.tiles: list[list[int]] = []
        self.transfers: list[list[int]] = []
        self.advances: list[list[int]] = []
        self.lists: list[int] = []
        self.depth = 0

    def write_steps(self, steps: Iterable[Step], depth: int = 0) -> None:
        self.depth = max(self.depth, depth)
        for step in steps:
            if isinstance(step, Tile):
                self.code.append([TILE, len(self.tiles), 0, 0, 0, 0])
                self.tiles.append(self._tile(step))
            else:
                self._repeat(step, depth)

    def _repeat(self, step: Repeat, depth: int) -> None:
        self.code.append([BEGIN, depth, 0, 0, 0, 0])
        inside = len(self.code)
        self.write_steps(step.body, depth + 1)
        first = len(self.advances)
        self.advances += [[self.tensors[move.tensor], move.step_bytes] for move in step.advances]
        self.code.append([END, depth, step.rounds, inside, first, len(self.advances)])

    def _tile(self, tile: Tile) -> list[int]:
        reads = [transfer for transfer in tile.transfers if transfer.direction == "read"]
        writes = [transfer for transfer in tile.transfers if transfer.direction == "write"]
        cycles = tile.busy_core_cycles
        return [
            *self._transfers(reads),
            *self._transfers(writes),
            cycles,
            *self._buffers(reads),
            *self._buffers(writes),
            *self._listed({self.tensors[transfer.tensor] for transfer in reads}),
        ]

    def _transfers(self, transfers: Sequence[Move]) -> tuple[int, int]:
        first = len(self.transfers)
        last_from = {transfer.buffer: number for number, transfer in enumerate(transfers)}
        for number, move in enumerate(transfers):
            tensor, buffer = self.tensors[move.tensor], self.buffers[move.buffer]
            self.transfers += [[tensor, buffer, *shape, 0] for shape in _runs_of(move)]
            self.transfers[-1][LAST_FROM_BUFFER] = int(last_from[move.buffer] == number)
        return first, len(self.transfers)

    def _buffers(self, transfers: Sequence[Move]) -> tuple[int, int]:
        return self._listed({self.buffers[transfer.buffer] for transfer in transfers})

    def _listed(self, numbers: set[int]) -> tuple[int, int]:
        first = len(self.lists)
        self.lists += sorted(numbers)
        return first, len(self.lists)


def script_of(program: Program) -> Integers:
    """The program, laid out; refused if it needs more than the kernel keeps apart."""
    for buffer in program.buffers:
        if buffer.slots > MAX_SLOTS:
            raise ColfwError(
                f"buffer {buffer.name} has {buffer.slots} slots; at most {MAX_SLOTS} can be simulated",
                where=f"program {program.name}",
            )
    writer = _Writer(program)
    writer.write_steps(program.steps)
    writer.code.append([HALT, 0, 0, 0, 0, 0])
    tables: dict[int, list[int]] = {
        TENSOR_BASE: [tensor.base_bytes for tensor in program.tensors],
        BUFFER_SLOTS: [buffer.slots for buffer in program.buffers],
        CODE: _flat(writer.code),
        TILES: _flat(writer.tiles),
        TRANSFERS: _flat(writer.transfers),
        ADVANCES: _flat(writer.advances),
        LISTS: writer.lists,
    }
    head = [0] * HEAD_WORDS
    head[TENSORS] = len(program.tensors)
    head[BUFFERS] = len(program.buffers)
    head[DEPTH] = writer.depth
    head[LEAD] = max((buffer.slots for buffer in program.buffers), default=1)
    body: list[int] = []
    for table, values in tables.items():
        head[table] = HEAD_WORDS + len(body)
        body += values
    return np.array(head + body, np.int64)


def _runs_of(move: Move) -> list[list[int]]:
    """Offset, bytes, how many and stride of each of its runs. An array for a single one takes its time."""
    if isinstance(move, Transfer):
        return [[move.offset_bytes, move.run_bytes, move.runs, move.stride_bytes]]
    return move.strided_runs.tolist()  # type: ignore[no-any-return]


def _flat(rows: Iterable[Iterable[int]]) -> list[int]:
    return list(chain.from_iterable(rows))
