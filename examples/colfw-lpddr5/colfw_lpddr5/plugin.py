"""What this distribution plugs in: one DRAM, simulated by colfw's own controller."""

from collections.abc import Iterator

from colfw import hookimpl
from colfw.records import MemorySpec


@hookimpl
def colfw_memories() -> Iterator[MemorySpec]:
    yield MemorySpec(
        name="lpddr5-6400",
        summary="one channel of 16 bits of LPDDR5-6400, 8 Gb, bank-group mode; from public sources",
        api_version=1,
        factory="colfw_memory.backend:SimulatedDram",
        config="colfw_memory.config:DramConfig",
        standard="colfw_lpddr5.standard:LPDDR5_6400",
        validated=None,  # compared with nothing: `colfw dram specs` says so
    )
