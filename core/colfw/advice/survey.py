"""Layouts on one profile: what each would save, which is best, and what calibration does to thresholds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs
from attrs import field, frozen

from colfw.advice.traffic import saving_bound, tally, total
from colfw.binding import Choice
from colfw.errors import ColfwError, PluginError
from colfw.masks import MaskPolicy, column_sparsity, inflation, masks_of, side_by_side
from colfw.plugins import guarded
from colfw.records import LayoutSpec
from colfw.study import DEFAULT_THRESHOLDS
from colfw.vocabulary import Kind, MaskKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from colfw.advice.traffic import Criteria, Tally
    from colfw.masks import MaskSet
    from colfw.plugins import Registry
    from colfw.profile import ActivationProfile

MOSTLY_UNBACKED = 0.5
"""A saving of which more than half has no cold columns behind it is an artefact more than a saving."""

TOO_CLOSE_TO_CALL = 0.01
"""One percentage point. What row locality costs is not in the estimate and of this size: fetching scattered
columns took 0.3 % of a GDDR6's bandwidth where 12 % of the columns were skipped, 2.5 % where half were."""


def layouts_of(registry: Registry) -> tuple[Choice, ...]:
    """Every layout that is plugged in, with its defaults and with each of its presets."""
    found = registry.all(Kind.LAYOUT)
    claims = Counter(registered.name for registered in found)
    choices = []
    for registered in found:
        name = registered.name if claims[registered.name] == 1 else registered.qualified_name
        choices.append(Choice(name=name, registered=registered, options={}, label=name))
        for preset, options in registered.record.presets.items():
            label = f"{name}[{preset}]"
            choices.append(Choice(name=name, registered=registered, options=options, label=label))
    return tuple(choices)


# --- layouts under masks --------------------------------------------------------------------------


@frozen(kw_only=True)
class Case:
    """A layout under one mask, and what it is expected to save of the dense run's traffic."""

    choice: Choice
    mask: MaskPolicy
    tally: Tally
    unbacked: float = 0.0
    """The share of the saving that columns cold at the threshold do not back."""

    @property
    def label(self) -> str:
        return f"{self.choice.label} at {self.mask.label}"

    @property
    def expected(self) -> float:
        return 1 - (self.tally.fetched_bytes + self.tally.moved_bytes) / self.tally.dense_bytes

    @property
    def backed(self) -> float:
        """The part of the expected saving with naturally cold columns behind it."""
        return self.expected * (1 - self.unbacked)

    @property
    def at_most(self) -> float:
        return 1 - self.tally.needed_bytes / self.tally.dense_bytes

    @property
    def extra_share(self) -> float:
        """Of what is fetched, that of columns which were not hot."""
        return self.tally.extra_bytes / self.tally.fetched_bytes

    @property
    def moved_share(self) -> float:
        """What moving columns costs, in shares of the dense run's traffic."""
        return self.tally.moved_bytes / self.tally.dense_bytes

    @property
    def columns_per_piece(self) -> float:
        return self.tally.fetched / max(self.tally.pieces, 1)

    @property
    def moves(self) -> bool:
        return self.tally.moved_columns > 0

    @property
    def complexity(self) -> tuple[bool, bool, float, int, bool, str]:
        """Simple is: one threshold for all sites, then nothing moved, then fetched in long pieces, then a
        layout of few options, then its defaults.
        """
        config_class = self.choice.registered.config_class()
        options = 0 if config_class is None else len(attrs.fields(config_class))
        calibrated = self.mask.kind is not MaskKind.UNIFORM
        preset = bool(self.choice.options)
        return (calibrated, self.moves, -self.columns_per_piece, options, preset, self.label)


@frozen(kw_only=True)
class NotPlaced:
    """A layout that could not place the columns of this profile, and why."""

    layout: str
    mask: str
    problem: str


def _tally_of(profile: ActivationProfile, masks: MaskSet, choice: Choice, criteria: Criteria) -> Tally:
    layout = choice.make()
    tallies = []
    with guarded(str(choice.registered), "while it placed columns"):
        for entry, mask in zip(profile.sites, masks.sites, strict=True):
            placement = layout.place(entry, mask)
            placement.check_serves(mask.hot)
            tallies.append(tally(mask, placement, criteria))
    return total(tallies)


def _mask_kinds(choice: Choice) -> tuple[MaskKind, ...]:
    spec = choice.registered.record
    assert isinstance(spec, LayoutSpec)
    return spec.masks


# --- calibrated thresholds ------------------------------------------------------------------------


@frozen(kw_only=True)
class Calibration:
    """What a target hot share does to thresholds, and how much of its saving is an artefact of that."""

    policy: MaskPolicy
    sites: int
    lowest_tau: float
    highest_tau: float
    raised: int
    """Sites whose threshold exceeds the uniform one: the others meet the target naturally."""
    beyond_sweep: int
    """Sites whose threshold exceeds every threshold of the study's sweep."""
    beyond_99th_percentile: int
    """Sites in which at most 1 % of the elements exceed the threshold."""
    at_most: float
    unbacked: float
    """1 - uniform / per-layer, of what exact skipping saves: the study's formula for its 77.7 %."""

    @property
    def naturally_met(self) -> int:
        return self.sites - self.raised

    @property
    def sound(self) -> bool:
        """Whether a layout may be advised for it."""
        return self.naturally_met > 0 and self.unbacked <= MOSTLY_UNBACKED


