"""Stage `simulate`: lower every site of every iteration to a program and run it in the memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from colfw.engine.steps.placing import MASKS_FILE, PLACEMENT_FILE
from colfw.engine.steps.profiling import PROFILE_FILE
from colfw.masks import MaskSet
from colfw.placement import Placement
from colfw.plugins import guarded
from colfw.profile import ActivationProfile
from colfw.protocols import LoweringRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colfw.engine.tasks import Job
    from colfw.program import Program
    from colfw.protocols import Memory
    from colfw.timing import Timing

TIMINGS_FILE = "timings.json"


def simulate(job: Job) -> None:
    """Time every site of every iteration; each answer is held against the program that it answers."""
    accelerator = job.make("accelerator")
    clock = _Simulation(job.make("memory"), str(job.choice("memory").registered))
    rows: list[dict[str, Any]] = []
    for request in _requests(job):
        with guarded(str(job.choice("accelerator").registered), "while it lowered a site"):
            program = accelerator.lower(request)
        timing = clock.time(program)
        rows.append({"site": request.site.name, "iteration": request.iteration, **attrs.asdict(timing)})
        job.advance(float(len(rows)))
    job.write(TIMINGS_FILE, json.dumps(rows).encode())


class _Simulation:
    """Runs programs; equal programs are run once, because a memory is deterministic."""

    def __init__(self, memory: Memory, owner: str) -> None:
        self._memory = memory
        self._owner = owner
        self._known: dict[Program, Timing] = {}

    def time(self, program: Program) -> Timing:
        if program not in self._known:
            with guarded(self._owner, "while it ran a program"):
                timing = self._memory.run(program)
                timing.check_answers(program)
            self._known[program] = timing
        return self._known[program]


def _requests(job: Job) -> Iterator[LoweringRequest]:
    profile = ActivationProfile.from_file(job.input_file("profile", PROFILE_FILE))
    masks = MaskSet.from_file(job.input_file("placement", MASKS_FILE))
    placement = Placement.from_file(job.input_file("placement", PLACEMENT_FILE))
    for mask, placed in zip(masks.sites, placement.sites, strict=True):
        name = mask.site.name
        statistics = {
            observer: found[name] for observer, found in profile.statistics.items() if name in found
        }
        for iteration in range(mask.hot.shape[0]):
            yield LoweringRequest(
                site=mask.site,
                iteration=iteration,
                mask=mask,
                placement=placed,
                statistics=statistics,
            )
