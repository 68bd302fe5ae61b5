"""The fixed words of studies, records and tables. They live apart so that start-up needs no numpy."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What can be plugged in."""

    WORKLOAD = "workload"
    LAYOUT = "layout"
    ACCELERATOR = "accelerator"
    MEMORY = "memory"
    METRIC = "metric"
    OBSERVER = "observer"
    LISTENER = "listener"
    SECTION = "section"
    EXPERIMENT = "experiment"


class SourceKind(StrEnum):
    """Where activations come from; every table and figure says which one it shows."""

    CHECKPOINT = "checkpoint"
    MINIATURE = "miniature"
    PUBLISHED = "published"
    RANDOM = "random"

    @property
    def evidence(self) -> str:
        """`measured` on real weights, `measured-random` on seeded random ones, or `synthesised`."""
        if self is SourceKind.PUBLISHED:
            return "synthesised"
        return "measured-random" if self is SourceKind.RANDOM else "measured"


class ExperimentGroup(StrEnum):
    """What an experiment is for: which command offers it."""

    TOUR = "tour"
    """What runs when nobody says what: `colfw run` without a study."""
    REPRODUCTION = "reproduction"
    """Published numbers beside ours: `colfw reproduce`."""
    TRADE_OFF = "trade-off"
    """Quality against cycles saved: `colfw score` without a study."""
    ABLATION = "ablation"
    """One knob of a machine turned: `colfw ablate`."""


class RowConvention(StrEnum):
    """How the rows of a site are counted; every table says which convention its rows follow."""

    OFFICIAL = "official"
    """What the model's own code does in one iteration for one sample, both guidance passes included."""
    PAPER = "paper"
    """What Table 1 of the study counts, where that differs."""


class MaskKind(StrEnum):
    """How a mask chooses its threshold."""

    DENSE = "dense"
    UNIFORM = "threshold"
    PER_LAYER = "target-hot-ratio"
    """Per site: so that at most a target share of the columns is hot."""
    PER_LAYER_ELEMENTS = "target-hot-elements"
    """Per site: so that at most a target share of the elements exceeds it."""


class OverTime(StrEnum):
    """Whether a mask follows the activations."""

    PER_ITERATION = "per-iteration"
    """Each iteration masks the columns that are cold in it."""
    STATIC = "static"
    """Every iteration masks the columns that were cold in iteration 0: all that could be known by then."""


class Reuse(StrEnum):
    """What a cold column holds in masked generation."""

    ZERO = "zero"
    """Nothing: the studies' accuracy experiments."""
    STALE = "stale"
    """The value of the last dense iteration: FFN-Reuse."""


class Precision(StrEnum):
    """The type that a denoiser computes in. Samplers keep their state in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Direction(StrEnum):
    """Which way a metric gets better."""

    HIGHER = "higher is better"
    LOWER = "lower is better"


class StageName(StrEnum):
    """The stages of a run, in order."""

    PROFILE = "profile"
    PLACE = "place"
    SIMULATE = "simulate"
    SCORE = "score"
    REPORT = "report"


def is_kind_of(modality: str, wanted: str) -> bool:
    """Whether samples of a modality are what is wanted: the same, or a kind of it, as `image/digits` is."""
    return modality == wanted or modality.startswith(f"{wanted}/")
