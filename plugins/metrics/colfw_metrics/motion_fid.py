"""Motion FID: how far masked motions are from dense ones, as the HumanML3D evaluator sees both sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw_metrics.frechet import frechet_score
from colfw_metrics.motion import check_pair
from colfw_metrics.motion_evaluator import inputs_digest, points_of_motions

if TYPE_CHECKING:
    from colfw.samples import Samples, Score
    from colfw_metrics.motion_options import MotionEvaluatorConfig


class MotionFid:
    """The Frechet distance of the evaluator's 512 features; samples must hold the form `humanml3d`."""

    def __init__(self, config: MotionEvaluatorConfig) -> None:
        self._config = config

    def inputs_digest(self) -> str | None:
        return inputs_digest(self._config)

    def score(self, dense: Samples, masked: Samples) -> Score:
        check_pair(dense, masked)
        points = [points_of_motions(samples, self._config) for samples in (dense, masked)]
        return frechet_score(*points, name="mfid")
