"""GDDR6 SGRAM (JEDEC JESD250).

The rows are those of Ramulator 2.1 (commit c5b1c3a), which the controller is held to command by
command; a row's `source` names the parameter of the standard that it stands for, or says that it is a
convention of modelling. JESD250 leaves AC timings to vendors, so that every preset names its own origin.
"""

from __future__ import annotations

from colfw.dram.device import Role
from colfw.dram.standard import Command, Organisation, Standard, TimingName, TimingPreset
from colfw.dram.standard import ConstraintRow as Row

_JEDEC = "JESD250"
_BUS = "convention: the data bus carries one burst at a time"
_REFPB = f"{_JEDEC}, per-bank refresh; REFpb is issued by no controller here"
_AUTO = "auto-precharge; RDA and WRA are issued by no controller here"
_MICRON_8GB = "Micron MT61K256M32 brief (8Gb GDDR6, rev. F 8/18), table 3"
_RAMULATOR = "Ramulator 2.1 (c5b1c3a)"

ALL = "ACT PREab PREpb RD WR RDA WRA REFab REFpb"

GDDR6 = Standard(
    name="GDDR6",
    levels=("Channel", "BankGroup", "Bank"),
    density_level="Channel",
    prefetch=16,
    refresh_time="nRFCab",
    timings=(
        TimingName("nBL", "a burst on the data bus"),
        TimingName("nCL", "RD to its first word (RL)"),
        TimingName("nRCDRD", "ACT to RD"),
        TimingName("nRCDWR", "ACT to WR"),
        TimingName("nRP", "precharge to ACT"),
        TimingName("nRAS", "ACT to precharge"),
        TimingName("nRC", "ACT to ACT of the same bank"),
        TimingName("nWR", "last word written to precharge"),
        TimingName("nRTP", "RD to precharge"),
        TimingName("nCWL", "WR to its first word (WL)"),
        TimingName("nCCDS", "RD to RD or WR to WR, different bank groups"),
        TimingName("nCCDL", "RD to RD or WR to WR, same bank group"),
        TimingName("nRRDS", "ACT to ACT, different bank groups"),
        TimingName("nRRDL", "ACT to ACT, same bank group"),
        TimingName("nWTRS", "last word written to RD, different bank groups"),
        TimingName("nWTRL", "last word written to RD, same bank group"),
        TimingName("nFAW", "window in which at most four banks are activated"),
        TimingName("nRFCpb", "a per-bank refresh"),
        TimingName("nRREFD", "REFpb to ACT or REFpb of another bank"),
        TimingName("nREFI", "from one all-bank refresh to the next"),
        TimingName("nRFCab", "an all-bank refresh"),
        TimingName("nPPD", "precharge to precharge"),
    ),
    commands=(
        Command("ACT", Role.ACTIVATE, "Bank"),
        Command("PREab", Role.PRECHARGE_ALL, "Channel"),
        Command("PREpb", Role.PRECHARGE, "Bank"),
        Command("RD", Role.READ, "Bank"),
        Command("WR", Role.WRITE, "Bank"),
        Command("RDA", Role.UNUSED, "Bank"),
        Command("WRA", Role.UNUSED, "Bank"),
        Command("REFab", Role.REFRESH, "Channel"),
        Command("REFpb", Role.UNUSED, "Bank"),
    ),
    rows=(
        # Column commands of one channel.
        Row("Channel", "RD RDA", "RD RDA", "nBL", _BUS),
        Row("Channel", "WR WRA", "WR WRA", "nBL", _BUS),
        Row("Channel", "RD RDA", "RD RDA", "nCCDS", f"{_JEDEC}, tCCDS"),
        Row("Channel", "WR WRA", "WR WRA", "nCCDS", f"{_JEDEC}, tCCDS"),
        Row("Channel", "RD RDA", "WR WRA", "nCL + 1", "convention: RL and one clock to turn the bus (tRTW)"),
        Row("Channel", "WR WRA", "RD RDA", "nCWL + nBL + nWTRS", f"{_JEDEC}, tWTRS after the burst"),
        # Rows of one channel.
        Row("Channel", "RD", "PREab", "nRTP", f"{_JEDEC}, tRTP"),
        Row("Channel", "WR", "PREab", "nCWL + nBL + nWR", f"{_JEDEC}, tWR after the burst"),
        Row("Channel", "ACT", "ACT", "nRRDS", f"{_JEDEC}, tRRDS"),
        Row("Channel", "ACT", "ACT REFpb", "nFAW", f"{_JEDEC}, tFAW", window=4),
        Row("Channel", "REFpb", "ACT REFpb", "nFAW", f"{_REFPB}; it counts as an ACT for tFAW", window=4),
        Row("Channel", "ACT", "PREab", "nRAS", f"{_JEDEC}, tRAS"),
        Row("Channel", "PREab", "ACT", "nRP", f"{_JEDEC}, tRP"),
        Row("Channel", "PREab PREpb", "PREab PREpb", "nPPD", f"{_JEDEC}, tPPD"),
        # All-bank refresh.
        Row("Channel", "ACT", "REFab", "nRC", "convention: tRAS and tRP, as if precharged at once"),
        Row("Channel", "PREab", "REFab", "nRP", f"{_JEDEC}, tRP before REFab"),
        Row("Channel", "RDA", "REFab", "nRP + nRTP", f"{_JEDEC}, tRTP and tRP; {_AUTO}"),
        Row("Channel", "WRA", "REFab", "nCWL + nBL + nWR + nRP", f"{_JEDEC}, tWR and tRP; {_AUTO}"),
        Row("Channel", "REFab", ALL, "nRFCab", f"{_JEDEC}, tRFCab: no command while all banks refresh"),
        # Per-bank refresh, as other banks see it.
        Row("Channel", "ACT", "REFpb", "nRRDS", f"{_REFPB}: tRRD"),
        Row("Channel", "PREab", "REFpb", "nRP", f"{_REFPB}: tRP"),
        Row("Channel", "RDA", "REFpb", "nRP + nRTP", f"{_REFPB}: tRTP and tRP"),
        Row("Channel", "WRA", "REFpb", "nCWL + nBL + nWR + nRP", f"{_REFPB}: tWR and tRP"),
        Row("Channel", "REFpb", "ACT", "nRREFD", f"{_REFPB}: tRREFD"),
        Row("Channel", "REFpb", "REFpb", "nRREFD", f"{_REFPB}: tRREFD"),
        Row("Channel", "REFpb", "REFab", "nRFCpb", f"{_REFPB}: tRFCpb"),
        # One bank group.
        Row("BankGroup", "RD RDA", "RD RDA", "nCCDL", f"{_JEDEC}, tCCDL"),
        Row("BankGroup", "WR WRA", "WR WRA", "nCCDL", f"{_JEDEC}, tCCDL"),
        Row("BankGroup", "WR WRA", "RD RDA", "nCWL + nBL + nWTRL", f"{_JEDEC}, tWTRL after the burst"),
        Row("BankGroup", "ACT", "ACT REFpb", "nRRDL", f"{_JEDEC}, tRRDL"),
        # One bank.
        Row("Bank", "ACT", "ACT", "nRC", f"{_JEDEC}, tRC"),
        Row("Bank", "ACT", "RD RDA", "nRCDRD", f"{_JEDEC}, tRCDRD"),
        Row("Bank", "ACT", "WR WRA", "nRCDWR", f"{_JEDEC}, tRCDWR"),
        Row("Bank", "ACT", "PREpb", "nRAS", f"{_JEDEC}, tRAS"),
        Row("Bank", "PREpb", "ACT", "nRP", f"{_JEDEC}, tRP"),
        Row("Bank", "RD", "PREpb", "nRTP", f"{_JEDEC}, tRTP"),
        Row("Bank", "WR", "PREpb", "nCWL + nBL + nWR", f"{_JEDEC}, tWR after the burst"),
        Row("Bank", "RDA", "ACT", "nRTP + nRP", f"{_JEDEC}, tRTP and tRP; {_AUTO}"),
        Row("Bank", "WRA", "ACT", "nCWL + nBL + nWR + nRP", f"{_JEDEC}, tWR and tRP; {_AUTO}"),
        # Per-bank refresh of that bank.
        Row("Bank", "ACT", "REFpb", "nRC", f"{_REFPB}: tRC"),
        Row("Bank", "PREpb", "REFpb", "nRP", f"{_REFPB}: tRP"),
        Row("Bank", "RDA", "REFpb", "nRP + nRTP", f"{_REFPB}: tRTP and tRP"),
        Row("Bank", "WRA", "REFpb", "nCWL + nBL + nWR + nRP", f"{_REFPB}: tWR and tRP"),
        Row("Bank", "REFpb", "ACT REFpb", "nRFCpb", f"{_REFPB}: tRFCpb"),
    ),
    # A device has two channels; a row is 2 KB in 8Gb devices. Column addresses leave out the four bits
    # of the burst of 16, which `columns` includes.
    organisations=(
        Organisation(
            name="8Gb-x16",
            density_megabits=8 << 10,
            dq_bits=16,
            counts={"BankGroup": 4, "Bank": 4},
            rows=1 << 14,
            columns=1 << 10,
            channels=2,
            source=f"{_MICRON_8GB}: R[13:0], C[5:0], BA[3:0], 2 channels",
        ),
        Organisation(
            name="8Gb-x8",
            density_megabits=8 << 10,
            dq_bits=8,
            counts={"BankGroup": 4, "Bank": 4},
            rows=1 << 14,
            columns=1 << 11,
            channels=2,
            source=f"{_MICRON_8GB}: R[13:0], C[6:0], BA[3:0], 2 channels",
        ),
        Organisation(
            name="16Gb-x16",
            density_megabits=16 << 10,
            dq_bits=16,
            counts={"BankGroup": 4, "Bank": 4},
            rows=1 << 14,
            columns=1 << 11,
            channels=2,
            source=f"{_RAMULATOR}, GDDR6_16Gb_x16",
        ),
        Organisation(
            name="16Gb-x8",
            density_megabits=16 << 10,
            dq_bits=8,
            counts={"BankGroup": 4, "Bank": 4},
            rows=1 << 15,
            columns=1 << 11,
            channels=2,
            source=f"{_RAMULATOR}, GDDR6_16Gb_x8",
        ),
    ),
    presets=(
        TimingPreset(
            name="14000-1350mV-double",
            clock_ps=570,
            rate_mbps=14_000,
            clocks={
                "nBL": 2,
                "nCL": 24,
                "nRCDRD": 27,
                "nRCDWR": 16,
                "nRP": 27,
                "nRAS": 53,
                "nRC": 79,
                "nWR": 27,
                "nRTP": 4,
                "nCWL": 6,
                "nCCDS": 2,
                "nCCDL": 4,
                "nRRDS": 8,
                "nRRDL": 8,
                "nWTRS": 9,
                "nWTRL": 11,
                "nFAW": 29,
                "nRFCpb": 106,
                "nRREFD": 15,
                "nREFI": 3333,
                "nRFCab": 211,
                "nPPD": 1,
            },
            source=f"{_RAMULATOR}, GDDR6_14000_1350mV_double, of a vendor's 14 Gb/s part at 1.35 V",
        ),
        TimingPreset(
            name="study-quad",
            clock_ps=1000,
            rate_mbps=2000,
            clocks={
                "nBL": 4,
                "nCL": 24,
                "nRCDRD": 26,
                "nRCDWR": 16,
                "nRP": 26,
                "nRAS": 53,
                "nRC": 79,
                "nWR": 26,
                "nRTP": 4,
                "nCWL": 6,
                "nCCDS": 4,
                "nCCDL": 6,
                "nRRDS": 5,
                "nRRDL": 6,
                "nWTRS": 9,
                "nWTRL": 11,
                "nFAW": 28,
                "nRFCpb": 105,
                "nRREFD": 14,
                "nREFI": 7800,
                "nRFCab": 550,
                "nPPD": 1,
            },
            source=(
                "the study's table 2: CL, RCDRD, RCDWR, RP, RAS, CCDS, CCDL, 2000 MT/s; all else is not"
                " published and taken from the golden runs: refresh of 550 ns every 7.8 us is no"
                " GDDR6 part's"
            ),
        ),
    ),
)
