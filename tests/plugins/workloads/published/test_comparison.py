from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from colfw.errors import InvariantError
from colfw.masks import MaskPolicy, Regime, classify, masks_of
from colfw.profile import ActivationProfile
from colfw_workloads.published import render, report, synthesise
from colfw_workloads.published.comparison import Row
from colfw_workloads.published.targets import KEYS, TARGETS, Kind, Quantity, target

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.sites import Site
    from colfw_workloads.published.targets import Target

    MakeProfile = Callable[..., ActivationProfile]
    FullSites = Callable[[str], tuple[Site, ...]]
    Key = tuple[str, Quantity, tuple[float, ...]]

MISSED = {
    ("dit-xl-2", Quantity.UNIFORM_REDUCTION, (0.164,)),
    ("mdm", Quantity.UNIFORM_REDUCTION, (0.17, 0.2)),
    ("mld", Quantity.UNIFORM_REDUCTION, (0.164,)),
    ("mld", Quantity.UNIFORM_REDUCTION, (0.1, 0.15, 0.164, 0.17, 0.2)),
    ("edge", Quantity.UNIFORM_REDUCTION, (0.164,)),
    ("sd-v1-4", Quantity.JACCARD_MEAN, (0.164,)),
}
"""What the study's contradictions put out of reach, besides every reduction with a threshold per layer."""


def _key(entry: Target) -> Key:
    return entry.workload, entry.quantity, entry.at


@pytest.mark.parametrize("workload", KEYS)
@pytest.mark.parametrize("seed", [0, 1])
def test_targets_are_met_or_contradictory(workload: str, seed: int, full_profile: MakeProfile) -> None:
    """At full size every target is met within its printed tolerance, or missed for a listed contradiction."""
    for row in report(workload, full_profile(workload, seed=seed)):
        per_layer = row.target.quantity is Quantity.PER_LAYER_REDUCTION
        assert row.within == (_key(row.target) not in MISSED and not per_layer), (row.target.label, row.shown)
        assert row.within or row.contradiction


def test_every_target_has_a_row(full_profile: MakeProfile) -> None:
    """The tables of the seven workloads together hold every target once."""
    rows = [row for workload in KEYS for row in report(workload, full_profile(workload))]
    assert sorted(_key(row.target) for row in rows) == sorted(_key(entry) for entry in TARGETS)


def test_unets_reach_the_reductions_by_their_layers(full_profile: MakeProfile) -> None:
    """The wide layers of Make-an-Audio are the sparser ones: 35 % of the columns are 31 % of the traffic."""
    rows = {row.target.label: row for row in report("make-an-audio", full_profile("make-an-audio"))}
    assert rows[Quantity.COLUMNS_MEAN].achieved[0] == pytest.approx(35, abs=0.05)
    assert rows[Quantity.UNIFORM_REDUCTION].achieved[0] == pytest.approx(0.98 * 31.2, abs=0.05)


def test_no_gap_exceeds_the_largest_published(full_profile: MakeProfile) -> None:
    """No workload's element sparsity exceeds its column sparsity by more than the 78 points of EDGE."""
    for workload in KEYS:
        rows = {row.target.quantity: row for row in report(workload, full_profile(workload))}
        if Quantity.ELEMENTS_MEAN in rows:
            columns = rows[Quantity.COLUMNS_MEAN].achieved[0]
            assert rows[Quantity.ELEMENTS_MEAN].achieved[0] - columns < 78.5


@pytest.mark.parametrize(
    ("workload", "regime"),
    [
        ("dit-xl-2", Regime.DISPERSION),
        ("sd-v1-4", Regime.CONCENTRATION),
        ("make-an-audio", Regime.CONCENTRATION),
        ("mdm", Regime.CONCENTRATION),
        ("mld", Regime.CHURN),
    ],
)
def test_regimes_are_those_of_the_study(workload: str, regime: Regime, full_profile: MakeProfile) -> None:
    """UNets concentrate, DiT disperses, MLD churns."""
    assert classify(masks_of(full_profile(workload), MaskPolicy.uniform(0.164))).regime is regime


def test_elements_that_were_not_counted_are_said_so(full_profile: MakeProfile, full_sites: FullSites) -> None:
    """Without threshold 0.164 on the grid, element sparsity is neither met nor made up."""
    counted = full_profile("mdm")
    bare = synthesise("mdm", full_sites("mdm"), iterations=50, samples=1, seed=0, thresholds=())
    profile = ActivationProfile(provenance=counted.provenance, thresholds=(), sites=bare)
    [row] = [row for row in report("mdm", profile) if row.target.quantity is Quantity.ELEMENTS_MEAN]
    assert (row.shown, row.within) == ("not counted", False)


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


def test_rendered_table_holds_target_and_achieved(full_profile: MakeProfile) -> None:
    """The table shows what was published and what was made, and explains each contradiction below."""
    text = render(report("dit-xl-2", full_profile("dit-xl-2")))
    assert "| dit-xl-2 | column sparsity, iteration 0 | % | 42.6 | 4.2 | 0.05 | 42.60 | yes |" in text
    assert "| 12.4 | 5.2, Table 4, Figure 11 | 0.05 | 16.66 | no [1] |" in text
    assert "\n[1] 17 % of the columns are cold" in text


def test_note_says_what_was_followed(full_profile: MakeProfile) -> None:
    """The note of a row with a contradiction says what, and what was followed; other rows have none."""
    rows = report("edge", full_profile("edge"))
    assert all(bool(row.note) == (row.contradiction is not None) for row in rows)
    assert any("Followed: the column sparsity." in row.note for row in rows)
