"""PESQ is what the library makes of a pair, and what the library can't take is refused with the reason."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from colfw.errors import InvariantError, UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw.vocabulary import Direction
from colfw_metrics.media_options import PesqBand, PesqConfig
from colfw_metrics.pesq import LONGEST_SECONDS, Pesq

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytest.importorskip("pesq", reason="PESQ needs colfw[pesq]")

BEST = {PesqBand.NARROW: 4.548638343811035, PesqBand.WIDE: 4.643888473510742}


def speech(samples: int, seconds: float, rate_hz: int = 16000) -> NDArray[np.float64]:
    """Noise that swells and fades four times a second, which is enough to be taken for speech."""
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(1).normal(0, 0.2, (samples, len(times)))
    return noise * np.sin(2 * np.pi * 2 * times) ** 2


def heard(data: NDArray[np.float64], rate_hz: float | None = 16000, **more: NDArray[np.int64]) -> Samples:
    return Samples(modality="audio", data=data, seed=0, rate_hz=rate_hz, **more)


def pesq(band: PesqBand = PesqBand.WIDE, *, resample: bool = True) -> Pesq:
    return Pesq(PesqConfig(band=band, resample=resample))


class TestWideBand(MetricContract):
    """Four sounds of a second."""

    identity_value = BEST[PesqBand.WIDE]
    direction = Direction.HIGHER

    @pytest.fixture
    def metric(self) -> Pesq:
        return pesq()

    @pytest.fixture
    def dense(self) -> Samples:
        return heard(speech(4, 1.0))


class TestNarrowBand(TestWideBand):
    """The other mapping, at the other rate."""

    identity_value = BEST[PesqBand.NARROW]

    @pytest.fixture
    def metric(self) -> Pesq:
        return pesq(PesqBand.NARROW)

    @pytest.fixture
    def dense(self) -> Samples:
        return heard(speech(4, 1.0, 8000), 8000)


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_values_are_those_of_the_reference(golden_root: Path, rate_hz: int) -> None:
    """Ten ways to spoil a sound, one of which is to end it early, get the reference's values to 1e-9."""
    with np.load(golden_root / "metrics" / "pesq" / f"pesq_{rate_hz}.npz") as golden:
        cases = [name.split(".") for name in golden.files if name[:3] in {"nb.", "wb."}]
        assert len(cases) == 10 * rate_hz // 8000
        for mode, case in cases:
            band = PesqBand.NARROW if mode == "nb" else PesqBand.WIDE
            reference, spoilt = golden["ref"] / 32768, golden[f"deg.{case}"] / 32768
            length = len(spoilt)
            spoilt = np.concatenate([spoilt, np.ones(len(reference) - length)])
            masked = heard(spoilt[None], rate_hz, lengths=np.array([length]))
            found = pesq(band).score(heard(reference[None], rate_hz), masked).value
            assert found == pytest.approx(float(golden[f"{mode}.{case}"]), abs=1e-9), (mode, case)


def test_what_the_reference_refuses_is_refused(golden_root: Path) -> None:
    """Each error that the golden data lists is one line here: the metric is unavailable for such samples."""
    with np.load(golden_root / "metrics" / "pesq" / "pesq_16000.npz") as golden:
        errors = json.loads(str(golden["meta"]))["errors"]
    sound, silence = heard(speech(1, 0.5)), heard(np.zeros((1, 8000)))
    short, low = heard(speech(1, 0.2)), heard(speech(1, 0.5, 8000), 8000)
    fine = heard(speech(1, 0.5, 44100), 44100)
    calls = {
        "too_short": (pesq(), short, short),
        "silent_ref": (pesq(), silence, sound),
        "silent_deg": (pesq(), sound, silence),
        "wb_at_8k": (pesq(PesqBand.WIDE), low, low),
        "rate_44100": (pesq(resample=False), fine, fine),
    }
    assert set(calls) == set(errors)
    for metric, dense, masked in calls.values():
        with pytest.raises(UnavailableError):
            metric.score(dense, masked)


def test_the_reference_is_the_dense_sample() -> None:
    """Losing the end of a sound is another matter than adding one: the two cannot change places."""
    whole = speech(1, 1.0)
    half = np.where(np.arange(16000) < 8000, whole, 0)
    assert pesq().score(heard(whole), heard(half)).value < pesq().score(heard(half), heard(whole)).value - 0.1


@pytest.mark.parametrize(("silent", "kind"), [("dense", "dense"), ("masked", "masked")])
def test_silence_is_refused_by_the_number_of_its_sample(silent: str, kind: str) -> None:
    """A sample that is silent has no PESQ, whichever of the pair it is; the line says which sample."""
    sets = {"dense": speech(3, 0.5), "masked": speech(3, 0.5)}
    sets[silent][1] = 0
    with pytest.raises(UnavailableError, match=f"PESQ of sample 1 .* the {kind} one is silent"):
        pesq().score(heard(sets["dense"]), heard(sets["masked"]))


def test_what_is_silent_beside_its_twin_is_refused() -> None:
    """A sound that is a rounding error beside the other is no sound, either way round."""
    loud, faint = heard(speech(1, 0.5)), heard(speech(1, 0.5) * 1e-60)
    with pytest.raises(UnavailableError, match=r"sample 0 .* nothing in the dense one is loud enough"):
        pesq().score(faint, loud)
    with pytest.raises(UnavailableError, match=r"sample 0 .* the masked one is silent beside"):
        pesq().score(loud, faint)


