"""What a DRAM is and what it did, as plain data with the unit in each name: for JSON, tables and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.dram.counts import ChannelCounts
    from colfw.dram.device import Device
    from colfw.dram.energy import Energy
    from colfw.dram.requests import Dram, Replay

    EnergyOf = Callable[[ChannelCounts], Energy | None]
    """What counts cost; None where no currents are known."""


def of_replay(replay: Replay, dram: Dram, *, energy: EnergyOf) -> dict[str, Any]:
    """Every number of a replay: by channel, and in total over the clocks of the longest channel."""
    clocks = max(channel.clocks for channel in replay.channels)
    return {
        "channels": [_numbers(counts, counts.clocks, dram.device, energy) for counts in replay.channels],
        "total": _numbers(replay.total, clocks, dram.device, energy),
    }


def _numbers(counts: ChannelCounts, clocks: int, device: Device, energy: EnergyOf) -> dict[str, Any]:
    clock_ps = device.clock_ps
    bytes_per_clock = counts.moved_bytes / clocks if clocks else 0.0
    return {
        "clocks": clocks,
        "time_ns": clocks * clock_ps / 1000,
        "busy_share": counts.busy_share,
        "moved_bytes": counts.moved_bytes,
        "bytes_per_clock": bytes_per_clock,
        "gb_per_s": bytes_per_clock * 1000 / clock_ps,
        "peak_share": counts.peak_share,
        **{name: getattr(counts, name) for name in _COUNTED},
        "row_buffer_hit_rate": counts.row_buffer_hit_rate,
        **{f"{name}_read_latency_clocks": value for name, value in counts.read_latency_summary.items()},
        "commands": dict(counts.commands),
        "energy": _energy(energy(counts)),
    }


_COUNTED = (
    "reads",
    "writes",
    "reads_served",
    "writes_served",
    "reads_forwarded",
    "writes_merged",
    "left_over",
    "row_hits",
    "row_misses",
    "row_conflicts",
    "undecided",
    "refreshes_issued",
    "refreshes_due",
    "refreshes_waiting",
)


def _energy(energy: Energy | None) -> dict[str, Any] | None:
    """Numbers with what they cover; nothing where nothing is known."""
    if energy is None:
        return None
    return {
        "total_pj": energy.total_pj,
        "by_command_pj": dict(energy.by_command),
        "background_pj": dict(energy.background),
        "covered_states": list(energy.covered_states),
        "missing_states": list(energy.missing_states),
        "left_out": list(energy.left_out),
        "source": energy.source,
    }


def of_memory(dram: Dram) -> dict[str, Any]:
    return {
        "channels": dram.channels,
        "peak_bytes_per_clock": peak_bytes_per_clock(dram),
        "peak_gb_per_s": peak_gb_per_s(dram),
        "capacity_bytes": dram.device.channel_bytes * dram.channels,
    }


def peak_bytes_per_clock(dram: Dram) -> float:
    return float(dram.channels * dram.device.peak_bytes_per_clock)


def peak_gb_per_s(dram: Dram) -> float:
    return peak_bytes_per_clock(dram) * 1000 / dram.device.clock_ps


def of_device(device: Device) -> dict[str, Any]:
    return {
        "device": device.name,
        "clock_ps": device.clock_ps,
        "organisation": {
            "levels": [{"level": level, "count": count} for level, count in device.levels],
            "banks": device.banks,
            "rows": device.rows,
            "columns": device.columns,
            "row_bytes": device.row_bytes,
            "channel_width_bits": device.channel_width_bits,
            "prefetch": device.prefetch,
            "burst_bytes": device.burst_bytes,
            "channel_bytes": device.channel_bytes,
        },
        "timings": {
            name: {"clocks": clocks, "ns": clocks * device.clock_ps / 1000}
            for name, clocks in _timings(device)
        },
        "commands": [attrs.asdict(command) for command in device.commands],
        "constraints": [attrs.asdict(constraint) for constraint in device.constraints],
    }


def _timings(device: Device) -> tuple[tuple[str, int], ...]:
    """What follows from the standard's timings, and those timings."""
    return (
        ("burst", device.burst_clocks),
        ("read latency", device.read_latency_clocks),
        ("write latency", device.write_latency_clocks),
        ("refresh interval", device.refresh_interval_clocks),
        *device.timings,
    )
