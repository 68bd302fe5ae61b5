"""`colfw reproduce` and `colfw ablate`: both numbers, the bound, and an exit code that guards it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from colfw.cli import experiments
from colfw.cli.experiments import _reproductions
from colfw.cli.run import INTERRUPTED
from colfw.plugins import load_plugins
from colfw.testing.distributions import install

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Colfw = Callable[..., tuple[int, str, str]]

PLUGIN = """
    from attrs import evolve

    from colfw import hookimpl
    from colfw.comparison import Comparison
    from colfw.records import ExperimentSpec

    TWO_SITES = Comparison(table="table9", model="tiny", quantity="sites", unit="sites", machine="any",
                           published=(2.0, 2.0), printed_tolerance=0.0, ours=None, bound=0.0,
                           note="this run has no such case")

    class Near:
        published = (2.0, 2.0)

        def study(self):
            return {"workloads": ["tiny-denoiser"], "iterations": 3, "thresholds": [0.164],
                    "target_hot_ratios": [], "target_element_ratios": []}

        def comparisons(self, tables):
            ours = float(len(tables["sites"])) if "sites" in tables else None
            row = evolve(TWO_SITES, ours=ours, note="", published=self.published)
            lost = evolve(TWO_SITES, quantity="lost", published=None, bound=None, note="was never printed")
            span = evolve(TWO_SITES, quantity="range", published=(1.0, 3.0), ours=ours, note="", bound=0.0)
            return [row, lost, span]

        def figures(self, tables):
            return []

    class Off(Near):
        published = (5.0, 5.0)

    @hookimpl
    def colfw_experiments():
        for name, factory, group in (("near", "Near", "reproduction"), ("off", "Off", "reproduction"),
                                     ("knob", "Near", "ablation")):
            yield ExperimentSpec(name=name, summary=f"{name} by two sites", api_version=1, group=group,
                                 factory=f"fake_paper:{factory}")
"""


@pytest.fixture(autouse=True)
def fake_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with two reproductions and an ablation of its own, installed beside the others."""
    site = tmp_path / "site"
    site.mkdir()
    install(site, "fake-paper", PLUGIN)
    monkeypatch.syspath_prepend(site)


def test_both_numbers_are_printed_and_a_met_bound_is_success(colfw: Colfw) -> None:
    """Published, ours, the bound and the verdict; why there is no number where there is none."""
    code, out, _ = colfw("reproduce", "near", "-j", 1)
    assert code == 0
    [line] = [line for line in out.splitlines() if line.split()[:3] == ["table9", "tiny", "sites"]]
    assert line.split() == [
        "table9",
        "tiny",
        "sites",
        "any",
        "2",
        "±0",
        "2",
        "0",
        "0",
        "sites",
        "as",
        "printed",
    ]
    assert "[1] was never printed" in out
    assert "2 of 2 accepted bounds hold; 2 of 3 numbers agree as printed" in out
    assert "run     " in out


def test_all_is_every_reproduction_there_is() -> None:
    """`all`, as no name, stands for those of strangers too, each once."""
    registry = load_plugins()
    found = [one.name for one in _reproductions(registry, "all")]
    assert {"near", "off", "table3"} <= set(found)
    assert len(found) == len(set(found))


def test_a_broken_bound_is_an_error(colfw: Colfw) -> None:
    """The table says which, stderr says how many, and the exit code is not 0."""
    code, out, err = colfw("reproduce", "off", "-j", 1)
    assert code != 0
    assert "BROKEN" in out
    assert err.splitlines()[-1] == "colfw: colfw reproduce: 1 accepted bound(s) broken: table9 tiny sites"


def test_ctrl_c_ends_the_whole_series(colfw: Colfw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who interrupts one experiment does not want the next one."""
    monkeypatch.setattr(experiments, "finish", lambda *_: INTERRUPTED)
    code, _, _ = colfw("reproduce", "near", "near", "-j", 1)
    assert code == INTERRUPTED
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_rows_as_json(colfw: Colfw) -> None:
    """One document of rows with the keys that are promised; a range is two numbers, a lost number null."""
    code, out, err = colfw("reproduce", "near", "off", "--json", "-j", 1)
    rows = json.loads(out)
    assert code != 0
    assert "1 accepted bound(s) broken" in err
    assert len(rows) == 6
    assert {tuple(row) for row in rows} == {
        (
            *("table", "model", "quantity", "unit", "machine", "published", "printed_tolerance"),
            *("ours", "bound", "within", "note"),
        )
    }
    by_quantity = {row["quantity"]: row for row in rows[:3]}
    assert by_quantity["range"]["published"] == [1.0, 3.0]
    assert by_quantity["lost"]["published"] is None
    assert by_quantity["sites"] == {
        "table": "table9",
        "model": "tiny",
        "quantity": "sites",
        "unit": "sites",
        "machine": "any",
        "published": 2.0,
        "printed_tolerance": 0.0,
        "ours": 2.0,
        "bound": 0.0,
        "within": True,
        "note": "",
    }


def test_what_there_is_can_be_listed(colfw: Colfw) -> None:
    """`reproduce --list` and `ablate` without a name list what plugins declare, and run nothing."""
    code, out, _ = colfw("reproduce", "--list")
    assert code == 0
    assert "near by two sites" in out
    assert "knob by two sites" not in out
    code, out, _ = colfw("ablate")
    assert code == 0
    assert "knob by two sites" in out
    assert "near by two sites" not in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("reproduce", "naer"), "there is no reproduction 'naer' (did you mean 'near'?)"),
        (("reproduce", "knob"), "there is no reproduction 'knob'"),
        (("ablate", "nob"), "there is no ablation 'nob' (did you mean 'knob'?)"),
        (("reproduce", "near", "--set", "samples=0"), "--set samples=0: must be greater than 0, not 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_there_is_not_is_refused(arguments: tuple[str, ...], line: str, colfw: Colfw) -> None:
    """One line, with the nearest name, before anything runs."""
    code, out, err = colfw(*arguments)
    assert (code, out) == (2, "")
    assert line in err
    assert len(err.splitlines()) == 1


def test_an_override_changes_the_study_that_is_compared(colfw: Colfw) -> None:
    """--set reaches the study of an experiment, and the report keeps what was compared."""
    code, out, _ = colfw("reproduce", "near", "--set", "samples=2", "-j", 1)
    assert code == 0
    [run] = [line.split()[1] for line in out.splitlines() if line.startswith("run ")]
    shown = colfw("runs", "show", run.rpartition("/")[2], "--json")[1]
    assert json.loads(shown)["study"]["samples"] == 2


def test_an_ablation_runs_like_a_reproduction(colfw: Colfw) -> None:
    """What an ablation compares is printed, too."""
    code, out, _ = colfw("ablate", "knob", "-j", 1)
    assert code == 0
    assert "2 of 2 accepted bounds hold" in out
