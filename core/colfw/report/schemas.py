"""Every table of a run: what each column means and in which unit. The glossary is made from this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from colfw.dram.counts import LATENCY_PERCENTILES
from colfw.store.tables import Column, TableSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORKLOAD = Column("workload", "text", "name", "The workload, as the study calls it")
_SEED = Column("seed", "integer", "name", "The seed of the run")
_EVIDENCE = Column(
    "evidence",
    "text",
    "name",
    "What the number rests on: measured (real weights), measured-random (seeded random weights) or"
    " synthesised (made to published statistics)",
)
_ROWS_CONVENTION = Column(
    "rows_convention",
    "text",
    "name",
    "How rows of a site are counted: official (what the model's code does, both guidance passes included)"
    " or paper (what Table 1 of the study counts)",
)
_MASK = Column(
    "mask",
    "text",
    "name",
    "How hot columns were chosen: dense, tau=T (hot iff max|a| > T), rho=R (per site, the smallest"
    " threshold with at most the share R of the columns hot), or eta=R (per site, the smallest counted"
    " threshold with at most the share R of the elements above it)",
)
_MASK_DIGEST = Column("mask_digest", "text", "name", "SHA-256 of which columns are hot, the mask's identity")
_SITE = Column("site", "text", "name", "The site: a module whose activation is observed")
_ITERATION = Column("iteration", "integer", "1", "Denoising iteration, from 0, the noisiest")
_LAYOUT = Column("layout", "text", "name", "The layout policy, as the study calls it")
_MACHINE = Column("machine", "text", "name", "The machine: an accelerator with its memory")


def _count(name: str, meaning: str, unit: str = "1") -> Column:
    return Column(name, "integer", unit, meaning)


def _share(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, "real", "1", meaning, nullable=nullable)


SITES: Final = TableSchema(
    name="sites",
    meaning="The sites of each workload, known without running it.",
    key=("workload", "position"),
    columns=(
        _WORKLOAD,
        _ROWS_CONVENTION,
        _count("position", "Position in execution order, from 0"),
        _SITE,
        Column("operator", "text", "name", "What the site belongs to, such as ffn"),
        _count("rows", "Rows of the activation in one iteration of one sample", "rows"),
        _count("columns", "Hidden width: the columns that hardware computes or skips", "columns"),
        _count("d_in", "Width of the operator's input", "columns"),
        _count("d_out", "Width of the operator's output", "columns"),
        Column("gated", "flag", "name", "Whether two matrices lead into the activation (GEGLU, SwiGLU)"),
    ),
)

PROFILES: Final = TableSchema(
    name="profiles",
    meaning="The profiles behind all other tables: one a workload and seed.",
    key=("workload", "seed"),
    columns=(
        _WORKLOAD,
        _SEED,
        _EVIDENCE,
        _ROWS_CONVENTION,
        Column(
            "source", "text", "name", "Where activations came from: checkpoint, miniature, published, random"
        ),
        _count("samples", "Samples folded into the profile", "samples"),
        _count("iterations", "Denoising iterations", "iterations"),
        _count("sites", "Sites observed", "sites"),
        _count("elements", "Activation elements looked at, all of them", "elements"),
        Column(
            "weights_digest",
            "text",
            "name",
            "Hash of the weights; null where seed and code decide them",
            nullable=True,
        ),
    ),
)

SPARSITY: Final = TableSchema(
    name="sparsity",
    meaning="How sparse each site is in each iteration, by element and by whole column, and how stable.",
    key=("workload", "seed", "mask", "site", "iteration"),
    columns=(
        _WORKLOAD,
        _SEED,
        _EVIDENCE,
        _ROWS_CONVENTION,
        _MASK,
        _SITE,
        _ITERATION,
        Column("tau", "real", "activation", "The threshold in force at this site"),
        _count("columns", "Columns of the site", "columns"),
        _count("hot_columns", "Columns with max|a| > tau", "columns"),
        _share("column_sparsity", "Cold columns over columns"),
        _share(
            "element_sparsity",
            "Elements with |a| <= tau over elements; null where they were not counted at tau",
            nullable=True,
        ),
        _share("granularity_gap", "element_sparsity - column_sparsity", nullable=True),
        _share(
            "jaccard",
            "Intersection over union of the hot columns of this iteration and the one before; two empty"
            " sets give 1; null in iteration 0",
            nullable=True,
        ),
        _share(
            "churn",
            "Columns that changed sides since the iteration before, over columns; null in iteration 0",
            nullable=True,
        ),
    ),
)

CALIBRATION: Final = TableSchema(
    name="calibration",
    meaning="The threshold of each site that meets a target, and signs that it is inflated.",
    key=("workload", "seed", "mask", "site"),
    columns=(
        _WORKLOAD,
        _SEED,
        _EVIDENCE,
        _ROWS_CONVENTION,
        _MASK,
        _SITE,
        Column("target_of", "text", "name", "What the target is a share of: columns (rho), elements (eta)"),
        _share(
            "target_hot_ratio",
            "At most this share of columns may be hot, or of elements above tau, in iterations 1 and later",
        ),
        Column(
            "tau",
            "real",
            "activation",
            "The smallest threshold that meets the target: exactly for columns, as counted for elements",
        ),
        Column(
            "missed_tau",
            "real",
            "activation",
            "The highest counted threshold that misses a target of elements: the exact one lies above it;"
            " null where every counted one meets it, and for columns",
            nullable=True,
        ),
        _share(
            "missed_share", "Elements above missed_tau over elements; null where that is null", nullable=True
        ),
        _share("hot_ratio", "The share of columns that is hot at tau over iterations 1 and later"),
        Column("above_uniform_range", "flag", "name", "tau exceeds every threshold of the uniform sweep"),
        Column(
            "above_99th_percentile",
            "flag",
            "name",
            "At most 1 % of the site's elements exceed tau; null where the counted grid cannot tell",
            nullable=True,
        ),
        _share("exceeding_low", "Lower bound on the share of elements above tau"),
        _share("exceeding_high", "Upper bound on the share of elements above tau"),
    ),
)

REGIMES: Final = TableSchema(
    name="regimes",
    meaning="Concentration, dispersion or churn: how hot columns behave, and the numbers behind the verdict.",
    key=("workload", "seed", "mask"),
    columns=(
        _WORKLOAD,
        _SEED,
        _EVIDENCE,
        _ROWS_CONVENTION,
        _MASK,
        Column("regime", "text", "name", "concentration, dispersion or churn"),
        _share("mean_jaccard", "Mean Jaccard of consecutive hot sets over iterations 1 and later, all sites"),
        _share("min_jaccard", "The smallest of them"),
        _share("turn_on_share", "Of all changes of side, the share that turned a column on; 0.5 without any"),
        _share("first_column_sparsity", "Column sparsity of iteration 0, all sites"),
        _share("mean_column_sparsity", "Mean column sparsity of iterations 1 and later, all sites"),
        _share("last_column_sparsity", "Column sparsity of the last iteration, all sites"),
    ),
)

PLACEMENTS: Final = TableSchema(
    name="placements",
    meaning="Where a layout put the columns of each site, and what it fetches that nobody needs.",
    key=("workload", "seed", "layout", "mask", "site"),
    columns=(
        _WORKLOAD,
        _SEED,
        _EVIDENCE,
        _ROWS_CONVENTION,
        _LAYOUT,
        _MASK,
        _MASK_DIGEST,
        _SITE,
        _count("epochs", "Stretches of iterations between which columns moved", "epochs"),
        _count("moved_columns", "Columns moved over the whole run", "columns"),
        _count("hot_slots", "Slots of the hot region in the first epoch", "columns"),
        _count("hot_columns", "Hot columns summed over iterations", "columns"),
        _count("fetched_columns", "Columns fetched summed over iterations", "columns"),
    ),
)

_TIMING_COUNTS = (
    _count("core_cycles", "Time taken", "core cycles"),
    _count("compute_core_cycles", "Of these, the array computes", "core cycles"),
    _count("stall_core_cycles", "Of these, the array waits for memory", "core cycles"),
    _count("other_core_cycles", "Of these, anything else", "core cycles"),
    _count("memory_cycles", "Time taken, by the memory's clock", "memory cycles"),
    _count("peak_bytes", "What the data bus could have carried in that time", "bytes"),
    _count("read_bytes", "Read from DRAM: as many as were asked for", "bytes"),
    _count("written_bytes", "Written to DRAM: as many as were asked for", "bytes"),
    _count("accesses", "Column accesses; 0 for a memory without rows", "accesses"),
    _count("row_hits", "Accesses that found their row open", "accesses"),
    _count("row_misses", "Accesses that found no row open", "accesses"),
    _count("row_conflicts", "Accesses that found another row open", "accesses"),
    _count("refreshes", "Refreshes issued: as many as were due", "refreshes"),
)
_RATES = (
    _share("row_buffer_hit_rate", "row_hits / accesses; null for a memory without rows", nullable=True),
    _share("bus_utilisation", "Bytes moved over peak_bytes"),
)

TIMING: Final = TableSchema(
    name="timing",
    meaning="What the machine and its memory did for one site in one iteration.",
    key=("workload", "seed", "machine", "layout", "mask", "site", "iteration"),
    columns=(
        _WORKLOAD, _SEED, _EVIDENCE, _ROWS_CONVENTION, _MACHINE, _LAYOUT, _MASK, _SITE, _ITERATION,
        *_TIMING_COUNTS, *_RATES,
    ),
)  # fmt: skip

_CLOCKS = "memory cycles"


def _latency(name: str, meaning: str, kind: Literal["integer", "real"] = "integer") -> Column:
    return Column(
        f"{name}_read_latency_clocks",
        kind,
        _CLOCKS,
        f"{meaning}; null where no read came back",
        nullable=True,
    )


MEMORY_CHANNELS: Final = TableSchema(
    name="memory_channels",
    meaning="What each memory channel did for one site in one iteration; no rows for a memory without.",
    key=("workload", "seed", "machine", "layout", "mask", "site", "iteration", "channel"),
    columns=(
        _WORKLOAD, _SEED, _EVIDENCE, _ROWS_CONVENTION, _MACHINE, _LAYOUT, _MASK, _SITE, _ITERATION,
        _count("channel", "The channel, from 0"),
        _count("clocks", "Time taken, by the memory's clock", _CLOCKS),
        _share("busy_share", "Clocks in which the data bus carried data, over clocks"),
        _count("moved_bytes", "What the data bus carried: whole bursts, whatever was asked of them", "bytes"),
        _count("peak_bytes", "What the data bus could have carried in that time", "bytes"),
        Column("bytes_per_clock", "real", "bytes per memory cycle", "moved_bytes / clocks"),
        _share("peak_share", "moved_bytes / peak_bytes"),
        _count("reads", "Bursts asked for by reads", "requests"),
        _count("writes", "Bursts asked for by writes", "requests"),
        _count("reads_forwarded", "Of these reads, answered by a write that waited", "requests"),
        _count("writes_merged", "Of these writes, merged into a write that waited", "requests"),
        _count("row_hits", "Accesses that found their row open", "accesses"),
        _count("row_misses", "Accesses that found no row open", "accesses"),
        _count("row_conflicts", "Accesses that found another row open", "accesses"),
        _share("row_buffer_hit_rate", "row_hits over accesses; null without any", nullable=True),
        _latency("average", "Mean time from a read's arrival to its last word", "real"),
        *(_latency(f"p{percent}", f"The smallest that {percent} % of these reads do not exceed")
          for percent in LATENCY_PERCENTILES),
        Column("commands", "text", "commands", "Commands issued, by the standard's names for them, as JSON"),
        _count("refreshes_issued", "Refreshes issued", "refreshes"),
        _count("refreshes_due", "Refreshes that fell due", "refreshes"),
        _count("refreshes_waiting", "Due, and not yet issued when the last request was done", "refreshes"),
        Column(
            "energy_pj",
            "real",
            "pJ",
            "Energy of the DRAM behind the channel, of what its currents cover; null where none are known",
            nullable=True,
        ),
        Column(
            "energy_missing_states",
            "text",
            "name",
            "States that energy_pj lacks for want of a current, separated by commas; null where energy_pj is",
            nullable=True,
        ),
    ),
)  # fmt: skip

TOTALS: Final = TableSchema(
    name="totals",
    meaning="The timing of a whole run: all sites and iterations added up, and held against the dense run.",
    key=("workload", "seed", "machine", "layout", "mask"),
    columns=(
        _WORKLOAD, _SEED, _EVIDENCE, _ROWS_CONVENTION, _MACHINE, _LAYOUT, _MASK, _MASK_DIGEST,
        *_TIMING_COUNTS, *_RATES,
        _share("compute_share", "compute_core_cycles / core_cycles"),
        _share("stall_share", "stall_core_cycles / core_cycles"),
        Column(
            "baseline_layout",
            "text",
            "name",
            "The layout of the dense run it is compared with; null where the study has no dense run",
            nullable=True,
        ),
        _share("cycle_reduction", "1 - core_cycles / core cycles of the baseline", nullable=True),
    ),
)  # fmt: skip

TRAFFIC: Final = TableSchema(
    name="traffic",
    meaning="What was moved of each tensor of a site, all iterations added up.",
    key=("workload", "seed", "machine", "layout", "mask", "site", "tensor"),
    columns=(
        _WORKLOAD, _SEED, _EVIDENCE, _ROWS_CONVENTION, _MACHINE, _LAYOUT, _MASK, _SITE,
        Column("tensor", "text", "name", "The tensor, as the accelerator calls it: input, up, down, ..."),
        _count("moved_bytes", "Read from and written to DRAM", "bytes"),
    ),
)  # fmt: skip

REDUCTIONS: Final = TableSchema(
    name="reductions",
    meaning="Where a cycle reduction comes from, as shares of the dense run's cycles that add up to it.",
    key=("workload", "seed", "machine", "layout", "mask"),
    columns=(
        _WORKLOAD, _SEED, _EVIDENCE, _ROWS_CONVENTION, _MACHINE, _LAYOUT, _MASK,
        _share("cycle_reduction", "1 - core_cycles / core cycles of the dense run"),
        _share(
            "by_work",
            "Saved by computing hot columns only while all are fetched: simulated; null where the study has"
            " no layout that fetches all, and then it is part of the other two",
            nullable=True,
        ),
        _share("by_traffic", "Saved by moving fewer bytes, each at what it costs while all are fetched"),
        _share(
            "by_locality",
            "Saved by moving the rest quicker (longer streams, more row hits); negative where it is slower",
        ),
    ),
)  # fmt: skip


def _compared(name: str, meaning: str) -> Column:
    return Column(name, "real", "see unit", meaning, nullable=True)


COMPARISON: Final = TableSchema(
    name="comparison",
    meaning="Published numbers beside those of this run.",
    key=("table", "model", "quantity", "machine"),
    columns=(
        Column("table", "text", "name", "The table or figure of the publication"),
        Column("model", "text", "name", "The workload"),
        Column("quantity", "text", "name", "What is compared"),
        Column("machine", "text", "name", "The machine of the study"),
        Column("unit", "text", "name", "The unit of all numbers of the row"),
        *(_compared(f"published_{end}", f"{end.capitalize()} end of what is published; null if it was lost")
          for end in ("low", "high")),
        _compared("printed_tolerance", "Half a unit of the last printed digit"),
        _compared("ours", "What this run found; null where it could not"),
        _compared("difference", "How far ours lies outside of what is published"),
        _compared("bound", "How far it may; null where no bound is accepted"),
        Column("within", "flag", "name", "Whether it lies within the bound; null without one", nullable=True),
        Column("as_printed", "flag", "name", "Whether ours would have been printed alike", nullable=True),
        Column("note", "text", "name", "What to know of the row; why there is no bound where there is none"),
    ),
)  # fmt: skip

SCORES: Final = TableSchema(
    name="scores",
    meaning="How far masked samples are from the dense ones of the same seed and weights.",
    key=("workload", "seed", "mask", "metric"),
    columns=(
        _WORKLOAD,
        _SEED,
        _EVIDENCE,
        _ROWS_CONVENTION,
        _MASK,
        _MASK_DIGEST,
        Column("metric", "text", "name", "The metric, as the study calls it"),
        Column("value", "real", "see unit", "The score; null where it could not be measured", nullable=True),
        Column("unit", "text", "name", "The unit of value"),
        Column("direction", "text", "name", "Which way the metric gets better"),
        Column("interval_low", "real", "see unit", "Lower end of the confidence interval", nullable=True),
        Column("interval_high", "real", "see unit", "Upper end of the confidence interval", nullable=True),
        Column("samples", "integer", "samples", "Samples compared; null where none were", nullable=True),
        Column("note", "text", "name", "Why there is no value, or what to know of it", nullable=True),
    ),
)

TRADE_OFF: Final = TableSchema(
    name="trade_off",
    meaning="What quality costs: each score beside the cycles that its mask saves on each machine.",
    key=("workload", "seed", "machine", "layout", "mask", "metric"),
    columns=(
        _WORKLOAD, _SEED, _EVIDENCE, _ROWS_CONVENTION, _MACHINE, _LAYOUT, _MASK, _MASK_DIGEST,
        Column("sweep", "text", "name", "What is swept by masks of this kind: tau, rho or eta"),
        _share("cycle_reduction", "1 - core_cycles / core cycles of the baseline"),
        Column("metric", "text", "name", "The metric, as the study calls it"),
        Column("value", "real", "see unit", "The score"),
        Column("unit", "text", "name", "The unit of value"),
        Column("direction", "text", "name", "Which way the metric gets better"),
        Column("interval_low", "real", "see unit", "Lower end of the confidence interval", nullable=True),
        Column("interval_high", "real", "see unit", "Upper end of the confidence interval", nullable=True),
        Column("best", "flag", "name", "Whether no other mask or layout saves as much at as good a score"),
        Column(
            "beyond_cliff",
            "flag",
            "name",
            "Whether quality has broken down since the mask before: the step costs at least three times as"
            " much quality per cycle saved as the median of the sweep's others, beyond both intervals",
        ),
    ),
)  # fmt: skip

SCHEMAS: Final[Mapping[str, TableSchema]] = {
    schema.name: schema
    for schema in (
        SITES, PROFILES, SPARSITY, CALIBRATION, REGIMES, PLACEMENTS, TOTALS, REDUCTIONS,
        TRAFFIC, TIMING, MEMORY_CHANNELS, SCORES, TRADE_OFF, COMPARISON,
    )
}  # fmt: skip
"""Every table by its name."""
