"""A feed-forward network run as a program says, in whole numbers: did the machine fetch what it computes?

A program says what moves and how long things take, not what is computed. But what can be computed follows
from what is on chip. So the machine here has a DRAM image of every tensor and buffers that hold what their
last loads brought, as many as there are slots; it computes every hidden value whose inputs and weights are
held, adds to outputs whatever hidden values and weights are held, and stores only what it has. A program that
forgets a load, or whose buffers lose what is still needed, stores nothing or something else.

What is where, for a program that can be run so:

- `up`, `gate` and `down` hold the weights as `colfw.addresses.WeightMap` lays them out;
- `input`, `output` and `reuse` hold row tiles, one after the other, each row by row, each row tile on a
  multiple of an alignment; tensors whose names begin with `partial` hold sums that are not complete, in the
  same way, in elements of their own size;
- `hidden` holds what is written to it. A store takes the next hidden values of the row tile whose inputs were
  loaded last, in the order of slots, all rows of a unit together.

Hidden values and sums that have been computed and not yet stored are not held against any buffer: how large
an array's accumulators are is not part of a program.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from attrs import define, field, frozen

from colfw.addresses import WeightMap, rounded_up
from colfw.testing.strategies import unrolled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from colfw.program import Move, Program, Tile
    from colfw.sites import Site

    Whole = NDArray[np.int64]
    Place = tuple[int, int]
    """Row and hidden unit."""


class FfnError(AssertionError):
    """The program stores what it cannot have, or does not compute the network."""


@frozen(kw_only=True, eq=False)
class Network:
    """A feed-forward network of small whole numbers, hidden units by slot: no sum depends on its order."""

    site: Site
    inputs: Whole
    """`[row, element]`"""
    weights: Mapping[str, Whole]
    """`up`, `gate` where there is one, and `down`: `[slot, element]`"""
    reused: Whole
    """`[row, element]`: what the last dense iteration left of cold columns."""

    @classmethod
    def drawn(cls, site: Site, seed: int) -> Network:
        random = np.random.default_rng(seed)
        shapes = {matrix.name: (matrix.slots, matrix.elements) for matrix in WeightMap.of(site).matrices}
        outputs = (site.rows, site.operator.d_out)
        return cls(
            site=site,
            inputs=random.integers(-4, 5, (site.rows, site.operator.d_in)),
            weights={name: random.integers(-4, 5, shape) for name, shape in shapes.items()},
            reused=random.integers(-4, 5, outputs),
        )

    def hidden(self, rows: Whole, slots: Whole) -> Whole:
        """`[row, slot]`: max(0, X W), times the gate where there is one."""
        values = np.maximum(self.inputs[rows] @ self.weights["up"][slots].T, 0)
        if "gate" in self.weights:
            values = values * (self.inputs[rows] @ self.weights["gate"][slots].T)
        return np.asarray(values, np.int64)

    def output(self, slots: Whole) -> Whole:
        """What these hidden units contribute, all rows of it."""
        rows = np.arange(self.site.rows)
        return np.asarray(self.hidden(rows, slots) @ self.weights["down"][slots], np.int64)


@frozen(kw_only=True)
class Storage:
    """How a machine stores what a program moves."""

    row_tile: int
    element_bytes: int = 2
    partial_sum_bytes: int = 4
    weight_alignment_bytes: int = 64
    activation_alignment_bytes: int = 1

    def size_of(self, tensor: str) -> int:
        return self.partial_sum_bytes if tensor.startswith("partial") else self.element_bytes


@frozen(kw_only=True, eq=False)
class Result:
    """What a program left in DRAM; elements that were never stored are an error before this is made."""

    output: Whole
    reused: Whole
    """What sparse iterations will read; as it was where the program does not store it."""


def run_ffn(
    program: Program,
    network: Network,
    storage: Storage,
    hot: NDArray[np.bool_],
    *,
    dense: bool = False,
    moves: tuple[tuple[int, int], ...] = (),
) -> Result:
    """Run a program for the hidden units in `hot` slots; raise FfnError where it stores what it cannot have.

    In a dense iteration all are computed, and what cold ones contribute is stored where the program does so.
    `moves` are the old and new slots of hidden units that move before the layer runs.
    """
    machine = _Machine(program, network, storage, hot, dense=dense, moves=moves)
    for tile in unrolled(program.steps):
        machine.run(tile)
    return machine.result()


def expected(network: Network, hot: NDArray[np.bool_], *, dense: bool, reuses: bool) -> Result:
    """What a right program leaves in DRAM, by one product of matrices after the other."""
    from_hot, from_cold = (network.output(np.flatnonzero(which)) for which in (hot, ~hot))
    if dense:
        return Result(output=from_hot + from_cold, reused=from_cold if reuses else network.reused)
    return Result(output=from_hot + (network.reused if reuses else 0), reused=network.reused)


@define(eq=False)
class _Held:
    """What one slot of a buffer holds."""

    vectors: dict[str, dict[int, Whole]] = field(factory=dict)
    """By matrix and slot."""
    inputs: list[Whole] = field(factory=list)
    """Elements, counted row by row."""
    hidden: list[tuple[Place, int]] = field(factory=list)


class _Machine:
    """DRAM, buffers, and what has been computed."""

    def __init__(
        self,
        program: Program,
        network: Network,
        storage: Storage,
        hot: NDArray[np.bool_],
        *,
        dense: bool,
        moves: tuple[tuple[int, int], ...],
    ) -> None:
        self.network, self.storage, self.hot, self.dense = network, storage, hot, dense
        self.buffers = {b.name: deque[_Held](maxlen=b.slots) for b in program.buffers}
        self.matrices = {
            matrix.name: matrix
            for matrix in WeightMap.of(
                network.site,
                element_bytes=storage.element_bytes,
                alignment_bytes=storage.weight_alignment_bytes,
            ).matrices
        }
        self.weights = {name: matrix.copy() for name, matrix in network.weights.items()}
        self.old_slot_of = {new: old for old, new in moves}
        for name, vectors in self.weights.items():
            for new, old in self.old_slot_of.items():
                vectors[old] = network.weights[name][new]
        self.moving: dict[str, dict[int, Whole]] = {name: {} for name in self.weights}
        self.rows_now = np.empty(0, np.int64)
        self.computed: set[Place] = set()
        self.waiting: dict[Place, int] = {}
        self.added: set[Place] = set()
        self.sums, self.cold_sums = np.zeros_like(network.reused), np.zeros_like(network.reused)
        self.hidden_in_dram: dict[int, tuple[Place, int]] = {}
        self.in_dram: dict[str, dict[int, int]] = {"reuse": dict(enumerate(network.reused.ravel().tolist()))}
        # Sums by tensor and element; hidden values by their place in the tensor.

    def run(self, tile: Tile) -> None:
        """Load, compute what can be computed, store."""
        fresh: dict[str, _Held] = {}
        for move in tile.transfers:
            if move.direction == "read":
                self._load(move, fresh.setdefault(move.buffer, _Held()))
        for buffer, held in fresh.items():
            self.buffers[buffer].append(held)
        self._compute_hidden()
        self._add_up()
        for move in tile.transfers:
            if move.direction == "write":
                self._store(move)

    def result(self) -> Result:
        """The outputs, if all were stored, and from the network's own weights."""
        for name, vectors in self.weights.items():
            if not np.array_equal(vectors, self.network.weights[name]):
                raise FfnError(f"hidden units of {name} did not move to where they should be")
        return Result(output=self._image("output"), reused=self._image("reuse"))

    def _image(self, tensor: str) -> Whole:
        stored, shape = self.in_dram.get(tensor, {}), self.network.reused.shape
        missing = shape[0] * shape[1] - len(stored)
        if missing:
            raise FfnError(f"{missing} elements of {tensor} were never stored")
        return np.array([stored[element] for element in range(len(stored))], np.int64).reshape(shape)

    # --- loads ------------------------------------------------------------------------------------

    def _load(self, move: Move, held: _Held) -> None:
        if move.tensor in self.matrices:
            self._load_vectors(move, held)
        elif move.tensor == "input":
            elements = self._elements(move, self.network.inputs.shape[1])
            held.inputs.append(elements)
            first = int(elements[0]) // self.network.inputs.shape[1]
            first -= first % self.storage.row_tile
            self.rows_now = np.arange(first, min(first + self.storage.row_tile, self.network.site.rows))
        elif move.tensor == "hidden":
            held.hidden += [self._hidden_at(place) for place in self._places(move)]
        else:
            self._load_sums(move)

    def _load_vectors(self, move: Move, held: _Held) -> None:
        matrix = self.matrices[move.tensor]
        vectors = held.vectors.setdefault(move.tensor, {})
        for offset, size, count, stride in move.strided_runs.tolist():
            for start in (offset + number * stride for number in range(count)):
                first = -(-start // matrix.stride_bytes)
                end = (start + size - matrix.vector_bytes) // matrix.stride_bytes
                for slot in range(first, end + 1):
                    vectors[slot] = self.weights[move.tensor][slot].copy()
                    if slot in self.old_slot_of.values():
                        self.moving[move.tensor][slot] = vectors[slot]

    def _hidden_at(self, place: int) -> tuple[Place, int]:
        if place not in self.hidden_in_dram:
            raise FfnError(f"a hidden value is read at element {place}, where none was stored")
        return self.hidden_in_dram[place]

    def _load_sums(self, move: Move) -> None:
        stored = self.in_dram.get(move.tensor, {})
        for element in self._elements(move, self.sums.shape[1]).tolist():
            if element not in stored:
                raise FfnError(f"element {element} of {move.tensor} is read before it is stored")
            self.sums.flat[element] += stored[element]

    # --- computation ------------------------------------------------------------------------------

    def _compute_hidden(self) -> None:
        """All hidden values whose inputs and weights are on chip, once each."""
        leading_in = [self._vectors(name) for name in self.matrices if name != "down"]
        slots = sorted(set.intersection(*(set(vectors) for vectors in leading_in)))
        for row in self._whole_rows():
            for slot in slots:
                if (row, slot) not in self.computed:
                    self.computed.add((row, slot))
                    self.waiting[row, slot] = self._hidden(row, [vectors[slot] for vectors in leading_in])

    def _hidden(self, row: int, vectors: list[Whole]) -> int:
        up, *gates = (int(self.network.inputs[row] @ vector) for vector in vectors)
        value = max(up, 0)
        for gate in gates:
            value *= gate
        return value

    def _whole_rows(self) -> list[int]:
        """Rows of which every input is on chip."""
        width = self.network.inputs.shape[1]
        parts = [elements for held in self._all_held() for elements in held.inputs]
        if not parts:
            return []
        counts = np.bincount(np.unique(np.concatenate(parts)) // width)
        return np.flatnonzero(counts == width).tolist()

    def _add_up(self) -> None:
        """Every hidden value that is on chip with its weights counts, once."""
        down = self._vectors("down")
        for held in self._all_held():
            for (row, slot), value in held.hidden:
                if slot in down and (row, slot) not in self.added:
                    self.added.add((row, slot))
                    self._add(row, slot, value * down[slot])

    def _add(self, row: int, slot: int, products: Whole) -> None:
        """Cold units that were fetched all the same count for nothing in a sparse iteration."""
        if self.hot[slot] or self.dense:
            self.sums[row] += products
        if not self.hot[slot]:
            self.cold_sums[row] += products

    def _vectors(self, name: str) -> dict[int, Whole]:
        return {slot: v for held in self._all_held() for slot, v in held.vectors.get(name, {}).items()}

    def _all_held(self) -> Iterator[_Held]:
        for buffer in self.buffers.values():
            yield from buffer

    # --- stores -----------------------------------------------------------------------------------

    def _store(self, move: Move) -> None:
        if move.tensor in self.matrices:
            self._store_vectors(move)
        elif move.tensor == "hidden":
            self._store_hidden(move)
        else:
            self._store_sums(move)

    def _store_vectors(self, move: Move) -> None:
        matrix, moving = self.matrices[move.tensor], self.moving[move.tensor]
        for offset, *_ in move.strided_runs.tolist():
            new = offset // matrix.stride_bytes
            old = self.old_slot_of.get(new)
            if old not in moving:
                raise FfnError(f"{move.tensor} is moved to slot {new}, and what belongs there was not read")
            self.weights[move.tensor][new] = moving.pop(old)
            for held in self._all_held():
                held.vectors.get(move.tensor, {}).pop(new, None)  # what was there is there no more

    def _store_hidden(self, move: Move) -> None:
        ready = sorted((slot, row) for row, slot in self.waiting if row in self.rows_now)
        places = self._places(move)
        if len(ready) < len(places):
            raise FfnError(f"{len(places)} hidden values are stored, and {len(ready)} have been computed")
        for place, (slot, row) in zip(places, ready, strict=False):
            self.hidden_in_dram[place] = (row, slot), self.waiting.pop((row, slot))

    def _store_sums(self, move: Move) -> None:
        """Finished or not, sums leave the chip."""
        sums = self.cold_sums if move.tensor == "reuse" else self.sums
        stored = self.in_dram.setdefault(move.tensor, {})
        for element in self._elements(move, sums.shape[1]).tolist():
            stored[element] = int(sums.flat[element])
            sums.flat[element] = 0

    # --- what bytes are ---------------------------------------------------------------------------

    def _places(self, move: Move) -> list[int]:
        """Elements of a tensor, counted from its start."""
        size = self.storage.size_of(move.tensor)
        places: list[int] = []
        for offset, length, count, stride in move.strided_runs.tolist():
            for start in (offset + number * stride for number in range(count)):
                places += range(start // size, (start + length) // size)
        return places

    def _elements(self, move: Move, width: int) -> Whole:
        """Elements of a matrix that is stored by row tiles, counted row by row."""
        size, rows = self.storage.size_of(move.tensor), self.storage.row_tile
        step = rounded_up(rows * width * size, self.storage.activation_alignment_bytes) // size
        tiles, inside = np.divmod(np.array(self._places(move)), step)
        return np.asarray(tiles * rows * width + inside, np.int64)
