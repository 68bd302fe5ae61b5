"""Released checkpoints: read without running anything that a file says, and loaded whole or not at all.

The format is told from the content of a file, not from its name. Pickled files go through torch's reader
for weights only; objects of other classes become inert records if the class may stand in a checkpoint,
and the file is refused if not.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, ClassVar, Final

import torch
from attrs import field, frozen
from torch import Tensor

from colfw.denoising.pickles import scanned
from colfw.errors import InvariantError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from torch import nn

    from colfw.denoising.pickles import Pickled

State = Mapping[str, Tensor]


@frozen(kw_only=True)
class CheckpointLayout:
    """How the weights of one denoiser lie in the files that are released."""

    nesting: tuple[str, ...] = ()
    """Keys under which a file may hold the state dict; the first that is there wins, none means the file."""
    prefixes: tuple[str, ...] = ("",)
    """Of the denoiser's keys; the first that any key has wins. Entries without it are other networks."""
    computed: tuple[str, ...] = ()
    """Keys, or patterns of keys, that the class computes: ignored when present, not missed when absent."""
    renamed: Callable[[State], State] | None = None
    """Turns the keys of another layout into those of this one, after prefixes are gone."""
    allowed_globals: tuple[str, ...] = ()
    """Classes whose pickled objects are read as inert records, by full name or as `package.*`."""

    def computes(self, key: str) -> bool:
        return _matches(key, self.computed)


@frozen(kw_only=True)
class Checkpoint:
    """What a file holds: the denoiser's weights, and what else lay beside them."""

    state: State
    extras: Mapping[str, Any] = field(factory=dict)
    """Top-level entries that are neither weights nor of an optimizer; objects are inert records."""


