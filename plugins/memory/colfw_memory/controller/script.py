"""A program as one flat array that compiled code walks through, repetition and all.

Instructions are tiles, and the beginnings and ends of repetitions; nothing is unrolled. Tiles name their
transfers, and transfers their tensor and buffer, by number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw.errors import ColfwError
from colfw.program import Gather, Tile

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

_PACKED_RUN_BYTES = 16
"""Of a gather: two words a run."""

MAX_SLOTS = 62
"""Of one buffer: the kernel keeps apart the loads of so many tiles."""


class _Writer:
    """Lays out the tables of one program."""

    def __init__(self, program: Program) -> None:
        self.tensors = {tensor.name: number for number, tensor in enumerate(program.tensors)}
        self.buffers = {buffer.name: number for number, buffer in enumerate(program.buffers)}
        self.code: list[list[int]] = []
        self.tiles: list[list[int]] = []
        self.transfers = _TransferTable()
        self.advances: list[list[int]] = []
        self.lists: list[int] = []
        self.range_of_list: dict[tuple[int, ...], tuple[int, int]] = {}
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
        reads = [move for move in tile.transfers if move.direction == "read"]
        writes = [move for move in tile.transfers if move.direction == "write"]
        return [
            *self._moves(reads),
            *self._moves(writes),
            tile.busy_core_cycles,
            *self._listed(self.buffers[move.buffer] for move in reads),
            *self._listed(self.buffers[move.buffer] for move in writes),
            *self._listed(self.tensors[move.tensor] for move in reads),
        ]

    def _moves(self, moves: Sequence[Move]) -> tuple[int, int]:
        first = self.transfers.rows
        last_from = {move.buffer: number for number, move in enumerate(moves)}
        for number, move in enumerate(moves):
            tensor, buffer = self.tensors[move.tensor], self.buffers[move.buffer]
            is_last = last_from[move.buffer] == number
            self.transfers.add(move, tensor, buffer, is_last_from_buffer=is_last)
        return first, self.transfers.rows

    def _listed(self, numbers: Iterable[int]) -> tuple[int, int]:
        """Where a list of these numbers stands: tiles that are alike share one."""
        listed = tuple(sorted(set(numbers)))
        if listed not in self.range_of_list:
            first = len(self.lists)
            self.lists += listed
            self.range_of_list[listed] = first, len(self.lists)
        return self.range_of_list[listed]


class _TransferTable:
    """Moves as rows of the table of transfers, a gather as one for each run: written all at once."""

    def __init__(self) -> None:
        self.rows = 0
        self._heads: list[tuple[int, int, int, bool, bool]] = []
        self._shapes: list[tuple[int, int, int, int]] = []
        self._runs: list[bytes] = []

    def add(self, move: Move, tensor: int, buffer: int, *, is_last_from_buffer: bool) -> None:
        if isinstance(move, Gather):
            self._runs.append(move.packed_runs)
            rows, is_gather = len(move.packed_runs) // _PACKED_RUN_BYTES, True
        else:
            self._shapes.append((move.offset_bytes, move.run_bytes, move.runs, move.stride_bytes))
            rows, is_gather = 1, False
        self._heads.append((tensor, buffer, rows, is_last_from_buffer, is_gather))
        self.rows += rows

    def written(self) -> Integers:
        table = np.zeros((self.rows, TRANSFER_WORDS), np.int64)
        tensors, buffers, rows, is_last, is_gather = np.array(self._heads, np.int64).reshape(-1, 5).T
        table[:, TENSOR] = np.repeat(tensors, rows)
        table[:, BUFFER] = np.repeat(buffers, rows)
        table[np.cumsum(rows) - 1, LAST_FROM_BUFFER] = is_last
        gathered = np.repeat(is_gather != 0, rows)
        table[~gathered, OFFSET:LAST_FROM_BUFFER] = np.array(self._shapes, np.int64).reshape(-1, 4)
        table[gathered, OFFSET:RUNS] = np.frombuffer(b"".join(self._runs), np.int64).reshape(-1, 2)
        table[gathered, RUNS] = 1
        return table


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
    tables = {
        TENSOR_BASE: _flat([tensor.base_bytes for tensor in program.tensors]),
        BUFFER_SLOTS: _flat([buffer.slots for buffer in program.buffers]),
        CODE: _flat(writer.code),
        TILES: _flat(writer.tiles),
        TRANSFERS: writer.transfers.written().ravel(),
        ADVANCES: _flat(writer.advances),
        LISTS: _flat(writer.lists),
    }
    head = np.zeros(HEAD_WORDS, np.int64)
    head[TENSORS] = len(program.tensors)
    head[BUFFERS] = len(program.buffers)
    head[DEPTH] = writer.depth
    head[LEAD] = max((buffer.slots for buffer in program.buffers), default=1)
    sizes = [table.size for table in tables.values()]
    head[list(tables)] = HEAD_WORDS + np.cumsum([0, *sizes[:-1]])
    return np.concatenate((head, *tables.values()))


def _flat(rows: Sequence[Sequence[int]] | Sequence[int]) -> Integers:
    return np.array(rows, np.int64).ravel()
