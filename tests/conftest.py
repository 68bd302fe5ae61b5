"""What all tests share: how hard hypothesis tries, and where the golden data lies.

`COLFW_GOLDEN` may name a second folder of the layout of `tests/golden`; golden tests then run on both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from colfw.cli import main

# Tests of the command line get an empty cache each; what numba compiled should outlive them.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parents[1] / ".numba_cache"))

# Each worker of pytest-xdist has a core: more threads of torch would wait for one another, and not quietly.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

Colfw = Callable[..., tuple[int, str, str]]

# Time limits would make a busy machine fail tests, and a quick one find nothing that they are about.
_untimed = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # Explaining a failure takes longer than finding it, and names lines of numpy.
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
settings.register_profile("ci", parent=_untimed, derandomize=True, max_examples=50)
settings.register_profile("dev", parent=_untimed, max_examples=25)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_MORE_GOLDEN = os.environ.get("COLFW_GOLDEN")
GOLDEN_ROOTS = [Path(__file__).parent / "golden"] + ([Path(_MORE_GOLDEN)] if _MORE_GOLDEN else [])


def pytest_configure() -> None:
    for root in GOLDEN_ROOTS:
        if not root.is_dir():
            raise pytest.UsageError(
                f"golden data: {root} is no folder (tests/golden, or what COLFW_GOLDEN names)"
            )


@pytest.fixture(scope="session", params=GOLDEN_ROOTS, ids=["repository", "COLFW_GOLDEN"][: len(GOLDEN_ROOTS)])
def golden_root(request: pytest.FixtureRequest) -> Path:
    """A folder of golden data: each test that asks for it runs once for each such folder."""
    root: Path = request.param
    return root


@pytest.fixture
def colfw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Colfw:
    """Runs the command line in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLFW_CACHE", str(tmp_path / "cache"))
    for name in ("COLFW_RUNS", "COLFW_PLUGINS", "COLFW_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, out, err

    return call
