"""Whole rounds: where a repetition has come to what it was before, further rounds of it are done at once.

When the loads go round the outermost repetition that all three cursors are in, all that what follows depends
on is written down: the *snapshot*. Clocks are written relative to now, counts relative to one another, and
rows relative to how far their tensor has advanced. If an earlier round had the same snapshot, then the rounds
from there to here, a *period*, come again and again, as long as no cursor leaves the repetition. One more
period is run and counted, and must end in the same snapshot; then as many as are left are added to clocks,
counts and rows. The last of them, and whatever comes behind, are run as ever.

That is exact only where moving on is a pure shift of rows: rows are the topmost part of an address, a period
advances every tensor by whole rows of all banks, and tensors that advance differently share no row. Where
that cannot be, no snapshot is taken. A snapshot also holds where the clock stands between core cycles and
between refreshes: what depends on that comes again only when both do.
"""

# ruff: noqa: PLR0913, PLR0917
# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from colfw_memory.controller import memo as m
from colfw_memory.controller import script
from colfw_memory.controller.canonical import LABELS
from colfw_memory.controller.closed_loop import GO_ON
from colfw_memory.controller.compiling import called, compiled, inlined
from colfw_memory.controller.control import core_cycle_from
from colfw_memory.controller.front_end import (
    BANK,
    BURST,
    BURST_BYTES,
    BURSTS_LEFT,
    CALLED,
    CALLING,
    CHANNEL,
    CLAIMED_OUT,
    CLOCK,
    COLUMN,
    COMPUTE,
    COMPUTED_SEEN,
    COMPUTED_UNTIL,
    COMPUTING,
    CORE_DENOMINATOR,
    CORE_NUMERATOR,
    DIGIT,
    ENDED_IN,
    ENTERED_IN,
    ENTERED_STORES,
    EVENT,
    FREED_AT,
    FREED_OUT,
    IN_FLIGHT,
    LAST_DONE,
    LAST_TAKEN,
    LATEST_CALL,
    LEFT,
    LOAD_FROM,
    LOAD_PASSED,
    LOAD_PIECE,
    LOAD_TAG,
    LOADS,
    LOW_FIELDS,
    ORDINAL,
    PASSAGE_BEGINS,
    PC,
    POSTPONED_EVERY,
    REFRESH_EVERY,
    ROUND,
    ROW,
    RUN,
    STORE_PIECE,
    STORES,
    SYNCED,
    TAKEN_AT,
    TAKEN_STORES,
    TILE_AT,
    TILE_COMPLETE,
    TILE_PASSED,
    TILE_WAITING,
    TRANSFER,
    TURN,
    WATCHED_TAG,
)
from colfw_memory.controller.kernel import NEVER, NOBODY, TAGS
from colfw_memory.controller.script import (
    BUFFER_SLOTS,
    BUFFERS,
    DEPTH,
    TENSORS,
    TRANSFER_WORDS,
    TRANSFERS,
)
from colfw_memory.controller.words import words
from colfw_memory.mapping import MAX_FIELDS, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colfw.program import Program
    from colfw_memory.controller.words import Integers, Words
    from colfw_memory.mapping import AddressMapping

RECURRED, REPEATED = 5, 6
"""Why a run stops, besides what it stops for without memory: a snapshot is one that was taken before; and it
is again, a period later.
"""

KEPT_ROUNDS = 48
"""Snapshots that are kept: periods are no longer."""
FEWEST_ROUNDS = 4
"""Of a repetition: of fewer, none could be left over."""

# The head of the array: what is known of a program's repetitions, and what was seen of the current one.
SEEN = 0  # the repetition and the round in which the loads were last looked at
INSIDE = 1  # the repetition that snapshots are kept of
KEPT = 2  # snapshots of it so far; they go round in their places
AWAITED = 3  # the round that should end as the period before it; NOBODY if none
PATTERN = 4  # the snapshot that it should end with
PERIOD = 5  # rounds
SNAPSHOT_ROOM = 6  # words of the place of a snapshot
ROTATION = 7  # bytes from a row to the next in the same bank
REPETITION_OF = 8  # where tables begin: [instruction] the repetition it lies in, or 0
REPETITIONS = 9  # [repetition] rounds, and how many bytes each tensor advances in each
TENSOR_ROWS = 10  # [tensor] its first row and its last
SNAPSHOTS = 11
HEAD_WORDS = 12

