"""Published numbers as data: each is held against the study's own, digit by digit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from colfw_experiments.published import every

if TYPE_CHECKING:
    from pathlib import Path

    from colfw_experiments.published import Published

PUBLISHED = tuple(every())


@pytest.fixture(scope="session")
def golden(golden_root: Path) -> Any:
    path = golden_root / "paper" / "published.json"
    if not path.exists():
        pytest.skip(f"{golden_root} has no folder paper: published numbers lie in the repository's own")
    return json.loads(path.read_text(encoding="utf-8"))


def _stated(golden: Any, path: str) -> Any:
    found = golden
    for step in path.split("/"):
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found


def _ends(stated: Any) -> list[float]:
    """A number, a pair, or an object with either."""
    if isinstance(stated, dict):
        stated = stated.get("range", stated.get("value"))
    return list(stated) if isinstance(stated, list) else [stated]


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda one: f"{one.path} of {one.model}")
def test_each_number_is_the_one_that_was_printed(golden: Any, published: Published) -> None:
    """Value or both ends of a range stand in the golden data where the path says."""
    ends = _ends(_stated(golden, published.path))
    assert published.span == (ends[0], ends[-1])


def test_each_tolerance_is_half_a_printed_unit(golden: Any) -> None:
    """Where the golden data states a tolerance, the digits as written here give the same."""
    stated = {one: _stated(golden, one.path) for one in PUBLISHED}
    tolerances = {
        one: data["tol"] for one, data in stated.items() if isinstance(data, dict) and "tol" in data
    }
    assert len(tolerances) > 30
    assert {one: one.tolerance for one in tolerances} == pytest.approx(tolerances)


@pytest.mark.parametrize(
    ("table", "tolerances"),
    [
        ("table3_baseline", "table3_baseline/tol"),
        ("table4_quality", "table4_quality/cycle_reduction_tol_pp"),
        ("uniform_sweep_reduction_pct", "uniform_sweep_reduction_pct/tol"),
        ("per_layer_sweep_reduction_pct", "per_layer_sweep_reduction_pct/tol"),
    ],
)
def test_tolerances_of_tables_are_half_a_printed_unit(golden: Any, table: str, tolerances: str) -> None:
    """What is stated for a whole table holds for each of its plain numbers, column by column."""
    stated = _stated(golden, tolerances)
    plain = [
        one
        for one in PUBLISHED
        if one.path.startswith(table) and not isinstance(_stated(golden, one.path), dict)
    ]
    assert plain
    for one in plain:
        column = one.path.rpartition("/")[2]
        assert one.tolerance == pytest.approx(stated[column] if isinstance(stated, dict) else stated)


def test_no_number_is_stated_twice() -> None:
    """One entry for each quantity, model and place."""
    keys = [(one.path, one.model, one.quantity) for one in PUBLISHED]
    assert len(set(keys)) == len(keys)


def test_a_range_has_two_ends() -> None:
    """The smallest and the largest of a range are numbers of their own, with its tolerance."""
    [published] = [one for one in PUBLISHED if one.printed == "7.3 to 32.5"]
    low, high = published.both_ends
    assert (low.span, high.span) == ((7.3, 7.3), (32.5, 32.5))
    assert low.quantity != high.quantity
    assert low.tolerance == high.tolerance == 0.05
