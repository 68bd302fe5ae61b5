from __future__ import annotations

import copy
import itertools
import json
import string
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colfw.errors import InvariantError, StudyError
from colfw.study import (
    DEFAULT_GRID,
    DEFAULT_THRESHOLDS,
    FINE_GRID,
    LayoutChoice,
    MachineChoice,
    Output,
    PluginChoice,
    ProfileSettings,
    Source,
    Study,
    WorkloadChoice,
    read_study,
    study_data,
    study_from,
    study_toml,
)
from colfw.testing.study_strategies import studies, thresholds
from colfw.vocabulary import MaskKind, OverTime, Precision, Reuse, SourceKind

if TYPE_CHECKING:
    from colfw.keypaths import KeyPath

unhurried = settings(deadline=None)
"""The first example pays for imports, and a busy machine for large studies: neither is a failure."""

EVERYTHING = """\
name = "first-look"
workloads = ["tiny", { name = "dit-xl-2", preset = "official", options = { rows = "official" } }]
iterations = 20
samples = 4
seeds = [0, 7]
thresholds = [0.10, 0.2]
target_hot_ratios = [0.164]
target_element_ratios = [0.2]
metrics = ["psnr", { name = "some-metrics/fid", options = { weights = "/weights/inception.pt" } }]
mask_reuse = "stale"
mask_over_time = "static"
device = "cuda:1"
precision = "bfloat16"

[source]
kind = "checkpoint"
checkpoints = { tiny = "/weights/tiny.pt", dit-xl-2 = "/weights/DiT.pt" }

[profile]
grid = [0.05, 0.2, 1]
observers = ["bit-width"]

[[layouts]]
name = "row-major"
masks = ["dense", "target-hot-ratio"]

[[layouts]]
name = "my-layouts/striped"
preset = "wide"
options = { stripe_columns = 64 }

[[machines]]
name = "reference"
accelerator = { name = "ffn-reuse", preset = "reference", options = {} }
memory = "gddr6-paper"

[output]
directory = "results"
samples = true
"""

TYPED = Study(
    name="first-look",
    workloads=(
        WorkloadChoice(name="tiny"),
        WorkloadChoice(name="dit-xl-2", preset="official", options={"rows": "official"}),
    ),
    iterations=20,
    samples=4,
    seeds=(0, 7),
    thresholds=(0.10, 0.2),
    target_hot_ratios=(0.164,),
    target_element_ratios=(0.2,),
    metrics=(
        PluginChoice(name="psnr"),
        PluginChoice(name="some-metrics/fid", options={"weights": "/weights/inception.pt"}),
    ),
    mask_reuse=Reuse.STALE,
    mask_over_time=OverTime.STATIC,
    device="cuda:1",
    precision=Precision.BFLOAT16,
    source=Source(
        kind=SourceKind.CHECKPOINT,
        checkpoints={"tiny": Path("/weights/tiny.pt"), "dit-xl-2": Path("/weights/DiT.pt")},
    ),
    profile=ProfileSettings(grid=(0.05, 0.2, 1.0), observers=("bit-width",)),
    layouts=(
        LayoutChoice(name="row-major", masks=(MaskKind.DENSE, MaskKind.PER_LAYER)),
        LayoutChoice(name="my-layouts/striped", preset="wide", options={"stripe_columns": 64}),
    ),
    machines=(
        MachineChoice(
            name="reference",
            accelerator=PluginChoice(name="ffn-reuse", preset="reference"),
            memory=PluginChoice(name="gddr6-paper"),
        ),
    ),
    output=Output(directory=Path("results"), samples=True),
)


def _file(folder: Path, content: str | bytes) -> Path:
    path = folder / "study.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _lines(data: Any, *overrides: str) -> list[str]:
    with pytest.raises(StudyError) as refused:
        study_from(data, where="study.toml", overrides=overrides)
    return refused.value.problem.splitlines()


# --- what a study says ----------------------------------------------------------------------------


