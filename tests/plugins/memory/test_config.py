"""The options of a memory: each is honoured, or refused in a line that names it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest

from colfw.dram.requests import Trace
from colfw.errors import StudyError
from colfw_memory import standards
from colfw_memory.backend import SimulatedDram
from colfw_memory.config import DramConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from colfw.dram.requests import Replay

    Colfw = Callable[..., tuple[int, str, str]]


def replay(**options: Any) -> Replay:
    """Writes and reads of a few banks and rows of DDR4: every option of a replay matters to them."""
    random = np.random.default_rng(1)
    count = 1000
    banks, rows = random.integers(0, 8, count) << 12, random.integers(0, 3, count) << 19
    trace = Trace(
        is_write=random.integers(0, 2, count).astype(np.uint8),
        address=rows + banks + random.integers(0, 8, count) * 64,
    )
    memory = SimulatedDram(standards.DDR4_2400, DramConfig(**options))
    return memory.replay(trace, drain=True)


# --- honoured -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "changed", "default"),
    [
        ({"channels": 3}, "channels", None),
        ({"mapping": "ChRaBaRoCo"}, "mapping", None),
        ({"scheduler": "fr-fcfs-row-hit"}, "scheduler", "fr-fcfs"),
        ({"refresh": "none", "timing": {"nREFI": 2000}}, "refresh", "all-bank"),
        ({"ports": "per-channel", "channels": 3}, "ports", "shared"),
        ({"timing": {"nRCD": 40}}, "timing", {}),
        ({"timing": {"nREFI": 2000}}, "timing", {}),
        ({"organisation": {"Rank": 1}}, "organisation", {}),
        ({"organisation": {"columns": 512}}, "organisation", {}),
    ],
    ids=str,
)
def test_an_option_of_a_replay_is_honoured(option: dict[str, Any], changed: str, default: Any) -> None:
    """Changing it, and nothing else, changes what the memory does."""
    assert replay(**option).channels != replay(**(option | {changed: default})).channels


def test_a_trace_has_no_tiles_for_which_refreshes_could_wait() -> None:
    """Where no program runs, nothing is postponed."""
    often = {"timing": {"nREFI": 2000}}
    assert replay(**often, refresh="postponed").channels == replay(**often).channels


def test_timing_in_picoseconds_is_the_clock() -> None:
    """tCK_ps changes how long a clock takes, not what happens in it."""
    slow = SimulatedDram(standards.DDR4_2400, DramConfig(timing={"tCK_ps": 1666}))
    assert slow.device.clock_ps == 1666
    assert replay(timing={"tCK_ps": 1666}).channels == replay().channels


def test_what_is_not_given_is_the_spec_s() -> None:
    """Channels and mapping are those that the spec states."""
    memory = SimulatedDram(standards.GDDR6_PAPER, None)
    assert (memory.channels, memory.mapping.name) == (6, "RoBaRaCoCh")


def test_the_list_of_options_is_complete() -> None:
    """Whoever adds an option is reminded to test it: those of programs are tested with programs."""
    of_replays = {"channels", "mapping", "scheduler", "refresh", "ports", "timing", "organisation"}
    of_programs = {"requests_per_clock", "writes", "skip_repetition"}
    assert {a.name for a in attrs.fields(DramConfig)} == of_replays | of_programs


# --- refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--channels", 0), ("channels", "at least 1", "not 0")),
        (("--channels", -2), ("channels", "at least 1", "not -2")),
        (("--mapping", "RoBaRaCo", "--channels", 3), ("mapping 'RoBaRaCo'", "leaves out Ch")),
        (("--mapping", ""), ("mapping",)),
        (("--mapping", "chaos"), ("unknown mapping 'chaos'", "RoBaRaCoCh")),
        (("--scheduler", "fifo"), ("scheduler", "fifo", "fr-fcfs")),
        (("--refresh", "sometimes"), ("refresh", "sometimes", "all-bank")),
        (("--ports", "many"), ("ports", "many", "per-channel")),
        (("--set", "nRDC=20"), ("timing", "unknown name 'nRDC'")),
        (("--set", "nRCD=-1"), ("nRCD", "-1")),
        (("--set", "nRCD=fast"), ("nRCD", "fast")),
        (("--set", "nREFI=0"), ("nREFI", "0")),
        (("--set", "organisation.Rank=0"), ("Rank", "0")),
        (("--set", "organisation.Rnak=2"), ("organisation", "unknown name 'Rnak'", "'Rank'")),
        (("--set", "organisation.columns=100"), ("columns 100", "multiple")),
        (("--set", "organisation.Rank=5"), ("80 banks", "64")),
        (("--set", "requests_per_clock=0"), ("requests_per_clock", "0")),
        (("--set", "nREFI=100"), ("nREFI", "100", "434")),
        (("--set", f"nREFI={1 << 50}"), ("nREFI", str(1 << 50))),
        (("--set", "nRCD=200000"), ("Bank: ACT -> RD", "200000", str((1 << 17) - 1))),
        (("--set", "organisation.BankGroup=1", "--set", "organisation.Bank=1"), ("siblings of one bank",)),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_a_bad_option_is_one_clear_line(
    colfw: Colfw, tmp_path: Path, arguments: tuple[object, ...], expected: tuple[str, ...]
) -> None:
    """It says which option, what was given and what would do, and nothing runs."""
    (tmp_path / "trace.txt").write_text("LD 0x0\nST 0x40\n", encoding="utf-8")
    code, out, err = colfw("dram", "run", "trace.txt", "--spec", "ddr4-2400", *arguments)
    assert code != 0
    assert out == ""
    assert len(err.splitlines()) == 1, err
    for part in expected:
        assert part in err


def test_what_cannot_be_simulated_is_refused_when_the_memory_is_made() -> None:
    """Not first when it is used; and what does not matter is not refused."""
    for options in ({"organisation": {"Rank": 5}}, {"timing": {"nREFI": 434}}):
        with pytest.raises(StudyError):
            SimulatedDram(standards.DDR4_2400, DramConfig(**options))
    SimulatedDram(standards.DDR4_2400, DramConfig(timing={"nREFI": 435}))
    SimulatedDram(standards.DDR4_2400, DramConfig(timing={"nREFI": 1}, refresh="none"))


def test_sixty_four_banks_are_simulated(colfw: Colfw, tmp_path: Path) -> None:
    """The most that is allowed does work."""
    (tmp_path / "trace.txt").write_text("LD 0x0\nST 0x40\n", encoding="utf-8")
    arguments = ("run", "trace.txt", "--spec", "ddr4-2400", "--set", "organisation.Rank=4", "--json")
    code, out, err = colfw("dram", *arguments)
    assert (code, err) == (0, "")
    assert json.loads(out)["total"]["reads"] == 1
