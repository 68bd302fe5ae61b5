"""Streams of requests to a DRAM and what replaying one gives."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from colfw.dram.counts import total
from colfw.errors import InvariantError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from colfw.dram.counts import ChannelCounts
    from colfw.dram.device import Device


@frozen(kw_only=True, eq=False)
class Trace:
    """Requests in order: byte addresses, and which of them write."""

    is_write: NDArray[np.uint8]
    address: NDArray[np.int64]
    name: str = "trace"
    """Where it comes from, for messages."""

    def __attrs_post_init__(self) -> None:
        if self.is_write.shape != self.address.shape or self.address.ndim != 1:
            raise InvariantError("is_write and address must be two columns of equal length", where=self.name)

    def __len__(self) -> int:
        return len(self.address)


@frozen(kw_only=True, eq=False)
class CommandLog:
    """Every command that was issued: a row each, channel by channel, clock by clock."""

    columns: tuple[str, ...]
    """`clock`, `channel`, `command`, and the levels below the channel down to `Row` and `Column`."""
    names: tuple[str, ...]
    """What the numbers in column `command` stand for."""
    rows: NDArray[np.int64]
    """-1 below the scope of an all-bank command."""


@frozen(kw_only=True, eq=False)
class Replay:
    """What happened when a trace was offered, one request a clock."""

    channels: tuple[ChannelCounts, ...]
    commands: CommandLog | None = field(default=None)

    @property
    def total(self) -> ChannelCounts:
        return total(self.channels)


class Dram(Protocol):
    """A memory that is a DRAM: beyond programs, it replays traces and says what it is made of."""

    @property
    def device(self) -> Device: ...

    @property
    def channels(self) -> int: ...

    def replay(
        self,
        trace: Trace,
        *,
        log_commands: bool = False,
        clocks_apart: Fraction = Fraction(1),
        drain: bool = False,
    ) -> Replay:
        """Offer the requests in order, one every `clocks_apart` clocks, and again while a queue is full.

        The replay ends with the clock in which the last request is taken; with `drain`, when all are
        served.
        """
