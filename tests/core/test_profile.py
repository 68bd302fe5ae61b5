from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError
from colfw.profile import ActivationProfile, ColumnMaxima, SiteProfile
from colfw.sites import Ffn, Site
from colfw.testing.strategies import activations, observed_runs, profiles, site_tuples, sites

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from colfw.testing.strategies import ObservedRun

    Matrix = NDArray[np.float32]
    Shown = Iterable[tuple[Site, int, NDArray[Any]]]

SITE = Site(name="mlp", rows=2, columns=3, operator=Ffn(d_in=1, d_out=1))


def folded(run: ObservedRun, shown: Shown) -> tuple[SiteProfile, ...]:
    """What comes of showing these activations, in this order, instead of those of the run."""
    sites = [entry.site for entry in run.profile.sites]
    fold = ColumnMaxima(
        sites, iterations=run.profile.provenance.iterations, thresholds=run.profile.thresholds
    )
    for site, iteration, activation in shown:
        fold.observe(site, iteration, activation)
    return fold.site_profiles()


def whole(run: ObservedRun) -> list[tuple[Site, int, Matrix]]:
    return [
        (entry.site, iteration, activation)
        for entry in run.profile.sites
        for iteration, activation in enumerate(run.activations[entry.site.name])
    ]


def assert_same(found: Iterable[SiteProfile], expected: Iterable[SiteProfile]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.site == other.site
        np.testing.assert_array_equal(one.maxima, other.maxima, strict=True)
        np.testing.assert_array_equal(one.exceeding, other.exceeding, strict=True)
        np.testing.assert_array_equal(one.elements, other.elements, strict=True)


def observer(site: Site = SITE, *, iterations: int = 2) -> ColumnMaxima:
    return ColumnMaxima([site], iterations=iterations, thresholds=(0.5,))


# --- folding activations --------------------------------------------------------------------------


@given(observed_runs())
def test_maxima_are_those_of_numpy(run: ObservedRun) -> None:
    """A column's maximum is max|a| over its rows, in each iteration."""
    for entry in run.profile.sites:
        expected = [np.abs(activation).max(axis=0) for activation in run.activations[entry.site.name]]
        np.testing.assert_array_equal(entry.maxima, expected)
        assert entry.maxima.dtype == np.float32


@given(observed_runs())
def test_counts_are_those_of_counting(run: ObservedRun) -> None:
    """The counts are how many elements exceed each threshold as real numbers, and how many there are."""
    for entry in run.profile.sites:
        for iteration, activation in enumerate(run.activations[entry.site.name]):
            values = [abs(float(value)) for value in activation.flat]
            expected = [sum(value > tau for value in values) for tau in run.profile.thresholds]
            assert entry.exceeding[iteration].tolist() == expected
            assert entry.elements[iteration] == len(values)


@given(observed_runs(), st.data())
def test_the_order_of_activations_does_not_matter(run: ObservedRun, data: st.DataObject) -> None:
    """Shown in any order, the same activations give the same profile."""
    assert_same(folded(run, data.draw(st.permutations(whole(run)))), run.profile.sites)


@given(observed_runs(), st.data())
def test_how_activations_are_cut_does_not_matter(run: ObservedRun, data: st.DataObject) -> None:
    """Rows may come one by one, in pieces or none at a time: the profile is the same."""
    pieces = [
        (site, iteration, piece)
        for site, iteration, activation in whole(run)
        for piece in np.split(activation, sorted(data.draw(st.lists(st.integers(0, site.rows), max_size=3))))
    ]
    assert_same(folded(run, data.draw(st.permutations(pieces))), run.profile.sites)


@given(observed_runs())
def test_leading_axes_do_not_matter(run: ObservedRun) -> None:
    """An activation `[sample, row, column]` folds as its rows do, and a single row as one."""
    deep = [(site, iteration, activation[np.newaxis, :, :]) for site, iteration, activation in whole(run)]
    rows = [(site, iteration, row) for site, iteration, activation in whole(run) for row in activation]
    assert_same(folded(run, deep), run.profile.sites)
    assert_same(folded(run, rows), run.profile.sites)


@given(observed_runs())
def test_signs_do_not_matter(run: ObservedRun) -> None:
    """A profile is about |a|: negated activations give the same one."""
    negated = [(site, iteration, -activation) for site, iteration, activation in whole(run)]
    assert_same(folded(run, negated), run.profile.sites)


@given(observed_runs())
def test_a_wider_type_with_the_same_values_does_not_matter(run: ObservedRun) -> None:
    """Activations kept as float64 that are float32 in value fold alike."""
    wide = [(site, iteration, activation.astype(np.float64)) for site, iteration, activation in whole(run)]
    assert_same(folded(run, wide), run.profile.sites)


@given(st.sampled_from([np.float16, np.int8, np.int16, np.uint8, np.bool_]), st.data())
def test_a_narrower_type_folds_exactly(dtype: type[np.generic], data: st.DataObject) -> None:
    """Each float16 and each small integer is a float32, and folds as that."""
    value = st.integers(0, 1 if dtype is np.bool_ else 100)
    drawn = data.draw(st.lists(value, min_size=3, max_size=3))
    fold = observer(iterations=1)
    fold.observe(SITE, 0, np.array(drawn, dtype))
    [entry] = fold.site_profiles()
    assert entry.maxima.tolist() == [drawn]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float64_that_is_no_float32_is_refused(value: float) -> None:
    """No number is rounded on its way in: what float32 cannot hold is refused."""
    with np.errstate(over="ignore"):
        exact = float(np.float32(value)) == value
    assert_folds_iff(np.array([0.0, value, 0.0]), exact=exact)


@given(st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**26), 2**26))
def test_an_integer_that_is_no_float32_is_refused(value: int) -> None:
    """Integers fold where they are float32; beyond 2**53, where float64 fails to tell, none does."""
    exact = abs(value) <= 2**53 and int(np.float32(value)) == value
    assert_folds_iff(np.array([0, value, 0]), exact=exact)


