"""VGGish: what a network trained on AudioSet hears in windows of 0.96 s (Hershey et al. 2017).

Sound at 16 kHz becomes a spectrogram of 64 mel bands every 10 ms; 96 such frames are a window. The numbers
are those of AudioSet's code: the magnitude, not the power, of the spectrum; mel after HTK; no padding.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from colfw.denoising.checkpoints import CheckpointLayout
from colfw_metrics.networks import Architecture

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.float64]

RATE_HZ: Final = 16000
WINDOW_FRAMES: Final = 96
"""0.96 s."""
BANDS: Final = 64
FEATURES: Final = 128

_FRAME: Final = 400  # samples: 25 ms
_HOP: Final = 160  # samples: 10 ms
_SPECTRUM: Final = 512
_LOWEST_HZ, _HIGHEST_HZ = 125.0, 7500.0
LEAST_SAMPLES: Final = _FRAME + (WINDOW_FRAMES - 1) * _HOP
"""Of sound at 16 kHz that fills one window: 0.975 s, for its last frame is 25 ms long."""
_OFFSET: Final = 0.01
"""Added before the logarithm: silence has a value."""


def windows(waves: NDArray[Any], hop_frames: int) -> Array:
    """`[sample, window, 96, 64]` of sound `[sample, time]` at 16 kHz; what fills no window is dropped."""
    cut = sliding_window_view(log_mel(waves), WINDOW_FRAMES, axis=1)[:, ::hop_frames]
    return cut.transpose(0, 1, 3, 2)


def count_windows(length: int, hop_frames: int) -> int:
    """How many windows sound of this many values at 16 kHz has."""
    frames = 1 + (length - _FRAME) // _HOP
    return max(0, 1 + (frames - WINDOW_FRAMES) // hop_frames)


def log_mel(waves: NDArray[Any]) -> Array:
    """`[sample, frame, band]` of sound `[sample, time]` at 16 kHz."""
    framed = sliding_window_view(waves, _FRAME, axis=-1)[:, ::_HOP]
    magnitudes = np.abs(np.fft.rfft(framed * _hann(), _SPECTRUM))
    bands: Array = np.log(magnitudes @ mel_matrix() + _OFFSET)
    return bands


def _hann() -> Array:
    """Periodic: of one value more, the last is left out."""
    return np.hanning(_FRAME + 1)[:-1]


@cache
def mel_matrix() -> Array:
    """`[frequency, band]`: triangles on the mel scale, from the peak before to the peak after."""
    frequencies = _mel(np.linspace(0, RATE_HZ / 2, _SPECTRUM // 2 + 1))[:, None]
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), BANDS + 2)
    before, peak, after = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - before) / (peak - before), (after - frequencies) / (after - peak)
    triangles: Array = np.maximum(0, np.minimum(rising, falling))
    return triangles


def _mel(hertz: Any) -> Any:
    return 1127 * np.log1p(hertz / 700)


class Vggish(nn.Module):
    """From windows `[window, 1, 96, 64]` to features `[window, 128]`, before their last ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(1, 64),
            nn.MaxPool2d(2),
            *_convolution(64, 128),
            nn.MaxPool2d(2),
            *_convolution(128, 256),
            *_convolution(256, 256),
            nn.MaxPool2d(2),
            *_convolution(256, 512),
            *_convolution(512, 512),
            nn.MaxPool2d(2),
        )
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096),
            nn.ReLU(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, FEATURES),
        )

    def forward(self, x: Tensor) -> Tensor:
        # The weights come from a code that keeps channels last.
        heard = self.features(x).permute(0, 2, 3, 1).flatten(1)
        features: Tensor = self.embeddings(heard)
        return features


def _convolution(taken: int, given: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(taken, given, 3, padding=1), nn.ReLU()


VGGISH: Final = Architecture(
    name="VGGish (AudioSet)",
    version=1,
    build=Vggish,
    released="vggish-10086976.pth, published at github.com/harritaylor/torchvggish/releases",
    # Some copies hold the post-processing as well, which no Frechet distance uses.
    layout=CheckpointLayout(computed=("pproc.*",)),
)
