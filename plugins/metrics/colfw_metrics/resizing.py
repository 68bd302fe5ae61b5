"""Frames as the published codes show them to their networks: of 8 bits, and by their own ways of resizing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def in_8_bits(images: Tensor) -> Tensor:
    """From -1 to 1 to whole numbers from 0 to 255: clipped and rounded, as if a file had held them."""
    return (images.float() * 127.5 + 128).clamp(0, 255).floor()


def as_tensorflow_1(images: Tensor, side_px: int) -> Tensor:
    """Images `[..., height, width]` squashed to squares, bilinear: pixel i of n shows the place i * size / n.

    The first pixels coincide; later codes let the outer edges coincide, half a pixel away.
    """
    return _between(_between(images, side_px, axis=-1), side_px, axis=-2)


def _between(images: Tensor, side_px: int, *, axis: int) -> Tensor:
    """Linear interpolation along one axis; what lies beyond the last pixel is that pixel."""
    size = images.shape[axis]
    places = torch.arange(side_px, device=images.device, dtype=torch.float32) * (size / side_px)
    before = places.long()
    after = (before + 1).clamp(max=size - 1)
    share = (places - before).reshape(-1, *[1] * (-1 - axis))
    low, high = images.index_select(axis, before), images.index_select(axis, after)
    return low + (high - low) * share
