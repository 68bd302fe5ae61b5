"""Pairs of images come out of samples as they lie in them, or with one line that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError, UnavailableError
from colfw.samples import Samples
from colfw_metrics.images import image_pairs, images, per_sample

if TYPE_CHECKING:
    from numpy.typing import NDArray


def samples(modality: str, *shape: int, lengths: NDArray[np.int64] | None = None) -> Samples:
    data = np.random.default_rng(sum(shape)).uniform(-1, 1, shape)
    return Samples(modality=modality, data=data, seed=0, lengths=lengths)


def test_an_image_is_itself() -> None:
    """Images are taken in their order, one a sample, without a copy."""
    dense = samples("image/digits", 5, 1, 8, 8)
    found, images_of_sample = images(dense)
    assert np.shares_memory(found, dense.data)
    assert np.array_equal(found, dense.data)
    assert images_of_sample.tolist() == [1] * 5


@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_padding_of_videos_is_left_out(lengths: list[int]) -> None:
    """Frames of each video follow each other, up to its length; means are taken over those alone."""
    videos = samples("video", len(lengths), 4, 3, 2, 2, lengths=np.array(lengths))
    found, images_of_sample = images(videos)
    expected = [videos.data[i, :length] for i, length in enumerate(lengths)]
    assert np.array_equal(found, np.concatenate(expected))
    means = per_sample(found.mean(axis=(1, 2, 3)), images_of_sample)
    np.testing.assert_allclose(means, [video.mean() for video in expected], rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("modality", "shape", "problem"),
    [
        ("motion", (2, 4, 22, 3), "compares images and videos, and these samples are motion"),
        ("image-latent", (2, 4, 8, 8), "these samples are image-latent"),
        ("image", (2, 4, 8, 8), r"needs images of one channel or three, and got an array \(2, 4, 8, 8\)"),
        ("image", (2, 8, 8), "needs images"),
        ("video", (2, 3, 8, 8), "needs videos"),
        ("image", (2, 3, 0, 8), "needs images"),
    ],
)
def test_what_is_no_image_is_not_compared(modality: str, shape: tuple[int, ...], problem: str) -> None:
    """Latents and other forms make a metric unavailable, with the form that it needs."""
    with pytest.raises(UnavailableError, match=problem):
        images(samples(modality, *shape))


def test_other_shapes_are_no_pairs() -> None:
    """Sets of different sizes are a mistake of the caller, not a matter of the samples."""
    with pytest.raises(InvariantError, match="no pairs"):
        image_pairs(samples("image", 2, 1, 8, 8), samples("image", 3, 1, 8, 8))


def test_other_lengths_are_no_pairs() -> None:
    """Videos of the same seed are of the same length."""
    dense = samples("video", 2, 4, 1, 8, 8, lengths=np.array([4, 2]))
    with pytest.raises(InvariantError, match="differ in length"):
        image_pairs(dense, evolve(dense, lengths=np.array([4, 3])))
