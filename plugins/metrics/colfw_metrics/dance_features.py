"""What a dance is described by, and the Frechet distance of two sets of dances.

Two descriptions, both of the 24 joints of SMPL: how much energy joints have and spend (kinetic, Onuma et
al. 2008), and how often the body is in certain states (geometric, Mueller et al. 2005). Both are those of
google/aistplusplus_api, whose quirks are kept where they decide a value, and are named here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import frozen

from colfw.errors import UnavailableError
from colfw_metrics.frechet import frechet_score
from colfw_metrics.motion import SMPL_JOINTS, WHERE, check_pair, motions_of, rate_of, with_z_up
from colfw_metrics.motion_options import CountIn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.samples import Samples, Score
    from colfw_metrics.motion import Motion
    from colfw_metrics.motion_options import DanceFidConfig

    Flags = NDArray[np.bool_]

REFERENCE_HZ: Final = 60.0
"""Frames a second of the AIST++ dances, for which both descriptions are made."""
LEAST_FRAMES: Final = 3
"""Fewer have no acceleration."""


class _DanceFid:
    """The Frechet distance of descriptions, each number of which is standardised by the dense dances."""

    name: str

    def __init__(self, config: DanceFidConfig) -> None:
        self._config = config

    def score(self, dense: Samples, masked: Samples) -> Score:
        check_pair(dense, masked)
        descriptions = standardised(self._described(dense), self._described(masked))
        return frechet_score(*descriptions, name=self.name)

    def _described(self, samples: Samples) -> Motion:
        motions = motions_of(samples, least_frames=LEAST_FRAMES)
        if motions[0].shape[1] != SMPL_JOINTS:
            raise UnavailableError(
                f"need the {SMPL_JOINTS} joints of SMPL in their order, and have {motions[0].shape[1]}",
                where=WHERE,
            )
        rate_hz = REFERENCE_HZ
        if self._config.count_in is CountIn.SECONDS:
            rate_hz = rate_of(samples, "to count in seconds")
        return np.stack([self.features(self._placed(motion), rate_hz) for motion in motions])

    def _placed(self, motion: Motion) -> Motion:
        """As the features of AIST++ are extracted: the dance begins with its root at the origin."""
        return with_z_up(motion - motion[:1, :1], self._config.up)

    def features(self, motion: Motion, rate_hz: float) -> Motion:
        """The description of one dance, with z up."""
        raise NotImplementedError


class KineticFid(_DanceFid):
    """FID_k: how far the energies of joints are from those of the dense dances."""

    name = "dance-fid-kinetic"

    def features(self, motion: Motion, rate_hz: float) -> Motion:
        return kinetic_features(motion, rate_hz)


class GeometricFid(_DanceFid):
    """FID_g: how far the states of the body are from those of the dense dances."""

    name = "dance-fid-geometric"

    def features(self, motion: Motion, rate_hz: float) -> Motion:
        return geometric_features(motion, rate_hz)


def standardised(dense: Motion, masked: Motion) -> tuple[Motion, Motion]:
    """Both sets of features `[dance, feature]`, less the dense mean, by the dense standard deviation.

    A feature that is the same in all dense dances has no scale. Where it is the same in the masked ones too
    it counts for nothing; elsewhere there is no distance: the reference divides by 1e-10 and gives a number
    that says nothing else.
    """
    constant = np.ptp(dense, axis=0) == 0
    changed = np.flatnonzero(constant & (masked != dense[0]).any(axis=0))
    if len(changed):
        raise UnavailableError(
            f"{len(changed)} features, first number {changed[0]}, are the same in all {len(dense)} dense"
            " dances and not in the masked ones, so that they have no scale",
            where=WHERE,
            hint="compare more dances",
        )
    mean, spread = dense.mean(axis=0), dense.std(axis=0) + _LEAST_SPREAD
    first, second = ((each - mean) / spread * ~constant for each in (dense, masked))
    return first, second


_LEAST_SPREAD: Final = 1e-10
"""Of the reference: added to every standard deviation."""


# --- energies -------------------------------------------------------------------------------------


def kinetic_features(motion: Motion, rate_hz: float = REFERENCE_HZ) -> Motion:
    """For each joint: mean energy along the ground, mean energy upwards, mean energy spent.

    `motion` has z up. What is measured are means over the frames around each, two to either side at 60
    frames a second; the mass of a joint is not known and counts as 2, so that energy is speed squared. The
    energy spent should be the size of the acceleration. The reference divides the earlier position by the
    frame's time where it means to divide the earlier step, and so measures how far a joint is from the
    origin; every published value holds that, and this one too.
    """
    half = max(1, round(2 * rate_hz / REFERENCE_HZ))
    frames = np.arange(1, len(motion))
    before, here, after = motion[:-2], motion[1:-1], motion[2:]
    velocity = _means_around(np.diff(motion, axis=0) * rate_hz, frames - 1, half)
    spent = ((after - here) * rate_hz - (here - before * rate_hz)) * rate_hz
    energies = (
        (velocity[..., :2] ** 2).sum(axis=-1),
        velocity[..., 2] ** 2,
        np.linalg.norm(_means_around(spent, frames - 1, half), axis=-1),
    )
    features: Motion = np.stack([energy.mean(axis=0) for energy in energies], axis=-1).reshape(-1)
    return features


def _means_around(values: Motion, centres: NDArray[np.int64], half: int) -> Motion:
    """For each centre the mean of the values up to `half` places away, those that are there."""
    places = centres[:, None] + np.arange(-half, half + 1)
    there = (places >= 0) & (places < len(values))
    taken = values[np.clip(places, 0, len(values) - 1)] * there[..., None, None]
    means: Motion = taken.sum(axis=1) / there.sum(axis=1)[:, None, None]
    return means


# --- states ---------------------------------------------------------------------------------------

_NAMES: Final = (
    *("root", "left hip", "right hip", "belly", "left knee", "right knee", "spine", "left ankle"),
    *("right ankle", "chest", "left toes", "right toes", "neck", "left collar", "right collar", "head"),
    *("left shoulder", "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist"),
    *("left hand", "right hand"),
)
# Lengths in metres in the rest pose of SMPL, between the joints that the reference writes out.
_UPPER_ARM_M: Final = 0.25683811
_SHOULDERS_M: Final = 0.39084836
_HIPS_M: Final = 0.11924707


def geometric_features(motion: Motion, rate_hz: float = REFERENCE_HZ) -> Motion:
    """The share of frames, the first left out, in which the body is in each of 32 states; z is up.

    The reference takes a frame for 1/120 s though its dances have 60 a second, so its speeds are twice those
    of the dancer; they are here too, at any rate.
    """
    body = _Body(motion=motion, frames_per_s=2 * rate_hz)
    # A direction between joints in one place is NaN, and what is compared with NaN is not so.
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: Motion = np.stack(_states(body)).mean(axis=1)
    return shares


@frozen(kw_only=True, eq=False)
class _Body:
    """A motion whose joints have names; every answer is for each frame but the first."""

    motion: Motion
    frames_per_s: float

    def at(self, joint: str) -> Motion:
        return self.motion[1:, _NAMES.index(joint)]

    def velocity(self, joint: str) -> Motion:
        steps: Motion = np.diff(self.motion[:, _NAMES.index(joint)], axis=0)
        return steps * self.frames_per_s

    def height(self, joint: str) -> Motion:
        """Over the lowest joint."""
        height: Motion = self.at(joint)[:, 2] - self.motion[1:, :, 2].min(axis=1)
        return height

    def bone(self, start: str, end: str) -> Motion:
        return self.at(end) - self.at(start)

    def normal(self, origin: str, first: str, second: str) -> Motion:
        """The direction out of the plane through three joints."""
        normal: Motion = np.cross(self.bone(origin, second), self.bone(origin, first))
        return normal

    # --- states ---

    def is_fast(self, joint: str, than_m_per_s: float) -> Flags:
        return np.asarray(np.linalg.norm(self.velocity(joint), axis=-1) > than_m_per_s)

    def approaches(self, joint: str, seen_from: str, towards: str, than_m_per_s: float) -> Flags:
        """How fast a joint moves, seen from a second one, in the direction from that to a third."""
        return self._moves(joint, seen_from, self.bone(seen_from, towards), than_m_per_s)

    def leaves(self, joint: str, plane: tuple[str, str, str], than_m_per_s: float) -> Flags:
        """How fast a joint moves out of a plane, seen from the plane's first joint."""
        return self._moves(joint, plane[0], self.normal(*plane), than_m_per_s)

    def _moves(self, joint: str, seen_from: str, direction: Motion, than_m_per_s: float) -> Flags:
        relative = self.velocity(joint) - self.velocity(seen_from)
        return _along(relative, direction) > than_m_per_s

    def is_above(self, joint: str, plane: tuple[str, str, str], than_m: float) -> Flags:
        """How far a joint is out of a plane."""
        return _along(self.bone(plane[0], joint), self.normal(*plane)) > than_m

    def is_beyond(self, joint: str, origin: str, direction: tuple[str, str], than_m: float) -> Flags:
        """How far a joint is from a second one in the direction of two others."""
        return _along(self.bone(origin, joint), self.bone(*direction)) > than_m

    def is_bent(self, first: tuple[str, str], second: tuple[str, str], degrees: tuple[int, int]) -> Flags:
        """Whether the angle of two bones is between two others."""
        return _between(self.bone(*first), self.bone(*second), degrees)


