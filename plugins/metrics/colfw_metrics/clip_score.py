"""What CLIP says of images: how well they follow their prompts, and how like the dense ones they are.

The library that knows CLIP is transformers, which is optional: without it these metrics are unavailable.
Images are prepared as OpenAI's own code does it; the processors of libraries resize in other ways.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from attrs import frozen
from PIL import Image

from colfw.denoising.checkpoints import check_regular, digest, file_digest, reading
from colfw.denoising.decoding import joint_digest
from colfw.denoising.encoders import clip_model
from colfw.errors import StoreError, UnavailableError
from colfw.features import features_of
from colfw.resampling import bootstrapped, score_of_means
from colfw_metrics.image_options import ClipConvention
from colfw_metrics.images import image_pairs
from colfw_metrics.networks import chosen_device

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from colfw.samples import Samples, Score
    from colfw_metrics.image_options import ClipConfig, ClipScoreConfig

_VERSION: Final = 1
# The colours of the images that CLIP was trained on, from 0 to 1: openai/CLIP, clip/clip.py, _transform.
_MEAN: Final = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_DEVIATION: Final = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
# What decides an embedding beside the weights.
_SETTINGS: Final = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)
_HESSEL_SCALE: Final = 2.5
_PERCENT: Final = 100.0


class ClipScore:
    """How well the masked images follow their prompts; the dense ones only say what they should look like.

    Compare it with the score of the dense set, which is that of two equal sets. A video has the mean of its
    frames. The scale depends on the model as well as on the convention: name both beside the number.
    """

    def __init__(self, config: ClipScoreConfig) -> None:
        self._config = config

    def inputs_digest(self) -> str | None:
        prompts = self._config.prompts
        if self._config.weights is None or prompts is None:
            return None
        return joint_digest(folder_digest(self._config.weights), file_digest(prompts))

    def score(self, dense: Samples, masked: Samples) -> Score:
        pairs = image_pairs(dense, masked)
        prompts = self._prompts()
        seen = features_of(_encoder(self._config, "images", embedded_images), pairs.masked)
        told = features_of(_encoder(self._config, "texts", embedded_texts), np.array(prompts))
        sample_of_image = np.repeat(np.arange(len(masked)), pairs.images_of_sample)
        of_images = cosines(seen, told[sample_of_image % len(prompts)])
        return score_of_cosines(of_images, pairs.per_sample, self._config.convention)

    def _prompts(self) -> list[bytes]:
        if self._config.prompts is None:
            raise UnavailableError(
                "needs the prompts that the samples follow",
                hint="give the metric its option `prompts`, the path of a text file with a prompt a line",
            )
        return read_prompts(self._config.prompts)


class ClipImageSimilarity:
    """The mean cosine of what CLIP sees in a dense image and in its masked one, which needs no prompts."""

    def __init__(self, config: ClipConfig) -> None:
        self._config = config

    def inputs_digest(self) -> str | None:
        return None if self._config.weights is None else folder_digest(self._config.weights)

    def score(self, dense: Samples, masked: Samples) -> Score:
        pairs = image_pairs(dense, masked)
        encoder = _encoder(self._config, "images", embedded_images)
        seen = (features_of(encoder, images) for images in (pairs.dense, pairs.masked))
        return score_of_means(pairs.per_sample(cosines(*seen)), least=-1.0, most=1.0)


# --- from embeddings to a score -------------------------------------------------------------------


def cosines(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Of the angles between rows; a row of zeros is at a right angle to everything."""
    products = np.einsum("re,re->r", one, other, dtype=np.float64)
    lengths = [np.linalg.norm(rows.astype(np.float64), axis=1) for rows in (one, other)]
    found: NDArray[np.float64] = products / np.maximum(lengths[0] * lengths[1], np.finfo(np.float64).tiny)
    return found


def score_of_cosines(
    of_images: NDArray[np.float64],
    per_sample: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    convention: ClipConvention,
) -> Score:
    """The conventions differ in their scale, and in whether one cosine or their mean is at least 0."""
    if convention is ClipConvention.HESSEL:
        return score_of_means(_HESSEL_SCALE * per_sample(np.maximum(of_images, 0)), least=0.0)
    of_samples = per_sample(of_images)

    def of(drawn: NDArray[np.int64]) -> float:
        return max(_PERCENT * float(of_samples[drawn].mean()), 0.0)

    return bootstrapped(of(np.arange(len(of_samples))), of, samples=len(of_samples), least=0.0)


