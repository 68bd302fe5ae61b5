"""The command line: what a user can act on is one line and an exit code, a bug keeps its traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colfw.cli import config, doctor, main
from colfw.cli.common import duration, size
from colfw.cli.display import Bars
from colfw.cli.doctor import _extras
from colfw.engine.conductor import Outcome, TaskResult
from colfw.engine.tasks import Task
from colfw.errors import ColfwError
from colfw.testing.distributions import install

if TYPE_CHECKING:
    from collections.abc import Callable

    Colfw = Callable[..., tuple[int, str, str]]

STUDY = Path(__file__).parents[3] / "examples" / "colfw-tiny" / "study.toml"


@pytest.fixture
def broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A distribution that cannot be imported, installed beside the others."""
    site = tmp_path / "site"
    site.mkdir()
    install(site, "fake-broken", "import no_such_module_anywhere", version="0.3")
    monkeypatch.syspath_prepend(site)
    return "fake-broken 0.3 is not loaded: ModuleNotFoundError: No module named 'no_such_module_anywhere'"


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("run", "--no-plugin", "colfw"), 2, "there is no study.toml here, and no workload ships weights"),
        (("run", "--set", "iteration=3"), 2, "iteration=3: unknown key (did you mean 'iterations'?)"),
        (("run", "none.toml"), 2, "none.toml: no such file"),
        (("run", STUDY, "--set", "iteration=3"), 2, "iteration=3: unknown key (did you mean 'iterations'?)"),
        (("run", STUDY, "--set", "iterations"), 2, "--set iterations: is no override (write key.path=value"),
        (("run", STUDY, "--iterations", 0), 2, "--set iterations=0: must be greater than 0, not 0"),
        (("config", "check", "none.toml"), 2, "none.toml: no such file"),
        (("runs", "show"), 5, "runs: there is no run yet"),
        (("rerun", "2026"), 5, "runs: there is no run yet"),
        (("glossary", "core_cycle"), 1, "no table or column 'core_cycle' (did you mean 'core_cycles'?)"),
        (("plugins", "show", "tiny-buss"), 3, "unknown plugin 'tiny-buss' (did you mean 'tiny-bus'?; see"),
        (("run", STUDY, "--workers", "0"), 2, "Must be >= 1"),
        (("plugins", "lst"), 2, "lst"),
        (("plugins", "show", "tiny-buss", "--kind", "memory"), 3, "'tiny-buss' (did you mean 'tiny-bus'?)"),
    ],
    ids=lambda value: " ".join(str(v) for v in value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_a_refusal_is_one_line_on_stderr(
    arguments: tuple[object, ...], code: int, line: str, colfw: Colfw
) -> None:
    """What, where and what next; nothing on stdout, no traceback, and an exit code of its own."""
    found, out, err = colfw(*arguments)
    assert (found, out) == (code, "")
    [only] = err.splitlines()
    assert only.startswith("colfw: ")
    assert line in only


def test_a_bug_keeps_its_traceback(colfw: Colfw, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no user can act on is not dressed up as advice."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(doctor, "_findings", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["doctor"])


def test_a_traceback_can_be_asked_for(colfw: Colfw, monkeypatch: pytest.MonkeyPatch) -> None:
    """COLFW_TRACEBACK=1 shows where a refusal comes from."""
    monkeypatch.setenv("COLFW_TRACEBACK", "1")
    with pytest.raises(ColfwError):
        main(["run", "none.toml"])


# --- plugins --------------------------------------------------------------------------------------


def test_a_broken_plugin_is_shouted_once_and_listed(colfw: Colfw, broken_plugin: str) -> None:
    """Once on stderr, in the list with its reason, and the exit code stays 0."""
    code, out, err = colfw("plugins", "list")
    assert code == 0
    assert err == f"colfw: warning: plugin {broken_plugin}\n"
    assert "fake_broken" in out
    assert "failed" in out
    assert "tiny-bus" in out


def test_strict_plugins_make_it_an_error(colfw: Colfw, broken_plugin: str) -> None:
    """--strict-plugins refuses to start."""
    code, out, err = colfw("run", STUDY, "--strict-plugins")
    assert (code, out) == (3, "")
    assert broken_plugin in err


def test_a_blocked_plugin_is_named_when_it_is_missed(colfw: Colfw) -> None:
    """A study that needs what --no-plugin leaves out is told so."""
    code, _, err = colfw("run", STUDY, "--no-plugin", "colfw-tiny")
    assert code == 2
    assert "it may belong to a plugin that is not loaded: colfw-tiny 0.1.0 (blocked by --no-plugin)" in err


def test_the_list_as_json_and_by_kind(colfw: Colfw) -> None:
    """--json is one document; --kind leaves the other kinds out."""
    code, out, _ = colfw("plugins", "list", "--json", "--kind", "memory")
    assert code == 0
    listed = json.loads(out)["plugins"]
    assert {entry["kind"] for entry in listed} == {"memory"}
    assert [entry for entry in listed if entry["distribution"] == "colfw-tiny"] == [
        {
            "kind": "memory",
            "name": "tiny-bus",
            "summary": "A bus of fixed width without rows or refresh",
            "distribution": "colfw-tiny",
            "version": "0.1.0",
            "entry_point": "tiny",
        }
    ]


def test_show_tells_options_defaults_and_presets(colfw: Colfw) -> None:
    """All that a study may write about a plugin is shown, unit in the name."""
    out = colfw("plugins", "show", "tiny-bus")[1]
    assert "bytes_per_cycle: int = 32" in out
    assert "wide: bytes_per_cycle = 64" in out


def test_freeze_prints_pins(colfw: Colfw) -> None:
    """Distributions of active plugins, pinned, colfw first."""
    lines = colfw("plugins", "freeze")[1].splitlines()
    assert lines[0].startswith("colfw==")
    assert "colfw-tiny==0.1.0" in lines


# --- looking around -------------------------------------------------------------------------------


def test_runs_are_listed_and_shown(colfw: Colfw, tmp_path: Path) -> None:
    """Newest first, with status; a damaged manifest is a run of unknown status, not an error."""
    assert colfw("runs", "list")[1] == "No run in runs.\n"
    colfw("run", STUDY, "--quiet", "--set", "metrics=[]")
    [run] = (tmp_path / "runs").iterdir()
    assert run.name in colfw("runs", "list")[1]
    shown = colfw("runs", "show", run.name[:10])[1]
    assert "status    finished" in shown
    assert "tiny-bus (colfw-tiny 0.1.0)" in shown
    assert json.loads(colfw("runs", "show", "--json")[1])["status"] == "finished"
    (run / "manifest.json").write_text("{", encoding="utf-8")
    listed = json.loads(colfw("runs", "list", "--json")[1])
    assert [(entry["run"], entry["status"]) for entry in listed] == [(run.name, "unknown")]
    assert colfw("runs", "show")[0] == 5


def test_the_glossary_explains_a_column_wherever_it_is(colfw: Colfw) -> None:
    """A column's name finds it in every table that has it."""
    out = colfw("glossary", "core_cycles")[1]
    assert "timing:" in out
    assert "totals:" in out
    assert "core cycles" in out
    assert "jaccard" not in out


def test_the_doctor_looks_at_everything(colfw: Colfw) -> None:
    """Each subject has a verdict; without a problem the exit code is 0."""
    code, out, _ = colfw("doctor", "--json")
    findings = json.loads(out)
    assert {f["subject"] for f in findings} >= {
        "colfw",
        "torch",
        "diffusers",
        "numba",
        "plugins",
        "cache",
        "runs",
    }
    assert code == int(any(f["verdict"] == "problem" for f in findings))


def test_the_doctor_names_extras_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra is there if all its packages are; what developers need is no one else's concern."""
    requires = [
        "numpy>=2.0",
        'numpy>=2.0; extra == "here"',
        'no-such-package>=1; extra == "absent"',
        "pytest>=8; extra == 'dev'",
    ]
    monkeypatch.setattr("colfw.cli.doctor.metadata.requires", lambda _: requires)
    found = {finding.subject: finding for finding in _extras()}
    assert {subject: finding.verdict for subject, finding in found.items()} == {
        "extra here": "ok",
        "extra absent": "note",
    }
    assert found["extra absent"].found == "without no-such-package"
    assert "colfw[absent]" in found["extra absent"].advice


def test_the_doctor_finds_a_broken_plugin(colfw: Colfw, broken_plugin: str) -> None:
    """What is broken is a problem with advice, and the exit code says so."""
    code, out, _ = colfw("doctor", "--json")
    [problem] = [f for f in json.loads(out) if f["verdict"] == "problem"]
    assert code == 1
    assert broken_plugin in problem["found"]
    assert "--no-plugin" in problem["advice"]


# --- how a run shows itself -----------------------------------------------------------------------


def test_quiet_is_quiet_and_lines_come_otherwise(colfw: Colfw) -> None:
    """--quiet prints nothing; in a pipe each task that ends is a line on stderr."""
    assert colfw("run", STUDY, "--quiet") == (0, "", "")
    _, out, err = colfw("run", STUDY, "--fresh")
    assert "[1/30] profile tiny-denoiser seed 0: done in" in err
    assert "cycle reduction %" in out
    assert "30 result(s) from the cache" in colfw("run", STUDY)[2]


def test_bars_leave_out_what_is_cached_and_survive_failures() -> None:
    """A bar's total is the work that was really to be done; closing ends the display."""
    tasks = [Task(step="profile", label=f"t{i}", payload={"i": i}, work=4.0) for i in range(3)]
    bars = Bars()
    bars.planned(tasks)
    try:
        bars.started(tasks[0])
        bars.progressed(tasks[0].digest, 2.0)
        bars.ended(TaskResult(task=tasks[0], outcome=Outcome.DONE))
        bars.ended(TaskResult(task=tasks[1], outcome=Outcome.CACHED))
        bars.started(tasks[2])
        bars.ended(TaskResult(task=tasks[2], outcome=Outcome.FAILED, error="broken"))
    finally:
        bars.close()
    [bar] = bars.progress.tasks
    assert (bar.completed, bar.total) == (4.0, 4.0)
    assert bars.progress.live.is_started is False


def test_brackets_in_a_label_are_text(colfw: Colfw) -> None:
    """What sets a plugin apart that a study chooses twice is shown, not taken for markup."""
    twice = 'workloads=["tiny-denoiser", {name="tiny-denoiser", options={rows=4}}]'
    code, out, _ = colfw("run", STUDY, "--set", twice, "--set", "metrics=[]")
    assert code == 0
    assert "tiny-denoiser[rows=4]" in out


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "unknown"), (0.0123, "0.012 s"), (200, "3 min 20 s"), (7260, "2 h 1 min")]
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    """Seconds, minutes and hours, each with its unit."""
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (1500, "1.5 kB"), (2.5e13, "25 TB")])
def test_sizes_read_well(value: float, text: str) -> None:
    """Decimal units, as disks are sold."""
    assert size(value) == text


