"""LPDDR5 SDRAM (JEDEC JESD209-5) in bank-group mode with bursts of 16, at a WCK:CK ratio of 4:1.

Written from public sources, not from the standard itself, and compared with no other simulator and no
part: `_GEM5`, `_LITEDRAM` and `_RAMULATOR` below name them. Each row says which of them it follows; where
they disagree or are silent, the row says that too. The README says what is left out.

All latencies are in CK, and count an ACT (two commands, ACT-1 and ACT-2, sent back to back) from its
second clock, as gem5 does.
"""

from colfw.dram.device import Role
from colfw.dram.spec import DramSpec
from colfw.dram.standard import Command, Organisation, Standard, TimingName, TimingPreset
from colfw.dram.standard import ConstraintRow as Row

_GEM5 = "gem5 (1db206b), src/mem/DRAMInterface.py, LPDDR5_6400_1x16_BG_BL16"
_LITEDRAM = "LiteDRAM (68a0ac7), phy/lpddr5/basephy.py, after JESD209-5 tables 182, 183 and 201"
_RAMULATOR = "Ramulator 2.1 (0aba192), python/ramulator/dram/lpddr5.py"

_BUS = "convention: the data bus carries one burst at a time"
_TO_WRITE = "gem5, comment on tRTW: RL + BL/n + tWCKDQO (1 CK) - WL"
_TO_PRECHARGE = (
    "LiteDRAM, nRBTP, taken from the end of the burst as its name says: unsure, for gem5 takes it from RD,"
    " and Ramulator 2.1 has 8 CK from RD"
)
_RECOVERY = "gem5, tWR after the burst; unsure whether JESD209-5 adds a clock, as JESD209-4 does"

