"""Motion: the joints of each as NPY, and an animation of all sets side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from PIL import Image, ImageDraw

from colfw.media.animation import animate, remarks_on_animations
from colfw.media.arrays import write_arrays
from colfw.media.pictures import beside
from colfw.media.video import moments, together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from colfw.media.row import Row
    from colfw.samples import Samples

    Floats = NDArray[np.float64]

ASSUMED_HZ: Final = 20.0
STILLS: Final = 6
"""How many poses of a sample a sheet shows."""
WIDTH, HEIGHT = 200, 240
GROUND: Final = 216
"""The ground's distance in pixels from the top."""
MARGIN: Final = 20
TURNED: Final = math.radians(30)
"""How far the camera is turned from the side view towards the front, so that left and right differ."""
TICK_M: Final = 0.5
"""The distance of the marks on the ground, by which one sees how fast the figure goes."""
SMALLEST_BODY_M: Final = 0.5
STANDS_STILL_M: Final = 0.1
_FINER: Final = 2
"""Drawn in so many times the resolution, then reduced: lines without steps."""
_NEAR, _FAR = 0, 150
"""Grey of what is nearest to the camera, and of what is farthest from it."""
_TICK_GREY: Final = 120


@frozen(kw_only=True)
class Motions:
    """`[frame, joint, 3]` in metres; joint 0 is the root that the camera goes along with."""

    rate_hz: float | None
    bones: tuple[tuple[int, int], ...]
    up: int
    """The axis that points up."""

    @classmethod
    def like(cls, samples: Samples) -> Motions:
        return cls(rate_hz=samples.rate_hz, bones=samples.bones, up=upright_axis(samples.data))

    def remarks(self, label: str, samples: Samples) -> Iterator[str]:  # noqa: ARG002  (the same of all)
        yield (
            f"The {'xyz'[self.up]} axis is taken to point up: along it the joints are farthest apart. "
            "The camera goes along with the root, and shows every set as it shows the dense one; "
            f"the marks on the ground are {TICK_M:g} m apart."
        )
        if not self.bones:
            yield "The samples do not say which joints are connected: joints are drawn as dots."
        yield from remarks_on_animations(self.rate_hz, ASSUMED_HZ)

    def write(self, row: Row) -> Iterator[Path]:
        yield from write_arrays(row)
        camera = Camera.on(row.samples[0], self.up)
        films = [[self._drawn(camera, pose) for pose in sample] for sample in row.samples]
        yield from animate(row.together, together(films, row.labels), self.rate_hz or ASSUMED_HZ)

    def stills(self, samples: Sequence[NDArray[Any]]) -> list[Image.Image]:
        camera = Camera.on(samples[0], self.up)
        return [
            beside([self._drawn(camera, sample[at]).reduce(2) for at in moments(len(sample), STILLS)])
            for sample in samples
        ]

    def _drawn(self, camera: Camera, pose: NDArray[Any]) -> Image.Image:
        points, depths = camera.seen(pose)
        canvas = Image.new("L", (WIDTH * _FINER, HEIGHT * _FINER), 255)
        pen = ImageDraw.Draw(canvas)
        _draw_ground(pen, camera.ticks(pose))
        _draw_body(pen, points * _FINER, _greys(depths), self.bones)
        return canvas.reduce(_FINER)


