"""Makes the pages that come from the code: `make docs` writes them, a test says when they are out of date."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App
from rich.console import Console

from colfw.cli import app
from colfw.report.schemas import SCHEMAS
from colfw.store.tables import glossary_markdown

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


PAGES = {"tables.md": tables, "command-line.md": command_line}


def main() -> int:
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
