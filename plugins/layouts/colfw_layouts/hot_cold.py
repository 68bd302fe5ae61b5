"""Hot columns first, decided once from stated iterations of a profile and kept for the whole run.

Whether one threshold made the mask or one target a site is the mask's affair: the columns are placed alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from colfw.errors import InvariantError
from colfw.placement import SitePlacement
from colfw_layouts.config import DecideFrom
from colfw_layouts.regions import fetched_under, hot_of, partitioned, with_dense_start

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.masks import SiteMask
    from colfw.profile import SiteProfile
    from colfw_layouts.config import HotColdConfig


class HotCold:
    """The columns that are hot in a deciding iteration make the hot region.

    The weights lie so before the run starts, and nothing moves. A column that is hot again in the cold
    region is fetched by itself; one that is cold in the hot region is fetched with it, unless the region is
    gathered.
    """

    def __init__(self, config: HotColdConfig) -> None:
        self._config = config

    def place(self, profile: SiteProfile, mask: SiteMask) -> SitePlacement:
        hot = hot_of(profile, mask)
        epoch = partitioned(self._decided(hot))
        fetched = fetched_under(hot, epoch.in_hot_region, self._config.hot_region)
        return SitePlacement(site=profile.site, epochs=(epoch,), fetched=with_dense_start(fetched))

    def _decided(self, hot: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Looks at the deciding iterations and at no other."""
        deciding = self._config.deciding_iterations
        if max(deciding) >= len(hot):
            is_union = self._config.decide_from is DecideFrom.UNION
            raise InvariantError(
                f"looks at iteration {max(deciding)}, and the profile ends with iteration {len(hot) - 1}",
                where="union_of" if is_union else "decide_from",
                hint=f"run more iterations, or use decide_from = {DecideFrom.ITERATION_0.value!r}",
            )
        return np.asarray(hot[list(deciding)].any(axis=0), np.bool_)
