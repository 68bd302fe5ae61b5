"""The order of row tiles: for each, its inputs come in, all weights stream past, its outputs go out.

Hidden values go to DRAM and come back, because those of a row tile fit no buffer of the study's machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw.program import Repeat, Tile
from colfw.vocabulary import Reuse
from colfw_accelerators.config import HiddenTraffic
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
    from collections.abc import Iterable, Iterator

    from colfw.program import Move, Step
    from colfw_accelerators.cycles import Cycles, RowTileCosts
    from colfw_accelerators.fitting import Fitting, WeightTiles


def steps_by_row_tiles(fit: Fitting) -> Iterator[Step]:
    """All row tiles of a layer."""
    body = tuple(_row_tile(fit, fit.tile_rows, 0))
    if fit.full_row_tiles == 1:
        yield from body
    else:
        yield Repeat(rounds=fit.full_row_tiles, body=body, advances=advances(fit.step_bytes))
    if fit.last_rows:
        yield from _row_tile(fit, fit.last_rows, fit.full_row_tiles)


def _row_tile(fit: Fitting, rows: int, number: int) -> Iterator[Step]:
    """One row tile. With nothing fetched its outputs are what is reused, and no input is needed."""
    costs = fit.costs(rows)
    if not fit.weight_tiles:
        yield from _outputs(fit, rows, number, costs.constant + costs.reused)
        return
    for load in input_loads(fit, rows, number):
        yield Tile(transfers=(load,))
    if fit.config.hidden_traffic is HiddenTraffic.WITH_WEIGHTS:
        yield from _with_weights(fit, rows, costs)
    else:
        yield from _between_phases(fit, rows, costs)
    yield from _outputs(fit, rows, number, costs.reused)


def _with_weights(fit: Fitting, rows: int, costs: RowTileCosts) -> Iterator[Step]:
    for tiles, share in _shared(fit, costs.leading_in):
        store = hidden_store(fit, tiles, rows)
        yield _repeated(fit, tiles, (*weight_loads(fit, tiles, "up", "gate"), store), share, rows)
    for tiles, share in _shared(fit, costs.leading_out):
        # Weights first: for hidden values all loads wait until the last of them are stored.
        load = hidden_load(fit, tiles, rows)
        yield _repeated(fit, tiles, (*weight_loads(fit, tiles, "down"), load), share, rows)


def _between_phases(fit: Fitting, rows: int, costs: RowTileCosts) -> Iterator[Step]:
    """Only the first weights that lead out are asked for before hidden values are, for the same reason."""
    for tiles, share in _shared(fit, costs.leading_in):
        yield _repeated(fit, tiles, tuple(weight_loads(fit, tiles, "up", "gate")), share, rows)
    size_bytes = int(fit.layer.slots.size) * fit.hidden_unit_bytes(rows)
    for part in pieces(size_bytes, fit.config.output_slot_bytes):
        yield Tile(transfers=(run("hidden", "output", "write", *part),))
    (first, share), *others = _shared(fit, costs.leading_out)
    ahead: Iterable[Move] = weight_loads(fit, first, "down")
    for part in pieces(size_bytes, fit.config.input_slot_bytes):
        yield Tile(transfers=(*ahead, run("hidden", "input", "read", *part)))
        ahead = ()
    yield into_tile((), share)
    for tiles, share in others:
        yield _repeated(fit, tiles, tuple(weight_loads(fit, tiles, "down")), share, rows)


def _shared(fit: Fitting, cycles: Cycles) -> Iterator[tuple[WeightTiles, Cycles]]:
    sizes = [tiles.columns for tiles in fit.weight_tiles]
    counts = [tiles.count for tiles in fit.weight_tiles]
    return zip(fit.weight_tiles, cycles.shared_by(sizes, counts), strict=True)


def _repeated(
    fit: Fitting, tiles: WeightTiles, transfers: tuple[Move, ...], share: Cycles, rows: int
) -> Step:
    tile = into_tile(transfers, share)
    if tiles.count == 1:
        return tile
    steps = {matrix.name: tiles.columns * matrix.stride_bytes for matrix in fit.weights.matrices}
    steps["hidden"] = tiles.columns * fit.hidden_unit_bytes(rows)
    touched = {move.tensor for move in transfers}
    moving = {name: step for name, step in steps.items() if name in touched}
    return Repeat(rounds=tiles.count, body=(tile,), advances=advances(moving))


def _outputs(fit: Fitting, rows: int, number: int, cycles: Cycles) -> Iterator[Step]:
    """Outputs go out a slot at a time; in a dense iteration what is reused of them shares the slot."""
    in_a_slot = 2 if fit.layer.dense and fit.config.reuse is Reuse.STALE else 1
    most = fit.config.output_slot_bytes // (in_a_slot * fit.config.element_bytes)
    parts = pieces(rows * fit.layer.d_out, most)
    shares = cycles.shared_by([elements for _, elements in parts])
    for (start, elements), share in zip(parts, shares, strict=True):
        yield into_tile(output_moves(fit, number, start, elements), share)
