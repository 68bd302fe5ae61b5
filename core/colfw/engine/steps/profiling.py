"""Stage `profile`: run the denoiser once, dense, and keep what its activations showed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from colfw.engine.steps.requests import denoise_request
from colfw.errors import InvariantError
from colfw.plugins import guarded
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance
from colfw.vocabulary import RowConvention, SourceKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.engine.tasks import Job
    from colfw.protocols import DenoiseRequest, Observer
    from colfw.sites import Site

PROFILE_FILE = "profile.safetensors"
SAMPLES_FILE = "samples.safetensors"


def profile(job: Job) -> None:
    """Measure a profile and the dense samples; or have it synthesised, and then there are no samples."""
    request = denoise_request(job)
    if request.source is SourceKind.PUBLISHED:
        _synthesise(job, request)
    else:
        _measure(job, request)


def _synthesise(job: Job, request: DenoiseRequest) -> None:
    workload = job.make("workload")
    with guarded(str(job.choice("workload").registered), "while it synthesised a profile"):
        profile = workload.synthesise(request)
        stated = evolve(profile, provenance=_provenance(job, request, workload))
    job.write(PROFILE_FILE, stated.to_bytes())


def _measure(job: Job, request: DenoiseRequest) -> None:
    workload = job.make("workload")
    observer_names = [role for role in job.task.payload["plugins"] if role.startswith("observer ")]
    with guarded(str(job.choice("workload").registered), "while it denoised"):
        sites = workload.sites(request)
        if not sites:
            raise InvariantError("has no site to observe")
        maxima = ColumnMaxima(sites, iterations=request.iterations, thresholds=request.thresholds)
        further: dict[str, Observer] = {
            role.removeprefix("observer "): job.make(role).start(sites, iterations=request.iterations)
            for role in observer_names
        }
        watched = [maxima, *further.values(), _Clock(job.advance, request.samples)]
        samples = workload.denoise(request, watched, None)
    measured = ActivationProfile(
        provenance=_provenance(job, request, workload),
        thresholds=request.thresholds,
        sites=maxima.site_profiles(),
        statistics={name: observer.statistics() for name, observer in further.items()},
    )
    job.write(PROFILE_FILE, measured.to_bytes())
    job.write(SAMPLES_FILE, samples.to_bytes())


def _provenance(job: Job, request: DenoiseRequest, workload: Any) -> Provenance:
    return Provenance(
        workload=job.task.payload["plugins"]["workload"]["plugin"],
        source=request.source,
        seed=request.seed,
        samples=request.samples,
        iterations=request.iterations,
        weights_digest=job.task.payload["weights_digest"],
        options=job.task.payload["plugins"]["workload"]["options"] or {},
        rows_convention=getattr(workload, "rows_convention", RowConvention.OFFICIAL),
    )


class _Clock:
    """An observer that looks at no activation: it tells the progress display which iteration it is."""

    def __init__(self, advance: Callable[[float], None], samples: int) -> None:
        self._advance = advance
        self._samples = samples
        self._iteration = -1

    def observe(self, site: Site, iteration: int, activation: Any) -> None:  # noqa: ARG002
        if iteration > self._iteration:
            self._iteration = iteration
            self._advance(float(iteration * self._samples))

    def statistics(self) -> dict[str, Any]:
        return {}
