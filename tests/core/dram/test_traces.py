"""Traces on disk: what is written is read back, and what is no trace is refused by file and line."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.dram import traces
from colfw.dram.requests import CommandLog, Trace
from colfw.dram.traces import check_addresses, read_trace, write_commands, write_trace
from colfw.errors import InvariantError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REQUESTS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2**63 - 1)), min_size=1, max_size=60)


def trace_of(requests: list[tuple[int, int]]) -> Trace:
    flags, addresses = zip(*requests, strict=True)
    return Trace(is_write=np.array(flags, np.uint8), address=np.array(addresses, np.int64))


def pairs(trace: Trace) -> list[tuple[int, int]]:
    return list(zip(trace.is_write.tolist(), trace.address.tolist(), strict=True))


def read_text(folder: Path, text: str | bytes) -> list[tuple[int, int]]:
    path = folder / "trace.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return pairs(read_trace(path))


# --- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trace.txt", "trace.txt.gz", "trace.npz"])
@given(requests=REQUESTS)
def test_what_is_written_is_read_back(
    name: str, requests: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any trace, in any format, comes back equal, with the types that replays take."""
    path = tmp_path_factory.mktemp("round") / name
    write_trace(trace_of(requests), path)
    found = read_trace(path)
    assert pairs(found) == requests
    assert (found.is_write.dtype, found.address.dtype) == (np.uint8, np.int64)
    assert found.name == str(path)


