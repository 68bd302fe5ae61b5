from __future__ import annotations

import json
import math
import os
import threading
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError, StoreError
from colfw.store.atomic import write_text
from colfw.store.objects import ObjectStore, default_root, digest_of, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from colfw.store.objects import StoredObject

DIGEST = digest_of({"stage": "profile", "seed": 1})
OTHER = digest_of({"stage": "profile", "seed": 2})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "cache")


def _put(store: ObjectStore, digest: str = DIGEST, content: str = "numbers", **options: Any) -> StoredObject:
    about: dict[str, Any] = {
        "stage": "profile",
        "label": "profile of mini",
        "plugins": ["workload mini"],
        "work": 12.0,
    }
    with store.create(digest, **(about | options)) as folder:
        (folder / "data.bin").write_text(content)
        (folder / "sub").mkdir()
        (folder / "sub" / "more.bin").write_text("more")
    found = store.find(digest)
    assert found is not None
    return found


def _begin(store: ObjectStore, end: BaseException) -> None:
    with store.create(DIGEST, stage="profile", label="p", plugins=[], work=1.0) as folder:
        (folder / "data.bin").write_text("half")
        raise end


def _rearranged(value: Any) -> Any:
    """The same JSON value with the keys of all its dicts in the opposite order, and tuples for lists."""
    if isinstance(value, dict):
        return {key: _rearranged(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return tuple(_rearranged(item) for item in value)
    return value


class TestDigest:
    """The name of a value."""

    @given(value=json_values)
    def test_the_order_of_keys_does_not_count(self, value: Any) -> None:
        """The same value has the same digest however its dicts were filled."""
        assert digest_of(_rearranged(value)) == digest_of(value)

    @given(value=json_values)
    def test_it_survives_a_file(self, value: Any) -> None:
        """A value read back from JSON has the digest of the one written."""
        assert digest_of(json.loads(json.dumps(value))) == digest_of(value)

    @given(one=json_values, other=json_values)
    def test_different_values_have_different_digests(self, one: Any, other: Any) -> None:
        """Two values share a digest only if their canonical JSON is the same."""
        same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
        assert (digest_of(one) == digest_of(other)) == same

    def test_it_never_changes(self) -> None:
        """The canonical form is a format on disk: sorted keys, no spaces, floats by repr, ASCII."""
        canonical = rb'{"a":[0.1,1,true,null],"\u00fc":"x"}'
        assert digest_of({"ü": "x", "a": [0.1, 1, True, None]}) == sha256(canonical).hexdigest()

    def test_one_as_integer_float_and_flag_are_three_values(self) -> None:
        """Values that Python calls equal, but JSON writes differently, are told apart."""
        assert len({digest_of(1), digest_of(1.0), digest_of(True), digest_of("1")}) == 4  # noqa: FBT003

    @pytest.mark.parametrize(
        ("value", "where"),
        [
            ({"a": [0.0, math.nan]}, "value.a[1]"),
            ({"a": {"b": -math.inf}}, "value.a.b"),
            ({"a": {1: "x"}}, "value.a"),
            ([{"path": Path()}], "value[0].path"),
            ({"names": {"x"}}, "value.names"),
        ],
    )
    def test_what_json_cannot_tell_apart_is_refused(self, value: object, where: str) -> None:
        """NaN, keys that are no text and objects of other kinds are refused, each with its place."""
        with pytest.raises(InvariantError, match="has no digest") as caught:
            digest_of(value)
        assert caught.value.where == where


class TestDefaultRoot:
    """Where the cache lies unless told."""

    def test_the_variable_decides(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """COLFW_CACHE names the cache; `~` is the home."""
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("COLFW_CACHE", "~/scratch")
        assert default_root() == tmp_path / "scratch"

    @pytest.mark.parametrize("value", [None, ""])
    def test_else_the_cache_of_the_system(self, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
        """Without the variable, or with an empty one, it is the user's cache folder of this system."""
        monkeypatch.delenv("COLFW_CACHE", raising=False)
        if value is not None:
            monkeypatch.setenv("COLFW_CACHE", value)
        assert default_root().is_absolute()
        assert "colfw" in default_root().parts


class TestCreating:
    """Objects come into being whole."""

    def test_an_object_is_found_again_with_all_that_was_said(self, store: ObjectStore) -> None:
        """What is stored is found by its digest, with its files, plugins, duration and work."""
        stored = _put(store)
        assert stored.path == store.root / DIGEST[:2] / DIGEST
        assert (stored.digest, stored.stage, stored.label) == (DIGEST, "profile", "profile of mini")
        assert stored.plugins == ("workload mini",)
        assert stored.work == 12.0
        assert stored.seconds >= 0
        assert stored.file("data.bin").read_text() == "numbers"
        assert stored.file("sub/more.bin").read_text() == "more"
        assert set(stored.files) == {"data.bin", "sub/more.bin"}
        assert store.damaged == []

    def test_the_description_is_json_with_sizes_and_hashes(self, store: ObjectStore) -> None:
        """`object.json` can be read without colfw."""
        stored = _put(store)
        described = json.loads((stored.path / "object.json").read_text())
        assert described["schema_version"] == 1
        assert described["digest"] == DIGEST
        assert described["files"]["data.bin"] == {"sha256": sha256_of(stored.file("data.bin")), "bytes": 7}

    def test_seconds_are_the_time_spent_in_the_block(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The duration runs from the start of the block to its end."""
        clock = iter([100.0, 107.5])
        monkeypatch.setattr("colfw.store.objects.time.perf_counter", lambda: next(clock))
        assert _put(store).seconds == 7.5

    @pytest.mark.parametrize("end", [RuntimeError("a bug"), KeyboardInterrupt()])
    def test_a_block_that_ends_early_stores_nothing(self, store: ObjectStore, end: BaseException) -> None:
        """A failed or interrupted stage leaves no object and no files."""
        with pytest.raises(type(end)):
            _begin(store, end)
        assert store.find(DIGEST) is None
        assert store.size_bytes() == 0

    def test_the_stage_s_own_error_stays_what_it_is(self, store: ObjectStore, tmp_path: Path) -> None:
        """A missing checkpoint is not reported as a broken cache."""
        with (
            pytest.raises(FileNotFoundError),
            store.create(DIGEST, stage="profile", label="p", plugins=[], work=1.0),
        ):
            (tmp_path / "checkpoint").read_bytes()
        assert store.find(DIGEST) is None

    @pytest.mark.parametrize("work", [math.nan, math.inf, -1.0])
    def test_work_must_be_a_number(self, store: ObjectStore, work: float) -> None:
        """Nonsense is refused before hours are spent on computing."""
        with (
            pytest.raises(InvariantError, match="work"),
            store.create(DIGEST, stage="profile", label="p", plugins=[], work=work),
        ):
            pytest.fail("the stage was started")

    def test_the_description_is_not_the_stage_s_to_write(self, store: ObjectStore) -> None:
        """A stage whose file would be overwritten by the description is refused."""
        with (
            pytest.raises(InvariantError, match=r"object\.json"),
            store.create(DIGEST, stage="profile", label="p", plugins=[], work=1.0) as folder,
        ):
            (folder / "object.json").write_text("mine")
        assert store.find(DIGEST) is None

    @pytest.mark.parametrize("digest", ["", "abc", "../" * 21 + "x", DIGEST.upper()])
    def test_only_digests_name_objects(self, store: ObjectStore, digest: str) -> None:
        """Nothing but SHA-256 in lower-case hex becomes part of a path."""
        with pytest.raises(InvariantError, match="no SHA-256"):
            store.find(digest)

    def test_the_first_of_two_wins(self, store: ObjectStore) -> None:
        """An object that is there is kept: results of one digest are the same."""
        _put(store, content="first")
        assert _put(store, content="second").file("data.bin").read_text() == "first"

    def test_replace_computes_anew(self, store: ObjectStore) -> None:
        """With `replace` the new result takes the place of the old one."""
        _put(store, content="first")
        assert _put(store, content="second", replace=True).file("data.bin").read_text() == "second"

    def test_two_racing_creators_leave_one_sound_object(self, store: ObjectStore) -> None:
        """Two that compute one digest at once both succeed, and both find the same object."""
        start = threading.Barrier(2)
        found: list[StoredObject | None] = []

        def compute(content: str) -> None:
            with store.create(DIGEST, stage="profile", label=content, plugins=[], work=1.0) as folder:
                (folder / "data.bin").write_text(content)
                start.wait()
            found.append(store.find(DIGEST))

        threads = [threading.Thread(target=compute, args=(who,)) for who in ("one", "other")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first, second = found
        assert first is not None
        assert first == second
        assert first.file("data.bin").read_text() == first.label
        first.verify()
        assert [path.name for path in (store.root / DIGEST[:2]).iterdir()] == [DIGEST]


def _cut_a_file(path: Path) -> None:
    (path / "data.bin").write_text("num")


def _remove_a_file(path: Path) -> None:
    (path / "sub" / "more.bin").unlink()


def _remove_the_description(path: Path) -> None:
    (path / "object.json").unlink()


def _describe(**changes: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        described = json.loads((path / "object.json").read_text())
        write_text(path / "object.json", json.dumps(described | changes))

    return change


def _garble(path: Path) -> None:
    (path / "object.json").write_bytes(b'{"digest": "\xff')


def _list_instead(path: Path) -> None:
    (path / "object.json").write_text("[1, 2]")


DAMAGES = {
    "a file cut short": _cut_a_file,
    "a file gone": _remove_a_file,
    "no description": _remove_the_description,
    "not JSON": _garble,
    "other JSON": _list_instead,
    "another digest": _describe(digest=OTHER),
    "another schema": _describe(schema_version=99),
    "senseless files": _describe(files={"data.bin": 7}),
    "senseless seconds": _describe(seconds=-1.0),
    "senseless plugins": _describe(plugins=[1]),
}


class TestDamage:
    """Objects that are no longer what was stored."""

    @pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
    def test_a_damaged_object_is_set_aside(self, store: ObjectStore, damage: Callable[[Path], None]) -> None:
        """It counts as absent, is kept for a look under another name, and makes room for a new one."""
        stored = _put(store)
        damage(stored.path)
        assert store.find(DIGEST) is None
        aside = stored.path.with_name(f"{DIGEST}.damaged")
        assert store.damaged == [aside]
        assert aside.is_dir()
        assert not stored.path.exists()
        assert _put(store).file("data.bin").read_text() == "numbers"

    def test_a_second_damage_replaces_the_first(self, store: ObjectStore) -> None:
        """Damaged copies of one object do not pile up."""
        for content in ("first", "second"):
            stored = _put(store, content=content)
            _remove_a_file(stored.path)
            assert store.find(DIGEST) is None
        assert (store.damaged[-1] / "data.bin").read_text() == "second"
        assert len(list((store.root / DIGEST[:2]).iterdir())) == 1

    def test_an_object_that_cannot_be_set_aside_is_still_not_used(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In a store that may only be read, a damaged object is reported where it lies."""
        stored = _put(store)
        _cut_a_file(stored.path)

        def refuse(source: Path, target: Path) -> Path:
            raise PermissionError(13, "Permission denied", str(source))

        monkeypatch.setattr(Path, "rename", refuse)
        assert store.find(DIGEST) is None
        assert store.damaged == [stored.path]

    def test_an_object_being_replaced_is_not_taken_for_damaged(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The moment between the two renames of a replacement does not cost a sound object."""
        _put(store)
        real_read, reads = Path.read_bytes, []

        def read_bytes(path: Path) -> bytes:
            reads.append(path)
            if len(reads) == 1:
                raise FileNotFoundError(2, "No such file or directory", str(path))
            return real_read(path)

        monkeypatch.setattr(Path, "read_bytes", read_bytes)
        assert store.find(DIGEST) is not None
        assert store.damaged == []

    def test_a_store_that_may_not_be_read_is_an_error(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Lack of permission is not damage: it is reported, and nothing is renamed."""
        stored = _put(store)

        def refuse(path: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(StoreError, match="cannot be read: Permission denied") as caught:
            store.find(DIGEST)
        assert caught.value.where == str(stored.path)
        assert stored.path.is_dir()


class TestStoredObject:
    """What an object gives to those who found it."""

    def test_an_unknown_file_is_refused_by_name(self, store: ObjectStore) -> None:
        """The message names the object, the file and the nearest one that is there."""
        with pytest.raises(StoreError, match="profile of mini") as caught:
            _put(store).file("dada.bin")
        assert "'dada.bin'" in str(caught.value)
        assert "data.bin" in str(caught.value.hint)

    def test_an_object_without_files_says_so(self, store: ObjectStore) -> None:
        """A stage may leave no file; asking for one is refused."""
        with store.create(DIGEST, stage="profile", label="p", plugins=[], work=0.0):
            pass
        found = store.find(DIGEST)
        assert found is not None
        with pytest.raises(StoreError, match="holds no files"):
            found.file("data.bin")

    def test_verify_passes_what_was_stored(self, store: ObjectStore) -> None:
        """An object that nobody touched has the hashes it was stored with."""
        stored = _put(store)
        stored.verify()
        assert sha256_of(stored.file("data.bin")) == stored.files["data.bin"].sha256

    def test_verify_finds_a_change_that_keeps_the_size(self, store: ObjectStore) -> None:
        """`find` looks at sizes only; `verify` reads every byte."""
        stored = _put(store)
        stored.file("data.bin").write_text("NUMBERS")
        assert store.find(DIGEST) is not None
        with pytest.raises(StoreError, match=r"changed since it was computed: data\.bin") as caught:
            stored.verify()
        assert caught.value.where == str(stored.path)

    def test_verify_reports_a_missing_file(self, store: ObjectStore) -> None:
        """A file that went away after `find` is an error about that file."""
        stored = _put(store)
        _remove_a_file(stored.path)
        with pytest.raises(StoreError, match="cannot be read") as caught:
            stored.verify()
        assert caught.value.where == str(stored.path / "sub" / "more.bin")


class TestHistory:
    """What the store tells about the past."""

    def test_it_has_what_the_stage_stored_before(self, store: ObjectStore) -> None:
        """Duration and work of the past are there for estimates; other stages are left out."""
        _put(store, DIGEST, work=1.0)
        _put(store, OTHER, work=2.0)
        _put(store, digest_of("simulation"), stage="simulate", work=3.0)
        assert {past.work for past in store.history("profile")} == {1.0, 2.0}
        assert [past.stage for past in store.history("simulate")] == ["simulate"]

    def test_the_newest_comes_first(self, store: ObjectStore) -> None:
        """The most recent computation says best how long the next will take."""
        for age, digest in enumerate((DIGEST, OTHER)):
            stored = _put(store, digest)
            os.utime(stored.path / "object.json", (1000 - age, 1000 - age))
        assert [past.digest for past in store.history("profile")] == [DIGEST, OTHER]

    def test_it_skips_what_it_cannot_read(self, store: ObjectStore) -> None:
        """An estimate is no reason to stop: damaged, set aside and unfinished objects are passed over."""
        _put(store)
        _garble(_put(store, OTHER).path)
        aside = _put(store, digest_of(3)).path
        aside.rename(aside.with_name(f"{aside.name}.damaged"))
        assert [past.digest for past in store.history("profile")] == [DIGEST]
        assert store.damaged == []

    def test_an_absent_store_has_none(self, store: ObjectStore) -> None:
        """Before the first run there is no history, no object and no size."""
        assert store.history("profile") == []
        assert store.find(DIGEST) is None
        assert store.size_bytes() == 0

    def test_size_counts_everything(self, store: ObjectStore) -> None:
        """The size is that of all files, descriptions and damaged objects too."""
        stored = _put(store)
        description = (stored.path / "object.json").stat().st_size
        assert store.size_bytes() == len("numbers") + len("more") + description
        _cut_a_file(stored.path)
        assert store.find(DIGEST) is None
        assert store.size_bytes() == len("num") + len("more") + description
