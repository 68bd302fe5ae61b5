"""What all layouts with a hot and a cold region share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw.errors import InvariantError
from colfw.placement import Epoch
from colfw_layouts.config import HotRegion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.masks import SiteMask
    from colfw.profile import SiteProfile

    Flags = NDArray[np.bool_]


def hot_of(profile: SiteProfile, mask: SiteMask) -> Flags:
    """The hot columns `[iteration, column]`; a mask that is not one of this profile is refused."""
    if mask.site != profile.site:
        raise InvariantError(
            f"is of another site than the profile of {profile.site.name}",
            where=f"mask of site {mask.site.name}",
        )
    if mask.hot.shape != profile.maxima.shape:
        raise InvariantError(
            f"is of shape {mask.hot.shape}, the profile of {profile.maxima.shape}",
            where=f"mask of site {mask.site.name}",
        )
    return mask.hot


def natural_order(columns: int) -> Epoch:
    """Every column in the slot of its own number; all slots are one region."""
    return Epoch(first_iteration=0, slot_of_column=np.arange(columns, dtype=np.int64), hot_slots=columns)


def partitioned(in_region: Flags) -> Epoch:
    """The columns of the hot region first, then the others, both in their natural order."""
    column_of_slot = np.argsort(~in_region, kind="stable")
    return Epoch(
        first_iteration=0,
        slot_of_column=np.argsort(column_of_slot, kind="stable"),
        hot_slots=int(np.count_nonzero(in_region)),
    )


def with_dense_start(fetched: Flags) -> Flags:
    """Iteration 0 computes every column, so it fetches every column."""
    fetched = fetched.copy()
    fetched[0] = True
    return fetched


def fetched_under(hot: Flags, in_region: Flags, hot_region: HotRegion) -> Flags:
    """What is brought from DRAM: what is hot, and with a stream all that lies in the hot region."""
    return hot | in_region if hot_region is HotRegion.STREAM else hot
