"""Advice: what is counted is what a machine would move, and every rule that stops or warns can be met."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.advice import Criteria, advice_on, layouts_of
from colfw.advice.objections import objections
from colfw.advice.reasons import GELU_MINIMUM
from colfw.advice.survey import Calibration
from colfw.advice.traffic import SiteCost, natural_columns_per_piece, saving_bound, tally
from colfw.binding import Choice
from colfw.errors import InvariantError, PluginError
from colfw.masks import MaskPolicy, MaskSet, SiteMask, masks_of
from colfw.placement import Epoch, SitePlacement
from colfw.plugins import load_plugins
from colfw.profile import ActivationProfile, Provenance, SiteProfile
from colfw.protocols import DenoiseRequest
from colfw.sites import Ffn, Site
from colfw.study import DEFAULT_THRESHOLDS
from colfw.testing.distributions import install
from colfw.testing.strategies import flags, profiles, site_placements, site_tuples
from colfw.vocabulary import Kind, MaskKind, SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from colfw.advice import Advice
    from colfw.advice.survey import Case
    from colfw.testing.strategies import Flags

FAKES = '''
"""Layouts for tests."""

import numpy as np
from attrs import field, frozen

from colfw import hookimpl
from colfw.placement import Epoch, SitePlacement
from colfw.records import LayoutSpec


@frozen(kw_only=True)
class Options:
    slack: int = field(default=0)


@hookimpl
def colfw_layouts():
    for name, masks in (
        ("exact", ("threshold",)),
        ("calibrated", ("target-hot-ratio",)),
        ("broken", ("threshold",)),
        ("first-seen", ("dense", "threshold")),
        ("packed", ("threshold",)),
    ):
        attribute = "exact" if name == "calibrated" else name.replace("-", "_")
        yield LayoutSpec(name=name, summary="For tests", api_version=1, masks=masks,
                         factory=f"{__name__}:{attribute}")
    yield LayoutSpec(name="optional", summary="For tests", api_version=1, masks=("threshold",),
                     factory=f"{__name__}:optional", config=f"{__name__}:Options",
                     presets={"slack": {"slack": 1}})


def _placement(profile, orders, hot_slots, fetched):
    """One epoch for each `(first iteration, columns in slot order)`; what moves is counted."""
    epochs, before = [], None
    for first, order in orders:
        slots = np.argsort(order)
        moved = 0 if before is None else int(np.count_nonzero(slots != before))
        if before is None or moved:
            epochs.append(Epoch(first_iteration=first, slot_of_column=slots, hot_slots=hot_slots,
                                moved_columns=moved))
        before = slots
    fetched = fetched.copy()
    fetched[0] = True
    return SitePlacement(site=profile.site, epochs=tuple(epochs), fetched=fetched)


class exact:
    def place(self, profile, mask):
        order = np.arange(profile.site.columns)
        return _placement(profile, [(0, order)], profile.site.columns, mask.hot)


class first_seen:
    def place(self, profile, mask):
        order = np.argsort(~mask.hot[0], kind="stable")
        return _placement(profile, [(0, order)], int(mask.hot[0].sum()), mask.hot | mask.hot[0])


class optional(first_seen):
    def __init__(self, config):
        pass


class packed:
    def place(self, profile, mask):
        orders = [(t, np.argsort(~hot, kind="stable")) for t, hot in enumerate(mask.hot)]
        return _placement(profile, orders, 0, mask.hot)


class broken:
    def place(self, profile, mask):
        raise RuntimeError("no room")
'''


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Choice]]:
    """By label: layouts that fetch exactly the hot columns, or more, or move, or fail."""
    folder = tmp_path_factory.mktemp("layouts")
    install(folder, "colfw-fake-layouts", FAKES)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(folder)
        every = layouts_of(load_plugins())
        fakes = [c for c in every if c.registered.owner.distribution == "colfw-fake-layouts"]
        yield {choice.label: choice for choice in fakes}


COLUMNS = 8
EARLY = np.arange(COLUMNS) < 2
"""Two columns of eight."""


def profile_of(hot: Flags, *, rows: int = 6, gated: bool = False, **provenance: Any) -> ActivationProfile:
    """One site whose hot columns reach 0.5, the others 0.1; one element of a hot column exceeds 0.164."""
    iterations, columns = hot.shape
    operator = Ffn(d_in=columns // 4 or 1, d_out=2, gated=gated)
    entry = SiteProfile(
        site=Site(name="mlp", rows=rows, columns=columns, operator=operator),
        maxima=np.where(hot, 0.5, 0.1).astype(np.float32),
        exceeding=np.count_nonzero(hot, axis=1)[:, None].astype(np.int64),
        elements=np.full(iterations, rows * columns, np.int64),
    )
    about = {"workload": "w", "source": SourceKind.CHECKPOINT, "seed": 0, "samples": 2, **provenance}
    return ActivationProfile(
        provenance=Provenance(iterations=iterations, **about), thresholds=(0.164,), sites=(entry,)
    )


def lasting(hot: Flags, iterations: int = 5) -> Flags:
    """The same columns hot in every iteration."""
    return np.tile(hot, (iterations, 1))


def alternating(iterations: int = 5) -> Flags:
    """Two columns that are hot in turn with two others."""
    return np.array([EARLY if t % 2 == 0 else EARLY[::-1] for t in range(iterations)])


def case_of(advice: Advice, layout: str, mask: str = "tau=0.164") -> Case:
    [case] = [c for c in advice.survey.cases if (c.choice.label, c.mask.label) == (layout, mask)]
    return case


def about(advice: Advice) -> dict[str, Any]:
    """Objections by what they are about."""
    return {objection.about: objection for objection in advice.objections}


def reason(advice: Advice, name: str) -> Any:
    [found] = [each for each in advice.reasons if each.about == name]
    return found


# --- traffic --------------------------------------------------------------------------------------


def test_what_a_site_moves() -> None:
    """Weights once per row tile, hidden values twice a row; inputs and outputs always."""
    site = Site(name="mlp", rows=20, columns=8, operator=Ffn(d_in=3, d_out=5, gated=True))
    cost = SiteCost.of(site, Criteria(row_tile=16, element_bytes=2))
    vectors_bytes = (3 + 3 + 5) * 2
    assert cost.unit_bytes == 2 * vectors_bytes + 2 * 20 * 2
    assert cost.fixed_bytes == 20 * (3 + 5) * 2
    assert cost.move_bytes == 2 * vectors_bytes


def test_what_a_layout_moves_is_counted_by_hand() -> None:
    """Iteration 0 is dense; then what is fetched is paid; a moved column is paid once, not per row tile."""
    site = Site(name="mlp", rows=32, columns=4, operator=Ffn(d_in=4, d_out=4))
    hot = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0]], np.bool_)
    fetched = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 0, 1, 0]], np.bool_)
    epochs = (
        Epoch(first_iteration=0, slot_of_column=np.arange(4), hot_slots=2),
        Epoch(first_iteration=2, slot_of_column=np.array([2, 1, 0, 3]), hot_slots=1, moved_columns=2),
    )
    found = tally(
        SiteMask(site=site, tau=0.5, hot=hot),
        SitePlacement(site=site, epochs=epochs, fetched=fetched),
        Criteria(),
    )
    unit_bytes, fixed_bytes = 2 * 8 * 2 + 2 * 32 * 2, 32 * 8 * 2
    assert found.dense_bytes == 3 * fixed_bytes + 12 * unit_bytes
    assert found.fetched_bytes == 3 * fixed_bytes + (4 + 3 + 1) * unit_bytes
    assert found.needed_bytes == 3 * fixed_bytes + (4 + 2 + 1) * unit_bytes
    assert found.moved_bytes == 2 * (2 * 8 * 2)
    assert (found.extra_bytes, found.fetched, found.columns) == (unit_bytes, 4, 8)
    assert (found.hot_outside, found.cold_inside) == (1, 1)  # columns 2 and 1 of iteration 1
    assert found.pieces == 2


@given(site_tuples(max_sites=1), st.data())
def test_counts_agree_with_the_placement(sites: tuple[Site, ...], data: st.DataObject) -> None:
    """Whatever moves when: slots are fetched in the runs that the placement itself states."""
    [site] = sites
    placement = data.draw(site_placements(site, iterations=4))
    hot = data.draw(flags(4, site.columns)) & placement.fetched
    found = tally(SiteMask(site=site, tau=0.5, hot=hot), placement, Criteria())
    slots = [placement.fetched_slots(iteration) for iteration in range(1, 4)]
    assert found.fetched == sum(each.size for each in slots)
    assert found.pieces == sum(int(np.count_nonzero(np.diff(each, prepend=-2) > 1)) for each in slots)
    inside = [
        hot[t][placement.epoch_at(t).column_of_slot[: placement.epoch_at(t).hot_slots]] for t in (1, 2, 3)
    ]
    assert found.hot_outside == np.count_nonzero(hot[1:]) - sum(int(each.sum()) for each in inside)
    assert found.cold_inside == sum(int((~each).sum()) for each in inside)


def test_hot_columns_in_their_own_order_lie_in_pieces() -> None:
    """Neighbouring hot columns are one piece; iteration 0 does not count."""
    hot = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [0, 0, 1, 0]], np.bool_)
    site = Site(name="mlp", rows=1, columns=4, operator=Ffn(d_in=1, d_out=1))
    masks = MaskSet(policy=MaskPolicy.uniform(0.5), sites=(SiteMask(site=site, tau=0.5, hot=hot),))
    assert natural_columns_per_piece(masks) == 4 / 3


@given(profiles(min_iterations=3), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_saves_less(profile: ActivationProfile, one: float, other: float) -> None:
    """The bound is a share, and rises with the threshold."""
    low, high = sorted([one, other])
    bounds = [saving_bound(masks_of(profile, MaskPolicy.uniform(tau)), Criteria()) for tau in (low, high)]
    assert 0 <= bounds[0] <= bounds[1] < 1


# --- layouts --------------------------------------------------------------------------------------


@given(profiles(min_iterations=3))
def test_no_layout_beats_its_bound(layouts: dict[str, Choice], profile: ActivationProfile) -> None:
    """Expected <= at most; equal where exactly the hot columns are fetched; a dense run saves nothing."""
    advice = advice_on(profile, list(layouts.values()))
    for case in advice.survey.cases:
        assert case.expected <= case.at_most
        assert case.backed <= max(case.expected, 0)
        assert case.mask.kind is not MaskKind.DENSE or (case.expected == 0 and case != advice.survey.best)
    exact = case_of(advice, "exact")
    assert exact.expected == exact.at_most == pytest.approx(saving_bound(advice.survey.natural, Criteria()))


def test_every_layout_and_preset_takes_part(layouts: dict[str, Choice]) -> None:
    """A preset is a layout of its own; what is built in is there, by no name that core knows."""
    assert {"exact", "optional", "optional[slack]"} <= layouts.keys()
    registry = load_plugins()
    found = layouts_of(registry)
    presets = sum(len(registered.record.presets) for registered in registry.all(Kind.LAYOUT))
    assert len(found) == len(registry.all(Kind.LAYOUT)) + presets
    advice = advice_on(profile_of(lasting(EARLY)), found)
    assert {each.layout for each in advice.survey.not_placed} == {"broken"}
    placed = {case.choice.label for case in advice.survey.cases}
    assert placed == {choice.label for choice in found} - {"broken"}


def test_the_extra_that_a_static_layout_fetches_is_its_loss(layouts: dict[str, Choice]) -> None:
    """Two columns that were hot at first are fetched in every second iteration for nothing."""
    advice = advice_on(profile_of(alternating()), [layouts["first-seen"]])
    case = case_of(advice, "first-seen")
    unit_bytes = SiteCost.of(advice.survey.profile.sites[0].site, Criteria()).unit_bytes
    assert case.tally.extra_bytes == 2 * 2 * unit_bytes
    assert case.at_most - case.expected == pytest.approx(case.tally.extra_bytes / case.tally.dense_bytes)
    assert reason(advice, "partition").numbers["hot_outside_hot_region"] == 2 * 2 / (4 * COLUMNS)


def test_moving_is_paid(layouts: dict[str, Choice]) -> None:
    """A layout that follows the hot set fetches nothing in vain, and loses what its moves cost."""
    advice = advice_on(profile_of(alternating()), [layouts["packed"]])
    case = case_of(advice, "packed")
    assert case.tally.moved_columns > 0
    assert case.tally.extra_bytes == 0
    assert case.at_most - case.expected == pytest.approx(case.moved_share)
    assert about(advice)["moves columns"].numbers == {"moved_columns": case.tally.moved_columns}


@pytest.mark.parametrize(
    ("offered", "advised"),
    [
        (("packed", "exact"), "exact"),  # moves, for the same
        (("exact", "first-seen"), "first-seen"),  # the same in longer pieces
        (("exact", "optional"), "optional"),  # the same, though it has options
        (("optional", "first-seen"), "first-seen"),  # fewer options
        (("optional[slack]", "optional"), "optional"),  # its defaults
        (("calibrated", "packed"), "packed"),  # one threshold for all, though it moves
    ],
)
def test_of_equals_the_simplest_is_advised(
    offered: tuple[str, ...], advised: str, layouts: dict[str, Choice]
) -> None:
    """What is too close to call is decided by complexity."""
    hot = np.arange(COLUMNS) % 4 == 0
    moved = ~lasting(~hot)
    moved[-1] = np.roll(hot, 1) if "packed" in offered else hot
    profile = profile_of(moved, rows=1600)  # so that moving costs next to nothing
    advice = advice_on(profile, [layouts[name] for name in offered], Criteria(target=0.25))
    assert advice.advised is not None
    assert advice.advised.choice.label == advised


def test_a_better_saving_beats_simplicity(layouts: dict[str, Choice]) -> None:
    """A layout that saves more than a point more is advised, whatever its pieces."""
    advice = advice_on(profile_of(alternating()), [layouts["first-seen"], layouts["exact"]])
    assert advice.advised is not None
    assert advice.advised.choice.label == "exact"
    assert advice.survey.cases[0] == advice.advised


def test_a_layout_that_fails_is_left_out_and_named(layouts: dict[str, Choice]) -> None:
    """One broken layout never stops the others; where none is left, that is an error."""
    advice = advice_on(profile_of(lasting(EARLY)), [layouts["broken"], layouts["exact"]])
    [left_out] = advice.survey.not_placed
    assert (left_out.layout, left_out.mask) == ("broken", "tau=0.164")
    assert "no room" in left_out.problem
    with pytest.raises(PluginError, match=r"no layout could place the columns: .*no room"):
        advice_on(profile_of(lasting(EARLY)), [layouts["broken"]])
    with pytest.raises(PluginError, match="no layout is plugged in"):
        advice_on(profile_of(lasting(EARLY)), [])


@pytest.mark.parametrize(("iterations", "word"), [(1, "1 iteration,"), (2, "2 iterations,")])
def test_too_short_a_run_is_refused(iterations: int, word: str, layouts: dict[str, Choice]) -> None:
    """The first iteration is dense, and a regime needs two pairs."""
    with pytest.raises(InvariantError, match=word):
        advice_on(profile_of(lasting(EARLY, iterations)), [layouts["exact"]])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", -0.1),
        ("threshold", math.nan),
        ("target", 16.4),
        ("worth", 5),
        ("row_tile", 0),
        ("element_bytes", 0),
    ],
)
def test_bad_criteria_are_refused(field: str, value: float) -> None:
    """A value that makes no sense is refused with its field."""
    with pytest.raises(InvariantError) as refused:
        Criteria(**{field: value})  # type: ignore[arg-type]  # each field has its own type
    assert refused.value.where == field


# --- when not -------------------------------------------------------------------------------------


def test_a_sound_saving_is_advised_without_a_word_against_it(layouts: dict[str, Choice]) -> None:
    """A trained model, several samples, lasting hot columns that a layout brings together: use it."""
    hot = np.arange(64) % 4 == 0
    advice = advice_on(profile_of(lasting(hot)), [layouts["first-seen"]])
    assert advice.objections == ()
    assert advice.advised is not None
    percent = f"{100 * advice.advised.expected:.1f} %"
    assert advice.verdict == (
        f"Use first-seen at tau=0.164: it is expected to save {percent} of the traffic (at most {percent})."
    )


@pytest.mark.parametrize(
    ("provenance", "rule", "stops"),
    [
        ({"source": SourceKind.RANDOM}, "random weights", True),
        ({"source": SourceKind.PUBLISHED}, "synthesised", False),
        ({"samples": 1}, "one sample", False),
    ],
)
def test_what_a_profile_is_made_from_is_minded(
    *,
    provenance: dict[str, Any],
    rule: str,
    stops: bool,
    layouts: dict[str, Choice],
) -> None:
    """Random weights stop; what was synthesised, and a single sample, is said."""
    advice = advice_on(profile_of(lasting(EARLY), **provenance), [layouts["first-seen"]])
    assert about(advice)[rule].stops == stops
    assert (advice.advised is None) == stops
    assert advice.verdict.startswith("Don't: " if stops else "Use ")


def test_too_small_a_saving_stops(layouts: dict[str, Choice]) -> None:
    """Below what is worthwhile, the verdict says which number falls short, and what the bound is."""
    profile = profile_of(alternating())
    worth = Criteria(worth=0.45)
    short = advice_on(profile, [layouts["first-seen"]], worth)
    assert short.advised is None
    assert "the best layout, first-seen at tau=0.164, is expected to save" in short.verdict
    assert about(short)["not worth it"].numbers["worth"] == 0.45
    hopeless = advice_on(profile_of(~lasting(EARLY)), [layouts["exact"]], worth)
    assert "too few columns are cold at 0.164, and no layout can save more than" in hopeless.verdict
    assert advice_on(profile, [layouts["first-seen"]], Criteria(worth=0.0)).advised is not None


def test_a_saving_by_raised_thresholds_alone_is_none(layouts: dict[str, Choice]) -> None:
    """Calibration can force columns cold: what natural sparsity does not back is not advised, and named."""
    profile = profile_of(~lasting(EARLY))
    criteria = Criteria(target=0.1)
    advice = advice_on(profile, [layouts["calibrated"]], criteria)
    case = case_of(advice, "calibrated", "rho=0.1")
    natural = saving_bound(advice.survey.natural, criteria)
    assert case.unbacked == pytest.approx(1 - natural / case.at_most)
    assert case.backed == pytest.approx(natural)
    assert case.unbacked > 0.5
    assert {"inflated thresholds", "target out of reach", "not worth it"} <= about(advice).keys()
    assert "no layout that is plugged in has a sound saving to offer" in advice.verdict
    assert "of calibrated at rho=0.1 exist only by raised thresholds" in advice.verdict
    assert "1 of 1 sites need a threshold above 0.164" in reason(advice, "calibration rho=0.1").sentence


def test_a_target_that_is_met_naturally_may_be_advised(layouts: dict[str, Choice]) -> None:
    """A site that leaves no more hot at the uniform threshold needs no raised one: nothing is inflated."""
    advice = advice_on(profile_of(lasting(EARLY)), [layouts["calibrated"]], Criteria(target=0.25))
    assert advice.advised is not None
    assert advice.advised.unbacked == 0
    assert not {"inflated thresholds", "target out of reach"} & about(advice).keys()


def test_the_published_inflation_follows_from_the_formula(golden_root: Path) -> None:
    """1 - uniform / per-layer of the study's own reductions is its 77.7 %."""
    path = golden_root / "paper" / "published.json"
    if not path.exists():
        pytest.skip("no published numbers here")
    published = json.loads(path.read_text(encoding="utf-8"))
    per_layer = published["per_layer_sweep_reduction_pct"]
    uniform = published["uniform_sweep_reduction_pct"]["at_0.164"]["dit"]
    printed = per_layer["dit_inflation_artifact_pct_of_reduction"]
    share = 100 * (1 - uniform / per_layer["dit_at_rho_0.164_derived"]["value"])
    assert share == pytest.approx(printed["value"], abs=printed["tol"])


