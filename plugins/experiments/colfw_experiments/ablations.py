"""Ablations: one knob of a machine turned, and what becomes of each workload.

What is turned, and which values it takes, is declared in `knobs`; here it becomes a study with a machine
for every value, and a figure with a line for every workload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen, validators

from colfw.errors import InvariantError
from colfw.store.tables import Column, Table, TableSchema
from colfw_experiments.studied import GRID, OPERATING_POINT, SEVEN, layouts, published

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from colfw.comparison import Comparison
    from colfw.report.figures import Figure

    Row = Mapping[str, Any]
    Tables = Mapping[str, Sequence[Row]]

CORE_CLOCK_HZ: Final = 800_000_000
"""Of every machine here (Table 2 of the study): tables count core cycles, and seconds follow from it."""

DENSE_LAYOUT: Final = "row-major"

_NO_MASK: Final = "dense"


@frozen(kw_only=True)
class Setting:
    """One position of a knob, as what it changes in a machine."""

    label: str = field(validator=validators.min_len(1))
    accelerator: Mapping[str, Any] = field(factory=dict)
    """Options of the accelerator."""
    memory: Mapping[str, Any] = field(factory=dict)
    """Options of the memory."""
    dram: str | None = None
    """Another memory in place of the machine's, which leaves the machine's own memory options behind."""

    def applied(self, machine: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The machine with the knob in this position, under a name of its own."""
        memory = machine["memory"] if self.dram is None else {"name": self.dram}
        return {
            "name": name,
            "accelerator": _with_options(machine["accelerator"], self.accelerator),
            "memory": _with_options(memory, self.memory),
        }


