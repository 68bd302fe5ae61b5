"""What the strategies draw is consistent, and what they promise to draw does occur."""

from __future__ import annotations

import inspect
import itertools
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from colfw.masks import hot_columns
from colfw.program import Advance, Repeat, Tile, Transfer
from colfw.sites import check_distinct
from colfw.testing import strategies
from colfw.testing.strategies import (
    activation_values,
    activations,
    graded_profiles,
    mask_policies,
    mask_sets,
    observed_masks,
    observed_runs,
    placements,
    profiles,
    programs,
    provenances,
    samples,
    scores,
    site_tuples,
    sites,
    slot_sizes_bytes,
    steps,
    tensor_sizes_bytes,
    threshold_grids,
    timings,
    unrolled,
)
from colfw.thresholds import check_thresholds, float32_floor
from colfw.vocabulary import MaskKind, SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

    from colfw.masks import MaskSet, SiteMask
    from colfw.placement import Placement
    from colfw.profile import ActivationProfile, SiteProfile
    from colfw.program import Program, Step
    from colfw.sites import Site
    from colfw.testing.strategies import ObservedRun

SEARCH = settings(max_examples=3000, database=None, phases=[Phase.generate])
"""Long enough to meet what a strategy draws now and then; the smallest example is not asked for."""


def occurs(drawn: SearchStrategy[Any], wanted: Callable[[Any], bool]) -> bool:
    return bool(wanted(find(drawn, wanted, settings=SEARCH, random=random.Random(0))))  # noqa: S311


# --- the module -----------------------------------------------------------------------------------


def test_importing_the_kit_costs_nothing() -> None:
    """`colfw.testing` itself brings in neither hypothesis nor numpy: only the strategies need them."""
    heavy = "print(sorted({'hypothesis', 'numpy'} & sys.modules.keys()))"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys, colfw.testing; {heavy}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


def test_every_strategy_is_documented_in_one_line() -> None:
    """An author sees what a strategy draws from the first line of its help, which is all there is."""
    public = [
        each
        for name, each in inspect.getmembers(strategies, inspect.isfunction)
        if each.__module__ == strategies.__name__ and not name.startswith("_")
    ]
    assert len(public) > 20
    assert [each.__name__ for each in public if len((each.__doc__ or "").splitlines()) != 1] == []


# --- what is drawn is consistent ------------------------------------------------------------------


@given(site_tuples(max_sites=4, max_rows=2, max_columns=3))
def test_sites_are_small_and_distinct(several: tuple[Site, ...]) -> None:
    """There is a site at least, each has its own name, and none is larger than was asked for."""
    check_distinct(several, "drawn")
    assert 1 <= len(several) <= 4
    assert all(site.rows <= 2 and site.columns <= 3 for site in several)


@given(threshold_grids(min_size=1, max_size=3))
def test_grids_are_grids(grid: tuple[float, ...]) -> None:
    """A drawn grid ascends and has as many thresholds as were asked for."""
    assert check_thresholds(grid, "drawn") == grid
    assert 1 <= len(grid) <= 3


@given(sites().flatmap(lambda site: st.tuples(st.just(site), activations(site, edges=[0.1, 1e300]))))
def test_activations_are_finite_and_fit_their_site(case: tuple[Site, Any]) -> None:
    """An activation is float32, finite, and of the shape of its site, whatever edges it is fond of."""
    site, activation = case
    assert activation.shape == (site.rows, site.columns)
    assert activation.dtype == np.float32
    assert np.isfinite(activation).all()


@given(observed_runs(min_iterations=2, max_iterations=3))
def test_a_run_is_shown_in_full(run: ObservedRun) -> None:
    """A run has an activation of every site in every iteration, and within the limits asked for."""
    iterations = run.profile.provenance.iterations
    assert 2 <= iterations <= 3
    assert [len(matrices) for matrices in run.activations.values()] == [iterations] * len(run.profile.sites)


