"""FFN-Reuse: dense iterations compute every hidden unit, sparse ones those that are hot.

Cold units are neither computed nor, where the layout can tell them apart, fetched; what they contribute is
nothing or what they did in the last dense iteration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw.program import Program, Repeat, Tile
from colfw_accelerators.fitting import Fitting
from colfw_accelerators.layer import layer_of
from colfw_accelerators.moving import steps_of_moving
from colfw_accelerators.row_tiles import steps_by_row_tiles
from colfw_accelerators.weight_stationary import steps_by_weight_tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colfw.program import Step
    from colfw.protocols import LoweringRequest
    from colfw_accelerators.config import FfnReuseConfig


class FfnReuse:
    """The study's machine, or another of its kind."""

    def __init__(self, config: FfnReuseConfig) -> None:
        self.config = config

    def lower(self, request: LoweringRequest) -> Program:
        layer = layer_of(request, self.config)
        fit = Fitting(config=self.config, layer=layer)
        return Program(
            name=layer.name,
            core_clock_hz=self.config.core_clock_hz,
            tensors=fit.tensors,
            buffers=fit.buffers,
            steps=(*self._waiting(fit), *steps_of_moving(fit), *_steps_of_layer(fit)),
            window_requests=self.config.window_requests,
        )

    def _waiting(self, fit: Fitting) -> Iterator[Step]:
        """Loads run ahead by as many tiles as a buffer has slots: empty ones keep them from the wait."""
        if self.config.layer_wait_core_cycles:
            yield Tile(waiting_core_cycles=self.config.layer_wait_core_cycles)
            ahead = max(buffer.slots for buffer in fit.buffers)
            yield Repeat(rounds=ahead, body=(Tile(),))


def _steps_of_layer(fit: Fitting) -> Iterator[Step]:
    if fit.stationary and fit.weight_tiles:
        return steps_by_weight_tiles(fit)
    return steps_by_row_tiles(fit)
