"""HumanML3D's description of motion, and the positions of joints that follow from it.

Guo et al., "Generating Diverse and Natural 3D Human Motions from Text" (2022). A frame has 263 features: how
far the body turns and moves until the next frame, how high its pelvis is, where the other 21 joints are as
seen from the pelvis, and then what positions do not depend on: rotations, speeds, contacts with the ground.
y points up, the ground is y = 0, and a motion begins above the origin, facing z.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from colfw.denoising.checkpoints import file_digest
from colfw.denoising.decoding import joint_digest, numbers_in

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

JOINTS = 22
FEATURES = 263
RATE_HZ = 20.0
STATISTICS = ("Mean.npy", "Std.npy")
"""The files of means and standard deviations that HumanML3D comes with."""


def in_units(normalised: Tensor, statistics: Path) -> Tensor:
    """Features in radians and metres, of those that a model sees."""
    mean, std = _read(statistics)
    return normalised * std + mean


def _read(statistics: Path) -> list[Tensor]:
    what = "one a feature of HumanML3D"
    return [numbers_in(statistics / name, shape=(FEATURES,), what=what) for name in STATISTICS]


def statistics_digest(statistics: Path) -> str | None:
    """A hash of both files; refuses a folder that does not hold them."""
    _read(statistics)
    return joint_digest(*(file_digest(statistics / name) for name in STATISTICS))


def joints(features: Tensor) -> Tensor:
    """Positions in metres `[..., frame, 22, 3]` of features `[..., frame, 263]` in units."""
    turned = _until(features[..., :1])
    # What a frame says of its way to the next one is seen in the direction that the next one faces.
    along_x, along_z = _turned_back(_shifted(features[..., 1:2]), _shifted(features[..., 2:3]), turned)
    x, z = along_x.cumsum(-2), along_z.cumsum(-2)
    seen = features[..., 4 : 4 + 3 * (JOINTS - 1)].reshape(*features.shape[:-1], JOINTS - 1, 3)
    other_x, other_z = _turned_back(seen[..., 0], seen[..., 2], turned)
    others = torch.stack([other_x + x, seen[..., 1], other_z + z], dim=-1)
    pelvis = torch.stack([x, features[..., 3:4], z], dim=-1)
    return torch.cat([pelvis, others], dim=-2)


def _shifted(steps: Tensor) -> Tensor:
    """What each frame says of the next one, told of that one; of the first frame nobody says anything."""
    return torch.cat([torch.zeros_like(steps[..., :1, :]), steps[..., :-1, :]], dim=-2)


def _until(steps: Tensor) -> Tensor:
    """The sum of what all frames before a frame say."""
    return _shifted(steps).cumsum(-2)


def _turned_back(x: Tensor, z: Tensor, half_angle: Tensor) -> tuple[Tensor, Tensor]:
    """From the body's directions to the world's; features count half angles, as quaternions do."""
    cos, sin = (2 * half_angle).cos(), (2 * half_angle).sin()
    return x * cos - z * sin, x * sin + z * cos
