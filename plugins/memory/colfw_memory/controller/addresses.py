"""Addresses to channel, bank, row and place in the row, by the fields of a mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colfw_memory.controller.compiling import compiled
from colfw_memory.mapping import Part

if TYPE_CHECKING:
    from colfw_memory.controller.words import Integers
    from colfw_memory.mapping import AddressMapping

CHANNEL, BANK, ROW, COLUMN = Part.CHANNEL.value, Part.BANK.value, Part.ROW.value, Part.COLUMN.value


class Decoded(NamedTuple):
    """Where each address of a trace lies."""

    channel: Integers
    bank: Integers
    row: Integers
    place: Integers
    """Byte within the row."""


def decode(mapping: AddressMapping, address: Integers, burst_bytes: int) -> Decoded:
    """All addresses at once."""
    parts = np.zeros((len(Part), len(address)), np.int64)
    rest = address // burst_bytes
    for field in mapping.fields:
        _take(rest, parts[field.part], field.size, field.weight)
    place = parts[COLUMN] * burst_bytes + address % burst_bytes
    return Decoded(parts[CHANNEL], parts[BANK], parts[ROW], place)


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
