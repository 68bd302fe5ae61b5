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
        return np.concatenate(list(_batches(extractor, data)))
    path = folder / f"{_digest(extractor, data)}.npy"
    if not path.exists():
        with replacing_file(path) as temporary:
            _write(temporary, extractor, data)
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _write(path: Path, extractor: Extractor, data: NDArray[Any]) -> None:
    """Batch by batch into the file: the features of a large set never lie in memory together."""
    kept: NDArray[Any] | None = None
    first = 0
    for features in _batches(extractor, data):
        if kept is None:
            shape = (len(data), *features.shape[1:])
            kept = np.lib.format.open_memmap(path, mode="w+", dtype=features.dtype, shape=shape)
        kept[first : first + len(features)] = features
        first += len(features)


def _batches(extractor: Extractor, data: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for first in range(0, len(data), extractor.batch_samples):
        batch = data[first : first + extractor.batch_samples]
        features = extractor(batch)
        if len(features) != len(batch):
            raise InvariantError(
                f"{len(features)} features of {len(batch)} samples", where=extractor.identity
            )
        if not np.isfinite(features).all():
            raise InvariantError("features hold NaN or infinity", where=extractor.identity)
        yield features


def _digest(extractor: Extractor, data: NDArray[Any]) -> str:
    content = hashlib.sha256(f"{_VERSION} {extractor.identity} {data.dtype.str} {data.shape}".encode())
    content.update(np.ascontiguousarray(data).data)
    return content.hexdigest()


_VERSION: Final = 1
