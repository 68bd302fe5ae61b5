"""Synthetic motion for `walker`: a stick figure of 15 joints that walks in six styles.

A motion is a matrix `[frame, feature]`: two turns for each of the 14 bones, then how fast the pelvis moves
forward, how far it sways and how high it is. `joints` follows the bones from the pelvis, so every bone
keeps its length whatever the features are. x points forward, y to the left, z up; the ground is z = 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from attrs import fields, frozen
from torch.nn import functional

from colfw_workloads.miniature_options import STYLES

if TYPE_CHECKING:
    from torch import Tensor

FRAMES = 60
RATE_HZ = 20.0


@frozen
class Bone:
    """From a joint to its child: how long, where it points at rest, and about which axis it swings first.

    The first turn is about y (forward and backward) or z (twist), the second always about x (sideways).
    """

    parent: str
    child: str
    length_m: float
    rest: tuple[float, float, float]
    swings_about: str = "y"


_UP, _DOWN = (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)
_LEFT, _RIGHT = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)


def _sided(side: str, outward: tuple[float, float, float]) -> tuple[Bone, ...]:
    return (
        Bone("neck", f"{side} shoulder", 0.18, outward, "z"),
        Bone(f"{side} shoulder", f"{side} elbow", 0.29, _DOWN),
        Bone(f"{side} elbow", f"{side} hand", 0.26, _DOWN),
        Bone("pelvis", f"{side} hip", 0.10, outward, "z"),
        Bone(f"{side} hip", f"{side} knee", 0.43, _DOWN),
        Bone(f"{side} knee", f"{side} foot", 0.42, _DOWN),
    )


BONES = (
    Bone("pelvis", "neck", 0.50, _UP),
    Bone("neck", "head", 0.22, _UP),
    *_sided("left", _LEFT),
    *_sided("right", _RIGHT),
)
"""Every bone after the one that leads to its parent. Lengths are those of an adult of about 1.75 m."""
LEG_M = 0.85
JOINTS = ("pelvis", *(bone.child for bone in BONES))
BONE_ENDS = tuple((JOINTS.index(bone.parent), JOINTS.index(bone.child)) for bone in BONES)
SPEED, SWAY, HEIGHT = (2 * len(BONES) + offset for offset in range(3))
FEATURES = 2 * len(BONES) + 3

CENTRE = torch.tensor([0.0] * (2 * len(BONES)) + [1.5, 0.0, 0.8])
SCALE = torch.tensor([0.5, 0.15] * len(BONES) + [1.0, 0.05, 0.1])
"""About the mean and the spread of each feature; networks see (motion - centre) / scale."""


def normalised(motion: Tensor) -> Tensor:
    """Motions as a network sees them."""
    return (motion - CENTRE.to(motion)) / SCALE.to(motion)


def in_units(seen: Tensor) -> Tensor:
    """Motions in radians, metres and metres a second, from what a network sees."""
    return seen * SCALE.to(seen) + CENTRE.to(seen)


def swing(child: str) -> int:
    """The feature that holds the first turn of the bone that leads to this joint; the second follows it."""
    return 2 * (JOINTS.index(child) - 1)


def joints(motion: Tensor) -> Tensor:
    """Positions in metres `[..., frame, joint, 3]` of motions `[..., frame, feature]`."""
    forward = motion[..., SPEED].cumsum(-1) / RATE_HZ
    places = {"pelvis": torch.stack([forward, motion[..., SWAY], motion[..., HEIGHT]], dim=-1)}
    for bone in BONES:
        places[bone.child] = places[bone.parent] + bone.length_m * _direction(motion, bone)
    return torch.stack([places[joint] for joint in JOINTS], dim=-2)


def _direction(motion: Tensor, bone: Bone) -> Tensor:
    """The unit vector along a bone, turned as the motion says."""
    first, second = motion[..., swing(bone.child)], motion[..., swing(bone.child) + 1]
    x, y, z = (torch.full_like(first, part) for part in bone.rest)
    cos, sin = first.cos(), first.sin()
    if bone.swings_about == "y":
        # Positive turns take a limb that hangs down forward, and a trunk that stands up forward too.
        lean = sin * z.abs()
        x, z = x * cos + lean, z * cos
    else:
        x, y = x * cos - y * sin, x * sin + y * cos
    cos, sin = second.cos(), second.sin()
    return torch.stack([x, y * cos - z * sin, y * sin + z * cos], dim=-1)


# --- the data -------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Style:
    """What makes a way of walking: angles in radians, `_m` in metres, one stride is two steps."""

    strides_hz: float
    thigh: float
    """How far the thighs swing forward and backward."""
    raised: float = 0.0
    """How far forward of the vertical they swing about."""
    knee: float
    """How far a knee bends while its leg comes forward."""
    knee_always: float = 0.1
    arms: float
    elbow: float
    lean: float = 0.05
    twist: float = 0.1
    sway_m: float = 0.02
    bounce_m: float = 0.0
    """How high the body flies between steps."""
    limp: float = 0.0
    """How much less the right leg swings, as a share."""


GAITS = {
    "stroll": Style(strides_hz=0.85, thigh=0.40, raised=0.05, knee=0.85, arms=0.30, elbow=0.25),
    "march": Style(
        strides_hz=1.0, thigh=0.62, raised=0.30, knee=1.3, arms=0.65, elbow=0.15, lean=0.0, twist=0.05
    ),
    "run": Style(
        strides_hz=1.45, thigh=0.70, raised=0.20, knee=1.6, knee_always=0.35, arms=0.60, elbow=1.5,
        lean=0.20, twist=0.15, sway_m=0.01, bounce_m=0.07,
    ),
    "sneak": Style(
        strides_hz=0.55, thigh=0.45, raised=0.40, knee=0.9, knee_always=0.75, arms=0.12, elbow=1.0, lean=0.45
    ),
    "limp": Style(
        strides_hz=0.75, thigh=0.42, raised=0.08, knee=0.7, arms=0.22, elbow=0.4, lean=0.12, sway_m=0.045,
        limp=0.6,
    ),
    "swagger": Style(
        strides_hz=0.75, thigh=0.45, raised=0.02, knee=0.75, arms=0.55, elbow=0.45, lean=-0.10, twist=0.30,
        sway_m=0.05,
    ),
}  # fmt: skip
"""Made up to look different, not measured on people."""


Gait = dict[str, "Tensor"]
"""The entries of a style for a batch of walkers, `[walker, 1]` each."""


def walks(styles: Tensor, generator: torch.Generator) -> Tensor:
    """A motion `[frame, feature]` for each style number: its own pace, size, phase and noise each."""
    gait = _gaits(styles, generator)
    start = torch.rand(styles.shape[0], 1, generator=generator)
    phase = 2 * math.pi * (start + gait["strides_hz"] * torch.arange(FRAMES) / RATE_HZ)
    motion = torch.zeros(styles.shape[0], FRAMES, FEATURES)
    _move_trunk(motion, phase, gait)
    _move_limbs(motion, "left", phase, gait, reach=1.0)
    _move_limbs(motion, "right", phase + math.pi, gait, reach=1 - gait["limp"])
    motion[..., :SPEED] += 0.03 * _slow_noise(styles.shape[0], SPEED, generator)
    _move_pelvis(motion, phase, gait)
    return motion


def _gaits(styles: Tensor, generator: torch.Generator) -> Gait:
    """The table's entries, each changed by up to 12 % for each walker."""
    gait = {}
    for entry in fields(Style):
        values = torch.tensor([getattr(GAITS[style], entry.name) for style in STYLES])
        change = 0.12 * (2 * torch.rand(styles.shape[0], 1, generator=generator) - 1)
        gait[entry.name] = values[styles][:, None] * (1 + change)
    return gait


