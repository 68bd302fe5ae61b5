"""What quality costs, on models that are at hand: the three miniatures, generated for real with each mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from colfw_experiments.machines import PAPER, REFERENCE
from colfw_experiments.studied import GRID, MINIATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from colfw.comparison import Comparison
    from colfw.report.figures import Figure
    from colfw_experiments.reading import Tables

SAMPLES: Final = 160
"""Of which distances between distributions are known within some 20 %: see the card of the judges."""
CALIBRATION_SAMPLES: Final = 4
"""With more, hardly a column of these small models is cold in all of them."""
THRESHOLDS: Final = (0.2, 0.4, 0.6, 0.9, 1.2)
TARGETS: Final = (0.8, 0.6, 0.4, 0.2)
"""Beyond the study's: its models are wider, and their columns colder, than the miniatures'."""


METRICS: Final = (
    "psnr",
    {"name": "ssim", "preset": "scikit-image"},
    "fd-digits",
    "digits-kept",
    "mpjpe",
    "fd-motion",
    "walks-kept",
)
"""What needs no outside weights."""


class TradeOff:
    """The sweep that `colfw score` runs when nobody says what."""

    def study(self) -> Mapping[str, Any]:
        return {
            # Larger batches of small models take less time, and give the same bits.
            "workloads": [{"name": name, "options": {"batch_samples": 64}} for name in MINIATURES],
            "source": {"kind": "miniature"},
            "samples": SAMPLES,
            "calibration_samples": CALIBRATION_SAMPLES,
            "thresholds": list(THRESHOLDS),
            "target_hot_ratios": list(TARGETS),
            "target_element_ratios": [],
            "metrics": list(METRICS),
            "profile": {"grid": GRID},
            "layouts": ["row-major", "uniform-hot-cold", "per-layer-hot-cold"],
            "machines": [dict(PAPER), dict(REFERENCE)],
        }

    def comparisons(self, tables: Tables) -> Sequence[Comparison]:  # noqa: ARG002  (a protocol's)
        return ()

    def figures(self, tables: Tables) -> Sequence[Figure]:  # noqa: ARG002  (a protocol's)
        """Those that every report has of scores say it all."""
        return ()
