"""What a pickle says, read off its instructions without following one."""

from __future__ import annotations

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from typing import BinaryIO

MOST_INSTRUCTIONS: Final = 4_000_000
"""A checkpoint has some thirty for each tensor, so this is room for a hundred thousand of them."""
DEEPEST_TUPLE: Final = 100
"""Tuples in one another; Python ends without a word when it hashes one that is a hundred thousand deep."""


@frozen(kw_only=True)
class Pickled:
    """What some pickles say, as far as it decides whether they are read."""

    globals: frozenset[str]
    protocol: int
    instructions: int
    """One more than the most that are looked at, where there are more."""
    depth: int
    """Of tuples in one another."""

    @property
    def is_excessive(self) -> bool:
        return self.instructions > MOST_INSTRUCTIONS or self.depth > DEEPEST_TUPLE


def scanned(stream: BinaryIO | Any, *, pickles: int) -> Pickled:
    """So many pickles, one after another; what is no pickle raises what pickletools raises."""
    names: set[str] = set()
    protocol = instructions = depth = 0
    nesting = _Nesting()
    steps = chain.from_iterable(pickletools.genops(stream) for _ in range(pickles))
    for opcode, argument, _position in islice(steps, MOST_INSTRUCTIONS + 1):
        instructions += 1
        depth = max(depth, nesting.after(opcode, argument))
        if opcode.name == "GLOBAL":
            names.add(_full_name(str(argument)))
        elif opcode.name == "PROTO":
            protocol = max(protocol, int(argument or 0))
    return Pickled(globals=frozenset(names), protocol=protocol, instructions=instructions, depth=depth)


def _full_name(argument: str) -> str:
    """As torch reads it: pickles of Python 3 still call some things by their names of Python 2."""
    module, _, name = argument.partition(" ")
    if (module, name) in NAME_MAPPING:
        return ".".join(NAME_MAPPING[module, name])
    return f"{IMPORT_MAPPING.get(module, module)}.{name}"


class _Nesting:
    """Follows on a stack of numbers how deep each value lies in tuples; other values count as flat.

    It need not notice instructions that find too little on the stack: torch stops there.
    """

    def __init__(self) -> None:
        self._stack: list[int] = []
        self._marks: list[int] = []
        self._remembered: dict[Any, int] = {}

    def after(self, opcode: pickletools.OpcodeInfo, argument: Any) -> int:
        """How deep the topmost value is after an instruction."""
        if opcode.name == "MARK":
            self._marks.append(len(self._stack))
        elif opcode.name.endswith("PUT"):
            self._remembered[argument] = self._top()
        elif opcode.name.endswith("GET"):
            self._stack.append(self._remembered.get(argument, 0))
        else:
            taken = self._taken(opcode.stack_before)
            depth = 1 + max(taken, default=0) if opcode.name.startswith("TUPLE") else 0
            self._stack += [depth] * len(opcode.stack_after)
        return self._top()

    def _taken(self, before: list[pickletools.StackObject]) -> list[int]:
        """What an instruction takes off the stack: so many values, or all down to the last mark."""
        to_mark = pickletools.markobject in before
        below_mark = before.index(pickletools.markobject) if to_mark else len(before)
        top = self._marks.pop() if to_mark and self._marks else len(self._stack)
        start = max(top - below_mark, 0)
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _top(self) -> int:
        return self._stack[-1] if self._stack else 0
