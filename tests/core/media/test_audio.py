from __future__ import annotations

import wave
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colfw.errors import UnavailableError
from colfw.media import write_samples
from colfw.media.audio import SPECTRUM_HEIGHT, WAVE_HEIGHT, WIDTH, Audio
from colfw.samples import Samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 1000.0


def heard(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def audio(*waves: Any) -> Samples:
    return Samples(modality="audio", data=np.array(waves, dtype=np.float64), seed=0, rate_hz=RATE)


@given(hnp.arrays(np.float32, (1, 50), elements=st.floats(-1, 1, width=32)))
def test_a_wav_holds_each_value_to_half_a_step(
    tmp_path_factory: pytest.TempPathFactory, data: NDArray[np.float32]
) -> None:
    """16 bits, the very rate, nothing made louder or quieter while it fits."""
    folder = tmp_path_factory.mktemp("wav") / "out"
    write_samples(folder, audio(*data), {})
    np.testing.assert_allclose(heard(folder / "dense" / "0000.wav") / 32767, data[0], atol=0.51 / 32767)


def test_sets_follow_one_another(tmp_path: Path) -> None:
    """Dense first, then each masked one, half a second of silence between, none at the ends."""
    dense = audio(np.full(30, 0.5), np.full(30, 0.25))
    write_samples(tmp_path / "out", dense, {"a": audio(np.full(30, -0.5), np.full(30, 1.0)), "b": dense})
    found = heard(tmp_path / "out" / "side-by-side" / "0001.wav")
    pause = [0] * 500
    assert found.tolist() == [8192] * 30 + pause + [32767] * 30 + pause + [8192] * 30


def test_what_is_too_loud_makes_its_row_quieter_and_is_told(tmp_path: Path) -> None:
    """Nothing is clipped, the ratio of dense to masked stays, other samples stay, and notes say so."""
    dense = audio([0.5, -0.5, 0.25], [0.5, 1.0, -1.0])
    masked = evolve(dense, data=np.array([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3]]))
    notes = write_samples(tmp_path / "out", dense, {"a": masked})[-1].read_text("utf-8")
    names = [(folder, number) for number in (0, 1) for folder in ("dense", "a")]
    found = [heard(tmp_path / "out" / folder / f"000{number}.wav") / 32767 for folder, number in names]
    expected = [[0.25, -0.25, 0.125], [1, -0.5, 0.25], [0.5, 1, -1], [0.1, 0.2, 0.3]]
    np.testing.assert_allclose(found, expected, atol=0.51 / 32767)
    together = heard(tmp_path / "out" / "side-by-side" / "0000.wav")
    np.testing.assert_allclose(together[:3] / 32767, expected[0], atol=0.51 / 32767)
    told = [line for line in notes.splitlines() if "beyond" in line]
    assert len(told) == 1
    assert told[0].startswith("a: sample 0000 reaches 2,")


@pytest.mark.parametrize("rate_hz", [None, 0.4])
def test_without_a_rate_nothing_can_be_heard(tmp_path: Path, rate_hz: float | None) -> None:
    """No rate is guessed: at another one it would be another sound."""
    with pytest.raises(UnavailableError, match="no sampling rate"):
        write_samples(tmp_path / "out", evolve(audio([0.0]), rate_hz=rate_hz), {})


def test_a_broken_rate_is_told(tmp_path: Path) -> None:
    """WAV files hold whole rates."""
    written = write_samples(tmp_path / "out", evolve(audio([0.0]), rate_hz=1000.25), {})
    assert "1000.25 Hz is written as 1000 Hz" in written[-1].read_text("utf-8")
    assert len(heard(written[0])) == 1


# --- pictures -------------------------------------------------------------------------------------


def spectrum(still: Any) -> NDArray[np.uint8]:
    """The lower part of a still, low frequencies first."""
    pixels = np.asarray(still)
    assert pixels.shape == (WAVE_HEIGHT + 2 + SPECTRUM_HEIGHT, WIDTH)
    return pixels[WAVE_HEIGHT + 2 :][::-1]


@pytest.mark.parametrize("hertz", [1000, 3000, 7000])
def test_a_tone_is_a_line_at_its_frequency(hertz: int) -> None:
    """From 0 Hz at the foot to half the sampling rate at the top."""
    rate = 16_000
    tone = np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
    (still,) = Audio(rate_hz=rate).stills([tone])
    darkest = spectrum(still).astype(int).sum(axis=1).argmin()
    assert abs((darkest + 0.5) / SPECTRUM_HEIGHT * rate / 2 - hertz) < rate / 2 / SPECTRUM_HEIGHT


def test_a_picture_goes_from_left_to_right() -> None:
    """What sounds in the second half is drawn in the right half."""
    rate = 16_000
    late = np.sin(np.arange(rate) / 3) * (np.arange(rate) >= rate / 2)
    (still,) = Audio(rate_hz=rate).stills([late])
    assert (spectrum(still)[:, : WIDTH // 2 - 20] == 255).all()
    assert (spectrum(still)[:, WIDTH // 2 + 20 :] < 128).any(axis=0).all()
    ink = (np.asarray(still)[:WAVE_HEIGHT] == 0).sum(axis=0)
    assert (ink[: WIDTH // 2 - 1] <= 2).all()
    assert (ink[WIDTH // 2 + 1 :] > WAVE_HEIGHT // 2).all()


def test_stills_of_a_row_have_one_scale() -> None:
    """A tenth of the loudness is 20 of 80 dB lighter, and a tenth of the height."""
    tone = np.sin(np.arange(4000) / 5)
    loud, quiet = Audio(rate_hz=4000).stills([tone, tone / 10])
    assert spectrum(loud).min() == 0
    assert spectrum(quiet).min() == pytest.approx(255 / 4, abs=1)
    heights = [(np.asarray(still)[:WAVE_HEIGHT] == 0).any(axis=1).sum() for still in (loud, quiet)]
    assert heights[0] == WAVE_HEIGHT
    assert heights[1] <= 6


@pytest.mark.parametrize("length", [1, 2, 100, 319, 320, 321, 5000])
@pytest.mark.parametrize("loudness", [0.0, 1e-30, 1.0, 1e6])
def test_whatever_sounds_can_be_drawn(length: int, loudness: float) -> None:
    """Silence is white with a line in the middle; a single value and what is too loud have a picture."""
    (still,) = Audio(rate_hz=8000.0).stills([np.full(length, loudness, np.float32)])
    pixels = spectrum(still)
    if loudness == 0:
        assert (pixels == 255).all()
        assert (np.asarray(still)[:WAVE_HEIGHT] == 0).sum() in {WIDTH, 2 * WIDTH}
