"""How the kernel is compiled, and where its machine code is kept between runs.

Numba's cache notices a change of the file that a function stands in, not of the files whose functions
it calls: an edited kernel would run on in its old form. So the code lies in a folder named after a hash
of all the sources: in the folder that NUMBA_CACHE_DIR names, or under colfw's own cache.
"""

# numba sets its options while it is imported.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
from numba.core import config

from colfw.store.objects import default_root

if TYPE_CHECKING:
    from collections.abc import Callable


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as machine code that holds no lock, kept on disk."""
    before = config.CACHE_DIR
    config.CACHE_DIR = str(_folder(before))
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before


_PART: dict[str, Any] = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Never called from Python, so without the wrappers for that, which take most of the time to compile."""


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as a part of every compiled one that calls it: a call costs more than it does."""
    part: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", **_PART)(function)
    return part


@cache
def _folder(chosen: str) -> Path:
    content = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        content.update(source.read_bytes())
    return (Path(chosen) if chosen else default_root()) / "kernel" / content.hexdigest()[:16]
