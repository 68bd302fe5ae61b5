"""Studies ready to run: a tour, the publication's tables and figures, and a machine's knobs one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colfw import hookimpl
from colfw.records import ExperimentSpec

if TYPE_CHECKING:
    from collections.abc import Iterator


_REPRODUCTIONS = (
    ("table1", "table1:table1", "Table 1: the models and their feed-forward layers"),
    ("table3", "table3:table3", "Table 3: ticks of the dense run, and where they go"),
    ("table4", "reductions:table4", "Table 4: cycle reduction beside loss of quality"),
    ("fig6", "activations:fig6", "Figure 6: sparsity by element and by whole column"),
    ("fig7", "activations:fig7", "Figure 7: column sparsity over iterations"),
    ("fig8", "activations:fig8", "Figure 8: column sparsity of each layer against its rows"),
    ("fig9", "activations:fig9", "Figure 9: how much of the hot columns stays, over iterations"),
    ("fig10", "activations:fig10", "Figure 10: how much of the hot columns stays, on average"),
    ("fig11", "reductions:fig11", "Figure 11: cycle reduction with one threshold"),
    ("fig12", "reductions:fig12", "Figure 12: cycle reduction with a threshold a layer"),
    ("fig13", "reductions:fig13", "Figure 13: both beside each other at the operating point"),
    ("fig14", "quality:fig14", "Figure 14: loss of quality against cycles saved"),
    ("fig15", "quality:fig15", "Figure 15: loss of quality over thresholds"),
)
"""Name, what makes it, and a line to read."""


@hookimpl
def colfw_experiments() -> Iterator[ExperimentSpec]:
    yield ExperimentSpec(
        name="tour",
        summary="Miniatures for real and the study's workloads, both machines, three layouts",
        api_version=1,
        group="tour",
        factory="colfw_experiments.tour:Tour",
    )
    yield ExperimentSpec(
        name="trade-off",
        summary="Quality of the miniatures against cycles saved, over thresholds and target ratios",
        api_version=1,
        group="trade-off",
        factory="colfw_experiments.trade_off:TradeOff",
    )
    for name, factory, summary in _REPRODUCTIONS:
        yield ExperimentSpec(
            name=name,
            summary=summary,
            api_version=1,
            group="reproduction",
            factory=f"colfw_experiments.{factory}",
        )
    yield from _ablations()


def _ablations() -> Iterator[ExperimentSpec]:
    from colfw_experiments.knobs import KNOBS  # noqa: PLC0415  (read only when plugins are listed)

    for knob in KNOBS:
        yield ExperimentSpec(
            name=knob().name,
            summary=knob().title,
            api_version=1,
            group="ablation",
            factory=f"{knob.__module__}:{knob.__name__}",
        )
    yield ExperimentSpec(
        name="roofline",
        summary="Each workload under the roofs of both machines",
        api_version=1,
        group="ablation",
        factory="colfw_experiments.roofline:Roofline",
    )
