"""Who is plugged in: discovery, ownership, conflicts, failures.

Every plugin comes through an entry point in the group `colfw`, built-in or not. Each is loaded under
its own guard: what is blocked is not imported, what fails is rolled back whole and kept as a failure,
and the rest goes on. Nothing is silent: `Registry.notices` has a line for everything that went wrong.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy
from attrs import evolve, field, frozen

from colfw import hookspecs, lazy
from colfw.errors import ColfwError, PluginError, UnavailableError
from colfw.names import did_you_mean, nearest
from colfw.record_rules import problems_of
from colfw.records import KINDS, Declaration, MemorySpec
from colfw.vocabulary import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

GROUP = "colfw"
BUILT_IN = "colfw"
"""The distribution whose plugins are built in: their names cannot be taken by others."""
ENVIRONMENT_VARIABLE = "COLFW_PLUGINS"

HOOK_OF_KIND: Mapping[Kind, str] = {
    Kind.WORKLOAD: "colfw_workloads",
    Kind.LAYOUT: "colfw_layouts",
    Kind.ACCELERATOR: "colfw_accelerators",
    Kind.MEMORY: "colfw_memories",
    Kind.METRIC: "colfw_metrics",
    Kind.OBSERVER: "colfw_observers",
    Kind.LISTENER: "colfw_listeners",
    Kind.SECTION: "colfw_report_sections",
    Kind.EXPERIMENT: "colfw_experiments",
}


# --- who owns what --------------------------------------------------------------------------------


@frozen
class Owner:
    """The distribution that brings a plugin, and the entry point it came through."""

    distribution: str
    version: str
    entry_point: str
    target: str = ""
    """What the entry point names: `package.module` or `package.module:attribute`."""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def identity(self) -> str:
        return f"{self.distribution}:{self.entry_point}"

    def answers_to(self, names: Iterable[str]) -> bool:
        """Whether one of `names` is its distribution, its entry point, or both joined by a colon."""
        wanted = {_normalised(name) for name in names}
        mine = (self.distribution, self.entry_point, self.identity)
        return any(_normalised(name) in wanted for name in mine)

    @property
    def fingerprint(self) -> str:
        """A hash of the plugin's version and files: results made by other code are never reused."""
        return _fingerprint(self)


def _normalised(name: str) -> str:
    return name.strip().lower().replace("_", "-")


@cache
def _fingerprint(owner: Owner) -> str:
    content = hashlib.sha256(f"{owner.distribution}\0{owner.version}\0".encode())
    for path in _source_files(owner.target.partition(":")[0].partition(".")[0]):
        content.update(f"{path.name}\0".encode())
        content.update(path.read_bytes())
    return content.hexdigest()


