"""Stage `simulate`: lower every site of every iteration to a program and run it in the memory."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from colfw.engine.steps.placing import MASKS_FILE, PLACEMENT_FILE
from colfw.engine.steps.profiling import PROFILE_FILE
from colfw.errors import InvariantError
from colfw.masks import MaskSet
from colfw.placement import Placement
from colfw.plugins import guarded
from colfw.profile import ActivationProfile
from colfw.protocols import LoweringRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colfw.dram.counts import ChannelCounts
    from colfw.dram.energy import Energy
    from colfw.engine.tasks import Job
    from colfw.program import Program
    from colfw.protocols import Memory

TIMINGS_FILE = "timings.json"
CHANNELS_FILE = "channels.json"
"""What the channels of the memory counted: of each program that was run, and which site asked for it."""

_LATENCIES = "read_latency_clocks"


def simulate(job: Job) -> None:
    """Time every site of every iteration; each answer is held against the program that it answers."""
    accelerator = job.make("accelerator")
    clock = _Simulation(job.make("memory"), str(job.choice("memory").registered))
    rows: list[dict[str, Any]] = []
    sites: list[dict[str, Any]] = []
    for request in _requests(job):
        with guarded(str(job.choice("accelerator").registered), "while it lowered a site"):
            program = accelerator.lower(request)
        ran = clock.run(program)
        where = {"site": request.site.name, "iteration": request.iteration}
        rows.append({**where, **ran.totals})
        sites.append({**where, "program": ran.number})
        job.advance(float(len(rows)))
    job.write(TIMINGS_FILE, json.dumps(rows).encode())
    job.write(CHANNELS_FILE, json.dumps({"sites": sites, "programs": clock.channels}).encode())


@frozen
class _Ran:
    """A program that was run: where it comes among them, and its timing without the channels."""

    number: int
    totals: dict[str, Any]


class _Simulation:
    """Runs programs; equal programs are run once, because a memory is deterministic."""

    def __init__(self, memory: Memory, owner: str) -> None:
        self._memory = memory
        self._owner = owner
        self._known: dict[Program, _Ran] = {}
        self.channels: list[list[dict[str, Any]]] = []
        """Of each program that was run, what its channels counted."""

    def run(self, program: Program) -> _Ran:
        if program not in self._known:
            with guarded(self._owner, "while it ran a program"):
                timing = self._memory.run(program)
                timing.check_answers(program)
            totals = attrs.asdict(timing, filter=attrs.filters.exclude("channels"))
            self._known[program] = _Ran(len(self.channels), totals)
            self.channels.append([self._counted(counts) for counts in timing.channels])
        return self._known[program]

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
