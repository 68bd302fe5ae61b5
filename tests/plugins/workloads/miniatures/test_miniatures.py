from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from safetensors import safe_open
from torch.nn import functional

from colfw.denoising.workload import Generation
from colfw.errors import StudyError
from colfw.masks import MaskPolicy, classify, masks_of
from colfw.profile import ActivationProfile, ColumnMaxima, Provenance
from colfw.protocols import DenoiseRequest
from colfw.testing.contracts import WorkloadContract
from colfw.vocabulary import RowConvention, SourceKind
from colfw_workloads.miniature_options import STYLES, MiniatureOptions
from colfw_workloads.miniatures import gait
from colfw_workloads.miniatures.motion import Walker
from colfw_workloads.miniatures.transformer import DigitsDit, DigitsTransformer
from colfw_workloads.miniatures.unet import DigitsUnet
from colfw_workloads.miniatures.workload import WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colfw.samples import Samples
    from colfw_workloads.miniatures.workload import Miniature

DIGITS: list[type[Miniature]] = [DigitsDit, DigitsUnet]
ALL = [*DIGITS, Walker]
each = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
each_of_digits = pytest.mark.parametrize("kind", DIGITS, ids=lambda kind: kind.name)

REQUEST = DenoiseRequest(
    source=SourceKind.MINIATURE, iterations=3, samples=2, seed=1, thresholds=(0.1, 0.164, 0.2)
)
FACTS = WEIGHTS.parent / "figures"


def facts(kind: type[Miniature]) -> dict[str, Any]:
    """What the training script measured."""
    found: dict[str, Any] = json.loads((FACTS / f"{kind.name}.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module", params=DIGITS, ids=lambda kind: kind.name)
def digits(request: pytest.FixtureRequest) -> NDArray[Any]:
    """Fifty digits, 0 to 9 in turn, by the full loop."""
    options = MiniatureOptions(labels=tuple(range(10)), batch_samples=50)
    with torch.inference_mode():
        made = request.param(options).denoise(evolve(REQUEST, iterations=50, samples=50), [], None)
    return made.data


@pytest.fixture(scope="module")
def walks() -> Samples:
    """Two walks of each style, by the full loop."""
    options = MiniatureOptions(labels=tuple(range(len(STYLES))))
    with torch.inference_mode():
        return Walker(options).denoise(evolve(REQUEST, iterations=50, samples=2 * len(STYLES)), [], None)


class _Contract(WorkloadContract):
    kind: type[Miniature]

    @pytest.fixture
    def workload(self) -> Miniature:
        return self.kind(MiniatureOptions())

    @pytest.fixture
    def denoise_request(self) -> DenoiseRequest:
        return REQUEST


class TestDigitsDit(_Contract):
    """The transformer keeps the contract of a workload."""

    kind = DigitsDit


class TestDigitsUnet(_Contract):
    """So does the UNet."""

    kind = DigitsUnet


class TestWalker(_Contract):
    """So does the walker."""

    kind = Walker


# --- what is shipped ------------------------------------------------------------------------------


def test_the_shipped_files_are_small() -> None:
    """All weights together stay below 4 MB, and with figures and card below 4.5 MB."""
    weights = sum(path.stat().st_size for path in WEIGHTS.glob("*.safetensors"))
    shipped = [*FACTS.iterdir(), WEIGHTS.parent / "MODEL_CARD.md"]
    assert weights < 4_000_000
    assert weights + sum(path.stat().st_size for path in shipped) < 4_500_000


@each
def test_a_weights_file_says_where_it_comes_from(kind: type[Miniature]) -> None:
    """Script, seed, steps, data and licence stand in its header, and agree with the figures' numbers."""
    path = kind(MiniatureOptions()).miniature()
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["colfw"])
        stored = {file.get_tensor(key).dtype for key in file.keys()}  # noqa: SIM118  (no mapping)
    found = facts(kind)
    assert header == {key: found[key] for key in header}
    assert header["licence"] == "Apache-2.0"
    assert {"script", "seed", "steps", "data", "torch"} <= set(header)
    assert found["file_bytes"] == path.stat().st_size
    assert stored == {torch.float16}


@each
def test_the_number_of_parameters_is_as_stated(kind: type[Miniature]) -> None:
    """The network has what the card and the header say, a few hundred thousand to a million."""
    counted = sum(parameter.numel() for parameter in kind.network().parameters())
    assert counted == facts(kind)["parameters"]
    assert 300_000 < counted < 1_000_000
    assert f"| {kind.name} | {counted:,} |" in (WEIGHTS.parent / "MODEL_CARD.md").read_text("utf-8")


