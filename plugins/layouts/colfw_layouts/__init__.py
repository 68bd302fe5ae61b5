"""Layout policies: where columns lie in DRAM, one file a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colfw import hookimpl
from colfw.records import LayoutSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PRESETS: Mapping[str, Mapping[str, Any]] = {"paper": {"hot_region": "gather"}}
"""The study's reductions follow column sparsity even where hot sets churn: it skipped one by one."""


@hookimpl
def colfw_layouts() -> Iterator[LayoutSpec]:
    yield LayoutSpec(
        name="row-major",
        summary="Columns in their own order",
        api_version=1,
        factory="colfw_layouts.row_major:RowMajor",
        config="colfw_layouts.config:RowMajorConfig",
        masks=("dense",),
    )
    for name, mask, summary in (
        ("uniform-hot-cold", "threshold", "Hot columns first, decided once; one threshold for all sites"),
        ("per-layer-hot-cold", "target-hot-ratio", "Hot columns first, decided once; one target a site"),
    ):
        yield LayoutSpec(
            name=name,
            summary=summary,
            api_version=1,
            factory="colfw_layouts.hot_cold:HotCold",
            config="colfw_layouts.config:HotColdConfig",
            presets=_PRESETS,
            masks=(mask,),
        )
    yield LayoutSpec(
        name="dynamic-hot-cold",
        summary="Hot columns first, decided again while running; what moves is paid for",
        api_version=1,
        factory="colfw_layouts.dynamic:DynamicHotCold",
        config="colfw_layouts.config:DynamicConfig",
        presets=_PRESETS,
        masks=("threshold",),
    )
