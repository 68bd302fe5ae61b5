"""Makes distributions as an installer leaves them: a module, and a dist-info folder with an entry point.

Put the folder on `sys.path`, and discovery goes through the installed metadata, as for any plugin: for
tests of what happens when a plugin is broken, contested or missing.
"""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def install(
    site: Path, name: str, source: str, *, version: str = "1.0", entry_point: str | None = None
) -> str:
    """Put a one-module distribution into the folder `site`; returns the name of its module."""
    module = name.replace("-", "_")
    (site / f"{module}.py").write_text(dedent(source), encoding="utf-8")
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    line = f"{entry_point or module} = {module}\n"
    (info / "entry_points.txt").write_text(f"[colfw]\n{line}", encoding="utf-8")
    return module
