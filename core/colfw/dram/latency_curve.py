"""Latency against load: what a read waits when a memory is asked for more and more of its bandwidth.

The same seeded requests are offered at evenly spaced loads, up to the peak of all data buses (several
requests a clock, where channels carry that much), and each replay goes on until all are served. A request
that finds its queue full waits outside of it: latency counts from the clock in which the memory takes it.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
from attrs import field, frozen, validators

from colfw.dram.requests import Trace
from colfw.errors import InvariantError

if TYPE_CHECKING:
    from fractions import Fraction

    from colfw.dram.counts import ChannelCounts
    from colfw.dram.device import Device
    from colfw.dram.requests import Dram, Replay

Pattern = Literal["sequential", "random"]


@frozen(kw_only=True)
class Stream:
    """The requests of a curve: equal streams on equal memories give equal curves."""

    pattern: Pattern = field(default="sequential", validator=validators.in_(("sequential", "random")))
    read_share: float = field(default=1.0, validator=[validators.gt(0), validators.le(1)])
    requests: int = field(default=20_000, validator=validators.ge(1))
    seed: int = field(default=0, validator=validators.ge(0))

    def trace(self, burst_bytes: int, capacity_bytes: int) -> Trace:
        """Burst after burst from address 0 on, and again from there; or bursts drawn from all there are."""
        draw = np.random.default_rng(self.seed)
        # Drawn in any case, so that both patterns write at the same places.
        is_write = draw.random(self.requests) >= self.read_share
        if is_write.all():
            raise InvariantError(
                f"none of {self.requests} requests is a read, so there is no latency",
                where=f"{self.pattern} stream of seed {self.seed}",
                hint="ask for more requests, or a larger share of reads",
            )
        bursts = capacity_bytes // burst_bytes
        if self.pattern == "random":
            chosen = draw.integers(0, bursts, self.requests)
        else:
            chosen = np.arange(self.requests, dtype=np.int64) % bursts
        return Trace(
            is_write=is_write.view(np.uint8), address=chosen * burst_bytes, name=f"{self.pattern} stream"
        )


@frozen(kw_only=True)
class LoadPoint:
    """What one load gives."""

    clocks_apart: Fraction
    """From one request to the next, in memory clocks."""
    offered_bytes_per_clock: float
    achieved_bytes_per_clock: float
    """Whole bursts over the data bus, over all clocks until the last request was served."""
    average_read_latency_clocks: float
    p50_read_latency_clocks: int
    p95_read_latency_clocks: int
    p99_read_latency_clocks: int


@frozen(kw_only=True)
class LatencyCurve:
    """The points of one memory, from the lowest load to the highest."""

    memory: str
    device: str
    channels: int
    clock_ps: int
    peak_bytes_per_clock: float
    stream: Stream
    points: tuple[LoadPoint, ...]

    def nanoseconds(self, clocks: float) -> float:
        return clocks * self.clock_ps / 1000

    def gb_per_second(self, bytes_per_clock: float) -> float:
        return bytes_per_clock * 1000 / self.clock_ps

    @property
    def plain(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "device": self.device,
            "channels": self.channels,
            "clock_ps": self.clock_ps,
            "peak_bytes_per_clock": self.peak_bytes_per_clock,
            "peak_gb_per_s": self.gb_per_second(self.peak_bytes_per_clock),
            "stream": attrs.asdict(self.stream),
            "points": self.rows,
        }

    @property
    def rows(self) -> list[dict[str, float]]:
        """The points as plain data, units in the names."""
        return [self._row(point) for point in self.points]

    def _row(self, point: LoadPoint) -> dict[str, float]:
        plain = attrs.asdict(point, filter=attrs.filters.exclude("clocks_apart"))
        return {
            "clocks_apart": float(point.clocks_apart),
            **plain,
            "offered_gb_per_s": self.gb_per_second(point.offered_bytes_per_clock),
            "achieved_gb_per_s": self.gb_per_second(point.achieved_bytes_per_clock),
            "achieved_peak_share": point.achieved_bytes_per_clock / self.peak_bytes_per_clock,
            "average_read_latency_ns": self.nanoseconds(point.average_read_latency_clocks),
            "p95_read_latency_ns": self.nanoseconds(point.p95_read_latency_clocks),
            "p99_read_latency_ns": self.nanoseconds(point.p99_read_latency_clocks),
        }

    @property
    def csv(self) -> str:
        """The rows as CSV, with a header."""
        text = io.StringIO()
        rows = self.rows
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def loads(device: Device, channels: int, points: int) -> tuple[Fraction, ...]:
    """How many clocks lie between two requests at each of `points` loads, the lowest first.

    >>> from fractions import Fraction
    >>> from types import SimpleNamespace
    >>> device = SimpleNamespace(burst_bytes=64, peak_bytes_per_clock=Fraction(16))
    >>> [str(clocks) for clocks in loads(device, 1, 2)], [str(clocks) for clocks in loads(device, 8, 2)]
    (['8', '4'], ['1', '1/2'])
    """
    most = channels * device.peak_bytes_per_clock / device.burst_bytes
    return tuple(points / (most * step) for step in range(1, points + 1))


def latency_curve(dram: Dram, memory: str, stream: Stream, points: int) -> LatencyCurve:
    """Replay the stream once a load; deterministic."""
    device = dram.device
    trace = stream.trace(device.burst_bytes, device.channel_bytes * dram.channels)
    spacings = loads(device, dram.channels, points)
    return LatencyCurve(
        memory=memory,
        device=device.name,
        channels=dram.channels,
        clock_ps=device.clock_ps,
        peak_bytes_per_clock=float(dram.channels * device.peak_bytes_per_clock),
        stream=stream,
        points=tuple(
            _point(dram.replay(trace, clocks_apart=apart, drain=True), apart, device) for apart in spacings
        ),
    )


def _point(replay: Replay, apart: Fraction, device: Device) -> LoadPoint:
    total = replay.total
    elapsed = max(channel.clocks for channel in replay.channels)
    average = total.average_read_latency
    if average is None or not elapsed:
        raise InvariantError("the reads of a drained replay have no latency", where=device.name)
    return LoadPoint(
        clocks_apart=apart,
        offered_bytes_per_clock=float(device.burst_bytes / apart),
        achieved_bytes_per_clock=total.moved_bytes / elapsed,
        average_read_latency_clocks=average,
        p50_read_latency_clocks=_percentile(total, 50),
        p95_read_latency_clocks=_percentile(total, 95),
        p99_read_latency_clocks=_percentile(total, 99),
    )


def _percentile(counts: ChannelCounts, percent: float) -> int:
    clocks = counts.read_latency_percentile(percent)
    assert clocks is not None
    return clocks
