"""Address mappings: which bits, or which remainders, of an address name channel, bank, row and column.

A mapping is written as its fields from high to low, `RoBaRaCoCh`: the burst's number in memory, divided
by the size of the lowest field, leaves the channel as remainder, and so on upwards. Sizes need not be
powers of two, so any number of channels is used evenly. A field that ends in a number is a part of that
size, as in `RoBaRaCoChCo4`, where four bursts in a row stay in one channel.

- `Ch` channel, `Ro` row, `Co` column, in bursts
- `Ra` what lies between channel and bank group: ranks or pseudo-channels
- `Ba` bank groups (low) and banks (high); or, if `Bg` is named as well, banks alone

What there is one of need not be named, and is no field of the mapping.
"""

from __future__ import annotations

import math
import re
from enum import IntEnum
from typing import TYPE_CHECKING

from attrs import frozen

from colfw.errors import StudyError

if TYPE_CHECKING:
    from colfw.dram.device import Device


class Part(IntEnum):
    """What a field of an address is a part of."""

    CHANNEL = 0
    BANK = 1
    ROW = 2
    COLUMN = 3


@frozen(kw_only=True)
class Field:
    """`address % size` counts `weight` times in its part; `address // size` goes on to the next field."""

    part: Part
    size: int
    weight: int


@frozen(kw_only=True)
class AddressMapping:
    """The fields of a burst's number, from low to high."""

    name: str
    fields: tuple[Field, ...]

    @property
    def low_fields(self) -> int:
        """How many fields lie below the lowest one of bank or row; all of them where there is none."""
        parts = [field.part for field in self.fields]
        return next((i for i, part in enumerate(parts) if part in (Part.BANK, Part.ROW)), len(parts))

    @property
    def stripe(self) -> int:
        """Bursts from one change of bank or row to the next, over all channels; all, if there is none."""
        return math.prod(field.size for field in self.fields[: self.low_fields])


MAX_FIELDS = 10
"""That say something: for so many the front end has room."""
_TOKEN = re.compile(r"(Ch|Ra|Bg|Ba|Ro|Co)([0-9]{0,18})")
_HINT = "such as RoBaRaCoCh, ChRaBaRoCo or RoBaRaCoChCo4"


def mapping_of(name: str, device: Device, channels: int) -> AddressMapping:
    """The mapping of that name for so many channels of a device; refused if it is not one to one."""
    tokens = _tokens(name)
    wholes = _wholes(device, channels, groups_apart=any(unit == "Bg" for unit, _ in tokens))
    fields: list[Field] = []
    for position, (unit, _) in enumerate(tokens):
        if unit not in wholes:
            raise StudyError(f"{device.name} has no {unit}", where=f"mapping {name!r}", hint=_HINT)
        parts = [size for token, size in tokens if token == unit]
        if parts == [None]:
            fields += wholes[unit]
        else:
            index = [token for token, _ in tokens[:position]].count(unit)
            fields.append(_part(name, unit, wholes[unit], parts, index))
    _check_complete(name, {unit for unit, _ in tokens}, wholes)
    # What there is one of needs no field.
    fields = [field for field in fields if field.size > 1]
    if len(fields) > MAX_FIELDS:
        raise StudyError(
            f"{len(fields)} fields; at most {MAX_FIELDS} can be told apart", where=f"mapping {name!r}"
        )
    return AddressMapping(name=name, fields=tuple(fields))


def _tokens(name: str) -> list[tuple[str, int | None]]:
    """The fields as written, from low to high, with their sizes where one is given."""
    found = _TOKEN.findall(name)
    if not found or "".join(unit + size for unit, size in found) != name:
        raise StudyError(f"unknown mapping {name!r}", hint=_HINT)
    return [(unit, int(size) if size else None) for unit, size in reversed(found)]


def _wholes(device: Device, channels: int, *, groups_apart: bool) -> dict[str, list[Field]]:
    """Every unit that an address must name, as its fields from low to high."""
    levels = [
        Field(part=Part.BANK, size=count, weight=device.span(name)) for name, count in device.levels[1:]
    ]
    groups = sum(name == "BankGroup" for name, _ in device.levels)
    above, below = levels[: -1 - groups], levels[-1 - groups :]
    units = {
        "Ch": [Field(part=Part.CHANNEL, size=channels, weight=1)],
        "Ra": above,
        "Ba": below[-1:] if groups_apart else below,
        "Ro": [Field(part=Part.ROW, size=device.rows, weight=1)],
        "Co": [Field(part=Part.COLUMN, size=device.bursts_per_row, weight=1)],
    }
    return units | ({"Bg": below[:-1]} if groups_apart and groups else {})


def _part(name: str, unit: str, whole: list[Field], parts: list[int | None], index: int) -> Field:
    """One of several parts of a unit: what is given, or what the others leave."""
    total = math.prod(field.size for field in whole)
    given = math.prod(size for size in parts if size is not None)
    fits = given > 0 and (given == total if None not in parts else total % given == 0)
    if len(whole) != 1 or parts.count(None) > 1 or not fits:
        written = ", ".join(unit if size is None else f"{unit}{size}" for size in reversed(parts))
        raise StudyError(
            f"{written} are not the whole of {unit}, which counts {total}",
            where=f"mapping {name!r}",
            hint="bank groups and banks are divided apart, as Bg and Ba" if len(whole) > 1 else None,
        )
    sizes = [total // given if size is None else size for size in parts]
    return Field(part=whole[0].part, size=sizes[index], weight=whole[0].weight * math.prod(sizes[:index]))


def _check_complete(name: str, named: set[str], wholes: dict[str, list[Field]]) -> None:
    for unit, fields in wholes.items():
        if unit not in named and math.prod(field.size for field in fields) > 1:
            raise StudyError(f"leaves out {unit}", where=f"mapping {name!r}", hint=_HINT)
