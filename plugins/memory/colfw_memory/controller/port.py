"""The port of a closed loop: hands over the requests of two pieces, one of loads and one of stores.

It knows no program. It goes on until the program has a say again: a piece is used up, a computation
has ended, the loads that are waited for are on their way, or nothing moves any more. What happens until
then depends on nothing but what stands in the port's words and the channels' states.
"""

# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw_memory.controller.compiling import called, inlined
from colfw_memory.controller.front_end import (
    BANK,
    BURST_BYTES,
    CALLING,
    CHANNEL,
    CHANNELS,
    CLOCK,
    COLUMN,
    EVENT,
    IN_FLIGHT,
    LAST_TAKEN,
    LEFT,
    LOAD_FROM,
    LOAD_PIECE,
    LOAD_TAG,
    ROW,
    STORE_PIECE,
    SYNCED,
    TILE_COMPLETE,
    TILE_WAITING,
    TURN,
    WATCHED_TAG,
    WIDTH,
    WINDOW,
    WRITE_HOLD,
    next_burst,
)
from colfw_memory.controller.kernel import (
    ACTIVE_BANKS,
    ANSWERED,
    CHANNEL_READY,
    CHANNEL_WORDS,
    COUNT,
    LOG_FREE,
    NEVER,
    NOBODY,
    NOW,
    PLANNED,
    PUSHED_READS,
    PUSHED_WRITES,
    QUEUED,
    READ_RING,
    READS,
    READY,
    REFRESH_AT,
    REFRESH_WAITING,
    REFRESHES_DUE,
    REFUSED,
    RELEASED_READS,
    RELEASED_WRITES,
    RELEASES,
    ROW_SLOT,
    TAG_RELEASE,
    TAG_WAITING,
    TAGS,
    UNIT_OPEN,
    WRITE_RING,
    WRITES,
    next_event,
    offer,
    paused,
    step,
    waits_as_write,
)
from colfw_memory.controller.kernel import (
    ISSUED as COUNT_ISSUED,
)
from colfw_memory.controller.tables import (
    BANKS,
    COMMANDS,
    MAX_BANKS,
    READ_LATENCY,
    REF,
    REFRESH_INTERVAL,
    UNITS,
)

if TYPE_CHECKING:
    from colfw_memory.controller.words import Words

USED_UP, SAW_EVENT, LOADED, QUIET, PAUSED = range(5)
"""Why the port stopped."""
POSTED, SERVED, LATENT = range(3)
"""For how long a write holds a slot of the window."""

ISSUED, IDLE, FULL = range(3)
# Typed, because numba compiles a function anew for each plain number that it is called with.
UNTIL_LIMIT, ONE_COMMAND = np.int64(0), np.int64(1)


@called
def tick(s: Words, c: int, t: Words, log: Words, limit: int, how: int) -> int:
    """Tick a channel up to `limit` (IDLE), up to its next command (ISSUED) or until it pauses (FULL)."""
    while not paused(s, c):
        if not step(s, c, t, log, limit):
            return IDLE
        if how == ONE_COMMAND and not paused(s, c):
            return ISSUED
    return FULL


@inlined
def _is_at_rest(s: Words, c: int, t: Words, clock: int) -> bool:
    """Whether all banks are closed and nothing of the past holds back a command from `clock` on."""
    if s[c + REFRESH_WAITING] != 0:
        return False
    for unit in range(t[UNITS]):
        if s[c + UNIT_OPEN + unit] != 0:
            return False
    for command in range(COMMANDS):
        if s[c + CHANNEL_READY + command] > clock:
            return False
        for bank in range(t[BANKS]):
            if s[c + READY + command * MAX_BANKS + bank] > clock:
                return False
    return True


@called
def rest(s: Words, c: int, t: Words, log: Words, limit: int) -> int:
    """Tick a channel in which nothing waits up to `limit`: only refreshes happen, again and again.

    Two in a row that begin in a channel at rest make all further ones alike, so those are counted only.
    """
    outcome = IDLE
    while outcome == IDLE and s[c + NOW] <= limit:
        interval = t[REFRESH_INTERVAL]
        begins = s[c + REFRESH_AT]
        rested = begins <= limit and _is_at_rest(s, c, t, begins)
        outcome = tick(s, c, t, log, min(limit, begins + interval - 1), UNTIL_LIMIT)
        more = (limit + 1 - s[c + REFRESH_AT]) // interval
        if rested and more > 0 and s[c + LOG_FREE] < 0 and _is_at_rest(s, c, t, s[c + REFRESH_AT]):
            s[c + COUNT + REFRESHES_DUE] += more * t[UNITS]
            s[c + COUNT + COUNT_ISSUED + REF] += more * t[UNITS]
            s[c + REFRESH_AT] += more * interval
            s[c + NOW] += more * interval
            s[c + PLANNED] = 0
    return outcome


