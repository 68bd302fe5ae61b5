from __future__ import annotations

import errno
import json
import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colfw.errors import InvariantError, StoreError
from colfw.store.objects import sha256_of
from colfw.store.runs import Manifest, RunDirectory, default_runs_root, find_run, list_runs
from colfw.store.tables import Column, Table, TableSchema, read_parquet

NOW = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
DIGEST = "0123abcd" * 8

MANIFEST = Manifest(
    run="20260301-123005-dit-0123abcd",
    name="DiT, all layouts",
    status="running",
    study={"name": "dit", "workloads": [{"name": "dit-xl", "tau": 0.5}]},
    study_file="studies/dit.toml",
    overrides=("workloads.0.tau=0.5",),
    versions={"colfw": "0.1.0", "python": "3.12.1"},
    plugins=(
        {
            "kind": "layout",
            "name": "row-major",
            "distribution": "colfw",
            "version": "0.1.0",
            "fingerprint": "ab12",
        },
    ),
    plugin_failures=("colfw-other 1.0: ImportError",),
    seeds=(1, 2),
    hardware={"pe_rows": 16},
    host={"cpu": "some", "cores": 2},
    started="2026-03-01T12:30:05+00:00",
    tasks=(
        {
            "label": "profile of dit-xl",
            "stage": "profile",
            "digest": DIGEST,
            "status": "done",
            "cached": False,
            "seconds": 1.5,
            "error": None,
        },
    ),
    tables={"tables/stalls.csv": DIGEST},
)


def _create(root: Path, name: str = "dit", seconds: int = 0, digest: str = DIGEST) -> RunDirectory:
    return RunDirectory.create(root, name, digest, NOW + timedelta(seconds=seconds))


