"""What motion metrics share: motions without their padding, and scores of one set of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colfw.errors import InvariantError, StoreError, UnavailableError
from colfw.resampling import score_of_means
from colfw.samples import FORMS
from colfw_metrics.config import Of
from colfw_metrics.motion_options import Up

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from colfw.samples import Samples, Score

    Motion = NDArray[np.float64]

SMPL_JOINTS = 24
"""The body of SMPL with its two hands, as EDGE and AIST++ have it."""
BODY_JOINTS = 22
"""The same without hands, as HumanML3D has it."""
WHERE = "motion samples"


def motions_of(samples: Samples, *, least_frames: int = 1) -> list[Motion]:
    """Each motion `[frame, joint, 3]` without its padding, in float64."""
    if samples.data.ndim != 4 or samples.data.shape[-1] != 3 or 0 in samples.data.shape:
        raise UnavailableError(
            f"must be {FORMS['motion']}; these have the shape {list(samples.data.shape)}",
            where=WHERE,
            hint="a workload whose samples hold other features needs a decoder to joints",
        )
    lengths = samples.counting
    if lengths.min() < least_frames:
        raise UnavailableError(
            f"need {least_frames} frames at least; the shortest has {lengths.min()}", where=WHERE
        )
    return [motion[:length].astype(np.float64) for motion, length in zip(samples.data, lengths, strict=True)]


def pairs_of(dense: Samples, masked: Samples, *, least_frames: int = 1) -> list[tuple[Motion, Motion]]:
    """Dense and masked motions of the same seed, side by side: of the same frames and joints."""
    check_pair(dense, masked)
    if not np.array_equal(dense.counting, masked.counting):
        raise InvariantError("dense and masked motions of one seed differ in length", where=WHERE)
    first, second = (motions_of(samples, least_frames=least_frames) for samples in (dense, masked))
    return list(zip(first, second, strict=True))


def check_pair(dense: Samples, masked: Samples) -> None:
    """Both sets hold the same samples in the same form."""
    if dense.data.shape != masked.data.shape:
        raise InvariantError(
            f"dense {list(dense.data.shape)} and masked {list(masked.data.shape)} are no pair", where=WHERE
        )


def check_joint(joint: int, motion: Motion, option: str) -> None:
    """The joint that an option names is there."""
    if joint >= motion.shape[1]:
        raise UnavailableError(
            f"have {motion.shape[1]} joints, and `{option}` names joint {joint}", where=WHERE
        )


def with_z_up(motion: Motion, up: Up) -> Motion:
    """The same motion in axes of which the last points up; turned, not mirrored."""
    return motion if up is Up.Z else np.stack([motion[..., 0], -motion[..., 2], motion[..., 1]], axis=-1)


def rate_of(samples: Samples, what_for: str) -> float:
    """Frames a second; without them times mean nothing."""
    if samples.rate_hz is None:
        raise UnavailableError(f"state no frame rate, which is needed {what_for}", where=WHERE)
    return samples.rate_hz


def score_of(shown: Of, dense: Sequence[float], masked: Sequence[float]) -> Score:
    """The mean over samples of what is shown, from a value a sample of both sets."""
    first, second = np.asarray(dense, np.float64), np.asarray(masked, np.float64)
    return score_of_means({Of.DENSE: first, Of.MASKED: second, Of.DIFFERENCE: second - first}[shown])


def numbers_in(path: Path) -> Any:
    """What numpy reads from a file of numbers; a pickle is refused."""
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise StoreError("no such file", where=str(path)) from None
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"no file of numbers that numpy wrote: {error}", where=str(path)) from error
