"""Beat alignment agrees with both references, and knows what it cannot know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError, StoreError, UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw_metrics.beat_alignment import (
    BeatAlignment,
    Constants,
    aist_beats,
    alignment,
    bailando_beats,
    nearness,
    smoothed,
)
from colfw_metrics.config import Of
from colfw_metrics.motion_options import BeatAlignmentConfig, BeatDefinition, CountIn

if TYPE_CHECKING:
    from pathlib import Path

CASES = ("on_beat_60fps", "off_beat_60fps", "edge_30fps")
BAILANDO, AIST = BeatDefinition.BAILANDO, BeatDefinition.AIST


@pytest.fixture(scope="module")
def golden(golden_root: Path) -> Any:
    return np.load(golden_root / "metrics" / "bas" / "bas.npz")


def dances(samples: int = 4, frames: int = 120, *, beat_frames: float = 20.0) -> Samples:
    """Bodies whose joints swing together and stand still once in every so many frames."""
    # The speed of frame 15 is that from frame 15 to 16: least where joints turn round between them.
    swing = np.sin(np.pi * (np.arange(frames) - 5.5) / beat_frames)
    data = np.random.default_rng(5).normal(0, 0.3, (samples, 1, 24, 3)) * (1 + swing[None, :, None, None])
    return Samples(modality="motion", data=data, seed=0, rate_hz=60.0)


def beats_every(tmp_path: Path, frames: float = 20.0, first: float = 15.0, rate_hz: float = 60.0) -> Path:
    """A file with the times of beats, by default those of `dances`: frames 15, 35 and so on."""
    path = tmp_path / "beats.npy"
    np.save(path, np.arange(first, 120, frames) / rate_hz)
    return path


def metric_of(**options: Any) -> BeatAlignment:
    return BeatAlignment(BeatAlignmentConfig(**options))


class TestBailando(MetricContract):
    """It judges one set: of two equal sets it has the value of either."""

    identity_value = None
    noise_levels = ()
    """Noise makes beats of its own, some of them on the music's."""

    @pytest.fixture
    def metric(self, tmp_path: Path) -> BeatAlignment:
        return metric_of(beats=beats_every(tmp_path))

    @pytest.fixture
    def dense(self) -> Samples:
        return dances()


class TestAist(TestBailando):
    """The other way of asking."""

    @pytest.fixture
    def metric(self, tmp_path: Path) -> BeatAlignment:
        return metric_of(beats=beats_every(tmp_path), definition="aist++")


class TestDifference(TestBailando):
    """Equal sets differ by nothing."""

    identity_value = 0.0

    @pytest.fixture
    def metric(self, tmp_path: Path) -> BeatAlignment:
        return metric_of(beats=beats_every(tmp_path), of="difference")


