"""A stranger's day: install colfw and a plugin into a fresh environment, use it by name, take it away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from colfw.vocabulary import Kind

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "colfw-tiny"
DRAM_EXAMPLE = ROOT / "examples" / "colfw-lpddr5"
KINDS = {str(kind) for kind in Kind}
"""The example has a plugin of each."""


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment that knows neither this checkout nor its settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("COLFW_", "PYTHON", "VIRTUAL_ENV"))}
    clean |= {"COLFW_CACHE": str(cwd / "cache"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        pytest.fail(f"{command} exits {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


@frozen
class Fresh:
    """A fresh virtual environment with colfw's wheel in it, and a folder to work in."""

    bin: Path
    folder: Path

    def pip(self, *arguments: str | Path) -> None:
        run(self.bin / "python", "-m", "pip", *arguments, cwd=self.folder)

    def colfw(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run(self.bin / "colfw", *arguments, cwd=self.folder, check=check)

    def plugins(self) -> list[dict[str, Any]]:
        """Those of strangers."""
        listed: list[dict[str, Any]] = json.loads(self.colfw("plugins", "list", "--json").stdout)["plugins"]
        return [plugin for plugin in listed if plugin["distribution"] != "colfw"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """colfw as its users get it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    run(*build, cwd=folder)
    [built] = folder.glob("colfw-*.whl")
    return built


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Dependencies are lent by the environment that runs the tests; everything of colfw's is left out."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    scheme = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    site = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    lent = folder / "lent"
    lent.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "colfw" not in entry.name:
            (lent / entry.name).symlink_to(entry)
    (site / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")
    environment = Fresh(folder / "venv" / "bin", folder)
    environment.pip("install", "--quiet", "--no-deps", "--no-index", wheel)
    return environment


def test_the_wheel_holds_what_users_need_and_no_golden_data(wheel: Path) -> None:
    """Types and the report's template travel along; 16 MB of golden data do not."""
    names = zipfile.ZipFile(wheel).namelist()
    rooms = "workloads layouts memory metrics accelerators observers experiments"
    packages = ["colfw", *(f"colfw_{room}" for room in rooms.split())]
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    assert "colfw/report/template.html.jinja" in names
    assert not [name for name in names if "golden" in name or name.endswith(".npz")]


def test_a_strangers_plugin_is_installed_used_by_name_and_taken_away(fresh: Fresh) -> None:
    """pip install, list with its owner, run a study through every stage, pip uninstall, refused clearly."""
    where = run(fresh.bin / "python", "-c", "import colfw; print(colfw.__file__)", cwd=fresh.folder)
    assert Path(where.stdout.strip()).is_relative_to(fresh.folder / "venv")
    assert fresh.plugins() == []

    source = shutil.copytree(EXAMPLE, fresh.folder / "colfw-tiny")
    fresh.pip("install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", source)
    owners = {(p["kind"], p["distribution"], p["version"]) for p in fresh.plugins()}
    assert owners == {(kind, "colfw-tiny", "0.1.0") for kind in KINDS}

    study = source / "study.toml"
    outcome = json.loads(fresh.colfw("run", study, "--json").stdout)
    assert outcome["status"] == "finished"
    assert {task["stage"] for task in outcome["tasks"]} == {
        "profile",
        "place",
        "simulate",
        "score",
        "report",
    }
    assert {task["status"] for task in outcome["tasks"]} == {"done"}
    assert (Path(outcome["path"]) / "report.html").stat().st_size > 0

    fresh.pip("uninstall", "--quiet", "--yes", "colfw-tiny")
    assert fresh.plugins() == []
    refused = fresh.colfw("run", study, check=False)
    assert refused.returncode == 2
    assert f"{study}: workloads[0].name: unknown workload 'tiny-denoiser' (" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_strangers_dram_is_data_that_colfw_simulates(fresh: Fresh) -> None:
    """pip install; listed as not validated, shown with its timing, replayed by name; pip uninstall."""
    source = shutil.copytree(DRAM_EXAMPLE, fresh.folder / "colfw-lpddr5")
    fresh.pip("install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", source)

    listed = json.loads(fresh.colfw("dram", "specs", "--json").stdout)
    [entry] = [entry for entry in listed if entry["memory"] == "lpddr5-6400"]
    assert entry["owner"] == "colfw-lpddr5 0.1.0"
    assert entry["validated"] is None
    assert entry["problem"] is None
    assert "not validated" in fresh.colfw("dram", "specs").stdout

    shown = json.loads(fresh.colfw("dram", "show", "lpddr5-6400", "--json").stdout)
    assert shown["timings"]["nCL"] == {"clocks": 17, "ns": 21.25}
    assert shown["peak_gb_per_s"] == 12.8

    trace = fresh.folder / "trace.txt"
    trace.write_text("".join(f"LD {32 * burst}\n" for burst in range(64)), encoding="utf-8")
    total = json.loads(
        fresh.colfw("dram", "run", trace, "--spec", "lpddr5-6400", "--drain", "--json").stdout
    )["total"]
    assert (total["reads_served"], total["row_misses"], total["commands"]["RD"]) == (64, 4, 64)

    fresh.pip("uninstall", "--quiet", "--yes", "colfw-lpddr5")
    refused = fresh.colfw("dram", "show", "lpddr5-6400", check=False)
    assert refused.returncode == 3
    assert "unknown memory 'lpddr5-6400'" in refused.stderr
