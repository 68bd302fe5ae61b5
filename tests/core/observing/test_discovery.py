"""Feed-forward networks are found by the way of the data, whatever their layers are called."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (as everyone calls it)
from torch import nn

from colfw.errors import InvariantError
from colfw.observing.discovery import discovering

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from colfw.observing.discovery import FoundFfn

WIDTH, HIDDEN = 8, 24


class Ffn(nn.Module):
    """A network that runs its activation in one of the ways that people write."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self.style = style
        self.inner = nn.Linear(WIDTH, 2 * HIDDEN if style.startswith("split") else HIDDEN)
        self.beside = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.act = MODULES.get(style, nn.SiLU)()
        self.drop = nn.Dropout(0.5)
        self.outer = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.drop(self.hidden(x)))

    def hidden(self, x: Tensor) -> Tensor:
        inner = self.inner(x)
        return self.act(inner) if self.style in MODULES else FUNCTIONS[self.style](self, inner, x)


def split(inner: Tensor) -> tuple[Tensor, Tensor]:
    value, gate = inner.chunk(2, dim=-1)
    return value, gate


MODULES = {
    "nn.GELU": nn.GELU,
    "nn.GELU tanh": partial(nn.GELU, "tanh"),
    "nn.SiLU": nn.SiLU,
    "nn.ReLU in place": partial(nn.ReLU, inplace=True),
}
FUNCTIONS = {
    "F.gelu": lambda ffn, inner, x: F.gelu(inner),
    "F.gelu tanh": lambda ffn, inner, x: F.gelu(inner, approximate="tanh"),
    "F.silu in place": lambda ffn, inner, x: F.silu(inner, inplace=True),
    "torch.relu": lambda ffn, inner, x: torch.relu(inner),
    "Tensor.relu_": lambda ffn, inner, x: inner.relu_(),
    "in float": lambda ffn, inner, x: F.gelu(inner.float()).to(inner.dtype),
    "rows moved": lambda ffn, inner, x: (
        F.relu(inner.flatten(0, 1)).reshape(inner.shape).transpose(0, 1).contiguous().clone()
    ),
    "scaled": lambda ffn, inner, x: 0.5 * F.gelu(inner) * torch.ones(HIDDEN),
    "silu written out": lambda ffn, inner, x: inner * 2.0 * (torch.sigmoid(inner) * 0.5),
    "quick gelu": lambda ffn, inner, x: inner * torch.sigmoid(1.702 * inner),
    "quick gelu in place": lambda ffn, inner, x: (inner * 1.702).sigmoid_().mul_(inner),
    "gelu by erf": lambda ffn, inner, x: inner * 0.5 * (1.0 + torch.erf(inner / math.sqrt(2.0))),
    "gelu by tanh": lambda ffn, inner, x: (
        0.5 * inner * (1.0 + torch.tanh(0.79788456 * (inner + 0.044715 * torch.pow(inner, 3.0))))
    ),
    "gelu by tanh of products": lambda ffn, inner, x: (
        0.5 * inner * (1.0 + torch.tanh(inner * 0.79788456 * (1.0 + 0.044715 * inner * inner)))
    ),
    "relu squared": lambda ffn, inner, x: F.relu(inner).square(),
    "relu to the power of 2": lambda ffn, inner, x: F.relu(inner) ** 2,
    "split quick geglu": lambda ffn, inner, x: (
        split(inner)[0] * FUNCTIONS["quick gelu"](ffn, split(inner)[1], x)
    ),
    "split geglu": lambda ffn, inner, x: split(inner)[0] * F.gelu(split(inner)[1]),
    "split geglu in place": lambda ffn, inner, x: F.gelu(split(inner)[1]).mul_(split(inner)[0]),
    "split swiglu": lambda ffn, inner, x: ffn.act(inner[..., :HIDDEN]) * inner[..., HIDDEN:],
    "swiglu": lambda ffn, inner, x: ffn.act(inner) * ffn.beside(x),
}
FOUND = {
    # style: who runs the activation, what it is, whether it is gated
    "nn.GELU": ("ffn.act", "gelu", False),
    "nn.GELU tanh": ("ffn.act", "gelu-tanh", False),
    "nn.SiLU": ("ffn.act", "silu", False),
    "nn.ReLU in place": ("ffn.act", "relu", False),
    "F.gelu": ("ffn", "gelu", False),
    "F.gelu tanh": ("ffn", "gelu-tanh", False),
    "F.silu in place": ("ffn", "silu", False),
    "torch.relu": ("ffn", "relu", False),
    "Tensor.relu_": ("ffn", "relu", False),
    "in float": ("ffn", "gelu", False),
    "rows moved": ("ffn", "relu", False),
    "scaled": ("ffn", "gelu", False),
    "silu written out": ("ffn", "silu", False),
    "quick gelu": ("ffn", "quick-gelu", False),
    "quick gelu in place": ("ffn", "quick-gelu", False),
    "gelu by erf": ("ffn", "gelu", False),
    "gelu by tanh": ("ffn", "gelu-tanh", False),
    "gelu by tanh of products": ("ffn", "gelu-tanh", False),
    "relu squared": ("ffn", "relu-squared", False),
    "relu to the power of 2": ("ffn", "relu-squared", False),
    "split quick geglu": ("ffn", "quick-gelu", True),
    "split geglu": ("ffn", "gelu", True),
    "split geglu in place": ("ffn", "gelu", True),
    "split swiglu": ("ffn.act", "silu", True),
    "swiglu": ("ffn.act", "silu", True),
}


