"""From one activation to the numbers that a profile keeps: column maxima, and counts above thresholds.

Every element is looked at, once. Small arrays are folded by numpy; large ones, such as a denoiser shows a
hundred million elements of in every iteration, by a compiled loop; what lies on another device, there.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

_MANY = 1 << 16
"""From this many elements on, loading the compiled loop pays."""

_BINS = 1 << 15
_BIN_SHIFT = 16
"""A bin of the histogram: the eight bits of a float32's exponent and the first seven of its fraction."""
_INFINITY_BIN = 0x7F80
"""Infinity and NaN have every bit of the exponent set."""


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
    maxima = np.zeros(rows.shape[1], np.float32)
    exceeding = np.zeros(len(floors), np.int64)
    _compiled_fold()(rows, floors, maxima, exceeding)
    return Folded(maxima, exceeding, rows.size)


@cache
def _compiled_fold() -> Callable[..., None]:
    """The loop, compiled when it is first needed."""
    from numba import njit  # noqa: PLC0415  (numba takes a third of a second to import)

    compiled: Callable[..., None] = njit(cache=True, nogil=True, error_model="numpy")(_fold)
    return compiled


def _fold(
    rows: NDArray[np.float32],
    floors: NDArray[np.float32],
    maxima: NDArray[np.float32],
    exceeding: NDArray[np.int64],
) -> None:
    """Maxima and counts of a matrix, adding to what the last two arguments hold.

    Counting by threshold would compare every element with each. Instead a histogram over the leading bits is
    made, whose bins are in the order of the magnitudes; only in the bins that hold a threshold does the
    comparison itself decide.
    """
    floor_bins = (floors.view(np.uint32) >> np.uint32(_BIN_SHIFT)).astype(np.int64)
    first_floor = np.full(_BINS, -1, np.int16)  # in each bin
    for index in range(floors.shape[0] - 1, -1, -1):
        first_floor[floor_bins[index]] = index
    histogram = np.zeros(_BINS, np.int64)
    for row in rows:
        for column in range(row.shape[0]):
            magnitude = abs(row[column])
            maxima[column] = max(maxima[column], magnitude)
        bits = row.view(np.uint32)
        for column in range(row.shape[0]):
            found = (bits[column] >> np.uint32(_BIN_SHIFT)) & np.uint32(_BINS - 1)
            histogram[found] += 1
            index = first_floor[found]
            if index >= 0:
                while index < floors.shape[0] and floor_bins[index] == found:
                    exceeding[index] += abs(row[column]) > floors[index]
                    index += 1
    if histogram[_INFINITY_BIN:].any():
        maxima[:] = np.nan  # comparisons pass over NaN: which columns have one is not known
    for index in range(floors.shape[0]):
        exceeding[index] += histogram[floor_bins[index] + 1 :].sum()


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