def _calibration(
    profile: ActivationProfile, masks: MaskSet, natural_at_most: float, criteria: Criteria
) -> Calibration:
    taus = {mask.site.name: mask.tau for mask in masks.sites if mask.tau is not None}
    signs = [inflation(profile, name, tau, DEFAULT_THRESHOLDS) for name, tau in taus.items()]
    at_most = saving_bound(masks, criteria)
    return Calibration(
        policy=masks.policy,
        sites=len(masks.sites),
        lowest_tau=min(taus.values()),
        highest_tau=max(taus.values()),
        raised=sum(tau > criteria.threshold for tau in taus.values()),
        beyond_sweep=sum(sign.above_uniform_range for sign in signs),
        beyond_99th_percentile=sum(sign.above_99th_percentile is True for sign in signs),
        at_most=at_most,
        unbacked=max(0.0, 1 - natural_at_most / at_most) if at_most > 0 else 0.0,
    )


# --- the survey -----------------------------------------------------------------------------------


@frozen(kw_only=True)
class Sensitivity:
    """What a neighbouring threshold would do."""

    threshold: float
    column_sparsity: float
    """Mean over iterations 1 and later."""
    at_most: float
    expected: float | None
    """Of the best layout for one threshold; None where there is none, or where it cannot place columns."""


@frozen(kw_only=True)
class Survey:
    """Everything that is counted about a profile; all advice is drawn from it."""

    profile: ActivationProfile
    criteria: Criteria
    masks: Mapping[MaskKind, MaskSet]
    calibrations: Mapping[MaskKind, Calibration]
    """By mask kind: those that calibrate."""
    cases: tuple[Case, ...] = ()
    """Best first, to the digit that is printed."""
    not_placed: tuple[NotPlaced, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = field(factory=tuple)

    @property
    def natural(self) -> MaskSet:
        """The columns that are hot at the threshold."""
        return self.masks[MaskKind.UNIFORM]

    @property
    def best(self) -> Case | None:
        """The best backed saving; of those too close to call, the simplest."""
        sound = [case for case in self.cases if self._is_sound(case)]
        most = max((case.backed for case in sound), default=0.0)
        close = [case for case in sound if case.backed >= most - TOO_CLOSE_TO_CALL]
        return min(close, key=lambda case: case.complexity, default=None)

    def _is_sound(self, case: Case) -> bool:
        calibration = self.calibrations.get(case.mask.kind)
        return case.mask.kind is not MaskKind.DENSE and (calibration is None or calibration.sound)

    @property
    def best_of_one_threshold(self) -> Case | None:
        uniform = [case for case in self.cases if case.mask.kind is MaskKind.UNIFORM]
        return self.best if self.best in uniform else next(iter(uniform), None)


def survey(profile: ActivationProfile, layouts: Sequence[Choice], criteria: Criteria) -> Survey:
    """Place the columns by every layout under the masks that it is for, and count."""
    if not layouts:
        raise PluginError("no layout is plugged in", hint="see `colfw plugins list`")
    kinds = dict.fromkeys([MaskKind.UNIFORM, *(kind for choice in layouts for kind in _mask_kinds(choice))])
    masks = {kind: masks_of(profile, criteria.policy(kind)) for kind in kinds}
    natural_at_most = saving_bound(masks[MaskKind.UNIFORM], criteria)
    calibrations: dict[MaskKind, Calibration] = {
        kind: _calibration(profile, masks[kind], natural_at_most, criteria)
        for kind in kinds
        if kind not in (MaskKind.DENSE, MaskKind.UNIFORM)
    }
    empty = Survey(profile=profile, criteria=criteria, masks=masks, calibrations=calibrations)
    placed = _with_cases(empty, layouts)
    return attrs.evolve(placed, sensitivity=tuple(_sensitivity(placed)))


def _with_cases(empty: Survey, layouts: Sequence[Choice]) -> Survey:
    found = [_case(empty, choice, kind) for choice in layouts for kind in _mask_kinds(choice)]
    cases = [each for each in found if isinstance(each, Case)]
    not_placed = tuple(each for each in found if isinstance(each, NotPlaced))
    if not cases:
        raise PluginError(f"no layout could place the columns: {not_placed[0].problem}")
    cases.sort(key=lambda case: (-round(case.backed, 3), case.complexity))
    return attrs.evolve(empty, cases=tuple(cases), not_placed=not_placed)


def _case(empty: Survey, choice: Choice, kind: MaskKind) -> Case | NotPlaced:
    masks, calibration = empty.masks[kind], empty.calibrations.get(kind)
    try:
        found = _tally_of(empty.profile, masks, choice, empty.criteria)
    except ColfwError as error:
        return NotPlaced(layout=choice.label, mask=masks.policy.label, problem=str(error))
    unbacked = calibration.unbacked if calibration else 0.0
    return Case(choice=choice, mask=masks.policy, tally=found, unbacked=unbacked)


def _sensitivity(placed: Survey) -> Iterator[Sensitivity]:
    """The study's sweep, and the threshold itself."""
    for threshold in sorted({*DEFAULT_THRESHOLDS, placed.criteria.threshold}):
        masks = masks_of(placed.profile, MaskPolicy.uniform(threshold))
        yield Sensitivity(
            threshold=threshold,
            column_sparsity=mean_column_sparsity(masks),
            at_most=saving_bound(masks, placed.criteria),
            expected=_expected(placed, masks),
        )


def _expected(placed: Survey, masks: MaskSet) -> float | None:
    case = placed.best_of_one_threshold
    if case is None:
        return None
    try:
        found = _tally_of(placed.profile, masks, case.choice, placed.criteria)
    except ColfwError:
        return None
    return attrs.evolve(case, mask=masks.policy, tally=found).expected


def mean_column_sparsity(masks: MaskSet) -> float:
    """The share of cold columns in iterations 1 and later; every column weighs the same."""
    return float(column_sparsity(side_by_side(masks.sites)[1:]).mean())
