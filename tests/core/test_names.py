from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.names import did_you_mean, is_name, nearest

words = st.text("ab1", min_size=1, max_size=3)
names = st.builds(lambda parts, joint: joint.join(parts), st.lists(words, min_size=1), st.sampled_from("-."))


@given(names)
def test_joined_lower_case_words_are_a_name(name: str) -> None:
    """Words of letters and digits joined by `-` or `.` are a name."""
    assert is_name(name)


@given(st.text())
def test_a_name_needs_no_quotes(text: str) -> None:
    """Nothing is a name that a shell, a file system or TOML would read otherwise than it is written."""
    plain = all(letter.isascii() and (letter.isalnum() or letter in "-.") for letter in text)
    assert not is_name(text) or (plain and text == text.lower().strip("-."))


@pytest.mark.parametrize("text", ["", "-a", "a-", "a--b", "a.-b", "A", "a_b", "a b", "a/b", "a\n", "é"])
def test_what_is_no_name(text: str) -> None:
    """Empty words, capitals, other signs and line ends make no name."""
    assert not is_name(text)


@given(st.text(), st.lists(names))
def test_the_nearest_name_is_a_known_one(name: str, known: list[str]) -> None:
    """What is suggested exists."""
    found = nearest(name, known)
    assert found is None or found in known


@given(names, st.lists(names))
def test_a_known_name_is_nearest_to_itself(name: str, others: list[str]) -> None:
    """Nothing is nearer to a name than the name."""
    assert nearest(name, [*others, name]) == name


@pytest.mark.parametrize(
    ("known", "hint"),
    [
        (["row-major", "hot-cold"], "did you mean 'row-major'?"),
        (["zipf", "amber"], "known: amber, zipf"),
        ([], "none is installed"),
    ],
)
def test_a_hint_is_never_empty(known: list[str], hint: str) -> None:
    """The hint names the nearest, else all that is known in order, else says that there is nothing."""
    assert did_you_mean("row-mayor", known) == hint