@pytest.mark.parametrize("case", CASES)
def test_beats_of_a_motion_are_those_of_the_references(golden: Any, case: str) -> None:
    """Both detectors find the same frames, and the smoothed speed is the same curve."""
    motion = golden[f"{case}.joints"].astype(np.float64)
    np.testing.assert_array_equal(bailando_beats(motion), golden[f"{case}.bailando_motion_beats"])
    np.testing.assert_array_equal(aist_beats(motion), golden[f"{case}.aistpp_motion_beats"])
    speed = np.linalg.norm(np.diff(motion, axis=0), axis=-1).mean(axis=-1)
    np.testing.assert_allclose(smoothed(speed, 5), golden[f"{case}.bailando_speed"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_the_references(golden: Any, case: str) -> None:
    """Motion and beats to the number; AIST++ computes it in float32."""
    motion, music = golden[f"{case}.joints"].astype(np.float64), golden[f"{case}.music_beats"]
    bailando, aist = (alignment(definition, motion, music) for definition in (BAILANDO, AIST))
    assert bailando == pytest.approx(float(golden[f"{case}.bailando_score"]), rel=1e-12)
    assert aist == pytest.approx(float(golden[f"{case}.aistpp_score"]), rel=1e-6)


def test_the_two_definitions_ask_each_other(golden: Any) -> None:
    """Who seeks and who is sought changes the number; who finds nobody scores 0."""
    music, motion = golden["tiny.music_beats"], golden["tiny.motion_beats"]
    assert nearness(music, motion, 3) == pytest.approx(float(golden["tiny.bailando_score"]), rel=1e-12)
    assert nearness(motion, music, 3) == pytest.approx(float(golden["tiny.aistpp_score"]), rel=1e-6)
    assert nearness(motion[:0], music, 3) == float(golden["tiny.aistpp_no_motion_beats"]) == 0
    assert nearness(music, motion[:0], 3) == 0


@pytest.mark.parametrize("case", CASES)
def test_a_sample_is_scored_by_times_in_seconds(golden: Any, case: str, tmp_path: Path) -> None:
    """Frames of beats are found again from their times, at the frame rate of the samples."""
    rate_hz = 30.0 if case.endswith("30fps") else 60.0
    np.save(tmp_path / "beats.npy", golden[f"{case}.music_beats"] / rate_hz)
    dance = Samples(modality="motion", data=golden[f"{case}.joints"][None], seed=0, rate_hz=rate_hz)
    score = metric_of(beats=tmp_path / "beats.npy").score(dance, dance)
    assert score.value == pytest.approx(float(golden[f"{case}.bailando_score"]), rel=1e-12)
    assert score.interval_low is None  # one sample says nothing about others


def test_a_dance_in_time_scores_higher(tmp_path: Path) -> None:
    """Who stands still on the beat meets nearly all, who is half a beat off none, in either definition."""
    for definition in BeatDefinition:
        on, off = (
            metric_of(definition=definition, beats=beats_every(tmp_path, first=first)).score(
                dances(), dances()
            )
            for first in (15, 25)
        )
        assert on.value > 0.8
        assert off.value < 0.05


@given(
    seekers=st.lists(st.integers(0, 200), min_size=1, max_size=9),
    sought=st.lists(st.integers(0, 200), min_size=1, max_size=9),
    shift=st.integers(-50, 50),
)
def test_nearness_is_a_share(seekers: list[int], sought: list[int], shift: int) -> None:
    """Between 0 and 1, 1 only where all are met, the same later; more to be found is never worse."""
    first, second = np.array(seekers), np.array(sought)
    found = nearness(first, second, 3)
    assert 0 <= found <= 1
    assert (found == 1) == (set(seekers) <= set(sought))
    assert nearness(first + shift, second + shift, 3) == found
    assert nearness(first, np.append(second, 7), 3) >= found


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40), st.floats(0.3, 6))
def test_smoothing_keeps_what_is_even(values: list[float], deviation: float) -> None:
    """An even curve stays, and no curve leaves the range of its values."""
    curve = np.array(values)
    np.testing.assert_allclose(smoothed(np.full(5, 0.7), deviation), 0.7)
    found = smoothed(curve, deviation)
    assert len(found) == len(curve)
    assert found.min() >= curve.min() - 1e-12
    assert found.max() <= curve.max() + 1e-12


def test_who_stands_still_keeps_no_time(tmp_path: Path) -> None:
    """Without a beat of the motion the score is 0, where one reference raises."""
    still = evolve(dances(), data=np.ones((4, 120, 24, 3)))
    for definition in BeatDefinition:
        assert metric_of(definition=definition, beats=beats_every(tmp_path)).score(still, still).value == 0


def test_the_ends_of_a_motion_are_no_beats() -> None:
    """A beat is slower than what is on both sides; the first frame of AIST++ has no speed and is none."""
    motion = np.cumsum([0, 5.0, 4, 3, 4, 5, 2])[:, None, None] * np.ones((1, 2, 3))
    np.testing.assert_array_equal(aist_beats(motion, Constants(reach=1)), [3])
    np.testing.assert_array_equal(bailando_beats(motion, Constants(smoothing=0.1)), [2])


def test_constants_are_times_where_asked(tmp_path: Path) -> None:
    """At 60 frames a second both ways agree; a dance at 30 is scored as at 60 if constants are converted."""
    halved = Constants().at(30)
    assert (halved.nearness, halved.smoothing, halved.reach) == (1.5, 2.5, 5)
    at_60, beats = dances(), beats_every(tmp_path, frames=20, first=22)
    at_30 = evolve(at_60, data=at_60.data[:, ::2], rate_hz=30.0)
    frames, seconds = (metric_of(beats=beats, count_in=each) for each in CountIn)
    expected = frames.score(at_60, at_60).value
    assert seconds.score(at_60, at_60).value == expected
    assert seconds.score(at_30, at_30).value == pytest.approx(expected, abs=0.05)
    assert frames.score(at_30, at_30).value > 2 * expected


