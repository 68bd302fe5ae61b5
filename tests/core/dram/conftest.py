"""A DRAM small enough to check by hand: two ranks, two banks, a command of two clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from colfw.dram.device import Role
from colfw.dram.spec import DramSpec
from colfw.dram.standard import (
    Command,
    ConstraintRow,
    Organisation,
    Standard,
    TimingName,
    TimingPreset,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CLOCKS: Mapping[str, int] = {
    "nBL": 4,
    "nCL": 5,
    "nCWL": 3,
    "nRCD": 6,
    "nRP": 7,
    "nRAS": 10,
    "nRC": 17,
    "nRFC": 20,
    "nREFI": 100,
}

PARTS: Mapping[str, Any] = {
    "name": "Toy",
    "levels": ("Channel", "Rank", "Bank"),
    "density_level": "Rank",
    "prefetch": 8,
    "timings": tuple(TimingName(name, f"the span {name}") for name in CLOCKS),
    "commands": (
        Command("ACT", Role.ACTIVATE, "Bank", clocks=2),
        Command("PREpb", Role.PRECHARGE, "Bank"),
        Command("PREab", Role.PRECHARGE_ALL, "Rank"),
        Command("RD", Role.READ, "Bank"),
        Command("WR", Role.WRITE, "Bank"),
        Command("REFab", Role.REFRESH, "Rank"),
    ),
    "rows": (
        ConstraintRow("Rank", "RD", "WR", "nCL + nBL + 2 - nCWL", "test"),
        ConstraintRow("Rank", "REFab", "ACT PREab", "nRFC", "test"),
        ConstraintRow("Bank", "ACT", "RD WR", "nRCD", "test"),
        ConstraintRow("Rank", "RD", "RD", "nBL + 2", "test", sibling=True),
    ),
    "organisations": (
        Organisation(
            name="1Mb-x8",
            density_megabits=1,
            dq_bits=8,
            counts={"Bank": 2},
            rows=512,
            columns=128,
            source="test",
        ),
    ),
    "presets": (TimingPreset(name="slow", clock_ps=2000, rate_mbps=1000, clocks=CLOCKS, source="test"),),
}


@pytest.fixture
def toy() -> Callable[..., Standard]:
    """Makes the toy standard, with some of its parts replaced."""
    return lambda **changes: Standard(**{**PARTS, **changes})


@pytest.fixture
def toy_spec(toy: Callable[..., Standard]) -> Callable[..., DramSpec]:
    """Makes a spec of the toy standard: two ranks of two devices."""

    def make(**changes: Any) -> DramSpec:
        parts: dict[str, Any] = {
            "name": "toy-1000",
            "standard": toy(),
            "organisation": "1Mb-x8",
            "timing": "slow",
            "organisation_overrides": {"Rank": 2},
            "channel_width_bits": 16,
            "source": "test",
        }
        return DramSpec(**{**parts, **changes})

    return make
