"""One channel and its controller, from command to command: clocks in which nothing happens cost nothing.

The state of a channel is a stretch of one flat array of integers, beginning at `c`; the names below are
offsets into it. Two functions are all that the front ends need: `step` ticks a channel up to its next
command or up to a clock, `offer` hands it a request.

How it is fast: of all the requests that wait for a bank in one queue only two can be next, the oldest
that hits the open row and the oldest that does not. So a decision looks at up to three requests a bank
(the third is the active one, whose row was opened for it). What has been decided (the *plan*: a clock
and a lane) holds until it is issued or a request arrives that changes it.

A request's key orders the candidates: earliest legal clock, then active before queued, then oldest. It
is packed into one integer, so that a decision is a minimum.
"""

# Flat arrays, many arguments and long branches are the price of the speed that this file is about.
# ruff: noqa: PLR0913, PLR0917
# What lies behind a pointer has no type that mypy knows.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_memory.controller.compiling import inlined
from colfw_memory.controller.tables import (
    ACT,
    CHANNEL_LATENCY,
    COMMANDS,
    FIRST_BANK,
    LANES,
    LEVEL_SPAN,
    MAX_BANKS,
    MAX_WINDOW_SLOTS,
    NODE,
    PRE,
    PREA,
    PUSH_BEGIN,
    PUSH_CLOCKS,
    PUSH_FOLLOWING,
    PUSH_LEVEL,
    PUSH_OUTSIDE,
    PUSH_SPAN,
    PUSH_STEP,
    PUSH_WORDS,
    PUSHES,
    RD,
    READ_LATENCY,
    REF,
    REFRESH_INTERVAL,
    TWO_BUSES,
    UNIT,
    UNIT_BANKS,
    UNITS,
    WINDOW_BEGIN,
    WINDOW_CLOCKS,
    WINDOW_FOLLOWING,
    WINDOW_LENGTH,
    WINDOW_LEVEL,
    WINDOW_MEMORY,
    WINDOW_SPAN,
    WR,
)
from colfw_memory.controller.words import lowest_bit

if TYPE_CHECKING:
    from colfw_memory.controller.words import Words

QUEUE = 32
"""Entries of the read queue, and of the write queue."""
WRITES_ENTER = 26
"""Write mode begins with this many writes: the first count above 0.8 of the queue."""
WRITES_LEAVE = 6
"""Write mode ends at this many writes: the last count below 0.2 of the queue."""
SLOTS = 2 * QUEUE + MAX_BANKS
"""Both queues, and one active request a bank."""
RELEASES = 1024
"""Reads and writes whose completion is remembered; a window cannot be larger."""
FILTER = 256
LATENCIES = 1 << 14
"""Bins of the latency histogram, one a clock; what is longer goes into the spill."""
SPILL = 1 << 12
LOG_COLUMNS = 5
"""Of the command log: clock, command, bank, row, byte within the row."""
TAGS = 64
"""Tiles that may wait for loads at once."""

READS, WRITES = 0, 1
NOBODY = -1
CLOSED = -1
NEVER = 1 << 60
NO_KEY = 1 << 53
"""In place of an age where there is no request."""

# --- offsets: scalars -------------------------------------------------------------------------------
NOW = 0  # the first clock that has not been ticked
PLAN_CLOCK = 1  # when the plan is due; NEVER if nothing can happen
PLAN_LANE = 2
PLANNED = 3  # whether there is a plan
ROW_SLOT = 4  # whether the column command of this clock has been decided (two buses)
WRITE_MODE = 5
UNDECIDED_MODE = 6  # whether a queue changed since write mode was last decided
ROW_HIT_VARIANT = 7  # option: a row hit is not preempted by a younger conflict
REFRESH_AT = 8  # the next clock in which refreshes fall due; NEVER without refresh
REFRESH_WAITING = 9
REFRESH_UNIT = 10  # whose turn it is
NEXT_AGE = 11
FREE_SLOTS = 12  # how many
LAST_RELEASE = 13
RELEASED_READS = 14  # popped from the ring by the front end
PUSHED_READS = 15  # pushed to the ring
RELEASED_WRITES = 16
PUSHED_WRITES = 17
ACTIVE_BANKS = 18  # set of banks with an active request
QUEUED_BANKS = 19  # [2] sets of banks with a request in the queue
QUEUED = 21  # [2] requests in the queue
HOLD_SERVED_WRITES = 23  # option: a write's completion is remembered when it is served
LOG_FREE = 24
LOG_LENGTH = 25
SPILLED = 26
LOG_BEGIN = 27  # the first line of this channel in the log
LAST_WRITE = 28  # the clock of the last WR
LATENCY_END = 29  # beyond the last bin of the histogram that is in use
COUNT = 32  # counters, of the names below
ACCEPTED = 0  # [2]
SERVED = 2  # [2]
FORWARDED = 4
MERGED = 5
HITS = 6
MISSES = 7
CONFLICTS = 8
REFRESHES_DUE = 9
OPEN_CLOCKS = 10
ISSUED = 12  # [COMMANDS]
COUNTERS = 12 + COMMANDS
CHANNEL_READY = COUNT + COUNTERS  # [COMMANDS] first legal clock as far as the whole channel goes

