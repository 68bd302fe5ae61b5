"""How far joints are from where they were: the mean distance (MPJPE), and that of accelerations.

Every frame of every motion counts alike, so a long motion counts more than a short one. Padding is cut off
before anything is summed. No position stands for a missing joint, as x = -2 m does in code that descends
from other data sets: motions here are whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw.errors import UnavailableError
from colfw.resampling import bootstrapped
from colfw_metrics.motion import WHERE, check_joint, pairs_of
from colfw_metrics.motion_options import Alignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colfw.samples import Samples, Score
    from colfw_metrics.motion import Motion
    from colfw_metrics.motion_options import MpjpeConfig

MM_PER_M = 1000.0


class Mpjpe:
    """The mean distance of joints in mm, after the alignment asked for.

    With `root` the mean is over all joints, the root among them, whose error is 0: so do the evaluations of
    MLD and MDM.
    """

    def __init__(self, config: MpjpeConfig) -> None:
        self._config = config

    def score(self, dense: Samples, masked: Samples) -> Score:
        return _pooled([self.frame_errors_mm(*pair) for pair in pairs_of(dense, masked)])

    def frame_errors_mm(self, dense: Motion, masked: Motion) -> Motion:
        """The mean distance of joints in each frame."""
        self._check_joints(dense)
        match self._config.alignment:
            case Alignment.ROOT:
                dense, masked = self._rooted(dense), self._rooted(masked)
            case Alignment.PROCRUSTES:
                masked = superimposed(masked, dense)
            case Alignment.NONE:
                pass
        return _distances_mm(dense, masked)

    def _rooted(self, motion: Motion) -> Motion:
        root = self._config.root
        return motion - motion[:, root : root + 1]

    def _check_joints(self, motion: Motion) -> None:
        alignment = self._config.alignment
        least = {Alignment.NONE: 1, Alignment.ROOT: 2, Alignment.PROCRUSTES: 3}[alignment]
        if motion.shape[1] < least:
            raise UnavailableError(
                f"have too few joints ({motion.shape[1]}) for alignment = {alignment.value!r}: of fewer than"
                f" {least} nothing is left to differ",
                where=WHERE,
            )
        if alignment is Alignment.ROOT:
            check_joint(self._config.root, motion, "root")


class AccelerationError:
    """The mean distance of accelerations of joints, in mm per frame per frame: how much motion trembles.

    An acceleration is the second difference of positions; the frame rate does not enter.
    """

    def score(self, dense: Samples, masked: Samples) -> Score:
        pairs = pairs_of(dense, masked, least_frames=3)
        return _pooled([self.frame_errors_mm(*pair) for pair in pairs])

    def frame_errors_mm(self, dense: Motion, masked: Motion) -> Motion:
        """The mean over joints in each frame but the first and the last."""
        return _distances_mm(np.diff(dense, n=2, axis=0), np.diff(masked, n=2, axis=0))


def superimposed(moved: Motion, target: Motion) -> Motion:
    """Each pose `[frame, joint, 3]` turned, scaled and shifted onto its target, with least squares.

    The rotation is Kabsch's, the scale Umeyama's (1991). A pose whose joints all lie in one point has no
    direction and no size: it comes to lie in the middle of its target.
    """
    centre = target.mean(axis=1, keepdims=True)
    pose, wanted = moved - moved.mean(axis=1, keepdims=True), target - centre
    left, stretch, right = np.linalg.svd(pose.transpose(0, 2, 1) @ wanted)
    # Where the best fit is a mirror image, the weakest axis is turned back.
    turn = np.sign(np.linalg.det(left) * np.linalg.det(right))
    stretch[:, -1] *= turn
    left[:, :, -1] *= turn[:, None]
    size = (pose**2).sum(axis=(1, 2))
    scale = np.divide(stretch.sum(axis=1), size, out=np.zeros_like(size), where=size > 0)
    laid: Motion = centre + scale[:, None, None] * (pose @ left @ right)
    return laid


def _distances_mm(first: Motion, second: Motion) -> Motion:
    distances: Motion = np.linalg.norm(first - second, axis=-1).mean(axis=-1) * MM_PER_M
    return distances


def _pooled(errors: Sequence[Motion]) -> Score:
    """The mean over the frames of all motions; motions are what is drawn for the interval."""
    sums = np.array([error.sum() for error in errors])
    frames = np.array([len(error) for error in errors])
    return bootstrapped(
        float(sums.sum() / frames.sum()),
        lambda drawn: float(sums[drawn].sum() / frames[drawn].sum()),
        samples=len(errors),
        least=0.0,
    )
