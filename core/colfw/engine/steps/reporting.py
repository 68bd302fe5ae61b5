"""Stage `report`: from all results of a run to tables and the page that shows them."""

from __future__ import annotations

import json
import tomllib
from html import escape
from typing import TYPE_CHECKING, Any

from colfw.masks import MaskPolicy
from colfw.plugins import PluginCrashError, guarded
from colfw.report.build import Result, Sources, build_tables
from colfw.report.html import Section, render
from colfw.report.schemas import SCHEMAS
from colfw.store.tables import write_csv, write_parquet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from colfw.engine.tasks import Job
    from colfw.store.tables import Table

REPORT_FILE = "report.html"
NOTICES_FILE = "notices.json"
"""What went wrong without costing the report: for stderr, no part of the run directory."""


def report(job: Job) -> None:
    """Write every table in both formats, and the page."""
    payload = job.task.payload
    tables = build_tables(_sources(job))
    for name, table in tables.items():
        write_parquet(table, job.folder / "tables" / f"{name}.parquet")
        write_csv(table, job.folder / "tables" / f"{name}.csv")
    sections = _sections(job, tables)
    page = render(
        name=tomllib.loads(payload["study"])["name"],
        tables={name: tables[name] for name in SCHEMAS if name in tables},
        sections=[section for section, _ in sections],
        study=payload["study"],
        plugins=payload["participants"],
    )
    job.write(REPORT_FILE, page.encode())
    problems = [problem for _, problem in sections if problem is not None]
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
    return [_section(job, role, rows) for role in job.task.payload["plugins"]]


def _section(job: Job, role: str, rows: Mapping[str, Any]) -> tuple[Section, str | None]:
    registered = job.choice(role).registered
    try:
        with guarded(str(registered), "while it wrote its section"):
            title, body = job.make(role).render(rows)
            return Section(id=registered.name, title=str(title), body=str(body)), None
    except PluginCrashError as error:
        reason = f"<p>{escape(str(error))}</p>"
        return Section(id=registered.name, title=registered.name, body=reason), str(error)
