"""Passages: all loads of a tile, or what is left of them, remembered as one move.

A study loads the same weights for every row of tiles, in every iteration: in the same state, and with
nothing else to do on the way, the channels do the same. A passage is known by the state that it begins in
and by its *content*: the pieces of the tile relative to the first bank, and which of them lie in one row.
Where they lie is no part of that, but which of the rows that the state knows are rows of the tile is.

Computations that end on the way change nothing as long as they have nothing to store: the program learns
of them at the end of the passage, and starts the next ones in the core cycles in which it would have. Where
there is something to store, the passage begins when that has been taken.
"""

# ruff: noqa: PLR0913, PLR0917
# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_memory.controller import memo as m
from colfw_memory.controller.canonical import LABELS, MAX_LABELS, TURNED, TURNED_ON, restore
from colfw_memory.controller.compiling import called, inlined
from colfw_memory.controller.control import clock_from, core_cycle_from, next_refresh
from colfw_memory.controller.front_end import (
    BANK,
    BURST,
    BURSTS_LEFT,
    CALLING,
    CHANNEL,
    CLOCK,
    COLUMN,
    COMPUTE,
    COMPUTED_UNTIL,
    COMPUTING,
    DIGIT,
    ENDED_IN,
    ENTERED_IN,
    ENTERED_STORES,
    EVENT,
    LATEST_CALL,
    LEFT,
    LOAD_FROM,
    LOAD_PASSED,
    LOAD_PIECE,
    LOAD_TAG,
    LOADS,
    LOW_FIELDS,
    ORDINAL,
    REFRESH_EVERY,
    ROUND,
    ROW,
    RUN,
    STORE_PIECE,
    STORES,
    TAKEN_AT,
    TAKEN_STORES,
    TILE_AT,
    TILE_COMPLETE,
    TILE_PASSED,
    TILE_WAITING,
    TRANSFER,
    TURN,
    WATCHED_TAG,
    WIDTH,
    begin_run,
    next_piece,
)
from colfw_memory.controller.kernel import NEVER, NOBODY, TAGS
from colfw_memory.controller.moves import (
    BASE,
    follow,
    has_spilled,
    intern,
    leave_outside,
    note_outcome,
    step_outside,
)
from colfw_memory.controller.port import PAUSED, USED_UP, hear_calls, run_port, synchronise
from colfw_memory.controller.script import (
    BUFFER_SLOTS,
    CYCLES,
    DEPTH,
    END_FROM,
    END_IN,
    END_READ,
    END_WRITE,
    FIRST_FROM,
    FIRST_IN,
    FIRST_WRITE,
    LISTS,
    RUNS,
    TILE_WORDS,
    TILES,
    TRANSFER_WORDS,
    TRANSFERS,
)
from colfw_memory.controller.tables import MAX_BANKS

if TYPE_CHECKING:
    from colfw_memory.controller.words import Words

MAX_PIECES = 2048
"""Of a content: a tile with more is loaded piece by piece."""
MAX_TENSORS = 32
"""That one tile loads from."""
CONTENT_MARK = -1
"""The first word of a content, as that of no state."""
NO_PASSAGE = 0

# Of a place: its content and first bank, room for rows, how many, the lowest and the highest, bursts; then
# where the cursor stood, offsets of tensors and, of each row, its bank and itself.
PLACE_CONTENT, PLACE_BANK, PLACE_ROOM, PLACE_ROWS, PLACE_LOWEST, PLACE_HIGHEST, PLACE_BURSTS = range(7)
PLACE_TRANSFER, PLACE_BURST, PLACE_LEFT, PLACE_OFFSETS = 7, 8, 9, 10

_LARGEST_PLACE = PLACE_OFFSETS + MAX_TENSORS + 2 * m.MAX_CLASSES

# Of the room to work in: words of the content, of its rows, and of the cursor as it was.
_ROWS_AT = 1 + MAX_PIECES * (m.PIECE_WORDS + 2)
_SAVED_AT = _ROWS_AT + 2 * m.MAX_CLASSES


# --- where a tile's loads lie -----------------------------------------------------------------------


