"""Table 1: the models and their feed-forward layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colfw_experiments.claims import Claims, Missed, farthest
from colfw_experiments.published import EXPANSION, LAYERS, SMALLEST, TABLE1, TOKENS, WIDTH
from colfw_experiments.reproduction import Reproduction
from colfw_experiments.studied import activations_of_seven

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from colfw.comparison import Comparison
    from colfw.report.figures import Figure
    from colfw_experiments.published import Published
    from colfw_experiments.reading import Found, Row

_CLAIMS: Final = Claims(
    table="table1",
    missed=(
        Missed(
            models=("sd-v1-4",),
            quantities=(f"{TOKENS}{SMALLEST}",),
            why="the UNet's middle block works on 8 x 8 = 64 positions, and Table 1 counts 16 layers with it"
            " but begins at 256",
        ),
        Missed(
            models=("videocrafter2",),
            quantities=(f"{TOKENS}{SMALLEST}",),
            why="the UNet has four resolutions, whose rows are in the ratio 64 : 16 : 4 : 1; Table 1 names"
            " two of them. The ticks of Table 3 fit a quarter of the official rows, 10240 to 160",
        ),
    ),
)


def table1() -> Reproduction:
    return Reproduction(plan=activations_of_seven(iterations=2), compare=compare, draw=_nothing)


def compare(found: Found) -> Iterator[Comparison]:
    for published in TABLE1:
        values = _ours(found, published)
        if published.quantity in (TOKENS, WIDTH) and published.span[0] < published.span[1]:
            yield from _CLAIMS.ends(published, values, 0.0)
        else:
            yield _CLAIMS.held(published, farthest(values, published.span), 0.0)


def _ours(found: Found, published: Published) -> list[float]:
    sites = found.sites.get(published.model, [])
    if published.quantity == LAYERS:
        return [float(len(sites))] if sites else []
    return [_of_site(site, published.quantity) for site in sites]


def _of_site(site: Row, quantity: str) -> float:
    if quantity == EXPANSION:
        return float(site["columns"] / site["d_in"])
    return float(site[{TOKENS: "rows", WIDTH: "columns"}[quantity]])


def _nothing(_: Found) -> Iterable[Figure]:
    """Dimensions are read, not drawn."""
    return ()
