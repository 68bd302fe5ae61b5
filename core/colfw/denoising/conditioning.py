"""What a denoiser is conditioned on: given in a file, encoded from prompts, or drawn from the seed."""

from __future__ import annotations

import hashlib
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import field, frozen, validators

from colfw import lazy
from colfw.denoising.checkpoints import check_regular, file_digest, first_line, reading, some
from colfw.errors import StoreError, StudyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


@frozen(kw_only=True)
class Condition:
    """One thing that a denoiser is conditioned on."""

    shape: tuple[int, ...]
    """Of one sample."""
    what: str
    """What the numbers are, for messages: "hidden states of the text encoder CLIP ViT-L/14"."""
    encoder: str | None = None
    """What makes it of text, as `package.module:function`."""
    varies: bool = True
    """False: one for all samples, such as an embedding of the empty prompt."""
    below: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    """Where it is a whole number, such as a class: 0 or more, and below this."""


def conditioning(
    conditions: Mapping[str, Condition], *, options: Any, samples: int, seed: int, first_sample: int = 0
) -> dict[str, Tensor]:
    """Each condition of some samples, `[samples, *shape]` float32 (int64 where it is a whole number).

    They come from a file, or from the options: encoded prompts, and whole numbers in the option of their
    name. What none of these gives is drawn from the seed, the name and the number of the sample, so that a
    sample is the same in whatever batch it runs.
    """
    numbers = range(first_sample, first_sample + samples)
    prompts = _prompts(conditions, options)
    counted = _counted(conditions, options)
    if options.conditioning is not None:
        return _from_file(options.conditioning, conditions, numbers)

    def one(name: str, condition: Condition) -> Tensor:
        if prompts and condition.encoder:
            return _encoded(name, condition, options.encoder, prompts, numbers)
        if name in counted:
            return _in_turn(counted[name], numbers)
        return _drawn(name, condition, seed, numbers)

    return {name: one(name, condition) for name, condition in conditions.items()}


def _counted(conditions: Mapping[str, Condition], options: Any) -> dict[str, Tensor]:
    """The whole numbers that the options give."""
    wanted = [name for name, condition in conditions.items() if condition.below is not None]
    numbers = {name: tuple(getattr(options, name, None) or ()) for name in wanted}
    given = {name: torch.tensor(values) for name, values in numbers.items() if values}
    if given and options.conditioning is not None:
        names = ", ".join(given)
        raise StudyError(f"{names} and a file of embeddings exclude each other", where="conditioning")
    return given


def check_options(conditions: Mapping[str, Condition], options: Any) -> None:
    """Refuse options that cannot be followed, and a file that does not fit, before a model is built."""
    _prompts(conditions, options)
    _counted(conditions, options)
    if options.conditioning is not None:
        _from_file(options.conditioning, conditions, range(1))


def files_digest(options: Any) -> str | None:
    """A hash of the files that conditioning is made of; None where seed and options decide it."""
    files = [] if options.conditioning is None else [options.conditioning]
    encoder = getattr(options, "encoder", None)
    if encoder is not None:
        files += sorted(file for file in encoder.rglob("*") if file.is_file())
    if not files:
        return None
    return hashlib.sha256("".join(file_digest(file) for file in files).encode()).hexdigest()


# --- drawn from the seed --------------------------------------------------------------------------


def _drawn(name: str, condition: Condition, seed: int, numbers: range) -> Tensor:
    stream = (seed, zlib.crc32(name.encode()))
    drawn = [_draw(condition, (*stream, number) if condition.varies else stream) for number in numbers]
    return torch.from_numpy(np.stack(drawn))


def _draw(condition: Condition, stream: tuple[int, ...]) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(stream)
    if condition.below is not None:
        return np.asarray(generator.integers(condition.below, size=condition.shape), np.int64)
    return np.asarray(generator.standard_normal(condition.shape, dtype=np.float32), np.float32)


# --- encoded from prompts -------------------------------------------------------------------------


def _prompts(conditions: Mapping[str, Condition], options: Any) -> tuple[str, ...]:
    """The prompts of the options, if these can be followed."""
    prompts = tuple(getattr(options, "prompts", ()))
    encoder = getattr(options, "encoder", None)
    if prompts and not any(condition.encoder for condition in conditions.values()):
        raise StudyError("this workload is not led by text", where="prompts")
    if prompts and options.conditioning is not None:
        raise StudyError("prompts and a file of embeddings exclude each other", where="conditioning")
    if prompts and encoder is None:
        raise StudyError(
            "prompts need an encoder of text",
            where="encoder",
            hint="the folder of one, or embeddings in a file: conditioning = PATH",
        )
    if encoder is not None and not prompts:
        raise StudyError("an encoder without prompts has nothing to do", where="prompts")
    return prompts


def _encoded(
    name: str, condition: Condition, folder: Path, prompts: tuple[str, ...], numbers: range
) -> Tensor:
    texts = prompts if condition.varies else ("",)
    encoded = _remembered(condition.encoder or "", folder, texts)
    if _without_ones(encoded.shape[1:]) != _without_ones(condition.shape):
        raise StoreError(
            f"gives {list(encoded.shape[1:])} a prompt; {name} is {_described(condition)}",
            where=str(folder),
            hint="another encoder of text, or one of another size",
        )
    return _in_turn(encoded.reshape(len(texts), *condition.shape), numbers)


