"""The knobs that a designer turns first, each on the machine where the question makes sense.

Window and channels are asked of the study's machine, which is bound by them, and row tile, order, buffers,
bursts and DRAM of the reference machine, which is not; channels and dense iterations of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from colfw_experiments.ablations import (
    BANDWIDTH,
    COMPUTE,
    DENSE_LAYOUT,
    PER_MEMORY_CYCLE,
    REDUCTION,
    SECONDS,
    TIME,
    TRAFFIC,
    Ablation,
    Setting,
    with_accelerator,
    with_memory,
)
from colfw_experiments.machines import PAPER, REFERENCE
from colfw_experiments.studied import GATHERED

if TYPE_CHECKING:
    from collections.abc import Callable

KIB: Final = 1024

UNLIMITED_REQUESTS: Final = 1024
"""More than the queues of all channels hold, so never reached; no limit at all has no spelling in TOML."""

_ENOUGH_PER_CLOCK: Final = 8
"""Requests handed over in one memory clock: at least what every DRAM here can serve, so that none waits for
the front end. HBM2 can serve four."""


def window() -> Ablation:
    requests = {"8": 8, "16": 16, "32": 32, "64": 64, "unlimited": UNLIMITED_REQUESTS}
    return Ablation(
        name="window",
        title="Requests in flight",
        question="How much of the stall is latency that more requests in flight would hide?",
        knob="window",
        unit="requests",
        machines=(PAPER,),
        settings=_accelerators("window_requests", requests),
        baseline="16",
        measures=(TIME, PER_MEMORY_CYCLE, COMPUTE),
    )


def channels() -> Ablation:
    """The reference machine hands over enough requests a clock to keep eight channels busy."""
    keen = with_memory(REFERENCE, {"requests_per_clock": _ENOUGH_PER_CLOCK})
    return Ablation(
        name="channels",
        title="Live channels",
        question="Do more channels help, or does the window keep them idle?",
        knob="channels",
        unit="channels",
        machines=(PAPER, keen),
        settings=tuple(
            Setting(
                label=str(n),
                memory={"channels": n},
                # Once round the banks of as many channels, with rows of 16 KB; twice with rows of 8.
                accelerator={"activation_alignment_bytes": n * 16 * 16 * KIB},
            )
            for n in (1, 2, 4, 6, 8)
        ),
        baseline="4",
        measures=(TIME, COMPUTE),
    )


def row_tile() -> Ablation:
    """Input and output slots grow with the tile, for they hold its rows: 24 KiB each for 16 rows."""
    settings = tuple(
        Setting(
            label=str(rows),
            accelerator={
                "row_tile": rows,
                "input_slot_bytes": 24 * KIB * rows // 16,
                "output_slot_bytes": 24 * KIB * rows // 16,
            },
        )
        for rows in (16, 32, 64)
    )
    return Ablation(
        name="row-tile",
        title="Rows that share one pass over the weights",
        question=(
            "What do larger row tiles save? Weights stream once a tile; input and output buffers grow with"
            " it, from 24 KiB a slot at 16 rows."
        ),
        knob="row_tile",
        unit="rows",
        machines=(REFERENCE,),
        settings=settings,
        baseline="16",
        measures=(TIME, TRAFFIC, COMPUTE),
    )


def order() -> Ablation:
    return Ablation(
        name="order",
        title="Order of the loops",
        question=(
            "Stream all weights past each row tile, or keep a weight tile while all row tiles pass and pay"
            " for partial sums?"
        ),
        knob="order",
        machines=(REFERENCE,),
        settings=_accelerators("order", {name: name for name in (_ROW_TILES, _WEIGHT_STATIONARY)}),
        baseline=_ROW_TILES,
        measures=(TIME, TRAFFIC, COMPUTE),
    )


def buffers() -> Ablation:
    """In both orders: a larger weight slot means fewer passes over the rows only where weights stay.

    Slots of 48 KiB would not hold the sixteen hidden units of the widest gated layers.
    """
    sizes = (96, 192, 384, 768)
    return Ablation(
        name="buffers",
        title="Size of the weight buffer",
        question="What is a larger weight buffer worth? Of its three slots, in either order of the loops.",
        knob="weight_slot",
        unit="KiB",
        machines=tuple(
            {**with_accelerator(REFERENCE, {"order": name}), "name": name}
            for name in (_ROW_TILES, _WEIGHT_STATIONARY)
        ),
        settings=_accelerators("weight_slot_bytes", {str(size): size * KIB for size in sizes}),
        baseline="192",
        measures=(TIME, TRAFFIC),
    )


def burst() -> Ablation:
    """Channels are narrower and more, or wider and fewer: rows of 8 KiB, 96 bytes a clock in every case."""
    split = {16: 12, 32: 6, 64: 3}
    settings = tuple(
        Setting(
            label=f"{2 * bits}-bytes-4-clocks",
            memory={
                "channels": number,
                "requests_per_clock": _ENOUGH_PER_CLOCK,
                "organisation": {"channel_width_bits": bits, "columns": 2048 * 32 // bits},
            },
        )
        for bits, number in split.items()
    )
    return Ablation(
        name="burst",
        title="Length of a burst",
        question=(
            "Do short bursts cost? Bursts of 4 clocks carry 32, 64 or 128 bytes on 12, 6 or 3 channels;"
            " bursts of 8 clocks (gddr6-paper-double) 64 bytes on 12. Peak and row size stay the same."
        ),
        knob="burst",
        machines=(REFERENCE,),
        settings=(
            *settings,
            Setting(
                label="64-bytes-8-clocks",
                dram="gddr6-paper-double",
                memory={"channels": 12, "requests_per_clock": _ENOUGH_PER_CLOCK},
            ),
        ),
        baseline="64-bytes-4-clocks",
        measures=(TIME, BANDWIDTH),
    )


def dram() -> Ablation:
    """As many channels of each as come nearest to the 96 GB/s of the study, in whole devices or modules."""
    number_of_channels = {
        "gddr6-paper": 6,
        "gddr6-paper-double": 12,
        "gddr6-14000": 4,  # two devices of two channels: 112 GB/s
        "ddr4-2400": 5,
        "ddr5-3200": 8,  # four modules of two subchannels: 102 GB/s
        "hbm2-1600": 4,  # 102 GB/s
    }
    return Ablation(
        name="dram",
        title="DRAM standard",
        question=(
            "Which DRAM, at about equal peak bandwidth? Channels are as many as come nearest to 96 GB/s:"
            f" {', '.join(f'{n} x {name}' for name, n in number_of_channels.items())}."
        ),
        knob="dram",
        machines=(REFERENCE,),
        settings=tuple(
            Setting(
                label=name,
                dram=name,
                memory={"channels": n, "requests_per_clock": _ENOUGH_PER_CLOCK},
                # Packed elsewhere: other DRAMs have other banks, and not all are large.
                accelerator={} if name == "gddr6-paper" else {"activation_alignment_bytes": 1},
            )
            for name, n in number_of_channels.items()
        ),
        baseline="gddr6-paper",
        measures=(SECONDS, BANDWIDTH),
    )


def dense_period() -> Ablation:
    """Over whole runs of the smaller workloads: how many iterations are dense is the question here."""
    settings = (
        Setting(label="first-only"),
        *_accelerators("dense_period", {str(period): period for period in (25, 10, 5)}),
    )
    return Ablation(
        name="dense-period",
        title="How often an iteration is dense",
        question=(
            "What does refreshing reused values cost? A dense iteration in every 25, 10 or 5, or the first"
            " only; threshold 0.164."
        ),
        knob="dense_period",
        unit="iterations",
        machines=(PAPER, REFERENCE),
        settings=settings,
        baseline="first-only",
        measures=(REDUCTION,),
        workloads=("mdm", "mld"),
        layouts=(DENSE_LAYOUT, GATHERED),
        iterations=50,
    )


_ROW_TILES: Final = "row-tiles"
_WEIGHT_STATIONARY: Final = "weight-stationary"


def _accelerators(option: str, values: dict[str, Any]) -> tuple[Setting, ...]:
    """A setting for every value of one option of the accelerator."""
    return tuple(Setting(label=label, accelerator={option: value}) for label, value in values.items())


KNOBS: Final[tuple[Callable[[], Ablation], ...]] = (
    window,
    channels,
    row_tile,
    order,
    buffers,
    burst,
    dram,
    dense_period,
)
"""In the order in which they are listed."""
