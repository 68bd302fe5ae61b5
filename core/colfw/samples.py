"""Samples: what a denoiser made, and what a metric says of two sets of them."""

from __future__ import annotations

import math
from operator import index
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

import numpy as np
from attrs import evolve, field, frozen, validators

from colfw import arrayfile
from colfw.errors import InvariantError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLES_SCHEMA_VERSION = 2

FORMS: Final[Mapping[str, str]] = {
    "image": "[sample, channel, height, width], one channel or three, from -1 to 1",
    "video": "[sample, frame, channel, height, width], one channel or three, from -1 to 1",
    "audio": "[sample, time], one channel, from -1 to 1",
    "motion": "[sample, frame, joint, 3], positions of joints in metres",
}
"""What the array of a modality holds, so that strangers' metrics and workloads understand each other.

A modality with a slash, such as `image/digits`, is a kind of what stands before it and holds the same.
Other modalities, such as latents of a model whose decoder is not at hand, hold what their workload says."""


def _as_bones(pairs: Iterable[Iterable[SupportsIndex]]) -> tuple[tuple[int, int], ...]:
    return tuple((index(first), index(second)) for first, second in pairs)


@frozen(kw_only=True, eq=False)
class Samples:
    """`data[sample, ...]` of one modality, made from one seed; `mask_digest` is None for a dense run.

    `rate_hz` is the audio sampling rate or the frame rate, where the modality has one. `lengths[sample]`
    says how many frames count where samples are of different lengths, and the rest is padding. `views` are
    the same samples in other forms, by name, for metrics that are defined on them: `latent`, `humanml3d`.
    `bones` are the pairs of joints of a motion that are connected, for pictures of it.
    """

    modality: str = field(validator=validators.min_len(1))
    data: NDArray[Any]
    seed: int
    mask_digest: str | None = None
    rate_hz: float | None = field(default=None, validator=validators.optional(validators.gt(0)))
    lengths: NDArray[np.int64] | None = None
    views: Mapping[str, NDArray[Any]] = field(factory=dict)
    bones: tuple[tuple[int, int], ...] = field(default=(), converter=_as_bones)

    def __attrs_post_init__(self) -> None:
        if self.data.ndim < 2 or self.data.shape[0] < 1:
            raise InvariantError("must be [sample, ...] with a sample at least", where=self._where)
        for name, array in {"": self.data, **self.views}.items():
            if array.shape[:1] != self.data.shape[:1]:
                raise InvariantError(f"view {name} has other samples than the data", where=self._where)
            if not np.isfinite(array).all():
                raise InvariantError("hold NaN or infinity", where=self._where)
        self._check_lengths()
        self._check_bones()

    def _check_lengths(self) -> None:
        if self.lengths is None:
            return
        if self.lengths.shape != self.data.shape[:1] or self.lengths.dtype != np.int64:
            raise InvariantError("need one length a sample, as int64", where=self._where)
        if self.lengths.min() < 1 or self.lengths.max() > self.data.shape[1]:
            raise InvariantError(f"lengths must be from 1 to {self.data.shape[1]}", where=self._where)

    def _check_bones(self) -> None:
        joints = self.data.shape[2] if self.data.ndim == 4 else 0
        for bone in self.bones:
            if len(set(bone)) != 2 or not set(bone) <= set(range(joints)):
                raise InvariantError(f"bone {bone} connects no two of {joints} joints", where=self._where)

    @property
    def _where(self) -> str:
        return f"{self.modality} samples of seed {self.seed}"

    def __len__(self) -> int:
        return int(self.data.shape[0])

    @property
    def counting(self) -> NDArray[np.int64]:
        """How many frames, or values, of each sample count: its length, or all of them."""
        if self.lengths is not None:
            return self.lengths
        return np.full(len(self), self.data.shape[1], np.int64)

    def view(self, name: str) -> NDArray[Any]:
        """These samples in another form; a metric that needs one which is not there is unavailable."""
        if name not in self.views:
            raise UnavailableError(
                f"needs samples as {name}, and these hold {', '.join(self.views) or 'no other form'}",
                where=self._where,
            )
        return self.views[name]

    def at(self, indices: NDArray[np.int64] | slice) -> Samples:
        """Some of these samples, in the order given."""
        return evolve(
            self,
            data=self.data[indices],
            lengths=None if self.lengths is None else self.lengths[indices],
            views={name: array[indices] for name, array in self.views.items()},
        )

    def to_bytes(self) -> bytes:
        header = {
            "modality": self.modality,
            "seed": self.seed,
            "mask_digest": self.mask_digest,
            "rate_hz": self.rate_hz,
            "bones": self.bones,
        }
        arrays = {"data": self.data, **{f"{_VIEW}{name}": array for name, array in self.views.items()}}
        if self.lengths is not None:
            arrays["lengths"] = self.lengths
        return arrayfile.dump("sample set", SAMPLES_SCHEMA_VERSION, header, arrays)

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
                lengths=arrays.get("lengths"),
                views={
                    name.removeprefix(_VIEW): array
                    for name, array in arrays.items()
                    if name.startswith(_VIEW)
                },
                bones=header["bones"],
            )


_VIEW: Final = "view "


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
