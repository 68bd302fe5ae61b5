"""Any diffusers pipeline has a profile: sites are discovered, steps of its scheduler are iterations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import diffusers
import pytest
import torch
from torch import nn

from colfw.errors import ColfwError, InvariantError, StoreError, StudyError, UnavailableError
from colfw.observing.pipelines import PipelineRun, profile_loaded, profile_pipeline
from colfw.vocabulary import Precision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from colfw.profile import ActivationProfile

LABELS = {"class_labels": [1, 2], "output_type": "np"}


def vae() -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(8,),
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
    )


def dit(scheduler: Any = None) -> Any:
    """Two blocks, tanh GELU."""
    torch.manual_seed(0)
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=8,
        num_embeds_ada_norm=1000,
    )
    scheduler = scheduler or diffusers.DDIMScheduler()
    return diffusers.DiTPipeline(transformer=transformer, vae=vae(), scheduler=scheduler)


def unet(**changes: Any) -> Any:
    settings: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "cross_attention_dim": 24,
        "attention_head_dim": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    return diffusers.UNet2DConditionModel(**settings | changes)


def stable_diffusion() -> Any:
    """GEGLU, guidance in one batch, no text encoder: it is given embeddings."""
    torch.manual_seed(0)
    return diffusers.StableDiffusionPipeline(
        vae=vae(),
        text_encoder=None,
        tokenizer=None,
        unet=unet(),
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def flux() -> Any:
    """A double block and two single ones, whose activation stands beside attention's output."""
    torch.manual_seed(0)
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae(),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=transformer,
    )


EMBEDDED = {
    "prompt_embeds": torch.linspace(-1, 1, 5 * 24).reshape(1, 5, 24),
    "negative_prompt_embeds": torch.zeros(1, 5, 24),
    "height": 8,
    "width": 8,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved DiT pipeline."""
    path = tmp_path_factory.mktemp("pipelines") / "dit"
    dit().save_pretrained(path)
    return path


def maxima_of(profile: ActivationProfile) -> list[Any]:
    return [site.maxima.tolist() for site in profile.sites]


# --- what it sees ---------------------------------------------------------------------------------


def test_a_folder_is_enough(folder: Path) -> None:
    """Names, rows of one sample with guidance, iterations as asked for; and the same again from a seed."""
    run = PipelineRun(call=LABELS, iterations=3)
    profile = profile_pipeline(folder, run)
    assert [(site.site.name, site.site.rows, site.site.columns) for site in profile.sites] == [
        (f"transformer_blocks.{index}.ff.net.0", 2 * 16, 64) for index in range(2)
    ]
    about = profile.provenance
    assert (about.workload, about.iterations, about.samples, about.seed) == ("DiTPipeline", 3, 2, 0)
    assert about.options["call"]["class_labels"] == [1, 2]
    assert about.options["denoisers"] == ["transformer"]
    assert maxima_of(profile_pipeline(folder, run)) == maxima_of(profile)
    other = PipelineRun(call=LABELS, iterations=3, seed=1)
    assert maxima_of(profile_pipeline(folder, other)) != maxima_of(profile)


def test_numbers_are_those_of_the_second_layers_inputs() -> None:
    """Maxima of every step, against a hook of two lines on the same pipeline."""
    pipeline = flux()
    embeds = {"prompt_embeds": torch.randn(1, 6, 32), "pooled_prompt_embeds": torch.randn(1, 32)}
    run = PipelineRun(call={**embeds, "height": 32, "width": 32}, iterations=2)
    profile = profile_loaded(pipeline, run)
    seen: dict[str, list[list[float]]] = {}
    for block, at in ((0, 0), (1, 1)):
        layer = pipeline.transformer.single_transformer_blocks[block].proj_out
        name = f"single_transformer_blocks.{at}.act_mlp"
        layer.register_forward_pre_hook(
            lambda _, args, name=name: seen.setdefault(name, []).append(
                args[0][..., 32:].flatten(0, -2).abs().amax(0).tolist()
            )
        )
    profile_loaded(pipeline, run)
    assert len(profile.sites) == 4
    assert {name: profile.site(name).maxima.tolist() for name in seen} == seen


def test_a_part_that_was_saved_as_nothing_is_done_without(tmp_path: Path) -> None:
    """No text encoder, no safety checker: embeddings are given instead of a prompt."""
    stable_diffusion().save_pretrained(tmp_path)
    profile = profile_pipeline(tmp_path, PipelineRun(call=EMBEDDED, iterations=2))
    assert profile.provenance.iterations == 2
    assert all(site.site.operator.gated for site in profile.sites)
    assert profile.provenance.options["call"]["prompt_embeds"] == "Tensor [1, 5, 24]"


def test_a_precision_can_be_chosen(folder: Path) -> None:
    """The denoiser computes in it: every maximum is a number of that type."""
    profile = profile_pipeline(folder, PipelineRun(call=LABELS, iterations=1), precision=Precision.BFLOAT16)
    maxima = torch.from_numpy(profile.sites[0].maxima)
    assert torch.equal(maxima.bfloat16().float(), maxima)


class Loop:
    """The least that a pipeline is: components, a loop, and what it is called with."""

    def __init__(self, loop: Callable[..., None], **components: Any) -> None:
        self.components = components
        self.loop = loop

    def __call__(self, *, number: int = 1, generator: torch.Generator | None = None) -> None:
        self.loop(number=number, **self.components)

    def to(self, device: torch.device) -> None:
        """Everything is where it should be."""

    def set_progress_bar_config(self, *, disable: bool) -> None:
        """There is none."""


class Scheduler:
    """Steps, and knows how often."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> None:
        self.steps += 1


def ffn() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 4))