def _along(vectors: Motion, directions: Motion) -> Motion:
    lengths: Motion = (vectors * directions).sum(axis=-1) / np.linalg.norm(directions, axis=-1)
    return lengths


def _between(first: Motion, second: Motion, degrees: tuple[int, int]) -> Flags:
    cosine = _along(first, second) / np.linalg.norm(first, axis=-1)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    inside: Flags = (angle > degrees[0]) & (angle < degrees[1])
    return inside


_UP: Final = np.array([[0.0, 0.0, 1.0]])


def _states(body: _Body) -> tuple[Flags, ...]:
    """The 32 states, in the order of the reference, mostly first of the right side and then of the left.

    It asks for two of them twice: towards the chest moves what it calls a hand, and is the chest.
    """
    arm, chest_up = _UPPER_ARM_M, body.approaches("chest", "belly", "chest", 1.8 * _UPPER_ARM_M)
    return (
        body.leaves("right wrist", ("neck", "right hip", "left hip"), 1.8 * arm),
        body.leaves("left wrist", ("neck", "left hip", "right hip"), 1.8 * arm),
        body.is_beyond("right wrist", "neck", ("chest", "neck"), 0.2 * arm),
        body.is_beyond("left wrist", "neck", ("chest", "neck"), 0.2 * arm),
        chest_up,
        chest_up,
        body.is_bent(("right elbow", "right shoulder"), ("right elbow", "right wrist"), (0, 110)),
        body.is_bent(("left elbow", "left shoulder"), ("left elbow", "left wrist"), (0, 110)),
        body.is_beyond("right wrist", "left wrist", ("left shoulder", "right shoulder"), 2.5 * _SHOULDERS_M),
        body.approaches("right wrist", "left wrist", "right wrist", 1.4 * arm),
        body.approaches("left wrist", "right wrist", "root", 1.4 * arm),
        body.approaches("right wrist", "left wrist", "root", 1.4 * arm),
        body.is_fast("right wrist", 2.5 * arm),
        body.is_fast("left wrist", 2.5 * arm),
        body.is_above("right ankle", ("root", "left hip", "left toes"), 0.38 * arm),
        body.is_above("left ankle", ("root", "right hip", "right toes"), 0.38 * arm),
        body.height("right ankle") > 1.2 * arm,
        body.height("left ankle") > 1.2 * arm,
        body.is_beyond("right ankle", "left ankle", ("left hip", "right hip"), 2.1 * _HIPS_M),
        body.is_bent(("right knee", "right hip"), ("right knee", "right ankle"), (0, 110)),
        body.is_bent(("left knee", "left hip"), ("left knee", "left ankle"), (0, 110)),
        body.is_fast("right ankle", 2.5 * arm),
        body.is_fast("left ankle", 2.5 * arm),
        body.is_bent(("neck", "root"), ("right shoulder", "right elbow"), (25, 180)),
        body.is_bent(("neck", "root"), ("left shoulder", "left elbow"), (25, 180)),
        body.is_bent(("neck", "root"), ("right hip", "right knee"), (50, 180)),
        body.is_bent(("neck", "root"), ("left hip", "left knee"), (50, 180)),
        body.is_above("root", ("right ankle", "neck", "left ankle"), 0.5 * arm),
        _between(body.bone("neck", "root"), _UP, (70, 110)),
        body.height("right wrist") < 1.2 * arm,
        body.height("left wrist") < 1.2 * arm,
        body.is_fast("root", 2.3 * arm),
    )