_ROUND_BITS = 40
# Of a snapshot: its hash, how many words, and the round.
_HASH, _LENGTH, _ROUND, _SNAPSHOT_HEAD = range(4)

_FIXED_WORDS = 64
_CURSOR_WORDS = 16
_TENSOR_WORDS = 8


# --- which repetitions ------------------------------------------------------------------------------


def rounds_of(program: Program, laid_out: Integers, mapping: AddressMapping, burst_bytes: int) -> Integers:
    """A program's outermost repetitions, and room for snapshots; of none where rounds may differ."""
    tensors, buffers, depth = (int(laid_out[at]) for at in (TENSORS, BUFFERS, DEPTH))
    rotation_bytes = _rotation_bytes(mapping, burst_bytes)
    spans = [(tensor.base_bytes, tensor.end_bytes - 1) for tensor in program.tensors]
    rows = np.array(spans, np.int64).reshape(-1, 2) // max(rotation_bytes, 1)
    code = laid_out[laid_out[script.CODE] : laid_out[script.TILES]].reshape(-1, script.INSTRUCTION_WORDS)
    repetition_of = np.zeros(len(code), np.int64)
    repetitions = [np.zeros(1 + tensors, np.int64)]
    for begin, end in _outermost(code) if rotation_bytes else ():
        steps = _steps(code[end], laid_out, tensors)
        if code[end, script.ROUNDS] >= FEWEST_ROUNDS and _shifts(rows, steps):
            repetition_of[begin : end + 1] = len(repetitions)
            repetitions.append(np.concatenate((code[end, [script.ROUNDS]], steps)))
    parts = [np.zeros(HEAD_WORDS, np.int64), repetition_of, np.concatenate(repetitions), rows.ravel()]
    begins = np.cumsum([part.size for part in parts])
    room = _snapshot_room(tensors, buffers, depth)
    # What snapshots do not take is not touched.
    found = np.empty(begins[-1] + KEPT_ROUNDS * room, np.int64)
    found[: begins[-1]] = np.concatenate(parts)
    found[AWAITED] = NOBODY
    found[SNAPSHOT_ROOM], found[ROTATION] = room, rotation_bytes
    found[REPETITION_OF : SNAPSHOTS + 1] = begins
    return found


def _snapshot_room(tensors: int, buffers: int, depth: int) -> int:
    cursors = 3 * (_CURSOR_WORDS + depth + tensors) + 2 * (DIGIT + MAX_FIELDS)
    tables = 3 * TAGS + (4 + TAGS) * buffers + _TENSOR_WORDS * tensors + 2 * LABELS
    return _SNAPSHOT_HEAD + _FIXED_WORDS + cursors + tables


def _rotation_bytes(mapping: AddressMapping, burst_bytes: int) -> int:
    """What lies below the row, if that is the topmost part of an address; else 0."""
    parts = [part.part for part in mapping.fields]
    if parts.count(Part.ROW) != 1 or parts[-1] is not Part.ROW:
        return 0
    return burst_bytes * int(np.prod([part.size for part in mapping.fields[:-1]], dtype=np.int64))


def _outermost(code: Integers) -> Iterator[tuple[int, int]]:
    """Where repetitions begin and end that lie in no other."""
    outer = code[:, script.ARGUMENT] == 0
    begins = np.flatnonzero(outer & (code[:, script.OP] == script.BEGIN))
    ends = np.flatnonzero(outer & (code[:, script.OP] == script.END))
    return zip(begins.tolist(), ends.tolist(), strict=True)


def _steps(end: Integers, laid_out: Integers, tensors: int) -> Integers:
    """How many bytes each tensor advances in a round."""
    pairs = laid_out[laid_out[script.ADVANCES] : laid_out[script.LISTS]].reshape(-1, 2)
    steps = np.zeros(tensors, np.int64)
    for tensor, step in pairs[end[script.FIRST_ADVANCE] : end[script.END_ADVANCE]]:
        steps[tensor] += step
    return steps


def _shifts(rows: Integers, steps: Integers) -> bool:
    """Whether a row says how far its tensor advances."""
    ordered = np.argsort(rows[:, 0], kind="stable")
    return all(
        steps[left] == steps[right] or rows[left, 1] < rows[right, 0]
        for left, right in itertools.pairwise(ordered.tolist())
    )


# --- rows -------------------------------------------------------------------------------------------


