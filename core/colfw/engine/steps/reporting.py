"""Stage `report`: from all results of a run to tables, figures and the page that shows them."""

from __future__ import annotations

import json
import tomllib
from html import escape
from typing import TYPE_CHECKING, Any

from colfw.masks import MaskPolicy
from colfw.plugins import PluginCrashError, guarded
from colfw.report.build import Result, Sources, build_tables
from colfw.report.html import Section, render
from colfw.report.schemas import COMPARISON, SCHEMAS
from colfw.store.tables import Table, write_csv, write_parquet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from colfw.comparison import Comparison
    from colfw.engine.tasks import Job
    from colfw.report.figures.drawing import Picture

REPORT_FILE = "report.html"
TABLES_FOLDER = "tables/"
NOTICES_FILE = "notices.json"
"""What went wrong without costing the report: for stderr, no part of the run directory."""


def report(job: Job) -> None:
    """Write every table in both formats, every figure, and the page."""
    payload = job.task.payload
    tables = build_tables(_sources(job))
    compared, problems = _compared(job, tables)
    if compared:
        tables[COMPARISON.name] = Table(COMPARISON, compared)
    for name, table in tables.items():
        write_parquet(table, job.folder / TABLES_FOLDER / f"{name}.parquet")
        write_csv(table, job.folder / TABLES_FOLDER / f"{name}.csv")
    pictures, undrawn = _pictures(job, tables)
    sections = _sections(job, tables)
    page = render(
        name=tomllib.loads(payload["study"])["name"],
        tables={name: tables[name] for name in SCHEMAS if name in tables},
        sections=[section for section, _ in sections],
        study=payload["study"],
        plugins=payload["participants"],
        pictures=pictures,
    )
    job.write(REPORT_FILE, page.encode())
    problems += undrawn + [problem for _, problem in sections if problem is not None]
    job.write(NOTICES_FILE, json.dumps(problems).encode())


def _sources(job: Job) -> Sources:
    payload = job.task.payload
    results = [
        Result(step=entry["step"], context=entry["context"], file=job.inputs[entry["role"]].file)
        for entry in payload["results"]
    ]
    masks = [MaskPolicy(**mask) for mask in payload["masks"]]
    return Sources(results, masks, payload["uniform_range"])


def _sections(job: Job, tables: Mapping[str, Table]) -> list[tuple[Section, str | None]]:
    """The section of each plugin; the reason takes the place of one that cannot be rendered."""
    rows = {name: table.rows for name, table in tables.items()}
    return [_section(job, role, rows) for role in _roles(job, "section ")]


def _roles(job: Job, beginning: str) -> list[str]:
    return [role for role in job.task.payload["plugins"] if role.startswith(beginning)]


def _compared(job: Job, tables: Mapping[str, Table]) -> tuple[list[dict[str, Any]], list[str]]:
    """What the study's experiments compare, and what went wrong without costing the report."""
    rows = {name: table.rows for name, table in tables.items()}
    compared: list[dict[str, Any]] = []
    problems: list[str] = []
    for role in _roles(job, "experiment "):
        try:
            with guarded(str(job.choice(role).registered), "while it compared"):
                compared += [_comparison_row(found) for found in job.make(role).comparisons(rows)]
        except PluginCrashError as error:
            problems.append(str(error))
    return compared, problems


def _pictures(job: Job, tables: Mapping[str, Table]) -> tuple[list[Picture], list[str]]:
    """What was drawn, the figures of the study's experiments first, and what could not be."""
    # Altair is loaded by who draws; the commands that only plan a report stay quick without it.
    from colfw.report.figures.drawing import write_figures  # noqa: PLC0415
    from colfw.report.figures.standard import standard_figures  # noqa: PLC0415

    rows = {name: table.rows for name, table in tables.items()}
    folder = job.folder / "figures"
    standard = write_figures(standard_figures(tables), folder)
    drawn: list[Picture] = []
    problems: list[str] = []
    for role in _roles(job, "experiment "):
        try:
            with guarded(str(job.choice(role).registered), "while it drew"):
                for figure in job.make(role).figures(rows):
                    beside = [picture.figure for picture in (*drawn, *standard)]
                    drawn += write_figures([figure], folder, beside=beside)
        except PluginCrashError as error:
            problems.append(str(error))
    return [*drawn, *standard], problems


def _comparison_row(found: Comparison) -> dict[str, Any]:
    low, high = found.published or (None, None)
    names = set(COMPARISON.column_names) - {"published_low", "published_high"}
    return {
        **{name: getattr(found, name) for name in names},
        "published_low": low,
        "published_high": high,
    }


def _section(job: Job, role: str, rows: Mapping[str, Any]) -> tuple[Section, str | None]:
    registered = job.choice(role).registered
    try:
        with guarded(str(registered), "while it wrote its section"):
            title, body = job.make(role).render(rows)
            return Section(id=registered.name, title=str(title), body=str(body)), None
    except PluginCrashError as error:
        reason = f"<p>{escape(str(error))}</p>"
        return Section(id=registered.name, title=registered.name, body=reason), str(error)