@given(mask_sets(min_iterations=2, max_iterations=3))
def test_masks_obey_their_policy(masks: MaskSet) -> None:
    """Dense masks are all hot and have no threshold; uniform ones have that of their policy."""
    for mask in masks.sites:
        assert 2 <= len(mask.hot) <= 3
        assert mask.site == masks.site(mask.site.name).site
        if masks.policy.kind is MaskKind.DENSE:
            assert mask.hot.all()
            assert mask.tau is None
        elif masks.policy.kind is MaskKind.UNIFORM:
            assert mask.tau == masks.policy.value
        else:
            assert mask.tau is not None


@given(observed_masks())
def test_observed_masks_are_those_of_their_profile(drawn: tuple[SiteProfile, SiteMask]) -> None:
    """The mask is what its threshold makes of the profile's maxima."""
    profile, mask = drawn
    assert mask.site == profile.site
    assert mask.tau is not None
    assert np.array_equal(hot_columns(profile.maxima, mask.tau), mask.hot)


def test_hot_sets_last_and_change() -> None:
    """Some masks keep a hot set for ten iterations and then another for as long as that."""

    def lasts_and_changes(drawn: tuple[SiteProfile, SiteMask]) -> bool:
        hot = drawn[1].hot
        changes = np.flatnonzero((hot[1:] != hot[:-1]).any(axis=1)) + 1
        return bool(changes.size == 1 and min(changes[0], len(hot) - changes[0]) >= 10)

    assert occurs(observed_masks(min_iterations=24, max_iterations=24), lasts_and_changes)


@given(graded_profiles(min_iterations=2))
def test_graded_maxima_can_be_parted(profile: ActivationProfile) -> None:
    """One site, whose maxima lie where thresholds in 0..1 part them."""
    (entry,) = profile.sites
    assert entry.iterations == profile.provenance.iterations >= 2
    assert 0 <= entry.maxima.min() <= entry.maxima.max() <= 1


@given(placements())
def test_moved_columns_are_those_that_changed_slots(placement: Placement) -> None:
    """Each epoch after the first says how many columns lie elsewhere than before."""
    for entry in placement.sites:
        for before, after in itertools.pairwise(entry.epochs):
            assert after.moved_columns == np.count_nonzero(after.slot_of_column != before.slot_of_column)
        assert entry.epochs[0].moved_columns == 0


@given(programs())
def test_a_program_is_as_large_as_its_steps_need(program: Program) -> None:
    """Tensors and slots hold what the steps move, and are not much larger."""
    tensors = {tensor.name: tensor.size_bytes for tensor in program.tensors}
    for name, needed_bytes in tensor_sizes_bytes(program.steps).items():
        assert 0 <= tensors[name] - needed_bytes <= 16
    slots = {buffer.name: buffer.slot_bytes for buffer in program.buffers}
    for name, needed_bytes in slot_sizes_bytes(program.steps).items():
        assert 0 <= slots[name] - needed_bytes <= 16


@given(st.lists(steps(), max_size=2))
def test_unrolling_runs_each_tile_as_often_as_its_repetitions_say(described: list[Step]) -> None:
    """Unrolled, a step is one tile, or the tiles of its body times its rounds."""

    def count(step: Step) -> int:
        return step.rounds * sum(map(count, step.body)) if isinstance(step, Repeat) else 1

    assert len(list(unrolled(described))) == sum(map(count, described))


def test_unrolling_moves_offsets_by_round_and_adds_nested_ones() -> None:
    """Two rounds of two: offsets go 3, 13, 103, 113 where the inner step is 10 and the outer 100."""
    tile = Tile(transfers=(Transfer(tensor="t", buffer="b", direction="read", offset_bytes=3, run_bytes=1),))
    inner = Repeat(rounds=2, body=(tile,), advances=(Advance(tensor="t", step_bytes=10),))
    outer = Repeat(rounds=2, body=(inner,), advances=(Advance(tensor="t", step_bytes=100),))
    offsets = [transfer.offset_bytes for tile in unrolled([outer]) for transfer in tile.transfers]
    assert offsets == [3, 13, 103, 113]


