"""The options of the FFN-Reuse machine: what makes no sense is refused in a line that names the option."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import colfw_accelerators
from colfw.errors import StudyError
from colfw.typed import structure, unstructure
from colfw_accelerators.config import FfnReuseConfig

[SPEC] = colfw_accelerators.colfw_accelerators()


@pytest.mark.parametrize(
    ("option", "field", "problem"),
    [
        ({"core_clock_hz": 0}, "core_clock_hz", "greater than 0"),
        ({"core_clock_hz": 800e6}, "core_clock_hz", "a whole number"),
        ({"element_lanes": 0}, "element_lanes", "greater than 0"),
        ({"array_columns": 0}, "array_columns", "greater than 0"),
        ({"window_requests": 0}, "window_requests", "greater than 0"),
        ({"dense_period": 0}, "dense_period", "greater than 0"),
        ({"row_tile": 0}, "row_tile", "greater than 0"),
        ({"weight_slots": 0}, "weight_slots", "greater than 0"),
        ({"input_slot_bytes": -1}, "input_slot_bytes", "greater than 0"),
        ({"weight_tile_columns": 24}, "weight_tile_columns", "a multiple of array_columns = 16"),
        ({"other_core_cycles_per_step": -0.1}, "other_core_cycles_per_step", "0 or greater"),
        ({"layer_wait_core_cycles": -1}, "layer_wait_core_cycles", "0 or greater"),
        ({"order": "weights"}, "order", "weight-stationary"),
        ({"reuse": "fresh"}, "reuse", "stale"),
        (
            {"order": "weight-stationary", "hidden_traffic": "between-phases"},
            "hidden_traffic",
            "'with-weights'",
        ),
        ({"rows": 16}, "rows", "unknown key"),
    ],
    ids=str,
)
def test_a_bad_option_is_one_clear_line(option: dict[str, Any], field: str, problem: str) -> None:
    """It says where the option stands, what was given and what would do."""
    with pytest.raises(StudyError) as refusal:
        structure(FfnReuseConfig, option, where="study.toml", path="machines[0].accelerator")
    line = str(refusal.value)
    assert line.startswith(f"study.toml: machines[0].accelerator.{field}: ")
    assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize("preset", SPEC.presets)
def test_a_preset_is_options(preset: str) -> None:
    """Every preset can be written in a study, and comes back from it with every default spelled out."""
    config = structure(FfnReuseConfig, SPEC.presets[preset], where="preset")
    assert structure(FfnReuseConfig, unstructure(config), where="again") == config


def test_the_reference_is_the_default() -> None:
    """A machine that names no preset is the honest one, but for where its memory likes row tiles to begin."""
    reference = dict(SPEC.presets["reference"])
    assert reference.pop("activation_alignment_bytes") == 6 * 16 * 8192  # channels, banks, bytes of a row
    assert structure(FfnReuseConfig, reference, where="preset") == FfnReuseConfig()


def test_options_are_light() -> None:
    """Whoever only checks a study does not wait for numpy-heavy modules of this package."""
    code = (
        "import sys, colfw_accelerators, colfw_accelerators.config;"
        " print('numba' in sys.modules, 'colfw_accelerators.ffn_reuse' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
