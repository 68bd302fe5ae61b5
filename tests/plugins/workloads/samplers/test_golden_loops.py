"""The workloads' sampling loops against what the official loops made of the same weights and the same noise.

The golden data holds the sample after some iterations of each official loop. A run is free up to the last
iteration, so that errors add up; that one starts from the official sample, so that the smallest shows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from attrs import field, frozen
from torch import Tensor

from colfw.denoising.workload import Generation
from colfw_workloads import dit, edge, make_an_audio, mdm, mld, options, stable_diffusion, videocrafter2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from torch import nn

    from colfw.denoising.workload import TorchWorkload

ACCUMULATED = 5e-5
"""Of the largest value: what 50 iterations may add up to (a wrong scale or timestep: 20 times it)."""
ROUNDING = 1e-6
"""Of the largest value, in one iteration. Noise that does not belong into DiT's last one is 30 times it."""
ROUNDING_OF_THE_DENOISER = 1e-5
"""Of a last sample that is what the denoiser says, and nothing else."""


@frozen
class Case:
    """A workload at the size of a golden loop, and where its conditions lie in the golden file."""

    workload: TorchWorkload
    conditions: Mapping[str, str]
    iterations: int = 50
    last_iteration: float = field(default=ROUNDING, kw_only=True)
    shrunk: tuple[str, ...] = field(default=(), kw_only=True)
    """Entries of the state that are multiplied by 0.2 after the fill."""


def _stable_diffusion(sampler: str, iterations: int = 50) -> Case:
    sizes = options.StableDiffusionOptions(
        latent_size=16, widths=(32, 64, 64, 64), heads=4, context_tokens=11, context_width=48, sampler=sampler
    )
    names = {"text": "c", "unconditional_text": "uc"}
    return Case(stable_diffusion.StableDiffusionV14(sizes), names, iterations)


def _edge(windows: int) -> Case:
    sizes = options.EdgeOptions(
        windows=windows, frames=30, width=128, hidden=256, depth=2, heads=4, music_width=35
    )
    return Case(
        edge.Edge(sizes),
        {"music": "c"},
        last_iteration=ROUNDING_OF_THE_DENOISER,
        shrunk=("final_layer.weight", "final_layer.bias"),
    )


def _mdm(diffusion_steps: int) -> Case:
    sizes = options.MdmOptions(frames=60, diffusion_steps=diffusion_steps)
    return Case(mdm.Mdm(sizes), {"text": "text_embed"}, last_iteration=ROUNDING_OF_THE_DENOISER)


CASES = {
    "dit-xl-2.ddpm50": Case(
        dit.DitXl2(options.DitOptions(latent_size=16, width=96, depth=4, heads=4, classes=10)),
        {"labels": "y"},
    ),
    "sd-v1-4.plms": _stable_diffusion("plms"),
    "sd-v1-4.pndm": _stable_diffusion("pndm", iterations=51),
    "sd-v1-4.ddim": _stable_diffusion("ddim"),
    "make-an-audio.ddim": Case(
        make_an_audio.MakeAnAudio(
            options.MakeAnAudioOptions(latent_width=16, width=32, heads=4, context_tokens=7, context_width=48)
        ),
        {"caption": "c", "unconditional_caption": "uc"},
    ),
    "videocrafter2.ddim": Case(
        videocrafter2.VideoCrafter2(
            options.VideoCrafterOptions(
                frames=4,
                latent_height=8,
                latent_width=16,
                width=32,
                head_width=16,
                context_tokens=7,
                context_width=48,
            )
        ),
        {"text": "c", "unconditional_text": "uc"},
    ),
    "mdm.ddpm-native50": _mdm(50),
    "mdm.ddpm-respaced50": _mdm(1000),
    "mld.ddim": Case(mld.Mld(options.MldOptions()), {"text": "c", "unconditional_text": "uc"}),
    "edge.ddim": _edge(windows=1),
    "edge.long-ddim": _edge(windows=11),
}


