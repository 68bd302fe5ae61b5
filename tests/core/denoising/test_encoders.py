"""The rules of encoders of text, on tiny random ones that `transformers` saved."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from colfw.denoising import encoders
from colfw.denoising.encoders import (
    clip_hidden_states,
    clip_short_text_features,
    clip_text_features,
    openclip_penultimate_states,
)
from colfw.errors import ColfwError, StoreError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

transformers = pytest.importorskip("transformers")

ALL = [clip_hidden_states, clip_text_features, clip_short_text_features, openclip_penultimate_states]
each_encoder = pytest.mark.parametrize("encode", ALL, ids=lambda encode: encode.__name__)

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
WORDS = ["!", *LETTERS, *[f"{letter}</w>" for letter in LETTERS], "<|startoftext|>", "<|endoftext|>"]
START, END = len(WORDS) - 2, len(WORDS) - 1
PROMPTS = ["a dog", "", "x" * 100]


def tokens_of(prompt: str, padding: int, context: int = 77) -> list[int]:
    """What CLIP's tokenizer makes of single letters, written down anew."""
    ids = [LETTERS.index(letter) + 1 for word in prompt.split() for letter in word]
    for position in [len("".join(prompt.split()[: n + 1])) - 1 for n in range(len(prompt.split()))]:
        ids[position] += len(LETTERS)
    ids = [START, *ids[: context - 2], END]
    return ids + [padding] * (77 - len(ids))


def configuration(**sizes: int) -> Any:
    return transformers.CLIPTextConfig(
        **{
            "vocab_size": len(WORDS),
            "hidden_size": 8,
            "intermediate_size": 16,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "projection_dim": 6,
            "max_position_embeddings": 77,
            "bos_token_id": START,
            "eos_token_id": END,
            "pad_token_id": END,
            # Larger than CLIP's own, so that a tiny encoder tells prompts apart.
            "initializer_range": 0.5,
            "initializer_factor": 10.0,
        }
        | sizes
    )


def save(model: Any, folder: Path) -> Any:
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    return model.eval()


class Attack:
    """Pickles as a call that leaves a mark on the disk."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"echo run > {self.mark}",)


def save_tokenizer(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with tokenizer and model, and the model."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    model = save(transformers.CLIPTextModelWithProjection(configuration()), folder)
    save_tokenizer(folder)
    return folder, model


def outputs(model: Any, padding: int, context: int = 77) -> Any:
    tokens = torch.tensor([tokens_of(prompt, padding, context) for prompt in PROMPTS])
    with torch.no_grad():
        return model(input_ids=tokens, output_hidden_states=True)


def test_hidden_states_are_the_last(saved: tuple[Path, Any]) -> None:
    """Hidden states of 77 tokens, padded with the end of text, cut to 75 tokens of the prompt."""
    folder, model = saved
    found = clip_hidden_states(folder, PROMPTS)
    assert found.shape == (3, 77, 8)
    torch.testing.assert_close(found, outputs(model, END).last_hidden_state)


def test_features_are_projected(saved: tuple[Path, Any]) -> None:
    """A feature a prompt, read at the end of the text and projected."""
    folder, model = saved
    found = clip_text_features(folder, PROMPTS)
    assert found.shape == (3, 6)
    torch.testing.assert_close(found, outputs(model, END).text_embeds)


def test_short_features_stop_after_20_tokens(saved: tuple[Path, Any]) -> None:
    """MDM's feature is that of the first 20 tokens; a shorter prompt has the same feature as before."""
    folder, model = saved
    found = clip_short_text_features(folder, PROMPTS)
    torch.testing.assert_close(found, outputs(model, END, context=22).text_embeds)
    whole = clip_text_features(folder, PROMPTS)
    torch.testing.assert_close(found[:2], whole[:2])
    assert not torch.allclose(found[2], whole[2])


def test_penultimate_states_are_normalised(saved: tuple[Path, Any]) -> None:
    """Hidden states before the last layer, then the final normalisation, padded with zeros."""
    folder, model = saved
    norm = next(part for name, part in model.named_modules() if name.endswith("final_layer_norm"))
    found = openclip_penultimate_states(folder, PROMPTS)
    with torch.no_grad():
        torch.testing.assert_close(found, norm(outputs(model, 0).hidden_states[-2]))
    assert not torch.allclose(found, clip_hidden_states(folder, PROMPTS))


def test_a_copy_without_the_last_layer_is_recognised(tmp_path: Path) -> None:
    """Stable Diffusion 2's copy has 23 layers, and its last states are the penultimate ones."""
    model = save(transformers.CLIPTextModel(configuration(num_hidden_layers=23)), tmp_path)
    save_tokenizer(tmp_path)
    expected = outputs(model, 0).last_hidden_state
    torch.testing.assert_close(openclip_penultimate_states(tmp_path, PROMPTS), expected)


