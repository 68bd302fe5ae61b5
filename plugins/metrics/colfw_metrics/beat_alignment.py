"""The beat alignment score: how well a dance keeps time with its music.

There are two definitions, which look in different directions. In Bailando's, which EDGE follows, each beat
of the music looks for the nearest beat of the motion, so a dance that stands still scores low; in that of
AIST++ each beat of the motion looks for the nearest beat of the music. Nearness is exp(-d^2 / 18), with d in
frames at 60 a second. A beat of a motion is a moment at which the body slows down and sets off again.

The detectors look for minima of the speed, so where a dance is nearly still, rounding may move a beat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from attrs import frozen

from colfw.denoising.checkpoints import file_digest
from colfw.errors import StoreError, UnavailableError
from colfw_metrics.motion import WHERE, check_pair, motions_of, numbers_in, rate_of, score_of
from colfw_metrics.motion_options import BeatDefinition, CountIn
from colfw_metrics.music_beats import beats_of_music

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from colfw.samples import Samples, Score
    from colfw_metrics.motion import Motion
    from colfw_metrics.motion_options import BeatAlignmentConfig

    Frames = NDArray[np.int64]

REFERENCE_HZ: Final = 60.0
"""Frames a second of the dances for which both definitions were made."""
LEAST_FRAMES: Final = 3
"""A minimum of the speed needs a frame that is faster on either side."""


@frozen(kw_only=True)
class Constants:
    """What both references count in frames."""

    nearness: float = 3.0
    """The standard deviation of the bell curve that turns a distance into a score."""
    smoothing: float = 5.0
    """The standard deviation with which Bailando smooths the speed."""
    reach: int = 10
    """How far to either side AIST++ wants the speed to be higher."""

    def at(self, rate_hz: float) -> Constants:
        """The same times where frames come at another rate."""
        factor = rate_hz / REFERENCE_HZ
        return Constants(
            nearness=self.nearness * factor,
            smoothing=self.smoothing * factor,
            reach=max(1, round(self.reach * factor)),
        )


class BeatAlignment:
    """The mean over samples of the score of each; 1 where every beat is met."""

    def __init__(self, config: BeatAlignmentConfig) -> None:
        self._config = config

    def inputs_digest(self) -> str | None:
        path = self._config.beats or self._config.music
        return None if path is None else file_digest(path)

    def score(self, dense: Samples, masked: Samples) -> Score:
        check_pair(dense, masked)
        scores = [self._scores(samples) for samples in (dense, masked)]
        return score_of(self._config.of, *scores)

    def _scores(self, samples: Samples) -> list[float]:
        rate_hz = rate_of(samples, "to place the beats of the music")
        motions = motions_of(samples, least_frames=LEAST_FRAMES)
        constants = Constants() if self._config.count_in is CountIn.FRAMES else Constants().at(rate_hz)
        return [
            self._score(motion, beats_s, rate_hz, constants)
            for motion, beats_s in zip(motions, self._beats_s(samples, rate_hz), strict=True)
        ]

    def _score(
        self, motion: Motion, beats_s: NDArray[np.float64], rate_hz: float, constants: Constants
    ) -> float:
        music = np.unique(np.round(beats_s * rate_hz).astype(np.int64))
        return alignment(self._config.definition, motion, music, constants)

    def _beats_s(self, samples: Samples, rate_hz: float) -> Sequence[NDArray[np.float64]]:
        """The times of the beats of each sample's music."""
        config = self._config
        if config.beats is not None:
            return _beats_in(config.beats, len(samples))
        if config.music is not None:
            return [beats_of_music(config.music, rate_hz, tempo_bpm=config.tempo_bpm)] * len(samples)
        raise UnavailableError(
            "needs the music: without its beats nothing can be said of keeping time",
            hint="give the metric its option `beats` (a .npy file of times in seconds) or `music`",
        )


def alignment(
    definition: BeatDefinition, motion: Motion, music_beats: Frames, constants: Constants = Constants()
) -> float:
    """The score of one dance `[frame, joint, 3]` for beats of the music in frames.

    No beat of the motion means that no beat is met: the score is 0.
    """
    if definition is BeatDefinition.BAILANDO:
        music = _within(music_beats, len(motion) - 1)
        return nearness(music, bailando_beats(motion, constants), constants.nearness)
    music = _within(music_beats, len(motion))
    return nearness(aist_beats(motion, constants), music, constants.nearness)


def _within(beats: Frames, frames: int) -> Frames:
    """The beats of the music while the motion lasts."""
    heard = beats[(beats >= 0) & (beats < frames)]
    if not len(heard):
        raise UnavailableError(
            f"last {frames} frames, and no beat of the music falls into them",
            where=WHERE,
            hint="are the beats given in seconds from the first frame?",
        )
    return heard


def nearness(seekers: Frames, sought: Frames, deviation: float) -> float:
    """The mean over seekers of how near the nearest of the sought is: 1 in the same frame, 0 far away."""
    if not (len(seekers) and len(sought)):
        return 0.0
    distances = np.abs(seekers[:, None] - sought[None]).min(axis=1)
    return float(np.exp(-(distances**2) / (2 * deviation**2)).mean())


# --- beats of a motion ----------------------------------------------------------------------------


def bailando_beats(motion: Motion, constants: Constants = Constants()) -> Frames:
    """Where the smoothed mean speed of joints is lower than just before and after.

    Speed i is that from frame i to frame i + 1.
    """
    speed = np.linalg.norm(np.diff(motion, axis=0), axis=-1).mean(axis=-1)
    return _minima(smoothed(speed, constants.smoothing), 1)


def aist_beats(motion: Motion, constants: Constants = Constants()) -> Frames:
    """Where the summed speed of joints is lower than in all frames within reach.

    Speed i is that from frame i - 1 to frame i, and the first is nothing.
    """
    speed = np.linalg.norm(np.diff(motion, axis=0, prepend=motion[:1]), axis=-1).sum(axis=-1)
    return _minima(speed, constants.reach)


def smoothed(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """The mean of each value and its neighbours under a bell curve, which ends after four deviations.

    Beyond either end the values run backwards, the last one twice.
    """
    radius = int(4 * deviation + 0.5)
    curve = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    return np.convolve(np.pad(values, radius, mode="symmetric"), curve / curve.sum(), mode="valid")


def _minima(values: NDArray[np.float64], reach: int) -> Frames:
    """The places whose value is below all others within reach; at an end the last value is repeated.

    So an end is never a minimum: it would have to be below itself.
    """
    places = np.arange(len(values))
    lowest = np.ones(len(values), np.bool_)
    for step in range(1, reach + 1):
        for neighbour in (places - step, places + step):
            lowest &= values < values[np.clip(neighbour, 0, len(values) - 1)]
    return np.flatnonzero(lowest)


# --- beats from a file ----------------------------------------------------------------------------


def _beats_in(path: Path, samples: int) -> Sequence[NDArray[np.float64]]:
    """The beats of each sample, from one row for all or a row each."""
    beats = numbers_in(path)
    if (
        not isinstance(beats, np.ndarray)
        or beats.ndim not in {1, 2}
        or not np.issubdtype(beats.dtype, np.number)
    ):
        raise StoreError("must be one array of times in seconds, [beat] or [sample, beat]", where=str(path))
    rows = [beats] * samples if beats.ndim == 1 else list(beats)
    if len(rows) != samples:
        raise UnavailableError(f"{len(rows)} rows of beats for {samples} samples", where=str(path))
    return [row[np.isfinite(row)].astype(np.float64) for row in rows]
