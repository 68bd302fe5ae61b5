"""The end of a run: the numbers a designer looks at first, and where the rest lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colfw.cli.common import console, say, table
from colfw.report.evidence import evidence_sentences
from colfw.report.schemas import SCHEMAS
from colfw.store.tables import Table, read_parquet

if TYPE_CHECKING:
    from colfw.engine.run import Run

_ROWS = 24


def print_summary(ended: Run) -> None:
    tables = _tables(ended)
    for rows, columns, title in (
        (_rows(tables, "regimes"), _REGIME, "Regimes"),
        (_rows(tables, "totals"), _TOTAL, "Simulated totals"),
        (_rows(tables, "scores"), _SCORE, "Masked against dense samples"),
    ):
        if rows:
            _print(rows, columns, title)
    if tables:
        say(evidence_sentences(tables))
    say(f"run     {ended.directory.path} ({ended.manifest.status})")
    report = ended.directory.path / "report.html"
    if report.exists():
        say(f"report  {report}")


def _tables(ended: Run) -> dict[str, Table]:
    wanted = ("profiles", "regimes", "totals", "scores")
    folder = ended.directory.path / "tables"
    paths = {name: folder / f"{name}.parquet" for name in wanted}
    return {name: read_parquet(path, SCHEMAS[name]) for name, path in paths.items() if path.exists()}


def _rows(tables: dict[str, Table], name: str) -> list[dict[str, Any]]:
    return [dict(row) for row in tables[name].rows] if name in tables else []


_REGIME = ("workload", "mask", "regime", "mean_column_sparsity%", "mean_jaccard")
_TOTAL = ("workload", "machine", "layout", "mask", "core_cycles", "stall_share%", "cycle_reduction%")
_SCORE = ("workload", "mask", "metric", "value", "unit", "direction")


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...], title: str) -> None:
    """A column whose name ends in `%` is a share, shown in percent; what all rows share joins the title."""
    same = [c for c in columns if len(rows) > 1 and len({row[c.removesuffix("%")] for row in rows}) == 1]
    shared = [c for c in same if isinstance(rows[0][c.removesuffix("%")], str)]
    if shared:
        title = f"{title}: " + ", ".join(str(rows[0][c]) for c in shared)
        columns = tuple(c for c in columns if c not in shared)
    numeric = {c for c in columns if any(_is_number(row[c.removesuffix("%")]) for row in rows)}
    headings = [c.replace("_", " ").replace("%", " %") + (">" if c in numeric else "") for c in columns]
    say(title)
    listing = table(*headings)
    for row in rows[:_ROWS]:
        listing.add_row(*(_text(row[c.removesuffix("%")], percent=c.endswith("%")) for c in columns))
    console().print(listing)
    if len(rows) > _ROWS:
        say(f"  and {len(rows) - _ROWS} more rows in tables/")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any, *, percent: bool) -> str:
    if value is None:
        return "-"
    if percent:
        return f"{100 * value:.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