def test_calibration_that_is_half_backed_is_sound() -> None:
    """The line is one half, and at least one site must meet the target naturally."""
    half = Calibration(
        policy=MaskPolicy.per_layer(0.2),
        sites=2,
        lowest_tau=0.1,
        highest_tau=0.3,
        raised=1,
        beyond_sweep=1,
        beyond_99th_percentile=0,
        at_most=0.4,
        unbacked=0.5,
    )
    assert half.sound
    assert not attrs.evolve(half, unbacked=0.51).sound
    assert not attrs.evolve(half, raised=2).sound


def test_a_static_layout_is_warned_of_churn(layouts: dict[str, Choice]) -> None:
    """Where consecutive hot sets share less than half, a partition that stays is no reason for the saving."""
    advice = advice_on(profile_of(alternating()), [layouts["exact"]])
    assert about(advice)["churn"].numbers["mean_jaccard"] == 0
    assert reason(advice, "regime").sentence.startswith("churn: ")
    moving = advice_on(profile_of(alternating()), [layouts["packed"]])
    assert "churn" not in about(moving)


def test_a_layout_that_brings_nothing_together_is_named(layouts: dict[str, Choice]) -> None:
    """Exact skipping needs no layout: one whose pieces are not twice as long hardly rearranges."""
    scattered = profile_of(lasting(np.arange(64) % 4 == 0))
    for layout, minded in (("exact", True), ("first-seen", False)):
        advice = advice_on(scattered, [layouts[layout]])
        assert ("little rearranged" in about(advice)) == minded
        numbers = reason(advice, "partition").numbers
        assert numbers["columns_per_piece_in_own_order"] == 1
        assert numbers["columns_per_piece"] == (1 if minded else 16)