# --- offsets: arrays --------------------------------------------------------------------------------
READY = CHANNEL_READY + COMMANDS + 8  # [COMMANDS, MAX_BANKS] first legal clock in a bank
OPEN_ROW = READY + COMMANDS * MAX_BANKS
ACTIVE_SLOT = OPEN_ROW + MAX_BANKS
ACTIVE_KEY = ACTIVE_SLOT + MAX_BANKS
ACTIVE_COMMAND = ACTIVE_KEY + MAX_BANKS
HIT_SLOT = ACTIVE_COMMAND + MAX_BANKS  # [2, MAX_BANKS] the oldest request for the open row
HIT_KEY = HIT_SLOT + 2 * MAX_BANKS
OTHER_SLOT = HIT_KEY + 2 * MAX_BANKS  # [2, MAX_BANKS] the oldest request for another row
OTHER_KEY = OTHER_SLOT + 2 * MAX_BANKS
HEAD = OTHER_KEY + 2 * MAX_BANKS  # [2, MAX_BANKS] lists of waiting requests, oldest first
TAIL = HEAD + 2 * MAX_BANKS
FREE = TAIL + 2 * MAX_BANKS  # [SLOTS] stack of unused slots
SLOT_ROW = FREE + SLOTS
SLOT_PLACE = SLOT_ROW + SLOTS  # byte within the row
SLOT_AGE = SLOT_PLACE + SLOTS
SLOT_ARRIVAL = SLOT_AGE + SLOTS
SLOT_NEXT = SLOT_ARRIVAL + SLOTS
SLOT_PREVIOUS = SLOT_NEXT + SLOTS
SLOT_BEGUN = SLOT_PREVIOUS + SLOTS  # whether a command was issued for it
SLOT_TAG = SLOT_BEGUN + SLOTS  # the tile it loads
UNIT_OPEN = SLOT_TAG + SLOTS  # [MAX_BANKS] open banks of a refresh unit
UNIT_SINCE = UNIT_OPEN + MAX_BANKS  # since when one is open
WINDOWS = UNIT_SINCE + MAX_BANKS
TAG_WAITING = WINDOWS + MAX_WINDOW_SLOTS  # [TAGS] reads not yet issued
TAG_RELEASE = TAG_WAITING + TAGS  # completion of the last one issued
WRITE_FILTER = TAG_RELEASE + TAGS  # [FILTER] waiting writes by hash of their place
READ_RING = WRITE_FILTER + FILTER  # [RELEASES] completions, in order
READ_RING_LATENCY = READ_RING + RELEASES
WRITE_RING = READ_RING_LATENCY + RELEASES
LATENCY = WRITE_RING + RELEASES  # [LATENCIES] how often
SPILLED_LATENCY = LATENCY + LATENCIES  # [SPILL] latencies beyond the histogram
CHANNEL_WORDS = SPILLED_LATENCY + SPILL

# --- lanes: what a plan does ------------------------------------------------------------------------
HIT_LANE = 0
ACTIVE_LANE = MAX_BANKS
OTHER_LANE = 2 * MAX_BANKS
REFRESH_LANE = 3 * MAX_BANKS  # the refresh whose turn it is, or its precharge
WAKE_LANE = REFRESH_LANE + 1  # nothing is issued; refreshes fall due
_KIND_BITS = 6  # lane >> _KIND_BITS: 0 hit, 1 active, 2 other, 3 refresh

_LANE_BITS = 8
_AGE_BITS = 34
OLD_AGE = 1 << (_AGE_BITS - 1)
"""Ages are renumbered before they outgrow their bits."""
_QUEUED_BIT = 1 << (_LANE_BITS + _AGE_BITS)
_CLOCK_SHIFT = _LANE_BITS + _AGE_BITS + 1
_LANE_MASK = (1 << _LANE_BITS) - 1
NO_PLAN = 1 << 61
"""Larger than any key with a request."""


# --- the state --------------------------------------------------------------------------------------


