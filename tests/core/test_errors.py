from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import ColfwError, InvariantError, StudyError


def family(kind: type[ColfwError] = ColfwError) -> list[type[ColfwError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in family(child))]


OURS = [kind for kind in family() if kind.__module__ == "colfw.errors"]

errors = st.builds(
    lambda kind, problem, where, hint: kind(problem, where=where, hint=hint),
    st.sampled_from(OURS),
    st.text(),
    st.none() | st.text(),
    st.none() | st.text(),
)


@given(errors)
def test_an_error_survives_pickling(error: ColfwError) -> None:
    """An error that crosses a process boundary keeps its kind, problem, place and hint."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  (its own bytes)
    assert type(copy) is type(error)
    assert (copy.problem, copy.where, copy.hint) == (error.problem, error.where, error.hint)
    assert str(copy) == str(error)


def test_the_list_of_studies_problems_survives_pickling() -> None:
    """What `StudyError.of` gathered is one problem a line, also after pickling."""
    copy = pickle.loads(pickle.dumps(StudyError.of(["a: b", "c: d"])))  # noqa: S301
    assert str(copy).splitlines() == ["a: b", "c: d"]


@given(errors)
def test_a_message_says_where_what_and_what_next(error: ColfwError) -> None:
    """The message is `where: problem (hint)`; what is missing leaves no trace."""
    expected = error.problem
    if error.where:
        expected = f"{error.where}: {expected}"
    if error.hint:
        expected = f"{expected} ({error.hint})"
    assert str(error) == expected


@pytest.mark.parametrize("kind", OURS)
def test_every_kind_tells_the_shell_that_it_failed(kind: type[ColfwError]) -> None:
    """No error ends colfw with exit code 0, nor with one that shells use for signals."""
    assert 0 < kind.exit_code < 126


def test_a_violated_rule_is_a_value_error_too() -> None:
    """Whoever catches ValueError around a record catches its refusal."""
    assert issubclass(InvariantError, ValueError)
