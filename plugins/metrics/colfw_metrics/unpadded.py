"""Features of samples of different lengths: a network that looks at padding would see what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colfw.features import features_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from colfw.features import Extractor
    from colfw.samples import Samples


def features_without_padding(extractor: Extractor, samples: Samples) -> list[NDArray[Any]]:
    """The features of each sample; those of one length are looked at together."""
    found = {
        int(row): features
        for rows, data in _by_length(samples)
        for row, features in zip(rows, features_of(extractor, data), strict=True)
    }
    return [found[row] for row in range(len(samples))]


def _by_length(samples: Samples) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    everything = np.arange(len(samples))
    if samples.lengths is None:
        yield everything, samples.data
        return
    for length in np.unique(samples.lengths):
        rows = np.flatnonzero(samples.lengths == length)
        # Rows by number would copy a whole set of videos for nothing.
        held = samples.data if len(rows) == len(samples) else samples.data[rows]
        yield rows, held[:, :length]
