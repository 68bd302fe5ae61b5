"""Moving hidden units to other slots: what a layout that decides again pays, every byte of it.

All matrices, each through the weight buffer. A vector may only be written where the old one has been read:
each cycle of moves is walked backwards, and only its first vector waits on chip until the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw.errors import InvariantError
from colfw.program import Tile
from colfw_accelerators.transfers import pieces, single_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from colfw.addresses import Matrix
    from colfw_accelerators.fitting import Fitting
    from colfw_accelerators.layer import Moves


def steps_of_moving(fit: Fitting) -> Iterator[Tile]:
    """Reads and writes of every matrix, as many vectors at a time as a slot of the weight buffer holds."""
    if len(fit.layer.moves):
        ordered = _backwards(fit.layer.moves)
        for matrix in fit.weights.matrices:
            yield from _moved(fit, matrix, ordered)


def _moved(fit: Fitting, matrix: Matrix, cycles: list[list[tuple[int, int]]]) -> Iterator[Tile]:
    """One place in the slot is kept for the vector that waits."""
    together = fit.config.weight_slot_bytes // matrix.vector_bytes - 1
    if together < 1:
        raise InvariantError(
            f"a slot holds no two vectors of {matrix.vector_bytes} bytes, and units move",
            where="weight_slot_bytes",
            hint="enlarge the slots",
        )
    read, written = _orders(cycles)
    for start, count in pieces(len(read), together):
        batch = slice(start, start + count)
        stores = [slot for slots in written[batch] for slot in slots]
        transfers = [single_vectors(matrix, np.array(read[batch]), "read")]
        if stores:
            transfers.append(single_vectors(matrix, np.array(stores), "write"))
        yield Tile(transfers=tuple(transfers))


def _orders(cycles: Sequence[Sequence[tuple[int, int]]]) -> tuple[list[int], list[list[int]]]:
    """The slots to read, one after the other, and to which slots vectors may go after each.

    >>> _orders([[(2, 0), (1, 2), (0, 1)]])
    ([2, 1, 0], [[], [2], [1, 0]])
    """
    read, written = [], []
    for (first_old, first_new), *others in cycles:
        read += [first_old, *(old for old, _ in others)]
        written += [[], *([new] for _, new in others)]
        written[-1] = [*written[-1], first_new]
    return read, written


def _backwards(moves: Moves) -> list[list[tuple[int, int]]]:
    """Moves in cycles, each beginning anywhere, the move into a slot after the move out of it.

    >>> _backwards(np.array([[0, 1], [1, 2], [2, 0]]))
    [[(0, 1), (2, 0), (1, 2)]]
    """
    source_of = {new: old for old, new in moves.tolist()}
    cycles = []
    for end in moves[:, 1].tolist():
        cycle, slot = [], end
        while slot in source_of:
            source = source_of.pop(slot)
            cycle.append((source, slot))
            slot = source
        if cycle:
            cycles.append(cycle)
    return cycles