@lru_cache(maxsize=8)
def _remembered(encoder: str, folder: Path, texts: tuple[str, ...]) -> Tensor:
    """What an encoder makes of texts; kept, because a study asks again for every batch and mask."""
    encoded: Tensor = lazy.load(encoder)(folder, texts)
    if not torch.isfinite(encoded).all():
        raise StoreError("this encoder gives NaN or infinity", where=str(folder))
    return encoded.float()


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


# --- given in a file ------------------------------------------------------------------------------


def _from_file(path: Path, conditions: Mapping[str, Condition], numbers: range) -> dict[str, Tensor]:
    arrays = _arrays(path, conditions)
    return {
        name: _in_turn(_checked(arrays[name], condition, f"{path}: {name}"), numbers)
        for name, condition in conditions.items()
    }


def _arrays(path: Path, conditions: Mapping[str, Condition]) -> dict[str, Tensor]:
    check_regular(path)
    with reading(path), path.open("rb") as stream:
        is_zip = stream.read(2) == b"PK"
    return _from_npz(path, conditions) if is_zip else _from_safetensors(path, conditions)


def _from_npz(path: Path, conditions: Mapping[str, Condition]) -> dict[str, Tensor]:
    try:
        # Opened here, because numpy leaves a file open that it cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            _check_names(path, conditions, list(file.files))
            return {name: torch.from_numpy(np.array(file[name])) for name in conditions}
    except StoreError:
        raise
    except Exception as error:  # damaged archives and arrays of objects make numpy raise many kinds
        raise _unreadable(path, error) from error


def _from_safetensors(path: Path, conditions: Mapping[str, Condition]) -> dict[str, Tensor]:
    from safetensors import safe_open  # noqa: PLC0415  (beside its errors)

    try:
        with safe_open(path, framework="pt") as file:
            _check_names(path, conditions, list(file.keys()))
            return {name: file.get_tensor(name) for name in conditions}
    except StoreError:
        raise
    except Exception as error:  # safetensors raises its own, and those of the types that torch lacks
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"no readable file of embeddings: {first_line(error)}",
        where=str(path),
        hint="safetensors or npz, an array a condition",
    )


def _check_names(path: Path, conditions: Mapping[str, Condition], found: list[str]) -> None:
    missing = [
        f"{name} ({_described(condition)})" for name, condition in conditions.items() if name not in found
    ]
    if missing:
        raise StoreError(
            f"lacks {', '.join(missing)}; it has {some(sorted(found)) or 'no arrays'}",
            where=str(path),
            hint="is it for another workload?",
        )


def _checked(array: Tensor, condition: Condition, where: str) -> Tensor:
    """`[n, *shape]` in the type that the condition has, or a refusal that says what is wanted."""
    one = tuple(array.shape) == condition.shape
    many = array.ndim > 0 and tuple(array.shape[1:]) == condition.shape and array.shape[0] > 0
    if not one and not many:
        raise _misfit(f"is {list(array.shape)}", condition, where)
    rows = array.reshape(-1, *condition.shape) if many else array[None]
    if len(rows) > 1 and not condition.varies:
        raise _misfit(f"has {len(rows)} rows, and all samples share one", condition, where)
    return (
        _whole(rows, condition, where) if condition.below is not None else _floating(rows, condition, where)
    )


def _floating(rows: Tensor, condition: Condition, where: str) -> Tensor:
    if not rows.is_floating_point() or rows.dtype.itemsize < 2:
        raise _misfit(f"is {str(rows.dtype).removeprefix('torch.')}", condition, where)
    values = rows.float()
    if not torch.isfinite(values).all():
        raise _misfit("has NaN or infinity", condition, where)
    return values


def _whole(rows: Tensor, condition: Condition, where: str) -> Tensor:
    if rows.is_floating_point() or rows.is_complex() or rows.dtype is torch.bool:
        raise _misfit(f"is {str(rows.dtype).removeprefix('torch.')}", condition, where)
    values = rows.long()
    if not ((values >= 0) & (values < (condition.below or 0))).all():
        raise _misfit(f"has values from {int(values.min())} to {int(values.max())}", condition, where)
    return values


def _misfit(problem: str, condition: Condition, where: str) -> StoreError:
    return StoreError(f"{problem}; wanted: {_described(condition)}", where=where)


def _described(condition: Condition) -> str:
    """What a condition is, in the words of a message: `[77, 768] floats, hidden states of CLIP`."""
    rows = "n, " if condition.varies else ""
    shape = f"[{rows}{', '.join(map(str, condition.shape))}]".replace(", ]", "]")
    kind = "floats" if condition.below is None else f"whole numbers below {condition.below}"
    return f"{shape} {kind}, {condition.what}"


def _in_turn(rows: Tensor, numbers: range) -> Tensor:
    """A row for each sample; where there are fewer rows they come round again."""
    return rows[[number % len(rows) for number in numbers]]