@inlined
def _offset(f: Words, g: Words, tile: int, i: int) -> int:
    """How far the i-th tensor that the tile loads from has advanced."""
    return f[f[LOADS] + ROUND + g[DEPTH] + g[g[LISTS] + g[tile + FIRST_FROM] + i]]


@inlined
def _is_there_still(f: Words, g: Words, tile: int, places: Words, place: int) -> bool:
    cursor = f[LOADS]
    if (
        places[place + PLACE_TRANSFER] != f[cursor + TRANSFER]
        or places[place + PLACE_BURST] != f[cursor + BURST]
        or places[place + PLACE_LEFT] != f[LOAD_PIECE + LEFT]
    ):
        return False
    for i in range(g[tile + END_FROM] - g[tile + FIRST_FROM]):
        if places[place + PLACE_OFFSETS + i] != _offset(f, g, tile, i):
            return False
    return True


@inlined
def place_of(
    f: Words, g: Words, t: Words, a: Words, states: Words, places: Words, scratch: Words, tile: int
) -> int:
    """Where the loads of the tile lie, or NOBODY if they are too many to be one passage."""
    number = (tile - g[TILES]) // TILE_WORDS
    place = places[number]
    if place > 0 and not _is_there_still(f, g, tile, places, place):
        place = _find_place(f, g, t, a, states, places, scratch, tile, place)
    elif place == 0:
        place = _find_place(f, g, t, a, states, places, scratch, tile, 0)
    places[number] = place
    return place


@called
def _find_place(
    f: Words,
    g: Words,
    t: Words,
    a: Words,
    states: Words,
    places: Words,
    scratch: Words,
    tile: int,
    before: int,
) -> int:
    """Go through the pieces of the tile at the loads' cursor, which is left as it was found."""
    cursor = f[LOADS]
    for i in range(BURSTS_LEFT + 1):
        scratch[_SAVED_AT + i] = f[cursor + i]
    for i in range(DIGIT + f[LOW_FIELDS]):
        scratch[_SAVED_AT + BURSTS_LEFT + 1 + i] = f[LOAD_PIECE + i]
    first_bank = f[LOAD_PIECE + BANK]
    pieces, classes, bursts, n = 0, 0, 0, 1
    scratch[0] = CONTENT_MARK
    going_on = True
    while going_on and pieces < MAX_PIECES and classes < m.MAX_CLASSES:
        bank, row = f[LOAD_PIECE + BANK], f[LOAD_PIECE + ROW]
        number = classes - 1
        while number >= 0 and (
            scratch[_ROWS_AT + 2 * number] != bank or scratch[_ROWS_AT + 2 * number + 1] != row
        ):
            number -= 1
        if number < 0:
            number = classes
            scratch[_ROWS_AT + 2 * number] = bank
            scratch[_ROWS_AT + 2 * number + 1] = row
            classes += 1
        scratch[n] = f[LOAD_PIECE + LEFT]
        scratch[n + 1] = f[LOAD_PIECE + CHANNEL]
        scratch[n + 2] = f[LOAD_PIECE + COLUMN]
        scratch[n + 3] = t[TURNED + bank * MAX_BANKS + first_bank]
        scratch[n + 4] = number
        for i in range(f[LOW_FIELDS]):
            scratch[n + 5 + i] = f[LOAD_PIECE + DIGIT + i]
        n += 5 + f[LOW_FIELDS]
        pieces += 1
        bursts += f[LOAD_PIECE + LEFT]
        going_on = _next_piece_of_tile(f, g, cursor, tile)
    for i in range(BURSTS_LEFT + 1):
        f[cursor + i] = scratch[_SAVED_AT + i]
    for i in range(DIGIT + f[LOW_FIELDS]):
        f[LOAD_PIECE + i] = scratch[_SAVED_AT + BURSTS_LEFT + 1 + i]
    if going_on or g[tile + END_FROM] - g[tile + FIRST_FROM] > MAX_TENSORS:
        return NOBODY
    content = m.state_of(a, states, scratch, n, pieces)
    place = _note_place(f, g, a, places, scratch, tile, before, classes)
    places[place + PLACE_CONTENT] = content
    places[place + PLACE_BURSTS] = bursts
    return place


