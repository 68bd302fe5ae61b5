"""Addresses to channel, bank, row and place in the row, by the fields of a mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colfw_memory.controller.compiling import compiled
from colfw_memory.mapping import Part

if TYPE_CHECKING:
    from colfw_memory.controller.words import Integers
    from colfw_memory.mapping import AddressMapping

PART, WEIGHT = 0, 2
CHANNEL, BANK, ROW, COLUMN = Part.CHANNEL.value, Part.BANK.value, Part.ROW.value, Part.COLUMN.value


class Decoded(NamedTuple):
    """Where each address of a trace lies."""

    channel: Integers
    bank: Integers
    row: Integers
    place: Integers
    """Byte within the row."""


class Decoder:
    """Decodes a block of addresses at a time, in memory that is used again for the next."""

    def __init__(self, mapping: AddressMapping, burst_bytes: int, block: int) -> None:
        fields = [(field.part, field.size, field.weight) for field in mapping.fields]
        # The byte within the burst is the lowest field, and a part of the place.
        self._fields = np.array([(COLUMN, burst_bytes, 1), *fields], np.int64)
        self._fields[1:, WEIGHT] *= np.where(self._fields[1:, PART] == COLUMN, burst_bytes, 1)
        self._parts = np.empty((len(Part), block), np.int64)
        self._rest = np.empty(block, np.int64)

    def decode(self, address: Integers) -> Decoded:
        """Where addresses lie, as many as a block at most; good until the next call."""
        count = len(address)
        parts, rest = self._parts[:, :count], self._rest[:count]
        parts[:] = 0
        rest[:] = address
        for part, size, weight in self._fields.tolist():
            _take(rest, parts[part], size, weight)
        return Decoded(parts[CHANNEL], parts[BANK], parts[ROW], parts[COLUMN])


def decode(mapping: AddressMapping, address: Integers, burst_bytes: int) -> Decoded:
    """All addresses at once."""
    return Decoder(mapping, burst_bytes, len(address)).decode(address)


@compiled
def _take(rest: Integers, part: Integers, size: int, weight: int) -> None:
    """Divide `rest` by a field and add the remainder to its part."""
    if size & (size - 1) == 0:
        shift = 0
        while 1 << shift < size:
            shift += 1
        for i in range(len(rest)):
            part[i] += (rest[i] & (size - 1)) * weight
            rest[i] >>= shift
    else:
        for i in range(len(rest)):
            quotient = rest[i] // size
            part[i] += (rest[i] - quotient * size) * weight
            rest[i] = quotient
