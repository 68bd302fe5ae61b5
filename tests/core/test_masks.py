from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colfw.errors import InvariantError
from colfw.masks import (
    Classification,
    MaskPolicy,
    MaskSet,
    Regime,
    RegimeRule,
    SiteMask,
    calibrate,
    calibrate_elements,
    churn,
    classify,
    column_sparsity,
    consecutive_jaccard,
    element_sparsity,
    exceeding_share_bounds,
    granularity_gap,
    hot_columns,
    inflation,
    jaccard,
    masks_of,
    side_by_side,
    sparse_iterations,
)
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance, SiteProfile
from colfw.sites import Ffn, Site
from colfw.testing.strategies import (
    activation_values,
    flags,
    mask_policies,
    mask_sets,
    observed_runs,
    profiles,
    thresholds,
)
from colfw.vocabulary import MaskKind, OverTime, SourceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from colfw.testing.strategies import Flags, Matrix, ObservedRun

hot_flags = st.tuples(st.integers(1, 6), st.integers(1, 8)).flatmap(lambda shape: flags(*shape))
long_hot_flags = st.tuples(st.integers(3, 6), st.integers(1, 8)).flatmap(lambda shape: flags(*shape))
two_sets = st.integers(0, 8).flatmap(lambda size: st.tuples(*[hnp.arrays(np.bool_, size)] * 2))
shares = st.sampled_from([0.0, 0.01, 0.164, 0.5, 1.0]) | st.floats(0.0, 1.0)


def site(columns: int, name: str = "mlp") -> Site:
    return Site(name=name, rows=1, columns=columns, operator=Ffn(d_in=1, d_out=1))


def mask(hot: Flags, name: str = "mlp") -> SiteMask:
    return SiteMask(site=site(hot.shape[1], name), tau=0.5, hot=hot)


def mask_set(*hot: Flags) -> MaskSet:
    masks = tuple(mask(each, f"mlp.{index}") for index, each in enumerate(hot))
    return MaskSet(policy=MaskPolicy.uniform(0.5), sites=masks)


def tau_beside(profile: ActivationProfile) -> st.SearchStrategy[float]:
    """Thresholds on the profile's grid, on a maximum, and anywhere else."""
    notable = {*profile.thresholds, *(float(value) for entry in profile.sites for value in entry.maxima.flat)}
    return st.sampled_from(sorted(notable)) | thresholds()


# --- policies -------------------------------------------------------------------------------------


@given(mask_policies(), mask_policies())
def test_labels_tell_policies_apart(one: MaskPolicy, other: MaskPolicy) -> None:
    """Two policies have the same label iff they are the same policy."""
    assert (one.label == other.label) == (one == other)


@pytest.mark.parametrize(
    ("policy", "label"),
    [
        (MaskPolicy.dense(), "dense"),
        (MaskPolicy.uniform(0.164), "tau=0.164"),
        (MaskPolicy.per_layer(0.164), "rho=0.164"),
        (MaskPolicy.per_layer_elements(0.164), "eta=0.164"),
    ],
)
def test_a_label_is_short(policy: MaskPolicy, label: str) -> None:
    """A label is the symbol of the papers and its value."""
    assert policy.label == label


