"""DDR4 SDRAM (JEDEC JESD79-4).

The rows are those of Ramulator 2.1 (commit c5b1c3a), which the controller is held to command by
command; a row's `source` names the parameter of the standard that it stands for, or says that it is a
convention of modelling.
"""

from __future__ import annotations

from colfw.dram.device import Role
from colfw.dram.standard import (
    Command,
    Currents,
    Organisation,
    Standard,
    Supply,
    TimingName,
    TimingPreset,
)
from colfw.dram.standard import ConstraintRow as Row

_JEDEC = "JESD79-4"
_BUS = "convention: the data bus carries one burst at a time"
_RANKS = "convention: nCS clocks to hand the data bus to another rank"
_AUTO = "auto-precharge; RDA and WRA are issued by no controller here"


def _organisation(density_gigabits: int, dq_bits: int, rows: int) -> Organisation:
    """Pages of 1,024 columns in 16 banks, of which x16 devices have only half."""
    return Organisation(
        name=f"{density_gigabits}Gb-x{dq_bits}",
        density_megabits=density_gigabits << 10,
        dq_bits=dq_bits,
        counts={"BankGroup": 2 if dq_bits == 16 else 4, "Bank": 4},
        rows=rows,
        columns=1 << 10,
        source=f"{_JEDEC}, {density_gigabits} Gb addressing table",
    )


