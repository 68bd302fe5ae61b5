"""What one program is about: one layer in one iteration, as the machine sees it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen

from colfw.errors import InvariantError
from colfw_accelerators.config import Layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from colfw.protocols import LoweringRequest
    from colfw.sites import Site
    from colfw_accelerators.config import FfnReuseConfig

    Slots = NDArray[np.int64]
    Moves = NDArray[np.int64]
    """`[move, 2]`: old and new slot."""


@frozen(kw_only=True, eq=False)
class Layer:
    """A feed-forward network with what is fetched, computed and moved in one iteration."""

    rows: int
    d_in: int
    d_out: int
    columns: int
    gated: bool
    dense: bool
    slots: Slots
    """That are fetched, ascending."""
    needed: int
    """How many of the hidden units in them are hot: only these are computed."""
    moves: Moves = field(factory=lambda: np.empty((0, 2), np.int64))
    """Hidden units that change slots before the layer runs."""

    @property
    def name(self) -> str:
        """Says nothing of site and iteration, so that programs for equal work are equal."""
        kind = "gated ffn" if self.gated else "ffn"
        shape = f"{self.rows} x {self.d_in} x {self.columns} x {self.d_out}"
        moved = f", {len(self.moves)} moved" if len(self.moves) else ""
        dense = "dense" if self.dense else "sparse"
        return f"{dense} {kind} {shape}: {self.slots.size} fetched, {self.needed} computed{moved}"


def layer_of(request: LoweringRequest, config: FfnReuseConfig) -> Layer:
    """The layer that a request asks for; in a dense iteration all of it."""
    _check(request)
    site, iteration = request.site, request.iteration
    dense = iteration % config.dense_period == 0 if config.dense_period else iteration == 0
    epoch = request.placement.epoch_at(iteration)
    fetched, hot = (np.ones(site.columns, np.bool_) for _ in range(2))
    if not dense:
        fetched[epoch.slot_of_column] = request.placement.fetched[iteration]
        hot[epoch.slot_of_column] = request.mask.hot[iteration]
    shape, picked = _shape_of(request, config)
    moves = np.array(request.placement.moves_before(iteration), np.int64).reshape(-1, 2)
    return Layer(
        rows=shape.rows,
        d_in=shape.operator.d_in,
        d_out=shape.operator.d_out,
        columns=shape.columns,
        gated=shape.operator.gated and config.layers is Layers.OFFICIAL,
        dense=dense,
        slots=np.flatnonzero(fetched[picked]),
        needed=int(np.count_nonzero(hot[picked] & fetched[picked])),
        moves=moves if config.layers is Layers.OFFICIAL else _thinned(moves, picked),
    )


def _check(request: LoweringRequest) -> None:
    wanted = request.site.columns
    for name, flags in (("mask", request.mask.hot), ("placement", request.placement.fetched)):
        iterations, columns = flags.shape
        if columns != wanted:
            raise InvariantError(
                f"is {columns} columns wide, the site has {wanted}",
                where=f"{name} of site {request.site.name}",
            )
        if not 0 <= request.iteration < iterations:
            raise InvariantError(
                f"has {iterations} iterations: there is no iteration {request.iteration}",
                where=f"{name} of site {request.site.name}",
            )


def _shape_of(request: LoweringRequest, config: FfnReuseConfig) -> tuple[Site, Slots]:
    """The site whose sizes are lowered, and for each of its slots the slot of the request that it stands for.

    A template takes every k-th slot of a layer k times as wide: the hot ratio and what lies next to what are
    kept, as far as they can be.
    """
    site = request.site
    shape = _template(request.sites) if config.layers is Layers.TEMPLATE and request.sites else site
    return shape, np.arange(shape.columns) * site.columns // shape.columns


def _template(sites: Sequence[Site]) -> Site:
    """The commonest of the sites that have as many rows as the first one.

    The very first may be the only one of its kind, as VideoCrafter2's initial temporal block is.
    """
    shapes = Counter((site.columns, site.operator) for site in sites if site.rows == sites[0].rows)
    [(commonest, _)] = shapes.most_common(1)
    return next(s for s in sites if s.rows == sites[0].rows and (s.columns, s.operator) == commonest)


def _thinned(moves: Moves, picked: Slots) -> Moves:
    """As many moves in a template as its slots stand for moved ones: each to the place of the next."""
    moved = np.flatnonzero(np.isin(picked, moves[:, 0]))
    return np.column_stack((moved, np.roll(moved, -1))) if moved.size > 1 else moves[:0]
