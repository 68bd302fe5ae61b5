"""colfw: how much of a diffusion model's activation sparsity can hardware use?

The engine in this package knows kinds of plugins, never a plugin. `colfw.hookspecs` says what can be
plugged in, `colfw.records` what a hook returns, `colfw.protocols` what a plugin's objects must do.
"""

from __future__ import annotations

from typing import Final

from pluggy import HookimplMarker

__all__ = ["hookimpl"]

hookimpl: Final = HookimplMarker("colfw")
"""Marks a function or method of a plugin as the implementation of one of the hooks in `colfw.hookspecs`."""
