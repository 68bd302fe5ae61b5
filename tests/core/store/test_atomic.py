from __future__ import annotations

import errno
import os
import pathlib
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from colfw.errors import ColfwError, StoreError
from colfw.store.atomic import new_directory, replacing_file, write_bytes, write_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENDS = [RuntimeError("a bug"), KeyboardInterrupt(), StoreError("of the block"), SystemExit(1)]
"""What may end a block early."""


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _failing(code: int) -> Callable[..., Any]:
    def fail(*args: object, **options: object) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


def _begin_file(path: Path, end: BaseException) -> None:
    with replacing_file(path) as temporary:
        temporary.write_text("ne")
        raise end


def _begin_directory(path: Path, end: BaseException, *, replace: bool = False) -> None:
    with new_directory(path, replace=replace) as temporary:
        (temporary / "one").write_text("1")
        raise end


class TestWriting:
    """Whole files at once."""

    def test_makes_the_folders_above(self, tmp_path: Path) -> None:
        """A file may be written to a folder that is not there yet."""
        path = tmp_path / "a" / "b" / "c.bin"
        write_bytes(path, b"\x00\xff")
        assert path.read_bytes() == b"\x00\xff"

    def test_replaces_what_was_there(self, tmp_path: Path) -> None:
        """The new content takes the place of all of the old one."""
        path = tmp_path / "c.txt"
        write_text(path, "a long first text")
        write_text(path, "short")
        assert path.read_text() == "short"
        assert _names(tmp_path) == ["c.txt"]

    def test_text_is_utf_8_with_its_own_line_ends(self, tmp_path: Path) -> None:
        """The same text gives the same bytes on every system."""
        write_text(tmp_path / "c.txt", "Ü\n\r\n")
        assert (tmp_path / "c.txt").read_bytes() == b"\xc3\x9c\n\r\n"

    def test_permissions_are_those_of_any_new_file(self, tmp_path: Path) -> None:
        """Files can be shared: they are not private to the user, as temporary files often are."""
        (tmp_path / "plain").write_bytes(b"")
        write_bytes(tmp_path / "atomic", b"")
        assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


