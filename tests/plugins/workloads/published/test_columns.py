from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.masks import hot_columns
from colfw.sites import Ffn, Site
from colfw_workloads.published import synthesise
from colfw_workloads.published.columns import ElementTail, _all_but_lowest, _on_their_side, _rising
from colfw_workloads.published.recipe import RECIPES
from colfw_workloads.published.targets import KEYS, PRIMARY_TAU

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.profile import SiteProfile

    FullSites = Callable[[str], tuple[Site, ...]]
    Run = dict[str, Any]

grids = st.lists(
    st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.164, 0.17, 0.2, 0.34, 1.64, 30.0]), unique=True
).map(lambda taus: tuple(sorted(taus)))


@st.composite
def site_lists(draw: st.DrawFn) -> list[Site]:
    """A few small sites of any width from 8 up."""
    sizes = draw(st.lists(st.tuples(st.integers(1, 9), st.integers(8, 40)), min_size=1, max_size=5))
    return [
        Site(name=f"mlp.{index}", rows=rows, columns=columns, operator=Ffn(d_in=4, d_out=4))
        for index, (rows, columns) in enumerate(sizes)
    ]


runs = st.fixed_dictionaries(
    {
        "workload": st.sampled_from(sorted(KEYS)),
        "sites": site_lists(),
        "iterations": st.integers(1, 60),
        "samples": st.integers(1, 3),
        "seed": st.integers(0, 2**64),
        "thresholds": grids,
    }
)


def made(workload: str, sites: list[Site], **run: Any) -> tuple[SiteProfile, ...]:
    return synthesise(workload, sites, **run)


@given(runs)
def test_counts_agree_with_maxima(run: Run) -> None:
    """For every threshold: each hot column has at least one element above it, and no cold column any."""
    for entry in made(**run):
        rows = entry.site.rows * run["samples"]
        assert (entry.elements == rows * entry.site.columns).all()
        for place, tau in enumerate(run["thresholds"]):
            hot = np.count_nonzero(hot_columns(entry.maxima, tau), axis=1)
            assert (entry.exceeding[:, place] >= hot).all()
            assert (entry.exceeding[:, place] <= hot * rows).all()


@given(runs)
def test_shape_and_type_are_a_profiles(run: Run) -> None:
    """One float32 maximum per iteration and column, one exact count per iteration and threshold."""
    profiles = made(**run)
    assert [entry.site for entry in profiles] == run["sites"]
    for entry in profiles:
        assert entry.maxima.shape == (run["iterations"], entry.site.columns)
        assert entry.exceeding.shape == (run["iterations"], len(run["thresholds"]))
        assert entry.exceeding.dtype == entry.elements.dtype == np.int64


@given(runs)
def test_columns_of_dit_never_turn_off(run: Run) -> None:
    """DiT's maxima never fall, so that at no threshold a column turns off."""
    for entry in made(**run | {"workload": "dit-xl-2"}):
        assert (np.diff(entry.maxima, axis=0) >= 0).all()


@given(runs)
def test_same_seed_same_bytes(run: Run) -> None:
    """The same arguments make the same profile, to the byte."""
    for one, other in zip(made(**run), made(**run), strict=True):
        assert one.maxima.tobytes() == other.maxima.tobytes()
        assert one.exceeding.tobytes() == other.exceeding.tobytes()


@given(runs)
def test_threshold_grid_does_not_change_the_columns(run: Run) -> None:
    """One profile serves every threshold: which ones are counted changes no maximum."""
    for one, other in zip(made(**run), made(**run | {"thresholds": (0.12,)}), strict=True):
        assert one.maxima.tobytes() == other.maxima.tobytes()


@pytest.mark.parametrize("workload", KEYS)
def test_other_seed_other_columns(workload: str, full_sites: FullSites) -> None:
    """Another seed makes other columns cold, in the same numbers."""
    one, other = (
        synthesise(workload, full_sites(workload)[:1], iterations=9, samples=1, seed=seed, thresholds=())
        for seed in (0, 1)
    )
    hot = [hot_columns(made[0].maxima, PRIMARY_TAU) for made in (one, other)]
    assert not np.array_equal(hot[0], hot[1])
    assert (hot[0].sum(axis=1) == hot[1].sum(axis=1)).all()


