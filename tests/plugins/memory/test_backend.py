"""Every DRAM that comes with colfw keeps the contract of a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colfw.plugins import load_plugins
from colfw.testing.contracts import MemoryContract
from colfw.vocabulary import Kind

if TYPE_CHECKING:
    from colfw.protocols import Memory


def built_in_memories() -> list[str]:
    return [m.name for m in load_plugins().all(Kind.MEMORY) if m.owner.distribution == "colfw"]


class TestSimulatedDram(MemoryContract):
    """All of them, found as users find them."""

    @pytest.fixture(params=built_in_memories())
    def memory(self, request: pytest.FixtureRequest) -> Memory:
        memory: Memory = load_plugins().find(Kind.MEMORY, request.param).make(None)
        return memory