@pytest.mark.parametrize("value", [None, -0.1, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [MaskKind.UNIFORM, MaskKind.PER_LAYER, MaskKind.PER_LAYER_ELEMENTS])
def test_a_threshold_is_needed(kind: MaskKind, value: float | None) -> None:
    """Every policy but dense needs a finite number that is not negative."""
    with pytest.raises(InvariantError, match="needs a finite number"):
        MaskPolicy(kind, value)


def test_a_value_out_of_place_is_refused() -> None:
    """Dense takes no value, a target hot ratio is a share, and a kind is one of the known words."""
    with pytest.raises(InvariantError, match="takes no value"):
        MaskPolicy(MaskKind.DENSE, 0.5)
    with pytest.raises(InvariantError, match="no share"):
        MaskPolicy.per_layer(1.01)
    with pytest.raises(InvariantError, match="no share"):
        MaskPolicy.per_layer_elements(1.01)
    with pytest.raises(ValueError, match="'eager'"):
        MaskPolicy("eager")


# --- which columns are hot ------------------------------------------------------------------------


@given(observed_runs().flatmap(lambda run: st.tuples(st.just(run), tau_beside(run.profile))))
def test_a_column_is_hot_iff_its_maximum_exceeds_tau(case: tuple[ObservedRun, float]) -> None:
    """Hot iff some |a| of the column exceeds tau, strictly, compared as real numbers."""
    run, tau = case
    masks = masks_of(run.profile, MaskPolicy.uniform(tau))
    for entry in run.profile.sites:
        expected = [
            [any(Fraction(abs(float(value))) > Fraction(tau) for value in column) for column in activation.T]
            for activation in run.activations[entry.site.name]
        ]
        found = masks.site(entry.site.name)
        assert found.hot.tolist() == expected
        assert found.tau == tau


@given(profiles())
def test_all_columns_of_a_dense_mask_are_hot(profile: ActivationProfile) -> None:
    """The dense policy has no threshold and leaves nothing cold."""
    masks = masks_of(profile, MaskPolicy.dense())
    assert [found.site for found in masks.sites] == [entry.site for entry in profile.sites]
    assert all(found.hot.all() and found.tau is None for found in masks.sites)


@given(profiles(min_iterations=2), shares)
def test_a_per_layer_mask_meets_its_target(profile: ActivationProfile, target: float) -> None:
    """Each site has a threshold of its own, and over iterations 1 and later at most the target is hot."""
    for found in masks_of(profile, MaskPolicy.per_layer(target)).sites:
        later = found.hot[1:]
        assert np.count_nonzero(later) / later.size <= target
        assert found.tau == calibrate(profile.site(found.site.name).maxima[1:], target)


@given(profiles(min_iterations=2), shares)
def test_a_mask_calibrated_by_elements_is_hot_by_columns(profile: ActivationProfile, target: float) -> None:
    """The threshold comes from elements; a column is hot as ever, if its maximum exceeds that."""
    for found in masks_of(profile, MaskPolicy.per_layer_elements(target)).sites:
        entry = profile.site(found.site.name)
        assert found.tau == calibrate_elements(profile, found.site.name, target).tau
        assert np.array_equal(found.hot, hot_columns(entry.maxima, found.tau))


@given(profile=profiles(min_iterations=2), tau=st.floats(0, 4))
def test_a_static_mask_repeats_that_of_iteration_0(profile: ActivationProfile, tau: float) -> None:
    """What was cold in iteration 0 is cold in all; threshold and label stay apart from the moving mask's."""
    moving = MaskPolicy.uniform(tau)
    static = attrs.evolve(moving, over_time=OverTime.STATIC)
    assert static.label == f"{moving.label} static"
    for one, other in zip(masks_of(profile, static).sites, masks_of(profile, moving).sites, strict=True):
        assert one.tau == other.tau
        assert (one.hot == other.hot[0]).all()


@given(profiles())
def test_generation_is_dense_in_iteration_0_alone(profile: ActivationProfile) -> None:
    """All columns are hot in it; later iterations, and the masks it was made from, stay as they were."""
    masks = masks_of(profile, MaskPolicy.uniform(0.5))
    before = masks.digest
    for one, other in zip(masks.with_first_dense().sites, masks.sites, strict=True):
        assert one.hot[0].all()
        assert np.array_equal(one.hot[1:], other.hot[1:])
    assert masks.digest == before


@pytest.mark.parametrize("policy", [MaskPolicy.per_layer(0.5), MaskPolicy.per_layer_elements(0.5)])
@given(profile=profiles(max_iterations=1))
def test_a_single_iteration_calibrates_nothing(profile: ActivationProfile, policy: MaskPolicy) -> None:
    """A target needs a sparse iteration: with iteration 0 alone it is refused, with the site's name."""
    with pytest.raises(InvariantError, match="there is only one") as refusal:
        masks_of(profile, policy)
    assert refusal.value.where == f"site {profile.sites[0].site.name}"
    with pytest.raises(InvariantError, match="there is only one"):
        sparse_iterations(profile.sites[0].maxima, "mlp")


@pytest.mark.parametrize(
    "hot", [np.ones((1, 2)), np.ones(2, np.bool_), np.ones((1, 3), np.bool_)], ids=["type", "rank", "width"]
)
def test_flags_of_another_shape_are_refused(hot: NDArray[Any]) -> None:
    """A mask is flags `[iteration, column]`, as wide as its site."""
    with pytest.raises(InvariantError) as refusal:
        SiteMask(site=site(2), tau=0.5, hot=hot)
    assert refusal.value.where == "mask of site mlp"


def test_an_unknown_site_has_no_mask() -> None:
    """A site that is not masked is refused by name."""
    with pytest.raises(InvariantError, match="no mask for site 'mlp'") as refusal:
        mask_set(np.ones((1, 2), np.bool_)).site("mlp")
    assert refusal.value.where == "masks tau=0.5"


# --- digest ---------------------------------------------------------------------------------------


@given(mask_sets(), mask_policies())
def test_the_digest_is_of_the_flags_alone(masks: MaskSet, policy: MaskPolicy) -> None:
    """Equal flags of sites of equal names have one digest, whatever policy and threshold made them."""
    others = tuple(attrs.evolve(found, tau=None, hot=found.hot.copy()) for found in masks.sites)
    assert MaskSet(policy=policy, sites=others).digest == masks.digest


@given(mask_sets(), st.data())
def test_any_flipped_flag_changes_the_digest(masks: MaskSet, data: st.DataObject) -> None:
    """One flag of one site in one iteration is enough to tell two masks apart."""
    index = data.draw(st.integers(0, len(masks.sites) - 1))
    flipped = masks.sites[index].hot.copy()
    position = data.draw(st.integers(0, flipped.size - 1))
    flipped.flat[position] = not flipped.flat[position]
    sites = list(masks.sites)
    sites[index] = attrs.evolve(sites[index], hot=flipped)
    assert attrs.evolve(masks, sites=tuple(sites)).digest != masks.digest


@given(mask_sets(), mask_sets())
def test_digests_are_equal_iff_flags_and_names_are(one: MaskSet, other: MaskSet) -> None:
    """Two masks share a digest iff they have the same names and the same flags in the same shape."""

    def content(masks: MaskSet) -> list[tuple[str, list[list[bool]]]]:
        return [(found.site.name, found.hot.tolist()) for found in masks.sites]

    assert (one.digest == other.digest) == (content(one) == content(other))


@given(hot_flags)
def test_a_renamed_site_changes_the_digest(hot: Flags) -> None:
    """The same flags of another site are another mask."""
    one, other = (MaskSet(policy=MaskPolicy.dense(), sites=(mask(hot, name),)) for name in ("a", "b"))
    assert one.digest != other.digest


def test_a_name_cannot_pose_as_flags() -> None:
    """A site whose name looks like the content of two is not mistaken for them."""
    hot = np.zeros((1, 8), np.bool_)
    two = MaskSet(policy=MaskPolicy.dense(), sites=(mask(hot, "a"), mask(hot, "b")))
    posing = MaskSet(policy=MaskPolicy.dense(), sites=(mask(hot, "a\0(1, 8)\0\0b"),))
    assert posing.digest != two.digest


# --- how sparse, how stable -----------------------------------------------------------------------


@given(hot_flags)
def test_column_sparsity_is_the_share_of_cold_columns(hot: Flags) -> None:
    """Column sparsity is counted in each iteration by itself."""
    assert column_sparsity(hot).tolist() == [row.count(False) / len(row) for row in hot.tolist()]


@given(observed_runs())
def test_element_sparsity_is_the_share_of_small_elements(run: ObservedRun) -> None:
    """Element sparsity is the share of |a| <= tau among all elements of an iteration."""
    for tau in run.profile.thresholds:
        for name, matrices in run.activations.items():
            small = [sum(abs(float(value)) <= tau for value in matrix.flat) for matrix in matrices]
            expected = [count / matrix.size for count, matrix in zip(small, matrices, strict=True)]
            assert element_sparsity(run.profile, name, tau).tolist() == expected
    assert run.activations.keys() == {entry.site.name for entry in run.profile.sites}


@given(profiles())
def test_columns_are_never_sparser_than_elements(profile: ActivationProfile) -> None:
    """A cold column has cold elements alone: column sparsity <= element sparsity at the same threshold."""
    for tau in profile.thresholds:
        for entry in profile.sites:
            element = element_sparsity(profile, entry.site.name, tau)
            column = column_sparsity(hot_columns(entry.maxima, tau))
            assert (column <= element).all()
            assert (granularity_gap(element, column) == element - column).all()
    assert profile.sites


@given(observed_runs(max_rows=1))
def test_the_columns_of_a_single_row_are_its_elements(run: ObservedRun) -> None:
    """With one row the two sparsities are the same number, exactly, and the gap is zero."""
    for tau in run.profile.thresholds:
        for entry in run.profile.sites:
            element = element_sparsity(run.profile, entry.site.name, tau)
            column = column_sparsity(hot_columns(entry.maxima, tau))
            assert element.tolist() == column.tolist()
            assert not granularity_gap(element, column).any()
    assert run.profile.sites


@given(profiles(), thresholds(), thresholds())
def test_a_higher_threshold_is_never_less_sparse(
    profile: ActivationProfile, one: float, other: float
) -> None:
    """Raising tau turns no column and no element hot."""
    low, high = sorted((one, other))
    for entry in profile.sites:
        assert not (hot_columns(entry.maxima, high) & ~hot_columns(entry.maxima, low)).any()
        elements = [element_sparsity(profile, entry.site.name, tau) for tau in profile.thresholds]
        assert (np.diff(elements, axis=0) >= 0).all()


grid_profile_thresholds = (0.1, 0.15, 0.164, 1.0)


@pytest.mark.parametrize(("tau", "nearest"), [(0.2, "0.164"), (0.12, "0.1"), (0.05, "0.1"), (50.0, "1.0")])
def test_a_threshold_that_was_not_counted_is_refused(tau: float, nearest: str) -> None:
    """Elements cannot be counted afterwards; the refusal names the nearest threshold that was counted."""
    profile = profile_of([np.ones((1, 2), np.float32)], grid=grid_profile_thresholds)
    with pytest.raises(InvariantError, match=f"not counted at threshold {tau}") as refusal:
        element_sparsity(profile, "mlp", tau)
    assert refusal.value.hint == f"the nearest that was counted is {nearest}"


@given(profiles(), thresholds())
def test_element_sparsity_is_never_interpolated(profile: ActivationProfile, tau: float) -> None:
    """Only a threshold of the profile's own grid is answered."""
    assume(tau not in profile.thresholds)
    with pytest.raises(InvariantError, match="not counted"):
        element_sparsity(profile, profile.sites[0].site.name, tau)


@given(
    hnp.arrays(np.float64, 4, elements=st.floats(0, 1)), hnp.arrays(np.float64, 4, elements=st.floats(0, 1))
)
def test_the_gap_is_never_negative(element: NDArray[np.float64], column: NDArray[np.float64]) -> None:
    """Column sparsity above element sparsity is a contradiction; else the gap is their difference."""
    if (column > element + 1e-9).any():
        with pytest.raises(InvariantError, match="exceeds element sparsity"):
            granularity_gap(element, column)
        return
    assume((column <= element).all())
    gap = granularity_gap(element, column)
    assert (gap >= 0).all()
    assert gap.tolist() == (element - column).tolist()


@given(two_sets)
def test_jaccard_is_a_symmetric_share(pair: tuple[NDArray[np.bool_], NDArray[np.bool_]]) -> None:
    """Jaccard lies in 0..1 and is that of the sets of indices; two empty sets are equal, and give 1."""
    one, other = (set(np.flatnonzero(each).tolist()) for each in pair)
    expected = len(one & other) / len(one | other) if one | other else 1.0
    assert 0.0 <= jaccard(*pair) <= 1.0
    assert jaccard(*pair) == jaccard(*reversed(pair)) == expected
    assert (jaccard(*pair) == 1.0) == (one == other)


@given(hot_flags)
def test_churn_is_zero_iff_nothing_changes(hot: Flags) -> None:
    """Churn is the share of columns that changed sides; 0 just where all stayed, where Jaccard is 1."""
    changes = [sum(a != b for a, b in zip(x, y, strict=True)) for x, y in itertools.pairwise(hot)]
    assert churn(hot).tolist() == [count / hot.shape[1] for count in changes]
    assert ((churn(hot) == 0) == (consecutive_jaccard(hot) == 1)).all()


@given(hot_flags)
def test_there_is_a_change_between_iterations_only(hot: Flags) -> None:
    """Statistics of change have one value fewer than there are iterations."""
    assert len(churn(hot)) == len(consecutive_jaccard(hot)) == len(hot) - 1


@given(mask_sets())
def test_side_by_side_weighs_every_column_equally(masks: MaskSet) -> None:
    """The hot columns of all sites together are as many as those of each one, iteration by iteration."""
    together = side_by_side(masks.sites)
    assert together.sum(axis=1).tolist() == sum(found.hot.sum(axis=1) for found in masks.sites).tolist()
    assert together.shape[1] == sum(found.site.columns for found in masks.sites)


def test_sites_of_unequal_length_are_no_mask_set() -> None:
    """Masks over different numbers of iterations have no common statistic, and are refused by name."""
    with pytest.raises(InvariantError, match=r"site mlp\.1 has 4 iterations, site mlp\.0 has 3"):
        mask_set(np.ones((3, 2), np.bool_), np.ones((4, 2), np.bool_))


@given(mask_sets())
def test_a_mask_set_has_distinct_sites_and_one_at_least(masks: MaskSet) -> None:
    """No site at all, and the same site twice, are refused."""
    with pytest.raises(InvariantError, match="at least one site"):
        attrs.evolve(masks, sites=())
    with pytest.raises(InvariantError, match="declared twice"):
        attrs.evolve(masks, sites=(*masks.sites, masks.sites[0]))


# --- per-layer thresholds -------------------------------------------------------------------------

maxima = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]) | activation_values([0.1]).map(abs),
)


