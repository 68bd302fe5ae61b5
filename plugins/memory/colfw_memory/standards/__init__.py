"""The DRAMs that come with colfw: standards as data, and the specs that one names in a study."""

from __future__ import annotations

from colfw.dram.spec import DramSpec
from colfw_memory.standards.ddr4 import DDR4, MICRON_8GB_X8_2400
from colfw_memory.standards.ddr5 import DDR5
from colfw_memory.standards.gddr6 import GDDR6
from colfw_memory.standards.hbm2 import HBM2

__all__ = [
    "DDR4",
    "DDR4_2400",
    "DDR5",
    "DDR5_3200",
    "GDDR6",
    "GDDR6_14000",
    "GDDR6_PAPER",
    "GDDR6_PAPER_DOUBLE",
    "HBM2",
    "HBM2_1600",
]

GDDR6_PAPER = DramSpec(
    name="gddr6-paper",
    standard=GDDR6,
    organisation="16Gb-x16",
    timing="study-quad",
    channel_width_bits=32,
    channels=6,
    source=(
        "the study's table 2: GDDR6 16 Gb x16, 2000 MT/s, 6 channels, 96 GB/s; as in the golden runs,"
        " channels of 32 bits whose bursts of 64 bytes take 4 clocks"
    ),
)

GDDR6_PAPER_DOUBLE = DramSpec(
    name="gddr6-paper-double",
    standard=GDDR6,
    organisation="16Gb-x16",
    timing="study-quad",
    timing_overrides={"nBL": 8},
    channel_width_bits=32,
    channels=6,
    source="gddr6-paper with bursts of 8 clocks; the study does not say which of the two it means",
)

GDDR6_14000 = DramSpec(
    name="gddr6-14000",
    standard=GDDR6,
    organisation="16Gb-x16",
    timing="14000-1350mV-double",
    channel_width_bits=16,
    source="one of the two channels of a 14 Gb/s part of 16 Gb",
)

DDR4_2400 = DramSpec(
    name="ddr4-2400",
    standard=DDR4,
    organisation="8Gb-x8",
    timing="2400R-8Gb-x8",
    organisation_overrides={"Rank": 2},
    channel_width_bits=64,
    currents=MICRON_8GB_X8_2400,
    source="a module of two ranks of eight x8 devices",
)

DDR5_3200 = DramSpec(
    name="ddr5-3200",
    standard=DDR5,
    organisation="8Gb-x4",
    timing="3200AN-8Gb-x4",
    channel_width_bits=32,
    source="one subchannel of a module of one rank of x4 devices",
)

HBM2_1600 = DramSpec(
    name="hbm2-1600",
    standard=HBM2,
    organisation="1Gb",
    timing="1600-1Gb",
    channel_width_bits=64,
    source="one channel of two pseudo-channels of 64 bits",
)
