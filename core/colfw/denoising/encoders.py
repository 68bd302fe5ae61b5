"""Encoders of text, from a local folder of `transformers`: what `Condition.encoder` may name.

Each takes the folder and the prompts and gives float32 `[prompts, ...]`. A folder is one that
`save_pretrained` made with a tokenizer beside the model, or a pipeline's with `text_encoder/` and
`tokenizer/` in it. Nothing is fetched from the network.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import torch

from colfw.denoising.checkpoints import first_line, shown
from colfw.errors import ColfwError, StoreError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

_CONTEXT_TOKENS: Final = 77
# MDM reads 20 tokens of a HumanML3D prompt, between the start and the end.
_SHORT_CONTEXT_TOKENS: Final = 22
# Stable Diffusion 2 ships OpenCLIP ViT-H/14 without the last of its 24 layers.
_LAYERS_WITHOUT_LAST: Final = 23


def clip_hidden_states(folder: Path, prompts: Sequence[str]) -> Tensor:
    """`[prompts, 77, width]`: the last hidden states, as Stable Diffusion 1 reads CLIP ViT-L/14."""
    with _transformers(folder) as library:
        tokens, tokenizer = _tokens(library, folder, prompts, _CONTEXT_TOKENS)
        model = _model(library.CLIPTextModel, folder)
        padded = _padded(tokens, tokenizer.pad_token_id)
        return _states(model, padded).last_hidden_state.float()  # type: ignore[no-any-return]


def clip_text_features(folder: Path, prompts: Sequence[str]) -> Tensor:
    """`[prompts, width]`: CLIP's projected feature of a whole prompt, as MLD reads it."""
    return _features(folder, prompts, _CONTEXT_TOKENS)


def clip_short_text_features(folder: Path, prompts: Sequence[str]) -> Tensor:
    """`[prompts, width]`: CLIP's projected feature of the first 20 tokens, as MDM reads it."""
    return _features(folder, prompts, _SHORT_CONTEXT_TOKENS)


def openclip_penultimate_states(folder: Path, prompts: Sequence[str]) -> Tensor:
    """`[prompts, 77, width]`: the last but one hidden states, normalised as the last ones would be.

    VideoCrafter2 reads OpenCLIP ViT-H/14 so; OpenCLIP pads with zeros, unlike CLIP's tokenizer.
    """
    with _transformers(folder) as library:
        tokens, _ = _tokens(library, folder, prompts, _CONTEXT_TOKENS)
        model = _model(library.CLIPTextModel, folder)
        layer = -1 if model.config.num_hidden_layers == _LAYERS_WITHOUT_LAST else -2
        states = _states(model, _padded(tokens, 0)).hidden_states[layer]
        with torch.no_grad():
            return _final_norm(model)(states).float()  # type: ignore[no-any-return]


def clip_model(folder: Path) -> tuple[Any, Any]:
    """CLIP whole, of images and of text, and its tokenizer: for metrics, which compare the two."""
    with _transformers(folder) as library:
        place = _part(folder, "tokenizer", ("tokenizer.json", "vocab.json"))
        tokenizer = library.CLIPTokenizer.from_pretrained(place, local_files_only=True)
        return _model(library.CLIPModel, folder, kinds=("clip",)), tokenizer


def _features(folder: Path, prompts: Sequence[str], context_tokens: int) -> Tensor:
    with _transformers(folder) as library:
        tokens, tokenizer = _tokens(library, folder, prompts, context_tokens)
        model = _model(library.CLIPTextModelWithProjection, folder)
        # What stands behind the end of a prompt cannot be seen from there, where the feature is read.
        padded = _padded(tokens, tokenizer.eos_token_id)
        return _states(model, padded).text_embeds.float()  # type: ignore[no-any-return]


def _states(model: Any, tokens: Tensor) -> Any:
    with torch.no_grad():
        return model(input_ids=tokens, output_hidden_states=True)


def _final_norm(model: Any) -> Any:
    """It moved between versions of transformers."""
    return next(module for name, module in model.named_modules() if name.endswith("final_layer_norm"))


def _tokens(
    library: Any, folder: Path, prompts: Sequence[str], context_tokens: int
) -> tuple[list[list[int]], Any]:
    place = _part(folder, "tokenizer", ("tokenizer.json", "vocab.json"))
    tokenizer = library.CLIPTokenizer.from_pretrained(place, local_files_only=True)
    tokens = tokenizer(list(prompts), truncation=True, max_length=context_tokens)["input_ids"]
    return tokens, tokenizer


def _padded(tokens: Sequence[Sequence[int]], padding: int) -> Tensor:
    rows = [[*row, *[padding] * (_CONTEXT_TOKENS - len(row))] for row in tokens]
    return torch.tensor(rows)


def _model(kind: Any, folder: Path, kinds: tuple[str, ...] = ("clip", "clip_text_model")) -> Any:
    """The model, if the folder holds all of its weights."""
    place = _part(folder, "text_encoder", ("config.json",))
    _check_kind(place, kinds)
    model, loading = kind.from_pretrained(
        place, local_files_only=True, output_loading_info=True, dtype=torch.float32
    )
    missing = sorted(loading["missing_keys"])
    if missing:
        raise StoreError(
            f"lacks {len(missing)} weights of {kind.__name__}, such as {shown(missing[0])}", where=str(place)
        )
    return model.eval()


def _part(folder: Path, part: str, files: tuple[str, ...]) -> Path:
    for place in (folder / part, folder):
        if any((place / name).is_file() for name in files):
            return place
    raise StoreError(
        f"no folder of a text encoder: neither it nor its {part}/ has {' or '.join(files)}",
        where=str(folder),
        hint="one that transformers' save_pretrained made, model and tokenizer",
    )


def _check_kind(place: Path, kinds: tuple[str, ...]) -> None:
    try:
        kind = json.loads((place / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError):
        raise StoreError("no configuration of a model", where=str(place / "config.json")) from None
    if kind not in kinds:
        raise StoreError(
            f"an encoder of kind {kind!r}; CLIP's is wanted: {' or '.join(kinds)}", where=str(place)
        )


@contextmanager
def _transformers(folder: Path) -> Iterator[Any]:
    """The library, silent; what it raises about a folder becomes one line."""
    try:
        import transformers  # noqa: PLC0415  (optional, and seconds to import)
    except ImportError:
        raise UnavailableError(
            "prompts are encoded by transformers, which is not installed",
            where="encoder",
            hint="pip install transformers, or give embeddings in a file: conditioning = PATH",
        ) from None
    if not folder.is_dir():
        raise StoreError("no such folder", where=str(folder))
    with _quiet(transformers.utils.logging):
        try:
            yield transformers
        except ColfwError:
            raise
        except Exception as error:  # what the library and those below it raise is not limited
            raise StoreError(
                f"no readable text encoder: {first_line(error)}",
                where=str(folder),
                hint="download it again, or save it again by transformers' save_pretrained",
            ) from error


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
