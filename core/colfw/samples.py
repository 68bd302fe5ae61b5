"""Samples: what a denoiser made, and what a metric says of two sets of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen, validators

from colfw import arrayfile
from colfw.errors import InvariantError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLES_SCHEMA_VERSION = 1


@frozen(kw_only=True, eq=False)
class Samples:
    """`data[sample, ...]` of one modality, made from one seed; `mask_digest` is None for a dense run.

    `rate_hz` is the audio sampling rate or the frame rate, where the modality has one.
    """

    modality: str = field(validator=validators.min_len(1))
    data: NDArray[Any]
    seed: int
    mask_digest: str | None = None
    rate_hz: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.data.ndim < 2 or self.data.shape[0] < 1:
            raise InvariantError("must be [sample, ...] with a sample at least", where=self._where)
        if not np.isfinite(self.data).all():
            raise InvariantError("hold NaN or infinity", where=self._where)

    @property
    def _where(self) -> str:
        return f"{self.modality} samples of seed {self.seed}"

    def to_bytes(self) -> bytes:
        header = {
            "modality": self.modality,
            "seed": self.seed,
            "mask_digest": self.mask_digest,
            "rate_hz": self.rate_hz,
        }
        return arrayfile.dump("sample set", SAMPLES_SCHEMA_VERSION, header, {"data": self.data})

    @classmethod
    def from_file(cls, path: Path) -> Samples:
        header, arrays = arrayfile.load(path, "sample set", SAMPLES_SCHEMA_VERSION)
        with arrayfile.refusing_inconsistency(path):
            return cls(
                modality=header["modality"],
                data=arrays["data"],
                seed=header["seed"],
                mask_digest=header["mask_digest"],
                rate_hz=header["rate_hz"],
            )


@frozen(kw_only=True)
class Score:
    """A metric's value, and a confidence interval where the metric gives one."""

    value: float
    samples: int = field(validator=validators.ge(1))
    interval_low: float | None = None
    interval_high: float | None = None

    def __attrs_post_init__(self) -> None:
        known = [x for x in (self.interval_low, self.value, self.interval_high) if x is not None]
        if any(math.isnan(x) for x in known):
            raise InvariantError("a score cannot be NaN", where="score")
        if known != sorted(known):
            raise InvariantError(f"the value {self.value} is outside its interval {known}", where="score")