@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "list"]])
def test_what_must_answer_at_once_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help and the list of plugins start neither torch nor numpy nor anything of their weight."""
    probe = (
        "import sys\nfrom colfw.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    heavy = {
        "torch",
        "numpy",
        "numba",
        "diffusers",
        "pyarrow",
        "cattrs",
        "jinja2",
        "scipy",
        "altair",
        "vl_convert",
    }
    assert "colfw.cli" in done.stderr.split()
    assert not heavy & set(done.stderr.split())


def test_without_a_study_or_a_tour_shipped_weights_are_profiled(
    colfw: Colfw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no plugin offers a tour, every workload that ships weights of its own gets a first look."""
    monkeypatch.setattr(config, "experiments_of", lambda *_: [])
    code, out, _ = colfw("run", "--iterations", 3)
    assert code == 0
    assert "Activations were measured on real weights." in out
    code, out, _ = colfw("config", "show")
    assert code == 0
    assert 'kind = "miniature"' in out
    assert 'name = "digits-dit"' in out


def test_without_a_study_there_is_a_tour(colfw: Colfw) -> None:
    """`colfw run` in an empty folder takes the tour that a plugin offers; a dry run runs nothing of it."""
    code, out, _ = colfw("run", "--dry-run")
    assert code == 0
    assert "tour" in out
    code, out, _ = colfw("config", "show")
    assert code == 0
    assert 'name = "tour"' in out
    assert 'name = "digits-dit"' in out
    assert 'name = "dit-xl-2"' in out
