"""Accelerators: how a layer becomes a program of tiles and transfers, one file a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colfw import hookimpl
from colfw.records import AcceleratorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TICKS_PER_CORE_CYCLE = 1.25
"""A tick of the study is 1 ns, a core cycle at 800 MHz 1.25 ns."""

_PAPER: Mapping[str, Any] = {
    "window_requests": 16,
    "weight_tile_columns": 16,
    "hidden_traffic": "between-phases",
    "fill_core_cycles": 0,
    "element_passes": 0,
    "gate_weights_fetched": False,
    "gate_hidden_traffic": True,
    "row_core_cycles": 115.4 / _TICKS_PER_CORE_CYCLE,
    "other_core_cycles_per_step": 0.329 / _TICKS_PER_CORE_CYCLE,
    "other_core_cycles_per_model_element": 0.1775 / _TICKS_PER_CORE_CYCLE,
    "layer_wait_core_cycles": int(4000 / _TICKS_PER_CORE_CYCLE),
    # Once round the banks of its four channels: every row tile begins in the same bank.
    "activation_alignment_bytes": 1 << 20,
}
"""What explains Table 3 of the study, fitted before this machine was written: docs/accelerator.md."""

_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": _PAPER,
    "paper-template": {**_PAPER, "layers": "template"},
    # Once round the banks of six channels, likewise.
    "reference": {"activation_alignment_bytes": 768 << 10},
}


@hookimpl
def colfw_accelerators() -> Iterator[AcceleratorSpec]:
    yield AcceleratorSpec(
        name="ffn-reuse",
        summary="A systolic array that skips cold hidden units and reuses a dense iteration's",
        api_version=1,
        factory="colfw_accelerators.ffn_reuse:FfnReuse",
        config="colfw_accelerators.config:FfnReuseConfig",
        presets=_PRESETS,
    )
