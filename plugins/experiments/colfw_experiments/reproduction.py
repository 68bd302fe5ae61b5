"""A reproduction: a study, what its tables are held against, and how both are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from colfw_experiments.reading import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from colfw.comparison import Comparison
    from colfw.report.figures import Figure
    from colfw_experiments.reading import Tables


@frozen(kw_only=True)
class Reproduction:
    """One table or figure of the publication."""

    plan: Mapping[str, Any]
    compare: Callable[[Found], Iterable[Comparison]]
    draw: Callable[[Found], Iterable[Figure]]

    def study(self) -> Mapping[str, Any]:
        return self.plan

    def comparisons(self, tables: Tables) -> Sequence[Comparison]:
        return tuple(self.compare(Found(tables)))

    def figures(self, tables: Tables) -> Sequence[Figure]:
        return tuple(self.draw(Found(tables)))
