"""Who is plugged in: one bad plugin never stops another, and is never silent."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from itertools import permutations
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from colfw import hookimpl
from colfw.errors import InvariantError, PluginError
from colfw.plugins import (
    Candidate,
    Owner,
    PluginCrashError,
    PluginPolicy,
    State,
    load_plugins,
)
from colfw.records import LayoutSpec, MemorySpec
from colfw.testing.distributions import install as install_distribution
from colfw.vocabulary import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from colfw.plugins import (
        Plugin,
        Registry,
    )


def layout_plugin(name: str, *, api_version: int = 1, more: str = "") -> str:
    """The source of a plugin that declares one layout, and whatever `more` says after it."""
    return dedent(
        f"""
        from colfw import hookimpl
        from colfw.records import LayoutSpec, MemorySpec

        def spec(name, **changes):
            return LayoutSpec(**{{
                "name": name, "summary": "A layout", "api_version": {api_version},
                "factory": "math:pi", "masks": ("dense",), **changes,
            }})

        @hookimpl
        def colfw_layouts():
            yield spec({name!r})
        """
    ) + dedent(more)


BAD: dict[str, tuple[str, str]] = {
    "fake-import-error": ("import no_such_module_anywhere", "ModuleNotFoundError: No module named"),
    "fake-exits": ("raise SystemExit('bye')", "SystemExit: bye"),
    "fake-signature": (
        """
        from colfw import hookimpl

        @hookimpl
        def colfw_layouts(registry):
            return []
        """,
        "registry",
    ),
    "fake-typo": (
        """
        from colfw import hookimpl

        @hookimpl
        def colfw_layout():
            return []
        """,
        "unknown hook 'colfw_layout' (did you mean 'colfw_layouts'?)",
    ),
    "fake-newer": (
        layout_plugin("newer", api_version=99),
        "layout 'newer': needs plugin API 99, this colfw speaks 1: upgrade colfw",
    ),
    "fake-older": (
        layout_plugin("older", api_version=0),
        "layout 'older': is written for plugin API 0, this colfw needs 1 or newer: upgrade the plugin",
    ),
    "fake-twice": (
        layout_plugin(
            "twice",
            more="""
            @hookimpl(specname="colfw_layouts")
            def again():
                yield spec("once")
                yield spec("once")
            """,
        ),
        "layout 'once' is declared twice",
    ),
    "fake-none": (
        """
        from colfw import hookimpl

        @hookimpl
        def colfw_layouts():
            pass
        """,
        "colfw_layouts must yield records, not return NoneType",
    ),
    "fake-wrong-record": (
        layout_plugin(
            "fine",
            more="""
            @hookimpl
            def colfw_metrics():
                yield spec("a-layout")
            """,
        ),
        "colfw_metrics: yields LayoutSpec where MetricSpec is expected",
    ),
    "fake-halfway": (
        layout_plugin(
            "first-half",
            more="""
            @hookimpl
            def colfw_report_sections():
                raise RuntimeError("half-way")
                yield
            """,
        ),
        "RuntimeError: half-way",
    ),
    "fake-bad-name": (layout_plugin("Not A Name"), "name must be lower-case words"),
    "fake-bad-factory": (
        layout_plugin(
            "fine", more="spec_before = spec\ndef spec(name): return spec_before(name, factory='x')"
        ),
        "factory 'x' is no lazy import",
    ),
    "fake-bad-mask": (
        layout_plugin(
            "fine", more="spec_before = spec\ndef spec(name): return spec_before(name, masks=['x'])"
        ),
        "'x' is not a valid MaskKind",
    ),
}
"""Distributions that must not be loaded, and what is said of them."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python looks for distributions in; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("fake_")]:
        del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Callable[..., str]:
    def put(name: str, source: str, **more: Any) -> str:
        return install_distribution(site, name, source, **more)

    return put


def fakes(registry: Registry) -> dict[str, Plugin]:
    return {p.owner.distribution: p for p in registry.plugins if p.owner.distribution.startswith("fake")}


# --- plugins that work, and plugins that do not ---------------------------------------------------


