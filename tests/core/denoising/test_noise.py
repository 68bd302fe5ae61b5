"""Noise belongs to a sample, whatever batch it runs in."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colfw.denoising.noise import SeededNoise
from colfw.errors import InvariantError


@given(seed=st.integers(0, 2**63 - 1), first=st.integers(0, 5), halves=st.integers(1, 2))
def test_a_sample_gets_the_same_noise_in_any_batch(seed: int, first: int, halves: int) -> None:
    """Sample i of a batch of four has the draws of sample i alone, also where it has several rows."""
    batch = SeededNoise(seed=seed, first_sample=0, samples=6)
    alone = SeededNoise(seed=seed, first_sample=first, samples=1)
    for _ in range(2):
        together, single = batch((6 * halves, 3)), alone((halves, 3))
        assert torch.equal(together[first::6], single)


def test_draws_differ() -> None:
    """Every draw, every sample and every seed has numbers of its own."""
    noise = SeededNoise(seed=0, first_sample=0, samples=2)
    drawn = torch.cat([noise((2, 4)), noise((2, 4)), SeededNoise(seed=1, first_sample=0, samples=2)((2, 4))])
    assert drawn.unique().numel() == drawn.numel()
    assert drawn.dtype == torch.float32


def test_rows_that_cannot_be_shared_are_refused() -> None:
    """Three rows for two samples would give one of them less than the other."""
    with pytest.raises(InvariantError, match="3 rows of noise"):
        SeededNoise(seed=0, first_sample=0, samples=2)((3, 1))