class OfficialLoop:
    """One golden file."""

    def __init__(self, path: Path, case: Case) -> None:
        with np.load(path) as file:
            self.arrays = {key: file[key] for key in file.files}
        self.meta = json.loads(str(self.arrays["meta"]))
        self.case = case

    @property
    def numbers(self) -> list[int]:
        """Of iterations that the stored samples have behind them."""
        numbers: list[int] = self.meta["samples_stored_after_iterations"]
        return numbers

    @property
    def samples(self) -> list[Tensor]:
        keys = [*(f"sample.after_{number}" for number in self.numbers[:-1]), "sample.final"]
        return [torch.from_numpy(self.arrays[key]) for key in keys]

    @property
    def dances(self) -> int:
        """Samples as the workload counts them: windows that are stitched together are one."""
        first: int = self.arrays["noise.initial"].shape[0]
        return first // getattr(self.case.workload.config, "windows", 1)

    def conditioning(self) -> dict[str, Tensor]:
        return {name: self._condition(name, key) for name, key in self.case.conditions.items()}

    def _condition(self, name: str, key: str) -> Tensor:
        given = torch.from_numpy(self.arrays[f"cond.{key}"])
        shape = self.case.workload.conditions()[name].shape
        # DiT's labels are followed by those of the unconditional half.
        return given.reshape(-1, *shape)[: self.dances]


@frozen
class Run:
    """What a run showed: every sample, and what the denoiser was told at every call."""

    official: OfficialLoop
    samples: dict[int, Tensor] = field(factory=dict)
    iterations: list[int] = field(factory=list)
    timesteps: list[int] = field(factory=list)
    generated: list[Tensor] = field(factory=list)

    def follow(self, samples: Iterable[Tensor]) -> Tensor:
        """Keep a copy of each sample; the last iteration starts from the official sample."""
        put_back = {self.official.case.iterations - 1: self.official.samples[-2]}
        for number, x in enumerate(samples, start=1):
            self.samples[number] = x.clone()
            if number in put_back:
                x.copy_(put_back[number])
        return x

    def note_timestep(self, _module: nn.Module, args: tuple[object, ...]) -> None:
        whole = next(one for one in args if isinstance(one, Tensor) and not one.is_floating_point())
        assert (whole == whole[0]).all()
        self.timesteps.append(int(whole[0]))

    def generate(self, denoiser: nn.Module) -> None:
        workload, rng = self.official.case.workload, np.random.default_rng(0)
        generation = Generation(
            samples=self.official.dances,
            iterations=self.official.case.iterations,
            device=torch.device("cpu"),
            dtype=torch.float32,
            conditioning=self.official.conditioning(),
            noise=lambda shape: torch.from_numpy(rng.standard_normal(shape).astype(np.float32)),
            begin=self.iterations.append,
        )
        denoiser.register_forward_pre_hook(self.note_timestep)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"{type(workload).__module__}.last", self.follow)
            self.generated.append(workload.generate(denoiser, generation))


SLOW = ("mdm.ddpm-respaced50", "videocrafter2.ddim")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CASES],
)
def run(request: pytest.FixtureRequest, golden_root: Path, golden_fill: Callable[..., nn.Module]) -> Run:
    case = CASES[request.param]
    official = OfficialLoop(golden_root / "samplers" / f"{request.param}.npz", case)
    made = Run(official)
    with torch.inference_mode():
        denoiser = golden_fill(case.workload.build(), official.meta["denoiser"]["left_as_computed"])
        for key in case.shrunk:
            denoiser.state_dict()[key].mul_(np.float32(0.2))
        made.generate(denoiser)
    return made


def relative_error(actual: Tensor, official: Tensor) -> float:
    assert actual.shape == official.shape
    return float((actual - official).abs().max() / official.abs().max())


def test_every_stored_sample_is_the_official_one(run: Run) -> None:
    """Free from the first draw of noise on, the samples are those of the official loop, to 5e-5."""
    *free, _ = run.official.samples
    *numbers, _ = run.official.numbers
    errors = {k: relative_error(run.samples[k], x) for k, x in zip(numbers, free, strict=True)}
    assert {k: error for k, error in errors.items() if error > ACCUMULATED} == {}


def test_the_last_iteration_leaves_nothing_out_and_adds_nothing(run: Run) -> None:
    """From the official sample before it, the last iteration leads to the official final one."""
    error = relative_error(run.samples[run.official.case.iterations], run.official.samples[-1])
    assert error < run.official.case.last_iteration


def test_the_denoiser_is_told_the_official_timesteps(run: Run) -> None:
    """Every call is told the official timestep, and belongs to the official iteration."""
    assert run.timesteps == run.official.arrays["calls.timestep"][:, 0].tolist()
    assert run.iterations == run.official.arrays["calls.iteration"].tolist()


def test_what_is_generated_is_the_last_sample(run: Run) -> None:
    """The workload hands out the loop's last sample: of DiT its guided half, of EDGE whole dances."""
    final = run.samples[run.official.case.iterations]
    (generated,) = run.generated
    assert torch.equal(generated.flatten(), final.flatten()[: generated.numel()])
    assert generated.shape[0] == run.official.dances
