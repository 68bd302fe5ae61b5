"""The plugins beside the main line: an observer of activations, a listener, a section of the report."""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colfw.profile import Statistics
from colfw.protocols import StageEvent
from colfw.sites import Site


class ValueRange:
    """Makes an observer of smallest and largest values for each run."""

    def start(self, sites: Sequence[Site], *, iterations: int) -> "RangeFold":
        return RangeFold(sites, iterations)


class RangeFold:
    """Folds activations into their smallest and largest value, by site and iteration."""

    def __init__(self, sites: Sequence[Site], iterations: int) -> None:
        self._low = {site.name: np.full(iterations, np.inf, np.float32) for site in sites}
        self._high = {site.name: np.full(iterations, -np.inf, np.float32) for site in sites}

    def observe(self, site: Site, iteration: int, activation: ArrayLike) -> None:
        values: NDArray[Any] = np.asarray(activation)
        low, high = self._low[site.name], self._high[site.name]
        low[iteration] = min(low[iteration], values.min())
        high[iteration] = max(high[iteration], values.max())

    def statistics(self) -> Statistics:
        return {name: {"low": low, "high": self._high[name]} for name, low in self._low.items()}


class Diary:
    """Appends a line for each stage event to the file that TINY_DIARY names."""

    def __init__(self) -> None:
        named = os.environ.get("TINY_DIARY")
        self._path = Path(named) if named else None

    def _note(self, what: str, event: StageEvent) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as diary:
                diary.write(f"{what} {event.stage}: {event.label}\n")

    def stage_started(self, event: StageEvent) -> None:
        self._note("started", event)

    def stage_finished(self, event: StageEvent) -> None:
        self._note("finished", event)

    def stage_failed(self, event: StageEvent) -> None:
        self._note("failed", event)


class Note:
    """One sentence about the case that saves the most."""

    def render(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[str, str]:
        rows = [row for row in tables.get("totals", ()) if row["cycle_reduction"] is not None]
        if not rows:
            return "Tiny note", "<p>Nothing was simulated against a dense run.</p>"
        best = max(rows, key=lambda row: float(row["cycle_reduction"]))
        case = escape(f"{best['layout']} at {best['mask']} on {best['machine']}")
        percent = 100 * float(best["cycle_reduction"])
        return "Tiny note", f"<p>{case} saves the most: {percent:.1f} % of the core cycles.</p>"
