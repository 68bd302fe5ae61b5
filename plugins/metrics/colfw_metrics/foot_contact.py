"""Physical foot contact (PFC): a body that speeds up while neither foot stands has nothing to push against.

Of EDGE. In each frame the acceleration of the root, of whose vertical part only that upwards counts, is
multiplied by how fast the stiller part of either foot slides over the ground. Accelerations are shares of
the largest of the motion, speeds are metres a frame, and the mean over frames is multiplied by 10000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from colfw.errors import UnavailableError
from colfw_metrics.motion import (
    BODY_JOINTS,
    SMPL_JOINTS,
    WHERE,
    check_joint,
    check_pair,
    motions_of,
    rate_of,
    score_of,
    with_z_up,
)
from colfw_metrics.motion_options import CountIn

if TYPE_CHECKING:
    from colfw.samples import Samples, Score
    from colfw_metrics.motion import Motion
    from colfw_metrics.motion_options import FootContactConfig

    Feet = tuple[tuple[int, ...], tuple[int, ...]]

REFERENCE_HZ: Final = 30.0
"""Frames a second of EDGE's dances, at which its speeds a frame are speeds."""
LEAST_FRAMES: Final = 3
"""Fewer have no acceleration."""
SCALE: Final = 10_000
"""Of the reference, to make values readable."""
SMPL_FEET: Final = (7, 10), (8, 11)
"""Ankle and toes of the left foot, and of the right one."""


class FootContact:
    """The mean over samples of the value of each; 0 where a foot stands whenever the body speeds up."""

    def __init__(self, config: FootContactConfig) -> None:
        self._config = config

    def score(self, dense: Samples, masked: Samples) -> Score:
        check_pair(dense, masked)
        return score_of(self._config.of, self._values(dense), self._values(masked))

    def _values(self, samples: Samples) -> list[float]:
        motions = motions_of(samples, least_frames=LEAST_FRAMES)
        feet = self._feet(motions[0])
        frames_per_reference_frame = 1.0
        if self._config.count_in is CountIn.SECONDS:
            frames_per_reference_frame = rate_of(samples, "to count in seconds") / REFERENCE_HZ
        # Two speeds are multiplied.
        factor = frames_per_reference_frame**2
        return [
            factor * foot_contact(with_z_up(motion, self._config.up), feet, root=self._config.root)
            for motion in motions
        ]

    def _feet(self, motion: Motion) -> Feet:
        config = self._config
        check_joint(config.root, motion, "root")
        if config.left_foot is None or config.right_foot is None:
            return _feet_of_skeleton(motion.shape[1])
        for option, joints in (("left_foot", config.left_foot), ("right_foot", config.right_foot)):
            check_joint(max(joints), motion, option)
        return config.left_foot, config.right_foot


def _feet_of_skeleton(joints: int) -> Feet:
    if joints not in {BODY_JOINTS, SMPL_JOINTS}:
        raise UnavailableError(
            f"have {joints} joints, and which are feet is known of SMPL's {BODY_JOINTS} or {SMPL_JOINTS}",
            where=WHERE,
            hint="name the joints in the options `left_foot` and `right_foot`",
        )
    return SMPL_FEET


def foot_contact(motion: Motion, feet: Feet = SMPL_FEET, *, root: int = 0) -> float:
    """The value of one motion `[frame, joint, 3]` with z up; 0 where its root never speeds up.

    The reference divides by the largest acceleration, so there it gives NaN for such a motion.
    """
    acceleration = _acceleration(motion[:, root])
    if not acceleration.any():
        return 0.0
    slides = np.linalg.norm(np.diff(motion[1:, :, :2], axis=0), axis=-1)
    left, right = (slides[:, list(foot)].min(axis=1) for foot in feet)
    return float((acceleration / acceleration.max() * left * right).mean() * SCALE)


def _acceleration(path: Motion) -> Motion:
    """The size of the acceleration along `[frame, 3]`, in metres per frame per frame; down does not count.

    What is below the rounding of positions in float32 is none: its share of the largest would be anything.
    """
    steps = np.diff(path, n=2, axis=0)
    steps[:, 2] = np.maximum(steps[:, 2], 0)
    size = np.linalg.norm(steps, axis=-1)
    size[size <= 4 * np.finfo(np.float32).eps * np.abs(path).max()] = 0
    accelerations: Motion = size
    return accelerations
