"""What the study publishes about activations, as data: value, tolerance, unit and place of every number.

The study is "Activation Concentration: Characterizing Column-Level Output Sparsity Across Diffusion Model
Architectures" (30 May 2026). A tolerance is half a unit in the last printed place.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict, Unpack

from attrs import field, frozen

PRIMARY_TAU = 0.164
"""The study's operating point (3.3), also its target share of what is hot."""
SWEEP = (0.1, 0.15, 0.164, 0.17, 0.2)
"""The thresholds, and the targets, of its sweeps (3.3)."""
PUBLISHED_ITERATIONS = 50
"""Denoising iterations of every run (2.1, 3.5)."""
SETTLED_ITERATION = 40
"""From here on DiT's sparsity is stated as one number ("40+": 4.2, 5.2)."""


class Quantity(StrEnum):
    """What a number is about. Sparsities at tau 0.164 unless the target names another threshold.

    Thresholds per layer are calibrated to a share of hot columns, as the study defines it (3.3), and to a
    share of hot elements, which its figures fit: what it prints is held against both.
    """

    COLUMNS_ITERATION_0 = "column sparsity, iteration 0"
    COLUMNS_ITERATION_1 = "column sparsity, iteration 1"
    COLUMNS_LATE = "column sparsity, iterations 40 and later"
    COLUMNS_MEAN = "column sparsity, iterations 1 and later"
    LAYERS_ITERATION_0 = "column sparsity of the layers, iteration 0"
    LAYERS_MEAN = "column sparsity of the layers, iterations 1 and later"
    ELEMENTS_MEAN = "element sparsity, iterations 1 and later"
    GAP = "element sparsity less column sparsity"
    JACCARD_MEAN = "Jaccard of consecutive iterations, mean"
    JACCARD_MIN = "Jaccard of consecutive iterations, minimum"
    CALIBRATED_TAU = "calibrated thresholds of the layers"
    CALIBRATED_TAU_MAX = "largest calibrated threshold"
    UNIFORM_REDUCTION = "cycle reduction, one threshold"
    PER_LAYER_REDUCTION = "cycle reduction, a threshold per layer"
    ELEMENT_TAU = "thresholds of the layers calibrated by elements"
    ELEMENT_TAU_MAX = "largest threshold calibrated by elements"
    ELEMENT_REDUCTION = "cycle reduction, a threshold per layer calibrated by elements"


class Kind(StrEnum):
    """How a published number is compared with what was achieved."""

    VALUE = "value"
    """One number."""
    SPAN = "span"
    """The least and the largest of what is achieved are the two numbers."""
    WITHIN = "within"
    """All that is achieved lies between the two numbers: they were published for a group."""
    UP_TO = "up to"
    """The largest that is achieved."""


@frozen(kw_only=True)
class Target:
    """One published number, or range, of one workload."""

    workload: str
    quantity: Quantity
    low: float
    high: float
    tolerance: float
    unit: str
    where: str
    path: str
    """Where it stands in published.json of the golden data."""
    kind: Kind = Kind.VALUE
    at: tuple[float, ...] = field(default=(PRIMARY_TAU,))
    """The thresholds (or targets of a calibration) it is stated for; several: over all of them."""

    @property
    def label(self) -> str:
        """The quantity, and the thresholds where they are not the primary one."""
        if self.at == (PRIMARY_TAU,):
            return self.quantity.value
        return f"{self.quantity} at {', '.join(f'{value:g}' for value in self.at)}"

    @property
    def printed(self) -> str:
        """The number as the study prints it."""
        digits = max(0, len(f"{2 * self.tolerance:.6f}".rstrip("0").partition(".")[2]))
        if self.low == self.high:
            return f"{self.low:.{digits}f}"
        return f"{self.low:.{digits}f} to {self.high:.{digits}f}"


@frozen(kw_only=True)
class Contradiction:
    """Where the study contradicts itself: what, what was followed, and which targets it is about."""

    workloads: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    what: str
    followed: str
    at: tuple[tuple[float, ...], ...] = ()
    """The thresholds of the targets it speaks of, as they state them; empty: whatever they are."""

    def concerns(self, target: Target) -> bool:
        """Whether it is about this target, and the reason if that is missed."""
        return (
            target.workload in self.workloads
            and target.quantity in self.quantities
            and (not self.at or target.at in self.at)
        )


KEYS = {
    "dit-xl-2": "dit",
    "sd-v1-4": "sd14",
    "videocrafter2": "vc2",
    "make-an-audio": "maa",
    "mdm": "mdm",
    "mld": "mld",
    "edge": "edge",
}
"""The workloads, and how published.json calls them."""

UNETS = ("sd-v1-4", "videocrafter2", "make-an-audio")


class _More(TypedDict, total=False):
    """What most targets leave at its default."""

    tolerance: float
    kind: Kind
    at: tuple[float, ...]


