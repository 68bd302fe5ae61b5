"""Frames as GIF, and as MP4 where ffmpeg is at hand."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from colfw.errors import StoreError
from colfw.media.row import file_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FASTEST_GIF_HZ: Final = 50.0
"""GIF counts hundredths of a second, and viewers slow down what asks for less than two of them a frame."""

_PALETTE_FROM: Final = 256
"""Pixels a side of which the colours are chosen: of all pixels it takes five times as long."""

NO_MP4: Final = "No MP4: there is no ffmpeg that can write H.264 (pip install imageio-ffmpeg brings one)."


def animate(stem: Path, frames: Sequence[Image.Image], rate_hz: float) -> Iterator[Path]:
    """Write frames of one size as `stem.gif`, and as `stem.mp4` if that can be done."""
    gif = file_at(stem, ".gif")
    _write_gif(gif, frames, rate_hz)
    yield gif
    encoder = mp4_encoder()
    if encoder is not None:
        mp4 = file_at(stem, ".mp4")
        _write_mp4(encoder, mp4, frames, rate_hz)
        yield mp4


def remarks_on_animations(rate_hz: float | None, assumed_hz: float) -> Iterator[str]:
    """What differs between the animations and the samples."""
    rate = rate_hz or assumed_hz
    if rate_hz is None:
        yield f"The samples state no frame rate; animations run at {assumed_hz:g} Hz."
    if _every(rate) > 1:
        yield f"GIFs show one frame of {_every(rate)}: no viewer shows {rate:g} Hz."
    if mp4_encoder() is None:
        yield NO_MP4


def _every(rate_hz: float) -> int:
    """Which frames a GIF shows: all, or each second, third..."""
    return int(-(-rate_hz // FASTEST_GIF_HZ))


def _write_gif(path: Path, frames: Sequence[Image.Image], rate_hz: float) -> None:
    every = _every(rate_hz)
    shown = [_with_palette(frame) for frame in frames[::every]]
    # Each end is rounded, not each duration, so that the animation as a whole keeps its pace.
    ends = [round(100 * every * (number + 1) / rate_hz) for number in range(len(shown))]
    milliseconds = [10 * (end - begin) for begin, end in zip([0, *ends], ends, strict=False)]
    shown[0].save(path, save_all=True, append_images=shown[1:], duration=milliseconds, loop=0)


def _with_palette(frame: Image.Image) -> Image.Image:
    """GIF holds 256 colours a frame: greys stay as they are, colours become the nearest of the best 256."""
    if frame.mode == "L":
        return frame
    few = frame.copy()
    few.thumbnail((_PALETTE_FROM, _PALETTE_FROM), Image.Resampling.NEAREST)
    return frame.quantize(palette=few.quantize(256), dither=Image.Dither.NONE)


# MP4 -----------------------------------------------------------------------------------------------

_EVEN_SIDES: Final = "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"
"""H.264 as all players know it halves the colours' resolution, and halves of odd sides there are none."""


@cache
def mp4_encoder() -> str | None:
    """The path of an ffmpeg that can write H.264: the user's own, else that of imageio-ffmpeg."""
    probe = Image.new("RGB", (16, 16))
    known = (path for path in (shutil.which("ffmpeg"), _bundled()) if path)
    return next((path for path in known if _encoded(path, "-", [probe], 8.0).returncode == 0), None)


def _bundled() -> str | None:
    if find_spec("imageio_ffmpeg") is None:
        return None
    module: Any = import_module("imageio_ffmpeg")
    try:
        return str(module.get_ffmpeg_exe())
    except RuntimeError:  # the package is there, and no programme for this system in it
        return None


def _write_mp4(encoder: str, path: Path, frames: Sequence[Image.Image], rate_hz: float) -> None:
    done = _encoded(encoder, str(path.absolute()), frames, rate_hz)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise StoreError(f"ffmpeg could not write it: {reason[0]}", where=str(path))


def _encoded(
    encoder: str, target: str, frames: Sequence[Image.Image], rate_hz: float
) -> subprocess.CompletedProcess[bytes]:
    width, height = frames[0].size
    rate = str(Fraction(rate_hz).limit_denominator(1001))
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", "-"]
    # One thread and no time stamps or version names: equal frames give equal bytes.
    made = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-vf", _EVEN_SIDES, "-threads", "1"]
    plain = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"]
    return subprocess.run(  # noqa: S603  (the user's own ffmpeg, with arguments made here)
        [
            encoder,
            "-v",
            "error",
            "-y",
            *given,
            *made,
            *plain,
            "-f",
            "mp4" if target != "-" else "null",
            target,
        ],
        input=b"".join(frame.convert("RGB").tobytes() for frame in frames),
        capture_output=True,
        check=False,
    )
