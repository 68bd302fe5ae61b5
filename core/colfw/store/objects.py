"""The cache of what stages computed, each result found by the digest of all it depends on.

An object is a folder `<first two>/<digest>/` with the files of one result and `object.json`, which
says what they are. Objects come into being whole or not at all; a damaged one is set aside, never used.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen, validators

from colfw.errors import InvariantError, StoreError
from colfw.names import did_you_mean
from colfw.store.atomic import new_directory, reading, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

OBJECT_SCHEMA_VERSION: Final = 1
OBJECT_FILE: Final = "object.json"

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def default_root() -> Path:
    """The folder named by COLFW_CACHE, else the one this operating system has for caches."""
    chosen = os.environ.get("COLFW_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path  # noqa: PLC0415  (not needed to start the command line)

    return user_cache_path("colfw", appauthor=False)


def digest_of(value: object) -> str:
    """SHA-256, in hex, of a JSON value in its one canonical form: the order of keys does not count.

    The integer 1 and the float 1.0 differ, a tuple and a list of the same items do not.

    >>> digest_of({"tau": 0.5, "site": "mid"}) == digest_of({"site": "mid", "tau": 0.5})
    True
    """
    _check_canonical(value, "value")
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def sha256_of(file: Path) -> str:
    """SHA-256, in hex, of the bytes of a file."""
    with reading(file), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_canonical(value: object, where: str) -> None:
    """Refuse what JSON cannot say, or says the same of two different values."""
    match value:
        case float() if not math.isfinite(value):
            raise InvariantError(f"{value} has no digest", where=where)
        case None | bool() | int() | float() | str():
            pass
        case list() | tuple():
            for index, item in enumerate(value):
                _check_canonical(item, f"{where}[{index}]")
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise InvariantError(f"key {key!r} is no text and has no digest", where=where)
                _check_canonical(item, f"{where}.{key}")
        case _:
            raise InvariantError(f"a {type(value).__name__} has no digest", where=where)


@frozen(kw_only=True)
class StoredFile:
    """What a file of an object must be to count as undamaged."""

    sha256: str = field(validator=validators.matches_re(_DIGEST))
    size_bytes: int = field(validator=validators.and_(validators.instance_of(int), validators.ge(0)))


@frozen(kw_only=True)
class StoredObject:
    """The files that one stage computed, and what it took to compute them."""

    digest: str = field(validator=validators.matches_re(_DIGEST))
    path: Path
    stage: str = field(validator=validators.instance_of(str))
    label: str = field(validator=validators.instance_of(str))
    plugins: tuple[str, ...] = field(
        validator=validators.deep_iterable(validators.instance_of(str), validators.instance_of(tuple))
    )
    seconds: float = field(converter=float, validator=validators.ge(0))
    work: float = field(converter=float, validator=validators.ge(0))
    """How much there was to do, in the stage's own measure: seconds over work is what the next will take."""
    files: Mapping[str, StoredFile] = field(hash=False)

    def file(self, name: str) -> Path:
        if name not in self.files:
            raise StoreError(
                f"object {self.digest[:8]} ({self.label}) has no file {name!r}",
                where=str(self.path),
                hint=did_you_mean(name, self.files) if self.files else "it holds no files",
            )
        return self.path / name

    def verify(self) -> None:
        """Raise unless every file has the bytes that the stage wrote; reads them all."""
        changed = [name for name, file in self.files.items() if sha256_of(self.path / name) != file.sha256]
        if changed:
            raise StoreError(
                f"changed since it was computed: {', '.join(changed)}",
                where=str(self.path),
                hint="delete that folder, and it is computed again",
            )

    def to_json(self) -> dict[str, Any]:
        files = {
            name: {"sha256": file.sha256, "bytes": file.size_bytes}
            for name, file in sorted(self.files.items())
        }
        return {
            "schema_version": OBJECT_SCHEMA_VERSION,
            "digest": self.digest,
            "stage": self.stage,
            "label": self.label,
            "plugins": list(self.plugins),
            "seconds": self.seconds,
            "work": self.work,
            "files": files,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> StoredObject:
        files = {
            name: StoredFile(sha256=file["sha256"], size_bytes=file["bytes"])
            for name, file in data["files"].items()
        }
        return cls(
            digest=data["digest"],
            path=path,
            stage=data["stage"],
            label=data["label"],
            plugins=tuple(data["plugins"]),
            seconds=data["seconds"],
            work=data["work"],
            files=files,
        )


class _DamagedError(Exception):
    """An object is not what was once stored."""


class ObjectStore:
    """All objects below one folder; any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.damaged: list[Path] = []
        """Where the damaged objects lie that `find` came upon."""

    def find(self, digest: str) -> StoredObject | None:
        """The object of this digest, or None when there is none to be used.

        A damaged one, whose description cannot be understood or whose files are missing or have another
        size, is renamed to `<digest>.damaged` and noted in `damaged`. Contents are left to `verify`.
        """
        folder = self._folder_of(digest)
        with reading(folder):
            if not folder.is_dir():
                return None
            try:
                return _undamaged_at_second_look(folder)
            except _DamagedError:
                self.damaged.append(_set_aside(folder))
                return None

    @contextmanager
    def create(
        self,
        digest: str,
        *,
        stage: str,
        label: str,
        plugins: Sequence[str],
        work: float,
        replace: bool = False,
    ) -> Iterator[Path]:
        """A temporary folder for the files of a result; it becomes the object unless the block raises.

        The block's duration is kept as what the stage took. Of two that create one digest, the first
        to finish wins, unless `replace` is set; both then find the same object.
        """
        if not (math.isfinite(work) and work >= 0):
            raise InvariantError(f"work must be a number of at least 0, not {work}", where=label)
        started = time.perf_counter()
        with new_directory(self._folder_of(digest), replace=replace) as folder:
            yield folder
            seconds = time.perf_counter() - started
            if (folder / OBJECT_FILE).exists():
                raise InvariantError(f"{OBJECT_FILE} is not for a stage to write", where=label)
            stored = StoredObject(
                digest=digest,
                path=folder,
                stage=stage,
                label=label,
                plugins=tuple(plugins),
                seconds=seconds,
                work=work,
                files=_described_files(folder),
            )
            write_text(folder / OBJECT_FILE, json.dumps(stored.to_json(), indent=2) + "\n")

    def history(self, stage: str) -> list[StoredObject]:
        """What this stage stored before, newest first, to estimate time by: files are not looked at."""
        descriptions = self.root.glob(f"[0-9a-f][0-9a-f]/*/{OBJECT_FILE}")
        dated = [
            (_modified_ns(path), stored)
            for path in descriptions
            if _DIGEST.fullmatch(path.parent.name)
            and (stored := _loaded_or_none(path.parent)) is not None
            and stored.stage == stage
        ]
        dated.sort(key=lambda pair: (-pair[0], pair[1].digest))
        return [stored for _, stored in dated]

    def size_bytes(self) -> int:
        """What the whole store takes on disk, what was set aside or left unfinished too."""
        return sum(
            _size_bytes(Path(folder) / name) or 0 for folder, _, names in os.walk(self.root) for name in names
        )

    def _folder_of(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise InvariantError(f"{digest!r} is no SHA-256 in hex", where=str(self.root))
        return self.root / digest[:2] / digest


def _described_files(folder: Path) -> dict[str, StoredFile]:
    return {
        path.relative_to(folder).as_posix(): StoredFile(
            sha256=sha256_of(path), size_bytes=path.stat().st_size
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _undamaged_at_second_look(folder: Path) -> StoredObject:
    try:
        return _undamaged(folder)
    except _DamagedError:
        # Another process may have been replacing the object between two of the reads.
        return _undamaged(folder)


def _undamaged(folder: Path) -> StoredObject:
    stored = _loaded(folder)
    if stored.digest != folder.name:
        raise _DamagedError(f"describes {stored.digest}")
    for name, file in stored.files.items():
        if _size_bytes(folder / name) != file.size_bytes:
            raise _DamagedError(f"{name} is missing or has another size")
    return stored


def _loaded(folder: Path) -> StoredObject:
    """The object as it describes itself, or _DamagedError."""
    try:
        data = json.loads((folder / OBJECT_FILE).read_bytes())
        if data["schema_version"] != OBJECT_SCHEMA_VERSION:
            raise _DamagedError(f"schema version {data['schema_version']}")
        return StoredObject.from_json(data, folder)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise _DamagedError(str(error)) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _DamagedError(f"{OBJECT_FILE} makes no sense: {error}") from error


def _loaded_or_none(folder: Path) -> StoredObject | None:
    try:
        return _loaded(folder)
    except (_DamagedError, OSError):
        return None


def _set_aside(folder: Path) -> Path:
    """Rename a damaged object; one of the same digest that was set aside before makes room."""
    aside = folder.with_name(f"{folder.name}.damaged")
    rmtree(aside, ignore_errors=True)
    try:
        folder.rename(aside)
    except OSError:
        # In a store that may only be read, or already set aside by another process.
        return aside if aside.is_dir() else folder
    return aside


def _size_bytes(file: Path) -> int | None:
    with suppress(FileNotFoundError, NotADirectoryError):
        return file.stat().st_size
    return None


def _modified_ns(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0
