from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from safetensors import safe_open

from colfw_metrics import fd_digits, fd_motion, judges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colfw_metrics.judges import Judge

PACKAGE = Path(judges.__file__).parent
SCRIPT = Path(__file__).parents[3] / "tools" / "train_judges.py"
JUDGES = [fd_digits.JUDGE, fd_motion.JUDGE]
each = pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name)


def facts(judge: Judge) -> dict[str, Any]:
    """What the training script measured."""
    found: dict[str, Any] = json.loads((PACKAGE / f"{judge.name}.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The training script as a module."""
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("train_judges", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


# --- what is shipped ------------------------------------------------------------------------------


def test_the_shipped_files_are_small() -> None:
    """Weights, figures and card of both judges stay below 200 kB together."""
    shipped = [path for path in PACKAGE.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in shipped) < 200_000


@each
def test_a_weights_file_says_where_it_comes_from(judge: Judge) -> None:
    """Script, seed, steps, data and licence stand in its header, and agree with the figures' numbers."""
    with safe_open(judge.weights, "pt") as file:
        header = json.loads(file.metadata()["colfw"])
    found = facts(judge)
    assert header == {key: found[key] for key in header}
    assert header["licence"] == "Apache-2.0"
    assert {"script", "seed", "steps", "data", "torch"} <= set(header)
    assert found["file_bytes"] == judge.weights.stat().st_size
    assert found["parameters"] == sum(parameter.numel() for parameter in judge.build().parameters())


@each
def test_results_of_other_weights_are_told_apart(judge: Judge) -> None:
    """The digest of a judge is that of its shipped file."""
    assert judge.digest == hashlib.sha256(judge.weights.read_bytes()).hexdigest()


def test_the_card_says_what_was_measured(script: Any, tmp_path: Path) -> None:
    """The shipped page is what the script writes from the shipped numbers."""
    for judge in JUDGES:
        (tmp_path / f"{judge.name}.json").write_bytes((PACKAGE / f"{judge.name}.json").read_bytes())
    script.write_card(tmp_path)
    assert (tmp_path / "MODEL_CARD.md").read_text("utf-8") == (PACKAGE / "MODEL_CARD.md").read_text("utf-8")


# --- what it sees ---------------------------------------------------------------------------------


@each
def test_it_knows_its_classes(script: Any, judge: Judge) -> None:
    """Of samples that it was not trained on it tells right as many as the card says, 97 % at least."""
    found = script.accuracy_percent(script.RECIPES[judge.name], judge)
    assert found == pytest.approx(facts(judge)["accuracy_percent"], abs=0.4)  # one digit, rounded elsewhere
    assert found >= 97.0


@each
def test_features_are_in_units_of_real_samples(script: Any, judge: Judge) -> None:
    """Over 2000 samples like those it was trained on each feature has mean 0 and variance 1."""
    recipe = script.RECIPES[judge.name]
    shown = recipe.draw(2000, torch.Generator().manual_seed(1))[0]
    features = judge.features(script.samples_of(recipe, shown)).astype(np.float64)
    assert features.shape == (2000, judges.FEATURES)
    assert np.abs(features.mean(axis=0)).max() < 0.15
    assert features.var(axis=0) == pytest.approx(np.ones(judges.FEATURES), abs=0.15)


@each
def test_real_samples_are_nearer_to_real_ones_than_noisy_ones_are(script: Any, judge: Judge) -> None:
    """The largest noise of the card is above what chance makes of as many different samples."""
    found = facts(judge)
    by_chance = {row["samples"]: row["mean"] for row in found["floor"]}
    assert found["noise"][-1]["distance"] > by_chance[script.CURVE_SAMPLES]


@each
def test_more_noise_is_further_away(judge: Judge) -> None:
    """The card's distances rise with noise, and those of chance fall with the number of samples."""
    found = facts(judge)
    by_noise = [row["distance"] for row in found["noise"]]
    by_samples = [row["mean"] for row in found["floor"]]
    assert by_noise == sorted(by_noise)
    assert by_samples == sorted(by_samples, reverse=True)


@each
def test_colder_miniatures_are_further_away(judge: Judge) -> None:
    """In the card nothing changes where nothing is cold, and the coldest samples are the furthest away."""
    for found in facts(judge)["miniatures"].values():
        first, *_, last = found["curve"]
        assert first["column_sparsity_percent"] < 0.1
        assert first["value"] == pytest.approx(0.0, abs=1e-6)
        assert last["value"] == max(row["value"] for row in found["curve"]) > 0


# --- training -------------------------------------------------------------------------------------


@each
def test_training_again_gives_the_same_weights(script: Any, judge: Judge) -> None:
    """Two trainings from the same seed agree bit for bit."""
    recipe = evolve(script.RECIPES[judge.name], batch=4)
    one, other = (script.train(recipe, steps=3)[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_digits_are_moved_by_a_pixel_at_most(script: Any) -> None:
    """A moved digit is a real one whose rows and columns came from next to them; its label stays."""
    generator = torch.Generator().manual_seed(3)
    moved, labels = script.moved_digits(200, generator)
    chosen = torch.randint(script.TRAINED_IMAGES, (200,), generator=torch.Generator().manual_seed(3))
    images, known = script.digits()
    framed = torch.nn.functional.pad(images[chosen, 0], (1, 1, 1, 1), value=-1.0)
    places = [(row, column) for row in range(3) for column in range(3)]
    moves = torch.stack([framed[:, row : row + 8, column : column + 8] for row, column in places], dim=1)
    same = (moves == moved).flatten(2).all(dim=2)
    assert same.any(dim=1).all()
    assert not same[:, places.index((1, 1))].all()
    assert torch.equal(labels, known[chosen])


@pytest.mark.slow
def test_a_trial_writes_everything_and_touches_nothing_else(tmp_path: Path) -> None:
    """Twenty steps into another folder make weights, figures and card there; what is shipped stays."""
    pytest.importorskip("sklearn")
    before = {path.name: path.read_bytes() for path in PACKAGE.iterdir() if path.is_file()}
    command = [sys.executable, str(SCRIPT), "--steps", "20", "--samples", "40", "--into", str(tmp_path)]
    subprocess.run(command, check=True, timeout=600)
    assert {path.name: path.read_bytes() for path in PACKAGE.iterdir() if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {
        "MODEL_CARD.md",
        *(f"{judge.name}{ending}" for judge in JUDGES for ending in (".json", ".safetensors")),
    }
