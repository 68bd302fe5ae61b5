"""The Inception Score is torch-fidelity's, split by split, and says whose score it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.denoising.checkpoints import digest
from colfw.errors import UnavailableError
from colfw.features import kept_in
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw.vocabulary import Direction
from colfw_metrics import inception_score
from colfw_metrics.config import Of
from colfw_metrics.fid import Fid
from colfw_metrics.inception import logits
from colfw_metrics.inception_options import FidConfig, InceptionScoreConfig
from colfw_metrics.inception_score import InceptionScore, JudgedSet
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Weights = Callable[[str], Path]

few = pytest.mark.filterwarnings("ignore::colfw_metrics.warnings.SampleCountWarning")


def images(count: int, seed: int = 7) -> Samples:
    data = np.random.default_rng(seed).uniform(-0.8, 0.8, (count, 3, 6, 6)).astype(np.float32)
    return Samples(modality="image", data=data, seed=0)


def scores(found: NDArray[Any], *, splits: int = 1, shuffle: bool = True) -> NDArray[np.float64]:
    return JudgedSet.of(found, splits=splits, shuffle=shuffle).scores(np.arange(len(found)))


# --- the reference --------------------------------------------------------------------------------


def test_scores_are_torch_fidelitys(golden_root: Path) -> None:
    """Mean and spread over the parts: one or ten of them, shuffled or not."""
    golden = np.load(golden_root / "metrics" / "inception_score" / "isc.npz")
    checked = 0
    for key in golden.files:
        case, _, how = key.partition(".")
        if how in {"splits1.shuffle", "splits1.noshuffle", "splits10.shuffle", "splits10.noshuffle"}:
            splits = 10 if how.startswith("splits10") else 1
            found = scores(golden[f"{case}.logits"], splits=splits, shuffle=how.endswith(".shuffle"))
            np.testing.assert_allclose((found.mean(), found.std()), golden[key], rtol=1e-12, atol=1e-14)
            checked += 1
    assert checked >= 4


# --- what must hold of it -------------------------------------------------------------------------


@given(
    samples=st.integers(2, 30),
    classes=st.integers(2, 12),
    seed=st.integers(0, 999),
    size=st.sampled_from([0.0, 1.0, 100.0, 1e4]),
)
def test_it_lies_between_one_and_what_can_be(samples: int, classes: int, seed: int, size: float) -> None:
    """At least 1, at most the number of classes and that of images; also of logits that leave no doubt."""
    found = scores(np.random.default_rng(seed).normal(0, size, (samples, classes)))
    assert found.shape == (1,)
    assert 1 <= found[0] <= min(samples, classes) * (1 + 1e-12)


def test_the_extremes_are_reached() -> None:
    """Each image surely another class: as many as there are; all alike, sure or not: exactly 1."""
    assert scores(np.eye(5) * 1e3)[0] == pytest.approx(5, rel=1e-12)
    assert scores(np.tile(np.arange(5.0), (8, 1)))[0] == pytest.approx(1, rel=1e-12)
    assert scores(np.zeros((8, 5)))[0] == pytest.approx(1, rel=1e-12)


def test_what_is_drawn_counts_as_often_as_it_is_drawn() -> None:
    """A drawn set has the score of the set in which its images repeat."""
    found = np.random.default_rng(0).normal(0, 3, (20, 6))
    drawn = np.random.default_rng(1).integers(0, 20, 20)
    judged = JudgedSet.of(found, splits=4, shuffle=True)
    np.testing.assert_allclose(judged.scores(drawn), scores(found[drawn], splits=4), rtol=1e-12)


# --- the metric -----------------------------------------------------------------------------------


@pytest.fixture
def quick_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of Inception, something that finds a few classes in the pixels; what is scored is the same."""
    directions = np.random.default_rng(3).normal(0, 1, (108, 9))
    monkeypatch.setattr(
        inception_score, "logits", lambda found, config: found.reshape(len(found), -1) @ directions
    )


