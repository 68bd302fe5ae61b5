"""Published activations: a seeded synthesis with the statistics that the study of activation concentration
states.

No network is run. Column maxima and element counts are made so that every threshold sees what was published
for it: `targets` holds the published numbers, `recipe` what each workload is made to and what had to be
assumed, `sparsity` and `columns` the method, `comparison` the table of target against achieved. Whatever is
made here is labelled as synthesised wherever it appears (`SourceKind.PUBLISHED`).
"""

from __future__ import annotations

from colfw_workloads.published.columns import synthesise
from colfw_workloads.published.comparison import Row, render, report
from colfw_workloads.published.targets import CONTRADICTIONS, TARGETS, Contradiction, Target

__all__ = ["CONTRADICTIONS", "TARGETS", "Contradiction", "Row", "Target", "render", "report", "synthesise"]
