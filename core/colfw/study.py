"""The typed study: what is run, from which activations, placed by which layouts, on which machines.

A study is one TOML file. Here it gets its types, and what is wrong in itself is refused; whether the
plugins that it names exist, and take the options that it gives, is checked where it meets them.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import Attribute, field, frozen
from attrs.validators import and_, optional

from colfw.errors import InvariantError, StudyError
from colfw.names import is_name
from colfw.overrides import Override, apply, last_writer, parse_override
from colfw.refusals import Problem, Refusal, shown
from colfw.typed import (
    SHORTHAND,
    distinct,
    each,
    non_negative,
    not_empty,
    positive,
    share,
    structured,
    unstructure,
)
from colfw.vocabulary import MaskKind, OverTime, Precision, Reuse, SourceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_THRESHOLDS: Final = (0.10, 0.15, 0.164, 0.17, 0.20)
"""Swept as thresholds and as target hot ratios unless a study says otherwise."""

DEFAULT_GRID: Final = (
    *(0.010, 0.016, 0.025, 0.040, 0.063),
    *(0.10, 0.16, 0.25, 0.40, 0.63),
    *(1.0, 1.6, 2.5, 4.0, 6.3),
    10.0,
)
"""Five steps a decade (the R5 series of ISO 3) over three decades: wide enough to have the 99th percentile
of |a| between two of its thresholds, whether a model's activations stay below 0.1 or reach 10."""

FINE_GRID: Final = (
    *(0.010, 0.016, 0.025, 0.040, 0.050, 0.063, 0.080, 0.090),
    *(0.100, 0.105, 0.110, 0.115, 0.120, 0.125, 0.130, 0.135, 0.140, 0.145, 0.150, 0.155),
    *(0.160, 0.161, 0.162, 0.163, 0.164, 0.165, 0.166, 0.167, 0.168, 0.169, 0.170),
    *(0.175, 0.180, 0.185, 0.190, 0.195, 0.200),
    *(0.224, 0.250, 0.280, 0.315, 0.355, 0.400, 0.450, 0.500, 0.560, 0.630, 0.710, 0.800, 0.900),
    *(1.0, 1.25, 1.6, 2.0, 2.5, 4.0, 6.3, 10.0),
)
"""For studies that calibrate to a share of elements, which is as exact as the grid is fine. Steps of 0.005
over the range that studies sweep, of 0.001 where elements crowd: GELU is never below -0.170, and flat there.
Elsewhere the R20 series of ISO 3, or thinner."""


# --- rules ----------------------------------------------------------------------------------------

_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def _plain_name(_: Any, attribute: Attribute[str], text: str) -> None:
    if not is_name(text):
        raise InvariantError(
            f"{shown(text)} is no name", where=attribute.name, hint="lower-case words joined by '-' or '.'"
        )


def _plugin_name(_: Any, attribute: Attribute[str], text: str) -> None:
    distribution, slash, name = text.rpartition("/")
    if not is_name(name) or (slash and not _DISTRIBUTION.fullmatch(distribution)):
        raise InvariantError(
            f"{shown(text)} is no plugin name",
            where=attribute.name,
            hint="lower-case words joined by '-' or '.', or distribution/name",
        )


_DEVICE = re.compile(r"[a-z]+(?::\d+)?")


def _device(_: Any, attribute: Attribute[str], text: str) -> None:
    if not _DEVICE.fullmatch(text):
        raise InvariantError(f"{shown(text)} is no device", where=attribute.name, hint="cpu, cuda or cuda:1")


def _ascending(_: Any, attribute: Attribute[tuple[float, ...]], thresholds: tuple[float, ...]) -> None:
    problems = [
        Problem((attribute.name, position), f"must be greater than the {before} before it, not {after}")
        for position, (before, after) in enumerate(pairwise(thresholds), start=1)
        if not after > before
    ]
    if problems:
        raise Refusal(problems)


def _machines_match_layouts(study: Study, _: Any, machines: tuple[MachineChoice, ...]) -> None:
    if bool(study.layouts) == bool(machines):
        return
    missing, given = ("machines", "layouts") if study.layouts else ("layouts", "machines")
    raise InvariantError(
        f"missing, but {given} are given",
        where=missing,
        hint="give both to simulate, or neither to profile and score only",
    )


def _machines_have_own_names(_: Any, __: Any, machines: tuple[MachineChoice, ...]) -> None:
    names = [machine.name for machine in machines]
    problems = [
        Problem(("machines", position, "name"), f"machines[{names.index(name)}] has this name already")
        for position, name in enumerate(names)
        if names.index(name) < position
    ]
    if problems:
        raise Refusal(problems)


def _checkpoints_are_read(study: Study, _: Any, source: Source) -> None:
    kinds = [source.kind, *(workload.source for workload in study.workloads)]
    if source.checkpoints and SourceKind.CHECKPOINT not in kinds:
        raise InvariantError(
            f"would not be read: activations are {source.kind}",
            where="source.checkpoints",
            hint='set source.kind = "checkpoint", or leave them out',
        )


# --- the study ------------------------------------------------------------------------------------