def assert_folds_iff(activation: NDArray[Any], *, exact: bool) -> None:
    fold = observer(iterations=1)
    if exact:
        fold.observe(SITE, 0, activation)
        assert fold.site_profiles()[0].maxima[0].tolist() == np.abs(activation).tolist()
        return
    with pytest.raises(InvariantError, match="values that float32 does not") as refusal:
        fold.observe(SITE, 0, activation)
    assert refusal.value.where == "site mlp"


# --- what is refused while folding ----------------------------------------------------------------


@given(
    site_tuples(),
    st.sampled_from([np.nan, np.inf, -np.inf]),
    st.sampled_from([np.float32, np.float64]),
    st.data(),
)
def test_nan_and_infinity_are_refused(
    several: tuple[Site, ...], bad: float, dtype: type[np.generic], data: st.DataObject
) -> None:
    """An element that is no number is an error that names site and iteration, wherever it hides."""
    site = data.draw(st.sampled_from(several))
    iteration = data.draw(st.integers(0, 2))
    activation = data.draw(activations(site)).astype(dtype)
    activation.flat[data.draw(st.integers(0, activation.size - 1))] = bad
    fold = ColumnMaxima(several, iterations=3, thresholds=())
    with pytest.raises(InvariantError, match=f"iteration {iteration}$|iteration {iteration} ") as refusal:
        fold.observe(site, iteration, activation)
    assert refusal.value.where == f"site {site.name}"


@given(site_tuples(), st.integers(1, 4), st.data())
def test_a_site_never_called_in_an_iteration_is_refused(
    several: tuple[Site, ...], iterations: int, data: st.DataObject
) -> None:
    """A profile has every site in every iteration; the refusal names the one that is missing."""
    calls = [(site, iteration) for site in several for iteration in range(iterations)]
    missing = data.draw(st.sampled_from(calls))
    fold = ColumnMaxima(several, iterations=iterations, thresholds=())
    for site, iteration in calls:
        rows = 0 if (site, iteration) == missing else site.rows
        fold.observe(site, iteration, np.zeros((rows, site.columns), np.float32))
    with pytest.raises(InvariantError, match=f"not called in iteration {missing[1]}") as refusal:
        fold.site_profiles()
    assert refusal.value.where == f"site {missing[0].name}"