@inlined
def _advanced_bytes(g: Words, r: Words, tensor: int, rounds: int) -> int:
    """How far so many rounds of the repetition advance a tensor."""
    steps = r[REPETITIONS] + r[INSIDE] * (1 + g[TENSORS]) + 1
    return rounds * r[steps + tensor]


@inlined
def _tensor_of_row(r: Words, row: int) -> int:
    """A tensor that has a part of the row: of several any one, for they advance alike."""
    tensor = 0
    while r[r[TENSOR_ROWS] + 2 * tensor] > row or r[r[TENSOR_ROWS] + 2 * tensor + 1] < row:
        tensor += 1
    return tensor


@inlined
def _rows_advanced(g: Words, r: Words, row: int, rounds: int) -> int:
    """How many rows further the data of this one lies after so many rounds."""
    return _advanced_bytes(g, r, _tensor_of_row(r, row), rounds) // r[ROTATION]


# --- the snapshot -----------------------------------------------------------------------------------


@inlined
def _from_now(f: Words, clock: int) -> int:
    return NEVER if clock == NEVER else clock - f[CLOCK]


@called
def _snapshot(f: Words, g: Words, a: Words, rows: Words, r: Words, out: Words, n: int) -> int:
    """Write down, from `n` on, all that what follows depends on; where it ends."""
    n = _note_port(f, a, out, n)
    n = _note_clocks(f, out, n)
    n = _note_tiles(f, out, n)
    n = _note_buffers(f, g, out, n)
    n = _note_tensors(f, g, r, out, n)
    for cursor in (LOADS, COMPUTE, STORES):
        n = _note_cursor(f, g, r, f[cursor], _piece_of(cursor), out, n)
    rounds = f[f[LOADS] + ROUND]
    for label in range(a[a[m.STATE] + m.LABEL_COUNT]):
        out[n] = rows[label] - _rows_advanced(g, r, rows[label], rounds)
        out[n + 1] = rows[LABELS + label]
        n += 2
    return n


@inlined
def _note_port(f: Words, a: Words, out: Words, n: int) -> int:
    """The state of the channels but for rows, and what stands in the port's words. Tiles are counted from
    the one at the loads' cursor.
    """
    ordinal = f[f[LOADS] + ORDINAL]
    out[n] = a[m.STATE]
    out[n + 1] = a[m.TURNED_BY]
    out[n + 2] = (a[m.TAG_BASE] - ordinal) % TAGS
    out[n + 3] = (f[LOAD_TAG] - ordinal) % TAGS
    out[n + 4] = NOBODY if f[WATCHED_TAG] == NOBODY else (f[WATCHED_TAG] - ordinal) % TAGS
    out[n + 5] = f[TURN]
    out[n + 6] = f[IN_FLIGHT]
    out[n + 7] = f[COMPUTING]
    out[n + 8] = f[LOAD_PASSED] - ordinal
    out[n + 9] = f[PASSAGE_BEGINS]
    out[n + 10] = f[CALLING]
    return n + 11


@inlined
def _note_clocks(f: Words, out: Words, n: int) -> int:
    """Clocks from now on, and now as core cycles and refreshes see it."""
    clock = f[CLOCK]
    out[n] = clock % f[CORE_NUMERATOR]
    out[n + 1] = f[COMPUTED_UNTIL] - clock // f[CORE_NUMERATOR] * f[CORE_DENOMINATOR]
    out[n + 2] = _from_now(f, f[COMPUTED_SEEN])
    out[n + 3] = _from_now(f, f[EVENT])
    out[n + 4] = f[SYNCED] - clock
    out[n + 5] = max(0, f[LOAD_FROM] - clock)
    out[n + 6] = f[LAST_TAKEN] - clock
    out[n + 7] = f[LAST_DONE] - clock
    # One of the two ways to refresh, or none.
    every = f[REFRESH_EVERY] + f[POSTPONED_EVERY]
    out[n + 8] = 0 if every == 0 else clock % every
    out[n + 9] = 0 if f[POSTPONED_EVERY] == 0 else f[CALLED] - clock // every
    out[n + 10] = _from_now(f, f[LATEST_CALL])
    return n + 11


@inlined
def _core_cycles_late(f: Words, clock: int) -> int:
    """By how much what is done in a clock holds up a computation; not at all if others take longer."""
    return max(0, core_cycle_from(f, clock) - f[COMPUTED_UNTIL])