def test_the_least_value_of_gelu() -> None:
    """|min x Phi(x)|, found again by calculation."""
    inputs = np.linspace(-0.76, -0.74, 20001)
    values = [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in inputs.tolist()]
    assert pytest.approx(-min(values), abs=5e-7) == GELU_MINIMUM


@pytest.mark.parametrize(
    ("threshold", "gated", "minded"), [(0.164, False, False), (0.17, False, True), (0.17, True, False)]
)
def test_a_threshold_beyond_gelu_is_minded(
    *,
    threshold: float,
    gated: bool,
    minded: bool,
    layouts: dict[str, Choice],
) -> None:
    """From there on columns are cold by the shape of GELU; a gated product has no such edge."""
    advice = advice_on(
        profile_of(lasting(EARLY), gated=gated), [layouts["exact"]], Criteria(threshold=threshold)
    )
    assert ("beyond GELU's minimum" in about(advice)) == minded
    edge = "All sites are gated" if gated else f"{threshold:g} lies {'beyond' if minded else 'below'} 0.16997"
    assert edge in reason(advice, "threshold").sentence


# --- reasons --------------------------------------------------------------------------------------


def test_rows_and_expansion_are_put_in_numbers(layouts: dict[str, Choice]) -> None:
    """p is counted, p^M follows from it with the rows that were folded, and both stand beside what is."""
    advice = advice_on(profile_of(lasting(EARLY), rows=6), [layouts["exact"]])
    numbers = reason(advice, "rows and expansion").numbers
    p = 1 - 2 / (6 * COLUMNS)
    assert numbers["element_sparsity_low"] == numbers["element_sparsity_high"] == pytest.approx(p)
    assert numbers["column_sparsity_if_rows_were_independent_low"] == pytest.approx(p**6)
    assert numbers["column_sparsity"] == 0.75
    assert "Sites have 6 rows and 4 times" in reason(advice, "rows and expansion").sentence


