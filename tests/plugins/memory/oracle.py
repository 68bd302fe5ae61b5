"""The oracle: docs/memory.md again, one clock at a time, in the plainest Python.

The compiled kernel skips clocks, keeps plans and packs its state; what it may not do is differ from
this. So nothing here is clever: every clock is visited, every waiting request is looked at, every
constraint is a row of the device. The two share no code but the nouns that describe devices, traces and
programs. `replay` is the open loop, `run` the closed one.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, deque
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

from attrs import define, field, frozen

from colfw.dram.device import Role
from colfw.testing.strategies import unrolled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from colfw.dram.device import Device, DeviceCommand
    from colfw.dram.requests import Trace
    from colfw.program import Move, Program, Tile

QUEUE_REQUESTS = 32
"""Of the read queue, and of the write queue."""
HIGH_WATERMARK = Fraction(8, 10)
LOW_WATERMARK = Fraction(2, 10)
POSTPONED_INTERVALS = 8
"""Of refresh, at most, that a controller may be behind."""

Scheduler = Literal["frfcfs", "frfcfs-row-hit"]
Writes = Literal["read-latency", "served", "posted"]
Node = tuple[int, ...]
"""Indices from the level below the channel downwards; the channel itself is ()."""


class Place(NamedTuple):
    """Where an address lies."""

    channel: int
    bank: Node
    row: int
    column: int


Mapping = Callable[[int], Place]


def robaracoch(device: Device, channels: int) -> Mapping:
    """From the lowest bits up: burst offset, channel, column, the levels from the top to the bank, row."""

    def place(address: int) -> Place:
        rest, channel = divmod(address // device.burst_bytes, channels)
        rest, column = divmod(rest, device.bursts_per_row)
        bank = []
        for _, count in device.levels[1:]:
            rest, index = divmod(rest, count)
            bank.append(index)
        return Place(channel, tuple(bank), rest, column)

    return place


class Command(NamedTuple):
    """A command as it was issued: -1 below the scope of an all-bank command."""

    clock: int
    channel: int
    name: str
    levels: Node
    row: int
    column: int


@define(eq=False, kw_only=True)
class Request:
    """One burst to read or to write."""

    number: int
    """In the order in which they were taken: the lower one is older."""
    is_write: bool
    address: int
    arrival: int
    place: Place
    decided: bool = False
    """Whether it is known as a row hit, miss or conflict: whether a command was issued for it."""
    departure: int = 0
    """Of a read: the clock before which it is not complete."""
    on_done: Callable[[int], None] = lambda clock: None
    """Called with the clock in which a read completes or a WR is issued."""


class Timing:
    """From which clock on each command is legal, at every node of a channel's tree."""

    def __init__(self, device: Device) -> None:
        self.depth = {level: depth for depth, (level, _) in enumerate(device.levels)}
        counts = [count for _, count in device.levels[1:]]
        self.nodes = [
            list(itertools.product(*(range(count) for count in counts[:depth])))
            for depth in range(len(device.levels))
        ]
        depths = range(len(self.nodes))
        self.concerned = {
            node: [at for depth in depths for at in self.touched(node, depth)]
            for level in self.nodes
            for node in level
        }
        self.constraints = device.constraints
        self.past: dict[tuple[int, Node], list[int]] = {}
        self.earliest: dict[tuple[str, Node], int] = {}

    def legal(self, command: str, node: Node, clock: int) -> bool:
        """A command must be legal at every level of the path to its node, and in every node below it."""
        return all(self.earliest.get((command, at), 0) <= clock for at in self.concerned[node])

    def issued(self, command: str, node: Node, clock: int) -> None:
        """Constraints combine by the maximum; a window counts back from the latest issue at a node."""
        for number, constraint in enumerate(self.constraints):
            if command not in constraint.preceding:
                continue
            depth = self.depth[constraint.level]
            for touched in self.touched(node, depth):
                past = self.past.setdefault((number, touched), [])
                past.append(clock)
                if len(past) < constraint.window:
                    continue
                legal_at = past[-constraint.window] + constraint.clocks
                for waiting in self.others(touched) if constraint.sibling else [touched]:
                    for following in constraint.following:
                        known = self.earliest.get((following, waiting), 0)
                        self.earliest[following, waiting] = max(known, legal_at)

    def touched(self, node: Node, depth: int) -> list[Node]:
        """The nodes of a level that a command at `node` is for: above it one, below it all."""
        return [at for at in self.nodes[depth] if at[: len(node)] == node[:depth]]

    def others(self, node: Node) -> list[Node]:
        """The siblings of a node: those of the same parent."""
        return [at for at in self.nodes[len(node)] if at != node and at[:-1] == node[:-1]]


