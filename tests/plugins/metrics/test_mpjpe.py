"""Distances of joints agree with the reference, frame by frame and over ragged sets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError, UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw_metrics.motion_options import Alignment, MpjpeConfig
from colfw_metrics.mpjpe import AccelerationError, Mpjpe, superimposed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from colfw.protocols import Metric

FLOAT32 = 1e-6
"""The reference computes in float32; its largest deviation from float64 on these motions is 6e-7."""


def aligned(alignment: str, root: int = 0) -> Mpjpe:
    return Mpjpe(MpjpeConfig(alignment=alignment, root=root))  # type: ignore[arg-type]  (converted)


def motions(seed: int = 0, *, samples: int = 4, frames: int = 12, joints: int = 5) -> Samples:
    data = np.random.default_rng(seed).normal(0, 0.5, (samples, frames, joints, 3))
    lengths = np.linspace(frames, frames - samples + 1, samples).astype(np.int64)
    return Samples(modality="motion", data=data, seed=0, rate_hz=20.0, lengths=lengths)


def moved(samples: Samples, change: Any) -> Samples:
    return evolve(samples, data=change(samples.data))


def rotation(seed: int) -> NDArray[np.float64]:
    turned, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turned * np.sign(np.linalg.det(turned))


class TestRootAligned(MetricContract):
    """The mean distance after both roots are put at the origin."""

    symmetric = True

    @pytest.fixture
    def metric(self) -> Metric:
        return aligned("root")

    @pytest.fixture
    def dense(self) -> Samples:
        return motions(5)  # other numbers than those of the contract's noise, which would be a larger body


class TestNotAligned(TestRootAligned):
    """The mean distance of joints where they are."""

    @pytest.fixture
    def metric(self) -> Metric:
        return aligned("none")


class TestSuperimposed(TestRootAligned):
    """The mean distance after turning, scaling and shifting the masked pose, so not the same both ways."""

    symmetric = False
    absolute_tolerance = 1e-9  # mm; a pose is laid onto itself to within rounding

    @pytest.fixture
    def metric(self) -> Metric:
        return aligned("procrustes")


class TestAcceleration(TestRootAligned):
    """The mean distance of accelerations."""

    @pytest.fixture
    def metric(self) -> Metric:
        return AccelerationError()


@pytest.fixture(scope="module")
def golden(golden_root: Path) -> Any:
    return np.load(golden_root / "metrics" / "mpjpe" / "mpjpe.npz")


@pytest.mark.parametrize(
    ("metric", "key"),
    [
        (aligned("root"), "mpjpe_frames_root_aligned"),
        (aligned("none"), "mpjpe_frames_no_align"),
        (aligned("procrustes"), "pampjpe_frames"),
        (AccelerationError(), "accel_frames"),
    ],
    ids=["root", "none", "procrustes", "acceleration"],
)
def test_each_frame_has_the_error_of_the_reference(golden: Any, metric: Any, key: str) -> None:
    """The mean distance of joints in every frame is that of the reference, which has it in metres."""
    found = [metric.frame_errors_mm(*pair) for pair in in_float64(golden["ref"], golden["rst"])]
    np.testing.assert_allclose(np.stack(found) / 1000, golden[key], rtol=FLOAT32, atol=1e-7)


def in_float64(*arrays: NDArray[Any]) -> list[tuple[NDArray[np.float64], ...]]:
    return list(zip(*(array.astype(np.float64) for array in arrays), strict=True))


@pytest.mark.parametrize("case", ["root_aligned", "no_align"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_sets_have_the_error_of_the_reference(golden: Any, case: str, ragged: bool) -> None:  # noqa: FBT001  (parametrised)
    """Over a set every frame counts once, and what is behind a motion's length counts for nothing."""
    lengths = np.array(json.loads(str(golden["meta"]))["lengths"]) if ragged else None
    dense = Samples(modality="motion", data=golden["ref"], seed=0, lengths=lengths)
    masked = evolve(dense, data=golden["rst"])
    expected = golden[f"mr_{'ragged_trimmed' if ragged else 'full'}_{case}"]
    metrics = (
        aligned(case.split("_", maxsplit=1)[0].replace("no", "none")),
        aligned("procrustes"),
        AccelerationError(),
    )
    found = [metric.score(dense, masked).value for metric in metrics]
    np.testing.assert_allclose(found, expected, rtol=FLOAT32)


def test_a_mirror_image_is_not_turned_into_the_pose(golden: Any) -> None:
    """Turning makes no left of a right: the error of a mirrored motion is that of the reference."""
    pose = golden["ref"][0].astype(np.float64)
    found = aligned("procrustes").frame_errors_mm(pose, pose * [-1, 1, 1]) / 1000
    np.testing.assert_allclose(found, golden["pampjpe_frames_mirrored"], rtol=FLOAT32)


def test_no_place_stands_for_a_missing_joint(golden: Any) -> None:
    """A joint at x = -2 m is a joint: the reference leaves it out, and has the error of the others."""
    dense, masked = (golden[key][0].astype(np.float64) for key in ("ref", "rst"))
    dense[3, 5, 0] = -2.0
    found = aligned("root").frame_errors_mm(dense, masked) / 1000
    left = [joint for joint in range(22) if joint != 5]
    of_others = aligned("root").frame_errors_mm(dense[3:4, left], masked[3:4, left]) / 1000
    expected = golden["mpjpe_frames_masked_joint"]
    assert of_others == pytest.approx(expected[3], rel=FLOAT32)
    assert found[3] > 1.5 * expected[3]
    np.testing.assert_allclose(np.delete(found, 3), np.delete(expected, 3), rtol=FLOAT32)


