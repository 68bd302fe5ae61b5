"""A static hot-cold layout."""

import numpy as np

from colfw.masks import SiteMask
from colfw.placement import Epoch, SitePlacement
from colfw.profile import SiteProfile


class HotFirst:
    """Columns hot in iteration 0 come first, in their old order; what is hot later is fetched as well."""

    def place(self, profile: SiteProfile, mask: SiteMask) -> SitePlacement:
        hot_at_first = mask.hot[0]
        column_of_slot = np.argsort(~hot_at_first, kind="stable")
        epoch = Epoch(
            first_iteration=0,
            slot_of_column=np.argsort(column_of_slot),
            hot_slots=int(np.count_nonzero(hot_at_first)),
        )
        # The hot region is fetched whole; beyond it, only what is hot. Iteration 0 is dense.
        fetched = mask.hot | hot_at_first
        fetched[0] = True
        return SitePlacement(site=profile.site, epochs=(epoch,), fetched=fetched)
