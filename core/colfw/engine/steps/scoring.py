"""Stage `score`: generate again with the masks, and compare with the dense samples of the same seed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
from attrs import evolve

from colfw.engine.steps.profiling import PROFILE_FILE, SAMPLES_FILE
from colfw.engine.steps.requests import denoise_request
from colfw.errors import InvariantError, UnavailableError
from colfw.masks import MaskPolicy, masks_of
from colfw.plugins import guarded
from colfw.profile import ActivationProfile
from colfw.samples import Samples

if TYPE_CHECKING:
    from colfw.engine.tasks import Job

SCORE_FILE = "score.json"


def generate(job: Job) -> None:
    """Masked samples: same seed, same weights, columns masked where the profile found them cold."""
    profile = ActivationProfile.from_file(job.input_file("profile", PROFILE_FILE))
    masks = masks_of(profile, MaskPolicy(**job.task.payload["mask"]))
    workload = job.make("workload")
    with guarded(str(job.choice("workload").registered), "while it denoised with masks"):
        samples = workload.denoise(denoise_request(job), [], masks)
    job.write(SAMPLES_FILE, evolve(samples, mask_digest=masks.digest).to_bytes())


def score(job: Job) -> None:
    """One metric on one pair of sample sets; where it cannot be measured, the reason instead."""
    dense = Samples.from_file(job.input_file("dense", SAMPLES_FILE))
    masked = Samples.from_file(job.input_file("masked", SAMPLES_FILE))
    _check_pair(dense, masked)
    metric = job.choice("metric")
    result: dict[str, Any]
    try:
        with guarded(str(metric.registered), "while it scored"):
            result = attrs.asdict(metric.make().score(dense, masked))
    except UnavailableError as reason:
        result = {"unavailable": str(reason)}
    job.write(SCORE_FILE, json.dumps({**result, "mask_digest": masked.mask_digest}).encode())


def _check_pair(dense: Samples, masked: Samples) -> None:
    if dense.data.shape != masked.data.shape or dense.seed != masked.seed:
        raise InvariantError(
            f"dense {dense.data.shape} of seed {dense.seed} and masked {masked.data.shape}"
            f" of seed {masked.seed} are no pair",
            where="samples",
        )
