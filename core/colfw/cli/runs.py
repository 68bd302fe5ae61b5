"""`colfw runs`: past runs, and what became of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from colfw.cli.common import RunsOptions, console, duration, say, say_json, table
from colfw.errors import StoreError

if TYPE_CHECKING:
    from colfw.store.runs import Manifest, RunDirectory


def list_runs(
    *, json: Annotated[bool, Parameter(negative="")] = False, runs: RunsOptions | None = None
) -> None:
    """List runs, newest first.

    Parameters
    ----------
    json
        Print JSON instead of a table.
    """
    from colfw.store.runs import list_runs as find_all  # noqa: PLC0415

    root = (runs or RunsOptions()).root
    entries = [_entry(run) for run in find_all(root)]
    if json:
        say_json(entries)
    elif not entries:
        say(f"No run in {root}.")
    else:
        listing = table("run", "status", "study", "results>")
        for entry in entries:
            listing.add_row(entry["run"], entry["status"], entry["name"], str(entry["results"]))
        console().print(listing)


def _entry(run: RunDirectory) -> dict[str, Any]:
    try:
        manifest = run.read_manifest()
    except StoreError:
        return {"run": run.id, "status": run.status, "name": "", "results": 0, "path": str(run.path)}
    return {
        "run": run.id,
        "status": manifest.status,
        "name": manifest.name,
        "results": len(manifest.tasks),
        "path": str(run.path),
    }


def show(
    run: str = "latest",
    *,
    json: Annotated[bool, Parameter(negative="")] = False,
    runs: RunsOptions | None = None,
) -> None:
    """Show one run: what ran, with which plugins, what became of it, and where its tables are.

    Parameters
    ----------
    run
        Its id, the beginning of it, its folder, or `latest`; default: `latest`.
    json
        Print the manifest as JSON.
    """
    from colfw.store.runs import find_run  # noqa: PLC0415

    found = find_run((runs or RunsOptions()).root, run)
    manifest = found.read_manifest()
    if json:
        say_json(manifest.to_json())
        return
    for name, value in _summary(found, manifest).items():
        say(f"{name:<9} {value}")
    for task in manifest.tasks:
        if task["error"]:
            say(f"failed    {task['label']}: {task['error']}")


def _summary(found: RunDirectory, manifest: Manifest) -> dict[str, str]:
    outcomes = Counter(str(task["status"]) for task in manifest.tasks)
    seconds = sum(float(task["seconds"]) for task in manifest.tasks)
    return {
        "run": manifest.run,
        "status": manifest.status,
        "started": manifest.started,
        "finished": manifest.finished or "",
        "tasks": ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())),
        "work": duration(seconds),
        "plugins": ", ".join(f"{p['name']} ({p['distribution']} {p['version']})" for p in manifest.plugins),
        "tables": ", ".join(name for name in manifest.tables if name.endswith(".parquet")),
        "report": str(found.path / "report.html"),
    }
