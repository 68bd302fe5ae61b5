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

SAMPLES: Final = 256
"""Of which the distances between distributions are stable: see the card of the judges."""
CALIBRATION_SAMPLES: Final = 16
THRESHOLDS: Final = (0.05, 0.1, 0.164, 0.25, 0.35, 0.5)
TARGETS: Final = (0.9, 0.75, 0.6, 0.45, 0.3, 0.15)


class TradeOff:
    """The sweep that `colfw score` runs when nobody says what."""

    def study(self) -> Mapping[str, Any]:
        return {
            "workloads": list(MINIATURES),
            "source": {"kind": "miniature"},
            "samples": SAMPLES,
            "calibration_samples": CALIBRATION_SAMPLES,
            "thresholds": list(THRESHOLDS),
            "target_hot_ratios": list(TARGETS),
            "target_element_ratios": [],
            "metrics": ["psnr", "ssim", "fd-digits", "mpjpe", "fd-motion"],
            "profile": {"grid": GRID},
            "layouts": ["row-major", "uniform-hot-cold", "per-layer-hot-cold"],
            "machines": [dict(PAPER), dict(REFERENCE)],
        }

    def comparisons(self, tables: Tables) -> Sequence[Comparison]:  # noqa: ARG002  (a protocol's)
        return ()

    def figures(self, tables: Tables) -> Sequence[Figure]:  # noqa: ARG002  (a protocol's)
        """Those that every report has of scores say it all."""
        return ()
