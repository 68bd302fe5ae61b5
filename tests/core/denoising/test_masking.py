"""Cold columns hold nothing, or what they held in the last dense iteration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from colfw.denoising.masking import Masking
from colfw.errors import InvariantError
from colfw.masks import MaskPolicy, MaskSet, SiteMask
from colfw.sites import Ffn, Site
from colfw.vocabulary import Reuse

SITE = Site(name="mlp", rows=2, columns=3, operator=Ffn(d_in=1, d_out=1))
FLAGS = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=5)


def masking(hot: list[list[bool]], reuse: Reuse) -> Masking:
    flags = np.array([[True] * 3, *hot])
    masks = MaskSet(policy=MaskPolicy.uniform(0.1), sites=(SiteMask(site=SITE, tau=0.1, hot=flags),))
    return Masking(masks, [SITE], iterations=len(flags), reuse=reuse, device=torch.device("cpu"))


def activations(count: int) -> list[torch.Tensor]:
    return [torch.full((2, 3), float(iteration + 1)) for iteration in range(count)]


@given(hot=FLAGS)
def test_zero(hot: list[list[bool]]) -> None:
    """Hot columns pass untouched, cold ones are zero; with no cold column the very same tensor goes on."""
    mask = masking(hot, Reuse.ZERO)
    for iteration, activation in enumerate(activations(len(hot) + 1)):
        flags = torch.tensor([[True] * 3, *hot][iteration])
        masked = mask.apply(SITE, iteration, 0, activation)
        if flags.all():
            assert masked is None
        else:
            assert masked is not None
            assert torch.equal(masked, activation * flags)


@given(hot=FLAGS)
def test_stale(hot: list[list[bool]]) -> None:
    """Cold columns keep the value of the last iteration in which all columns were hot."""
    mask = masking(hot, Reuse.STALE)
    dense = None
    for iteration, activation in enumerate(activations(len(hot) + 1)):
        flags = torch.tensor([[True] * 3, *hot][iteration])
        masked = mask.apply(SITE, iteration, 0, activation)
        if flags.all():
            assert masked is None
            dense = activation
        else:
            assert masked is not None
            assert dense is not None
            assert torch.equal(masked, torch.where(flags, activation, dense))


@given(hot=FLAGS, seed=st.integers(0, 99))
def test_what_does_not_change_is_reused_without_a_trace(hot: list[list[bool]], seed: int) -> None:
    """With `stale` and the same activation in every iteration, any mask gives the very same bits."""
    mask = masking(hot, Reuse.STALE)
    activation = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))
    for iteration in range(len(hot) + 1):
        masked = mask.apply(SITE, iteration, 0, activation.clone())
        assert masked is None or torch.equal(masked, activation)


@given(hot=FLAGS, reuse=st.sampled_from(Reuse))
def test_masks_of_one_site_never_touch_another(hot: list[list[bool]], reuse: Reuse) -> None:
    """A site whose columns are all hot gets its own activation back, whatever is cold elsewhere."""
    flags = np.array([[True] * 3, *hot])
    other = evolve(SITE, name="other")
    sites = (SiteMask(site=SITE, tau=0.1, hot=flags), SiteMask(site=other, tau=0.1, hot=flags | True))
    masks = MaskSet(policy=MaskPolicy.uniform(0.1), sites=sites)
    mask = Masking(masks, [SITE, other], iterations=len(flags), reuse=reuse, device=torch.device("cpu"))
    for iteration, activation in enumerate(activations(len(flags))):
        mask.apply(SITE, iteration, 0, activation)
        assert mask.apply(other, iteration, 0, 2 * activation) is None


def test_calls_of_one_iteration_are_kept_apart() -> None:
    """The passes of guidance each keep their own values."""
    mask = masking([[True, False, True]], Reuse.STALE)
    for call, value in enumerate((10.0, 20.0)):
        mask.apply(SITE, 0, call, torch.full((2, 3), value))
    first, second = (mask.apply(SITE, 1, call, torch.zeros(2, 3)) for call in range(2))
    assert first is not None
    assert second is not None
    assert first[0].tolist() == [0, 10, 0]
    assert second[0].tolist() == [0, 20, 0]


def test_masks_of_another_run_are_refused() -> None:
    """A mask set must have every site of the run, at its width and for its iterations."""
    flags = np.ones((2, 3), np.bool_)
    masks = MaskSet(policy=MaskPolicy.uniform(0.1), sites=(SiteMask(site=SITE, tau=0.1, hot=flags),))
    how: dict[str, Any] = {"reuse": Reuse.ZERO, "device": torch.device("cpu")}
    with pytest.raises(InvariantError, match="site mlp: the mask is for 2 iterations of 3 columns"):
        Masking(masks, [SITE], iterations=4, **how)
    wider = evolve(SITE, columns=4)
    with pytest.raises(InvariantError, match="of 3 columns, the run has 2 of 4"):
        Masking(masks, [wider], iterations=2, **how)
    with pytest.raises(InvariantError, match="no mask for site 'other'"):
        Masking(masks, [evolve(SITE, name="other")], iterations=2, **how)
