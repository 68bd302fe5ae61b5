"""Stage `simulate`: lower every site of every iteration to a program and run it in the memory."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import attrs

from colfw.engine.steps.placing import MASKS_FILE, PLACEMENT_FILE
from colfw.engine.steps.profiling import PROFILE_FILE
from colfw.errors import InvariantError
from colfw.masks import MaskSet
from colfw.placement import Placement
from colfw.plugins import guarded
from colfw.profile import ActivationProfile
from colfw.protocols import LoweringRequest
from colfw.store.objects import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colfw.dram.counts import ChannelCounts
    from colfw.dram.energy import Energy
    from colfw.engine.tasks import Job
    from colfw.program import Program
    from colfw.protocols import Memory

TIMINGS_FILE = "timings.json"
"""Of each program that was run, its timing, what its channels counted, and which tensors it moved; and
which site asked for it in which iteration."""

_LATENCIES = "read_latency_clocks"


def simulate(job: Job) -> None:
    """Time every site of every iteration; each answer is held against the program that it answers."""
    accelerator = job.make("accelerator")
    clock = _Simulation(_memory_of(job))
    sites: list[dict[str, Any]] = []
    for request in _requests(job):
        with guarded(str(job.choice("accelerator").registered), "while it lowered a site"):
            program = accelerator.lower(request)
        number = clock.run(program)
        sites.append({"site": request.site.name, "iteration": request.iteration, "program": number})
        job.advance(float(len(sites)))
    job.write(TIMINGS_FILE, json.dumps({"sites": sites, "programs": clock.programs}).encode())


_PROGRAMS_KEPT = 4096
"""With what was found of them: some tens of kilobytes each."""
_MEMORIES_KEPT = 2
"""A study has few machines; what a memory has learnt of one task saves time in the next."""
_memories: dict[str, _RememberedMemory] = {}


def _memory_of(job: Job) -> _RememberedMemory:
    """The memory of a task: the one that an earlier task of this process left, if it is the same."""
    digest = digest_of(job.task.payload["plugins"]["memory"])
    if digest not in _memories:
        if len(_memories) >= _MEMORIES_KEPT:
            del _memories[next(iter(_memories))]
        _memories[digest] = _RememberedMemory(job.make("memory"), str(job.choice("memory").registered))
    return _memories[digest]


class _Simulation:
    """The programs of one task, numbered as they are first met."""

    def __init__(self, memory: _RememberedMemory) -> None:
        self._memory = memory
        self._numbers: dict[int, int] = {}
        self.programs: list[dict[str, Any]] = []
        """What is kept of each program."""

    def run(self, program: Program) -> int:
        """The number of a program among those of this task."""
        found = self._memory.run(program)
        # Equal programs have one record, whichever task ran it first.
        if id(found) not in self._numbers:
            self._numbers[id(found)] = len(self.programs)
            self.programs.append(found)
        return self._numbers[id(found)]


class _RememberedMemory:
    """A memory and what it said of the programs that it ran last: it is deterministic, so equal ones are
    run once.
    """

    def __init__(self, memory: Memory, owner: str) -> None:
        self._memory = memory
        self._owner = owner
        self._known: dict[Program, dict[str, Any]] = {}

    def run(self, program: Program) -> dict[str, Any]:
        if program not in self._known:
            if len(self._known) >= _PROGRAMS_KEPT:
                del self._known[next(iter(self._known))]
            self._known[program] = self._simulated(program)
        return self._known[program]

    def _simulated(self, program: Program) -> dict[str, Any]:
        with guarded(self._owner, "while it ran a program"):
            timing = self._memory.run(program)
            timing.check_answers(program)
        return {
            "timing": attrs.asdict(timing, filter=attrs.filters.exclude("channels")),
            "bytes_of_tensor": dict(program.work.bytes_of_tensor),
            "channels": [self._counted(counts) for counts in timing.channels],
        }

    def _counted(self, counts: ChannelCounts) -> dict[str, Any]:
        """The totals of a channel, and of its read latencies a few numbers instead of every one."""
        return {
            "counts": attrs.asdict(counts, filter=attrs.filters.exclude(_LATENCIES)),
            _LATENCIES: counts.read_latency_summary,
            "energy": self._energy(counts),
        }

    def _energy(self, counts: ChannelCounts) -> dict[str, Any] | None:
        """What the memory says these counts cost; None from one that does not say."""
        cost: Callable[[ChannelCounts], Energy | None] | None = getattr(self._memory, "energy", None)
        if cost is None:
            return None
        with guarded(self._owner, "while it worked out energy"):
            energy = cost(counts)
            if energy is None:
                return None
            if not 0 <= energy.total_pj < math.inf:
                raise InvariantError(f"{energy.total_pj} pJ is no energy")
            return {"total_pj": energy.total_pj, "missing_states": list(energy.missing_states)}


def _requests(job: Job) -> Iterator[LoweringRequest]:
    profile = ActivationProfile.from_file(job.input_file("profile", PROFILE_FILE))
    masks = MaskSet.from_file(job.input_file("placement", MASKS_FILE))
    placement = Placement.from_file(job.input_file("placement", PLACEMENT_FILE))
    sites = tuple(mask.site for mask in masks.sites)
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
                sites=sites,
                statistics=statistics,
            )
