"""FD-motion: what a small classifier of six ways of walking sees of dense and of masked walks. No FID."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from colfw.errors import UnavailableError
from colfw_metrics.judges import FEATURES, Agreement, Distance, Judge, JudgeNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from colfw.samples import Samples

FRAMES, JOINTS, RATE_HZ = 60, 15, 20.0
CLASSES = 6
WIDTH = 48


class MeanOverTime(nn.Module):
    """`[sample, channel, frame]` to `[sample, channel]`: where in its stride a walk begins is no matter."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=-1)


def network() -> JudgeNetwork:
    """Three convolutions over time; together they look at 19 frames, about a second."""
    looking = nn.Sequential(
        nn.Conv1d(3 * JOINTS, WIDTH, 5),
        nn.GELU(),
        nn.Conv1d(WIDTH, WIDTH, 5, stride=2),
        nn.GELU(),
        nn.Conv1d(WIDTH, WIDTH, 5),
        nn.GELU(),
        MeanOverTime(),
        nn.Linear(WIDTH, FEATURES),
    )
    return JudgeNetwork(looking, CLASSES)


def show(joints: Tensor) -> Tensor:
    """Channels `[sample, 3 * joint, frame]`: joints as seen from above the pelvis, and how fast that moves.

    Where on the floor someone walks is no part of how. Horizontal places are relative to the pelvis, which is
    the first joint; heights are above the ground; and the pelvis's own horizontal place, which would be 0, is
    replaced by its speed in metres a second. The first frame, which has no speed, is left out.
    """
    joints = joints.float()
    pelvis = joints[:, :, :1, :2]
    across, heights = joints[..., :2] - pelvis, joints[..., 2:]
    speed = (pelvis[:, 1:] - pelvis[:, :-1]) * RATE_HZ
    across = torch.cat([speed, across[:, 1:, 1:]], dim=2)
    return torch.cat([across, heights[:, 1:]], dim=-1).flatten(2).transpose(1, 2)


def refuse(samples: Samples) -> None:
    problem = _unlike_a_walk(samples)
    if problem:
        raise UnavailableError(
            f"the judge of walks knows {FRAMES} frames of {JOINTS} joints at {RATE_HZ:g} Hz, and {problem}",
            where=f"{samples.modality} samples",
        )


def _unlike_a_walk(samples: Samples) -> str | None:
    if samples.data.shape[1:] != (FRAMES, JOINTS, 3):
        return f"these are {list(samples.data.shape[1:])}"
    if samples.rate_hz != RATE_HZ:
        return "these do not say their rate" if samples.rate_hz is None else f"these have {samples.rate_hz:g}"
    if samples.lengths is not None and samples.lengths.min() < FRAMES:
        return f"some of these are shorter, {samples.lengths.min()} frames at least"
    return None


JUDGE = Judge(name="walks", version=1, build=network, show=show, refuse=refuse)


class FdMotion(Distance):
    """What dense and masked walks look like as two sets."""

    judge = JUDGE
    name = "fd-motion"


class WalksKept(Agreement):
    """Whether each masked walk is still told to be of the style that it was."""

    judge = JUDGE
