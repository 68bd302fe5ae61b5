"""Noise schedules against the official arrays, and which timesteps a run visits."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import ColfwError, InvariantError
from colfw_workloads.samplers.ddim import dynamic_rescale, largest_deviation
from colfw_workloads.samplers.ddpm import Posterior
from colfw_workloads.samplers.guidance import ramp
from colfw_workloads.samplers.schedules import (
    Schedule,
    leading,
    leading_steps,
    spread,
    trailing,
    trailing_steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FLOAT32 = 2e-6
"""Relative: most official schedules are float32, ours are float64 throughout."""
SUMMED_IN_FLOAT32 = 2e-5
"""Relative: EDGE multiplies a thousand float32 values; only its noisiest timestep is that far off."""

Golden = dict[str, Any]


def arrays(root: Path, name: str) -> Golden:
    with np.load(root / "samplers" / f"{name}.npz") as file:
        found: Golden = {key.removeprefix("schedule."): file[key] for key in file.files}
    found["draws"] = json.loads(str(found["meta"]))["draws"]
    return found


@pytest.mark.parametrize(
    ("name", "schedule", "kind"),
    [
        ("dit-xl-2.ddpm50", Schedule.linear(), "base_"),
        ("sd-v1-4.plms", Schedule.scaled_linear(), ""),
        ("sd-v1-4.pndm", Schedule.scaled_linear(), ""),
        ("sd-v1-4.ddim", Schedule.scaled_linear(), ""),
        ("make-an-audio.ddim", Schedule.scaled_linear(), ""),
        ("videocrafter2.ddim", Schedule.scaled_linear(), ""),
        ("mdm.ddpm-native50", Schedule.cosine(50), ""),
        ("mdm.ddpm-respaced50", Schedule.cosine(), "base_"),
        ("mld.ddim", Schedule.scaled_linear(), ""),
        ("edge.ddim", Schedule.cosine(), ""),
        ("edge.long-ddim", Schedule.cosine(), ""),
    ],
)
def test_schedules_are_the_official_ones(golden_root: Path, name: str, schedule: Schedule, kind: str) -> None:
    """Betas and their products are those of the official loops, to the rounding of the official type."""
    official = arrays(golden_root, name)
    np.testing.assert_allclose(schedule.betas, official[f"{kind}betas"], rtol=FLOAT32)
    rounding = SUMMED_IN_FLOAT32 if name.startswith("edge") else FLOAT32
    np.testing.assert_allclose(schedule.alphas_cumprod, official[f"{kind}alphas_cumprod"], rtol=rounding)


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("dit-xl-2.ddpm50", Schedule.linear()),
        ("mdm.ddpm-respaced50", Schedule.cosine()),
        ("mdm.ddpm-native50", Schedule.cosine(50)),
    ],
)
def test_respaced_coefficients_are_the_official_ones(
    golden_root: Path, name: str, schedule: Schedule
) -> None:
    """Kept timesteps, their betas and the posterior's coefficients equal the official float64 ones."""
    official = arrays(golden_root, name)
    kept = schedule.keeping(spread(len(schedule), 50))
    posterior = Posterior.of(kept)
    assert spread(len(schedule), 50)[::-1] == official["timestep_map"].tolist()
    exactly = {"rtol": 1e-9}
    np.testing.assert_allclose(kept.betas, official["betas"], **exactly)
    np.testing.assert_allclose(kept.alphas_cumprod, official["alphas_cumprod"], **exactly)
    np.testing.assert_allclose(posterior.of_clean, official["posterior_mean_coef1"], **exactly)
    np.testing.assert_allclose(posterior.of_noisy, official["posterior_mean_coef2"], **exactly)
    variances = np.log(posterior.variance[1:])
    np.testing.assert_allclose(variances, official["posterior_log_variance_clipped"][1:], **exactly)


@pytest.mark.parametrize(
    ("name", "eta"), [("sd-v1-4.ddim", 0), ("make-an-audio.ddim", 0), ("videocrafter2.ddim", 1)]
)
def test_ddim_coefficients_are_the_official_ones(golden_root: Path, name: str, eta: float) -> None:
    """Timesteps, shares before and after, and the deviation of added noise equal the official ones."""
    official = arrays(golden_root, name)
    steps = leading_steps(Schedule.scaled_linear(), 50)
    assert [step.timestep for step in steps] == official["timesteps_visited"].tolist()
    np.testing.assert_allclose([step.alpha for step in steps], official["a_t"], rtol=FLOAT32)
    np.testing.assert_allclose([step.next_alpha for step in steps], official["a_prev"], rtol=FLOAT32)
    deviations = [eta * largest_deviation(step) for step in steps]
    np.testing.assert_allclose(deviations, official["sigma_t"], rtol=2e-5)