def test_element_sparsity_off_the_grid_is_a_range(layouts: dict[str, Choice]) -> None:
    """Where the threshold was not counted, the counts beside it bound the share."""
    advice = advice_on(profile_of(lasting(EARLY)), [layouts["exact"]], Criteria(threshold=0.3))
    numbers = reason(advice, "rows and expansion").numbers
    assert numbers["element_sparsity_low"] < numbers["element_sparsity_high"] == 1
    assert " to 100.0 % of the elements" in reason(advice, "rows and expansion").sentence


def test_the_decay_of_sparsity_is_told(layouts: dict[str, Choice]) -> None:
    """First, second, last and mean, and by when half of all skipping is done."""
    hot = np.array([[t >= c + 1 for c in range(COLUMNS)] for t in range(6)])  # one more in each iteration
    advice = advice_on(profile_of(hot), [layouts["exact"]])
    numbers = reason(advice, "column sparsity").numbers
    cold = [8, 7, 6, 5, 4, 3]
    assert [numbers["iteration_0"], numbers["iteration_1"], numbers["last_iteration"]] == [1, 7 / 8, 3 / 8]
    assert numbers["mean"] == pytest.approx(sum(cold[1:]) / 40)
    assert numbers["half_skipped_by_iteration"] == 2  # 7 + 6 of 25
    assert reason(advice, "regime").sentence.startswith("dispersion: ")
    assert reason(advice, "regime").numbers["cold_again"] == pytest.approx((6 + 5 + 4 + 3) / (7 + 6 + 5 + 4))