def read_prompts(path: Path) -> list[bytes]:
    """The lines of a text file, as UTF-8."""
    check_regular(path)
    with reading(path):
        content = path.read_bytes()
    try:
        lines = content.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise StoreError("no text in UTF-8", where=str(path), hint="save the prompts as UTF-8") from None
    if not any(line.strip() for line in lines):
        raise StoreError("holds no prompt", where=str(path), hint="write a prompt a line")
    return [line.strip().encode() for line in lines]


# --- from images and texts to embeddings ----------------------------------------------------------


@frozen(kw_only=True)
class ClipEncoder:
    """An extractor (`colfw.features`) around one of the two halves of CLIP."""

    half: str
    folder: Path
    device: str
    batch_samples: int
    embed: Callable[[Any, Any, NDArray[Any]], Tensor]
    """From model, tokenizer and batch to embeddings."""

    @property
    def identity(self) -> str:
        return f"CLIP {_VERSION} {self.half} {folder_digest(self.folder)} {self.device}"

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        model, tokenizer = _loaded(self.folder, folder_digest(self.folder), self.device)
        with torch.no_grad():
            found: NDArray[Any] = self.embed(model, tokenizer, batch).float().cpu().numpy()
        return found


def _encoder(config: ClipConfig, half: str, embed: Callable[[Any, Any, NDArray[Any]], Tensor]) -> ClipEncoder:
    if config.weights is None:
        raise UnavailableError(
            "needs the weights of CLIP: a folder such as openai/clip-vit-large-patch14 of huggingface.co",
            hint="give the metric its option `weights`, the path of that folder",
        )
    if find_spec("transformers") is None:
        raise UnavailableError(
            "CLIP is run by transformers, which is not installed", hint="pip install 'colfw[encoders]'"
        )
    return ClipEncoder(
        half=half,
        folder=config.weights,
        device=chosen_device(config.device),
        batch_samples=config.batch_samples,
        embed=embed,
    )


def embedded_images(model: Any, _: Any, batch: NDArray[Any]) -> Tensor:
    pixels = np.stack([prepared(image, model.config.vision_config.image_size) for image in batch])
    seen = model.vision_model(pixel_values=torch.from_numpy(pixels).to(model.device))
    return model.visual_projection(seen.pooler_output)  # type: ignore[no-any-return]


def embedded_texts(model: Any, tokenizer: Any, batch: NDArray[np.bytes_]) -> Tensor:
    """Of UTF-8 texts; what goes beyond the 77 tokens that CLIP reads is cut."""
    tokens = tokenizer(
        [text.decode() for text in batch],
        truncation=True,
        padding="max_length",
        max_length=model.config.text_config.max_position_embeddings,
        return_tensors="pt",
    )
    told = model.text_model(input_ids=tokens["input_ids"].to(model.device))
    return model.text_projection(told.pooler_output)  # type: ignore[no-any-return]


def prepared(image: NDArray[Any], side: int) -> NDArray[np.float32]:
    """An image `[channel, height, width]` from -1 to 1 as CLIP sees it: the square in its middle.

    It is rounded to 8 bits, and again after the bicubic resize of its shorter side, as it is in a file.
    """
    levels = np.rint(np.clip((image.astype(np.float64) + 1) * 127.5, 0, 255)).astype(np.uint8)
    grey = len(levels) == 1
    picture = Image.fromarray(levels[0] if grey else levels.transpose(1, 2, 0)).convert("RGB")
    shorter = min(picture.size)
    # The longer side is cut to whole pixels, not rounded.
    width, height = (side * length // shorter for length in picture.size)
    resized = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    top, left = (round((length - side) / 2) for length in (height, width))
    square = resized[top : top + side, left : left + side].astype(np.float32) / np.float32(255)
    normalised: NDArray[np.float32] = ((square - _MEAN) / _DEVIATION).transpose(2, 0, 1)
    return normalised


@cache
def _loaded(folder: Path, content: str, device: str) -> tuple[Any, Any]:  # noqa: ARG001
    """Model and tokenizer, kept for the process: a sweep asks once a mask. `content` is part of the key."""
    model, tokenizer = clip_model(folder)
    return model.requires_grad_(requires_grad=False).to(device), tokenizer


def folder_digest(folder: Path) -> str:
    """A hash of the weights and of what else in their folder decides an embedding."""
    places = [place / name for place in (folder, folder / "tokenizer") for name in _SETTINGS]
    settings = (f"{file.name} {file_digest(file)}" for file in places if file.is_file())
    found = joint_digest(digest(folder), *settings)
    assert found is not None  # the weights have one
    return found