@inlined
def _note_tiles(f: Words, out: Words, n: int) -> int:
    """Of the tiles from the one that computes to the one that loads."""
    loads = f[LOADS]
    end = f[loads + ORDINAL]
    if f[loads + TRANSFER] != NOBODY:
        end += 1
    for ordinal in range(f[f[COMPUTE] + ORDINAL], end):
        tag = ordinal % TAGS
        out[n] = f[TILE_WAITING + tag]
        out[n + 1] = _core_cycles_late(f, f[TILE_COMPLETE + tag])
        out[n + 2] = f[TILE_PASSED + tag] if ordinal < f[LOAD_PASSED] else NOBODY
        n += 3
    return n


@inlined
def _note_buffers(f: Words, g: Words, out: Words, n: int) -> int:
    for buffer in range(g[BUFFERS]):
        slots = g[g[BUFFER_SLOTS] + buffer]
        claimed, freed = f[f[CLAIMED_OUT] + buffer], f[f[FREED_OUT] + buffer]
        out[n] = f[f[ENTERED_IN] + buffer] - f[f[ENDED_IN] + buffer]
        out[n + 1] = claimed - freed
        # Of the first ones nobody asks when a slot was freed.
        out[n + 2] = min(claimed, slots)
        n += 3
        for turn in range(max(0, claimed - slots), freed):
            out[n] = _core_cycles_late(f, f[f[FREED_AT] + buffer * TAGS + turn % TAGS])
            n += 1
    return n


@inlined
def _note_tensors(f: Words, g: Words, r: Words, out: Words, n: int) -> int:
    rounds = f[f[LOADS] + ROUND]
    for tensor in range(g[TENSORS]):
        out[n] = f[f[ENTERED_STORES] + tensor] - f[f[TAKEN_STORES] + tensor]
        out[n + 1] = max(0, f[f[TAKEN_AT] + tensor] + 1 - f[CLOCK])
        out[n + 2] = _advanced_bytes(g, r, tensor, rounds) % r[ROTATION]
        n += 3
    return n


@inlined
def _piece_of(cursor: int) -> int:
    """What is left of it for the port; NOBODY of the computation."""
    if cursor == LOADS:
        return LOAD_PIECE
    return STORE_PIECE if cursor == STORES else NOBODY


@inlined
def _tensor_at(f: Words, g: Words, cursor: int) -> int:
    return g[g[TRANSFERS] + f[cursor + TRANSFER] * TRANSFER_WORDS + script.TENSOR]


@inlined
def _is_moving(f: Words, cursor: int, piece: int) -> bool:
    """Whether the cursor stands in a run."""
    return bool(
        piece != NOBODY
        and f[cursor + TRANSFER] != NOBODY
        and f[cursor + RUN] != NOBODY
        and (f[cursor + BURSTS_LEFT] > 0 or f[piece + LEFT] > 0)
    )


@inlined
def _note_cursor(f: Words, g: Words, r: Words, cursor: int, piece: int, out: Words, n: int) -> int:
    """Where a cursor stands, and its piece."""
    loads, depth = f[LOADS], g[DEPTH]
    rounds = f[cursor + ROUND]
    out[n] = f[cursor + PC]
    out[n + 1] = f[cursor + ORDINAL] - f[loads + ORDINAL]
    out[n + 2] = f[cursor + TILE_AT]
    out[n + 3] = f[cursor + TRANSFER]
    out[n + 4] = NOBODY if f[cursor + TRANSFER] == NOBODY else f[cursor + RUN]
    out[n + 5] = rounds - f[loads + ROUND]
    n += 6
    for level in range(1, depth):
        out[n] = f[cursor + ROUND + level]
        n += 1
    for tensor in range(g[TENSORS]):
        out[n] = f[cursor + ROUND + depth + tensor] - _advanced_bytes(g, r, tensor, rounds)
        n += 1
    out[n] = out[n + 1] = out[n + 2] = 0
    if _is_moving(f, cursor, piece):
        offset = f[cursor + ROUND + depth + _tensor_at(f, g, cursor)]
        out[n] = f[cursor + BURST] - offset // f[BURST_BYTES]
        out[n + 1] = f[cursor + BURSTS_LEFT]
        out[n + 2] = f[piece + LEFT]
    n += 3
    if piece != NOBODY and f[piece + LEFT] > 0:
        out[n] = f[piece + ROW] - _rows_advanced(g, r, f[piece + ROW], f[loads + ROUND])
        out[n + 1] = f[piece + BANK]
        out[n + 2] = f[piece + CHANNEL]
        out[n + 3] = f[piece + COLUMN]
        n += 4
        for i in range(f[LOW_FIELDS]):
            out[n] = f[piece + DIGIT + i]
            n += 1
    return n