@called
def synchronise(f: Words, s: Words, t: Words, log: Words) -> int:
    """Tick all channels up to the clock before this one: USED_UP if all is well."""
    clock = f[CLOCK]
    for channel in range(f[CHANNELS]):
        if tick(s, channel * CHANNEL_WORDS, t, log, clock - 1, UNTIL_LIMIT) == FULL:
            return PAUSED
    f[SYNCED] = clock
    if f[WATCHED_TAG] != NOBODY and reads_waiting(f, s, f[WATCHED_TAG]) == 0:
        return LOADED
    return USED_UP


@inlined
def pass_on_calls(f: Words, s: Words, t: Words, log: Words) -> bool:
    """Tell the channels of the refreshes that are called for; False if one pauses before it can listen."""
    if f[CALLING] == 0:
        return True
    if synchronise(f, s, t, log) == PAUSED:
        return False
    hear_calls(f, s, t)
    f[CALLING] = 0
    return True


@inlined
def hear_calls(f: Words, s: Words, t: Words) -> None:
    """From now on the refreshes that are called for wait in the channels, and go first."""
    for channel in range(f[CHANNELS]):
        c = channel * CHANNEL_WORDS
        s[c + REFRESH_WAITING] += f[CALLING] * t[UNITS]
        s[c + PLANNED] = 0


@inlined
def refresh_from(f: Words, s: Words, refresh_at: int) -> None:
    """Let refreshes fall due in the channels themselves, first in that clock, if they do not yet."""
    for channel in range(f[CHANNELS]):
        c = channel * CHANNEL_WORDS
        if s[c + REFRESH_AT] == NEVER:
            s[c + REFRESH_AT] = refresh_at
            s[c + PLANNED] = 0


@inlined
def refresh_no_more(f: Words, s: Words) -> None:
    """Channels at rest are at work again: their refreshes are postponed."""
    for channel in range(f[CHANNELS]):
        c = channel * CHANNEL_WORDS
        s[c + REFRESH_AT] = NEVER
        s[c + PLANNED] = 0


@inlined
def reads_waiting(f: Words, s: Words, tag: int) -> int:
    """Reads of a tile that have no RD yet."""
    waiting = 0
    for channel in range(f[CHANNELS]):
        waiting += s[channel * CHANNEL_WORDS + TAG_WAITING + tag]
    return waiting


@called
def note_tiles(f: Words, s: Words) -> None:
    """Write down for the program what the channels know of each tile's loads."""
    for tag in range(TAGS):
        f[TILE_WAITING + tag] = reads_waiting(f, s, tag)
        for channel in range(f[CHANNELS]):
            release = channel * CHANNEL_WORDS + TAG_RELEASE + tag
            f[TILE_COMPLETE + tag] = max(f[TILE_COMPLETE + tag], s[release])
            s[release] = 0


@inlined
def _to_clock(f: Words, clock: int) -> None:
    f[CLOCK] = clock
    f[TURN] = 0


@inlined
def release_slots(f: Words, s: Words) -> None:
    """Give back the slots of the window whose requests are done, as far as this clock sees."""
    seen = f[CLOCK] - 1
    for channel in range(f[CHANNELS]):
        c = channel * CHANNEL_WORDS
        while (
            s[c + RELEASED_READS] < s[c + PUSHED_READS]
            and s[c + READ_RING + (s[c + RELEASED_READS] & (RELEASES - 1))] <= seen
        ):
            s[c + RELEASED_READS] += 1
            f[IN_FLIGHT] -= 1
        while (
            s[c + RELEASED_WRITES] < s[c + PUSHED_WRITES]
            and s[c + WRITE_RING + (s[c + RELEASED_WRITES] & (RELEASES - 1))] <= seen
        ):
            s[c + RELEASED_WRITES] += 1
            f[IN_FLIGHT] -= 1


@inlined
def _first_release(f: Words, s: Words) -> int:
    """When the next slot of the window is released, as far as is known."""
    first = NEVER
    for channel in range(f[CHANNELS]):
        c = channel * CHANNEL_WORDS
        if s[c + RELEASED_READS] < s[c + PUSHED_READS]:
            first = min(first, s[c + READ_RING + (s[c + RELEASED_READS] & (RELEASES - 1))])
        if s[c + RELEASED_WRITES] < s[c + PUSHED_WRITES]:
            first = min(first, s[c + WRITE_RING + (s[c + RELEASED_WRITES] & (RELEASES - 1))])
    return first


@inlined
def _horizon(f: Words, t: Words) -> int:
    """How far channels may tick before the front end looks at all of them again.

    Loads are seen to be complete a read's latency after their RD, so nothing is seen too late.
    """
    return min(f[EVENT], f[SYNCED] + t[READ_LATENCY]) - 1


@called
def _wait_for_window(f: Words, s: Words, t: Words, log: Words) -> int:
    """The window is full in this clock: go to the clock that sees the next release."""
    problem = synchronise(f, s, t, log)
    if problem != USED_UP:
        return problem
    held = f[IN_FLIGHT]
    release_slots(f, s)
    if f[IN_FLIGHT] < held:
        return USED_UP
    limit = min(_horizon(f, t), _first_release(f, s))
    if f[WRITE_HOLD] == SERVED:
        limit = _until_a_write(f, s, t, log, limit)
    _to_clock(f, limit + 1)
    return USED_UP


