"""How a layer is cut so that its pieces fit the buffers, and where its tensors lie."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from attrs import define, evolve, frozen

from colfw.addresses import WeightMap, rounded_up
from colfw.errors import InvariantError
from colfw.program import Buffer, Tensor
from colfw.sites import Ffn, Site
from colfw.vocabulary import Reuse
from colfw_accelerators.config import Order
from colfw_accelerators.cycles import RowTileCosts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from colfw_accelerators.config import FfnReuseConfig
    from colfw_accelerators.layer import Layer, Slots


@frozen(kw_only=True, eq=False)
class WeightTiles:
    """Equal weight tiles, one after the other; more than one only where all are one run of slots."""

    start: int
    """How many hidden units were fetched before."""
    columns: int
    """Of one tile."""
    runs: NDArray[np.int64]
    """`[run, 2]`: first slot and how many, of the first tile."""
    count: int = 1

    @property
    def slots(self) -> Slots:
        """Of the first tile."""
        return np.concatenate([np.arange(first, first + count) for first, count in self.runs.tolist()])


@define(kw_only=True, eq=False, slots=False)
class Fitting:
    """A layer on a machine: sizes, tensors and the pieces that its transfers move."""

    config: FfnReuseConfig
    layer: Layer

    def __attrs_post_init__(self) -> None:
        config, rows = self.config, self.tile_rows
        self._check_fits("input", rows * self.layer.d_in, config.input_slot_bytes, config.input_slots)
        if not self.stationary:
            self._check_fits("output", rows * self.layer.d_out, config.output_slot_bytes, config.output_slots)

    def _check_fits(self, what: str, elements: int, slot_bytes: int, slots: int) -> None:
        needed_bytes = elements * self.config.element_bytes
        if needed_bytes > slot_bytes * slots:
            raise InvariantError(
                f"the {what} of {self.tile_rows} rows is {needed_bytes} bytes, and the {what} buffer holds"
                f" {slots} x {slot_bytes}",
                where=f"{what}_slot_bytes",
                hint="enlarge the slots or lower row_tile",
            )

    # --- rows -------------------------------------------------------------------------------------

    @property
    def tile_rows(self) -> int:
        """Of a full row tile."""
        return min(self.config.row_tile, self.layer.rows)

    @property
    def full_row_tiles(self) -> int:
        return self.layer.rows // self.tile_rows

    @property
    def last_rows(self) -> int:
        """Of a row tile that is not full; 0 if all are."""
        return self.layer.rows % self.tile_rows

    @property
    def row_tiles(self) -> int:
        return self.full_row_tiles + bool(self.last_rows)

    def costs(self, rows: int) -> RowTileCosts:
        return RowTileCosts(
            config=self.config, layer=self.layer, rows=rows, weight_tile_columns=self.weight_tile_columns
        )

    # --- what fits a slot -------------------------------------------------------------------------

    @property
    def stationary(self) -> bool:
        """With one row tile, both orders are one."""
        return self.config.order is Order.WEIGHT_STATIONARY and self.layer.rows > self.tile_rows

    def hidden_unit_bytes(self, rows: int) -> int:
        """What one hidden unit of a row tile is in DRAM."""
        factors = 2 if self.layer.gated and self.config.gate_hidden_traffic else 1
        return rows * self.config.element_bytes * factors

    @cached_property
    def weight_tile_columns(self) -> int:
        """Hidden units in a weight tile: as many as were asked for, or as fit all slots they pass through."""
        config = self.config
        limits = {
            "weight_slot_bytes": config.weight_slot_bytes // self._most_weight_bytes_of_a_unit,
            "input_slot_bytes": config.input_slot_bytes // self.hidden_unit_bytes(self.tile_rows),
            "output_slot_bytes": config.output_slot_bytes // self.hidden_unit_bytes(self.tile_rows),
        }
        tightest = min(limits, key=lambda name: limits[name])
        asked = config.weight_tile_columns or config.array_columns
        if limits[tightest] < asked:
            raise InvariantError(
                f"a slot holds {limits[tightest]} hidden units of this layer, and a weight tile has {asked}",
                where=tightest,
                hint="enlarge the slots, or lower weight_tile_columns or row_tile",
            )
        whole_groups = limits[tightest] // config.array_columns * config.array_columns
        return config.weight_tile_columns or whole_groups

    @property
    def _most_weight_bytes_of_a_unit(self) -> int:
        """In one phase: of the matrices that lead in, or of the one that leads out."""
        strides = {matrix.name: matrix.stride_bytes for matrix in self.weights.matrices}
        return max(strides["up"] + strides.get("gate", 0), strides["down"])

    @cached_property
    def weight_tiles(self) -> list[WeightTiles]:
        """All that is fetched, cut into tiles; the first stands alone, for it takes what costs leave over."""
        if not self.layer.slots.size:
            return []
        starts = np.arange(0, self.layer.slots.size, self.weight_tile_columns)
        sizes = np.diff(starts, append=self.layer.slots.size)
        firsts = np.flatnonzero(~self._goes_on(starts, sizes))
        return [
            WeightTiles(start=start, columns=columns, runs=runs, count=count)
            for start, columns, runs, count in zip(
                starts[firsts].tolist(),
                sizes[firsts].tolist(),
                self._runs_of_tiles(starts, firsts),
                np.diff(firsts, append=starts.size).tolist(),
                strict=True,
            )
        ]

    def _goes_on(self, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which weight tiles are equal to the one before and go on in its run of slots."""
        slots = self.layer.slots
        whole = slots[starts + sizes - 1] - slots[starts] == sizes - 1
        goes_on = np.zeros(starts.size, np.bool_)
        goes_on[2:] = whole[2:] & whole[1:-1] & (sizes[2:] == sizes[1:-1])
        goes_on[2:] &= slots[starts[2:]] == slots[starts[1:-1]] + sizes[1:-1]
        return goes_on

    def _runs_of_tiles(
        self, starts: NDArray[np.int64], wanted: NDArray[np.int64]
    ) -> Iterator[NDArray[np.int64]]:
        """Of each wanted tile: its runs of slots, found all at once."""
        slots = self.layer.slots
        is_begin = np.diff(slots, prepend=-2) != 1
        is_begin[starts] = True
        begins = np.flatnonzero(is_begin)
        runs = np.column_stack((slots[begins], np.diff(begins, append=slots.size)))
        bounds = np.append(np.searchsorted(begins, starts), begins.size)
        for begin, end in zip(bounds[wanted].tolist(), bounds[wanted + 1].tolist(), strict=True):
            yield runs[begin:end]

    @property
    def single_weight_tiles(self) -> Iterator[WeightTiles]:
        """The same, each tile on its own."""
        for tiles in self.weight_tiles:
            for done in range(0, tiles.count * tiles.columns, tiles.columns):
                yield evolve(tiles, start=tiles.start + done, runs=tiles.runs + np.array([done, 0]), count=1)

    # --- where tensors lie ------------------------------------------------------------------------

    @cached_property
    def weights(self) -> WeightMap:
        """Of the matrices that are fetched at all."""
        layer = self.layer
        gated = layer.gated and self.config.gate_weights_fetched
        operator = Ffn(d_in=layer.d_in, d_out=layer.d_out, gated=gated)
        site = Site(name="layer", rows=layer.rows, columns=layer.columns, operator=operator)
        return WeightMap.of(
            site,
            element_bytes=self.config.element_bytes,
            alignment_bytes=self.config.burst_alignment_bytes,
        )

    @cached_property
    def step_bytes(self) -> dict[str, int]:
        """From one row tile to the next, in each tensor that has a part of every row tile.

        In the order of row tiles hidden values are read before the next row tile's are written: one place
        serves all. Partial sums have two places, so that no sum is overwritten that is being read.
        """
        config, layer = self.config, self.layer
        inputs, outputs = self.tile_rows * layer.d_in, self.tile_rows * layer.d_out
        aligned = config.activation_alignment_bytes
        steps = {
            "input": rounded_up(inputs * config.element_bytes, aligned),
            "output": rounded_up(outputs * config.element_bytes, aligned),
        }
        if config.reuse is Reuse.STALE:
            steps["reuse"] = steps["output"]
        if self.stationary:
            steps["hidden"] = self.hidden_unit_bytes(self.tile_rows) * layer.columns
            partial_bytes = rounded_up(outputs * self.partial_sum_bytes, aligned)
            steps |= {"partial-even": partial_bytes, "partial-odd": partial_bytes}
        return steps

    @property
    def partial_sum_bytes(self) -> int:
        """Of one output: in a dense iteration the part of cold columns that is reused is a sum of its own."""
        sums = 2 if self.layer.dense and self.config.reuse is Reuse.STALE else 1
        return sums * self.config.partial_sum_bytes

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        sizes = {name: step * self.row_tiles for name, step in self.step_bytes.items()}
        sizes.setdefault("hidden", self.hidden_unit_bytes(self.tile_rows) * self.layer.columns)
        tensors = [
            Tensor(name=matrix.name, base_bytes=matrix.base_bytes, size_bytes=matrix.size_bytes)
            for matrix in self.weights.matrices
        ]
        for place, (name, size) in enumerate(sizes.items(), start=1):
            base_bytes = self._base_bytes(tensors[-1].end_bytes, place / (len(sizes) + 1))
            tensors.append(Tensor(name=name, base_bytes=base_bytes, size_bytes=size))
        return tuple(tensors)

    def _base_bytes(self, end_bytes: int, share: float) -> int:
        """Where the next tensor begins: aligned activations lie evenly between the alignments of others.

        Row tiles that all began in the bank of the first weights would contend with them for its row.
        """
        burst, aligned = self.config.burst_alignment_bytes, self.config.activation_alignment_bytes
        offset_bytes = int(share * aligned) // burst * burst
        return rounded_up(rounded_up(end_bytes, aligned), burst) + offset_bytes

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        config = self.config
        return (
            Buffer(name="input", slot_bytes=config.input_slot_bytes, slots=config.input_slots),
            Buffer(name="weight", slot_bytes=config.weight_slot_bytes, slots=config.weight_slots),
            Buffer(name="output", slot_bytes=config.output_slot_bytes, slots=config.output_slots),
        )
