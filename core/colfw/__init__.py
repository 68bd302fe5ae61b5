"""colfw: how much of a diffusion model's activation sparsity can hardware use?

The engine in this package knows kinds of plugins, never a plugin. `colfw.hookspecs` says what can be
plugged in, `colfw.records` what a hook returns, `colfw.protocols` what a plugin's objects must do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pluggy import HookimplMarker

if TYPE_CHECKING:
    from colfw.observing.observing import observe

__all__ = ["hookimpl", "observe"]

hookimpl: Final = HookimplMarker("colfw")
"""Marks a function or method of a plugin as the implementation of one of the hooks in `colfw.hookspecs`."""


def __getattr__(name: str) -> Any:
    """`colfw.observe` needs torch: it is imported when it is first asked for."""
    if name == "observe":
        from colfw.observing.observing import observe  # noqa: PLC0415

        return observe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
