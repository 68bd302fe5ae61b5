"""`colfw dram`: what it prints are the numbers of the replay, and what cannot be done is one line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from colfw.testing.distributions import install

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Colfw = Callable[..., tuple[int, str, str]]

FAKE = '''
"""A DRAM for tests: two banks, a fixed service time, every request a row hit."""

from typing import Literal

from attrs import field, frozen

from colfw import hookimpl
from colfw.records import MemorySpec


@frozen(kw_only=True)
class Config:
    channels: int = 1
    refresh: Literal["all-bank", "none"] = "all-bank"
    timing: dict[str, int] = field(factory=dict)
    currents: bool = False
    quiet: bool = False


@hookimpl
def colfw_memories():
    about = {"api_version": 1, "config": f"{__name__}:Config"}
    yield MemorySpec(name="fake-dram", summary="A DRAM for tests", factory=f"{__name__}:Fake",
                     validated="nothing at all", **about)
    yield MemorySpec(name="fake-broken", summary="Never made", factory=f"{__name__}:broken", **about)
    yield MemorySpec(name="fake-plain", summary="No DRAM", factory=f"{__name__}:Plain", api_version=1)


class Plain:
    pass


def broken(config):
    raise RuntimeError("out of order")


class Fake:
    def __init__(self, config):
        from colfw.dram.device import Constraint, Device
        self.config = config
        self.channels = config.channels
        self.clocks = {"nCL": 24, **config.timing}
        self.device = Device(
            name="two-banks", levels=(("Channel", 1), ("Bank", 2)), rows=8, columns=128, prefetch=16,
            channel_width_bits=32, clock_ps=800, burst_clocks=4, read_latency_clocks=self.clocks["nCL"] + 4,
            write_latency_clocks=10, refresh_interval_clocks=7800, commands=(),
            constraints=(Constraint(level="Bank", preceding=("ACT",), following=("RD",), clocks=26),
                         Constraint(level="Channel", preceding=("ACT",), following=("ACT",), clocks=28,
                                    window=4, sibling=True)),
            timings=tuple(self.clocks.items()),
        )

    def replay(self, trace, *, log_commands=False, clocks_apart=1, drain=False):
        import numpy as np
        from colfw.dram.counts import ChannelCounts
        from colfw.dram.requests import CommandLog, Replay
        if trace.address[0] == 64 * 15:
            raise ZeroDivisionError("a slip")
        found, rows = [], []
        for channel in range(self.channels):
            mine = trace.address // 64 % self.channels == channel
            writes = int(trace.is_write[mine].sum())
            reads = int(mine.sum()) - writes
            left = 0 if drain else min(1, reads)
            served = reads + writes - left
            clocks = 10 * (reads + writes) + 100 * channel
            rows += [(10 * i + 1, channel, 0, -1) for i in range(served)]
            found.append(ChannelCounts(
                burst_bytes=64, clocks=clocks, busy_clocks=4 * served, peak_bytes=16 * clocks, reads=reads,
                writes=writes, reads_served=reads - left, writes_served=writes, left_over=left,
                undecided=left, row_hits=served, commands=(("RD", reads - left), ("WR", writes)),
                read_latency_clocks=((self.clocks["nCL"] + 4, reads - left),) if reads > left else (),
            ))
        log = CommandLog(columns=("clock", "channel", "command", "Bank"), names=("RD",), rows=np.array(rows))
        return Replay(channels=tuple(found), commands=log if log_commands and not self.config.quiet else None)

    def energy(self, counts):
        from colfw.dram.energy import Energy
        if not self.config.currents:
            return None
        return Energy(by_command=(("RD", 2.0 * counts.reads_served),), background=(("a bank open", 1.5),),
                      covered_states=("VDD 4R",), missing_states=("VDD 5B",), source="invented for a test")
'''


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with a DRAM, one that cannot be made, and a memory that is none."""
    site = tmp_path / "site"
    site.mkdir()
    install(site, "colfw-fake-dram", FAKE)
    monkeypatch.syspath_prepend(site)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    (tmp_path / "trace.txt").write_text("LD 0x0\nST 64\nLD 0x80\nLD 192\n", encoding="utf-8")
    return "trace.txt"


