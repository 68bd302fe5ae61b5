"""Traces and command lists on disk: load/store text, plain or gzipped, npz; and commands as CSV.

Text is what Ramulator reads: a request a line, `LD 0x1F40` or `ST 8000`, addresses in bytes, hexadecimal
with 0x or decimal. Blank lines and comments from `#` to the end of the line are skipped. Lines of the
usual form are parsed a block at a time; any other is looked at alone, and refused with its number.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from contextlib import contextmanager
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn, cast
from zipfile import BadZipFile

import numpy as np

from colfw.dram.requests import Trace
from colfw.errors import InvariantError, StoreError
from colfw.refusals import shown
from colfw.store.atomic import reading, replacing_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from colfw.dram.requests import CommandLog

    Columns = tuple[NDArray[np.uint8], NDArray[np.int64]]

_WORDS: Final = ("LD", "ST")
_EXPECTED: Final = "expected LD or ST and an address in bytes, such as LD 0x1F40"
_FORMATS: Final = "expected lines such as LD 0x1F40 or ST 8000, the same gzipped, or npz"

_GZIP_START: Final = b"\x1f\x8b"
_ZIP_STARTS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_LARGEST: Final = 2**63 - 1
_BLOCK_BYTES: Final = 1 << 22
_LONGEST_LINE_BYTES: Final = 1 << 16
_ROWS_AT_ONCE: Final = 1 << 16

_COLUMN_TYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "is_write": np.dtype(np.uint8),
    "address": np.dtype(np.int64),
}


# --- reading --------------------------------------------------------------------------------------


def read_trace(path: Path) -> Trace:
    """The trace in a file, whatever its format: the content tells, not the name."""
    where = str(path)
    with reading(path), path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start in _ZIP_STARTS:
            is_write, address = _from_npz(file, where)
        elif start.startswith(_GZIP_START):
            with _refusing_damaged_gzip(where), gzip.GzipFile(fileobj=file) as unpacked:
                is_write, address = _from_text(cast("IO[bytes]", unpacked), where)
        else:
            is_write, address = _from_text(file, where)
    if not address.size:
        raise StoreError("holds no request", where=where, hint=_FORMATS)
    return Trace(is_write=is_write, address=address, name=where)


@contextmanager
def _refusing_damaged_gzip(where: str) -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        hint = "it was cut off: copy or make it again"
        raise StoreError("the gzipped text ends too early", where=where, hint=hint) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise StoreError(f"damaged gzip: {error}", where=where, hint="copy or make it again") from error


# --- text -----------------------------------------------------------------------------------------


def _from_text(file: IO[bytes], where: str) -> Columns:
    writes: list[NDArray[np.uint8]] = []
    addresses: list[NDArray[np.int64]] = []
    lines_before = 0
    for block in _blocks_of_whole_lines(file, where):
        is_write, address, lines = _parsed(block, lines_before, where)
        writes.append(is_write)
        addresses.append(address)
        lines_before += lines
    if not addresses:
        return np.empty(0, np.uint8), np.empty(0, np.int64)
    return np.concatenate(writes), np.concatenate(addresses)


def _blocks_of_whole_lines(file: IO[bytes], where: str) -> Iterator[bytes]:
    """The text in large pieces, each of whole lines; the last line gets the end that it may lack."""
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end]
            rest = block[end:]
        else:
            rest += block
        if len(rest) > _LONGEST_LINE_BYTES:
            raise StoreError(
                f"no trace: a line is longer than {_LONGEST_LINE_BYTES} bytes", where=where, hint=_FORMATS
            )
    if rest:
        yield rest + b"\n"


def _parsed(block: bytes, lines_before: int, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], int]:
    """The requests of a block of whole lines, and the number of its lines."""
    text = np.frombuffer(block + bytes(5), np.uint8)  # five bytes of a line are looked at, however short
    line_ends = np.flatnonzero(text == ord("\n"))
    starts = np.concatenate(([0], line_ends[:-1] + 1))
    ends = line_ends - (text[line_ends - 1] == ord("\r"))
    is_write, address, usual = _usual_lines(text, starts, ends)
    kept = np.ones(len(starts), np.bool_)
    for line in np.flatnonzero(~usual).tolist():
        request = _request_of(block[starts[line] : ends[line]], f"{where}: line {lines_before + line + 1}")
        if request is None:
            kept[line] = False
        else:
            is_write[line], address[line] = request
    if kept.all():
        return is_write, address, len(starts)
    return is_write[kept], address[kept], len(starts)


def _usual_lines(
    text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Requests by line, and which lines are written as nearly all are: a word, a space, an address."""
    first, second, third = text[starts], text[starts + 1], text[starts + 2]
    is_write = (first == ord("S")) & (second == ord("T"))
    usual = (is_write | ((first == ord("L")) & (second == ord("D")))) & (third == ord(" "))
    # Bit 5 is all that sets x apart from X.
    hexadecimal = (text[starts + 3] == ord("0")) & (text[starts + 4] | 0x20 == ord("x"))
    address = np.zeros(len(starts), np.uint64)
    for base, prefix, most, here in ((16, 5, 16, hexadecimal), (10, 3, 18, ~hexadecimal)):
        digits = ends - starts - prefix
        usual &= ~here | ((digits >= 1) & (digits <= most))
        for count in np.unique(digits[usual & here]).tolist():
            lines = np.flatnonzero(usual & here & (digits == count))
            address[lines], usual[lines] = _numbers(text, starts[lines] + prefix, count, base)
    usual &= address <= _LARGEST
    return is_write.astype(np.uint8), address.astype(np.int64), usual


