"""Memory as the kernel sees it: a pointer to integers.

A compiled function that is handed an array counts references to it and checks every index for a
negative one; at a few nanoseconds a command that is most of the time. A pointer does neither. The
arrays belong to whoever calls the front ends, which turn them into pointers once.
"""

# numba and llvmlite come without types.
# mypy: disable-error-code="import-untyped,no-untyped-call,assignment"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Words = Any
"""A pointer to integers, in compiled code."""
Integers = NDArray[np.int64]


def _words(typing_context: Any, array: Any) -> Any:  # noqa: ARG001  (numba's protocol)
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return cgutils.create_struct_proxy(signature.args[0])(context, builder, value=arguments[0]).data

    return types.CPointer(array.dtype)(array), emit


def _lowest_bit(typing_context: Any, value: Any) -> Any:  # noqa: ARG001  (numba's protocol)
    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), emit


words: Callable[[NDArray[Any]], Words] = intrinsic(_words)
"""The pointer to the first element of a contiguous array."""
lowest_bit: Callable[[int], int] = intrinsic(_lowest_bit)
"""The number of the lowest set bit of an integer that is not 0."""
