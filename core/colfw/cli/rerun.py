"""`colfw rerun`: a past run once more, from its manifest alone, and whether its tables come out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from colfw.binding import bind
from colfw.cli.common import PluginOptions, RunsOptions, say, warn
from colfw.cli.run import HowToRun, finish, run_bound, run_options
from colfw.errors import ReproductionError
from colfw.study import study_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colfw.engine.run import Run
    from colfw.store.runs import Manifest


def rerun(
    run: str = "latest",
    *,
    how: HowToRun | None = None,
    runs: RunsOptions | None = None,
    plugins: PluginOptions | None = None,
) -> int:
    """Run a past run again, without its cached results, and compare every table byte for byte.

    Parameters
    ----------
    run
        Its id, the beginning of it, its folder, or `latest`; default: `latest`.
    """
    from colfw.engine.run import participants  # noqa: PLC0415
    from colfw.store.runs import find_run  # noqa: PLC0415

    how = evolve(how or HowToRun(), fresh=True)
    root = (runs or RunsOptions()).root
    found = find_run(root, run)
    past = found.read_manifest()
    registry = (plugins or PluginOptions()).load()
    study = study_from(past.study, where=str(found.path / "manifest.json"))
    bound = bind(study, registry, where=str(found.path))
    options = run_options(bound, how, study_file=past.study_file, overrides=past.overrides)
    options = evolve(options, runs_root=how.output or root)
    warn(_changes(past, {_identity(plugin) for plugin in participants(bound)}))
    again = run_bound(bound, registry, options, how)
    status = finish(again, how)
    if status == 0:  # what an interrupted rerun left out says nothing about the past run
        _compare(past, again, quiet=how.quiet or how.json)
    return status


def _identity(plugin: object) -> tuple[str, ...]:
    assert isinstance(plugin, dict)
    return tuple(str(plugin[key]) for key in ("kind", "name", "distribution", "fingerprint"))


def _changes(past: Manifest, now: set[tuple[str, ...]]) -> Iterator[str]:
    """A line for each plugin whose code is not what it was, and for a past run that is not whole."""
    if past.status != "finished":
        yield f"{past.run} is {past.status}: it may lack tables or rows that a whole run has"
    for plugin in past.plugins:
        if _identity(dict(plugin)) not in now:
            yield (
                f"{plugin['kind']} {plugin['name']!r} ran with {plugin['distribution']}"
                f" {plugin['version']}; its code has changed since"
            )


def _compare(past: Manifest, again: Run, *, quiet: bool) -> None:
    before, now = past.tables, again.manifest.tables
    differing = sorted(n for n in {*before, *now} if before.get(n) != now.get(n))
    if differing:
        raise ReproductionError(
            f"tables differ from those of {past.run}: {', '.join(differing)}",
            where=str(again.directory.path),
            hint="compare versions and plugins in the two manifests",
        )
    if not quiet:
        say(f"All {len(now)} table files are the same, byte for byte, as those of {past.run}.")