@inlined
def reset(s: Words, c: int, refresh_at: int, row_hit_variant: int, log_free: int) -> None:
    """An idle channel before its first clock."""
    for i in range(CHANNEL_WORDS):
        s[c + i] = 0
    s[c + NOW] = 1
    s[c + UNDECIDED_MODE] = 1
    s[c + REFRESH_AT] = refresh_at
    s[c + ROW_HIT_VARIANT] = row_hit_variant
    s[c + LOG_FREE] = log_free
    for b in range(MAX_BANKS):
        s[c + OPEN_ROW + b] = CLOSED
        s[c + ACTIVE_KEY + b] = NO_KEY
    for at in range(2 * MAX_BANKS):
        s[c + HIT_KEY + at] = NO_KEY
        s[c + OTHER_KEY + at] = NO_KEY
        s[c + HEAD + at] = NOBODY
        s[c + TAIL + at] = NOBODY
    for i in range(SLOTS):
        s[c + FREE + i] = SLOTS - 1 - i
    s[c + FREE_SLOTS] = SLOTS
    for i in range(MAX_WINDOW_SLOTS):
        s[c + WINDOWS + i] = -NEVER


# --- constraints ------------------------------------------------------------------------------------


@inlined
def _restrain(s: Words, c: int, t: Words, command: int, bank: int, clock: int) -> None:
    """Push back what may not follow `command` yet."""
    for following in range(COMMANDS):
        s[c + CHANNEL_READY + following] = max(
            s[c + CHANNEL_READY + following], clock + t[CHANNEL_LATENCY + command * COMMANDS + following]
        )
    for i in range(t[PUSH_BEGIN + command], t[PUSH_BEGIN + command + 1]):
        push = PUSHES + i * PUSH_WORDS
        ready = c + READY + t[push + PUSH_FOLLOWING] * MAX_BANKS
        until = clock + t[push + PUSH_CLOCKS]
        span = t[push + PUSH_SPAN]
        if span == 1:
            s[ready + bank] = max(s[ready + bank], until)
        elif t[push + PUSH_OUTSIDE] == 0:
            first = ready + t[FIRST_BANK + t[push + PUSH_LEVEL] * MAX_BANKS + bank]
            _push(s, first, first + span, t[push + PUSH_STEP], until)
        else:
            level = t[push + PUSH_LEVEL]
            first = ready + t[FIRST_BANK + level * MAX_BANKS + bank]
            parent = ready + t[FIRST_BANK + (level - 1) * MAX_BANKS + bank]
            _push(s, parent, first, 1, until)
            _push(s, first + span, parent + t[LEVEL_SPAN + level - 1], 1, until)
    for i in range(t[WINDOW_BEGIN + command], t[WINDOW_BEGIN + command + 1]):
        _count_in_window(s, c, t, i, bank, clock)


@inlined
def _push(s: Words, begin: int, end: int, step: int, until: int) -> None:
    while begin < end:
        s[begin] = max(s[begin], until)
        begin += step


@inlined
def _count_in_window(s: Words, c: int, t: Words, i: int, bank: int, clock: int) -> None:
    """Remember one more clock at the node; the oldest of the last few holds back what follows."""
    length = t[WINDOW_LENGTH + i]
    at = t[WINDOW_LEVEL + i] * MAX_BANKS + bank
    memory = c + WINDOWS + t[WINDOW_MEMORY + i] + t[NODE + at] * (length + 1)
    position = max(0, s[memory])  # the first word is where the next clock goes
    s[memory + 1 + position] = clock
    position = 0 if position + 1 == length else position + 1
    s[memory] = position
    until = s[memory + 1 + position] + t[WINDOW_CLOCKS + i]
    first = c + READY + t[WINDOW_FOLLOWING + i] * MAX_BANKS + t[FIRST_BANK + at]
    _push(s, first, first + t[WINDOW_SPAN + i], 1, until)


# --- lists of waiting requests ----------------------------------------------------------------------


@inlined
def link(s: Words, c: int, queue: int, bank: int, slot: int) -> None:
    """Put a request at the end of its bank's list."""
    at = queue * MAX_BANKS + bank
    last = s[c + TAIL + at]
    s[c + SLOT_NEXT + slot] = NOBODY
    s[c + SLOT_PREVIOUS + slot] = last
    s[c + TAIL + at] = slot
    if last == NOBODY:
        s[c + HEAD + at] = slot
        s[c + QUEUED_BANKS + queue] |= 1 << bank
    else:
        s[c + SLOT_NEXT + last] = slot
    s[c + QUEUED + queue] += 1
    if queue == WRITES:
        s[c + WRITE_FILTER + _hash(bank, s[c + SLOT_ROW + slot], s[c + SLOT_PLACE + slot])] += 1


