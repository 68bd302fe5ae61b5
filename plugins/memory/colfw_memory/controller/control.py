"""What the program has to say: which loads and stores may go, and when computations end.

`direct` is called whenever the port has stopped. It moves the three cursors on as far as the rules of
docs/memory.md allow in this clock.
"""

# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_memory.controller.compiling import called, inlined
from colfw_memory.controller.front_end import (
    CALLED,
    CALLING,
    CLAIMED_OUT,
    CLOCK,
    COMPUTE,
    COMPUTED_SEEN,
    COMPUTED_UNTIL,
    COMPUTING,
    CORE_DENOMINATOR,
    CORE_NUMERATOR,
    ENDED_IN,
    ENTERED_IN,
    ENTERED_STORES,
    EVENT,
    FREED_AT,
    FREED_OUT,
    LAST_TAKEN,
    LATEST_CALL,
    LEFT,
    LOAD_FROM,
    LOAD_PASSED,
    LOAD_PIECE,
    LOAD_TAG,
    LOADS,
    ORDINAL,
    PASSAGE_BEGINS,
    POSTPONED_EVERY,
    POSTPONED_INTERVALS,
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
    WATCHED_TAG,
    begin_run,
    next_piece,
    next_tile,
)
from colfw_memory.controller.kernel import NEVER, NOBODY, TAGS
from colfw_memory.controller.script import (
    BUFFER,
    BUFFER_SLOTS,
    CYCLES,
    END_IN,
    END_OUT,
    END_READ,
    END_WRITE,
    FIRST_IN,
    FIRST_OUT,
    FIRST_READ,
    FIRST_WRITE,
    LAST_FROM_BUFFER,
    LEAD,
    LISTS,
    TENSOR,
    TRANSFER_WORDS,
    TRANSFERS,
)

if TYPE_CHECKING:
    from colfw_memory.controller.words import Words


