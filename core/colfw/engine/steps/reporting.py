"""Stage `report`: from all results of a run to tables and the page that shows them."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from colfw.masks import MaskPolicy
from colfw.plugins import guarded
from colfw.report.build import Result, Sources, build_tables
from colfw.report.html import Section, render
from colfw.report.schemas import SCHEMAS
from colfw.store.tables import write_csv, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from colfw.engine.tasks import Job
    from colfw.store.tables import Table

REPORT_FILE = "report.html"


def report(job: Job) -> None:
    """Write every table in both formats, and the page."""
    payload = job.task.payload
    tables = build_tables(_sources(job))
    for name, table in tables.items():
        write_parquet(table, job.folder / "tables" / f"{name}.parquet")
        write_csv(table, job.folder / "tables" / f"{name}.csv")
    page = render(
        name=tomllib.loads(payload["study"])["name"],
        tables={name: tables[name] for name in SCHEMAS if name in tables},
        sections=list(_sections(job, tables)),
        study=payload["study"],
        plugins=payload["participants"],
    )
    job.write(REPORT_FILE, page.encode())


def _sources(job: Job) -> Sources:
    payload = job.task.payload
    results = [
        Result(step=entry["step"], context=entry["context"], file=job.inputs[entry["role"]].file)
        for entry in payload["results"]
    ]
    masks = [MaskPolicy(**mask) for mask in payload["masks"]]
    return Sources(results, masks, payload["uniform_range"])


def _sections(job: Job, tables: Mapping[str, Table]) -> Iterator[Section]:
    rows: dict[str, Any] = {name: table.rows for name, table in tables.items()}
    for role in job.task.payload["plugins"]:
        registered = job.choice(role).registered
        with guarded(str(registered), "while it wrote its section"):
            title, body = job.make(role).render(rows)
            yield Section(id=registered.name, title=str(title), body=str(body))
