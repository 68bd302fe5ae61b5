from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from colfw.media import write_samples
from colfw.media.video import Videos, moments, together
from colfw.samples import Samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("_without_ffmpeg")


def video(shades: list[float], *, channels: int = 1) -> NDArray[np.float64]:
    """A frame of 96 x 96 a shade."""
    return np.broadcast_to(np.array(shades)[:, None, None, None], (len(shades), channels, 96, 96))


def shades_at(path: Path, x: int, y: int) -> list[int]:
    with Image.open(path) as gif:
        return [int(np.asarray(frame.convert("L"))[y, x]) for frame in ImageSequence.Iterator(gif)]


def test_all_sets_move_together(tmp_path: Path) -> None:
    """Side by side, each moment shows the same frame of every set, the dense one on the left."""
    dense = Samples(modality="video", data=video([-1, 0, 1])[None], seed=0, rate_hz=8.0)
    masked = evolve(dense, data=video([1, 0.5, -1])[None])
    write_samples(tmp_path / "out", dense, {"tau=0.2": masked})
    path = tmp_path / "out" / "side-by-side" / "0000.gif"
    assert shades_at(path, 48, 68) == [0, 128, 255]
    assert shades_at(path, 96 + 6 + 48, 68) == [255, 191, 0]
    assert shades_at(tmp_path / "out" / "dense" / "0000.gif", 48, 48) == [0, 128, 255]
    assert shades_at(tmp_path / "out" / "tau=0.2" / "0000.gif", 48, 48) == [255, 191, 0]


def test_a_video_that_ended_keeps_its_last_frame() -> None:
    """The longest decides how long all are shown."""
    films = [[Image.new("L", (100, 9), 10 * count + at) for at in range(count)] for count in (2, 4)]
    shown = [np.asarray(frame)[-1, [5, 115]].tolist() for frame in together(films, ["dense", "b"])]
    assert shown == [[20, 40], [21, 41], [21, 42], [21, 43]]


@given(st.integers(1, 50), st.integers(2, 9))
def test_moments_go_from_the_first_to_the_last(frames: int, count: int) -> None:
    """Evenly, in order, and none twice where there are enough."""
    found = moments(frames, count)
    assert (found[0], found[-1], len(found)) == (0, frames - 1, count)
    assert found == sorted(found)
    steps = np.diff(found)
    assert steps.max() - steps.min() <= 1
    assert frames < count or steps.min() > 0


def test_a_sheet_shows_four_moments() -> None:
    """The first and the last frame, and two between."""
    (still,) = Videos(rate_hz=8.0).stills([video([-1, 0, 0, 0.5, 0, 0, 1])])
    assert still.size == (4 * 96 + 3 * 2, 96)
    assert [np.asarray(still)[50, 98 * at + 50] for at in range(4)] == [0, 128, 128, 255]


@pytest.mark.parametrize(("channels", "said"), [(1, False), (3, True)])
def test_notes_say_that_colours_are_reduced(tmp_path: Path, channels: int, *, said: bool) -> None:
    """A GIF holds greys as they are, and of colours 256."""
    dense = Samples(modality="video", data=video([-1, 1], channels=channels)[None], seed=0)
    notes = write_samples(tmp_path / "out", dense, {})[-1].read_text("utf-8")
    assert ("256 colours" in notes) == said
    assert "no frame rate; animations run at 8 Hz" in notes
