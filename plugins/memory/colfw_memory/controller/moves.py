"""Moves: what happens from one stop of the port to the next, remembered and done again.

A move is made by the same port and channels that run without memory, from a state that says all that
matters to them; and it is followed only where state and pieces are the same. A refresh or the end of a
computation that falls into a move makes it another one, known by when it does.
"""

# ruff: noqa: PLR0913, PLR0917
# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_memory.controller import memo as m
from colfw_memory.controller.canonical import (
    LABELS,
    NEW_LOAD,
    NEW_STORE,
    TURNED,
    TURNED_ON,
    capture,
    restore,
    settle_open_clocks,
)
from colfw_memory.controller.compiling import called, inlined
from colfw_memory.controller.control import next_refresh
from colfw_memory.controller.front_end import (
    BANK,
    CALLING,
    CHANNEL,
    CHANNELS,
    CLOCK,
    COLUMN,
    DIGIT,
    EVENT,
    IN_FLIGHT,
    LAST_DONE,
    LAST_TAKEN,
    LEFT,
    LOAD_FROM,
    LOAD_PIECE,
    LOAD_TAG,
    LOW_FIELDS,
    REFRESH_EVERY,
    ROW,
    STORE_PIECE,
    SYNCED,
    TILE_COMPLETE,
    TILE_WAITING,
    TURN,
    WATCHED_TAG,
    WINDOW,
)
from colfw_memory.controller.kernel import (
    CHANNEL_WORDS,
    COUNT,
    COUNTERS,
    FORWARDED,
    LAST_RELEASE,
    LAST_WRITE,
    LATENCIES,
    LATENCY,
    LATENCY_END,
    NEVER,
    NOBODY,
    PUSHED_READS,
    READS,
    REFRESH_AT,
    RELEASED_READS,
    SERVED,
    SPILLED,
    TAG_RELEASE,
    TAGS,
)
from colfw_memory.controller.port import (
    PAUSED,
    SAW_EVENT,
    hear_calls,
    reads_waiting,
    release_slots,
    run_port,
    synchronise,
)
from colfw_memory.controller.tables import MAX_BANKS

if TYPE_CHECKING:
    from colfw_memory.controller.words import Words

BASE = 1 << 40
"""The clock at which moves are made: late enough for everything that is past."""
AT_REST = -1
"""In a key, in place of the port's turn: nothing is handed over, clocks go by."""


# --- the key of a move ------------------------------------------------------------------------------


@inlined
def note_piece(f: Words, piece: int, out: Words, at: int) -> None:
    """What is left of a piece; nothing else of it counts if that is nothing."""
    for i in range(m.PIECE_WORDS):
        out[at + i] = 0
    if f[piece + LEFT] > 0:
        out[at] = f[piece + LEFT]
        out[at + 1] = f[piece + CHANNEL]
        out[at + 2] = f[piece + COLUMN]
        for i in range(f[LOW_FIELDS]):
            out[at + 3 + i] = f[piece + DIGIT + i]


@inlined
def take_piece(f: Words, piece: int, noted: Words, at: int) -> None:
    f[piece + LEFT] = noted[at]
    if noted[at] > 0:
        f[piece + CHANNEL] = noted[at + 1]
        f[piece + COLUMN] = noted[at + 2]
        for i in range(f[LOW_FIELDS]):
            f[piece + DIGIT + i] = noted[at + 3 + i]


@inlined
def _label_of(a: Words, rows: Words, bank: int, row: int, unknown: int) -> int:
    """The label of a row that the state knows, or `unknown`."""
    for label in range(a[a[m.STATE] + m.LABEL_COUNT]):
        if rows[label] == row and rows[LABELS + label] == bank:
            return label
    return unknown


