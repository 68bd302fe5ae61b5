"""Placements: in which slot of DRAM each column lies, and what is fetched in each iteration.

A layout policy decides a placement from stated iterations and never peeks ahead. What it cannot skip
later (a column hot again in the cold region, or cold inside the hot region) is fetched as the
hardware would, and `fetched` says so.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen, validators

from colfw import arrayfile
from colfw.addresses import runs_of
from colfw.errors import InvariantError
from colfw.sites import Site, check_distinct

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PLACEMENT_SCHEMA_VERSION = 1


@frozen(kw_only=True, eq=False)
class Epoch:
    """A stretch of iterations during which nothing moves: column c lies in slot `slot_of_column[c]`.

    The first `hot_slots` slots are the hot region. `moved_columns` is how many columns changed slots
    to get here from the epoch before: each is read and written once, which must be paid for.
    """

    first_iteration: int = field(validator=validators.ge(0))
    slot_of_column: NDArray[np.int64]
    hot_slots: int
    moved_columns: int = field(default=0, validator=validators.ge(0))

    def __attrs_post_init__(self) -> None:
        columns = self.slot_of_column.size
        counted = self.slot_of_column.dtype.kind in "iu"
        if not counted or not np.array_equal(np.sort(self.slot_of_column), np.arange(columns)):
            raise InvariantError("must be a bijection of columns to slots", where="slot_of_column")
        if not 0 <= self.hot_slots <= columns:
            raise InvariantError(f"{self.hot_slots} is outside 0..{columns}", where="hot_slots")

    @property
    def in_hot_region(self) -> NDArray[np.bool_]:
        """True for the columns that lie in the hot region."""
        return np.asarray(self.slot_of_column < self.hot_slots, np.bool_)

    @property
    def column_of_slot(self) -> NDArray[np.int64]:
        """The inverse: which column lies in each slot."""
        return np.argsort(self.slot_of_column, kind="stable")


@frozen(kw_only=True, eq=False)
class SitePlacement:
    """The placement of one site over a whole run: a static layout has one epoch, a dynamic one several."""

    site: Site
    epochs: tuple[Epoch, ...]
    fetched: NDArray[np.bool_]
    """`[iteration, column]`: what is brought from DRAM, needed or not."""

    def __attrs_post_init__(self) -> None:
        where = f"placement of site {self.site.name}"
        if self.fetched.dtype != np.bool_ or self.fetched.ndim != 2:
            raise InvariantError("fetched must be flags [iteration, column]", where=where)
        widths = {self.fetched.shape[1], *(epoch.slot_of_column.size for epoch in self.epochs)}
        if widths != {self.site.columns}:
            raise InvariantError(f"must cover {self.site.columns} columns", where=where)
        starts = [epoch.first_iteration for epoch in self.epochs]
        if starts[:1] != [0] or starts != sorted(set(starts)) or starts[-1] >= len(self.fetched):
            raise InvariantError(
                f"epochs must start at 0 and ascend within the run, not at {starts}", where=where
            )
        if self.epochs[0].moved_columns:
            raise InvariantError("the first epoch cannot have moved anything", where=where)
        self._check_moves(where)

    def _check_moves(self, where: str) -> None:
        for before, after in itertools.pairwise(self.epochs):
            changed = int(np.count_nonzero(before.slot_of_column != after.slot_of_column))
            if changed != after.moved_columns:
                raise InvariantError(
                    f"{changed} columns change slots before iteration {after.first_iteration},"
                    f" and moved_columns says {after.moved_columns}",
                    where=where,
                )

    def epoch_at(self, iteration: int) -> Epoch:
        """The epoch that an iteration falls in."""
        started = [epoch for epoch in self.epochs if epoch.first_iteration <= iteration]
        return started[-1]

    def fetched_slots(self, iteration: int) -> NDArray[np.int64]:
        """The slots brought from DRAM in an iteration, ascending."""
        slots = self.epoch_at(iteration).slot_of_column[self.fetched[iteration]]
        return np.sort(slots)

    def fetched_runs(self, iteration: int) -> tuple[tuple[int, int], ...]:
        """The same as maximal runs `(first slot, how many)`: each is one contiguous piece of every matrix."""
        return runs_of(self.fetched_slots(iteration))

    def moves_before(self, iteration: int) -> tuple[tuple[int, int], ...]:
        """`(old slot, new slot)` of each column that moves before this iteration, by old slot.

        Empty unless an epoch begins here that moves something.
        """
        if iteration == 0:
            return ()
        old = self.epoch_at(iteration - 1).slot_of_column
        new = self.epoch_at(iteration).slot_of_column
        changed = np.flatnonzero(old != new)
        return tuple(sorted(zip(old[changed].tolist(), new[changed].tolist(), strict=True)))

    def check_serves(self, hot: NDArray[np.bool_]) -> None:
        """Raise unless every hot column is fetched in the iteration that needs it."""
        where = f"placement of site {self.site.name}"
        if hot.shape != self.fetched.shape:
            raise InvariantError(
                f"the mask is of shape {hot.shape}, the placement of {self.fetched.shape}", where=where
            )
        missing = hot & ~self.fetched
        if missing.any():
            iteration, column = np.argwhere(missing)[0].tolist()
            raise InvariantError(
                f"column {column} is hot in iteration {iteration} and is not fetched", where=where
            )


@frozen(kw_only=True, eq=False)
class Placement:
    """The placements of all sites of a workload under one layout policy."""

    layout: str
    sites: tuple[SitePlacement, ...]

    def __attrs_post_init__(self) -> None:
        check_distinct(tuple(entry.site for entry in self.sites), f"placement by {self.layout}")

    def to_bytes(self) -> bytes:
        header = {
            "layout": self.layout,
            "sites": [_site_header(entry) for entry in self.sites],
        }
        arrays: dict[str, NDArray[Any]] = {}
        for index, entry in enumerate(self.sites):
            arrays[f"fetched/{index}"] = entry.fetched
            for number, epoch in enumerate(entry.epochs):
                arrays[f"slots/{index}/{number}"] = epoch.slot_of_column
        return arrayfile.dump("placement", PLACEMENT_SCHEMA_VERSION, header, arrays)

    @classmethod
    def from_file(cls, path: Path) -> Placement:
        header, arrays = arrayfile.load(path, "placement", PLACEMENT_SCHEMA_VERSION)
        with arrayfile.refusing_inconsistency(path):
            sites = tuple(
                SitePlacement(
                    site=Site.from_json(data["site"]),
                    epochs=tuple(
                        Epoch(slot_of_column=arrays[f"slots/{index}/{number}"], **epoch)
                        for number, epoch in enumerate(data["epochs"])
                    ),
                    fetched=arrays[f"fetched/{index}"],
                )
                for index, data in enumerate(header["sites"])
            )
            return cls(layout=header["layout"], sites=sites)


def _site_header(entry: SitePlacement) -> dict[str, Any]:
    epochs = [
        {
            "first_iteration": epoch.first_iteration,
            "hot_slots": epoch.hot_slots,
            "moved_columns": epoch.moved_columns,
        }
        for epoch in entry.epochs
    ]
    return {"site": entry.site.to_json(), "epochs": epochs}