def hot_share(of: Matrix, tau: float) -> float:
    return sum(float(value) > tau for value in of.flat) / of.size


@given(maxima, shares)
@example(np.zeros((2, 3), np.float32), 0.0)
@example(np.ones((2, 3), np.float32), 0.5)
@example(np.ones((2, 3), np.float32), 1.0)
def test_calibration_finds_the_smallest_threshold(of: Matrix, target: float) -> None:
    """Of all thresholds that leave at most the target hot, it is the smallest; ties are never split."""
    candidates = {0.0, *(float(value) for value in of.flat)}
    within = [tau for tau in candidates if hot_share(of, tau) <= target]
    assert calibrate(of, target) == min(within)


@given(maxima, shares)
def test_anything_below_the_calibrated_threshold_is_too_hot(of: Matrix, target: float) -> None:
    """Just below the calibrated threshold more than the target is hot, unless it is zero."""
    tau = calibrate(of, target)
    below = np.nextafter(tau, -np.inf)
    assert tau == 0.0 or hot_share(of, float(below)) > target


@given(maxima, shares, shares)
def test_a_higher_target_is_never_less_hot(of: Matrix, one: float, other: float) -> None:
    """The hot share grows with the target, and the threshold falls."""
    low, high = (calibrate(of, target) for target in sorted((one, other)))
    assert low >= high
    assert hot_share(of, low) <= hot_share(of, high)


