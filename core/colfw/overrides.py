"""Overrides: `machines[0].memory.options.channels=4` changes one value of a study before it is checked."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from attrs import frozen

from colfw import keypaths
from colfw.errors import InvariantError
from colfw.refusals import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colfw.keypaths import KeyPath


@frozen
class Override:
    """One `key.path=value`, as it was typed and as it is meant."""

    text: str
    path: KeyPath
    value: Any

    @property
    def where(self) -> str:
        return f"--set {self.text}"

    def refusal(self, problem: str, hint: str | None = None) -> InvariantError:
        return InvariantError(problem, where=self.where, hint=hint)

    def wrote(self, path: KeyPath) -> bool:
        """Whether what stands at `path` comes from this override."""
        return path[: len(self.path)] == self.path


def parse_override(text: str) -> Override:
    """The override that `text` spells; a value that is no TOML is text.

    >>> parse_override("source.kind=published").value
    'published'
    """
    path, end = keypaths.parse_start(text.lstrip())
    rest = text.lstrip()[end:].lstrip()
    if not path or not rest.startswith("="):
        raise InvariantError(
            "is no override", where=f"--set {text}", hint="write key.path=value, such as iterations=8"
        )
    return Override(text, path, _meaning(rest[1:].strip()))


def _meaning(text: str) -> Any:
    try:
        meant = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return meant["value"] if meant.keys() == {"value"} else text


def last_writer(overrides: Iterable[Override], path: KeyPath) -> Override | None:
    """The override that decided what stands at `path`, if one did."""
    writers = [override for override in overrides if override.wrote(path)]
    return writers[-1] if writers else None


def apply(override: Override, data: dict[str, Any]) -> None:
    """Write the value into plain `data`; tables on the way that are missing appear, gaps in lists don't."""
    holder: Any = data
    for depth, step in enumerate(override.path[:-1], start=1):
        follows = override.path[depth]
        holder = _entered(override, holder, override.path[: depth - 1], step, follows)
    _check_holds(override, holder, override.path[:-1], override.path[-1])
    _put(holder, override.path[-1], override.value)


def _entered(override: Override, holder: Any, place: KeyPath, step: str | int, follows: str | int) -> Any:
    """What stands at `step` of `holder`, made if it is missing, ready to hold `follows`."""
    _check_holds(override, holder, place, step)
    if _is_absent(holder, step):
        _put(holder, step, [] if isinstance(follows, int) else {})
    elif isinstance(holder[step], str) and isinstance(follows, str) and _takes_bare_name((*place, step)):
        holder[step] = {"name": holder[step]}
    return holder[step]


def _takes_bare_name(path: KeyPath) -> bool:
    """Whether a study may write a bare name here instead of a table with a `name`."""
    match path:
        case ("workloads" | "layouts" | "metrics", int()) | ("machines", int(), "accelerator" | "memory"):
            return True
    return False


def _check_holds(override: Override, holder: Any, place: KeyPath, step: str | int) -> None:
    name = keypaths.spell(place)
    if isinstance(step, str) and not isinstance(holder, dict):
        raise override.refusal(f"{name} is no table, but {shown(holder)}")
    if isinstance(step, int) and not isinstance(holder, list):
        raise override.refusal(f"{name} is no list, but {shown(holder)}")
    if isinstance(step, int) and step > len(holder):
        count = "1 entry" if len(holder) == 1 else f"{len(holder)} entries"
        raise override.refusal(f"{name} has {count}", f"the next free position is {name}[{len(holder)}]")


def _is_absent(holder: Any, step: str | int) -> bool:
    return step == len(holder) if isinstance(step, int) else step not in holder


def _put(holder: Any, step: str | int, value: Any) -> None:
    if isinstance(step, int) and step == len(holder):
        holder.append(value)
    else:
        holder[step] = value