def found_in(model: nn.Module, *inputs: Tensor) -> tuple[FoundFfn, ...]:
    with discovering(model) as discovery:
        model(*inputs)
    return discovery.found


def hooks_of(model: nn.Module) -> list[tuple[int, int]]:
    return [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in model.modules()]


# --- what is found --------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("style", FOUND)
def test_every_way_of_writing_it_is_found(style: str, device: str) -> None:
    """Function, method or module, gated or not, in place, cast, dropped out or moved: it is one site."""
    with torch.device(device):
        model = nn.ModuleDict({"ffn": Ffn(style)})
        model.forward = model["ffn"].__call__
        [ffn] = found_in(model, torch.zeros(2, 3, WIDTH))
    assert (ffn.site, ffn.activation, ffn.gated) == FOUND[style]
    assert (ffn.linear1, ffn.linear2, ffn.called) == ("ffn.inner", "ffn.outer", True)
    assert (ffn.d_in, ffn.columns, ffn.d_out, ffn.first_column, ffn.rows) == (WIDTH, HIDDEN, WIDTH, 0, 6)


def test_sites_of_stable_diffusion_are_those_of_the_study(golden_root: Path) -> None:
    """Names, layers, widths and rows equal what was measured on the full-size UNet, in execution order."""
    diffusers = pytest.importorskip("diffusers")
    golden = json.loads((golden_root / "models" / "sd-v1-4" / "sites.json").read_text(encoding="utf-8"))
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        found = found_in(unet, torch.zeros(2, 4, 64, 64), torch.tensor(1), torch.zeros(2, 77, 768))
    assert [
        (ffn.site, ffn.linear1, ffn.linear2, ffn.d_in, ffn.columns, ffn.rows, ffn.activation, ffn.gated)
        for ffn in found
    ] == [
        (s["site"], s["linear1"], s["linear2"], s["d_model"], s["N"], s["M_per_forward"], "gelu", True)
        for s in golden["sites"]
    ]