@each
def test_on_the_meta_device_only_weights_lack_values(kind: type[Miniature]) -> None:
    """Tables are computed even there, so that weights can be put in without copying."""
    with torch.device("meta"):
        model = kind(MiniatureOptions()).build()
    assert all(parameter.is_meta for parameter in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())


# --- how they run ---------------------------------------------------------------------------------


@each
def test_every_row_of_a_pass_is_seen(kind: type[Miniature]) -> None:
    """An iteration of one sample shows rows x columns elements at each site, as declared."""
    workload = kind(MiniatureOptions())
    sites = workload.sites(REQUEST)
    seen = ColumnMaxima(sites, iterations=2, thresholds=REQUEST.thresholds)
    workload.denoise(evolve(REQUEST, iterations=2, samples=3), [seen], None)
    for entry in seen.site_profiles():
        assert entry.elements.tolist() == [3 * entry.site.rows * entry.site.columns] * 2


@pytest.mark.parametrize(("kind", "passes"), [(DigitsDit, 1), (DigitsUnet, 1), (Walker, 2)], ids=str)
def test_the_papers_rows_count_passes_as_table_1_does(kind: type[Miniature], passes: int) -> None:
    """One pass for the image models, both for motion; the model's own code always runs both."""
    official = kind(MiniatureOptions()).sites(REQUEST)
    paper = kind(MiniatureOptions(rows=RowConvention.PAPER)).sites(REQUEST)
    assert [site.rows for site in paper] == [site.rows * passes // 2 for site in official]


@each
def test_a_sample_does_not_depend_on_its_batch(kind: type[Miniature]) -> None:
    """Samples that run together are those that run alone, to rounding."""
    together = kind(MiniatureOptions(batch_samples=3)).denoise(evolve(REQUEST, samples=3), [], None)
    alone = kind(MiniatureOptions(batch_samples=1)).denoise(evolve(REQUEST, samples=3), [], None)
    np.testing.assert_allclose(together.data, alone.data, atol=2e-4)


@each
def test_the_class_counts_only_with_guidance(kind: type[Miniature]) -> None:
    """At scale 0 all classes give the same sample; at scale 1 they do not."""
    made = {}
    for scale in (0.0, 1.0):
        for label in (1, 4):
            options = MiniatureOptions(labels=(label,), guidance_scale=scale)
            made[scale, label] = kind(options).denoise(evolve(REQUEST, samples=1), [], None).data
    np.testing.assert_allclose(made[0.0, 1], made[0.0, 4], atol=1e-5)
    assert np.abs(made[1.0, 1] - made[1.0, 4]).max() > 0.01


@each
def test_one_pass_of_each_iteration_is_led_by_no_class(kind: type[Miniature]) -> None:
    """Half of the rows of an iteration have the classes asked for, half the number after the last class."""
    shown: dict[int, list[int]] = {}
    begun: list[int] = []

    def denoiser(x: torch.Tensor, step: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        assert len(x) == len(step) == len(label)
        shown.setdefault(begun[-1], []).extend(label.tolist())
        return torch.zeros_like(x)

    run = Generation(
        samples=2,
        iterations=3,
        device=torch.device("cpu"),
        dtype=torch.float32,
        conditioning={"labels": torch.tensor([4, 1])},
        noise=lambda shape: torch.ones(tuple(shape)),
        begin=begun.append,
    )
    kind(MiniatureOptions()).generate(denoiser, run)
    none = [kind.classes] * 2
    expected = [4, 1, *none] if kind is Walker else [*none, 4, 1]
    assert shown == dict.fromkeys(range(3), expected)


@each
def test_random_weights_run_too(kind: type[Miniature]) -> None:
    """Seeded random weights give finite samples of the same shape, other than the trained ones."""
    workload = kind(MiniatureOptions())
    trained, random = (
        workload.denoise(evolve(REQUEST, source=source), [], None).data
        for source in (SourceKind.MINIATURE, SourceKind.RANDOM)
    )
    assert random.shape == trained.shape
    assert not np.allclose(random, trained, atol=0.1)


@each
def test_a_class_that_does_not_exist_is_refused(kind: type[Miniature]) -> None:
    """The message names the workload and the numbers that are allowed."""
    with pytest.raises(StudyError, match=f"options of {kind.name}: .*below {kind.classes}"):
        kind(MiniatureOptions(labels=(0, kind.classes)))


def test_patches_are_put_back_where_they_were_cut() -> None:
    """Cutting an image in the order of the patch embedding and putting it together changes nothing."""
    images = torch.randn(3, 1, 8, 8)
    patches = functional.unfold(images, kernel_size=2, stride=2).transpose(1, 2)
    assert torch.equal(DigitsTransformer()._image(patches), images)


# --- what comes out -------------------------------------------------------------------------------


def test_generated_digits_are_recognised(digits: NDArray[Any]) -> None:
    """A logistic regression of real digits sees in at least 85 % of them what was asked for."""
    datasets = pytest.importorskip("sklearn.datasets")
    linear_model = pytest.importorskip("sklearn.linear_model")
    real = datasets.load_digits()
    judge = linear_model.LogisticRegression(max_iter=2000).fit(real.data / 8 - 1, real.target)
    assert judge.score(digits.reshape(50, 64), np.arange(50) % 10) >= 0.85


def test_digits_of_a_kind_differ(digits: NDArray[Any]) -> None:
    """The five images of each digit are five images."""
    for digit in range(10):
        same = digits[digit::10].reshape(5, 64)
        assert min(np.linalg.norm(one - two) for i, one in enumerate(same) for two in same[:i]) > 0.5


def test_digits_are_images_from_paper_to_ink(digits: NDArray[Any]) -> None:
    """One channel of 8 x 8 pixels that reaches both ends of -1 to 1 and never leaves it."""
    assert digits.shape == (50, 1, 8, 8)
    assert (digits.min(), digits.max()) == (-1, 1)


def test_walks_are_positions_of_joints(walks: Samples) -> None:
    """Samples are joints in metres at their frame rate; the motions that they follow from are a view."""
    assert (walks.modality, walks.rate_hz) == ("motion/walker", 20.0)
    assert walks.data.shape == (2 * len(STYLES), 60, 15, 3)
    features = torch.from_numpy(walks.view("features"))
    np.testing.assert_array_equal(walks.data, gait.joints(features).numpy())


def test_walkers_keep_their_bones(walks: Samples) -> None:
    """In every frame each bone, from joint to joint as the samples say, is as long as it was made."""
    ends = walks.data[:, :, np.array(walks.bones)]
    lengths = np.linalg.norm(ends[..., 0, :] - ends[..., 1, :], axis=-1)
    expected = np.array([bone.length_m for bone in gait.BONES])
    np.testing.assert_allclose(lengths, np.broadcast_to(expected, lengths.shape), atol=1e-4)


def test_walkers_stay_on_the_ground_and_move_as_their_style_does(walks: Samples) -> None:
    """No foot sinks or floats by more than 10 cm on average; runners are twice as fast as strollers."""
    feet = [walks.data[:, :, gait.JOINTS.index(f"{side} foot"), 2] for side in ("left", "right")]
    assert np.abs(np.minimum(*feet).mean(axis=1)).max() < 0.1
    speed = walks.view("features")[..., gait.SPEED].mean(axis=1).reshape(2, len(STYLES)).mean(axis=0)
    by_style = dict(zip(STYLES, speed.tolist(), strict=True))
    assert max(by_style, key=lambda style: by_style[style]) == "run"
    assert by_style["run"] > 2 * by_style["stroll"]


@each
def test_their_sparsity_is_real(kind: type[Miniature]) -> None:
    """Over the full loop most elements lie below tau, some columns are cold, and hot columns persist."""
    workload = kind(MiniatureOptions())
    request = evolve(REQUEST, iterations=50, samples=1)
    seen = ColumnMaxima(workload.sites(request), iterations=50, thresholds=request.thresholds)
    workload.denoise(request, [seen], None)
    provenance = Provenance(
        workload=kind.name, source=request.source, seed=request.seed, samples=1, iterations=50
    )
    profile = ActivationProfile(
        provenance=provenance, thresholds=request.thresholds, sites=seen.site_profiles()
    )
    shares = [entry.exceeding[:, 1].sum() / entry.elements.sum() for entry in profile.sites]
    found = classify(masks_of(profile, MaskPolicy.uniform(0.164)))
    assert np.mean(shares) < 0.5
    assert 0.001 < found.mean_column_sparsity < 0.9
    assert found.mean_jaccard > 0.5