@given(sites(), st.integers(0, 8))
def test_another_width_is_refused(site: Site, width: int) -> None:
    """An activation has exactly the columns of its site, or is refused with its shape."""
    activation = np.zeros((2, width), np.float32)
    fold = observer(site, iterations=1)
    if width == site.columns:
        fold.observe(site, 0, activation)
        assert fold.site_profiles()[0].elements.tolist() == [2 * width]
        return
    with pytest.raises(InvariantError, match=rf"shape \(2, {width}\) has not its {site.columns} columns"):
        fold.observe(site, 0, activation)


def test_a_scalar_is_refused() -> None:
    """A number alone is no activation."""
    with pytest.raises(InvariantError, match="has not its 3 columns"):
        observer().observe(SITE, 0, 1.0)


def test_an_undeclared_site_is_refused() -> None:
    """What the workload did not declare is not folded."""
    with pytest.raises(InvariantError, match="not declared by its workload") as refusal:
        observer().observe(attrs.evolve(SITE, name="attention"), 0, np.zeros((2, 3)))
    assert refusal.value.where == "site attention"


@pytest.mark.parametrize("columns", [1, 4])
def test_the_declared_width_counts(columns: int) -> None:
    """A site that says another width than was declared is refused, not spread over the declared columns."""
    with pytest.raises(InvariantError, match="has not its 3 columns"):
        observer().observe(attrs.evolve(SITE, columns=columns), 0, np.zeros((2, columns)))


@given(st.integers(1, 4), st.integers(-10, 10))
def test_an_iteration_outside_the_run_is_refused(iterations: int, iteration: int) -> None:
    """Iterations count from 0 to the last of the run; a negative one does not count from the end."""
    fold = observer(iterations=iterations)
    if 0 <= iteration < iterations:
        for every in range(iterations):
            fold.observe(SITE, every, np.full((1, 3), every == iteration))
        assert np.flatnonzero(fold.site_profiles()[0].maxima[:, 0]).tolist() == [iteration]
        return
    with pytest.raises(InvariantError, match=f"iteration {iteration} is outside the {iterations}"):
        fold.observe(SITE, iteration, np.ones((1, 3)))


def test_two_sites_of_one_name_are_refused() -> None:
    """Two sites cannot share a name, for their activations would be folded into one."""
    with pytest.raises(InvariantError, match="declared twice"):
        ColumnMaxima([SITE, attrs.evolve(SITE, rows=1)], iterations=1, thresholds=())


@given(observed_runs())
def test_what_was_seen_stays_as_it_is(run: ObservedRun) -> None:
    """A profile that was taken does not change when folding goes on."""
    sites_seen = [entry.site for entry in run.profile.sites]
    fold = ColumnMaxima(
        sites_seen, iterations=run.profile.provenance.iterations, thresholds=run.profile.thresholds
    )
    for shown in whole(run):
        fold.observe(*shown)
    taken = fold.site_profiles()
    for site, iteration, activation in whole(run):
        fold.observe(site, iteration, np.full_like(activation, 3e38))
    assert_same(taken, run.profile.sites)


# --- a profile that contradicts itself ------------------------------------------------------------


