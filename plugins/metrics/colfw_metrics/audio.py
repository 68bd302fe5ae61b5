"""What metrics on audio share: what they refuse, and sound at another sampling rate."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colfw.errors import InvariantError, UnavailableError
from colfw.samples import FORMS
from colfw.vocabulary import is_kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.samples import Samples

WHERE: Final = "audio samples"


def rate_of_pair(dense: Samples, masked: Samples) -> float:
    """The sampling rate in Hz of two sets that can be compared."""
    if dense.data.shape != masked.data.shape:
        raise InvariantError(
            f"dense {list(dense.data.shape)} and masked {list(masked.data.shape)} are no pair", where=WHERE
        )
    rates_hz = {_rate_hz(samples) for samples in (dense, masked)}
    if len(rates_hz) > 1:
        raise InvariantError("dense and masked differ in sampling rate", where=WHERE)
    return rates_hz.pop()


def _rate_hz(samples: Samples) -> float:
    if not is_kind_of(samples.modality, "audio") or samples.data.ndim != 2:
        raise UnavailableError(
            f"must be audio {FORMS['audio']}; these are {samples.modality} {list(samples.data.shape)}",
            where=WHERE,
        )
    if samples.rate_hz is None:
        raise UnavailableError(
            "state no sampling rate, and without one nothing can be heard",
            where=WHERE,
            hint="the workload gives it as `rate_hz`",
        )
    return samples.rate_hz


def resampled(waves: NDArray[Any], from_hz: float, to_hz: float) -> NDArray[np.float64]:
    """`waves[..., time]` at another rate, by the band-limited interpolation that the reference codes use."""
    waves = np.asarray(waves, np.float64)
    if from_hz == to_hz:
        return waves
    # It takes half a second to import, and most samples have the rate that is wanted.
    resampy = import_module("resampy")
    other: NDArray[np.float64] = resampy.resample(waves, from_hz, to_hz, filter="kaiser_best")
    return other


def resampled_length(length: int, from_hz: float, to_hz: float) -> int:
    """How many values `resampled` makes of this many."""
    return int(length * to_hz / from_hz)
