"""FVD shows I3D what the reference codes show it; what I3D makes of it is tested in `test_i3d.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from colfw.errors import InvariantError, UnavailableError
from colfw.features import kept_in
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw_metrics.frechet import frechet_score
from colfw_metrics.fvd import Fvd, shown
from colfw_metrics.media_options import FvdConfig, FvdFrames
from colfw_metrics.networks import Architecture
from colfw_metrics.warnings import SampleCountWarning

if TYPE_CHECKING:
    from pathlib import Path

    from colfw.protocols import Metric


def coarse() -> nn.Module:
    """Stands in for I3D, which takes a second a video: four sums of what 49 fields of the frames show."""
    return nn.Sequential(nn.AdaptiveAvgPool3d((1, 7, 7)), nn.Flatten(), nn.Linear(3 * 7 * 7, 4))


COARSE = Architecture(name="coarse", version=1, build=coarse, released="nowhere")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("coarse") / "weights.pt"
    generator = torch.Generator().manual_seed(0)
    torch.save(
        {
            "2.weight": torch.randn(4, 3 * 7 * 7, generator=generator),
            "2.bias": torch.randn(4, generator=generator),
        },
        file,
    )
    return file


def videos(count: int = 6, frames: int = 9, channels: int = 3, **more: Any) -> Samples:
    """Each of other colours that move."""
    rng = np.random.default_rng(0)
    places = np.linspace(0, 3, 8 * 10).reshape(8, 10)
    phases = rng.uniform(0, 6, (count, 1, channels, 1, 1)) + rng.uniform(0, 0.3, (count, frames, 1, 1, 1))
    return Samples(modality="video", data=0.7 * np.sin(places + phases).astype(np.float32), seed=0, **more)


def fvd(weights: Path | None, **options: Any) -> Fvd:
    return Fvd(FvdConfig(weights=weights, device="cpu", **options), architecture=COARSE)


class TestContract(MetricContract):
    """Six videos, and a network of four features."""

    symmetric = True
    relative_tolerance = 1e-4  # features are float32

    @pytest.fixture(autouse=True)
    def _weights(self, weights: Path) -> None:
        self.weights = weights

    @pytest.fixture
    def metric(self) -> Fvd:
        return fvd(self.weights, replicates=50)

    def metric_in_batches(self, batch_samples: int) -> Metric:
        return fvd(self.weights, replicates=0, batch_samples=batch_samples)

    @pytest.fixture
    def dense(self) -> Samples:
        return videos()


@pytest.mark.parametrize(
    ("frames", "name"),
    [
        (FvdFrames.ORIGINAL, "tf1"),
        (FvdFrames.TATS, "tats"),
        (FvdFrames.VIDEOGPT, "videogpt"),
        (FvdFrames.VIDEOGPT, "styleganv_port"),
    ],
)
def test_frames_are_shown_as_the_reference_shows_them(
    golden_root: Path, frames: FvdFrames, name: str
) -> None:
    """To 1e-6 of values from -1 to 1, for each of three ways of resizing."""
    with np.load(golden_root / "metrics" / "fvd" / "i3d_forward.npz") as golden:
        video = golden["video"].transpose(0, 1, 4, 2, 3) / 127.5 - 1
        expected = golden[f"preprocess_{name}"]
    seen = shown(torch.from_numpy(video), frames)
    assert seen.shape == (1, 3, 16, 224, 224)
    lattice = seen[0, :, [0, -1], ::16, ::16].numpy()
    np.testing.assert_allclose(lattice, expected, rtol=0, atol=1e-6)


def test_the_distance_is_that_of_the_reference(golden_root: Path) -> None:
    """Of 32 videos to 1e-6; the reference's float32 form is itself good to 1e-3 alone."""
    with np.load(golden_root / "metrics" / "fvd" / "frechet.npz") as golden:
        arrays = {name: golden[name] for name in golden.files}
    with pytest.warns(SampleCountWarning, match="400"):
        score = frechet_score(arrays["real"], arrays["fake"], name="fvd", replicates=0)
    assert score.value == pytest.approx(float(arrays["stylegan_v"]), rel=1e-6)
    assert score.value == pytest.approx(float(arrays["videogpt_tats_f64"]), rel=1e-6)
    assert score.value == pytest.approx(float(arrays["videogpt_tats_f32"]), rel=1e-3)


