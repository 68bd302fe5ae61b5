"""EDGE's description of dance, and the positions of joints that follow from it.

Tseng et al., "EDGE: Editable Dance Generation From Music" (2023). A frame has 151 features: whether each of
four points of the feet touches the ground, where the pelvis is, and how each of the 24 joints of SMPL is
turned. z points up. Windows that overlap by half are joined as the official code joins them: over an overlap
one fades into the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import field, frozen

from colfw.denoising.decoding import numbers_in
from colfw.errors import StoreError
from colfw_workloads import skeleton

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    Fade = Callable[[Tensor, Tensor, Tensor], Tensor]

CONTACTS = 4
JOINTS = len(skeleton.PARENTS)
FEATURES = CONTACTS + 3 + 6 * JOINTS


@frozen(kw_only=True, eq=False)
class Normalisation:
    """How features were brought to -1 to 1: `normalised = features * scale + offset`, a number a feature."""

    scale: Tensor = field()
    offset: Tensor = field()

    @classmethod
    def of(cls, normalizer: Any, *, where: str) -> Normalisation:
        """From the object that a checkpoint holds: the official `Normalizer`, around its `MinMaxScaler`."""
        try:
            scaler = normalizer.state["scaler"].state
            scale, offset = (torch.as_tensor(scaler[name]).float() for name in ("scale_", "min_"))
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError):
            scale = offset = torch.empty(0)
        if not all(_is_whole(numbers) for numbers in (scale, offset)) or not (scale != 0).all():
            raise StoreError(
                f"holds no normalizer of {FEATURES} features, without which they give no joints",
                where=where,
                hint="the released checkpoint.pt has one; without `skeleton`, samples are features",
            )
        return cls(scale=scale, offset=offset)

    def in_units(self, normalised: Tensor) -> Tensor:
        """Features in metres; what a model puts beyond the range of its training is cut off first."""
        return (normalised.clamp(-1, 1) - self.offset) / self.scale


def _is_whole(numbers: Tensor) -> bool:
    return numbers.shape == (FEATURES,) and bool(torch.isfinite(numbers).all())


def offsets_in(file: Path) -> Tensor:
    """Where each joint hangs on the one before it, `[24, 3]` in metres."""
    return numbers_in(file, shape=(JOINTS, 3), what="where each joint of SMPL hangs on the one before it")


def joints(features: Tensor, offsets: Tensor) -> Tensor:
    """Positions in metres `[dance, frame, 24, 3]` of features in units, `[dance, window, frame, 151]`."""
    root = features[..., CONTACTS : CONTACTS + 3]
    turns = features[..., CONTACTS + 3 :]
    rotations = skeleton.rotations_of(turns.reshape(*turns.shape[:-1], JOINTS, 6))
    return skeleton.positions(_joined(root, _mixed), _joined(rotations, skeleton.between), offsets)


def _joined(windows: Tensor, fade: Fade) -> Tensor:
    """One row of frames `[dance, frame, ...]` of windows that overlap by half, `[dance, window, frame, ...]`.

    From the first frame of an overlap, which is the earlier window's, to the last, which is the later one's,
    `fade` goes evenly from one to the other.
    """
    if windows.shape[1] == 1:
        return windows[:, 0]
    half = windows.shape[2] // 2
    earlier, later = windows[:, :-1, half:], windows[:, 1:, :half]
    faded = fade(earlier, later, torch.linspace(0, 1, half)[:, None])
    return torch.cat([windows[:, 0, :half], faded.flatten(1, 2), windows[:, -1, half:]], dim=1)


def _mixed(earlier: Tensor, later: Tensor, share: Tensor) -> Tensor:
    return (1 - share) * earlier + share * later
