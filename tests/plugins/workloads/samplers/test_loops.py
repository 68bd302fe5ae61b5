"""What holds for every sampling loop, whatever the denoiser and the number of iterations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import ColfwError, InvariantError
from colfw_workloads.samplers import ddim, ddpm, edge, last, plms
from colfw_workloads.samplers.schedules import Schedule, leading, spread, trailing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from colfw_workloads.samplers import Predict

    Loop = Callable[[Predict, Tensor, int], Iterator[Tensor]]

SHAPE = (2, 4, 6)
LENGTH = 60
SCHEDULE = Schedule.scaled_linear(LENGTH, last=0.2)
"""Its noisiest timestep leaves as little of a sample as Stable Diffusion's."""


def seeded_noise(seed: int = 1) -> Callable[[tuple[int, ...]], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.randn(shape, generator=generator)


def start() -> Tensor:
    return seeded_noise(0)(SHAPE)


def wavy(x: Tensor, t: Tensor, iteration: int) -> Tensor:
    """Stands for a denoiser: every value depends on the sample and on the timestep."""
    return torch.sin(x + 0.1 * t.view(-1, 1, 1))


def _ddim(eta: float) -> Loop:
    def loop(predict: Predict, x: Tensor, steps: int) -> Iterator[Tensor]:
        return ddim.ddim(predict, x, schedule=SCHEDULE, noise=seeded_noise(), steps=steps, eta=eta)

    return loop


def _plms(predict: Predict, x: Tensor, steps: int) -> Iterator[Tensor]:
    return plms.plms(predict, x, schedule=SCHEDULE, steps=steps)


def _pndm(predict: Predict, x: Tensor, steps: int) -> Iterator[Tensor]:
    return plms.pndm(predict, x, schedule=SCHEDULE, steps=steps)


def _ddpm(predict: Predict, x: Tensor, steps: int) -> Iterator[Tensor]:
    output = ddpm.Output.CLEAN_SAMPLE
    return ddpm.respaced(predict, x, schedule=SCHEDULE, noise=seeded_noise(), steps=steps, output=output)


def _learned(predict: Predict, x: Tensor, steps: int) -> Iterator[Tensor]:
    def with_variance(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        return torch.cat([predict(x, t, iteration), torch.zeros_like(x)], dim=1)

    output = ddpm.Output.NOISE_AND_VARIANCE
    return ddpm.respaced(
        with_variance, x, schedule=SCHEDULE, noise=seeded_noise(), steps=steps, output=output
    )


def _edge(predict: Predict, x: Tensor, steps: int) -> Iterator[Tensor]:
    return edge.ddim(predict, x, schedule=SCHEDULE, noise=seeded_noise(), steps=steps)


def _long(predict: Predict, x: Tensor, steps: int) -> Iterator[Tensor]:
    return edge.long_ddim(predict, x, schedule=SCHEDULE, noise=seeded_noise(), steps=steps, windows=2)


LOOPS: dict[str, tuple[Loop, Callable[[int, int], list[int]]]] = {
    "ddim": (_ddim(0.0), leading),
    "ddim with noise": (_ddim(1.0), leading),
    "ddpm": (_ddpm, spread),
    "ddpm with learned variance": (_learned, spread),
    "edge": (_edge, trailing),
    "edge, long": (_long, trailing),
}
ALL = {**{name: loop for name, (loop, _) in LOOPS.items()}, "plms": _plms, "pndm": _pndm}
STEPS = st.integers(1, LENGTH)


@pytest.mark.parametrize("name", LOOPS)
@given(steps=STEPS)
def test_a_loop_of_n_steps_yields_n_samples_and_asks_n_times(name: str, steps: int) -> None:
    """Each iteration asks once, in order, for all rows at its timestep, and yields finite numbers."""
    loop, timesteps = LOOPS[name]
    asked: list[tuple[list[int], int]] = []

    def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        assert t.dtype == torch.int64
        asked.append((t.tolist(), iteration))
        return wavy(x, t, iteration)

    samples = list(loop(predict, start(), steps))
    expected = [([t] * SHAPE[0], i) for i, t in enumerate(timesteps(LENGTH, steps))]
    assert asked == expected
    assert len(samples) == steps
    assert all(sample.isfinite().all() and sample.shape == SHAPE for sample in samples)


@given(steps=STEPS)
def test_plms_asks_twice_in_its_first_iteration(steps: int) -> None:
    """N iterations are N + 1 calls: iteration 0 also asks at the next timestep, or again at the only one."""
    asked: list[tuple[int, int]] = []

    def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        asked.append((int(t[0]), iteration))
        return wavy(x, t, iteration)

    visited = leading(LENGTH, steps)
    assert len(list(_plms(predict, start(), steps))) == steps
    second = visited[min(1, steps - 1)]
    assert asked == [(visited[0], 0), (second, 0), *((t, i) for i, t in enumerate(visited) if i)]


@given(steps=st.integers(2, LENGTH))
def test_pndm_is_plms_with_its_first_iteration_counted_as_two(steps: int) -> None:
    """diffusers' scheduler and this loop go through the same samples; its first one is DDIM's."""
    pndm = list(_pndm(wavy, start(), steps))
    compvis = list(_plms(wavy, start(), steps))
    assert len(pndm) == steps + 1
    torch.testing.assert_close(pndm[1:], compvis, rtol=0, atol=1e-4)
    torch.testing.assert_close(pndm[0], next(_ddim(0.0)(wavy, start(), steps)), rtol=0, atol=1e-4)


def test_pndm_of_one_step_is_one_iteration() -> None:
    """With a single timestep diffusers has no second iteration."""
    assert len(list(_pndm(wavy, start(), 1))) == 1


@given(steps=st.integers(1, LENGTH - 1), eta=st.sampled_from([0.0, 0.5, 1.0]))
def test_ddim_is_the_one_of_diffusers(steps: int, eta: float) -> None:
    """Given the same noise, diffusers' scheduler leads through the same samples, at any eta."""
    scheduler = DDIMScheduler(
        num_train_timesteps=LENGTH,
        trained_betas=SCHEDULE.betas.tolist(),
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.set_timesteps(steps)
    noise, x = seeded_noise(), start()
    for t, ours in zip(scheduler.timesteps, _ddim(eta)(wavy, start(), steps), strict=True):
        fresh = noise(SHAPE) if eta else None
        x = scheduler.step(wavy(x, t.expand(2), 0), t, x, eta=eta, variance_noise=fresh).prev_sample
        torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("steps", [0, LENGTH + 1])
def test_every_loop_refuses_an_impossible_number_of_steps(name: str, steps: int) -> None:
    """No loop starts with none or with more steps than timesteps; the message names `iterations`."""
    with pytest.raises(ColfwError, match=r"^iterations: "):
        last(ALL[name](wavy, start(), steps))


@pytest.mark.parametrize("loop", [_ddpm, _edge])
@given(steps=STEPS)
def test_a_loop_that_predicts_samples_ends_at_the_last_prediction(loop: Loop, steps: int) -> None:
    """The last iteration of a sample-predicting loop adds no noise to what the denoiser says."""
    x = last(loop(lambda x, t, iteration: torch.full_like(x, iteration / LENGTH), start(), steps))
    torch.testing.assert_close(x, torch.full(SHAPE, (steps - 1) / LENGTH))


@given(steps=STEPS)
def test_a_perfect_denoiser_leads_ddim_along_its_own_noise(steps: int) -> None:
    """Told the true noise, DDIM and PLMS go from any mixture to the same mixture at timestep 0."""
    clean, noise = seeded_noise(5)(SHAPE), seeded_noise(6)(SHAPE)

    def mixture(t: int) -> Tensor:
        share = float(SCHEDULE.alphas_cumprod[t])
        return share**0.5 * clean + (1 - share) ** 0.5 * noise

    for loop in (_ddim(0.0), _plms):
        reached = last(loop(lambda x, t, iteration: noise, mixture(leading(LENGTH, steps)[0]), steps))
        torch.testing.assert_close(reached, mixture(0), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("place", "expected"), [(-1.0, "variance"), (1.0, "largest_variance")])
def test_a_learned_variance_lies_within_its_range(place: float, expected: str) -> None:
    """-1 is the posterior's own variance, 1 the beta."""
    posterior = ddpm.Posterior.of(SCHEDULE)
    deviation = posterior.deviation(7, torch.tensor(place, dtype=torch.float64))
    assert float(deviation) ** 2 == pytest.approx(getattr(posterior, expected)[7])


def test_ddim_without_eta_draws_no_noise() -> None:
    """Eta 0 leaves the stream of noise where it was."""

    def refuse(shape: tuple[int, ...]) -> Tensor:
        raise AssertionError("noise was drawn")

    last(ddim.ddim(wavy, start(), schedule=SCHEDULE, noise=refuse, steps=5))


@given(steps=STEPS)
def test_rescaled_clean_samples_have_the_size_of_their_timestep(steps: int) -> None:
    """Without predicted noise a sample changes by its share and size, from the first timestep to 0."""
    sizes, first = ddim.dynamic_rescale(LENGTH, falling=40), leading(LENGTH, steps)[0]
    loop = ddim.ddim(
        lambda x, t, i: torch.zeros_like(x),
        start(),
        schedule=SCHEDULE,
        noise=seeded_noise(),
        steps=steps,
        rescale=sizes,
    )
    shares = SCHEDULE.alphas_cumprod
    grown = float((shares[0] / shares[first]) ** 0.5) * sizes[0] / sizes[first]
    torch.testing.assert_close(last(loop), grown * start(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_ddim_refuses_more_noise_than_there_is(eta: float) -> None:
    """Eta lies between 0 and 1: beyond, more noise would be added than the next timestep holds."""
    with pytest.raises(InvariantError, match="eta"):
        last(_ddim(eta)(wavy, start(), 5))


def test_a_long_dance_is_stitched_after_every_iteration_but_the_last() -> None:
    """Each window then begins with the second half of the window before it, and dances stay apart."""
    x = seeded_noise(3)((6, 4, 5))  # two dances of three windows of four frames

    def predict(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        return wavy(x.cumsum(1), t, iteration)  # what a frame becomes depends on those before it

    loop = edge.long_ddim(predict, x, schedule=SCHEDULE, noise=seeded_noise(), steps=6, windows=3)
    *between, final = (sample.reshape(2, 3, 4, 5) for sample in loop)
    for dances in between:
        assert torch.equal(dances[:, 1:, :2], dances[:, :-1, 2:])
        assert not torch.equal(dances[1, 0, :2], dances[0, 2, 2:])
    assert not torch.equal(final[:, 1:, :2], final[:, :-1, 2:])


@pytest.mark.parametrize("windows", [0, 4])
def test_windows_that_make_no_whole_dances_are_refused(windows: int) -> None:
    """Every dance has the same number of windows."""
    with pytest.raises(InvariantError, match="windows"):
        edge.long_ddim(
            wavy, torch.zeros(6, 4, 5), schedule=SCHEDULE, noise=seeded_noise(), steps=6, windows=windows
        )


def test_half_precision_of_a_denoiser_stays_out_of_the_sample() -> None:
    """A sample keeps its own type whatever the denoiser computes in."""

    def half(x: Tensor, t: Tensor, iteration: int) -> Tensor:
        return wavy(x, t, iteration).bfloat16()

    for name, loop in ALL.items():
        assert {x.dtype for x in loop(half, start(), 4)} == ({torch.float32}), name


def test_a_loop_that_never_ran_has_no_last_sample() -> None:
    """`last` raises instead of making up a sample."""
    with pytest.raises(InvariantError):
        last([])
