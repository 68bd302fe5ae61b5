"""Table 4's quality and Figures 14 and 15: published losses beside what this machine could measure.

A synthesised profile has no samples. Who has weights runs the same experiments with `source` set to
checkpoint and the metrics added, and the cells fill; until then each is empty and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from colfw.comparison import Comparison
from colfw.masks import MaskPolicy
from colfw.report.figures.shapes import lines, scatter
from colfw.store.tables import Column
from colfw_experiments.claims import ANY_MACHINE, Claims
from colfw_experiments.machines import PAPER
from colfw_experiments.pictures import WORKLOAD, Picture, percent, text
from colfw_experiments.published import TABLE4_QUALITY
from colfw_experiments.reading import UNIFORM
from colfw_experiments.reproduction import Reproduction
from colfw_experiments.studied import (
    GATHERED,
    OPERATING_POINT,
    SEVEN,
    STREAMED,
    SWEEP,
    activations_of_seven,
    layouts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from colfw.report.figures import Figure
    from colfw_experiments.published import Published
    from colfw_experiments.reading import Found

    Row = Mapping[str, Any]

METRICS: Final = {
    "FID": "fid",
    "LPIPS": "lpips",
    "FVD": "fvd",
    "FAD": "fad",
    "PESQ": "pesq",
    "MPJPE": "mpjpe",
    "mFID": "mfid",
    "BAS": "bas",
}
"""What the publication calls a metric, and what it is called here."""

_NOT_MEASURED: Final = (
    "not measured: needs the released weights of the model and the metric (see docs/quality.md); a"
    " synthesised profile has no samples to compare"
)
_NO_UNITS: Final = "no bound: the publication names neither units, nor how many samples, nor which variant"


def fig14() -> Reproduction:
    return Reproduction(plan=_study((OPERATING_POINT,)), compare=compare_fig14, draw=gaps)


def fig15() -> Reproduction:
    return Reproduction(plan=_study(SWEEP), compare=compare_fig15, draw=degradation)


def _study(thresholds: tuple[float, ...]) -> dict[str, Any]:
    """With both ways of the layout, as Figure 11 has them: alone, the first would go by another label."""
    both = layouts("row-major", GATHERED, STREAMED)
    return activations_of_seven(thresholds, layouts=both, machines=[dict(PAPER)])


# --- Table 4 and Figure 14 ------------------------------------------------------------------------


def compare_quality(claims: Claims, found: Found) -> Iterator[Comparison]:
    """Each published loss, with what was measured of it or the reason why nothing was."""
    for published in TABLE4_QUALITY:
        score = found.score(published.model, metric_of(published), UNIFORM)
        yield claims.shown(published, _value(score), _note(score))


def metric_of(published: Published) -> str:
    return _here(published.model, published.quantity.partition(",")[0])


def _here(model: str, metric: str) -> str:
    """The evaluator of HumanML3D knows no dances: EDGE's motion FID must be one of those of AIST++."""
    return "dance-fid-kinetic" if (model, metric) == ("edge", "mFID") else METRICS[metric]


def _value(score: Row | None) -> float | None:
    return None if score is None else score["value"]


def _note(score: Row | None) -> str:
    if score is None:
        return _NOT_MEASURED
    if score["value"] is None:
        return f"not measured: {score['note']}"
    return f"{_NO_UNITS}; ours in {score['unit']}" if score["unit"] != "1" else _NO_UNITS


_FIG14: Final = Claims(table="fig14")


def compare_fig14(found: Found) -> Iterator[Comparison]:
    return compare_quality(_FIG14, found)


_METRIC: Final = text("metric", "The metric, as the publication calls it")
_FROM: Final = text("number", "Published, or measured here")
_GAP: Final = Column("gap", "real", "see metric", "How far masked samples are from dense ones")
_SAVED: Final = percent("cycle_reduction", "Cycles saved on `paper` at the operating point")


