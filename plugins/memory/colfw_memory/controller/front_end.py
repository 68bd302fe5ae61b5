"""Where the front end of a closed loop stands: one flat array, its layout, and the cursors in it.

Three cursors walk through the program: loads ahead, the computation, stores behind. Each knows its
instruction, how often each repetition around it has gone round, and how far each tensor has advanced.
"""

# ruff: noqa: PLR0913
# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw_memory.controller import script
from colfw_memory.controller.compiling import inlined
from colfw_memory.controller.kernel import NEVER, TAGS
from colfw_memory.controller.script import (
    ADVANCES,
    ARGUMENT,
    BEGIN,
    CODE,
    END,
    END_ADVANCE,
    FIRST_ADVANCE,
    HALT,
    INSTRUCTION_WORDS,
    OFFSET,
    OP,
    ROUNDS,
    RUN_BYTES,
    RUNS,
    STRIDE,
    TARGET,
    TENSOR,
    TENSOR_BASE,
    TRANSFER_WORDS,
    TRANSFERS,
)
from colfw_memory.mapping import MAX_FIELDS

if TYPE_CHECKING:
    from colfw_memory.controller.words import Integers, Words
    from colfw_memory.mapping import AddressMapping

# --- what the port sees: enough to offer requests until something else happens ----------------------
CLOCK = 0
TURN = 1  # requests handed over in this clock
SYNCED = 2  # all channels have ticked up to the clock before
EVENT = 3  # the clock in which the program next has a say: a computation ends, or refreshes press
LOAD_FROM = 4  # the first clock in which the load piece may go
LOAD_TAG = 5
WATCHED_TAG = 6  # the tile whose loads the computation waits for; NOBODY if none
IN_FLIGHT = 7
WINDOW = 8  # NEVER if unlimited
WRITE_HOLD = 9  # 0 posted, 1 until served, 2 for a read's latency
WIDTH = 10  # requests a clock
CHANNELS = 11
BURST_BYTES = 12
LOW_FIELDS = 13  # fields of the address below the first bank or row bit
FIELDS = 14
STRIPE = 15
CORE_NUMERATOR = 16  # memory clocks of ... core cycles
CORE_DENOMINATOR = 17
LAST_TAKEN = 18  # the clock in which the last request was taken
LAST_DONE = 19  # when the last read completed or the last write was served, as far as is remembered
REFRESH_EVERY = 20  # clocks, if refreshes are served when they fall due; else 0

POSTPONED_INTERVALS = 8
"""Of refresh, at most, that a controller may be behind."""

# --- pieces: bursts in one row of one bank, over all channels ---------------------------------------
LOAD_PIECE = 24
STORE_PIECE = 40
LEFT, BANK, ROW, CHANNEL, COLUMN, DIGIT = range(6)

# --- computation ------------------------------------------------------------------------------------
COMPUTING = 56  # whether the tile at the cursor computes
COMPUTED_UNTIL = 57  # core cycle in which the last computation ends or ended
LOAD_PASSED = 58  # tiles whose loads have all been taken
COMPUTED_SEEN = 59  # the clock in which the front end sees the running computation end; NEVER if none runs

# --- refreshes that are postponed: counted in intervals ---------------------------------------------
POSTPONED_EVERY = 60  # clocks; 0 if refreshes are not postponed
CALLED = 61  # of those that fell due, how many have been called for
CALLING = 62  # of those, how many the channels have not been told of
LATEST_CALL = 63  # the clock in which too many wait, and are called for at once; NEVER if none is postponed