@inlined
def _next_piece_of_tile(f: Words, g: Words, cursor: int, tile: int) -> bool:
    """The next piece of the tile's loads, transfer after transfer; False if there is none."""
    while not next_piece(f, g, cursor, LOAD_PIECE):
        if f[cursor + TRANSFER] + 1 == g[tile + END_READ]:
            return False
        f[cursor + TRANSFER] += 1
        f[cursor + RUN] = 0
        begin_run(f, g, cursor)
    return True


@inlined
def _note_place(
    f: Words,
    g: Words,
    a: Words,
    places: Words,
    scratch: Words,
    tile: int,
    before: int,
    classes: int,
) -> int:
    """Write down a place, over the one before if there is room."""
    tensors = g[tile + END_FROM] - g[tile + FIRST_FROM]
    place = before
    if before == 0 or places[before + PLACE_ROOM] < classes:
        words = PLACE_OFFSETS + tensors + 2 * classes
        if a[m.PLACES_USED] + words > a[m.PLACES_ROOM]:
            forget_places(a, places)
        place = a[m.PLACES_USED]
        a[m.PLACES_USED] += words
        places[place + PLACE_ROOM] = classes
    places[place + PLACE_BANK] = f[LOAD_PIECE + BANK]
    places[place + PLACE_TRANSFER] = f[f[LOADS] + TRANSFER]
    places[place + PLACE_BURST] = f[f[LOADS] + BURST]
    places[place + PLACE_LEFT] = f[LOAD_PIECE + LEFT]
    places[place + PLACE_ROWS] = classes
    for i in range(tensors):
        places[place + PLACE_OFFSETS + i] = _offset(f, g, tile, i)
    rows = _rows_at(g, tile, place)
    lowest, highest = NEVER, 0
    for i in range(classes):
        row = scratch[_ROWS_AT + 2 * i + 1]
        lowest, highest = min(lowest, row), max(highest, row)
        places[rows + 2 * i] = scratch[_ROWS_AT + 2 * i]
        places[rows + 2 * i + 1] = row
    places[place + PLACE_LOWEST] = lowest
    places[place + PLACE_HIGHEST] = highest
    return place


@inlined
def _rows_at(g: Words, tile: int, place: int) -> int:
    """Where the banks and rows of a place begin."""
    return place + PLACE_OFFSETS + g[tile + END_FROM] - g[tile + FIRST_FROM]


@inlined
def index_places(g: Words, a: Words, places: Words) -> None:
    """Room for where the loads of each tile of a program lie; of none, if there are too many tiles."""
    tiles = (g[TRANSFERS] - g[TILES]) // TILE_WORDS
    a[m.INDEXED] = tiles if tiles + _LARGEST_PLACE <= a[m.PLACES_ROOM] else 0
    forget_places(a, places)


@inlined
def forget_places(a: Words, places: Words) -> None:
    for number in range(a[m.INDEXED]):
        places[number] = 0
    a[m.PLACES_USED] = a[m.INDEXED]


# --- whether nothing else can happen on the way -----------------------------------------------------


@inlined
def _may_load_all(f: Words, g: Words, tile: int) -> bool:
    """Whether every load of the tile has a slot, and waits for no store longer than the first one."""
    for i in range(g[tile + FIRST_IN], g[tile + END_IN]):
        buffer = g[g[LISTS] + i]
        if f[f[ENTERED_IN] + buffer] - f[f[ENDED_IN] + buffer] >= g[g[BUFFER_SLOTS] + buffer]:
            return False
    begins = max(f[CLOCK], f[LOAD_FROM])
    for i in range(g[tile + FIRST_FROM], g[tile + END_FROM]):
        tensor = g[g[LISTS] + i]
        if f[f[TAKEN_STORES] + tensor] < f[f[ENTERED_STORES] + tensor]:
            return False
        if f[f[TAKEN_AT] + tensor] + 1 > begins:
            return False
    return True