class TestDefaultRoot:
    """Where runs lie unless told."""

    def test_the_variable_decides(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """COLFW_RUNS names the folder; `~` is the home."""
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("COLFW_RUNS", "~/results")
        assert default_runs_root() == tmp_path / "results"

    def test_else_runs_in_the_working_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the variable, results lie where colfw was started."""
        monkeypatch.delenv("COLFW_RUNS", raising=False)
        assert default_runs_root() == Path("runs")


class TestManifest:
    """The record of a run."""

    def test_it_survives_a_file(self) -> None:
        """What was written is what is read."""
        written = json.loads(json.dumps(MANIFEST.to_json()))
        assert Manifest.from_json(written) == MANIFEST
        assert written["schema_version"] == 1

    def test_a_newer_one_is_refused(self) -> None:
        """What a newer colfw wrote may mean something else; it is not guessed at."""
        with pytest.raises(StoreError, match="made by a newer colfw") as caught:
            Manifest.from_json(MANIFEST.to_json() | {"schema_version": 2, "news": 1}, where="m.json")
        assert caught.value.where == "m.json"
        assert caught.value.hint == "upgrade colfw"

    @pytest.mark.parametrize("version", [None, "1", 0, True, 1.0])
    def test_a_version_that_is_none_is_refused(self, version: object) -> None:
        """Without a schema version nothing can be trusted."""
        with pytest.raises(StoreError, match="no schema version"):
            Manifest.from_json(MANIFEST.to_json() | {"schema_version": version})

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"status": "done"}, "status"),
            ({"name": 3}, "name"),
            ({"study": None}, "study"),
            ({"overrides": "tau=1"}, "overrides"),
            ({"overrides": [1]}, "overrides"),
            ({"plugins": ["row-major"]}, "plugins"),
            ({"versions": {"colfw": 1}}, "versions"),
            ({"seeds": ["one"]}, "seeds"),
            ({"tables": ["a.csv"]}, "tables"),
            ({"started": "yesterday"}, "yesterday"),
            ({"started": "2026-03-01T12:30:05"}, "started.*UTC"),
            ({"finished": "2026-03-01T12:30:05+02:00"}, "finished.*UTC"),
            ({"extra": 1}, "has unknown 'extra'"),
        ],
        ids=str,
    )
    def test_senseless_content_is_refused(self, change: dict[str, Any], problem: str) -> None:
        """A damaged manifest is told by the field that makes no sense."""
        with pytest.raises(StoreError, match=f"damaged manifest: .*{problem}"):
            Manifest.from_json(MANIFEST.to_json() | change)

    def test_missing_fields_are_named(self) -> None:
        """A manifest states everything, also what is empty."""
        data = MANIFEST.to_json()
        del data["host"], data["seeds"]
        with pytest.raises(StoreError, match="lacks 'host', lacks 'seeds'"):
            Manifest.from_json(data)

    @pytest.mark.parametrize("data", [[], "x", None, 1])
    def test_other_json_is_refused(self, data: Any) -> None:
        """A list or a text is no manifest."""
        with pytest.raises(StoreError, match="damaged manifest"):
            Manifest.from_json(data)


class TestCreating:
    """New run directories."""

    def test_the_id_says_when_what_and_which_study(self, tmp_path: Path) -> None:
        """The id is the time in UTC, the name in plain letters and the study's digest."""
        east = timezone(timedelta(hours=2))
        run = RunDirectory.create(tmp_path / "runs", "DiT, all layouts!", DIGEST, NOW.astimezone(east))
        assert run.id == "20260301-123005-dit-all-layouts-0123abcd"
        assert run.path.is_dir()

    @given(name=st.text())
    def test_any_name_makes_a_run_that_is_found(
        self, tmp_path_factory: pytest.TempPathFactory, name: str
    ) -> None:
        """Whatever a study is called, its folder has a harmless name and is recognised as a run."""
        run = _create(tmp_path_factory.mktemp("runs"), name)
        assert run.id.isascii()
        assert len(run.id) < 80
        assert list_runs(run.path.parent) == [run]

    @pytest.mark.parametrize(
        ("name", "slug"),
        [("", "run"), ("../x", "x"), ("Après DiT", "apres-dit"), ("x" * 99, "x" * 40), ("日本", "run")],
    )
    def test_names_become_plain_words(self, tmp_path: Path, name: str, slug: str) -> None:
        """Accents fall off, what is no letter or digit parts words, and long names are cut."""
        assert _create(tmp_path, name).id == f"20260301-123005-{slug}-0123abcd"

    def test_a_taken_id_is_counted_up(self, tmp_path: Path) -> None:
        """Runs of one study within one second have folders of their own."""
        ids = [_create(tmp_path).id for _ in range(3)]
        stem = "20260301-123005-dit-0123abcd"
        assert ids == [stem, f"{stem}-2", f"{stem}-3"]

    def test_racing_creators_never_share_a_folder(self, tmp_path: Path) -> None:
        """However many start at once, each gets a folder of its own."""
        start = threading.Barrier(8)
        ids: list[str] = []

        def create() -> None:
            start.wait()
            ids.append(_create(tmp_path / "runs").id)

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ids) == 8
        assert len(set(ids)) == 8

    def test_a_time_without_a_zone_is_refused(self, tmp_path: Path) -> None:
        """Nobody could say when such a run was."""
        with pytest.raises(InvariantError, match="no time zone"):
            RunDirectory.create(tmp_path, "dit", DIGEST, NOW.replace(tzinfo=None))

    def test_a_digest_that_is_none_is_refused(self, tmp_path: Path) -> None:
        """Only digests in hex become part of an id."""
        with pytest.raises(InvariantError, match="no digest"):
            _create(tmp_path, digest="latest")

    def test_a_root_that_cannot_be_made_is_reported(self, tmp_path: Path) -> None:
        """A file where the runs should lie is a StoreError with its path."""
        (tmp_path / "runs").write_text("I am a file")
        with pytest.raises(StoreError, match="cannot be written") as caught:
            _create(tmp_path / "runs")
        assert caught.value.where == str(tmp_path / "runs")

    def test_a_full_disk_is_reported(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder that cannot be made is no endless search for a free name."""

        def refuse(*args: object, **options: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "mkdir", refuse)
            with pytest.raises(StoreError, match="No space left"):
                _create(tmp_path)
        assert list_runs(tmp_path) == []


class TestRunDirectory:
    """What is kept of one run."""

    def test_the_manifest_is_kept(self, tmp_path: Path) -> None:
        """A manifest can be written again and again; the last one counts."""
        run = _create(tmp_path)
        run.write_manifest(MANIFEST)
        finished = attrs.evolve(MANIFEST, status="finished", finished="2026-03-01T12:31:00Z")
        run.write_manifest(finished)
        assert run.read_manifest() == finished
        assert run.status == "finished"

    def test_odd_file_names_do_not_stop_a_manifest(self, tmp_path: Path) -> None:
        """A file name that is no Unicode is kept like any other."""
        run = _create(tmp_path)
        odd = attrs.evolve(MANIFEST, study_file="studies/\udcff.toml", name="Größe")
        run.write_manifest(odd)
        assert run.read_manifest() == odd

    def test_nan_never_gets_into_a_manifest(self, tmp_path: Path) -> None:
        """NaN is no JSON, and nothing is written of a manifest that holds it."""
        run = _create(tmp_path)
        with pytest.raises(InvariantError, match="cannot be JSON"):
            run.write_manifest(attrs.evolve(MANIFEST, hardware={"clock": float("nan")}))
        assert list(run.path.iterdir()) == []

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"schema_version": 1}'])
    def test_a_damaged_manifest_is_reported_with_its_path(self, tmp_path: Path, content: bytes) -> None:
        """The message names the file, and the status is unknown."""
        run = _create(tmp_path)
        file = run.path / "manifest.json"
        file.write_bytes(content)
        with pytest.raises(StoreError, match="damaged manifest") as caught:
            run.read_manifest()
        assert caught.value.where == str(file)
        assert run.status == "unknown"

    def test_a_missing_manifest_is_reported_with_its_path(self, tmp_path: Path) -> None:
        """A run that was killed before it wrote one has an unknown status."""
        run = _create(tmp_path)
        with pytest.raises(StoreError, match="No such file") as caught:
            run.read_manifest()
        assert caught.value.where == str(run.path / "manifest.json")
        assert run.status == "unknown"

    def test_files_are_copied_in(self, tmp_path: Path) -> None:
        """A copy has the content of its source, which stays, and replaces one of the same name."""
        run = _create(tmp_path)
        source = tmp_path / "profile"
        for content in ("first", "second"):
            source.write_text(content)
            added = run.add_file(source, "profiles/dit.safetensors")
            assert added == run.path / "profiles" / "dit.safetensors"
            assert added.read_text() == content
        assert source.exists()
        assert [path.name for path in added.parent.iterdir()] == ["dit.safetensors"]

    def test_a_missing_source_is_not_blamed_on_the_run(self, tmp_path: Path) -> None:
        """The message names the source, and nothing is left in the run."""
        run = _create(tmp_path)
        with pytest.raises(StoreError, match="cannot be read") as caught:
            run.add_file(tmp_path / "absent", "profiles/x")
        assert caught.value.where == str(tmp_path / "absent")
        assert list(run.path.iterdir()) == []

    @pytest.mark.parametrize("relative", ["../x", "profiles/../../x", "/x", "", "."])
    def test_files_stay_inside_the_run(self, tmp_path: Path, relative: str) -> None:
        """No name leads out of the run's folder."""
        source = tmp_path / "source"
        source.write_text("x")
        with pytest.raises(InvariantError, match="no path inside a run"):
            _create(tmp_path / "runs").add_file(source, relative)

    def test_tables_are_written_in_both_formats(self, tmp_path: Path) -> None:
        """Both files are there, and their hashes are those that are returned."""
        run = _create(tmp_path)
        schema = TableSchema("sites", "All sites.", (Column("site", "text", "name", "It."),), ("site",))
        table = Table(schema, [{"site": "b"}, {"site": "a"}])
        hashes = run.write_table(table)
        assert hashes == {
            name: sha256_of(run.path / name) for name in ("tables/sites.parquet", "tables/sites.csv")
        }
        assert read_parquet(run.path / "tables" / "sites.parquet", schema) == table
        assert (run.path / "tables" / "sites.csv").read_text() == "site\na\nb\n"


class TestListing:
    """All runs of a folder."""

    def test_the_newest_comes_first(self, tmp_path: Path) -> None:
        """Runs are sorted by when they began, those of one second by how often the name was taken."""
        old = _create(tmp_path, "zebra", 0)
        same_second = [_create(tmp_path, "ant", 5) for _ in range(11)]
        new = _create(tmp_path, "bee", 9)
        assert list_runs(tmp_path) == [new, *reversed(same_second), old]

    def test_foreign_entries_are_ignored(self, tmp_path: Path) -> None:
        """Only folders with the name of a run count."""
        run = _create(tmp_path)
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "manifest.json").write_text("{}")
        (tmp_path / "20260301-123005-dit-0123abcd-2").write_text("I am a file")
        (tmp_path / ".tmp-0123").mkdir()
        assert list_runs(tmp_path) == [run]

    def test_a_damaged_run_is_listed(self, tmp_path: Path) -> None:
        """One broken manifest does not hide the other runs, nor itself."""
        whole, broken = _create(tmp_path, seconds=0), _create(tmp_path, seconds=1)
        whole.write_manifest(MANIFEST)
        (broken.path / "manifest.json").write_text("{")
        assert [run.status for run in list_runs(tmp_path)] == ["unknown", "running"]

    def test_an_absent_root_has_no_runs(self, tmp_path: Path) -> None:
        """Before the first run the list is empty."""
        assert list_runs(tmp_path / "runs") == []