@inlined
def write_key(f: Words, t: Words, a: Words, rows: Words, key: Words) -> None:
    """What the next move depends on, but for what may come in its way."""
    key[m.FROM] = a[m.STATE]
    note_piece(f, LOAD_PIECE, key, m.LOAD_KEY)
    note_piece(f, STORE_PIECE, key, m.STORE_KEY)
    key[m.LOAD_BANK] = key[m.LOAD_LABEL] = key[m.STORE_BANK] = key[m.STORE_LABEL] = 0
    if f[LOAD_PIECE + LEFT] > 0:
        bank = t[TURNED + f[LOAD_PIECE + BANK] * MAX_BANKS + a[m.TURNED_BY]]
        key[m.LOAD_BANK] = bank
        key[m.LOAD_LABEL] = _label_of(a, rows, bank, f[LOAD_PIECE + ROW], NEW_LOAD)
    if f[STORE_PIECE + LEFT] > 0:
        bank = t[TURNED + f[STORE_PIECE + BANK] * MAX_BANKS + a[m.TURNED_BY]]
        together = f[LOAD_PIECE + LEFT] > 0 and bank == key[m.LOAD_BANK]
        together = together and f[STORE_PIECE + ROW] == f[LOAD_PIECE + ROW]
        key[m.STORE_BANK] = bank
        key[m.STORE_LABEL] = _label_of(
            a, rows, bank, f[STORE_PIECE + ROW], NEW_LOAD if together else NEW_STORE
        )
    key[m.TURN_KEY] = f[TURN]
    key[m.CALLS] = f[CALLING]
    key[m.LOAD_WAIT] = max(0, f[LOAD_FROM] - f[CLOCK]) if f[LOAD_PIECE + LEFT] > 0 else 0
    key[m.SHIFT] = (f[LOAD_TAG] - a[m.TAG_BASE]) % TAGS
    key[m.WATCHED] = NOBODY
    if f[WATCHED_TAG] != NOBODY:
        key[m.WATCHED] = (f[WATCHED_TAG] - f[LOAD_TAG]) % TAGS


@inlined
def known_move(f: Words, a: Words, moves: Words, key: Words) -> int:
    """The move from here if it is known; 0 if not. It must end before what is not in its key."""
    event_in = NEVER if f[EVENT] == NEVER else f[EVENT] - f[CLOCK]
    refresh = next_refresh(f, f[REFRESH_EVERY])
    refresh_in = NEVER if refresh == NEVER else refresh - f[CLOCK]
    for way in range(4):
        if (way & 1 != 0 and refresh_in == NEVER) or (way & 2 != 0 and event_in == NEVER):
            continue
        key[m.REFRESH_IN] = refresh_in if way & 1 != 0 else m.NEVER_IN
        key[m.EVENT_IN] = event_in if way & 2 != 0 else m.NEVER_IN
        move = m.find_move(a, moves, key, m.KEY_WORDS)
        if (
            move != 0
            and (way & 1 != 0 or a[move + m.CLOCKS] <= refresh_in)
            and (way & 2 != 0 or a[move + m.CLOCKS] < event_in)
        ):
            return move
    return 0


# --- following a move -------------------------------------------------------------------------------


@inlined
def _rename_rows(
    f: Words, a: Words, rows: Words, scratch: Words, places: Words, first: int, at: int, labels: int
) -> None:
    """Rows and banks that the labels stand for from now on; what the record says of each begins at `at`."""
    for label in range(labels):
        source = a[at + 2 * label]
        if source == NEW_LOAD:
            scratch[label] = f[LOAD_PIECE + ROW]
        elif source == NEW_STORE:
            scratch[label] = f[STORE_PIECE + ROW]
        elif source >= LABELS:
            scratch[label] = places[first + 2 * (source - LABELS) + 1]
        else:
            scratch[label] = rows[source]
    for label in range(labels):
        rows[label] = scratch[label]
        rows[LABELS + label] = a[at + 2 * label + 1]


@inlined
def follow(
    f: Words, t: Words, a: Words, rows: Words, scratch: Words, places: Words, first: int, move: int
) -> int:
    """Do what the move did; why it ended. Rows of a passage stand in `places`, from `first` on."""
    clock = f[CLOCK]
    if a[move + m.TAKEN_LAST] != NOBODY:
        f[LAST_TAKEN] = clock + a[move + m.TAKEN_LAST]
    if a[move + m.DONE_LAST] != NOBODY:
        f[LAST_DONE] = max(f[LAST_DONE], clock + a[move + m.DONE_LAST])
    at = move + m.KEY + a[move + m.KEY_LENGTH]
    for _ in range(a[move + m.TAGS_AFTER]):
        tag = (a[at] + f[LOAD_TAG]) % TAGS
        f[TILE_WAITING + tag] = a[at + 1]
        if a[at + 2] != NOBODY:
            f[TILE_COMPLETE + tag] = max(f[TILE_COMPLETE + tag], clock + a[at + 2])
        at += 3
    _rename_rows(f, a, rows, scratch, places, first, at, a[move + m.LABELS_AFTER])
    take_piece(f, LOAD_PIECE, a, move + m.LOAD_AFTER)
    take_piece(f, STORE_PIECE, a, move + m.STORE_AFTER)
    f[CLOCK] = f[SYNCED] = clock + a[move + m.CLOCKS]
    f[TURN] = a[move + m.TURN_AFTER]
    a[m.STATE] = a[move + m.TO]
    a[m.TURNED_BY] = t[TURNED_ON + a[m.TURNED_BY] * MAX_BANKS + a[move + m.TURN_BY]]
    a[m.TAG_BASE] = f[LOAD_TAG]
    f[CALLING] = 0
    if a[move + m.USES] == 0:
        a[move + m.USED_BEFORE] = a[m.LAST_USED]
        a[m.LAST_USED] = move
    a[move + m.USES] += 1
    return a[move + m.REASON]