def test_without_cold_columns_nothing_is_divided_by_them(layouts: dict[str, Choice]) -> None:
    """All hot: no saving, no half of it, no column that stays cold; and the verdict is don't."""
    advice = advice_on(profile_of(np.ones((4, COLUMNS), np.bool_)), list(layouts.values()))
    assert reason(advice, "column sparsity").numbers["half_skipped_by_iteration"] is None
    assert reason(advice, "regime").numbers["cold_again"] is None
    assert advice.advised is None


def test_neighbouring_thresholds_are_compared(layouts: dict[str, Choice]) -> None:
    """The sweep of the study and the threshold itself, with what the best layout would save there."""
    advice = advice_on(profile_of(lasting(EARLY)), [layouts["exact"]], Criteria(threshold=0.12))
    points = advice.survey.sensitivity
    assert [point.threshold for point in points] == sorted({*DEFAULT_THRESHOLDS, 0.12})
    assert [point.column_sparsity for point in points] == [0.0, *[0.75] * 5]  # 0.1 in float32 exceeds 0.1
    assert all(point.expected == point.at_most for point in points)
    assert " at 0.1; " in (sentence := reason(advice, "threshold").sentence)
    assert " at 0.12; " in sentence
    assert " at 0.15. " in sentence
    assert " at 0.2" not in sentence
    alone = advice_on(profile_of(lasting(EARLY)), [layouts["calibrated"]], Criteria(target=0.25))
    assert {point.expected for point in alone.survey.sensitivity} == {None}
    assert "traffic saved at most" in reason(alone, "threshold").sentence


