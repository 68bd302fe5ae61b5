"""PESQ: how good a masked sample sounds beside its dense twin, as listeners of speech would rate it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colfw.errors import UnavailableError
from colfw.resampling import score_of_means
from colfw_metrics.audio import WHERE, rate_of_pair, resampled
from colfw_metrics.media_options import PesqBand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.samples import Samples, Score
    from colfw_metrics.media_options import PesqConfig

SHORTEST_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 20.0
"""The library has room for 50 utterances and does not look whether there are more: it then ends the process.

An utterance has 0.2 s at least and a pause of more than 0.2 s after it, so 50 do not fit into 20 s.
ITU-T P.862.3 recommends 8 s to 12 s, and 30 s at most."""

_RATES_HZ: Final = {PesqBand.NARROW: (8000, 16000), PesqBand.WIDE: (16000,)}
_MODES: Final = {PesqBand.NARROW: "nb", PesqBand.WIDE: "wb"}


class Pesq:
    """The mean over samples of PESQ as MOS-LQO, with the dense sample as the reference.

    The two cannot change places: PESQ asks what was added to the reference and what was lost of it. It
    equalises levels and delays, so a masked sample that is only quieter or later loses little. Computed by
    the library `pesq`, which wraps the code of ITU-T P.862.
    """

    def __init__(self, config: PesqConfig) -> None:
        self._config = config

    def score(self, dense: Samples, masked: Samples) -> Score:
        library = _library()
        from_hz = rate_of_pair(dense, masked)
        to_hz = self._measured_at(from_hz)
        pairs = zip(_sounds(dense, from_hz), _sounds(masked, from_hz), strict=True)
        values = [
            self._value(library, to_hz, *(resampled(sound, from_hz, to_hz) for sound in pair), sample=index)
            for index, pair in enumerate(pairs)
        ]
        return score_of_means(np.array(values))

    def _measured_at(self, rate_hz: float) -> int:
        """The highest rate of the band that adds nothing to the samples' own."""
        fitting = [known for known in _RATES_HZ[self._config.band] if known <= rate_hz]
        if not fitting:
            raise UnavailableError(
                f"have {rate_hz:g} Hz, and PESQ of the {self._config.band} band needs"
                f" {min(_RATES_HZ[self._config.band])} Hz at least",
                where=WHERE,
                hint=None if self._config.band is PesqBand.NARROW else 'band = "narrow" needs 8000 Hz',
            )
        if max(fitting) != rate_hz and not self._config.resample:
            raise UnavailableError(
                f"have {rate_hz:g} Hz, PESQ is defined at 8 and 16 kHz, and the option `resample` is off",
                where=WHERE,
            )
        return max(fitting)

    def _value(
        self, library: Any, rate_hz: int, dense: NDArray[Any], masked: NDArray[Any], *, sample: int
    ) -> float:
        for kind, sound in (("dense", dense), ("masked", masked)):
            if not sound.any():
                raise _undefined(f"the {kind} one is silent", sample)
        try:
            return float(library.pesq(rate_hz, dense, masked, _MODES[self._config.band]))
        except library.NoUtterancesError:
            raise _undefined("nothing in the dense one is loud enough to be heard", sample) from None
        except ValueError:
            # The library turns NaN to a whole number where nothing of the masked sample is left.
            raise _undefined("the masked one is silent beside the dense one", sample) from None


def _undefined(why: str, sample: int) -> UnavailableError:
    return UnavailableError(f"PESQ of sample {sample} (from 0) is not defined: {why}", where=WHERE)


def _library() -> Any:
    try:
        return import_module("pesq")
    except ImportError:
        raise UnavailableError(
            "PESQ is computed by the library pesq, which is not installed",
            hint="pip install colfw[pesq], which needs a C compiler",
        ) from None


def _sounds(samples: Samples, rate_hz: float) -> list[NDArray[Any]]:
    """The samples without their padding, of which each is as long as PESQ can be taken of."""
    lengths = samples.counting
    for index, seconds in enumerate(lengths / rate_hz):
        if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
            raise _undefined(
                f"it lasts {seconds:g} s, not between {SHORTEST_SECONDS:g} s and {LONGEST_SECONDS:g} s", index
            )
    return [sound[:length] for sound, length in zip(samples.data, lengths, strict=True)]