@given(requests=REQUESTS, data=st.data())
def test_every_spelling_of_a_request_is_the_same_request(
    requests: list[tuple[int, int]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hexadecimal in either case, decimal, zeros in front, blanks, comments, line ends: all mean the same."""
    lines = []
    for is_write, address in requests:
        number = data.draw(
            st.sampled_from(
                [f"{address:#x}", f"0X{address:X}", f"0x{address:016x}", f"{address}", f"00{address}"]
            )
        )
        word = ("LD", "ST")[is_write]
        lines.append(
            data.draw(st.sampled_from(["{} {}", "\t{}  {} ", "{} {}\r", "# x\n\n{} {}# LD 0x1"])).format(
                word, number
            )
        )
    text = "\n".join(lines) + data.draw(st.sampled_from(["", "\n", "\n\n# end"]))
    assert read_text(tmp_path_factory.mktemp("spelling"), text) == requests


@pytest.mark.parametrize("block_bytes", [7, 64, 1000])
def test_lines_are_whole_wherever_the_blocks_end(
    block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is read in pieces that cut lines; requests and line numbers are those of the whole."""
    monkeypatch.setattr(traces, "_BLOCK_BYTES", block_bytes)
    expected = [(i % 2, i * 64) for i in range(200)]
    text = "".join(f"{('LD', 'ST')[flag]} 0x{address:x}\n" for flag, address in expected)
    assert read_text(tmp_path, text) == expected
    with pytest.raises(StoreError, match='line 201: "LD" is no request'):
        read_text(tmp_path, f"{text}LD")


def test_equal_traces_give_equal_gzips(tmp_path: Path) -> None:
    """Neither the time nor the name of the temporary file is in it."""
    for name in ("one.gz", "two.gz"):
        write_trace(trace_of([(0, 64)]), tmp_path / name)
    packed = (tmp_path / "one.gz").read_bytes()
    assert packed == (tmp_path / "two.gz").read_bytes()
    assert packed[3:8] == bytes(5)  # no flags, such as that of a name, and no time


def test_the_content_tells_the_format(tmp_path: Path) -> None:
    """A gzip or npz under any name is read as what it is."""
    write_trace(trace_of([(1, 64)]), tmp_path / "a.gz")
    write_trace(trace_of([(1, 64)]), tmp_path / "b.npz")
    for name in ("a.gz", "b.npz"):
        (tmp_path / name).rename(tmp_path / "trace")
        assert pairs(read_trace(tmp_path / "trace")) == [(1, 64)]


def test_golden_traces_are_read(golden_root: Path, tmp_path: Path) -> None:
    """Every golden file holds the number of requests that its meta says, and survives as text."""
    paths = sorted((golden_root / "dram").glob("*.npz"))
    assert paths
    for path in paths:
        trace = read_trace(path)
        with np.load(path) as golden:
            assert np.array_equal(trace.address, golden["address"])
            assert np.array_equal(trace.is_write, golden["is_write"])
    write_trace(trace, tmp_path / "trace.txt")
    assert pairs(read_trace(tmp_path / "trace.txt")) == pairs(trace)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("LD", '"LD" is no request'),
        ("LD 0x", '"LD 0x" is no request'),
        ("LD 0xfg", '"LD 0xfg" is no request'),
        ("LD 12a", '"LD 12a" is no request'),
        ("LD 1_000", '"LD 1_000" is no request'),
        ("ld 0x40", '"ld 0x40" is no request'),
        ("LS 0x40", '"LS 0x40" is no request'),
        ("LD0x40", '"LD0x40" is no request'),
        ("LDX64", '"LDX64" is no request'),
        ("LD 0x40 0x80", '"LD 0x40 0x80" is no request'),
        ("R 0x40", '"R 0x40" is no request'),
        ("LD \u0661", '"LD \u0661" is no request'),
        ("LD -64", 'the address "-64" is negative'),
        ("ST -0x40", 'the address "-0x40" is negative'),
        ("LD 0x8000000000000000", 'the address "0x8000000000000000" does not fit in 64 bits'),
        ("LD 0xffffffffffffffffff", 'the address "0xffffffffffffffffff" does not fit in 64 bits'),
        ("LD 0x10000000000000040", 'the address "0x10000000000000040" does not fit in 64 bits'),
        ("LD 18446744073709551680", 'the address "18446744073709551680" does not fit in 64 bits'),
        ("LD 9223372036854775808", 'the address "9223372036854775808" does not fit in 64 bits'),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_malformed_line_is_refused_by_number(
    line: str, problem: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """File, line, what stands there and what was expected, in one line; blank lines and comments count."""
    text = f"# a trace\n\nLD 0x40\n{line}\nST 1\n".encode()
    path = tmp_path / "trace.txt"
    path.write_bytes(pack(text))
    with pytest.raises(StoreError) as refusal:
        read_trace(path)
    expected = "expected LD or ST and an address in bytes, such as LD 0x1F40"
    assert str(refusal.value) == f"{path}: line 4: {problem} ({expected})"


def test_a_cut_gzip_is_refused(tmp_path: Path) -> None:
    """However much of it is there, an incomplete trace is no trace."""
    whole = gzip.compress(b"LD 0x40\n" * 10_000)
    path = tmp_path / "trace.gz"
    for kept in (3, 12, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(StoreError, match="the gzipped text ends too early") as refusal:
            read_trace(path)
        assert len(str(refusal.value).splitlines()) == 1


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    """A wrong checksum, a broken stream and what follows the end are found."""
    whole = gzip.compress(b"LD 0x40\n" * 100)
    path = tmp_path / "trace.gz"
    wrong_sum = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    for damaged in (wrong_sum, whole[:10] + b"\xff" * 20, whole + b"more"):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="damaged gzip"):
            read_trace(path)


@pytest.mark.parametrize("content", [bytes(range(256)), b"\x00" * 100, "LD 0x40".encode("utf-16")])
def test_what_is_no_trace_at_all_is_refused(content: bytes, tmp_path: Path) -> None:
    """Binary content is not quoted, but said to be neither of the formats."""
    with pytest.raises(StoreError, match=r"neither text nor gzip nor npz \(expected lines such as"):
        read_text(tmp_path, content)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    """A line is no longer than a request and a comment can be."""
    with pytest.raises(StoreError, match="a line is longer than 65536 bytes"):
        read_text(tmp_path, b"1" * 200_000)


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# nothing", gzip.compress(b"", mtime=0)])
def test_an_empty_trace_is_refused(text: bytes, tmp_path: Path) -> None:
    """No request, no replay."""
    with pytest.raises(StoreError, match="holds no request"):
        read_text(tmp_path, text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """One that is not there, and a folder."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(StoreError, match=r"cannot be read"):
            read_trace(path)


def npz(**arrays: Any) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


_FLAGS = np.zeros(3, np.uint8)
_PLACES = np.arange(3, dtype=np.int64)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (npz(is_write=_FLAGS), "the npz holds no array 'address'"),
        (npz(address=_PLACES), "the npz holds no array 'is_write'"),
        (npz(is_write=_FLAGS, address=_PLACES * 1.0), "address must be a column of int64, not float64 [3]"),
        (npz(is_write=_FLAGS + 0.5, address=_PLACES), "is_write must be a column of uint8, not float64 [3]"),
        (npz(is_write=_FLAGS, address=_PLACES[:, None]), "must be a column of int64, not int64 [3, 1]"),
        (npz(is_write=_FLAGS[:2], address=_PLACES), "is_write has 2 entries, but address has 3"),
        (npz(is_write=_FLAGS, address=_PLACES - 1), "request 1: the address -1 is negative"),
        (npz(is_write=_FLAGS + 2, address=_PLACES), "request 1: is_write must be 0 or 1, not 2"),
        (npz(is_write=_FLAGS[:0], address=_PLACES[:0]), "holds no request"),
        (npz(is_write=_FLAGS, address=np.array([None] * 3)), "an array of the npz cannot be read"),
        (npz(is_write=_FLAGS, address=_PLACES)[:-30], "damaged npz"),
        (npz(is_write=_FLAGS, address=_PLACES)[:100], "damaged npz"),
        (b"PK\x03\x04 is how a zip begins", "damaged npz"),
    ],
)  # fmt: skip
def test_an_npz_that_holds_no_trace_is_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    """Missing arrays, wrong types, lengths and values, pickles and damage: one line each."""
    path = tmp_path / "trace.npz"
    path.write_bytes(content)
    with pytest.raises(StoreError) as refusal:
        read_trace(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert problem in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_zip_of_other_things_is_refused(tmp_path: Path) -> None:
    """A member that is named like an array but is none."""
    path = tmp_path / "trace.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("is_write", "text")
        archive.writestr("address", "text")
    with pytest.raises(StoreError, match="is_write must be a column of uint8, not no array"):
        read_trace(path)


# --- capacity -------------------------------------------------------------------------------------


def test_addresses_stay_inside_the_memory() -> None:
    """The last byte is inside; the first address beyond is named with its request and the capacity."""
    trace = trace_of([(0, 0), (1, 1023), (0, 1024), (0, 4096)])
    check_addresses(trace, 4097)
    with pytest.raises(InvariantError) as refusal:
        check_addresses(trace, 1024)
    assert str(refusal.value) == (
        "trace: request 3: the address 0x400 lies beyond the capacity"
        " (addresses go from 0 to 0x3ff, a capacity of 1024 bytes)"
    )


def test_a_negative_address_is_in_no_memory(tmp_path: Path) -> None:
    """Traces that were made in memory are held to the same rule, and are not written."""
    trace = trace_of([(0, 0), (1, -64)])
    with pytest.raises(InvariantError, match="request 2: the address -64 is negative"):
        check_addresses(trace, 1024)
    with pytest.raises(InvariantError, match="request 2: the address -64 is negative"):
        write_trace(trace, tmp_path / "trace.txt")
    assert not list(tmp_path.iterdir())


def test_an_empty_trace_is_not_written(tmp_path: Path) -> None:
    """What could not be read is not written either."""
    empty = Trace(is_write=np.zeros(0, np.uint8), address=np.zeros(0, np.int64))
    with pytest.raises(InvariantError, match="without a request"):
        write_trace(empty, tmp_path / "trace.txt")


# --- commands -------------------------------------------------------------------------------------


def log_of(rows: Any, names: tuple[str, ...] = ("ACT", "RD")) -> CommandLog:
    return CommandLog(columns=("clock", "channel", "command", "Bank"), names=names, rows=np.array(rows))


@given(
    st.lists(
        st.tuples(st.integers(0, 2**62), st.integers(0, 9), st.integers(0, 2), st.integers(-1, 15)),
        min_size=1,
    )
)
def test_commands_are_a_row_each(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, ...]]
) -> None:
    """The header names the columns, commands have their names (quoted where needed), numbers are exact."""
    path = tmp_path_factory.mktemp("commands") / "commands.csv"
    names = ("ACT", "REFab", 'odd, "name"')
    write_commands(log_of(rows, names), path)
    with path.open(newline="") as file:
        header, *found = csv.reader(file)
    assert header == ["clock", "channel", "command", "Bank"]
    assert found == [[str(a), str(b), names[c], str(d)] for a, b, c, d in rows]


def test_no_commands_are_a_header_alone(tmp_path: Path) -> None:
    """A replay of nothing but forwarded reads issues none."""
    write_commands(log_of(np.zeros((0, 4), np.int64)), tmp_path / "commands.csv")
    assert (tmp_path / "commands.csv").read_text() == "clock,channel,command,Bank\n"


@pytest.mark.parametrize("number", [-1, 2])
def test_a_command_without_a_name_is_refused(number: int, tmp_path: Path) -> None:
    """Nor does -1 mean the last name."""
    with pytest.raises(InvariantError, match="a number that stands for no name"):
        write_commands(log_of([[1, 0, number, 0]]), tmp_path / "commands.csv")
    assert not list(tmp_path.iterdir())


# --- nothing half-written -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trace.txt", "trace.gz", "trace.npz", "commands.csv"])
def test_nothing_half_written_stays_behind(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When writing fails in the middle, the old file is still there and no other."""
    path = tmp_path / name
    path.write_text("old")

    def fail(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    for part in ("_lines_of", "_csv_rows"):
        monkeypatch.setattr(traces, part, fail)
    monkeypatch.setattr(traces.np, "savez_compressed", fail)
    write: Callable[[Any, Path], None] = write_commands if name == "commands.csv" else write_trace
    content = log_of([[1, 0, 0, 0]]) if name == "commands.csv" else trace_of([(0, 64)])
    with pytest.raises(KeyboardInterrupt):
        write(content, path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(name, "old")]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """One line with the path that was asked for."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/trace.txt: cannot be written"):
        write_trace(trace_of([(0, 64)]), tmp_path / "file" / "trace.txt")
