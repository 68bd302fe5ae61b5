from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from colfw.errors import StoreError
from colfw.media import animation
from colfw.media.animation import animate, mp4_encoder, remarks_on_animations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


def frames_of(count: int) -> list[Image.Image]:
    """Grey frames that all differ."""
    return [Image.new("L", (11, 7), 200 * number // count) for number in range(count)]


def read(path: Path) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """Frames and milliseconds of a GIF."""
    with Image.open(path) as gif:
        found = [
            (np.asarray(frame.convert("RGB")), frame.info["duration"])
            for frame in ImageSequence.Iterator(gif)
        ]
    return [frame for frame, _ in found], [milliseconds for _, milliseconds in found]


@pytest.mark.usefixtures("_without_ffmpeg")
class TestGif:
    """Animations as GIF."""

    def test_grey_frames_come_back(self, tmp_path: Path) -> None:
        """Every frame, in order, with its very shades; it runs for ever."""
        random = np.random.default_rng(0).integers(0, 256, (5, 9, 13), dtype=np.uint8)
        (path,) = animate(tmp_path / "a", [Image.fromarray(frame) for frame in random], 20.0)
        found, _ = read(path)
        np.testing.assert_array_equal([frame[..., 0] for frame in found], random)
        with Image.open(path) as gif:
            assert gif.info["loop"] == 0

    def test_colours_come_back_nearly(self, tmp_path: Path) -> None:
        """256 colours a frame are enough for smooth ones to differ by a few of 255 steps."""
        y, x = np.mgrid[0:120, 0:160]
        frames = [np.stack([x + k, y, x + y], axis=-1).astype(np.uint8) for k in range(0, 60, 20)]
        (path,) = animate(tmp_path / "a", [Image.fromarray(frame) for frame in frames], 8.0)
        found, _ = read(path)
        assert np.abs(np.array(found).astype(int) - np.array(frames)).mean() < 6

    def test_few_colours_come_back_exactly(self, tmp_path: Path) -> None:
        """Where 256 are enough none is changed, also from one frame to the next."""
        colours = np.random.default_rng(1).integers(0, 256, (4, 20, 3), dtype=np.uint8)
        frames = [np.kron(frame.reshape(4, 5, 3), np.ones((6, 6, 1), np.uint8)) for frame in colours]
        (path,) = animate(tmp_path / "a", [Image.fromarray(frame) for frame in frames], 8.0)
        found, _ = read(path)
        np.testing.assert_array_equal(found, frames)

    @given(rate=st.floats(0.5, 50), count=st.integers(2, 40))
    def test_the_pace_is_kept(
        self, tmp_path_factory: pytest.TempPathFactory, rate: float, count: int
    ) -> None:
        """A GIF lasts as long as its samples to a hundredth of a second, though it counts in those."""
        (path,) = animate(tmp_path_factory.getbasetemp() / "pace", frames_of(count), rate)
        found, milliseconds = read(path)
        assert len(found) == count
        assert abs(sum(milliseconds) / 1000 - count / rate) <= 0.0051
        assert max(milliseconds) - min(milliseconds) <= 10
        assert min(milliseconds) >= 20

    @pytest.mark.parametrize(("rate", "shown"), [(50.0, 12), (60.0, 6), (100.0, 6), (120.0, 4)])
    def test_frames_that_no_viewer_shows_are_left_out(self, tmp_path: Path, rate: float, shown: int) -> None:
        """Beyond 50 Hz a GIF shows each second frame, or third..., at the same pace."""
        (path,) = animate(tmp_path / "a", frames_of(12), rate)
        found, milliseconds = read(path)
        assert len(found) == shown
        assert abs(sum(milliseconds) / 1000 - 12 / rate) <= 0.0051
        every = 12 // shown
        assert [int(frame[0, 0, 0]) for frame in found] == [
            200 * number // 12 for number in range(0, 12, every)
        ]

    def test_one_frame_is_an_animation_too(self, tmp_path: Path) -> None:
        """A sample may have a single frame."""
        (path,) = animate(tmp_path / "a", frames_of(1), 8.0)
        with Image.open(path) as gif:
            assert gif.n_frames == 1

    def test_frames_that_stand_still_last(self, tmp_path: Path) -> None:
        """Equal frames may be stored as one; it lasts as long as all of them."""
        (path,) = animate(tmp_path / "a", [Image.new("L", (4, 4), shade) for shade in (9, 9, 9, 70)], 10.0)
        assert sum(read(path)[1]) == 400


def test_remarks_say_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate that was assumed, frames left out, and no MP4; nothing where nothing differs."""
    monkeypatch.setattr(animation, "mp4_encoder", lambda: "ffmpeg")
    assert list(remarks_on_animations(25.0, 8.0)) == []
    assert "no frame rate; animations run at 8 Hz" in next(remarks_on_animations(None, 8.0))
    assert "one frame of 3" in next(remarks_on_animations(120.0, 8.0))
    monkeypatch.setattr(animation, "mp4_encoder", lambda: None)
    assert list(remarks_on_animations(25.0, 8.0)) == [animation.NO_MP4]


# --- MP4 ------------------------------------------------------------------------------------------


@pytest.fixture
def _asked_anew() -> Iterator[None]:
    mp4_encoder.cache_clear()
    yield
    mp4_encoder.cache_clear()


def programme(folder: Path, body: str) -> str:
    """A programme called ffmpeg that does what the body says, with its target as `target`."""
    path = folder / "ffmpeg"
    path.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        f"target = sys.argv[-1]\ntaken = sys.stdin.buffer.read()\n{body}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


WRITES = "if target != '-': pathlib.Path(target).write_bytes(repr(sys.argv[1:-1]).encode() + taken)"
not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="a script is no programme there")


@not_on_windows
@pytest.mark.usefixtures("_asked_anew")
class TestMp4:
    """Animations as MP4, where a programme can write them."""

    def test_frames_go_to_the_users_ffmpeg(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """All of them, as red, green and blue, with size and rate; also those that a GIF leaves out."""
        monkeypatch.setenv("PATH", str(tmp_path))
        programme(tmp_path, WRITES)
        frames = frames_of(4)
        gif, mp4 = animate(tmp_path / "0000", frames, 120.0)
        assert (gif.name, mp4.name) == ("0000.gif", "0000.mp4")
        content = mp4.read_bytes()
        assert content.endswith(b"".join(frame.convert("RGB").tobytes() for frame in frames))
        assert b"'-s', '11x7', '-r', '120'" in content

    @pytest.mark.parametrize(("rate", "told"), [(20.0, "20"), (12.5, "25/2"), (30000 / 1001, "30000/1001")])
    def test_rates_are_told_exactly(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float, told: str
    ) -> None:
        """As a fraction, as films count."""
        monkeypatch.setenv("PATH", str(tmp_path))
        programme(tmp_path, WRITES)
        _, mp4 = animate(tmp_path / "0000", frames_of(2), rate)
        assert f"'-r', '{told}'".encode() in mp4.read_bytes()

    def test_an_ffmpeg_without_h264_is_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is tried once, on a small probe; then there are GIFs only."""
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(animation, "find_spec", lambda _: None)
        tried = tmp_path / "tried"
        programme(tmp_path, f"pathlib.Path({str(tried)!r}).open('a').write('.'); sys.exit('Unknown encoder')")
        assert [path.suffix for _ in range(3) for path in animate(tmp_path / "a", frames_of(2), 8.0)] == [
            ".gif"
        ] * 3
        assert tried.read_text() == "."

    def test_that_of_imageio_is_the_second_choice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The package that brings a programme is asked where the user has none."""
        (tmp_path / "empty").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        path = programme(tmp_path, WRITES)
        (tmp_path / "imageio_ffmpeg.py").write_text(f"def get_ffmpeg_exe():\n    return {path!r}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "imageio_ffmpeg", raising=False)
        assert mp4_encoder() == path
        del sys.modules["imageio_ffmpeg"]

    def test_a_package_without_its_programme_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may be installed on a system that it has no programme for."""
        monkeypatch.setenv("PATH", "")
        (tmp_path / "imageio_ffmpeg.py").write_text("def get_ffmpeg_exe():\n    raise RuntimeError\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "imageio_ffmpeg", raising=False)
        assert mp4_encoder() is None
        del sys.modules["imageio_ffmpeg"]

    def test_a_failure_says_why(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What ffmpeg said last is passed on with the path."""
        monkeypatch.setenv("PATH", str(tmp_path))
        programme(tmp_path, "if target != '-': sys.exit('first\\nNo space left on device')")
        with pytest.raises(StoreError, match="No space left on device") as refusal:
            list(animate(tmp_path / "a", frames_of(2), 8.0))
        assert refusal.value.where == str(tmp_path / "a.mp4")


def test_a_real_mp4_plays_at_its_pace_and_has_equal_bytes(tmp_path: Path) -> None:
    """Decoded, it has as many frames, nearly of their shades; odd sides are made even with white."""
    encoder = mp4_encoder()
    if encoder is None:
        pytest.skip(animation.NO_MP4)
    frames = [Image.new("RGB", (51, 33), (shade, shade, shade)) for shade in range(0, 200, 10)]
    digests = set()
    for name in ("a", "b"):
        _, mp4 = animate(tmp_path / name, frames, 12.5)
        digests.add(hashlib.sha256(mp4.read_bytes()).hexdigest())
    assert len(digests) == 1
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    decoded = subprocess.run(
        [encoder, "-v", "error", "-i", mp4, *raw], capture_output=True, check=True
    ).stdout
    pixels = np.frombuffer(decoded, np.uint8).reshape(len(frames), 34, 52, 3)
    np.testing.assert_allclose(pixels[:, 10, 10, 0], np.arange(0, 200, 10), atol=4)
    assert (pixels[:, -1, 0] > 200).all()
    told = subprocess.run([encoder, "-i", mp4], capture_output=True, check=False).stderr.decode()
    assert "12.50 fps" in told
    assert "Duration: 00:00:01.60" in told
