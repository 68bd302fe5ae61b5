"""FD-digits: what a small classifier of handwritten digits sees of dense and of masked ones. No FID."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from colfw.errors import UnavailableError
from colfw_metrics.judges import FEATURES, Agreement, Distance, Judge, JudgeNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from colfw.samples import Samples

SHAPE = (1, 8, 8)
CLASSES = 10


def network() -> JudgeNetwork:
    """Three convolutions on 8 x 8 pixels, the second of which halves them."""
    looking = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(32 * 16, FEATURES),
    )
    return JudgeNetwork(looking, CLASSES)


def show(images: Tensor) -> Tensor:
    """Images go in as they are: from -1 (paper) to 1 (ink)."""
    return images.float()


def refuse(samples: Samples) -> None:
    if samples.data.shape[1:] != SHAPE:
        raise UnavailableError(
            f"the judge of digits knows images {list(SHAPE)}, and these are {list(samples.data.shape[1:])}",
            where=f"{samples.modality} samples",
        )


JUDGE = Judge(name="digits", version=1, build=network, show=show, refuse=refuse)


class FdDigits(Distance):
    """What dense and masked digits look like as two sets."""

    judge = JUDGE
    name = "fd-digits"


class DigitsKept(Agreement):
    """Whether each masked digit can still be read as the digit that it was."""

    judge = JUDGE