@given(maxima)
def test_the_extreme_targets(of: Matrix) -> None:
    """Target 0 leaves nothing hot, at the largest maximum; target 1 leaves tau at zero."""
    assert calibrate(of, 0.0) == float(of.max())
    assert calibrate(of, 1.0) == 0.0


@given(st.integers(1, 2000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
@example((164, 1000))
@example((29, 100))
@example((57, 100))
def test_a_share_that_is_just_met_is_met(case: tuple[int, int]) -> None:
    """Of n distinct maxima k are hot at the target k / n, although that quotient is rounded."""
    allowed, count = case
    of = np.arange(1, count + 1, dtype=np.float32).reshape(1, -1)
    assert np.count_nonzero(hot_columns(of, calibrate(of, allowed / count))) == allowed


def test_164_of_1000_meet_the_target_0_164() -> None:
    """The published target, on a thousand maxima: 164 are hot, neither 163 nor 165."""
    of = np.arange(1000, dtype=np.float32).reshape(10, 100)
    assert np.count_nonzero(hot_columns(of, calibrate(of, 0.164))) == 164


@pytest.mark.parametrize("target", [-0.1, 1.1, float("nan")])
def test_a_target_that_is_no_share_is_refused(target: float) -> None:
    """A target hot ratio lies in 0..1."""
    with pytest.raises(InvariantError, match="no share"):
        calibrate(np.ones((1, 1), np.float32), target)


# --- targets of elements --------------------------------------------------------------------------


def exceeding_share(run: ObservedRun, site: str, tau: float) -> Fraction:
    """The share of elements above tau in iterations 1 and later, counted one by one."""
    elements = [abs(float(a)) for one in run.activations[site][1:] for a in np.asarray(one).flat]
    return Fraction(sum(a > tau for a in elements), len(elements))


def without(profile: ActivationProfile, dropped: float) -> ActivationProfile:
    """The same profile, had one of its thresholds not been counted."""
    kept = [place for place, tau in enumerate(profile.thresholds) if tau != dropped]
    return attrs.evolve(
        profile,
        thresholds=tuple(profile.thresholds[place] for place in kept),
        sites=tuple(attrs.evolve(s, exceeding=s.exceeding[:, kept].copy()) for s in profile.sites),
    )


@given(observed_runs(min_iterations=2), shares)
def test_the_target_of_elements_is_met(run: ObservedRun, target: float) -> None:
    """No more elements of iterations 1 and later than the target exceed the threshold, counted or not."""
    for entry in run.profile.sites:
        found = calibrate_elements(run.profile, entry.site.name, target)
        assert float(exceeding_share(run, entry.site.name, found.tau)) <= target


@given(observed_runs(min_iterations=2), shares)
def test_every_lower_counted_threshold_misses(run: ObservedRun, target: float) -> None:
    """It is the smallest of those counted, and the next lower one is named with its share."""
    for entry in run.profile.sites:
        found = calibrate_elements(run.profile, entry.site.name, target)
        by_tau = {tau: float(exceeding_share(run, entry.site.name, tau)) for tau in run.profile.thresholds}
        assert all(share > target for tau, share in by_tau.items() if tau < found.tau)
        missed = max((tau for tau, share in by_tau.items() if share > target), default=None)
        assert found.missed_tau == missed
        assert found.missed_share == (None if missed is None else by_tau[missed])
        assert missed is None or missed < found.tau


@given(profiles(min_iterations=2), shares, shares)
def test_a_higher_target_of_elements_never_raises_the_threshold(
    profile: ActivationProfile, one: float, other: float
) -> None:
    """The threshold falls as the target grows."""
    for entry in profile.sites:
        low, high = (calibrate_elements(profile, entry.site.name, t).tau for t in sorted((one, other)))
        assert low >= high


@given(profiles(min_iterations=2).filter(lambda profile: bool(profile.thresholds)), shares, st.data())
def test_a_finer_grid_never_raises_the_threshold(
    profile: ActivationProfile, target: float, data: st.DataObject
) -> None:
    """One more counted threshold brings the found one nearer to the exact one, or leaves it."""
    coarse = without(profile, data.draw(st.sampled_from(profile.thresholds)))
    for entry in profile.sites:
        fine = calibrate_elements(profile, entry.site.name, target)
        assert fine.tau <= calibrate_elements(coarse, entry.site.name, target).tau


def counted(maxima: list[list[float]], exceeding: list[list[int]], rows: list[int]) -> ActivationProfile:
    """A profile of one site that counted thresholds 0.1, 0.2, ...; rows may differ by iteration."""
    columns = len(maxima[0])
    entry = SiteProfile(
        site=site(columns),
        maxima=np.array(maxima, np.float32),
        exceeding=np.array(exceeding, np.int64),
        elements=np.array(rows, np.int64) * columns,
    )
    origin = Provenance(workload="it", source=SourceKind.RANDOM, seed=0, samples=1, iterations=len(maxima))
    grid = tuple((place + 1) / 10 for place in range(len(exceeding[0])))
    return ActivationProfile(provenance=origin, thresholds=grid, sites=(entry,))


def test_elements_decide_and_not_columns() -> None:
    """Both columns are hot at 0.2, but only 2 of their 20 elements: a target of 0.1 is met there."""
    profile = counted([[0.5, 0.5]] * 2, [[20, 20, 20], [8, 2, 2]], [10, 10])
    found = calibrate_elements(profile, "mlp", 0.1)
    assert (found.tau, found.missed_tau, found.missed_share) == (0.2, 0.1, 0.4)


def test_few_hot_columns_meet_a_target_between_counted_thresholds() -> None:
    """Of two columns one is cold above 0.25, so that half of the elements at most can exceed that."""
    profile = counted([[0.25, 0.5]] * 2, [[20, 20, 10], [20, 12, 10]], [10, 10])
    assert calibrate_elements(profile, "mlp", 0.5).tau == 0.25


def test_columns_say_nothing_of_elements_where_rows_differ() -> None:
    """Half of all maxima are above 0.25, but the iteration that they are of has nearly all elements."""
    profile = counted([[0.5], [0.5], [0.25]], [[20], [99], [1]], [20, 99, 1])
    assert calibrate_elements(profile, "mlp", 0.5).tau == 0.5


# --- bounds and inflation -------------------------------------------------------------------------


def profile_of(matrices: Sequence[Matrix], grid: tuple[float, ...]) -> ActivationProfile:
    seen = site(matrices[0].shape[1])
    fold = ColumnMaxima([seen], iterations=len(matrices), thresholds=grid)
    for iteration, matrix in enumerate(matrices):
        fold.observe(seen, iteration, matrix)
    origin = Provenance(
        workload="tiny", source=SourceKind.RANDOM, seed=0, samples=1, iterations=len(matrices)
    )
    return ActivationProfile(provenance=origin, thresholds=grid, sites=fold.site_profiles())


def true_share(run: ObservedRun, name: str, tau: float) -> Fraction:
    values = [abs(float(value)) for matrix in run.activations[name][1:] for value in matrix.flat]
    return Fraction(sum(value > tau for value in values), len(values))


@given(
    observed_runs(min_iterations=2).flatmap(lambda run: st.tuples(st.just(run), tau_beside(run.profile))),
    st.lists(thresholds(), max_size=3),
)
def test_bounds_enclose_the_true_share(case: tuple[ObservedRun, float], sweep: list[float]) -> None:
    """The share of elements above tau lies in its bounds, and inflation says what follows from them."""
    run, tau = case
    for name in run.activations:
        share = true_share(run, name, tau)
        low, high = exceeding_share_bounds(run.profile, name, tau)
        assert 0.0 <= low <= float(share) <= high <= 1.0
        if tau in run.profile.thresholds:
            assert low == high == float(share)
        flagged = inflation(run.profile, name, tau, sweep)
        assert flagged.above_99th_percentile in {None, share <= Fraction(1, 100)}
        assert (flagged.above_99th_percentile is None) == (low <= 0.01 < high)
        assert flagged.above_uniform_range == (sweep != [] and all(tau > swept for swept in sweep))


@given(observed_runs(min_iterations=2))
def test_bounds_are_exact_beyond_every_maximum(run: ObservedRun) -> None:
    """Above all maxima of iterations 1 and later the share is zero, counted or not."""
    for entry in run.profile.sites:
        tau = float(entry.maxima[1:].max())
        assert exceeding_share_bounds(run.profile, entry.site.name, tau) == (0.0, 0.0)


@given(profiles(max_iterations=1), thresholds())
def test_a_single_iteration_bounds_nothing(profile: ActivationProfile, tau: float) -> None:
    """Without an iteration after the dense one, nothing is known."""
    assert exceeding_share_bounds(profile, profile.sites[0].site.name, tau) == (0.0, 1.0)


def test_one_element_of_a_hundred_is_not_above_the_percentile() -> None:
    """The flag is raised at a share of one hundredth, just met, and not above it."""
    hundredth = np.zeros((10, 10), np.float32)
    hundredth[0, 0] = 1.0
    more = hundredth.copy()
    more[0, 1] = 1.0
    for matrix, flag in ((hundredth, True), (more, False)):
        profile = profile_of([matrix, matrix], grid=(0.5,))
        assert inflation(profile, "mlp", 0.5, [0.1]).above_99th_percentile is flag


def test_inflation_is_undecided_where_the_grid_cannot_tell() -> None:
    """Between two counted thresholds whose counts straddle the hundredth, the flag is None."""
    matrix = np.full((1, 100), 0.3, np.float32)
    profile = profile_of([matrix, matrix], grid=(0.1, 0.5))
    assert exceeding_share_bounds(profile, "mlp", 0.2) == (0.0, 1.0)
    assert inflation(profile, "mlp", 0.2, [0.1, 0.2]).above_99th_percentile is None


# --- the three regimes ----------------------------------------------------------------------------


def regime_of(hot: Flags) -> Regime:
    return classify(mask_set(hot)).regime


def rising(columns: int, first: int, last: int, iterations: int) -> Flags:
    """Columns that only turn on, evenly: `first` of them hot at first, `last` at last."""
    counts = np.linspace(first, last, iterations).round().astype(int)
    return np.arange(columns) < counts[:, np.newaxis]


@given(st.integers(3, 8), st.integers(1, 8).flatmap(lambda columns: flags(1, columns)))
def test_a_constant_hot_set_is_concentration(iterations: int, hot: Flags) -> None:
    """What never changes is concentrated, and iteration 0, which is dense, does not count as a change."""
    constant = np.repeat(hot, iterations, axis=0)
    assert regime_of(constant) is Regime.CONCENTRATION
    constant[0] = True
    assert regime_of(constant) is Regime.CONCENTRATION


@given(st.integers(3, 8), st.integers(1, 8))
def test_disjoint_sets_are_churn(iterations: int, half: int) -> None:
    """Two disjoint hot sets in turn share nothing."""
    left = np.arange(2 * half) < half
    alternating = np.array([left if iteration % 2 else ~left for iteration in range(iterations)])
    classification = classify(mask_set(alternating))
    assert classification.regime is Regime.CHURN
    assert classification.mean_jaccard == classification.min_jaccard == 0.0


@given(st.integers(20, 60), st.integers(4, 10))
def test_columns_that_only_turn_on_are_dispersion(columns: int, iterations: int) -> None:
    """A sequence that only turns on and loses half its sparsity, slowly, is dispersion."""
    hot = rising(columns, columns // 2, columns, iterations)
    classification = classify(mask_set(hot))
    assert classification.regime is Regime.DISPERSION
    assert classification.turn_on_share == 1.0
    assert regime_of(hot[::-1]) is Regime.CONCENTRATION  # only turning off gains sparsity


def test_dispersion_needs_half_the_sparsity_gone() -> None:
    """At exactly half the sparsity left it is dispersion; with one more cold column it is not."""
    assert regime_of(rising(40, 20, 30, 6)) is Regime.DISPERSION
    assert regime_of(rising(40, 20, 29, 6)) is Regime.CONCENTRATION


def test_dispersion_needs_nine_of_ten_changes() -> None:
    """With nine columns turned on and one off it is dispersion; with eight on it is not."""
    hot = rising(40, 20, 40, 3)
    hot[1] = np.arange(40) < 31
    hot[2] = (np.arange(40) < 40) & (np.arange(40) != 0)
    assert classify(mask_set(hot)).turn_on_share == 0.9
    assert regime_of(hot) is Regime.DISPERSION
    hot[2, 39] = False
    assert regime_of(hot) is Regime.CONCENTRATION


def test_a_mean_jaccard_of_one_half_is_no_churn() -> None:
    """Churn begins below one half, not at it."""
    hot = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]], np.bool_)
    assert classify(mask_set(hot)).mean_jaccard == 0.5
    assert regime_of(hot) is Regime.CONCENTRATION
    assert classify(mask_set(hot), RegimeRule(churn_below_jaccard=0.51)).regime is Regime.CHURN


