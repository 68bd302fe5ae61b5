"""Physical foot contact agrees with EDGE's, and says what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError, UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw_metrics.config import Of
from colfw_metrics.foot_contact import FootContact, foot_contact
from colfw_metrics.motion_options import CountIn, FootContactConfig, Up

if TYPE_CHECKING:
    from pathlib import Path


def metric_of(**options: Any) -> FootContact:
    return FootContact(FootContactConfig(**options))


def standing(samples: int = 4, frames: int = 30) -> Samples:
    """Bodies of SMPL that bob up and down on feet that stand."""
    data = np.random.default_rng(5).normal(0, 0.3, (samples, 1, 24, 3)).repeat(frames, axis=1)
    data[:, :, 0, 2] += 0.1 * np.sin(np.arange(frames) / 3)
    return Samples(modality="motion", data=data, seed=0, rate_hz=30.0)


class TestFootContact(MetricContract):
    """Feet that tremble while the body moves: the more, the worse. Equal sets stand equally well."""

    identity_value = 0.0

    @pytest.fixture
    def metric(self) -> FootContact:
        return metric_of()

    @pytest.fixture
    def dense(self) -> Samples:
        return standing()


class TestDifference(TestFootContact):
    """Less the dense value, which is 0 here."""

    @pytest.fixture
    def metric(self) -> FootContact:
        return metric_of(of="difference")


@pytest.fixture(scope="module")
def golden(golden_root: Path) -> Any:
    return np.load(golden_root / "metrics" / "pfc" / "pfc.npz")


def test_each_motion_has_the_value_of_the_reference(golden: Any) -> None:
    """Exactly in float64, and to the reference's own rounding in float32; planted feet are exactly 0."""
    found = [foot_contact(golden[f"joints_{index}"].astype(np.float64)) for index in range(4)]
    np.testing.assert_allclose(found, golden["per_sequence_f64"], rtol=1e-12)
    np.testing.assert_allclose(found, golden["per_sequence"], rtol=1e-6)
    assert found[3] == 0


def test_a_set_has_the_mean_of_its_motions(golden: Any) -> None:
    """Ragged motions count alike, whatever their length."""
    motions = [golden[f"joints_{index}"] for index in range(4)]
    data = np.stack([np.pad(each, ((0, 150 - len(each)), (0, 0), (0, 0)), mode="edge") for each in motions])
    lengths = np.array([len(each) for each in motions])
    dense = Samples(modality="motion", data=data, seed=0, rate_hz=30.0, lengths=lengths)
    score = metric_of().score(dense, dense)
    assert score.value == pytest.approx(float(golden["total"]), rel=1e-6)


@given(shift=st.tuples(*[st.floats(-5, 5)] * 3), turn=st.floats(0, 2 * np.pi), scale=st.floats(0.5, 2))
def test_place_and_direction_do_not_matter(
    shift: tuple[float, float, float], turn: float, scale: float
) -> None:
    """Moved and turned about the vertical a motion keeps its value; larger, its speeds are larger."""
    motion = trembling().data[0]
    about_z = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    moved = scale * motion @ about_z + shift
    assert foot_contact(moved) == pytest.approx(scale**2 * foot_contact(motion), rel=1e-9)


def trembling(scale: float = 0.05) -> Samples:
    still = standing()
    noise = np.random.default_rng(6).normal(0, scale, still.data.shape)
    return evolve(still, data=still.data + noise)


def test_axes_are_an_option() -> None:
    """The same motion with y up has the same value where that is said, and another where it is not."""
    motion = trembling()
    y_up = evolve(motion, data=motion.data[..., [0, 2, 1]] * [1, 1, -1])
    expected = metric_of().score(motion, motion).value
    assert metric_of(up=Up.Y).score(y_up, y_up).value == pytest.approx(expected)
    assert metric_of().score(y_up, y_up).value != pytest.approx(expected)


def test_falling_needs_no_foot() -> None:
    """Only acceleration upwards and sideways needs something to push against."""
    time = np.arange(20)[:, None, None] / 30
    falling = np.array([1.0, 0, 0]) * time + np.array([0, 0, -4.9]) * time**2 + np.zeros((1, 24, 1))
    assert foot_contact(falling) == 0
    assert foot_contact(falling * [1, 1, -1]) > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_body_that_never_speeds_up_has_the_value_0(dtype: Any) -> None:
    """The reference divides by nothing there. Rounding of an even speed is no acceleration."""
    even = np.arange(50)[:, None, None] * np.array([0.013, 0.007, 0.0]) + np.ones((1, 24, 1))
    assert foot_contact(even.astype(dtype).astype(np.float64)) == 0
    assert foot_contact(np.zeros((5, 24, 3))) == 0


def test_other_skeletons_name_their_feet() -> None:
    """Which joints are feet is known of SMPL alone; of others it is said, or the metric is left out."""
    motion = trembling()
    twelve = evolve(motion, data=motion.data[:, :, :12])
    with pytest.raises(UnavailableError, match=r"have 12 joints.*`left_foot` and `right_foot`"):
        metric_of().score(twelve, twelve)
    named = metric_of(left_foot=(7, 10), right_foot=(8, 11)).score(twelve, twelve)
    assert named == metric_of().score(motion, motion)
    body = evolve(motion, data=motion.data[:, :, :22])
    assert metric_of().score(body, body) == named
    with pytest.raises(UnavailableError, match="`right_foot` names joint 12"):
        metric_of(left_foot=(1,), right_foot=(2, 12)).score(twelve, twelve)
    with pytest.raises(UnavailableError, match="`root` names joint 24"):
        metric_of(root=24).score(motion, motion)


def test_another_frame_rate_is_converted_where_asked() -> None:
    """A motion in slow motion has smaller speeds a frame; in seconds they are what they were."""
    motion = trembling()
    at_60 = evolve(motion, rate_hz=60.0)
    frames, seconds = metric_of(), metric_of(count_in=CountIn.SECONDS)
    assert seconds.score(motion, motion).value == pytest.approx(frames.score(motion, motion).value)
    assert frames.score(at_60, at_60).value == frames.score(motion, motion).value
    assert seconds.score(at_60, at_60).value == pytest.approx(4 * frames.score(motion, motion).value)
    with pytest.raises(UnavailableError, match="state no frame rate"):
        seconds.score(motion, evolve(motion, rate_hz=None))


def test_one_set_is_shown_or_the_other_or_their_difference() -> None:
    """The difference is the masked value less the dense one."""
    dense, masked = trembling(0.02), trembling(0.05)
    values = {of: metric_of(of=of).score(dense, masked).value for of in Of}
    assert values[Of.DENSE] == metric_of().score(masked, dense).value
    assert values[Of.DIFFERENCE] == pytest.approx(values[Of.MASKED] - values[Of.DENSE])
    assert values[Of.DIFFERENCE] > 0


def test_two_frames_have_no_acceleration() -> None:
    """That is said, and what is no pair is refused."""
    short = standing(frames=2)
    with pytest.raises(UnavailableError, match="need 3 frames"):
        metric_of().score(short, short)
    with pytest.raises(InvariantError, match="no pair"):
        metric_of().score(short, standing())