def test_everything(tmp_path: Path) -> None:
    """Each key of the file has its typed counterpart."""
    assert read_study(_file(tmp_path, EVERYTHING)) == TYPED


def test_defaults() -> None:
    """A workload is all that a study must name."""
    study = study_from({"workloads": ["tiny"]}, where="study.toml")
    assert study == Study(workloads=(WorkloadChoice(name="tiny"),))
    assert study_data(study) == {
        "name": "study",
        "workloads": [{"name": "tiny", "preset": None, "options": {}, "source": None}],
        "iterations": None,
        "samples": 1,
        "calibration_samples": None,
        "seeds": [0],
        "thresholds": [0.10, 0.15, 0.164, 0.17, 0.20],
        "target_hot_ratios": [0.10, 0.15, 0.164, 0.17, 0.20],
        "target_element_ratios": [0.10, 0.15, 0.164, 0.17, 0.20],
        "metrics": [],
        "mask_reuse": "zero",
        "mask_over_time": "per-iteration",
        "device": "cpu",
        "precision": "float32",
        "source": {"kind": "random", "checkpoints": {}},
        "profile": {"grid": list(DEFAULT_GRID), "observers": []},
        "layouts": [],
        "machines": [],
        "experiments": [],
        "output": {"directory": None, "samples": False, "shown_samples": 8},
    }


def test_the_default_grid_is_a_geometric_ladder() -> None:
    """Five steps a decade from 0.01 to 10, each rounded by less than two percent."""
    assert pytest.approx([10 ** (step / 5 - 2) for step in range(16)], rel=0.02) == DEFAULT_GRID
    assert (DEFAULT_GRID[0], DEFAULT_GRID[-1]) == (0.01, 10.0)


def test_the_fine_grid_refines_the_default_one() -> None:
    """It has every default threshold, and steps of at most 5 % over the range that studies sweep."""
    assert {*DEFAULT_GRID, *DEFAULT_THRESHOLDS} <= {*FINE_GRID}
    assert list(FINE_GRID) == sorted(FINE_GRID)
    swept = [tau for tau in FINE_GRID if DEFAULT_THRESHOLDS[0] <= tau <= DEFAULT_THRESHOLDS[-1]]
    assert max(after / before for before, after in itertools.pairwise(swept)) <= 1.05 + 1e-9


def test_the_threshold_grid_is_a_sorted_union() -> None:
    """Elements are counted at the study's thresholds and at the profile's, at each once."""
    assert TYPED.threshold_grid == (0.05, 0.1, 0.2, 1.0)
    plain = Study(workloads=(WorkloadChoice(name="tiny"),))
    assert plain.threshold_grid == tuple(sorted({*DEFAULT_GRID, *DEFAULT_THRESHOLDS}))


def test_a_workload_may_have_a_source_of_its_own() -> None:
    """Checkpoints are read as soon as one workload comes from a checkpoint."""
    data = {
        "workloads": ["tiny", {"name": "dit-xl-2", "source": "checkpoint"}],
        "source": {"kind": "miniature", "checkpoints": {"dit-xl-2": "DiT.pt"}},
    }
    study = study_from(data, where="study.toml")
    assert study.workloads[1].source is SourceKind.CHECKPOINT
    assert study.source.kind is SourceKind.MINIATURE


def test_the_data_of_a_study_is_left_alone() -> None:
    """Overrides change a copy."""
    data = {"workloads": ["tiny"], "seeds": [0]}
    before = copy.deepcopy(data)
    assert study_from(data, where="study.toml", overrides=["seeds[0]=1"]).seeds == (1,)
    assert data == before


def test_start_up_needs_no_heavy_import() -> None:
    """A study's types can be imported without numpy, torch, cattrs or hypothesis."""
    heavy = "{'numpy', 'torch', 'cattrs', 'tomli_w', 'hypothesis'}"
    code = f"import sys, colfw.study; print(sorted({heavy} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


# --- what is refused ------------------------------------------------------------------------------

