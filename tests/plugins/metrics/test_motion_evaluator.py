"""The evaluator sees motions and texts as the reference does, whatever their order, batch and padding."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve
from safetensors.torch import save_file

from colfw.denoising.checkpoints import read_checkpoint
from colfw.errors import InvariantError, StoreError, UnavailableError
from colfw.samples import Samples
from colfw_metrics.motion_evaluator import (
    EVALUATOR,
    MotionEvaluator,
    inputs_digest,
    points_of_motions,
    points_of_texts,
    prepared_motions,
)
from colfw_metrics.motion_options import MotionEvaluatorConfig, TextMatchConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Options = Callable[..., dict[str, Any]]

FILLS = {"plain": ("", 1e-5), "gain2": ("_gain2", 1e-4)}
"""What the golden arrays of a fill are called, and how far float32 may be off where they are up to 4."""


@pytest.fixture(scope="module")
def golden(golden_root: Path) -> Any:
    return np.load(golden_root / "metrics" / "mfid" / "t2m_evaluator_forward.npz")


@pytest.fixture(scope="module")
def texts(golden: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.npz"
    write_texts(path, golden, slice(None))
    return path


def write_texts(path: Path, golden: Any, rows: Any, **changed: Any) -> None:
    names = {"word_embeddings": "word_embs", "pos_one_hots": "pos_onehot", "lengths": "cap_lens"}
    np.savez(path, **{name: golden[key][rows] for name, key in names.items()} | changed)


def samples_of(golden: Any) -> Samples:
    motions = golden["motions"].astype(np.float32)
    return Samples(
        modality="motion",
        data=np.zeros((*motions.shape[:2], 22, 3)),
        seed=0,
        lengths=golden["m_lens"],
        views={"humanml3d": motions},
    )


def config(options: dict[str, Any]) -> TextMatchConfig:
    # The golden motions are padded to 60 frames, not to the 196 of the released evaluation.
    return TextMatchConfig(**{"padded_frames": 60, **options})


def test_the_network_has_the_keys_of_the_release(golden_root: Path) -> None:
    """Names and shapes are those of the released file: nothing is missing, nothing is left over."""
    described = json.loads((golden_root / "metrics" / "mfid" / "state_dict.json").read_text())["params"]
    found = {key: list(entry.shape) for key, entry in MotionEvaluator().state_dict().items()}
    assert found == described


@pytest.mark.parametrize("fill", FILLS)
def test_movements_are_those_of_the_reference(golden: Any, evaluator_options: Options, fill: str) -> None:
    """The movement encoder alone, for the first motion."""
    suffix, tolerance = FILLS[fill]
    options = config(evaluator_options(fill))
    network = MotionEvaluator().movement_encoder.eval()
    layout = evolve(EVALUATOR.layout, nesting=("movement_encoder",))
    network.load_state_dict(dict(read_checkpoint(options.weights, layout).state))  # type: ignore[arg-type]
    motion = torch.from_numpy(prepared_motions(samples_of(golden), options)[:1, :, :-1])
    with torch.no_grad():
        found = network(motion)[0].numpy()
    np.testing.assert_allclose(found, golden[f"movement{suffix}.first"], rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("batch_samples", [16, 4], ids=["one batch", "two batches"])
def test_points_are_those_of_the_reference(
    golden: Any, evaluator_options: Options, texts: Path, fill: str, batch_samples: int
) -> None:
    """Motions and texts lie where the reference sees them, in the order in which they were given."""
    suffix, tolerance = FILLS[fill]
    options = config(evaluator_options(fill, texts=texts, batch_samples=batch_samples))
    motions, words = points_of_motions(samples_of(golden), options), points_of_texts(options, samples=6)
    expected = golden[f"motion_embedding_input_order{suffix}"], golden[f"text_embedding_input_order{suffix}"]
    np.testing.assert_allclose(motions, expected[0], rtol=1e-4, atol=tolerance)
    np.testing.assert_allclose(words, expected[1], rtol=1e-4, atol=tolerance)
    np.testing.assert_allclose(
        motions[golden["align_idx"]], golden[f"co_motion_as_returned{suffix}"], rtol=1e-4, atol=tolerance
    )


def test_what_is_behind_a_length_is_not_seen(golden: Any, evaluator_options: Options) -> None:
    """Frames behind a motion's length are zeros to the evaluator, whatever they hold."""
    options = config(evaluator_options())
    samples = samples_of(golden)
    behind = np.arange(60)[None, :, None] >= samples.lengths[:, None, None]  # type: ignore[index]
    views = {"humanml3d": np.where(behind, np.float32(7), samples.views["humanml3d"])}
    shown = prepared_motions(evolve(samples, views=views), options)
    np.testing.assert_array_equal(shown, prepared_motions(samples, options))


