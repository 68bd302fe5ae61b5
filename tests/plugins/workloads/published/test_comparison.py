from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from colfw.errors import InvariantError
from colfw.masks import MaskPolicy, Regime, calibrate_elements, classify, masks_of
from colfw.profile import ActivationProfile
from colfw_workloads.published import render, report, synthesise
from colfw_workloads.published.comparison import Row
from colfw_workloads.published.recipe import RECIPES
from colfw_workloads.published.targets import KEYS, SWEEP, TARGETS, Kind, Quantity, target

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.sites import Site
    from colfw_workloads.published.targets import Target

    MakeProfile = Callable[..., ActivationProfile]
    FullReport = Callable[..., tuple[Row, ...]]
    FullSites = Callable[[str], tuple[Site, ...]]
    Key = tuple[str, Quantity, tuple[float, ...]]

MISSED = {
    ("dit-xl-2", Quantity.UNIFORM_REDUCTION, (0.164,)),
    ("mdm", Quantity.UNIFORM_REDUCTION, (0.17, 0.2)),
    ("mld", Quantity.UNIFORM_REDUCTION, (0.164,)),
    ("mld", Quantity.UNIFORM_REDUCTION, SWEEP),
    ("edge", Quantity.UNIFORM_REDUCTION, (0.164,)),
    ("sd-v1-4", Quantity.JACCARD_MEAN, (0.164,)),
    ("dit-xl-2", Quantity.ELEMENT_TAU_MAX, (0.164,)),
    ("dit-xl-2", Quantity.ELEMENT_REDUCTION, SWEEP),
    ("mld", Quantity.ELEMENT_REDUCTION, SWEEP),
}
"""What the study's contradictions put out of reach, besides every reduction of targets of hot columns."""


def _key(entry: Target) -> Key:
    return entry.workload, entry.quantity, entry.at


@pytest.mark.parametrize("workload", KEYS)
@pytest.mark.parametrize("seed", [0, 1])
def test_targets_are_met_or_contradictory(workload: str, seed: int, full_report: FullReport) -> None:
    """At full size every target is met within its printed tolerance, or missed for a listed contradiction."""
    for row in full_report(workload, seed):
        per_layer = row.target.quantity is Quantity.PER_LAYER_REDUCTION
        assert row.within == (_key(row.target) not in MISSED and not per_layer), (row.target.label, row.shown)
        assert row.within or row.contradiction


def test_every_target_has_a_row(full_report: FullReport) -> None:
    """The tables of the seven workloads together hold every target once."""
    rows = [row for workload in KEYS for row in full_report(workload)]
    assert sorted(_key(row.target) for row in rows) == sorted(_key(entry) for entry in TARGETS)


def test_unets_reach_the_reductions_by_their_layers(full_report: FullReport) -> None:
    """Wide layers are the sparser ones: 35 % of Make-an-Audio's columns are 31 % of its traffic.

    Of VideoCrafter2's, 8 % are 5 %.
    """
    for workload, columns, traffic in (("make-an-audio", 35, 31.2), ("videocrafter2", 8, 5.0)):
        rows = {row.target.label: row for row in full_report(workload)}
        assert rows[Quantity.COLUMNS_MEAN].achieved[0] == pytest.approx(columns, abs=0.05)
        assert rows[Quantity.UNIFORM_REDUCTION].achieved[0] == pytest.approx(0.98 * traffic, abs=0.05)


@pytest.mark.parametrize("workload", KEYS)
def test_targets_of_elements_are_met_at_the_assumed_thresholds(
    workload: str, full_profile: MakeProfile, full_report: FullReport
) -> None:
    """In every layer the assumed threshold is the one that meets its target; lower targets save more."""
    profile = full_profile(workload)
    for share, known in RECIPES[workload].by_elements.items():
        taus = {calibrate_elements(profile, entry.site.name, share).tau for entry in profile.sites}
        assert taus == {known.tau}
    [row] = [row for row in full_report(workload) if row.target.at == SWEEP and row.target.quantity is
             Quantity.ELEMENT_REDUCTION]  # fmt: skip
    assert list(row.achieved) == sorted(row.achieved, reverse=True)


def test_fixed_part_of_mld_scales_what_it_saves(full_report: FullReport) -> None:
    """MLD's reductions all exceed the printed ones in the ratio in which that for one threshold does."""
    rows = {row.target.label: row for row in full_report("mld")}
    ratio = rows[Quantity.UNIFORM_REDUCTION].achieved[0] / 50.8
    spanned = rows[target("mld", Quantity.ELEMENT_REDUCTION, SWEEP).label]
    assert max(spanned.achieved) / 60.1 == pytest.approx(ratio, rel=1e-3)
    assert min(spanned.achieved) / 42.2 == pytest.approx(ratio, rel=1e-3)


