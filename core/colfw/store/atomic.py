"""Files and folders that are whole or absent: a reader never meets a half-written one.

Everything is written under a temporary name in the same folder and renamed when it is complete and
on the disk. Whatever ends the writing early, an interrupt too, takes the temporary one with it.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from colfw.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPORARY_PREFIX: Final = ".tmp-"
"""How the names of unfinished files and folders begin. One that is left belongs to a killed process."""

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NAME_TAKEN: Final = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_REMEDIES: Final = {
    errno.ENOSPC: "free some space there, or choose another folder",
    errno.EDQUOT: "your quota is used up: free some space, or choose another folder",
    errno.EFBIG: "the file system takes no file of this size: choose another folder",
    errno.EACCES: "check who may use it, or choose another folder",
    errno.EPERM: "check who may use it, or choose another folder",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away, or choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name or path",
}


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, its line ends as they are."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    with replacing_file(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A temporary path to write a file to; it becomes `path` unless the block raises.

    Its suffix is that of `path`. An OSError about the temporary file, or a full disk, is raised as a
    StoreError about `path`; any other error of the block is passed on as it is.
    """
    temporary = _temporary_beside(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path, only_within=temporary):
            yield temporary
        with writing(path):
            _sync(temporary)
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_directory(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder to fill; it becomes `path` unless the block raises.

    When `path` is there by then, another process was quicker: its folder is kept and this one dropped,
    or with `replace` the other way round. Errors are those of `replacing_file`.
    """
    temporary = _temporary_beside(path)
    try:
        with writing(path):
            temporary.mkdir(parents=True)
        with writing(path, only_within=temporary):
            yield temporary
        with writing(path):
            _sync_files_below(temporary)
            _settle(temporary, path, replace=replace)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise an OSError of the block as a StoreError about `path`."""
    try:
        yield
    except OSError as error:
        raise _refusal(path, "read", error) from error


@contextmanager
def writing(path: Path, *, only_within: Path | None = None) -> Iterator[None]:
    """Raise an OSError as a StoreError about `path`; with `only_within`, none that is about another place."""
    try:
        yield
    except OSError as error:
        if only_within is not None and not _concerns(error, only_within):
            raise
        raise _refusal(path, "written", error) from error


def _temporary_beside(path: Path) -> Path:
    # The suffix stays, since some writers choose a format by it or append their own where it is missing.
    return path.with_name(f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}{path.suffix}")


def _concerns(error: OSError, place: Path) -> bool:
    # A write to a full disk fails without a file name.
    names = (error.filename, error.filename2)
    return error.errno in _DISK_FULL or any(str(name).startswith(str(place)) for name in names)


def _refusal(path: Path, done: str, error: OSError) -> StoreError:
    reason = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "check that the path is right and the disk is well")
    return StoreError(f"cannot be {done}: {reason}", where=str(path), hint=remedy)


def _sync(file: Path) -> None:
    """Wait until the file is on the disk; network file systems report a full disk only here."""
    descriptor = os.open(file, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_files_below(folder: Path) -> None:
    for entry in folder.rglob("*"):
        if entry.is_file():
            _sync(entry)


def _settle(temporary: Path, path: Path, *, replace: bool) -> None:
    if _renamed_unless_taken(temporary, path) or not replace:
        return
    old = _temporary_beside(path)
    with suppress(FileNotFoundError):  # another process may be replacing the same folder
        path.rename(old)
    try:
        # Where one was quicker even here, its folder is as new as this one and stays.
        _renamed_unless_taken(temporary, path)
    except BaseException:
        with suppress(OSError):
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _renamed_unless_taken(temporary: Path, path: Path) -> bool:
    # Asked first, because a rename takes the place of an empty folder without a word.
    if path.is_dir():
        return False
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno not in _NAME_TAKEN or path.is_file():
            raise
        return False
    return True