@define
class Counts:
    """What one channel did."""

    cycles: int = 0
    row_hits: int = 0
    row_misses: int = 0
    row_conflicts: int = 0
    reads: int = 0
    writes: int = 0
    reads_served: int = 0
    writes_served: int = 0
    reads_forwarded: int = 0
    writes_merged: int = 0
    refreshes_due: int = 0
    refreshes_issued: int = 0
    refreshes_waiting: int = 0
    left_over: int = 0
    undecided: int = 0
    """Of those left over, the ones for which no command had been issued."""
    read_latencies: Counter[int] = field(factory=Counter)
    """Of the reads completed: how often each latency, in clocks."""

    @property
    def read_latency(self) -> int:
        return sum(clocks * often for clocks, often in self.read_latencies.items())


class Channel:
    """One channel: its queues, its controller and its banks."""

    def __init__(self, device: Device, number: int, scheduler: Scheduler, *, refresh: bool) -> None:
        self.number = number
        self.keeps_row_hits = scheduler == "frfcfs-row-hit"
        self.refreshes = refresh
        self.refresh_interval_clocks = device.refresh_interval_clocks
        self.read_latency_clocks = device.read_latency_clocks
        self.commands = {
            command.role: command for command in device.commands if command.role is not Role.UNUSED
        }
        self.buses = sorted({command.bus for command in self.commands.values()})
        assert self.buses in ([""], ["column", "row"]), self.buses
        self.timing = Timing(device)
        self.refresh_scopes = self.timing.nodes[self.timing.depth[self.commands[Role.REFRESH].scope]]
        self.bank_depth = len(device.levels) - 1

        self.open_rows: dict[Node, int] = {}
        self.read_queue: list[Request] = []
        self.write_queue: list[Request] = []
        self.active: list[Request] = []
        self.returning: deque[Request] = deque()
        """Reads whose RD is issued or that were forwarded, in that order."""
        self.refreshes_waiting: deque[Node] = deque()
        self.refreshes_postponed: deque[Node] = deque()
        """Due as well, but nobody has called for them."""
        self.postpones = False
        self.write_mode = False
        self.log: list[Command] = []
        self.counts = Counts()

    # --- the front end's side -------------------------------------------------------------------------

    def merges(self, address: int) -> bool:
        """Whether a write of this address waits, so that another merges and a read is forwarded."""
        return any(request.address == address for request in self.write_queue)

    def take(self, request: Request) -> bool:
        """False: the queue is full, and nothing has happened."""
        waits = self.merges(request.address)
        queue = self.write_queue if request.is_write else self.read_queue
        if not waits and len(queue) == QUEUE_REQUESTS:
            return False
        if request.is_write:
            self.counts.writes += 1
        else:
            self.counts.reads += 1
        if not waits:
            queue.append(request)
        elif request.is_write:
            self.counts.writes_merged += 1
        else:
            self.counts.reads_forwarded += 1
            request.departure = request.arrival + 1
            self.returning.append(request)
        return True

    @property
    def has_nothing_to_serve(self) -> bool:
        return not (self.read_queue or self.write_queue or self.active)

    @property
    def is_idle(self) -> bool:
        return self.has_nothing_to_serve and not self.returning

    def call_refreshes(self) -> None:
        """Postpone no longer what has fallen due."""
        self.refreshes_waiting.extend(self.refreshes_postponed)
        self.refreshes_postponed.clear()

    # --- one clock --------------------------------------------------------------------------------------

    def tick(self, clock: int) -> None:
        self.counts.cycles += 1
        self.complete_reads(clock)
        if self.refreshes and clock % self.refresh_interval_clocks == 0:
            due = self.refreshes_postponed if self.postpones else self.refreshes_waiting
            due.extend(self.refresh_scopes)
            self.counts.refreshes_due += len(self.refresh_scopes)
        for bus in self.buses:
            self.issue_one(bus, clock)

    def complete_reads(self, clock: int) -> None:
        """Reads complete in order: one that was forwarded waits for the reads before it."""
        while self.returning and self.returning[0].departure <= clock:
            request = self.returning.popleft()
            self.counts.read_latencies[request.departure - request.arrival] += 1
            request.on_done(clock)

    def issue_one(self, bus: str, clock: int) -> None:
        """Active requests, then a waiting refresh, then the queues."""
        legal = [request for request in self.active if self.may_issue(request, bus, clock)]
        if legal:
            self.serve(oldest(legal), clock)
        elif self.refreshes_waiting:
            self.refresh(self.refreshes_waiting[0], bus, clock)
        else:
            self.choose_mode()
            queue = self.write_queue if self.write_mode else self.read_queue
            legal = [
                request
                for request in queue
                if self.may_issue(request, bus, clock) and not self.is_held_back(request, queue)
            ]
            if legal:
                self.serve(oldest(legal), clock)

    def choose_mode(self) -> None:
        filled = Fraction(len(self.write_queue), QUEUE_REQUESTS)
        if not self.write_mode:
            self.write_mode = filled > HIGH_WATERMARK or not self.read_queue
        elif filled < LOW_WATERMARK and self.read_queue:
            self.write_mode = False

    # --- requests ---------------------------------------------------------------------------------------

    def next_command(self, request: Request) -> DeviceCommand:
        open_row = self.open_rows.get(request.place.bank)
        if open_row is None:
            return self.commands[Role.ACTIVATE]
        if open_row != request.place.row:
            return self.commands[Role.PRECHARGE]
        return self.commands[Role.WRITE if request.is_write else Role.READ]

    def may_issue(self, request: Request, bus: str, clock: int) -> bool:
        command = self.next_command(request)
        return command.bus == bus and self.timing.legal(command.name, request.place.bank, clock)

    def is_held_back(self, request: Request, queue: Sequence[Request]) -> bool:
        """A row is not closed under an active request, nor by `frfcfs-row-hit` under an older hit."""
        if self.next_command(request).role is not Role.PRECHARGE:
            return False
        bank = request.place.bank
        older_hits = (
            other
            for other in queue
            if other.number < request.number
            and other.place.bank == bank
            and other.place.row == self.open_rows[bank]
        )
        return any(other.place.bank == bank for other in self.active) or (
            self.keeps_row_hits and any(older_hits)
        )

    def serve(self, request: Request, clock: int) -> None:
        """Issue the next command of a request."""
        command = self.next_command(request)
        bank, row, column = request.place.bank, request.place.row, request.place.column
        self.timing.issued(command.name, bank, clock)
        self.log.append(Command(clock, self.number, command.name, bank, row, column))
        self.decide(request, command.role)
        match command.role:
            case Role.PRECHARGE:
                del self.open_rows[bank]
            case Role.ACTIVATE:
                self.open_rows[bank] = row
                self.leave_queue(request)
                self.active.append(request)
            case Role.READ:
                self.leave_queue(request)
                self.counts.reads_served += 1
                request.departure = clock + self.read_latency_clocks
                self.returning.append(request)
            case Role.WRITE:
                self.leave_queue(request)
                self.counts.writes_served += 1
                request.on_done(clock)

    def decide(self, request: Request, role: Role) -> None:
        """The first command issued for a request says whether its row was open, none or another."""
        if request.decided:
            return
        request.decided = True
        self.counts.row_hits += role in (Role.READ, Role.WRITE)
        self.counts.row_misses += role is Role.ACTIVATE
        self.counts.row_conflicts += role is Role.PRECHARGE

    def leave_queue(self, request: Request) -> None:
        for place in (self.read_queue, self.write_queue, self.active):
            if request in place:
                place.remove(request)

    # --- refresh ----------------------------------------------------------------------------------------

    def refresh(self, scope: Node, bus: str, clock: int) -> None:
        """PREab where a bank is open and none is in use, then REFab; each as soon as it is legal."""

        def inside(bank: Node) -> bool:
            return bank[: len(scope)] == scope

        is_open = any(inside(bank) for bank in self.open_rows)
        in_use = any(inside(request.place.bank) for request in self.active)
        command = self.commands[Role.PRECHARGE_ALL if is_open else Role.REFRESH]
        if in_use or command.bus != bus or not self.timing.legal(command.name, scope, clock):
            return
        self.timing.issued(command.name, scope, clock)
        unnamed = (-1,) * (self.bank_depth - len(scope))
        self.log.append(Command(clock, self.number, command.name, scope + unnamed, -1, -1))
        if is_open:
            self.open_rows = {bank: row for bank, row in self.open_rows.items() if not inside(bank)}
        else:
            self.refreshes_waiting.popleft()
            self.counts.refreshes_issued += 1

    # --- the end ----------------------------------------------------------------------------------------

    def closed(self) -> Counts:
        """The counts, with what was left when the simulation ended."""
        left = [*self.read_queue, *self.write_queue, *self.active]
        self.counts.left_over = len(left)
        self.counts.undecided = sum(not request.decided for request in left)
        self.counts.refreshes_waiting = len(self.refreshes_waiting) + len(self.refreshes_postponed)
        return self.counts


