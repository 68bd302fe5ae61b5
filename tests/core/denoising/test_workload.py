"""What the kit does for every torch workload, on the smallest one there is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from safetensors.torch import save_file
from torch import nn

from colfw.denoising import workload as kit
from colfw.denoising.options import DenoiserOptions
from colfw.denoising.workload import Condition, Layer, TorchWorkload
from colfw.errors import ColfwError, StoreError, StudyError, UnavailableError
from colfw.profile import ColumnMaxima
from colfw.protocols import DenoiseRequest
from colfw.sites import Ffn, Site
from colfw.testing.contracts import WorkloadContract
from colfw.vocabulary import Precision, Reuse, RowConvention, SourceKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from colfw.denoising.workload import Generation
    from colfw.samples import Samples


class Net(nn.Module):
    """x + W2 gelu(W1 x + condition)."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.act, self.down = nn.Linear(4, 24), nn.GELU(), nn.Linear(24, 4)

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        result: Tensor = x + self.down(self.act(self.up(x + shift)))
        return result


class Small(TorchWorkload):
    """Refines noise by two forwards an iteration."""

    modality = "vector"
    rate_hz = 30.0

    def layers(self) -> tuple[Layer, ...]:
        site = Site(name="act", rows=6, columns=24, operator=Ffn(d_in=4, d_out=4))
        return (Layer(site=site, linear2="down"),)

    def build(self) -> Net:
        return Net()

    def conditions(self) -> Mapping[str, Condition]:
        return {"shift": Condition(shape=(3, 4), what="a shift")}

    def generate(self, denoiser: Any, run: Generation) -> Tensor:
        x = run.noise((run.samples, 3, 4))
        for iteration in range(run.iterations):
            run.begin(iteration)
            shift = run.conditioning["shift"].to(run.dtype)
            led, free = (denoiser(x.to(run.dtype), by).float() for by in (shift, shift * 0))
            x = x + 0.1 * (led + free) + 0.01 * run.noise(x.shape)
        return x


REQUEST = DenoiseRequest(source=SourceKind.RANDOM, iterations=3, samples=3, seed=5, thresholds=(0.1, 0.5))


@pytest.fixture
def small() -> Small:
    return Small(DenoiserOptions())


class TestSmall(WorkloadContract):
    """The kit keeps the contract of workloads."""

    @pytest.fixture
    def workload(self) -> Small:
        return Small(DenoiserOptions(batch_samples=2))

    @pytest.fixture
    def denoise_request(self) -> DenoiseRequest:
        return REQUEST


class TestSmallStale(TestSmall):
    """So it does where cold columns keep their old values."""

    @pytest.fixture
    def denoise_request(self) -> DenoiseRequest:
        return evolve(REQUEST, reuse=Reuse.STALE)


def profiled(workload: Small, request: DenoiseRequest) -> ColumnMaxima:
    fold = ColumnMaxima(workload.sites(request), iterations=request.iterations, thresholds=(0.1,))
    workload.denoise(request, [fold], None)
    return fold


def test_every_pass_and_sample_is_folded(small: Small) -> None:
    """Both passes of every sample belong to their iteration: rows x columns x samples elements."""
    [profile] = profiled(small, REQUEST).site_profiles()
    assert profile.elements.tolist() == [6 * 24 * 3] * 3


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_batches_do_not_matter(small: Small, batch: int) -> None:
    """Samples are the same however many run together, but for the last bits of a sum."""
    together = Small(DenoiserOptions(batch_samples=batch)).denoise(REQUEST, [], None)
    assert together.data.shape == (3, 3, 4)
    assert together.rate_hz == 30.0
    np.testing.assert_allclose(together.data, small.denoise(REQUEST, [], None).data, atol=1e-6)


class Halved(Small):
    """Decodes: samples are halves of what the loop makes, which stays with them."""

    def decoded(self, made: Tensor, request: DenoiseRequest) -> Samples:
        samples = super().decoded(made, request)
        return evolve(samples, modality="half", data=samples.data / 2, views={"whole": samples.data})

    def decoding_digest(self) -> str | None:
        return "of a decoder"


def test_what_the_loop_made_is_decoded_once_for_all() -> None:
    """All samples are decoded after the last iteration, and nothing else of them changes."""
    options = DenoiserOptions(batch_samples=2)
    whole, half = (kind(options).denoise(REQUEST, [], None) for kind in (Small, Halved))
    assert (whole.modality, half.modality) == ("vector", "half")
    np.testing.assert_array_equal(half.data, whole.data / 2)
    np.testing.assert_array_equal(half.view("whole"), whole.data)
    assert (half.seed, half.rate_hz) == (REQUEST.seed, 30.0)


def test_decoding_tells_inputs_apart(tmp_path: Path) -> None:
    """What decodes counts as what the model is conditioned on does, and beside it."""
    np.savez(tmp_path / "given.npz", shift=np.zeros((3, 4), np.float32))
    options = (DenoiserOptions(), DenoiserOptions(conditioning=tmp_path / "given.npz"))
    digests = [kind(option).inputs_digest(REQUEST) for kind in (Small, Halved) for option in options]
    assert len(set(digests)) == 4
    assert digests[0] is None


