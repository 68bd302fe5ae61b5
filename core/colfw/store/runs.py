"""Run directories: one folder a run, with all that it found and all that is needed to find it again.

    <runs root>/<run id>/manifest.json   profiles/  tables/  figures/  report.html

A run's id is `YYYYmmdd-HHMMSS-<name>-<first 8 of the study's digest>`, in UTC.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import attrs
from attrs import field, frozen, validators

from colfw.errors import InvariantError, StoreError
from colfw.store.atomic import reading, replacing_file, write_text, writing
from colfw.store.objects import sha256_of
from colfw.store.tables import write_csv, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from colfw.store.tables import Table

RUN_SCHEMA_VERSION: Final = 1
MANIFEST_FILE: Final = "manifest.json"
LATEST: Final = "latest"

Status = Literal["running", "finished", "failed", "interrupted"]

_RUN_ID: Final = re.compile(r"(\d{8}-\d{6})-[a-z0-9-]+-[0-9a-f]{8}(?:-(\d+))?")
_LONGEST_SLUG: Final = 40
_NAMED_AT_MOST: Final = 5


def default_runs_root() -> Path:
    """The folder named by COLFW_RUNS, else `runs` where colfw was started."""
    chosen = os.environ.get("COLFW_RUNS")
    return Path(chosen).expanduser() if chosen else Path("runs")


# The manifest --------------------------------------------------------------------------------------


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _check_instant(_: Manifest, attribute: attrs.Attribute[str], text: str) -> None:
    if datetime.fromisoformat(text).utcoffset() != timedelta(0):
        raise ValueError(f"{attribute.name}: {text!r} is no ISO-8601 time in UTC")


_is_text = validators.instance_of(str)
_is_dict = validators.instance_of(dict)


def _tuple_of(member: type) -> Any:
    return field(
        default=(),
        converter=_as_tuple,
        validator=validators.deep_iterable(validators.instance_of(member), validators.instance_of(tuple)),
    )


def _texts_by_name() -> Any:
    return field(factory=dict, validator=validators.deep_mapping(_is_text, _is_text, _is_dict))


@frozen(kw_only=True)
class Manifest:
    """What a run is, what it ran with, and how far it came."""

    schema_version: int = field(default=RUN_SCHEMA_VERSION, validator=validators.in_([RUN_SCHEMA_VERSION]))
    run: str = field(validator=_is_text)
    name: str = field(validator=_is_text)
    status: Status = field(validator=validators.in_(get_args(Status)))
    study: Mapping[str, Any] = field(validator=_is_dict)
    """The study with all its defaults filled in."""
    study_file: str | None = field(default=None, validator=validators.optional(_is_text))
    overrides: tuple[str, ...] = _tuple_of(str)
    versions: Mapping[str, str] = _texts_by_name()
    plugins: tuple[Mapping[str, Any], ...] = _tuple_of(dict)
    """Each: kind, name, distribution, version, fingerprint."""
    plugin_failures: tuple[str, ...] = _tuple_of(str)
    seeds: tuple[int, ...] = _tuple_of(int)
    hardware: Mapping[str, Any] = field(factory=dict, validator=_is_dict)
    host: Mapping[str, Any] = field(factory=dict, validator=_is_dict)
    started: str = field(validator=[_is_text, _check_instant])
    finished: str | None = field(default=None, validator=validators.optional([_is_text, _check_instant]))
    tasks: tuple[Mapping[str, Any], ...] = _tuple_of(dict)
    """Each: label, stage, digest, status, cached, seconds, error."""
    tables: Mapping[str, str] = _texts_by_name()
    """SHA-256 of each table file, by its name in the run."""

    def to_json(self) -> dict[str, Any]:
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, where: str = MANIFEST_FILE) -> Manifest:
        """The manifest that `to_json` gave; `where` is named when it is something else."""
        _check_version(data, where)
        names = {attribute.name for attribute in attrs.fields(cls)}
        odd = [f"lacks {name!r}" for name in sorted(names - data.keys())]
        odd += [f"has unknown {name!r}" for name in sorted(data.keys() - names)]
        if odd:
            raise StoreError(f"damaged manifest: {', '.join(odd)}", where=where)
        try:
            return cls(**data)
        except (TypeError, ValueError) as error:
            raise StoreError(f"damaged manifest: {error.args[0]}", where=where) from error


def _check_version(data: object, where: str) -> None:
    version = data.get("schema_version") if isinstance(data, Mapping) else None
    if type(version) is not int or version < 1:
        raise StoreError("damaged manifest: it states no schema version", where=where)
    if version > RUN_SCHEMA_VERSION:
        raise StoreError(
            f"made by a newer colfw: manifest of schema version {version}, "
            f"this colfw reads up to {RUN_SCHEMA_VERSION}",
            where=where,
            hint="upgrade colfw",
        )


# One run -------------------------------------------------------------------------------------------


@frozen
class RunDirectory:
    """The folder of one run."""

    path: Path

    @classmethod
    def create(cls, root: Path, name: str, study_digest: str, now: datetime) -> RunDirectory:
        """A new folder that no other process has: whoever makes the folder owns its name."""
        if now.tzinfo is None:
            raise InvariantError(f"{now} has no time zone", where=f"run {name}")
        stamp = now.astimezone(UTC).strftime("%Y%m%d-%H%M%S")
        stem = f"{stamp}-{_slug(name)}-{study_digest[:8]}"
        if not _RUN_ID.fullmatch(stem):
            raise InvariantError(f"{study_digest!r} is no digest in hex", where=f"run {name}")
        with writing(root):
            root.mkdir(parents=True, exist_ok=True)
        paths = (root / (stem if number == 1 else f"{stem}-{number}") for number in count(1))
        return cls(next(path for path in paths if _made(path)))

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def status(self) -> Status | Literal["unknown"]:
        """How far the run came; unknown when its manifest is missing or damaged."""
        try:
            return self.read_manifest().status
        except StoreError:
            return "unknown"

    def write_manifest(self, manifest: Manifest) -> None:
        try:
            text = json.dumps(manifest.to_json(), indent=2, allow_nan=False)
        except ValueError as error:
            raise InvariantError(f"the manifest cannot be JSON: {error}", where=f"run {self.id}") from error
        write_text(self.path / MANIFEST_FILE, text + "\n")

    def read_manifest(self) -> Manifest:
        file = self.path / MANIFEST_FILE
        with reading(file):
            content = file.read_bytes()
        try:
            data = json.loads(content)
        except ValueError as error:
            raise StoreError(f"damaged manifest: {error}", where=str(file)) from error
        return Manifest.from_json(data, where=str(file))

    def add_file(self, source: Path, relative: str) -> Path:
        """Copy a file into the run; `relative` is its path there."""
        target = self._within(relative)
        with reading(source), source.open("rb"):
            pass  # so that what is wrong with the source is not blamed on the copy
        with replacing_file(target) as temporary:
            shutil.copyfile(source, temporary)
        return target

    def write_table(self, table: Table) -> dict[str, str]:
        """Write a table in both formats; returns the SHA-256 of each file by its path in the run."""
        parquet = f"tables/{table.schema.name}.parquet"
        csv = f"tables/{table.schema.name}.csv"
        write_parquet(table, self.path / parquet)
        write_csv(table, self.path / csv)
        return {name: sha256_of(self.path / name) for name in (parquet, csv)}

    def _within(self, relative: str) -> Path:
        wanted = Path(relative)
        if wanted.is_absolute() or ".." in wanted.parts or not wanted.name:
            raise InvariantError(f"{relative!r} is no path inside a run", where=f"run {self.id}")
        return self.path / wanted


def _slug(name: str) -> str:
    """The letters and digits of a name as words that work in any file name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_SLUG].strip("-")
    return words or "run"