# --- tables, from here on ---------------------------------------------------------------------------
PASSAGE_BEGINS = 64  # whether loads of a tile have just been begun, or stores have just made way for them
FIELD_PART = 65
FIELD_SIZE = FIELD_PART + MAX_FIELDS
FIELD_WEIGHT = FIELD_SIZE + MAX_FIELDS
AT = FIELD_WEIGHT + MAX_FIELDS  # where the following begin
LOADS, COMPUTE, STORES = AT, AT + 1, AT + 2  # cursors
ENTERED_IN = AT + 3  # [buffer] earlier tiles that load into it
ENDED_IN = AT + 4  # [buffer] of those, whose computation has ended
CLAIMED_OUT = AT + 5  # [buffer] tiles that have computed into it
FREED_OUT = AT + 6  # [buffer] of those, whose stores have been taken
FREED_AT = AT + 7  # [buffer, TAGS] when
ENTERED_STORES = AT + 8  # [tensor] stores of earlier tiles
TAKEN_STORES = AT + 9  # [tensor] of those, how many have been taken
TAKEN_AT = AT + 10  # [tensor] when the last was
TILE_WAITING = AT + 16  # [TAGS] reads of a tile without an RD, when the port stopped
TILE_COMPLETE = TILE_WAITING + TAGS  # [TAGS] when the last of those with one completes
TILE_PASSED = TILE_COMPLETE + TAGS  # [TAGS] the record of the tile
FIXED_WORDS = TILE_PASSED + TAGS

# --- a cursor ---------------------------------------------------------------------------------------
PC = 0
ORDINAL = 1  # tiles before this one
TILE_AT = 2  # its record in the script; NOBODY at the end
TRANSFER = 3
RUN = 4
BURST = 5
BURSTS_LEFT = 6  # of the run
ROUND = 8  # [DEPTH], then [TENSORS] offsets


def front_end(
    program: Integers,
    mapping: AddressMapping,
    channels: int,
    *,
    burst_bytes: int,
    clocks_per_core_cycle: tuple[int, int],
    window: int | None,
    write_hold: int,
    width: int,
    refresh_every: int,
    postponed_every: int,
) -> Integers:
    """A front end before its first clock."""
    tensors, buffers = int(program[script.TENSORS]), int(program[script.BUFFERS])
    cursor = ROUND + int(program[script.DEPTH]) + tensors
    sizes = {
        LOADS: cursor,
        COMPUTE: cursor,
        STORES: cursor,
        ENTERED_IN: buffers,
        ENDED_IN: buffers,
        CLAIMED_OUT: buffers,
        FREED_OUT: buffers,
        FREED_AT: buffers * TAGS,
        ENTERED_STORES: tensors,
        TAKEN_STORES: tensors,
        TAKEN_AT: tensors,
    }
    f = np.zeros(FIXED_WORDS + sum(sizes.values()), np.int64)
    f[CLOCK] = f[SYNCED] = 1
    f[EVENT] = f[COMPUTED_SEEN] = f[LATEST_CALL] = NEVER
    f[WATCHED_TAG] = -1
    f[WINDOW] = NEVER if window is None else window
    f[WRITE_HOLD] = write_hold
    f[WIDTH] = width
    f[REFRESH_EVERY] = refresh_every
    f[POSTPONED_EVERY] = postponed_every
    if postponed_every != 0:
        f[LATEST_CALL] = POSTPONED_INTERVALS * postponed_every + 1
    f[CHANNELS] = channels
    f[BURST_BYTES] = burst_bytes
    f[CORE_NUMERATOR], f[CORE_DENOMINATOR] = clocks_per_core_cycle
    f[STRIPE] = mapping.stripe
    f[LOW_FIELDS] = mapping.low_fields
    f[FIELDS] = len(mapping.fields)
    for number, field in enumerate(mapping.fields):
        f[FIELD_PART + number] = field.part
        f[FIELD_SIZE + number] = field.size
        f[FIELD_WEIGHT + number] = field.weight
    end = FIXED_WORDS
    for table, size in sizes.items():
        f[table] = end
        end += size
    return f


# --- cursors ----------------------------------------------------------------------------------------


