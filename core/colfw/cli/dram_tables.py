"""How `colfw dram` shows its answers in a terminal; each is also there as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colfw.cli.common import console, say, size, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from colfw.dram.device import Constraint, Device
    from colfw.dram.latency_curve import LatencyCurve


def print_replay(answer: Mapping[str, Any]) -> None:
    shown = [_cells(each) for each in (*answer["channels"], answer["total"])]
    heads = [f"channel {number}>" for number in range(len(answer["channels"]))]
    listing = table("", *heads, "total>", title=_headline(answer))
    for name in shown[-1]:
        listing.add_row(name, *(_text(cells.get(name, 0)) for cells in shown))
    console().print(listing)
    for line in _coverage(answer["total"]["energy"]):
        say(line)
    if answer["commands_file"] is not None:
        say(f"commands: {answer['commands_file']}")


def _cells(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a column by the head of their row."""
    plain = {_words(key): value for key, value in numbers.items() if key not in ("commands", "energy")}
    commands = {f"command {name}": count for name, count in numbers["commands"].items()}
    return plain | commands | _energy_cells(numbers["energy"])


def _energy_cells(energy: Mapping[str, Any] | None) -> dict[str, Any]:
    if energy is None:
        return {"energy (pJ)": None}
    parts = energy["by_command_pj"] | energy["background_pj"]
    return {f"energy {name} (pJ)": pj for name, pj in parts.items()} | {"energy (pJ)": energy["total_pj"]}


def _coverage(energy: Mapping[str, Any] | None) -> Iterable[str]:
    """What an energy covers and what it leaves out, for no number stands without it."""
    if energy is None:
        return ["energy: not known, as this memory states no currents"]
    missing = ", ".join(energy["missing_states"]) or "none"
    return [
        f"energy covers: {', '.join(energy['covered_states'])}; states without a current: {missing}",
        f"energy leaves out: {', '.join(energy['left_out'])}; currents: {energy['source']}",
    ]


def _headline(answer: Mapping[str, Any]) -> str:
    return (
        f"{answer['trace']}: {answer['requests']:,} requests on {answer['memory']},"
        f" clock {answer['clock_ps']} ps, peak {answer['peak_gb_per_s']:.4g} GB/s"
    )


_UNITS = {"ns": "ns", "clocks": "clocks", "bytes": "bytes"}
_HEADS = {"gb_per_s": "bandwidth (GB/s)", "bytes_per_clock": "bandwidth (B/clock)"}


def _words(name: str) -> str:
    """A key as a row is headed: `time (ns)`."""
    rest, _, ending = name.rpartition("_")
    if rest and ending in _UNITS:
        return f"{rest.replace('_', ' ')} ({_UNITS[ending]})"
    return _HEADS.get(name, name.replace("_", " "))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _validated(about: Mapping[str, Any]) -> str:
    return str(about["validated"] or "not validated")


def print_specs(entries: Iterable[Mapping[str, Any]]) -> None:
    listing = table("memory", "owner", "validated", "channels>", "peak GB/s>", "capacity>", "summary")
    for entry in entries:
        remark = entry["problem"] or entry["summary"]
        listing.add_row(entry["memory"], entry["owner"], _validated(entry), *_sizes(entry["dram"]), remark)
    console().print(listing)


def _sizes(dram: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if dram is None:
        return "", "", ""
    return str(dram["channels"]), f"{dram['peak_gb_per_s']:.4g}", size(dram["capacity_bytes"])


def print_device(answer: Mapping[str, Any], device: Device) -> None:
    organisation = answer["organisation"]
    levels = ", ".join(f"{count} {level}" for level, count in device.levels)
    facts = {
        "memory": f"{answer['memory']} ({answer['owner']})",
        "device": answer["device"],
        "validated": _validated(answer),
        "peak": f"{answer['peak_gb_per_s']:.4g} GB/s, {answer['peak_bytes_per_clock']:.4g} B/clock,"
        f" {answer['channels']} channel(s)",
        "capacity": f"{size(answer['capacity_bytes'])}, {size(organisation['channel_bytes'])} a channel",
        "clock": f"{device.clock_ps} ps, {device.clock_hz / 1e6:.6g} MHz",
        "levels": f"{levels}; {device.banks} banks",
        "rows": f"{device.rows} a bank of {device.row_bytes} bytes, {device.bursts_per_row} bursts",
        "burst": f"{device.burst_bytes} bytes: {device.prefetch} words of {device.channel_width_bits} bits",
    }
    for name, value in facts.items():
        say(f"{name:<10} {value}")
    out = console()
    timings = table("timing", "clocks>", "ns>")
    for name, timing in answer["timings"].items():
        timings.add_row(name, str(timing["clocks"]), f"{timing['ns']:g}")
    out.print(timings)
    constraints = table("at", "after", "waits", "clocks>", "ns>", title="Constraints")
    for constraint in device.constraints:
        constraints.add_row(*_row_of(constraint, device))
    out.print(constraints)


def _row_of(constraint: Constraint, device: Device) -> tuple[str, ...]:
    level = f"other {constraint.level}" if constraint.sibling else constraint.level
    after = ", ".join(constraint.preceding)
    if constraint.window > 1:
        after = f"{after} ({constraint.window} ago)"
    ns = f"{constraint.clocks * device.clock_ps / 1000:g}"
    return level, after, ", ".join(constraint.following), str(constraint.clocks), ns


def print_curve(curve: LatencyCurve) -> None:
    stream = curve.stream
    title = (
        f"{curve.memory}: {curve.channels} channel(s), {stream.pattern}, {stream.read_share:.0%} reads,"
        f" {stream.requests:,} requests a point, seed {stream.seed}; read latency in clocks (ns)"
    )
    listing = table("offered GB/s>", "achieved GB/s>", "of peak>", "average>", "p95>", "p99>", title=title)
    for row in curve.rows:
        latencies = (
            f"{row[f'{which}_read_latency_clocks']:.4g} ({row[f'{which}_read_latency_ns']:.4g})"
            for which in ("average", "p95", "p99")
        )
        listing.add_row(
            f"{row['offered_gb_per_s']:.4g}",
            f"{row['achieved_gb_per_s']:.4g}",
            f"{row['achieved_peak_share']:.1%}",
            *latencies,
        )
    console().print(listing)
