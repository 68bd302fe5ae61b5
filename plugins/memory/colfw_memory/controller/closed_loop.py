"""Closed loop: a program runs against the channels, its requests made where they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_memory.controller.compiling import compiled, inlined
from colfw_memory.controller.control import (
    call_refreshes,
    direct,
    is_over,
    next_refresh,
    refreshes_were_served,
)
from colfw_memory.controller.front_end import (
    CHANNELS,
    CLOCK,
    COMPUTE,
    COMPUTED_SEEN,
    LOADS,
    POSTPONED_EVERY,
    STORES,
    SYNCED,
    TRANSFER,
    TURN,
    find_tile,
)
from colfw_memory.controller.kernel import CHANNEL_WORDS, NEVER, NOBODY
from colfw_memory.controller.port import (
    FULL,
    PAUSED,
    QUIET,
    note_tiles,
    pass_on_calls,
    refresh_from,
    refresh_no_more,
    rest,
    run_port,
)
from colfw_memory.controller.words import words

if TYPE_CHECKING:
    from colfw_memory.controller.words import Integers, Words

OVER, MAKE_ROOM, STUCK, GO_ON = range(4)
"""How a run stops: all is done, a log or spill must be emptied, nothing can ever move again, or it has
gone on for a while, and whoever called may want to stop it."""
A_WHILE = 1 << 14
"""Stops of the port: about a second."""


@compiled
def begin(front: Integers, program: Integers) -> None:
    """Set the three cursors before the first tile."""
    f, g = words(front), words(program)
    for cursor in (LOADS, COMPUTE, STORES):
        find_tile(f, g, f[cursor])
        f[f[cursor] + TRANSFER] = NOBODY


@inlined
def _rest(f: Words, s: Words, t: Words, log: Words) -> bool:
    """Nothing can happen until a computation ends: go there. False if a channel pauses on the way."""
    if f[POSTPONED_EVERY] != 0:
        call_refreshes(f)
        if not pass_on_calls(f, s, t, log):
            return False
        refresh_from(f, s, next_refresh(f, f[POSTPONED_EVERY]))
    for channel in range(f[CHANNELS]):
        if rest(s, channel * CHANNEL_WORDS, t, log, f[COMPUTED_SEEN] - 1) == FULL:
            return False
    f[CLOCK] = f[SYNCED] = f[COMPUTED_SEEN]
    f[TURN] = 0
    if f[POSTPONED_EVERY] != 0:
        refresh_no_more(f, s)
        refreshes_were_served(f)
    return True


@compiled
def run_program(
    front: Integers, program: Integers, state: Integers, table: Integers, log: Integers, stops: int
) -> int:
    """Run until the end, until the caller must make room, or for so many stops of the port."""
    f, g, s, t, lines = words(front), words(program), words(state), words(table), words(log)
    for _ in range(stops):
        direct(f, g)
        if not pass_on_calls(f, s, t, lines):
            return MAKE_ROOM
        reason = run_port(f, s, t, lines)
        note_tiles(f, s)
        if reason == PAUSED:
            return MAKE_ROOM
        if reason == QUIET:
            if is_over(f):
                return OVER
            if f[COMPUTED_SEEN] == NEVER:
                return STUCK
            if not _rest(f, s, t, lines):
                return MAKE_ROOM
    return GO_ON
