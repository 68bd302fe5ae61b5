"""The options of a layout: what makes no sense is refused in a line that names the option."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from colfw.errors import StudyError
from colfw.typed import structure, unstructure
from colfw_layouts.config import DynamicConfig, HotColdConfig, RowMajorConfig


@pytest.mark.parametrize(
    ("config", "option", "field", "problem"),
    [
        (RowMajorConfig, {"fetch": "some"}, "fetch", 'unknown value "some"'),
        (RowMajorConfig, {"hot_region": "stream"}, "hot_region", "unknown key"),
        (HotColdConfig, {"decide_from": "iteration-1"}, "decide_from", "iteration-0"),
        (HotColdConfig, {"hot_region": "streams"}, "hot_region", "stream"),
        (HotColdConfig, {"decide_from": "union", "union_of": []}, "union_of", "at least one"),
        (HotColdConfig, {"decide_from": "union", "union_of": [0, -1]}, "union_of[1]", "-1"),
        (HotColdConfig, {"decide_from": "union", "union_of": [3, 3]}, "union_of[1]", "the same as"),
        (HotColdConfig, {"union_of": [0, 2]}, "union_of", "decide_from = 'union'"),
        (DynamicConfig, {"check_every": 0}, "check_every", "greater than 0"),
        (DynamicConfig, {"look_back": 0}, "look_back", "greater than 0"),
        (DynamicConfig, {"horizon": -1}, "horizon", "greater than 0"),
        (DynamicConfig, {"scattered_extra": -0.1}, "scattered_extra", "0 or greater"),
    ],
    ids=str,
)
def test_a_bad_option_is_one_clear_line(
    config: Any, option: dict[str, Any], field: str, problem: str
) -> None:
    """It says where the option stands, what was given and what would do."""
    with pytest.raises(StudyError) as refusal:
        structure(config, option, where="study.toml", path="layouts[0].options")
    line = str(refusal.value)
    assert line.startswith(f"study.toml: layouts[0].options.{field}: ")
    assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "config",
    [
        RowMajorConfig(fetch="all"),
        HotColdConfig(),
        HotColdConfig(decide_from="first-sparse", hot_region="gather"),
        HotColdConfig(decide_from="union", union_of=(4, 2)),
        DynamicConfig(check_every=3, scattered_extra=0),
    ],
    ids=str,
)
def test_options_survive_being_written_out(config: Any) -> None:
    """A study with every default spelled out is read back as what it was."""
    assert structure(type(config), unstructure(config), where="study.toml") == config


def test_options_are_light_to_import() -> None:
    """A study is checked without numpy, which placing columns needs."""
    code = "import sys, colfw_layouts.config; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
