"""The observers that are built in: each keeps the contract and says what two lines of numpy say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.sites import Ffn, Site
from colfw.testing.contracts import ObserverContract
from colfw_observers.temporal_similarity import TemporalSimilarity
from colfw_observers.value_range import ValueRange

SITE = Site(name="mlp", rows=4, columns=3, operator=Ffn(d_in=1, d_out=1))


class TestValueRange(ObserverContract):
    """The range is the same however it is cut into calls."""

    @pytest.fixture
    def factory(self) -> ValueRange:
        return ValueRange()


class TestTemporalSimilarity(ObserverContract):
    """So is the similarity."""

    @pytest.fixture
    def factory(self) -> TemporalSimilarity:
        return TemporalSimilarity()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_range_is_signed(dtype: torch.dtype) -> None:
    """Low and high are those of all calls of an iteration, in any precision."""
    fold = ValueRange().start([SITE], iterations=2)
    activations = torch.randn(2, 2, 4, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    for iteration in range(2):
        for activation in activations[iteration]:
            fold.observe(SITE, iteration, activation)
    found = fold.statistics()["mlp"]
    assert found["low"].tolist() == activations.float().amin(dim=(1, 2, 3)).tolist()
    assert found["high"].tolist() == activations.float().amax(dim=(1, 2, 3)).tolist()


@given(seed=st.integers(0, 99), calls=st.integers(1, 3), tensors=st.booleans())
def test_similarity_is_the_cosine_of_whole_iterations(seed: int, calls: int, tensors: bool) -> None:  # noqa: FBT001
    """Calls strung together have the angle that is reported, as arrays and as tensors."""
    activations = np.random.default_rng(seed).standard_normal((3, calls, 4, 3)).astype(np.float32)
    fold = TemporalSimilarity().start([SITE], iterations=3)
    for iteration in range(3):
        for activation in activations[iteration]:
            fold.observe(SITE, iteration, torch.from_numpy(activation) if tensors else activation)
    cosine = fold.statistics()["mlp"]["cosine"]
    flat = activations.reshape(3, -1).astype(np.float64)
    lengths = np.linalg.norm(flat, axis=1)
    assert np.isnan(cosine[0])
    for iteration in (1, 2):
        expected = flat[iteration] @ flat[iteration - 1] / lengths[iteration] / lengths[iteration - 1]
        assert cosine[iteration] == pytest.approx(expected)


def test_another_batch_begins_anew() -> None:
    """The first iteration of the next batch is not held against the last of the batch before."""
    fold = TemporalSimilarity().start([SITE], iterations=2)
    for _ in range(2):
        for iteration in range(2):
            fold.observe(SITE, iteration, np.full((4, 3), (-1.0) ** iteration))
    assert fold.statistics()["mlp"]["cosine"].tolist()[1] == -1.0
    assert np.isnan(fold.statistics()["mlp"]["cosine"][0])


def test_what_is_written_over_later_is_kept_as_it_was() -> None:
    """A denoiser may reuse the memory of an activation."""
    fold = TemporalSimilarity().start([SITE], iterations=2)
    activation = torch.ones(4, 3)
    fold.observe(SITE, 0, activation)
    activation.neg_()
    fold.observe(SITE, 1, activation)
    assert fold.statistics()["mlp"]["cosine"][1] == -1.0


def test_ragged_rows_are_refused() -> None:
    """Activations of different shapes have no angle between them."""
    fold = TemporalSimilarity().start([SITE], iterations=2)
    fold.observe(SITE, 0, np.ones((4, 3)))
    with pytest.raises(InvariantError, match=r"site mlp: .*\(3, 3\) cannot be compared with \(4, 3\)"):
        fold.observe(SITE, 1, np.ones((3, 3)))