def oldest(requests: Iterable[Request]) -> Request:
    return min(requests, key=lambda request: request.number)


# --- open loop ------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class OracleReplay:
    """What a replay gives, a list entry a channel."""

    commands: list[list[Command]]
    counts: list[Counts]

    def rows(self, command_names: Sequence[str]) -> list[list[int]]:
        """All commands as the rows of a command log: channel by channel, names as numbers."""
        return rows_of(self.commands, command_names)


def rows_of(commands: Iterable[Iterable[Command]], command_names: Sequence[str]) -> list[list[int]]:
    number = {name: index for index, name in enumerate(command_names)}
    return [
        [one.clock, one.channel, number[one.name], *one.levels, one.row, one.column]
        for channel in commands
        for one in channel
    ]


def replay(
    device: Device,
    trace: Trace,
    *,
    channels: int = 1,
    mapping: Mapping | None = None,
    scheduler: Scheduler = "frfcfs",
    refresh: bool = True,
    clocks_apart: Fraction = Fraction(1),
    drain: bool = False,
) -> OracleReplay:
    """Offer the requests in order, and again while they are refused.

    Clock k is the time from k - 1 to k; the i-th request is due in the clock that i * `clocks_apart` lies in.
    At most one a clock is taken, or as many as are due in one where they are less than a clock apart.
    """
    mapping = mapping or robaracoch(device, channels)
    simulated = [Channel(device, number, scheduler, refresh=refresh) for number in range(channels)]
    most_a_clock = math.ceil(1 / clocks_apart)
    taken = 0
    for clock in itertools.count(1):
        for _ in range(most_a_clock):
            if taken == len(trace) or clock < 1 + math.floor(taken * clocks_apart):
                break
            address = int(trace.address[taken])
            request = Request(
                number=taken,
                is_write=bool(trace.is_write[taken]),
                address=address,
                arrival=clock - 1,
                place=mapping(address),
            )
            if not simulated[request.place.channel].take(request):
                break
            taken += 1
        if taken == len(trace) and (not drain or all(channel.is_idle for channel in simulated)):
            break
        for channel in simulated:
            channel.tick(clock)
    return OracleReplay(
        commands=[channel.log for channel in simulated],
        counts=[channel.closed() for channel in simulated],
    )