@given(long_hot_flags)
def test_the_numbers_behind_a_regime_are_those_of_the_masks(hot: Flags) -> None:
    """A classification states the Jaccard, sparsity and share of turning on that it was decided by."""
    found = classify(mask_set(hot))
    stability = consecutive_jaccard(hot[1:])
    on = sum(int((after & ~before).sum()) for before, after in itertools.pairwise(hot[1:]))
    changes = round(churn(hot[1:]).sum() * hot.shape[1])
    sparsity = column_sparsity(hot)
    assert found == Classification(
        regime=found.regime,
        mean_jaccard=stability.mean(),
        min_jaccard=stability.min(),
        turn_on_share=on / changes if changes else 0.5,
        first_column_sparsity=sparsity[0],
        mean_column_sparsity=sparsity[1:].mean(),
        last_column_sparsity=sparsity[-1],
    )


@given(long_hot_flags, st.randoms(use_true_random=False), st.data())
def test_a_regime_does_not_depend_on_order(hot: Flags, random: Any, data: st.DataObject) -> None:
    """Permuting columns, cutting them into sites and permuting sites change no number."""
    expected = classify(mask_set(hot))
    order = data.draw(st.permutations(range(hot.shape[1])))
    cuts = sorted(data.draw(st.sets(st.integers(1, hot.shape[1]), max_size=2)) - {hot.shape[1]})
    sites = np.split(hot[:, order], cuts, axis=1)
    random.shuffle(sites)
    assert classify(mask_set(*sites)) == expected


@given(st.integers(1, 2).flatmap(lambda iterations: flags(iterations, 3)))
def test_too_few_iterations_show_no_regime(hot: Flags) -> None:
    """A change needs two iterations after the dense one: with fewer, no regime is claimed."""
    with pytest.raises(InvariantError, match="too few to see a regime"):
        classify(mask_set(hot))


# --- on disk --------------------------------------------------------------------------------------


@given(mask_sets())
def test_masks_come_back_from_their_file(tmp_path_factory: pytest.TempPathFactory, masks: MaskSet) -> None:
    """Policy, sites, thresholds and flags are read as they were written, and so is the digest."""
    path = tmp_path_factory.getbasetemp() / "masks.safetensors"
    path.write_bytes(masks.to_bytes())
    found = MaskSet.from_file(path)
    assert found.policy == masks.policy
    assert found.digest == masks.digest
    for one, other in zip(found.sites, masks.sites, strict=True):
        assert (one.site, one.tau) == (other.site, other.tau)
        np.testing.assert_array_equal(one.hot, other.hot, strict=True)
