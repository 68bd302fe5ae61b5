"""What numbers rest on, in sentences: for the page, for the end of a run and for every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from colfw.store.tables import Table

_SENTENCES: Final[Mapping[str, str]] = {
    "measured": "Activations were measured on real weights",
    "measured-random": "Activations were measured on seeded random weights: they show shapes and"
    " mechanics, not the sparsity of a trained model",
    "synthesised": "Activations were synthesised to published statistics: no model was run",
}


def evidence_sentences(tables: Mapping[str, Table]) -> str:
    """What the numbers of a run rest on, in words."""
    profiles = tables.get("profiles")
    kinds = sorted({str(row["evidence"]) for row in profiles.rows}) if profiles else []
    sentences = " ".join(f"{_SENTENCES[kind]}." for kind in kinds)
    if len(kinds) > 1:
        return f"This run mixes sources; the column `evidence` says which number rests on which. {sentences}"
    return sentences


def evidence_of(found: Iterable[tuple[str, str]]) -> str:
    """What the numbers of some workloads rest on, from pairs of workload and evidence.

    >>> evidence_of([("dit", "measured"), ("edge", "measured")])
    'Activations were measured on real weights.'
    >>> evidence_of([("dit", "measured"), ("edge", "synthesised"), ("mld", "synthesised")])[42:]
    '(dit). Activations were synthesised to published statistics: no model was run (edge, mld).'
    """
    workloads: dict[str, set[str]] = {}
    for workload, kind in found:
        workloads.setdefault(kind, set()).add(workload)
    if len(workloads) == 1:
        return f"{_SENTENCES[next(iter(workloads))]}."
    return " ".join(
        f"{_SENTENCES[kind]} ({', '.join(sorted(workloads[kind]))})." for kind in sorted(workloads)
    )
