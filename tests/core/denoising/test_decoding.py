from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colfw.denoising.decoding import in_parts, joint_digest, numbers_in
from colfw.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

DIGESTS = st.none() | st.text("0123456789abcdef", min_size=4)


@given(st.integers(1, 7), st.integers(1, 9))
def test_parts_are_put_together_in_order(samples: int, size: int) -> None:
    """Each sample is decoded once, never more than asked for together, and stands where it stood."""
    seen = []

    def decode(part: torch.Tensor) -> torch.Tensor:
        seen.append(len(part))
        return 2 * part.double()

    made = torch.arange(3 * samples, dtype=torch.float32).reshape(samples, 3)
    decoded = in_parts(decode, made, size=size)
    assert decoded.dtype == torch.float32
    assert torch.equal(decoded, 2 * made)
    assert sum(seen) == samples
    assert max(seen) <= size


@given(DIGESTS, DIGESTS)
def test_one_digest_stays_as_it_is(one: str | None, other: str | None) -> None:
    """What was run before there was anything to decode keeps its digest; two make a third."""
    joint = joint_digest(one, other)
    if one is None or other is None:
        assert joint == (other if one is None else one)
    else:
        assert joint not in {one, other, None}


@given(st.lists(DIGESTS, min_size=2, max_size=3), st.lists(DIGESTS, min_size=2, max_size=3))
def test_several_digests_make_one_that_tells_them_apart(
    some: list[str | None], others: list[str | None]
) -> None:
    """Two different rows of digests, each with two at least, never give the same one."""
    enough = all(sum(digest is not None for digest in row) > 1 for row in (some, others))
    if enough and len(some) == len(others):
        assert (joint_digest(*some) == joint_digest(*others)) == (some == others)


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int64])
def test_numbers_are_read_as_float32(tmp_path: Path, kind: type) -> None:
    """Whatever type they were saved in."""
    np.save(tmp_path / "a.npy", np.arange(6, dtype=kind).reshape(2, 3))
    found = numbers_in(tmp_path / "a.npy", shape=(2, 3), what="of a test")
    assert torch.equal(found, torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"1, 2, 3"])
def test_what_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    """Damaged and foreign files are named."""
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.npy: no npy file of numbers"):
        numbers_in(tmp_path / "a.npy", shape=(1,), what="of a test")


def test_other_numbers_are_refused(tmp_path: Path) -> None:
    """Another shape, infinity and text are refused, with what is wanted in the message."""
    wanted = r"wanted: \[2\] numbers, of a test"
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(StoreError, match=rf"holds \[3\]; {wanted}"):
        numbers_in(tmp_path / "a.npy", shape=(2,), what="of a test")
    np.save(tmp_path / "a.npy", np.array([1, np.inf]))
    with pytest.raises(StoreError, match=rf"NaN or infinity; {wanted}"):
        numbers_in(tmp_path / "a.npy", shape=(2,), what="of a test")
    np.save(tmp_path / "a.npy", np.array(["a", "b"]))
    with pytest.raises(StoreError, match="no npy file of numbers"):
        numbers_in(tmp_path / "a.npy", shape=(2,), what="of a test")
    with pytest.raises(StoreError, match="a folder, a pipe or a device"):
        numbers_in(tmp_path, shape=(2,), what="of a test")
