"""Open loop: a trace is offered a request at a time."""

# ruff: noqa: PLR0913, PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_memory.controller.compiling import compiled, inlined
from colfw_memory.controller.kernel import (
    ACTIVE_BANKS,
    ANSWERED,
    CHANNEL_WORDS,
    LOG_BEGIN,
    NOW,
    PUSHED_READS,
    QUEUED,
    READ_RING,
    READS,
    REFUSED,
    RELEASED_READS,
    RELEASES,
    ROW_SLOT,
    WRITES,
    offer,
    paused,
    reset,
    step,
)
from colfw_memory.controller.words import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from colfw_memory.controller.words import Integers, Words

FOREVER = 1 << 60
NEXT_REQUEST, OFFERED_AT, TAKEN_THEN, LAST_TAKEN, EARLIER_REQUESTS = range(5)
"""Where the front end is: the next request of its block, the clock in which it is offered, how many were
taken in that clock, the clock in which the last one was, and requests in earlier blocks."""
FRONT_WORDS = 5


@inlined
def _must_pause(s: Words, c: int) -> bool:
    """Whether log, spill or the ring of reads must be emptied before the channel can go on."""
    if s[c + PUSHED_READS] - s[c + RELEASED_READS] == RELEASES:
        # Those that have come back, in any case no later than the replay ends, may be overwritten.
        while (
            s[c + RELEASED_READS] < s[c + PUSHED_READS]
            and s[c + READ_RING + (s[c + RELEASED_READS] & (RELEASES - 1))] < s[c + NOW]
        ):
            s[c + RELEASED_READS] += 1
    return bool(paused(s, c) or s[c + PUSHED_READS] - s[c + RELEASED_READS] == RELEASES)


@compiled
def replay(
    state: Integers,
    table: Integers,
    log: Integers,
    front: Integers,
    is_write: NDArray[np.uint8],
    channel: Integers,
    bank: Integers,
    row: Integers,
    place: Integers,
    apart_numerator: int,
    apart_denominator: int,
) -> bool:
    """Offer requests in order; True when the last one has been taken, False if a channel paused."""
    s, t, lines = words(state), words(table), words(log)
    writes, channels, banks = words(is_write), words(channel), words(bank)
    rows, places = words(row), words(place)
    requests = len(is_write)
    i = front[NEXT_REQUEST]
    before = front[EARLIER_REQUESTS]
    clock = front[OFFERED_AT]
    taken = front[TAKEN_THEN]
    # Requests that come faster than clocks are taken several a clock.
    most = -(-apart_denominator // apart_numerator)
    refused = False
    done = True
    while i < requests:
        c = channels[i] * CHANNEL_WORDS
        # What is refused is offered again in the clock after the channel's next command, not before.
        if step(s, c, t, lines, FOREVER if refused else clock - 1):
            if refused:
                clock = s[c + NOW] + s[c + ROW_SLOT]
                taken = 0
                refused = False
            if _must_pause(s, c):
                done = False
                break
            continue
        answer = offer(s, c, t, int(writes[i]), banks[i], rows[i], places[i], clock, 0)
        if answer == REFUSED:
            refused = True
        else:
            i += 1
            taken += 1
            front[LAST_TAKEN] = clock
            if taken == most:
                clock += 1
                taken = 0
            if apart_numerator != apart_denominator:
                due = 1 + (before + i) * apart_numerator // apart_denominator
                if due > clock:
                    clock = due
                    taken = 0
            # A forwarded read is on its way back at once.
            if answer == ANSWERED and _must_pause(s, c):
                done = False
                break
    front[NEXT_REQUEST] = i
    front[OFFERED_AT] = clock
    front[TAKEN_THEN] = taken
    return done


@compiled
def reset_channels(
    state: Integers, channels: int, refresh_at: int, row_hit_variant: int, log_lines: int
) -> None:
    """Idle channels, each with room for so many lines of the log (-1: nothing is logged)."""
    s = words(state)
    for channel in range(channels):
        c = channel * CHANNEL_WORDS
        reset(s, c, refresh_at, row_hit_variant, log_lines)
        s[c + LOG_BEGIN] = channel * max(0, log_lines)


@compiled
def advance_channels(state: Integers, table: Integers, log: Integers, channels: int, clock: int) -> bool:
    """Tick every channel up to and including `clock`; False if one paused."""
    s, t, lines = words(state), words(table), words(log)
    done = True
    for channel in range(channels):
        c = channel * CHANNEL_WORDS
        while not _must_pause(s, c) and step(s, c, t, lines, clock):
            pass
        done = done and not _must_pause(s, c)
    return done


@compiled
def drain_channels(state: Integers, table: Integers, log: Integers, channels: int) -> bool:
    """Tick every channel until nothing waits in it; False if one paused."""
    s, t, lines = words(state), words(table), words(log)
    done = True
    for channel in range(channels):
        c = channel * CHANNEL_WORDS
        # Sets of banks are compared by themselves: all of 64 banks are -1.
        while done and (s[c + QUEUED + READS] + s[c + QUEUED + WRITES] != 0 or s[c + ACTIVE_BANKS] != 0):
            done = not _must_pause(s, c)
            if done:
                step(s, c, t, lines, FOREVER)
    return done
