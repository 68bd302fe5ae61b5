"""Beats of music are found as the reference recipe finds them."""

from __future__ import annotations

import sys
import wave
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from colfw.errors import StoreError, UnavailableError
from colfw.samples import Samples
from colfw_metrics.beat_alignment import BeatAlignment
from colfw_metrics.motion_options import BeatAlignmentConfig
from colfw_metrics.music_beats import beats_of_music

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def golden(golden_root: Path) -> Any:
    return np.load(golden_root / "metrics" / "bas" / "music_beats.npz")


@pytest.fixture(scope="module")
def song(golden: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("song") / "song.wav"
    write(path, golden["wave_int16"][:, None], 15_360)
    return path


def write(path: Path, channels: Any, rate_hz: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.ascontiguousarray(channels, "<i2").tobytes())


def installed() -> None:
    pytest.importorskip("librosa", reason="finding beats needs librosa")


@pytest.mark.slow  # librosa compiles its detectors when they first run
@pytest.mark.parametrize("tempo_bpm", [110.0, None], ids=["tempo given", "tempo estimated"])
def test_beats_are_those_of_the_recipe(golden: Any, song: Path, tempo_bpm: float | None) -> None:
    """The frames of the beats at 30 a second, from the tempo of the file's name or an estimate."""
    installed()
    found = beats_of_music(song, 30.0, tempo_bpm=tempo_bpm) * 30
    np.testing.assert_allclose(found, golden["beat_frames"], atol=1e-9)


@pytest.mark.slow
def test_channels_are_mixed(golden: Any, song: Path, tmp_path: Path) -> None:
    """A song in two channels has the beats of their mean."""
    installed()
    both = np.stack([golden["wave_int16"], golden["wave_int16"]], axis=1)
    write(tmp_path / "both.wav", both, 15_360)
    expected = beats_of_music(song, 30.0, tempo_bpm=110)
    np.testing.assert_array_equal(beats_of_music(tmp_path / "both.wav", 30.0, tempo_bpm=110), expected)


@pytest.mark.slow
def test_dances_are_scored_against_a_song(golden: Any, song: Path) -> None:
    """A file of audio is as good as the file of its beats."""
    installed()
    stops = np.isin(np.arange(150), golden["beat_frames"])
    path = np.cumsum(np.where(stops, 0.0, 0.1))[None, :, None, None] * np.ones((1, 1, 24, 3))
    dance = Samples(modality="motion", data=path, seed=0, rate_hz=30.0)
    score = BeatAlignment(BeatAlignmentConfig(music=song, tempo_bpm=110)).score(dance, dance)
    assert score.value > 0.7


@pytest.mark.slow
def test_silence_has_no_beat(tmp_path: Path) -> None:
    """No beat is found, so no dance can be scored; that is a reason and no number."""
    installed()
    write(tmp_path / "silence.wav", np.zeros((30_720, 1)), 15_360)
    dance = Samples(modality="motion", data=np.ones((1, 50, 2, 3)), seed=0, rate_hz=30.0)
    with pytest.raises(UnavailableError, match="no beat of the music"):
        BeatAlignment(BeatAlignmentConfig(music=tmp_path / "silence.wav")).score(dance, dance)


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    """A file that is not there, holds something else or nothing is named."""
    installed()
    (tmp_path / "text.wav").write_text("la la la")
    write(tmp_path / "empty.wav", np.zeros((0, 1)), 15_360)
    for name, problem in (("none", "no such file"), ("text", "no audio"), ("empty", "holds no sound")):
        with pytest.raises(StoreError, match=rf"{name}\.wav: {problem}"):
            beats_of_music(tmp_path / f"{name}.wav", 30.0)


def test_without_librosa_it_says_what_to_do(song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats by the option `beats` need no library."""
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(UnavailableError, match=r"needs librosa.*pip install.*`beats`"):
        beats_of_music(song, 30.0)
