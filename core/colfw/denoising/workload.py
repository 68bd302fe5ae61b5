"""The base of workloads whose denoiser is a torch module.

A model's file says what is particular to it: its layers, how it is built, what it is conditioned on, which
checkpoints it reads, and its sampling loop. Everything else is done here, once for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from attrs import evolve, frozen
from torch import nn

from colfw.denoising.checkpoints import CheckpointLayout, digest, load_into, read_checkpoint
from colfw.denoising.conditioning import Condition, check_options, conditioning, files_digest
from colfw.denoising.decoding import joint_digest
from colfw.denoising.masking import Masking
from colfw.denoising.noise import SeededNoise
from colfw.denoising.weights import randomise, without_initialisation
from colfw.errors import ColfwError, InvariantError, StudyError, UnavailableError
from colfw.observing.hooks import watching
from colfw.samples import Samples
from colfw.vocabulary import SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from colfw.masks import MaskSet
    from colfw.protocols import DenoiseRequest, Observer
    from colfw.sites import Site
    from colfw.vocabulary import RowConvention

__all__ = ["CheckpointLayout", "Condition", "Generation", "Layer", "TorchWorkload"]


@frozen(kw_only=True)
class Layer:
    """A feed-forward network of a denoiser: its site, and the linear layer that its activation enters."""

    site: Site
    linear2: str


@frozen(kw_only=True)
class Generation:
    """One batch of a run, as a sampling loop sees it."""

    samples: int
    iterations: int
    device: torch.device
    dtype: torch.dtype
    """What the denoiser computes in; a loop keeps its own state in float32."""
    conditioning: Mapping[str, Tensor]
    """By the name of its condition, `[samples, ...]`, on the device."""
    noise: Callable[[Sequence[int]], Tensor]
    begin: Callable[[int], None]
    """Says to which iteration the forwards that follow belong."""


class TorchWorkload(ABC):
    """A workload around a torch module; subclasses say what is particular to a model."""

    modality: ClassVar[str]
    """Of the samples that its loop makes."""
    rate_hz: ClassVar[float | None] = None
    """The frame rate or sampling rate of its samples, where they have one."""
    checkpoint_layout: ClassVar[CheckpointLayout] = CheckpointLayout()

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The feed-forward networks in execution order, from the options alone."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The denoiser with whatever weights; works on the meta device too."""

    @abstractmethod
    def conditions(self) -> Mapping[str, Condition]:
        """What the denoiser is conditioned on, by name."""

    @abstractmethod
    def generate(self, denoiser: Any, run: Generation) -> Tensor:
        """The sampling loop for one batch: `[run.samples, ...]`."""

    def decoded(self, made: Tensor, request: DenoiseRequest) -> Samples:
        """What the loop made, in the form that metrics compare (`colfw.samples.FORMS`) where it can be had.

        A model that makes something else, such as latents, overrides this. Where what it needs for that is
        not given, its samples stay as they are, and their modality says so: `image-latent`.
        """
        return Samples(modality=self.modality, data=made.numpy(), seed=request.seed, rate_hz=self.rate_hz)

    def decoding_digest(self) -> str | None:
        """A hash of the files beside the weights that `decoded` reads; refuses those it could not use."""
        return None

    def miniature(self) -> Path:
        """The weights that are shipped with this workload, where they are."""
        raise UnavailableError("ships no weights of its own", where=type(self).__name__)

    # --- what core asks of a workload -------------------------------------------------------------

    @property
    def rows_convention(self) -> RowConvention:
        convention: RowConvention = self.config.rows
        return convention

    def sites(self, request: DenoiseRequest) -> tuple[Site, ...]:  # noqa: ARG002  (the options decide)
        return tuple(layer.site for layer in self.layers())

    def weights_digest(self, request: DenoiseRequest) -> str | None:
        weights = self._weights(request)
        return None if weights is None else digest(weights)

    def inputs_digest(self, request: DenoiseRequest) -> str | None:  # noqa: ARG002
        # Asked while a run is planned: the time to refuse what could not be followed later.
        check_options(self.conditions(), self.config)
        return joint_digest(files_digest(self.config), self.decoding_digest())

    def denoise(
        self, request: DenoiseRequest, observers: Sequence[Observer], masks: MaskSet | None
    ) -> Samples:
        _check(request)
        device = torch.device(request.device)
        # inference_mode would do, but a tensor made in it can never be looked at with gradients again.
        with torch.no_grad(), _naming_shortage(request):
            denoiser = self._denoiser(request, device)
            masking = None if masks is None else self._masking(masks, request, device)
            passing = _Passing(observers, masking)
            # Where nobody looks and nothing is masked, the denoiser runs as if colfw were not there.
            watched = self.layers() if observers or masking else ()
            with watching(denoiser, {layer.linear2: passing.at(layer.site) for layer in watched}):
                batches = [self._batch(denoiser, request, first, passing) for first in self._firsts(request)]
            return self.decoded(torch.cat(batches), request)

    # --- how it is done ---------------------------------------------------------------------------

    def _masking(self, masks: MaskSet, request: DenoiseRequest, device: torch.device) -> Masking:
        sites = self.sites(request)
        return Masking(masks, sites, iterations=request.iterations, reuse=request.reuse, device=device)

    def _firsts(self, request: DenoiseRequest) -> range:
        return range(0, request.samples, self.config.batch_samples)

    def _batch(self, denoiser: nn.Module, request: DenoiseRequest, first: int, passing: _Passing) -> Tensor:
        device = torch.device(request.device)
        samples = min(self.config.batch_samples, request.samples - first)
        given = conditioning(
            self.conditions(), options=self.config, samples=samples, seed=request.seed, first_sample=first
        )
        noise = SeededNoise(seed=request.seed, first_sample=first, samples=samples, device=device)
        run = Generation(
            samples=samples,
            iterations=request.iterations,
            device=device,
            dtype=_dtype(request),
            conditioning={name: tensor.to(device) for name, tensor in given.items()},
            noise=noise,
            begin=passing.begin,
        )
        made = self.generate(denoiser, run).float().cpu()
        if made.shape[0] != samples:
            raise InvariantError(f"made {made.shape[0]} samples of {samples}", where=type(self).__name__)
        return made

    def _weights(self, request: DenoiseRequest) -> Path | None:
        if request.source is SourceKind.CHECKPOINT:
            if request.checkpoint is None:
                raise StudyError("needs the path of a checkpoint", where=type(self).__name__)
            return request.checkpoint
        return self.miniature() if request.source is SourceKind.MINIATURE else None

    def _denoiser(self, request: DenoiseRequest, device: torch.device) -> nn.Module:
        """The model with its weights; the last one is kept, because a study runs it once a mask."""
        identity = (
            *(type(self), evolve(self.config, conditioning=None), request.source, str(device)),
            *(request.precision, self.weights_digest(request)),
        )
        if _LAST and _LAST[0][0] == identity:
            return _LAST[0][1]
        _LAST.clear()  # before the next one is made: two may not fit
        model = self._loaded(request).eval().requires_grad_(requires_grad=False)
        # Not model.to: that of diffusers warns of its own way of choosing a precision.
        nn.Module.to(model, device, _dtype(request))
        _LAST.append((identity, model))
        return model

    def _loaded(self, request: DenoiseRequest) -> nn.Module:
        with without_initialisation():
            model = self.build()
        weights = self._weights(request)
        if weights is None:
            randomise(model, self.config.weights_seed, self.checkpoint_layout.computed)
        else:
            checkpoint = read_checkpoint(weights, self.checkpoint_layout)
            load_into(model, checkpoint.state, self.checkpoint_layout, where=str(weights))
        return model


