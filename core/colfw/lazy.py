"""Lazy imports: `package.module:attribute`, loaded when the thing is needed and not before."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_reference(text: object) -> bool:
    """Whether `text` has the form `package.module:attribute`."""
    return isinstance(text, str) and REFERENCE.fullmatch(text) is not None


def load(reference: str) -> Any:
    """Import and return what `reference` names.

    >>> load("math:pi") > 3
    True
    """
    module, _, attribute = reference.partition(":")
    found: Any = import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found
