"""What turns a loop's tensors into samples that can be compared: in parts, and told apart by its files.

How a model decodes (by an autoencoder, by a skeleton) is its own matter; this is what all of them need.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from colfw.denoising.checkpoints import check_regular, first_line, reading
from colfw.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor


def in_parts(decode: Callable[[Tensor], Tensor], made: Tensor, *, size: int) -> Tensor:
    """Decode a few samples at a time: images are many times larger than their latents."""
    return torch.cat([decode(part).float().cpu() for part in torch.split(made, size)])


def joint_digest(*digests: str | None) -> str | None:
    """One hash of several; None where there is none, and a single one stays as it is."""
    given = [digest for digest in digests if digest is not None]
    if len(given) <= 1:
        return given[0] if given else None
    # Places count: what was the conditioning of one run may be what decodes another.
    return hashlib.sha256("\n".join(digest or "" for digest in digests).encode()).hexdigest()


def numbers_in(path: Path, *, shape: tuple[int, ...], what: str) -> Tensor:
    """The array of an npy file as float32, if it is what is wanted; `what` names it in messages."""
    check_regular(path)
    try:
        with reading(path), path.open("rb") as stream:
            array = np.asarray(np.lib.format.read_array(stream, allow_pickle=False), np.float32)
    except (ValueError, TypeError, EOFError) as error:
        raise StoreError(f"no npy file of numbers: {first_line(error)}", where=str(path)) from error
    if array.shape != shape or not np.isfinite(array).all():
        found = f"{list(array.shape)}" if array.shape != shape else "NaN or infinity"
        raise StoreError(f"holds {found}; wanted: {list(shape)} numbers, {what}", where=str(path))
    return torch.from_numpy(array)
