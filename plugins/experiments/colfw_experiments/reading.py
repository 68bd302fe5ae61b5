"""The tables of a run, as experiments ask for them. What a run does not have is None or empty.

An experiment compares one seed; where a study has several, the first one speaks. Sparsities are in percent.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import define, frozen

from colfw.masks import MaskPolicy
from colfw.report.evidence import evidence_of
from colfw_experiments.studied import OPERATING_POINT, SEVEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Row = Mapping[str, Any]
    Tables = Mapping[str, Sequence[Row]]

DENSE = MaskPolicy.dense().label
UNIFORM = MaskPolicy.uniform(OPERATING_POINT).label
PER_LAYER = MaskPolicy.per_layer(OPERATING_POINT).label

ROW_MAJOR = "row-major"


@frozen(kw_only=True)
class Iteration:
    """The hot columns of all sites of a workload in one iteration, counted together."""

    columns: int
    cold: int
    elements: float | None
    """Element sparsity in percent; None where elements were not counted."""
    kept: float | None
    """The Jaccard of its hot columns and those of the iteration before; None for the first."""

    @property
    def column_sparsity(self) -> float:
        return 100 * self.cold / self.columns


@define
class Found:
    """What a run found, read by workload."""

    tables: Tables

    def _rows(self, table: str) -> Sequence[Row]:
        return self.tables.get(table, ())

    @property
    def basis(self) -> str:
        """What the numbers rest on, in words."""
        rows = self._rows("profiles")
        return evidence_of((row["workload"], row["evidence"]) for row in rows) if rows else ""

    @property
    def workloads(self) -> list[str]:
        """The workloads of the run, in the order of the study of the publication."""
        profiled = dict.fromkeys(row["workload"] for row in self._rows("profiles"))
        return [name for name in SEVEN if name in profiled]

    # --- machines -------------------------------------------------------------------------------

    @cached_property
    def _totals(self) -> dict[tuple[str, ...], Row]:
        return _first(self._rows("totals"), ("workload", "machine", "layout", "mask"))

    def total(self, workload: str, machine: str, layout: str = ROW_MAJOR, mask: str = DENSE) -> Row | None:
        """The whole run of one case."""
        return self._totals.get((workload, machine, layout, mask))

    def reduction(self, workload: str, machine: str, layout: str, mask: str) -> float | None:
        """By how many percent of the dense run's cycles a layout under a mask takes less."""
        found = self.total(workload, machine, layout, mask)
        return None if found is None or found["cycle_reduction"] is None else 100 * found["cycle_reduction"]

    # --- quality --------------------------------------------------------------------------------

    @cached_property
    def _scores(self) -> dict[tuple[str, ...], Row]:
        return _first(self._rows("scores"), ("workload", "metric", "mask"))

    def score(self, workload: str, metric: str, mask: str) -> Row | None:
        """What a metric found of masked samples, or why it found nothing."""
        return self._scores.get((workload, metric, mask))

    # --- activations ----------------------------------------------------------------------------

    @cached_property
    def sites(self) -> dict[str, list[Row]]:
        """The sites of each workload, in order."""
        return _grouped(self._rows("sites"), "workload")

    @cached_property
    def _sparsity(self) -> dict[tuple[str, str], list[Row]]:
        seeds = _first(self._rows("sparsity"), ("workload", "mask"))
        found: dict[tuple[str, str], list[Row]] = {case: [] for case in seeds}
        for row in self._rows("sparsity"):
            case = row["workload"], row["mask"]
            if row["seed"] == seeds[case]["seed"]:
                found[case].append(row)
        return found

    def layers(self, workload: str, mask: str = UNIFORM) -> dict[str, list[float]]:
        """Column sparsity of each site in each iteration."""
        by_site = _grouped(self._sparsity.get((workload, mask), ()), "site")
        return {
            site: [100 * row["column_sparsity"] for row in sorted(rows, key=_iteration)]
            for site, rows in by_site.items()
        }

    def iterations(self, workload: str, mask: str = UNIFORM) -> list[Iteration]:
        """All sites together, in each iteration."""
        weights = {row["site"]: row["rows"] for row in self.sites.get(workload, ())}
        by_iteration = _grouped(self._sparsity.get((workload, mask), ()), "iteration")
        before: dict[str, int] = {}
        found = []
        for _, rows in sorted(by_iteration.items()):
            found.append(_together(rows, weights, before))
            before = {row["site"]: row["hot_columns"] for row in rows}
        return found

    def regime(self, workload: str, mask: str = UNIFORM) -> Row | None:
        """The verdict over hot sets, with the numbers behind it."""
        return _first(self._rows("regimes"), ("workload", "mask")).get((workload, mask))

    def calibrated(self, workload: str, mask: str = PER_LAYER) -> list[float]:
        """The threshold of each site that meets a target."""
        rows = [
            row for row in self._rows("calibration") if (row["workload"], row["mask"]) == (workload, mask)
        ]
        return [row["tau"] for row in rows if row["seed"] == rows[0]["seed"]]


def mean_of_sparse(iterations: Sequence[Iteration]) -> float | None:
    """Mean column sparsity of iterations 1 and later."""
    sparse = [iteration.column_sparsity for iteration in iterations[1:]]
    return sum(sparse) / len(sparse) if sparse else None


def mean_of_elements(iterations: Sequence[Iteration]) -> float | None:
    """Mean element sparsity of iterations 1 and later, where it was counted."""
    counted = [iteration.elements for iteration in iterations[1:] if iteration.elements is not None]
    return sum(counted) / len(counted) if counted else None


def _together(rows: Sequence[Row], weights: Mapping[str, int], before: Mapping[str, int]) -> Iteration:
    columns = sum(row["columns"] for row in rows)
    return Iteration(
        columns=columns,
        cold=columns - sum(row["hot_columns"] for row in rows),
        elements=_elements(rows, weights),
        kept=_kept(rows, before),
    )


def _elements(rows: Sequence[Row], weights: Mapping[str, int]) -> float | None:
    """Element sparsity of all sites together: a site weighs as much as it has elements."""
    if any(row["element_sparsity"] is None or row["site"] not in weights for row in rows):
        return None
    elements = [weights[row["site"]] * row["columns"] for row in rows]
    cold = sum(row["element_sparsity"] * count for row, count in zip(rows, elements, strict=True))
    return float(100 * cold / sum(elements))


def _kept(rows: Sequence[Row], before: Mapping[str, int]) -> float | None:
    """The Jaccard of all sites together, out of those of each site and its hot columns then and now.

    With Jaccard J, sets of a and b columns share J (a + b) / (1 + J): that is the rule solved for it.
    """
    if not before:
        return None
    both = [before[row["site"]] + row["hot_columns"] for row in rows]
    shared = sum(row["jaccard"] * hot / (1 + row["jaccard"]) for row, hot in zip(rows, both, strict=True))
    return float(shared / (sum(both) - shared)) if sum(both) else 1.0


def _iteration(row: Row) -> int:
    return int(row["iteration"])


def _first(rows: Iterable[Row], key: Sequence[str]) -> dict[Any, Row]:
    """The first row of each key: of several seeds, the first."""
    found: dict[Any, Row] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in key), row)
    return found


def _grouped(rows: Iterable[Row], key: str) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found
