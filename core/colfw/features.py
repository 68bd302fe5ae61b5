"""Features of samples: what a network sees in them, computed once a set, kept by the hash of what it saw.

A metric asks `features_of(extractor, samples)`. Several metrics that share an extractor, or one metric that
compares many masked sets with the same dense set, then run its network once a set.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from colfw.errors import InvariantError
from colfw.store.atomic import replacing_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


class Extractor(Protocol):
    """Turns samples into features, a batch at a time."""

    @property
    def identity(self) -> str:
        """All that decides the features: the code's version, preprocessing, the digest of the weights."""

    @property
    def batch_samples(self) -> int:
        """How many samples are looked at together."""

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """`[sample, ...]` to `[sample, feature, ...]`."""


_FOLDER: ContextVar[Path | None] = ContextVar("features folder", default=None)


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Keep features in this folder while the context lasts; without one they are computed each time."""
    token = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(token)


def features_of(extractor: Extractor, data: NDArray[Any]) -> NDArray[Any]:
    """Features `[sample, ...]` of `data[sample, ...]`: from the folder (mapped, not read), or computed."""
    folder = _FOLDER.get()
    if folder is None:
        return _computed(extractor, data)
    path = folder / f"{_digest(extractor, data)}.npy"
    if not path.exists():
        features = _computed(extractor, data)
        with replacing_file(path) as temporary:
            np.save(temporary, features, allow_pickle=False)
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _computed(extractor: Extractor, data: NDArray[Any]) -> NDArray[Any]:
    firsts = range(0, len(data), extractor.batch_samples)
    features = np.concatenate([extractor(data[i : i + extractor.batch_samples]) for i in firsts])
    if len(features) != len(data):
        raise InvariantError(f"{len(features)} features of {len(data)} samples", where=extractor.identity)
    if not np.isfinite(features).all():
        raise InvariantError("features hold NaN or infinity", where=extractor.identity)
    return features


def _digest(extractor: Extractor, data: NDArray[Any]) -> str:
    content = hashlib.sha256(f"{_VERSION} {extractor.identity} {data.dtype.str} {data.shape}".encode())
    content.update(np.ascontiguousarray(data).data)
    return content.hexdigest()


_VERSION: Final = 1