def test_motions_are_normalised_by_the_evaluator(
    golden: Any, evaluator_options: Options, tmp_path: Path
) -> None:
    """Features are less its mean, by its deviation; the last four are not shown; zeros fill up."""
    mean, std = np.arange(263.0), np.linspace(1, 2, 263)
    np.save(tmp_path / "mean.npy", mean)
    np.save(tmp_path / "std.npy", std)
    files = {"mean": tmp_path / "mean.npy", "std": tmp_path / "std.npy"}
    options = TextMatchConfig(**{**evaluator_options(), **files})
    samples = samples_of(golden)
    shown = prepared_motions(samples, options)
    assert shown.shape == (6, 196, 259 + 1)
    expected = (samples.views["humanml3d"][1, :44] - mean) / std
    np.testing.assert_allclose(shown[1, :44, :-1], expected[:, :259], rtol=1e-6)
    assert not shown[1, 44:].any()
    np.testing.assert_array_equal(shown[..., -1].sum(axis=1), golden["m_lens"])


def test_padding_reaches_into_the_last_step(golden: Any, evaluator_options: Options) -> None:
    """A motion that fills its frames is seen a little differently once zeros stand behind it."""
    samples = samples_of(golden).at(np.array([0]))
    assert samples.lengths == 60
    bare, padded = (
        points_of_motions(samples, config(evaluator_options(padded_frames=frames))) for frames in (60, 64)
    )
    more = points_of_motions(samples, config(evaluator_options(padded_frames=196)))
    assert np.abs(bare - padded).max() > 1e-3
    np.testing.assert_allclose(more, padded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("missing", ["weights", "mean", "std"])
def test_without_a_file_it_says_which(golden: Any, evaluator_options: Options, missing: str) -> None:
    """Weights and statistics come from the user; the message says what is needed and where it is from."""
    options = MotionEvaluatorConfig(**{**evaluator_options(), missing: None})
    named = {"weights": "finest.tar.*`weights`"}.get(missing, "mean.npy and std.npy.*`mean` and `std`")
    with pytest.raises(UnavailableError, match=named):
        points_of_motions(samples_of(golden), options)


def test_samples_need_the_form_of_humanml3d(golden: Any, evaluator_options: Options) -> None:
    """Joints alone are not enough, nor are the features of another skeleton."""
    samples, options = samples_of(golden), config(evaluator_options())
    with pytest.raises(UnavailableError, match="needs samples as humanml3d"):
        points_of_motions(evolve(samples, views={}), options)
    kit = {"humanml3d": np.zeros((6, 60, 251))}
    with pytest.raises(UnavailableError, match=r"\[6, 60, 251\], not \[sample, frame, 263\]"):
        points_of_motions(evolve(samples, views=kit), options)


def test_without_lengths_all_frames_of_the_form_count(golden: Any, evaluator_options: Options) -> None:
    """They are counted where the evaluator looks, whatever the samples hold beside that form."""
    samples = evolve(samples_of(golden), lengths=None, data=np.zeros((6, 263, 1, 60)))
    shown = prepared_motions(samples, config(evaluator_options()))
    assert (shown[..., -1].sum(axis=1) == 60).all()


def test_lengths_are_of_frames_that_are_there(golden: Any, evaluator_options: Options) -> None:
    """A motion of fewer frames than a step is left out; one longer than its features is a broken call."""
    samples, options = samples_of(golden), config(evaluator_options())
    with pytest.raises(UnavailableError, match=r"need 4 frames.*the shortest has 3"):
        points_of_motions(evolve(samples, lengths=np.array([60, 44, 3, 60, 41, 24])), options)
    with pytest.raises(InvariantError, match="has 50 frames, and a motion 60"):
        points_of_motions(evolve(samples, views={"humanml3d": np.zeros((6, 50, 263))}), options)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros(263), "above zero"),
        (np.ones(262), "must hold 263 finite numbers"),
        (np.full(263, np.nan), "must hold 263 finite numbers"),
        (np.array([{}]), "no file of numbers"),
    ],
    ids=["zero", "too few", "NaN", "pickle"],
)
def test_deviations_are_deviations(
    golden: Any, evaluator_options: Options, tmp_path: Path, array: Any, problem: str
) -> None:
    """A file that cannot normalise is named; no pickle is run."""
    np.save(tmp_path / "std.npy", array)
    options = config(evaluator_options(std=tmp_path / "std.npy"))
    with pytest.raises(StoreError, match=problem):
        points_of_motions(samples_of(golden), options)