X = torch.ones(3, 4)


def test_forwards_before_a_step_are_its_iteration() -> None:
    """Two passes of guidance and two denoisers: counted together, each site under its denoiser's name."""

    def loop(number: int, unet: nn.Module, transformer_2: nn.Module, scheduler: Scheduler) -> None:
        for _ in range(4):
            unet(X), unet(X), transformer_2(X)
            scheduler.step()
            scheduler.step()  # of another modality, say: no denoiser ran in between

    scheduler = Scheduler()
    profile = profile_loaded(Loop(loop, unet=ffn(), transformer_2=ffn(), scheduler=scheduler))
    assert [(site.site.name, site.site.rows) for site in profile.sites] == [
        ("unet.1", 6),
        ("transformer_2.1", 3),
    ]
    assert profile.provenance.iterations == 4
    assert scheduler.steps == 8
    assert profile.provenance.weights_digest is not None


def test_one_of_several_denoisers_can_be_chosen() -> None:
    """Where each has its own part of the iterations, each has its own profile."""

    def loop(number: int, transformer: nn.Module, transformer_2: nn.Module, scheduler: Scheduler) -> None:
        for at in range(5):
            (transformer if at < 2 else transformer_2)(X)
            scheduler.step()

    parts = {"transformer": ffn(), "transformer_2": ffn(), "scheduler": Scheduler()}
    with pytest.raises(InvariantError, match=r"site transformer\.1: was not called in iteration 2"):
        profile_loaded(Loop(loop, **parts))
    chosen = profile_loaded(Loop(loop, **parts), PipelineRun(denoisers=["transformer_2"]))
    assert (chosen.provenance.iterations, chosen.sites[0].site.name) == (3, "1")


def test_schedulers_are_left_as_they_were() -> None:
    """The method that was exchanged is back, also after an error, and where it was inherited it is again."""

    class Child(Scheduler):
        pass

    def loop(number: int, unet: nn.Module, scheduler: Scheduler) -> None:
        unet(X)
        scheduler.step()
        raise ArithmeticError

    before = Scheduler.step
    for scheduler in (Scheduler(), Child()):
        with pytest.raises(ArithmeticError):
            profile_loaded(Loop(loop, unet=ffn(), scheduler=scheduler))
    assert Scheduler.step is before
    assert "step" not in vars(Child)


def test_the_generator_of_torch_goes_on_as_if_nothing_had_been_drawn(folder: Path) -> None:
    """A profile has a seed of its own."""
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    profile_pipeline(folder, PipelineRun(call=LABELS, iterations=1))
    assert torch.equal(torch.rand(1), expected)


def test_what_a_pipeline_draws_by_itself_comes_from_the_seed() -> None:
    """Pipelines that take no generator draw from torch's own one."""

    def loop(number: int, unet: nn.Module, scheduler: Scheduler) -> None:
        unet(torch.randn(3, 4))
        scheduler.step()

    pipeline = Loop(loop, unet=ffn(), scheduler=Scheduler())
    first, again, other = (profile_loaded(pipeline, PipelineRun(seed=seed)) for seed in (0, 0, 1))
    assert maxima_of(first) == maxima_of(again)
    assert maxima_of(first) != maxima_of(other)


# --- refusals -------------------------------------------------------------------------------------


