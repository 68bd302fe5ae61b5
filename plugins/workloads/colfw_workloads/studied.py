"""The base of the seven workloads of the study, whose published statistics can stand for their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from colfw.denoising.workload import TorchWorkload
from colfw.profile import ActivationProfile, Provenance
from colfw_workloads.published import synthesise

if TYPE_CHECKING:
    from colfw.protocols import DenoiseRequest


class StudiedWorkload(TorchWorkload):
    """A torch workload of which the study published how sparse it is."""

    name: ClassVar[str]
    """Under which its statistics are found."""

    def synthesise(self, request: DenoiseRequest) -> ActivationProfile:
        """A profile with the published statistics at this workload's sites; no model is built."""
        profiles = synthesise(
            self.name,
            self.sites(request),
            iterations=request.iterations,
            samples=request.samples,
            seed=request.seed,
            thresholds=request.thresholds,
        )
        origin = Provenance(
            workload=self.name,
            source=request.source,
            seed=request.seed,
            samples=request.samples,
            iterations=request.iterations,
            rows_convention=self.rows_convention,
        )
        return ActivationProfile(provenance=origin, thresholds=request.thresholds, sites=profiles)