@inlined
def _remove(s: Words, c: int, queue: int, bank: int, slot: int) -> None:
    at = queue * MAX_BANKS + bank
    before = s[c + SLOT_PREVIOUS + slot]
    after = s[c + SLOT_NEXT + slot]
    if before == NOBODY:
        s[c + HEAD + at] = after
    else:
        s[c + SLOT_NEXT + before] = after
    if after == NOBODY:
        s[c + TAIL + at] = before
    else:
        s[c + SLOT_PREVIOUS + after] = before
    if s[c + HEAD + at] == NOBODY:
        s[c + QUEUED_BANKS + queue] ^= 1 << bank
    s[c + QUEUED + queue] -= 1
    s[c + UNDECIDED_MODE] = 1
    if queue == WRITES:
        s[c + WRITE_FILTER + _hash(bank, s[c + SLOT_ROW + slot], s[c + SLOT_PLACE + slot])] -= 1


@inlined
def _hash(bank: int, row: int, place: int) -> int:
    return (bank * 0x9E3779B1 + row * 0x85EBCA6B + (place >> 5)) & (FILTER - 1)


@inlined
def _set_hit(s: Words, c: int, at: int, slot: int) -> None:
    """The oldest request for the open row, from `slot` on."""
    row = s[c + OPEN_ROW + at % MAX_BANKS]
    while slot != NOBODY and s[c + SLOT_ROW + slot] != row:
        slot = s[c + SLOT_NEXT + slot]
    s[c + HIT_SLOT + at] = slot
    s[c + HIT_KEY + at] = NO_KEY if slot == NOBODY else s[c + SLOT_AGE + slot]


@inlined
def _set_other(s: Words, c: int, at: int, slot: int) -> None:
    """The oldest request for any row but the open one, from `slot` on."""
    row = s[c + OPEN_ROW + at % MAX_BANKS]
    while slot != NOBODY and s[c + SLOT_ROW + slot] == row:
        slot = s[c + SLOT_NEXT + slot]
    s[c + OTHER_SLOT + at] = slot
    s[c + OTHER_KEY + at] = NO_KEY if slot == NOBODY else s[c + SLOT_AGE + slot]


@inlined
def _row_opened(s: Words, c: int, t: Words, bank: int, row: int, clock: int) -> None:
    s[c + OPEN_ROW + bank] = row
    unit = t[UNIT + bank]
    if s[c + UNIT_OPEN + unit] == 0:
        s[c + UNIT_SINCE + unit] = clock
    s[c + UNIT_OPEN + unit] += 1
    for queue in range(2):
        at = queue * MAX_BANKS + bank
        if s[c + HEAD + at] != NOBODY:
            _set_hit(s, c, at, s[c + HEAD + at])
            _set_other(s, c, at, s[c + HEAD + at])
        else:
            s[c + HIT_KEY + at] = NO_KEY
            s[c + OTHER_KEY + at] = NO_KEY


@inlined
def _row_closed(s: Words, c: int, t: Words, bank: int, clock: int) -> None:
    s[c + OPEN_ROW + bank] = CLOSED
    unit = t[UNIT + bank]
    s[c + UNIT_OPEN + unit] -= 1
    if s[c + UNIT_OPEN + unit] == 0:
        s[c + COUNT + OPEN_CLOCKS] += clock - s[c + UNIT_SINCE + unit]
    for queue in range(2):
        at = queue * MAX_BANKS + bank
        s[c + HIT_KEY + at] = NO_KEY
        slot = s[c + HEAD + at]
        s[c + OTHER_SLOT + at] = slot
        s[c + OTHER_KEY + at] = NO_KEY if slot == NOBODY else s[c + SLOT_AGE + slot]


# --- completion -------------------------------------------------------------------------------------


@inlined
def _complete_read(s: Words, c: int, arrival: int, departure: int) -> int:
    """Reads complete in order: a forwarded one waits for the reads before it."""
    release = max(departure, s[c + LAST_RELEASE])
    s[c + LAST_RELEASE] = release
    latency = departure - arrival
    place = s[c + PUSHED_READS] & (RELEASES - 1)
    s[c + READ_RING + place] = release
    s[c + READ_RING_LATENCY + place] = latency
    s[c + PUSHED_READS] += 1
    if latency < LATENCIES:
        s[c + LATENCY + latency] += 1
        s[c + LATENCY_END] = max(s[c + LATENCY_END], latency + 1)
    else:
        s[c + SPILLED_LATENCY + s[c + SPILLED]] = latency
        s[c + SPILLED] += 1
    return release


@inlined
def _serve(s: Words, c: int, t: Words, command: int, slot: int, clock: int) -> None:
    """The column command of a request."""
    if command == RD:
        s[c + COUNT + SERVED + READS] += 1
        release = _complete_read(s, c, s[c + SLOT_ARRIVAL + slot], clock + t[READ_LATENCY])
        tag = s[c + SLOT_TAG + slot]
        s[c + TAG_WAITING + tag] -= 1
        s[c + TAG_RELEASE + tag] = max(release, s[c + TAG_RELEASE + tag])
    else:
        s[c + COUNT + SERVED + WRITES] += 1
        s[c + LAST_WRITE] = clock
        if s[c + HOLD_SERVED_WRITES] != 0:
            s[c + WRITE_RING + (s[c + PUSHED_WRITES] & (RELEASES - 1))] = clock
            s[c + PUSHED_WRITES] += 1
    free = s[c + FREE_SLOTS]
    s[c + FREE + free] = slot
    s[c + FREE_SLOTS] = free + 1