def test_each_sample_may_have_its_own_music(tmp_path: Path) -> None:
    """A row of beats a sample, filled up with NaN; a row too few leaves the metric out."""
    rows = np.full((2, 6), np.nan)
    rows[0, :5] = np.arange(15, 100, 20) / 60
    rows[1, :4] = np.arange(25, 100, 20) / 60
    np.save(tmp_path / "beats.npy", rows)
    metric = metric_of(beats=tmp_path / "beats.npy")
    pair = dances(2)
    alone = []
    for index in range(2):
        np.save(tmp_path / "one.npy", rows[index])
        one = pair.at(slice(index, index + 1))
        alone.append(metric_of(beats=tmp_path / "one.npy").score(one, one).value)
    assert metric.score(pair, pair).value == pytest.approx(np.mean(alone))
    assert alone[0] > 0.5 > alone[1]
    with pytest.raises(UnavailableError, match="2 rows of beats for 3 samples"):
        metric.score(dances(3), dances(3))


def test_beats_after_the_motion_are_not_heard(tmp_path: Path) -> None:
    """Only beats while a motion lasts count, padding is no motion, and without any there is no value."""
    full = dances()
    cut = evolve(full, data=full.data[:, :60])
    padded = evolve(full, lengths=np.full(4, 60))
    metric = metric_of(beats=beats_every(tmp_path))
    assert metric.score(cut, cut) == metric.score(padded, padded)
    late = metric_of(beats=beats_every(tmp_path, first=110))
    with pytest.raises(UnavailableError, match=r"last 59 frames, and no beat of the music.*in seconds"):
        late.score(cut, cut)


def test_one_set_is_shown_or_the_other_or_their_difference(tmp_path: Path) -> None:
    """The gap that studies print is the size of the masked value less the dense one."""
    dense, masked = dances(), dances(beat_frames=23)
    beats = beats_every(tmp_path)
    values = {of: metric_of(beats=beats, of=of).score(dense, masked).value for of in Of}
    assert values[Of.DIFFERENCE] == pytest.approx(values[Of.MASKED] - values[Of.DENSE])
    assert values[Of.DENSE] == metric_of(beats=beats).score(masked, dense).value
    assert values[Of.DIFFERENCE] < 0


def test_without_music_nothing_can_be_said() -> None:
    """The reason names the options that give it."""
    with pytest.raises(UnavailableError, match=r"needs the music.*`beats`.*or `music`"):
        metric_of().score(dances(), dances())


def test_times_need_a_frame_rate(tmp_path: Path) -> None:
    """So does one beat: three frames at least."""
    metric = metric_of(beats=beats_every(tmp_path))
    silent = evolve(dances(), rate_hz=None)
    with pytest.raises(UnavailableError, match="state no frame rate"):
        metric.score(silent, silent)
    with pytest.raises(UnavailableError, match="need 3 frames"):
        metric.score(dances(frames=2), dances(frames=2))
    with pytest.raises(InvariantError, match="no pair"):
        metric.score(dances(frames=20), dances())


@pytest.mark.parametrize("array", [np.zeros((1, 2, 3)), np.array(["a"]), np.float64(3)])
def test_a_file_of_beats_holds_times(tmp_path: Path, array: Any) -> None:
    """Anything else is refused by name."""
    np.save(tmp_path / "beats.npy", array)
    with pytest.raises(StoreError, match=r"beats\.npy: must be one array of times"):
        metric_of(beats=tmp_path / "beats.npy").score(dances(), dances())


def test_results_of_other_music_are_told_apart(tmp_path: Path) -> None:
    """The digest is that of the file, and none without one."""
    first = metric_of(beats=beats_every(tmp_path)).inputs_digest()
    second = metric_of(beats=beats_every(tmp_path, first=3)).inputs_digest()
    assert None is metric_of().inputs_digest() is not first != second
