"""Dances are described as by AIST++, and their distances are its distances."""

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
from colfw_metrics.dance_features import (
    GeometricFid,
    KineticFid,
    geometric_features,
    kinetic_features,
    standardised,
)
from colfw_metrics.frechet import frechet_distance, moments_of
from colfw_metrics.motion import with_z_up
from colfw_metrics.motion_options import DanceFidConfig, Up
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from pathlib import Path


def dances(samples: int = 60, frames: int = 12, seed: int = 5) -> Samples:
    """Bodies in random poses whose joints swing, slowly enough that no state holds in all of them."""
    generator = np.random.default_rng(seed)
    poses = generator.normal(0, 0.3, (samples, 1, 24, 3))
    swings = generator.normal(0, 0.05, (samples, 1, 24, 3)) * generator.gamma(1, 0.5, (samples, 1, 1, 1))
    times = np.arange(frames)[None, :, None, None] * generator.uniform(0.05, 0.3, (samples, 1, 24, 1))
    data = poses + swings * np.sin(times + generator.uniform(0, 6, (samples, 1, 24, 1)))
    return Samples(modality="motion", data=data, seed=0, rate_hz=60.0)


KINDS = {KineticFid: 20, GeometricFid: 60}
"""Few dances make quick scores; with fewer than 60 some state holds in all of them."""
both_kinds = pytest.mark.parametrize("kind", KINDS)
few_samples = pytest.mark.filterwarnings("ignore::colfw_metrics.warnings.SampleCountWarning")


def metric_of(kind: Any, **options: Any) -> Any:
    return kind(DanceFidConfig(**options))


@few_samples
class TestKinetic(MetricContract):
    """Standardised by the dense dances, so not the same both ways."""

    # Features of one dance do not depend on others; sums over them are as exact as the distance.
    relative_tolerance = 1e-7
    absolute_tolerance = 1e-7

    @pytest.fixture
    def metric(self) -> Any:
        return metric_of(KineticFid)

    @pytest.fixture
    def dense(self) -> Samples:
        return dances(20)


class TestGeometric(TestKinetic):
    """The same of states."""

    @pytest.fixture
    def metric(self) -> Any:
        return metric_of(GeometricFid)

    @pytest.fixture
    def dense(self) -> Samples:
        return dances()


@pytest.fixture(scope="module")
def golden(golden_root: Path) -> Any:
    return np.load(golden_root / "metrics" / "mfid" / "aistpp_kinetic.npz")


@pytest.fixture(scope="module")
def golden_dances(golden: Any) -> list[Any]:
    return [with_z_up(dance.astype(np.float64), Up.Y) for dance in golden["joints"]]


def test_energies_are_those_of_the_reference(golden: Any, golden_dances: list[Any]) -> None:
    """All 72, with what the reference takes for an acceleration."""
    found = np.stack([kinetic_features(dance) for dance in golden_dances])
    np.testing.assert_allclose(found, golden["kinetic"], rtol=1e-6)


def test_states_are_those_of_the_reference(golden: Any, golden_dances: list[Any]) -> None:
    """All 32, in every frame: a share is a number of frames by 59."""
    found = np.stack([geometric_features(dance) for dance in golden_dances])
    np.testing.assert_array_equal(np.round(found * 59), np.round(golden["manual"] * 59))


def test_the_distance_is_that_of_the_reference(golden: Any) -> None:
    """Fewer dances than features: the reference's square root of a singular matrix is noisy."""
    sets = standardised(golden["real_features"], golden["generated_features"])
    found = frechet_distance(*map(moments_of, sets))
    assert found == pytest.approx(float(golden["frechet_feature_distance"]), rel=1e-6)


@few_samples
@both_kinds
def test_a_score_is_the_distance_of_descriptions(kind: Any) -> None:
    """What is compared are descriptions of dances that begin at the origin, standardised."""
    dense, masked = dances(KINDS[kind]), dances(KINDS[kind], seed=6)
    describe = {KineticFid: kinetic_features, GeometricFid: geometric_features}[kind]
    sets = [np.stack([describe(each - each[:1, :1]) for each in samples.data]) for samples in (dense, masked)]
    assert sets[0].shape == (KINDS[kind], {KineticFid: 72, GeometricFid: 32}[kind])
    score = metric_of(kind).score(dense, masked)
    assert score.value == pytest.approx(frechet_distance(*map(moments_of, standardised(*sets))), rel=1e-6)


def test_too_few_dances_are_warned_of() -> None:
    """The value comes all the same, and the warning names the count that is needed."""
    few = dances(20)
    with pytest.warns(SampleCountWarning, match="dance-fid-kinetic: 20 samples for 72 features"):
        metric_of(KineticFid).score(few, few)