def test_a_file_that_is_not_there_is_named(golden: Any, evaluator_options: Options, tmp_path: Path) -> None:
    """The path stands before the problem."""
    options = config(evaluator_options(mean=tmp_path / "nothing.npy"))
    with pytest.raises(StoreError, match=r"nothing\.npy: no such file"):
        points_of_motions(samples_of(golden), options)


def test_each_sample_needs_its_text(evaluator_options: Options, texts: Path) -> None:
    """No texts, or too few, leave the metric out."""
    with pytest.raises(UnavailableError, match=r"word vectors.*`texts`"):
        points_of_texts(config(evaluator_options()), samples=6)
    with pytest.raises(UnavailableError, match="6 texts for 7 samples"):
        points_of_texts(config(evaluator_options(texts=texts)), samples=7)


@pytest.mark.parametrize(
    "changed",
    [
        {"word_embeddings": np.zeros((6, 22, 50))},
        {"pos_one_hots": np.zeros((6, 21, 15))},
        {"lengths": np.zeros(6, np.int64)},
        {"lengths": np.full(6, 23)},
        {"lengths": np.full(5, 3)},
    ],
    ids=["other vectors", "fewer kinds", "no word", "too long", "too few"],
)
def test_texts_fit_together(
    golden: Any, evaluator_options: Options, tmp_path: Path, changed: dict[str, Any]
) -> None:
    """Shapes that do not fit are named as what they should be."""
    write_texts(tmp_path / "texts.npz", golden, slice(None), **changed)
    with pytest.raises(StoreError, match="word_embeddings must be"):
        points_of_texts(config(evaluator_options(texts=tmp_path / "texts.npz")), samples=6)


def test_texts_have_three_arrays(evaluator_options: Options, tmp_path: Path) -> None:
    """A file with other arrays, or with one alone, holds no texts."""
    np.savez(tmp_path / "texts.npz", words=np.zeros(3))
    np.save(tmp_path / "texts.npy", np.zeros(3))
    for name in ("texts.npz", "texts.npy"):
        with pytest.raises(StoreError, match="lacks word_embeddings"):
            points_of_texts(config(evaluator_options(texts=tmp_path / name)), samples=6)


def test_results_of_other_files_are_told_apart(evaluator_options: Options, texts: Path) -> None:
    """The digest changes with each file that is read, and without files there is none."""
    none = MotionEvaluatorConfig()
    configs = [config(evaluator_options(fill)) for fill in FILLS]
    configs.append(evolve(configs[0], std=configs[0].mean))
    digests = [*map(inputs_digest, configs), inputs_digest(configs[0], texts)]
    assert inputs_digest(none) is None
    assert len(set(digests)) == 4
    assert all(digests)


def test_a_flat_file_holds_the_same_weights(golden: Any, evaluator_options: Options, tmp_path: Path) -> None:
    """Weights may be converted to safetensors, whose keys begin with the part that they are of."""
    options = evaluator_options()
    held = torch.load(options["weights"], weights_only=True)
    flat = {f"{part}.{key}": tensor for part in EVALUATOR.parts for key, tensor in held[part].items()}
    save_file(flat, tmp_path / "evaluator.safetensors")
    converted = config({**options, "weights": tmp_path / "evaluator.safetensors"})
    found, expected = (points_of_motions(samples_of(golden), each) for each in (converted, config(options)))
    np.testing.assert_array_equal(found, expected)
    (tmp_path / "evaluator.safetensors").unlink()


def test_weights_of_something_else_are_refused(
    golden: Any, evaluator_options: Options, tmp_path: Path
) -> None:
    """A file that lacks a part is not loaded by half."""
    torch.save({"movement_encoder": {"main.0.weight": torch.zeros(1)}}, tmp_path / "half.tar")
    with pytest.raises(StoreError, match="half"):
        points_of_motions(samples_of(golden), config(evaluator_options(weights=tmp_path / "half.tar")))
