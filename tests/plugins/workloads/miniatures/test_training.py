from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from attrs import evolve

from colfw_workloads import miniatures

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(miniatures.__file__).parent
SCRIPT = Path(__file__).parents[4] / "tools" / "train_miniatures.py"


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The training script as a module."""
    pytest.importorskip("PIL")
    spec = importlib.util.spec_from_file_location("train_miniatures", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_card_says_what_was_measured(script: Any, tmp_path: Path) -> None:
    """The shipped page is what the script writes from the shipped numbers."""
    shutil.copytree(PACKAGE / "figures", tmp_path / "figures")
    script.write_card(tmp_path)
    assert (tmp_path / "MODEL_CARD.md").read_text("utf-8") == (PACKAGE / "MODEL_CARD.md").read_text("utf-8")


def test_the_card_shows_only_figures_that_are_there(script: Any) -> None:
    """Every image of the page lies beside it."""
    page = (PACKAGE / "MODEL_CARD.md").read_text("utf-8")
    shown = [part.split(")")[0] for part in page.split("](")[1:]]
    assert len(shown) == 2 * len(script.RECIPES)
    assert all((PACKAGE / path).is_file() for path in shown)


def test_the_losses_fell(script: Any) -> None:
    """Each shipped curve ends far below its start."""
    for name in script.RECIPES:
        curve = json.loads((PACKAGE / "figures" / f"{name}.json").read_text("utf-8"))["loss_by_step"]
        assert curve[-1][1] < 0.4 * curve[0][1]


def test_training_again_gives_the_same_weights(script: Any) -> None:
    """Two trainings from the same seed agree bit for bit."""
    recipe = evolve(script.RECIPES["walker"], batch=2)
    with torch.inference_mode(mode=False):
        one, other = (script.train(recipe, steps=3)[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
def test_a_trial_writes_everything_and_touches_nothing_else(tmp_path: Path) -> None:
    """Twenty steps into another folder make weights, figures and card there; what is shipped stays."""
    pytest.importorskip("sklearn")
    before = digests(PACKAGE)
    command = [sys.executable, str(SCRIPT), "--steps", "20", "--into", str(tmp_path)]
    subprocess.run(command, check=True, timeout=600)
    assert digests(PACKAGE) == before
    written = set(digests(tmp_path))
    assert written == {
        "MODEL_CARD.md",
        *(f"weights/{name}.safetensors" for name in ("digits-dit", "digits-unet", "walker")),
        *(
            f"figures/{name}{ending}"
            for name in ("digits-dit", "digits-unet", "walker")
            for ending in (".json", "-loss.png", "-samples.png")
        ),
    }
