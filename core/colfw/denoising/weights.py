"""Seeded random weights, and models whose weights are about to be replaced."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from fnmatch import fnmatchcase
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import init

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

_INITIALISERS = (
    "uniform_",
    "normal_",
    "trunc_normal_",
    "constant_",
    "ones_",
    "zeros_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
)


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Build modules without drawing weights that are replaced at once; a billion of them take long."""
    kept = {name: getattr(init, name) for name in _INITIALISERS}

    def leave(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
        return tensor

    try:
        for name in kept:
            setattr(init, name, leave)
        yield
    finally:
        for name, initialiser in kept.items():
            setattr(init, name, initialiser)


def randomise(model: nn.Module, seed: int, computed: Sequence[str] = ()) -> None:
    """Give every float entry of the state a value from the seed and its own key, so that order is no matter.

    Matrices keep the size of what passes through them (deviation 1 / sqrt(inputs)); scales of
    normalisation scatter around 1 and offsets around 0, by 0.1. Entries that match `computed` stay.
    """
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not any(fnmatchcase(key, pattern) for pattern in computed):
                tensor.copy_(_drawn(key, tensor, seed))


def _drawn(key: str, tensor: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode(), seed & 0xFFFFFFFF))
    normal = torch.empty(tensor.shape, dtype=torch.float32).normal_(generator=generator)
    if tensor.ndim >= 2:
        return normal.div_(prod(tensor.shape[1:]) ** 0.5)
    return normal.mul_(0.1).add_(1.0 if key.endswith("weight") else 0.0)
