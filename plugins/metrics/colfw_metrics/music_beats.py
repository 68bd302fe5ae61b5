"""The beats of a piece of music, found as EDGE and AIST++ find them (needs librosa)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colfw.errors import StoreError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HOP: Final = 512
"""Samples of audio from one feature to the next; at `HOP` times the frame rate, one feature a frame."""
TEMPO_HZ: Final = 22_050
"""The rate at which librosa reads audio unless told otherwise."""


def beats_of_music(path: Path, rate_hz: float, *, tempo_bpm: float | None = None) -> NDArray[np.float64]:
    """Times of beats in seconds, on the grid of a motion's frames.

    The recipe of AIST++: audio at 512 times the frame rate, onset strength, and a beat tracker that starts
    from the tempo that the name of an AIST++ file states, here `tempo_bpm`, or from librosa's estimate at
    its own sampling rate. Another version of librosa may move a beat by a frame.
    """
    librosa = _librosa()
    audio_hz = rate_hz * HOP
    strength = librosa.onset.onset_strength(y=_read(librosa, path, audio_hz), sr=audio_hz)
    _, frames = librosa.beat.beat_track(
        onset_envelope=strength,
        sr=audio_hz,
        hop_length=HOP,
        start_bpm=tempo_bpm or _estimated_bpm(librosa, path),
        tightness=100,
    )
    return np.asarray(frames, np.float64) / rate_hz


def _estimated_bpm(librosa: Any, path: Path) -> float:
    wave = _read(librosa, path, TEMPO_HZ)
    return float(librosa.feature.tempo(y=wave, sr=TEMPO_HZ)[0])


def _read(librosa: Any, path: Path, audio_hz: float) -> NDArray[np.float32]:
    """One channel at the rate asked for, read by the library through which librosa reads."""
    import soundfile  # type: ignore[import-untyped]  # noqa: PLC0415  (comes with librosa)

    if not path.is_file():
        raise StoreError("no such file", where=str(path))
    try:
        channels, found_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise StoreError(f"no audio that can be read: {error}", where=str(path)) from error
    if not len(channels):
        raise StoreError("holds no sound", where=str(path))
    wave: NDArray[np.float32] = librosa.resample(channels.mean(axis=1), orig_sr=found_hz, target_sr=audio_hz)
    return wave


def _librosa() -> Any:
    try:
        import librosa  # noqa: PLC0415  (an extra: only beats from audio need it)
    except ImportError as error:
        raise UnavailableError(
            "needs librosa to find the beats of the music",
            hint="pip install librosa, or give the times of the beats by the option `beats`",
        ) from error
    return librosa