@few
@pytest.mark.usefixtures("quick_network")
class TestMasked(MetricContract):
    """The score of the masked set, in parts that its order makes."""

    identity_value = None
    direction = Direction.HIGHER
    order_invariant = False
    # Noise may make the network surer, or unsurer, of more classes, or of fewer.
    noise_levels = ()

    @pytest.fixture
    def metric(self) -> InceptionScore:
        return InceptionScore(InceptionScoreConfig(replicates=10))

    @pytest.fixture
    def dense(self) -> Samples:
        return images(24)


@few
@pytest.mark.usefixtures("quick_network")
class TestDifference(MetricContract):
    """What a mask costs: nothing between a set and itself; of one part the order says nothing."""

    direction = Direction.HIGHER
    noise_levels = ()

    @pytest.fixture
    def metric(self) -> InceptionScore:
        return InceptionScore(InceptionScoreConfig(of=Of.DIFFERENCE, splits=1, replicates=10))

    @pytest.fixture
    def dense(self) -> Samples:
        return images(24)


@few
@pytest.mark.usefixtures("quick_network")
def test_it_is_of_the_masked_set_unless_told_otherwise() -> None:
    """The masked score, the dense one, or their difference, each with an interval that holds it."""
    dense, masked = images(24), images(24, seed=8)
    found = {
        of: InceptionScore(InceptionScoreConfig(of=of, splits=2, replicates=30)).score(dense, masked)
        for of in Of
    }
    default = InceptionScore(InceptionScoreConfig(splits=2, replicates=30)).score(dense, masked)
    assert default == found[Of.MASKED]
    again = InceptionScore(InceptionScoreConfig(splits=2, replicates=30)).score(masked, dense)
    assert again == found[Of.DENSE]
    difference = found[Of.MASKED].value - found[Of.DENSE].value
    assert found[Of.DIFFERENCE].value == pytest.approx(difference, rel=1e-12)
    for score in found.values():
        assert score.interval_low is not None
        assert score.interval_high is not None
        assert score.interval_low < score.value < score.interval_high


@few
@pytest.mark.usefixtures("quick_network")
def test_the_interval_can_be_left_out() -> None:
    """No replicates, no interval."""
    score = InceptionScore(InceptionScoreConfig(replicates=0)).score(images(24), images(24))
    assert (score.interval_low, score.interval_high) == (None, None)


@pytest.mark.usefixtures("quick_network")
def test_few_images_are_told_with_the_count_that_is_needed() -> None:
    """Too few to fill the classes of each part: a value and a warning; fewer than parts: neither."""
    metric = InceptionScore(InceptionScoreConfig(replicates=0))
    with pytest.warns(SampleCountWarning, match="24 samples in 10 parts, where more than 10080 are needed"):
        metric.score(images(24), images(24))
    with pytest.raises(UnavailableError, match=r"9 samples cannot be cut into 10 parts \(give it 10 samples"):
        metric.score(images(9), images(9))


@few
def test_it_asks_inception(inception_weights: Weights) -> None:
    """The score of a set is that of Inception's logits without bias; dense images are not looked at."""
    config = InceptionScoreConfig(weights=inception_weights("gain2"), splits=1, replicates=0)
    masked = images(3)
    expected = scores(logits(masked.data, config))[0]
    assert expected > 1
    assert InceptionScore(config).score(evolve(masked, data=-masked.data), masked).value == expected


@few
def test_an_image_is_looked_at_once_for_fid_too(inception_weights: Weights, tmp_path: Path) -> None:
    """Both metrics keep the same features: one file for each set."""
    weights, dense, masked = inception_weights("gain2"), images(2), images(2, seed=8)
    with kept_in(tmp_path):
        Fid(FidConfig(weights=weights, replicates=0)).score(dense, masked)
        config = InceptionScoreConfig(weights=weights, splits=1, of=Of.DIFFERENCE, replicates=0)
        InceptionScore(config).score(dense, masked)
    assert len(list(tmp_path.iterdir())) == 2


@few
def test_weights_tell_results_apart(inception_weights: Weights) -> None:
    """Without weights the metric can be made, and gives no score."""
    path = inception_weights("gain2")
    assert InceptionScore(InceptionScoreConfig(weights=path)).inputs_digest() == digest(path)
    without = InceptionScore(InceptionScoreConfig())
    assert without.inputs_digest() is None
    with pytest.raises(UnavailableError, match="needs the weights of Inception"):
        without.score(images(12), images(12))