def gaps(found: Found) -> tuple[Figure, ...]:
    """Losses against cycles saved, each workload with its two metrics."""
    rows = [row for published in TABLE4_QUALITY for row in _gap_rows(found, published)]
    if not rows:
        return ()
    picture = Picture(
        name="fig14-quality",
        title=f"Figure 14: loss of quality against cycles saved at {OPERATING_POINT:g}",
        caption="Each metric in its own unit. Published losses stand at the reduction simulated here."
        f" {found.basis}",
        key=(WORKLOAD, _METRIC, _FROM),
        ours=(_SAVED, _GAP),
    )
    return (
        scatter(
            picture.table(rows),
            title=picture.title,
            caption=picture.caption,
            x=_SAVED.name,
            y=_GAP.name,
            series=_FROM.name,
            panel=_METRIC.name,
            logs=(_GAP.name,),
        ),
    )


def _gap_rows(found: Found, published: Published) -> Iterator[Row]:
    saved = found.reduction(published.model, str(PAPER["name"]), GATHERED, UNIFORM)
    score = found.score(published.model, metric_of(published), UNIFORM)
    known = {"published": published.span[0], "measured here": _value(score)}
    for number, gap in known.items():
        if saved is not None and gap:  # a logarithmic axis has no place for nothing
            yield {
                WORKLOAD.name: published.model,
                _METRIC.name: published.quantity.partition(",")[0],
                _FROM.name: number,
                _SAVED.name: saved,
                _GAP.name: gap,
            }


# --- Figure 15 ------------------------------------------------------------------------------------

_JUMPS: Final = (
    ("dit-xl-2", "FID", SWEEP[0], SWEEP[-1]),
    ("mdm", "mFID", OPERATING_POINT, 0.17),
    ("mld", "mFID", OPERATING_POINT, 0.17),
)
"""What section 5.5 says rises, and from which threshold to which; the text lost by how much."""
_LOST: Final = "the text says that it rises, and lost by how much"


def compare_fig15(found: Found) -> Iterator[Comparison]:
    for model, metric, low, high in _JUMPS:
        scores = [
            found.score(model, _here(model, metric), MaskPolicy.uniform(tau).label) for tau in (low, high)
        ]
        rise = _quotient(*map(_value, scores))
        missing = next((_note(score) for score in scores if score is None or score["value"] is None), "")
        yield Comparison(
            table="fig15",
            model=model,
            quantity=f"{metric} at {high:g} over that at {low:g}",
            unit="1",
            machine=ANY_MACHINE,
            published=None,
            printed_tolerance=None,
            ours=rise,
            note="; ".join(filter(None, (_LOST, missing))),
        )


def _quotient(low: float | None, high: float | None) -> float | None:
    return None if not low or high is None else high / low


_ALONG: Final = Column("threshold", "real", "1", "Threshold of all layers")
_RELATIVE: Final = Column("degradation", "real", "1", f"Score over that at {OPERATING_POINT:g}")


def degradation(found: Found) -> tuple[Figure, ...]:
    """Scores over those at the operating point, of what was measured; nothing where nothing was."""
    rows = [row for model in SEVEN for metric in METRICS for row in _degraded(found, model, metric)]
    if not rows:
        return ()
    picture = Picture(
        name="fig15-degradation",
        title="Figure 15: accuracy degradation over thresholds",
        caption=f"Scores relative to those at {OPERATING_POINT:g}. {found.basis}",
        key=(_ALONG, WORKLOAD, _METRIC),
        ours=(_RELATIVE,),
    )
    return (
        lines(
            picture.table(rows),
            title=picture.title,
            caption=picture.caption,
            x=_ALONG.name,
            y=_RELATIVE.name,
            series=_METRIC.name,
            panel=WORKLOAD.name,
        ),
    )


def _degraded(found: Found, model: str, metric: str) -> Iterator[Row]:
    scores = {tau: found.score(model, _here(model, metric), MaskPolicy.uniform(tau).label) for tau in SWEEP}
    reference = scores[OPERATING_POINT]
    for tau, score in scores.items():
        relative = _quotient(_value(reference), _value(score))
        if relative is not None:
            yield {
                _ALONG.name: tau,
                WORKLOAD.name: model,
                _METRIC.name: metric,
                _RELATIVE.name: relative,
            }