LAYOUT = {"name": "row-major"}
MACHINE = {"name": "reference", "accelerator": "ffn-reuse", "memory": "gddr6-paper"}
NAME_HINT = "(lower-case words joined by '-' or '.')"
PLUGIN_HINT = "(lower-case words joined by '-' or '.', or distribution/name)"
BOTH_HINT = "(give both to simulate, or neither to profile and score only)"
ONCE_HINT = "(each may be listed once)"
SHARE_HINT = "(a share, not a percentage: did you mean 0.164?)"
CHECKPOINT_HINT = '(set source.kind = "checkpoint", or leave them out)'
KINDS_HINT = "(known: checkpoint, miniature, published, random)"
KEYS_HINT = (
    "(known: calibration_samples, device, experiments, iterations, layouts, machines, mask_over_time,"
    " mask_reuse, metrics, name, output, precision, profile, samples, seeds, source, target_element_ratios,"
    " target_hot_ratios, thresholds, workloads)"
)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"name": "First look"}, f'name: "First look" is no name {NAME_HINT}'),
        ({"name": 3}, "name: must be text, not 3"),
        # Workloads.
        ({"workloads": []}, "workloads: must list at least one"),
        ({"workloads": "tiny"}, 'workloads: must be a list, not "tiny"'),
        ({"workloads": [3]}, "workloads[0]: must be text or a table, not 3"),
        ({"workloads": ["Tiny"]}, f'workloads[0]: "Tiny" is no plugin name {PLUGIN_HINT}'),
        ({"workloads": ["a b/tiny"]}, f'workloads[0]: "a b/tiny" is no plugin name {PLUGIN_HINT}'),
        ({"workloads": ["/tiny"]}, f'workloads[0]: "/tiny" is no plugin name {PLUGIN_HINT}'),
        ({"workloads": ["x/"]}, f'workloads[0]: "x/" is no plugin name {PLUGIN_HINT}'),
        ({"workloads": [{"name": "Tiny"}]}, f'workloads[0].name: "Tiny" is no plugin name {PLUGIN_HINT}'),
        ({"workloads": [{"nme": "tiny"}]}, "workloads[0].nme: unknown key (did you mean 'name'?)"),
        ({"workloads": [{"preset": "a"}]}, "workloads[0].name: missing"),
        (
            {"workloads": [{"name": "tiny", "preset": "A"}]},
            f'workloads[0].preset: "A" is no name {NAME_HINT}',
        ),
        (
            {"workloads": [{"name": "tiny", "source": "publishd"}]},
            "workloads[0].source: unknown value \"publishd\" (did you mean 'published'?)",
        ),
        (
            {"workloads": ["tiny", "dit-xl-2", {"name": "tiny"}]},
            f"workloads[2]: the same as workloads[0] {ONCE_HINT}",
        ),
        # How much is run.
        ({"iterations": "50"}, 'iterations: must be a whole number, not "50"'),
        ({"iterations": 0}, "iterations: must be greater than 0, not 0"),
        ({"iterations": 5.0}, "iterations: must be a whole number, not 5.0"),
        ({"samples": 0}, "samples: must be greater than 0, not 0"),
        ({"samples": True}, "samples: must be a whole number, not true"),
        ({"seeds": []}, "seeds: must list at least one"),
        ({"seeds": 0}, "seeds: must be a list, not 0"),
        ({"seeds": [-1]}, "seeds[0]: must be 0 or greater, not -1"),
        ({"seeds": [2**63]}, "seeds[0]: must fit in 64 bits"),
        ({"seeds": [0, 1, 0]}, f"seeds[2]: the same as seeds[0] {ONCE_HINT}"),
        # Thresholds and shares.
        ({"thresholds": [-0.1]}, "thresholds[0]: must be 0 or greater, not -0.1"),
        ({"thresholds": [float("nan")]}, "thresholds[0]: must be a finite number, not nan"),
        ({"thresholds": [float("inf")]}, "thresholds[0]: must be a finite number, not inf"),
        ({"thresholds": [0.2, 0.1]}, "thresholds[1]: must be greater than the 0.2 before it, not 0.1"),
        ({"thresholds": [0.1, 0.1]}, "thresholds[1]: must be greater than the 0.1 before it, not 0.1"),
        (
            {"target_hot_ratios": [0.1, 16.4]},
            f"target_hot_ratios[1]: must be between 0 and 1, not 16.4 {SHARE_HINT}",
        ),
        (
            {"target_hot_ratios": [0.1, 0.1]},
            f"target_hot_ratios[1]: the same as target_hot_ratios[0] {ONCE_HINT}",
        ),
        (
            {"target_element_ratios": [16.4]},
            f"target_element_ratios[0]: must be between 0 and 1, not 16.4 {SHARE_HINT}",
        ),
        # Metrics and masks.
        ({"metrics": ["psnr", "psnr"]}, f"metrics[1]: the same as metrics[0] {ONCE_HINT}"),
        ({"metrics": ["PSNR"]}, f'metrics[0]: "PSNR" is no plugin name {PLUGIN_HINT}'),
        ({"mask_reuse": "stail"}, "mask_reuse: unknown value \"stail\" (did you mean 'stale'?)"),
        # Where activations come from.
        ({"source": "random"}, 'source: must be a table, not "random"'),
        (
            {"source": {"kind": "chekpoint"}},
            "source.kind: unknown value \"chekpoint\" (did you mean 'checkpoint'?)",
        ),
        (
            {"source": {"kind": "miniature", "checkpoints": {"tiny": "a.pt"}}},
            f"source.checkpoints: would not be read: activations are miniature {CHECKPOINT_HINT}",
        ),
        (
            {"source": {"kind": "checkpoint", "checkpoints": {"sd-1.4": 3}}},
            'source.checkpoints."sd-1.4": must be text, not 3',
        ),
        (
            {"source": {"kind": "checkpoint", "checkpoints": {"tiny": ""}}},
            'source.checkpoints.tiny: "" is no path',
        ),
        # What is profiled.
        ({"profile": {"grid": [1, 0.5]}}, "profile.grid[1]: must be greater than the 1.0 before it, not 0.5"),
        ({"profile": {"grid": [-1]}}, "profile.grid[0]: must be 0 or greater, not -1.0"),
        ({"profile": {"observers": ["A"]}}, f'profile.observers[0]: "A" is no plugin name {PLUGIN_HINT}'),
        (
            {"profile": {"observers": ["a", "a"]}},
            f"profile.observers[1]: the same as observers[0] {ONCE_HINT}",
        ),
        # Layouts and machines.
        ({"layouts": [LAYOUT]}, f"machines: missing, but layouts are given {BOTH_HINT}"),
        ({"machines": [MACHINE]}, f"layouts: missing, but machines are given {BOTH_HINT}"),
        (
            {"layouts": [LAYOUT, LAYOUT], "machines": [MACHINE]},
            f"layouts[1]: the same as layouts[0] {ONCE_HINT}",
        ),
        (
            {"layouts": [{**LAYOUT, "masks": []}], "machines": [MACHINE]},
            "layouts[0].masks: must list at least one",
        ),
        (
            {"layouts": [{**LAYOUT, "masks": ["dens"]}], "machines": [MACHINE]},
            "layouts[0].masks[0]: unknown value \"dens\" (did you mean 'dense'?)",
        ),
        (
            {"layouts": [{**LAYOUT, "masks": ["dense", "dense"]}], "machines": [MACHINE]},
            f"layouts[0].masks[1]: the same as masks[0] {ONCE_HINT}",
        ),
        ({"layouts": [{}], "machines": [MACHINE]}, "layouts[0].name: missing"),
        (
            {"layouts": [LAYOUT], "machines": [MACHINE, {**MACHINE, "memory": "hbm2"}]},
            "machines[1].name: machines[0] has this name already",
        ),
        (
            {"layouts": [LAYOUT], "machines": [{**MACHINE, "name": "x/y"}]},
            f'machines[0].name: "x/y" is no name {NAME_HINT}',
        ),
        (
            {"layouts": [LAYOUT], "machines": [{**MACHINE, "memory": {"nme": "hbm2"}}]},
            "machines[0].memory.nme: unknown key (did you mean 'name'?)",
        ),
        (
            {"layouts": [LAYOUT], "machines": [{"name": "a", "memory": "hbm2"}]},
            "machines[0].accelerator: missing",
        ),
        (
            {
                "layouts": [LAYOUT],
                "machines": [{**MACHINE, "memory": {"name": "hbm2", "options": {"a": None}}}],
            },
            "machines[0].memory.options.a: must be text, a number, true, false, a list or a table, not null",
        ),
        # Output, and keys that do not exist.
        ({"output": {"directory": ""}}, 'output.directory: "" is no path'),
        ({"output": {"samples": 1}}, "output.samples: must be true or false, not 1"),
        ({"output": {"sampels": True}}, "output.sampels: unknown key (did you mean 'samples'?)"),
        ({"workload": ["dit"]}, "workload: unknown key (did you mean 'workloads'?)"),
        (
            {"device": "the GPU"},
            'device: "the GPU" is no device (cpu, cuda or cuda:1)',
        ),
        (
            {"zzz": 1},
            f"zzz: unknown key {KEYS_HINT}",
        ),
    ],
)
def test_refused(change: dict[str, Any], line: str) -> None:
    """A refusal is one line: file, key path, problem in plain words, and what was probably meant."""
    assert _lines({"workloads": ["tiny"], **change}) == [f"study.toml: {line}"]


