"""The weight-stationary order: each weight tile is loaded once, and all row tiles pass it.

Inputs come in again for every weight tile of the matrices that lead in. The matrix that leads out gives sums
that are not complete before its last weight tile: they go to DRAM after each and come back for the next.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from colfw.program import Repeat, Tile
from colfw.vocabulary import Reuse
from colfw_accelerators.cycles import Cycles
from colfw_accelerators.transfers import (
    advances,
    hidden_load,
    hidden_store,
    input_loads,
    into_tile,
    output_moves,
    pieces,
    run,
    weight_loads,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from colfw.program import Move, Step
    from colfw_accelerators.fitting import Fitting, WeightTiles

    Direction = Literal["read", "write"]
    RowTile = Callable[[int, int], Iterator[Tile]]
    """What is done for a row tile of so many rows, given its number."""

_PARTIAL = ("partial-even", "partial-odd")
"""Two places, so that no sum is overwritten while the one before it is read."""


def steps_by_weight_tiles(fit: Fitting) -> Iterator[Step]:
    """All weight tiles of the matrices that lead in, then all of the one that leads out."""
    tiles = list(fit.single_weight_tiles)
    for index, tile in enumerate(tiles):
        yield Tile(transfers=tuple(weight_loads(fit, tile, "up", "gate")))
        yield from _past(fit, partial(_leading_in, fit, tiles, index))
    for index, tile in enumerate(tiles):
        yield Tile(transfers=tuple(weight_loads(fit, tile, "down")))
        yield from _past(fit, partial(_leading_out, fit, tiles, index))


def _past(fit: Fitting, row_tile: RowTile) -> Iterator[Step]:
    full = tuple(row_tile(fit.tile_rows, 0))
    yield Repeat(rounds=fit.full_row_tiles, body=full, advances=advances(fit.step_bytes))
    if fit.last_rows:
        yield from row_tile(fit.last_rows, fit.full_row_tiles)


def _leading_in(fit: Fitting, tiles: list[WeightTiles], index: int, rows: int, number: int) -> Iterator[Tile]:
    """Inputs, slot by slot, then the hidden values of this weight tile."""
    *earlier, last = input_loads(fit, rows, number)
    for load in earlier:
        yield Tile(transfers=(load,))
    cycles = _share(fit.costs(rows).leading_in, tiles, index)
    yield into_tile((last, hidden_store(fit, tiles[index], rows, number)), cycles)


def _leading_out(
    fit: Fitting, tiles: list[WeightTiles], index: int, rows: int, number: int
) -> Iterator[Tile]:
    """Hidden values of this weight tile, and the sums so far, slot by slot, as they come and go."""
    costs, is_last = fit.costs(rows), index == len(tiles) - 1
    cycles = _share(costs.leading_out, tiles, index) + (costs.reused if is_last else Cycles())
    parts = pieces(rows * fit.layer.d_out, fit.config.output_slot_bytes // _sum_bytes(fit))
    shares = cycles.shared_by([elements for _, elements in parts])
    loads: tuple[Move, ...] = (hidden_load(fit, tiles[index], rows, number),)
    for (start, elements), share in zip(parts, shares, strict=True):
        sums = [_partial_sums(fit, index - 1, "read", number, start, elements)] if index else []
        finished = output_moves(fit, number, start, elements)
        unfinished = (_partial_sums(fit, index, "write", number, start, elements),)
        yield into_tile((*loads, *sums, *(finished if is_last else unfinished)), share)
        loads = ()


def _sum_bytes(fit: Fitting) -> int:
    """What an output takes of a slot, at most, on its way in or out."""
    config = fit.config
    reused = config.element_bytes if config.reuse is Reuse.STALE else 0
    return max(fit.partial_sum_bytes, config.element_bytes) + reused


def _partial_sums(
    fit: Fitting, index: int, direction: Direction, number: int, start: int, elements: int
) -> Move:
    tensor, size = _PARTIAL[index % 2], fit.partial_sum_bytes
    offset_bytes = number * fit.step_bytes[tensor] + start * size
    return run(tensor, "output", direction, offset_bytes, elements * size)


def _share(cycles: Cycles, tiles: list[WeightTiles], index: int) -> Cycles:
    return cycles.shared_by([tile.columns for tile in tiles])[index]