@few_samples
@both_kinds
def test_where_a_dance_begins_does_not_matter(kind: Any) -> None:
    """A dance elsewhere is the same dance, although energies of the reference depend on the origin."""
    dense, masked = dances(KINDS[kind]), dances(KINDS[kind], seed=6)
    shift = np.random.default_rng(0).normal(size=(KINDS[kind], 1, 1, 3))
    elsewhere = evolve(masked, data=masked.data + shift)
    assert metric_of(kind).score(dense, elsewhere).value == pytest.approx(
        metric_of(kind).score(dense, masked).value, rel=1e-6
    )


@given(seed=st.integers(0, 99), turn=st.floats(0, 2 * np.pi))
def test_where_a_dance_looks_does_not_matter(seed: int, turn: float) -> None:
    """Turned about the vertical a dance has the same energies and is in the same states."""
    dance = dances(1, seed=seed).data[0]
    dance = dance - dance[:1, :1]
    about_z = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    np.testing.assert_allclose(kinetic_features(dance @ about_z), kinetic_features(dance), rtol=1e-9)
    # Rounding may move a joint over the threshold of a state.
    np.testing.assert_allclose(geometric_features(dance @ about_z), geometric_features(dance), atol=0.1)


@few_samples
@both_kinds
def test_axes_are_an_option(kind: Any) -> None:
    """The same dances with y up are as far apart where that is said."""
    z_up = dances(KINDS[kind]), dances(KINDS[kind], seed=6)
    y_up = [evolve(each, data=each.data[..., [0, 2, 1]] * [1, 1, -1]) for each in z_up]
    expected = metric_of(kind).score(*z_up).value
    assert metric_of(kind, up="y").score(*y_up).value == pytest.approx(expected, rel=1e-6)
    assert metric_of(kind).score(*y_up).value != pytest.approx(expected, rel=1e-3)


def test_energies_of_an_even_walk() -> None:
    """A body that moves evenly at 2 m/s along the ground and 0.5 m/s upwards has those speeds squared."""
    walk = np.arange(30)[:, None, None] / 60 * np.array([2.0, 0, 0.5]) + np.zeros((1, 24, 1))
    energies = kinetic_features(walk).reshape(24, 3)
    np.testing.assert_allclose(energies[:, 0], 4)
    np.testing.assert_allclose(energies[:, 1], 0.25)


def test_a_still_body_is_in_states_that_need_no_movement() -> None:
    """No joint is fast, and a body in one point has no direction: that is no error, and no state."""
    still = dances(1).data[:, :1].repeat(5, axis=1)[0]
    fast = [0, 1, 4, 5, 9, 10, 11, 12, 13, 21, 22, 31]
    assert not geometric_features(still)[fast].any()
    point = geometric_features(np.zeros((5, 24, 3)))
    np.testing.assert_array_equal(np.flatnonzero(point), [29, 30])  # hands near the ground


@few_samples
@both_kinds
def test_another_frame_rate_is_converted_where_asked(kind: Any) -> None:
    """At 60 frames a second both ways of counting agree; at 30 they do not; without a rate one is left."""
    dense, masked = dances(KINDS[kind]), dances(KINDS[kind], seed=6)
    frames, seconds = metric_of(kind), metric_of(kind, count_in="seconds")
    assert seconds.score(dense, masked).value == frames.score(dense, masked).value
    slower = [evolve(each, rate_hz=30.0) for each in (dense, masked)]
    assert seconds.score(*slower).value != pytest.approx(frames.score(*slower).value)
    with pytest.raises(UnavailableError, match="state no frame rate"):
        seconds.score(dense, evolve(masked, rate_hz=None))


def test_a_feature_that_never_changes_counts_for_nothing() -> None:
    """The same in both sets it is left out; changed in the masked set it has no scale, and that is said."""
    features = np.random.default_rng(0).normal(size=(6, 4))
    features[:, 2] = 0.1
    dense, masked = standardised(features, features[::-1])
    assert not dense[:, 2].any()
    assert not masked[:, 2].any()
    np.testing.assert_allclose(dense.std(axis=0)[[0, 1, 3]], 1)
    changed = features.copy()
    changed[3, 2] += 1e-3
    with pytest.raises(UnavailableError, match=r"1 features, first number 2, are the same in all 6.*more"):
        standardised(features, changed)


@few_samples
@both_kinds
def test_other_skeletons_are_left_out(kind: Any) -> None:
    """Descriptions are of SMPL's joints: 22 of HumanML3D are not enough, nor are two frames."""
    body = dances()
    with pytest.raises(UnavailableError, match="need the 24 joints of SMPL in their order, and have 22"):
        metric_of(kind).score(*[evolve(body, data=body.data[:, :, :22])] * 2)
    with pytest.raises(UnavailableError, match="need 3 frames"):
        metric_of(kind).score(*[evolve(body, data=body.data[:, :2])] * 2)
    with pytest.raises(InvariantError, match="no pair"):
        metric_of(kind).score(body, body.at(slice(0, 3)))
    with pytest.raises(UnavailableError, match="two samples"):
        metric_of(kind).score(body.at(slice(0, 1)), body.at(slice(0, 1)))
