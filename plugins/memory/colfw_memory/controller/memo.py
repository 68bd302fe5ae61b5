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
HEAD_WORDS = 16

# A state's record.
HASH, LENGTH, LABEL_COUNT, STATE_WORDS = 0, 1, 2, 3

# A move's record: its key...
KEY = 1
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
KEY_WORDS = REFRESH_IN + 1
# ...and what it came to.
RESULT = KEY + KEY_WORDS
USES = RESULT
TO = RESULT + 1
CLOCKS = RESULT + 2
REASON = RESULT + 3
TURN_AFTER = RESULT + 4
TAKEN_LAST = RESULT + 5
DONE_LAST = RESULT + 6
TURN_BY = RESULT + 7
LOAD_AFTER = RESULT + 8
STORE_AFTER = LOAD_AFTER + PIECE_WORDS
TAGS_AFTER = STORE_AFTER + PIECE_WORDS  # how many; then labels; both lists and the counts follow
LABELS_AFTER = TAGS_AFTER + 1
COUNTS_AT = TAGS_AFTER + 2  # where the counts begin, from the record's begin
MOVE_WORDS = TAGS_AFTER + 3

OUTSIDE = KEY_WORDS
"""After the key: the front end as it stands outside of the move that is being made."""
PORT_WORDS = LOAD_PIECE
OUTSIDE_WORDS = PORT_WORDS + 4

NEVER_IN = -1
"""In a key: neither event nor refresh came in the way."""

ARENA_WORDS = 1 << 26
"""Half a gigabyte at most; what is not used is not taken from the machine."""
ARENA_RESERVE = 1 << 19
"""What must be free for a state and a move: the arena is emptied before it could run over."""
TABLE_ENTRIES = 1 << 18


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
    key: Integers = field(factory=lambda: _integers(KEY_WORDS + OUTSIDE_WORDS))
    scratch: Integers = field(factory=lambda: _integers(ARENA_RESERVE // 2))

    @property
    def arrays(self) -> tuple[Integers, ...]:
        """What compiled functions take."""
        return self.arena, self.states, self.moves, self.names, self.rows, self.key, self.scratch

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
def _entry_of(a: Words, table: Words, key: Words, mixed: int) -> int:
    """Where in the table the move with this key stands, or would stand."""
    at = mixed & (TABLE_ENTRIES - 1)
    while table[at] != 0:
        record = table[at]
        if a[record] == mixed:
            same = True
            for i in range(KEY_WORDS):
                if a[record + KEY + i] != key[i]:
                    same = False
                    break
            if same:
                return at
        at = (at + 1) & (TABLE_ENTRIES - 1)
    return at


@called
def find_move(a: Words, table: Words, key: Words) -> int:
    """The record of the move with this key; 0 if it is not known."""
    return table[_entry_of(a, table, key, hash_of(key, 0, KEY_WORDS))]


@called
def new_move(a: Words, table: Words, key: Words) -> int:
    """A record with this key, at the end of the arena: what it came to is for the caller to fill in."""
    mixed = hash_of(key, 0, KEY_WORDS)
    at = _entry_of(a, table, key, mixed)
    record = a[USED]
    table[at] = record
    a[record] = mixed
    for i in range(KEY_WORDS):
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
