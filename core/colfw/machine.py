"""The machine that colfw runs on."""

from __future__ import annotations

import os


def cores() -> int:
    """How many processes or threads this machine, or what we are given of it, runs at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