@given(seed=st.integers(0, 99), shift=st.tuples(*[st.floats(-5, 5)] * 3))
def test_where_a_body_stands_is_aligned_away(seed: int, shift: tuple[float, float, float]) -> None:
    """Moving every frame of a motion by itself changes nothing once roots are aligned."""
    dense, masked = motions(seed), motions(seed + 1)
    elsewhere = moved(masked, lambda data: data + np.cumsum(np.full((12, 1, 1), 0.1), axis=0) * shift)
    before, after = (aligned("root").score(dense, each).value for each in (masked, elsewhere))
    assert after == pytest.approx(before, rel=1e-9)


@given(seed=st.integers(0, 99), scale=st.floats(0.1, 10), shift=st.tuples(*[st.floats(-5, 5)] * 3))
def test_place_direction_and_size_are_superimposed_away(
    seed: int, scale: float, shift: tuple[float, float, float]
) -> None:
    """A pose that was turned, scaled and shifted is laid back onto itself."""
    pose = motions(seed).data[0]
    np.testing.assert_allclose(superimposed(scale * pose @ rotation(seed) + shift, pose), pose, atol=1e-9)


@given(seed=st.integers(0, 99))
def test_nothing_superimposes_better(seed: int) -> None:
    """Turned, scaled or shifted a little, the superimposed pose lies worse, as squares of distances say."""
    pose, target = motions(seed).data[0], motions(seed + 100).data[0]
    best = superimposed(pose, target)
    middle = best.mean(axis=1, keepdims=True)
    generator = np.random.default_rng(seed)
    small = np.eye(3) + 1e-3 * (skew := generator.normal(size=(3, 3))) - 1e-3 * skew.T
    turned, _ = np.linalg.qr(small)
    turned *= np.sign(np.diag(turned @ small.T))
    for other in (best + 1e-3, middle + (best - middle) * 1.001, middle + (best - middle) @ turned):
        assert ((other - target) ** 2).sum() > ((best - target) ** 2).sum()


def test_a_pose_in_one_point_comes_to_lie_in_the_middle() -> None:
    """A pose without size or direction has a defined error: that of the middle of its target."""
    target = motions().data[0]
    laid = superimposed(np.ones_like(target), target)
    np.testing.assert_allclose(laid, np.broadcast_to(target.mean(axis=1, keepdims=True), target.shape))


@given(seed=st.integers(0, 99))
def test_padding_counts_for_nothing(seed: int) -> None:
    """What stands behind a motion's length changes no value."""
    dense, masked = motions(seed), motions(seed + 1)
    behind = np.arange(12)[None, :, None, None] >= masked.lengths[:, None, None, None]  # type: ignore[index]
    filled = moved(masked, lambda data: np.where(behind, 1e3, data))
    for metric in (aligned("root"), aligned("procrustes"), AccelerationError()):
        assert metric.score(dense, filled) == metric.score(dense, masked)


def test_a_known_distance() -> None:
    """One joint of four that is 80 mm away makes a mean of 20 mm, whichever frame it is in."""
    dense = Samples(modality="motion", data=np.random.default_rng(0).normal(size=(2, 5, 4, 3)), seed=0)
    masked = moved(dense, lambda data: data + np.array([0, 0, 0, 0.08])[:, None] * [1, 0, 0])
    score = aligned("root").score(dense, masked)
    assert score.value == pytest.approx(20)
    assert score.interval_low == pytest.approx(20)
    assert score.interval_high == pytest.approx(20)


def test_a_small_tremble_is_an_acceleration() -> None:
    """A joint that is 1 mm off in every other frame has accelerations that are 2 mm a frame squared off."""
    dense = Samples(modality="motion", data=np.zeros((1, 9, 1, 3)), seed=0)
    masked = moved(
        dense, lambda data: data + 1e-3 * (np.arange(9) % 2)[None, :, None, None] * [1, 0, 0] - 5e-4
    )
    assert AccelerationError().score(dense, masked).value == pytest.approx(2)


@pytest.mark.parametrize(("alignment", "joints"), [("root", 1), ("procrustes", 2)])
def test_too_few_joints_have_nothing_left_to_differ(alignment: str, joints: int) -> None:
    """A value that is zero whatever the samples is not given."""
    few = motions(joints=joints)
    with pytest.raises(UnavailableError, match=f"too few joints \\({joints}\\)"):
        aligned(alignment).score(few, few)


def test_the_root_is_a_joint() -> None:
    """A root that the skeleton lacks is named, with what there is."""
    with pytest.raises(UnavailableError, match="5 joints, and `root` names joint 5"):
        aligned("root", root=5).score(motions(), motions())


def test_an_acceleration_needs_three_frames() -> None:
    """With two frames there is none, and that is said."""
    short = motions(samples=1, frames=2)
    with pytest.raises(UnavailableError, match="need 3 frames at least; the shortest has 2"):
        AccelerationError().score(short, short)


def test_one_frame_has_a_distance() -> None:
    """A single frame is a motion."""
    one = motions(samples=1, frames=1)
    assert aligned("root").score(one, one).value == 0


def test_what_is_no_motion_is_left_out() -> None:
    """Samples in a form of a model's own, such as 263 features a frame, have no joints to compare."""
    features = Samples(modality="motion", data=np.zeros((2, 263, 1, 40)), seed=0)
    with pytest.raises(UnavailableError, match=r"\[2, 263, 1, 40\].*decoder"):
        aligned("root").score(features, features)


@pytest.mark.parametrize("metric", [*map(aligned, Alignment), AccelerationError()])
def test_what_is_no_pair_is_refused(metric: Any) -> None:
    """Other frames or other lengths are a broken call, not a value."""
    dense = motions()
    for other in (motions(frames=13), evolve(dense, lengths=None)):
        with pytest.raises(InvariantError):
            metric.score(dense, other)