# --- deciding ---------------------------------------------------------------------------------------


@inlined
def _wanted_mode(s: Words, c: int) -> int:
    """Write mode as it follows from the queues."""
    if s[c + WRITE_MODE] == 0:
        return int(s[c + QUEUED + WRITES] >= WRITES_ENTER or s[c + QUEUED + READS] == 0)
    return int(s[c + QUEUED + WRITES] > WRITES_LEAVE or s[c + QUEUED + READS] == 0)


@inlined
def _best_active(s: Words, c: int, now: int, end: int) -> int:
    """The lowest key among active requests. No branches, for vector instructions."""
    best = NO_PLAN
    read_floor = max(now, s[c + CHANNEL_READY + RD])
    write_floor = max(now, s[c + CHANNEL_READY + WR])
    for b in range(end):
        read = max(s[c + READY + RD * MAX_BANKS + b], read_floor)
        write = max(s[c + READY + WR * MAX_BANKS + b], write_floor)
        legal = read if s[c + ACTIVE_COMMAND + b] == RD else write
        key = ((legal - now) << _CLOCK_SHIFT) + (s[c + ACTIVE_KEY + b] << _LANE_BITS)
        best = min(best, key + (ACTIVE_LANE + b))
    return best


@inlined
def _best_refresh(s: Words, c: int, t: Words, now: int) -> int:
    """The refresh whose turn it is, or the precharge that must come first."""
    unit = s[c + REFRESH_UNIT]
    command = PREA if s[c + UNIT_OPEN + unit] > 0 else REF
    legal = max(now, s[c + CHANNEL_READY + command])
    for b in range(unit * t[UNIT_BANKS], (unit + 1) * t[UNIT_BANKS]):
        if s[c + ACTIVE_KEY + b] != NO_KEY:
            return NO_PLAN
        legal = max(legal, s[c + READY + command * MAX_BANKS + b])
    return ((legal - now) << _CLOCK_SHIFT) + _QUEUED_BIT + REFRESH_LANE


@inlined
def _hit_key(s: Words, c: int, queue: int, now: int, floor: int, b: int) -> int:
    """The key of a bank's oldest row hit."""
    legal = max(s[c + READY + (RD + queue) * MAX_BANKS + b], floor)
    age = s[c + HIT_KEY + queue * MAX_BANKS + b]
    return ((legal - now) << _CLOCK_SHIFT) + (age << _LANE_BITS) + (_QUEUED_BIT + HIT_LANE + b)


@inlined
def _other_key(
    s: Words, c: int, queue: int, now: int, act_floor: int, pre_floor: int, protect: int, b: int
) -> int:
    """The key of a bank's oldest request for another row: ACT if the bank is closed, PRE if not."""
    age = s[c + OTHER_KEY + queue * MAX_BANKS + b]
    activate = max(s[c + READY + ACT * MAX_BANKS + b], act_floor)
    precharge = max(s[c + READY + PRE * MAX_BANKS + b], pre_floor)
    legal = activate if s[c + OPEN_ROW + b] == CLOSED else precharge
    # Neither an active request nor, in the variant, an older hit is robbed of its row.
    blocked = NO_KEY if s[c + ACTIVE_KEY + b] != NO_KEY else 0
    blocked |= protect if s[c + HIT_KEY + queue * MAX_BANKS + b] < age else 0
    return ((legal - now) << _CLOCK_SHIFT) + ((age | blocked) << _LANE_BITS) + (_QUEUED_BIT + OTHER_LANE + b)


@inlined
def _best_queued(s: Words, c: int, t: Words, now: int, column: int) -> tuple[int, int]:
    """The lowest key of a column command, `column` among them, and that of a row command."""
    queue = s[c + WRITE_MODE]
    floor = max(now, s[c + CHANNEL_READY + RD + queue])
    act_floor = max(now, s[c + CHANNEL_READY + ACT])
    pre_floor = max(now, s[c + CHANNEL_READY + PRE])
    protect = NO_KEY if s[c + ROW_HIT_VARIANT] != 0 else 0
    row = NO_PLAN
    queued = s[c + QUEUED_BANKS + queue]
    but_one = queued & (queued - 1)
    if but_one & (but_one - 1) == 0:
        # All wait for one bank or two, as in a stream.
        while queued != 0:
            b = lowest_bit(queued)
            queued &= queued - 1
            column = min(column, _hit_key(s, c, queue, now, floor, b))
            row = min(row, _other_key(s, c, queue, now, act_floor, pre_floor, protect, b))
    else:
        # No branches, for vector instructions.
        for b in range(t[LANES]):
            column = min(column, _hit_key(s, c, queue, now, floor, b))
        for b in range(t[LANES]):
            row = min(row, _other_key(s, c, queue, now, act_floor, pre_floor, protect, b))
    return column, row