# --- making a move ----------------------------------------------------------------------------------


@inlined
def has_spilled(f: Words, s: Words) -> bool:
    """Whether a latency was too long for the histogram."""
    spilled = 0
    for channel in range(f[CHANNELS]):
        spilled += s[channel * CHANNEL_WORDS + SPILLED]
    return spilled != 0


@inlined
def _last_done(f: Words, s: Words, begin: int) -> int:
    """When the last request of this move was done, counted from its begin; NOBODY if none was."""
    last = NOBODY
    for channel in range(f[CHANNELS]):
        c = channel * CHANNEL_WORDS
        if s[c + COUNT + SERVED + READS] + s[c + COUNT + FORWARDED] > 0:
            last = max(last, s[c + LAST_RELEASE] - begin)
        if s[c + LAST_WRITE] > 0:
            last = max(last, s[c + LAST_WRITE] - begin)
    return last


@inlined
def _forget_done(f: Words, s: Words) -> None:
    """Slots of the window that are free by now, so that equal states look equal."""
    if f[WINDOW] == NEVER:
        f[IN_FLIGHT] = 0
        for channel in range(f[CHANNELS]):
            c = channel * CHANNEL_WORDS
            s[c + RELEASED_READS] = s[c + PUSHED_READS]
    else:
        release_slots(f, s)


@inlined
def _note_counts(f: Words, s: Words, a: Words, at: int) -> int:
    """Counters and latencies of each channel; the histogram is left empty. Where the record ends."""
    for channel in range(f[CHANNELS]):
        c = channel * CHANNEL_WORDS
        for i in range(COUNTERS):
            a[at + i] = s[c + COUNT + i]
        at += COUNTERS
        head = at
        for latency in range(s[c + LATENCY_END]):
            if s[c + LATENCY + latency] != 0:
                a[at + 1] = s[c + LATENCY + latency] * LATENCIES + latency
                s[c + LATENCY + latency] = 0
                at += 1
        a[head] = at - head
        at += 1
    return at


@inlined
def _note_tiles(f: Words, s: Words, a: Words, at: int) -> int:
    """For each tile that had reads waiting, or has: how many, and when the last with an RD completes."""
    for tag in range(TAGS):
        waiting = reads_waiting(f, s, tag)
        release = 0
        for channel in range(f[CHANNELS]):
            release = max(release, s[channel * CHANNEL_WORDS + TAG_RELEASE + tag])
        if waiting > 0 or release > 0:
            a[at] = tag
            a[at + 1] = waiting
            a[at + 2] = NOBODY if release == 0 else release - BASE
            at += 3
    return at


@inlined
def intern(
    f: Words, s: Words, t: Words, a: Words, states: Words, names: Words, scratch: Words, by: int
) -> int:
    """The record of the state that the channels are in."""
    for channel in range(f[CHANNELS]):
        settle_open_clocks(s, channel * CHANNEL_WORDS, t, f[CLOCK])
    _forget_done(f, s)
    count = capture(f, s, t, names, by, scratch)
    return m.state_of(a, states, scratch, count, names[LABELS])


@inlined
def leave_outside(f: Words, key: Words) -> None:
    """Note where the front end stands, and put it at a clock of BASE."""
    for i in range(m.PORT_WORDS):
        key[m.OUTSIDE + i] = f[i]
    at = m.OUTSIDE + m.PORT_WORDS
    key[at], key[at + 1] = f[LOAD_PIECE + BANK], f[LOAD_PIECE + ROW]
    key[at + 2], key[at + 3] = f[STORE_PIECE + BANK], f[STORE_PIECE + ROW]
    f[CLOCK] = f[SYNCED] = BASE
    f[LOAD_TAG] = 0
    f[LAST_TAKEN] = NOBODY


