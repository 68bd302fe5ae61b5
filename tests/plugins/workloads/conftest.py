"""What the tests of workloads share: the golden models' deterministic weights."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from torch import nn

Fill = Callable[[nn.Module, Iterable[str]], nn.Module]


def fill(model: nn.Module, left_as_computed: Iterable[str]) -> nn.Module:
    """Give every float entry of the state the values of the golden data's `fill_rule`; returns the model."""
    kept = set(left_as_computed)
    for key, tensor in model.state_dict().items():
        if key not in kept and tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(_values(key, tuple(tensor.shape))))
    return model.eval()


def _values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    z = rng.standard_normal(shape).astype(np.float32)
    if z.ndim >= 2:
        return (z / np.float32(math.sqrt(math.prod(shape[1:])))).astype(np.float32)
    if key.endswith("weight"):
        return 1 + np.float32(0.1) * z
    return np.float32(0.1) * z


@pytest.fixture(scope="session")
def golden_fill() -> Fill:
    """Fills a model with the weights that the golden vectors were made with."""
    return fill


@pytest.fixture(autouse=True)
def _inference() -> Iterable[None]:
    with torch.inference_mode():
        yield
