"""`colfw doctor`: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import os
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
from cyclopts import Parameter

from colfw.cli.common import PluginOptions, console, say_json, size, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colfw.plugins import Registry

_WANTED_FREE_BYTES = 5_000_000_000
"""A full study of the seven workloads keeps profiles and tables of about a gigabyte; leave room."""

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    verdict: Literal["ok", "note", "problem"]
    found: str
    advice: str = ""


def doctor(
    *, json: Annotated[bool, Parameter(negative="")] = False, plugins: PluginOptions | None = None
) -> int:
    """Look at Python, torch, the device, the compiler, plugins and disks; exit code 1 on a problem.

    Parameters
    ----------
    json
        Print JSON instead of a table.
    """
    from rich.text import Text  # noqa: PLC0415

    findings = list(_findings((plugins or PluginOptions()).load()))
    if json:
        say_json([attrs.asdict(finding) for finding in findings])
    else:
        listing = table("", "subject", "found", "what to do")
        for finding in findings:
            sign = Text(finding.verdict, style=_COLOURS[finding.verdict])
            listing.add_row(sign, finding.subject, finding.found, finding.advice)
        console().print(listing)
    return int(any(finding.verdict == "problem" for finding in findings))


def _findings(registry: Registry) -> Iterator[Finding]:
    yield Finding(
        subject="colfw",
        verdict="ok",
        found=f"{metadata.version('colfw')}, Python {platform.python_version()}, {os.cpu_count()} CPUs",
    )
    for subject, examine in (("torch", _torch), ("diffusers", _diffusers), ("numba", _numba)):
        yield _guarded(subject, examine)
    yield from _extras()
    yield from _plugins(registry)
    yield from _disks()


def _guarded(subject: str, examine: Callable[[], Finding]) -> Finding:
    try:
        return examine()
    except Exception as error:  # noqa: BLE001  (a broken install may raise anything)
        return Finding(
            subject=subject,
            verdict="problem",
            found=f"{type(error).__name__}: {error}",
            advice=f"reinstall {subject}, with the constraints file of colfw if you have it",
        )


def _torch() -> Finding:
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
        return Finding(subject="torch", verdict="ok", found=f"{torch.__version__}, GPU {device}")
    threads = torch.get_num_threads()
    return Finding(
        subject="torch",
        verdict="ok",
        found=f"{torch.__version__}, CPU with {threads} threads, no GPU",
        advice="full-size models are slow without a GPU",
    )


def _diffusers() -> Finding:
    # Its version is read, not its modules: importing them takes seconds and proves little.
    return Finding(subject="diffusers", verdict="ok", found=metadata.version("diffusers"))


def _numba() -> Finding:
    import numba  # noqa: PLC0415

    seven: Any = numba.njit(lambda: 7)
    compiled = bool(seven() == 7)
    verdict: Literal["ok", "problem"] = "ok" if compiled else "problem"
    return Finding(subject="numba", verdict=verdict, found=f"{numba.__version__}, compiles")


_FOR_DEVELOPERS = frozenset({"dev", "testing"})


def _extras() -> Iterator[Finding]:
    """What colfw can do with more packages, by its own metadata."""
    needed: dict[str, list[str]] = {}
    for requirement in metadata.requires("colfw") or ():
        package, _, marker = requirement.partition(";")
        named = re.search(r"""extra == ['"]([^'"]+)""", marker)
        if named and named[1] not in _FOR_DEVELOPERS:
            needed.setdefault(named[1], []).append(re.split(r"[^A-Za-z0-9._-]", package.strip())[0])
    for extra, packages in sorted(needed.items()):
        missing = [package for package in packages if not _is_installed(package)]
        yield Finding(
            subject=f"extra {extra}",
            verdict="note" if missing else "ok",
            found=f"without {', '.join(missing)}" if missing else ", ".join(packages),
            advice=f"pip install 'colfw[{extra}]', if you need it" if missing else "",
        )


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _plugins(registry: Registry) -> Iterator[Finding]:
    found = registry.all()
    distributions = {registered.owner.distribution for registered in found}
    yield Finding(
        subject="plugins",
        verdict="ok" if found else "note",
        found=f"{len(found)} from {len(distributions)} distribution(s)",
        advice="" if found else "install some: examples/colfw-tiny is one of each kind",
    )
    for notice in registry.notices:
        yield Finding(
            subject="plugins",
            verdict="problem",
            found=notice,
            advice="repair or uninstall it, or leave it out with --no-plugin",
        )


def _disks() -> Iterator[Finding]:
    from colfw.store.objects import default_root  # noqa: PLC0415
    from colfw.store.runs import default_runs_root  # noqa: PLC0415

    yield _disk("cache", default_root(), "COLFW_CACHE")
    yield _disk("runs", default_runs_root(), "COLFW_RUNS")


def _disk(subject: str, folder: Path, variable: str) -> Finding:
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not os.access(existing, os.W_OK):
        return Finding(
            subject=subject,
            verdict="problem",
            found=f"{folder}: not writable",
            advice=f"name another folder with {variable}",
        )
    free = shutil.disk_usage(existing).free
    enough = free >= _WANTED_FREE_BYTES
    return Finding(
        subject=subject,
        verdict="ok" if enough else "note",
        found=f"{folder}: {size(free)} free",
        advice="" if enough else f"make room, or name another folder with {variable}",
    )
