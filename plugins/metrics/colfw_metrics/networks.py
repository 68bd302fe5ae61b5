"""Networks whose features metrics compare: built here, with the released weights from a local path."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import evolve, field, frozen

from colfw.denoising.checkpoints import CheckpointLayout, digest, load_into, read_checkpoint
from colfw.denoising.weights import without_initialisation
from colfw.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from colfw.denoising.checkpoints import State
    from colfw_metrics.config import NetworkConfig


@frozen(kw_only=True)
class Architecture:
    """A network as code, and where its released weights come from."""

    name: str
    version: int
    """Rises when the same weights would give other features."""
    build: Callable[[], nn.Module]
    released: str
    """What the user gives as `weights`: the file's name and where it is published."""
    layout: CheckpointLayout = field(factory=CheckpointLayout)
    parts: tuple[str, ...] = ()
    """Children of the network whose weights the file holds apart, each under its name."""


@frozen(kw_only=True)
class NetworkExtractor:
    """An extractor (`colfw.features`) around a network: prepares a batch, runs it, takes what is wanted."""

    architecture: Architecture
    weights: Path
    device: str
    batch_samples: int
    view: str
    """What of the network's output is taken, where there is a choice: part of the identity."""
    look: Callable[[Any, Tensor], Tensor]
    """From network and batch, as the samples hold it, to features; preprocessing is done here."""

    @property
    def identity(self) -> str:
        network = self.architecture
        # A GPU rounds differently.
        return f"{network.name} {network.version} {self.view} {digest(self.weights)} {self._device}"

    @property
    def _device(self) -> str:
        return chosen_device(self.device)

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        network = _loaded(self.architecture, self.weights, digest(self.weights), self._device)
        # TensorFloat-32, which a GPU takes for convolutions unless told otherwise, keeps ten bits.
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            features = self.look(network, torch.from_numpy(np.array(batch)).to(self._device))
        found: NDArray[Any] = features.float().cpu().numpy()
        return found


def chosen_device(device: str) -> str:
    """Where a network runs that may choose: `auto` is a GPU where there is one."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def extractor(
    architecture: Architecture,
    config: NetworkConfig,
    look: Callable[[Any, Tensor], Tensor],
    *,
    view: str = "features",
) -> NetworkExtractor:
    """The extractor that these options describe; without weights there is none."""
    return NetworkExtractor(
        architecture=architecture,
        weights=given_weights(architecture, config),
        device=config.device,
        batch_samples=config.batch_samples,
        view=view,
        look=look,
    )


def given_weights(architecture: Architecture, config: NetworkConfig) -> Path:
    if config.weights is None:
        raise UnavailableError(
            f"needs the weights of {architecture.name}: {architecture.released}",
            hint="give the metric its option `weights`, the path of that file",
        )
    return config.weights


def weights_digest(config: NetworkConfig) -> str | None:
    """What tells results of other weights apart: the `inputs_digest` of a metric with a network."""
    return None if config.weights is None else digest(config.weights)


@cache
def _loaded(architecture: Architecture, weights: Path, content: str, device: str) -> nn.Module:  # noqa: ARG001
    """The network, kept for the process: a sweep asks for it once a mask. `content` is part of the key."""
    with without_initialisation():
        network = architecture.build()
    load_into(network, _state(architecture, weights), architecture.layout, where=str(weights))
    return network.eval().requires_grad_(requires_grad=False).to(device)


def _state(architecture: Architecture, weights: Path) -> State:
    if not architecture.parts:
        return read_checkpoint(weights, architecture.layout).state
    state: dict[str, Tensor] = {}
    for part in architecture.parts:
        # Converted to a flat file, the keys of a part begin with its name.
        layout = evolve(architecture.layout, nesting=(part,), prefixes=(f"{part}.", ""))
        found = read_checkpoint(weights, layout).state
        state.update({f"{part}.{key}": tensor for key, tensor in found.items()})
    return state