# --- whether a round is like an earlier one ---------------------------------------------------------


@inlined
def has_gone_round(f: Words, r: Words) -> bool:
    """Whether the loads are in another round than they were."""
    cursor = f[LOADS]
    repetition = r[r[REPETITION_OF] + f[cursor + PC]]
    return bool(repetition != 0 and r[SEEN] != repetition << _ROUND_BITS | f[cursor + ROUND])


@inlined
def _snapshot_at(r: Words, number: int) -> int:
    return r[SNAPSHOTS] + number * r[SNAPSHOT_ROOM]


@inlined
def _are_equal(r: Words, one: int, other: int) -> bool:
    if r[one + _HASH] != r[other + _HASH] or r[one + _LENGTH] != r[other + _LENGTH]:
        return False
    same = 0
    while same < r[one + _LENGTH] and r[one + _SNAPSHOT_HEAD + same] == r[other + _SNAPSHOT_HEAD + same]:
        same += 1
    return bool(same == r[one + _LENGTH])


@inlined
def _forget_all(r: Words) -> None:
    r[KEPT] = 0
    r[AWAITED] = NOBODY


@called
def compare(f: Words, g: Words, a: Words, rows: Words, r: Words) -> int:
    """Take a snapshot of this round, and say whether it is that of an earlier one."""
    loads = f[LOADS]
    repetition = r[r[REPETITION_OF] + f[loads + PC]]
    this_round = f[loads + ROUND]
    r[SEEN] = repetition << _ROUND_BITS | this_round
    if repetition != r[INSIDE]:
        r[INSIDE] = repetition
        _forget_all(r)
    for cursor in (f[COMPUTE], f[STORES]):
        if r[r[REPETITION_OF] + f[cursor + PC]] != repetition:
            return GO_ON
    if this_round < r[AWAITED]:
        return GO_ON
    new = _snapshot_at(r, r[KEPT] % KEPT_ROUNDS)
    r[new + _LENGTH] = _snapshot(f, g, a, rows, r, r, new + _SNAPSHOT_HEAD) - new - _SNAPSHOT_HEAD
    r[new + _HASH] = m.hash_of(r, new + _SNAPSHOT_HEAD, r[new + _LENGTH])
    r[new + _ROUND] = this_round
    if r[AWAITED] != NOBODY:
        repeats = this_round == r[AWAITED] and _are_equal(r, new, r[PATTERN])
        _forget_all(r)
        return REPEATED if repeats else GO_ON
    left = r[r[REPETITIONS] + repetition * (1 + g[TENSORS])] - 1 - this_round
    for back in range(1, min(r[KEPT], KEPT_ROUNDS - 1) + 1):
        old = _snapshot_at(r, (r[KEPT] - back) % KEPT_ROUNDS)
        period = this_round - r[old + _ROUND]
        if 2 * period <= left and _are_equal(r, new, old):
            r[PERIOD], r[AWAITED], r[PATTERN] = period, this_round + period, new
            r[KEPT] += 1
            return RECURRED
    r[KEPT] += 1
    return GO_ON


# --- further rounds, all at once --------------------------------------------------------------------


def forget_rounds(repetitions: Integers) -> None:
    """States have moved: what was seen of them is no use."""
    repetitions[KEPT] = 0
    repetitions[AWAITED] = NOBODY


