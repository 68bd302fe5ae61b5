"""The golden data can be read at all; the tests of the code that it checks compare what stands in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

UNIFORM_SWEEP = (0.1, 0.15, 0.164, 0.17, 0.2)


def files(root: Path, suffix: str) -> list[Path]:
    found = sorted(root.rglob(f"*{suffix}"))
    assert found, f"no {suffix} file under {root}"
    return found


def read_arrays(path: Path) -> tuple[list[str], dict[str, Any]]:
    """The names of all arrays, each of them read, and the metadata."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return sorted(arrays), json.loads(str(arrays["meta"]))


def test_every_json_file_parses(golden_root: Path) -> None:
    """A golden JSON file holds an object or a list with something in it."""
    empty = [path for path in files(golden_root, ".json") if not json.loads(path.read_text("utf-8"))]
    assert empty == []


def test_every_array_file_opens_without_pickle_and_says_what_it_is(golden_root: Path) -> None:
    """A golden npz file holds plain arrays alone, and beside them `meta`, a JSON object."""
    for path in files(golden_root, ".npz"):
        names, meta = read_arrays(path)
        assert isinstance(meta, dict), path
        assert len(names) > 1, path


def test_the_published_sweep_is_the_known_one(golden_root: Path) -> None:
    """The published study swept five thresholds, and so does the one that colfw reproduces."""
    published = golden_root / "paper" / "published.json"
    if not published.parent.is_dir():
        pytest.skip(f"{golden_root} has no folder paper: published numbers lie in the repository's own")
    operating_point = json.loads(published.read_text("utf-8"))["operating_point"]
    assert tuple(operating_point["sweep_values"]) == UNIFORM_SWEEP
