"""Documentation that cannot rot: what it shows is executed, and what is made from the code is up to date."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from colfw.study import Study, study_from

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MADE_BY_HAND = [page for page in PAGES if "Made from the code" not in page.read_text(encoding="utf-8")]


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def with_blocks(language: str) -> list[Any]:
    found = [page for page in MADE_BY_HAND if blocks(page, language)]
    return [pytest.param(page, id=page.name) for page in found]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("colfw_docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["tables.md", "command-line.md", "published.md"])
def test_pages_made_from_the_code_are_up_to_date(name: str, generator: ModuleType) -> None:
    """The committed page is what the code says now; `make docs` makes it so."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == generator.PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_in_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The blocks of a page, in order, in one namespace and in an empty folder, run without an error."""
    monkeypatch.chdir(tmp_path)
    code = blocks(page, "python")
    names: dict[str, Any] = {"__name__": "page"}
    monkeypatch.setitem(sys.modules, "page", type(sys)("page"))
    for text in code:
        exec(compile(text, str(page), "exec"), names)  # noqa: S102
    assert len(names) > len(code)


@pytest.mark.parametrize("page", with_blocks("toml"))
def test_studies_in_a_page_are_valid(page: Path) -> None:
    """Every TOML block is a study without a mistake in it."""
    studies = [study_from(tomllib.loads(text), where=page.name) for text in blocks(page, "toml")]
    assert all(isinstance(study, Study) for study in studies)


@pytest.mark.parametrize("page", with_blocks("console"))
def test_commands_in_a_page_exist(page: Path, generator: ModuleType) -> None:
    """A page shows verbs and targets that there are."""
    verbs = {" ".join(verb) for verb in generator.verbs(generator.app, ("colfw",))}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    lines = [line for text in blocks(page, "console") for line in text.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    for line in lines:
        words = line.removeprefix("$ ").split()
        if words[0] == "make":
            assert set(words[1:]) <= targets, line
        if words[0] == "colfw":
            assert " ".join(words[:2]) in verbs, line
            takes_arguments = not any(verb.startswith(f"colfw {words[1]} ") for verb in verbs)
            assert " ".join(words[:3]) in verbs or not words[2].islower() or takes_arguments, line


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in MADE_BY_HAND])
def test_files_that_a_page_names_exist(page: Path) -> None:
    """A path in a page that begins in a folder of the repository leads somewhere."""
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:core|docs|examples|plugins|tests|benchmarks)/[\w./-]*[\w/])`", text))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