_DIGITS: Final = np.full(256, 255, np.uint8)
for _value, _digit in enumerate(b"0123456789abcdef"):
    _DIGITS[_digit] = _DIGITS[ord(chr(_digit).upper())] = _value


def _numbers(
    text: NDArray[np.uint8], starts: NDArray[np.int64], count: int, base: int
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The numbers of `count` digits at `starts`, and whether each is one."""
    values = np.zeros(len(starts), np.uint64)
    good = np.ones(len(starts), np.bool_)
    for place in range(count):
        digits = _DIGITS[text[starts + place]]
        good &= digits < base
        values *= np.uint64(base)
        values += digits
    return values, good


_REQUEST: Final = re.compile(r"(LD|ST)\s+(-?)(?:0[xX]([0-9a-fA-F]+)|([0-9]+))", re.ASCII)


def _request_of(line: bytes, where: str) -> tuple[int, int] | None:
    """The request of a line that is written unusually; None if it holds nothing but a comment."""
    text = line.partition(b"#")[0].decode(errors="backslashreplace").strip(" \t\r\f\v")
    if not text:
        return None
    match = _REQUEST.fullmatch(text)
    if match is None:
        _refuse_line(text, where)
    word, minus, hexadecimal, decimal = match.groups()
    address = int(hexadecimal, 16) if hexadecimal else int(decimal)
    if minus:
        raise StoreError(f"the address {shown(text[3:].strip())} is negative", where=where, hint=_EXPECTED)
    if address > _LARGEST:
        raise StoreError(
            f"the address {shown(text[3:].strip())} does not fit in 64 bits", where=where, hint=_EXPECTED
        )
    return _WORDS.index(word), address


def _refuse_line(text: str, where: str) -> NoReturn:
    if text.isprintable() or "\t" in text:
        raise StoreError(f"{shown(text)} is no request", where=where, hint=_EXPECTED)
    raise StoreError("neither text nor gzip nor npz", where=where, hint=_FORMATS)


# --- npz ------------------------------------------------------------------------------------------


def _from_npz(file: IO[bytes], where: str) -> Columns:
    try:
        with np.load(file, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in _COLUMN_TYPES if name in archive}
    except (BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise StoreError(f"damaged npz: {error}", where=where, hint="copy or make it again") from error
    except (ValueError, MemoryError) as error:  # an array of Python objects, or a senseless header
        raise StoreError(f"an array of the npz cannot be read: {error}", where=where) from error
    for name, expected in _COLUMN_TYPES.items():
        _check_column(name, columns.get(name), expected, where)
    is_write, address = columns["is_write"], columns["address"]
    if len(is_write) != len(address):
        raise StoreError(f"is_write has {len(is_write)} entries, but address has {len(address)}", where=where)
    _refuse_where(is_write > 1, is_write, "is_write must be 0 or 1, not {}", where)
    _refuse_where(address < 0, address, "the address {} is negative", where)
    return is_write, address


def _check_column(name: str, array: Any, expected: np.dtype[Any], where: str) -> None:
    wanted = f"expected is_write ({_COLUMN_TYPES['is_write']}) and address ({_COLUMN_TYPES['address']})"
    if array is None:
        raise StoreError(f"the npz holds no array {name!r}", where=where, hint=wanted)
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype != expected:
        kind = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else "no array"
        raise StoreError(f"{name} must be a column of {expected}, not {kind}", where=where, hint=wanted)


def _refuse_where(bad: NDArray[np.bool_], values: NDArray[Any], problem: str, where: str) -> None:
    if bad.any():
        index = int(bad.argmax())
        raise StoreError(problem.format(values[index]), where=f"{where}: {_request(index)}")


def _request(index: int) -> str:
    """How messages name a request: in a text without comments, its number is that of its line."""
    return f"request {index + 1}"


# --- rules ----------------------------------------------------------------------------------------


def check_addresses(trace: Trace, capacity_bytes: int) -> None:
    """Raise unless every address lies in a memory of `capacity_bytes`; the first that doesn't is named."""
    for bad, problem in (
        (trace.address < 0, "the address {} is negative"),
        (trace.address >= capacity_bytes, "the address {:#x} lies beyond the capacity"),
    ):
        if bad.any():
            index = int(bad.argmax())
            raise InvariantError(
                problem.format(int(trace.address[index])),
                where=f"{trace.name}: {_request(index)}",
                hint=f"addresses go from 0 to {capacity_bytes - 1:#x}, a capacity of {capacity_bytes} bytes",
            )


# --- writing --------------------------------------------------------------------------------------


def write_trace(trace: Trace, path: Path) -> None:
    """Write a trace, whole or not at all: `.npz` as npz, `.gz` as gzipped text, any other name as text."""
    if not len(trace):
        raise InvariantError("a trace without a request is not written", where=str(path))
    check_addresses(trace, _LARGEST + 1)
    with replacing_file(path) as temporary:
        if path.suffix == ".npz":
            np.savez_compressed(
                temporary, is_write=(trace.is_write != 0).view(np.uint8), address=trace.address
            )
        elif path.suffix == ".gz":
            # Without name and time: equal traces give equal files.
            with temporary.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                packed.writelines(_lines_of(trace))
        else:
            with temporary.open("wb") as raw:
                raw.writelines(_lines_of(trace))


def _lines_of(trace: Trace) -> Iterator[bytes]:
    """The text of a trace, many lines at once."""
    for start in range(0, len(trace), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        words = [_WORDS[flag] for flag in (trace.is_write[part] != 0).tolist()]
        requests = zip(words, trace.address[part].tolist(), strict=True)
        yield ("%s 0x%x\n" * len(words) % tuple(chain.from_iterable(requests))).encode()


def write_commands(log: CommandLog, path: Path) -> None:
    """Write every command as a row of CSV, names decoded, whole or not at all; -1: all below a scope."""
    _check_names(log, path)
    with replacing_file(path) as temporary, temporary.open("wb") as file:
        file.write(_csv_row(log.columns).encode())
        for start in range(0, len(log.rows), _ROWS_AT_ONCE):
            file.write(_csv_rows(log, log.rows[start : start + _ROWS_AT_ONCE]).encode())


def _check_names(log: CommandLog, path: Path) -> None:
    if "command" not in log.columns or log.rows.shape != (len(log.rows), len(log.columns)):
        raise InvariantError(
            f"the columns {list(log.columns)} do not fit rows {list(log.rows.shape)}", where=str(path)
        )
    numbers = log.rows[:, log.columns.index("command")]
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(log.names):
        raise InvariantError("a command has a number that stands for no name", where=str(path))


def _csv_rows(log: CommandLog, rows: NDArray[np.int64]) -> str:
    by_column: list[list[Any]] = rows.T.tolist()
    position = log.columns.index("command")
    names = [_csv_row((name,)).rstrip("\n") for name in log.names]
    by_column[position] = [names[number] for number in by_column[position]]
    pattern = ",".join("%s" if column == position else "%d" for column in range(len(log.columns)))
    return f"{pattern}\n" * len(rows) % tuple(chain.from_iterable(zip(*by_column, strict=True)))


def _csv_row(cells: tuple[str, ...]) -> str:
    """A row, quoted where a name of a plugin needs it."""
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(cells)
    return row.getvalue()
