"""`colfw --install-completion`: completion of verbs and options in the shell."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from colfw.cli.common import say


def install_completion(
    *, shell: Literal["bash", "zsh", "fish"] | None = None, output: Path | None = None
) -> None:
    """Install completion; a new shell has it.

    Parameters
    ----------
    shell
        Which shell; default: the one that runs this.
    output
        Write the script there, instead of where the shell looks for it.
    """
    from colfw.cli import app  # noqa: PLC0415  (the whole command line, which imports this on demand)

    # A script that is written elsewhere is the caller's to load: no start-up file is touched.
    path = app.install_completion(shell=shell, output=output, add_to_startup=output is None)
    say(f"Completion is installed: {path}")