@frozen(kw_only=True)
class PluginChoice:
    """A plugin and its options. A bare name is short for a choice without preset and options."""

    name: str = field(validator=_plugin_name, metadata=SHORTHAND)
    preset: str | None = field(default=None, validator=optional(_plain_name))
    """A set of options that the plugin declares; single options may still be overridden."""
    options: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class WorkloadChoice(PluginChoice):
    """A denoiser, and where its activations come from if not from where the study says."""

    source: SourceKind | None = None


@frozen(kw_only=True)
class LayoutChoice(PluginChoice):
    """A layout policy, and the masks that it is simulated with; None leaves that to the layout."""

    masks: tuple[MaskKind, ...] | None = field(default=None, validator=optional(and_(not_empty, distinct)))


@frozen(kw_only=True)
class MachineChoice:
    """An accelerator with its memory, under a name of its own."""

    name: str = field(validator=_plain_name)
    accelerator: PluginChoice
    memory: PluginChoice


@frozen(kw_only=True)
class Source:
    """Where activations come from, and where on this machine the checkpoints lie, by workload name."""

    kind: SourceKind = SourceKind.RANDOM
    checkpoints: Mapping[str, Path] = field(factory=dict)


@frozen(kw_only=True)
class ProfileSettings:
    """What a profile keeps beyond the column maxima."""

    grid: tuple[float, ...] = field(default=DEFAULT_GRID, validator=[each(non_negative), _ascending])
    """Thresholds at which elements are counted, besides those of the study."""
    observers: tuple[str, ...] = field(default=(), validator=[each(_plugin_name), distinct])
    """Further statistics of activations, besides those that the accelerators ask for."""


@frozen(kw_only=True)
class Output:
    """Where results go. Without a directory, the store decides."""

    directory: Path | None = None
    samples: bool = False
    """Whether generated samples are written too: as arrays, and as files to look at or to listen to."""
    shown_samples: int = field(default=8, validator=positive)
    """Of each set, how many of the first ones are written as pictures, animations or sound."""


@frozen(kw_only=True)
class Study:
    """Everything that is asked. Two equal studies get equal results."""

    name: str = field(default="study", validator=_plain_name)
    workloads: tuple[WorkloadChoice, ...] = field(validator=[not_empty, distinct])
    iterations: int | None = field(default=None, validator=optional(positive))
    """None is as many as each workload is made for."""
    samples: int = field(default=1, validator=positive)
    """Samples a workload and seed."""
    calibration_samples: int | None = field(default=None, validator=optional(positive))
    """From how many of them, the first ones, profiles and so masks are taken; None is all. The more samples
    share a mask, the fewer columns are cold in all of them."""
    seeds: tuple[int, ...] = field(default=(0,), validator=[not_empty, each(non_negative), distinct])
    thresholds: tuple[float, ...] = field(
        default=DEFAULT_THRESHOLDS, validator=[each(non_negative), _ascending]
    )
    """Of uniform masks."""
    target_hot_ratios: tuple[float, ...] = field(
        default=DEFAULT_THRESHOLDS, validator=[each(share), distinct]
    )
    """Of per-layer masks: the share of columns that is to be hot."""
    target_element_ratios: tuple[float, ...] = field(
        default=DEFAULT_THRESHOLDS, validator=[each(share), distinct]
    )
    """The same by elements: the share that is to exceed a site's threshold, for layouts whose masks ask for
    `target-hot-elements`. It is as exact as `profile.grid` is fine."""
    metrics: tuple[PluginChoice, ...] = field(default=(), validator=distinct)
    mask_reuse: Reuse = Reuse.ZERO
    """What cold columns hold in masked generation."""
    mask_over_time: OverTime = OverTime.PER_ITERATION
    """Whether masks, those of simulations and of generation alike, follow the activations."""
    device: str = field(default="cpu", validator=_device)
    """Where denoisers run: `cpu`, `cuda`, `cuda:1`, `mps`."""
    precision: Precision = Precision.FLOAT32
    """The type that denoisers compute in."""
    source: Source = field(factory=Source, validator=_checkpoints_are_read)
    profile: ProfileSettings = field(factory=ProfileSettings)
    layouts: tuple[LayoutChoice, ...] = field(default=(), validator=distinct)
    machines: tuple[MachineChoice, ...] = field(
        default=(), validator=[_machines_have_own_names, _machines_match_layouts]
    )
    experiments: tuple[str, ...] = field(default=(), validator=[each(_plugin_name), distinct])
    """Whose comparisons and figures the report shows; `colfw reproduce` and `colfw ablate` set it."""
    output: Output = field(factory=Output)

    @property
    def threshold_grid(self) -> tuple[float, ...]:
        """The thresholds at which a profile counts elements."""
        return tuple(sorted({*self.thresholds, *self.profile.grid}))


# --- reading --------------------------------------------------------------------------------------


