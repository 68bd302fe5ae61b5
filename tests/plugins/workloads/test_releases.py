"""Files of weights as trainers leave them: each of the seven reads its own, and no other's."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import OrderedDict
from itertools import permutations
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import torch

from colfw.denoising.checkpoints import load_into, read_checkpoint
from colfw.denoising.weights import randomise
from colfw.errors import StoreError
from colfw.plugins import load_plugins
from colfw.typed import structure
from colfw.vocabulary import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SEVEN = ("dit-xl-2", "sd-v1-4", "videocrafter2", "make-an-audio", "mdm", "mld", "edge")


def workload(name: str) -> Any:
    found = load_plugins().find(Kind.WORKLOAD, name)
    config: Any = found.config_class()
    return found.make(structure(config, found.record.presets["tiny"], where=name))


@pytest.fixture(scope="module")
def workloads() -> dict[str, Any]:
    return {name: workload(name) for name in SEVEN}


@pytest.fixture(scope="module")
def states(workloads: Mapping[str, Any]) -> dict[str, dict[str, torch.Tensor]]:
    return {name: state_of(workload) for name, workload in workloads.items()}


def state_of(workload: Any) -> dict[str, torch.Tensor]:
    model = workload.build()
    randomise(model, 3, workload.checkpoint_layout.computed)
    return dict(model.state_dict())


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module with the classes that Lightning and OmegaConf pickle."""
    module = ModuleType("trainer")
    for package, name, base in (
        ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint", object),
        ("pytorch_lightning.utilities.parsing", "AttributeDict", dict),
        ("omegaconf.dictconfig", "DictConfig", object),
    ):
        for length in range(1, len(package.split(".")) + 1):
            part = ".".join(package.split(".")[:length])
            monkeypatch.setitem(sys.modules, part, sys.modules.get(part) or ModuleType(part))
        made = type(name, (base,), {"__module__": package})
        monkeypatch.setattr(sys.modules[package], name, made, raising=False)
        setattr(module, name, made)
    return module


def lightning_file(path: Path, state: Mapping[str, torch.Tensor], layout: Any, trainer: ModuleType) -> Path:
    """The weights where the layout says, amid what a trainer keeps; other networks hold NaN."""
    config = trainer.DictConfig()
    config.content = {"target": "ldm.UNet", "lr": 1e-4}
    others = {"first_stage_model.w": torch.full((2,), float("nan")), "t2m_textencoder.w": torch.ones(1)}
    own = {f"{layout.prefixes[0]}{key}": tensor for key, tensor in state.items()}
    held = OrderedDict(others | own if layout.prefixes[0] else own)
    content = {
        "epoch": 3,
        "callbacks": {trainer.ModelCheckpoint: {"best_model_score": torch.tensor(0.1)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}],
        "lr_schedulers": [{"base_lrs": [1e-4]}],
        "hyper_parameters": trainer.AttributeDict(config=config, arguments=Namespace(width=8)),
        layout.nesting[0]: held,
    }
    torch.save(content, path)
    return path


@pytest.mark.parametrize("name", SEVEN)
def test_a_trainers_file_gives_the_weights(
    tmp_path: Path, workloads: Any, states: Any, trainer: ModuleType, name: str
) -> None:
    """Callbacks, optimizers, options and other networks in a file change nothing of what is loaded."""
    layout, model = workloads[name].checkpoint_layout, workloads[name].build()
    path = lightning_file(tmp_path / "a.ckpt", states[name], layout, trainer)
    load_into(model, read_checkpoint(path, layout).state, layout, where=str(path))
    torch.testing.assert_close(dict(model.state_dict()), states[name], rtol=0, atol=0)


@pytest.mark.parametrize(("name", "other"), list(permutations(SEVEN, 2)))
def test_weights_of_another_model_are_refused(
    tmp_path: Path, workloads: Any, states: Any, name: str, other: str
) -> None:
    """However alike two networks are, the file of one never fits the other, and the file is named."""
    path = tmp_path / "a.pt"
    torch.save(states[other], path)
    layout = workloads[name].checkpoint_layout
    with torch.device("meta"):
        model = workloads[name].build()
    with pytest.raises(StoreError, match=r"does not fit|of this model") as refusal:
        load_into(model, read_checkpoint(path, layout).state, layout, where=str(path))
    assert refusal.value.where == str(path)