def test_a_study_without_workloads() -> None:
    """Nothing runs without a workload."""
    assert _lines({}) == ["study.toml: workloads: missing"]


def test_all_problems_are_listed() -> None:
    """One reading finds everything."""
    data = {"iterations": 0, "seeds": [1, 1, -1], "layouts": [{"nme": "row-major"}], "machines": []}
    assert _lines(data) == [
        "study.toml: workloads: missing",
        "study.toml: layouts[0].nme: unknown key (did you mean 'name'?)",
        "study.toml: iterations: must be greater than 0, not 0",
        "study.toml: seeds[2]: must be 0 or greater, not -1",
    ]


def test_the_rules_hold_for_studies_made_in_python() -> None:
    """A Study that exists is valid, however it was made."""
    with pytest.raises(InvariantError, match=r"^workloads: must list at least one$"):
        Study(workloads=())


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('name = "a"\niterations 50\n', "line 2, column 12: Expected '=' after a key in a key/value pair"),
        ('name = "a"\nseeds = [1,\n', "line 3, column 1: Invalid value"),
        ('name = "a"\nseeds = [1', "line 2, column 11: Unclosed array"),
        ('name = "a"\nname = "b"\n', "line 2, column 11: Cannot overwrite a value"),
        (b'name = "a"\n# gr\xfc\xdfe\n', "line 2: is no UTF-8 text (save the file with UTF-8 encoding)"),
        ("a = " + "[" * 20_000, "lists or tables are nested too deeply"),
    ],
)
def test_files_that_are_no_toml(tmp_path: Path, content: str | bytes, line: str) -> None:
    """What is no TOML is refused with file, line and column."""
    path = _file(tmp_path, content)
    with pytest.raises(StudyError) as refused:
        read_study(path)
    assert str(refused.value) == f"{path}: {line}"