@given(profiles(min_iterations=3), st.floats(0, 1), st.floats(0, 1))
def test_any_profile_gets_an_advice(
    layouts: dict[str, Choice], profile: ActivationProfile, threshold: float, target: float
) -> None:
    """Whatever the numbers: a verdict, sentences without a NaN, numbers that JSON can hold."""
    advice = advice_on(profile, list(layouts.values()), Criteria(threshold=threshold, target=target))
    assert advice.verdict.startswith(("Use ", "Don't: "))
    told: Sequence[Any] = (*advice.reasons, *advice.objections)
    assert all("nan" not in each.sentence for each in told)
    json.dumps([attrs.asdict(each) for each in told], allow_nan=False)
    assert [o.stops for o in advice.objections] == sorted((o.stops for o in advice.objections), reverse=True)
    assert objections(advice.survey) == advice.objections


# --- the study's workloads ------------------------------------------------------------------------

PRINTED = {
    "sd-v1-4": "sd14",
    "make-an-audio": "maa",
    "mdm": "mdm",
    "edge": "edge",
}
"""Workloads whose published sparsities and reductions do not contradict each other, and their keys."""


@pytest.mark.parametrize("workload", PRINTED)
def test_the_bound_is_near_what_the_study_simulated(workload: str, golden_root: Path) -> None:
    """Skipped traffic explains the study's reductions to half a point, for its synthesised profiles."""
    path = golden_root / "paper" / "published.json"
    if not path.exists():
        pytest.skip("no published numbers here")
    published = json.loads(path.read_text(encoding="utf-8"))
    registry = load_plugins()
    made = Choice(name=workload, registered=registry.find(Kind.WORKLOAD, workload), options=None).make()
    request = DenoiseRequest(
        source=SourceKind.PUBLISHED, iterations=50, samples=1, seed=0, thresholds=DEFAULT_THRESHOLDS
    )
    masks = masks_of(made.synthesise(request), MaskPolicy.uniform(0.164))
    reduction = published["uniform_sweep_reduction_pct"]["at_0.164"][PRINTED[workload]]
    assert 100 * saving_bound(masks, Criteria()) == pytest.approx(reduction, abs=0.5)
