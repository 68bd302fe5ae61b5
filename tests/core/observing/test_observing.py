"""What `colfw.observe` counts is what two plain lines count, and the module is left as it was."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (as everyone calls it)
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

import colfw
from colfw.errors import InvariantError
from colfw.profile import ActivationProfile
from colfw.sites import Ffn, Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from colfw.observing.observing import Observation

GRID = (0.0, 0.05, 0.164, 0.5, 1.0)


class Mlp(nn.Module):
    """A feed-forward network, gated or not, plain or beside something else in its second layer's input."""

    def __init__(self, width: int, hidden: int, activation: str, form: str) -> None:
        super().__init__()
        self.activation, self.form = activation, form
        self.inner = nn.Linear(width, hidden * (2 if form == "gated" else 1))
        self.drop = nn.Dropout(0.5)
        self.outer = nn.Linear(hidden + (width if form == "beside" else 0), width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.inner(x)
        value, gate = inner.chunk(2, dim=-1) if self.form == "gated" else (None, inner)
        hidden = getattr(F, self.activation)(gate)
        hidden = self.drop(hidden if value is None else value * hidden)
        return x + self.outer(torch.cat([x, hidden], dim=-1) if self.form == "beside" else hidden)


@st.composite
def models(draw: st.DrawFn) -> nn.Module:
    width = draw(st.integers(1, 6))
    ffns = st.builds(
        Mlp,
        st.just(width),
        st.integers(width + 1, 20),
        st.sampled_from(["gelu", "silu", "relu"]),
        st.sampled_from(["plain", "gated", "beside"]),
    )
    model = nn.Sequential(*draw(st.lists(ffns, min_size=1, max_size=3)))
    return nn.ModuleDict({"deep": model}) if draw(st.booleans()) else model


def body(model: nn.Module) -> nn.Sequential:
    return model["deep"] if isinstance(model, nn.ModuleDict) else model


def captured(model: nn.Module, inputs: list[Tensor]) -> list[list[Tensor]]:
    """What entered each second layer, by forward: the reference."""
    seen: list[list[Tensor]] = [[] for _ in body(model)]
    handles = [
        mlp.outer.register_forward_pre_hook(
            lambda _, args, at=at, mlp=mlp: seen[at].append(
                args[0][..., mlp.inner.in_features :] if mlp.form == "beside" else args[0]
            )
        )
        for at, mlp in enumerate(body(model))
    ]
    for x in inputs:
        body(model)(x)
    for handle in handles:
        handle.remove()
    return seen


def assert_equal(profile: ActivationProfile, seen: list[list[Tensor]], forwards: int = 1) -> None:
    """Each iteration of each site, against the maximum and the counts of all its rows."""
    assert len(profile.sites) == len(seen)
    for site, activations in zip(profile.sites, seen, strict=True):
        iterations = [activations[at : at + forwards] for at in range(0, len(activations), forwards)]
        for iteration, parts in enumerate(iterations):
            rows = torch.cat([part.detach().double().reshape(-1, part.shape[-1]) for part in parts]).abs()
            assert site.maxima[iteration].tolist() == rows.amax(0).tolist()
            assert site.exceeding[iteration].tolist() == [int((rows > tau).sum()) for tau in GRID]
            assert site.elements[iteration] == rows.numel()


def hooks_of(model: nn.Module) -> list[int]:
    return [len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules()]


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(Mlp(4, 16, "gelu", "plain"), Mlp(4, 16, "silu", "gated")).eval()


def observed(model: nn.Module, *inputs: Tensor, **how: object) -> Observation:
    with colfw.observe(model, thresholds=GRID, **how) as run:
        for x in inputs:
            model(x)
    return run


X = torch.linspace(-2, 2, 24).reshape(2, 3, 4)

# --- the numbers ----------------------------------------------------------------------------------


@given(
    model=models(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    forwards=st.integers(1, 3),
    shapes=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=2), min_size=1, max_size=3),
    training=st.booleans(),
    always=st.booleans(),
)
def test_maxima_and_counts_are_exact(
    *,
    model: nn.Module,
    dtype: torch.dtype,
    forwards: int,
    shapes: list[list[int]],
    training: bool,
    always: bool,
) -> None:
    """In every precision, form, batch and number of rows, with gradients and dropout: as two lines count."""
    model = model.to(dtype).train(training)
    width = body(model)[0].inner.in_features
    inputs = [torch.randn(*shape, width).to(dtype) for shape in shapes for _ in range(forwards)]
    torch.manual_seed(1)
    with colfw.observe(
        body(model), thresholds=GRID, forwards_per_iteration=forwards, discover_always=always
    ) as run:
        for x in inputs:
            body(model)(x)
    torch.manual_seed(1)  # for dropout to drop the same
    assert_equal(run.profile(), captured(model, inputs), forwards)


