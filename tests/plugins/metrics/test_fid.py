"""FID is the Frechet distance of what Inception sees, and keeps what a metric promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import evolve

from colfw.denoising.checkpoints import digest
from colfw.errors import StudyError, UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw.typed import structure
from colfw_metrics.fid import Fid
from colfw_metrics.frechet import frechet_score
from colfw_metrics.inception import features
from colfw_metrics.inception_options import FidConfig, Resize
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Weights = Callable[[str], Path]


def images(count: int, side_px: int = 12, channels: int = 3) -> Samples:
    rng = np.random.default_rng(7)
    data = rng.uniform(-0.8, 0.8, (count, channels, side_px, side_px)).astype(np.float32)
    return Samples(modality="image", data=data, seed=0)


@pytest.mark.filterwarnings("ignore::colfw_metrics.warnings.SampleCountWarning")
class TestFid(MetricContract):
    """The first features, which are quick: the distance is the same code for all."""

    symmetric = True
    # Images in another order share other batches, and float32 sums round differently there.
    relative_tolerance = 1e-4

    @pytest.fixture
    def metric(self, inception_weights: Weights) -> Fid:
        self.options = {"weights": inception_weights("gain2"), "dimensions": 64}
        return Fid(FidConfig(**self.options, replicates=10))

    def metric_in_batches(self, batch_samples: int) -> Fid:
        return Fid(FidConfig(**self.options, replicates=0, batch_samples=batch_samples))

    @pytest.fixture
    def dense(self) -> Samples:
        return images(6)


@pytest.mark.filterwarnings("ignore::colfw_metrics.warnings.SampleCountWarning")
def test_it_is_the_distance_of_the_features(inception_weights: Weights) -> None:
    """By default of the last 2048, shown torch-fidelity's way."""
    dense, config = images(4), FidConfig(weights=inception_weights("gain2"), replicates=0)
    masked = evolve(dense, data=dense.data[::-1] * np.float32(0.5))
    assert (config.dimensions, config.resize) == (2048, Resize.TORCH_FIDELITY)
    seen = [features(each.data, config) for each in (dense, masked)]
    assert [each.shape for each in seen] == [(4, 2048)] * 2
    expected = frechet_score(*seen, name="fid", replicates=0)
    assert expected.value > 0
    assert Fid(config).score(dense, masked) == expected


@pytest.mark.filterwarnings("ignore::colfw_metrics.warnings.SampleCountWarning")
def test_the_resize_is_part_of_the_number(inception_weights: Weights) -> None:
    """Three ways to show an image give three values."""
    dense = images(4)
    masked = evolve(dense, data=dense.data * np.float32(0.5))
    configs = [
        FidConfig(weights=inception_weights("gain2"), dimensions=64, replicates=0, resize=resize)
        for resize in Resize
    ]
    values = [Fid(config).score(dense, masked).value for config in configs]
    assert min(abs(np.subtract.outer(values, values))[np.triu_indices(3, 1)]) > 1e-4 * max(values)


def test_few_images_are_told_with_the_count_that_is_needed(inception_weights: Weights) -> None:
    """Fewer images than features: a value and a warning; one image: none."""
    metric = Fid(FidConfig(weights=inception_weights("gain2"), dimensions=64))
    with pytest.warns(SampleCountWarning, match="fid: 2 samples for 64 features, where more than 64"):
        assert metric.score(images(2), images(2)).value == 0.0
    with pytest.raises(UnavailableError, match="needs two samples at least"):
        metric.score(images(1), images(1))


def test_weights_tell_results_apart(inception_weights: Weights) -> None:
    """Without weights a metric can be made, says nothing of them, and gives no score."""
    path = inception_weights("gain2")
    assert Fid(FidConfig(weights=path)).inputs_digest() == digest(path)
    without = Fid(FidConfig())
    assert without.inputs_digest() is None
    with pytest.raises(UnavailableError, match="needs the weights of Inception"):
        without.score(images(2), images(2))


@pytest.mark.parametrize(
    "options", [{"dimensions": 100}, {"resize": "bicubic"}, {"replicates": -1}, {"splits": 1}]
)
def test_what_no_reference_has_is_refused(options: dict[str, Any]) -> None:
    """Other depths and other resizes are no FID."""
    with pytest.raises(StudyError, match=next(iter(options))):
        structure(FidConfig, options, where="test")
