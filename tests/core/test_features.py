from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colfw.errors import InvariantError, StoreError
from colfw.features import features_of, kept_in

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DATA = np.arange(24, dtype=np.float32).reshape(6, 4)


@define
class Sums:
    """Sees the sum of each sample, and remembers what it was shown."""

    identity: str = "sums 1"
    batch_samples: int = 4
    seen: list[int] = field(factory=list)
    """How many samples each batch had."""

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.seen.append(len(batch))
        return batch.sum(axis=1, keepdims=True)


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(-9, 9, width=16)))
def test_batches_make_no_difference(data: NDArray[np.float32]) -> None:
    """Features come in the order of the samples, whatever number is looked at together."""
    for together in (1, 2, 100):
        found = features_of(Sums(batch_samples=together), data)
        np.testing.assert_array_equal(found, data.sum(axis=1, keepdims=True), strict=True)


def test_no_batch_is_larger_than_asked() -> None:
    """The last one is what is left."""
    extractor = Sums()
    features_of(extractor, DATA)
    assert extractor.seen == [4, 2]


def test_without_a_folder_features_are_computed_each_time(tmp_path: Path) -> None:
    """Nothing is kept but in the folder that was named, and only while the context lasts."""
    extractor = Sums(batch_samples=6)
    with kept_in(tmp_path):
        features_of(extractor, DATA)
    features_of(extractor, DATA)
    features_of(extractor, DATA)
    assert extractor.seen == [6, 6, 6]


def test_the_same_samples_are_looked_at_once(tmp_path: Path) -> None:
    """A second metric, even of another process, finds the features of the first, bit for bit."""
    computed = features_of(Sums(), DATA)
    with kept_in(tmp_path / "new"):
        features_of(Sums(), DATA)
        again = Sums()
        found = features_of(again, DATA.copy())
    assert again.seen == []
    np.testing.assert_array_equal(found, computed, strict=True)


def test_kept_features_are_mapped_and_cannot_be_changed(tmp_path: Path) -> None:
    """A large set is read as far as it is used, and no metric can spoil what another one finds."""
    with kept_in(tmp_path):
        found = features_of(Sums(), DATA)
    assert isinstance(found, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


def test_the_layout_in_memory_makes_no_difference(tmp_path: Path) -> None:
    """A view that is not contiguous holds the same samples."""
    extractor = Sums(batch_samples=6)
    with kept_in(tmp_path):
        features_of(extractor, DATA)
        features_of(extractor, np.asfortranarray(DATA))
        features_of(extractor, np.repeat(DATA, 2, axis=0)[::2])
    assert extractor.seen == [6]


@pytest.mark.parametrize(
    "other",
    [DATA + np.eye(6, 4, dtype=np.float32), DATA[::-1], DATA[:5], DATA.reshape(4, 6), DATA.view(np.int32)],
    ids=["one value", "order", "fewer", "shape", "type"],
)
def test_other_samples_are_told_apart(tmp_path: Path, other: NDArray[Any]) -> None:
    """Values, order, number, shape and type decide what was seen."""
    with kept_in(tmp_path):
        features_of(Sums(), DATA)
        found = features_of(Sums(), other)
    np.testing.assert_array_equal(found, other.sum(axis=1, keepdims=True))
    assert len(list(tmp_path.iterdir())) == 2


def test_extractors_are_told_apart_by_their_identity(tmp_path: Path) -> None:
    """Other weights are another identity; another batch size is none."""
    other, larger = Sums(identity="sums 2"), Sums(batch_samples=99)
    with kept_in(tmp_path):
        for extractor in (Sums(), other, larger):
            features_of(extractor, DATA)
    assert other.seen == [4, 2]
    assert larger.seen == []


def test_contexts_nest(tmp_path: Path) -> None:
    """The inner folder is used inside, the outer one again after it, also when the block raised."""

    def leave_early() -> None:
        with kept_in(tmp_path / "inner"):
            features_of(Sums(), DATA)
            raise RuntimeError

    with kept_in(tmp_path / "outer"):
        with pytest.raises(RuntimeError):
            leave_early()
        assert not (tmp_path / "outer").exists()
        features_of(Sums(), DATA)
    assert [len(list((tmp_path / name).iterdir())) for name in ("inner", "outer")] == [1, 1]


def test_a_folder_is_that_of_the_thread_that_named_it(tmp_path: Path) -> None:
    """Work in another thread keeps its features where it says itself."""
    with kept_in(tmp_path):
        worker = threading.Thread(target=features_of, args=(Sums(), DATA))
        worker.start()
        worker.join()
    assert list(tmp_path.iterdir()) == []


@define
class Broken:
    """Gives whatever it was told to."""

    features: NDArray[Any]
    identity: str = "broken"
    batch_samples: int = 100

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        return self.features


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        (np.zeros((5, 2)), "5 features of 6 samples"),
        (np.full((6, 1), np.nan), "NaN or infinity"),
        (np.full((6, 1), np.inf), "NaN or infinity"),
    ],
)
def test_features_that_cannot_be_are_refused_and_not_kept(
    tmp_path: Path, features: NDArray[Any], problem: str
) -> None:
    """One feature a sample, all finite; the refusal names the extractor, and nothing is left behind."""
    with kept_in(tmp_path), pytest.raises(InvariantError, match=problem) as refusal:
        features_of(Broken(features), DATA)
    assert refusal.value.where == "broken"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be is refused in one line."""
    (tmp_path / "taken").write_text("")
    with kept_in(tmp_path / "taken"), pytest.raises(StoreError, match="taken"):
        features_of(Sums(), DATA)
