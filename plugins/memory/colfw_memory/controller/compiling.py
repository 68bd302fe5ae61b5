"""How the kernel is compiled, and where its machine code is kept between runs.

Numba compiles a function together with everything that it calls, and optimises all of it again for
each caller: the first use would take a minute. So the functions here are of three sorts.

- `inlined`: a part of each function that calls it. Compiled on its own, which numba insists on, it is
  not optimised.
- `called`: compiled once, and called by its address from others.
- `compiled`: what Python calls.

Numba's cache notices a change of the file that a function stands in, not of the files whose functions
it calls: an edited kernel would run on in its old form. So the code lies in a folder named after a hash
of all the sources: in the folder that NUMBA_CACHE_DIR names, or under colfw's own cache.
"""

# numba sets its options while it is imported, and comes without types, as does llvmlite.
# mypy: disable-error-code="attr-defined,import-untyped,no-untyped-call"

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numba
from llvmlite import binding
from numba import types
from numba.core import config
from numba.core.compiler import Compiler

from colfw.store.objects import default_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Function = Any
"""A function to be compiled, or compiled."""

_WITHOUT_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_TYPES = {"Words": types.CPointer(types.int64), "int": types.int64, "None": types.void}
"""Of parameters and results, by how they are annotated."""


class _PartCompiler(Compiler):
    """Compiles what will be compiled again as a part of its callers."""

    def compile_extra(self, function: Function) -> Any:
        with _changed("OPT", type(config.OPT)(0)):
            return super().compile_extra(function)


class _WholeCompiler(Compiler):
    """Compiles what runs, whoever asked for it."""

    def compile_extra(self, function: Function) -> Any:
        with _changed("OPT", type(config.OPT)(3)):
            return super().compile_extra(function)


def inlined(function: Function) -> Callable[..., Any]:
    """`function` as a part of every function that calls it: a call costs more than it does."""
    part: Callable[..., Any] = numba.njit(
        forceinline=True,
        error_model="numpy",
        nogil=True,
        pipeline_class=_PartCompiler,
        **_WITHOUT_WRAPPERS,
    )(function)
    return part


def called(function: Function) -> Callable[..., Any]:
    """`function` by its address, under a name that compiled functions can link to."""
    names = function.__annotations__
    result = _TYPES[names["return"]]
    signature = result(*(_TYPES[of] for name, of in names.items() if name != "return"))
    symbol = f"{function.__module__}.{function.__name__}"
    _waiting.append((symbol, signature, function))
    by_address: Callable[..., Any] = types.ExternalFunction(symbol, signature)
    return by_address


def compiled(function: Function) -> Callable[..., Any]:
    """`function` as machine code that Python calls, which holds no lock, kept on disk."""
    with _cache_folder():
        whole = numba.njit(cache=True, pipeline_class=_WholeCompiler, error_model="numpy", nogil=True)(
            function
        )

    @wraps(function)
    def call(*arguments: Any) -> Any:
        if _waiting:
            _compile_waiting()
        return whole(*arguments)

    return call


_waiting: list[tuple[str, Any, Function]] = []
"""Functions that must have an address before anything that calls them is compiled or loaded."""
_compiled: list[Any] = []
_one_at_a_time = Lock()


def _compile_waiting() -> None:
    with _one_at_a_time, _cache_folder():
        while _waiting:
            symbol, signature, function = _waiting[0]
            code = numba.cfunc(signature, cache=True, pipeline_class=_WholeCompiler, error_model="numpy")(
                function
            )
            binding.add_symbol(symbol, code.address)
            _compiled.append(code)
            del _waiting[0]


@contextmanager
def _changed(option: str, value: object) -> Iterator[None]:
    """One of numba's options, changed for a while."""
    before = getattr(config, option)
    setattr(config, option, value)
    try:
        yield
    finally:
        setattr(config, option, before)


@contextmanager
def _cache_folder() -> Iterator[None]:
    with _changed("CACHE_DIR", str(_folder(config.CACHE_DIR))):
        yield


def sources() -> list[Path]:
    """Every file whose functions or constants may stand in machine code."""
    controller = Path(__file__).parent
    return sorted((*controller.glob("*.py"), *controller.parent.glob("*.py")))


@cache
def _folder(chosen: str) -> Path:
    content = hashlib.sha256()
    for source in sources():
        content.update(source.read_bytes())
    return (Path(chosen) if chosen else default_root()) / "kernel" / content.hexdigest()[:16]
