"""The trade-off: which masks nothing beats, and where quality breaks down."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.report.trade_off import Point, beyond_cliff, sweep_of, trade_offs

UNITS = {"evidence": "measured", "rows_convention": "official", "mask_digest": "0", "unit": "1"}


def score(mask: str, value: float | None, direction: str = "lower is better", **more: Any) -> dict[str, Any]:
    return {
        **UNITS,
        "workload": "w",
        "seed": 0,
        "mask": mask,
        "metric": "m",
        "value": value,
        "direction": direction,
        "interval_low": None,
        "interval_high": None,
        **more,
    }


def total(mask: str, reduction: float | None, layout: str = "hot", machine: str = "a") -> dict[str, Any]:
    return {
        "workload": "w",
        "seed": 0,
        "mask": mask,
        "layout": layout,
        "machine": machine,
        "cycle_reduction": reduction,
    }


def point(reduction: float, value: float, doubt: float = 0.0) -> Point:
    ends: dict[str, Any] = {"interval_low": value - doubt, "interval_high": value + doubt} if doubt else {}
    return Point(reduction=reduction, score=score("tau=1", value, **ends))


def best_of(scores: list[dict[str, Any]], totals: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(row["layout"], row["mask"]) for row in trade_offs(scores, totals) if row["best"]}


@pytest.mark.parametrize(
    ("direction", "best"), [("lower is better", {"tau=1", "tau=2"}), ("higher is better", {"tau=2", "tau=3"})]
)
def test_best_is_what_nothing_beats_in_both(direction: str, best: set[str]) -> None:
    """A mask is best unless another saves as much at as good a score and is better in one of them."""
    scores = [score(f"tau={i}", value, direction) for i, value in ((1, 1.0), (2, 2.0), (3, 3.0))]
    totals = [total("tau=1", 0.1), total("tau=2", 0.3), total("tau=3", 0.2)]
    assert {mask for _, mask in best_of(scores, totals)} == best


def test_layouts_compete_with_the_same_masks() -> None:
    """One mask has one score, and the layout that saves more with it is the better one."""
    totals = [total("tau=1", 0.1, "poor"), total("tau=1", 0.2, "rich")]
    assert best_of([score("tau=1", 1.0)], totals) == {("rich", "tau=1")}


def test_machines_do_not_compete() -> None:
    """Each machine has best masks of its own."""
    rows = list(trade_offs([score("tau=1", 1.0)], [total("tau=1", 0.1), total("tau=1", 0.9, machine="b")]))
    assert [row["best"] for row in rows] == [True, True]


def test_what_was_not_measured_is_no_point() -> None:
    """A score without a value and a run without a baseline are left out."""
    rows = trade_offs(
        [score("tau=1", None), score("tau=2", 1.0)], [total("tau=1", 0.1), total("tau=2", None)]
    )
    assert list(rows) == []


def test_a_steep_step_is_a_cliff() -> None:
    """The point behind the step that costs many times as much as the others is the first beyond."""
    sweep = [point(0.1, 1.0), point(0.2, 1.1), point(0.3, 1.2), point(0.4, 5.0), point(0.5, 5.1)]
    found = beyond_cliff(sweep)
    assert found is not None
    assert found.reduction == 0.4


@pytest.mark.parametrize(
    "sweep",
    [
        [point(0.1 * i, i) for i in range(6)],  # an even slope
        [point(0.1, 1.0), point(0.2, 9.0), point(0.3, 9.1)],  # two steps
        [point(0.1 * i, value, doubt=3.0) for i, value in enumerate((1.0, 1.1, 1.2, 5.0, 5.1))],  # in doubt
        [point(0.2, float(i)) for i in range(6)],  # nothing saved
    ],
    ids=["even", "too few", "within the intervals", "no step"],
)
def test_what_is_no_cliff(sweep: list[Point]) -> None:
    """An even slope has none, nor has what is too short to tell or within the intervals of the values."""
    assert beyond_cliff(sweep) is None


def test_each_sweep_has_a_cliff_of_its_own() -> None:
    """Thresholds and targets are swept apart from each other, in the rows of one metric."""
    values = {"tau": (1.0, 1.1, 1.2, 5.0), "rho": (1.0, 1.1, 1.2, 1.3)}
    masks = {f"{kind}={i}": (i, value) for kind, swept in values.items() for i, value in enumerate(swept)}
    rows = trade_offs(
        [score(mask, value) for mask, (_, value) in masks.items()],
        [total(mask, 0.1 * i) for mask, (i, _) in masks.items()],
    )
    assert [row["mask"] for row in rows if row["beyond_cliff"]] == ["tau=3"]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12),
    st.sampled_from(["lower is better", "higher is better"]),
)
def test_best_points_rise_together(points: list[tuple[int, int]], direction: str) -> None:
    """Among the best, whoever saves more has a worse score or is its equal; and one is always best."""
    scores = [score(f"tau={i}", float(value), direction) for i, (_, value) in enumerate(points)]
    totals = [total(f"tau={i}", saved / 10) for i, (saved, _) in enumerate(points)]
    best = [(row["cycle_reduction"], row["value"]) for row in trade_offs(scores, totals) if row["best"]]
    assert best
    sign = 1 if direction == "lower is better" else -1
    ordered = sorted(set(best))
    assert ordered == sorted(ordered, key=lambda pair: sign * pair[1])


@pytest.mark.parametrize(
    ("mask", "sweep"), [("tau=0.164", "tau"), ("rho=0.2", "rho"), ("tau=0.164 static", "tau static")]
)
def test_a_mask_belongs_to_the_sweep_of_its_kind(mask: str, sweep: str) -> None:
    """The label without its value."""
    assert sweep_of(mask) == sweep
