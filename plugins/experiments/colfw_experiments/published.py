"""What the study publishes and the reproductions use: number, unit, printed digits and place, as data.

The study is "Activation Concentration: Characterizing Column-Level Output Sparsity Across Diffusion Model
Architectures" (30 May 2026). A tolerance is half a unit in the last printed place; counts have none. Ticks
are memory clocks of 1 ns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KEYS: Final = {
    "dit-xl-2": "dit",
    "sd-v1-4": "sd14",
    "videocrafter2": "vc2",
    "make-an-audio": "maa",
    "mdm": "mdm",
    "mld": "mld",
    "edge": "edge",
}
"""The workloads, and how published.json of the golden data calls them."""

_UNETS: Final = ("sd-v1-4", "videocrafter2", "make-an-audio")
_TO: Final = " to "
SMALLEST: Final = ", smallest"
LARGEST: Final = ", largest"


@frozen(kw_only=True)
class Published:
    """A number as the study prints it, or a range as "0.1 to 19.1"."""

    model: str
    quantity: str
    printed: str
    unit: str
    where: str
    path: str
    """Where it stands in published.json."""
    tolerance: float

    @property
    def span(self) -> tuple[float, float]:
        """Both ends; of a single number twice the same."""
        low, _, high = self.printed.partition(_TO)
        return float(low), float(high or low)

    @property
    def both_ends(self) -> tuple[Published, Published]:
        """A range as two numbers, which the smallest and the largest of something are."""
        low, _, high = self.printed.partition(_TO)
        return (
            evolve(self, printed=low, quantity=f"{self.quantity}{SMALLEST}"),
            evolve(self, printed=high, quantity=f"{self.quantity}{LARGEST}"),
        )

    def about(self, quantity: str) -> Published:
        """The same number, where more must be said of what it is about."""
        return evolve(self, quantity=quantity)


@frozen
class _Stated:
    """A quantity that the study states for several workloads in one place."""

    quantity: str
    unit: str
    where: str
    path: str
    """With the workload's key at the `*`."""
    counted: bool = False

    def of(self, printed: Mapping[str, str]) -> tuple[Published, ...]:
        """The numbers, by workload."""
        return tuple(
            Published(
                model=model,
                quantity=self.quantity,
                printed=text,
                unit=self.unit,
                where=self.where,
                path=self.path.replace("*", _KEYS[model]),
                tolerance=0.0 if self.counted else _half_a_unit(text),
            )
            for model, text in printed.items()
        )


def _half_a_unit(printed: str) -> float:
    """Half a unit in the last printed place."""
    decimals = max(len(text.partition(".")[2]) for text in printed.split(_TO))
    return 0.5 * 10.0**-decimals


def _columns(stated: tuple[_Stated, ...], rows: Mapping[str, tuple[str, ...]]) -> tuple[Published, ...]:
    """A printed table: a quantity a column, a workload a row."""
    by_column = (
        one.of({model: cells[place] for model, cells in rows.items()}) for place, one in enumerate(stated)
    )
    return tuple(published for column in by_column for published in column)


# --- tables ---------------------------------------------------------------------------------------

LAYERS: Final = "feed-forward layers"
TOKENS: Final = "rows M"
WIDTH: Final = "hidden width"
EXPANSION: Final = "expansion"

_MODELS: Final = "table1_models/*"
TABLE1: Final = _columns(
    (
        _Stated(LAYERS, "layers", "Table 1", f"{_MODELS}/ffn_layers", counted=True),
        _Stated(TOKENS, "rows", "Table 1", f"{_MODELS}/M", counted=True),
        _Stated(WIDTH, "columns", "Table 1", f"{_MODELS}/d_ff", counted=True),
        _Stated(EXPANSION, "1", "Table 1", f"{_MODELS}/expansion", counted=True),
    ),
    {
        "dit-xl-2": ("28", "256", "4608", "4"),
        "sd-v1-4": ("16", "256 to 4096", "1280 to 5120", "4"),
        "videocrafter2": ("33", "2560 to 10240", "1280 to 5120", "4"),
        "make-an-audio": ("11", "200 to 800", "1280 to 2560", "4"),
        "mdm": ("8", "242", "1024", "2"),
        "mld": ("9", "6", "1024", "4"),
        "edge": ("10", "3300", "1024", "2"),
    },
)

TICKS: Final = "ticks"
COMPUTE_SHARE: Final = "compute share"
STALL_SHARE: Final = "stall share"
ROW_HITS: Final = "row-buffer hit rate"