@inlined
def _step_inside(f: Words, key: Words) -> None:
    """Put the front end in the state's own terms: its banks, labels and tiles, and a clock of BASE."""
    event_in = f[EVENT] - f[CLOCK]
    leave_outside(f, key)
    f[EVENT] = NEVER if f[EVENT] == NEVER else BASE + event_in
    f[LOAD_FROM] = BASE + key[m.LOAD_WAIT]
    f[WATCHED_TAG] = key[m.WATCHED]
    f[LOAD_PIECE + BANK], f[LOAD_PIECE + ROW] = key[m.LOAD_BANK], key[m.LOAD_LABEL]
    f[STORE_PIECE + BANK], f[STORE_PIECE + ROW] = key[m.STORE_BANK], key[m.STORE_LABEL]


@inlined
def step_outside(f: Words, key: Words) -> None:
    """Put the front end back to where it stood."""
    for i in range(m.PORT_WORDS):
        f[i] = key[m.OUTSIDE + i]
    at = m.OUTSIDE + m.PORT_WORDS
    f[LOAD_PIECE + BANK], f[LOAD_PIECE + ROW] = key[at], key[at + 1]
    f[STORE_PIECE + BANK], f[STORE_PIECE + ROW] = key[at + 2], key[at + 3]


@inlined
def bank_in_use(key: Words) -> int:
    if key[m.LOAD_KEY] > 0:
        return key[m.LOAD_BANK]
    return key[m.STORE_BANK] if key[m.STORE_KEY] > 0 else 0


@called
def make(
    f: Words,
    s: Words,
    t: Words,
    log: Words,
    a: Words,
    states: Words,
    moves: Words,
    names: Words,
    key: Words,
    scratch: Words,
) -> int:
    """Simulate the move from here and remember it: its record, or NOBODY if that cannot be done."""
    refresh_in = next_refresh(f, f[REFRESH_EVERY]) - f[CLOCK]
    event_in = f[EVENT] - f[CLOCK]
    refresh_at = BASE + refresh_in if f[REFRESH_EVERY] != 0 else NEVER
    _step_inside(f, key)
    restore(f, s, t, a, a[m.STATE] + m.STATE_WORDS, key[m.SHIFT], refresh_at)
    hear_calls(f, s, t)
    if key[m.TURN_KEY] == AT_REST:
        f[CLOCK] = BASE + event_in
        reason = SAW_EVENT
    else:
        reason = run_port(f, s, t, log)
    if reason == PAUSED or synchronise(f, s, t, log) == PAUSED or has_spilled(f, s):
        return NOBODY
    clocks = f[CLOCK] - BASE
    if key[m.TURN_KEY] != AT_REST:
        # It is known by what came in its way, and by that alone.
        key[m.EVENT_IN] = event_in if reason == SAW_EVENT or clocks >= event_in else m.NEVER_IN
        refreshed = s[REFRESH_AT] != refresh_at or clocks > refresh_in
        key[m.REFRESH_IN] = refresh_in if refreshed and f[REFRESH_EVERY] != 0 else m.NEVER_IN
    end = intern(f, s, t, a, states, names, scratch, bank_in_use(key))
    move = m.new_move(a, moves, key, m.KEY_WORDS)
    a[move + m.TO] = end
    a[move + m.CLOCKS] = clocks
    a[move + m.REASON] = reason
    a[move + m.TURN_BY] = bank_in_use(key)
    a[m.USED] = note_outcome(f, s, a, names, move)
    step_outside(f, key)
    return move


@inlined
def note_outcome(f: Words, s: Words, a: Words, names: Words, move: int) -> int:
    """What the front end and the channels came to, in the record of a move; where the record ends."""
    a[move + m.TURN_AFTER] = f[TURN]
    a[move + m.TAKEN_LAST] = NOBODY if f[LAST_TAKEN] == NOBODY else f[LAST_TAKEN] - BASE
    a[move + m.DONE_LAST] = _last_done(f, s, BASE)
    note_piece(f, LOAD_PIECE, a, move + m.LOAD_AFTER)
    note_piece(f, STORE_PIECE, a, move + m.STORE_AFTER)
    first = move + m.KEY + a[move + m.KEY_LENGTH]
    at = _note_tiles(f, s, a, first)
    a[move + m.TAGS_AFTER] = (at - first) // 3
    a[move + m.LABELS_AFTER] = names[LABELS]
    for label in range(names[LABELS]):
        a[at] = names[LABELS + 1 + label]
        a[at + 1] = names[2 * LABELS + 1 + label]
        at += 2
    a[move + m.COUNTS_AT] = at - move
    return _note_counts(f, s, a, at)
