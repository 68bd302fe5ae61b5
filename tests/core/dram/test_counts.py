"""Counts of a channel: they add up, they contradict nothing, and ratios follow from them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from colfw.dram.counts import ChannelCounts, total
from colfw.errors import InvariantError
from colfw.testing.strategies import channel_counts


@given(channel_counts(), channel_counts(), channel_counts())
def test_counts_add_up_in_any_order(one: ChannelCounts, two: ChannelCounts, three: ChannelCounts) -> None:
    """Channels and simulations may be added in whatever order they finish."""
    assert one + two == two + one
    assert (one + two) + three == one + (two + three) == total([one, two, three])


@given(channel_counts(), channel_counts())
def test_a_sum_counts_each_thing_of_both(one: ChannelCounts, two: ChannelCounts) -> None:
    """Every field of the sum is the sum of the fields, tallies and histograms key by key."""
    both = one + two
    for field in fields(ChannelCounts):
        mine, yours, ours = (getattr(counts, field.name) for counts in (one, two, both))
        if field.name == "burst_bytes":
            assert ours == mine == yours
        elif isinstance(ours, int):
            assert ours == mine + yours
        else:
            keys = dict(mine).keys() | dict(yours).keys()
            assert ours == tuple((k, dict(mine).get(k, 0) + dict(yours).get(k, 0)) for k in sorted(keys))


@given(channel_counts())
def test_nothing_added_changes_nothing(counts: ChannelCounts) -> None:
    """Counts of nothing are the neutral element."""
    assert counts + ChannelCounts(burst_bytes=64) == counts


def test_bursts_of_different_size_do_not_add_up() -> None:
    """Their sum would say nothing about bytes."""
    with pytest.raises(InvariantError, match="bursts of 64 and of 32 bytes do not add up"):
        _ = ChannelCounts(burst_bytes=64) + ChannelCounts(burst_bytes=32)


PLAIN: dict[str, Any] = {
    "burst_bytes": 64,
    "clocks": 100,
    "busy_clocks": 12,
    "peak_bytes": 1600,
    "reads": 3,
    "writes": 2,
    "reads_served": 2,
    "writes_served": 1,
    "reads_forwarded": 1,
    "left_over": 1,
    "row_hits": 1,
    "row_misses": 2,
    "undecided": 1,
    "refreshes_due": 1,
    "refreshes_issued": 1,
    "read_latency_clocks": ((1, 1), (28, 1), (40, 1)),
}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"reads": 4}, "requests accepted: 6, accounted for: 5"),
        ({"writes_merged": 1}, "requests accepted: 5, accounted for: 6"),
        ({"row_hits": 2}, "accesses: 4, accounted for: 5"),
        ({"refreshes_waiting": 1}, "refreshes due: 1, accounted for: 2"),
        ({"peak_bytes": 191}, "moved 192 bytes where the bus carries at most 191"),
    ],
)
def test_counts_that_contradict_themselves_cannot_be_made(changes: dict[str, int], problem: str) -> None:
    """The sanity block: what is accepted is accounted for, and no bus carries more than it can."""
    assert ChannelCounts(**PLAIN)
    with pytest.raises(InvariantError) as refusal:
        ChannelCounts(**{**PLAIN, **changes})
    assert str(refusal.value) == f"sanity block of a DRAM channel: {problem}"


def test_no_count_is_negative() -> None:
    """A negative count is a bug of whoever counted."""
    with pytest.raises(ValueError, match="'clocks' must be >= 0"):
        ChannelCounts(burst_bytes=64, clocks=-1)


def test_ratios_follow_from_the_counts() -> None:
    """Each is what its name says, of the counts above."""
    counts = ChannelCounts(**PLAIN)
    assert counts.served == 3
    assert counts.moved_bytes == 192
    assert counts.row_buffer_hit_rate == pytest.approx(1 / 3)
    assert counts.busy_share == 0.12
    assert counts.peak_share == 0.12
    assert (counts.reads_completed, counts.read_latency_sum) == (3, 69)
    assert counts.average_read_latency == 23


def test_ratios_over_nothing_are_no_numbers() -> None:
    """What was never measured is None, and shares of no time are nought."""
    nothing = ChannelCounts(burst_bytes=64)
    assert nothing.row_buffer_hit_rate is None
    assert nothing.average_read_latency is None
    assert nothing.read_latency_percentile(50) is None
    assert (nothing.busy_share, nothing.peak_share) == (0.0, 0.0)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.sampled_from([1, 25, 50, 90, 99, 100]))
def test_a_percentile_is_the_smallest_latency_that_so_many_reads_keep(
    latencies: list[int], percent: int
) -> None:
    """Checked against the definition, read by read."""
    histogram = tuple((latency, latencies.count(latency)) for latency in sorted(set(latencies)))
    counts = evolve(ChannelCounts(burst_bytes=64), read_latency_clocks=histogram)
    needed = Fraction(len(latencies) * percent, 100)
    expected = min(x for x in latencies if sum(y <= x for y in latencies) >= needed)
    assert counts.read_latency_percentile(percent) == expected


def test_a_percentile_that_falls_on_a_read_is_that_reads_latency() -> None:
    """Half of four reads are two."""
    counts = ChannelCounts(burst_bytes=64, read_latency_clocks=((1, 1), (2, 1), (3, 1), (4, 1)))
    assert [counts.read_latency_percentile(percent) for percent in (25, 50, 51, 100)] == [1, 2, 3, 4]