@given(
    frames=st.sampled_from(FvdFrames),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    level=st.integers(0, 255),
)
def test_an_even_picture_stays_even(frames: FvdFrames, height: int, width: int, level: int) -> None:
    """Whatever the size, resizing neither leaves a border nor changes a level."""
    even = torch.full((1, 1, 1, height, width), level / 127.5 - 1)
    assert torch.allclose(shown(even, frames), torch.tensor(level / 127.5 - 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("frames", FvdFrames)
def test_a_grey_video_is_one_of_equal_channels(frames: FvdFrames) -> None:
    """One channel is shown three times; torch rounds single channels another way."""
    grey = torch.from_numpy(videos(2, channels=1).data)
    assert torch.allclose(
        shown(grey, frames), shown(grey.expand(-1, -1, 3, -1, -1), frames), rtol=0, atol=1e-6
    )


def test_the_middle_is_kept_of_the_longer_side() -> None:
    """Where frames are cropped, what is beyond the middle square is not seen; squashed, it is."""
    wide = videos(1).data[..., :4, :]
    spoilt = wide.copy()
    spoilt[..., 0] = spoilt[..., -1] = 1.0
    for frames, unseen in ((FvdFrames.VIDEOGPT, True), (FvdFrames.TATS, False), (FvdFrames.ORIGINAL, False)):
        seen = [shown(torch.from_numpy(array), frames) for array in (wide, spoilt)]
        assert torch.equal(*seen) is unseen


def test_pixels_are_rounded_as_in_a_file() -> None:
    """Less than half of one of 255 levels is nothing, and what is brighter than white is white."""
    levels = torch.arange(256).reshape(1, 1, 1, 16, 16) / 127.5 - 1
    for frames in FvdFrames:
        assert torch.equal(shown(levels, frames), shown(levels + 0.49 / 127.5, frames))
    assert shown(torch.full((1, 1, 1, 4, 4), 3.0), FvdFrames.TATS).max() == 1


def test_padding_is_not_seen(weights: Path) -> None:
    """Videos of different lengths are seen to their ends: what is stored beyond makes no difference."""
    lengths = np.array([9, 12, 9, 10, 12, 11])
    dense = videos(frames=12, lengths=lengths)
    masked = evolve(dense, data=dense.data[::-1].copy() * 0.8)
    spoilt = masked.data.copy()
    spoilt[np.arange(12) >= lengths[:, None]] = 0.3
    metric = fvd(weights)
    assert metric.score(dense, masked) == metric.score(dense, evolve(masked, data=spoilt))
    cut = [evolve(dense, data=dense.data[i : i + 1, :n], lengths=None) for i, n in enumerate(lengths)]
    alone = np.concatenate([metric._features(each) for each in cut])
    np.testing.assert_allclose(metric._features(dense), alone, rtol=1e-4)


def test_features_are_kept_apart_by_how_frames_were_shown(weights: Path, tmp_path: Path) -> None:
    """A folder of features gives no metric those of another's frames."""
    with kept_in(tmp_path):
        found = [fvd(weights, frames=frames)._features(videos()) for frames in FvdFrames]
        again = fvd(weights)._features(videos())
    assert len(list(tmp_path.iterdir())) == len(FvdFrames)
    np.testing.assert_array_equal(again, found[0])
    assert not np.allclose(found[0], found[1])


def test_videos_that_do_not_move_or_differ_have_a_distance(weights: Path) -> None:
    """Black videos are as far from black ones as can be: not at all; from others, a finite way."""
    black, others = evolve(videos(), data=np.full((6, 9, 3, 8, 10), -1.0, np.float32)), videos()
    assert fvd(weights).score(black, black).value == 0
    assert np.isfinite(fvd(weights).score(black, others).value)


def test_few_videos_have_a_value_and_a_warning(weights: Path) -> None:
    """The line says how many are needed."""
    few = videos(3)
    with pytest.warns(SampleCountWarning, match="more than 4 are needed"):
        assert fvd(weights).score(few, evolve(few, data=-few.data)).value > 0


@pytest.mark.parametrize("frames", [1, 8])
def test_fewer_than_nine_frames_are_refused(weights: Path, frames: int) -> None:
    """The last pooling of I3D would have nothing to look at."""
    short = videos(frames=frames)
    with pytest.raises(UnavailableError, match=f"9 frames at least, and the shortest video has {frames}"):
        fvd(weights).score(short, short)
    one_short = videos(frames=9, lengths=np.array([9, 9, 9, frames, 9, 9]))
    with pytest.raises(UnavailableError, match=f"the shortest video has {frames}"):
        fvd(weights).score(one_short, one_short)


@pytest.mark.parametrize(
    ("modality", "shape"),
    [
        ("image", (4, 3, 8, 8)),
        ("video", (4, 3, 8, 8)),
        ("video", (4, 9, 4, 8, 8)),
        ("video", (4, 9, 3, 0, 8)),
    ],
)
def test_what_is_no_video_is_refused(weights: Path, modality: str, shape: tuple[int, ...]) -> None:
    """Images, latents of four channels, and frames without a pixel."""
    samples = Samples(modality=modality, data=np.zeros(shape, np.float32), seed=0)
    with pytest.raises(UnavailableError, match="must be videos"):
        fvd(weights).score(samples, samples)


def test_one_video_has_no_spread(weights: Path) -> None:
    """A covariance needs two."""
    with pytest.raises(UnavailableError, match="two samples at least"):
        fvd(weights).score(videos(1), videos(1))


def test_sets_that_are_no_pair_are_a_broken_call(weights: Path) -> None:
    """Seeds that are missing are no worse videos."""
    with pytest.raises(InvariantError, match="no pair"):
        fvd(weights).score(videos(6), videos(5))


def test_without_weights_it_is_left_out() -> None:
    """It can be made, has no digest, and says when asked which file it needs and where that is published."""
    metric = Fvd(FvdConfig())
    assert metric.inputs_digest() is None
    with pytest.raises(UnavailableError, match=r"i3d_pretrained_400\.pt.*github\.com"):
        metric.score(videos(), videos())


def test_results_of_other_weights_are_told_apart(weights: Path) -> None:
    """The digest is that of the file."""
    digest = fvd(weights).inputs_digest()
    assert digest is not None
    assert len(digest) == 64


def test_an_interval_can_be_left_out(weights: Path) -> None:
    """The value is the same with and without."""
    dense = videos()
    masked = evolve(dense, data=dense.data * np.float32(0.5))
    with_interval, without = (fvd(weights, replicates=n).score(dense, masked) for n in (20, 0))
    assert with_interval.interval_low is not None
    assert without.interval_low is None
    assert with_interval.value == without.value