@pytest.mark.parametrize("seconds", [0.2, LONGEST_SECONDS + 0.1])
def test_too_short_and_too_long_are_refused_by_the_number_of_their_sample(seconds: float) -> None:
    """PESQ needs a quarter of a second, and the library ends the process on too many utterances."""
    lengths = np.array([16000, int(seconds * 16000)])
    sounds = heard(speech(2, max(1.0, seconds)), lengths=lengths)
    with pytest.raises(
        UnavailableError, match=rf"sample 1 .* it lasts {seconds:g} s, not between 0.25 s and"
    ):
        pesq().score(sounds, sounds)


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_the_longest_sound_may_hold_as_many_utterances_as_fit(rate_hz: int) -> None:
    """Bursts and pauses just long enough to be told apart do not end the process in 20 s."""
    times = np.arange(int(LONGEST_SECONDS * rate_hz)) / rate_hz
    bursts = speech(1, LONGEST_SECONDS, rate_hz) * (times % 0.44 < 0.22)
    assert pesq(PesqBand.NARROW).score(heard(bursts, rate_hz), heard(bursts, rate_hz)).value == pytest.approx(
        BEST[PesqBand.NARROW]
    )


@pytest.mark.parametrize(
    ("band", "own_hz", "measured_hz"),
    [
        (PesqBand.NARROW, 8000, 8000),
        (PesqBand.NARROW, 16000, 16000),
        (PesqBand.NARROW, 11025, 8000),
        (PesqBand.NARROW, 44100, 16000),
        (PesqBand.WIDE, 16000, 16000),
        (PesqBand.WIDE, 22050, 16000),
    ],
)
def test_it_is_measured_at_the_highest_rate_that_adds_nothing(
    band: PesqBand, own_hz: int, measured_hz: int
) -> None:
    """Samples keep a rate that the band knows, and others are brought down to one: never up."""
    assert pesq(band)._measured_at(own_hz) == measured_hz


@pytest.mark.parametrize("rate_hz", [22050, 24000, 44100, 48000])
def test_another_rate_is_heard_as_the_same_sound(rate_hz: int) -> None:
    """A sound far below half the rate of either is as good at any rate, spoilt or not."""

    def score(rate_hz: int) -> float:
        times = np.arange(rate_hz // 2) / rate_hz
        tone = (0.3 * np.sin(2 * np.pi * 500 * times) * np.sin(2 * np.pi * 4 * times) ** 2)[None]
        wobbling = tone * (1 + 0.3 * np.sin(2 * np.pi * 30 * times))
        return pesq().score(heard(tone, rate_hz), heard(wobbling, rate_hz)).value

    assert score(rate_hz) == pytest.approx(score(16000), abs=0.05)


def test_other_rates_are_refused_where_resampling_is_off() -> None:
    """The option keeps PESQ to what the standard defines."""
    sounds = heard(speech(2, 0.5, 22050), 22050)
    with pytest.raises(UnavailableError, match="have 22050 Hz, PESQ is defined at 8 and 16 kHz"):
        pesq(resample=False).score(sounds, sounds)


@pytest.mark.parametrize(("band", "rate_hz"), [(PesqBand.WIDE, 8000), (PesqBand.NARROW, 4000)])
def test_a_band_that_samples_do_not_have_is_refused(band: PesqBand, rate_hz: int) -> None:
    """A higher rate would not bring the band back."""
    sounds = heard(speech(2, 0.5, rate_hz), rate_hz)
    with pytest.raises(UnavailableError, match=f"PESQ of the {band} band needs"):
        pesq(band).score(sounds, sounds)


def test_without_a_rate_nothing_can_be_heard() -> None:
    """Samples that state no sampling rate are refused."""
    sounds = heard(speech(1, 0.5), None)
    with pytest.raises(UnavailableError, match="state no sampling rate"):
        pesq().score(sounds, sounds)


def test_what_is_no_audio_is_refused() -> None:
    """Images are not heard, and neither is sound of two channels."""
    for modality, data in (("image", np.zeros((2, 16000))), ("audio", np.zeros((2, 2, 16000)))):
        sounds = Samples(modality=modality, data=data, seed=0, rate_hz=16000)
        with pytest.raises(UnavailableError, match="must be audio"):
            pesq().score(sounds, sounds)


def test_sets_that_are_no_pair_are_a_broken_call() -> None:
    """Other shapes or another rate are no worse samples but other ones."""
    sounds = heard(speech(2, 0.5))
    for other in (heard(speech(3, 0.5)), heard(speech(2, 0.5), 8000)):
        with pytest.raises(InvariantError):
            pesq(PesqBand.NARROW).score(sounds, other)


def test_without_the_library_the_metric_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be made without its library, and is unavailable when asked."""
    monkeypatch.setitem(sys.modules, "pesq", None)
    metric, sounds = pesq(), heard(speech(1, 0.5))
    with pytest.raises(UnavailableError, match=r"pip install colfw\[pesq\]"):
        metric.score(sounds, sounds)