@inlined
def _decide(s: Words, c: int, t: Words) -> None:
    """Make the plan: what happens next if no request arrives."""
    now = s[c + NOW]
    if now >= s[c + REFRESH_AT]:
        s[c + REFRESH_WAITING] += t[UNITS]
        s[c + COUNT + REFRESHES_DUE] += t[UNITS]
        s[c + REFRESH_AT] += t[REFRESH_INTERVAL]
    row_slot = s[c + ROW_SLOT] != 0
    column = NO_PLAN
    if s[c + ACTIVE_BANKS] != 0 and not row_slot:
        column = _best_active(s, c, now, t[LANES])
    if s[c + REFRESH_WAITING] > 0:
        row = _best_refresh(s, c, t, now)
    else:
        if column >> _CLOCK_SHIFT != 0 and s[c + UNDECIDED_MODE] != 0:
            s[c + WRITE_MODE] = _wanted_mode(s, c)
            s[c + UNDECIDED_MODE] = 0
        active = column
        column, row = _best_queued(s, c, t, now, active)
        if row_slot:
            column = active
    best = min(column, row)
    if t[TWO_BUSES] != 0 and column >> _CLOCK_SHIFT == row >> _CLOCK_SHIFT:
        best = column
    s[c + PLANNED] = 1
    _set_plan(s, c, now, best)


@inlined
def _set_plan(s: Words, c: int, now: int, key: int) -> None:
    clock = now + (key >> _CLOCK_SHIFT)
    if key >= NO_PLAN:
        clock = NEVER
    if clock >= s[c + REFRESH_AT]:
        s[c + PLAN_CLOCK] = s[c + REFRESH_AT]
        s[c + PLAN_LANE] = WAKE_LANE
    else:
        s[c + PLAN_CLOCK] = clock
        s[c + PLAN_LANE] = key & _LANE_MASK


# --- issuing ----------------------------------------------------------------------------------------


@inlined
def _log(s: Words, c: int, log: Words, clock: int, command: int, bank: int, slot: int) -> None:
    """Write down a command; `slot` is the request that it is for, or NOBODY."""
    if s[c + LOG_FREE] < 0:
        return
    line = LOG_COLUMNS * (s[c + LOG_BEGIN] + s[c + LOG_LENGTH])
    log[line] = clock
    log[line + 1] = command
    log[line + 2] = bank
    log[line + 3] = NOBODY if slot == NOBODY else s[c + SLOT_ROW + slot]
    log[line + 4] = NOBODY if slot == NOBODY else s[c + SLOT_PLACE + slot]
    s[c + LOG_LENGTH] += 1
    s[c + LOG_FREE] -= 1


@inlined
def _issue(s: Words, c: int, t: Words, log: Words) -> None:
    """Carry out the plan."""
    clock = s[c + PLAN_CLOCK]
    lane = s[c + PLAN_LANE]
    bank = lane & (MAX_BANKS - 1)
    kind = lane >> _KIND_BITS
    if kind == 0:
        command = _issue_hit(s, c, t, log, bank, clock)
    elif kind == 1:
        command = _issue_active(s, c, t, log, bank, clock)
    elif kind == 2:
        command = _issue_other(s, c, t, log, bank, clock)
    else:
        bank = s[c + REFRESH_UNIT] * t[UNIT_BANKS]
        command = _issue_refresh(s, c, t, log, bank, clock)
    s[c + COUNT + ISSUED + command] += 1
    _restrain(s, c, t, command, bank, clock)
    s[c + PLANNED] = 0
    # On two buses, the row command of the same clock comes next.
    row_slot = int(t[TWO_BUSES] != 0 and kind <= 1)
    s[c + ROW_SLOT] = row_slot
    s[c + NOW] = clock + 1 - row_slot


@inlined
def _issue_hit(s: Words, c: int, t: Words, log: Words, bank: int, clock: int) -> int:
    """RD or WR of a queued request."""
    queue = s[c + WRITE_MODE]
    at = queue * MAX_BANKS + bank
    slot = s[c + HIT_SLOT + at]
    if s[c + SLOT_BEGUN + slot] == 0:
        s[c + COUNT + HITS] += 1
    _log(s, c, log, clock, RD + queue, bank, slot)
    younger = s[c + SLOT_NEXT + slot]
    _remove(s, c, queue, bank, slot)
    _set_hit(s, c, at, younger)
    _serve(s, c, t, RD + queue, slot, clock)
    return RD + queue