def _percent(
    workload: str, quantity: Quantity, printed: str, where: str, path: str, **more: Unpack[_More]
) -> Target:
    return _target(workload, quantity, printed, "%", where, path, **more)


def _target(
    workload: str, quantity: Quantity, printed: str, unit: str, where: str, path: str, **more: Unpack[_More]
) -> Target:
    """A target as printed: "12.1" or "0.1 to 19.1"; the digits give the tolerance unless it is stated."""
    numbers = [float(text) for text in printed.split(" to ")]
    decimals = max(len(text.partition(".")[2]) for text in printed.split(" to "))
    given: _More = {"tolerance": 0.5 * 10.0**-decimals, **more}
    return Target(
        workload=workload,
        quantity=quantity,
        low=numbers[0],
        high=numbers[-1],
        unit=unit,
        where=where,
        path=path.replace("*", KEYS[workload]),
        **given,
    )


_Q = Quantity
_CS = "column_sparsity_pct/*"
_ES = "element_sparsity_pct/fig6"

_COLUMNS = (
    _percent("dit-xl-2", _Q.COLUMNS_ITERATION_0, "42.6", "4.2", f"{_CS}/iteration0"),
    _percent("dit-xl-2", _Q.COLUMNS_LATE, "10", "1, 4.2, 5.2, 5.3", f"{_CS}/iteration40plus"),
    _percent("dit-xl-2", _Q.COLUMNS_MEAN, "17", "4.1", f"{_CS}/mean"),
    _percent(
        "dit-xl-2", _Q.LAYERS_ITERATION_0, "18 to 86", "4.4", f"{_CS}/per_layer_iteration0", kind=Kind.SPAN
    ),
    _percent("sd-v1-4", _Q.COLUMNS_ITERATION_1, "14.1", "4.2", f"{_CS}/iteration1"),
    _percent("sd-v1-4", _Q.LAYERS_MEAN, "0.1 to 19.1", "4.4", f"{_CS}/per_layer_iter1plus", kind=Kind.SPAN),
    _percent("videocrafter2", _Q.COLUMNS_ITERATION_1, "12.6", "4.2", f"{_CS}/iteration1"),
    _percent("make-an-audio", _Q.COLUMNS_ITERATION_1, "51.7", "4.2", f"{_CS}/iteration1"),
    *(
        _percent(
            unet,
            _Q.COLUMNS_MEAN,
            "4 to 35",
            "4.1",
            "column_sparsity_pct/unet_transformer",
            kind=Kind.WITHIN,
        )
        for unet in UNETS
    ),
    _percent("mdm", _Q.COLUMNS_MEAN, "12.1", "4.1, 4.2", f"{_CS}/mean"),
    _percent("mdm", _Q.COLUMNS_MEAN, "34.3", "5.5", f"{_CS}/at_next_threshold_0.17", at=(0.17,)),
    _percent("mld", _Q.COLUMNS_MEAN, "58.3", "1, 4.1-4.3", f"{_CS}/mean"),
    _percent("mld", _Q.COLUMNS_MEAN, "88.0", "5.5", f"{_CS}/at_next_threshold_0.17", at=(0.17,)),
    _percent("edge", _Q.COLUMNS_MEAN, "6.0", "4.1, 4.2", f"{_CS}/mean"),
)

_ELEMENTS = (
    _percent("dit-xl-2", _Q.ELEMENTS_MEAN, "80", "4.1, Figure 6", f"{_ES}/dit"),
    *(
        _percent(
            unet,
            _Q.ELEMENTS_MEAN,
            "81 to 92",
            "4.1, Figure 6",
            f"{_ES}/unet_transformer",
            kind=Kind.WITHIN,
        )
        for unet in UNETS
    ),
    *(
        _percent(
            motion, _Q.ELEMENTS_MEAN, "84 to 86", "4.1, Figure 6", f"{_ES}/mdm_and_edge", kind=Kind.WITHIN
        )
        for motion in ("mdm", "edge")
    ),
)

_GAP = (
    # Published as the largest of all workloads; with these element sparsities it is EDGE's.
    _target("edge", _Q.GAP, "78", "points", "Abstract, 1, 6-8", "column_sparsity_pct/max_gap_pp"),
)

_JACCARD = (
    # Printed as "approximately 1.0": DiT's hot set only grows, so it cannot be exactly 1.
    _target("dit-xl-2", _Q.JACCARD_MEAN, "1.0", "", "4.2, 4.5", "jaccard/*/mean"),
    *(
        _target(workload, _Q.JACCARD_MEAN, printed, "", "4.5", "jaccard/*/mean", tolerance=0.0005)
        for workload, printed in (
            ("sd-v1-4", "0.906"),
            ("videocrafter2", "0.914"),
            ("make-an-audio", "0.697"),
            ("mdm", "0.774"),
            ("mld", "0.433"),
            ("edge", "0.950"),
        )
    ),
    _target("mld", _Q.JACCARD_MIN, "0.197", "", "4.5", "jaccard/*/min"),
)