def test_a_good_plugin_is_found_through_its_installed_metadata(install: Callable[..., str]) -> None:
    """What an entry point in the group declares is registered, with its owner."""
    install("fake-good", layout_plugin("good"), version="2.5", entry_point="here")
    found = load_plugins(PluginPolicy()).find(Kind.LAYOUT, "good")
    assert found.record.name == "good"
    assert found.owner == Owner("fake-good", "2.5", "here", "fake_good")
    assert str(found) == "layout 'good' of fake-good 2.5"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_plugin_is_kept_as_a_failure_and_nothing_of_it_is_registered(
    name: str, install: Callable[..., str]
) -> None:
    """A failure keeps distribution, version, entry point and reason; half a registration is rolled back."""
    source, reason = BAD[name]
    module = install(name, source, version="0.9")
    registry = load_plugins(PluginPolicy())
    plugin = fakes(registry)[name]
    assert plugin.state is State.FAILED
    assert plugin.owner == Owner(name, "0.9", module, module)
    assert reason in plugin.reason
    assert plugin.records == ()
    assert not [found for found in registry.all() if found.owner.distribution == name]
    [notice] = [line for line in registry.notices if name in line]
    assert notice == f"plugin {name} 0.9 is not loaded: {plugin.reason}"


def test_one_bad_plugin_never_stops_another(install: Callable[..., str]) -> None:
    """With every bad plugin installed at once, the good one works, and each bad one has its notice."""
    for name, (source, _) in BAD.items():
        install(name, source)
    install("fake-good", layout_plugin("good"))
    registry = load_plugins(PluginPolicy())
    assert registry.find(Kind.LAYOUT, "good").owner.distribution == "fake-good"
    assert {plugin.owner.distribution for plugin in registry.failures} == set(BAD)
    assert len(registry.notices) == len(BAD)


def test_strictness_refuses_what_would_be_a_warning(install: Callable[..., str]) -> None:
    """`check_strictly` raises iff there is a notice, and says what the notice says."""
    install("fake-good", layout_plugin("good"))
    load_plugins(PluginPolicy()).check_strictly()
    install("fake-import-error", BAD["fake-import-error"][0])
    registry = load_plugins(PluginPolicy())
    with pytest.raises(PluginError, match=r"fake-import-error 1\.0 is not loaded"):
        registry.check_strictly()


def test_an_unknown_name_says_what_was_meant_and_whose_it_may_have_been(
    install: Callable[..., str],
) -> None:
    """The refusal names the nearest name and every plugin that is not loaded, with the reason."""
    install("fake-good", layout_plugin("row-major"))
    install("fake-exits", BAD["fake-exits"][0])
    registry = load_plugins(PluginPolicy())
    with pytest.raises(PluginError) as refusal:
        registry.find(Kind.LAYOUT, "row-mayor")
    assert str(refusal.value) == (
        "unknown layout 'row-mayor' (did you mean 'row-major'?; it may belong to a plugin that is not"
        " loaded: fake-exits 1.0 (SystemExit: bye))"
    )


# --- blocking -------------------------------------------------------------------------------------

TELLTALE = "import sys; sys.modules['fake_was_imported'] = sys"


@pytest.mark.parametrize("name", ["fake-blocked", "fake_blocked", "door", "fake-blocked:door"])
def test_a_blocked_plugin_is_not_even_imported(name: str, install: Callable[..., str]) -> None:
    """`--no-plugin` takes a distribution, an entry point, or both joined by a colon."""
    install("fake-blocked", TELLTALE, entry_point="door")
    registry = load_plugins(PluginPolicy.from_environment(blocked=[name], environment={}))
    assert "fake_was_imported" not in sys.modules
    plugin = fakes(registry)["fake-blocked"]
    assert (plugin.state, plugin.reason) == (State.BLOCKED, "blocked by --no-plugin")
    assert registry.notices == ()


@pytest.mark.parametrize(
    ("wanted", "loaded"),
    [
        ("none", set()),
        ("fake-one", {"fake-one"}),
        ("fake-one, fake-two", {"fake-one", "fake-two"}),
        ("", {"fake-one", "fake-two"}),
    ],
)
def test_the_environment_allows_all_some_or_none(
    wanted: str, loaded: set[str], install: Callable[..., str]
) -> None:
    """COLFW_PLUGINS=none imports no plugin, COLFW_PLUGINS=a,b only those, and unset or empty all."""
    install("fake-one", layout_plugin("one"))
    install("fake-two", layout_plugin("two"))
    policy = PluginPolicy.from_environment(environment={"COLFW_PLUGINS": wanted})
    registry = load_plugins(policy)
    assert {n for n, plugin in fakes(registry).items() if plugin.state is State.ACTIVE} == loaded
    assert {m for m in ("fake_one", "fake_two") if m in sys.modules} == {n.replace("-", "_") for n in loaded}
    assert not registry.failures


