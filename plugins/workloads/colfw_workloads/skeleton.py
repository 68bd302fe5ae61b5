"""The joints of a body: which hangs on which, and where they are when each is turned.

The order of joints is that of SMPL (Loper et al., "SMPL: A Skinned Multi-Person Linear Model", 2015), which
EDGE has whole and HumanML3D without the two hands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""The joint that each of the 24 hangs on: the first is the pelvis, and hangs on none."""


def bones(joints: int) -> tuple[tuple[int, int], ...]:
    """The pairs of joints that are connected, among the first ones."""
    return tuple((PARENTS[joint], joint) for joint in range(1, joints))


def positions(root: Tensor, rotations: Tensor, offsets: Tensor) -> Tensor:
    """Places of joints `[..., joint, 3]`, by following the bones from the root `[..., 3]`.

    `rotations` `[..., joint, 3, 3]` turn a joint against the one it hangs on; `offsets` `[joint, 3]` say
    where it hangs when nothing is turned.
    """
    places, turned = [root], [rotations[..., 0, :, :]]
    for joint in range(1, offsets.shape[0]):
        parent = PARENTS[joint]
        places.append(places[parent] + turned[parent] @ offsets[joint])
        turned.append(turned[parent] @ rotations[..., joint, :, :])
    return torch.stack(places, dim=-2)


def rotations_of(six: Tensor) -> Tensor:
    """Rotation matrices `[..., 3, 3]` of six numbers each: their first two rows, made upright to each other.

    Zhou et al., "On the Continuity of Rotation Representations in Neural Networks" (2019).
    """
    first = functional.normalize(six[..., :3], dim=-1)
    leaning = six[..., 3:]
    second = functional.normalize(leaning - (first * leaning).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-2)


def between(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Rotations `[..., 3, 3]` on the shortest way between two others, at a share `[...]` of that way."""
    one, other = quaternions(start), quaternions(end)
    cosine = (one * other).sum(-1)
    other = torch.where(cosine[..., None] < 0, -other, other)  # the same rotation, on the nearer side
    angle = cosine.abs().clamp(max=1).arccos()
    # Where the angle is tiny, sines are as good as the angles themselves, which may be 0.
    small = angle < 1e-4
    sine = torch.where(small, torch.ones_like(angle), angle.sin())
    of_one = torch.where(small, 1 - share, ((1 - share) * angle).sin() / sine)
    of_other = torch.where(small, share, (share * angle).sin() / sine)
    return matrices(functional.normalize(of_one[..., None] * one + of_other[..., None] * other, dim=-1))


def quaternions(rotations: Tensor) -> Tensor:
    """Unit quaternions `[..., 4]`, the real part first, of rotation matrices."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in rotations.unbind(-2))
    # Four times the products of each two parts; the row of the largest part is the one to divide by it.
    products = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, zy - yz, xz - zx, yx - xy], dim=-1),
            torch.stack([zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx], dim=-1),
            torch.stack([xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz], dim=-1),
            torch.stack([yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz], dim=-1),
        ],
        dim=-2,
    )
    largest = products.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*xx.shape, 1, 4)
    return functional.normalize(products.gather(-2, largest).squeeze(-2), dim=-1)


def matrices(quaternion: Tensor) -> Tensor:
    """Rotation matrices `[..., 3, 3]` of unit quaternions."""
    w, x, y, z = quaternion.unbind(-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