@compiled
def skip_rounds(
    front: Integers,
    before: Integers,
    program: Integers,
    arena: Integers,
    rows: Integers,
    repetitions: Integers,
) -> int:
    """Do what the last period did as often as it fits: how often. `before` is the front end as it began."""
    f, b, g, a = words(front), words(before), words(program), words(arena)
    w_rows, r = words(rows), words(repetitions)
    loads = f[LOADS]
    left = r[r[REPETITIONS] + r[INSIDE] * (1 + g[TENSORS])] - 1 - f[loads + ROUND]
    periods = left // r[PERIOD]
    rounds = periods * r[PERIOD]
    tiles = periods * (f[loads + ORDINAL] - b[loads + ORDINAL])
    clocks = periods * (f[CLOCK] - b[CLOCK])
    _shift_rows(f, g, a, w_rows, r, rounds)
    _shift_clocks(f, clocks)
    _shift_tiles(f, a, tiles, clocks)
    _shift_buffers(f, b, g, periods, clocks)
    for tensor in range(g[TENSORS]):
        for table in (ENTERED_STORES, TAKEN_STORES):
            f[f[table] + tensor] += periods * (f[f[table] + tensor] - b[b[table] + tensor])
        f[f[TAKEN_AT] + tensor] += clocks
    for cursor in (LOADS, COMPUTE, STORES):
        _shift_cursor(f, g, r, f[cursor], _piece_of(cursor), rounds, tiles)
    r[SEEN] = r[INSIDE] << _ROUND_BITS | f[loads + ROUND]
    a[m.ROUNDS_SKIPPED] += rounds
    return periods


@inlined
def _shift_rows(f: Words, g: Words, a: Words, rows: Words, r: Words, rounds: int) -> None:
    for label in range(a[a[m.STATE] + m.LABEL_COUNT]):
        rows[label] += _rows_advanced(g, r, rows[label], rounds)
    for piece in (LOAD_PIECE, STORE_PIECE):
        if f[piece + LEFT] > 0:
            f[piece + ROW] += _rows_advanced(g, r, f[piece + ROW], rounds)


@inlined
def _shift_clocks(f: Words, clocks: int) -> None:
    """What is past stays past: so does what was past long before."""
    for word in (CLOCK, SYNCED, LOAD_FROM, LAST_TAKEN, LAST_DONE):
        f[word] += clocks
    for word in (COMPUTED_SEEN, EVENT, LATEST_CALL):
        if f[word] != NEVER:
            f[word] += clocks
    f[COMPUTED_UNTIL] += clocks // f[CORE_NUMERATOR] * f[CORE_DENOMINATOR]
    if f[POSTPONED_EVERY] != 0:
        f[CALLED] += clocks // f[POSTPONED_EVERY]


@inlined
def _turn_ring(w: Words, ring: int, by: int) -> None:
    """Move the words of a ring of TAGS on by so many places."""
    for _ in range(by % TAGS):
        last = w[ring + TAGS - 1]
        for i in range(TAGS - 1, 0, -1):
            w[ring + i] = w[ring + i - 1]
        w[ring] = last


@inlined
def _shift_tiles(f: Words, a: Words, tiles: int, clocks: int) -> None:
    f[LOAD_PASSED] += tiles
    f[LOAD_TAG] = (f[LOAD_TAG] + tiles) % TAGS
    a[m.TAG_BASE] = (a[m.TAG_BASE] + tiles) % TAGS
    if f[WATCHED_TAG] != NOBODY:
        f[WATCHED_TAG] = (f[WATCHED_TAG] + tiles) % TAGS
    for tag in range(TAGS):
        # Of a tile that loads nothing, or nothing yet, there is no clock to be shifted.
        if f[TILE_COMPLETE + tag] != 0:
            f[TILE_COMPLETE + tag] += clocks
    for ring in (TILE_WAITING, TILE_COMPLETE, TILE_PASSED):
        _turn_ring(f, ring, tiles)


@inlined
def _shift_buffers(f: Words, b: Words, g: Words, periods: int, clocks: int) -> None:
    for buffer in range(g[BUFFERS]):
        ring = f[FREED_AT] + buffer * TAGS
        freed = f[f[FREED_OUT] + buffer] - b[b[FREED_OUT] + buffer]
        for tag in range(TAGS):
            f[ring + tag] += clocks
        _turn_ring(f, ring, periods * freed)
        for table in (ENTERED_IN, ENDED_IN, CLAIMED_OUT, FREED_OUT):
            f[f[table] + buffer] += periods * (f[f[table] + buffer] - b[b[table] + buffer])


@inlined
def _shift_cursor(f: Words, g: Words, r: Words, cursor: int, piece: int, rounds: int, tiles: int) -> None:
    if _is_moving(f, cursor, piece):
        f[cursor + BURST] += _advanced_bytes(g, r, _tensor_at(f, g, cursor), rounds) // f[BURST_BYTES]
    f[cursor + ORDINAL] += tiles
    f[cursor + ROUND] += rounds
    for tensor in range(g[TENSORS]):
        f[cursor + ROUND + g[DEPTH] + tensor] += _advanced_bytes(g, r, tensor, rounds)
