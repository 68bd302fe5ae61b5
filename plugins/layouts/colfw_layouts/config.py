"""What one may choose about a layout: light to import, for studies are checked with it."""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen

from colfw.errors import InvariantError
from colfw.typed import distinct, each, non_negative, not_empty, positive


class Fetch(StrEnum):
    """What a layout without regions brings from DRAM after iteration 0."""

    NEEDED = "needed"
    """The hot columns, wherever they lie."""
    ALL = "all"
    """Every column: work is skipped, traffic is not. Tells what skipping work alone saves."""


class HotRegion(StrEnum):
    """How the hot region is brought from DRAM. The cold region is fetched column by column in any case."""

    STREAM = "stream"
    """In one piece: what lies in it is fetched, cold or not."""
    GATHER = "gather"
    """Column by column: what is cold in it is skipped, and the stream is broken there."""


class DecideFrom(StrEnum):
    """The iterations from which a layout is decided; a column hot in any of them goes to the hot region."""

    ITERATION_0 = "iteration-0"
    FIRST_SPARSE = "first-sparse"
    """Iteration 1."""
    UNION = "union"
    """The iterations that `union_of` lists."""


UNION_OF = (0, 1)


@frozen(kw_only=True)
class RowMajorConfig:
    """Options of columns in their own order."""

    fetch: Fetch = field(default=Fetch.NEEDED, converter=Fetch)
    """Whether columns that are not hot are left where they are (`needed`) or fetched as well (`all`)."""


@frozen(kw_only=True)
class HotColdConfig:
    """Options of a partition that is decided once, before the run."""

    decide_from: DecideFrom = field(default=DecideFrom.ITERATION_0, converter=DecideFrom)
    """Iteration 0 by default: all that is known when the first column can be skipped."""
    union_of: tuple[int, ...] = field(default=UNION_OF, validator=(not_empty, distinct, each(non_negative)))
    """The iterations of `decide_from = "union"`."""
    hot_region: HotRegion = field(default=HotRegion.STREAM, converter=HotRegion)

    def __attrs_post_init__(self) -> None:
        if self.union_of != UNION_OF and self.decide_from is not DecideFrom.UNION:
            raise InvariantError(
                f"means nothing with decide_from = {self.decide_from.value!r}",
                where="union_of",
                hint=f"write decide_from = {DecideFrom.UNION.value!r}",
            )

    @property
    def deciding_iterations(self) -> tuple[int, ...]:
        """The iterations that a decision looks at."""
        single = {DecideFrom.ITERATION_0: (0,), DecideFrom.FIRST_SPARSE: (1,)}
        return single.get(self.decide_from, self.union_of)


@frozen(kw_only=True)
class DynamicConfig:
    """Options of a partition that is decided again while the model runs."""

    hot_region: HotRegion = field(default=HotRegion.STREAM, converter=HotRegion)
    check_every: int = field(default=1, validator=positive)
    """Iterations from one question, whether to move, to the next."""
    look_back: int = field(default=8, validator=positive)
    """How many iterations, all under the present partition, tell how often each column is hot."""
    horizon: int = field(default=8, validator=positive)
    """For how many iterations what was seen is expected to last; never beyond the end of the run."""
    row_tile: int = field(default=16, validator=positive)
    """Rows that share one pass of the machine over the weights: with more rows a unit is fetched several
    times an iteration, and still moved once."""
    scattered_extra: float = field(default=0.1, validator=non_negative)
    """What fetching a hot column from the cold region is taken to cost beyond its bytes, as a share of them:
    its DRAM rows are opened for it alone."""