def test_rows_may_differ_between_iterations() -> None:
    """A site has the rows of its largest iteration, of one sample."""
    run = observed(plain(), X, X[:1], samples=2)
    site = run.profile().sites[0]
    assert site.elements.tolist() == [6 * 16, 3 * 16]
    assert site.site == Site(name="0", rows=3, columns=16, operator=Ffn(d_in=4, d_out=4, gated=False))
    assert run.sites == tuple(entry.site for entry in run.profile().sites)


def test_more_iterations_than_room_was_made_for() -> None:
    """A run may be of any length: its iterations keep their numbers."""
    model = plain()
    inputs = [X * (1 + at) for at in range(150)]
    assert_equal(observed(model, *inputs).profile(), captured(model, inputs))


def test_passes_kept_apart_can_be_asked_for_one_by_one() -> None:
    """Conditional and unconditional forwards each have a profile, and together they have theirs."""
    model = plain()
    run = observed(model, X, -X, 2 * X, -2 * X, forwards_per_iteration=2, keep_passes_apart=True)
    seen = captured(model, [X, -X, 2 * X, -2 * X])
    assert_equal(run.profile(), seen, forwards=2)
    assert_equal(run.profile(pass_=0), [site[0::2] for site in seen])
    assert_equal(run.profile(pass_=1), [site[1::2] for site in seen])
    assert run.profile(pass_=1).provenance.options["pass"] == 1
    with pytest.raises(InvariantError, match="there is no pass 2 \\(they are 0 to 1\\)"):
        run.profile(pass_=2)


def test_large_slices_are_counted_like_small_ones() -> None:
    """Columns beside others lie apart in memory: that is the same to the compiled loop."""
    model = nn.Sequential(Mlp(8, 256, "gelu", "beside")).eval()
    x = torch.randn(400, 8)
    assert_equal(observed(model, x, x).profile(), captured(model, [x, x]))


def test_autocast_is_seen_as_it_runs() -> None:
    """What enters the second layer is what is counted, in the type that it has."""
    model = plain()
    with torch.autocast("cpu", torch.bfloat16):
        run = observed(model, X, X)
        seen = captured(model, [X, X])
    assert seen[0][0].dtype == torch.bfloat16
    assert_equal(run.profile(), seen)