def test_a_missing_file(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    path = tmp_path / "study.toml"
    with pytest.raises(StudyError) as refused:
        read_study(path)
    assert str(refused.value) == f"{path}: no such file"


def test_a_folder(tmp_path: Path) -> None:
    """A folder is no study."""
    with pytest.raises(StudyError) as refused:
        read_study(tmp_path)
    assert str(refused.value) == f"{tmp_path}: is a folder, not a study (name the TOML file in it)"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The reason of the operating system is passed on."""
    path = tmp_path / "loop.toml"
    path.symlink_to(path)
    with pytest.raises(StudyError, match=r"loop\.toml: cannot be read: Too many levels of symbolic links$"):
        read_study(path)


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    """Some editors begin a file with a byte order mark; it is read past."""
    path = _file(tmp_path, b'\xef\xbb\xbfworkloads = ["tiny"]')
    assert read_study(path).workloads == (WorkloadChoice(name="tiny"),)


# --- overrides ------------------------------------------------------------------------------------


def test_overrides(tmp_path: Path) -> None:
    """Single values of a file are changed before anything is checked."""
    path = _file(tmp_path, EVERYTHING)
    changes = [
        "iterations=8",
        "machines[0].memory.options.channels=4",
        "source.kind=published",
        "source.checkpoints={}",
    ]
    study = read_study(path, changes)
    assert study.iterations == 8
    assert study.machines[0].memory == PluginChoice(name="gddr6-paper", options={"channels": 4})
    assert study.source == Source(kind=SourceKind.PUBLISHED)
    assert study.layouts == TYPED.layouts


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (
            ["machines[3].x=1"],
            ["--set machines[3].x=1: machines has 0 entries (the next free position is machines[0])"],
        ),
        (["iterations"], ["--set iterations: is no override (write key.path=value, such as iterations=8)"]),
        (["x"], ["--set x: is no override (write key.path=value, such as iterations=8)"]),
        (["iterations=0"], ["--set iterations=0: must be greater than 0, not 0"]),
        (["itertions=8"], ["--set itertions=8: unknown key (did you mean 'iterations'?)"]),
        (
            ['source={kind="x"}'],
            [
                '--set source={kind="x"}: source.kind: unknown value "x" ' + KINDS_HINT,
            ],
        ),
        # Each problem is blamed on whoever wrote what it is about.
        (
            ["seeds=[1, 1]", "seeds=[2, 2]"],
            [
                "study.toml: samples: must be greater than 0, not 0",
                f"--set seeds=[2, 2]: seeds[1]: the same as seeds[0] {ONCE_HINT}",
            ],
        ),
        # All overrides that cannot be applied are listed.
        (
            ["samples.x=1", "y", "samples=1"],
            [
                "--set samples.x=1: samples is no table, but 0",
                "--set y: is no override (write key.path=value, such as iterations=8)",
            ],
        ),
    ],
)
def test_refused_overrides(overrides: list[str], lines: list[str]) -> None:
    """A refusal of what an override wrote quotes the override, not the file."""
    samples = 0 if any("samples" in line for line in lines) else 1
    assert _lines({"workloads": ["tiny"], "samples": samples}, *overrides) == lines


# --- round trips ----------------------------------------------------------------------------------


def test_toml_for_people() -> None:
    """Written out, a study reads as one would write it: tables for machines, bare names where they do."""
    assert (
        study_toml(TYPED)
        == """\
name = "first-look"
iterations = 20
samples = 4
seeds = [0, 7]
thresholds = [0.1, 0.2]
target_hot_ratios = [0.164]
target_element_ratios = [0.2]
mask_reuse = "stale"
mask_over_time = "static"
device = "cuda:1"
precision = "bfloat16"
experiments = []

[[workloads]]
name = "tiny"

[[workloads]]
name = "dit-xl-2"
preset = "official"

[workloads.options]
rows = "official"

[[metrics]]
name = "psnr"

[[metrics]]
name = "some-metrics/fid"

[metrics.options]
weights = "/weights/inception.pt"

[source]
kind = "checkpoint"

[source.checkpoints]
tiny = "/weights/tiny.pt"
dit-xl-2 = "/weights/DiT.pt"

[profile]
grid = [0.05, 0.2, 1.0]
observers = ["bit-width"]

[[layouts]]
name = "row-major"
masks = ["dense", "target-hot-ratio"]

[[layouts]]
name = "my-layouts/striped"
preset = "wide"

[layouts.options]
stripe_columns = 64

[[machines]]
name = "reference"
memory = "gddr6-paper"

[machines.accelerator]
name = "ffn-reuse"
preset = "reference"

[output]
directory = "results"
samples = true
shown_samples = 8
"""
    )


def test_bare_names_stay_bare() -> None:
    """Choices without options are written as names, and long arrays an entry a line."""
    workloads = tuple(WorkloadChoice(name=f"a-rather-long-name-{number}") for number in range(5))
    text = study_toml(Study(workloads=workloads[:2]))
    assert 'workloads = ["a-rather-long-name-0", "a-rather-long-name-1"]\n' in text
    text = study_toml(Study(workloads=workloads))
    assert 'workloads = [\n    "a-rather-long-name-0",\n' in text


def test_options_that_nobody_gave_are_not_written() -> None:
    """TOML has no null: an option without a value is left out, whatever it stands beside."""
    choice = WorkloadChoice(name="mdm", options={"encoder": None, "depth": 8, "more": {"a": None, "b": 1}})
    text = study_toml(Study(workloads=(choice,)))
    assert "encoder" not in text
    [written] = tomllib.loads(text)["workloads"]
    assert written["options"] == {"depth": 8, "more": {"b": 1}}


@unhurried
@given(studies())
def test_toml_round_trip(study: Study) -> None:
    """What is written as TOML is read as the same study."""
    assert study_from(tomllib.loads(study_toml(study)), where="study.toml") == study


@unhurried
@given(studies())
def test_json_round_trip(study: Study) -> None:
    """A manifest keeps a study as JSON without losing anything."""
    data = study_data(study)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert study_from(data, where="manifest.json") == study


@unhurried
@given(thresholds(), thresholds())
def test_the_grid_holds_every_threshold(swept: tuple[float, ...], further: tuple[float, ...]) -> None:
    """Elements are counted at every threshold of the sweep, in ascending order without repeats."""
    profile = ProfileSettings(grid=further)
    study = Study(workloads=(WorkloadChoice(name="tiny"),), thresholds=swept, profile=profile)
    grid = study.threshold_grid
    assert list(grid) == sorted(set(grid))
    assert set(grid) == {*swept, *further}


FREE_TABLES = ("options", "checkpoints")


def _typed_keys(data: Any, path: KeyPath = ()) -> list[KeyPath]:
    """The paths of all keys that have a fixed spelling."""
    if isinstance(data, list):
        return [found for i, entry in enumerate(data) for found in _typed_keys(entry, (*path, i))]
    if not isinstance(data, dict) or (path and path[-1] in FREE_TABLES):
        return []
    here: list[KeyPath] = [(*path, key) for key in data]
    return here + [found for key, entry in data.items() for found in _typed_keys(entry, (*path, key))]


@st.composite
def _misspelt(draw: st.DrawFn, word: str) -> str:
    """The word with one letter swapped, lost, doubled or replaced."""
    at = draw(st.integers(0, len(word) - 1))
    letter = draw(st.sampled_from(string.ascii_lowercase))
    swapped = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    candidates = [
        swapped,
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
    ]
    return draw(
        st.sampled_from([candidate for candidate in candidates if candidate != word] or [word + letter])
    )


@unhurried
@given(st.data(), studies(), st.sampled_from(["toml", "expanded"]))
def test_a_single_typo_is_refused_and_named(data: st.DataObject, study: Study, form: str) -> None:
    """Whichever key is misspelt, in a short study or a long one, the right key is suggested."""
    written = tomllib.loads(study_toml(study)) if form == "toml" else study_data(study)
    *above, key = data.draw(st.sampled_from(_typed_keys(written)))
    table: Any = written
    for step in above:
        table = table[step]
    typo = data.draw(_misspelt(str(key)))
    table[typo] = table.pop(key)
    hint = f"{typo}: unknown key (did you mean '{key}'?)"
    assert any(line.endswith(hint) for line in _lines(written))