_BASELINE: Final = "table3_baseline/*"
TABLE3: Final = _columns(
    (
        _Stated(TICKS, "10^9 ticks", "Table 3", f"{_BASELINE}/ticks_G"),
        _Stated(COMPUTE_SHARE, "%", "Table 3", f"{_BASELINE}/compute_pct"),
        _Stated(STALL_SHARE, "%", "Table 3", f"{_BASELINE}/stall_pct"),
        _Stated(ROW_HITS, "%", "Table 3", f"{_BASELINE}/rbhr_pct"),
    ),
    {
        "dit-xl-2": ("14.04", "8.6", "88.7", "98.1"),
        "sd-v1-4": ("9.99", "11.6", "84.6", "98.6"),
        "videocrafter2": ("53.04", "11.9", "84.1", "98.6"),
        "make-an-audio": ("1.45", "11.6", "84.1", "99.2"),
        "mdm": ("0.40", "11.2", "84.5", "99.7"),
        "mld": ("0.02", "8.7", "87.9", "99.7"),
        "edge": ("6.59", "10.9", "84.7", "99.3"),
    },
)

REDUCTION: Final = "cycle reduction"
_REDUCTIONS: Final = {
    "dit-xl-2": "12.4",
    "sd-v1-4": "3.9",
    "videocrafter2": "4.9",
    "make-an-audio": "30.6",
    "mdm": "11.9",
    "mld": "50.8",
    "edge": "6.0",
}
TABLE4_REDUCTIONS: Final = _Stated(REDUCTION, "%", "Table 4", "table4_quality/*/cycle_reduction_pct").of(
    _REDUCTIONS
)

_GAPS: Final = {
    "dit-xl-2": (("FID", "44.0"), ("LPIPS", "0.104")),
    "sd-v1-4": (("FID", "33.6"), ("LPIPS", "0.069")),
    "videocrafter2": (("FVD", "422.9"), ("LPIPS", "0.661")),
    "make-an-audio": (("FAD", "0.56"), ("PESQ", "2.34")),
    "mdm": (("MPJPE", "0.019"), ("mFID", "0.027")),
    "mld": (("MPJPE", "0.007"), ("mFID", "0.145")),
    "edge": (("BAS", "0.0002"), ("mFID", "0.0001")),
}
"""The two metrics of each workload; the publication names no units."""
TABLE4_QUALITY: Final = tuple(
    published
    for model, gaps in _GAPS.items()
    for place, (metric, printed) in enumerate(gaps)
    for published in _Stated(
        f"{metric}, dense against masked", "1", "Table 4", f"table4_quality/*/gap/{place}"
    ).of({model: printed})
)

# --- activations ----------------------------------------------------------------------------------

ELEMENTS: Final = "element sparsity, iterations 1 and later"
COLUMNS: Final = "column sparsity, iterations 1 and later"
GAP: Final = "element sparsity less column sparsity"
COLUMNS_AT_0: Final = "column sparsity, iteration 0"
COLUMNS_AT_1: Final = "column sparsity, iteration 1"
COLUMNS_LATE: Final = "column sparsity, iterations 40 and later"
OF_LAYERS_AT_0: Final = "column sparsity of the layers, iteration 0"
OF_LAYERS: Final = "column sparsity of the layers, iterations 1 and later"
JACCARD_MEAN: Final = "Jaccard of consecutive iterations, mean"
JACCARD_MIN: Final = "Jaccard of consecutive iterations, minimum"
CALIBRATED: Final = "calibrated thresholds of the layers"
CALIBRATED_MAX: Final = "largest calibrated threshold"

_ELEMENTS: Final = "element_sparsity_pct/fig6"
_COLUMNS: Final = "column_sparsity_pct"
_THRESHOLDS: Final = "calibrated_thresholds"

FIG6: Final = (
    *_Stated(ELEMENTS, "%", "4.1", f"{_ELEMENTS}/dit").of({"dit-xl-2": "80"}),
    *_Stated(ELEMENTS, "%", "4.1", f"{_ELEMENTS}/unet_transformer").of(dict.fromkeys(_UNETS, "81 to 92")),
    *_Stated(ELEMENTS, "%", "4.1", f"{_ELEMENTS}/mdm_and_edge").of({"mdm": "84 to 86", "edge": "84 to 86"}),
    *_Stated(COLUMNS, "%", "4.1", f"{_COLUMNS}/*/mean").of(
        {"dit-xl-2": "17", "mdm": "12.1", "mld": "58.3", "edge": "6.0"}
    ),
    *_Stated(COLUMNS, "%", "4.1", f"{_COLUMNS}/unet_transformer").of(dict.fromkeys(_UNETS, "4 to 35")),
    # Published as the largest of all workloads; with these element sparsities it is EDGE's.
    *_Stated(GAP, "points", "Abstract, 1, 6-8", f"{_COLUMNS}/max_gap_pp").of({"edge": "78"}),
)
FIG7: Final = (
    *_Stated(COLUMNS_AT_0, "%", "4.2", f"{_COLUMNS}/*/iteration0").of({"dit-xl-2": "42.6"}),
    *_Stated(COLUMNS_LATE, "%", "1, 4.2, 5.2", f"{_COLUMNS}/*/iteration40plus").of({"dit-xl-2": "10"}),
    *_Stated(COLUMNS_AT_1, "%", "4.2", f"{_COLUMNS}/*/iteration1").of(
        {"sd-v1-4": "14.1", "videocrafter2": "12.6", "make-an-audio": "51.7"}
    ),
)
FIG8: Final = (
    *_Stated(OF_LAYERS_AT_0, "%", "4.4", f"{_COLUMNS}/*/per_layer_iteration0").of({"dit-xl-2": "18 to 86"}),
    *_Stated(OF_LAYERS, "%", "4.4", f"{_COLUMNS}/*/per_layer_iter1plus").of({"sd-v1-4": "0.1 to 19.1"}),
)
FIG9: Final = _Stated(JACCARD_MIN, "index", "4.5", "jaccard/*/min").of({"mld": "0.197"})
FIG10: Final = _Stated(JACCARD_MEAN, "index", "4.2, 4.5", "jaccard/*/mean").of(
    {
        "dit-xl-2": "1.0",  # its hot set only grows, so that it cannot be exactly 1
        "sd-v1-4": "0.906",
        "videocrafter2": "0.914",
        "make-an-audio": "0.697",
        "mdm": "0.774",
        "mld": "0.433",
        "edge": "0.950",
    }
)

