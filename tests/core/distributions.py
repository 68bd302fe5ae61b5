"""Makes distributions as an installer leaves them: a module and a dist-info folder with entry points.

Discovery then goes through the installed metadata, exactly as for a stranger's plugin.
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


def layout_plugin(name: str, *, api_version: int = 1, more: str = "") -> str:
    """The source of a plugin that declares one layout, and whatever `more` says after it."""
    return dedent(
        f"""
        from colfw import hookimpl
        from colfw.records import LayoutSpec

        def spec(name, **changes):
            return LayoutSpec(**{{
                "name": name, "summary": "A layout", "api_version": {api_version},
                "factory": "math:pi", "masks": ("dense",), **changes,
            }})

        @hookimpl
        def colfw_layouts():
            yield spec({name!r})
        """
    ) + dedent(more)