LPDDR5 = Standard(
    name="LPDDR5",
    levels=("Channel", "BankGroup", "Bank"),
    density_level="Channel",
    prefetch=16,
    refresh_time="nRFCab",
    timings=(
        TimingName("nBL", "a burst of 16 on the data bus (BL/n_min)"),
        TimingName("nCCDL", "RD to RD or WR to WR, same bank group (BL/n_max)"),
        TimingName("nCL", "RD to its first word (RL)"),
        TimingName("nCWL", "WR to its first word (WL)"),
        TimingName("nRCD", "ACT to RD or WR"),
        TimingName("nRP", "PREpb to ACT (tRPpb)"),
        TimingName("nRPab", "PREab to ACT"),
        TimingName("nRAS", "ACT to precharge"),
        TimingName("nRC", "ACT to ACT of the same bank"),
        TimingName("nRBTP", "last word read to precharge"),
        TimingName("nWR", "last word written to precharge"),
        TimingName("nWTRS", "last word written to RD, different bank groups"),
        TimingName("nWTRL", "last word written to RD, same bank group"),
        TimingName("nRRD", "ACT to ACT"),
        TimingName("nFAW", "window in which at most four banks are activated"),
        TimingName("nPPD", "precharge to precharge"),
        TimingName("nRFCab", "an all-bank refresh"),
        TimingName("nREFI", "from one all-bank refresh to the next"),
    ),
    commands=(
        Command("ACT", Role.ACTIVATE, "Bank", clocks=2),
        Command("PREpb", Role.PRECHARGE, "Bank"),
        Command("PREab", Role.PRECHARGE_ALL, "Channel"),
        Command("RD", Role.READ, "Bank"),
        Command("WR", Role.WRITE, "Bank"),
        Command("REFab", Role.REFRESH, "Channel"),
    ),
    rows=(
        # Column commands of one channel.
        Row("Channel", "RD", "RD", "nBL", _BUS),
        Row("Channel", "WR", "WR", "nBL", _BUS),
        Row("Channel", "RD", "WR", "nCL + nBL + 1 - nCWL", _TO_WRITE),
        Row("Channel", "WR", "RD", "nCWL + nBL + nWTRS", "gem5, tWTR after the burst"),
        # Rows of one channel.
        Row("Channel", "RD", "PREab", "nBL + nRBTP", _TO_PRECHARGE),
        Row("Channel", "WR", "PREab", "nCWL + nBL + nWR", _RECOVERY),
        Row("Channel", "ACT", "ACT", "nRRD", "gem5, tRRD"),
        Row("Channel", "ACT", "ACT", "nFAW", "gem5, tXAW and activation_limit: tFAW", window=4),
        Row("Channel", "ACT", "PREab", "nRAS", "gem5, tRAS"),
        Row("Channel", "PREab", "ACT", "nRPab", "Ramulator 2.1, nRPab"),
        Row("Channel", "PREpb PREab", "PREpb PREab", "nPPD", "gem5, tPPD"),
        # All-bank refresh.
        Row("Channel", "ACT", "REFab", "nRC", "convention: tRAS and tRPpb, as if precharged at once"),
        Row("Channel", "PREpb", "REFab", "nRP", "Ramulator 2.1, nRP before REFab"),
        Row("Channel", "PREab", "REFab", "nRPab", "Ramulator 2.0, LPDDR5.cpp; its 2.1 has nRP: the longer"),
        Row("Channel", "REFab", "ACT PREab REFab", "nRFCab", "gem5, tRFC"),
        # One bank group.
        Row("BankGroup", "RD", "RD", "nCCDL", "gem5, tCCD_L"),
        Row("BankGroup", "WR", "WR", "nCCDL", "gem5, tCCD_L"),
        Row("BankGroup", "RD", "WR", "nCL + nCCDL + 1 - nCWL", f"{_TO_WRITE}, with BL/n_max"),
        Row("BankGroup", "WR", "RD", "nCWL + nCCDL + nWTRL", "gem5, tWTR_L after a burst of BL/n_max"),
        # One bank.
        Row("Bank", "ACT", "ACT", "nRC", "Ramulator 2.1, nRC"),
        Row("Bank", "ACT", "RD WR", "nRCD", "gem5, tRCD"),
        Row("Bank", "ACT", "PREpb", "nRAS", "gem5, tRAS"),
        Row("Bank", "PREpb", "ACT", "nRP", "gem5, tRP"),
        Row("Bank", "RD", "PREpb", "nBL + nRBTP", _TO_PRECHARGE),
        Row("Bank", "WR", "PREpb", "nCWL + nBL + nWR", _RECOVERY),
    ),
    # A row is 2 KB: 1024 words of 16 bits.
    organisations=(
        Organisation(
            name="8Gb-x16",
            density_megabits=8 << 10,
            dq_bits=16,
            counts={"BankGroup": 4, "Bank": 4},
            rows=1 << 15,
            columns=1 << 10,
            source=f"{_GEM5}: 1 GiB, 16 banks in 4 groups, rows of 2 KiB; {_RAMULATOR}, LPDDR5_8Gb_x16",
        ),
    ),
    presets=(
        TimingPreset(
            name="6400-8Gb",
            clock_ps=1250,
            rate_mbps=6400,
            clocks={
                "nBL": 2,
                "nCCDL": 4,
                "nCL": 17,  # RL set 0
                "nCWL": 9,  # WL set A
                "nRCD": 15,  # 18 ns
                "nRP": 15,  # 18 ns
                "nRPab": 17,  # 21 ns
                "nRAS": 34,  # 42 ns
                "nRC": 49,
                "nRBTP": 4,
                "nWR": 28,  # 34 ns
                "nWTRS": 5,  # 6.25 ns
                "nWTRL": 10,  # 12 ns
                "nRRD": 4,  # 5 ns
                "nFAW": 16,  # 20 ns
                "nPPD": 2,
                "nRFCab": 168,  # 210 ns
                "nREFI": 3124,  # 3906 ns, rounded down: an average that is not to be exceeded
            },
            source=(
                f"{_GEM5}: nanoseconds, rounded up to clocks; {_LITEDRAM}: nCL, nCWL and nRBTP at 6400 Mb/s;"
                f" {_RAMULATOR}, LPDDR5_6400: nRPab, nRC and the interval of refresh"
            ),
        ),
    ),
)

LPDDR5_6400 = DramSpec(
    name="lpddr5-6400",
    standard=LPDDR5,
    organisation="8Gb-x16",
    timing="6400-8Gb",
    channel_width_bits=16,
    # The next burst lies in the next bank group: in one and the same, every second clock would be lost.
    mapping="RoBaCoBgCh",
    source="one channel of 16 bits; public sources, not validated",
)