@inlined
def _until_a_write(f: Words, s: Words, t: Words, log: Words, limit: int) -> int:
    """Tick all channels in step until one serves a write; the clock in which it does, or `limit`."""
    while True:
        none = f[CHANNELS] * CHANNEL_WORDS
        first, clock = none, limit + 1
        for channel in range(f[CHANNELS]):
            c = channel * CHANNEL_WORDS
            event = next_event(s, c, t, limit)
            if event < clock:
                first, clock = c, event
        if first == none:
            return limit
        pushed = s[first + PUSHED_WRITES]
        outcome = tick(s, first, t, log, clock, ONE_COMMAND)
        if outcome == FULL or s[first + PUSHED_WRITES] > pushed:
            return clock


@inlined
def _wait_for_queue(f: Words, s: Words, c: int, t: Words, log: Words) -> int:
    """A queue is full in this clock: go to the clock after the channel's next command."""
    limit = _horizon(f, t)
    outcome = tick(s, c, t, log, limit, ONE_COMMAND)
    _to_clock(f, limit + 1 if outcome == IDLE else s[c + NOW] + s[c + ROW_SLOT])
    return PAUSED if outcome == FULL else USED_UP


@inlined
def _has_requests(s: Words, c: int) -> bool:
    return s[c + QUEUED + READS] + s[c + QUEUED + WRITES] > 0 or s[c + ACTIVE_BANKS] != 0


@called
def _idle(f: Words, s: Words, t: Words, log: Words) -> int:
    """There is nothing to hand over in this clock: serve what waits, and not a clock longer."""
    problem = synchronise(f, s, t, log)
    if problem != USED_UP:
        return problem
    limit = _horizon(f, t)
    clock = f[CLOCK]
    for channel in range(f[CHANNELS]):
        c = channel * CHANNEL_WORDS
        while _has_requests(s, c):
            outcome = tick(s, c, t, log, limit, ONE_COMMAND)
            clock = max(clock, s[c + NOW] + s[c + ROW_SLOT])
            if outcome == FULL:
                return PAUSED
            if outcome == IDLE:
                break
    if clock == f[CLOCK]:
        return QUIET
    _to_clock(f, clock)
    return USED_UP


@inlined
def _hand_over(f: Words, s: Words, t: Words, log: Words, piece: int) -> int:
    """Offer the next burst of a piece."""
    queue = WRITES if piece == STORE_PIECE else READS
    c = f[piece + CHANNEL] * CHANNEL_WORDS
    clock = f[CLOCK]
    bank, row, place = f[piece + BANK], f[piece + ROW], f[piece + COLUMN] * f[BURST_BYTES]
    needs_slot = queue == READS or f[WRITE_HOLD] != POSTED
    if tick(s, c, t, log, clock - 1, UNTIL_LIMIT) == FULL:
        return PAUSED
    if needs_slot and f[IN_FLIGHT] >= f[WINDOW]:
        merges = queue == WRITES and f[WRITE_HOLD] == SERVED and waits_as_write(s, c, bank, row, place)
        if not merges:
            return _wait_for_window(f, s, t, log)
    answer = offer(s, c, t, queue, bank, row, place, clock, f[LOAD_TAG])
    if answer == REFUSED:
        return _wait_for_queue(f, s, c, t, log)
    if needs_slot and not (answer == ANSWERED and queue == WRITES and f[WRITE_HOLD] == SERVED):
        f[IN_FLIGHT] += 1
    if queue == WRITES and f[WRITE_HOLD] == LATENT:
        s[c + WRITE_RING + (s[c + PUSHED_WRITES] & (RELEASES - 1))] = clock + t[READ_LATENCY]
        s[c + PUSHED_WRITES] += 1
    next_burst(f, piece)
    f[LAST_TAKEN] = clock
    f[TURN] += 1
    if f[TURN] == f[WIDTH]:
        _to_clock(f, clock + 1)
    return USED_UP


@inlined
def _piece_in_turn(f: Words) -> int:
    """Stores go before loads; NOBODY if there is nothing to hand over."""
    if f[STORE_PIECE + LEFT] > 0:
        return STORE_PIECE
    return LOAD_PIECE if f[LOAD_PIECE + LEFT] > 0 else NOBODY


@called
def run_port(f: Words, s: Words, t: Words, log: Words) -> int:
    """Hand over requests until the program has a say; why."""
    while f[TURN] != 0 or f[CLOCK] < f[EVENT]:
        outcome = USED_UP
        if f[CLOCK] - f[SYNCED] >= t[READ_LATENCY]:
            outcome = synchronise(f, s, t, log)
        piece = _piece_in_turn(f)
        if outcome == USED_UP:
            if piece == NOBODY:
                outcome = _idle(f, s, t, log)
            elif piece == LOAD_PIECE and f[CLOCK] < f[LOAD_FROM]:
                _to_clock(f, f[LOAD_FROM])
            else:
                outcome = _hand_over(f, s, t, log, piece)
        if outcome != USED_UP or (piece != NOBODY and f[piece + LEFT] == 0):
            return outcome
    return SAW_EVENT