def _made(path: Path) -> bool:
    with writing(path):
        try:
            path.mkdir()
        except FileExistsError:
            return False
    return True


# All runs ------------------------------------------------------------------------------------------


def list_runs(root: Path) -> list[RunDirectory]:
    """All runs below `root`, newest first; what has no run's name is somebody else's and left out."""
    if not root.is_dir():
        return []
    with reading(root):
        paths = [path for path in root.iterdir() if _RUN_ID.fullmatch(path.name) and path.is_dir()]
        paths.sort(key=_age_order, reverse=True)
    return [RunDirectory(path) for path in paths]


def find_run(root: Path, wanted: str) -> RunDirectory:
    """The run meant by an id, the beginning of one, the path of its folder, or `latest`."""
    runs = list_runs(root)
    if wanted == LATEST and runs:
        return runs[0]
    matching = [run for run in runs if wanted and run.id.startswith(wanted)]
    exact = [run for run in matching if run.id == wanted]
    if exact or len(matching) == 1:
        return (exact or matching)[0]
    if matching:
        raise StoreError(
            f"several runs begin with {wanted!r}",
            where=str(root),
            hint=_listing(run.id for run in matching),
        )
    if (Path(wanted) / MANIFEST_FILE).is_file():
        return RunDirectory(Path(wanted).resolve())
    raise _no_such_run(root, wanted, [run.id for run in runs])


def _age_order(path: Path) -> tuple[str, int, int, str]:
    found = _RUN_ID.fullmatch(path.name)
    assert found is not None
    # Of one second, the one whose name was taken most often came last, then the one used last.
    return found[1], int(found[2] or 1), path.stat().st_mtime_ns, path.name


def _no_such_run(root: Path, wanted: str, ids: Sequence[str]) -> StoreError:
    if not ids:
        return StoreError("there is no run yet", where=str(root), hint="`colfw run STUDY` makes one")
    containing = [run_id for run_id in ids if wanted and wanted in run_id]
    near = containing or get_close_matches(wanted, ids, n=_NAMED_AT_MOST, cutoff=0.4) or ids
    return StoreError(f"no run {wanted!r}", where=str(root), hint=f"there is {_listing(near)}")


def _listing(ids: Iterable[str]) -> str:
    named = list(ids)
    more = len(named) - _NAMED_AT_MOST
    return ", ".join(named[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
