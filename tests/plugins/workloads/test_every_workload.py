"""Every built-in workload keeps the contract, at a size that a test can afford, and what its record says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from colfw.observing.discovery import discovering
from colfw.plugins import load_plugins
from colfw.profile import ColumnMaxima
from colfw.protocols import DenoiseRequest
from colfw.testing.contracts import WorkloadContract
from colfw.typed import structure
from colfw.vocabulary import Kind, SourceKind

if TYPE_CHECKING:
    from colfw.plugins import Registered

BUILT_IN = [
    registered for registered in load_plugins().all(Kind.WORKLOAD) if registered.owner.distribution == "colfw"
]


def made(registered: Registered, **options: Any) -> Any:
    """The workload at its preset `tiny`, or as it is where it is tiny already."""
    config: Any = registered.config_class()
    preset = registered.record.presets.get("tiny", {})
    return registered.make(structure(config, {**preset, **options}, where=str(registered)))


def request_for(registered: Registered) -> DenoiseRequest:
    return DenoiseRequest(source=SourceKind.RANDOM, iterations=3, samples=2, seed=5, thresholds=(0.1, 0.5))


@pytest.fixture(params=BUILT_IN, ids=[registered.record.name for registered in BUILT_IN])
def registered(request: pytest.FixtureRequest) -> Registered:
    found: Registered = request.param
    return found


class TestEveryWorkload(WorkloadContract):
    """The promises of the kind."""

    @pytest.fixture
    def workload(self, registered: Registered) -> Any:
        return made(registered)

    @pytest.fixture
    def denoise_request(self, registered: Registered) -> DenoiseRequest:
        return request_for(registered)


def test_it_makes_what_its_record_says(registered: Registered) -> None:
    """Modality and number of samples are as declared; what is not decoded says so after the modality."""
    workload, request = made(registered), request_for(registered)
    samples = workload.denoise(request, [], None)
    declared = registered.record.modality  # type: ignore[attr-defined]
    assert samples.modality in {declared, f"{declared}-latent", f"{declared}-features"}
    assert samples.data.shape[0] == request.samples


def test_rows_are_those_that_it_runs(registered: Registered) -> None:
    """By the official convention, a site has as many rows as one iteration of one sample shows."""
    workload, request = made(registered), request_for(registered)
    fold = ColumnMaxima(workload.sites(request), iterations=request.iterations, thresholds=())
    workload.denoise(request, [fold], None)
    for entry in fold.site_profiles():
        expected = entry.site.rows * entry.site.columns * request.samples
        assert entry.elements[1:].tolist() == [expected] * (request.iterations - 1)


def test_discovery_finds_the_declared_sites(registered: Registered) -> None:
    """The profiler, which knows no model, finds the sites that the workload declares, in order."""
    workload, request = made(registered), request_for(registered)
    declared = [(layer.site.name, layer.linear2, layer.site.columns) for layer in workload.layers()]
    operators = [layer.site.operator for layer in workload.layers()]
    workload.denoise(request, [], None)
    from colfw.denoising import workload as kit  # noqa: PLC0415

    [(_, model)] = kit._LAST
    with torch.no_grad(), discovering(model) as discovery:
        workload.denoise(request, [], None)
    found = discovery.found
    assert [(ffn.site, ffn.linear2, ffn.columns) for ffn in found] == declared
    assert [(ffn.d_in, ffn.d_out, ffn.gated) for ffn in found] == [
        (operator.d_in, operator.d_out, operator.gated) for operator in operators
    ]
