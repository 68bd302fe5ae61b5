"""Latency against load: which loads, which requests, and what the figure says of them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from colfw.dram.counts import ChannelCounts
from colfw.dram.device import Device
from colfw.dram.latency_curve import Stream, latency_curve, loads
from colfw.dram.latency_figure import svg, tick_step
from colfw.dram.requests import Replay
from colfw.errors import InvariantError

if TYPE_CHECKING:
    from colfw.dram.latency_curve import LatencyCurve
    from colfw.dram.requests import Trace

DEVICE = Device(
    name="one-bank",
    levels=(("Channel", 1), ("Bank", 1)),
    rows=64,
    columns=1024,
    channel_width_bits=32,
    prefetch=16,
    clock_ps=500,
    burst_clocks=4,
    read_latency_clocks=28,
    write_latency_clocks=10,
    refresh_interval_clocks=7800,
    commands=(),
    constraints=(),
)
CAPACITY_BYTES = 64 * 4096


@frozen
class Pipe:
    """A DRAM that serves one request after the other in a fixed time; all queues are endless."""

    channels: int = 1
    service_clocks: int = 4
    device: Device = DEVICE

    def replay(
        self,
        trace: Trace,
        *,
        log_commands: bool = False,
        clocks_apart: Fraction = Fraction(1),
        drain: bool = False,
    ) -> Replay:
        assert drain
        return Replay(
            channels=tuple(self._channel(trace, clocks_apart, number) for number in range(self.channels))
        )

    def _channel(self, trace: Trace, clocks_apart: Fraction, number: int) -> ChannelCounts:
        free, waits, reads, writes = 0, Counter[int](), 0, 0
        mine = np.flatnonzero(trace.address // DEVICE.burst_bytes % self.channels == number).tolist()
        for index in mine:
            arrival = int(index * clocks_apart)
            free = max(free, arrival) + self.service_clocks
            if trace.is_write[index]:
                writes += 1
            else:
                reads += 1
                waits[free - arrival] += 1
        return ChannelCounts(
            burst_bytes=64,
            clocks=free,
            busy_clocks=4 * len(mine),
            peak_bytes=free * 16,
            reads=reads,
            writes=writes,
            reads_served=reads,
            writes_served=writes,
            row_hits=len(mine),
            read_latency_clocks=tuple(sorted(waits.items())),
        )


@pytest.fixture(scope="module")
def curve() -> LatencyCurve:
    """A memory that reaches two thirds of its peak."""
    return latency_curve(Pipe(service_clocks=6), "pipe <6>", Stream(requests=300, read_share=0.7), 4)


# --- the requests ---------------------------------------------------------------------------------


def test_a_sequential_stream_begins_again_at_the_end() -> None:
    """Burst after burst, and none beyond the capacity."""
    assert Stream(requests=5).trace(64, 192).address.tolist() == [0, 64, 128, 0, 64]


@given(
    pattern=st.sampled_from(["sequential", "random"]),
    requests=st.integers(1, 300),
    seed=st.integers(0, 2**32),
    bursts=st.integers(1, 50),
)
def test_streams_are_bursts_inside_the_memory_and_repeat(
    pattern: str, requests: int, seed: int, bursts: int
) -> None:
    """Addresses are whole bursts below the capacity, and a seed always gives the same ones."""
    stream = Stream(pattern=pattern, requests=requests, seed=seed)  # type: ignore[arg-type]
    trace = stream.trace(64, bursts * 64)
    assert len(trace) == requests
    assert not trace.is_write.any()
    assert not (trace.address % 64).any()
    assert 0 <= trace.address.min() <= trace.address.max() < bursts * 64
    assert np.array_equal(trace.address, stream.trace(64, bursts * 64).address)


def test_the_share_of_reads_is_about_what_was_asked_for() -> None:
    """Of 10,000 requests, within five standard deviations."""
    trace = Stream(requests=10_000, read_share=0.7).trace(64, CAPACITY_BYTES)
    assert abs(int((trace.is_write == 0).sum()) - 7000) < 5 * (10_000 * 0.7 * 0.3) ** 0.5


def test_a_random_stream_reaches_all_of_the_memory_and_another_seed_elsewhere() -> None:
    """Every burst of a small memory is drawn; seeds differ."""
    stream = Stream(pattern="random", requests=500)
    first = stream.trace(64, 640).address
    assert set(first.tolist()) == set(range(0, 640, 64))
    assert not np.array_equal(first, evolve(stream, seed=1).trace(64, 640).address)


def test_a_stream_without_a_read_is_refused() -> None:
    """There would be no latency to speak of."""
    with pytest.raises(InvariantError, match="none of 2 requests is a read"):
        Stream(requests=2, read_share=1e-9).trace(64, CAPACITY_BYTES)


# --- the loads ------------------------------------------------------------------------------------


@given(channels=st.integers(1, 16), points=st.integers(1, 40))
def test_loads_are_even_steps_up_to_the_peak_of_all_channels(channels: int, points: int) -> None:
    """The last is the most there can be, also beyond one request a clock; all steps are the same."""
    rates = [1 / clocks for clocks in loads(DEVICE, channels, points)]
    most = Fraction(channels, DEVICE.burst_clocks)
    assert rates == [most * step / points for step in range(1, points + 1)]


def test_two_data_buses_carry_twice_as_much() -> None:
    """A channel of two pseudo-channels is loaded up to the peak of both."""
    one, two = (loads(evolve(DEVICE, data_buses=buses), 1, 3) for buses in (1, 2))
    assert one == tuple(2 * clocks for clocks in two)


def test_a_memory_below_its_limit_gives_what_is_asked_and_waits_no_longer(curve: LatencyCurve) -> None:
    """At a quarter and half of the peak nothing waits; beyond two thirds it gives no more, and waits grow."""
    low, half, beyond, peak = curve.points
    assert [point.offered_bytes_per_clock for point in curve.points] == [4, 8, 12, 16]
    assert (low.average_read_latency_clocks, half.p99_read_latency_clocks) == (6, 6)
    assert low.achieved_bytes_per_clock == pytest.approx(4, rel=0.01)
    assert beyond.achieved_bytes_per_clock == pytest.approx(64 / 6, rel=0.01)
    assert peak.achieved_bytes_per_clock == pytest.approx(64 / 6, rel=0.01)
    assert half.p99_read_latency_clocks < beyond.p99_read_latency_clocks < peak.p99_read_latency_clocks


def test_units_follow_from_the_clock(curve: LatencyCurve) -> None:
    """At 500 ps a clock is half a nanosecond, and a byte a clock 2 GB/s."""
    low = curve.rows[0]
    assert low["average_read_latency_ns"] == 3
    assert low["offered_gb_per_s"] == 8
    assert low["achieved_peak_share"] == pytest.approx(0.25, rel=0.01)
    assert curve.plain["peak_gb_per_s"] == 32


def test_channels_add_up() -> None:
    """Two channels carry twice as much in the same clocks."""
    one, two = (latency_curve(Pipe(channels=n), "pipe", Stream(requests=400), 1).points[0] for n in (1, 2))
    assert two.achieved_bytes_per_clock == pytest.approx(2 * one.achieved_bytes_per_clock, rel=0.02)
    assert two.p50_read_latency_clocks == one.p50_read_latency_clocks == 4


def test_the_csv_holds_the_rows_exactly(curve: LatencyCurve) -> None:
    """A header with units in the names, and every number as it is."""
    found = [
        {name: float(cell) for name, cell in row.items()} for row in csv.DictReader(curve.csv.splitlines())
    ]
    assert found == curve.rows


# --- the figure -----------------------------------------------------------------------------------

_SVG = {"svg": "http://www.w3.org/2000/svg"}


def test_the_figure_says_what_it_shows(curve: LatencyCurve) -> None:
    """Title and description for those who cannot see it; names of plugins are escaped; axes have units."""
    root = ET.fromstring(svg(curve))  # noqa: S314  (it was made here)
    assert root.get("role") == "img"
    described = [root.find(f"svg:*[@id='{name}']", _SVG) for name in str(root.get("aria-labelledby")).split()]
    title, description = [each.text for each in described if each is not None]
    assert title == "Read latency against load: pipe <6>"
    assert description is not None
    assert "Average read latency goes from 3 ns" in description
    texts = [each.text for each in root.findall("svg:text", _SVG)]
    assert "achieved bandwidth (GB/s)" in texts
    assert "read latency (ns)" in texts
    assert "peak 32 GB/s" in texts
    assert {"average", "95th percentile", "99th percentile"} <= set(texts)


def test_the_figure_has_a_mark_a_point_and_series_and_none_outside(curve: LatencyCurve) -> None:
    """Each mark tells its numbers, and all lie in the plot; a higher latency lies higher."""
    root = ET.fromstring(svg(curve))  # noqa: S314  (it was made here)
    marks = [mark for mark in root.findall("svg:path", _SVG) if mark.find("svg:title", _SVG) is not None]
    assert len(marks) == 3 * len(curve.points)
    for line in root.findall("svg:polyline", _SVG):
        places = [tuple(map(float, place.split(","))) for place in str(line.get("points")).split()]
        assert all(72 <= x <= 696 and 76 <= y <= 376 for x, y in places)
        assert places[-1][1] < places[0][1]


def test_the_figure_is_for_light_and_dark_pages(curve: LatencyCurve) -> None:
    """Every class that has a colour in the light has one in the dark, and lines differ in more than that."""
    light, dark = svg(curve).split("@media (prefers-color-scheme: dark)")
    coloured = re.compile(r"([.\w, ]+) \{[^}]*(?:fill|stroke): #")
    classes = {name.strip(" .") for group in coloured.findall(light) for name in group.split(",")}
    assert classes <= set(re.findall(r"[\w-]+", dark.split("</style>")[0])) | {"title"}
    assert {"stroke-dasharray: 8 3", "stroke-dasharray: 2 3"} <= set(
        re.findall(r"stroke-dasharray: \d \d", light)
    )


@given(st.floats(1e-3, 1e9))
def test_an_axis_has_a_handful_of_round_ticks(largest: float) -> None:
    """Five to ten steps, each 1, 2 or 5 times a power of ten."""
    step = tick_step(largest)
    assert 4 <= largest / step <= 10
    assert f"{step:e}"[0] in "125"