@inlined
def core_cycle_from(f: Words, clock: int) -> int:
    """The first core cycle that is not before a memory clock."""
    return -(-clock * f[CORE_DENOMINATOR] // f[CORE_NUMERATOR])


@inlined
def clock_from(f: Words, core_cycle: int) -> int:
    """The first memory clock that is not before a core cycle."""
    return -(-core_cycle * f[CORE_NUMERATOR] // f[CORE_DENOMINATOR])


# --- computation ------------------------------------------------------------------------------------


@inlined
def _end_computation(f: Words, g: Words) -> bool:
    """Whether the running computation has ended, as far as this clock sees; then its slots are free."""
    if f[COMPUTING] == 0 or clock_from(f, f[COMPUTED_UNTIL]) > f[CLOCK] - 1:
        return False
    tile = f[f[COMPUTE] + TILE_AT]
    for i in range(g[tile + FIRST_IN], g[tile + END_IN]):
        f[f[ENDED_IN] + g[g[LISTS] + i]] += 1
    f[COMPUTING] = 0
    f[COMPUTED_SEEN] = NEVER
    next_tile(f, g, f[COMPUTE])
    return True


@inlined
def _begin_computation(f: Words, g: Words) -> bool:
    """Whether the next tile's computation could be begun: loads on their way, room for its output."""
    f[WATCHED_TAG] = NOBODY
    tile = f[f[COMPUTE] + TILE_AT]
    if f[COMPUTING] != 0 or tile == NOBODY or f[LOAD_PASSED] <= f[f[COMPUTE] + ORDINAL]:
        return False
    tag = f[f[COMPUTE] + ORDINAL] % TAGS
    if f[TILE_WAITING + tag] > 0:
        f[WATCHED_TAG] = tag
        return False
    start = f[COMPUTED_UNTIL]
    for i in range(g[tile + FIRST_OUT], g[tile + END_OUT]):
        buffer = g[g[LISTS] + i]
        turn = f[f[CLAIMED_OUT] + buffer] - g[g[BUFFER_SLOTS] + buffer]
        if turn >= f[f[FREED_OUT] + buffer]:
            return False
        if turn >= 0:
            start = max(start, core_cycle_from(f, f[f[FREED_AT] + buffer * TAGS + turn % TAGS]))
    for i in range(g[tile + FIRST_OUT], g[tile + END_OUT]):
        f[f[CLAIMED_OUT] + g[g[LISTS] + i]] += 1
    start = max(start, core_cycle_from(f, f[TILE_COMPLETE + tag]))
    f[COMPUTING] = 1
    f[COMPUTED_UNTIL] = start + g[tile + CYCLES]
    f[COMPUTED_SEEN] = clock_from(f, f[COMPUTED_UNTIL]) + 1
    return True


# --- stores -----------------------------------------------------------------------------------------


@inlined
def _direct_stores(f: Words, g: Words) -> bool:
    """Whether the stores' cursor moved."""
    cursor = f[STORES]
    tile = f[cursor + TILE_AT]
    if f[STORE_PIECE + LEFT] > 0 or tile == NOBODY or f[f[COMPUTE] + ORDINAL] <= f[cursor + ORDINAL]:
        return False
    if f[cursor + TRANSFER] == NOBODY:
        f[cursor + TRANSFER] = g[tile + FIRST_WRITE]
        if f[cursor + TRANSFER] < g[tile + END_WRITE]:
            _begin_transfer(f, g, cursor)
    elif not next_piece(f, g, cursor, STORE_PIECE):
        _store_taken(f, g, cursor)
        f[cursor + TRANSFER] += 1
        if f[cursor + TRANSFER] < g[tile + END_WRITE]:
            _begin_transfer(f, g, cursor)
    if f[cursor + TRANSFER] == g[tile + END_WRITE]:
        f[cursor + TRANSFER] = NOBODY
        f[PASSAGE_BEGINS] = 1
        next_tile(f, g, cursor)
    return True


@inlined
def _begin_transfer(f: Words, g: Words, cursor: int) -> None:
    f[cursor + RUN] = 0
    begin_run(f, g, cursor)


@inlined
def _store_taken(f: Words, g: Words, cursor: int) -> None:
    """The last request of a store has been taken."""
    transfer = g[TRANSFERS] + f[cursor + TRANSFER] * TRANSFER_WORDS
    tensor, buffer = g[transfer + TENSOR], g[transfer + BUFFER]
    f[f[TAKEN_STORES] + tensor] += 1
    f[f[TAKEN_AT] + tensor] = f[LAST_TAKEN]
    if g[transfer + LAST_FROM_BUFFER] != 0:
        f[f[FREED_AT] + buffer * TAGS + f[f[FREED_OUT] + buffer] % TAGS] = f[LAST_TAKEN]
        f[f[FREED_OUT] + buffer] += 1


# --- loads ------------------------------------------------------------------------------------------


@inlined
def _direct_loads(f: Words, g: Words) -> bool:
    """Whether the loads' cursor moved."""
    cursor = f[LOADS]
    tile = f[cursor + TILE_AT]
    if f[LOAD_PIECE + LEFT] > 0 or tile == NOBODY:
        return False
    if f[cursor + TRANSFER] == NOBODY:
        if f[cursor + ORDINAL] - f[f[COMPUTE] + ORDINAL] > g[LEAD]:
            return False
        _open_tile(f, cursor)
        f[cursor + TRANSFER] = g[tile + FIRST_READ]
        f[cursor + RUN] = NOBODY
    elif f[cursor + RUN] == NOBODY:
        if not _may_load(f, g, cursor):
            return False
        _begin_transfer(f, g, cursor)
        if f[cursor + TRANSFER] == g[tile + FIRST_READ]:
            f[PASSAGE_BEGINS] = 1
    elif not next_piece(f, g, cursor, LOAD_PIECE):
        f[cursor + TRANSFER] += 1
        f[cursor + RUN] = NOBODY
    if f[cursor + TRANSFER] == g[tile + END_READ]:
        _pass_tile(f, g, tile)
        f[cursor + TRANSFER] = NOBODY
        next_tile(f, g, cursor)
    return True


@inlined
def _open_tile(f: Words, cursor: int) -> None:
    """Open the books of the loads of a tile; whatever refreshes were postponed for the one before are due."""
    call_refreshes(f)
    f[LOAD_TAG] = f[cursor + ORDINAL] % TAGS
    f[TILE_WAITING + f[LOAD_TAG]] = 0
    f[TILE_COMPLETE + f[LOAD_TAG]] = 0


@inlined
def _may_load(f: Words, g: Words, cursor: int) -> bool:
    """Whether the transfer has a slot of its buffer, and its tensor waits for no store."""
    transfer = g[TRANSFERS] + f[cursor + TRANSFER] * TRANSFER_WORDS
    tensor, buffer = g[transfer + TENSOR], g[transfer + BUFFER]
    if f[f[ENTERED_IN] + buffer] - f[f[ENDED_IN] + buffer] >= g[g[BUFFER_SLOTS] + buffer]:
        return False
    if f[f[TAKEN_STORES] + tensor] < f[f[ENTERED_STORES] + tensor]:
        return False
    f[LOAD_FROM] = f[f[TAKEN_AT] + tensor] + 1
    return True


@inlined
def _pass_tile(f: Words, g: Words, tile: int) -> None:
    """All loads of a tile have been taken."""
    for i in range(g[tile + FIRST_IN], g[tile + END_IN]):
        f[f[ENTERED_IN] + g[g[LISTS] + i]] += 1
    for i in range(g[tile + FIRST_WRITE], g[tile + END_WRITE]):
        f[f[ENTERED_STORES] + g[g[TRANSFERS] + i * TRANSFER_WORDS + TENSOR]] += 1
    f[TILE_PASSED + f[LOAD_PASSED] % TAGS] = tile
    f[LOAD_PASSED] += 1


# --- refreshes that are postponed -------------------------------------------------------------------


@inlined
def call_refreshes(f: Words) -> None:
    """Call for all refreshes that have fallen due before this clock."""
    if f[POSTPONED_EVERY] != 0:
        due = (f[CLOCK] - 1) // f[POSTPONED_EVERY]
        f[CALLING] += due - f[CALLED]
        _note_called(f, due)


@inlined
def _note_called(f: Words, due: int) -> None:
    f[CALLED] = due
    f[LATEST_CALL] = (due + POSTPONED_INTERVALS) * f[POSTPONED_EVERY] + 1


@inlined
def refreshes_were_served(f: Words) -> None:
    """Those that fell due before this clock did not wait for a call."""
    if f[POSTPONED_EVERY] != 0:
        _note_called(f, (f[CLOCK] - 1) // f[POSTPONED_EVERY])


@inlined
def next_refresh(f: Words, every: int) -> int:
    """The first clock from now on in which refreshes fall due."""
    return NEVER if every == 0 else (f[CLOCK] + every - 1) // every * every


# --- all together -----------------------------------------------------------------------------------


@called
def direct(f: Words, g: Words) -> None:
    """Move on whatever may move in this clock."""
    if f[CLOCK] >= f[LATEST_CALL]:
        call_refreshes(f)
    moved = True
    while moved:
        moved = _end_computation(f, g)
        moved = _begin_computation(f, g) or moved
        moved = _direct_stores(f, g) or moved
        moved = _direct_loads(f, g) or moved
    f[EVENT] = min(f[COMPUTED_SEEN], f[LATEST_CALL])


@inlined
def is_over(f: Words) -> bool:
    """Whether every cursor is at the end."""
    return bool(
        f[f[LOADS] + TILE_AT] == NOBODY
        and f[f[COMPUTE] + TILE_AT] == NOBODY
        and f[f[STORES] + TILE_AT] == NOBODY
    )