def test_a_part_of_what_enters_a_layer_is_a_site() -> None:
    """Beside the output of attention, as in Flux, the activation is a slice of the second layer's input."""

    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention, self.inner = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, HIDDEN)
            self.act, self.outer = nn.GELU("tanh"), nn.Linear(WIDTH + HIDDEN, WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            return self.outer(torch.cat([self.attention(x), self.act(self.inner(x))], dim=2))

    seen = []
    model = Single()
    with discovering(model, lambda ffn, activation: seen.append(activation)) as discovery:
        model(x := torch.randn(2, 3, WIDTH))
    [ffn] = discovery.found
    assert (ffn.site, ffn.linear2, ffn.first_column, ffn.columns) == ("act", "outer", WIDTH, HIDDEN)
    assert torch.equal(seen[0], model.act(model.inner(x)))


def test_two_activations_side_by_side_are_two_sites() -> None:
    """Each has its own columns of the layer that both enter."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(WIDTH, HIDDEN), nn.Linear(WIDTH, 2 * HIDDEN)
            self.outer = nn.Linear(3 * HIDDEN, WIDTH)

        def forward(self, x: Tensor) -> Tensor:
            return self.outer(torch.cat([F.gelu(self.one(x)), F.silu(self.two(x))], -1))

    found = found_in(Pair(), torch.zeros(5, WIDTH))
    assert [(ffn.site, ffn.linear1, ffn.first_column, ffn.columns) for ffn in found] == [
        ("Pair", "one", 0, HIDDEN),
        ("Pair:outer", "two", HIDDEN, 2 * HIDDEN),
    ]


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_the_fused_encoder_layer_is_taken_apart_and_put_back(activation: str) -> None:
    """Where PyTorch would run an encoder layer as one function, its parts run; the setting is restored."""
    layer = nn.TransformerEncoderLayer(WIDTH, 2, HIDDEN, activation=activation, batch_first=True, dropout=0.0)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x = torch.randn(2, 3, WIDTH)
    assert torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        found = found_in(model, x)
    assert [(ffn.site, ffn.linear2, ffn.activation) for ffn in found] == [
        (f"layers.{index}", f"layers.{index}.linear2", activation) for index in range(2)
    ]
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("inside", [False, True])
def test_compiled_models_have_their_own_names(*, inside: bool) -> None:
    """Compiled as a whole or in part, before and after: layers are found, and named as the author did."""
    ffn = Ffn("F.gelu")
    compiled = torch.compile(ffn, backend="eager")
    model = nn.Sequential(compiled) if inside else compiled
    model(torch.zeros(2, 3, WIDTH))
    [found] = found_in(model, torch.zeros(2, 3, WIDTH))
    assert found.site == ("0" if inside else "Ffn")
    assert model.get_submodule(found.linear2) is ffn.outer


def test_an_adapter_beside_a_layer_leaves_it_that_layer() -> None:
    """LoRA adds to the output of the first layer and reads the input of the second: the site stays one."""

    class Adapted(nn.Module):
        def __init__(self, base: nn.Linear) -> None:
            super().__init__()
            self.base_layer = base
            self.down = nn.Linear(base.in_features, 2, bias=False)
            self.up = nn.Linear(2, base.out_features, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.base_layer(x) + 0.5 * self.up(self.down(x))

    model = nn.Sequential(Adapted(nn.Linear(WIDTH, HIDDEN)), nn.GELU(), Adapted(nn.Linear(HIDDEN, WIDTH)))
    [ffn] = found_in(model, torch.zeros(4, WIDTH))
    assert (ffn.linear1, ffn.linear2) == ("0.base_layer", "2.base_layer")


# --- what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Linear(8, 32), nn.SiLU(), nn.Linear(32, 32)),  # embedding of a time step
        (nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 8)),  # projection of a text
        (nn.SiLU(), nn.Linear(8, 48)),  # modulation
        (nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8)),  # as wide within as without
        (nn.Linear(8, 32), nn.Hardswish(), nn.Linear(32, 8)),  # not sparse by nature
        (nn.Linear(8, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 8)),  # normalised
        (nn.Linear(8, 32), nn.Linear(32, 8)),
        (nn.Conv1d(8, 32, 1), nn.GELU(), nn.Linear(8, 8)),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_feed_forward_network_is_not_taken(layers: tuple[nn.Module, ...]) -> None:
    """A hidden width above the input's, and a way back to the input's width: both are needed."""
    width = getattr(layers[0], "in_features", 8)
    assert found_in(nn.Sequential(*layers), torch.zeros(8, width)) == ()


def test_an_activation_that_was_overwritten_is_none() -> None:
    """What works in place, and is not known to keep an activation, makes something else of it."""

    class Overwritten(Ffn):
        def hidden(self, x: Tensor) -> Tensor:
            return F.gelu(self.inner(x)).normal_()

    assert found_in(Overwritten("F.gelu"), torch.zeros(3, WIDTH)) == ()


@pytest.mark.parametrize(
    "product",
    [
        lambda value, gate: value * torch.sigmoid(gate),
        lambda value, gate: value.tanh() * value.sigmoid(),
        lambda value, gate: value * value.sigmoid().tanh(),
        lambda value, gate: value * value.mean(-1, keepdim=True).sigmoid(),
        lambda value, gate: value * (3 * value),
        lambda value, gate: F.relu(value) ** 3,
    ],
    ids=[
        "a gate that squashes",
        "squashed both",
        "squashed twice",
        "squashed means",
        "not squashed",
        "cubed",
    ],
)
def test_products_that_are_no_activation_function_are_not_taken(
    product: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Both factors must come from the same elements, and exactly one of them through a squashing function."""

    class Product(Ffn):
        def hidden(self, x: Tensor) -> Tensor:
            return product(*split(self.inner(x)))

    assert found_in(Product("split geglu"), torch.zeros(3, WIDTH)) == ()


@pytest.mark.parametrize("called", [True, False])
def test_an_embedding_of_sines_and_cosines_is_not_taken(*, called: bool) -> None:
    """It tells a time or a place, also where it widens and comes back to its width, as in video models."""

    class Embedding(Ffn):
        def forward(self, time: Tensor) -> Tensor:
            angles = time[:, None] * torch.arange(WIDTH // 2)
            waves = torch.cat([angles.sin(), angles.cos()], dim=-1).to(torch.float32)
            inner = self.inner(waves) if called else F.linear(waves, self.inner.weight)
            return self.outer(F.silu(inner))

    assert found_in(Embedding("nn.SiLU"), torch.arange(3)) == ()


def test_a_nested_tensor_is_refused() -> None:
    """Its rows are not those of one matrix; the module that would be a site is named."""
    model = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))
    ragged = torch.nested.nested_tensor([torch.zeros(2, WIDTH), torch.zeros(3, WIDTH)], layout=torch.jagged)
    with pytest.raises(InvariantError, match="module 1: gives a nested tensor"):
        found_in(model, ragged)


