"""`colfw dram`: a DRAM by itself: replay a trace, look at what a memory is made of, latency against load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number

from colfw import overrides
from colfw.cli import dram_tables
from colfw.cli.common import PluginOptions, say, say_json
from colfw.errors import ColfwError, InvariantError, PluginError, StudyError
from colfw.plugins import Registered, guarded
from colfw.vocabulary import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from colfw.dram.counts import ChannelCounts
    from colfw.dram.device import Device
    from colfw.dram.energy import Energy
    from colfw.dram.latency_curve import LatencyCurve
    from colfw.dram.requests import Dram, Replay, Trace

Json = Annotated[bool, Parameter(negative="", help="Print JSON instead of tables.")]


# --- which memory, with which options -------------------------------------------------------------


@Parameter(name="*")
@frozen(kw_only=True)
class MemoryOptions:
    """What is changed in a memory; what is not given stays as the memory has it."""

    channels: int | None = None
    """How many channels."""
    scheduler: str | None = None
    """Order of service, such as fr-fcfs or fr-fcfs-row-hit."""
    refresh: str | None = None
    """Such as all-bank or none."""
    mapping: str | None = None
    """From addresses to channels, banks, rows and columns, such as RoBaRaCoCh."""
    ports: str | None = None
    """How channels share the front end: shared or per-channel."""
    settings: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = ()
    """A timing in clocks, such as nCL=24, or another option of the memory; may be repeated."""

    def given(self, known: Collection[str | int]) -> dict[str, Any]:
        """Only what was given, as options of a memory that knows options of these names."""
        named = attrs.asdict(self, filter=attrs.filters.exclude("settings"))
        options = {name: value for name, value in named.items() if value is not None}
        for text in self.settings:
            override = overrides.parse_override(text)
            if override.path[0] not in known and "timing" in known:
                override = attrs.evolve(override, path=("timing", *override.path))
            overrides.apply(override, options)
        return options


def make(registered: Registered, changes: MemoryOptions | None) -> Any:
    """The memory with the options that were given; one that it lacks is refused."""
    from colfw.binding import Choice  # noqa: PLC0415  (numpy)

    config_class = registered.config_class()
    known = [] if config_class is None else [str(a.alias) for a in attrs.fields(config_class)]
    options = (changes or MemoryOptions()).given(known)
    if options and config_class is None:
        raise StudyError(
            f"takes no options, but {', '.join(sorted(options))} was given", where=str(registered)
        )
    return Choice(name=registered.name, registered=registered, options=options).make()


@frozen
class PluggedDram:
    """A plugin's DRAM: whatever it raises at work carries its owner's name."""

    registered: Registered
    dram: Dram

    @property
    def device(self) -> Device:
        with guarded(str(self.registered), "while it was asked for its device"):
            return self.dram.device

    @property
    def channels(self) -> int:
        with guarded(str(self.registered), "while it was asked for its channels"):
            return self.dram.channels

    def replay(self, trace: Trace, **how: Any) -> Replay:
        with guarded(str(self.registered), f"while it replayed {trace.name}"):
            return self.dram.replay(trace, **how)

    def energy(self, counts: ChannelCounts) -> Energy | None:
        """What the memory says these counts cost; None from one that has no method `energy`."""
        cost: Callable[[ChannelCounts], Energy | None] | None = getattr(self.dram, "energy", None)
        with guarded(str(self.registered), "while it worked out energy"):
            return None if cost is None else cost(counts)


def make_dram(registered: Registered, changes: MemoryOptions | None) -> PluggedDram:
    """The memory as a DRAM, or a refusal of one that is none."""
    memory = make(registered, changes)
    if not is_dram(memory):
        raise PluginError(
            "is no DRAM: it replays no traces", where=str(registered), hint="see `colfw dram specs`"
        )
    return PluggedDram(registered, memory)


def is_dram(memory: object) -> bool:
    # Of the class where it can be: a property that fails is still there.
    return all(hasattr(type(memory), name) or hasattr(memory, name) for name in _DRAM)


_DRAM = ("device", "channels", "replay")


def _find(name: str, plugins: PluginOptions | None) -> Registered:
    return (plugins or PluginOptions()).load().find(Kind.MEMORY, name)


def _about(registered: Registered) -> dict[str, Any]:
    return {
        "memory": registered.name,
        "owner": str(registered.owner),
        "validated": getattr(registered.record, "validated", None),
    }


# --- run ------------------------------------------------------------------------------------------


@Parameter(name="*")
@frozen(kw_only=True)
class ReplayOptions:
    """How a trace is replayed, and what is kept of it."""

    drain: Annotated[bool, Parameter(negative="")] = False
    """Go on after the last request until all are served."""
    commands: Path | None = None
    """Write every command that was issued to this CSV file."""


def run(
    trace: Path,
    *,
    spec: str,
    changes: MemoryOptions | None = None,
    options: ReplayOptions | None = None,
    json: Json = False,
    plugins: PluginOptions | None = None,
) -> None:
    """Replay a trace, one request a clock, and say what the DRAM did, a channel at a time and in total.

    Parameters
    ----------
    trace
        Lines such as LD 0x1F40 or ST 8000, the same gzipped, or npz with is_write and address.
    spec
        The memory; `colfw dram specs` lists them.
    """
    options = options or ReplayOptions()
    registered = _find(spec, plugins)
    dram = make_dram(registered, changes)
    answer = {**_about(registered), **_replayed(dram, trace, options)}
    if json:
        say_json(answer)
    else:
        dram_tables.print_replay(answer)


def _replayed(dram: PluggedDram, path: Path, options: ReplayOptions) -> dict[str, Any]:
    from colfw.dram import summary  # noqa: PLC0415
    from colfw.dram.traces import check_addresses, read_trace, write_commands  # noqa: PLC0415  (numpy)

    trace = read_trace(path)
    check_addresses(trace, dram.device.channel_bytes * dram.channels)
    replay = dram.replay(trace, log_commands=options.commands is not None, drain=options.drain)
    if options.commands is not None:
        if replay.commands is None:
            raise PluginError("logs no commands", where=str(dram.registered), hint="leave out --commands")
        write_commands(replay.commands, options.commands)
    return {
        "trace": str(path),
        "requests": len(trace),
        "drain": options.drain,
        "clock_ps": dram.device.clock_ps,
        "peak_gb_per_s": summary.peak_gb_per_s(dram),
        **summary.of_replay(replay, dram, energy=dram.energy),
        "commands_file": None if options.commands is None else str(options.commands),
    }


# --- specs ----------------------------------------------------------------------------------------


def specs(*, json: Json = False, plugins: PluginOptions | None = None) -> None:
    """List the memories that are plugged in, what each was validated against, and the size of the DRAMs."""
    registry = (plugins or PluginOptions()).load()
    entries = [_entry(registered) for registered in registry.all(Kind.MEMORY)]
    if json:
        say_json(entries)
    elif entries:
        dram_tables.print_specs(entries)
    else:
        say("No memory is installed.")


def _entry(registered: Registered) -> dict[str, Any]:
    """What `specs` says of a memory; one that cannot be made as it is still has its line."""
    from colfw.dram import summary  # noqa: PLC0415

    entry = {**_about(registered), "summary": registered.record.summary, "dram": None, "problem": None}
    try:
        memory = make(registered, None)
        if is_dram(memory):
            entry["dram"] = summary.of_memory(PluggedDram(registered, memory))
    except ColfwError as error:
        entry["problem"] = " ".join(str(error).split())
    return entry


# --- show -----------------------------------------------------------------------------------------


def show(
    name: str,
    *,
    changes: MemoryOptions | None = None,
    json: Json = False,
    plugins: PluginOptions | None = None,
) -> None:
    """Show a DRAM with all its numbers: organisation, timing in clocks and ns, constraints, peak, capacity.

    Parameters
    ----------
    name
        The memory; `colfw dram specs` lists them.
    """
    from colfw.dram import summary  # noqa: PLC0415

    registered = _find(name, plugins)
    dram = make_dram(registered, changes)
    answer = {**_about(registered), **summary.of_memory(dram), **summary.of_device(dram.device)}
    if json:
        say_json(answer)
    else:
        dram_tables.print_device(answer, dram.device)


# --- latency-curve --------------------------------------------------------------------------------


@Parameter(name="*")
@frozen(kw_only=True)
class LoadOptions:
    """Which requests are made up, and at how many loads they are offered."""

    pattern: Literal["sequential", "random"] = "sequential"
    """One burst after the other, or bursts from anywhere; default: sequential."""
    read_share: Annotated[float, Parameter(validator=Number(gt=0, lte=1))] = 1.0
    """Share of reads among the requests; default: 1.0."""
    points: Annotated[int, Parameter(validator=Number(gte=1))] = 16
    """How many loads, evenly up to the peak of all channels; default: 16."""
    requests: Annotated[int, Parameter(validator=Number(gte=1))] = 20_000
    """How many requests at each load; default: 20000."""
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0
    """What the requests are drawn from; default: 0."""


def latency_curve(
    name: str,
    *,
    changes: MemoryOptions | None = None,
    load: LoadOptions | None = None,
    out: Path | None = None,
    json: Json = False,
    plugins: PluginOptions | None = None,
) -> None:
    """Replay made-up requests at rising loads and say what reads wait: a table, and a figure with --out.

    Parameters
    ----------
    name
        The memory; `colfw dram specs` lists them.
    out
        Write the figure to this file (.svg), or its points (.csv).
    """
    if out is not None and out.suffix not in (".svg", ".csv"):
        raise InvariantError("the figure is .svg, its points are .csv", where=f"--out {out}")
    registered = _find(name, plugins)
    curve = _curve(make_dram(registered, changes), load or LoadOptions())
    if out is not None:
        _write_figure(curve, out)
    if json:
        say_json({**_about(registered), **curve.plain})
    else:
        dram_tables.print_curve(curve)
        if out is not None:
            say(f"written: {out}")


def _curve(dram: PluggedDram, load: LoadOptions) -> LatencyCurve:
    from colfw.dram.latency_curve import Stream, latency_curve  # noqa: PLC0415  (numpy)

    stream = Stream(pattern=load.pattern, read_share=load.read_share, requests=load.requests, seed=load.seed)
    return latency_curve(dram, dram.registered.name, stream, load.points)


def _write_figure(curve: LatencyCurve, out: Path) -> None:
    from colfw.dram.latency_figure import svg  # noqa: PLC0415
    from colfw.store.atomic import write_text  # noqa: PLC0415

    write_text(out, svg(curve) if out.suffix == ".svg" else curve.csv)