# --- closed loop ----------------------------------------------------------------------------------------


@frozen(kw_only=True)
class OracleRun:
    """What running a program gives; of the lists, an entry a channel."""

    core_cycles: int
    compute_core_cycles: int
    other_core_cycles: int
    memory_clocks: int
    commands: list[list[Command]]
    counts: list[Counts]

    @property
    def stall_core_cycles(self) -> int:
        return self.core_cycles - self.compute_core_cycles - self.other_core_cycles


def runs_of(move: Move) -> Iterator[tuple[int, int]]:
    """Where in its tensor each run of a transfer begins, and how many bytes it has."""
    for offset_bytes, run_bytes, runs, stride_bytes in move.strided_runs.tolist():
        for run in range(runs):
            yield offset_bytes + run * stride_bytes, run_bytes


@define(eq=False, kw_only=True)
class Burst:
    """One request that a program makes, and when it was taken."""

    tile: TileRun
    transfer: Move
    address: int
    taken_at: int | None = None


@define(eq=False, kw_only=True)
class TileRun:
    """A tile on its way; times are memory clocks, None while it is not known."""

    number: int
    tile: Tile
    loads_missing: int = 0
    """Loads that have not completed."""
    loaded_at: int = 0
    """When the latest load completed."""
    last_store_to: dict[str, Burst] = field(factory=dict)
    """Tensor -> the last store to it. Stores go in order: when it is taken, all before it are."""
    last_store_from: dict[str, Burst] = field(factory=dict)
    """Buffer -> the last store from it."""
    end_core_cycle: int | None = None
    ended_at: Fraction | None = None

    def has_ended(self, clock: int) -> bool:
        """As the front end sees it in this clock."""
        return self.ended_at is not None and self.ended_at <= clock - 1

    def loads_into(self, buffer: str) -> bool:
        return any(
            transfer.direction == "read" and transfer.buffer == buffer for transfer in self.tile.transfers
        )


