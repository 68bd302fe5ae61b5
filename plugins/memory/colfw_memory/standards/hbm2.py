"""HBM2 (JEDEC JESD235) in pseudo-channel mode: column and row commands go on buses of their own.

The rows are those of Ramulator 2.1 (commit c5b1c3a), which the controller is held to command by
command; a row's `source` names the parameter of the standard that it stands for, or says that it is a
convention of modelling.
"""

from __future__ import annotations

from colfw.dram.device import Role
from colfw.dram.standard import Command, Organisation, Standard, TimingName, TimingPreset
from colfw.dram.standard import ConstraintRow as Row

_JEDEC = "JESD235"
_BUS = "convention: the data bus carries one burst at a time"
_AUTO = "auto-precharge; RDA and WRA are issued by no controller here"
_REFPB = f"{_JEDEC}, single-bank refresh (REFSB); REFpb is issued by no controller here"
_RAMULATOR = "Ramulator 2.1 (c5b1c3a)"

_ROW, _COLUMN = "row", "column"

HBM2 = Standard(
    name="HBM2",
    levels=("Channel", "PseudoChannel", "BankGroup", "Bank"),
    density_level="PseudoChannel",
    data_bus_level="PseudoChannel",
    prefetch=4,
    timings=(
        TimingName("nBL", "a burst on the data bus"),
        TimingName("nCL", "RD to its first word (RL)"),
        TimingName("nRCDRD", "ACT to RD"),
        TimingName("nRCDWR", "ACT to WR"),
        TimingName("nRP", "precharge to ACT"),
        TimingName("nRAS", "ACT to precharge"),
        TimingName("nRC", "ACT to ACT of the same bank"),
        TimingName("nWR", "last word written to precharge"),
        TimingName("nRTPL", "RD to precharge, same bank group"),
        TimingName("nCWL", "WR to its first word (WL)"),
        TimingName("nCCDS", "RD to RD or WR to WR, different bank groups"),
        TimingName("nCCDL", "RD to RD or WR to WR, same bank group"),
        TimingName("nWTRS", "last word written to RD, different bank groups"),
        TimingName("nWTRL", "last word written to RD, same bank group"),
        TimingName("nRRDS", "ACT to ACT, different bank groups"),
        TimingName("nRRDL", "ACT to ACT, same bank group"),
        TimingName("nFAW", "window in which at most four banks are activated"),
        TimingName("nRFC", "an all-bank refresh"),
        TimingName("nRFCpb", "a single-bank refresh"),
        TimingName("nRREFD", "REFpb to ACT of another bank"),
        TimingName("nREFI", "from one all-bank refresh to the next"),
        TimingName("nREFIpb", "from one single-bank refresh to the next"),
    ),
    commands=(
        Command("ACT", Role.ACTIVATE, "Bank", clocks=2, bus=_ROW),
        Command("PREpb", Role.PRECHARGE, "Bank", bus=_ROW),
        Command("PREab", Role.PRECHARGE_ALL, "PseudoChannel", bus=_ROW),
        Command("RD", Role.READ, "Bank", bus=_COLUMN),
        Command("WR", Role.WRITE, "Bank", bus=_COLUMN),
        Command("RDA", Role.UNUSED, "Bank", bus=_COLUMN),
        Command("WRA", Role.UNUSED, "Bank", bus=_COLUMN),
        Command("REFab", Role.REFRESH, "PseudoChannel", bus=_ROW),
        Command("REFpb", Role.UNUSED, "Bank", bus=_ROW),
    ),
    rows=(
        # Column commands of one pseudo-channel.
        Row("PseudoChannel", "RD RDA", "RD RDA", "nBL", _BUS),
        Row("PseudoChannel", "WR WRA", "WR WRA", "nBL", _BUS),
        Row("PseudoChannel", "RD RDA", "RD RDA", "nCCDS", f"{_JEDEC}, tCCDS"),
        Row("PseudoChannel", "WR WRA", "WR WRA", "nCCDS", f"{_JEDEC}, tCCDS"),
        Row(
            "PseudoChannel",
            "RD RDA",
            "WR WRA",
            "nCL + nBL + 2 - nCWL",
            "convention: RL + BL/2 - WL and two clocks to turn the bus (tRTW)",
        ),
        Row("PseudoChannel", "WR WRA", "RD RDA", "nCWL + nBL + nWTRS", f"{_JEDEC}, tWTRS after the burst"),
        # Rows of one pseudo-channel.
        Row("PseudoChannel", "RD", "PREab", "nRTPL", f"{_JEDEC}, tRTPL"),
        Row("PseudoChannel", "WR", "PREab", "nCWL + nBL + nWR", f"{_JEDEC}, tWR after the burst"),
        Row("PseudoChannel", "ACT", "ACT", "nRRDS", f"{_JEDEC}, tRRDS"),
        Row("PseudoChannel", "ACT", "ACT", "nFAW", f"{_JEDEC}, tFAW", window=4),
        Row("PseudoChannel", "ACT", "PREab", "nRAS", f"{_JEDEC}, tRAS"),
        Row("PseudoChannel", "PREab", "ACT", "nRP", f"{_JEDEC}, tRP"),
        # All-bank refresh.
        Row("PseudoChannel", "ACT", "REFab", "nRC", "convention: tRAS and tRP, as if precharged at once"),
        Row("PseudoChannel", "PREpb PREab", "REFab", "nRP", f"{_JEDEC}, tRP before REF"),
        Row("PseudoChannel", "RDA", "REFab", "nRP + nRTPL", f"{_JEDEC}, tRTPL and tRP; {_AUTO}"),
        Row("PseudoChannel", "WRA", "REFab", "nCWL + nBL + nWR + nRP", f"{_JEDEC}, tWR and tRP; {_AUTO}"),
        Row("PseudoChannel", "REFab", "ACT PREab", "nRFC", f"{_JEDEC}, tRFC"),
        # Single-bank refresh, as other banks see it.
        Row("PseudoChannel", "REFpb", "ACT", "nRREFD", f"{_REFPB}: tRREFD"),
        Row("PseudoChannel", "ACT", "REFpb", "nRRDS", f"{_REFPB}: tRRD"),
        # One bank group.
        Row("BankGroup", "RD RDA", "RD RDA", "nCCDL", f"{_JEDEC}, tCCDL"),
        Row("BankGroup", "WR WRA", "WR WRA", "nCCDL", f"{_JEDEC}, tCCDL"),
        Row("BankGroup", "WR WRA", "RD RDA", "nCWL + nBL + nWTRL", f"{_JEDEC}, tWTRL after the burst"),
        Row("BankGroup", "ACT", "ACT", "nRRDL", f"{_JEDEC}, tRRDL"),
        # One bank.
        Row("Bank", "ACT", "ACT", "nRC", f"{_JEDEC}, tRC"),
        Row("Bank", "ACT", "RD RDA", "nRCDRD", f"{_JEDEC}, tRCDRD"),
        Row("Bank", "ACT", "WR WRA", "nRCDWR", f"{_JEDEC}, tRCDWR"),
        Row("Bank", "ACT", "PREpb", "nRAS", f"{_JEDEC}, tRAS"),
        Row("Bank", "PREpb", "ACT", "nRP", f"{_JEDEC}, tRP"),
        Row("Bank", "RD", "PREpb", "nRTPL", f"{_JEDEC}, tRTPL"),
        Row("Bank", "WR", "PREpb", "nCWL + nBL + nWR", f"{_JEDEC}, tWR after the burst"),
        Row("Bank", "RDA", "ACT", "nRTPL + nRP", f"{_JEDEC}, tRTPL and tRP; {_AUTO}"),
        Row("Bank", "WRA", "ACT", "nCWL + nBL + nWR + nRP", f"{_JEDEC}, tWR and tRP; {_AUTO}"),
        # Single-bank refresh of that bank.
        Row("Bank", "REFpb", "ACT", "nRFCpb", f"{_REFPB}: tRFCSB"),
        Row("Bank", "ACT", "REFpb", "nRC", f"{_REFPB}: tRC"),
        Row("Bank", "PREpb", "REFpb", "nRP", f"{_REFPB}: tRP"),
    ),
    organisations=(
        Organisation(
            name="1Gb",
            density_megabits=1 << 10,
            dq_bits=64,
            counts={"PseudoChannel": 2, "BankGroup": 4, "Bank": 4},
            rows=1 << 13,
            columns=1 << 7,
            source=f"{_RAMULATOR}, HBM2_1Gb: 1 Gb is one pseudo-channel",
        ),
    ),
    presets=(
        TimingPreset(
            name="1600-1Gb",
            clock_ps=1250,
            rate_mbps=1600,
            clocks={
                "nBL": 2,
                "nCL": 10,
                "nRCDRD": 10,
                "nRCDWR": 8,
                "nRP": 10,
                "nRAS": 24,
                "nRC": 34,
                "nWR": 12,
                "nRTPL": 4,
                "nCWL": 4,
                "nCCDS": 2,
                "nCCDL": 4,
                "nWTRS": 5,
                "nWTRL": 6,
                "nRRDS": 4,
                "nRRDL": 4,
                "nFAW": 12,
                "nRFC": 88,
                "nRFCpb": 128,
                "nRREFD": 7,
                "nREFI": 3120,
                "nREFIpb": 98,
            },
            source=f"{_RAMULATOR}, HBM2_1600Mbps for 1 Gb a pseudo-channel; JESD235 leaves many to vendors",
        ),
    ),
)
