"""The rules of looking through pickles: names and depths are found without following an instruction."""

from __future__ import annotations

import io
import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from colfw.denoising.pickles import DEEPEST_TUPLE, scanned

nested = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple),
)


def scan(*values: Any) -> Any:
    stream = io.BytesIO(b"".join(pickle.dumps(value, protocol=2) for value in values))
    return scanned(stream, pickles=len(values))


def depths(value: Any) -> list[int]:
    """How deep each tuple in a value lies over others; only tuples hash what is in them."""
    if not isinstance(value, tuple | list):
        return [0]
    inner = [depth for item in value for depth in depths(item)]
    own = 1 + max(map(depth_of, value)) if value and isinstance(value, tuple) else 0
    return [own, *inner]


def depth_of(value: Any) -> int:
    return depths(value)[0]


@given(nested)
def test_the_depth_of_tuples_is_found(value: Any) -> None:
    """However tuples and lists are mixed, the deepest tuple is found by following the stack."""
    assert scan(value).depth == max(depths(value))


def test_a_tuple_that_is_named_again_keeps_its_depth() -> None:
    """A pickle writes a value once and refers to it by number afterwards."""
    shared = value = (1,)
    for _ in range(DEEPEST_TUPLE - 1):
        value = (value, shared)
    assert scan([shared, value]).depth == DEEPEST_TUPLE
    assert not scan(value).is_excessive
    assert scan((value,)).is_excessive


def test_all_pickles_are_looked_through() -> None:
    """The older format has several, one after another, and torch reads each."""
    assert scan(1, complex, (2,)).depth == 1
    assert scan(1, 2, complex).globals == {"builtins.complex"}


def test_names_are_those_of_today() -> None:
    """The names of Python 2, by which pickles of protocol 2 call builtins, are turned into today's."""
    assert scan(set).globals == {"builtins.set"}
    assert scanned(io.BytesIO(b"ccopy_reg\nf\n."), pickles=1).globals == {"copyreg.f"}
    assert scan(1).protocol == 2
