"""FAD compares windows and counts samples; what VGGish makes of a window is tested in `test_vggish.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from torch import nn

from colfw.errors import InvariantError, UnavailableError
from colfw.features import kept_in
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw_metrics.fad import Fad
from colfw_metrics.frechet import frechet_distance, frechet_score, moments_of
from colfw_metrics.media_options import FadConfig, FadWindows
from colfw_metrics.networks import Architecture
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.protocols import Metric


def coarse() -> nn.Module:
    """Stands in for VGGish, whose weights are 288 MB: three sums of what 16 fields of a window hold."""
    return nn.Sequential(nn.AdaptiveAvgPool2d((4, 4)), nn.Flatten(), nn.Linear(16, 3))


COARSE = Architecture(name="coarse", version=1, build=coarse, released="nowhere")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("coarse") / "weights.pt"
    generator = torch.Generator().manual_seed(0)
    torch.save({"2.weight": torch.randn(3, 16, generator=generator), "2.bias": torch.zeros(3)}, file)
    return file


def sounds(count: int = 4, seconds: float = 2.0, rate_hz: float | None = 16000, **more: Any) -> Samples:
    """Each of another colour, and of a loudness that changes."""
    rng = np.random.default_rng(3)
    time = int(seconds * (rate_hz or 16000))
    noise = rng.normal(0, 0.1, (count, time)).astype(np.float32)
    tones = np.sin(np.arange(time) * rng.uniform(0.05, 0.5, (count, 1))) * rng.uniform(0.05, 0.5, (count, 1))
    fading = np.linspace(0.2, 1, time) ** rng.uniform(0, 3, (count, 1))
    data = ((noise + tones) * fading).astype(np.float32)
    return Samples(modality="audio", data=data, seed=0, rate_hz=rate_hz, **more)


def louder(samples: Samples) -> Samples:
    return evolve(samples, data=samples.data * np.float32(1.5))


def fad(weights: Path | None, **options: Any) -> Fad:
    return Fad(FadConfig(weights=weights, device="cpu", **options), architecture=COARSE)


class TestContract(MetricContract):
    """Four sounds of two windows each, and a network of three features."""

    symmetric = True
    relative_tolerance = 1e-4  # features are float32

    @pytest.fixture(autouse=True)
    def _weights(self, weights: Path) -> None:
        self.weights = weights

    @pytest.fixture
    def metric(self) -> Fad:
        return fad(self.weights, replicates=50)

    def metric_in_batches(self, batch_samples: int) -> Metric:
        return fad(self.weights, replicates=0, batch_samples=batch_samples)

    @pytest.fixture
    def dense(self) -> Samples:
        return sounds()


class TestContractOfOverlappingWindows(TestContract):
    """Three windows each; sounds of another rate are brought to 16 kHz."""

    @pytest.fixture
    def metric(self) -> Fad:
        return fad(self.weights, windows="overlapping", replicates=50)

    def metric_in_batches(self, batch_samples: int) -> Metric:
        return fad(self.weights, windows="overlapping", replicates=0, batch_samples=batch_samples)

    @pytest.fixture
    def dense(self) -> Samples:
        return sounds(rate_hz=8000)


@pytest.mark.parametrize("case", ["", "_2"])
def test_the_distance_is_that_of_the_reference(golden_root: Path, case: str) -> None:
    """To 1e-6, of fewer and of more windows than features."""
    with np.load(golden_root / "metrics" / "fad" / "frechet.npz") as golden:
        first, second = (moments_of(golden[f"{name}{case}"]) for name in ("background", "evaluated"))
        expected = float(golden[f"fad{case}"])
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_samples_are_counted_and_not_their_windows(weights: Path) -> None:
    """The interval is that of drawing samples with all their windows."""
    dense, metric = sounds(seconds=3.0), fad(weights, replicates=100)
    score = metric.score(dense, louder(dense))
    assert score.samples == len(dense)
    features = [metric._features(each, 16000) for each in (dense, louder(dense))]
    assert len(features[0]) == 3 * len(dense)
    owners = np.repeat(np.arange(len(dense)), 3)
    assert score == frechet_score(*features, name="fad", replicates=100, sample_of_row=owners)
    alone = frechet_score(*features, name="fad", replicates=100)
    assert alone.samples == 3 * len(dense)
    assert alone.value == score.value
    assert alone.interval_high != score.interval_high


@pytest.mark.parametrize(("windows", "count"), [(FadWindows.ADJACENT, 2), (FadWindows.OVERLAPPING, 3)])
def test_windows_are_as_many_as_fit(weights: Path, windows: FadWindows, count: int) -> None:
    """Sound of two seconds has two windows of 0.96 s, and three that overlap."""
    assert len(fad(weights, windows=windows)._features(sounds(1), 16000)) == count


def test_padding_is_not_heard(weights: Path) -> None:
    """Sounds of different lengths are heard to their ends: what is stored beyond makes no difference."""
    lengths = np.array([32000, 16000, 47999, 30000])
    dense = sounds(seconds=3.0, lengths=lengths)
    masked = louder(dense)
    spoilt = masked.data.copy()
    spoilt[np.arange(48000) >= lengths[:, None]] = 0.9
    metric = fad(weights, replicates=20)
    assert metric.score(dense, masked) == metric.score(dense, evolve(masked, data=spoilt))
    assert metric._sample_of_window(dense, 16000).tolist() == [0, 0, 1, 2, 2, 2, 3]
    alone = metric._features(Samples(modality="audio", data=dense.data[1:2, :16000], seed=0), 16000)
    np.testing.assert_allclose(metric._features(dense, 16000)[2:3], alone, rtol=1e-5)


def test_the_rate_is_heard(weights: Path, tmp_path: Path) -> None:
    """The same numbers at another rate are another sound, and no folder of features mistakes the two."""
    fast = sounds(rate_hz=16000)
    slow = evolve(fast, rate_hz=8000)
    with kept_in(tmp_path):
        found = [fad(weights)._features(each, each.rate_hz or 0) for each in (fast, slow)]
    assert [len(features) for features in found] == [8, 16]


def test_silence_has_a_distance(weights: Path) -> None:
    """Silent sets are equal, and as far from others as the logarithm of silence is: a finite way."""
    dense = sounds()
    silence = evolve(dense, data=np.zeros_like(dense.data))
    assert fad(weights).score(silence, silence).value == 0
    assert 0 < fad(weights).score(dense, silence).value < np.inf


def test_few_windows_have_a_value_and_a_warning(weights: Path) -> None:
    """The line says how many are needed."""
    dense = sounds(3, seconds=1.0)
    with pytest.warns(SampleCountWarning, match="more than 3 are needed"):
        assert fad(weights).score(dense, louder(dense)).value > 0


def test_what_fills_no_window_is_refused_by_the_number_of_its_sample(weights: Path) -> None:
    """Shorter sounds than 0.975 s at 16 kHz are not heard at all, which is said before any is."""
    short = sounds(3, lengths=np.array([32000, 32000, 15599]))
    with pytest.raises(UnavailableError, match=r"sample 2 \(from 0\) fills none"):
        fad(weights).score(short, short)
    empty = sounds(2, seconds=0)
    with pytest.raises(UnavailableError, match=r"sample 0 \(from 0\) fills none"):
        fad(weights).score(empty, empty)


def test_without_a_rate_nothing_can_be_heard(weights: Path) -> None:
    """Samples that state no sampling rate are refused."""
    dense = sounds(rate_hz=None)
    with pytest.raises(UnavailableError, match="state no sampling rate"):
        fad(weights).score(dense, dense)


def test_what_is_no_audio_is_refused(weights: Path) -> None:
    """Spectrograms of a latent model are no sound yet."""
    latents = Samples(modality="audio", data=np.zeros((2, 4, 10, 78)), seed=0, rate_hz=16000)
    with pytest.raises(UnavailableError, match="must be audio"):
        fad(weights).score(latents, latents)


def test_sets_that_are_no_pair_are_a_broken_call(weights: Path) -> None:
    """Other seeds, another rate or other lengths are no worse samples but other ones."""
    dense = sounds(2)
    others = (sounds(3), sounds(2, rate_hz=8000, seconds=4), sounds(2, lengths=np.array([32000, 16000])))
    for other in others:
        with pytest.raises(InvariantError):
            fad(weights).score(dense, other)


def test_one_sound_has_no_spread_over_samples(weights: Path) -> None:
    """Its windows are not other samples."""
    with pytest.raises(UnavailableError, match="two samples at least"):
        fad(weights).score(sounds(1), sounds(1))


def test_without_weights_it_is_left_out() -> None:
    """It can be made, has no digest, and says when asked which file it needs and where that is published."""
    metric = Fad(FadConfig())
    assert metric.inputs_digest() is None
    with pytest.raises(UnavailableError, match=r"vggish-10086976\.pth.*github\.com"):
        metric.score(sounds(), sounds())


def test_results_of_other_weights_are_told_apart(weights: Path) -> None:
    """The digest is that of the file."""
    digest = fad(weights).inputs_digest()
    assert digest is not None
    assert len(digest) == 64
