"""Sound at another rate is what the reference codes make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw_metrics.audio import resampled, resampled_length

if TYPE_CHECKING:
    from pathlib import Path


def test_resampling_is_that_of_the_reference(golden_root: Path) -> None:
    """From 44.1 kHz to 16 kHz, to 1e-12; several sounds at once as one by one."""
    with np.load(golden_root / "metrics" / "fad" / "vggish_forward.npz") as golden:
        sound, expected = golden["resample_in_44100"], golden["resample_out_16000"]
    np.testing.assert_allclose(resampled(sound, 44100, 16000), expected, rtol=0, atol=1e-12)
    both = resampled(np.stack([sound, -sound]), 44100, 16000)
    np.testing.assert_allclose(both, np.stack([expected, -expected]), rtol=0, atol=1e-12)


@given(length=st.integers(10, 3000), rates=st.tuples(*[st.sampled_from([8000, 16000, 22050, 44100.0])] * 2))
def test_the_length_is_known_without_resampling(length: int, rates: tuple[float, float]) -> None:
    """Windows are counted by it before any sound is touched."""
    assert resampled(np.zeros(length), *rates).shape == (resampled_length(length, *rates),)


def test_the_same_rate_changes_nothing() -> None:
    """No filter is run where none is needed."""
    sound = np.random.default_rng(0).normal(size=(2, 100))
    np.testing.assert_array_equal(resampled(sound, 16000, 16000.0), sound)


@pytest.mark.parametrize("rate_hz", [22050, 44100])
def test_a_tone_stays_that_tone(rate_hz: int) -> None:
    """440 Hz sampled at 16 kHz is what comes out, but for the ends."""
    there = np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)
    wanted = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    found = resampled(there, rate_hz, 16000)
    np.testing.assert_allclose(found[200:-200], wanted[200:-200], rtol=0, atol=1e-3)