DDR4 = Standard(
    name="DDR4",
    levels=("Channel", "Rank", "BankGroup", "Bank"),
    density_level="Rank",
    prefetch=8,
    timings=(
        TimingName("nBL", "a burst on the data bus"),
        TimingName("nCL", "RD to its first word (RL)"),
        TimingName("nRCD", "ACT to RD or WR"),
        TimingName("nRP", "precharge to ACT"),
        TimingName("nRAS", "ACT to precharge"),
        TimingName("nRC", "ACT to ACT of the same bank"),
        TimingName("nWR", "last word written to precharge"),
        TimingName("nRTP", "RD to precharge"),
        TimingName("nCWL", "WR to its first word (WL)"),
        TimingName("nCCDS", "RD to RD or WR to WR, different bank groups"),
        TimingName("nCCDL", "RD to RD or WR to WR, same bank group"),
        TimingName("nWTRS", "last word written to RD, different bank groups"),
        TimingName("nWTRL", "last word written to RD, same bank group"),
        TimingName("nCS", "from the burst of one rank to that of another"),
        TimingName("nRRDS", "ACT to ACT, different bank groups"),
        TimingName("nRRDL", "ACT to ACT, same bank group"),
        TimingName("nFAW", "window in which at most four banks are activated"),
        TimingName("nRFC", "an all-bank refresh"),
        TimingName("nREFI", "from one all-bank refresh to the next"),
    ),
    commands=(
        Command("ACT", Role.ACTIVATE, "Bank"),
        Command("PREpb", Role.PRECHARGE, "Bank"),
        Command("PREab", Role.PRECHARGE_ALL, "Rank"),
        Command("RD", Role.READ, "Bank"),
        Command("WR", Role.WRITE, "Bank"),
        Command("RDA", Role.UNUSED, "Bank"),
        Command("WRA", Role.UNUSED, "Bank"),
        Command("REFab", Role.REFRESH, "Rank"),
    ),
    rows=(
        Row("Channel", "RD RDA", "RD RDA", "nBL", _BUS),
        Row("Channel", "WR WRA", "WR WRA", "nBL", _BUS),
        # Column commands of one rank, and of the others.
        Row("Rank", "RD RDA", "RD RDA", "nCCDS", f"{_JEDEC}, tCCD_S"),
        Row("Rank", "WR WRA", "WR WRA", "nCCDS", f"{_JEDEC}, tCCD_S"),
        Row("Rank", "RD RDA", "WR WRA", "nCL + nBL + 2 - nCWL", f"{_JEDEC}, RL + BL/2 - WL + 2 tCK"),
        Row("Rank", "WR WRA", "RD RDA", "nCWL + nBL + nWTRS", f"{_JEDEC}, tWTR_S after the burst"),
        Row("Rank", "RD RDA", "RD RDA WR WRA", "nBL + nCS", _RANKS, sibling=True),
        Row("Rank", "WR WRA", "RD RDA", "nCWL + nBL + nCS - nCL", _RANKS, sibling=True),
        # Rows of one rank.
        Row("Rank", "RD", "PREab", "nRTP", f"{_JEDEC}, tRTP"),
        Row("Rank", "WR", "PREab", "nCWL + nBL + nWR", f"{_JEDEC}, tWR after the burst"),
        Row("Rank", "ACT", "ACT", "nRRDS", f"{_JEDEC}, tRRD_S"),
        Row("Rank", "ACT", "ACT", "nFAW", f"{_JEDEC}, tFAW", window=4),
        Row("Rank", "ACT", "PREab", "nRAS", f"{_JEDEC}, tRAS"),
        Row("Rank", "PREab", "ACT", "nRP", f"{_JEDEC}, tRP"),
        # All-bank refresh.
        Row("Rank", "ACT", "REFab", "nRC", "convention: tRAS and tRP, as if precharged at once"),
        Row("Rank", "PREpb PREab", "REFab", "nRP", f"{_JEDEC}, tRP before REF"),
        Row("Rank", "RDA", "REFab", "nRP + nRTP", f"{_JEDEC}, tRTP and tRP; {_AUTO}"),
        Row("Rank", "WRA", "REFab", "nCWL + nBL + nWR + nRP", f"{_JEDEC}, tWR and tRP; {_AUTO}"),
        Row("Rank", "REFab", "ACT PREab", "nRFC", f"{_JEDEC}, tRFC1"),
        # One bank group.
        Row("BankGroup", "RD RDA", "RD RDA", "nCCDL", f"{_JEDEC}, tCCD_L"),
        Row("BankGroup", "WR WRA", "WR WRA", "nCCDL", f"{_JEDEC}, tCCD_L"),
        Row("BankGroup", "WR WRA", "RD RDA", "nCWL + nBL + nWTRL", f"{_JEDEC}, tWTR_L after the burst"),
        Row("BankGroup", "ACT", "ACT", "nRRDL", f"{_JEDEC}, tRRD_L"),
        # One bank.
        Row("Bank", "ACT", "ACT", "nRC", f"{_JEDEC}, tRC"),
        Row("Bank", "ACT", "RD RDA WR WRA", "nRCD", f"{_JEDEC}, tRCD"),
        Row("Bank", "ACT", "PREpb", "nRAS", f"{_JEDEC}, tRAS"),
        Row("Bank", "PREpb", "ACT", "nRP", f"{_JEDEC}, tRP"),
        Row("Bank", "RD", "PREpb", "nRTP", f"{_JEDEC}, tRTP"),
        Row("Bank", "WR", "PREpb", "nCWL + nBL + nWR", f"{_JEDEC}, tWR after the burst"),
        Row("Bank", "RDA", "ACT", "nRTP + nRP", f"{_JEDEC}, tRTP and tRP; {_AUTO}"),
        Row("Bank", "WRA", "ACT", "nCWL + nBL + nWR + nRP", f"{_JEDEC}, tWR and tRP; {_AUTO}"),
    ),
    organisations=(
        _organisation(4, 4, rows=1 << 16),
        _organisation(4, 8, rows=1 << 15),
        _organisation(4, 16, rows=1 << 15),
        _organisation(8, 4, rows=1 << 17),
        _organisation(8, 8, rows=1 << 16),
        _organisation(8, 16, rows=1 << 16),
        _organisation(16, 4, rows=1 << 18),
        _organisation(16, 8, rows=1 << 17),
        _organisation(16, 16, rows=1 << 17),
    ),
    presets=(
        TimingPreset(
            name="2400R-8Gb-x8",
            clock_ps=833,
            rate_mbps=2400,
            clocks={
                "nBL": 4,
                "nCL": 16,
                "nRCD": 16,
                "nRP": 16,
                "nRAS": 39,
                "nRC": 55,
                "nWR": 18,
                "nRTP": 9,
                "nCWL": 12,
                "nCCDS": 4,
                "nCCDL": 6,
                "nWTRS": 3,
                "nWTRL": 9,
                "nCS": 2,
                "nRRDS": 4,
                "nRRDL": 6,
                "nFAW": 26,
                "nRFC": 433,
                "nREFI": 9364,
            },
            source=(
                f"{_JEDEC}, speed bin DDR4-2400R, as Ramulator 2.1 (c5b1c3a) has it for 8Gb x8 devices;"
                " its tRFC of 360 ns is 10 ns more than tRFC1 of that density"
            ),
        ),
    ),
)

MICRON_8GB_X8_2400 = Currents(
    supplies=(
        Supply(
            name="VDD",
            volts=1.2,
            milliamps={"0": 48, "2N": 34, "3N": 43, "4R": 135, "4W": 123, "5B": 250},
        ),
        # The data sheet tests IPP3N for all of IDD2x, IDD3x and IDD4x.
        Supply(name="VPP", volts=2.5, milliamps={"0": 3, "2N": 3, "3N": 3, "4R": 3, "4W": 3, "5B": 28}),
    ),
    source=(
        "Micron MT40A1G8 (8Gb x8, die revision B) at DDR4-2400: maxima, from table 15 of module data sheet"
        " MTA18ASF2G72HZ (rev. F 8/16), whose sums over 18 devices are divided out"
    ),
)
