"""At their published sizes the seven models have the official state and the official sites."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from colfw.plugins import load_plugins
from colfw.typed import structure
from colfw.vocabulary import Kind, RowConvention

if TYPE_CHECKING:
    from pathlib import Path

SEVEN = ("dit-xl-2", "sd-v1-4", "videocrafter2", "make-an-audio", "mdm", "mld", "edge")
PAPER_ROWS = {
    **dict.fromkeys(("dit-xl-2", "sd-v1-4", "make-an-audio"), lambda site: site["M_per_sample"]),
    # Four frames of the sixteen, of one guidance pass: see the docstring of the workload.
    "videocrafter2": lambda site: site["M_per_sample"] // 4,
    **dict.fromkeys(("mdm", "mld", "edge"), lambda site: site["M_per_step"]),
}


def workload(name: str, rows: RowConvention = RowConvention.OFFICIAL) -> Any:
    registered = load_plugins().find(Kind.WORKLOAD, name)
    config: Any = registered.config_class()
    options = structure(config, {"rows": str(rows)}, where=name)
    return registered.make(options)


def golden(root: Path, name: str, file: str) -> Any:
    return json.loads((root / "models" / name / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SEVEN)
def test_keys_and_shapes_are_the_official_ones(golden_root: Path, name: str) -> None:
    """Built on the meta device, the model has every key of the official state at its shape, and no other."""
    with torch.device("meta"):
        model = workload(name).build()
    found = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    assert found == golden(golden_root, name, "state_dict.json")["params"]


@pytest.mark.parametrize("rows", RowConvention)
@pytest.mark.parametrize("name", SEVEN)
def test_sites_are_the_official_ones(golden_root: Path, name: str, rows: RowConvention) -> None:
    """Layers have the official names, widths and order, and rows by either convention."""
    sites = golden(golden_root, name, "sites.json")["sites"]
    counted = PAPER_ROWS[name] if rows is RowConvention.PAPER else lambda site: site["M_per_step"]
    expected = [
        (site["site"], site["linear2"], site["N"], site["d_model"], "GEGLU" in site["kind"], counted(site))
        for site in sites
    ]
    found = [
        (site.name, layer.linear2, site.columns, site.operator.d_in, site.operator.gated, site.rows)
        for layer in workload(name, rows).layers()
        for site in [layer.site]
    ]
    assert found == expected
    assert all(layer.site.operator.d_out == layer.site.operator.d_in for layer in workload(name).layers())
