"""The example study as its user runs it: every stage, again from the cache, again from nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from colfw.profile import ActivationProfile
from colfw.report.schemas import SCHEMAS
from colfw.store.tables import read_parquet

if TYPE_CHECKING:
    from collections.abc import Callable

    Colfw = Callable[..., tuple[int, str, str]]

STUDY = Path(__file__).parents[2] / "examples" / "colfw-tiny" / "study.toml"
STAGES = {"profile", "place", "simulate", "score", "report"}


def outcome(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_run_goes_through_all_stages_and_leaves_a_whole_directory(colfw: Colfw) -> None:
    """Manifest, profiles, tables in both formats and the page are there, and every table keeps its schema."""
    code, out, err = colfw("run", STUDY, "--json")
    found = outcome(out)
    run = Path(found["path"])
    assert (code, found["status"], err) == (0, "finished", "")
    assert {task["stage"] for task in found["tasks"]} == STAGES
    names = SCHEMAS.keys() - {"memory_channels", "comparison"}  # a bus has no channels; nothing is compared
    assert {path.stem for path in (run / "tables").iterdir()} == names
    assert all(len(read_parquet(run / "tables" / f"{name}.parquet", SCHEMAS[name])) for name in names)
    assert (run / "report.html").read_text(encoding="utf-8").count("<h2>") >= 4
    profile = ActivationProfile.from_file(run / "profiles" / "tiny-denoiser-seed-0.safetensors")
    assert set(profile.statistics) == {"tiny-range"}
    low = profile.statistics["tiny-range"]["layers.0.mlp"]["low"]
    assert low.shape == (profile.provenance.iterations,)


def test_totals_add_up_and_hold_against_the_dense_run(colfw: Colfw) -> None:
    """Every total is the sum of its timings; a reduction is one minus cycles over dense cycles."""
    run = Path(outcome(colfw("run", STUDY, "--json")[1])["path"])
    timing = read_parquet(run / "tables" / "timing.parquet", SCHEMAS["timing"]).rows
    totals = read_parquet(run / "tables" / "totals.parquet", SCHEMAS["totals"]).rows
    dense = {row["machine"]: row["core_cycles"] for row in totals if row["mask"] == "dense"}
    for row in totals:
        mine = [t for t in timing if all(t[k] == row[k] for k in ("machine", "layout", "mask"))]
        assert row["core_cycles"] == sum(int(t["core_cycles"] or 0) for t in mine)
        baseline = dense[row["machine"]]
        assert isinstance(row["core_cycles"], int)
        assert isinstance(baseline, int)
        assert row["cycle_reduction"] == 1.0 - row["core_cycles"] / baseline


def test_quality_is_scored_with_the_mask_that_was_simulated(colfw: Colfw) -> None:
    """For every mask, the digest beside the score is the digest beside the simulated total."""
    run = Path(outcome(colfw("run", STUDY, "--json")[1])["path"])
    totals = read_parquet(run / "tables" / "totals.parquet", SCHEMAS["totals"]).rows
    scores = read_parquet(run / "tables" / "scores.parquet", SCHEMAS["scores"]).rows
    simulated = {row["mask"]: row["mask_digest"] for row in totals}
    assert {row["mask"]: row["mask_digest"] for row in scores}.items() <= simulated.items()
    assert len({row["mask_digest"] for row in scores}) == len(scores)


@pytest.mark.parametrize("more", [(), ("--fresh",), ("--fresh", "--workers", "2")])
def test_running_again_gives_the_same_bytes(more: tuple[str, ...], colfw: Colfw) -> None:
    """From the cache, from nothing, and in a process pool, every table file has the same hash."""
    first = outcome(colfw("run", STUDY, "--json")[1])
    again = outcome(colfw("run", STUDY, "--json", *more)[1])
    assert again["tables"] == first["tables"]
    expected = {"done"} if more else {"cached"}
    assert {task["status"] for task in again["tasks"]} == expected


def test_rerun_compares_byte_for_byte(colfw: Colfw) -> None:
    """A rerun needs the manifest alone; other tables than recorded are an error that names them."""
    run = Path(outcome(colfw("run", STUDY, "--json")[1])["path"])
    code, out, _ = colfw("rerun", run.name)
    assert code == 0
    assert f"the same, byte for byte, as those of {run.name}" in out

    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    manifest["tables"]["tables/totals.csv"] = "0" * 64
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    code, _, err = colfw("rerun", run.name, "--quiet")
    assert code == 7
    assert f"tables differ from those of {run.name}: tables/totals.csv" in err


def test_overrides_change_what_is_run(colfw: Colfw) -> None:
    """Options of the command line win over the file, and the manifest records them."""
    code, out, _ = colfw(
        "run", STUDY, "--json", "--iterations", 3, "--seed", 1, "--seed", 2, "--set", "metrics=[]"
    )
    run = Path(outcome(out)["path"])
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    profiles = read_parquet(run / "tables" / "profiles.parquet", SCHEMAS["profiles"]).rows
    assert code == 0
    assert manifest["overrides"] == ["metrics=[]", "iterations=3", "seeds=[1, 2]"]
    assert [(row["seed"], row["iterations"]) for row in profiles] == [(1, 3), (2, 3)]


def test_a_dry_run_estimates_and_leaves_nothing(colfw: Colfw, tmp_path: Path) -> None:
    """Stages, plugins with versions and the estimate are printed; no run and no result come to be."""
    code, out, _ = colfw("run", STUDY, "--dry-run")
    assert code == 0
    assert "time    unknown" in out
    assert "tiny-bus" in out
    assert "colfw-tiny 0.1.0" in out
    assert not (tmp_path / "runs").exists()
    assert not list(tmp_path.glob("cache/*/*"))
    colfw("run", STUDY, "--quiet")
    code, out, _ = colfw("run", STUDY, "--dry-run", "--fresh")
    assert "time    unknown" not in out


def test_refusals_come_all_at_once_and_before_anything_runs(colfw: Colfw, tmp_path: Path) -> None:
    """Each problem is one line with file, key, problem and what was probably meant."""
    study = tmp_path / "study.toml"
    study.write_text(
        STUDY.read_text(encoding="utf-8")
        .replace('"tiny-denoiser"', '"tiny-denoizer"')
        .replace("bytes_per_cycle", "bytes_per_cyle"),
        encoding="utf-8",
    )
    code, out, err = colfw("run")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "colfw: study.toml: workloads[0].name: unknown workload 'tiny-denoizer'"
        " (did you mean 'tiny-denoiser'?)",
        "colfw: study.toml: machines[0].memory.options.bytes_per_cyle: unknown key"
        " (did you mean 'bytes_per_cycle'?)",
    ]
    assert not (tmp_path / "runs").exists()


def test_the_diary_hears_of_every_stage(
    colfw: Colfw,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Listeners of plugins are told when stages start and finish."""
    monkeypatch.setenv("TINY_DIARY", str(tmp_path / "diary"))
    colfw("run", STUDY, "--quiet")
    lines = (tmp_path / "diary").read_text(encoding="utf-8").splitlines()
    assert {line.split(":")[0] for line in lines} == {
        f"{what} {stage}" for what in ("started", "finished") for stage in STAGES
    }


def test_config_show_spells_out_and_reads_back(colfw: Colfw, tmp_path: Path) -> None:
    """What `config show` prints is a study: shown again it is the same, presets and defaults resolved."""
    code, shown, _ = colfw("config", "show", STUDY)
    assert code == 0
    assert "bytes_per_cycle = 64" in shown
    assert "core_clock_mhz = 800" in shown
    (tmp_path / "shown.toml").write_text(shown, encoding="utf-8")
    assert colfw("config", "show", "shown.toml")[1] == shown
    assert colfw("config", "check", "shown.toml")[:2] == (
        0,
        "shown.toml: ok: 1 workload(s), 12 simulated case(s) each, 1 metric(s)\n",
    )