def test_rows_in_the_place_of_columns_are_no_activation() -> None:
    """A transposed activation has its columns elsewhere, also where both dimensions are equally long."""

    class Turned(Ffn):
        def hidden(self, x: Tensor) -> Tensor:
            return F.gelu(self.inner(x)).transpose(0, 1)

    assert found_in(Turned("F.gelu"), torch.zeros(HIDDEN, WIDTH)) == ()


def test_a_scale_of_the_conditioning_is_no_gate() -> None:
    """One number a column, for all rows alike, makes no gated network, though a linear layer gives it."""

    class Scaled(Ffn):
        def hidden(self, x: Tensor) -> Tensor:
            return F.gelu(self.inner(x)) * self.beside(x[:, :1])

    [ffn] = found_in(Scaled("F.gelu"), torch.zeros(2, 3, WIDTH))
    assert (ffn.columns, ffn.gated) == (HIDDEN, False)


# --- which is which -------------------------------------------------------------------------------


def test_a_network_that_is_called_twice_is_one_site() -> None:
    """Weights that a model uses again and again are looked at each time, under one name."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ffn = Ffn("F.gelu")

        def forward(self, x: Tensor) -> Tensor:
            return self.ffn(self.ffn(x))

    seen = []
    with discovering(model := Twice(), lambda ffn, _: seen.append(ffn.site)) as discovery:
        model(torch.zeros(3, 5, WIDTH))
    assert [ffn.site for ffn in discovery.found] == ["ffn"]
    assert seen == ["ffn", "ffn"]


def test_networks_with_tied_weights_are_two_sites() -> None:
    """Two modules with the same parameters see different activations."""
    model = nn.Sequential(Ffn("F.gelu"), Ffn("F.gelu"))
    model[1].outer.weight = model[0].outer.weight
    assert [ffn.linear2 for ffn in found_in(model, torch.zeros(1, 3, WIDTH))] == ["0.outer", "1.outer"]


def test_networks_that_share_their_activation_have_names_of_their_own() -> None:
    """The second one adds its layer to the name that is taken."""
    act = nn.GELU()
    first, second = Ffn("nn.GELU"), Ffn("nn.GELU")
    first.act = second.act = act
    found = found_in(nn.Sequential(first, second), torch.zeros(1, 3, WIDTH))
    assert [ffn.site for ffn in found] == ["0.act", "0.act:1.outer"]


def test_a_layer_whose_weight_is_used_without_calling_it_is_marked() -> None:
    """It is found, and whoever would hook it is told that a hook sees nothing."""

    class Functional(Ffn):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(self.hidden(x), self.outer.weight, self.outer.bias)

    [ffn] = found_in(Functional("F.gelu"), torch.zeros(3, WIDTH))
    assert (ffn.linear2, ffn.called) == ("outer", False)


# --- what stays -----------------------------------------------------------------------------------


def test_nothing_stays_after_an_error() -> None:
    """An exception in the forward leaves no hook, no mode and no setting behind."""

    class Broken(Ffn):
        def hidden(self, x: Tensor) -> Tensor:
            raise ArithmeticError("broken")

    model = nn.Sequential(Ffn("nn.GELU"), Broken("nn.GELU"))
    before = hooks_of(model)
    with pytest.raises(ArithmeticError), discovering(model) as discovery:
        model(torch.zeros(3, WIDTH))
    assert [ffn.site for ffn in discovery.found] == ["0.act"]
    assert hooks_of(model) == before
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.overrides._get_current_function_mode() is None


def test_a_model_that_catches_its_own_errors_is_attributed_rightly() -> None:
    """The module that failed runs no more: what follows belongs to the one around it."""

    class Forgiving(Ffn):
        def forward(self, x: Tensor) -> Tensor:
            try:
                self.beside(x[..., :3])
            except RuntimeError:
                return super().forward(x)
            raise AssertionError

    model = nn.Sequential(Forgiving("F.gelu"))
    assert [ffn.site for ffn in found_in(model, torch.zeros(3, WIDTH))] == ["0"]


def test_outputs_and_gradients_are_the_same() -> None:
    """Looking changes nothing."""
    model = nn.Sequential(*(Ffn(style) for style in ("split geglu", "nn.GELU", "scaled"))).eval()
    x = torch.randn(2, 3, WIDTH)
    plain = model(x)
    with discovering(model):
        watched = model(x)
    assert torch.equal(plain, watched)
    watched.sum().backward()
    assert model[0].inner.weight.grad is not None
