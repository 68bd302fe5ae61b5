"""Names that people type: what they may look like, and what was probably meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
"""Names of plugins and machines: lower-case words joined by `-` or `.`, so that they work unquoted in
shells, file names and TOML."""


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing comes close.

    >>> nearest("row-mayor", ["row-major", "hot-cold"])
    'row-major'
    """
    from difflib import get_close_matches  # noqa: PLC0415  (only a refusal needs it)

    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint behind a refusal of `name`: the nearest known name, else all of them, else nothing."""
    candidates = sorted(known)
    close = nearest(name, candidates)
    if close is not None:
        return f"did you mean {close!r}?"
    if candidates:
        return "known: " + ", ".join(candidates)
    return "none is installed"
