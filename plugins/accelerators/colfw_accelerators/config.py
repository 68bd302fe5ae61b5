"""What one may choose about the FFN-Reuse machine: light to import, for studies are checked with it.

Every number has a unit in its name or its sentence, and a source: *Table 2* is the study's table of hardware,
*fitted* is what explains its Table 3 (docs/accelerator.md says how), *stated here* is a choice of ours where
nothing is published.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import field, frozen

from colfw.errors import InvariantError
from colfw.typed import non_negative, positive
from colfw.vocabulary import Reuse

if TYPE_CHECKING:
    from attrs import Attribute

_KIB = 1024


class Order(StrEnum):
    """What passes over what."""

    ROW_TILES = "row-tiles"
    """All weights stream past each row tile: the study's machine."""
    WEIGHT_STATIONARY = "weight-stationary"
    """Each weight tile stays on chip while all row tiles pass: weights are read once, inputs and partial
    sums once for every weight tile."""


class HiddenTraffic(StrEnum):
    """When hidden values of a row tile go to DRAM and come back."""

    WITH_WEIGHTS = "with-weights"
    """Those of each weight tile, when they are computed and when they are needed again."""
    BETWEEN_PHASES = "between-phases"
    """All, after the last matrix that leads in and before the one that leads out: what the study's totals
    fit, though no buffer of its machine holds so much."""


class Layers(StrEnum):
    """Which layers are lowered."""

    OFFICIAL = "official"
    """Each as it is."""
    TEMPLATE = "template"
    """Each as the commonest one with as many rows as the first, with two matrices though it be gated: the
    study's template block."""


def _optional_positive(instance: object, attribute: Attribute[int | None], value: int | None) -> None:
    if value is not None:
        positive(instance, attribute, value)


@frozen(kw_only=True)
class FfnReuseConfig:
    """Options of the FFN-Reuse machine; the defaults are those of the preset `reference`."""

    core_clock_hz: int = field(default=800_000_000, validator=positive)
    """Of array and element unit (Table 2). Any whole number: its ratio to the memory's clock is kept as a
    fraction, so that clocks need not divide."""

    array_rows: int = field(default=16, validator=positive)
    """Rows of inputs that the systolic array takes at a time (Table 2)."""
    array_columns: int = field(default=16, validator=positive)
    """Columns of weights, or of outputs, that it takes at a time (Table 2)."""
    array_depth: int = field(default=16, validator=positive)
    """Products that each of its cells adds up in one core cycle (Table 2: 16 x 16 x 16)."""
    fill_core_cycles: int = field(default=16, validator=non_negative)
    """To fill the array whenever it turns to another tile of outputs (stated here: its depth). A matrix that
    leads out turns once for every weight tile, so that small weight tiles are dear."""
    element_bytes: int = field(default=2, validator=positive)
    """Of weights, inputs, hidden values and outputs (Table 2: 16 bits)."""
    partial_sum_bytes: int = field(default=4, validator=positive)
    """Of a sum that is not complete yet and goes to DRAM, in the weight-stationary order (stated here)."""
    element_lanes: int = field(default=64, validator=positive)
    """Values that the element unit takes in one core cycle (Table 2)."""
    element_passes: int = field(default=1, validator=non_negative)
    """Passes of the element unit over what it computes: hidden values, the products of a gate, reused outputs
    that are added. 0: hidden behind the array (stated here)."""

    input_slot_bytes: int = field(default=24 * _KIB, validator=positive)
    """One slot of the input buffer. Table 2 says 24/192/24 KB with 2/3/2 slots; read as the size of one slot,
    because the input of 16 rows x 1280 is 40 KB."""
    input_slots: int = field(default=2, validator=positive)
    weight_slot_bytes: int = field(default=192 * _KIB, validator=positive)
    """One slot of the weight buffer (Table 2)."""
    weight_slots: int = field(default=3, validator=positive)
    output_slot_bytes: int = field(default=24 * _KIB, validator=positive)
    """One slot of the output buffer (Table 2)."""
    output_slots: int = field(default=2, validator=positive)

    order: Order = field(default=Order.ROW_TILES, converter=Order)
    row_tile: int = field(default=16, validator=positive)
    """Rows that share one pass over the weights (fitted: 16). Their inputs must fit the slots of the input
    buffer, their outputs those of the output buffer."""
    weight_tile_columns: int | None = field(default=None, validator=_optional_positive)
    """Hidden units that are loaded and computed together: a multiple of `array_columns`. As many as fit the
    slots if not given."""
    burst_alignment_bytes: int = field(default=64, validator=positive)
    """Tensors, and the weights of each hidden unit, begin at multiples of it (one burst of its DRAM)."""
    activation_alignment_bytes: int = field(default=1, validator=positive)
    """Inputs and outputs of each row tile begin at multiples of it in their tensor, and the tensors lie
    evenly between the multiples, so that they do not meet the weights in one bank (stated here: packed). The
    presets take once round the banks of their memory: row tiles that begin alike are simulated once."""
    hidden_traffic: HiddenTraffic = field(default=HiddenTraffic.WITH_WEIGHTS, converter=HiddenTraffic)
    window_requests: int | None = field(default=None, validator=_optional_positive)
    """Requests to DRAM in flight (fitted: 16). No limit if not given."""

    dense_period: int | None = field(default=None, validator=_optional_positive)
    """Iterations from one dense one to the next; only iteration 0 is dense if not given."""
    reuse: Reuse = field(default=Reuse.ZERO, converter=Reuse)
    """What cold columns contribute: nothing, or what they did in the last dense iteration, which goes to
    DRAM there and is read in every sparse one."""
    layers: Layers = field(default=Layers.OFFICIAL, converter=Layers)

    gate_weights_fetched: bool = True
    """False: the second matrix of a gated layer is computed and never fetched (fitted: it explains totals of
    UNets and no machine)."""
    gate_hidden_traffic: bool = False
    """Whether a gated layer writes and reads back both factors of its hidden values (fitted) or, multiplied
    on chip, their product."""
    row_core_cycles: float = field(default=0.0, validator=non_negative)
    """Further computation for every row of a layer without a gate (fitted: 115.4 ticks of 1 ns, or 1477 core
    cycles for 16 rows; its mechanism is not known)."""
    other_core_cycles_per_step: float = field(default=0.0, validator=non_negative)
    """Other core cycles for every step of `array_rows` x `array_columns` x `array_depth` (fitted: 0.329 ticks
    of 1 ns)."""
    other_core_cycles_per_model_element: float = field(default=0.0, validator=non_negative)
    """Other core cycles for every element of the layer's input (fitted: 0.1775 ticks of 1 ns)."""
    layer_wait_core_cycles: int = field(default=0, validator=non_negative)
    """In which a layer has begun and nothing is loaded yet: they count as stall (fitted: 4000 ticks of 1 ns,
    which the smallest workload needs)."""

    def __attrs_post_init__(self) -> None:
        columns = self.weight_tile_columns
        if columns is not None and columns % self.array_columns:
            raise InvariantError(
                f"must be a multiple of array_columns = {self.array_columns}, not {columns}",
                where="weight_tile_columns",
            )
        if self.hidden_traffic is HiddenTraffic.BETWEEN_PHASES and self.order is Order.WEIGHT_STATIONARY:
            raise InvariantError(
                f"means nothing with order = {self.order.value!r}",
                where="hidden_traffic",
                hint=f"write hidden_traffic = {HiddenTraffic.WITH_WEIGHTS.value!r}",
            )
