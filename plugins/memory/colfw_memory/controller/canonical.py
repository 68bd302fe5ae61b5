"""The channels' state in canonical form: two states that will go on alike are written alike.

Times are written relative to now, and what no longer holds anybody back is written as 0. Rows are
labels, numbered in the order in which they are met; which row a label stands for is kept elsewhere.
Banks are turned so that the bank in use comes first: constraints see only which nodes are the same. Tiles
are counted from the one that loads. Requests are listed from the oldest, and counts are left out.

What is written here is read back by `restore`, at any time: the two are each other's inverse.
"""

# ruff: noqa: PLR0913, PLR0917
# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from colfw.dram.device import Role
from colfw_memory.controller.compiling import called, inlined
from colfw_memory.controller.front_end import CHANNELS, CLOCK, IN_FLIGHT
from colfw_memory.controller.kernel import (
    ACTIVE_BANKS,
    ACTIVE_COMMAND,
    ACTIVE_KEY,
    ACTIVE_SLOT,
    CHANNEL_READY,
    CHANNEL_WORDS,
    CLOSED,
    COUNT,
    FREE,
    FREE_SLOTS,
    HEAD,
    HIT_KEY,
    HOLD_SERVED_WRITES,
    LAST_RELEASE,
    LOG_FREE,
    NEVER,
    NEXT_AGE,
    NO_KEY,
    NOBODY,
    NOW,
    OPEN_CLOCKS,
    OPEN_ROW,
    OTHER_KEY,
    PUSHED_READS,
    PUSHED_WRITES,
    READ_RING,
    READS,
    READY,
    REFRESH_AT,
    REFRESH_UNIT,
    REFRESH_WAITING,
    RELEASED_READS,
    RELEASED_WRITES,
    RELEASES,
    ROW_HIT_VARIANT,
    SLOT_AGE,
    SLOT_ARRIVAL,
    SLOT_BEGUN,
    SLOT_NEXT,
    SLOT_PLACE,
    SLOT_ROW,
    SLOT_TAG,
    SLOTS,
    TAG_WAITING,
    TAGS,
    TAIL,
    UNDECIDED_MODE,
    UNIT_OPEN,
    UNIT_SINCE,
    WINDOWS,
    WRITE_MODE,
    WRITE_RING,
    is_candidate,
    link,
)
from colfw_memory.controller.tables import (
    ACT,
    BANKS,
    COMMANDS,
    MAX_BANKS,
    NODE,
    PRE,
    PREA,
    RD,
    REF,
    TABLE_WORDS,
    UNIT,
    UNIT_BANKS,
    UNITS,
    WINDOW_BEGIN,
    WINDOW_CLOCKS,
    WINDOW_LENGTH,
    WINDOW_LEVEL,
    WINDOW_MEMORY,
    WINDOW_SPAN,
    WR,
)

if TYPE_CHECKING:
    from colfw.dram.device import Device
    from colfw_memory.controller.words import Integers, Words

TURNED = TABLE_WORDS  # [bank, by] in the table, after what the kernel needs: the bank, turned back by another
TURNED_ON = TURNED + MAX_BANKS * MAX_BANKS  # [bank, by] the bank, turned on by another

MAX_LABELS = 1024
NEW_LOAD, NEW_STORE = MAX_LABELS, MAX_LABELS + 1
"""Labels of rows that only a piece is for yet."""
LABELS = MAX_LABELS + 2

_CLOCK_BITS = 20
_CLOCKS = (1 << _CLOCK_BITS) - 1
"""Clocks that a constraint still runs for; the tables refuse longer ones."""
_PLACE_BITS, _LABEL_BITS, _BANK_BITS, _TAG_BITS = 32, 11, 6, 6
ENTRY_WORDS = 2
"""Of a request: what and where it is in one word, how long a read has waited in the other."""
_SORTED_WORDS = 4


@inlined
def _label(names: Words, row: int, bank: int) -> int:
    """The number of a row's label: `names` has a number for each old label, how many, and their sources.

    Layout: [LABELS] new numbers (NOBODY if none yet), count, [LABELS] old labels, [LABELS] banks.
    """
    if row == CLOSED:
        return CLOSED
    if names[row] == NOBODY:
        count = names[LABELS]
        names[row] = count
        names[LABELS + 1 + count] = row
        names[2 * LABELS + 1 + count] = bank
        names[LABELS] = count + 1
    return names[row]


NAMES_WORDS = 3 * LABELS + 1


@called
def capture(f: Words, s: Words, t: Words, names: Words, by: int, out: Words) -> int:
    """Write the state of all channels to `out`, banks turned back by `by`; how many words it takes.

    Tiles are counted from the one that loads: its number is 0 when a state is captured.
    """
    now = f[CLOCK]
    for row in range(LABELS):
        names[row] = NOBODY
    names[LABELS] = 0
    out[0] = f[IN_FLIGHT]
    n = 1
    for channel in range(f[CHANNELS]):
        n = _capture_channel(s, channel * CHANNEL_WORDS, t, names, now, by, out, n)
    return n


