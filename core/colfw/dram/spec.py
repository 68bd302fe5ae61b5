"""A DRAM that one can simulate: a standard, an organisation, timings, and what is changed in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen, validators

from colfw.dram.device import Device, DeviceCommand
from colfw.dram.standard import CLOCK, at_least_one
from colfw.errors import InvariantError, StudyError
from colfw.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colfw.dram.standard import Currents, Organisation, Standard

_positive = validators.ge(1)

Overrides = tuple[tuple[str, int], ...]

WIDTH, ROWS, COLUMNS = "channel_width_bits", "rows", "columns"


def _overrides(changes: Mapping[str, int] | Iterable[tuple[str, int]]) -> Overrides:
    return tuple(changes.items() if isinstance(changes, Mapping) else changes)


@frozen(kw_only=True)
class DramSpec:
    """One DRAM by name. A spec that does not resolve cannot be made.

    `timing_overrides` change named timings (`tCK_ps` means the clock), `organisation_overrides` the
    counts of levels, `rows`, `columns` or `channel_width_bits`; an organisation that is overridden is no
    longer held to its density.
    """

    name: str
    standard: Standard
    organisation: str
    timing: str
    channel_width_bits: int = field(validator=_positive)
    """Devices stand side by side until their data pins fill it."""
    timing_overrides: Overrides = field(default=(), converter=_overrides)
    organisation_overrides: Overrides = field(default=(), converter=_overrides)
    channels: int = field(default=1, validator=_positive)
    """How many there are unless a study says otherwise."""
    mapping: str = "RoBaRaCoCh"
    """The address mapping unless a study says otherwise."""
    currents: Currents | None = None
    source: str = field(validator=validators.min_len(1))

    def __attrs_post_init__(self) -> None:
        _resolved(self, {}, {})

    @property
    def organisation_preset(self) -> Organisation:
        """The organisation as the standard has it."""
        return self.standard.organisation(self.organisation)


def resolve(
    spec: DramSpec,
    *,
    timing_overrides: Mapping[str, int] | None = None,
    organisation_overrides: Mapping[str, int] | None = None,
) -> Device:
    """The device that a spec describes, with what a study or the command line changes in it."""
    try:
        return _resolved(spec, timing_overrides or {}, organisation_overrides or {})
    except InvariantError as error:
        # Without overrides the spec resolves, or it would not be there: what is wrong is what was asked.
        raise StudyError(error.problem, where=error.where, hint=error.hint) from error


def _resolved(spec: DramSpec, timing: Mapping[str, int], organisation: Mapping[str, int]) -> Device:
    standard = spec.standard
    shape = _shape(spec, organisation)
    clocks = clocks_of(spec, timing)
    clock_ps = clocks.pop(CLOCK)

    def latency(text: str) -> int:
        return at_least_one(text, clocks, spec.name)

    above = standard.levels[: standard.levels.index(standard.data_bus_level or standard.levels[0]) + 1]
    return Device(
        name=spec.name,
        levels=tuple((level, shape[level]) for level in standard.levels),
        data_buses=math.prod(shape[level] for level in above),
        rows=shape[ROWS],
        columns=shape[COLUMNS],
        channel_width_bits=shape[WIDTH],
        prefetch=standard.prefetch,
        clock_ps=clock_ps,
        burst_clocks=latency(standard.burst_clocks),
        read_latency_clocks=latency(standard.read_latency),
        write_latency_clocks=latency(standard.write_latency),
        refresh_interval_clocks=latency(standard.refresh_interval),
        commands=tuple(
            DeviceCommand(name=command.name, role=command.role, scope=command.scope, bus=command.bus)
            for command in standard.commands
        ),
        constraints=standard.constraints(clocks),
        timings=tuple(clocks.items()),
    )


def clocks_of(spec: DramSpec, overrides: Mapping[str, int] | None = None) -> dict[str, int]:
    """All timings of a spec in clocks, and under `CLOCK` the clock in picoseconds."""
    preset = spec.standard.preset(spec.timing)
    values = {CLOCK: preset.clock_ps, **dict(preset.clocks)}
    for changes in (dict(spec.timing_overrides), overrides or {}):
        values = _changed(values, changes, f"{spec.name}: timing")
    if values[CLOCK] < 1:
        raise InvariantError(f"{CLOCK} must be at least 1", where=f"{spec.name}: timing")
    return values


def _shape(spec: DramSpec, overrides: Mapping[str, int]) -> dict[str, int]:
    """Counts of all levels but the channel, rows, columns and width."""
    preset = spec.organisation_preset
    top, *below = spec.standard.levels
    values = {level: preset.count(level) for level in below}
    values |= {ROWS: preset.rows, COLUMNS: preset.columns, WIDTH: spec.channel_width_bits}
    for changes in (dict(spec.organisation_overrides), overrides):
        values = _changed(values, changes, f"{spec.name}: organisation")
    where = f"{spec.name}: organisation"
    for name, value in values.items():
        if value < 1:
            raise InvariantError(f"{name} must be at least 1, not {value}", where=where)
    _check_multiple(values[WIDTH], preset.dq_bits, f"{WIDTH} {values[WIDTH]}", "data pins of a device", where)
    prefetch = spec.standard.prefetch
    _check_multiple(values[COLUMNS], prefetch, f"{COLUMNS} {values[COLUMNS]}", "words of a burst", where)
    return {top: 1, **values}


def _check_multiple(value: int, unit: int, what: str, whole: str, where: str) -> None:
    if value % unit:
        raise InvariantError(f"{what} is no multiple of the {unit} {whole}", where=where)


def _changed(values: dict[str, int], changes: Mapping[str, Any], where: str) -> dict[str, int]:
    for name, value in changes.items():
        if name not in values:
            raise InvariantError(f"unknown name {name!r}", where=where, hint=did_you_mean(name, values))
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvariantError(f"{name} must be a whole number, not {value!r}", where=where)
    return {**values, **changes}
