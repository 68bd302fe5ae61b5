"""What the workloads of the three miniatures share: a condition that is a number, and shipped weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch

from colfw.denoising.workload import Condition, TorchWorkload
from colfw.errors import StudyError
from colfw_workloads.samplers import ddim, guidance, last
from colfw_workloads.samplers.schedules import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from colfw.denoising.workload import Generation
    from colfw_workloads.miniature_options import MiniatureOptions
    from colfw_workloads.samplers import Predict

WEIGHTS = Path(__file__).parent / "weights"
"""The folder of the shipped checkpoints: `NAME.safetensors`."""


class Miniature(TorchWorkload):
    """A small denoiser that is led by the number of a class; the number after the last stands for none."""

    config: MiniatureOptions
    name: ClassVar[str]
    classes: ClassVar[int]
    network: ClassVar[type[nn.Module]]

    def __init__(self, config: MiniatureOptions) -> None:
        outside = [label for label in config.labels if not 0 <= label < self.classes]
        if outside:
            raise StudyError(
                f"labels {outside} must be 0 or more and below {self.classes}",
                where=f"options of {self.name}",
            )
        super().__init__(config)

    def build(self) -> nn.Module:
        return self.network()

    def miniature(self) -> Path:
        return WEIGHTS / f"{self.name}.safetensors"

    def conditions(self) -> Mapping[str, Condition]:
        what = f"class numbers below {self.classes}"
        return {"labels": Condition(shape=(), what=what, below=self.classes)}

    def predict(self, denoiser: nn.Module, run: Generation, labels: Tensor) -> Predict:
        """What the denoiser says of a sample, led by these labels."""

        def predicted(x: Tensor, step: Tensor, iteration: int) -> Tensor:
            run.begin(iteration)
            prediction: Tensor = denoiser(x.to(run.dtype), step, labels)
            return prediction.float()

        return predicted

    def unlabelled(self, labels: Tensor) -> Tensor:
        """As many labels that stand for no class."""
        return torch.full_like(labels, self.classes)


class Digits(Miniature):
    """An image of a digit, `[1, 8, 8]` from -1 (paper) to 1 (ink), by DDIM without added noise.

    Both guidance passes of an iteration go through in one forward, the one without a digit first.
    """

    modality = "image/digits"
    classes = 10

    def generate(self, denoiser: nn.Module, run: Generation) -> Tensor:
        digits = run.conditioning["labels"]
        both = self.predict(denoiser, run, torch.cat([self.unlabelled(digits), digits]))
        steps = ddim.ddim(
            guidance.in_one_forward(both, self.config.guidance_scale),
            run.noise((run.samples, 1, 8, 8)),
            schedule=Schedule.linear(),
            noise=run.noise,
            steps=run.iterations,
        )
        return last(steps).clamp(-1, 1)
