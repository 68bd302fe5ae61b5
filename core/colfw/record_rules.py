"""The rules that a plugin's records must obey, checked when they are registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from colfw.lazy import is_reference
from colfw.names import is_name
from colfw.records import API_VERSION, OLDEST_API_VERSION, MemorySpec, MetricSpec, WorkloadSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colfw.records import Declaration


def problems_of(record: Any, expected: type[Declaration]) -> list[str]:
    """Everything wrong with what a hook yielded; an empty list if it may be registered."""
    if not isinstance(record, expected):
        return [f"yields {type(record).__name__} where {expected.__name__} is expected"]
    who = f"{record.kind} {record.name!r}"
    return [f"{who}: {problem}" for problem in _problems(record)]


def _problems(record: Any) -> Iterator[str]:
    yield from _api_problems(record.api_version)
    if not (isinstance(record.name, str) and is_name(record.name)):
        yield "name must be lower-case words joined by '-' or '.'"
    summary = record.summary
    if not (isinstance(summary, str) and summary.strip() and "\n" not in summary):
        yield "summary must be one line of text"
    yield from _reference_problems("factory", record.factory)
    if record.config is not None:
        yield from _reference_problems("config", record.config)
    if isinstance(record, MemorySpec) and record.standard is not None:
        yield from _reference_problems("standard", record.standard)
    yield from _preset_problems(record)
    if isinstance(record, WorkloadSpec):
        yield from _workload_problems(record)
    if isinstance(record, MetricSpec):
        yield from _metric_problems(record)


def _reference_problems(what: str, reference: Any) -> Iterator[str]:
    if not is_reference(reference):
        yield f"{what} {reference!r} is no lazy import of the form 'package.module:attribute'"


def _api_problems(version: Any) -> Iterator[str]:
    if not isinstance(version, int) or isinstance(version, bool):
        yield f"api_version must be a whole number, not {version!r}"
    elif version > API_VERSION:
        yield f"needs plugin API {version}, this colfw speaks {API_VERSION}: upgrade colfw"
    elif version < OLDEST_API_VERSION:
        yield (
            f"is written for plugin API {version}, this colfw needs {OLDEST_API_VERSION} or newer:"
            " upgrade the plugin"
        )


def _preset_problems(record: Any) -> Iterator[str]:
    if not isinstance(record.presets, Mapping):
        yield "presets must map a name to options"
        return
    if record.presets and record.config is None:
        yield "has presets but no config class to apply them to"
    for name, options in record.presets.items():
        if not (isinstance(name, str) and is_name(name) and isinstance(options, Mapping)):
            yield f"preset {name!r} must be a name with a table of options"


def _workload_problems(record: WorkloadSpec) -> Iterator[str]:
    if not record.sources:
        yield "needs at least one source of activations"
    if record.iterations < 1:
        yield "iterations must be at least 1"


def _metric_problems(record: MetricSpec) -> Iterator[str]:
    if not record.modalities:
        yield "needs at least one modality"
    if record.minimum_samples < 1:
        yield "minimum_samples must be at least 1"
