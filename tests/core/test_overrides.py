from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.overrides import apply, last_writer, parse_override

DATA: dict[str, Any] = {
    "iterations": 50,
    "seeds": [0],
    "workloads": ["tiny", {"name": "dit-xl-2"}],
    "machines": [{"name": "reference", "accelerator": "ffn-reuse", "memory": "gddr6-paper"}],
}


def _applied(*texts: str) -> dict[str, Any]:
    data = copy.deepcopy(DATA)
    for text in texts:
        apply(parse_override(text), data)
    return data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=8", 8),
        ("a=0.5", 0.5),
        ("a=true", True),
        ('a="published"', "published"),
        ("a=[1, 2]", [1, 2]),
        ("a={ b = 1 }", {"b": 1}),
        # What is no TOML is text, so that shells need no second pair of quotes.
        ("a=published", "published"),
        ("a=", ""),
        ("a=gddr6-paper", "gddr6-paper"),
        ("a=/weights/DiT.pt", "/weights/DiT.pt"),
        ("a=x=y", "x=y"),
        ("a=[1,", "[1,"),
        ("a=1\nb=2", "1\nb=2"),
        ("  a = 8 ", 8),
    ],
)
def test_values(text: str, value: object) -> None:
    """A value is TOML, or else the text as it stands."""
    meant = parse_override(text).value
    assert (meant, type(meant)) == (value, type(value))


def test_a_very_deep_value_is_text() -> None:
    """What TOML's reader cannot hold is refused later, as text, and not with a traceback."""
    assert isinstance(parse_override("a=" + "[" * 20_000).value, str)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "--set : is no override (write key.path=value, such as iterations=8)"),
        ("iterations", "--set iterations: is no override (write key.path=value, such as iterations=8)"),
        ("=8", "--set =8: is no override (write key.path=value, such as iterations=8)"),
        ("a..b=8", "--set a..b=8: is no override (write key.path=value, such as iterations=8)"),
        ("a b=8", "--set a b=8: is no override (write key.path=value, such as iterations=8)"),
        (r'"\q"=8', r'--set "\q"=8: is no override (write key.path=value, such as iterations=8)'),
    ],
)
def test_what_is_no_override(text: str, line: str) -> None:
    """An override is a key path, an equals sign and a value."""
    with pytest.raises(InvariantError) as refused:
        parse_override(text)
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("iterations=8", "iterations", 8),
        ("seeds[0]=3", "seeds", [3]),
        ("seeds[1]=3", "seeds", [0, 3]),
        ("metrics[0]=psnr", "metrics", ["psnr"]),
        ("source.kind=published", "source", {"kind": "published"}),
        ("workloads[1].preset=small", "workloads", ["tiny", {"name": "dit-xl-2", "preset": "small"}]),
        # A bare name becomes the table that it is short for.
        (
            "workloads[0].options.rows=8",
            "workloads",
            [{"name": "tiny", "options": {"rows": 8}}, {"name": "dit-xl-2"}],
        ),
        (
            "machines[0].memory.options.channels=4",
            "machines",
            [
                {
                    "name": "reference",
                    "accelerator": "ffn-reuse",
                    "memory": {"name": "gddr6-paper", "options": {"channels": 4}},
                }
            ],
        ),
        ("machines[0].memory=hbm2", "machines", [{**DATA["machines"][0], "memory": "hbm2"}]),
        ("layouts[0].name=row-major", "layouts", [{"name": "row-major"}]),
        ('source.checkpoints."sd-1.4"=/weights', "source", {"checkpoints": {"sd-1.4": "/weights"}}),
    ],
)
def test_applying(text: str, key: str, value: object) -> None:
    """One value changes; tables and lists on the way to it appear, and all else stays as it was."""
    assert _applied(text) == {**DATA, key: value}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "machines[3].x=1",
            "--set machines[3].x=1: machines has 1 entry (the next free position is machines[1])",
        ),
        (
            "workloads[9]=x",
            "--set workloads[9]=x: workloads has 2 entries (the next free position is workloads[2])",
        ),
        (
            "metrics[1]=x",
            "--set metrics[1]=x: metrics has 0 entries (the next free position is metrics[0])",
        ),
        ("iterations.x=1", "--set iterations.x=1: iterations is no table, but 50"),
        ("iterations[0]=1", "--set iterations[0]=1: iterations is no list, but 50"),
        ("machines.name=x", "--set machines.name=x: machines is no table, but a list"),
        (
            "machines[0].name.x=1",
            '--set machines[0].name.x=1: machines[0].name is no table, but "reference"',
        ),
    ],
)
def test_what_cannot_be_applied(text: str, line: str) -> None:
    """An override that leads nowhere says how far it came and what stands there."""
    with pytest.raises(InvariantError) as refused:
        _applied(text)
    assert str(refused.value) == line


def test_the_last_override_wins() -> None:
    """Overrides apply in the order in which they are given."""
    assert _applied("iterations=8", "iterations=9")["iterations"] == 9


def test_last_writer() -> None:
    """What stands at a path comes from the last override of it or of a table around it."""
    overrides = [parse_override(text) for text in ("source.kind=x", "source={}", "a=1")]
    assert last_writer(overrides, ("source", "kind")) is overrides[1]
    assert last_writer(overrides[:1], ("source", "kind")) is overrides[0]
    assert last_writer(overrides, ("source",)) is overrides[1]
    assert last_writer(overrides, ("b",)) is None


@given(st.text())
def test_any_text_is_an_override_or_refused(text: str) -> None:
    """There is no third way, and a refusal quotes what was typed."""
    where = ""
    path: object = None
    try:
        path = parse_override(text).path
    except InvariantError as error:
        where = str(error.where)
    assert path or where == f"--set {text}"
