"""The memory backend: any DRAM that is given as data, simulated command by command."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from colfw.dram.energy import energy_pj
from colfw.dram.spec import resolve
from colfw_memory.config import DramConfig, Refresh
from colfw_memory.controller.rules import check
from colfw_memory.mapping import mapping_of

if TYPE_CHECKING:
    from colfw.dram.counts import ChannelCounts
    from colfw.dram.energy import Energy
    from colfw.dram.requests import Replay, Trace
    from colfw.dram.spec import DramSpec
    from colfw.program import Program
    from colfw.timing import Timing
    from colfw_memory.controller.running import Runner


class SimulatedDram:
    """A DRAM in the hands of the controller; what compiles is imported when it first runs."""

    def __init__(self, spec: DramSpec, config: DramConfig | None) -> None:
        self.config = config or DramConfig()
        self.spec = spec
        self.device = resolve(
            spec, timing_overrides=self.config.timing, organisation_overrides=self.config.organisation
        )
        check(self.device, refreshed=self.config.refresh is not Refresh.NONE)
        self.channels = spec.channels if self.config.channels is None else self.config.channels
        self._runner: Runner | None = None
        mapping = spec.mapping if self.config.mapping is None else self.config.mapping
        self.mapping = mapping_of(mapping, self.device, self.channels)

    def replay(
        self,
        trace: Trace,
        *,
        log_commands: bool = False,
        clocks_apart: Fraction = Fraction(1),
        drain: bool = False,
    ) -> Replay:
        from colfw_memory.controller.replaying import Offered, replay  # noqa: PLC0415  (numba)

        how = Offered(clocks_apart=clocks_apart, drain=drain, log_commands=log_commands)
        return replay(self.device, self.mapping, self.channels, self.config, trace, how)

    def run(self, program: Program) -> Timing:
        from colfw_memory.controller.running import Runner, Simulated  # noqa: PLC0415  (numba)

        if self._runner is None:
            dram = Simulated(
                device=self.device, mapping=self.mapping, channels=self.channels, config=self.config
            )
            self._runner = Runner(dram)
        return self._runner.run(program)

    def energy(self, counts: ChannelCounts) -> Energy | None:
        """What these counts cost; None where no currents are known."""
        return energy_pj(counts, self.device, self.spec)
