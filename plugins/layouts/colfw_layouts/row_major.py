"""Columns in their own order, as a framework stores a matrix: what all other layouts are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw.placement import SitePlacement
from colfw_layouts.config import Fetch
from colfw_layouts.regions import hot_of, natural_order, with_dense_start

if TYPE_CHECKING:
    from colfw.masks import SiteMask
    from colfw.profile import SiteProfile
    from colfw_layouts.config import RowMajorConfig


class RowMajor:
    """Nothing is decided: column c lies in slot c throughout."""

    def __init__(self, config: RowMajorConfig) -> None:
        self._fetch = config.fetch

    def place(self, profile: SiteProfile, mask: SiteMask) -> SitePlacement:
        hot = hot_of(profile, mask)
        fetched = hot if self._fetch is Fetch.NEEDED else np.ones_like(hot)
        return SitePlacement(
            site=profile.site,
            epochs=(natural_order(profile.site.columns),),
            fetched=with_dense_start(fetched),
        )