@inlined
def _capture_channel(s: Words, c: int, t: Words, names: Words, now: int, by: int, out: Words, n: int) -> int:
    out[n] = s[c + WRITE_MODE] + 2 * s[c + UNDECIDED_MODE]
    out[n + 1] = s[c + REFRESH_WAITING]
    out[n + 2] = s[c + REFRESH_UNIT]
    out[n + 3] = max(0, s[c + LAST_RELEASE] - now)
    n += 4
    for command in range(COMMANDS):
        out[n + command] = max(0, s[c + CHANNEL_READY + command] - now)
    n += COMMANDS
    n = _capture_banks(s, c, t, names, now, by, out, n)
    n = _capture_windows(s, c, t, now, by, out, n)
    n = _capture_requests(s, c, t, names, now, by, out, n)
    n = _capture_ring(s, c, READ_RING, RELEASED_READS, PUSHED_READS, now, out, n)
    return _capture_ring(s, c, WRITE_RING, RELEASED_WRITES, PUSHED_WRITES, now, out, n)


@inlined
def _left(s: Words, c: int, command: int, bank: int, now: int) -> int:
    """For how many clocks a bank must still wait for a command."""
    return max(0, s[c + READY + command * MAX_BANKS + bank] - now)


@inlined
def _capture_banks(s: Words, c: int, t: Words, names: Words, now: int, by: int, out: Words, n: int) -> int:
    for turned in range(t[BANKS]):
        bank = t[TURNED_ON + turned * MAX_BANKS + by]
        label = _label(names, s[c + OPEN_ROW + bank], turned)
        first = _left(s, c, ACT, bank, now) << _CLOCK_BITS | _left(s, c, PRE, bank, now)
        out[n] = (label - CLOSED) << 2 * _CLOCK_BITS | first
        out[n + 1] = _left(s, c, RD, bank, now) << _CLOCK_BITS | _left(s, c, WR, bank, now)
        n += 2
    for unit in range(t[UNITS]):
        for command in range(PREA, REF + 1):
            ready = 0
            for bank in range(unit * t[UNIT_BANKS], (unit + 1) * t[UNIT_BANKS]):
                ready = max(ready, s[c + READY + command * MAX_BANKS + bank] - now)
            out[n] = ready
            n += 1
    return n


@inlined
def _capture_windows(s: Words, c: int, t: Words, now: int, by: int, out: Words, n: int) -> int:
    """For how long each remembered clock still counts, from the oldest."""
    for i in range(t[WINDOW_BEGIN], t[WINDOW_BEGIN + COMMANDS]):
        length = t[WINDOW_LENGTH + i]
        for turned in range(0, t[BANKS], t[WINDOW_SPAN + i]):
            node = t[NODE + t[WINDOW_LEVEL + i] * MAX_BANKS + t[TURNED_ON + turned * MAX_BANKS + by]]
            memory = c + WINDOWS + t[WINDOW_MEMORY + i] + node * (length + 1)
            position = max(0, s[memory])
            for _ in range(length):
                out[n] = max(0, s[memory + 1 + position] + t[WINDOW_CLOCKS + i] - now)
                position = 0 if position + 1 == length else position + 1
                n += 1
    return n