_CALIBRATED = (
    *(
        _target(
            workload,
            quantity,
            "0.14 to 0.34",
            "",
            "4.4",
            "calibrated_thresholds/natural_layers",
            kind=Kind.WITHIN,
        )
        for quantity in (_Q.CALIBRATED_TAU, _Q.ELEMENT_TAU)
        for workload in ("sd-v1-4", "make-an-audio")
    ),
    *(
        _target("dit-xl-2", quantity, "1.64", "", "4.4", "calibrated_thresholds/dit_max")
        for quantity in (_Q.CALIBRATED_TAU_MAX, _Q.ELEMENT_TAU_MAX)
    ),
)

_UNIFORM = "uniform_sweep_reduction_pct"
_PER_LAYER = "per_layer_sweep_reduction_pct"

_REDUCTIONS = (
    *(
        _percent(workload, _Q.UNIFORM_REDUCTION, printed, "5.2, Table 4, Figure 11", f"{_UNIFORM}/at_0.164/*")
        for workload, printed in (
            ("dit-xl-2", "12.4"),
            ("sd-v1-4", "3.9"),
            ("videocrafter2", "4.9"),
            ("make-an-audio", "30.6"),
            ("mdm", "11.9"),
            ("mld", "50.8"),
            ("edge", "6.0"),
        )
    ),
    _percent(
        "dit-xl-2", _Q.UNIFORM_REDUCTION, "7.3 to 32.5", "5.2", f"{_UNIFORM}/*", kind=Kind.SPAN, at=SWEEP
    ),
    _percent(
        "mdm",
        _Q.UNIFORM_REDUCTION,
        "28.1 to 29.2",
        "5.2",
        f"{_UNIFORM}/mdm_0.17_0.20",
        kind=Kind.SPAN,
        at=(0.17, 0.2),
    ),
    _percent(
        "edge",
        _Q.UNIFORM_REDUCTION,
        "14.8 to 15.7",
        "5.2",
        f"{_UNIFORM}/edge_0.17_0.20",
        kind=Kind.SPAN,
        at=(0.17, 0.2),
    ),
    _percent("mld", _Q.UNIFORM_REDUCTION, "78.6", "5.2", f"{_UNIFORM}/mld_max", kind=Kind.UP_TO, at=SWEEP),
    *(
        _percent(
            workload,
            quantity,
            printed,
            "5.3, Figure 12",
            f"{_PER_LAYER}/*",
            kind=Kind.SPAN,
            at=SWEEP,
        )
        for quantity in (_Q.PER_LAYER_REDUCTION, _Q.ELEMENT_REDUCTION)
        for workload, printed in (
            ("dit-xl-2", "53.3 to 59.4"),
            ("sd-v1-4", "3.3 to 9.7"),
            ("videocrafter2", "2.5 to 7.9"),
            ("make-an-audio", "7.7 to 20.4"),
            ("mdm", "9.3 to 13.1"),
            ("mld", "42.2 to 60.1"),
            ("edge", "5.6 to 6.8"),
        )
    ),
    *(
        _percent(workload, quantity, printed, "5.3, Figure 12", f"{_PER_LAYER}/at_rho_0.164/*")
        for quantity in (_Q.PER_LAYER_REDUCTION, _Q.ELEMENT_REDUCTION)
        for workload, printed in (("sd-v1-4", "4.6"), ("make-an-audio", "10.6"), ("videocrafter2", "3.5"))
    ),
)

TARGETS: tuple[Target, ...] = (*_COLUMNS, *_ELEMENTS, *_GAP, *_JACCARD, *_CALIBRATED, *_REDUCTIONS)
"""Every published number about activations, and every cycle reduction that follows from them."""


def target(workload: str, quantity: Quantity, at: tuple[float, ...] = (PRIMARY_TAU,)) -> Target:
    """The one target of a workload for a quantity; KeyError where the study publishes none."""
    for entry in TARGETS:
        if (entry.workload, entry.quantity, entry.at) == (workload, quantity, at):
            return entry
    raise KeyError((workload, quantity, at))


def printed(workload: str, quantity: Quantity, at: tuple[float, ...] = (PRIMARY_TAU,)) -> float:
    """The published number of a target that is one number."""
    entry = target(workload, quantity, at)
    assert entry.low == entry.high
    return entry.low


