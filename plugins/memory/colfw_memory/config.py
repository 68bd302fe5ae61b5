"""What one may choose about the controller: light to import, for studies are checked with it."""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen, validators

_positive = validators.ge(1)


class Scheduler(StrEnum):
    """Which waiting request is next: the oldest whose command is legal."""

    FR_FCFS = "fr-fcfs"
    ROW_HIT = "fr-fcfs-row-hit"
    """And no row is closed while an older request for it waits."""


class Refresh(StrEnum):
    """What is refreshed, and when."""

    ALL_BANK = "all-bank"
    """All banks, as soon as it falls due."""
    POSTPONED = "postponed"
    """All banks; while a program runs, what falls due waits for the next tile, for 8 intervals at most."""
    NONE = "none"


class Ports(StrEnum):
    """How the channels are reached when a trace is replayed."""

    SHARED = "shared"
    """One front end offers one request a clock to whichever channel is its turn; all wait for it."""
    PER_CHANNEL = "per-channel"
    """Each channel has a front end and a clock of its own, and gets its requests of the trace in order."""


class Writes(StrEnum):
    """For how long a write of a program counts as in flight."""

    POSTED = "posted"
    """Not at all: the controller has acknowledged it when it takes it."""
    SERVED = "served"
    """Until its WR is issued."""
    READ_LATENCY = "read-latency"
    """For the latency of a read after it is taken: what the study's simulator did."""


@frozen(kw_only=True)
class DramConfig:
    """Options of every DRAM that colfw simulates."""

    channels: int | None = field(default=None, validator=validators.optional(_positive))
    """How many; the spec's number if not given."""
    mapping: str | None = None
    """Address fields from high to low, such as RoBaRaCoCh; the spec's if not given."""
    scheduler: Scheduler = field(default=Scheduler.FR_FCFS, converter=Scheduler)
    refresh: Refresh = field(default=Refresh.ALL_BANK, converter=Refresh)
    ports: Ports = field(default=Ports.SHARED, converter=Ports)
    """For traces; a program has one front end."""
    requests_per_clock: int = field(default=1, validator=_positive)
    """How many requests of a program the front end may hand over in one memory clock."""
    writes: Writes = field(default=Writes.POSTED, converter=Writes)
    skip_repetition: bool = True
    """Whether what recurs is computed once: the results are the same, only sooner."""
    timing: dict[str, int] = field(factory=dict)
    """Timings changed, in clocks (tCK_ps: in picoseconds)."""
    organisation: dict[str, int] = field(factory=dict)
    """Counts of levels, `rows`, `columns` or `channel_width_bits` changed."""