# --- cycle reductions -----------------------------------------------------------------------------

_UNIFORM: Final = "uniform_sweep_reduction_pct"
_PER_LAYER: Final = "per_layer_sweep_reduction_pct"

UNIFORM_AT_0164: Final = _Stated(REDUCTION, "%", "5.2, Figure 11", f"{_UNIFORM}/at_0.164/*").of(_REDUCTIONS)
UNIFORM_SWEEPS: Final = {
    (0.10, 0.15, 0.164, 0.17, 0.20): _Stated(REDUCTION, "%", "5.2", f"{_UNIFORM}/*").of(
        {"dit-xl-2": "7.3 to 32.5"}
    ),
    (0.17, 0.20): _Stated(REDUCTION, "%", "5.2", f"{_UNIFORM}/*_0.17_0.20").of(
        {"mdm": "28.1 to 29.2", "edge": "14.8 to 15.7"}
    ),
}
"""By the thresholds over which the range is printed."""
UNIFORM_MOST: Final = _Stated("largest cycle reduction", "%", "5.2", f"{_UNIFORM}/mld_max").of(
    {"mld": "78.6"}
)
"""Printed as "up to 78.6 %" over the sweep."""
SPARSITY_AT_017: Final = _Stated(
    "column sparsity at 0.17, iterations 1 and later", "%", "5.5", f"{_COLUMNS}/*/at_next_threshold_0.17"
).of({"mdm": "34.3", "mld": "88.0"})

PER_LAYER_SWEEP: Final = _Stated(REDUCTION, "%", "5.3, Figure 12", f"{_PER_LAYER}/*").of(
    {
        "dit-xl-2": "53.3 to 59.4",
        "sd-v1-4": "3.3 to 9.7",
        "videocrafter2": "2.5 to 7.9",
        "make-an-audio": "7.7 to 20.4",
        "mdm": "9.3 to 13.1",
        "mld": "42.2 to 60.1",
        "edge": "5.6 to 6.8",
    }
)
PER_LAYER_AT_0164: Final = _Stated(REDUCTION, "%", "5.3, Figure 12", f"{_PER_LAYER}/at_rho_0.164/*").of(
    {"sd-v1-4": "4.6", "make-an-audio": "10.6", "videocrafter2": "3.5"}
)
INFLATION: Final = _Stated(
    "share of the per-layer reduction that is an artefact",
    "%",
    "5.3, 5.4, 6",
    f"{_PER_LAYER}/*_inflation_artifact_pct_of_reduction",
).of({"dit-xl-2": "77.7"})
CALIBRATED_THRESHOLDS: Final = (
    *_Stated(CALIBRATED, "activation", "4.4", f"{_THRESHOLDS}/natural_layers").of(
        {"sd-v1-4": "0.14 to 0.34", "make-an-audio": "0.14 to 0.34"}
    ),
    *_Stated(CALIBRATED_MAX, "activation", "4.4", f"{_THRESHOLDS}/*_max").of({"dit-xl-2": "1.64"}),
)


def every() -> Iterator[Published]:
    """All of them, in the order of the publication."""
    yield from (*TABLE1, *TABLE3, *TABLE4_REDUCTIONS, *TABLE4_QUALITY)
    yield from (*FIG6, *FIG7, *FIG8, *FIG9, *FIG10)
    yield from (*UNIFORM_AT_0164, *(one for swept in UNIFORM_SWEEPS.values() for one in swept))
    yield from (*UNIFORM_MOST, *SPARSITY_AT_017)
    yield from (*PER_LAYER_SWEEP, *PER_LAYER_AT_0164, *CALIBRATED_THRESHOLDS, *INFLATION)
