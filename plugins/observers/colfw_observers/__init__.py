"""Statistics of activations beyond column maxima, for machines and people that ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw import hookimpl
from colfw.records import ObserverSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def colfw_observers() -> Iterator[ObserverSpec]:
    yield ObserverSpec(
        name="value-range",
        summary="Smallest and largest value of each site in each iteration",
        api_version=1,
        factory="colfw_observers.value_range:ValueRange",
    )
    yield ObserverSpec(
        name="temporal-similarity",
        summary="Cosine similarity of each site's activation with that of the iteration before",
        api_version=1,
        factory="colfw_observers.temporal_similarity:TemporalSimilarity",
    )