def was_taken(burst: Burst, clock: int) -> bool:
    """As the front end sees it in this clock."""
    return burst.taken_at is not None and burst.taken_at <= clock - 1


class FrontEnd:
    """Tiles, their computation, and the port through which their requests go."""

    def __init__(
        self,
        device: Device,
        program: Program,
        *,
        channels: list[Channel],
        mapping: Mapping,
        requests_per_clock: int,
        writes: Writes,
        window_requests: int | None,
        postpone: bool,
    ) -> None:
        self.device = device
        self.postpone = postpone
        self.program = program
        self.channels = channels
        self.mapping = mapping
        self.requests_per_clock = requests_per_clock
        self.writes = writes
        self.window_requests = window_requests
        self.clocks_per_core_cycle = Fraction(10**12, device.clock_ps * program.core_clock_hz)
        self.slots = {buffer.name: buffer.slots for buffer in program.buffers}
        self.tiles = [
            TileRun(number=number, tile=tile) for number, tile in enumerate(unrolled(program.steps))
        ]
        self.loads = deque(burst for tile in self.tiles for burst in self.bursts(tile, "read"))
        self.stores = deque(burst for tile in self.tiles for burst in self.bursts(tile, "write"))
        for burst in self.loads:
            burst.tile.loads_missing += 1
        for burst in self.stores:
            burst.tile.last_store_to[burst.transfer.tensor] = burst
            burst.tile.last_store_from[burst.transfer.buffer] = burst
        self.timed = 0
        """How many tiles have a computation of which the end is known."""
        self.ended = 0
        """How many tiles have a computation that has ended."""
        self.slots_held = 0
        self.writes_let_go_at: list[int] = []
        """When the slots of writes are free again that hold them for a fixed time."""
        self.taken = 0
        self.last_done_at = 0
        """When the latest read completed or the latest write was served."""
        self.entered = 0
        """How many tiles the loads have come to."""

    def bursts(self, tile: TileRun, direction: str) -> Iterator[Burst]:
        """Run by run, every burst that a run touches, from low to high addresses."""
        base = {tensor.name: tensor.base_bytes for tensor in self.program.tensors}
        burst_bytes = self.device.burst_bytes
        for transfer in tile.tile.transfers:
            if transfer.direction != direction:
                continue
            for offset_bytes, run_bytes in runs_of(transfer):
                first = base[transfer.tensor] + offset_bytes
                last = first + run_bytes - 1
                for number in range(first // burst_bytes, last // burst_bytes + 1):
                    yield Burst(tile=tile, transfer=transfer, address=number * burst_bytes)

    # --- computation ------------------------------------------------------------------------------------

    def time_computations(self) -> None:
        """Work out when computations end, of as many tiles as is known by now."""
        while self.timed < len(self.tiles):
            tile = self.tiles[self.timed]
            free_at = [self.slot_free_at(tile, buffer) for buffer in tile.last_store_from]
            if tile.loads_missing or None in free_at:
                return
            not_before = max([tile.loaded_at, *(at for at in free_at if at is not None)])
            before = self.tiles[self.timed - 1].end_core_cycle if self.timed else 0
            assert before is not None
            start = max(before, math.ceil(not_before / self.clocks_per_core_cycle))
            tile.end_core_cycle = start + tile.tile.busy_core_cycles
            tile.ended_at = tile.end_core_cycle * self.clocks_per_core_cycle
            self.timed += 1

    def slot_free_at(self, tile: TileRun, buffer: str) -> int | None:
        """When fewer than `slots` earlier tiles have stores from `buffer` left; None: not known yet.

        Tiles store in order: it is when the `slots`-th last of them has had its last store taken.
        """
        earlier = [
            other.last_store_from[buffer]
            for other in self.tiles[: tile.number]
            if buffer in other.last_store_from
        ]
        slots = self.slots[buffer]
        return earlier[-slots].taken_at if len(earlier) >= slots else 0

    # --- what may go ------------------------------------------------------------------------------------

    def next_store(self, clock: int) -> Burst | None:
        if self.stores and self.stores[0].tile.has_ended(clock):
            return self.stores[0]
        return None

    def next_load(self, clock: int) -> Burst | None:
        if self.loads and self.may_load(self.loads[0], clock):
            return self.loads[0]
        return None

    def may_load(self, burst: Burst, clock: int) -> bool:
        tile, tensor, buffer = burst.tile, burst.transfer.tensor, burst.transfer.buffer
        if not self.is_within_lead(tile, clock):
            return False
        filled = sum(other.loads_into(buffer) for other in self.tiles[self.ended : tile.number])
        if filled >= self.slots[buffer]:
            return False
        return all(
            was_taken(other.last_store_to[tensor], clock)
            for other in self.tiles[: tile.number]
            if tensor in other.last_store_to
        )

    def is_within_lead(self, tile: TileRun, clock: int) -> bool:
        """Whether loads may run ahead as far as this tile."""
        while self.ended < len(self.tiles) and self.tiles[self.ended].has_ended(clock):
            self.ended += 1
        return tile.number - self.ended <= max(self.slots.values(), default=1)

    # --- refreshes that are postponed ---------------------------------------------------------------------

    def call_refreshes(self) -> None:
        for channel in self.channels:
            channel.call_refreshes()

    def enter_tiles(self, clock: int) -> None:
        """Whenever the loads come to a tile, what fell due during the one before is refreshed."""
        while self.entered < len(self.tiles):
            tile = self.tiles[self.entered]
            if self.loads and self.loads[0].tile.number < tile.number:
                return
            if not self.is_within_lead(tile, clock):
                return
            self.entered += 1
            self.call_refreshes()

    def call_what_waits_too_long(self) -> None:
        for channel in self.channels:
            if len(channel.refreshes_postponed) >= POSTPONED_INTERVALS * len(channel.refresh_scopes):
                channel.call_refreshes()

    def notice_rest(self, clock: int) -> None:
        """Nothing is postponed while nothing waits and nothing can go until a computation ends."""
        at_rest = all(channel.has_nothing_to_serve for channel in self.channels)
        at_rest = at_rest and not all(tile.has_ended(clock) for tile in self.tiles)
        if at_rest:
            self.call_refreshes()
        for channel in self.channels:
            channel.postpones = not at_rest

    # --- the port ---------------------------------------------------------------------------------------

    def act(self, clock: int) -> None:
        """A clock's turns: the next store, else the next load; what is refused lets nothing pass."""
        self.time_computations()
        if self.postpone:
            self.call_what_waits_too_long()
            for channel in self.channels:
                channel.postpones = True
        for _ in range(self.requests_per_clock):
            if self.postpone:
                self.enter_tiles(clock)
            burst = self.next_store(clock) or self.next_load(clock)
            if burst is None and self.postpone:
                self.notice_rest(clock)
            if burst is None or not self.offer(burst, clock):
                return
            burst.taken_at = clock
            (self.loads if burst.transfer.direction == "read" else self.stores).popleft()

    def offer(self, burst: Burst, clock: int) -> bool:
        """False: the window or the queue refuses."""
        place = self.mapping(burst.address)
        channel = self.channels[place.channel]
        is_write = burst.transfer.direction == "write"
        needs_slot = (
            not is_write
            or {
                "posted": False,
                "served": not channel.merges(burst.address),
                "read-latency": True,
            }[self.writes]
        )
        if needs_slot and not self.slot_is_free(clock):
            return False

        def done(done_at: int) -> None:
            self.last_done_at = max(self.last_done_at, done_at)
            if not is_write:
                burst.tile.loads_missing -= 1
                burst.tile.loaded_at = done_at
            if not is_write or self.writes == "served":
                self.slots_held -= 1

        request = Request(
            number=self.taken,
            is_write=is_write,
            address=burst.address,
            arrival=clock - 1,
            place=place,
            on_done=done,
        )
        if not channel.take(request):
            return False
        self.taken += 1
        self.slots_held += needs_slot
        if is_write and self.writes == "read-latency":
            self.writes_let_go_at.append(clock + self.device.read_latency_clocks)
        return True

    def slot_is_free(self, clock: int) -> bool:
        let_go = [at for at in self.writes_let_go_at if at <= clock - 1]
        self.slots_held -= len(let_go)
        self.writes_let_go_at = self.writes_let_go_at[len(let_go) :]
        return self.window_requests is None or self.slots_held < self.window_requests

    # --- the end ----------------------------------------------------------------------------------------

    @property
    def end_core_cycle(self) -> int | None:
        """When the last computation ended; None while it is not known."""
        return self.tiles[-1].end_core_cycle if self.tiles else 0

    def ends_at(self) -> Fraction | None:
        """When computation, reads and writes are all done; None while it is not known."""
        self.time_computations()
        if self.end_core_cycle is None or self.loads or self.stores:
            return None
        if not all(channel.is_idle for channel in self.channels):
            return None
        return max(Fraction(self.last_done_at), self.end_core_cycle * self.clocks_per_core_cycle)


def run(
    device: Device,
    program: Program,
    *,
    channels: int = 1,
    mapping: Mapping | None = None,
    scheduler: Scheduler = "frfcfs",
    refresh: bool = True,
    postpone: bool = False,
    requests_per_clock: int = 1,
    writes: Writes = "read-latency",
    window_requests: int | Literal["of the program"] | None = "of the program",
) -> OracleRun:
    """Run a program to its end, if need be with another window than its own (None: no limit)."""
    simulated = [Channel(device, number, scheduler, refresh=refresh) for number in range(channels)]
    front_end = FrontEnd(
        device,
        program,
        channels=simulated,
        mapping=mapping or robaracoch(device, channels),
        requests_per_clock=requests_per_clock,
        writes=writes,
        window_requests=program.window_requests if window_requests == "of the program" else window_requests,
        postpone=refresh and postpone,
    )
    for clock in itertools.count(1):
        ends_at = front_end.ends_at()
        if ends_at is not None and ends_at <= clock - 1:
            break
        front_end.act(clock)
        for channel in simulated:
            channel.tick(clock)
    assert ends_at is not None
    return OracleRun(
        core_cycles=math.ceil(ends_at / front_end.clocks_per_core_cycle),
        compute_core_cycles=sum(tile.tile.compute_core_cycles for tile in front_end.tiles),
        other_core_cycles=sum(tile.tile.other_core_cycles for tile in front_end.tiles),
        memory_clocks=math.ceil(ends_at),
        commands=[channel.log for channel in simulated],
        counts=[channel.closed() for channel in simulated],
    )
