"""From one activation to the numbers that a profile keeps: column maxima, and counts above thresholds.

Every element is looked at, once. Small arrays are folded by numpy; large ones, such as a denoiser shows a
hundred million elements of in every iteration, by a compiled loop; what lies on another device, there.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from colfw.machine import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_MANY = 1 << 16
"""From this many elements on, loading the compiled loop pays; so does another thread."""

_BINS = 1 << 15
_BIN_SHIFT = 16
"""A bin of the histogram: the eight bits of a float32's exponent and the first seven of its fraction."""
_MAGNITUDE = 0x7FFFFFFF
"""The bits of a float32 without its sign. As whole numbers they are in the order of the magnitudes, with
infinity above all numbers and NaN above infinity."""


@frozen(eq=False)
class Folded:
    """What was seen: per column the largest |a|, per threshold how many |a| exceed it, and of how many.

    A NaN or infinity among the elements leaves a maximum that is not finite; the rest is then worth nothing.
    """

    maxima: NDArray[np.float32]
    exceeding: NDArray[np.int64]
    elements: int


def fold_rows(rows: NDArray[np.float32], floors: NDArray[np.float32]) -> Folded:
    """Fold a matrix `[row, column]`; `floors` ascend, and |a| is counted where it is above one."""
    if rows.size < _MANY:
        magnitude = np.abs(rows)
        counts = [int(np.count_nonzero(magnitude > floor)) for floor in floors]
        return Folded(magnitude.max(axis=0), np.array(counts, np.int64), rows.size)
    counters = _counters(floors.tobytes())
    parts = np.array_split(rows, min(cores(), rows.size // _MANY, len(rows)))
    folded = list(_threads().map(lambda part: _fold_part(part, counters, len(floors)), parts))
    maxima = np.maximum.reduce([part.maxima for part in folded])
    exceeding = np.sum([part.exceeding for part in folded], axis=0)
    return Folded(maxima, exceeding, rows.size)


def _fold_part(rows: NDArray[np.float32], counters: Sequence[_Counter], floors: int) -> Folded:
    magnitudes = np.zeros(rows.shape[1], np.uint32)
    exceeding = np.zeros(floors, np.int64)
    histogram = _histogram_of_this_thread()
    for counter in counters:
        histogram.fill(0)
        _compiled_fold()(rows, counter.cuts, magnitudes, histogram)
        exceeding[counter.positions] = counter.exceeding(histogram)
    return Folded(magnitudes.view(np.float32), exceeding, rows.size)


@frozen(eq=False)
class _Counter:
    """Floors of which no two share a bin, and how elements are counted against them in one go.

    Comparing every element with every floor would take twenty times as long. Instead a histogram over the
    leading bits is made, whose bins are in the order of the magnitudes and have two slots each: for what is
    not above the bin's cut, and for what is. Where a bin holds a floor it is the cut, as bits; elsewhere
    nothing is above it. One comparison an element decides exactly.
    """

    positions: NDArray[np.int64]
    """Of these floors among all that are counted."""
    bins: NDArray[np.int64]
    cuts: NDArray[np.uint32]

    def exceeding(self, histogram: NDArray[np.uint32]) -> NDArray[np.int64]:
        """How many elements are above each floor: all in the slots from its bin's second one on."""
        if not len(self.bins):
            return np.zeros(0, np.int64)
        between = np.add.reduceat(histogram, 2 * self.bins + 1, dtype=np.int64)
        return np.asarray(between[::-1].cumsum()[::-1], np.int64)


@lru_cache(maxsize=16)
def _counters(floor_bytes: bytes) -> tuple[_Counter, ...]:
    """As few counters as it takes for all floors; there is one, unless thresholds lie within 0.8 %."""
    bits = np.frombuffer(floor_bytes, np.uint32)
    bins = (bits >> np.uint32(_BIN_SHIFT)).astype(np.int64)
    left = np.arange(len(bits))
    counters: list[_Counter] = []
    while left.size or not counters:
        _, first = np.unique(bins[left], return_index=True)
        positions = left[first]
        cuts = np.full(_BINS, _MAGNITUDE, np.uint32)
        cuts[bins[positions]] = bits[positions]
        counters.append(_Counter(positions, bins[positions], cuts))
        left = np.delete(left, first)
    return tuple(counters)


_workspace = threading.local()


def _histogram_of_this_thread() -> NDArray[np.uint32]:
    """Room that is used again: the pages of fresh memory would take longer to get than to fill."""
    if not hasattr(_workspace, "histogram"):
        _workspace.histogram = np.zeros(2 * _BINS, np.uint32)
    histogram: NDArray[np.uint32] = _workspace.histogram
    return histogram


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="colfw-fold")


@cache
def _compiled_fold() -> Callable[..., None]:
    """The loop, compiled when it is first needed."""
    from numba import njit  # noqa: PLC0415  (numba takes a third of a second to import)

    compiled: Callable[..., None] = njit(cache=True, nogil=True, error_model="numpy")(_fold)
    return compiled


def _fold(
    rows: NDArray[np.float32],
    cuts: NDArray[np.uint32],
    maxima: NDArray[np.uint32],
    histogram: NDArray[np.uint32],
) -> None:
    """Raise the maxima, as bits, to those of a matrix, and add its elements to a `_Counter`'s histogram."""
    for row in rows:
        bits = row.view(np.uint32)
        for column in range(row.shape[0]):
            magnitude = bits[column] & np.uint32(_MAGNITUDE)
            if magnitude > maxima[column]:  # noqa: PLR1730  (seldom true: a guess is quicker than a maximum)
                maxima[column] = magnitude
            found = magnitude >> np.uint32(_BIN_SHIFT)
            histogram[found + found + np.uint32(magnitude > cuts[found])] += 1


# --- tensors --------------------------------------------------------------------------------------


def is_tensor(activation: Any) -> bool:
    """Whether this is a tensor of torch; what never imported torch has none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(activation, torch.Tensor)


def host_rows(tensor: Tensor) -> NDArray[Any]:
    """The values of a tensor in memory, shared where they can be; below float32 they become that, exactly."""
    kept = tensor.detach()
    if kept.is_floating_point() and kept.element_size() < 4:
        kept = kept.float()
    return np.asarray(kept.cpu().numpy())


class DeviceFold:
    """Folds tensors where they lie; the host waits for the device only when it asks for the result."""

    def __init__(self, floors: NDArray[np.float32]) -> None:
        self._floors = floors
        self._maxima: Tensor | None = None
        self._counts: Tensor | None = None
        self._elements = 0

    def add(self, tensor: Tensor) -> None:
        import torch  # noqa: PLC0415

        magnitude = tensor.detach().reshape(-1, tensor.shape[-1]).float().abs()
        maxima = magnitude.amax(dim=0)
        # Between two floors lies what exceeds the one below and not the one above.
        floors = torch.as_tensor(self._floors, device=tensor.device)
        place = torch.bucketize(magnitude, floors, out_int32=True)
        counts = torch.bincount(place.flatten(), minlength=len(floors) + 1)
        self._maxima = maxima if self._maxima is None else torch.maximum(self._maxima, maxima)
        self._counts = counts if self._counts is None else self._counts + counts
        self._elements += magnitude.numel()

    def result(self) -> Folded:
        assert self._maxima is not None
        assert self._counts is not None
        above = self._counts.flip(0).cumsum(0).flip(0)[1:]
        return Folded(self._maxima.cpu().numpy(), above.cpu().numpy().astype(np.int64), self._elements)
