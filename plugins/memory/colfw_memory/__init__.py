"""DRAM standards as data, one controller, and the compiled kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw import hookimpl
from colfw.records import MemorySpec

if TYPE_CHECKING:
    from collections.abc import Iterator

_RAMULATOR = "Ramulator 2.1 (commit c5b1c3a): every command of the golden runs, in the same clocks"

_DRAMS = {
    "gddr6-paper": ("GDDR6_PAPER", "GDDR6 with the study's timing, six channels, bursts of 4 clocks"),
    "gddr6-paper-double": ("GDDR6_PAPER_DOUBLE", "gddr6-paper with bursts of 8 clocks"),
    "gddr6-14000": ("GDDR6_14000", "one channel of a 14 Gb/s GDDR6 part of 16 Gb"),
    "ddr4-2400": ("DDR4_2400", "a DDR4-2400 module of two ranks of 8 Gb x8 devices, with energy"),
    "ddr5-3200": ("DDR5_3200", "one subchannel of a DDR5-3200 module of 8 Gb x4 devices"),
    "hbm2-1600": ("HBM2_1600", "one HBM2 channel of two pseudo-channels at 1.6 Gb/s"),
}

_REFERENCE = {"refresh": "postponed", "requests_per_clock": 8}
"""The honest memory: every refresh is issued, between tiles where that can wait, and the front end hands over
enough requests a clock to keep all channels busy."""
_PAPER = {
    "channels": 4,
    "refresh": "none",
    "writes": "read-latency",
    "organisation": {"columns": 4096},
}
"""What explains the study's totals: a mapper that reaches four of six channels, a refresh manager that finds
no level to refresh, writes that hold their slot of the window as long as a read would, and rows of 16 KB
where Table 2 says 8."""


@hookimpl
def colfw_memories() -> Iterator[MemorySpec]:
    for name, (constant, summary) in _DRAMS.items():
        yield MemorySpec(
            name=name,
            summary=summary,
            api_version=1,
            factory="colfw_memory.backend:SimulatedDram",
            config="colfw_memory.config:DramConfig",
            standard=f"colfw_memory.standards:{constant}",
            validated=_RAMULATOR,
            presets={"reference": _REFERENCE, **({"paper": _PAPER} if name == "gddr6-paper" else {})},
        )