T = "trace.txt"
RUN = ("run", T, "--spec", "fake-dram")

pytestmark = pytest.mark.usefixtures("fake", "trace")


def answer(colfw: Colfw, *arguments: object) -> Any:
    code, out, err = colfw("dram", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


# --- run ------------------------------------------------------------------------------------------


def test_the_json_of_a_run_are_the_numbers_of_the_replay(colfw: Colfw) -> None:
    """Clocks, time, shares, bandwidth, latencies and commands, by channel and in total."""
    found = answer(colfw, "run", "trace.txt", "--spec", "fake-dram", "--channels", 2, "--drain")
    assert (found["memory"], found["owner"], found["requests"]) == ("fake-dram", "colfw-fake-dram 1.0", 4)
    assert [channel["clocks"] for channel in found["channels"]] == [20, 120]
    total = found["total"]
    assert (total["clocks"], total["time_ns"], total["moved_bytes"]) == (120, 96.0, 256)
    assert total["bytes_per_clock"] == 256 / 120
    assert total["gb_per_s"] == pytest.approx(256 / 96.0)
    assert total["busy_share"] == 16 / 140
    assert total["peak_share"] == 256 / (16 * 140)
    assert (total["reads"], total["writes"], total["row_hits"], total["left_over"]) == (3, 1, 4, 0)
    assert (total["row_buffer_hit_rate"], total["average_read_latency_clocks"]) == (1.0, 28.0)
    assert [total[f"p{p}_read_latency_clocks"] for p in (50, 95, 99)] == [28, 28, 28]
    assert total["commands"] == {"RD": 3, "WR": 1}
    assert found["peak_gb_per_s"] == 40.0


def test_only_options_that_are_given_reach_the_memory(colfw: Colfw) -> None:
    """--set changes a timing, or any other option by its name; without --drain requests may be left over."""
    found = answer(colfw, "run", "trace.txt", "--spec", "fake-dram", "--set", "nCL=30", "--set", "channels=2")
    assert [channel["left_over"] for channel in found["channels"]] == [1, 1]
    assert found["total"]["average_read_latency_clocks"] == 34.0
    assert answer(colfw, "show", "fake-dram", "--set", "timing.nCL=31")["timings"]["nCL"]["clocks"] == 31


def test_what_is_not_known_is_null_and_not_a_number(colfw: Colfw, tmp_path: Path) -> None:
    """No read completed: no latency. No currents: no energy."""
    (tmp_path / "trace.txt").write_text("ST 0\n", encoding="utf-8")
    total = answer(colfw, "run", "trace.txt", "--spec", "fake-dram")["total"]
    assert (total["average_read_latency_clocks"], total["p99_read_latency_clocks"]) == (None, None)
    assert total["energy"] is None
    assert "energy: not known" in colfw("dram", "run", "trace.txt", "--spec", "fake-dram")[1]


def test_energy_comes_with_what_it_covers(colfw: Colfw) -> None:
    """Total and parts in pJ, the states covered and missing, and the source of the currents."""
    arguments = ("run", "trace.txt", "--spec", "fake-dram", "--drain", "--set", "currents=true")
    energy = answer(colfw, *arguments)["total"]["energy"]
    assert (energy["total_pj"], energy["by_command_pj"]) == (7.5, {"RD": 6.0})
    assert (energy["covered_states"], energy["missing_states"]) == (["VDD 4R"], ["VDD 5B"])
    out = colfw("dram", *arguments)[1]
    assert "energy covers: VDD 4R; states without a current: VDD 5B" in out
    assert "invented for a test" in out


def test_the_table_has_a_column_a_channel_and_the_total(colfw: Colfw) -> None:
    """Rows are headed by the quantity and its unit."""
    code, out, err = colfw("dram", "run", "trace.txt", "--spec", "fake-dram", "--channels", 2, "--drain")
    assert (code, err) == (0, "")
    assert "4 requests on fake-dram, clock 800 ps, peak 40 GB/s" in out
    rows = {
        line.strip()[: line.strip().find("  ")]: line.split() for line in out.splitlines() if "  " in line
    }
    assert rows["clocks"][-3:] == ["20", "120", "120"]
    assert rows["time (ns)"][-1] == "96.0000"
    assert rows["command RD"][-3:] == ["2", "1", "3"]
    assert rows["bandwidth (GB/s)"][-1] == "2.6667"


def test_commands_are_written_when_asked_for(colfw: Colfw, tmp_path: Path) -> None:
    """A row a command; the answer names the file."""
    arguments = ("run", "trace.txt", "--spec", "fake-dram", "--drain", "--commands", "out.csv")
    assert answer(colfw, *arguments)["commands_file"] == "out.csv"
    rows = list(csv.reader((tmp_path / "out.csv").read_text().splitlines()))
    assert rows[:2] == [["clock", "channel", "command", "Bank"], ["1", "0", "RD", "-1"]]
    assert len(rows) == 5


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("run", "none.txt", "--spec", "fake-dram"), 5, "none.txt: cannot be read: No such file"),
        (("run", T, "--spec", "fake-drem"), 3, "unknown memory 'fake-drem' (did you mean 'fake-d"),
        (("run", T, "--spec", "tiny-bus"), 3, "memory 'tiny-bus' of colfw-tiny 0.1.0: is no DRAM"),
        (("run", T, "--spec", "fake-plain"), 3, "is no DRAM: it replays no traces (see `colfw"),
        (("run", T, "--spec", "fake-broken"), 3, "RuntimeError: out of order (while it was made)"),
        (("run", T, "--spec", "fake-plain", "--ports", "shared"), 2, "takes no options, but ports"),
        ((*RUN, "--ports", "shared"), 2, "ports: unknown key"),
        (("run", T, "--spec", "tiny-bus", "--set", "nCL=3"), 2, "nCL: unknown key"),
        ((*RUN, "--refresh", "nine"), 2, 'refresh: unknown value "nine"'),
        ((*RUN, "--set", "nCL"), 4, "--set nCL: is no override"),
        ((*RUN, "--set", "nCL=fast"), 2, "timing.nCL: must be a whole num"),
        (("run", "bad.txt", "--spec", "fake-dram"), 5, 'bad.txt: line 2: "LOAD 1" is no request (expected'),
        (("run", "cut.gz", "--spec", "fake-dram"), 5, "cut.gz: the gzipped text ends too early"),
        (("run", "far.txt", "--spec", "fake-dram"), 4, "far.txt: request 2: the address 0x2000 lies beyond"),
        (("run", "minus.txt", "--spec", "fake-dram"), 5, 'minus.txt: line 1: the address "-64" is negative'),
        (("run", "slip.txt", "--spec", "fake-dram"), 3, "ZeroDivisionError: a slip (while it replayed"),
        (("show", "tiny-bus"), 3, "is no DRAM"),
        (("latency-curve", "tiny-bus"), 3, "is no DRAM"),
        (("latency-curve", "fake-dram", "--out", "a.png"), 4, "--out a.png: the figure is .svg, its points"),
        (("latency-curve", "fake-dram", "--read-share", "0"), 2, "Must be > 0"),
        (("latency-curve", "fake-dram", "--pattern", "zigzag"), 2, "zigzag"),
        ((*RUN, "--set", "quiet=true", "--commands", "o.csv"), 3, "logs no c"),
    ],
    ids=lambda value: " ".join(str(v) for v in value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_a_refusal_is_one_line(
    arguments: tuple[object, ...], code: int, line: str, colfw: Colfw, tmp_path: Path
) -> None:
    """What, where and what next; nothing on stdout, and no file appears."""
    (tmp_path / "bad.txt").write_text("LD 0\nLOAD 1\n", encoding="utf-8")
    (tmp_path / "cut.gz").write_bytes(b"\x1f\x8b\x08\x00\x00")
    (tmp_path / "far.txt").write_text("LD 0\nLD 0x2000\n", encoding="utf-8")
    (tmp_path / "minus.txt").write_text("LD -64\n", encoding="utf-8")
    (tmp_path / "slip.txt").write_text("LD 0x3c0\n", encoding="utf-8")
    before = set(tmp_path.iterdir())
    found, out, err = colfw("dram", *arguments)
    assert (found, out) == (code, "")
    [only] = err.splitlines()
    assert only.startswith("colfw: ")
    assert line in only
    assert set(tmp_path.iterdir()) == before


def test_nothing_half_written_stays_behind(colfw: Colfw, tmp_path: Path) -> None:
    """A folder stands where the file should be: the refusal names it, and no temporary file is left."""
    (tmp_path / "out.csv").mkdir()
    before = set(tmp_path.iterdir())
    for verb in (
        ("run", "trace.txt", "--spec", "fake-dram", "--commands"),
        ("latency-curve", "fake-dram", "--out"),
    ):
        code, out, err = colfw("dram", *verb, "out.csv")
        assert (code, out) == (5, "")
        assert err.startswith("colfw: out.csv: cannot be written: ")
    assert set(tmp_path.iterdir()) == before


# --- specs and show -------------------------------------------------------------------------------


def test_specs_lists_every_memory_whatever_it_is(colfw: Colfw) -> None:
    """DRAMs with peak and capacity, other memories without, one that cannot be made with its problem."""
    found = {entry["memory"]: entry for entry in answer(colfw, "specs")}
    assert found["fake-dram"]["validated"] == "nothing at all"
    assert found["fake-dram"]["dram"] == {
        "channels": 1,
        "peak_bytes_per_clock": 16.0,
        "peak_gb_per_s": 20.0,
        "capacity_bytes": 2 * 8 * 512,
    }
    assert (found["tiny-bus"]["dram"], found["tiny-bus"]["problem"]) == (None, None)
    assert "out of order" in found["fake-broken"]["problem"]
    out = colfw("dram", "specs")[1]
    assert "not validated" in out
    assert "8.19 kB" in out


def test_show_has_all_numbers_of_a_device(colfw: Colfw) -> None:
    """Organisation, timing in clocks and ns, constraint rows, peak, capacity and read latency."""
    found = answer(colfw, "show", "fake-dram", "--channels", 2)
    assert found["organisation"]["levels"] == [
        {"level": "Channel", "count": 1},
        {"level": "Bank", "count": 2},
    ]
    assert found["organisation"]["row_bytes"] == 512
    assert found["timings"]["nCL"] == {"clocks": 24, "ns": 19.2}
    assert found["timings"]["read latency"] == {"clocks": 28, "ns": 22.4}
    assert (found["peak_gb_per_s"], found["capacity_bytes"]) == (40.0, 2 * 2 * 8 * 512)
    assert found["constraints"][1] == {
        "level": "Channel",
        "preceding": ["ACT"],
        "following": ["ACT"],
        "clocks": 28,
        "window": 4,
        "sibling": True,
    }
    out = colfw("dram", "show", "fake-dram")[1]
    assert "validated  nothing at all" in out
    assert "other Channel" in out
    assert "ACT (4 ago)" in out


# --- latency-curve --------------------------------------------------------------------------------


def test_a_latency_curve_is_a_table_a_document_and_a_figure(colfw: Colfw, tmp_path: Path) -> None:
    """As many points as asked for; the file is SVG or CSV by its name."""
    arguments = ("latency-curve", "fake-dram", "--points", 3, "--requests", 50, "--pattern", "random")
    found = answer(colfw, *arguments, "--out", "curve.csv")
    assert [point["offered_bytes_per_clock"] for point in found["points"]] == pytest.approx(
        [16 / 3, 32 / 3, 16]
    )
    assert found["stream"] == {"pattern": "random", "read_share": 1.0, "requests": 50, "seed": 0}
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [float(row["p99_read_latency_ns"]) for row in rows] == [22.4] * 3
    code, out, err = colfw("dram", *arguments, "--out", "curve.svg")
    assert (code, err) == (0, "")
    assert "written: curve.svg" in out
    assert out.count("28 (22.4)") == 9
    assert (tmp_path / "curve.svg").read_text().startswith("<svg ")


# --- start-up -------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["dram", "--help"], ["dram", "run", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """The verbs are known without numpy."""
    probe = (
        "import sys\nfrom colfw.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "numba", "pyarrow"} & set(done.stderr.split())