class TestFinding:
    """The run that is meant."""

    def test_by_id_prefix_path_and_latest(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """All ways to say which run lead to it."""
        old = _create(tmp_path / "runs", "dit", 0)
        new = _create(tmp_path / "runs", "mdm", 60)
        new.write_manifest(MANIFEST)
        monkeypatch.chdir(tmp_path)
        for wanted in (new.id, new.id[:14], str(new.path), f"runs/{new.id}", f"./runs/{new.id}/", "latest"):
            assert find_run(tmp_path / "runs", wanted).path == new.path
        assert find_run(tmp_path / "runs", old.id) == old

    def test_an_exact_id_wins_over_longer_ones(self, tmp_path: Path) -> None:
        """The first of several runs of one second can be named."""
        first, second = _create(tmp_path), _create(tmp_path)
        assert second.id.startswith(first.id)
        assert find_run(tmp_path, first.id) == first

    def test_an_ambiguous_prefix_is_refused_with_the_candidates(self, tmp_path: Path) -> None:
        """The message lists the runs that may have been meant, the newest first, and not hundreds."""
        ids = [_create(tmp_path, "dit", seconds).id for seconds in range(7)]
        with pytest.raises(StoreError, match="several runs begin with '2026'") as caught:
            find_run(tmp_path, "2026")
        assert caught.value.hint == ", ".join(reversed(ids[2:])) + " and 2 more"

    @pytest.mark.parametrize("wanted", ["mdm", "20260301-123105-mdn-0123abcd"])
    def test_an_unknown_run_is_refused_with_the_nearest(self, tmp_path: Path, wanted: str) -> None:
        """Whoever mistypes an id, or knows only a part of it, is shown what is like it."""
        _create(tmp_path, "dit", 0)
        meant = _create(tmp_path, "mdm", 60)
        with pytest.raises(StoreError, match=f"no run '{wanted}'") as caught:
            find_run(tmp_path, wanted)
        assert str(caught.value.hint).startswith(f"there is {meant.id}")

    def test_nothing_like_it_shows_the_newest(self, tmp_path: Path) -> None:
        """A word that is like no id gets the newest runs for an answer; so does no word at all."""
        run = _create(tmp_path)
        for wanted in ("", "???"):
            with pytest.raises(StoreError, match="no run") as caught:
                find_run(tmp_path, wanted)
            assert caught.value.hint == f"there is {run.id}"

    def test_without_runs_the_message_says_how_to_make_one(self, tmp_path: Path) -> None:
        """`latest` of nothing is refused."""
        with pytest.raises(StoreError, match="there is no run yet") as caught:
            find_run(tmp_path, "latest")
        assert caught.value.where == str(tmp_path)

    def test_a_folder_without_a_manifest_is_no_run(self, tmp_path: Path) -> None:
        """Any path may be given, but only a run is taken for one."""
        _create(tmp_path / "runs")
        (tmp_path / "else").mkdir()
        with pytest.raises(StoreError, match="no run"):
            find_run(tmp_path / "runs", str(tmp_path / "else"))
