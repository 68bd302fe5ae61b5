"""CLIP scores agree with their references, from an image and a prompt to the number."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from colfw.errors import StoreError, UnavailableError
from colfw.samples import Samples
from colfw.testing.contracts import MetricContract
from colfw.vocabulary import Direction
from colfw_metrics.clip_score import (
    ClipImageSimilarity,
    ClipScore,
    cosines,
    folder_digest,
    prepared,
    read_prompts,
    score_of_cosines,
)
from colfw_metrics.image_options import ClipConfig, ClipConvention, ClipScoreConfig

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

transformers = pytest.importorskip("transformers")

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
WORDS = ["!", *LETTERS, *[f"{letter}</w>" for letter in LETTERS], "<|startoftext|>", "<|endoftext|>"]
START, END = len(WORDS) - 2, len(WORDS) - 1
SIDE = 20
PROMPTS = ["a b", "c", "x y z"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP, as transformers saves one: layout and names are those of the released ones."""
    shared = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        # Larger than CLIP's own, so that a tiny one tells images and prompts apart.
        "initializer_range": 0.5,
        "initializer_factor": 10.0,
    }
    config = transformers.CLIPConfig(
        text_config={
            **shared,
            "vocab_size": len(WORDS),
            "bos_token_id": START,
            "eos_token_id": END,
            "pad_token_id": END,
        },
        vision_config={**shared, "image_size": SIDE, "patch_size": 5},
        projection_dim=8,
    )
    # Of a seed whose cosines are of both signs and positive on the whole.
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("clip")
    transformers.utils.logging.disable_progress_bar()
    transformers.CLIPModel(config).save_pretrained(path)
    (path / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(WORDS)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    (path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    return path


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(PROMPTS) + "\n", encoding="utf-8")
    return path


def images(*shape: int, seed: int = 0) -> Samples:
    data = np.random.default_rng(seed).uniform(-1, 1, shape)
    return Samples(modality="video" if len(shape) == 5 else "image", data=data, seed=0)


class TestScore(MetricContract):
    """The masked set's score: the dense one is compared with nothing."""

    identity_value = None
    # It compares with prompts: noise may as well make a random CLIP find more of them in an image.
    noise_levels = ()
    # A network's batch of another size is summed in another order, in float32.
    relative_tolerance = 1e-5

    @pytest.fixture
    def config(self, folder: Path, tmp_path: Path) -> ClipScoreConfig:
        # One prompt for all: then their order does not matter.
        (tmp_path / "prompt.txt").write_text("x y z", encoding="utf-8")
        return ClipScoreConfig(weights=folder, prompts=tmp_path / "prompt.txt")

    @pytest.fixture
    def metric(self, config: ClipScoreConfig) -> ClipScore:
        self._config = config
        return ClipScore(config)

    def metric_in_batches(self, batch_samples: int) -> ClipScore:
        return ClipScore(evolve(self._config, batch_samples=batch_samples))

    @pytest.fixture
    def dense(self) -> Samples:
        return images(4, 3, 24, 28)


class TestSimilarity(MetricContract):
    """An image is as like itself as can be."""

    identity_value = 1.0
    direction = Direction.HIGHER
    symmetric = True
    relative_tolerance = 1e-5

    @pytest.fixture
    def metric(self, folder: Path) -> ClipImageSimilarity:
        self._config = ClipConfig(weights=folder)
        return ClipImageSimilarity(self._config)

    def metric_in_batches(self, batch_samples: int) -> ClipImageSimilarity:
        return ClipImageSimilarity(evolve(self._config, batch_samples=batch_samples))

    @pytest.fixture
    def dense(self) -> Samples:
        return images(4, 3, 24, 28)


class TestSimilarityOfVideos(TestSimilarity):
    """The mean over videos of the mean over their frames, of grey ones here."""

    @pytest.fixture
    def dense(self) -> Samples:
        return evolve(images(3, 2, 1, 24, 28), lengths=np.array([2, 1, 2]))


# --- agreement ------------------------------------------------------------------------------------


def golden_of(golden_root: Path) -> Any:
    return np.load(golden_root / "metrics" / "clip_score" / "clip_score.npz")


def test_scores_of_embeddings_are_those_of_the_references(golden_root: Path) -> None:
    """A cosine a sample, torchmetrics' mean of them and that of Hessel et al."""
    golden = golden_of(golden_root)
    found = cosines(golden["image_embeddings"], golden["text_embeddings"])
    # The references divide in float32.
    np.testing.assert_allclose(100 * found, golden["per_sample"], rtol=1e-6, atol=1e-5)
    for convention, name in (
        (ClipConvention.TORCHMETRICS, "torchmetrics_mean"),
        (ClipConvention.HESSEL, "hessel2021"),
    ):
        score = score_of_cosines(found, lambda values: values, convention)
        assert score.value == pytest.approx(float(golden[name]), rel=1e-6)


@pytest.mark.parametrize("name", ["wide", "tall_large", "odd"])
def test_images_are_prepared_as_in_the_reference(golden_root: Path, name: str) -> None:
    """Bit for bit: the longer side cut, bicubic and antialiased, rounded to 8 bits, the middle cropped."""
    golden = golden_of(golden_root)
    image = golden[f"image.{name}"].transpose(2, 0, 1) / np.float32(127.5) - 1
    found = prepared(image.astype(np.float32), 224)
    assert found.shape == (3, 224, 224)
    assert np.array_equal(found[:, ::9, ::9], golden[f"preprocessed.{name}"])
    means = found.mean(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(means, golden[f"preprocessed_mean.{name}"], rtol=1e-12)


@pytest.mark.parametrize("convention", list(ClipConvention))
def test_the_whole_way_is_that_of_the_library(
    folder: Path, prompts: Path, convention: ClipConvention
) -> None:
    """From images and prompts to the cosines that transformers' own model puts into its logits."""
    dense, masked = images(3, 3, 24, 28), images(3, 3, 24, 28, seed=1)
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    pixels = torch.from_numpy(np.stack([prepared(image, SIDE) for image in masked.data]))
    with torch.no_grad():
        tokens = tokenizer(PROMPTS, padding=True, return_tensors="pt")["input_ids"]
        logits = model(input_ids=tokens, pixel_values=pixels).logits_per_image
        expected = (logits / model.logit_scale.exp()).diagonal().double().numpy()
    config = ClipScoreConfig(weights=folder, prompts=prompts, convention=convention)
    found = ClipScore(config).score(dense, masked)
    assert found.value == pytest.approx(
        score_of_cosines(expected, lambda values: values, convention).value, rel=1e-5
    )
    assert expected.min() < 0 < expected.mean()


def test_frames_have_the_prompt_of_their_video(folder: Path, prompts: Path) -> None:
    """Samples are of the prompts in turn, and a video whose frames are one image has that image's score."""
    still = images(6, 3, 24, 28)
    video = Samples(modality="video", data=np.stack([still.data] * 2, axis=1), seed=0)
    config = ClipScoreConfig(weights=folder, prompts=prompts, convention=ClipConvention.HESSEL)
    halves = [ClipScore(config).score(half, half) for half in (still.at(slice(3)), still.at(slice(3, 6)))]
    whole = ClipScore(config).score(video, video)
    assert whole.samples == 6
    assert whole.value == pytest.approx(np.mean([half.value for half in halves]), rel=1e-5)


# --- numbers --------------------------------------------------------------------------------------


@given(of_images=hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(-1, 1)))
def test_no_score_is_negative(of_images: NDArray[np.float64]) -> None:
    """Of cosines of any sign: torchmetrics lifts their mean to 0, Hessel et al. each of them."""
    plain = {c: score_of_cosines(of_images, lambda values: values, c).value for c in ClipConvention}
    assert plain[ClipConvention.TORCHMETRICS] == pytest.approx(100 * max(of_images.mean(), 0))
    assert plain[ClipConvention.HESSEL] == pytest.approx(2.5 * np.maximum(of_images, 0).mean())


def test_an_embedding_of_zeros_has_a_cosine() -> None:
    """It points nowhere and agrees with nothing: 0, not NaN."""
    assert cosines(np.zeros((1, 4)), np.ones((1, 4))).tolist() == [0]


def test_pixels_beyond_the_range_are_clipped() -> None:
    """What is brighter than white is white, and what is darker than black is black."""
    image = np.linspace(-3, 3, 3 * 8 * 8).reshape(3, 8, 8)
    assert np.array_equal(prepared(image, 8), prepared(np.clip(image, -1, 1), 8))


def test_a_grey_image_is_seen_in_colour() -> None:
    """Three equal channels and one are prepared alike."""
    grey = np.random.default_rng(0).uniform(-1, 1, (1, 9, 14))
    assert np.array_equal(prepared(grey, 8), prepared(np.repeat(grey, 3, axis=0), 8))


def test_more_noise_is_less_like(folder: Path) -> None:
    """The similarity falls with the noise, on the whole: from none to a little to much."""
    ramp = np.linspace(-0.9, 0.9, 24)
    data = np.broadcast_to(ramp[:, None] * ramp, (4, 3, 24, 24))
    dense = Samples(modality="image", data=data, seed=0)
    noise = np.random.default_rng(0).normal(0, 1, data.shape)
    metric = ClipImageSimilarity(ClipConfig(weights=folder))
    values = [
        metric.score(dense, Samples(modality="image", data=data + deviation * noise, seed=0)).value
        for deviation in (0, 0.03, 0.3)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]


# --- what is missing ------------------------------------------------------------------------------


def test_without_weights_or_prompts_it_is_unavailable(folder: Path, prompts: Path) -> None:
    """Each is named with the option that gives it, and nothing is computed in its place."""
    some = images(2, 3, 24, 28)
    for metric in (ClipScore(ClipScoreConfig(prompts=prompts)), ClipImageSimilarity(ClipConfig())):
        assert metric.inputs_digest() is None
        with pytest.raises(UnavailableError, match="needs the weights of CLIP: a folder"):
            metric.score(some, some)
    metric = ClipScore(ClipScoreConfig(weights=folder))
    assert metric.inputs_digest() is None
    with pytest.raises(UnavailableError, match=r"needs the prompts.*option `prompts`"):
        metric.score(some, some)


def test_without_transformers_the_way_out_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is not installed, the metric says what to install."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    some = images(2, 3, 24, 28)
    with pytest.raises(UnavailableError, match=r"pip install 'colfw\[encoders\]'"):
        ClipImageSimilarity(ClipConfig(weights=folder)).score(some, some)


def test_a_text_encoder_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    """The half that workloads are led by cannot see: no random half is put beside it."""
    config = transformers.CLIPConfig.from_pretrained(folder).text_config
    transformers.CLIPTextModelWithProjection(config).save_pretrained(tmp_path)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    some = images(2, 3, 24, 28)
    with pytest.raises(StoreError, match="kind 'clip_text_model'; CLIP's is wanted: clip"):
        ClipImageSimilarity(ClipConfig(weights=tmp_path)).score(some, some)


def test_its_inputs_are_weights_settings_and_prompts(folder: Path, prompts: Path, tmp_path: Path) -> None:
    """Another prompt or another setting of the model is another result."""
    config = ClipScoreConfig(weights=folder, prompts=prompts)
    first = ClipScore(config).inputs_digest()
    other = tmp_path / "other.txt"
    other.write_text("d\n", encoding="utf-8")
    assert ClipScore(evolve(config, prompts=other)).inputs_digest() != first
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert folder_digest(copy) == folder_digest(folder)
    assert ClipImageSimilarity(ClipConfig(weights=copy)).inputs_digest() == folder_digest(copy)
    settings = (copy / "config.json").read_text(encoding="utf-8")
    (copy / "config.json").write_text(settings.replace("quick_gelu", "gelu"), encoding="utf-8")
    assert folder_digest(copy) != folder_digest(folder)


@pytest.mark.parametrize(
    ("content", "prompts"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("one\r\ntwo", ["one", "two"]),
        ("one\n\nthree\n", ["one", "", "three"]),
        ("a \N{LATIN SMALL LETTER E WITH ACUTE}\u2028b", ["a \N{LATIN SMALL LETTER E WITH ACUTE}\u2028b"]),
    ],
)
def test_a_prompt_is_a_line(tmp_path: Path, content: str, prompts: list[str]) -> None:
    """An empty line is an empty prompt; only what ends a line in a text file parts prompts."""
    path = tmp_path / "prompts.txt"
    path.write_bytes(content.encode())
    assert [line.decode() for line in read_prompts(path)] == prompts


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "no prompt"), (b"\n \n", "no prompt"), (b"\xff\xfe", "UTF-8")]
)
def test_a_file_without_prompts_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    """So is one that is no text."""
    path = tmp_path / "prompts.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=problem):
        read_prompts(path)


def test_a_missing_file_of_prompts_is_refused(tmp_path: Path) -> None:
    """In one line with its path."""
    with pytest.raises(StoreError, match="no such file"):
        read_prompts(tmp_path / "none.txt")
