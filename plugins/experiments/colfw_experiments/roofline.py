"""The roofline: what each workload asks of a byte, and how near it comes to what machine and memory allow.

Multiplications are those that the workload needs, counted from its sites and hot columns, so that the same
work is held against either machine; rows that a machine adds to fill a tile, and waiting that it counts as
computing, move no point.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from colfw.store.tables import Column, Table, TableSchema
from colfw_experiments.ablations import CORE_CLOCK_HZ, DENSE_LAYOUT, basis, moved_bytes
from colfw_experiments.machines import PAPER, REFERENCE
from colfw_experiments.studied import GATHERED, GRID, OPERATING_POINT, layouts, seven_published

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from colfw.comparison import Comparison
    from colfw.report.figures import Figure

    Row = Mapping[str, Any]
    Tables = Mapping[str, Sequence[Row]]

MULTIPLIERS: Final = 16 * 16 * 16
"""Of the array (Table 2 of the study): as many multiply-accumulates a core cycle."""
PEAK_GMAC_PER_S: Final = MULTIPLIERS * CORE_CLOCK_HZ / 1e9

_MACHINES: Final = (PAPER, REFERENCE)
_NO_MASK: Final = "dense"


@frozen
class Roofline:
    """Each workload as a point under the roofs of both machines, dense and in a sparse iteration."""

    name: str = "roofline"
    title: str = "What a byte is worth, and what is made of it"
    question: str = "Is a workload bound by memory or by the array, and how far is it from either?"

    def study(self) -> Mapping[str, Any]:
        """Two iterations: the dense one, like all dense ones, and the first sparse one."""
        return {
            "workloads": seven_published(),
            "iterations": 2,
            "thresholds": [OPERATING_POINT],
            "target_hot_ratios": [],
            "profile": {"grid": GRID},
            "layouts": layouts(DENSE_LAYOUT, GATHERED),
            "machines": [dict(machine) for machine in _MACHINES],
        }

    def comparisons(self, _: Tables) -> Sequence[Comparison]:
        """None: the study prints no roofline."""
        return ()

    def figures(self, tables: Tables) -> Sequence[Figure]:
        """One for each machine, for its roofs are its own."""
        rows = list(_points(tables))
        machines = dict.fromkeys(row["machine"] for row in rows)
        return [self._figure(name, [row for row in rows if row["machine"] == name]) for name in machines]

    def _figure(self, machine: str, rows: Sequence[Row]) -> Figure:
        from colfw.report.figures.shapes import Roof, roofline  # noqa: PLC0415  (brings Altair)

        bus = max(row["bus_gb_per_s"] for row in rows)
        achieved = max(row["bandwidth_gb_per_s"] for row in rows)
        table = Table(_schema(machine), rows)
        return roofline(
            table,
            title=f"{self.title}: {machine}",
            caption=(
                f"{self.question} Needed multiply-accumulates (MAC) over bytes moved and over time; dense,"
                f" and in the first sparse iteration at threshold {OPERATING_POINT}. {basis(rows)}"
            ),
            x="mac_per_byte",
            y="gmac_per_s",
            series="case",
            roofs=[
                Roof(name=f"bus, {bus:.1f} GB/s", peak=PEAK_GMAC_PER_S, per_x=bus),
                Roof(name=f"achieved at most, {achieved:.1f} GB/s", peak=PEAK_GMAC_PER_S, per_x=achieved),
            ],
        )


def _schema(machine: str) -> TableSchema:
    return TableSchema(
        name=f"roofline-{machine}",
        meaning="What each workload does with a byte and with a second.",
        # Dense cases first: a workload then has one colour, dense and masked, for there are seven of both.
        key=("mask", "workload", "seed", "layout"),
        columns=_COLUMNS,
    )


_COLUMNS: Final = (
    Column("workload", "text", "name", "The workload"),
    Column("seed", "integer", "name", "The seed of the run"),
    Column("evidence", "text", "name", "What the activations rest on"),
    Column("machine", "text", "name", "The machine"),
    Column("layout", "text", "name", "The layout policy"),
    Column("mask", "text", "name", "How hot columns were chosen"),
    Column("case", "text", "name", "The workload, and its mask unless it is dense"),
    Column("needed_mac", "integer", "MAC", "Multiply-accumulates that sites and hot columns ask for"),
    Column("moved_bytes", "integer", "bytes", "Read from and written to DRAM"),
    Column("core_cycles", "integer", "core cycles", "Time taken"),
    Column("mac_per_byte", "real", "MAC/byte", "Needed multiply-accumulates over moved bytes"),
    Column("gmac_per_s", "real", "GMAC/s", "Needed multiply-accumulates over time, at 800 MHz"),
    Column("bandwidth_gb_per_s", "real", "GB/s", "Moved bytes over time"),
    Column("bus_gb_per_s", "real", "GB/s", "What the data bus could have carried over time"),
)


# --- points -------------------------------------------------------------------------------------------

_CASE: Final = ("workload", "seed", "machine", "layout", "mask")


def _points(tables: Tables) -> Iterator[Row]:
    """One for each case that took any time and moved anything."""
    sites = {(row["workload"], row["site"]): row for row in tables.get("sites", ())}
    hot = {
        tuple(row[name] for name in ("workload", "seed", "mask", "site", "iteration")): row["hot_columns"]
        for row in tables.get("sparsity", ())
    }
    added: dict[tuple[Any, ...], Counter[str]] = {}
    for row in _shown(tables.get("timing", ())):
        counts = added.setdefault((*(row[name] for name in _CASE), row["evidence"]), Counter())
        counts.update(_counted(row, _needed_mac(row, sites[row["workload"], row["site"]], hot)))
    for case, counts in added.items():
        if counts["moved_bytes"] and counts["core_cycles"]:
            yield _point(dict(zip((*_CASE, "evidence"), case, strict=True)), counts)


def _shown(timing: Iterable[Row]) -> Iterator[Row]:
    """Of masked runs what comes after iteration 0, which is dense."""
    return (row for row in timing if row["mask"] == _NO_MASK or row["iteration"] > 0)


def _needed_mac(row: Row, site: Row, hot: Mapping[tuple[Any, ...], int]) -> int:
    """Of every row and hot column: the way in, twice where there is a gate, and the way out."""
    case = (row["workload"], row["seed"], row["mask"], row["site"], row["iteration"])
    columns = site["columns"] if row["mask"] == _NO_MASK else hot[case]
    return int(site["rows"] * columns * (site["d_in"] * (1 + site["gated"]) + site["d_out"]))


def _counted(row: Row, needed_mac: int) -> dict[str, int]:
    return {
        "needed_mac": needed_mac,
        "moved_bytes": moved_bytes(row),
        "core_cycles": row["core_cycles"],
        "peak_bytes": row["peak_bytes"],
    }


def _point(case: Row, counts: Mapping[str, int]) -> Row:
    nanoseconds = counts["core_cycles"] / CORE_CLOCK_HZ * 1e9
    named = case["workload"] if case["mask"] == _NO_MASK else f"{case['workload']} {case['mask']}"
    return {
        **case,
        "case": named,
        **{name: counts[name] for name in ("needed_mac", "moved_bytes", "core_cycles")},
        "mac_per_byte": counts["needed_mac"] / counts["moved_bytes"],
        "gmac_per_s": counts["needed_mac"] / nanoseconds,
        "bandwidth_gb_per_s": counts["moved_bytes"] / nanoseconds,
        "bus_gb_per_s": counts["peak_bytes"] / nanoseconds,
    }
