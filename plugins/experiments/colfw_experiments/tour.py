"""What runs when nobody says what: all that colfw shows offline, in minutes.

The miniatures are run for real, on weights that were trained for them; the seven workloads of the study stand
beside them, synthesised to its statistics. Both machines, the three layouts, the operating point. Hot regions
are streamed, as the layouts do by default: what a layout saves that is decided once, not what was published.

Eight iterations stand for fifty: the synthesised course of sparsity is the same in fewer steps, the dense
first iteration weighs an eighth instead of a fiftieth, and a new user waits minutes. `--iterations 50` runs
them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colfw_experiments.machines import PAPER, REFERENCE
from colfw_experiments.studied import GRID, MINIATURES, OPERATING_POINT, seven_published

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from colfw.comparison import Comparison
    from colfw.report.figures import Figure
    from colfw_experiments.reading import Tables


ITERATIONS = 8
SAMPLES = 4
"""Of the miniatures: enough for metrics of pairs, whose mean then has an interval."""


class Tour:
    """The first run of a new user: it shows; `colfw reproduce` compares."""

    def study(self) -> Mapping[str, Any]:
        miniatures = [{"name": name, "source": "miniature"} for name in MINIATURES]
        return {
            "workloads": [*miniatures, *seven_published()],
            "iterations": ITERATIONS,
            "samples": SAMPLES,
            "thresholds": [OPERATING_POINT],
            "target_hot_ratios": [OPERATING_POINT],
            "target_element_ratios": [],
            "profile": {"grid": GRID},
            "metrics": ["psnr", {"name": "ssim", "preset": "scikit-image"}, "mpjpe"],
            "layouts": ["row-major", "uniform-hot-cold", "per-layer-hot-cold"],
            "machines": [dict(PAPER), dict(REFERENCE)],
        }

    def comparisons(self, tables: Tables) -> Sequence[Comparison]:  # noqa: ARG002  (a protocol's)
        return ()

    def figures(self, tables: Tables) -> Sequence[Figure]:  # noqa: ARG002  (a protocol's)
        """Those that every report has say it all."""
        return ()
