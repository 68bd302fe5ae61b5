"""An experiment: a study that is ready to run, a claim that it is held against, and a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from colfw.comparison import Comparison
from colfw.report.figures import Figure
from colfw.report.figures.shapes import lines
from colfw.store.tables import Column, Table, TableSchema

WIDTHS_BYTES = (8, 16, 32, 64)

BUS_WIDTHS = TableSchema(
    name="tiny-bus-widths",
    meaning="Time of the dense run by the width of the bus.",
    key=("machine",),
    columns=(
        Column("machine", "text", "name", "The machine"),
        Column("workload", "text", "name", "The workload"),
        Column("bus_width", "integer", "bytes per cycle", "Bytes that the bus moves in a cycle"),
        Column("core_cycles", "integer", "core cycles", "Time taken"),
    ),
)

Tables = Mapping[str, Sequence[Mapping[str, Any]]]


class BusWidths:
    """The same dense run on wider and wider buses."""

    def study(self) -> dict[str, Any]:
        return {
            "workloads": ["tiny-denoiser"],
            "iterations": 2,
            "layouts": [{"name": "tiny-hot-first", "masks": ["dense"]}],
            "machines": [
                {
                    "name": f"width-{width}",
                    "accelerator": "tiny-array",
                    "memory": {"name": "tiny-bus", "options": {"bytes_per_cycle": width}},
                }
                for width in WIDTHS_BYTES
            ],
        }

    def comparisons(self, tables: Tables) -> list[Comparison]:
        """While the bus is the bottleneck, one of twice the width takes half the time."""
        cycles = {row["machine"]: row["core_cycles"] for row in tables.get("totals", ())}
        ours = cycles["width-8"] / cycles["width-16"] if cycles else None
        return [
            Comparison(
                table="tiny",
                model="tiny-denoiser",
                quantity="cycles with 8 bytes over cycles with 16",
                unit="1",
                machine="width-16",
                published=(2.0, 2.0),
                printed_tolerance=0.05,
                ours=ours,
                bound=0.05,
                note="" if cycles else "nothing was simulated",
            )
        ]

    def figures(self, tables: Tables) -> list[Figure]:
        rows = [
            {
                "machine": row["machine"],
                "workload": row["workload"],
                "bus_width": int(row["machine"].removeprefix("width-")),
                "core_cycles": row["core_cycles"],
            }
            for row in tables.get("totals", ())
        ]
        if not rows:
            return []
        drawn = lines(
            Table(BUS_WIDTHS, rows),
            title="A wider bus",
            caption="Time of the dense run; seeded random weights.",
            x="bus_width",
            y="core_cycles",
            series="workload",
        )
        return [drawn]
