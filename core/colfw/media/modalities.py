"""Which modality is shown how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from colfw.errors import UnavailableError
from colfw.media.arrays import Arrays
from colfw.media.audio import Audio
from colfw.media.images import Images
from colfw.media.motion import Motions
from colfw.media.video import Videos
from colfw.samples import FORMS
from colfw.vocabulary import is_kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from colfw.media.row import Medium
    from colfw.samples import Samples


@frozen
class _Shown:
    """The form that a modality has, and what shows it."""

    axes: int
    sized: Mapping[int, tuple[int, ...]]
    """The sizes that an axis may have."""
    medium: Callable[[Samples], Medium]


_SHOWN: Final[Mapping[str, _Shown]] = {
    "image": _Shown(4, {1: (1, 3)}, lambda _: Images()),
    "video": _Shown(5, {2: (1, 3)}, lambda samples: Videos(rate_hz=samples.rate_hz)),
    "audio": _Shown(2, {}, lambda samples: Audio.at(samples.rate_hz)),
    "motion": _Shown(4, {3: (3,)}, Motions.like),
}


def medium_of(samples: Samples) -> Medium:
    """What shows samples of this modality, or of a kind of it; numbers where there is nothing to show."""
    for modality, shown in _SHOWN.items():
        if is_kind_of(samples.modality, modality):
            _check_form(samples, modality, shown)
            return shown.medium(samples)
    return Arrays()


def _check_form(samples: Samples, modality: str, shown: _Shown) -> None:
    shape = samples.data.shape
    fits = len(shape) == shown.axes and all(shape[axis] in sizes for axis, sizes in shown.sized.items())
    if not fits or 0 in shape:
        raise UnavailableError(
            f"cannot be shown: their shape is {list(shape)}, and {modality} is {FORMS[modality]}",
            where=f"{samples.modality} samples of seed {samples.seed}",
        )
