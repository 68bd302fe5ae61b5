"""The denoising request of a task: in plain data while it travels, typed where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from colfw.protocols import DenoiseRequest
from colfw.vocabulary import Precision, Reuse, SourceKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from colfw.engine.tasks import Job


def request_data(request: DenoiseRequest) -> dict[str, Any]:
    """What of a request decides its result: everything but where the checkpoint lies."""
    return {
        "source": str(request.source),
        "iterations": request.iterations,
        "samples": request.samples,
        "seed": request.seed,
        "thresholds": list(request.thresholds),
        "reuse": str(request.reuse),
        # Another device or precision rounds differently.
        "device": request.device,
        "precision": str(request.precision),
    }


def request_from(data: Mapping[str, Any], checkpoint: str | None) -> DenoiseRequest:
    return DenoiseRequest(
        source=SourceKind(data["source"]),
        iterations=data["iterations"],
        samples=data["samples"],
        seed=data["seed"],
        thresholds=tuple(data["thresholds"]),
        reuse=Reuse(data["reuse"]),
        device=data["device"],
        precision=Precision(data["precision"]),
        checkpoint=None if checkpoint is None else Path(checkpoint),
    )


def denoise_request(job: Job) -> DenoiseRequest:
    return request_from(job.task.payload["request"], job.task.local.get("checkpoint"))