def entry(**changes: Any) -> SiteProfile:
    consistent: dict[str, Any] = {
        "site": SITE,
        "maxima": np.ones((2, 3), np.float32),
        "exceeding": np.array([[6, 3], [6, 0]]),
        "elements": np.array([6, 6]),
    }
    return SiteProfile(**(consistent | changes))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"maxima": np.ones(3, np.float32)}, r"maxima must be \[iteration, column\]"),
        ({"maxima": np.ones((0, 3), np.float32)}, r"maxima must be \[iteration, column\]"),
        ({"maxima": np.ones((2, 3))}, "maxima must be float32"),
        ({"maxima": np.ones((2, 4), np.float32)}, "a maximum per column"),
        (
            {"maxima": np.array([[1, 1, 1], [1, np.nan, 1]], np.float32)},
            r"NaN or infinity in iteration \[1\]",
        ),
        (
            {"maxima": np.array([[np.inf, 1, 1], [1, 1, 1]], np.float32)},
            r"NaN or infinity in iteration \[0\]",
        ),
        ({"maxima": np.full((2, 3), -1, np.float32)}, "cannot be negative"),
        ({"elements": np.array([6])}, "one element count per iteration"),
        ({"elements": np.array([0, 6])}, "without a single element"),
        ({"exceeding": np.array([6, 3])}, r"counts must be \[iteration, threshold\]"),
        ({"exceeding": np.array([[6, 3]])}, r"counts must be \[iteration, threshold\]"),
        ({"exceeding": np.array([[3, 6], [0, 0]])}, "more elements exceed a higher threshold"),
        ({"exceeding": np.array([[7, 3], [6, 0]])}, "more elements exceed a higher threshold"),
        ({"exceeding": np.array([[6, -1], [6, 0]])}, "a count cannot be negative"),
    ],
)
def test_a_senseless_entry_is_refused(changes: dict[str, Any], problem: str) -> None:
    """Each rule of a site's profile, violated alone, is refused with the name of the site."""
    assert entry().iterations == 2
    with pytest.raises(InvariantError, match=problem) as refusal:
        entry(**changes)
    assert refusal.value.where == "profile of site mlp"


@given(profiles())
def test_a_profile_has_the_iterations_of_its_run(profile: ActivationProfile) -> None:
    """Every site has as many iterations as the run, or the profile is refused."""
    longer = attrs.evolve(profile.provenance, iterations=profile.provenance.iterations + 1)
    with pytest.raises(InvariantError, match="the run had"):
        attrs.evolve(profile, provenance=longer)


@given(profiles())
def test_a_profile_counts_its_own_grid(profile: ActivationProfile) -> None:
    """Every site is counted at every threshold of the profile, or the profile is refused."""
    beyond = (*profile.thresholds, max(profile.thresholds, default=0.0) + 1e301)
    with pytest.raises(InvariantError, match="another grid of thresholds"):
        attrs.evolve(profile, thresholds=beyond)


@given(profiles())
def test_a_profile_has_distinct_sites_and_one_at_least(profile: ActivationProfile) -> None:
    """No site at all, and the same site twice, are refused."""
    with pytest.raises(InvariantError, match="at least one site"):
        attrs.evolve(profile, sites=())
    with pytest.raises(InvariantError, match="declared twice"):
        attrs.evolve(profile, sites=(*profile.sites, profile.sites[0]))


@given(profiles())
def test_a_site_is_found_by_name(profile: ActivationProfile) -> None:
    """Each site is found by its name, and an unknown name is refused."""
    assert [profile.site(entry.site.name) for entry in profile.sites] == list(profile.sites)
    with pytest.raises(InvariantError, match="no site 'elsewhere'"):
        profile.site("elsewhere")


# --- on disk --------------------------------------------------------------------------------------


@given(profiles())
def test_a_profile_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, profile: ActivationProfile
) -> None:
    """Origin, grid, sites, arrays and further statistics are read as they were written."""
    path = tmp_path_factory.getbasetemp() / "profile.safetensors"
    path.write_bytes(profile.to_bytes())
    found = ActivationProfile.from_file(path)
    assert found.provenance == profile.provenance
    assert found.thresholds == profile.thresholds
    assert_same(found.sites, profile.sites)
    assert found.statistics.keys() == profile.statistics.keys()
    for observer_name, by_site in profile.statistics.items():
        np.testing.assert_equal(found.statistics[observer_name], by_site)
