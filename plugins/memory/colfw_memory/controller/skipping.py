"""A closed loop that remembers: what has happened before in the same state is not simulated again.

The front end's program goes its way as ever, tile by tile; only the channels are spared. Between two stops
of the port the run is one *move* from a state to a state, and where nothing else can happen on the way all
loads of a tile are one *passage*. What is known is followed: clocks and counts are added, rows are renamed,
and no request is made. Where whole rounds of a repetition come again, not even that (`rounds`). Nothing is
approximated.
"""

# ruff: noqa: PLR0913, PLR0917
# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_memory.controller import memo as m
from colfw_memory.controller.canonical import LABELS, restore
from colfw_memory.controller.closed_loop import A_WHILE, GO_ON, MAKE_ROOM, OVER, STUCK
from colfw_memory.controller.compiling import compiled, inlined
from colfw_memory.controller.control import (
    call_refreshes,
    direct,
    is_over,
    next_refresh,
    refreshes_were_served,
)
from colfw_memory.controller.front_end import (
    CALLING,
    CHANNELS,
    CLOCK,
    COMPUTED_SEEN,
    EVENT,
    LAST_DONE,
    LOAD_TAG,
    PASSAGE_BEGINS,
    POSTPONED_EVERY,
    REFRESH_EVERY,
    SYNCED,
    TURN,
)
from colfw_memory.controller.kernel import (
    CHANNEL_WORDS,
    COUNT,
    COUNTERS,
    LAST_RELEASE,
    LAST_WRITE,
    LATENCIES,
    NEVER,
    NOBODY,
    PUSHED_READS,
    TAGS,
)
from colfw_memory.controller.moves import AT_REST, BASE, follow, intern, known_move, make, write_key
from colfw_memory.controller.passages import NO_PASSAGE, forget_places, index_places, pass_through, passage
from colfw_memory.controller.port import FULL, QUIET, hear_calls, rest
from colfw_memory.controller.rounds import compare, has_gone_round
from colfw_memory.controller.words import Integers, Words, words

if TYPE_CHECKING:
    from colfw_memory.controller.words import Integers, Words

GIVE_UP = 4
"""A latency is too long to be remembered: the run must be made without memory."""

# --- rest -------------------------------------------------------------------------------------------


@inlined
def _write_rest_key(f: Words, a: Words, key: Words) -> None:
    """Nothing but time goes by, until a computation ends."""
    for i in range(m.KEY_WORDS):
        key[i] = 0
    key[m.FROM] = a[m.STATE]
    key[m.TURN_KEY] = AT_REST
    key[m.SHIFT] = (f[LOAD_TAG] - a[m.TAG_BASE]) % TAGS
    key[m.WATCHED] = NOBODY
    key[m.EVENT_IN] = f[EVENT] - f[CLOCK]
    key[m.REFRESH_IN] = m.NEVER_IN
    key[m.CALLS] = f[CALLING]


@inlined
def _rest_through_refreshes(
    f: Words,
    s: Words,
    t: Words,
    log: Words,
    a: Words,
    states: Words,
    names: Words,
    rows: Words,
    scratch: Words,
    counters: Words,
) -> bool:
    """Rest until the next computation has ended: too long to be remembered, and counted at once."""
    event_in = f[EVENT] - f[CLOCK]
    clock = f[CLOCK]
    refresh_at = BASE + next_refresh(f, f[REFRESH_EVERY] + f[POSTPONED_EVERY]) - clock
    f[CLOCK] = BASE
    restore(f, s, t, a, a[m.STATE] + m.STATE_WORDS, (f[LOAD_TAG] - a[m.TAG_BASE]) % TAGS, refresh_at)
    hear_calls(f, s, t)
    f[CALLING] = 0
    for channel in range(f[CHANNELS]):
        if rest(s, channel * CHANNEL_WORDS, t, log, BASE + event_in - 1) == FULL:
            return False
    f[CLOCK] = BASE + event_in
    a[m.STATE] = intern(f, s, t, a, states, names, scratch, 0)
    for label in range(names[LABELS]):
        scratch[label] = rows[names[LABELS + 1 + label]]
    for label in range(names[LABELS]):
        rows[label] = scratch[label]
        rows[LABELS + label] = names[2 * LABELS + 1 + label]
    a[m.TAG_BASE] = f[LOAD_TAG]
    for channel in range(f[CHANNELS]):
        for i in range(COUNTERS):
            counters[channel * COUNTERS + i] += s[channel * CHANNEL_WORDS + COUNT + i]
    f[CLOCK] = f[SYNCED] = clock + event_in
    f[TURN] = 0
    refreshes_were_served(f)
    return True


# --- a whole run ------------------------------------------------------------------------------------


@compiled
def begin_remembering(
    front: Integers,
    program: Integers,
    state: Integers,
    table: Integers,
    arena: Integers,
    states: Integers,
    names: Integers,
    scratch: Integers,
    places: Integers,
) -> None:
    """The state that the channels are in is where the run begins."""
    f, s, t, a = words(front), words(state), words(table), words(arena)
    a[m.STATE] = intern(f, s, t, a, words(states), words(names), words(scratch), 0)
    a[m.TURNED_BY] = a[m.TAG_BASE] = a[m.FOLLOWED] = a[m.MADE] = a[m.LAST_USED] = 0
    a[m.ROUNDS_SKIPPED] = 0
    a[m.PLACES_ROOM] = len(places)
    index_places(words(program), a, words(places))


