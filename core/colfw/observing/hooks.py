"""Looking at what enters chosen layers of a torch module, and leaving the module as it was.

Hooks are attached in a `try` and removed in its `finally`. While they are attached, everything that would run
a layer without calling it is switched off: PyTorch's fused encoder layers and compiled code. These are
settings of the whole process, so the last one who watches anything switches them on again.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch

from colfw.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor, nn

    Seen = Callable[[Tensor], Tensor | None]
    """Given what enters a layer; what it returns, if anything, enters instead."""


@contextmanager
def watching(model: nn.Module, seen: Mapping[str, Seen]) -> Iterator[None]:
    """Call `seen[path]` with the first input of the module at each path, whenever it is called.

    >>> from torch import nn
    >>> layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> shapes = []
    >>> with watching(layers, {"1": lambda tensor: shapes.append(tuple(tensor.shape))}):
    ...     _ = layers(torch.zeros(3, 2))
    >>> shapes
    [(3, 2)]
    """
    modules = {path: _module_at(model, path) for path in seen}
    with layers_called(model), ExitStack() as hooks:
        for path, module in modules.items():
            hooks.callback(_attach(module, seen[path]).remove)
        yield


@contextmanager
def layers_called(model: nn.Module) -> Iterator[None]:
    """See to it that every layer of a model runs by being called, as hooks need it."""
    _refuse_scripted(model)
    _SHORTCUTS.block()
    try:
        yield
    finally:
        _SHORTCUTS.release()


class _Shortcuts:
    """What PyTorch may run instead of layers, blocked as long as anyone asks for it, in whatever order."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks = 0
        self._restored = ExitStack()
        self._eager = False

    def block(self) -> None:
        with self._lock:
            if not self._blocks:
                fused = torch.backends.mha.get_fastpath_enabled()
                self._restored.callback(torch.backends.mha.set_fastpath_enabled, fused)
                torch.backends.mha.set_fastpath_enabled(False)
            # Only then can anything have been compiled; importing it is slow.
            if "torch._dynamo" in sys.modules and not self._eager:
                # Compiled code does not notice hooks that come later: what it was made from runs instead.
                self._restored.enter_context(torch.compiler.set_stance("force_eager"))
                self._eager = True
            self._blocks += 1

    def release(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._eager = False
                self._restored.close()


_SHORTCUTS = _Shortcuts()


def _attach(module: nn.Module, seen: Seen) -> torch.utils.hooks.RemovableHandle:
    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            replacement = seen(args[0])
            return None if replacement is None else ((replacement, *args[1:]), kwargs)
        name, activation = next(iter(kwargs.items()))
        replacement = seen(activation)
        return None if replacement is None else (args, {**kwargs, name: replacement})

    return module.register_forward_pre_hook(before, with_kwargs=True)


def _module_at(model: nn.Module, path: str) -> nn.Module:
    try:
        return model.get_submodule(path)
    except AttributeError:
        raise InvariantError(f"has no module {path!r}", where=type(model).__name__) from None


def _refuse_scripted(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise InvariantError(
                "is TorchScript, whose layers cannot be watched",
                where=f"module {name or '(the model itself)'}",
                hint="watch the Python model that it was made from",
            )
