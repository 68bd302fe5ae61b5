"""What a row tile costs in core cycles, whether or not its data is there in time.

Only hidden units that are needed are computed: those that are fetched and cold stay in the buffer. Needed
ones are packed together, so that they take whole groups of `array_columns` and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from colfw.vocabulary import Reuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colfw_accelerators.config import FfnReuseConfig
    from colfw_accelerators.layer import Layer


@frozen
class Cycles:
    """Core cycles of the array, and others."""

    compute: int = 0
    other: int = 0

    def __add__(self, more: Cycles) -> Cycles:
        return Cycles(self.compute + more.compute, self.other + more.other)

    def shared_by(self, sizes: Sequence[int], counts: Sequence[int] | None = None) -> list[Cycles]:
        """Shares in proportion to sizes, each size so many times over, rounded down.

        The first, of which there is one, takes the rest: equal tiles cost the same, and are repeated.

        >>> Cycles(10, 0).shared_by((2, 2), (1, 3))
        [Cycles(compute=4, other=0), Cycles(compute=2, other=0)]
        """
        counts = counts or [1] * len(sizes)
        computes = _shared(self.compute, sizes, counts)
        others = _shared(self.other, sizes, counts)
        return [Cycles(*both) for both in zip(computes, others, strict=True)]


def _shared(total: int, sizes: Sequence[int], counts: Sequence[int]) -> list[int]:
    whole = sum(size * count for size, count in zip(sizes, counts, strict=True))
    shares = [total * size // whole for size in sizes]
    shares[0] += total - sum(share * count for share, count in zip(shares, counts, strict=True))
    return shares


def ceiling(dividend: int, divisor: int) -> int:
    """
    >>> ceiling(33, 16)
    3
    """
    return -(-dividend // divisor)


@frozen(kw_only=True)
class RowTileCosts:
    """The costs of a row tile of so many rows, split where its program is."""

    config: FfnReuseConfig
    layer: Layer
    rows: int
    weight_tile_columns: int

    @property
    def leading_in(self) -> Cycles:
        """Inputs times the matrices that lead in, the activation, and half of what is constant."""
        matrices = 1 + self.layer.gated
        turns = self._passes * self._groups(self.layer.needed) * matrices
        steps = turns * self._depth(self.layer.d_in)
        values = self.config.element_passes * matrices * self._element_cycles(self.layer.needed)
        return self._costs(steps, turns, values) + self.constant.shared_by((1, 1))[0]

    @property
    def leading_out(self) -> Cycles:
        """Hidden values times the matrix that leads out, weight tile by weight tile, and the other half."""
        tiles = self._passes * self._groups(self.layer.d_out)
        steps = tiles * self._depth(self.layer.needed)
        turns = tiles * ceiling(self.layer.needed, self.weight_tile_columns)
        return self._costs(steps, turns, 0) + self.constant.shared_by((1, 1))[1]

    @property
    def constant(self) -> Cycles:
        """What no skipped column lowers."""
        config, layer = self.config, self.layer
        compute = 0 if layer.gated else round(config.row_core_cycles * self.rows)
        inputs = self.rows * layer.d_in
        return Cycles(compute, round(config.other_core_cycles_per_model_element * inputs))

    @property
    def reused(self) -> Cycles:
        """Of adding reused outputs, or of telling their part from that of hot columns."""
        if self.config.reuse is Reuse.ZERO:
            return Cycles()
        return Cycles(0, self.config.element_passes * self._element_cycles(self.layer.d_out))

    def _costs(self, steps: int, turns: int, element_cycles: int) -> Cycles:
        """A turn of the array to another tile of outputs fills it anew."""
        fitted = round(self.config.other_core_cycles_per_step * steps)
        return Cycles(steps + turns * self.config.fill_core_cycles, fitted + element_cycles)

    @property
    def _passes(self) -> int:
        return ceiling(self.rows, self.config.array_rows)

    def _groups(self, columns: int) -> int:
        return ceiling(columns, self.config.array_columns)

    def _depth(self, products: int) -> int:
        return ceiling(products, self.config.array_depth)

    def _element_cycles(self, columns: int) -> int:
        return ceiling(self.rows * columns, self.config.element_lanes)
