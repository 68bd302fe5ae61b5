"""A feed-forward network run the way a program says, in whole numbers: did the machine fetch what it computes?

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
from attrs import Factory, define, field, frozen

from colfw.addresses import WeightMap, rounded_up
from colfw.program import Transfer
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
    """A feed-forward network of small whole numbers, its hidden units by slot: no sum depends on its order."""

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