def test_videocrafter_rescales_by_the_official_sizes(golden_root: Path) -> None:
    """Sizes of clean samples fall from 1 to 0.7 over the first 400 timesteps and stay there."""
    official = arrays(golden_root, "videocrafter2.ddim")
    np.testing.assert_allclose(dynamic_rescale(), official["scale_arr"][:1000], rtol=FLOAT32)
    steps = leading_steps(Schedule.scaled_linear(), 50)
    after = [dynamic_rescale()[step.next_timestep] for step in steps]
    np.testing.assert_allclose(after, official["scale_prev"], rtol=FLOAT32)


@pytest.mark.parametrize("name", ["edge.ddim", "edge.long-ddim"])
def test_coefficients_of_edge_are_the_official_ones(golden_root: Path, name: str) -> None:
    """Timesteps, the deviation of added noise and the long loop's rising guidance are EDGE's."""
    official = arrays(golden_root, name)
    steps = trailing_steps(Schedule.cosine(), 50)
    assert [step.timestep for step in steps] == official["timesteps_visited"].tolist()
    assert [step.next_timestep for step in steps] == official["timesteps_next"].tolist()
    np.testing.assert_allclose(
        [step.next_alpha for step in steps], official["alpha_next"], rtol=SUMMED_IN_FLOAT32
    )
    deviations = [largest_deviation(step) for step in steps[:-1]]
    np.testing.assert_allclose(deviations, official["sigma"][:-1], rtol=1e-4)
    scale = ramp(2.0, 50) if "long" in name else [2.0] * 50
    np.testing.assert_allclose(scale, official["guidance_weight"], rtol=1e-12)


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int]:
    """So many timesteps of training, and so many iterations of a run."""
    length = draw(st.integers(1, 1200))
    return length, draw(st.integers(1, length))


@pytest.mark.parametrize("timesteps", [leading, spread, trailing])
@given(run=runs())
def test_timesteps_fall_strictly_within_the_schedule(
    timesteps: Callable[[int, int], list[int]], run: tuple[int, int]
) -> None:
    """Any number of iterations visits exactly so many timesteps, each lower than the one before."""
    length, steps = run
    visited = timesteps(length, steps)
    assert len(visited) == steps
    assert all(later < earlier for earlier, later in pairwise(visited))
    assert length > visited[0]
    assert visited[-1] >= 0


@given(run=runs())
def test_where_runs_begin_and_end(run: tuple[int, int]) -> None:
    """`trailing` begins at the noisiest timestep, `leading` ends at 1 where it can, `spread` covers all."""
    length, steps = run
    assert trailing(length, steps)[0] == length - 1
    assert leading(length, steps)[-1] == (0 if steps == length else 1)
    assert spread(length, steps)[-1] == 0
    assert steps == 1 or spread(length, steps)[0] == length - 1


@pytest.mark.parametrize("timesteps", [leading, spread, trailing])
@given(length=st.integers(1, 1200))
def test_as_many_iterations_as_timesteps_visit_them_all(
    timesteps: Callable[[int, int], list[int]], length: int
) -> None:
    """A run of all timesteps is the training's own sequence, backwards."""
    assert timesteps(length, length) == list(reversed(range(length)))


@pytest.mark.parametrize("timesteps", [leading, spread, trailing])
@pytest.mark.parametrize("steps", [-1, 0, 51])
def test_an_impossible_number_of_iterations_is_refused(
    timesteps: Callable[[int, int], list[int]], steps: int
) -> None:
    """None, fewer, or more than the schedule has: one line that names `iterations` and what is possible."""
    with pytest.raises(ColfwError) as refused:
        timesteps(50, steps)
    assert str(refused.value) == (
        f"iterations: {steps} asked for, but this model was trained with 50 timesteps (ask for 1 to 50)"
    )


@given(run=runs())
def test_keeping_timesteps_keeps_their_shares(run: tuple[int, int]) -> None:
    """A respaced schedule has the whole one's share of the clean sample at each timestep that it keeps."""
    length, steps = run
    schedule = Schedule.cosine(length)
    kept = spread(length, steps)
    shares = schedule.alphas_cumprod[kept][::-1]
    np.testing.assert_allclose(schedule.keeping(kept).alphas_cumprod, shares, rtol=1e-9)


@pytest.mark.parametrize("betas", [[], [[0.1]], [0.0, 0.1], [0.1, 1.0], [float("nan")]])
def test_what_is_no_schedule_is_refused(betas: list[Any]) -> None:
    """Betas are one number a timestep, each between 0 and 1."""
    with pytest.raises(InvariantError, match="betas"):
        Schedule(np.array(betas, dtype=np.float64))
