"""Noise that depends on the seed and the sample alone, not on what else runs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_NOISE = 0x6E6F697365
"""Keeps the streams of noise apart from other streams of the same seed."""


class SeededNoise:
    """Standard normal numbers for a batch: a stream a sample, drawn in call order.

    The rows of a draw go to the samples in turn, so a draw may have several rows a sample (the two halves
    of guidance): sample i has rows i, i + samples, and so on.

    >>> noise = SeededNoise(seed=0, first_sample=0, samples=2)
    >>> both = noise((2, 3))
    >>> alone = SeededNoise(seed=0, first_sample=1, samples=1)((1, 3))
    >>> bool((both[1] == alone[0]).all())
    True
    """

    def __init__(
        self, *, seed: int, first_sample: int, samples: int, device: torch.device | str = "cpu"
    ) -> None:
        self._streams = [
            np.random.default_rng([_NOISE, seed, first_sample + offset]) for offset in range(samples)
        ]
        self._device = torch.device(device)

    def __call__(self, shape: Sequence[int]) -> Tensor:
        """Float32 on the device of the run; the numbers themselves are the same on every device."""
        rows, *inner = shape
        if rows % len(self._streams):
            raise InvariantError(
                f"{rows} rows of noise cannot be shared by {len(self._streams)} samples", where="noise"
            )
        drawn = [
            self._streams[row % len(self._streams)].standard_normal(inner, dtype=np.float32)
            for row in range(rows)
        ]
        return torch.from_numpy(np.stack(drawn)).to(self._device)