def with_accelerator(machine: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The machine with some options of its accelerator set."""
    return {**machine, "accelerator": _with_options(machine["accelerator"], options)}


def with_memory(machine: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The machine with some options of its memory set."""
    return {**machine, "memory": _with_options(machine["memory"], options)}


def _with_options(choice: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**choice.get("options", {}), **options}
    return {**choice, "options": merged} if merged else dict(choice)


@frozen(kw_only=True)
class Measure:
    """A column that is drawn over the knob, of the dense runs or of those under a mask."""

    column: str
    masked: bool = False

    def shows(self, row: Row) -> bool:
        return (row["mask"] != _NO_MASK) is self.masked

    @property
    def filter(self) -> str:
        """The same rule as the chart's own filter: its table holds the rows of every panel."""
        return f"datum.mask {'!==' if self.masked else '==='} '{_NO_MASK}'"


TIME: Final = Measure(column="relative_time")
COMPUTE: Final = Measure(column="compute_share")
TRAFFIC: Final = Measure(column="relative_traffic")
PER_MEMORY_CYCLE: Final = Measure(column="bytes_per_memory_cycle")
BANDWIDTH: Final = Measure(column="bandwidth_gb_per_s")
SECONDS: Final = Measure(column="time_s")
REDUCTION: Final = Measure(column="cycle_reduction", masked=True)

LOGARITHMIC: Final = (SECONDS.column,)
"""Workloads differ by orders of magnitude in these."""


@frozen(kw_only=True)
class Ablation:
    """A knob, the machines it is turned on, its positions, and what is drawn of them."""

    name: str
    title: str
    question: str
    """What a designer learns from it, and what is varied."""
    knob: str
    """Names the column of positions: `window` makes machines `window-8`, `window-16`, ..."""
    unit: str = "name"
    """Of the positions; `name` where they are words."""
    machines: tuple[Mapping[str, Any], ...] = field(validator=validators.min_len(1))
    settings: tuple[Setting, ...] = field(validator=validators.min_len(2))
    baseline: str
    """The position that the others are held against."""
    measures: tuple[Measure, ...] = field(validator=validators.min_len(1))
    workloads: tuple[str, ...] = SEVEN
    layouts: tuple[str, ...] = (DENSE_LAYOUT,)
    """As `studied.LAYOUTS` calls them; one besides the dense one is run at the operating point."""
    iterations: int = field(default=1, validator=validators.ge(1))
    """Dense iterations all ask for the same, so that one stands for all of them."""

    def __attrs_post_init__(self) -> None:
        if self.baseline not in self.positions:
            raise InvariantError(f"{self.baseline!r} is none of its positions", where=f"ablation {self.name}")

    @property
    def positions(self) -> tuple[str, ...]:
        return tuple(setting.label for setting in self.settings)

    def machine_name(self, machine: Mapping[str, Any], label: str) -> str:
        """`window-8`; where the knob is turned on several machines, with the machine's name before."""
        words = (machine["name"],) if len(self.machines) > 1 else ()
        return "-".join((*words, self.knob.replace("_", "-"), label))

    def study(self) -> Mapping[str, Any]:
        """The study as plain data: a machine for every position."""
        return {
            "workloads": [published(name) for name in self.workloads],
            "iterations": self.iterations,
            "thresholds": [OPERATING_POINT] if len(self.layouts) > 1 else [],
            "target_hot_ratios": [],
            "profile": {"grid": GRID},
            "layouts": layouts(*self.layouts),
            "machines": [
                setting.applied(machine, self.machine_name(machine, setting.label))
                for machine in self.machines
                for setting in self.settings
            ],
        }

    def comparisons(self, _: Tables) -> Sequence[Comparison]:
        """None: the study publishes one machine, and no other position of any knob."""
        return ()

    def figures(self, tables: Tables) -> Sequence[Figure]:
        rows = list(self._rows(tables.get("totals", ())))
        table = Table(self._schema, rows) if rows else None
        return () if table is None else (self._figure(table),)

    # --- the table --------------------------------------------------------------------------------

    @property
    def _schema(self) -> TableSchema:
        knob = Column(self.knob, "text", self.unit, "The position of the knob")
        return TableSchema(
            name=f"ablation-{self.name}",
            meaning=self.question,
            key=(self.knob, *_KEY),
            columns=(knob, *_COLUMNS),
        )

    def _rows(self, totals: Iterable[Row]) -> Iterator[Row]:
        positions = {
            self.machine_name(machine, label): (machine["name"], label)
            for machine in self.machines
            for label in self.positions
        }
        placed = [(*positions[row["machine"]], row) for row in totals if row["machine"] in positions]
        baselines = {_case(base, row): row for base, label, row in placed if label == self.baseline}
        for base, label, row in placed:
            measured = _measured(row, baselines.get(_case(base, row)))
            yield {self.knob: label, "base_machine": base, **measured}

    # --- the figure -------------------------------------------------------------------------------

    def _figure(self, table: Table) -> Figure:
        from colfw.report.figures import Figure  # noqa: PLC0415  (brings what draws)

        panels = [self._panel(table, measure) for measure in self.measures if _some(table, measure)]
        return Figure(
            title=self.title,
            caption=f"{self.question} {self._what_is_shown(table)}",
            data=table,
            chart={"hconcat": panels},
        )

    def _what_is_shown(self, table: Table) -> str:
        machines = " and ".join(str(machine["name"]) for machine in self.machines)
        iterations = (
            "One dense iteration, like all" if self.iterations == 1 else f"{self.iterations} iterations"
        )
        return f"Machine: {machines}; relative to {self.baseline}. {iterations}. {basis(table.rows)}"

    def _panel(self, table: Table, measure: Measure) -> dict[str, Any]:
        """One measure over the knob, a line for every workload."""
        from colfw.report.figures.shapes import lines  # noqa: PLC0415  (brings Altair)

        shown = Table(table.schema, [row for row in table.rows if measure.shows(row)])
        drawn = lines(
            shown,
            title=self.title,
            caption=self.question,
            x=self.knob,
            y=measure.column,
            series="workload",
            panel="base_machine" if len(self.machines) > 1 else None,
            orders={self.knob: self.positions, "workload": self._drawn_workloads(shown)},
            logs=LOGARITHMIC,
        )
        chart = {key: value for key, value in drawn.chart.items() if key not in _TOP_LEVEL}
        if "width" in chart:
            chart["width"] = _PANEL_WIDTH
        return {**chart, "transform": [{"filter": measure.filter}]}

    def _drawn_workloads(self, table: Table) -> list[str]:
        """In the order of the study; a user may have overridden which."""
        there = set(map(str, table.columns["workload"]))
        return [name for name in self.workloads if name in there]


_TOP_LEVEL: Final = ("$schema", "config")
"""What a chart may say only where it stands alone."""

_PANEL_WIDTH: Final = 270
"""Of one measure: three fit side by side."""

_KEY: Final = ("base_machine", "workload", "seed", "layout", "mask")
_REPEATED: Final = (
    *("workload", "seed", "evidence", "rows_convention", "machine", "layout", "mask"),
    *("core_cycles", "compute_share", "stall_share", "bus_utilisation", "cycle_reduction"),
)
"""Columns of the totals of a run that are shown as they are."""

_COLUMNS: Final = (
    Column("base_machine", "text", "name", "The machine whose knob is turned"),
    Column("machine", "text", "name", "That machine with the knob in this position"),
    Column("workload", "text", "name", "The workload"),
    Column("seed", "integer", "name", "The seed of the run"),
    Column("evidence", "text", "name", "What the activations rest on"),
    Column("rows_convention", "text", "name", "How rows are counted"),
    Column("layout", "text", "name", "The layout policy"),
    Column("mask", "text", "name", "How hot columns were chosen"),
    Column("core_cycles", "integer", "core cycles", "Time taken"),
    Column("time_s", "real", "s", "The same in seconds, at 800 MHz"),
    Column("relative_time", "real", "1", "Time over that of the baseline position", nullable=True),
    Column("compute_share", "real", "1", "Share of the time in which the array computes"),
    Column("stall_share", "real", "1", "Share of the time in which it waits for memory"),
    Column("moved_bytes", "integer", "bytes", "Read from and written to DRAM"),
    Column("relative_traffic", "real", "1", "Moved bytes over those of the baseline position", nullable=True),
    Column("bytes_per_memory_cycle", "real", "bytes per memory cycle", "Moved bytes over memory cycles"),
    Column("bandwidth_gb_per_s", "real", "GB/s", "Moved bytes over time"),
    Column("bus_utilisation", "real", "1", "Moved bytes over what the data bus could have carried"),
    Column("cycle_reduction", "real", "1", "1 - core cycles / those of the dense run", nullable=True),
)


def _case(base: str, row: Row) -> tuple[Any, ...]:
    """What is the same but for the position of the knob."""
    return base, row["workload"], row["seed"], row["layout"], row["mask"]


def _measured(row: Row, baseline: Row | None) -> Row:
    moved, seconds = moved_bytes(row), row["core_cycles"] / CORE_CLOCK_HZ
    return {
        **{name: row[name] for name in _REPEATED},
        "time_s": seconds,
        "relative_time": baseline and _quotient(row["core_cycles"], baseline["core_cycles"]),
        "moved_bytes": moved,
        "relative_traffic": baseline and _quotient(moved, moved_bytes(baseline)),
        "bytes_per_memory_cycle": _quotient(moved, row["memory_cycles"]),
        "bandwidth_gb_per_s": _quotient(moved, seconds * 1e9),
    }


def moved_bytes(row: Row) -> int:
    """Read and written, of a row that has both."""
    return int(row["read_bytes"] + row["written_bytes"])


def basis(rows: Iterable[Row]) -> str:
    """What the activations behind rows rest on, in a sentence."""
    from colfw.report.evidence import evidence_of  # noqa: PLC0415  (the report is there only when drawing)

    return evidence_of((row["workload"], row["evidence"]) for row in rows)


def _quotient(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _some(table: Table, measure: Measure) -> bool:
    return any(measure.shows(row) for row in table.rows)
