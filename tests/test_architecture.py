"""The house: who may know whom, beyond what the import contracts say."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "core" / "colfw").rglob("*.py"))
PACKAGES = [ROOT / "core" / "colfw", *sorted((ROOT / "plugins").glob("*/colfw_*"))]


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(ROOT / "core").as_posix())
def test_core_names_no_plugin_package_and_says_what_each_module_is_for(path: Path) -> None:
    """No import in core, in functions neither, reaches a plugin package; a docstring opens each file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [name for name in _imported(tree) if name.startswith("colfw_")]
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_package_is_typed(package: Path) -> None:
    """Users' type checkers see the annotations."""
    assert (package / "py.typed").is_file()
    assert (package / "__init__.py").is_file()


def test_all_packages_are_there() -> None:
    """One package a kind of plugin that is built in, and the engine."""
    names = ["colfw", "accelerators", "experiments", "layouts", "memory", "metrics", "observers", "workloads"]
    assert [package.name.removeprefix("colfw_") for package in PACKAGES] == names
