"""Workers share the machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colfw.engine.executors import threads_of_each


@given(workers=st.integers(1, 64), cores=st.integers(1, 64))
def test_workers_share_the_cores(workers: int, cores: int) -> None:
    """Together they use no more threads than there are cores, unless there are more workers than cores."""
    threads = threads_of_each(workers, cores)
    assert threads >= 1
    assert threads * workers <= max(cores, workers)
    assert (threads + 1) * workers > cores
