"""What is remembered of a closed loop: states, and what each move from one to the next came to.

A move is what happens from one stop of the port to the next. It is known by the state that it begins in
and by what the port was given to hand over; its record says where it ends, how long it took, and what it
counted. All records lie in one arena of fixed size, found through two hash tables; words are compared
in full, so that nothing rests on a hash.
"""

# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen

from colfw_memory.controller.canonical import LABELS, NAMES_WORDS
from colfw_memory.controller.compiling import called, inlined
from colfw_memory.controller.front_end import LOAD_PIECE
from colfw_memory.controller.kernel import COUNTERS, LATENCIES
from colfw_memory.mapping import MAX_FIELDS

if TYPE_CHECKING:
    from colfw_memory.controller.words import Integers, Words

# The head of the arena.
USED = 0  # words in use
STATES = 1  # how many
MOVES = 2
STATE = 3  # where the run is: the record of its state
TURNED_BY = 4  # banks of that state are turned back by this
TAG_BASE = 5  # tiles of that state are counted from this one
FOLLOWED = 6  # moves that were remembered, in this run
MADE = 7  # moves that were simulated, in this run
PLACES_USED = 8  # words of the places of contents
INDEXED = 9  # tiles of the program, if each has a place
PLACES_ROOM = 11  # and how many there is room for
LAST_USED = 10  # the move that was first used last, in this run; 0 if none was
ROUNDS_SKIPPED = 12  # rounds of repetitions that were not run, in this run
HEAD_WORDS = 16

# A state's record.
HASH, LENGTH, LABEL_COUNT, STATE_WORDS = 0, 1, 2, 3

# The key of a move.
PIECE_WORDS = 3 + MAX_FIELDS
"""Left, channel, column and digits."""
FROM = 0
LOAD_KEY = 1
LOAD_BANK = LOAD_KEY + PIECE_WORDS
LOAD_LABEL = LOAD_BANK + 1
STORE_KEY = LOAD_LABEL + 1
STORE_BANK = STORE_KEY + PIECE_WORDS
STORE_LABEL = STORE_BANK + 1
TURN_KEY = STORE_LABEL + 1
LOAD_WAIT = TURN_KEY + 1
SHIFT = LOAD_WAIT + 1
WATCHED = SHIFT + 1
EVENT_IN = WATCHED + 1
REFRESH_IN = EVENT_IN + 1
CALLS = REFRESH_IN + 1  # refreshes that are called for as it begins
KEY_WORDS = CALLS + 1
# The key of a passage; that of a move begins with the record of a state, which is positive.
FROM_NEGATIVE, CONTENT, FIRST_BANK, PASSAGE_TURN, PASSAGE_WAIT, PASSAGE_SHIFT, PASSAGE_CALLS, MET = range(8)
"""...then how many labels of the state stand for rows of the content, and which for which."""
PASSAGE_WORDS = 8
MAX_CLASSES = 256
"""Rows of one content."""
LONGEST_KEY = PASSAGE_WORDS + 2 * MAX_CLASSES

# The record of a move or a passage: what it came to, then its key, then lists.
KEY_LENGTH = 1
USES = 2
TO = 3
CLOCKS = 4
REASON = 5
TURN_AFTER = 6
TAKEN_LAST = 7
DONE_LAST = 8
TURN_BY = 9
LOAD_AFTER = 10
STORE_AFTER = LOAD_AFTER + PIECE_WORDS
TAGS_AFTER = STORE_AFTER + PIECE_WORDS  # how many; then labels; then where the counts begin: after both lists
LABELS_AFTER = TAGS_AFTER + 1
COUNTS_AT = TAGS_AFTER + 2
USED_BEFORE = TAGS_AFTER + 3  # the move that was first used in this run before this one
KEY = TAGS_AFTER + 4

OUTSIDE = LONGEST_KEY
"""After the key: the front end as it stands outside of the move that is being made."""
PORT_WORDS = LOAD_PIECE
OUTSIDE_WORDS = PORT_WORDS + 4

NEVER_IN = -1
"""In a key: neither event nor refresh came in the way."""

ARENA_WORDS = 1 << 26
"""Half a gigabyte at most; what is not used is not taken from the machine."""
ARENA_RESERVE = 1 << 19
"""What must be free for a state and a move: the arena is emptied before it could run over."""
TABLE_ENTRIES = 1 << 20
PLACES_WORDS = 1 << 18
"""Where the contents of a program's tiles lie: found anew for each program."""