@pytest.mark.parametrize("iterations", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("workload", KEYS)
def test_curves_stretch_over_any_run(workload: str, iterations: int, full_sites: FullSites) -> None:
    """Whatever the number of iterations, sparsity starts and ends where it does over the published 50."""
    sites = full_sites(workload)[:4]
    short = synthesise(workload, sites, iterations=iterations, samples=1, seed=0, thresholds=())
    published = synthesise(workload, sites, iterations=50, samples=1, seed=0, thresholds=())
    for one, other in zip(short, published, strict=True):
        for place in (0, -1) if iterations > 1 else (0,):
            hot = [int(hot_columns(entry.maxima[place], PRIMARY_TAU).sum()) for entry in (one, other)]
            assert abs(hot[0] - hot[1]) <= 1


def test_samples_count_as_rows(full_sites: FullSites) -> None:
    """Samples fold into one profile: its maxima stay, its element counts grow with them."""
    [one] = synthesise("mld", full_sites("mld")[:1], iterations=3, samples=1, seed=0, thresholds=(0.1,))
    [many] = synthesise("mld", full_sites("mld")[:1], iterations=3, samples=4, seed=0, thresholds=(0.1,))
    assert (many.elements == 4 * one.elements).all()
    assert (many.exceeding >= 3 * one.exceeding).all()


@pytest.mark.parametrize("workload", KEYS)
def test_tail_of_the_elements_passes_through_what_is_known(workload: str) -> None:
    """The share above a threshold is 1 at zero, as stated at 0.164, a target's at its, and goes on to 0."""
    recipe, tail = RECIPES[workload], ElementTail.of(RECIPES[workload])
    assert tail.share(0.0) == 1.0
    assert tail.share(PRIMARY_TAU) == pytest.approx(1 - recipe.elements)
    assert tail.share(10.0) < 1e-9
    for target, known in recipe.by_elements.items():
        assert tail.share(known.tau) == pytest.approx(target)


@given(st.sampled_from(sorted(KEYS)), st.floats(0, 30), st.floats(0, 30))
def test_tail_of_the_elements_falls(workload: str, one: float, other: float) -> None:
    """No more elements exceed a higher threshold."""
    tail, (low, high) = ElementTail.of(RECIPES[workload]), sorted((one, other))
    assert 0 <= tail.share(high) <= tail.share(low) <= 1


def test_all_but_lowest_leaves_out_so_many() -> None:
    """Exactly so many of the lowest are left out, also none and all."""
    values = np.array([3.0, 1.0, 2.0])
    assert _all_but_lowest(values, 0).tolist() == [True, True, True]
    assert _all_but_lowest(values, 2).tolist() == [True, False, False]
    assert _all_but_lowest(values, 3).tolist() == [False, False, False]


def test_rounding_pushes_no_maximum_over_the_threshold() -> None:
    """The float32 next to 0.164 is above it: a cold column that rounds to it stays cold, a hot one hot."""
    beside = np.full((1, 2), 0.164, np.float32)
    assert hot_columns(_on_their_side(beside, np.array([1])), PRIMARY_TAU).tolist() == [[False, True]]
    below = np.full((1, 2), 0.163, np.float32)
    assert hot_columns(_on_their_side(below, np.array([1])), PRIMARY_TAU).tolist() == [[False, True]]


def test_knots_out_of_order_are_dropped() -> None:
    """A threshold above another can have no fewer cold columns; a knot that says so is left out."""
    knots = {PRIMARY_TAU: 0.0, 0.17: 1.0, 0.2: 0.5, 0.1: -1.0, 0.15: 0.5}
    assert _rising(knots) == [(0.1, -1.0), (PRIMARY_TAU, 0.0), (0.17, 1.0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workload": "flux"}, r"nothing is published about the activations of 'flux' \(there are dit-xl-2"),
        ({"sites": []}, "there are no sites"),
        ({"iterations": 0}, "0 iterations of 1 samples cannot be made"),
        ({"samples": 0}, "5 iterations of 0 samples cannot be made"),
        ({"thresholds": (0.2, 0.1)}, "thresholds must ascend"),
    ],
)
def test_what_cannot_be_made_is_refused(change: dict[str, Any], message: str) -> None:
    """Unknown workloads, empty runs and disordered thresholds are refused in one line."""
    site = Site(name="mlp", rows=2, columns=8, operator=Ffn(d_in=4, d_out=4))
    run = {
        "workload": "mdm", "sites": [site], "iterations": 5, "samples": 1, "seed": 0, "thresholds": (0.1,)
    }  # fmt: skip
    with pytest.raises(InvariantError, match=message):
        synthesise(**run | change)


def test_torch_is_not_imported() -> None:
    """Published activations are made without torch, which takes seconds to import."""
    code = "import sys, colfw_workloads.published; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
