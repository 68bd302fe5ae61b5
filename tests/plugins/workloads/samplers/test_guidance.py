"""Guidance: what is asked of the denoiser, and how its answers are combined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from hypothesis import given
from hypothesis import strategies as st

from colfw_workloads.samplers import at, guidance

if TYPE_CHECKING:
    from torch import Tensor

SCALES = st.floats(0, 20)
CONDITIONAL, UNCONDITIONAL = 5.0, 2.0


def combined(scale: float) -> float:
    return UNCONDITIONAL + scale * (CONDITIONAL - UNCONDITIONAL)


def some(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(scale=SCALES)
def test_one_forward_has_the_unconditional_half_first(scale: float) -> None:
    """The denoiser sees the rows and their timesteps twice; its first half is the unconditional one."""
    x = some((3, 2))

    def predict(both: Tensor, t: Tensor, iteration: int) -> Tensor:
        assert torch.equal(both, torch.cat([x, x]))
        assert t.tolist() == [7] * 6
        return torch.tensor([UNCONDITIONAL] * 3 + [CONDITIONAL] * 3)[:, None].expand(6, 2)

    made = guidance.in_one_forward(predict, scale)(x, at(7, x), 0)
    torch.testing.assert_close(made, torch.full((3, 2), combined(scale)))


@pytest.mark.parametrize("conditional_first", [True, False])
@given(scale=SCALES)
def test_two_forwards_give_the_same_in_either_order(conditional_first: bool, scale: float) -> None:  # noqa: FBT001
    """The order is that of the calls alone; both are made at any scale, 0 included."""
    calls = []

    def conditional(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        calls.append("conditional")
        return torch.full_like(x, CONDITIONAL)

    def unconditional(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        calls.append("unconditional")
        return torch.full_like(x, UNCONDITIONAL)

    predict = guidance.in_two_forwards(
        conditional=conditional, unconditional=unconditional, scale=scale, conditional_first=conditional_first
    )
    x = some((3, 2))
    torch.testing.assert_close(predict(x, at(0, x), 0), torch.full((3, 2), combined(scale)))
    order = ["conditional", "unconditional"]
    assert calls == (order if conditional_first else order[::-1])


def test_dit_guides_three_channels_and_leaves_the_others_to_each_half() -> None:
    """The denoiser sees the first half twice; guided channels agree between halves, others are its own."""
    x, answer = some((4, 4, 2)), some((4, 8, 2), seed=1)

    def predict(seen: Tensor, t: Tensor, iteration: int) -> Tensor:
        assert torch.equal(seen, torch.cat([x[:2], x[:2]]))
        return answer

    made = guidance.of_first_channels(predict, 4.0)(x, at(0, x), 0)
    expected = answer[2:, :3] + 4.0 * (answer[:2, :3] - answer[2:, :3])
    torch.testing.assert_close(made[:2, :3], expected)
    assert torch.equal(made[:2, :3], made[2:, :3])
    assert torch.equal(made[:, 3:], answer[:, 3:])


def test_a_scale_may_differ_by_iteration() -> None:
    """A sequence of scales is looked up by the iteration."""
    x = torch.zeros(1, 1)
    predict = guidance.in_one_forward(lambda x, t, i: torch.tensor([[2.0], [5.0]]), [0.0, 1.0, 3.0])
    assert [float(predict(x, at(0, x), i)) for i in range(3)] == [2.0, 5.0, 11.0]


@given(scale=SCALES, steps=st.integers(1, 100))
def test_the_ramp_rises_to_the_scale_and_stays(scale: float, steps: int) -> None:
    """It begins at 0, never falls, and is the scale itself in the second half."""
    weights = guidance.ramp(scale, steps)
    assert len(weights) == steps
    assert weights[0] == 0
    assert weights == sorted(weights)
    assert all(weight == pytest.approx(scale) for weight in weights[(steps + 1) // 2 :])


@given(share=st.floats(0, 1))
def test_guidance_rescale_is_the_formula_of_diffusers(share: float) -> None:
    """Both forms draw the spread of a prediction towards the conditional one's, as diffusers does."""
    unconditional, conditional = some((2, 4, 3), 1), some((2, 4, 3), 2)
    wanted = guidance.guided(unconditional, conditional, 7.5)
    expected = rescale_noise_cfg(wanted, conditional, guidance_rescale=share)
    torch.testing.assert_close(guidance.rescaled(wanted, conditional, share), expected)
    x = torch.zeros(2, 4, 3)
    both = guidance.in_one_forward(
        lambda x, t, i: torch.cat([unconditional, conditional]), 7.5, rescale=share
    )
    each = guidance.in_two_forwards(
        conditional=lambda x, t, i: conditional,
        unconditional=lambda x, t, i: unconditional,
        scale=7.5,
        rescale=share,
    )
    torch.testing.assert_close(both(x, at(0, x), 0), expected)
    torch.testing.assert_close(each(x, at(0, x), 0), expected)