@inlined
def _issue_active(s: Words, c: int, t: Words, log: Words, bank: int, clock: int) -> int:
    """RD or WR of the request for which the bank was opened."""
    command = s[c + ACTIVE_COMMAND + bank]
    slot = s[c + ACTIVE_SLOT + bank]
    _log(s, c, log, clock, command, bank, slot)
    s[c + ACTIVE_BANKS] ^= 1 << bank
    s[c + ACTIVE_KEY + bank] = NO_KEY
    _serve(s, c, t, command, slot, clock)
    return command


@inlined
def _issue_other(s: Words, c: int, t: Words, log: Words, bank: int, clock: int) -> int:
    """ACT or PREpb for a queued request."""
    queue = s[c + WRITE_MODE]
    slot = s[c + OTHER_SLOT + queue * MAX_BANKS + bank]
    begun = s[c + SLOT_BEGUN + slot]
    s[c + SLOT_BEGUN + slot] = 1
    if s[c + OPEN_ROW + bank] != CLOSED:
        _log(s, c, log, clock, PRE, bank, slot)
        s[c + COUNT + CONFLICTS] += 1 - begun
        _row_closed(s, c, t, bank, clock)
        return PRE
    _log(s, c, log, clock, ACT, bank, slot)
    s[c + COUNT + MISSES] += 1 - begun
    _remove(s, c, queue, bank, slot)
    s[c + ACTIVE_SLOT + bank] = slot
    s[c + ACTIVE_KEY + bank] = s[c + SLOT_AGE + slot]
    s[c + ACTIVE_COMMAND + bank] = RD + queue
    s[c + ACTIVE_BANKS] |= 1 << bank
    _row_opened(s, c, t, bank, s[c + SLOT_ROW + slot], clock)
    return ACT


@inlined
def _issue_refresh(s: Words, c: int, t: Words, log: Words, first_bank: int, clock: int) -> int:
    """REFab of the unit whose turn it is, or the PREab that it needs first."""
    unit = s[c + REFRESH_UNIT]
    if s[c + UNIT_OPEN + unit] > 0:
        _log(s, c, log, clock, PREA, first_bank, NOBODY)
        for b in range(first_bank, first_bank + t[UNIT_BANKS]):
            if s[c + OPEN_ROW + b] != CLOSED:
                _row_closed(s, c, t, b, clock)
        return PREA
    _log(s, c, log, clock, REF, first_bank, NOBODY)
    s[c + REFRESH_WAITING] -= 1
    s[c + REFRESH_UNIT] = 0 if unit + 1 == t[UNITS] else unit + 1
    return REF


# --- what front ends call ---------------------------------------------------------------------------


@inlined
def _next_command(s: Words, c: int, t: Words, limit: int) -> int:
    """The clock of the next command if it comes by `limit`, which then is the plan; else NEVER."""
    while s[c + NOW] <= limit:
        if s[c + PLANNED] == 0:
            _decide(s, c, t)
        if s[c + ROW_SLOT] != 0 and s[c + PLAN_CLOCK] > s[c + NOW]:
            s[c + ROW_SLOT] = 0
            s[c + NOW] += 1
            s[c + PLANNED] = 0
        elif s[c + PLAN_CLOCK] > limit:
            return NEVER
        elif s[c + PLAN_LANE] == WAKE_LANE:
            s[c + NOW] = s[c + PLAN_CLOCK]
            s[c + PLANNED] = 0
        else:
            return s[c + PLAN_CLOCK]
    return NEVER


@inlined
def next_event(s: Words, c: int, t: Words, limit: int) -> int:
    """The clock in which a command or a refresh may come, if by `limit`; nothing is ticked."""
    if s[c + NOW] > limit:
        return NEVER
    if s[c + PLANNED] == 0:
        _decide(s, c, t)
    return s[c + NOW] if s[c + ROW_SLOT] != 0 else s[c + PLAN_CLOCK]


@inlined
def step(s: Words, c: int, t: Words, log: Words, limit: int) -> bool:
    """Carry out the next command, if it comes by clock `limit`; else be ready for the clock after it."""
    if _next_command(s, c, t, limit) == NEVER:
        s[c + NOW] = max(s[c + NOW], limit + 1)
        return False
    _issue(s, c, t, log)
    return True


@inlined
def paused(s: Words, c: int) -> bool:
    """Whether log or spill must be emptied before the channel can go on."""
    return bool(s[c + LOG_FREE] == 0 or s[c + SPILLED] >= SPILL - 1)


REFUSED, TAKEN, ANSWERED = 0, 1, 2