def _move_trunk(motion: Tensor, phase: Tensor, gait: Gait) -> None:
    """The trunk leans and nods twice a stride; shoulders and hips twist against each other."""
    motion[..., swing("neck")] = gait["lean"] + 0.03 * (2 * phase).sin()
    motion[..., swing("head")] = 0.5 * gait["lean"] - 0.03 * (2 * phase).sin()
    motion[..., swing("neck") + 1] = -gait["sway_m"] * phase.cos()
    for side in ("left", "right"):
        outward = 1 if side == "left" else -1
        motion[..., swing(f"{side} shoulder")] = gait["twist"] * phase.sin()
        motion[..., swing(f"{side} hip")] = -0.7 * gait["twist"] * phase.sin()
        motion[..., swing(f"{side} hip") + 1] = 0.05 * phase.cos()
        motion[..., swing(f"{side} elbow") + 1] = 0.12 * outward


def _move_limbs(motion: Tensor, side: str, phase: Tensor, gait: Gait, *, reach: Tensor | float) -> None:
    """A leg, and the arm of the same side against it; a knee bends while its thigh comes forward."""
    thigh = reach * (gait["raised"] + gait["thigh"] * phase.sin())
    comes_forward = (0.5 + 0.5 * (phase + 0.3).cos()) ** 2
    motion[..., swing(f"{side} knee")] = thigh
    motion[..., swing(f"{side} foot")] = thigh - gait["knee_always"] - reach * gait["knee"] * comes_forward
    arm = -gait["arms"] * phase.sin()
    motion[..., swing(f"{side} elbow")] = arm
    motion[..., swing(f"{side} hand")] = arm + gait["elbow"] * (1 - 0.2 * phase.sin())


def _slow_noise(walkers: int, features: int, generator: torch.Generator) -> Tensor:
    """Standard normal numbers at seven moments, and straight lines between them."""
    moments = torch.randn(walkers, features, 7, generator=generator)
    return functional.interpolate(moments, FRAMES, mode="linear", align_corners=True).transpose(1, 2)


def _move_pelvis(motion: Tensor, phase: Tensor, gait: Gait) -> None:
    """Two steps a stride, each as long as the thighs reach; the lower foot stands on the ground."""
    step_m = 2 * LEG_M * gait["thigh"].sin() * (1 - gait["limp"] / 2)
    motion[..., SPEED] = 2 * gait["strides_hz"] * step_m * (1 + 0.08 * (2 * phase).cos())
    motion[..., SWAY] = gait["sway_m"] * phase.cos()
    places = joints(motion)
    feet = [places[..., JOINTS.index(f"{side} foot"), 2] for side in ("left", "right")]
    motion[..., HEIGHT] = gait["bounce_m"] * phase.cos().abs() - torch.minimum(*feet)
