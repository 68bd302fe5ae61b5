"""Equal pictures as equal bytes.

The converter numbers what an SVG refers to through the whole life of its process, and writes the objects
and resources of a PDF in the order of a randomly seeded hash table. Neither shows in the picture; here
both are put in the order in which they are first used.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANCHOR: Final = re.compile(r'\bid="([^"]+)"')
_ANCHOR_USE: Final = re.compile(r'(\bid="|url\(#|href="#)([^")]+)')

_REFERENCE: Final = re.compile(rb"\b(\d+) 0 R\b")
_RESOURCES: Final = re.compile(rb"(?:^ +/\w+ \d+ 0 R\n){2,}", re.MULTILINE)
_OFFSET: Final = re.compile(rb"(\d{10}) 00000 n")
_TABLE_START: Final = re.compile(rb"startxref\n(\d+)")


def settled_svg(svg: str, name: str) -> str:
    """The SVG with its anchors numbered from 1 and named after the figure: several fit into one page."""
    anchors = dict.fromkeys(_ANCHOR.findall(svg))
    numbered = {anchor: f"{name}-{number}" for number, anchor in enumerate(anchors, 1)}
    return _ANCHOR_USE.sub(lambda use: use[1] + numbered.get(use[2], use[2]), svg)


@frozen
class _Object:
    """An object of a PDF: its dictionary, where references stand, and its stream, where none do."""

    dictionary: bytes
    stream: bytes


def settled_pdf(pdf: bytes) -> bytes:
    """The PDF with its resources sorted by name and its objects numbered in the order of their first use."""
    found = _TABLE_START.search(pdf)
    assert found is not None
    table_at = int(found[1])
    starts = sorted(int(start) for start in _OFFSET.findall(pdf[table_at:]))
    objects = dict(_object(pdf[start:end]) for start, end in pairwise([*starts, table_at]))
    trailer = pdf[pdf.index(b"trailer", table_at) :]
    return _written(pdf[: starts[0]], objects, trailer)


def _object(text: bytes) -> tuple[int, _Object]:
    number, _, content = text.partition(b" 0 obj\n")
    dictionary, mark, stream = content.partition(b"stream\n")
    ordered = _RESOURCES.sub(lambda lines: b"".join(sorted(lines[0].splitlines(keepends=True))), dictionary)
    return int(number), _Object(ordered, mark + stream)


def _written(header: bytes, objects: Mapping[int, _Object], trailer: bytes) -> bytes:
    numbers = {old: new for new, old in enumerate(_in_order_of_use(trailer, objects), 1)}
    parts, offsets = [header], []
    for old, new in numbers.items():
        offsets.append(sum(map(len, parts)))
        parts.append(
            b"%d 0 obj\n" % new + _renumbered(objects[old].dictionary, numbers) + objects[old].stream
        )
    table_at = sum(map(len, parts))
    lines = [b"0000000000 65535 f\r\n", *(b"%010d 00000 n\r\n" % offset for offset in offsets)]
    parts += [b"xref\n0 %d\n" % len(lines), *lines]
    ending = re.sub(rb"/Size \d+", b"/Size %d" % len(lines), _renumbered(trailer, numbers))
    return b"".join([*parts, _TABLE_START.sub(b"startxref\n%d" % table_at, ending)])


def _in_order_of_use(text: bytes, objects: Mapping[int, _Object]) -> list[int]:
    order: dict[int, None] = {}
    waiting = _references(text)
    while waiting:
        number = waiting.pop(0)
        if number not in order:
            order[number] = None
            waiting += _references(objects[number].dictionary)
    return list(order)


def _references(text: bytes) -> list[int]:
    return [int(number) for number in _REFERENCE.findall(text)]


def _renumbered(text: bytes, numbers: Mapping[int, int]) -> bytes:
    return _REFERENCE.sub(lambda found: b"%d 0 R" % numbers[int(found[1])], text)
