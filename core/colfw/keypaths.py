"""Key paths: where in a study something stands, written `machines[0].memory.name`."""

from __future__ import annotations

import json
import re

from colfw.errors import InvariantError

KeyPath = tuple[str | int, ...]
"""Keys of tables and positions in lists, outermost first."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STEP = re.compile(
    r"""
    (?P<dot>\.)?
    (?: (?P<bare>[A-Za-z0-9_-]+)
      | (?P<quoted>"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*")
      | '(?P<literal>[^']*)' )
    | \[(?P<position>\d+)\]
    """,
    re.VERBOSE,
)


def spell(path: KeyPath) -> str:
    """The path as people write it; a key that TOML would have to quote is quoted.

    >>> spell(("source", "checkpoints", "sd-1.4"))
    'source.checkpoints."sd-1.4"'
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if _BARE.fullmatch(step) else quoted(step)
            text += f".{key}" if text else key
    return text


def quoted(text: str) -> str:
    """The text in double quotes, on one line, with escapes that JSON and TOML share."""
    printable = (c if c.isprintable() and c not in '"\\' else json.dumps(c)[1:-1] for c in text)
    return f'"{"".join(printable)}"'


def parse(text: str) -> KeyPath:
    """The path that `text` spells.

    >>> parse("machines[0].memory.name")
    ('machines', 0, 'memory', 'name')
    """
    path, end = parse_start(text)
    if not path or end < len(text):
        raise InvariantError(
            f"{text!r} is no key path", hint="write keys and positions like machines[0].memory.name"
        )
    return path


def parse_start(text: str) -> tuple[KeyPath, int]:
    """The longest key path at the start of `text`, and where it ends."""
    path: KeyPath = ()
    end = 0
    while step := _STEP.match(text, end):
        is_position = step["position"] is not None
        joined_rightly = is_position or (step["dot"] is not None) == bool(path)
        if not joined_rightly or (is_position and not path):
            break
        path = (*path, _meaning(step))
        end = step.end()
    return path, end


def _meaning(step: re.Match[str]) -> str | int:
    if step["position"] is not None:
        return int(step["position"])
    if step["quoted"] is not None:
        return str(json.loads(step["quoted"], strict=False))
    return str(step["bare"] if step["bare"] is not None else step["literal"])