def test_weights_are_kept_between_runs(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights are made once; other weights are made anew."""
    kit._LAST.clear()
    built = []
    monkeypatch.setattr(Small, "build", lambda self: built.append(self) or Net())
    first = small.denoise(REQUEST, [], None)
    Small(DenoiserOptions()).denoise(evolve(REQUEST, seed=6), [], None)
    assert len(built) == 1
    other = Small(DenoiserOptions(weights_seed=1)).denoise(REQUEST, [], None)
    assert len(built) == 2
    assert not np.array_equal(first.data, other.data)


def test_precision_is_what_was_asked(small: Small) -> None:
    """The denoiser computes in the precision of the request, and observers see it."""
    seen: list[torch.dtype] = []
    observer = SimpleNamespace(observe=lambda site, iteration, activation: seen.append(activation.dtype))
    coarse = small.denoise(evolve(REQUEST, precision=Precision.BFLOAT16), [observer], None)
    assert set(seen) == {torch.bfloat16}
    fine = small.denoise(REQUEST, [], None)
    assert not np.array_equal(coarse.data, fine.data)
    np.testing.assert_allclose(coarse.data, fine.data, atol=0.1)


def test_the_convention_of_rows_is_told() -> None:
    """Tables ask the workload how it counts rows."""
    assert Small(DenoiserOptions(rows=RowConvention.PAPER)).rows_convention is RowConvention.PAPER


def test_a_checkpoint_is_loaded(small: Small, tmp_path: Path) -> None:
    """Weights from a file decide the samples, and their hash tells them apart."""
    state = Net().state_dict()
    save_file(state, tmp_path / "one.safetensors")
    save_file({key: tensor * 2 for key, tensor in state.items()}, tmp_path / "two.safetensors")
    requests = [
        evolve(REQUEST, source=SourceKind.CHECKPOINT, checkpoint=tmp_path / f"{name}.safetensors")
        for name in ("one", "two")
    ]
    one, two = (small.denoise(request, [], None).data for request in requests)
    assert not np.array_equal(one, two)
    assert small.weights_digest(requests[0]) != small.weights_digest(requests[1])
    assert small.weights_digest(REQUEST) is None


def test_conditioning_that_does_not_fit_is_refused_while_planning(tmp_path: Path) -> None:
    """A file of another modality is refused when the run is planned, by name and with what is wanted."""
    np.savez(tmp_path / "given.npz", shift=np.zeros((2, 5), np.float32))
    workload = Small(DenoiserOptions(conditioning=tmp_path / "given.npz"))
    with pytest.raises(ColfwError, match=r"given\.npz.*shift"):
        workload.inputs_digest(REQUEST)
    assert Small(DenoiserOptions()).inputs_digest(REQUEST) is None


def test_a_wrong_checkpoint_is_refused(small: Small, tmp_path: Path) -> None:
    """Keys that are missing are named with the file, and the next run is none the worse."""
    before = small.denoise(REQUEST, [], None).data
    path = tmp_path / "other.safetensors"
    save_file({"up.weight": torch.zeros(24, 4)}, path)
    request = evolve(REQUEST, source=SourceKind.CHECKPOINT, checkpoint=path)
    with pytest.raises(StoreError, match=r"other\.safetensors.*up\.bias"):
        small.denoise(request, [], None)
    assert np.array_equal(small.denoise(REQUEST, [], None).data, before)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"iterations": 0}, StudyError, "iterations: must be at least 1, not 0"),
        ({"iterations": -2}, StudyError, "iterations: must be at least 1, not -2"),
        ({"samples": 0}, StudyError, "samples: must be at least 1, not 0"),
        ({"source": SourceKind.CHECKPOINT}, StudyError, "needs the path of a checkpoint"),
        ({"source": SourceKind.MINIATURE}, UnavailableError, "ships no weights of its own"),
        ({"device": "cudda"}, StudyError, "torch knows no device"),
        ({"device": "cuda:99"}, UnavailableError, "there is no device 'cuda:99' here"),
    ],
)
def test_refused(small: Small, change: dict[str, Any], kind: type[ColfwError], message: str) -> None:
    """What cannot run is refused in one line before a model is built."""
    with pytest.raises(kind, match=message):
        small.denoise(evolve(REQUEST, **change), [], None)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
    ],
)
def test_out_of_memory(small: Small, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever torch calls it, the user reads that memory ran out and what to try."""

    def run_out(*_: object) -> Tensor:
        raise error

    monkeypatch.setattr(small, "generate", run_out)
    with pytest.raises(ColfwError, match=r"the memory of device 'cpu' ran out .*batch_samples"):
        small.denoise(REQUEST, [], None)


def test_other_runtime_errors_stay_what_they_are(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug keeps its traceback."""

    def fail(*_: object) -> Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(small, "generate", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        small.denoise(REQUEST, [], None)
