"""Makes the pages that come from the code: `make docs` writes them, a test says when they are out of date."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App
from rich.console import Console

from colfw.binding import Choice
from colfw.cli import app
from colfw.plugins import Registered, load_plugins
from colfw.protocols import DenoiseRequest
from colfw.records import MetricSpec
from colfw.report.schemas import SCHEMAS
from colfw.store.tables import glossary_markdown
from colfw.study import FINE_GRID
from colfw.vocabulary import Kind, SourceKind
from colfw_workloads.published import render, report

DOCS = Path(__file__).parent
MADE = "<!-- Made from the code by `make docs`: do not edit. -->\n\n"


def tables() -> str:
    """Every column of every table, with its unit."""
    intro = "# Tables\n\nEvery table of a run, as Parquet and CSV in `tables/`. A share has the unit 1.\n\n"
    return MADE + intro + glossary_markdown(SCHEMAS.values())


def command_line() -> str:
    """The help of every verb, as it is printed."""
    pages = [f"## {' '.join(verb)}\n\n```text\n{help_of(verb)}\n```\n" for verb in verbs(app, ("colfw",))]
    return MADE + "# Command line\n\n" + "\n".join(pages)


def verbs(node: App, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path of every command below `node`, itself first."""
    yield path
    for name in node:
        if not name.startswith("-"):
            yield from verbs(node[name], (*path, name))


def help_of(verb: tuple[str, ...]) -> str:
    """The help of one verb, 100 columns wide and without colours."""
    printed = io.StringIO()
    console = Console(file=printed, width=100, force_terminal=False, color_system=None, legacy_windows=False)
    with contextlib.suppress(SystemExit):
        app([*verb[1:], "--help"], console=console)
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def published() -> str:
    """Target against achieved of the profiles that are synthesised to published statistics."""
    registry = load_plugins()
    rows = []
    for name in STUDIED:
        workload = Choice(name=name, registered=registry.find(Kind.WORKLOAD, name), options=None).make()
        request = DenoiseRequest(
            source=SourceKind.PUBLISHED, iterations=50, samples=1, seed=0, thresholds=FINE_GRID
        )
        rows += report(name, workload.synthesise(request))
    return MADE + PUBLISHED_INTRODUCTION + render(rows)


STUDIED = ("dit-xl-2", "sd-v1-4", "videocrafter2", "make-an-audio", "mdm", "mld", "edge")
PUBLISHED_INTRODUCTION = """\
# Published activations: target against achieved

With `source.kind = "published"` no model runs. Column maxima and element counts are synthesised, from a
seed, to what the study of activation concentration states of each of its seven workloads. This page holds
every statement against what the profile of seed 0 has, by the statistics that any run applies to any profile.
Cycle reductions are not simulated here: they follow the first-order rule that skipped columns are skipped
traffic.

Where the study contradicts itself, a number cannot be met together with another; such rows point to the
contradiction and to the side that was followed. Nothing was tuned to a number that the statements above it
exclude.

"""


def metrics() -> str:
    """What each built-in metric compares, which way it gets better, and what it needs."""
    found = [found for found in load_plugins().all(Kind.METRIC) if found.owner.distribution == "colfw"]
    return MADE + METRICS_INTRODUCTION + "\n".join(map(metric, found))


METRICS_INTRODUCTION = """\
# Metrics

Every metric that comes with colfw. `docs/quality.md` says how they are used and what their intervals mean;
`colfw plugins show NAME` lists the options of each.

"""


def metric(found: Registered) -> str:
    spec = found.record
    assert isinstance(spec, MetricSpec)
    facts = {
        "compares": ", ".join(spec.modalities),
        "better": str(spec.direction).partition(" ")[0],
        "unit": "none" if spec.unit == "1" else spec.unit,
        "samples": f"{spec.minimum_samples} or more",
        "presets": ", ".join(f"`{name}`" for name in spec.presets),
        "weights": "; ".join(spec.weights),
    }
    lines = [f"- {name}: {fact}" for name, fact in facts.items() if fact]
    return "\n".join([f"## `{spec.name}`", "", f"{spec.summary}.", "", *lines, ""])


PAGES = {
    "tables.md": tables,
    "command-line.md": command_line,
    "metrics.md": metrics,
    "published.md": published,
}


def main() -> int:
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