_LAST: list[tuple[tuple[Any, ...], nn.Module]] = []
"""Identity and model of the denoiser that ran last in this process."""


class _Passing:
    """Shows activations to observers as they pass, each with its iteration, and masks them."""

    def __init__(self, observers: Sequence[Observer], masking: Masking | None) -> None:
        self._observers = observers
        self._masking = masking
        self._iteration: int | None = None
        self._calls: Counter[str] = Counter()

    def begin(self, iteration: int) -> None:
        if iteration != self._iteration:
            self._iteration = iteration
            self._calls.clear()

    def at(self, site: Site) -> Callable[[Tensor], Tensor | None]:
        def seen(activation: Tensor) -> Tensor | None:
            if self._iteration is None:
                raise InvariantError("ran before the first iteration began", where=f"site {site.name}")
            for observer in self._observers:
                observer.observe(site, self._iteration, activation)
            call = self._calls[site.name]
            self._calls[site.name] += 1
            if self._masking is None:
                return None
            return self._masking.apply(site, self._iteration, call, activation)

        return seen


def _dtype(request: DenoiseRequest) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, request.precision)
    return dtype


def _check(request: DenoiseRequest) -> None:
    for name in ("iterations", "samples"):
        if getattr(request, name) < 1:
            raise StudyError(f"must be at least 1, not {getattr(request, name)}", where=name)
    try:
        device = torch.device(request.device)
    except RuntimeError:
        raise StudyError(f"torch knows no device {request.device!r}", where="device") from None
    if device.type != "cpu" and not _is_present(device):
        raise UnavailableError(
            f"there is no device {request.device!r} here", where="device", hint="cpu always works"
        )


def _is_present(device: torch.device) -> bool:
    backend: Any = getattr(torch, device.type, None)
    if backend is None or not hasattr(backend, "is_available") or not backend.is_available():
        return False
    return bool((device.index or 0) < backend.device_count())  # without an index, it is the first


@contextmanager
def _naming_shortage(request: DenoiseRequest) -> Iterator[None]:
    """Say in one line that memory ran out, whatever torch calls it."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _shortage(request) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or "not enough memory" in str(error):
            raise _shortage(request) from error
        raise


def _shortage(request: DenoiseRequest) -> ColfwError:
    return ColfwError(
        f"the memory of device {request.device!r} ran out",
        where="denoising",
        hint="fewer batch_samples, precision = bfloat16, or a larger device",
    )