@inlined
def offer(
    s: Words, c: int, t: Words, queue: int, bank: int, row: int, place: int, clock: int, tag: int
) -> int:
    """Offer a request in `clock`; the clocks before it have been ticked.

    REFUSED if the queue is full, ANSWERED if the write queue could answer or absorb it, else TAKEN.
    """
    if waits_as_write(s, c, bank, row, place):
        _answer(s, c, queue, clock, tag)
        return ANSWERED
    if s[c + QUEUED + queue] >= QUEUE:
        return REFUSED
    slot = _enter(s, c, queue, bank, row, place, clock, tag)
    first = is_candidate(s, c, queue, bank, slot)
    if s[c + UNDECIDED_MODE] != 0 or _wanted_mode(s, c) != s[c + WRITE_MODE]:
        s[c + UNDECIDED_MODE] = 1
        s[c + PLANNED] = 0
    elif first and s[c + WRITE_MODE] == queue and s[c + PLANNED] != 0:
        _reconsider(s, c, t, queue, bank, row, clock)
    return TAKEN


@inlined
def waits_as_write(s: Words, c: int, bank: int, row: int, place: int) -> bool:
    """Whether a write to this address waits in the queue."""
    if s[c + QUEUED + WRITES] > 0 and s[c + WRITE_FILTER + _hash(bank, row, place)] > 0:
        slot = s[c + HEAD + WRITES * MAX_BANKS + bank]
        while slot != NOBODY:
            if s[c + SLOT_ROW + slot] == row and s[c + SLOT_PLACE + slot] == place:
                return True
            slot = s[c + SLOT_NEXT + slot]
    return False


@inlined
def _answer(s: Words, c: int, queue: int, clock: int, tag: int) -> None:
    """From the write queue: a read is forwarded what waits there, a write is merged into it."""
    s[c + COUNT + ACCEPTED + queue] += 1
    if queue == READS:
        s[c + COUNT + FORWARDED] += 1
        release = _complete_read(s, c, clock - 1, clock)
        s[c + TAG_RELEASE + tag] = max(release, s[c + TAG_RELEASE + tag])
    else:
        s[c + COUNT + MERGED] += 1


@inlined
def _enter(s: Words, c: int, queue: int, bank: int, row: int, place: int, clock: int, tag: int) -> int:
    """Give a request a slot at the end of its queue."""
    s[c + COUNT + ACCEPTED + queue] += 1
    free = s[c + FREE_SLOTS] - 1
    s[c + FREE_SLOTS] = free
    slot = s[c + FREE + free]
    s[c + SLOT_ROW + slot] = row
    s[c + SLOT_PLACE + slot] = place
    s[c + SLOT_AGE + slot] = s[c + NEXT_AGE]
    s[c + NEXT_AGE] += 1
    s[c + SLOT_ARRIVAL + slot] = clock - 1
    s[c + SLOT_BEGUN + slot] = 0
    s[c + SLOT_TAG + slot] = tag
    if queue == READS:
        s[c + TAG_WAITING + tag] += 1
    link(s, c, queue, bank, slot)
    return slot


@inlined
def is_candidate(s: Words, c: int, queue: int, bank: int, slot: int) -> bool:
    """Whether the newest request is the first of its sort in its bank; then it is noted as that."""
    at = queue * MAX_BANKS + bank
    if s[c + OPEN_ROW + bank] == s[c + SLOT_ROW + slot]:
        if s[c + HIT_KEY + at] != NO_KEY:
            return False
        s[c + HIT_SLOT + at] = slot
        s[c + HIT_KEY + at] = s[c + SLOT_AGE + slot]
    else:
        if s[c + OTHER_KEY + at] != NO_KEY:
            return False
        s[c + OTHER_SLOT + at] = slot
        s[c + OTHER_KEY + at] = s[c + SLOT_AGE + slot]
    return True


@inlined
def _reconsider(s: Words, c: int, t: Words, queue: int, bank: int, row: int, clock: int) -> None:
    """The newest request joins the candidates: being the youngest, it comes first only if earlier."""
    if t[TWO_BUSES] != 0:
        s[c + PLANNED] = 0
        return
    if s[c + REFRESH_WAITING] > 0:
        return
    open_row = s[c + OPEN_ROW + bank]
    command, lane = RD + queue, HIT_LANE
    if open_row != row:
        command, lane = (ACT if open_row == CLOSED else PRE), OTHER_LANE
        protected = s[c + ROW_HIT_VARIANT] != 0 and s[c + HIT_KEY + queue * MAX_BANKS + bank] != NO_KEY
        if s[c + ACTIVE_KEY + bank] != NO_KEY or protected:
            return
    legal = max(clock, s[c + READY + command * MAX_BANKS + bank], s[c + CHANNEL_READY + command])
    if legal < s[c + PLAN_CLOCK]:
        s[c + PLAN_CLOCK] = legal
        s[c + PLAN_LANE] = lane + bank
