"""The seven workloads of the study, its operating point and its layouts, as a study file names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from colfw.study import FINE_GRID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SEVEN: Final = ("dit-xl-2", "sd-v1-4", "videocrafter2", "make-an-audio", "mdm", "mld", "edge")
MINIATURES: Final = ("digits-dit", "digits-unet", "walker")

OPERATING_POINT: Final = 0.164
"""The uniform threshold and the target hot ratio that the study reports at (3.3)."""
SWEEP: Final = (0.10, 0.15, 0.164, 0.17, 0.20)

GRID: Final = sorted({*FINE_GRID, *SWEEP})
"""Where elements are counted: finely, to calibrate by them; alike in all experiments, to share profiles."""


def published(name: str) -> dict[str, Any]:
    """A workload synthesised to the published statistics, its rows counted as Table 1 counts them."""
    return {"name": name, "source": "published", "options": {"rows": "paper"}}


def seven_published() -> list[dict[str, Any]]:
    return [published(name) for name in SEVEN]


GATHERED: Final = "uniform-hot-cold[paper]"
STREAMED: Final = "uniform-hot-cold"
PER_LAYER: Final = "per-layer-hot-cold"
"""What tables call the layouts below in a study that has both kinds of the first."""

LAYOUTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "row-major": {"name": "row-major"},
    GATHERED: {"name": "uniform-hot-cold", "preset": "paper"},
    STREAMED: {"name": "uniform-hot-cold"},
    PER_LAYER: {
        "name": "per-layer-hot-cold",
        "preset": "paper",
        "masks": ["target-hot-ratio", "target-hot-elements"],
    },
}


def layouts(*labels: str) -> list[dict[str, Any]]:
    """The layouts that tables will call so."""
    return [dict(LAYOUTS[label]) for label in labels]


def activations_of_seven(thresholds: Iterable[float] = (OPERATING_POINT,), **more: Any) -> dict[str, Any]:
    """A study of the seven workloads, without a machine unless `more` has one."""
    return {
        "workloads": seven_published(),
        "thresholds": list(thresholds),
        "target_hot_ratios": [],
        "target_element_ratios": [],
        "profile": {"grid": GRID},
        **more,
    }
