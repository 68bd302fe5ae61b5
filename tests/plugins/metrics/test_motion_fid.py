"""Motion FID is the Frechet distance of what the evaluator sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve

from colfw.errors import InvariantError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw_metrics.frechet import frechet_distance, frechet_score, moments_of
from colfw_metrics.motion_evaluator import points_of_motions
from colfw_metrics.motion_fid import MotionFid
from colfw_metrics.motion_options import MotionEvaluatorConfig
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Options = Callable[..., dict[str, Any]]

few_samples = pytest.mark.filterwarnings("ignore::colfw_metrics.warnings.SampleCountWarning")


def motions(samples: int = 6, seed: int = 5) -> Samples:
    features = np.random.default_rng(seed).normal(0, 1, (samples, 24, 263)).astype(np.float32)
    lengths = np.linspace(24, 16, samples).astype(np.int64)
    data = np.zeros((samples, 24, 22, 3))
    return Samples(modality="motion", data=data, seed=0, lengths=lengths, views={"humanml3d": features})


def metric_of(options: dict[str, Any]) -> MotionFid:
    return MotionFid(MotionEvaluatorConfig(**{"padded_frames": 24, **options}))


@few_samples
class TestMotionFid(MetricContract):
    """A distance of distributions, through a network in float32."""

    symmetric = True
    relative_tolerance = 1e-4
    absolute_tolerance = 1e-6

    @pytest.fixture
    def metric(self, evaluator_options: Options) -> MotionFid:
        self.options = evaluator_options
        return metric_of(evaluator_options())

    def metric_in_batches(self, batch_samples: int) -> MotionFid:
        return metric_of(self.options(batch_samples=batch_samples))

    @pytest.fixture
    def dense(self) -> Samples:
        return motions()


@pytest.mark.parametrize(
    ("real", "generated", "expected"),
    [("gt", "gen", "fid"), ("gt_lowrank", "gen_lowrank", "fid_lowrank")],
    ids=["more motions than features", "fewer"],
)
def test_the_distance_is_that_of_the_reference(
    golden_root: Path, real: str, generated: str, expected: str
) -> None:
    """From features to the number, also where covariances are singular: there the reference is noisy."""
    golden = np.load(golden_root / "metrics" / "mfid" / "mfid.npz")
    found = frechet_distance(moments_of(golden[real]), moments_of(golden[generated]))
    assert found == pytest.approx(float(golden[expected]), rel=1e-6)


def test_it_is_the_distance_of_what_the_evaluator_sees(evaluator_options: Options) -> None:
    """Value and interval are those of the evaluator's points; too few motions are warned of by name."""
    dense, masked = motions(), motions(seed=6)
    metric = metric_of(evaluator_options())
    with pytest.warns(SampleCountWarning, match="mfid: 6 samples for 512 features"):
        score = metric.score(dense, masked)
    config = MotionEvaluatorConfig(**evaluator_options(padded_frames=24))
    points = [points_of_motions(samples, config) for samples in (dense, masked)]
    with pytest.warns(SampleCountWarning):
        assert score == frechet_score(*points, name="mfid")


def test_what_is_no_pair_is_refused(evaluator_options: Options) -> None:
    """Another number of motions is a broken call."""
    with pytest.raises(InvariantError, match="no pair"):
        metric_of(evaluator_options()).score(motions(6), motions(5))


def test_results_of_other_weights_are_told_apart(evaluator_options: Options) -> None:
    """The digest is that of the files, and none without them."""
    digests = [metric_of(evaluator_options(fill)).inputs_digest() for fill in ("plain", "gain2")]
    assert digests[0] != digests[1]
    assert None not in digests
    assert MotionFid(MotionEvaluatorConfig()).inputs_digest() is None


@few_samples
def test_lengths_of_the_two_sets_may_differ(evaluator_options: Options) -> None:
    """Distributions are compared, not pairs: a model that decides how long a motion is may decide again."""
    dense = motions()
    shorter = evolve(dense, lengths=np.full(6, 12))
    assert metric_of(evaluator_options()).score(dense, shorter).value > 0
