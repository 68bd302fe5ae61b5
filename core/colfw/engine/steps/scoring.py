"""Stage `score`: generate again with the masks, and compare with the dense samples of the same seed."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import attrs
from attrs import evolve

from colfw import features
from colfw.engine.steps.profiling import PROFILE_FILE, SAMPLES_FILE
from colfw.engine.steps.requests import denoise_request
from colfw.errors import InvariantError, UnavailableError
from colfw.masks import MaskPolicy, masks_of
from colfw.plugins import guarded
from colfw.profile import ActivationProfile
from colfw.records import MetricSpec
from colfw.samples import Samples
from colfw.vocabulary import MaskKind

if TYPE_CHECKING:
    from colfw.binding import Choice
    from colfw.engine.tasks import Job
    from colfw.samples import Score

SCORE_FILE = "score.json"


def generate(job: Job) -> None:
    """Masked samples: same seed, same weights, columns masked where the profile found them cold.

    The digest that they bear is that of the mask which was simulated; iteration 0 is dense in both. More
    samples than were profiled need a dense set of their own.
    """
    policy = MaskPolicy(**job.task.payload["mask"])
    if policy.kind is MaskKind.DENSE:
        masks, digest = None, None
    else:
        found = masks_of(ActivationProfile.from_file(job.input_file("profile", PROFILE_FILE)), policy)
        masks, digest = found.with_first_dense(), found.digest
    workload = job.make("workload")
    with guarded(str(job.choice("workload").registered), "while it generated samples"):
        samples = workload.denoise(denoise_request(job), [], masks)
    job.write(SAMPLES_FILE, evolve(samples, mask_digest=digest).to_bytes())


def score(job: Job) -> None:
    """One metric on one pair of sample sets; where it cannot be measured, the reason instead."""
    dense = Samples.from_file(job.input_file("dense", SAMPLES_FILE))
    masked = Samples.from_file(job.input_file("masked", SAMPLES_FILE))
    _check_pair(dense, masked)
    result: dict[str, Any]
    try:
        found, notes = _scored(job, dense, masked)
        result = {**attrs.asdict(found), "note": "; ".join(notes) or None}
    except UnavailableError as reason:
        result = {"note": str(reason)}
    job.write(SCORE_FILE, json.dumps({**result, "mask_digest": masked.mask_digest}).encode())


def _scored(job: Job, dense: Samples, masked: Samples) -> tuple[Score, list[str]]:
    """The score, and what the metric warns of."""
    metric = job.choice("metric")
    _check_suits(metric, dense)
    with (
        guarded(str(metric.registered), "while it scored"),
        features.kept_in(job.store.root / "features"),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", UserWarning)
        score: Score = metric.make().score(dense, masked)
    return score, [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


def _check_suits(metric: Choice, samples: Samples) -> None:
    """A workload may make less than it declares, such as latents for want of a decoder."""
    spec = metric.registered.record
    assert isinstance(spec, MetricSpec)
    if not spec.suits(samples.modality):
        raise UnavailableError(
            f"compares {' or '.join(spec.modalities)}, and these samples are {samples.modality}",
            hint="some workloads have an option for what turns them into that, such as `decoder`",
        )


def _check_pair(dense: Samples, masked: Samples) -> None:
    if dense.data.shape != masked.data.shape or dense.seed != masked.seed:
        raise InvariantError(
            f"dense {dense.data.shape} of seed {dense.seed} and masked {masked.data.shape}"
            f" of seed {masked.seed} are no pair",
            where="samples",
        )
