"""What can be plugged in: one hook a kind, each with an example that works."""

from __future__ import annotations

import doctest
import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from colfw import hookimpl, hookspecs, records
from colfw.plugins import HOOK_OF_KIND, Candidate, Owner, PluginPolicy, load_plugins
from colfw.records import KINDS
from colfw.vocabulary import Kind


def example_of(hook: str) -> Any:
    """The implementation that the example in a hook's docstring makes."""
    names: dict[str, Any] = {"hookimpl": hookimpl, **{s.__name__: s for s in records.KINDS.values()}}
    text = getattr(hookspecs, hook).__doc__
    test = doctest.DocTestParser().get_doctest(text, names, hook, None, None)
    results = doctest.DocTestRunner().run(test, clear_globs=False)
    assert results.attempted > 0
    assert results.failed == 0
    return test.globs[hook]


def test_every_kind_has_a_hook_and_a_record() -> None:
    """No kind is declared without a door, and no door leads nowhere."""
    hooks = {name for name in dir(hookspecs) if name.startswith("colfw_")}
    assert set(HOOK_OF_KIND) == set(Kind) == set(KINDS)
    assert set(HOOK_OF_KIND.values()) == hooks


@pytest.mark.parametrize("kind", Kind)
def test_the_example_of_each_hook_registers(kind: Kind) -> None:
    """What a docstring shows to a plugin's author is accepted by the engine as it stands."""
    hook = HOOK_OF_KIND[kind]
    plugin = SimpleNamespace(**{hook: example_of(hook)})
    registry = load_plugins(PluginPolicy(), [Candidate(Owner("docs", "1", "door"), lambda: plugin)])
    assert registry.notices == ()
    [found] = registry.all()
    assert found.kind is kind


@pytest.mark.parametrize("hook", HOOK_OF_KIND.values())
def test_hooks_take_nothing(hook: str) -> None:
    """A hook declares; what it needs to know comes later, with the work."""
    assert not inspect.signature(getattr(hookspecs, hook)).parameters
