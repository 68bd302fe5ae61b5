"""Latency expressions, as standards write them: `nCL + nBL + 2 - nCWL`. They are parsed, never eval'ed.

Whole numbers, names, `+`, `-`, `*`, parentheses, `max(…)` and `min(…)`; nothing else.
"""

from __future__ import annotations

import operator
import re
from functools import cache
from typing import TYPE_CHECKING

from attrs import field, frozen

from colfw.errors import InvariantError
from colfw.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LONGEST = 200
"""Characters. A latency is a line."""
_DEEPEST = 20
"""Parentheses and minus signs within each other: the parser must not run out of stack."""

_TOKEN = re.compile(r"\s*(?:(?P<number>[0-9]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[-+*(),]))")
_FUNCTIONS: Mapping[str, Callable[..., int]] = {"max": max, "min": min}
_SIGNS: Mapping[str, Callable[..., int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


@frozen
class _Number:
    value: int

    def worth(self, _: Mapping[str, int]) -> int:
        return self.value

    def names(self) -> Iterator[str]:
        yield from ()


@frozen
class _Name:
    name: str

    def worth(self, values: Mapping[str, int]) -> int:
        return values[self.name]

    def names(self) -> Iterator[str]:
        yield self.name


@frozen
class _Operation:
    function: Callable[..., int]
    operands: tuple[_Node, ...]

    def worth(self, values: Mapping[str, int]) -> int:
        return self.function(*(operand.worth(values) for operand in self.operands))

    def names(self) -> Iterator[str]:
        for operand in self.operands:
            yield from operand.names()


_Node = _Number | _Name | _Operation


@frozen
class Expression:
    """A latency in terms of named timings.

    >>> latency = parse("nCL + nBL + 2 - nCWL")
    >>> latency.names
    ('nCL', 'nBL', 'nCWL')
    >>> latency.evaluate({"nCL": 16, "nBL": 4, "nCWL": 12})
    10
    """

    text: str
    _root: _Node = field(eq=False, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The timings that it needs, each once, in the order in which they are written."""
        return tuple(dict.fromkeys(self._root.names()))

    def evaluate(self, values: Mapping[str, int]) -> int:
        """Its value; a name without a value is refused."""
        for name in self.names:
            if name not in values:
                raise InvariantError(
                    f"unknown timing {name!r}",
                    where=f"expression {self.text!r}",
                    hint=did_you_mean(name, values),
                )
        return self._root.worth(values)


@cache
def parse(text: str) -> Expression:
    """The expression that `text` spells; anything else is refused, with the position."""
    if len(text) > _LONGEST:
        raise InvariantError(
            f"has {len(text)} characters, the most is {_LONGEST}",
            where=f"expression {text[:20]!r}…",
        )
    return Expression(text, _Parser(text).parse())


@frozen
class _Token:
    kind: str
    text: str
    position: int


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            position += len(text[position:]) - len(text[position:].lstrip())
            raise _refused(text, position, f"unexpected {text[position]!r}")
        kind = match.lastgroup
        yield _Token(kind, match[kind], match.start(kind))
        position = match.end()
    yield _Token("end", "", len(text))


def _refused(text: str, position: int, problem: str) -> InvariantError:
    return InvariantError(f"{problem} at position {position + 1}", where=f"expression {text!r}")


class _Parser:
    """By recursive descent: a sum of products of factors."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self._depth = 0

    def parse(self) -> _Node:
        node = self._sum()
        if self._next.kind != "end":
            raise self._unexpected()
        return node

    def _sum(self) -> _Node:
        return self._chain("+-", self._product)

    def _product(self) -> _Node:
        return self._chain("*", self._factor)

    def _chain(self, signs: str, operand: Callable[[], _Node]) -> _Node:
        """Operands joined by signs of one rank, from left to right."""
        node = operand()
        while self._next.kind == "sign" and self._next.text in signs:
            function = _SIGNS[self._take().text]
            node = _Operation(function, (node, operand()))
        return node

    def _factor(self) -> _Node:
        token = self._take()
        if token.kind == "number":
            return _Number(int(token.text))
        if token.kind == "name":
            return self._call(token) if self._next.text == "(" else _Name(token.text)
        if token.text == "-":
            return _Operation(operator.neg, (self._within(token, self._factor),))
        if token.text == "(":
            node = self._within(token, self._sum)
            self._expect(")")
            return node
        raise self._unexpected(token)

    def _within(self, token: _Token, part: Callable[[], _Node]) -> _Node:
        """What stands behind a sign or in parentheses, unless it is nested too deep."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _refused(self._text, token.position, f"nested more than {_DEEPEST} deep")
        node = part()
        self._depth -= 1
        return node

    def _call(self, function: _Token) -> _Node:
        if function.text not in _FUNCTIONS:
            problem = f"unknown function {function.text!r} (known: {', '.join(sorted(_FUNCTIONS))})"
            raise _refused(self._text, function.position, problem)
        self._expect("(")
        operands = [self._within(function, self._sum)]
        while self._next.text == ",":
            self._take()
            operands.append(self._within(function, self._sum))
        self._expect(")")
        # max and min of one operand are that operand; Python would take it for a sequence.
        return _Operation(_FUNCTIONS[function.text], tuple(operands)) if operands[1:] else operands[0]

    def _take(self) -> _Token:
        token = self._next
        self._next = next(self._tokens, token)
        return token

    def _expect(self, sign: str) -> None:
        if self._next.text != sign:
            raise self._unexpected(wanted=sign)
        self._take()

    def _unexpected(self, token: _Token | None = None, wanted: str = "") -> InvariantError:
        token = token or self._next
        found = f"unexpected {token.text!r}" if token.kind != "end" else "unexpected end"
        problem = f"{found}, expected {wanted!r}," if wanted else found
        return _refused(self._text, token.position, problem)