@inlined
def _first_store(f: Words, g: Words) -> int:
    """A clock before which nothing can be stored: no computation that has something to store ends."""
    ordinal = f[f[COMPUTE] + ORDINAL]
    if f[STORE_PIECE + LEFT] > 0 or f[f[STORES] + ORDINAL] != ordinal:
        return 0
    until = f[COMPUTED_UNTIL]
    computing = f[COMPUTING]
    while ordinal < f[LOAD_PASSED]:
        tag = ordinal % TAGS
        tile = f[TILE_PASSED + tag]
        if computing == 0:
            if f[TILE_WAITING + tag] == 0:
                until = max(until, core_cycle_from(f, f[TILE_COMPLETE + tag]))
            until += g[tile + CYCLES]
        computing = 0
        if g[tile + FIRST_WRITE] < g[tile + END_WRITE]:
            return clock_from(f, until) + 1
        ordinal += 1
    return NEVER


@inlined
def _ends_before_anything(f: Words, g: Words, clocks: int) -> bool:
    end = f[CLOCK] + clocks
    return end < f[LATEST_CALL] and end <= next_refresh(f, f[REFRESH_EVERY]) and end < _first_store(f, g)


@inlined
def _may_pass(f: Words, g: Words, a: Words, tile: int) -> bool:
    """Whether there is something left to load, and so far nothing in its way."""
    return bool(
        f[LOAD_PIECE + LEFT] > 0
        and a[m.INDEXED] > 0
        and _may_load_all(f, g, tile)
        and _ends_before_anything(f, g, 0)
    )


# --- the key ----------------------------------------------------------------------------------------


@inlined
def _write_key(
    f: Words, g: Words, t: Words, a: Words, rows: Words, places: Words, place: int, tile: int, key: Words
) -> int:
    """What the passage depends on; how many words it takes."""
    key[m.FROM_NEGATIVE] = -a[m.STATE]
    key[m.CONTENT] = places[place + PLACE_CONTENT]
    key[m.FIRST_BANK] = t[TURNED + places[place + PLACE_BANK] * MAX_BANKS + a[m.TURNED_BY]]
    key[m.PASSAGE_TURN] = f[TURN]
    key[m.PASSAGE_WAIT] = max(0, f[LOAD_FROM] - f[CLOCK])
    key[m.PASSAGE_SHIFT] = (f[LOAD_TAG] - a[m.TAG_BASE]) % TAGS
    key[m.PASSAGE_CALLS] = f[CALLING]
    n = m.PASSAGE_WORDS
    lowest, highest = places[place + PLACE_LOWEST], places[place + PLACE_HIGHEST]
    first = _rows_at(g, tile, place)
    for label in range(a[a[m.STATE] + m.LABEL_COUNT]):
        row = rows[label]
        if lowest <= row <= highest:
            bank = t[TURNED_ON + rows[LABELS + label] * MAX_BANKS + a[m.TURNED_BY]]
            for i in range(places[place + PLACE_ROWS]):
                if places[first + 2 * i] == bank and places[first + 2 * i + 1] == row:
                    key[n], key[n + 1] = label, i
                    n += 2
                    break
    key[m.MET] = (n - m.PASSAGE_WORDS) // 2
    return n


# --- making and following ---------------------------------------------------------------------------


