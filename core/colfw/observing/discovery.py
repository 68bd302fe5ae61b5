"""Finds the feed-forward networks of any torch module by following its data through one forward.

No layer names are known here. What counts is where tensors come from and where they go: the output of a
linear layer enters an activation function, perhaps in two halves, perhaps multiplied with its other half, and
what comes out enters another linear layer. That is a feed-forward network `act(X W1) W2` iff

- its hidden width is greater than its input width, and
- its second layer returns to the width that the first one took in.

By this rule the small networks that prepare conditioning are none. Embeddings of a time step widen and stay
wide, or are known by the sines and cosines that enter them; projections of texts and pooled texts lead from
one width to another; modulations (adaLN) begin with an activation that no linear layer of their own precedes.
They run once a step, not once a token, and no hardware would gain by skipping their columns.

An activation function is one of torch's, or written out: a product of two functions of one linear layer's
output, element by element, of which one passed through a sigmoid, a tanh or an error function.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import frozen
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from colfw.errors import InvariantError
from colfw.observing.hooks import layers_called

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

    Rule = Callable[["_Flow", "_Call"], None]

_COMPILED: Final = "_orig_mod"
"""The name under which `torch.compile` keeps the module that it was given."""


@frozen(kw_only=True)
class FoundFfn:
    """A feed-forward network that was seen at work: one site."""

    site: str
    """The innermost module that ran the activation function, as the model names it."""
    linear1: str
    """The layer whose output entered the activation function (of a gated network: the gate's)."""
    linear2: str
    """The layer that the hidden activation enters."""
    activation: str
    """`gelu` (exact), `gelu-tanh`, `quick-gelu` (by a sigmoid), `silu`, `relu`, or their square."""
    gated: bool
    d_in: int
    d_out: int
    columns: int
    first_column: int
    """Where the hidden activation begins in what enters `linear2`; 0 unless other parts come before it."""
    rows: int
    """Of the call in which it was found."""
    called: bool
    """Whether `linear2` ran by being called. If not, its weight was used, and a hook on it sees nothing."""

    def of(self, entering: Tensor) -> Tensor:
        """The hidden activation, out of all that enters `linear2`."""
        return entering[..., self.first_column : self.first_column + self.columns]


@contextmanager
def discovering(
    model: nn.Module, seen: Callable[[FoundFfn, Tensor], None] | None = None
) -> Iterator[Discovery]:
    """Follow the forwards that run in this block; `found` lists what they showed, in execution order.

    `seen` is given each hidden activation as it passes. The model is left as it was, also after an error.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 4))
    >>> with discovering(model) as discovery:
    ...     _ = model(torch.zeros(3, 4))
    >>> [(ffn.site, ffn.linear2, ffn.activation, ffn.columns, ffn.rows) for ffn in discovery.found]
    [('1', '2', 'gelu', 16, 3)]
    """
    discovery = Discovery(model, seen)
    with layers_called(model):
        try:
            discovery.start()
            yield discovery
        finally:
            discovery.stop()


class Discovery:
    """Follows tensors through a model between `start` and `stop`, and keeps what it found."""

    def __init__(self, model: nn.Module, seen: Callable[[FoundFfn, Tensor], None] | None = None) -> None:
        self._names = _Names(model)
        self._seen = seen
        self._sites: dict[tuple[nn.Module, int], FoundFfn] = {}
        self._ran: set[nn.Module] = set()
        self._attached = ExitStack()

    @property
    def found(self) -> tuple[FoundFfn, ...]:
        return tuple(self._sites.values())

    def start(self) -> None:
        """Attach to every module inside the model; the model itself may be running already."""
        flow = _Flow(self._names, self._entered, self._ran)
        for module in self._names.inside:
            before = module.register_forward_pre_hook(flow.enter, with_kwargs=True)
            self._attached.callback(before.remove)
            # Called after an exception too, so that the stack of running modules stays right.
            after = module.register_forward_hook(flow.leave, with_kwargs=True, always_call=True)
            self._attached.callback(after.remove)
        self._attached.enter_context(flow)

    def stop(self) -> None:
        self._attached.close()

    def unseen_second_layers(self) -> tuple[str, ...]:
        """Linear layers that did not run and give fewer columns than they take: these may be second ones."""
        narrowing = (layer for layer in self._names.linears if layer.in_features > layer.out_features)
        return tuple(self._names.path(layer) for layer in narrowing if layer not in self._ran)

    def _entered(self, part: _Part, linear2: nn.Linear, entering: Tensor, called: bool) -> None:  # noqa: FBT001
        """Part of what enters a linear layer is an activation: note it if this is a feed-forward network."""
        if not _is_ffn(part, linear2):
            return
        key = (linear2, part.first)
        if key not in self._sites:
            self._sites[key] = self._described(part, linear2, entering, called=called)
        if self._seen is not None:
            self._seen(self._sites[key], self._sites[key].of(entering))

    def _described(self, part: _Part, linear2: nn.Linear, entering: Tensor, *, called: bool) -> FoundFfn:
        return FoundFfn(
            site=self._free_name(part.owner, linear2),
            linear1=self._names.path(part.linear1),
            linear2=self._names.path(linear2),
            activation=part.activation,
            gated=part.gated,
            d_in=part.linear1.in_features,
            d_out=linear2.out_features,
            columns=part.columns,
            first_column=part.first,
            rows=entering.shape[:-1].numel(),
            called=called,
        )

    def _free_name(self, owner: nn.Module | None, linear2: nn.Linear) -> str:
        """The owner's name; where it serves several networks, the later ones add their second layer."""
        name = self._names.shown(owner)
        taken = {ffn.site for ffn in self._sites.values()}
        return name if name not in taken else f"{name}:{self._names.shown(linear2)}"


def _is_ffn(part: _Part, linear2: nn.Linear) -> bool:
    d_in = part.linear1.in_features
    return part.columns > d_in and linear2.out_features == d_in


class _Names:
    """The names of a model's modules; one that stands in several places has the first one's."""

    def __init__(self, model: nn.Module) -> None:
        self._root = type(getattr(model, _COMPILED, model)).__name__
        self._paths: dict[nn.Module, str] = {module: path for path, module in model.named_modules()}
        self.inside = [module for module, path in self._paths.items() if path]
        self.linears = [module for module in self.inside if isinstance(module, nn.Linear)]
        weights = {layer: dict(layer.named_parameters(recurse=False)).get("weight") for layer in self.linears}
        self._by_weight = {id(weight): layer for layer, weight in weights.items() if weight is not None}

    def path(self, module: nn.Module) -> str:
        return self._paths[module]

    def shown(self, module: nn.Module | None) -> str:
        """The name for people: without what compiling adds, and the model's class for the model itself."""
        path = "" if module is None else self._paths[module]
        return ".".join(name for name in path.split(".") if name not in ("", _COMPILED)) or self._root

    def with_weight(self, weight: object) -> nn.Linear | None:
        return self._by_weight.get(id(weight))


# --- what is known of a tensor --------------------------------------------------------------------


@frozen(eq=False)
class _FromLinear:
    """The tensor is what a linear layer put out, or a piece of it."""

    linear: nn.Linear


@frozen(eq=False, kw_only=True)
class _Shaped:
    """A function of a linear layer's output, element by element: half an activation function."""

    source: _FromLinear
    """By identity: two pieces of one output are two sources."""
    squashed: str | None = None
    """`sigmoid`, `tanh` or `erf`, if it passed through one."""
    scaled: bool = False
    """Whether what was squashed had been multiplied before."""


@frozen(eq=False)
class _Waves:
    """The tensor holds sines and cosines of a number: nobody's hidden state, but a time or a place."""


@frozen(eq=False, kw_only=True)
class _Part:
    """Columns `first` to `first + columns` of the tensor are what an activation function put out."""

    activation: str
    owner: nn.Module | None
    linear1: nn.Linear
    columns: int
    first: int = 0
    gated: bool = False


Mark = _FromLinear | _Shaped | _Waves | tuple[_Part, ...]


@frozen(eq=False)
class _Call:
    """One call of a torch function, and what it returned."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any

    def argument(self, position: int, name: str) -> Any:
        return self.args[position] if len(self.args) > position else self.kwargs.get(name)

    @property
    def results(self) -> Iterable[Tensor]:
        several = self.result if isinstance(self.result, (tuple, list)) else (self.result,)
        return (one for one in several if isinstance(one, Tensor))


class _Flow(TorchFunctionMode):
    """Sees every torch function of a forward, and carries what is known of its inputs to its outputs."""

    def __init__(
        self,
        names: _Names,
        entered: Callable[[_Part, nn.Linear, Tensor, bool], None],
        ran: set[nn.Module],
    ) -> None:
        super().__init__()
        self._names = names
        self._entered = entered
        self._ran = ran
        self._running: list[nn.Module] = []
        # By identity, and not keeping any tensor alive.
        self._marks: MutableMapping[Tensor, Mark] = WeakTensorKeyDictionary()

    @property
    def innermost(self) -> nn.Module | None:
        """The module that runs; None stands for the model itself."""
        return self._running[-1] if self._running else None

    def shown(self, module: nn.Module | None) -> str:
        return self._names.shown(module)

    def mark(self, value: object) -> Mark | None:
        return self._marks.get(value) if isinstance(value, Tensor) else None

    def set_mark(self, tensor: Tensor, mark: Mark | None) -> None:
        if mark is not None:
            self._marks[tensor] = mark
        elif tensor in self._marks:
            del self._marks[tensor]

    # --- modules ---

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if isinstance(module, nn.Linear):
            self.enter_linear(module, _entering(args, kwargs), called=True)
        self._running.append(module)

    def leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if module in self._running:  # unless an error in a hook before this one kept it from starting
            while self._running.pop() is not module:
                pass
        if isinstance(module, nn.Linear) and isinstance(output, Tensor):
            self.leave_linear(module, _entering(args, kwargs), output)

    def enter_linear(self, linear: nn.Linear, entering: Any, *, called: bool) -> None:
        self._ran.add(linear)
        mark = self.mark(entering)
        if isinstance(mark, tuple):
            for part in mark:
                self._entered(part, linear, entering, called)

    def leave_linear(self, linear: nn.Linear, entering: Any, output: Tensor) -> None:
        embeds = isinstance(self.mark(entering), _Waves)
        self.set_mark(output, None if embeds else _FromLinear(linear))

    # --- functions ---

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        # By name, since a function and a method of tensors do the same: `relu`, `relu_`, `__getitem__`.
        name = getattr(func, "__name__", "").strip("_")
        result = func(*args, **(kwargs or {}))
        rule = _RULES.get(name)
        if rule is not None:
            rule(self, _Call(name, args, kwargs or {}, result))
        elif isinstance(result, Tensor):
            self.set_mark(result, None)  # what worked in place made something else of it
        return result

    def linear_of(self, weight: object) -> nn.Linear | None:
        """The layer whose weight a function uses, unless that layer is running and speaks for itself."""
        return None if isinstance(self.innermost, nn.Linear) else self._names.with_weight(weight)


def _entering(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[0] if args else kwargs.get("input")


# --- how functions carry marks --------------------------------------------------------------------


def _activate(flow: _Flow, call: _Call) -> None:
    """An activation function: what comes out of a linear layer becomes a hidden activation."""
    mark = flow.mark(call.argument(0, "input"))
    tanh = call.name == "gelu" and call.kwargs.get("approximate") == "tanh"
    name = "gelu-tanh" if tanh else call.name
    for result in call.results:
        flow.set_mark(result, _activated(flow, name, mark, result) if isinstance(mark, _FromLinear) else None)


def _activated(flow: _Flow, name: str, source: _FromLinear, result: Tensor) -> tuple[_Part, ...]:
    owner = flow.innermost
    if result.is_nested:
        raise InvariantError(
            "gives a nested tensor, whose rows are not counted",
            where=f"module {flow.shown(owner)}",
            hint="pad it",
        )
    columns = result.shape[-1]
    return (_Part(activation=name, owner=owner, linear1=source.linear, columns=columns),)


def _linear(flow: _Flow, call: _Call) -> None:
    """`linear` with a layer's weight, without calling the layer."""
    linear = flow.linear_of(call.argument(1, "weight"))
    if linear is not None:
        flow.enter_linear(linear, call.argument(0, "input"), called=False)
        flow.leave_linear(linear, call.argument(0, "input"), call.result)


def _move(flow: _Flow, call: _Call) -> None:
    """Other shapes and types: a linear layer's output in any, an activation where it keeps its columns."""
    source = call.argument(0, "input")
    mark = flow.mark(source)
    for result in call.results:
        keeps = not isinstance(mark, tuple) or _same_columns(source, result)
        flow.set_mark(result, mark if keeps else None)


def _cut(flow: _Flow, call: _Call) -> None:
    """Pieces: those of a linear layer's output are each of their own, such as a value and its gate."""
    _move(flow, call)
    mark = flow.mark(call.argument(0, "input"))
    if isinstance(mark, _FromLinear):
        for result in call.results:
            flow.set_mark(result, _FromLinear(mark.linear))


def _turn(flow: _Flow, call: _Call) -> None:
    """Exchanged dimensions: the last one must stay the last."""
    source = call.argument(0, "input")
    mark = flow.mark(source)
    for result in call.results:
        stays = mark is not None and _same_columns(source, result) and source.stride(-1) == result.stride(-1)
        flow.set_mark(result, mark if stays else None)


def _same_columns(before: Tensor, after: Tensor) -> bool:
    return before.ndim > 0 and after.ndim > 0 and before.shape[-1] == after.shape[-1]


def _multiply(flow: _Flow, call: _Call) -> None:
    """A product with an activation: of a gated network, or with a scale or a mask; or one that makes it."""
    operands = (call.argument(0, "input"), call.argument(1, "other"))
    product = _product(flow, *operands) or _product(flow, *reversed(operands))
    for result in call.results:
        whole = product is not None and product[0].first + product[0].columns <= result.shape[-1]
        flow.set_mark(result, product if whole else _written_out(flow, *operands, result))


def _product(flow: _Flow, activation: Any, other: Any) -> tuple[_Part, ...] | None:
    mark = flow.mark(activation)
    if not isinstance(mark, tuple):
        return None
    factor = flow.mark(other)
    if not isinstance(factor, _FromLinear) or activation.shape != other.shape:
        return mark
    return tuple(attrs.evolve(part, gated=part.gated or _gates(factor.linear, part)) for part in mark)


def _gates(linear: nn.Linear, part: _Part) -> bool:
    """Whether the other factor comes from the same input: the other half of a layer, or a layer beside it."""
    return linear.in_features == part.linear1.in_features


def _add(flow: _Flow, call: _Call) -> None:
    """What is added to a linear layer's output, as a bias or an adapter (LoRA), leaves it that layer's."""
    first, second = (flow.mark(call.argument(at, name)) for at, name in enumerate(("input", "other")))
    kept = (mark for mark in (first, second) if isinstance(mark, _Shaped))
    flow.set_mark(call.result, first if isinstance(first, _FromLinear) else next(kept, None))


# --- activation functions that are written out ----------------------------------------------------


def _written_out(flow: _Flow, one: Any, other: Any, result: Tensor) -> Mark | None:
    """A product of two functions of one tensor, such as `x * sigmoid(1.702 * x)`, or of one and a number."""
    first, second = _shaped(flow.mark(one)), _shaped(flow.mark(other))
    if first is None or second is None:
        shaped, factor = (first, other) if second is None else (second, one)
        return _times(shaped, factor)
    squashed = first if first.squashed else second
    if first.source is not second.source or (first.squashed and second.squashed):
        return None
    if not squashed.squashed:
        return _Shaped(source=first.source, scaled=True)
    return _activated(flow, _WRITTEN_OUT[squashed.squashed, squashed.scaled], first.source, result)


def _shaped(mark: Mark | None) -> _Shaped | None:
    """An output as it is, is the simplest function of it."""
    if isinstance(mark, _FromLinear):
        return _Shaped(source=mark)
    return mark if isinstance(mark, _Shaped) else None


def _times(shaped: _Shaped | None, factor: Any) -> _Shaped | None:
    """A number changes what is squashed later, and does not matter to what was squashed before."""
    number = factor.ndim == 0 if isinstance(factor, Tensor) else isinstance(factor, (int, float))
    if shaped is None or not number:
        return None
    return attrs.evolve(shaped, scaled=shaped.scaled or shaped.squashed is None)


def _divide(flow: _Flow, call: _Call) -> None:
    shaped = _shaped(flow.mark(call.argument(0, "input")))
    flow.set_mark(call.result, _times(shaped, call.argument(1, "other")))


def _squash(flow: _Flow, call: _Call) -> None:
    shaped = _shaped(flow.mark(call.argument(0, "input")))
    fresh = shaped if shaped is not None and shaped.squashed is None else None
    flow.set_mark(call.result, attrs.evolve(fresh, squashed=call.name) if fresh else None)


def _raise(flow: _Flow, call: _Call) -> None:
    """Powers: a part of the longer formulas; and squared, an activation is one of another name."""
    mark = flow.mark(call.argument(0, "input"))
    if isinstance(mark, tuple):
        squares = call.name == "square" or call.argument(1, "exponent") == 2
        flow.set_mark(call.result, tuple(map(_squared, mark)) if squares else None)
    else:
        flow.set_mark(call.result, _shaped(mark))


def _squared(part: _Part) -> _Part:
    return attrs.evolve(part, activation=f"{part.activation}-squared")


def _wave(flow: _Flow, call: _Call) -> None:
    flow.set_mark(call.result, _Waves())


# --- several tensors in one -----------------------------------------------------------------------


def _join(flow: _Flow, call: _Call) -> None:
    """Side by side, activations become a part of the columns; one below the other, they stay as they are."""
    tensors = list(call.argument(0, "tensors"))
    dim = call.argument(1, "dim") or 0
    last = dim in (-1, call.result.ndim - 1)
    flow.set_mark(call.result, _beside(flow, tensors) if last else _below(flow, tensors))


def _beside(flow: _Flow, tensors: list[Tensor]) -> Mark | None:
    if all(isinstance(flow.mark(tensor), _Waves) for tensor in tensors):
        return _Waves()
    parts: list[_Part] = []
    first = 0
    for tensor in tensors:
        mark = flow.mark(tensor)
        if isinstance(mark, tuple):
            parts += [attrs.evolve(part, first=part.first + first) for part in mark]
        first += tensor.shape[-1]
    return tuple(parts) or None


def _below(flow: _Flow, tensors: list[Tensor]) -> Mark | None:
    marks = [flow.mark(tensor) for tensor in tensors]
    return marks[0] if all(type(mark) is type(marks[0]) for mark in marks) else None


def _rules() -> dict[str, Rule]:
    """What each torch function does with marks, by its name without underscores; all others drop them."""
    pieces = "chunk split split_with_sizes tensor_split unbind getitem narrow select index_select unflatten"
    shapes = "view reshape flatten squeeze unsqueeze expand contiguous clone detach view_as reshape_as"
    types = "to type type_as float half bfloat16 double cpu cuda"
    harmless = "dropout clamp clip clamp_min clamp_max nan_to_num requires_grad"
    named: dict[Rule, str] = {
        _activate: "gelu silu relu",
        _linear: "linear",
        _move: f"{shapes} {types} {harmless}",
        _cut: pieces,
        _turn: "transpose permute swapaxes swapdims movedim moveaxis",
        _multiply: "mul multiply imul rmul",
        _divide: "div divide true_divide truediv",
        _add: "add iadd radd",
        _squash: "sigmoid tanh erf",
        _raise: "square pow",
        _wave: "sin cos",
        _join: "cat concat concatenate",
    }
    return {name: rule for rule, names in named.items() for name in names.split()}


_RULES: Final = _rules()

_WRITTEN_OUT: Final = {
    ("sigmoid", False): "silu",
    ("sigmoid", True): "quick-gelu",
    ("tanh", False): "gelu-tanh",
    ("tanh", True): "gelu-tanh",
    ("erf", False): "gelu",
    ("erf", True): "gelu",
}
"""What is squashed, and whether it was scaled before."""
