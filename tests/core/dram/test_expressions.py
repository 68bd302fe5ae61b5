"""Latency expressions: what they are worth, and how a bad one is refused."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.dram.expressions import parse
from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = {"nBL": 4, "nCL": 24, "nCWL": 6}

Case = tuple[str, int]


def _joined(operands: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    """Two expressions joined by a sign, a function, or negated, with the value Python gives them."""
    infix = {"+": operator.add, "-": operator.sub, "*": operator.mul}
    prefix: dict[str, Callable[..., int]] = {"max": max, "min": min}
    return st.one_of(
        st.builds(
            lambda left, sign, right: (f"({left[0]}) {sign} ({right[0]})", infix[sign](left[1], right[1])),
            operands,
            st.sampled_from(sorted(infix)),
            operands,
        ),
        st.builds(
            lambda name, one, two: (f"{name}({one[0]},{two[0]})", prefix[name](one[1], two[1])),
            st.sampled_from(sorted(prefix)),
            operands,
            operands,
        ),
        operands.map(lambda one: (f"-({one[0]})", -one[1])),
    )


expressions = st.recursive(
    st.one_of(
        st.integers(0, 999).map(lambda number: (str(number), number)),
        st.sampled_from(sorted(VALUES)).map(lambda name: (name, VALUES[name])),
    ),
    _joined,
    max_leaves=6,
)


@given(expressions)
def test_an_expression_is_worth_what_it_says(case: tuple[str, int]) -> None:
    """Signs, functions, parentheses and names mean what they mean in arithmetic."""
    text, value = case
    assert parse(text).evaluate(VALUES) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nCL + nBL + 2 - nCWL", 24),
        ("nCL - nBL - 2", 18),
        ("2 + 3 * nBL", 14),
        ("(2 + 3) * nBL", 20),
        ("-nBL + 1", -3),
        ("2*-nBL", -8),
        ("max(nBL, nCWL, 5) - min(3)", 3),
        ("  7 ", 7),
    ],
)
def test_products_bind_before_sums_and_both_go_from_left_to_right(text: str, value: int) -> None:
    """The usual rules of precedence hold."""
    assert parse(text).evaluate(VALUES) == value


def test_an_expression_names_its_timings_once_in_order() -> None:
    """Functions are no timings."""
    assert parse("nCWL + max(nBL, nCL) - nBL").names == ("nCWL", "nBL", "nCL")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "unexpected end at position 1"),
        ("nCL +", "unexpected end at position 6"),
        ("nCL nBL", "unexpected 'nBL' at position 5"),
        ("(nCL", "unexpected end, expected ')', at position 5"),
        ("nCL)", "unexpected ')' at position 4"),
        ("nCL / 2", "unexpected '/' at position 5"),
        ("1.5", "unexpected '.' at position 2"),
        ("2nCL", "unexpected 'nCL' at position 2"),
        ("max()", "unexpected ')' at position 5"),
        ("max(1 2)", "unexpected '2', expected ')', at position 7"),
        ("a + exec(1)", "unknown function 'exec' (known: max, min) at position 5"),
        ("nCL + ☃", "unexpected '☃' at position 7"),
        ("__import__('os')", "unknown function '__import__' (known: max, min) at position 1"),
    ],
)
def test_a_bad_expression_is_refused_with_its_position(text: str, problem: str) -> None:
    """One line: the expression, what is wrong, and where, counted from 1."""
    with pytest.raises(InvariantError) as refusal:
        parse(text)
    assert str(refusal.value) == f"expression {text!r}: {problem}"


@pytest.mark.parametrize("opening", ["(", "-", "max(1,", "2*("])
def test_an_endless_expression_does_not_exhaust_the_stack(opening: str) -> None:
    """However deep it is nested, it is refused in a line; 20 deep is deep enough."""
    with pytest.raises(InvariantError, match=r"nested more than 20 deep at position \d+"):
        parse(opening * (190 // len(opening)))
    with pytest.raises(InvariantError, match="has 2001 characters, the most is 200"):
        parse(opening[0] * 2001)
    assert parse("(" * 20 + "1" + ")" * 20).evaluate({}) == 1


def test_a_name_without_a_value_is_refused_with_the_nearest() -> None:
    """The message names the timing, the expression and what may have been meant."""
    with pytest.raises(InvariantError) as refusal:
        parse("nBL + nCWl").evaluate(VALUES)
    expected = "expression 'nBL + nCWl': unknown timing 'nCWl' (did you mean 'nCWL'?)"
    assert str(refusal.value) == expected


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_in_one_line(text: str) -> None:
    """There is no third way, such as a bug's traceback."""
    try:
        parse(text)
    except InvariantError as error:
        assert "\n" not in str(error)  # noqa: PT017  (either outcome is right)
