"""One meaning of `|a| > tau`, whatever the precision of `a`.

Activations arrive as float32, bfloat16 or float16, thresholds as the float64 that a study spells.
Comparing them carelessly rounds the threshold to the activation's precision, and a column at the edge
changes sides. Here the comparison is that of the real numbers: an activation is exactly some float32,
and a float32 exceeds tau iff it exceeds the largest float32 that is not above tau.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable


def float32_floor(tau: float) -> np.float32:
    """The largest float32 that is not above `tau`: for float32 a, `a > tau` iff `a > float32_floor(tau)`."""
    with np.errstate(over="ignore"):
        rounded = np.float32(tau)
    if float(rounded) > tau:
        return np.float32(np.nextafter(rounded, np.float32(-np.inf)))
    return rounded


def check_thresholds(thresholds: Iterable[float], where: str) -> tuple[float, ...]:
    """Return the thresholds as an ascending tuple of distinct finite numbers >= 0, or refuse."""
    grid = tuple(float(tau) for tau in thresholds)
    for tau in grid:
        if not math.isfinite(tau) or tau < 0:
            raise InvariantError(f"threshold {tau} is not a finite number >= 0", where=where)
    if list(grid) != sorted(set(grid)):
        raise InvariantError("thresholds must ascend without repeats", where=where)
    return grid
