"""`colfw plugins`: what is plugged in, who owns it, what is broken and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter

from colfw.cli.common import PluginOptions, console, say, say_json, table
from colfw.errors import PluginError
from colfw.names import did_you_mean
from colfw.plugins import BUILT_IN, Plugin, Registered, Registry, State
from colfw.vocabulary import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator


def list_plugins(
    *,
    kind: Kind | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    plugins: PluginOptions | None = None,
) -> None:
    """List everything that can be named in a study, with its owner; and plugins that are not loaded.

    Parameters
    ----------
    kind
        Only plugins of this kind.
    json
        Print JSON instead of tables.
    """
    registry = (plugins or PluginOptions()).load()
    if json:
        say_json(_as_json(registry, kind))
    else:
        _print(registry, kind)


def _as_json(registry: Registry, kind: Kind | None) -> dict[str, Any]:
    return {
        "plugins": [_registered_json(found) for found in registry.all(kind)],
        "distributions": [
            {**attrs.asdict(plugin.owner), "state": str(plugin.state), "reason": plugin.reason}
            for plugin in registry.plugins
        ],
        "notices": list(registry.notices),
    }


def _registered_json(found: Registered) -> dict[str, Any]:
    return {
        "kind": str(found.kind),
        "name": found.name,
        "summary": found.record.summary,
        "distribution": found.owner.distribution,
        "version": found.owner.version,
        "entry_point": found.owner.entry_point,
    }


def _print(registry: Registry, kind: Kind | None) -> None:
    out = console()
    found = registry.all(kind)
    if found:
        listing = table("kind", "name", "summary", "owner")
        for each in found:
            listing.add_row(str(each.kind), each.name, each.record.summary, str(each.owner))
        out.print(listing)
    else:
        out.print(f"No {kind or 'plugin'} is installed.")
    rest = [plugin for plugin in registry.plugins if plugin.state is not State.ACTIVE]
    if rest:
        out.print(_not_loaded(rest))


def _not_loaded(plugins: list[Plugin]) -> Any:
    listing = table("entry point", "owner", "state", "why", title="Not loaded")
    for plugin in plugins:
        listing.add_row(plugin.owner.entry_point, str(plugin.owner), str(plugin.state), plugin.reason)
    return listing


def show(
    name: str,
    *,
    kind: Kind | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    plugins: PluginOptions | None = None,
) -> None:
    """Show a plugin: owner, what it declares, its options with defaults, its presets.

    Parameters
    ----------
    name
        Its name, or distribution/name.
    kind
        Its kind, where several kinds have a plugin of this name.
    json
        Print JSON instead of text.
    """
    registry = (plugins or PluginOptions()).load()
    details = [_details(found) for found in _named(registry, name, kind)]
    if json:
        say_json(details)
    else:
        for entry in details:
            _print_details(entry)


def _named(registry: Registry, name: str, kind: Kind | None) -> list[Registered]:
    found = [r for r in registry.all(kind) if name in (r.name, r.qualified_name)]
    if found:
        return found
    if kind is not None:
        return [registry.find(kind, name)]
    advice = did_you_mean(name, {registered.name for registered in registry.all()})
    raise PluginError(f"unknown plugin {name!r}", hint=f"{advice}; see `colfw plugins list`")


def _details(found: Registered) -> dict[str, Any]:
    record = attrs.asdict(found.record, recurse=False)
    presets = record.pop("presets")
    declared = {key: _plain(value) for key, value in record.items() if value not in (None, ())}
    return {
        **_registered_json(found),
        **declared,
        "options": list(_options(found)),
        "presets": {key: dict(value) for key, value in presets.items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (frozenset, tuple)):
        return sorted(str(each) for each in value)
    return value if isinstance(value, int) else str(value)


def _options(found: Registered) -> Iterator[dict[str, Any]]:
    config_class = found.config_class()
    if config_class is None:
        return
    for option in attrs.fields(attrs.resolve_types(config_class)):
        required = option.default is attrs.NOTHING
        yield {
            "name": option.name,
            "type": getattr(option.type, "__name__", str(option.type)),
            "default": "required" if required else repr(option.default),
        }


def _print_details(details: dict[str, Any]) -> None:
    options, presets = details.pop("options"), details.pop("presets")
    width = max(len(key) for key in details)
    for key, value in details.items():
        text = ", ".join(value) if isinstance(value, list) else value
        say(f"{key:<{width}}  {text}")
    for option in options:
        say(f"{'option':<{width}}  {option['name']}: {option['type']} = {option['default']}")
    for preset, values in presets.items():
        shown = ", ".join(f"{key} = {value!r}" for key, value in values.items())
        say(f"{'preset':<{width}}  {preset}: {shown}")


def freeze(*, plugins: PluginOptions | None = None) -> None:
    """Print the distributions of all active plugins, pinned, as a requirements file."""
    registry = (plugins or PluginOptions()).load()
    active = {p.owner for p in registry.plugins if p.state is State.ACTIVE}
    pins = sorted({f"{owner.distribution}=={owner.version}" for owner in active})
    built_in = [pin for pin in pins if pin.startswith(f"{BUILT_IN}==")]
    for pin in [*built_in, *(pin for pin in pins if pin not in built_in)]:
        say(pin)