def refused(run: Callable[[], object], kind: type[ColfwError]) -> str:
    with pytest.raises(kind) as refusal:
        run()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("run", "kind", "problem"),
    [
        (PipelineRun(), StudyError, "needs class_labels (--call class_labels=VALUE; --prompt TEXT)"),
        (PipelineRun(prompt="a cat", call=LABELS), StudyError, "takes no 'prompt'"),
        (
            PipelineRun(call={**LABELS, "guidance": 2}),
            StudyError,
            "takes no 'guidance' (did you mean 'guidance_scale'?)",
        ),
        (PipelineRun(call={"class_labels": [1000000]}), StudyError, "cannot be called like this: "),
        (PipelineRun(call=LABELS, iterations=0), StudyError, "iterations: must be at least 1, not 0"),
        (PipelineRun(call=LABELS, denoisers=["transforme"]), StudyError, "did you mean 'transformer'?"),
        (PipelineRun(call=LABELS, denoisers=["vae"]), InvariantError, "its denoiser did not run"),
        (PipelineRun(call=LABELS, device="no"), UnavailableError, "there is no device 'no' here"),
    ],
)
def test_a_call_that_cannot_work_is_one_line(
    folder: Path, run: PipelineRun, kind: type[ColfwError], problem: str
) -> None:
    """What is missing, unknown or not here is named, with the nearest name."""
    assert problem in refused(lambda: profile_pipeline(folder, run), kind)


def test_arguments_that_would_be_ignored_are_refused() -> None:
    """Some pipelines of diffusers take any argument, and do nothing with what they do not know."""
    run = PipelineRun(call={**EMBEDDED, "hieght": 8})
    refusal = refused(lambda: profile_loaded(stable_diffusion(), run), StudyError)
    assert refusal == "StableDiffusionPipeline: takes no 'hieght' (did you mean 'height'?)"


def test_a_pipeline_of_ones_own_may_take_anything() -> None:
    """It may hand on what it does not name."""

    class Forwarding(Loop):
        def __call__(self, **further: Any) -> None:
            super().__call__(**further)

    def loop(number: int, unet: nn.Module, scheduler: Scheduler) -> None:
        for _ in range(number):
            unet(X)
            scheduler.step()

    pipeline = Forwarding(loop, unet=ffn(), scheduler=Scheduler())
    profile = profile_loaded(pipeline, PipelineRun(call={"number": 3}))
    assert profile.provenance.iterations == 3


def test_a_folder_that_is_no_pipeline_is_refused(folder: Path, tmp_path: Path) -> None:
    """No folder, no index, one that is none, a class that is none, weights that are cut off: one line."""

    def problem() -> str:
        return refused(lambda: profile_pipeline(tmp_path, PipelineRun(call=LABELS)), StoreError)

    assert "no such folder" in refused(lambda: profile_pipeline(tmp_path / "no"), StoreError)
    assert "is no diffusers pipeline: it has no model_index.json" in problem()
    index = tmp_path / "model_index.json"
    index.write_text("{", encoding="utf-8")
    assert "cannot be read: JSONDecodeError" in problem()
    index.write_text("[]", encoding="utf-8")
    assert "is no JSON object" in problem()
    index.write_text(json.dumps({"_class_name": "NoPipeline"}), encoding="utf-8")
    assert "cannot be loaded: " in problem()
    dit().save_pretrained(tmp_path)
    weights = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "cannot be loaded: " in problem()


@pytest.mark.parametrize(
    ("parts", "loop", "problem"),
    [
        (
            {"vae": ffn()},
            lambda **_: None,
            "has no transformer or unet (name the denoiser; ",
        ),
        ({"unet": ffn()}, lambda **_: None, "its denoiser did not run"),
        ({"unet": ffn()}, lambda unet, **_: unet(X), "did not call scheduler.step after the last 1 forward"),
        (
            {"unet": nn.Linear(4, 4), "scheduler": Scheduler()},
            lambda unet, scheduler, **_: (unet(X), scheduler.step()),
            "no feed-forward network was seen",
        ),
    ],
    ids=["no denoiser", "not run", "no step", "no site"],
)
def test_a_pipeline_without_numbers_is_refused(
    parts: dict[str, Any], loop: Callable[..., None], problem: str
) -> None:
    """No denoiser, no forward, no step or no site: each is said."""
    assert problem in refused(lambda: profile_loaded(Loop(loop, **parts)), InvariantError)


def test_an_error_in_the_middle_is_the_pipelines_own() -> None:
    """What happens after the first forward is no matter of arguments, and keeps its traceback."""

    def loop(number: int, unet: nn.Module, scheduler: Scheduler) -> None:
        unet(X)
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        profile_loaded(Loop(loop, unet=ffn(), scheduler=Scheduler()))


def test_memory_that_runs_out_is_one_line() -> None:
    """Wherever it happens."""

    def loop(number: int, unet: nn.Module, scheduler: Scheduler) -> None:
        unet(X)
        raise torch.OutOfMemoryError

    problem = refused(lambda: profile_loaded(Loop(loop, unet=ffn(), scheduler=Scheduler())), ColfwError)
    assert "the memory of device 'cpu' ran out" in problem