class TestReplacingFile:
    """Files that a block writes."""

    def test_the_old_content_is_there_until_the_end(self, tmp_path: Path) -> None:
        """While the new file is written, a reader finds the old one whole."""
        path = tmp_path / "c.txt"
        path.write_text("old")
        with replacing_file(path) as temporary:
            temporary.write_text("new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"

    def test_the_temporary_file_lies_in_the_same_folder_with_the_same_suffix(self, tmp_path: Path) -> None:
        """A rename is atomic only within a file system, and some writers go by the suffix."""
        with replacing_file(tmp_path / "c.npz") as temporary:
            temporary.write_bytes(b"x")
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".npz"

    @pytest.mark.parametrize("end", ENDS, ids=lambda end: type(end).__name__)
    def test_whatever_ends_the_block_leaves_the_old_file_alone(
        self, tmp_path: Path, end: BaseException
    ) -> None:
        """An exception in mid-write, an interrupt too, is passed on and leaves nothing behind."""
        path = tmp_path / "c.txt"
        path.write_text("old")
        with pytest.raises(type(end)) as caught:
            _begin_file(path, end)
        assert caught.value is end
        assert path.read_text() == "old"
        assert _names(tmp_path) == ["c.txt"]

    @pytest.mark.parametrize(
        ("code", "advice"),
        [
            (errno.ENOSPC, "free some space"),
            (errno.EACCES, "check who may use it"),
            (errno.EROFS, "choose another folder"),
            (errno.EIO, "check that the path is right"),
        ],
    )
    @pytest.mark.parametrize("step", ["replace", "fsync"])
    def test_a_failing_disk_is_reported_with_path_and_remedy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, advice: str, step: str
    ) -> None:
        """What the disk refuses is a StoreError that names the file and says what next."""
        path = tmp_path / "c.txt"
        path.write_text("old")
        monkeypatch.setattr(os, step, _failing(code))
        with pytest.raises(StoreError, match=os.strerror(code)) as caught:
            write_text(path, "new")
        monkeypatch.undo()
        assert caught.value.where == str(path)
        assert advice in str(caught.value.hint)
        assert path.read_text() == "old"
        assert _names(tmp_path) == ["c.txt"]

    def test_a_full_disk_inside_the_block_is_reported(self, tmp_path: Path) -> None:
        """A write to a full disk fails without naming a file; the message names it all the same."""
        path = tmp_path / "c.txt"
        with pytest.raises(StoreError, match="No space left") as caught, replacing_file(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert caught.value.where == str(path)

    def test_an_error_about_another_file_is_passed_on(self, tmp_path: Path) -> None:
        """A missing input is not blamed on the output."""
        missing = tmp_path / "input"
        with pytest.raises(FileNotFoundError) as caught, replacing_file(tmp_path / "c.txt"):
            missing.read_bytes()
        assert caught.value.filename == str(missing)

    def test_a_block_that_writes_nothing_is_refused(self, tmp_path: Path) -> None:
        """A writer that forgot to write must not pass for one that did."""
        with pytest.raises(StoreError, match="cannot be written"), replacing_file(tmp_path / "c.txt"):
            pass
        assert _names(tmp_path) == []

    def test_a_file_in_place_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        """Where a folder is needed and a file stands, the message says so."""
        (tmp_path / "a").write_text("I am a file")
        with pytest.raises(StoreError, match="cannot be written") as caught:
            write_text(tmp_path / "a" / "b" / "c.txt", "x")
        assert isinstance(caught.value, ColfwError)
        assert caught.value.hint is not None


class TestNewDirectory:
    """Folders that a block fills."""

    def test_the_folder_appears_whole(self, tmp_path: Path) -> None:
        """The folder is not there until all its files are."""
        path = tmp_path / "a" / "folder"
        with new_directory(path) as temporary:
            (temporary / "one").write_text("1")
            (temporary / "sub").mkdir()
            (temporary / "sub" / "two").write_text("2")
            assert not path.exists()
        assert (path / "one").read_text() == "1"
        assert (path / "sub" / "two").read_text() == "2"
        assert _names(path.parent) == ["folder"]

    @pytest.mark.parametrize("end", ENDS, ids=lambda end: type(end).__name__)
    @pytest.mark.parametrize("replace", [False, True])
    def test_whatever_ends_the_block_leaves_nothing(
        self, tmp_path: Path, end: BaseException, *, replace: bool
    ) -> None:
        """An exception in mid-write, an interrupt too, takes the temporary folder with it."""
        path = tmp_path / "folder"
        with pytest.raises(type(end)) as caught:
            _begin_directory(path, end, replace=replace)
        assert caught.value is end
        assert _names(tmp_path) == []

    def test_the_quicker_one_is_kept(self, tmp_path: Path) -> None:
        """When the folder has come into being meanwhile, it stays and the new one is dropped."""
        path = tmp_path / "folder"
        with new_directory(path) as slow:
            (slow / "who").write_text("slow")
            with new_directory(path) as quick:
                (quick / "who").write_text("quick")
        assert (path / "who").read_text() == "quick"
        assert _names(tmp_path) == ["folder"]

    def test_an_empty_folder_counts_as_there(self, tmp_path: Path) -> None:
        """A rename would take an empty folder's place; an existing folder is kept all the same."""
        (tmp_path / "folder").mkdir()
        with new_directory(tmp_path / "folder") as temporary:
            (temporary / "who").write_text("new")
        assert _names(tmp_path / "folder") == []

    def test_replace_takes_the_place_of_an_existing_folder(self, tmp_path: Path) -> None:
        """With `replace` the new folder wins, and nothing of the old one is left."""
        path = tmp_path / "folder"
        for name in ("old", "new"):
            with new_directory(path, replace=True) as temporary:
                (temporary / name).write_text(name)
        assert _names(path) == ["new"]
        assert _names(tmp_path) == ["folder"]

    def test_a_replacement_that_fails_brings_the_old_folder_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the second of the two renames fails, the old folder is where it was."""
        path = tmp_path / "folder"
        path.mkdir()
        (path / "old").write_text("old")
        real_rename = pathlib.Path.rename

        def rename(source: Path, target: Path) -> Path:
            if target == path and (source / "new").exists():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real_rename(source, target)

        monkeypatch.setattr(pathlib.Path, "rename", rename)
        with pytest.raises(StoreError, match="cannot be written"):  # noqa: SIM117  (the block must be inside)
            with new_directory(path, replace=True) as temporary:
                (temporary / "new").write_text("new")
        assert _names(path) == ["old"]
        assert _names(tmp_path) == ["folder"]

    def test_a_file_of_that_name_is_refused(self, tmp_path: Path) -> None:
        """A file is nobody's finished folder: it is neither kept as one nor overwritten."""
        path = tmp_path / "folder"
        path.write_text("I am a file")
        with pytest.raises(StoreError, match="cannot be written") as caught, new_directory(path) as temporary:
            (temporary / "one").write_text("1")
        assert caught.value.where == str(path)
        assert path.read_text() == "I am a file"
        assert _names(tmp_path) == ["folder"]

    def test_a_full_disk_inside_the_block_is_reported(self, tmp_path: Path) -> None:
        """A full disk is a StoreError about the folder, and what was written goes to make room."""
        path = tmp_path / "folder"
        with pytest.raises(StoreError, match="No space left") as caught:
            _begin_directory(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        assert caught.value.where == str(path)
        assert _names(tmp_path) == []

    def test_an_error_about_the_temporary_folder_is_about_the_folder(self, tmp_path: Path) -> None:
        """Nobody has heard of the temporary name: the message has the real one."""
        path = tmp_path / "folder"
        with pytest.raises(StoreError) as caught, new_directory(path) as temporary:
            (temporary / "missing" / "one").write_text("1")
        assert caught.value.where == str(path)

    def test_a_copy_that_fails_on_its_target_is_about_the_folder(self, tmp_path: Path) -> None:
        """An error with two file names counts when one of them is the temporary one."""
        source = tmp_path / "source"
        source.write_text("1")
        with pytest.raises(StoreError), new_directory(tmp_path / "folder") as temporary:
            shutil.copyfile(source, temporary / "missing" / "one")
        assert _names(tmp_path) == ["source"]

    @pytest.mark.parametrize("replace", [False, True])
    def test_of_many_at_once_one_wins_whole(self, tmp_path: Path, *, replace: bool) -> None:
        """Whoever wins a race, the folder has the files of one writer only."""
        path = tmp_path / "folder"
        start = threading.Barrier(8)

        def fill(number: int) -> None:
            with new_directory(path, replace=replace) as temporary:
                (temporary / f"a{number}").write_text("")
                (temporary / f"b{number}").write_text("")
                start.wait()

        threads = [threading.Thread(target=fill, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first, second = _names(path)
        assert first.removeprefix("a") == second.removeprefix("b")
        assert _names(tmp_path) == ["folder"]