@inlined
def _rest(
    f: Words,
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
    counters: Words,
) -> bool:
    """Nothing can happen until a computation ends: go there."""
    call_refreshes(f)
    f[EVENT] = f[COMPUTED_SEEN]
    if next_refresh(f, f[REFRESH_EVERY] + f[POSTPONED_EVERY]) < f[EVENT]:
        return _rest_through_refreshes(f, s, t, log, a, states, names, rows, scratch, counters)
    _write_rest_key(f, a, key)
    move = m.find_move(a, moves, key, m.KEY_WORDS)
    if move == 0:
        move = make(f, s, t, log, a, states, moves, names, key, scratch)
    if move == NOBODY:
        return False
    follow(f, t, a, rows, scratch, places, 0, move)
    f[TURN] = 0
    return True


@inlined
def _go_on(
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
    """Go to the next stop of the port, or past a tile's loads: why there, or NOBODY if it is no use."""
    a[m.FOLLOWED] += 1
    if f[PASSAGE_BEGINS] != 0:
        f[PASSAGE_BEGINS] = 0
        move = passage(f, g, s, t, log, a, states, moves, names, rows, key, scratch, places)
        if move != NO_PASSAGE:
            return NOBODY if move == NOBODY else pass_through(f, g, t, a, rows, scratch, places, move)
    write_key(f, t, a, rows, key)
    move = known_move(f, a, moves, key)
    if move == 0:
        a[m.MADE] += 1
        move = make(f, s, t, log, a, states, moves, names, key, scratch)
    return NOBODY if move == NOBODY else follow(f, t, a, rows, scratch, places, 0, move)


@inlined
def _at_rest(
    f: Words,
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
    counters: Words,
) -> int:
    """Nothing is left to hand over: how the run stops, or that it goes on with the next computation."""
    if is_over(f):
        return OVER
    if f[COMPUTED_SEEN] == NEVER:
        return STUCK
    rested = _rest(f, s, t, log, a, states, moves, names, rows, key, scratch, places, counters)
    return GO_ON if rested else GIVE_UP


@compiled
def run_remembering(
    front: Integers,
    program: Integers,
    state: Integers,
    table: Integers,
    log: Integers,
    arena: Integers,
    states: Integers,
    moves: Integers,
    names: Integers,
    rows: Integers,
    key: Integers,
    scratch: Integers,
    places: Integers,
    repetitions: Integers,
    counters: Integers,
) -> int:
    """Run for a while, until the end, until the memory must be emptied, until it is no use, or until a round
    of a repetition is known.
    """
    f, g, s, t, lines = words(front), words(program), words(state), words(table), words(log)
    a, w_states, w_moves, w_names = words(arena), words(states), words(moves), words(names)
    w_rows, w_key, w_scratch, w_counters = words(rows), words(key), words(scratch), words(counters)
    w_places, r = words(places), words(repetitions)
    for _ in range(A_WHILE):
        if not m.has_room(a):
            return MAKE_ROOM
        direct(f, g)
        if has_gone_round(f, r):
            known = compare(f, g, a, w_rows, r)
            if known != GO_ON:
                return known
        reason = _go_on(f, g, s, t, lines, a, w_states, w_moves, w_names, w_rows, w_key, w_scratch, w_places)
        if reason == NOBODY:
            return GIVE_UP
        if reason == QUIET:
            stop = _at_rest(
                f, s, t, lines, a, w_states, w_moves, w_names, w_rows, w_key, w_scratch, w_places, w_counters
            )
            if stop != GO_ON:
                return stop
    return GO_ON


@compiled
def end_remembering(front: Integers, state: Integers, table: Integers, arena: Integers) -> None:
    """Bring the channels to the state in which the run has ended."""
    f, s, t, a = words(front), words(state), words(table), words(arena)
    restore(f, s, t, a, a[m.STATE] + m.STATE_WORDS, 0, next_refresh(f, f[REFRESH_EVERY]))
    for channel in range(f[CHANNELS]):
        c = channel * CHANNEL_WORDS
        s[c + LAST_RELEASE] = 0
        s[c + LAST_WRITE] = f[LAST_DONE]
        s[c + PUSHED_READS] = 0


@compiled
def add_up(arena: Integers, channels: int, counters: Integers, latencies: Integers) -> None:
    """Add what every move counted, as often as it was made, and begin to count anew."""
    a, sums, bins = words(arena), words(counters), words(latencies)
    while a[m.LAST_USED] != 0:
        move = a[m.LAST_USED]
        a[m.LAST_USED] = a[move + m.USED_BEFORE]
        uses = a[move + m.USES]
        a[move + m.USES] = 0
        at = move + a[move + m.COUNTS_AT]
        for channel in range(channels):
            for i in range(COUNTERS):
                sums[channel * COUNTERS + i] += uses * a[at + i]
            at += COUNTERS
            for i in range(a[at]):
                pair = a[at + 1 + i]
                bins[channel * LATENCIES + pair % LATENCIES] += uses * (pair // LATENCIES)
            at += 1 + a[at]


@compiled
def forget(arena: Integers, states: Integers, moves: Integers, scratch: Integers, places: Integers) -> None:
    """Empty the memory of all but the state that the run is in."""
    a, table = words(arena), words(states)
    record = a[m.STATE]
    count, labels = a[record + m.LENGTH], a[record + m.LABEL_COUNT]
    w_scratch = words(scratch)
    for i in range(count):
        w_scratch[i] = a[record + m.STATE_WORDS + i]
    states[:] = 0
    moves[:] = 0
    forget_places(a, words(places))
    a[m.USED] = m.HEAD_WORDS
    a[m.STATES] = a[m.MOVES] = 0
    a[m.STATE] = m.state_of(a, table, w_scratch, count, labels)
