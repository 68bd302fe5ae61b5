"""The HumanML3D evaluator and Inception with known weights, in the layouts of their releases."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from colfw_metrics.inception import Inception

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def evaluator_options(
    golden_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., dict[str, Any]]]:
    """The options that name the evaluator's files, with `fill` plain or gain2; further ones are added.

    Weights are filled as those of the golden data. Mean and deviation leave features as they are.
    """
    folder = tmp_path_factory.mktemp("evaluator")
    description = json.loads((golden_root / "metrics" / "mfid" / "state_dict.json").read_text())
    for fill in ("plain", "gain2"):
        _write_release(folder / f"{fill}.tar", description["params"], fill)
    np.save(folder / "mean.npy", np.zeros(263))
    np.save(folder / "std.npy", np.ones(263))

    def options(fill: str = "gain2", **further: Any) -> dict[str, Any]:
        files = {"weights": f"{fill}.tar", "mean": "mean.npy", "std": "std.npy"}
        return {**{option: folder / name for option, name in files.items()}, **further}

    yield options
    for path in folder.iterdir():
        path.unlink()  # the weights are 80 MB each


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """The file of Inception's weights, with `fill` plain or gain2, as the golden data was made with."""
    folder = tmp_path_factory.mktemp("inception")
    with torch.device("meta"):
        shapes = {key: list(entry.shape) for key, entry in Inception().state_dict().items()}

    def path_of(fill: str) -> Path:
        path: Path = folder / f"{fill}.pth"
        if not path.exists():
            torch.save({key: _inception_entry(key, shape, fill) for key, shape in shapes.items()}, path)
        return path

    yield path_of
    for path in folder.iterdir():
        path.unlink()  # the weights are 95 MB each


def _inception_entry(key: str, shape: list[int], fill: str) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    gain = np.sqrt(2) if fill == "gain2" and len(shape) > 1 else 1
    return torch.from_numpy(np.float32(gain * _filled(key, shape)))


def _write_release(path: Path, shapes: dict[str, list[int]], fill: str) -> None:
    """The parts of the evaluator side by side, with what an optimizer left."""
    parts: dict[str, Any] = {"opt_text_encoder": {"state": {}}, "epoch": 5, "iter": 1000}
    for key, shape in shapes.items():
        part, name = key.split(".", maxsplit=1)
        gain = np.sqrt(2) if fill == "gain2" and len(shape) > 1 and name != "hidden" else 1
        parts.setdefault(part, {})[name] = torch.from_numpy(np.float32(gain * _filled(key, shape)))
    torch.save(parts, path)


def _filled(key: str, shape: list[int]) -> Any:
    values = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if len(shape) > 1:
        return values / np.sqrt(np.prod(shape[1:]))
    return 1 + 0.1 * np.abs(values) if key.endswith(("weight", "running_var")) else 0.1 * values