@called
def _make(
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
    count: int,
) -> int:
    """Simulate the passage and remember it: its record, or NOBODY if that cannot be done."""
    labels = a[a[m.STATE] + m.LABEL_COUNT]
    content = key[m.CONTENT]
    leave_outside(f, key)
    f[EVENT] = NEVER
    f[LOAD_FROM] = BASE + key[m.PASSAGE_WAIT]
    f[WATCHED_TAG] = NOBODY
    restore(f, s, t, a, a[m.STATE] + m.STATE_WORDS, key[m.PASSAGE_SHIFT], NEVER)
    hear_calls(f, s, t)
    at = content + m.STATE_WORDS + 1
    reason = USED_UP
    for _ in range(a[content + m.LABEL_COUNT]):
        _take_piece(f, t, a, key, labels, at)
        at += 5 + f[LOW_FIELDS]
        if reason == USED_UP:
            reason = run_port(f, s, t, log)
    if reason == PAUSED or synchronise(f, s, t, log) == PAUSED or has_spilled(f, s):
        return NOBODY
    by = f[LOAD_PIECE + BANK]
    clocks = f[CLOCK] - BASE
    end = intern(f, s, t, a, states, names, scratch, by)
    move = m.new_move(a, moves, key, count)
    a[move + m.TO] = end
    a[move + m.CLOCKS] = clocks
    a[move + m.REASON] = USED_UP
    a[move + m.TURN_BY] = by
    for label in range(names[LABELS]):
        # Rows that the state did not know are those of the tile.
        source = names[LABELS + 1 + label]
        names[LABELS + 1 + label] = source if source < labels else LABELS + source - labels
    a[m.USED] = note_outcome(f, s, a, names, move)
    _take_piece(f, t, a, key, labels, content + m.STATE_WORDS + 1)
    step_outside(f, key)
    return move


@inlined
def _take_piece(f: Words, t: Words, a: Words, key: Words, labels: int, at: int) -> None:
    """The piece of a content, in the terms of the state."""
    f[LOAD_PIECE + LEFT] = a[at]
    f[LOAD_PIECE + CHANNEL] = a[at + 1]
    f[LOAD_PIECE + COLUMN] = a[at + 2]
    f[LOAD_PIECE + BANK] = t[TURNED_ON + a[at + 3] * MAX_BANKS + key[m.FIRST_BANK]]
    label = labels + a[at + 4]
    for i in range(key[m.MET]):
        if key[m.PASSAGE_WORDS + 2 * i + 1] == a[at + 4]:
            label = key[m.PASSAGE_WORDS + 2 * i]
    f[LOAD_PIECE + ROW] = label
    for i in range(f[LOW_FIELDS]):
        f[LOAD_PIECE + DIGIT + i] = a[at + 5 + i]


@inlined
def passage(
    f: Words,
    g: Words,
    s: Words,
    t: Words,
    log: Words,
    a: Words,
    states: Words,
    moves: Words,
    names: Words,
    rows: Words,
    key: Words,
    scratch: Words,
    places: Words,
) -> int:
    """The record of the passage that begins here; NO_PASSAGE if none does, NOBODY if it cannot be made."""
    tile = f[f[LOADS] + TILE_AT]
    if tile == NOBODY or not _may_pass(f, g, a, tile):
        return NO_PASSAGE
    place = place_of(f, g, t, a, states, places, scratch, tile)
    if place == NOBODY or a[a[m.STATE] + m.LABEL_COUNT] + places[place + PLACE_ROWS] > MAX_LABELS:
        return NO_PASSAGE
    count = _write_key(f, g, t, a, rows, places, place, tile, key)
    move = m.find_move(a, moves, key, count)
    if move == 0:
        if not _ends_before_anything(f, g, places[place + PLACE_BURSTS] // f[WIDTH]):
            return NO_PASSAGE
        a[m.MADE] += 1
        move = _make(f, s, t, log, a, states, moves, names, key, scratch, count)
        if move == NOBODY:
            return NOBODY
    return move if _ends_before_anything(f, g, a[move + m.CLOCKS]) else NO_PASSAGE


@inlined
def pass_through(
    f: Words, g: Words, t: Words, a: Words, rows: Words, scratch: Words, places: Words, move: int
) -> int:
    """Do what the passage did, and why it ended: all loads of the tile have been taken."""
    cursor = f[LOADS]
    tile = f[cursor + TILE_AT]
    place = places[(tile - g[TILES]) // TILE_WORDS]
    reason = follow(f, t, a, rows, scratch, places, _rows_at(g, tile, place), move)
    last = g[tile + END_READ] - 1
    f[cursor + TRANSFER] = last
    f[cursor + RUN] = g[g[TRANSFERS] + last * TRANSFER_WORDS + RUNS] - 1
    f[cursor + BURSTS_LEFT] = 0
    return reason