def _source_files(package: str) -> list[Path]:
    spec = util.find_spec(package) if package else None
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []
    files = (
        path
        for folder in spec.submodule_search_locations
        for path in Path(folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    return sorted(files)


@frozen
class Registered:
    """A record and its owner."""

    record: Declaration
    owner: Owner

    @property
    def kind(self) -> Kind:
        return self.record.kind

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def qualified_name(self) -> str:
        return f"{self.owner.distribution}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.owner}"

    def config_class(self) -> type | None:
        """The class of its options; importing it must be cheap, for a study is checked with it."""
        if self.record.config is None:
            return None
        with guarded(str(self), "while its config class was imported"):
            found = lazy.load(self.record.config)
        if not (isinstance(found, type) and hasattr(found, "__attrs_attrs__")):
            raise PluginError(f"{self.record.config} is no attrs class", where=str(self))
        return found

    def dram_spec(self) -> Any | None:
        """The DRAM that a memory is to simulate, a `DramSpec`; None for every other record."""
        if not isinstance(self.record, MemorySpec) or self.record.standard is None:
            return None
        with guarded(str(self), "while its standard was imported"):
            return lazy.load(self.record.standard)

    def make(self, config: object | None) -> Any:
        """The object that does the work."""
        spec = self.dram_spec()
        with guarded(str(self), "while it was made"):
            factory = lazy.load(self.record.factory)
            if spec is not None:
                return factory(spec, config)
            return factory() if config is None else factory(config)


@contextmanager
def guarded(who: str, when: str) -> Iterator[None]:
    """Wrap whatever a plugin raises, once, with its owner's name."""
    try:
        yield
    except (PluginCrashError, UnavailableError):
        raise
    except ColfwError as error:
        problem = f"{error.where}: {error.problem}" if error.where else error.problem
        raise PluginCrashError(f"{problem} ({when})", where=who, hint=error.hint) from error
    except (Exception, SystemExit) as error:
        raise PluginCrashError(f"{_one_line(error)} ({when})", where=who) from error


class PluginCrashError(PluginError):
    """A plugin raised while it was at work; the cause hangs on to it."""


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# --- what became of each plugin -------------------------------------------------------------------


class State(StrEnum):
    """What became of an installed plugin."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    FAILED = "failed"


@frozen(kw_only=True)
class Plugin:
    """One entry point: who owns it, what became of it, and why."""

    owner: Owner
    state: State
    reason: str = ""
    records: tuple[Declaration, ...] = ()


@frozen(kw_only=True)
class PluginPolicy:
    """Which plugins may be imported: all but the blocked, or only the allowed."""

    allowed: frozenset[str] | None = None
    blocked: frozenset[str] = frozenset()

    @classmethod
    def from_environment(
        cls, blocked: Iterable[str] = (), environment: Mapping[str, str] | None = None
    ) -> PluginPolicy:
        """`COLFW_PLUGINS=none` allows no plugin, `COLFW_PLUGINS=a,b` only those; else all are allowed."""
        wanted = (os.environ if environment is None else environment).get(ENVIRONMENT_VARIABLE)
        names = frozenset(name.strip() for name in (wanted or "").split(",") if name.strip())
        if not names:
            return cls(blocked=frozenset(blocked))
        return cls(allowed=names - {"none"}, blocked=frozenset(blocked))

    def reason_to_block(self, owner: Owner) -> str | None:
        if owner.answers_to(self.blocked):
            return "blocked by --no-plugin"
        if self.allowed is not None and not owner.answers_to(self.allowed):
            return f"not among {ENVIRONMENT_VARIABLE}"
        return None


@frozen
class Conflict:
    """One name declared by several distributions: it means none of them until somebody chooses."""

    kind: Kind
    name: str
    claims: tuple[Registered, ...]

    @property
    def built_in(self) -> Registered | None:
        """The claim of colfw itself, whose names cannot be taken."""
        ours = [claim for claim in self.claims if claim.owner.distribution == BUILT_IN]
        return ours[0] if ours else None

    def __str__(self) -> str:
        owners = " and ".join(str(claim.owner) for claim in self.claims)
        return f"{self.kind} {self.name!r} is declared by {owners}"

    @property
    def ways_out(self) -> str:
        names = " or ".join(repr(claim.qualified_name) for claim in self.claims)
        return f"write {names}, or leave one out with --no-plugin"


@frozen(kw_only=True)
class Registry:
    """Everything that is plugged in, and everything that was not and why."""

    plugins: tuple[Plugin, ...]
    policy: PluginPolicy = field(factory=PluginPolicy)

    def all(self, kind: Kind | None = None) -> tuple[Registered, ...]:
        """All active records of a kind (or of every kind), in order of kind and name."""
        found = [
            Registered(record, plugin.owner)
            for plugin in self.plugins
            for record in plugin.records
            if kind is None or record.kind is kind
        ]
        order = list(Kind)
        return tuple(sorted(found, key=lambda r: (order.index(r.kind), r.name, r.owner.identity)))

    @property
    def failures(self) -> tuple[Plugin, ...]:
        return tuple(plugin for plugin in self.plugins if plugin.state is State.FAILED)

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        claims: dict[tuple[Kind, str], list[Registered]] = {}
        for registered in self.all():
            claims.setdefault((registered.kind, registered.name), []).append(registered)
        return tuple(
            Conflict(kind, name, tuple(claimants))
            for (kind, name), claimants in claims.items()
            if len(claimants) > 1
        )

    def find(self, kind: Kind, name: str) -> Registered:
        """The record that `name` means: `NAME`, or `DISTRIBUTION/NAME` where a name is contested."""
        matches = [r for r in self.all(kind) if name in (r.name, r.qualified_name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            conflict = Conflict(kind, name, tuple(matches))
            if conflict.built_in is not None:
                return conflict.built_in
            raise PluginError(str(conflict), hint=conflict.ways_out)
        raise PluginError(f"unknown {kind} {name!r}", hint=self._hint_for(kind, name))

    def _hint_for(self, kind: Kind, name: str) -> str:
        hint = did_you_mean(name, {registered.name for registered in self.all(kind)})
        absent = [p for p in self.plugins if p.state is not State.ACTIVE]
        if absent:
            listed = "; ".join(f"{p.owner} ({p.reason})" for p in absent)
            hint = f"{hint}; it may belong to a plugin that is not loaded: {listed}"
        return hint

    @property
    def notices(self) -> tuple[str, ...]:
        """A line for everything that is not as it should be, for stderr."""
        lines = [f"plugin {plugin.owner} is not loaded: {plugin.reason}" for plugin in self.failures]
        lines += [f"{conflict}; {conflict.ways_out}" for conflict in self.conflicts]
        return (*lines, *self._unmatched_names())

    def _unmatched_names(self) -> Iterator[str]:
        """Names that were to be blocked or allowed and that no installed plugin answers to."""
        known = {name for p in self.plugins for name in (p.owner.distribution, p.owner.entry_point)}
        for name in sorted(self.policy.blocked | (self.policy.allowed or frozenset())):
            if not any(plugin.owner.answers_to([name]) for plugin in self.plugins):
                close = nearest(name, known)
                advice = f" (did you mean {close!r}?)" if close else ""
                yield f"no installed plugin is named {name!r}{advice}"

    def check_strictly(self) -> None:
        """Raise if anything is not as it should be: `--strict-plugins`."""
        if self.notices:
            raise PluginError("\n".join(self.notices), hint="--strict-plugins")


# --- loading --------------------------------------------------------------------------------------


@frozen
class Candidate:
    """Something that may become a plugin: its owner, and how to get at the object with the hooks."""

    owner: Owner
    load: Any

    @classmethod
    def from_entry_point(cls, entry_point: metadata.EntryPoint, distribution: str, version: str) -> Candidate:
        owner = Owner(distribution, version, entry_point.name, entry_point.value)
        return cls(owner, entry_point.load)


def installed_candidates() -> list[Candidate]:
    """Every entry point in the group, colfw's own first, then by name: the order decides nothing else."""
    names: dict[int, tuple[str, str]] = {}
    found = [
        Candidate.from_entry_point(entry_point, *_name_and_version(entry_point.dist, names))
        for entry_point in metadata.entry_points(group=GROUP)
    ]
    return sorted(found, key=lambda c: (c.owner.distribution != BUILT_IN, c.owner.identity))


def _name_and_version(
    distribution: metadata.Distribution | None, known: dict[int, tuple[str, str]]
) -> tuple[str, str]:
    """Asking a distribution for its name parses all of its metadata, README included: once is enough."""
    if distribution is None:
        return "unknown", "unknown"
    if id(distribution) not in known:
        about = distribution.metadata
        known[id(distribution)] = str(about["Name"]), str(about["Version"])
    return known[id(distribution)]


def load_plugins(
    policy: PluginPolicy | None = None, candidates: Sequence[Candidate] | None = None
) -> Registry:
    """Load what the policy allows. One bad plugin never stops another, and is never silent."""
    policy = policy or PluginPolicy.from_environment()
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    chosen = installed_candidates() if candidates is None else candidates
    plugins = tuple(_load(manager, candidate, policy) for candidate in chosen)
    return Registry(plugins=plugins, policy=policy)


def _load(manager: pluggy.PluginManager, candidate: Candidate, policy: PluginPolicy) -> Plugin:
    plugin = Plugin(owner=candidate.owner, state=State.BLOCKED)
    reason = policy.reason_to_block(candidate.owner)
    if reason is not None:
        return evolve(plugin, reason=reason)
    try:
        records = _register(manager, candidate)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a stranger's import may raise anything)
        manager.unregister(name=candidate.owner.identity)
        reason = error.problem if isinstance(error, PluginError) else _one_line(error)
        return evolve(plugin, state=State.FAILED, reason=reason)
    return evolve(plugin, state=State.ACTIVE, records=records)


def _register(manager: pluggy.PluginManager, candidate: Candidate) -> tuple[Declaration, ...]:
    """All records of a plugin, or an exception: there is no half registration."""
    hooks = candidate.load()
    manager.register(hooks, name=candidate.owner.identity)
    _refuse_unknown_hooks(manager, hooks)
    records: list[Declaration] = []
    for kind, hook in HOOK_OF_KIND.items():
        records += _records_of(manager, hooks, kind, hook)
    return tuple(records)


def _refuse_unknown_hooks(manager: pluggy.PluginManager, hooks: object) -> None:
    for caller in manager.get_hookcallers(hooks) or ():
        if not caller.has_spec():
            advice = did_you_mean(caller.name, HOOK_OF_KIND.values())
            raise PluginError(f"implements an unknown hook {caller.name!r} ({advice})")


def _records_of(manager: pluggy.PluginManager, hooks: object, kind: Kind, hook: str) -> list[Declaration]:
    records: list[Declaration] = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.plugin is hooks:
            returned = implementation.function()
            records += _valid(returned, kind, hook)
    return records


def _valid(returned: Any, kind: Kind, hook: str) -> list[Declaration]:
    if returned is None or isinstance(returned, (str, Declaration)) or not hasattr(returned, "__iter__"):
        raise PluginError(f"{hook} must yield records, not return {type(returned).__name__}")
    records = list(returned)
    problems = [problem for record in records for problem in problems_of(record, KINDS[kind])]
    names = [record.name for record in records if isinstance(record, Declaration)]
    problems += [f"{kind} {name!r} is declared twice" for name in sorted(set(names)) if names.count(name) > 1]
    if problems:
        raise PluginError(f"{hook}: " + "; ".join(problems))
    return records