def read_checkpoint(path: Path, layout: CheckpointLayout, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a file or folder of weights; on the CPU they stay mapped from the file where its format can."""
    content = _content(path, layout)
    held, extras = _unnested(content, layout)
    state = _renamed(_without_prefix(_tensors(held, path), layout, path), layout, path)
    return Checkpoint(state={key: tensor.to(device) for key, tensor in state.items()}, extras=extras)


def load_into(model: nn.Module, state: State, layout: CheckpointLayout, *, where: str) -> None:
    """Give a model its weights, each in the type of the model's entry, after all have been checked.

    A model that was built on the meta device takes the weights as they lie. What its class computes must
    have values even then: tables made by numpy, or with `device="cpu"`.
    """
    wanted = {key: entry for key, entry in model.state_dict().items() if not layout.computes(key)}
    given = {key: tensor for key, tensor in state.items() if not layout.computes(key)}
    _check_fit(wanted, given, type(model).__name__, where)
    _check_types(wanted, given, where)
    _check_computed(model, given)
    converted = {key: _like(tensor, wanted[key]) for key, tensor in given.items()}
    _check_finite(converted, where)
    model.load_state_dict(converted, strict=False, assign=True)


def digest(path: Path) -> str:
    """SHA-256 of the weights: of the file's bytes, or of a folder's weight files and their names."""
    files = _weight_files(path)
    digests = {file.name: file_digest(file) for file in files}
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes, remembered while size and time of change stay the same."""
    check_regular(file)
    with reading(file):
        found = file.stat()
        return _remembered_digest(file.resolve(), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _remembered_digest(file: Path, size_bytes: int, changed_ns: int) -> str:  # noqa: ARG001  (they are its key)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_regular(file: Path) -> None:
    """Refuse what is no file with an end, such as a pipe or a device: reading it would wait for ever."""
    with reading(file):
        mode = file.stat().st_mode
    if not S_ISREG(mode):
        raise StoreError("a folder, a pipe or a device, not a file", where=str(file))


# --- which files ----------------------------------------------------------------------------------

_FOLDER_FILES: Final = (
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin.index.json",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin.index.fp16.json",
    "diffusion_pytorch_model.fp16.bin",
    "model.safetensors",
    "pytorch_model.bin",
)
_PIPELINE_PARTS: Final = ("", "unet", "transformer")
_WEIGHT_SUFFIXES: Final = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def _weight_files(path: Path) -> tuple[Path, ...]:
    """The file itself, or those of a folder that together are a model."""
    with reading(path):
        if not path.exists():
            raise StoreError("no such file", where=str(path))
        found = _in_folder(path) if path.is_dir() else path
        check_regular(found)
        return _shards(found) if found.suffix == ".json" else (found,)


def _in_folder(folder: Path) -> Path:
    for part in _PIPELINE_PARTS:
        for name in _FOLDER_FILES:
            if (folder / part / name).is_file():
                return folder / part / name
    others = sorted(file.name for file in folder.iterdir() if file.suffix in _WEIGHT_SUFFIXES)
    raise StoreError(
        "a folder without weights: looked for diffusion_pytorch_model.safetensors and what else diffusers"
        " calls its files, also in unet/ and transformer/",
        where=str(folder),
        hint=f"name one of its files: {some(others)}" if others else None,
    )


def _shards(index: Path) -> tuple[Path, ...]:
    """The files that a diffusers index names; they lie beside it."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        shards = tuple(index.with_name(name) for name in names)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        shards = ()
    if not shards:
        raise StoreError(
            "no index of shards: its weight_map names no files",
            where=str(index),
            hint="name a file of weights, or the folder that holds it",
        )
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise StoreError(f"{len(missing)} of its shards are not there: {some(missing)}", where=str(index))
    return shards


@contextmanager
def reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise StoreError("no such file", where=str(path)) from None
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


# --- which format ---------------------------------------------------------------------------------

_ZIP_START: Final = b"PK\x03\x04"
# From the fifth byte on: the end of the length of a header, which is far below 4 GiB, and its first brace.
_SAFETENSORS_START: Final = b"\0\0\0\0{"
# What torch.save began its files with before they were zip archives; the number is torch's own.
_LEGACY_START: Final = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


def _content(path: Path, layout: CheckpointLayout) -> Mapping[str, Any]:
    """All that the file, or the shards together, hold at top level."""
    files = _weight_files(path)
    if len(files) == 1:
        return _file_content(files[0], layout)
    content: dict[str, Any] = {}
    for file in files:
        shard = _file_content(file, layout)
        twice = sorted(content.keys() & shard.keys())
        if twice:
            raise StoreError(f"holds keys that another shard holds as well: {some(twice)}", where=str(file))
        content.update(shard)
    return content


def _file_content(file: Path, layout: CheckpointLayout) -> Mapping[str, Any]:
    with reading(file), file.open("rb") as stream:
        start = stream.read(512)
    if start.startswith(_ZIP_START):
        return _read_zip(file, layout)
    if start.startswith(_LEGACY_START):
        return _read_pickled(file, _legacy_pickles(file), layout, mmap=False)
    if start[4:9] == _SAFETENSORS_START:
        return _read_safetensors(file)
    raise _foreign(file, start)


def _foreign(file: Path, start: bytes) -> StoreError:
    problem, hint = _kind_of_foreigner(start)
    return StoreError(f"no weights: {problem}", where=str(file), hint=hint)


# How files begin that are often saved or named in place of weights, what they are, and what to do.
_FOREIGNERS: Final = (
    ((b"version https://git-lfs",), "a git-LFS pointer", "fetch the file that it stands for: git lfs pull"),
    (
        (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--"),
        "a web page",
        "the download saved a page instead of the file: get it from its direct link",
    ),
    ((b"\x80",), "a pickle that torch.save did not write", "reading it would run it; save it as safetensors"),
    ((b"\x1f\x8b", b"7z\xbc\xaf", b"rar!"), "a packed archive", "unpack it and name the weights in it"),
)


def _kind_of_foreigner(start: bytes) -> tuple[str, str | None]:
    if not start:
        return "the file is empty", "download it again"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginnings, kind, advice in _FOREIGNERS:
        if text.startswith(beginnings):
            return kind, advice
    if _is_text(start):
        return "a text file", None
    return "neither a safetensors file nor one of torch.save, or cut off", "download it again"


def _is_text(start: bytes) -> bool:
    return all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start)


def _read_safetensors(file: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415  (beside its errors)

    try:
        with reading(file), safe_open(file, framework="pt") as content:
            return {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118  (no mapping)
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StoreError(
            f"a truncated or damaged safetensors file: {first_line(error)}",
            where=str(file),
            hint="download it again",
        ) from error


# --- what torch.save wrote ------------------------------------------------------------------------


class InertRecord:
    """Stands for a pickled object whose class is not imported: what it was called, and what it held."""

    kind: ClassVar[str]
    """The full name of the class."""
    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> InertRecord:  # noqa: PYI034  (torch calls it; no Self is promised)
        record = super().__new__(cls)
        record.arguments = arguments
        record.state = None
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __repr__(self) -> str:
        return f"<inert {self.kind}>"


class _EmptyTable:
    """Stands for a class of dictionaries: torch fills what it makes only if it is a plain one."""

    def __new__(cls, *_: Any) -> dict[Any, Any]:  # type: ignore[misc]
        return {}


# What Lightning, OmegaConf and numpy leave in checkpoints beside the weights.
_BOOKKEEPING: Final = (
    "pytorch_lightning.*",
    "lightning.*",
    "lightning_fabric.*",
    "omegaconf.*",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.dtypes.*",
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "typing.Any",
    *(f"builtins.{name}" for name in ("bool", "int", "float", "str", "bytes", "list", "dict", "tuple")),
    "torch.torch_version.TorchVersion",
)
_TABLES: Final = (
    "collections.defaultdict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)
# What torch's reader for weights only has inert or harmless versions of; of its own names it judges itself.
_READ_BY_TORCH: Final = (
    "torch.*",
    "collections.OrderedDict",
    "collections.Counter",
    "_codecs.encode",
    "builtins.set",
    "builtins.bytearray",
    "builtins.complex",
)


def _read_zip(file: Path, layout: CheckpointLayout) -> Mapping[str, Any]:
    try:
        with reading(file), zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            pickles = [member for member in members if re.fullmatch(r"[^/]+/data\.pkl", member.filename)]
            _check_torch_archive(file, members, pickles)
            _check_unpacked(file, members, pickles[0])
            with archive.open(pickles[0]) as stream:
                pickled = _scanned(file, stream, pickles=1)
    except StoreError:
        raise
    except Exception as error:  # what a damaged archive makes zipfile raise is not limited
        raise _damaged(file, error) from error
    # Where an archive was packed again the weights are compressed, and mapping them would give rubbish.
    plain = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    return _read_pickled(file, pickled, layout, mmap=plain)


def _check_torch_archive(
    file: Path, members: Sequence[zipfile.ZipInfo], pickles: Sequence[zipfile.ZipInfo]
) -> None:
    names = [member.filename for member in members]
    if any(re.fullmatch(r"[^/]+/constants\.pkl", name) for name in names):
        raise StoreError(
            "a TorchScript archive: a program with weights, not weights alone",
            where=str(file),
            hint="export its state_dict() with torch.save or as safetensors",
        )
    if len(pickles) != 1:
        weights = [name for name in names if name.endswith(_WEIGHT_SUFFIXES)]
        advice = f"unpack it and name one of: {some(weights)}" if weights else "it holds no weights"
        raise StoreError("a zip archive that torch.save did not write", where=str(file), hint=advice)


# Weights become a tenth smaller when they are packed, zeros a thousandth.
_MOST_UNPACKED: Final = 20
_MOST_PICKLED_BYTES: Final = 64 * 2**20


def _check_unpacked(file: Path, members: Sequence[zipfile.ZipInfo], pickled: zipfile.ZipInfo) -> None:
    """Refuse a small file that would fill the memory, before anything of it is unpacked."""
    unpacked_bytes = sum(member.file_size for member in members)
    if unpacked_bytes > _MOST_UNPACKED * file.stat().st_size:
        raise StoreError(
            f"would unpack to {unpacked_bytes:,} bytes, more than {_MOST_UNPACKED} times its size",
            where=str(file),
            hint="no weights do; download it again from a source that you trust",
        )
    if pickled.file_size > _MOST_PICKLED_BYTES:
        raise _excessive(file)


def _legacy_pickles(file: Path) -> Pickled:
    """Of the older format: magic number, protocol, system, the object itself, and the names of storages."""
    with reading(file), file.open("rb") as stream:
        return _scanned(file, stream, pickles=5)


def _scanned(file: Path, stream: BinaryIO | Any, *, pickles: int) -> Pickled:
    """The pickles of a file, looked through before one is read."""
    try:
        with _silent():
            pickled = scanned(stream, pickles=pickles)
    except (ValueError, EOFError, zipfile.BadZipFile, MemoryError, OverflowError) as error:
        raise _damaged(file, error) from error
    if pickled.is_excessive:
        raise _excessive(file)
    return pickled


def _excessive(file: Path) -> StoreError:
    return StoreError(
        "pickles more, or nests it deeper, than any checkpoint of weights",
        where=str(file),
        hint="save its weights alone, as safetensors",
    )


def _read_pickled(file: Path, pickled: Pickled, layout: CheckpointLayout, *, mmap: bool) -> Mapping[str, Any]:
    stand_ins = _stand_ins(file, pickled, layout)
    try:
        with reading(file), _only(stand_ins), _silent():
            content = _torch_loaded(file, mmap=mmap)
    except StoreError:
        raise
    except pickle.UnpicklingError as error:
        raise _unreadable_pickle(file, error) from error
    except Exception as error:  # what a damaged pickle makes torch raise is not limited
        raise _damaged(file, error) from error
    if not isinstance(content, dict):
        raise StoreError(f"holds a {type(content).__name__}, not a table of weights", where=str(file))
    return _plain(content)


def _plain(table: dict[Any, Any]) -> dict[Any, Any]:
    """The same entries without the attributes that a pickle may have put over the methods of a dictionary."""
    return dict(dict.items(table))


def _torch_loaded(file: Path, *, mmap: bool) -> Any:
    # By its name torch would take a file for a safetensors one, whatever is in it: hand it the bytes then.
    if mmap and file.suffix != ".safetensors":
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    with file.open("rb") as stream:
        return torch.load(stream, map_location="cpu", weights_only=True)


@contextmanager
def _silent() -> Iterator[None]:
    """Without warnings about old storages, other protocols and odd bytes: no news to a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _stand_ins(file: Path, pickled: Pickled, layout: CheckpointLayout) -> list[tuple[type, str]]:
    """A harmless class for each name that may occur; any other name is refused."""
    if pickled.protocol >= 4:
        raise StoreError(
            f"pickled by protocol {pickled.protocol}, which cannot be read without running it",
            where=str(file),
            hint="save it as safetensors, or by torch.save with its default protocol",
        )
    allowed = (*_BOOKKEEPING, *_TABLES, *layout.allowed_globals)
    harmless = {name for name in pickled.globals if _matches(name, allowed)}
    refused = sorted(name for name in pickled.globals - harmless if not _matches(name, _READ_BY_TORCH))
    if refused:
        raise _refused_globals(file, refused)
    return [_stand_in(name) for name in sorted(harmless)]


def _stand_in(full_name: str) -> tuple[type, str]:
    """A class, and under which name torch shall know it."""
    base = _EmptyTable if full_name in _TABLES else InertRecord
    return type(base.__name__, (base,), {"kind": full_name}), full_name


@contextmanager
def _only(stand_ins: list[Any]) -> Iterator[None]:
    """Let torch know these classes and none of those that someone else in this process declared safe."""
    others = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        torch.serialization.add_safe_globals(stand_ins)
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(others)


def _refused_globals(file: Path, names: Sequence[str]) -> StoreError:
    return StoreError(
        f"names what no checkpoint of weights needs: {some(names)}",
        where=str(file),
        hint="it was not run; if you trust it, save its weights alone, as safetensors",
    )


def _unreadable_pickle(file: Path, error: Exception) -> StoreError:
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return _refused_globals(file, [named[1]])
    return StoreError(
        "holds pickled objects that cannot be read without running them, or is damaged",
        where=str(file),
        hint="save its weights alone, as safetensors",
    )


def _damaged(file: Path, error: Exception) -> StoreError:
    return StoreError(
        f"a truncated or damaged torch file: {first_line(error)}", where=str(file), hint="download it again"
    )


# --- which entries --------------------------------------------------------------------------------


def _unnested(
    content: Mapping[str, Any], layout: CheckpointLayout
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The table that holds the state dict, and what is worth keeping beside it."""
    nest = next((key for key in layout.nesting if isinstance(content.get(key), dict)), None)
    extras = {
        str(key): value
        for key, value in content.items()
        if key not in layout.nesting
        and not isinstance(value, Tensor)
        and not str(key).startswith(("optimizer", "lr_scheduler"))
    }
    return (content if nest is None else _plain(content[nest])), extras


def _tensors(held: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    # The class's own method: a pickle may have put attributes over those of one tensor.
    tensors = {str(key): Tensor.detach(value) for key, value in held.items() if isinstance(value, Tensor)}
    shapeless = [key for key, tensor in tensors.items() if tensor.is_meta or tensor.is_nested]
    if shapeless:
        raise StoreError(
            f"{len(shapeless)} of its tensors have no values, or no single shape: {some(shapeless)}",
            where=str(path),
            hint="save the weights themselves, as dense tensors",
        )
    return tensors


def _without_prefix(state: State, layout: CheckpointLayout, path: Path) -> State:
    for prefix in layout.prefixes:
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if own:
            return own
    wanted = " or ".join(repr(prefix) for prefix in layout.prefixes if prefix)
    found = f"it holds {some(list(state))}" if state else "it holds no tensors at this level"
    raise StoreError(
        f"no weights of this model{f' (keys that begin with {wanted})' if wanted else ''}: {found}",
        where=str(path),
        hint=f"looked under {', '.join(layout.nesting)}, then at top level" if layout.nesting else None,
    )


def _renamed(state: State, layout: CheckpointLayout, path: Path) -> State:
    if layout.renamed is None:
        return state
    try:
        return layout.renamed(state)
    except StoreError as error:
        raise StoreError(error.problem, where=f"{path}: {error.where}", hint=error.hint) from error
    except (RuntimeError, IndexError) as error:  # of torch, where entries of one matrix differ in shape
        raise StoreError(
            f"its entries do not make a model: {first_line(error)}",
            where=str(path),
            hint="is it of another model?",
        ) from error


# --- whether they fit -----------------------------------------------------------------------------


def _check_fit(wanted: State, given: State, model: str, where: str) -> None:
    missing = [key for key in wanted if key not in given]
    unexpected = [key for key in given if key not in wanted]
    misshaped = [
        f"{key} is {list(given[key].shape)}, not {list(entry.shape)}"
        for key, entry in wanted.items()
        if key in given and given[key].shape != entry.shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "mis-shaped": misshaped}
    problems = [f"{len(keys)} keys {kind} ({some(keys)})" for kind, keys in kinds.items() if keys]
    if problems:
        raise StoreError(
            f"does not fit {model}: {', '.join(problems)}",
            where=where,
            hint=f"{len(wanted) - len(missing) - len(misshaped)} of {len(wanted)} entries fit:"
            " is it of another model, or of another size?",
        )


_FLOATS: Final = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def _check_types(wanted: State, given: State, where: str) -> None:
    """Floating point for floating point, whole numbers for whole numbers."""
    for key, entry in wanted.items():
        tensor = given[key]
        dense = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta
        if entry.is_floating_point() and not (dense and tensor.dtype in _FLOATS):
            raise StoreError(
                f"integer, quantised or sparse weights are not read: {key} is {_type_of(tensor)}",
                where=where,
                hint="wanted: dense float16, bfloat16, float32 or float64",
            )
        if not entry.is_floating_point() and (not dense or tensor.dtype != entry.dtype):
            raise StoreError(f"{key} is {_type_of(tensor)}, not {_type_of(entry)}", where=where)


def _type_of(tensor: Tensor) -> str:
    sparse = "sparse " if tensor.layout != torch.strided else ""
    return f"{sparse}{tensor.dtype}".replace("torch.", "")


def _check_finite(given: State, where: str) -> None:
    bad = [key for key, tensor in given.items() if not _is_finite(tensor)]
    if bad:
        raise StoreError(
            f"NaN or infinity in {len(bad)} of its weights: {some(bad)}",
            where=where,
            hint="its training failed, or the file is damaged: take another one",
        )


def _is_finite(tensor: Tensor) -> bool:
    """One pass without a copy: a NaN or infinity is never lost in a sum, which may overflow by itself."""
    if not tensor.is_floating_point():
        return True
    total = tensor.sum(dtype=torch.promote_types(tensor.dtype, torch.float32))
    return bool(torch.isfinite(total)) or bool(torch.isfinite(tensor).all())


def _check_computed(model: nn.Module, given: State) -> None:
    """What no file gives must have been computed, which the meta device does not do."""
    entries = (*model.named_parameters(), *model.named_buffers())
    empty = [key for key, entry in entries if entry.is_meta and key not in given]
    if empty:
        raise InvariantError(
            f"the meta device left {some(empty)} without values",
            where=type(model).__name__,
            hint='a class computes its tables by numpy or with device="cpu"',
        )


def _like(tensor: Tensor, entry: Tensor) -> Tensor:
    return tensor.to(dtype=entry.dtype, device=tensor.device if entry.is_meta else entry.device)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def some(names: Sequence[str]) -> str:
    """The first three of some names.

    >>> some(["a", "b", "c", "d"])
    'a, b, c, ...'
    """
    return ", ".join([*map(shown, names[:3]), *(["..."] if len(names) > 3 else [])])


def shown(text: str) -> str:
    r"""What a file says, fit to stand in a line of a message.

    >>> print(shown("a\nb"))
    a\nb
    """
    short = text if len(text) <= 200 else f"{text[:197]}..."
    return short if short.isprintable() else ascii(short)[1:-1]


def first_line(error: Exception) -> str:
    """What went wrong below; torch goes on about its internals and about issues to file."""
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return shown(re.split(r"(?<=\w)\. +(?=[A-Z])", first_line)[0])
