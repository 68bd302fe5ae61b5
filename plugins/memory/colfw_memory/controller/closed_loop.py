"""Closed loop: a program runs against the channels, its requests made where they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_memory.controller.compiling import compiled
from colfw_memory.controller.control import direct, is_over
from colfw_memory.controller.front_end import (
    CHANNELS,
    CLOCK,
    COMPUTE,
    EVENT,
    LOADS,
    STORES,
    SYNCED,
    TRANSFER,
    TURN,
    find_tile,
)
from colfw_memory.controller.kernel import CHANNEL_WORDS, NEVER, NOBODY
from colfw_memory.controller.port import FULL, PAUSED, QUIET, note_tiles, rest, run_port
from colfw_memory.controller.words import words

if TYPE_CHECKING:
    from colfw_memory.controller.words import Integers

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


@compiled
def run_program(
    front: Integers, program: Integers, state: Integers, table: Integers, log: Integers, stops: int
) -> int:
    """Run until the end, until the caller must make room, or for so many stops of the port."""
    f, g, s, t, lines = words(front), words(program), words(state), words(table), words(log)
    for _ in range(stops):
        direct(f, g)
        reason = run_port(f, s, t, lines)
        note_tiles(f, s)
        if reason == PAUSED:
            return MAKE_ROOM
        if reason == QUIET:
            if is_over(f):
                return OVER
            if f[EVENT] == NEVER:
                return STUCK
            for channel in range(f[CHANNELS]):
                if rest(s, channel * CHANNEL_WORDS, t, lines, f[EVENT] - 1) == FULL:
                    return MAKE_ROOM
            f[CLOCK] = f[SYNCED] = f[EVENT]
            f[TURN] = 0
    return GO_ON
