"""Devices: what follows from their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.dram.device import Constraint, Role
from colfw.dram.spec import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.dram.device import Device
    from colfw.dram.spec import DramSpec


@pytest.fixture
def device(toy_spec: Callable[..., DramSpec]) -> Device:
    return resolve(toy_spec())


def test_sizes_multiply_out(device: Device) -> None:
    """A row holds its columns at the channel's width; the channel holds the rows of all banks."""
    assert device.burst_bytes == 16
    assert device.bursts_per_row == 16
    assert device.row_bytes == 128 * 2
    assert device.banks == 4
    # Two ranks of two devices of 1 Mb.
    assert device.channel_bytes == 4 * (1 << 20) // 8


def test_peak_bandwidth_is_a_burst_in_every_burst_time(device: Device) -> None:
    """16 bytes in 4 clocks of 2 ns are 2 GB/s."""
    assert device.clock_hz == 5e8
    assert device.peak_bytes_per_second == 2e9
    assert device.nanoseconds(device.read_latency_clocks) == 18


def test_a_span_is_the_banks_below_one_node(device: Device) -> None:
    """The spans of the nodes of a level add up to all banks."""
    assert [device.span(level) for level, _ in device.levels] == [4, 2, 1]


def test_a_command_is_found_by_its_role(device: Device) -> None:
    """Controllers never ask for a command by name."""
    assert device.named(Role.REFRESH).name == "REFab"
    assert device.named(Role.PRECHARGE_ALL).scope == "Rank"


@given(window=st.integers(max_value=0))
def test_a_window_has_at_least_one_command(window: int) -> None:
    """A constraint over no command would never bind."""
    with pytest.raises(ValueError, match="'window' must be >= 1"):
        Constraint(level="Bank", preceding=("RD",), following=("WR",), clocks=1, window=window)
