"""What the tiles of both orders are made of: each load and store of a layer, by what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw.program import Advance, Gather, Tile, Transfer
from colfw.vocabulary import Reuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    from numpy.typing import NDArray

    from colfw.addresses import Matrix
    from colfw.program import Move
    from colfw_accelerators.cycles import Cycles
    from colfw_accelerators.fitting import Fitting, WeightTiles

    Direction = Literal["read", "write"]


def into_tile(transfers: tuple[Move, ...], cycles: Cycles) -> Tile:
    return Tile(transfers=transfers, compute_core_cycles=cycles.compute, other_core_cycles=cycles.other)


def advances(step_bytes: Mapping[str, int]) -> tuple[Advance, ...]:
    return tuple(Advance(tensor=name, step_bytes=step) for name, step in step_bytes.items())


# --- activations ----------------------------------------------------------------------------------


def input_loads(fit: Fitting, rows: int, number: int) -> Iterator[Move]:
    """The inputs of a row tile, a slot at a time."""
    offset_bytes = number * fit.step_bytes["input"]
    size_bytes = rows * fit.layer.d_in * fit.config.element_bytes
    for start, length in pieces(size_bytes, fit.config.input_slot_bytes):
        yield run("input", "input", "read", offset_bytes + start, length)


def hidden_store(fit: Fitting, tiles: WeightTiles, rows: int, number: int = 0) -> Move:
    """The hidden values of a weight tile, unit by unit, each with all rows of the row tile."""
    return run("hidden", "output", "write", *_hidden_place(fit, tiles, rows, number))


def hidden_load(fit: Fitting, tiles: WeightTiles, rows: int, number: int = 0) -> Move:
    """The same, back again."""
    return run("hidden", "input", "read", *_hidden_place(fit, tiles, rows, number))


def _hidden_place(fit: Fitting, tiles: WeightTiles, rows: int, number: int) -> tuple[int, int]:
    unit_bytes = fit.hidden_unit_bytes(rows)
    offset_bytes = number * fit.step_bytes.get("hidden", 0) + tiles.start * unit_bytes
    return offset_bytes, tiles.columns * unit_bytes


def output_moves(fit: Fitting, number: int, start: int, elements: int) -> tuple[Move, ...]:
    """Outputs of a row tile, from one element on; with them goes or comes what is reused of them."""
    element_bytes = fit.config.element_bytes
    place = number * fit.step_bytes["output"] + start * element_bytes, elements * element_bytes
    written = run("output", "output", "write", *place)
    if fit.config.reuse is Reuse.ZERO:
        return (written,)
    return run("reuse", "output", "write" if fit.layer.dense else "read", *place), written


# --- weights --------------------------------------------------------------------------------------


def weight_loads(fit: Fitting, tiles: WeightTiles, *names: str) -> Iterator[Move]:
    """The vectors of a weight tile, of the named matrices that this layer has."""
    for matrix in fit.weights.matrices:
        if matrix.name in names:
            yield _vectors(matrix, tiles)


def _vectors(matrix: Matrix, tiles: WeightTiles) -> Move:
    """The vectors of a weight tile: as few runs as they lie in."""
    padded = matrix.stride_bytes > matrix.vector_bytes
    if len(tiles.runs) > 1:
        return single_vectors(matrix, tiles.slots, "read") if padded else _contiguous(matrix, tiles)
    ((first, count),) = tiles.runs.tolist()
    offset_bytes = first * matrix.stride_bytes
    if not padded:
        return run(matrix.name, "weight", "read", offset_bytes, count * matrix.vector_bytes)
    return Transfer(
        tensor=matrix.name,
        buffer="weight",
        direction="read",
        offset_bytes=offset_bytes,
        run_bytes=matrix.vector_bytes,
        runs=count,
        stride_bytes=matrix.stride_bytes,
    )


def _contiguous(matrix: Matrix, tiles: WeightTiles) -> Gather:
    """Of vectors without padding, each run of slots is one of bytes."""
    packed_runs = (tiles.runs * matrix.stride_bytes).tobytes()
    return Gather(tensor=matrix.name, buffer="weight", direction="read", packed_runs=packed_runs)


def single_vectors(matrix: Matrix, slots: NDArray[np.int64], direction: Direction) -> Gather:
    """The vectors of slots in any order, each a run of its own."""
    return Gather.of(
        tensor=matrix.name,
        buffer="weight",
        direction=direction,
        offsets_bytes=slots * matrix.stride_bytes,
        run_bytes=np.full(slots.size, matrix.vector_bytes),
    )


# --- small things ---------------------------------------------------------------------------------


def run(tensor: str, buffer: str, direction: Direction, offset_bytes: int, size_bytes: int) -> Transfer:
    """Bytes that lie together."""
    return Transfer(
        tensor=tensor, buffer=buffer, direction=direction, offset_bytes=offset_bytes, run_bytes=size_bytes
    )


def pieces(size: int, most: int) -> list[tuple[int, int]]:
    """Start and size of pieces of at most so much.

    >>> pieces(10, 4)
    [(0, 4), (4, 4), (8, 2)]
    """
    most = max(most, 1)
    return [(start, min(most, size - start)) for start in range(0, size, most)]
