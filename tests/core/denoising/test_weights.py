"""Random weights come from the seed and the key; building without drawing is undone afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from colfw.denoising.weights import randomise, without_initialisation


class Net(nn.Module):
    """Parts in an order that can be turned round, and a table that the class computes."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in names:
            self.add_module(name, nn.Linear(50, 40))
        self.norm = nn.LayerNorm(64)
        self.register_buffer("table", torch.arange(3.0))


def test_values_follow_the_seed_and_the_key() -> None:
    """The order of construction does not matter; the seed and the name do."""
    one, other, third = Net("a", "b"), Net("b", "a"), Net("a", "b")
    for model, seed in ((one, 5), (other, 5), (third, 6)):
        randomise(model, seed, ["table"])
    for key, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key])
        assert torch.equal(tensor, third.state_dict()[key]) == (key == "table")
    assert not torch.equal(one.a.weight, one.b.weight)
    assert one.table.tolist() == [0, 1, 2]


def test_sizes_are_kept() -> None:
    """A matrix neither amplifies nor dampens; norms stay near one, biases near zero."""
    model = Net("a")
    randomise(model, 0)
    assert model.a.weight.std().item() == pytest.approx(50**-0.5, rel=0.1)
    assert model.norm.weight.mean().item() == pytest.approx(1.0, abs=0.1)
    assert abs(model.norm.bias.mean()) < 0.1


def test_nothing_is_drawn_and_all_is_restored() -> None:
    """Inside, building draws nothing; afterwards, also after an exception, torch draws as before."""
    state = torch.random.get_rng_state()
    with pytest.raises(ZeroDivisionError), without_initialisation():
        nn.Sequential(nn.Conv2d(3, 3, 3), Net("a"), nn.Linear(1, 1 // 0))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert nn.Linear(10, 10).weight.abs().max() <= 10**-0.5
    assert not torch.equal(torch.random.get_rng_state(), state)