@inlined
def find_tile(f: Words, g: Words, cursor: int) -> None:
    """From the cursor's instruction on, go to the next tile, round and round repetitions."""
    offsets = cursor + ROUND + g[script.DEPTH]
    while True:
        at = g[CODE] + f[cursor + PC] * INSTRUCTION_WORDS
        op = g[at + OP]
        if op == script.TILE:
            f[cursor + TILE_AT] = g[script.TILES] + g[at + ARGUMENT] * script.TILE_WORDS
            return
        if op == HALT:
            f[cursor + TILE_AT] = -1
            return
        if op == BEGIN:
            f[cursor + ROUND + g[at + ARGUMENT]] = 0
            f[cursor + PC] += 1
        elif op == END:
            counter = cursor + ROUND + g[at + ARGUMENT]
            f[counter] += 1
            again = f[counter] < g[at + ROUNDS]
            # The last round leaves the offsets as the first found them.
            rounds = 1 if again else 1 - g[at + ROUNDS]
            for i in range(g[at + FIRST_ADVANCE], g[at + END_ADVANCE]):
                f[offsets + g[g[ADVANCES] + 2 * i]] += rounds * g[g[ADVANCES] + 2 * i + 1]
            f[cursor + PC] = g[at + TARGET] if again else f[cursor + PC] + 1


@inlined
def next_tile(f: Words, g: Words, cursor: int) -> None:
    f[cursor + PC] += 1
    f[cursor + ORDINAL] += 1
    find_tile(f, g, cursor)


@inlined
def begin_run(f: Words, g: Words, cursor: int) -> None:
    """The bursts that the cursor's run touches."""
    transfer = g[TRANSFERS] + f[cursor + TRANSFER] * TRANSFER_WORDS
    tensor = g[transfer + TENSOR]
    address = (
        g[g[TENSOR_BASE] + tensor]
        + f[cursor + ROUND + g[script.DEPTH] + tensor]
        + g[transfer + OFFSET]
        + f[cursor + RUN] * g[transfer + STRIDE]
    )
    first = address // f[BURST_BYTES]
    f[cursor + BURST] = first
    f[cursor + BURSTS_LEFT] = (address + g[transfer + RUN_BYTES] - 1) // f[BURST_BYTES] - first + 1


@inlined
def next_piece(f: Words, g: Words, cursor: int, piece: int) -> bool:
    """The next bursts of the cursor's transfer that lie in one row; False if it has no more."""
    if f[cursor + BURSTS_LEFT] == 0:
        transfer = g[TRANSFERS] + f[cursor + TRANSFER] * TRANSFER_WORDS
        if f[cursor + RUN] + 1 == g[transfer + RUNS]:
            return False
        f[cursor + RUN] += 1
        begin_run(f, g, cursor)
    rest = f[cursor + BURST]
    size = min(f[cursor + BURSTS_LEFT], f[STRIPE] - rest % f[STRIPE])
    f[cursor + BURST] += size
    f[cursor + BURSTS_LEFT] -= size
    f[piece + LEFT] = size
    for part in range(BANK, DIGIT):
        f[piece + part] = 0
    for i in range(f[FIELDS]):
        digit = rest % f[FIELD_SIZE + i]
        rest //= f[FIELD_SIZE + i]
        f[piece + _where(f[FIELD_PART + i])] += digit * f[FIELD_WEIGHT + i]
        if i < f[LOW_FIELDS]:
            f[piece + DIGIT + i] = digit
    return True


@inlined
def _where(part: int) -> int:
    """The word of a piece for a part of the address: channel, bank, row, column."""
    if part == 0:
        return CHANNEL
    if part == 1:
        return BANK
    if part == 2:
        return ROW
    return COLUMN


@inlined
def next_burst(f: Words, piece: int) -> None:
    """One burst of the piece has been taken."""
    f[piece + LEFT] -= 1
    for i in range(f[LOW_FIELDS]):
        at = piece + _where(f[FIELD_PART + i])
        f[piece + DIGIT + i] += 1
        f[at] += f[FIELD_WEIGHT + i]
        if f[piece + DIGIT + i] < f[FIELD_SIZE + i]:
            break
        f[piece + DIGIT + i] = 0
        f[at] -= f[FIELD_SIZE + i] * f[FIELD_WEIGHT + i]