def test_blocking_what_is_not_there_is_said(install: Callable[..., str]) -> None:
    """A name to block or allow that no installed plugin answers to is a notice with the nearest name."""
    install("fake-blocked", layout_plugin("one"))
    registry = load_plugins(PluginPolicy(blocked=frozenset({"fake-blokced"})))
    assert registry.notices == ("no installed plugin is named 'fake-blokced' (did you mean 'fake-blocked'?)",)


# --- names that several declare -------------------------------------------------------------------


def candidate(distribution: str, *names: str, version: str = "1.0") -> Candidate:
    class Hooks:
        @hookimpl
        def colfw_layouts(self) -> Iterator[LayoutSpec]:
            for name in names:
                yield LayoutSpec(
                    name=name, summary=distribution, api_version=1, factory="math:pi", masks=("dense",)
                )

    return Candidate(Owner(distribution, version, "door"), Hooks)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_contested_name_means_nobody_until_somebody_chooses(order: tuple[int, ...]) -> None:
    """Both distributions and versions are named, the qualified names work, and no order decides."""
    all_three = [
        candidate("a-plugin", "same", version="1.1"),
        candidate("b-plugin", "same", version="2.2"),
        candidate("c-plugin", "other"),
    ]
    registry = load_plugins(PluginPolicy(), [all_three[i] for i in order])
    with pytest.raises(PluginError) as refusal:
        registry.find(Kind.LAYOUT, "same")
    assert "a-plugin 1.1" in str(refusal.value)
    assert "b-plugin 2.2" in str(refusal.value)
    assert "'a-plugin/same' or 'b-plugin/same', or leave one out with --no-plugin" in str(refusal.value)
    assert registry.find(Kind.LAYOUT, "b-plugin/same").owner.distribution == "b-plugin"
    assert registry.find(Kind.LAYOUT, "other").owner.distribution == "c-plugin"
    assert len(registry.notices) == 1


def test_built_in_names_cannot_be_taken() -> None:
    """A stranger who declares a built-in's name is shouted; the name stays, his needs the qualifier."""
    registry = load_plugins(
        PluginPolicy(), [candidate("stranger", "row-major"), candidate("colfw", "row-major")]
    )
    assert registry.find(Kind.LAYOUT, "row-major").owner.distribution == "colfw"
    assert registry.find(Kind.LAYOUT, "stranger/row-major").owner.distribution == "stranger"
    assert len(registry.notices) == 1


def test_the_same_name_in_two_kinds_is_no_conflict() -> None:
    """Names are contested within a kind only."""
    registry = load_plugins(PluginPolicy(), [candidate("a-plugin", "one"), candidate("b-plugin", "two")])
    assert registry.conflicts == ()


# --- a plugin at work -----------------------------------------------------------------------------


@frozen
class Options:
    """Options of a fake."""

    bytes_wide: int = 1


class Fails:
    """Cannot be made."""

    def __init__(self) -> None:
        raise ValueError("no luck")


class FailsClearly:
    """Cannot be made, and says so as one of colfw's own errors."""

    def __init__(self) -> None:
        raise InvariantError("no luck", where="here", hint="try again")


@pytest.fixture
def work_module(monkeypatch: pytest.MonkeyPatch) -> str:
    """This module under a name that a lazy import finds."""
    monkeypatch.setitem(sys.modules, "fake_work", sys.modules[__name__])
    return "fake_work"


def registered(factory: str, config: str | None = None) -> Any:
    class Hooks:
        @hookimpl
        def colfw_layouts(self) -> Iterator[LayoutSpec]:
            yield LayoutSpec(
                name="it", summary="It", api_version=1, factory=factory, config=config, masks=("dense",)
            )

    registry = load_plugins(PluginPolicy(), [Candidate(Owner("dist", "3.1", "door"), Hooks)])
    return registry.find(Kind.LAYOUT, "it")


def test_what_a_plugin_raises_is_wrapped_once_with_its_owners_name(work_module: str) -> None:
    """The message names kind, plugin, distribution and version, and keeps the cause."""
    with pytest.raises(PluginCrashError) as crash:
        registered(f"{work_module}:Fails").make(None)
    assert str(crash.value) == "layout 'it' of dist 3.1: ValueError: no luck (while it was made)"
    assert isinstance(crash.value.__cause__, ValueError)


def test_a_clear_error_of_a_plugin_stays_clear(work_module: str) -> None:
    """An error of colfw's family keeps its place and its hint."""
    with pytest.raises(PluginCrashError) as crash:
        registered(f"{work_module}:FailsClearly").make(None)
    assert str(crash.value) == "layout 'it' of dist 3.1: here: no luck (while it was made) (try again)"


