"""Audio: a WAV of each, one with all sets after one another, and pictures of their spectrograms."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from PIL import Image

from colfw.errors import UnavailableError
from colfw.media.pictures import stacked
from colfw.media.row import file_at, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from colfw.media.row import Row
    from colfw.samples import Samples

PAUSE_S: Final = 0.5
"""Of silence, between a sample of one set and that of the next."""
WIDTH: Final = 320
WAVE_HEIGHT: Final = 48
SPECTRUM_HEIGHT: Final = 96
WINDOW_S: Final = 0.064
RANGE_DB: Final = 80.0
"""From black, the loudest of a row, to white."""
_FULL_SCALE: Final = 32767


def _known_rate(rate_hz: float | None) -> float:
    if rate_hz is None or round(rate_hz) < 1:
        raise UnavailableError(
            "cannot be heard: they state no sampling rate", where="audio samples", hint="give rate_hz"
        )
    return rate_hz


@frozen(kw_only=True)
class Audio:
    """`[time]` from -1 to 1."""

    rate_hz: float

    @classmethod
    def at(cls, rate_hz: float | None) -> Audio:
        return cls(rate_hz=_known_rate(rate_hz))

    def remarks(self, label: str, samples: Samples) -> Iterator[str]:
        for number in range(len(samples)):
            loudest = _loudest([trimmed(samples, number)])
            if loudest > 1:
                yield (
                    f"{label}: sample {number:04d} reaches {loudest:.3g}, beyond the 1 that a file can hold; "
                    "all files of this sample, of every set, are made quieter by one factor, none is clipped."
                )
        if self.rate_hz != round(self.rate_hz):
            yield f"WAV files hold whole rates: {self.rate_hz:g} Hz is written as {round(self.rate_hz)} Hz."

    def write(self, row: Row) -> Iterator[Path]:
        # One factor for the row, so that what is louder stays louder.
        waves = [sample / max(1.0, _loudest(row.samples)) for sample in row.samples]
        for stem, heard in zip(row.alone, waves, strict=True):
            yield self._write_wav(stem, heard)
        pause = np.zeros(round(PAUSE_S * self.rate_hz))
        one_by_one = [piece for heard in waves for piece in (pause, heard)][1:]
        yield self._write_wav(row.together, np.concatenate(one_by_one))

    def stills(self, samples: Sequence[NDArray[Any]]) -> list[Image.Image]:
        """The wave, and below it the spectrogram with low frequencies at its foot."""
        spectra = [self._spectrum(sample) for sample in samples]
        loudest, strongest = _loudest(samples), max(float(spectrum.max()) for spectrum in spectra)
        return [
            stacked([_drawn_wave(sample, loudest), _drawn_spectrum(spectrum, strongest)], gap=2)
            for sample, spectrum in zip(samples, spectra, strict=True)
        ]

    def _write_wav(self, stem: Path, heard: NDArray[Any]) -> Path:
        path = file_at(stem, ".wav")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(round(self.rate_hz))
            file.writeframes(np.rint(heard * _FULL_SCALE).astype("<i2").tobytes())
        return path

    def _spectrum(self, sample: NDArray[Any]) -> NDArray[np.float64]:
        """Magnitudes `[frequency, moment]`, as many as the picture has pixels; low frequencies first."""
        length = max(2 * SPECTRUM_HEIGHT, round(WINDOW_S * self.rate_hz))
        padded = np.pad(sample.astype(np.float64), (0, max(0, length - len(sample))))
        starts = np.linspace(0, len(padded) - length, WIDTH).round().astype(int)
        windows = padded[starts[:, None] + np.arange(length)] * np.hanning(length)
        magnitudes = np.abs(np.fft.rfft(windows, axis=1))
        edges = np.linspace(0, magnitudes.shape[1], SPECTRUM_HEIGHT + 1).round().astype(int)
        bands: NDArray[np.float64] = np.add.reduceat(magnitudes, edges[:-1], axis=1) / np.diff(edges)
        return bands.T


def _loudest(samples: Sequence[NDArray[Any]]) -> float:
    return max(float(np.abs(sample.astype(np.float64)).max()) for sample in samples)


def _drawn_wave(sample: NDArray[Any], loudest: float) -> Image.Image:
    """From the lowest to the highest value of each moment, black on white."""
    pieces = np.array_split(sample / (loudest or 1.0), WIDTH) if len(sample) >= WIDTH else sample[:, None]
    middle = (WAVE_HEIGHT - 1) / 2
    pixels = np.full((WAVE_HEIGHT, len(pieces)), 255, np.uint8)
    for column, piece in enumerate(pieces):
        top, foot = (round(middle - middle * float(end)) for end in (piece.max(), piece.min()))
        pixels[top : foot + 1, column] = 0
    return Image.fromarray(pixels).resize((WIDTH, WAVE_HEIGHT), Image.Resampling.NEAREST)


def _drawn_spectrum(magnitudes: NDArray[np.float64], strongest: float) -> Image.Image:
    with np.errstate(divide="ignore"):  # silence is minus infinity dB: white
        decibels = 20 * np.log10(magnitudes / (strongest or 1.0))
    darkness = np.clip(1 + decibels / RANGE_DB, 0, 1)
    return Image.fromarray(np.rint(255 * (1 - darkness[::-1])).astype(np.uint8))
