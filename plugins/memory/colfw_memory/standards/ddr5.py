"""DDR5 SDRAM (JEDEC JESD79-5); a channel is one of the two subchannels of a module.

The rows are those of Ramulator 2.1 (commit c5b1c3a), which the controller is held to command by
command; a row's `source` names the parameter of the standard that it stands for, or says that it is a
convention of modelling.
"""

from __future__ import annotations

from colfw.dram.device import Role
from colfw.dram.standard import Command, Organisation, Standard, TimingName, TimingPreset
from colfw.dram.standard import ConstraintRow as Row

_JEDEC = "JESD79-5"
_BUS = "convention: the data bus carries one burst at a time"
_RANKS = "convention: nCS clocks to hand the data bus to another rank"
_AUTO = "auto-precharge; RDA and WRA are issued by no controller here"


def _organisation(density_gigabits: int, dq_bits: int, banks_in_group: int) -> Organisation:
    """65,536 rows; x16 devices have half the bank groups, x4 devices twice the columns."""
    return Organisation(
        name=f"{density_gigabits}Gb-x{dq_bits}",
        density_megabits=density_gigabits << 10,
        dq_bits=dq_bits,
        counts={"BankGroup": 4 if dq_bits == 16 else 8, "Bank": banks_in_group},
        rows=1 << 16,
        columns=1 << 11 if dq_bits == 4 else 1 << 10,
        source=f"{_JEDEC}, {density_gigabits} Gb addressing table",
    )


DDR5 = Standard(
    name="DDR5",
    levels=("Channel", "Rank", "BankGroup", "Bank"),
    density_level="Rank",
    prefetch=16,
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
        TimingName("nPPD", "precharge to precharge"),
        TimingName("nCCDS", "RD to RD, different bank groups"),
        TimingName("nCCDL", "RD to RD, same bank group"),
        TimingName("nCCDS_WR", "WR to WR, different bank groups"),
        TimingName("nCCDL_WR", "WR to WR, same bank group"),
        TimingName("nWTRS", "last word written to RD, different bank groups"),
        TimingName("nWTRL", "last word written to RD, same bank group"),
        TimingName("nCS", "from the burst of one rank to that of another"),
        TimingName("nRRDS", "ACT to ACT, different bank groups"),
        TimingName("nRRDL", "ACT to ACT, same bank group"),
        TimingName("nFAW", "window in which at most four banks are activated"),
        TimingName("nRFC", "an all-bank refresh"),
        TimingName("nREFI", "from one all-bank refresh to the next"),
    ),
    # Commands with an address take two clocks of the command bus.
    commands=(
        Command("ACT", Role.ACTIVATE, "Bank", clocks=2),
        Command("PREpb", Role.PRECHARGE, "Bank"),
        Command("PREab", Role.PRECHARGE_ALL, "Rank"),
        Command("RD", Role.READ, "Bank", clocks=2),
        Command("WR", Role.WRITE, "Bank", clocks=2),
        Command("RDA", Role.UNUSED, "Bank", clocks=2),
        Command("WRA", Role.UNUSED, "Bank", clocks=2),
        Command("REFab", Role.REFRESH, "Rank"),
    ),
    rows=(
        Row("Channel", "RD RDA", "RD RDA", "nBL", _BUS),
        Row("Channel", "WR WRA", "WR WRA", "nBL", _BUS),
        # Column commands of one rank, and of the others.
        Row("Rank", "RD RDA", "RD RDA", "nCCDS", f"{_JEDEC}, tCCD_S"),
        Row("Rank", "WR WRA", "WR WRA", "nCCDS_WR", f"{_JEDEC}, tCCD_S_WR"),
        Row(
            "Rank",
            "RD RDA",
            "WR WRA",
            "nCL + nBL + 2 - nCWL + 2",
            "convention: RL + BL/2 - WL, two clocks of read postamble and two of write preamble",
        ),
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
        Row("Rank", "PREpb PREab", "PREpb PREab", "nPPD", f"{_JEDEC}, tPPD"),
        # All-bank refresh.
        Row("Rank", "ACT", "REFab", "nRC", "convention: tRAS and tRP, as if precharged at once"),
        Row("Rank", "PREpb PREab", "REFab", "nRP", f"{_JEDEC}, tRP before REFab"),
        Row("Rank", "RDA", "REFab", "nRP + nRTP", f"{_JEDEC}, tRTP and tRP; {_AUTO}"),
        Row("Rank", "WRA", "REFab", "nCWL + nBL + nWR + nRP", f"{_JEDEC}, tWR and tRP; {_AUTO}"),
        Row("Rank", "REFab", "ACT PREab", "nRFC", f"{_JEDEC}, tRFC1"),
        # One bank group.
        Row("BankGroup", "RD RDA", "RD RDA", "nCCDL", f"{_JEDEC}, tCCD_L"),
        Row("BankGroup", "WR WRA", "WR WRA", "nCCDL_WR", f"{_JEDEC}, tCCD_L_WR"),
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
        _organisation(8, 4, banks_in_group=2),
        _organisation(8, 8, banks_in_group=2),
        _organisation(8, 16, banks_in_group=2),
        _organisation(16, 4, banks_in_group=4),
        _organisation(16, 8, banks_in_group=4),
        _organisation(16, 16, banks_in_group=4),
    ),
    presets=(
        TimingPreset(
            name="3200AN-8Gb-x4",
            clock_ps=625,
            rate_mbps=3200,
            clocks={
                "nBL": 8,
                "nCL": 24,
                "nRCD": 24,
                "nRP": 24,
                "nRAS": 52,
                "nRC": 76,
                "nWR": 48,
                "nRTP": 12,
                "nCWL": 22,
                "nPPD": 2,
                "nCCDS": 8,
                "nCCDL": 8,
                "nCCDS_WR": 8,
                "nCCDL_WR": 32,
                "nWTRS": 6,
                "nWTRL": 16,
                "nCS": 2,
                "nRRDS": 8,
                "nRRDL": 5,
                "nFAW": 32,
                "nRFC": 312,
                "nREFI": 6240,
            },
            source=(
                f"{_JEDEC}, speed bin DDR5-3200AN, as Ramulator 2.1 (c5b1c3a) has it for 8Gb x4 devices;"
                " its nRRDL of 5 is below nRRDS and therefore never binds"
            ),
        ),
    ),
)
