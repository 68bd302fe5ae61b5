"""Hooks see every call, change what they are asked to, and leave no trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from colfw.errors import InvariantError
from colfw.observing.hooks import watching

if TYPE_CHECKING:
    from torch import Tensor


class Keyword(nn.Module):
    """Calls its layer by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(input=x)


@pytest.fixture
def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 3))


def hooks_of(model: nn.Module) -> list[object]:
    return [hook for module in model.modules() for hook in module._forward_pre_hooks.values()]


def test_each_call_is_seen(network: nn.Sequential) -> None:
    """Every call of a watched layer is seen, with what entered it."""
    seen: list[Tensor] = []
    x = torch.randn(5, 3)
    with watching(network, {"2": seen.append}):
        network(x)
        network(x)
    assert len(seen) == 2
    assert torch.equal(seen[0], network[1](network[0](x)))


def test_what_is_returned_goes_on(network: nn.Sequential) -> None:
    """A replacement enters the layer instead; None leaves what came."""
    x = torch.randn(5, 3)
    with watching(network, {"2": torch.zeros_like}):
        changed = network(x)
    assert torch.equal(changed, network[2](torch.zeros(5, 4)))


def test_inputs_by_keyword_are_seen_and_replaced() -> None:
    """A layer may be given its input by name."""
    model, x = Keyword(), torch.randn(1, 2)
    with watching(model, {"layer": torch.zeros_like}):
        assert torch.equal(model(x), model.layer(torch.zeros(1, 2)))


def test_nothing_stays_behind(network: nn.Sequential) -> None:
    """Hooks and the fused path are as before, also after an exception in the body or in a hook."""
    torch.backends.mha.set_fastpath_enabled(True)

    def refuse(_: Tensor) -> None:
        raise RuntimeError("no")

    with watching(network, {}):
        assert not torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(RuntimeError, match="no"), watching(network, {"0": refuse}):
        network(torch.randn(1, 3))
    assert torch.backends.mha.get_fastpath_enabled()
    assert hooks_of(network) == []


@pytest.mark.parametrize("first_out", [0, 1])
def test_watchers_may_overlap(network: nn.Sequential, first_out: int) -> None:
    """Settings of the whole process come back with the last watcher, whoever that is, and not before."""
    torch.compile(network, backend="eager")
    watchers = [watching(network, {}), watching(nn.Linear(2, 2), {})]
    for watcher in watchers:
        watcher.__enter__()
    watchers.pop(first_out).__exit__(None, None, None)
    assert not torch.backends.mha.get_fastpath_enabled()
    assert stance() == "force_eager"
    watchers.pop().__exit__(None, None, None)
    assert torch.backends.mha.get_fastpath_enabled()
    assert stance() == "default"


def stance() -> str:
    return str(torch._dynamo.eval_frame._stance.stance)


def test_fused_encoder_layers_are_seen() -> None:
    """PyTorch's encoder would skip its second linear layer's call in inference; watched, it does not."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    seen: list[Tensor] = []
    with torch.inference_mode(), watching(encoder, {"layers.1.linear2": seen.append}):
        encoder(torch.randn(1, 3, 8))
    assert [tuple(activation.shape) for activation in seen] == [(1, 3, 16)]


def test_compiled_parts_are_seen(network: nn.Sequential) -> None:
    """Code that was compiled before does not know the hooks; it runs uncompiled while they are there."""
    compiled = torch.compile(network, backend="eager")
    x = torch.randn(2, 3)
    expected = compiled(x)
    seen: list[Tensor] = []
    with watching(compiled, {"2": seen.append}):
        assert torch.equal(compiled(x), expected)
    assert len(seen) == 1
    compiled(x)
    assert len(seen) == 1


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_refused(network: nn.Sequential) -> None:
    """Layers of TorchScript cannot be watched, and this is said."""
    model = nn.Sequential(torch.jit.script(network))
    with pytest.raises(InvariantError, match="TorchScript"), watching(model, {}):
        pass


def test_an_unknown_layer_is_named(network: nn.Sequential) -> None:
    """A path that leads nowhere is refused before any hook is attached."""
    with (
        pytest.raises(InvariantError, match=r"'blocks\.0'"),
        watching(network, {"2": print, "blocks.0": print}),
    ):
        pass
    assert hooks_of(network) == []