@given(programs().flatmap(lambda program: st.tuples(st.just(program), timings(answering=program))))
def test_an_answering_timing_answers(case: tuple[Program, Any]) -> None:
    """A timing drawn for a program reports its work."""
    program, timing = case
    timing.check_answers(program)
    assert timing.core_cycles >= program.work.compute_core_cycles


# --- what is promised occurs ----------------------------------------------------------------------


def some_maximum(wanted: Callable[[float, float], bool]) -> Callable[[ActivationProfile], bool]:
    """Profiles with a column maximum and a threshold of which this holds."""

    def holds(profile: ActivationProfile) -> bool:
        values = (float(value) for entry in profile.sites for value in entry.maxima.flat)
        return any(wanted(value, tau) for value in values for tau in profile.thresholds)

    return holds


LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda value, tau: value == tau > 0,
        lambda value, tau: value == tau == 0,
        lambda value, tau: value == float(float32_floor(tau)) < tau < 1,
        lambda value, tau: value == np.nextafter(float32_floor(tau), np.float32(1)) and 0 < tau < 1,
        lambda value, tau: value == LARGEST,
        lambda value, tau: value == SMALLEST,
        lambda value, tau: tau > LARGEST,
    ],
    ids=["tie", "zero", "just-below", "just-above", "largest", "smallest", "beyond-float32"],
)
def test_profiles_have_edges(wanted: Callable[[float, float], bool]) -> None:
    """Profiles have maxima exactly on a threshold, beside one, zero, and at both ends of float32."""
    assert occurs(profiles(), some_maximum(wanted))


@pytest.mark.parametrize("iterations", [1, 2, 6])
def test_profiles_have_few_iterations_and_many(iterations: int) -> None:
    """Profiles have from one iteration to six."""
    assert occurs(profiles(), lambda profile: profile.provenance.iterations == iterations)


@pytest.mark.parametrize("source", SourceKind)
def test_profiles_have_every_source(source: SourceKind) -> None:
    """Activations come from anywhere."""
    assert occurs(provenances(iterations=1), lambda provenance: provenance.source is source)


@pytest.mark.parametrize("kind", MaskKind)
def test_masks_have_every_kind(kind: MaskKind) -> None:
    """Mask sets are of every kind of policy."""
    assert occurs(mask_policies(), lambda policy: policy.kind is kind)
    assert occurs(mask_sets(), lambda masks: masks.policy.kind is kind)


@pytest.mark.parametrize(
    ("drawn", "wanted"),
    [
        (activation_values(), lambda value: value == 0 and np.signbit(value)),
        (profiles(), lambda profile: not profile.thresholds),
        (profiles(), lambda profile: len(profile.sites) > 1 and bool(profile.statistics)),
        (placements(), lambda placement: any(len(entry.epochs) == 3 for entry in placement.sites)),
        (graded_profiles(), lambda profile: len(np.unique(profile.sites[0].maxima)) > 20),
        (samples(), lambda made: made.data.dtype == np.uint8 and made.mask_digest),
        (scores(), lambda score: score.interval_low is not None),
    ],
    ids=["minus-zero", "no-grid", "statistics", "three-epochs", "graded", "masked-bytes", "interval"],
)
def test_what_is_rare_occurs(drawn: SearchStrategy[Any], wanted: Callable[[Any], bool]) -> None:
    """Negative zero, a profile without a grid, further statistics, several epochs and the like are drawn."""
    assert occurs(drawn, wanted)


def test_programs_nest_and_advance() -> None:
    """Some programs hold a repetition in a repetition, and offsets that advance in both."""

    def advances_twice(program: Program) -> bool:
        return any(
            isinstance(step, Repeat) and step.advances and isinstance(inner, Repeat) and inner.advances
            for step in program.steps
            for inner in getattr(step, "body", ())
        )

    assert occurs(programs(), advances_twice)