def _integers(count: int) -> Integers:
    return np.zeros(count, np.int64)


def _arena() -> Integers:
    arena = np.empty(ARENA_WORDS, np.int64)
    arena[:HEAD_WORDS] = 0
    arena[USED] = HEAD_WORDS
    return arena


@frozen(eq=False)
class Memo:
    """Everything that is remembered, and room to work in. Kept from run to run of one memory."""

    arena: Integers = field(factory=_arena)
    states: Integers = field(factory=lambda: _integers(TABLE_ENTRIES))
    moves: Integers = field(factory=lambda: _integers(TABLE_ENTRIES))
    names: Integers = field(factory=lambda: _integers(NAMES_WORDS))
    rows: Integers = field(factory=lambda: _integers(2 * LABELS))
    key: Integers = field(factory=lambda: _integers(OUTSIDE + OUTSIDE_WORDS))
    scratch: Integers = field(factory=lambda: _integers(ARENA_RESERVE // 2))
    places: Integers = field(factory=lambda: _integers(PLACES_WORDS))

    @property
    def arrays(self) -> tuple[Integers, ...]:
        """What compiled functions take."""
        return self.arena, self.states, self.moves, self.names, self.rows, self.key, self.scratch, self.places

    def counted(self, channels: int) -> tuple[Integers, Integers]:
        """Room for what a run counts: counters and latency histogram of each channel."""
        return _integers(channels * COUNTERS), _integers(channels * LATENCIES)


@inlined
def hash_of(w: Words, begin: int, count: int) -> int:
    mixed = count + 1
    for i in range(begin, begin + count):
        mixed = (mixed ^ w[i]) * -7046029254386353131
        mixed ^= (mixed >> 29) & 0x7FFFFFFFF
    return mixed


@called
def state_of(a: Words, table: Words, w: Words, count: int, labels: int) -> int:
    """The record of a state, newly made if it is not known."""
    mixed = hash_of(w, 0, count)
    at = mixed & (TABLE_ENTRIES - 1)
    while table[at] != 0:
        record = table[at]
        if a[record + HASH] == mixed and a[record + LENGTH] == count:
            same = True
            for i in range(count):
                if a[record + STATE_WORDS + i] != w[i]:
                    same = False
                    break
            if same:
                return record
        at = (at + 1) & (TABLE_ENTRIES - 1)
    record = a[USED]
    table[at] = record
    a[record + HASH] = mixed
    a[record + LENGTH] = count
    a[record + LABEL_COUNT] = labels
    for i in range(count):
        a[record + STATE_WORDS + i] = w[i]
    a[USED] += STATE_WORDS + count
    a[STATES] += 1
    return record


@inlined
def _entry_of(a: Words, table: Words, key: Words, count: int, mixed: int) -> int:
    """Where in the table the move with this key stands, or would stand."""
    at = mixed & (TABLE_ENTRIES - 1)
    while table[at] != 0:
        record = table[at]
        if a[record + HASH] == mixed and a[record + KEY_LENGTH] == count:
            same = True
            for i in range(count):
                if a[record + KEY + i] != key[i]:
                    same = False
                    break
            if same:
                return at
        at = (at + 1) & (TABLE_ENTRIES - 1)
    return at


@called
def find_move(a: Words, table: Words, key: Words, count: int) -> int:
    """The record of the move with a key of so many words; 0 if it is not known."""
    return table[_entry_of(a, table, key, count, hash_of(key, 0, count))]


@called
def new_move(a: Words, table: Words, key: Words, count: int) -> int:
    """A record with this key, at the end of the arena: what it came to is for the caller to fill in."""
    mixed = hash_of(key, 0, count)
    at = _entry_of(a, table, key, count, mixed)
    record = a[USED]
    table[at] = record
    a[record + HASH] = mixed
    a[record + KEY_LENGTH] = count
    for i in range(count):
        a[record + KEY + i] = key[i]
    a[record + USES] = 0
    a[MOVES] += 1
    return record


@inlined
def has_room(a: Words) -> bool:
    """Whether another state and another move fit."""
    return bool(
        a[USED] + ARENA_RESERVE < ARENA_WORDS
        and 2 * a[STATES] < TABLE_ENTRIES
        and 2 * a[MOVES] < TABLE_ENTRIES
    )
