"""Networks whose features metrics compare: built here, with the released weights from a local path."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from attrs import field, frozen

from colfw.denoising.checkpoints import CheckpointLayout, digest, load_into, read_checkpoint
from colfw.denoising.weights import without_initialisation
from colfw.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

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
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        return self.device

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        network = _loaded(self.architecture, self.weights, digest(self.weights), self._device)
        with torch.no_grad():
            features = self.look(network, torch.as_tensor(batch).to(self._device))
        found: NDArray[Any] = features.float().cpu().numpy()
        return found


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
    checkpoint = read_checkpoint(weights, architecture.layout)
    load_into(network, checkpoint.state, architecture.layout, where=str(weights))
    return network.eval().requires_grad_(requires_grad=False).to(device)