def test_recomputation_for_gradients_counts_once() -> None:
    """Checkpointed layers run again in the backward pass, which is no forward."""

    class Checkpointed(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(super().forward, x, use_reentrant=False)

    model = Checkpointed(Mlp(4, 16, "gelu", "plain")).eval()
    with colfw.observe(model, thresholds=GRID) as run:
        for _ in range(2):
            model(X.clone().requires_grad_()).sum().backward()
    assert_equal(run.profile(), captured(model, [X, X]))


def test_nothing_of_the_graph_is_kept() -> None:
    """An activation that was counted is gone when its forward is, with all that gradients need."""
    model = plain()
    held: list[weakref.ref[Tensor]] = []
    model[0].outer.register_forward_pre_hook(lambda _, args: held.append(weakref.ref(args[0])))
    with colfw.observe(model) as run:
        model(X.clone().requires_grad_())
        model(X.clone().requires_grad_())
        gc.collect()
        assert [reference() for reference in held] == [None, None]
    assert run.profile().provenance.iterations == 2


@pytest.mark.parametrize("inside", [False, True])
def test_compiled_models_are_observed(*, inside: bool) -> None:
    """Compiled code runs as the Python that it was made from, and as compiled code again afterwards."""
    model = plain()
    compiled = nn.Sequential(*(torch.compile(m, backend="eager") for m in model)) if inside else None
    compiled = compiled or torch.compile(model, backend="eager")
    with torch.no_grad():
        before = compiled(X)
        run = observed(compiled, X, 2 * X)
        assert_equal(run.profile(), captured(model, [X, 2 * X]))
        assert torch.equal(compiled(X), before)


def test_compiling_while_it_is_observed_is_refused() -> None:
    """Hooks would be traced into the code: in a process that compiled nothing before, that is said."""
    program = (
        "import colfw, torch\nfrom torch import nn\n"
        "model = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 4))\n"
        "try:\n"
        "    with colfw.observe(model): torch.compile(model, backend='eager')(torch.zeros(2, 4))\n"
        "except colfw.errors.InvariantError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "Sequential: is compiled while it is observed (compile it before, or afterwards)\n"
    )


def test_layers_that_are_not_called_are_searched_for_each_time() -> None:
    """A second layer whose weight alone is used has no hook: every forward is followed instead."""

    class Functional(Mlp):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(F.gelu(self.inner(x)), self.outer.weight)

    model = Functional(4, 16, "gelu", "plain")
    profile = observed(model, X, 2 * X).profile()
    hidden = [[F.gelu(model.inner(X)), F.gelu(model.inner(2 * X))]]
    assert_equal(profile, hidden)


# --- what is said of it ---------------------------------------------------------------------------


def test_a_profile_says_where_it_comes_from(tmp_path: Path) -> None:
    """Class, seed, samples, and a hash of the weights that changes with them; and it can be read again."""
    model = plain()
    run = observed(model, X, seed=7)
    run.save(tmp_path / "p.safetensors")
    about = ActivationProfile.from_file(tmp_path / "p.safetensors").provenance
    assert (about.workload, about.seed, about.samples, about.iterations) == ("Sequential", 7, 1, 1)
    assert about.options["activations"] == ["gelu", "silu"]
    assert about.weights_digest == observed(model, X).profile().provenance.weights_digest
    with torch.no_grad():
        model[0].inner.bias[0] += 1
    assert about.weights_digest != observed(model, X).profile().provenance.weights_digest
    assert observed(model, X, weights_digest=False).profile().provenance.weights_digest is None
    assert observed(model.to(torch.bfloat16), X.bfloat16()).profile().provenance.weights_digest is not None


def test_sites_can_be_chosen() -> None:
    """By name or pattern; one that fits no site is refused in the first forward, with the nearest name."""
    assert [site.name for site in observed(plain(), X, X, sites=["1"]).sites] == ["1"]
    assert [site.name for site in observed(plain(), X, sites=["[01]"]).sites] == ["0", "1"]
    with pytest.raises(InvariantError, match="no site '2' was seen"):
        observed(plain(), X, sites=["2"])


# --- refusals -------------------------------------------------------------------------------------


class Changing(nn.Module):
    """Runs another network from the second forward on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.later = Mlp(4, 16, "gelu", "plain"), Mlp(4, 12, "relu", "plain")
        self.forwards = 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += 1
        return self.first(x) if self.forwards == 1 else self.later(self.first(x))


def test_a_layer_that_comes_later_is_refused_unless_every_forward_is_searched() -> None:
    """The first forward did not show it; nothing is left out in silence."""
    with pytest.raises(InvariantError) as refusal:
        observed(Changing(), X, X)
    assert str(refusal.value) == (
        "module later.outer: runs in iteration 1 and did not in the first forward, the only one that is"
        " searched (discover_always=True searches every forward)"
    )
    run = observed(Changing(), X, X, discover_always=True)
    with pytest.raises(InvariantError, match="site later: was not called in iteration 0"):
        run.profile()
    assert [site.name for site in run.sites] == ["first", "later"]
    run = observed(Changing(), X, X, discover_always=True, forwards_per_iteration=2)
    assert run.profile().sites[1].elements.tolist() == [6 * 12]


def test_a_site_that_is_left_out_of_an_iteration_is_named() -> None:
    """Every site must be seen in every iteration, or there is no number for it."""

    class Skipping(Changing):
        def forward(self, x: Tensor) -> Tensor:
            self.forwards += 1
            return self.later(self.first(x)) if self.forwards == 1 else self.first(x)

    with pytest.raises(InvariantError, match="site later: was not called in iteration 1"):
        observed(Skipping(), X, X).profile()


@pytest.mark.parametrize(
    ("inputs", "how", "problem"),
    [
        ((), {}, "no forward was observed"),
        ((X,), {"forwards_per_iteration": 2}, "iteration 0 has not ended: 1 forward"),
        ((X, X, X), {"forwards_per_iteration": 2}, "iteration 1 has not ended: 1 forward"),
    ],
)
def test_no_profile_is_made_of_an_iteration_that_has_not_ended(
    inputs: tuple[Tensor, ...], how: dict[str, int], problem: str
) -> None:
    """Nothing, or a part of an iteration, is no profile."""
    with pytest.raises(InvariantError, match=problem):
        observed(plain(), *inputs, **how).profile()


def test_passes_that_were_not_kept_apart_cannot_be_asked_for() -> None:
    """What was folded together is not unfolded."""
    with pytest.raises(InvariantError, match="passes were not kept apart"):
        observed(plain(), X).profile(pass_=0)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (nn.Sequential(nn.Linear(4, 4)), "no feed-forward network was seen"),
        (plain().to("meta"), "site 0: is on the meta device: it has no values"),
        ("a pipeline", "a str is no torch module"),
    ],
    ids=["no site", "meta", "no module"],
)
def test_what_cannot_be_observed_is_refused_in_the_first_forward(model: nn.Module, problem: str) -> None:
    """One line says why, before a long run is over."""
    device = "meta" if "meta" in problem else "cpu"
    with pytest.raises(InvariantError, match=problem):
        observed(model, X.to(device))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused_with_site_and_iteration(bad: float) -> None:
    """A denoiser that diverged has no sparsity."""
    with pytest.raises(InvariantError, match="site 0: NaN or infinity in the activation of iteration 70"):
        observed(plain(), *[X] * 70, X * bad)


@pytest.mark.parametrize(("name", "value"), [("forwards_per_iteration", 0), ("samples", -1)])
def test_numbers_below_one_are_refused(name: str, value: int) -> None:
    """There is no iteration of no forward, and no run of no sample."""
    with pytest.raises(InvariantError, match=f"{name}: must be at least 1, not {value}"):
        observed(plain(), X, **{name: value})


# --- what stays -----------------------------------------------------------------------------------


def test_an_error_leaves_no_hook_and_no_profile() -> None:
    """What broke off is half counted: it is not passed off as a profile."""
    model = plain()
    before = hooks_of(model)
    for at in (0, 1):
        with colfw.observe(model) as run:
            for _ in range(at):
                model(X)
            with pytest.raises(RuntimeError, match="shapes"):
                model(X[..., :2])
        assert hooks_of(model) == before
        assert torch.backends.mha.get_fastpath_enabled()
        assert torch.overrides._get_current_function_mode() is None
        with pytest.raises(InvariantError, match=f"a forward of iteration {at} ended in an error"):
            run.profile()


@pytest.mark.parametrize("forwards", [0, 1, 2])
def test_an_error_of_the_block_leaves_nothing_behind(forwards: int) -> None:
    """Whatever else goes wrong while a module is observed, its hooks are removed; what was whole stays."""
    model = plain()
    before = hooks_of(model)
    with pytest.raises(ArithmeticError), colfw.observe(model) as run:  # noqa: PT012  (the block is the subject)
        for _ in range(forwards):
            model(X)
        raise ArithmeticError
    assert hooks_of(model) == before
    assert run.record.iteration == forwards


def test_two_threads_at_once_are_refused() -> None:
    """Their activations could not be told apart; the forward that came first goes on and counts."""

    class Waiting(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            if not inside.is_set():
                inside.set()
                assert refused.wait(20)
            return super().forward(x)

    inside, refused = Event(), Event()
    model = Waiting(nn.Linear(2, 4), nn.GELU(), nn.Linear(4, 2))
    with colfw.observe(model) as run, ThreadPoolExecutor(1) as pool:
        first = pool.submit(model, torch.ones(3, 2))
        assert inside.wait(20)
        with pytest.raises(InvariantError, match="Waiting: runs in two threads at once"):
            model(torch.ones(3, 2))
        refused.set()
        first.result(20)
    assert run.profile().sites[0].elements.tolist() == [12]


@pytest.mark.parametrize("transform", [torch.vmap, torch.func.jacrev], ids=lambda f: f.__name__)
def test_transforms_of_functions_are_refused(transform: Callable[..., Callable[..., object]]) -> None:
    """Values under `torch.func` cannot be read while it runs: that is said, and not torch's words for it."""
    model = nn.Sequential(nn.Linear(2, 4), nn.GELU(), nn.Linear(4, 2))
    with colfw.observe(model), pytest.raises(InvariantError, match="Sequential: runs inside a transform"):
        transform(model)(torch.ones(3, 2))

    class Inside(nn.Sequential):
        def forward(self, x: Tensor) -> object:
            return transform(super().forward)(x)

    inside = Inside(*model)
    with colfw.observe(inside), pytest.raises(InvariantError, match="site 1: runs inside a transform"):
        inside(torch.ones(3, 2))


def test_the_module_is_left_as_it_was() -> None:
    """Hooks, mode and outputs."""
    model = plain()
    before, output = hooks_of(model), model(X)
    with colfw.observe(model) as run:
        assert torch.equal(model(X), output)
        assert torch.equal(model(X), output)
    assert hooks_of(model) == before
    model(X)  # outside of the block: not seen
    assert run.profile().provenance.iterations == 2


def test_colfw_itself_stays_light() -> None:
    """`import colfw` imports no torch; asking for `colfw.observe` does."""
    program = (
        "import sys, colfw\nassert 'torch' not in sys.modules\ncolfw.observe\nassert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="no attribute 'observ'"):
        colfw.observ  # noqa: B018  (to see it refused)
