from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.keypaths import parse, parse_start, quoted, spell

if TYPE_CHECKING:
    from colfw.keypaths import KeyPath


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("iterations",), "iterations"),
        (("machines", 0, "memory", "name"), "machines[0].memory.name"),
        (("options", "grid", 1, 2), "options.grid[1][2]"),
        (("checkpoints", "sd-1.4"), 'checkpoints."sd-1.4"'),
        (("checkpoints", "colfw/tiny"), 'checkpoints."colfw/tiny"'),
        (("options", ""), 'options.""'),
        (("options", 'a "b"\n'), r'options."a \"b\"\n"'),
        (("options", "größe"), 'options."größe"'),
        (("options", "0"), "options.0"),
    ],
)
def test_spelling(path: KeyPath, text: str) -> None:
    """Keys are joined by dots, positions stand in brackets, and what TOML would quote is quoted."""
    assert spell(path) == text
    assert parse(text) == path


@given(
    st.builds(
        lambda first, rest: (first, *rest),
        st.text(),
        st.lists(st.text() | st.integers(min_value=0), max_size=4),
    )
)
def test_parse_takes_back_what_spell_writes(path: KeyPath) -> None:
    """Any path survives being written and read, whatever its keys hold."""
    assert parse(spell(path)) == path


@given(st.text(st.characters()))
def test_quoted_is_one_printable_line(text: str) -> None:
    """Quoted text can stand in a message: no line break, no control character, no half character."""
    assert quoted(text).isprintable()


def test_a_key_may_stand_in_single_quotes() -> None:
    """As in TOML, nothing is escaped between single quotes."""
    assert parse(r"options.'a\n.b'") == ("options", r"a\n.b")


@pytest.mark.parametrize(
    "text", ["", ".a", "a.", "a..b", "[0]", "a[x]", "a[-1]", "a b", '"a"b', "a[0]b", "a[", r'a."\q"']
)
def test_what_is_no_path_is_refused(text: str) -> None:
    """A path begins with a key, has no empty steps, and is all there is."""
    with pytest.raises(InvariantError) as refused:
        parse(text)
    assert str(refused.value) == (
        f"{text!r} is no key path (write keys and positions like machines[0].memory.name)"
    )


def test_parse_start_says_where_the_path_ends() -> None:
    """An override's path ends where its `=` begins, even if a quoted key holds one."""
    assert parse_start('a."b=c"=1') == (("a", "b=c"), 7)