def test_a_factory_that_is_not_there_names_its_owner() -> None:
    """A lazy import that fails is the plugin's failure, found when it is needed."""
    with pytest.raises(PluginCrashError, match=r"layout 'it' of dist 3\.1: ModuleNotFoundError"):
        registered("no_such_module_anywhere:Thing").make(None)


def simulates(spec: object, config: object) -> tuple[object, object]:
    """A factory of a memory that is told what to simulate."""
    return spec, config


A_DRAM = ("stands for", "a DramSpec")


def registered_memory(**parts: Any) -> Any:
    class Hooks:
        @hookimpl
        def colfw_memories(self) -> Iterator[MemorySpec]:
            yield MemorySpec(name="it", summary="It", api_version=1, **parts)

    registry = load_plugins(PluginPolicy(), [Candidate(Owner("dist", "3.1", "door"), Hooks)])
    return registry.find(Kind.MEMORY, "it")


def test_a_memory_of_a_standard_is_made_from_it(work_module: str) -> None:
    """The factory is called with the spec and the options, or None where there are none."""
    memory = registered_memory(factory=f"{work_module}:simulates", standard=f"{work_module}:A_DRAM")
    assert memory.dram_spec() is A_DRAM
    assert memory.make("options") == (A_DRAM, "options")
    assert memory.make(None) == (A_DRAM, None)


def test_a_memory_without_a_standard_is_made_from_its_options() -> None:
    """As every other plugin is."""
    memory = registered_memory(factory="builtins:list")
    assert memory.dram_spec() is None
    assert memory.make(None) == []
    assert memory.make("ab") == ["a", "b"]
    assert registered("builtins:list").dram_spec() is None


def test_a_standard_is_a_lazy_import_and_loaded_when_it_is_needed(work_module: str) -> None:
    """A wrong form is refused at registration; what is not there is its owner's failure when it is used."""
    with pytest.raises(PluginError, match="memory 'it': standard 'GDDR6' is no lazy import of the form"):
        registered_memory(factory=f"{work_module}:simulates", standard="GDDR6")
    missing = registered_memory(factory=f"{work_module}:simulates", standard="no_such_module_anywhere:DRAM")
    with pytest.raises(PluginCrashError) as crash:
        missing.make(None)
    assert str(crash.value) == (
        "memory 'it' of dist 3.1: ModuleNotFoundError: No module named 'no_such_module_anywhere'"
        " (while its standard was imported)"
    )


def test_options_are_an_attrs_class(work_module: str) -> None:
    """A config that is none is refused by name."""
    assert registered("math:pi", f"{work_module}:Options").config_class() is Options
    with pytest.raises(PluginError, match="fake_work:Fails is no attrs class"):
        registered("math:pi", f"{work_module}:Fails").config_class()


def test_a_fingerprint_follows_the_files(install: Callable[..., str], site: Path) -> None:
    """Results of other code are never taken for this code's: an edited file changes the fingerprint."""
    module = install("fake-good", layout_plugin("good"))
    before = Owner("fake-good", "1.0", module, module).fingerprint
    same = Owner("fake-good", "1.0", "another-door", module).fingerprint
    (site / f"{module}.py").write_text(layout_plugin("better"), encoding="utf-8")
    after = Owner("fake-good", "1.0", "yet-another-door", module).fingerprint
    assert before == same
    assert before != after
    assert Owner("fake-good", "1.1", module, module).fingerprint not in (before, after)


# --- the built-ins --------------------------------------------------------------------------------


def test_built_ins_come_through_the_same_door() -> None:
    """Every built-in package is an entry point of the group, found and loaded like a stranger's."""
    declared = {ep.name for ep in metadata.distribution("colfw").entry_points if ep.group == "colfw"}
    found = {p.owner.entry_point for p in load_plugins().plugins if p.owner.distribution == "colfw"}
    assert (
        declared
        == found
        == {
            "workloads",
            "layouts",
            "memory",
            "metrics",
            "accelerators",
            "observers",
            "experiments",
        }
    )
    assert not [p for p in load_plugins().failures if p.owner.distribution == "colfw"]


def test_loading_plugins_imports_nothing_heavy() -> None:
    """Discovery answers at once: torch, numpy and the like stay where the work is."""
    import subprocess  # noqa: PLC0415

    probe = (
        "import json, sys; from colfw.plugins import load_plugins; load_plugins();"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "numba", "diffusers", "pyarrow", "cattrs", "jinja2", "scipy"}
    assert not heavy & set(json.loads(done.stdout))
