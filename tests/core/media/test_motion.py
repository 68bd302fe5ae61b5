from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageSequence

from colfw.media import write_samples
from colfw.media.motion import GROUND, HEIGHT, MARGIN, WIDTH, Camera, Motions, upright_axis
from colfw.samples import Samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("_without_ffmpeg")

BODY = np.array([[0, 0, 1.0], [0, 0, 1.7], [0.3, 0.1, 0.0], [-0.3, -0.1, 0.0]])
"""Pelvis, head and two feet of one who looks along x; z points up."""
BONES = ((0, 1), (0, 2), (0, 3))


def walk(frames: int = 5, step: tuple[float, float, float] = (0.4, 0, 0)) -> NDArray[np.float64]:
    return BODY + np.arange(frames)[:, None, None] * np.array(step)


def chains(joints: int) -> tuple[tuple[int, int], ...]:
    return tuple((joint - 1, joint) for joint in range(1, joints))


def ink(frame: Image.Image) -> NDArray[np.bool_]:
    """Where a body is drawn: above the ground, darker than it."""
    return np.asarray(frame.convert("L"))[: GROUND - 2] < 200


positions = st.floats(-5, 5, width=32)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9), st.just(3)), elements=positions)
)
def test_the_dense_motion_fits_into_the_picture(motion: NDArray[np.float32]) -> None:
    """No joint is outside in any frame; the lowest touches the ground; the root is in the middle."""
    camera = Camera.on(motion, up=2)
    seen = np.array([camera.seen(pose)[0] for pose in motion])
    assert seen[..., 0].min() >= MARGIN - 1e-6
    assert seen[..., 0].max() <= WIDTH - MARGIN + 1e-6
    assert seen[..., 1].min() >= MARGIN - 1e-6
    assert seen[..., 1].max() == pytest.approx(GROUND)
    np.testing.assert_allclose(seen[:, 0, 0], WIDTH / 2)


@pytest.mark.parametrize("up", [0, 1, 2])
@pytest.mark.parametrize("step", [(0.4, 0, 0), (-0.4, 0, 0), (0, 0.4, 0), (0.3, -0.3, 0), (0.4, 0, 0.3)])
def test_whoever_walks_goes_to_the_right(up: int, step: tuple[float, float, float]) -> None:
    """Whichever way, on stairs too, and whichever axis is up: what lies ahead is to the right, what is high
    is above.
    """
    motion = np.roll(walk(step=step), up - 2, axis=-1)
    camera = Camera.on(motion, up)
    level = np.array(step) * [1, 1, 0]
    ahead = np.roll(level / np.linalg.norm(level), up - 2)
    head = motion[0, 0] + np.eye(3)[up]
    points, _ = camera.seen(np.stack([motion[0, 0], motion[0, 0] + ahead, head]))
    assert points[1, 0] > points[0, 0] + 10
    assert points[1, 1] == pytest.approx(points[0, 1])
    assert points[2, 0] == pytest.approx(points[0, 0])
    assert points[2, 1] < points[0, 1] - 10


@pytest.mark.parametrize("up", [0, 1, 2])
def test_the_right_side_is_nearer_and_no_mirror_image(up: int) -> None:
    """Seen from the right of one who walks: their right is near, their left far."""
    motion = np.roll(walk(), up - 2, axis=-1)
    left, ahead = (np.roll(np.array(side), up - 2) for side in ([0, 1.0, 0], [1.0, 0, 0]))
    _, depths = Camera.on(motion, up).seen(motion[0, 0] + np.stack([0 * left, left, -left, ahead]))
    assert depths[1] < depths[0] < depths[2]
    assert depths[0] < depths[3]


def test_the_camera_sees_every_set_as_the_dense_one() -> None:
    """A masked body that is larger or sinks is drawn so, not fitted into the picture."""
    motions = Motions(rate_hz=20.0, bones=BONES, up=2)
    dense, same, sunk = (ink(still) for still in motions.stills([walk(), walk(), walk() - [0, 0, 0.5]]))
    np.testing.assert_array_equal(dense, same)
    tops = [int(np.nonzero(drawn.any(axis=1))[0][0]) for drawn in (dense, sunk)]
    assert tops[1] > tops[0] + 10


def test_the_camera_of_an_animation_is_that_of_the_dense_set_too(tmp_path: Path) -> None:
    """What is beside the dense motion does not change how it is drawn."""
    dense = Samples(modality="motion", data=walk()[None], seed=0, rate_hz=20.0, bones=BONES)
    larger = evolve(dense, data=3 * dense.data)
    columns = []
    for name, masked in (("same", dense), ("larger", larger)):
        write_samples(tmp_path / name, dense, {"a": masked})
        with Image.open(tmp_path / name / "side-by-side" / "0000.gif") as gif:
            frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(gif)]
        columns.append([frame[20:, :WIDTH] for frame in frames])
    np.testing.assert_array_equal(*columns)


def test_a_body_far_outside_is_no_error() -> None:
    """A masked motion that went astray leaves the picture."""
    astray = walk() * [1, 1, 1e30]
    dense, gone = Motions(rate_hz=20.0, bones=BONES, up=2).stills([walk(), astray])
    assert dense.size == gone.size


@pytest.mark.parametrize("up", [0, 1, 2])
def test_people_stand_upright(up: int) -> None:
    """The axis along which a body is largest is the one that points up, wherever it walks."""
    motion = np.roll(walk(step=(9.0, 9.0, 0)), up - 2, axis=-1)
    assert upright_axis(motion[None].astype(np.float16)) == up
    assert Motions.like(Samples(modality="motion", data=motion[None], seed=0)).up == up


