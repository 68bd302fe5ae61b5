"""What several verbs share: options about plugins, where runs and caches lie, and how to print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from attrs import frozen
from cyclopts import Parameter

from colfw.plugins import PluginPolicy, Registry, load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console
    from rich.table import Table

    from colfw.engine.run import Run
    from colfw.store.tables import TableSchema


@Parameter(name="*")
@frozen(kw_only=True)
class PluginOptions:
    """Which plugins may take part."""

    no_plugin: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Do not even import this plugin (distribution or entry point); may be repeated."""
    strict_plugins: Annotated[bool, Parameter(negative="")] = False
    """Stop if any plugin is broken, incompatible or contested."""

    def load(self) -> Registry:
        """The registry; what went wrong is said once on stderr, or is an error if plugins are strict."""
        registry = load_plugins(PluginPolicy.from_environment(blocked=self.no_plugin))
        if self.strict_plugins:
            registry.check_strictly()
        warn(registry.notices)
        return registry


@Parameter(name="*")
@frozen(kw_only=True)
class RunsOptions:
    """Where runs lie."""

    runs_dir: Path | None = None
    """Folder of the runs; default: COLFW_RUNS, else `runs` here."""

    @property
    def root(self) -> Path:
        from colfw.store.runs import default_runs_root  # noqa: PLC0415

        return self.runs_dir or default_runs_root()


_ENDLESS = 10_000
"""Columns in a pipe or a file: what stands in one row can be searched for as one line."""


def warn(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stderr.write(f"colfw: warning: {line}\n")


def four_digits(value: float | None) -> str:
    """A number to read; a dash for what there is not."""
    return "-" if value is None else f"{value:.4g}"


def rows_of(ended: Run, schema: TableSchema) -> list[Mapping[str, Any]]:
    """The rows of a table of a run; none if the run has no such table."""
    from colfw.store.tables import read_parquet  # noqa: PLC0415  (not needed to start the command line)

    path = ended.directory.path / "tables" / f"{schema.name}.parquet"
    return list(read_parquet(path, schema).rows) if path.exists() else []


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def say_json(value: Any) -> None:
    say(json.dumps(value, indent=2, allow_nan=False))


def console() -> Console:
    """Prints to stdout: text as it is, as wide as the terminal, and never wrapped where there is none."""
    from rich.console import Console  # noqa: PLC0415

    class Plain(Console):
        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError  # `main` knows what to do, for all output alike

    # Names and messages of plugins may hold brackets and colons: they are no markup.
    return Plain(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else _ENDLESS)


def table(*columns: str, title: str | None = None) -> Table:
    """A table whose right-aligned columns are marked by a trailing `>`."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        made.add_column(
            column.removesuffix(">"), justify="right" if column.endswith(">") else "left", overflow="fold"
        )
    return made


def size(size_bytes: float) -> str:
    """A size to read: `1.5 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"


def duration(seconds: float | None) -> str:
    """A duration to read: `4.2 s`, `3 min 20 s`; unknown for None."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