@frozen(kw_only=True, eq=False)
class Camera:
    """Looks from the side at one who goes to the right, from infinitely far: lengths keep their ratios."""

    rightward: Floats
    """What points to the right in the picture, a unit vector in space."""
    towards: Floats
    """What points out of the picture."""
    up: int
    ground_m: float
    pixels_per_metre: float

    @classmethod
    def on(cls, motion: NDArray[Any], up: int) -> Camera:
        """All of this motion fits into the picture, and its lowest joint touches the ground."""
        joints = motion.astype(np.float64)
        rightward, towards = _directions(joints[:, 0], up)
        sideways = (joints - joints[:, :1]) @ rightward
        heights = joints[..., up]
        by_width = (WIDTH / 2 - MARGIN) / max(float(np.abs(sideways).max()), SMALLEST_BODY_M / 2)
        by_height = (GROUND - MARGIN) / max(float(np.ptp(heights)), SMALLEST_BODY_M)
        return cls(
            rightward=rightward,
            towards=towards,
            up=up,
            ground_m=float(heights.min()),
            pixels_per_metre=min(by_width, by_height),
        )

    def seen(self, pose: NDArray[Any]) -> tuple[Floats, Floats]:
        """Where in the picture each joint is, `[joint, 2]`, and how near to the camera."""
        joints = pose.astype(np.float64)
        relative = joints - joints[0]
        x = WIDTH / 2 + relative @ self.rightward * self.pixels_per_metre
        y = GROUND - (joints[:, self.up] - self.ground_m) * self.pixels_per_metre
        # Far outside of the picture it is the same how far, and drawing takes only numbers of sane size.
        inside = np.clip(np.stack([x, y], axis=1), -10 * WIDTH, 10 * WIDTH)
        return inside, relative @ self.towards

    def ticks(self, pose: NDArray[Any]) -> Floats:
        """Where in the picture the marks on the ground are."""
        apart = TICK_M * self.pixels_per_metre
        root = float(pose[0].astype(np.float64) @ self.rightward) * self.pixels_per_metre
        return np.arange((WIDTH / 2 - root) % apart, WIDTH, apart)


def upright_axis(motions: NDArray[Any]) -> int:
    """The axis along which the joints of a body are farthest apart: people mostly stand.

    Works of people disagree, z points up in some and y in others, and the numbers do not say it otherwise.
    """
    spreads = [np.ptp(motion.astype(np.float64), axis=-2).mean(axis=0) for motion in motions]
    return int(np.mean(spreads, axis=0).argmax())


def _directions(root: Floats, up: int) -> tuple[Floats, Floats]:
    """To the right and out of the picture for one whose root moves like this; upright axes are zero."""
    ahead = root[-1] - root[0]
    ahead[up] = 0
    if np.linalg.norm(ahead) < STANDS_STILL_M:
        ahead = np.eye(3)[(up + 1) % 3]
    ahead /= np.linalg.norm(ahead)
    left = np.cross(np.eye(3)[up], ahead)
    turn, stay = math.sin(TURNED), math.cos(TURNED)
    return stay * ahead + turn * left, turn * ahead - stay * left


def _greys(depths: Floats) -> list[int]:
    """Near is black and far is grey, so that one sees which leg is in front."""
    farness = (depths.max() - depths) / max(float(np.ptp(depths)), 1e-9)
    greys: list[int] = np.rint(_NEAR + farness * (_FAR - _NEAR)).astype(int).tolist()
    return greys


def _draw_ground(pen: ImageDraw.ImageDraw, ticks: Floats) -> None:
    ground = GROUND * _FINER
    pen.line([(0, ground), (WIDTH * _FINER, ground)], fill=_TICK_GREY, width=_FINER)
    for x in (ticks * _FINER).tolist():
        pen.line([(x, ground), (x, ground + 8 * _FINER)], fill=_TICK_GREY, width=_FINER)


def _draw_body(
    pen: ImageDraw.ImageDraw, points: Floats, greys: Sequence[int], bones: Sequence[tuple[int, int]]
) -> None:
    """What is far first, so that what is near covers it."""
    lines = [((greys[first] + greys[second]) // 2, first, second) for first, second in bones]
    for grey, first, second in sorted(lines, reverse=True):
        pen.line([tuple(points[first]), tuple(points[second])], fill=grey, width=3 * _FINER)
    radius = (2 if bones else 3) * _FINER
    for grey, (x, y) in sorted(zip(greys, points.tolist(), strict=True), reverse=True):
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=grey)