def read_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The study in a TOML file, after overrides of the form `key.path=value`; or every problem with it."""
    return study_from(_parsed(_text_of(path), str(path)), where=str(path), overrides=overrides)


def study_from(data: Mapping[str, Any], *, where: str, overrides: Sequence[str] = ()) -> Study:
    """The study that plain data describes; `where` names the data in errors."""
    changed = copy.deepcopy(dict(data))
    applied = _apply_all(overrides, changed)
    try:
        return structured(Study, changed)
    except Refusal as refusal:
        raise StudyError.of([_line(problem, where, applied) for problem in refusal.problems]) from refusal


def _apply_all(overrides: Sequence[str], data: dict[str, Any]) -> list[Override]:
    applied: list[Override] = []
    problems: list[str] = []
    for text in overrides:
        try:
            override = parse_override(text)
            apply(override, data)
            applied.append(override)
        except InvariantError as error:
            problems.append(str(error))
    if problems:
        raise StudyError.of(problems)
    return applied


def _line(problem: Problem, where: str, overrides: Sequence[Override]) -> str:
    """The problem, blamed on whoever wrote what it is about."""
    writer = last_writer(overrides, problem.path)
    if writer is None:
        return problem.line(where)
    if problem.path == writer.path:
        return Problem((), problem.problem, problem.hint).line(writer.where)
    return problem.line(writer.where)


def _text_of(path: Path) -> str:
    if path.is_dir():
        raise StudyError("is a folder, not a study", where=str(path), hint="name the TOML file in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise StudyError("no such file", where=str(path)) from error
    except OSError as error:
        raise StudyError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return _decoded(content, str(path))


def _decoded(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")  # some editors begin files with a byte order mark
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StudyError(
            f"line {line}: is no UTF-8 text", where=where, hint="save the file with UTF-8 encoding"
        ) from error


_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        problem, place = _located(str(error), text)
        raise StudyError(problem, where=f"{where}: {place}" if place else where) from error
    except RecursionError as error:
        raise StudyError("lists or tables are nested too deeply", where=where) from error


def _located(message: str, text: str) -> tuple[str, str | None]:
    """What is wrong with TOML, and at which line and column."""
    place = _PLACE.search(message)
    if place is None:
        return message, None
    lines = text.split("\n")
    line, column = place["line"] or len(lines), place["column"] or len(lines[-1]) + 1
    return message[: place.start()], f"line {line}, column {column}"


# --- writing --------------------------------------------------------------------------------------


def study_data(study: Study) -> dict[str, Any]:
    """The study as plain data, every default spelled out."""
    return unstructure(study)


def study_toml(study: Study) -> str:
    """The study as TOML that people read: choices without options as bare names, a table a machine."""
    import tomli_w  # noqa: PLC0415  (only writing needs it)

    written = _readable(study_data(study))
    tables = {key: value for key, value in written.items() if _is_tables(value)}
    plain = {key: value for key, value in written.items() if key not in tables}
    sections = [tomli_w.dumps(plain)] if plain else []
    for key, value in tables.items():
        if isinstance(value, list):
            # tomli_w would squeeze short entries into one line each.
            sections += [
                f"[[{key}]]" + tomli_w.dumps({key: entry}).removeprefix(f"[{key}]") for entry in value
            ]
        else:
            sections.append(tomli_w.dumps({key: value}))
    return _SHORT_ARRAY.sub(_side_by_side, "\n".join(sections))


_SCALAR = r'(?:"(?:[^"\\]|\\.)*"|[-+.0-9a-z]+)'
_SHORT_ARRAY = re.compile(rf"\[\n(?: {{4}}{_SCALAR},\n)+\]")
"""An array as tomli_w writes it, an entry a line. Its texts hold no line break, so none is mistaken."""
_LINE_LENGTH: Final = 100


def _side_by_side(array: re.Match[str]) -> str:
    entries = [line.strip().removesuffix(",") for line in array[0].split("\n")[1:-1]]
    on_one_line = "[" + ", ".join(entries) + "]"
    return on_one_line if len(on_one_line) <= _LINE_LENGTH else array[0]


def _is_tables(value: Any) -> bool:
    is_list = isinstance(value, list) and any(isinstance(entry, dict) for entry in value)
    return is_list or isinstance(value, dict)


def _readable(data: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = _without_nothing(data)
    for key in ("workloads", "metrics"):
        entries = [_bare(entry) for entry in said[key]]
        # An array of tables has no place for bare names: all of them, or none.
        said[key] = entries if all(isinstance(entry, str) for entry in entries) else said[key]
    for machine in said["machines"]:
        machine.update({part: _bare(machine[part]) for part in ("accelerator", "memory")})
    return said


def _bare(choice: dict[str, Any]) -> dict[str, Any] | str:
    return str(choice["name"]) if choice.keys() == {"name"} else choice


def _without_nothing(value: Any) -> Any:
    """Without what TOML cannot say (null) and what says nothing (an empty table).

    Options stay whole but for null, which is what an option is that nobody gave.
    """
    if isinstance(value, list):
        return [_without_nothing(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_null(entry) if key == "options" else _without_nothing(entry)
        for key, entry in value.items()
        if entry is not None and entry != {}
    }


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(entry) for key, entry in value.items() if entry is not None}
    return value