CONTRADICTIONS: tuple[Contradiction, ...] = (
    Contradiction(
        workloads=("dit-xl-2",),
        quantities=(_Q.UNIFORM_REDUCTION,),
        at=((PRIMARY_TAU,),),
        what="17 % of the columns are cold in iterations 1 and later, all layers being equal, yet cycles fall"
        " by 12.4 % and not by 49/50 of 17 %",
        followed="the column sparsity; at 0.10 and 0.20 only reductions are printed, and they are followed",
    ),
    Contradiction(
        workloads=("mdm",),
        quantities=(_Q.UNIFORM_REDUCTION,),
        at=((0.17, 0.2),),
        what="34.3 % of the columns are cold at 0.17 (5.5), yet cycles fall by 28.1 % (5.2)",
        followed="the column sparsity; at 0.20 it rises in the ratio of the two reductions",
    ),
    Contradiction(
        workloads=("mld",),
        quantities=(_Q.UNIFORM_REDUCTION, _Q.ELEMENT_REDUCTION),
        what="58.3 % of the columns are cold at 0.164, yet cycles fall by 50.8 %: a ninth of MLD's"
        " cycles does not shrink with skipped columns, perhaps the first weights of each layer",
        followed="the column sparsity, and in the same ratio what is printed for thresholds per layer; a"
        " machine with such a fixed part comes to what is printed",
    ),
    Contradiction(
        workloads=("edge",),
        quantities=(_Q.UNIFORM_REDUCTION,),
        at=((PRIMARY_TAU,),),
        what="6.0 % of the columns are cold, and cycles fall by 6.0 %, though the first of 50"
        " iterations is dense and 49/50 of 6.0 % is 5.9 %",
        followed="the column sparsity",
    ),
    Contradiction(
        workloads=("sd-v1-4",),
        quantities=(_Q.JACCARD_MEAN,),
        what="the Jaccard of consecutive hot sets is at least 1 - (sum of their cold shares), so a"
        " mean of 0.906 needs a mean column sparsity above 4.7 %, yet 3.9 % of the cycles and the"
        " group's 4 % say 4.0 %",
        followed="the column sparsity; the Jaccard is the least that it admits",
    ),
    Contradiction(
        workloads=UNETS,
        quantities=(_Q.COLUMNS_MEAN,),
        what="4.2 gives 14.1, 12.6 and 51.7 % for iteration 1, the cycle reductions of 3.9, 4.9 and"
        " 30.6 % ask for far less on average, and a fall of that size sits badly with the stable"
        " hot sets of 4.5",
        followed="all of them: sparsity falls after iteration 1, as DiT's does; Make-an-Audio's mean is"
        " 35 %, the upper end of its group, VideoCrafter2's is 8 %, and their wide layers, which weigh"
        " little in cycles and have fewer rows (4.3), are the sparser ones",
    ),
    Contradiction(
        workloads=tuple(KEYS),
        quantities=(_Q.PER_LAYER_REDUCTION,),
        what="a layer calibrated to 16.4 % hot columns has 83.6 % cold ones, whatever its activations are, so"
        " cycles would fall by about 82 % for every workload; none of the published figures is near. Read"
        " as a share of hot elements they fit the element sparsities of Figure 6, but for DiT's",
        followed="the definition in columns here, and the figures in the rows calibrated by elements",
    ),
    Contradiction(
        workloads=("dit-xl-2",),
        quantities=(_Q.ELEMENT_REDUCTION, _Q.ELEMENT_TAU_MAX),
        what="20 % of DiT's elements are hot at 0.164 (Figure 6), so a target of 20 % is met by that"
        " threshold, at which cycles fall by 12.4 % and not by 53.3 %, and lower targets by thresholds near"
        " it and not near 1.64",
        followed="Figure 6 and the reductions for one threshold; in columns, 1.64 is met",
    ),
    Contradiction(
        workloads=("mdm", "edge"),
        quantities=(_Q.ELEMENT_REDUCTION,),
        what="thresholds per layer are said to lie far above those of the sweep (3.3), yet its highest, 0.20,"
        " already saves 29.2 and 15.7 % of the cycles (5.2), more than any target does",
        followed="the reductions, by thresholds within the sweep",
    ),
    Contradiction(
        workloads=("sd-v1-4",),
        quantities=(_Q.CALIBRATED_TAU,),
        what="thresholds down to 0.14 are stated for SD and Make-an-Audio, yet SD's sparsest layer"
        " has 19.1 % cold columns at 0.164, and needs a higher threshold for 83.6 %",
        followed="the column sparsity: calibrated by columns, thresholds lie in the upper part; calibrated by"
        " elements, Make-an-Audio's are 0.14",
    ),
    Contradiction(
        workloads=tuple(KEYS),
        quantities=(_Q.ELEMENTS_MEAN,),
        what="Figure 1 gives element sparsities of 52 to 85 % (those of an earlier study), Figure 6"
        " of 80 to 92 %",
        followed="Figure 6; of its ranges, the values that keep the largest gap to the columns at 78 points",
    ),
)
"""Where the study contradicts itself."""