def test_dit_misses_the_targets_of_elements_for_the_stated_reason(
    full_profile: MakeProfile, full_report: FullReport
) -> None:
    """A fifth of DiT's elements exceed 0.164: a target of a fifth saves what this threshold does."""
    profile = full_profile("dit-xl-2")
    taus = {calibrate_elements(profile, entry.site.name, 0.2).tau for entry in profile.sites}
    assert taus == {0.164}
    rows = {row.target.label: row for row in full_report("dit-xl-2")}
    spanned = rows[target("dit-xl-2", Quantity.ELEMENT_REDUCTION, SWEEP).label]
    assert min(spanned.achieved) == rows[Quantity.UNIFORM_REDUCTION].achieved[0]


def test_no_gap_exceeds_the_largest_published(full_report: FullReport) -> None:
    """No workload's element sparsity exceeds its column sparsity by more than the 78 points of EDGE."""
    for workload in KEYS:
        rows = {row.target.quantity: row for row in full_report(workload)}
        if Quantity.ELEMENTS_MEAN in rows:
            columns = rows[Quantity.COLUMNS_MEAN].achieved[0]
            assert rows[Quantity.ELEMENTS_MEAN].achieved[0] - columns < 78.5


@pytest.mark.parametrize(
    ("workload", "regime"),
    [
        ("dit-xl-2", Regime.DISPERSION),
        ("sd-v1-4", Regime.CONCENTRATION),
        ("make-an-audio", Regime.CONCENTRATION),
        ("videocrafter2", Regime.CONCENTRATION),
        ("mdm", Regime.CONCENTRATION),
        ("mld", Regime.CHURN),
    ],
)
def test_regimes_are_those_of_the_study(workload: str, regime: Regime, full_profile: MakeProfile) -> None:
    """UNets concentrate, DiT disperses, MLD churns."""
    assert classify(masks_of(full_profile(workload), MaskPolicy.uniform(0.164))).regime is regime


def test_elements_that_were_not_counted_are_said_so(full_profile: MakeProfile, full_sites: FullSites) -> None:
    """Without thresholds on the grid, what rests on elements is neither met nor made up."""
    counted = full_profile("mdm")
    bare = synthesise("mdm", full_sites("mdm"), iterations=50, samples=1, seed=0, thresholds=())
    profile = ActivationProfile(provenance=counted.provenance, thresholds=(), sites=bare)
    by_elements = {Quantity.ELEMENTS_MEAN, Quantity.ELEMENT_REDUCTION}
    rows = [row for row in report("mdm", profile) if row.target.quantity in by_elements]
    assert [(row.shown, row.within) for row in rows] == [("not counted", False)] * 2


def test_unknown_workload_is_refused(full_profile: MakeProfile) -> None:
    """A workload without published numbers is refused, and the known ones are named."""
    with pytest.raises(InvariantError, match=r"comparison of flux: nothing is published .*dit-xl-2"):
        report("flux", full_profile("mdm"))


def test_too_few_iterations_are_refused(full_profile: MakeProfile) -> None:
    """Two iterations have no two hot sets after iteration 0 to compare."""
    with pytest.raises(InvariantError, match="fewer than 3 iterations"):
        report("mdm", full_profile("mdm", iterations=2))


def _row(kind: Kind, *achieved: float) -> Row:
    entry = attrs.evolve(target("mdm", Quantity.COLUMNS_MEAN), kind=kind, low=10.0, high=20.0)
    return Row(target=entry, achieved=achieved, contradiction=None)


@pytest.mark.parametrize(
    "row",
    [_row(Kind.SPAN, 10.05, 15.0, 19.95), _row(Kind.WITHIN, 12.0, 13.0), _row(Kind.UP_TO, 3.0, 20.0)],
)
def test_met_means_within_half_a_printed_unit(row: Row) -> None:
    """A span must be met at both ends, a group's range must hold all, an upper end must be reached."""
    assert row.within


@pytest.mark.parametrize(
    "row",
    [
        _row(Kind.SPAN, 10.06, 20.0),
        _row(Kind.SPAN, 10.0, 20.06),
        _row(Kind.WITHIN, 9.9, 13.0),
        _row(Kind.WITHIN, 12.0, 20.1),
        _row(Kind.UP_TO, 3.0, 19.0),
    ],
)
def test_missed_means_beyond_half_a_printed_unit(row: Row) -> None:
    """More than half a printed unit away at an end that counts, and the target is missed."""
    assert not row.within


def test_rendered_table_holds_target_and_achieved(full_report: FullReport) -> None:
    """The table shows what was published and what was made, and explains each contradiction below."""
    text = render(full_report("dit-xl-2"))
    assert "| dit-xl-2 | column sparsity, iteration 0 | % | 42.6 | 4.2 | 0.05 | 42.60 | yes |" in text
    assert "| 12.4 | 5.2, Table 4, Figure 11 | 0.05 | 16.66 | no [1] |" in text
    assert "\n[1] 17 % of the columns are cold" in text


def test_note_says_what_was_followed(full_report: FullReport) -> None:
    """The note of a row with a contradiction says what, and what was followed; other rows have none."""
    rows = full_report("edge")
    assert all(bool(row.note) == (row.contradiction is not None) for row in rows)
    assert any("Followed: the column sparsity." in row.note for row in rows)