@each_encoder
def test_a_pipelines_folder_is_read(tmp_path: Path, encode: Callable[..., Any]) -> None:
    """A diffusers pipeline keeps the model and its tokenizer in two folders."""
    save(transformers.CLIPTextModelWithProjection(configuration()), tmp_path / "text_encoder")
    save_tokenizer(tmp_path / "tokenizer")
    assert len(encode(tmp_path, PROMPTS)) == len(PROMPTS)


@each_encoder
def test_the_text_half_of_a_whole_clip_is_read(tmp_path: Path, encode: Callable[..., Any]) -> None:
    """CLIP is released with its half for images; the half for text alone is read, without a word."""
    text = configuration().to_dict()
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes = vision | {"image_size": 8, "patch_size": 4}
    whole = transformers.CLIPConfig(text_config=text, vision_config=sizes, projection_dim=6)
    save(transformers.CLIPModel(whole), tmp_path)
    save_tokenizer(tmp_path)
    assert len(encode(tmp_path, PROMPTS)) == len(PROMPTS)


@each_encoder
def test_nothing_is_printed_and_settings_come_back(
    saved: tuple[Path, Any], capfd: pytest.CaptureFixture[str], encode: Callable[..., Any]
) -> None:
    """Loading is silent, and the library is as talkative afterwards as before."""
    logging = transformers.utils.logging
    logging.enable_progress_bar()
    before = logging.get_verbosity()
    encode(saved[0], ["a"])
    assert capfd.readouterr() == ("", "")
    assert logging.get_verbosity() == before
    assert logging.is_progress_bar_enabled()


# --- folders that are something else --------------------------------------------------------------


def refusal_of(folder: Path, encode: Callable[..., Any] = clip_text_features) -> ColfwError:
    with pytest.raises(ColfwError) as refusal:
        encode(folder, ["a"])
    assert "\n" not in str(refusal.value)
    return refusal.value


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """Nothing is fetched in place of a folder that is not there."""
    assert refusal_of(tmp_path / "none").problem == "no such folder"


def test_a_folder_without_tokenizer_or_model_is_refused(tmp_path: Path) -> None:
    """The refusal says which files were looked for."""
    assert "neither it nor its tokenizer/ has tokenizer.json" in refusal_of(tmp_path).problem
    save_tokenizer(tmp_path)
    assert "neither it nor its text_encoder/ has config.json" in refusal_of(tmp_path).problem


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"model_type": "bert"}', '{"model_type": "clip"}', "[" * 100_000]
)
def test_another_model_is_refused(tmp_path: Path, text: str) -> None:
    """A folder of another kind of model, or without weights, is refused by its path."""
    save_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(text)
    refusal = refusal_of(tmp_path)
    assert isinstance(refusal, StoreError)
    assert str(refusal.where).startswith(str(tmp_path))


@each_encoder
def test_truncated_weights_are_refused(tmp_path: Path, encode: Callable[..., Any]) -> None:
    """A model file that was cut off is refused in one line."""
    save(transformers.CLIPTextModelWithProjection(configuration()), tmp_path)
    save_tokenizer(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    refusal_of(tmp_path, encode)


def test_a_pickle_beside_the_weights_is_not_run(tmp_path: Path) -> None:
    """An encoder in torch's older format that calls a function is refused without advice to run it."""
    mark = tmp_path / "mark"
    model = save(transformers.CLIPTextModelWithProjection(configuration()), tmp_path)
    save_tokenizer(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict() | {"trap": Attack(mark)}, tmp_path / "pytorch_model.bin")
    assert "weights_only" not in str(refusal_of(tmp_path))
    assert not mark.exists()


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    """CLIP without its projection gives no features: random ones are not put in their place."""
    save(transformers.CLIPTextModel(configuration()), tmp_path)
    save_tokenizer(tmp_path)
    assert refusal_of(tmp_path).problem.startswith("lacks 1 weights of CLIPTextModelWithProjection")


def test_without_transformers_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is not installed, the refusal says how to get it and what works without."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    refusal = refusal_of(tmp_path)
    assert isinstance(refusal, UnavailableError)
    assert "pip install transformers" in str(refusal)


def test_every_encoder_is_named_by_its_place() -> None:
    """What workloads refer to stays where it is."""
    assert [encode.__name__ for encode in ALL if getattr(encoders, encode.__name__) is encode] == [
        "clip_hidden_states",
        "clip_text_features",
        "clip_short_text_features",
        "openclip_penultimate_states",
    ]