def test_a_still_body_and_one_joint_have_a_picture() -> None:
    """Nothing divides by how far one goes, how large one is, or how deep."""
    motions = Motions(rate_hz=20.0, bones=(), up=2)
    assert all(ink(still).any() for still in motions.stills([walk(step=(0, 0, 0)), np.ones((1, 1, 3))]))


def test_ground_marks_go_past_one_who_walks() -> None:
    """Half a metre ahead the same marks are seen again; between, they move against the walk."""
    camera = Camera.on(walk(step=(0.25, 0, 0)), up=2)
    per_metre = camera.pixels_per_metre * camera.rightward[0]
    period = 0.5 * camera.pixels_per_metre
    first, later = (camera.ticks(pose)[0] for pose in walk(step=(0.1, 0, 0))[:2])
    assert (first - later) % period == pytest.approx(0.1 * per_metre % period)
    assert np.diff(camera.ticks(BODY)) == pytest.approx(period)


@pytest.mark.parametrize("joints", [1, 15, 22, 24])
@pytest.mark.parametrize("connected", [True, False])
def test_bodies_of_any_number_of_joints_are_drawn(tmp_path: Path, joints: int, *, connected: bool) -> None:
    """With bones as lines, without as dots, and then the notes say so."""
    data = np.random.default_rng(joints).uniform(-1, 1, (1, 4, joints, 3))
    bones = chains(joints) if connected else ()
    dense = Samples(modality="motion", data=data, seed=0, rate_hz=20.0, bones=bones)
    folder = tmp_path / "out"
    notes = write_samples(folder, dense, {"a": dense})[-1].read_text("utf-8")
    assert ("drawn as dots" in notes) == (not bones)
    with Image.open(folder / "side-by-side" / "0000.gif") as gif:
        assert gif.size == (2 * WIDTH + 6, 20 + HEIGHT)
        frames = [np.asarray(frame.convert("L"))[20:] for frame in ImageSequence.Iterator(gif)]
    assert len(frames) == 4
    for frame in frames:
        np.testing.assert_array_equal(frame[:, :WIDTH], frame[:, WIDTH + 6 :])
        assert (frame[: GROUND - 2] < 200).any()


def test_bones_are_lines() -> None:
    """There is ink midway between two joints iff a bone connects them."""
    pose = np.array([[[0, 0, 0.0], [0, 0, 1.0]]])
    dots, lines = (Motions(rate_hz=20.0, bones=bones, up=2).stills([pose])[0] for bones in ((), ((0, 1),)))
    camera = Camera.on(pose[0][None], up=2)
    middle = camera.seen(pose[0])[0].mean(axis=0) / 2
    x, y = middle.round().astype(int)
    assert not ink(dots)[y - 1 : y + 2, x - 2 : x + 3].any()
    assert ink(lines)[y - 1 : y + 2, x - 2 : x + 3].any()


def test_what_is_near_is_darker_and_covers_what_is_far() -> None:
    """Of two bars that cross, the near one is black and whole, the far one grey, whatever their order."""
    right, left = [0.0, -0.4, 0], [0.0, 0.4, 0]
    rising, falling = np.array([[-0.5, 0, 0], [0.5, 0, 1]]), np.array([[-0.5, 0, 1], [0.5, 0, 0]])
    for near, far in ((rising, falling), (falling, rising)):
        for parts in ((near + right, far + left), (far + left, near + right)):
            pose = np.concatenate([[[0, 0, 0.5]], *parts])
            motion = pose + np.arange(2)[:, None, None] * np.array([1.0, 0, 0])
            camera = Camera.on(motion, up=2)
            drawn = np.asarray(Motions(rate_hz=20.0, bones=((1, 2), (3, 4)), up=2)._drawn(camera, pose))
            shade_at = {}
            for name, bar in (("near", near + right), ("far", far + left)):
                points, _ = camera.seen(np.concatenate([pose[:1], bar]))
                along = np.linspace(points[1], points[2], 100)[20:80]
                x, y = along.round().astype(int).T
                shade_at[name] = drawn[y, x].astype(int)
            assert np.ptp(shade_at["near"]) <= 4, shade_at
            assert np.median(shade_at["far"]) > shade_at["near"].max() + 30, shade_at


def test_joints_come_back_in_metres(tmp_path: Path) -> None:
    """The NPY of each set holds its numbers, also where they are longer than they count."""
    dense = Samples(modality="motion/walker", data=walk()[None], seed=0, rate_hz=20.0, lengths=np.array([3]))
    masked = evolve(dense, data=dense.data + 0.01, lengths=np.array([5]))
    write_samples(tmp_path / "out", dense, {"a": masked})
    for name, samples, frames in (("dense", dense, 3), ("a", masked, 5)):
        found = np.load(tmp_path / "out" / name / "0000.npy", allow_pickle=False)
        np.testing.assert_array_equal(found, samples.data[0, :frames], strict=True)
    with Image.open(tmp_path / "out" / "side-by-side" / "0000.gif") as gif:
        shown = sum(frame.info["duration"] for frame in ImageSequence.Iterator(gif))
    assert shown == 5 * 50


def test_notes_say_which_axis_is_up_and_how_fast(tmp_path: Path) -> None:
    """What was concluded and not told by the samples is said."""
    dense = Samples(modality="motion", data=np.roll(walk(), -1, axis=-1)[None], seed=0, bones=BONES)
    notes = write_samples(tmp_path / "out", dense, {})[-1].read_text("utf-8")
    assert "The y axis is taken to point up" in notes
    assert "animations run at 20 Hz" in notes
    assert "dots" not in notes
