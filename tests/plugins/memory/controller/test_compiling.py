"""Machine code on disk is found again only by the sources that it was made of."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from colfw_memory.controller import compiling


def test_all_that_the_controller_imports_from_its_package_names_the_folder() -> None:
    """A constant that is compiled into a kernel is among the sources, in whatever module it stands."""
    hashed = set(compiling.sources())
    for source in Path(compiling.__file__).parent.glob("*.py"):
        for module in re.findall(r"^from (colfw_memory[\w.]*) import", source.read_text(), re.MULTILINE):
            spec = find_spec(module)
            assert spec is not None
            assert spec.origin is not None
            assert Path(spec.origin) in hashed, f"{source.name} imports {module}"
