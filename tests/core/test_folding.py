"""Folding looks at every element: whatever the size, the type and the place, as two lines of numpy say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from colfw import folding
from colfw.errors import InvariantError
from colfw.folding import DeviceFold, fold_rows
from colfw.profile import ColumnMaxima
from colfw.sites import Ffn, Site
from colfw.thresholds import float32_floor

Matrix = NDArray[np.float32]

GRID = (0.0, 0.1, 0.164, 0.16401, 0.16402, 0.17, 1.0, 3.0e38)
"""Three of them fall into one bin of the histogram."""
FLOORS = np.array([float32_floor(tau) for tau in GRID], np.float32)

matrices = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 7), st.integers(1, 9)),
    elements=st.one_of(
        st.floats(allow_nan=False, allow_infinity=False, width=32),
        # Next to thresholds, where a careless comparison goes wrong.
        st.sampled_from([sign * np.nextafter(floor, np.float32(way)) for floor in FLOORS for way in (0, 9)
                         for sign in (-1, 1)] + list(FLOORS)),
    ),
)  # fmt: skip


@pytest.fixture
def _always_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "_MANY", 1)


def expected(rows: Matrix) -> tuple[NDArray[np.float64], list[int]]:
    magnitude = np.abs(rows.astype(np.float64))
    return magnitude.max(axis=0), [int((magnitude > tau).sum()) for tau in GRID]


@given(rows=matrices)
@example(rows=np.full((1, 1), -0.0, np.float32))
def test_small_matrices(rows: Matrix) -> None:
    """Maxima and counts are those of the real numbers."""
    found = fold_rows(rows, FLOORS)
    maxima, exceeding = expected(rows)
    assert (found.maxima == maxima).all()
    assert found.exceeding.tolist() == exceeding
    assert found.elements == rows.size


@pytest.mark.usefixtures("_always_compiled")
def test_compiled() -> None:
    """The compiled loop finds the same, to the last element."""

    @given(rows=matrices)
    def same(rows: Matrix) -> None:
        found = fold_rows(rows, FLOORS)
        maxima, exceeding = expected(rows)
        assert (found.maxima == maxima).all()
        assert found.exceeding.tolist() == exceeding

    same()


@given(rows=matrices, more=matrices)
def test_on_a_device(rows: Matrix, more: Matrix) -> None:
    """What is folded by tensor operations, as on a device, is the same, several activations together."""
    fold = DeviceFold(FLOORS)
    both = [rows, np.resize(more, (len(more), rows.shape[1]))]
    for part in both:
        fold.add(torch.from_numpy(part))
    found = fold.result()
    maxima, exceeding = expected(np.concatenate(both))
    assert (found.maxima == maxima).all()
    assert found.exceeding.tolist() == exceeding
    assert found.elements == sum(part.size for part in both)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [3, 300])
def test_what_is_not_finite_is_refused(bad: float, size: int) -> None:
    """A NaN or infinity anywhere, in a small or a large activation, is an error naming its place."""
    site = Site(name="mlp", rows=size, columns=size, operator=Ffn(d_in=1, d_out=1))
    fold = ColumnMaxima([site], iterations=3, thresholds=GRID)
    activation = np.ones((size, size), np.float32)
    activation[size // 2, 1] = bad
    with pytest.raises(InvariantError, match="site mlp: NaN or infinity in the activation of iteration 2"):
        fold.observe(site, 2, torch.from_numpy(activation))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn])
@pytest.mark.parametrize("rows", [3, 400])
def test_tensors_of_every_precision(dtype: torch.dtype, rows: int) -> None:
    """A tensor counts as the numbers that it holds, after its own rounding; gradients do not disturb."""
    site = Site(name="mlp", rows=rows, columns=200, operator=Ffn(d_in=1, d_out=1))
    fold = ColumnMaxima([site], iterations=1, thresholds=GRID[:-1])
    tensor = torch.randn(2, rows // 2 or 1, 200, generator=torch.Generator().manual_seed(1)).to(dtype)
    fold.observe(site, 0, tensor.requires_grad_())
    [profile] = fold.site_profiles()
    exact = tensor.detach().double().abs().reshape(-1, 200)
    assert torch.equal(torch.from_numpy(profile.maxima[0]).double(), exact.amax(0))
    assert profile.exceeding[0].tolist() == [int((exact > tau).sum()) for tau in GRID[:-1]]
    assert profile.elements.tolist() == [tensor.numel()]