@inlined
def _capture_requests(s: Words, c: int, t: Words, names: Words, now: int, by: int, out: Words, n: int) -> int:
    """All requests from the oldest; the first word is how many."""
    head = n
    n += 1
    for at in range(2 * MAX_BANKS):
        slot = s[c + HEAD + at]
        while slot != NOBODY:
            n = _sort_in(s, c, slot, 2 * (at // MAX_BANKS), at % MAX_BANKS, out, head, n)
            slot = s[c + SLOT_NEXT + slot]
    for bank in range(t[BANKS]):
        if s[c + ACTIVE_KEY + bank] != NO_KEY:
            kind = 2 * (s[c + ACTIVE_COMMAND + bank] - RD) + 1
            n = _sort_in(s, c, s[c + ACTIVE_SLOT + bank], kind, bank, out, head, n)
    count = (n - head - 1) // _SORTED_WORDS
    out[head] = count
    # Packed, the list is shorter: it can be written over the sorted one from its begin.
    for i in range(count):
        entry = head + 1 + i * _SORTED_WORDS
        kind, slot = out[entry + 1], out[entry + 3]
        bank = t[TURNED + out[entry + 2] * MAX_BANKS + by]
        # Nobody asks how long a write has waited, or for which tile.
        is_read = kind >> 1 == READS
        packed = (kind << 1 | s[c + SLOT_BEGUN + slot]) << _TAG_BITS
        packed = (packed | (s[c + SLOT_TAG + slot] if is_read else 0)) << _BANK_BITS | bank
        packed = packed << _LABEL_BITS | _label(names, s[c + SLOT_ROW + slot], bank)
        out[head + 1 + i * ENTRY_WORDS] = packed << _PLACE_BITS | s[c + SLOT_PLACE + slot]
        out[head + 2 + i * ENTRY_WORDS] = now - s[c + SLOT_ARRIVAL + slot] if is_read else 0
    return head + 1 + count * ENTRY_WORDS


@inlined
def _sort_in(s: Words, c: int, slot: int, kind: int, bank: int, out: Words, head: int, n: int) -> int:
    """Put a request in its place by age."""
    age = s[c + SLOT_AGE + slot]
    entry = n
    while entry > head + 1 and out[entry - _SORTED_WORDS] > age:
        for word in range(_SORTED_WORDS):
            out[entry + word] = out[entry - _SORTED_WORDS + word]
        entry -= _SORTED_WORDS
    out[entry] = age
    out[entry + 1] = kind
    out[entry + 2] = bank
    out[entry + 3] = slot
    return n + _SORTED_WORDS


@inlined
def _capture_ring(
    s: Words, c: int, ring: int, released: int, pushed: int, now: int, out: Words, n: int
) -> int:
    """Completions that hold slots of the window; the first word is how many."""
    head = n
    for i in range(s[c + released], s[c + pushed]):
        n += 1
        out[n] = s[c + ring + (i & (RELEASES - 1))] - now
    out[head] = n - head
    return n + 1


# --- and back ---------------------------------------------------------------------------------------


@called
def restore(f: Words, s: Words, t: Words, w: Words, begin: int, shift: int, refresh_at: int) -> None:
    """Read a state back, as of the front end's clock; its tiles are counted from `shift` further on."""
    f[IN_FLIGHT] = w[begin]
    n = begin + 1
    for channel in range(f[CHANNELS]):
        n = _restore_channel(s, channel * CHANNEL_WORDS, t, w, n, f[CLOCK], shift, refresh_at)


@inlined
def _restore_channel(
    s: Words, c: int, t: Words, w: Words, n: int, now: int, shift: int, refresh_at: int
) -> int:
    _blank(s, c, t, now)
    s[c + REFRESH_AT] = refresh_at
    s[c + WRITE_MODE] = w[n] & 1
    s[c + UNDECIDED_MODE] = w[n] >> 1
    s[c + REFRESH_WAITING] = w[n + 1]
    s[c + REFRESH_UNIT] = w[n + 2]
    s[c + LAST_RELEASE] = now + w[n + 3]
    n += 4
    for command in range(COMMANDS):
        s[c + CHANNEL_READY + command] = now + w[n + command]
    n += COMMANDS
    for bank in range(t[BANKS]):
        label = (w[n] >> 2 * _CLOCK_BITS) + CLOSED
        s[c + OPEN_ROW + bank] = label
        if label != CLOSED:
            s[c + UNIT_OPEN + t[UNIT + bank]] += 1
        s[c + READY + ACT * MAX_BANKS + bank] = now + (w[n] >> _CLOCK_BITS & _CLOCKS)
        s[c + READY + PRE * MAX_BANKS + bank] = now + (w[n] & _CLOCKS)
        s[c + READY + RD * MAX_BANKS + bank] = now + (w[n + 1] >> _CLOCK_BITS)
        s[c + READY + WR * MAX_BANKS + bank] = now + (w[n + 1] & _CLOCKS)
        n += 2
    for unit in range(t[UNITS]):
        for command in range(PREA, REF + 1):
            for bank in range(unit * t[UNIT_BANKS], (unit + 1) * t[UNIT_BANKS]):
                s[c + READY + command * MAX_BANKS + bank] = now + w[n]
            n += 1
    n = _restore_windows(s, c, t, w, n, now)
    n = _restore_requests(s, c, w, n, now, shift)
    n = _restore_ring(s, c, READ_RING, PUSHED_READS, w, n, now)
    return _restore_ring(s, c, WRITE_RING, PUSHED_WRITES, w, n, now)


@inlined
def _blank(s: Words, c: int, t: Words, now: int) -> None:
    """An idle channel; its options stay, its histogram is empty already."""
    variant, hold = s[c + ROW_HIT_VARIANT], s[c + HOLD_SERVED_WRITES]
    for i in range(CHANNEL_READY):
        s[c + i] = 0
    s[c + ROW_HIT_VARIANT] = variant
    s[c + HOLD_SERVED_WRITES] = hold
    s[c + LOG_FREE] = NOBODY
    s[c + NOW] = now
    s[c + ACTIVE_BANKS] = 0
    for b in range(t[BANKS]):
        s[c + ACTIVE_KEY + b] = NO_KEY
    for queue in range(2):
        for at in range(queue * MAX_BANKS, queue * MAX_BANKS + t[BANKS]):
            s[c + HIT_KEY + at] = NO_KEY
            s[c + OTHER_KEY + at] = NO_KEY
            s[c + HEAD + at] = NOBODY
            s[c + TAIL + at] = NOBODY
    for i in range(SLOTS):
        s[c + FREE + i] = SLOTS - 1 - i
    s[c + FREE_SLOTS] = SLOTS
    for unit in range(t[UNITS]):
        s[c + UNIT_OPEN + unit] = 0
        s[c + UNIT_SINCE + unit] = now
    # Waiting reads by tile, completions by tile, the filter of writes: all lie next to each other.
    for i in range(TAG_WAITING, READ_RING):
        s[c + i] = 0


@inlined
def _restore_windows(s: Words, c: int, t: Words, w: Words, n: int, now: int) -> int:
    for i in range(t[WINDOW_BEGIN], t[WINDOW_BEGIN + COMMANDS]):
        length = t[WINDOW_LENGTH + i]
        for first in range(0, t[BANKS], t[WINDOW_SPAN + i]):
            node = t[NODE + t[WINDOW_LEVEL + i] * MAX_BANKS + first]
            memory = c + WINDOWS + t[WINDOW_MEMORY + i] + node * (length + 1)
            s[memory] = 0
            for position in range(length):
                left = w[n]
                s[memory + 1 + position] = now + left - t[WINDOW_CLOCKS + i] if left > 0 else -NEVER
                n += 1
    return n


@inlined
def _restore_requests(s: Words, c: int, w: Words, n: int, now: int, shift: int) -> int:
    for slot in range(w[n]):
        packed = w[n + 1 + slot * ENTRY_WORDS]
        s[c + SLOT_PLACE + slot] = packed & ((1 << _PLACE_BITS) - 1)
        packed >>= _PLACE_BITS
        s[c + SLOT_ROW + slot] = packed & ((1 << _LABEL_BITS) - 1)
        packed >>= _LABEL_BITS
        bank = packed & ((1 << _BANK_BITS) - 1)
        packed >>= _BANK_BITS
        tag = ((packed & ((1 << _TAG_BITS) - 1)) - shift) % TAGS
        packed >>= _TAG_BITS
        queue, active = packed >> 2, packed >> 1 & 1
        s[c + SLOT_AGE + slot] = slot
        s[c + SLOT_ARRIVAL + slot] = now - w[n + 2 + slot * ENTRY_WORDS]
        s[c + SLOT_BEGUN + slot] = packed & 1
        s[c + SLOT_TAG + slot] = tag
        if queue == READS:
            s[c + TAG_WAITING + tag] += 1
        if active != 0:
            s[c + ACTIVE_SLOT + bank] = slot
            s[c + ACTIVE_KEY + bank] = slot
            s[c + ACTIVE_COMMAND + bank] = RD + queue
            s[c + ACTIVE_BANKS] |= 1 << bank
        else:
            link(s, c, queue, bank, slot)
            is_candidate(s, c, queue, bank, slot)
    s[c + NEXT_AGE] = w[n]
    s[c + FREE_SLOTS] = SLOTS - w[n]
    return n + 1 + w[n] * ENTRY_WORDS


@inlined
def _restore_ring(s: Words, c: int, ring: int, pushed: int, w: Words, n: int, now: int) -> int:
    for i in range(w[n]):
        s[c + ring + i] = now + w[n + 1 + i]
    s[c + pushed] = w[n]
    return n + 1 + w[n]


@inlined
def settle_open_clocks(s: Words, c: int, t: Words, now: int) -> None:
    """Count how long banks have been open up to now, and begin to count anew."""
    for unit in range(t[UNITS]):
        if s[c + UNIT_OPEN + unit] > 0:
            s[c + COUNT + OPEN_CLOCKS] += now - s[c + UNIT_SINCE + unit]
            s[c + UNIT_SINCE + unit] = now


@lru_cache(maxsize=64)
def turning_tables(device: Device) -> Integers:
    """For each bank and each other: the bank turned back by the other, and turned on by it.

    Digits of the levels below a refresh unit are turned, each on its own; units keep their order.
    """
    banks = np.arange(MAX_BANKS)
    unit = device.span(device.named(Role.REFRESH).scope)
    back = np.tile(banks[:, None] // unit * unit, (1, MAX_BANKS))
    on = back.copy()
    for name, count in device.levels:
        span = device.span(name)
        if span < unit:
            digit = banks // span % count
            back += (digit[:, None] - digit) % count * span
            on += (digit[:, None] + digit) % count * span
    return np.concatenate((back.ravel(), on.ravel())).astype(np.int64)
