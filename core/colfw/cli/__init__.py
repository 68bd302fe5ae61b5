"""The command line: one file a verb, imported only when that verb is called."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from cyclopts import App, CycloptsError, Group, Parameter

from colfw.errors import ColfwError

_RUNNING = Group("Studies", sort_key=1)
_MEMORY = Group("Memory", sort_key=2)
_LOOKING = Group("Looking around", sort_key=3)

_MISUSED = 2
"""The exit code of a command line that cannot be understood, as of every other tool."""
_READER_GONE = 141
"""The exit code that shells give to a process that ended by SIGPIPE."""


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415

    return version("colfw")


app = App(
    name="colfw",
    help="How much of a diffusion model's activation sparsity can hardware use, and what does the memory"
    " layout make of it?",
    version=_version,
    help_format="plaintext",
    # Defaults that say something are in the words of an option; `[default: False]` says nothing.
    default_parameter=Parameter(show_default=False),
)

app.command("colfw.cli.run:run", name="run", help="Run a study.", group=_RUNNING)
app.command(
    "colfw.cli.profile:profile",
    name="profile",
    help="Profile one workload, or any diffusers pipeline.",
    group=_RUNNING,
)
app.command(
    "colfw.cli.score:score",
    name="score",
    help="Sweep masks: quality against cycles saved.",
    group=_RUNNING,
)
app.command(
    "colfw.cli.advise:advise",
    name="advise",
    help="Say which layout pays for a profile, why, and when not.",
    group=_RUNNING,
)
app.command(
    "colfw.cli.experiments:reproduce",
    name="reproduce",
    help="Run what was published and print both numbers.",
    group=_RUNNING,
)
app.command("colfw.cli.experiments:ablate", name="ablate", help="Turn one knob of a machine.", group=_RUNNING)
app.command("colfw.cli.rerun:rerun", name="rerun", help="Run a past run again and compare.", group=_RUNNING)

_config = App(name="config", help="Look at a study without running it.", group=_RUNNING)
_config.command("colfw.cli.config:show", name="show", help="Print a study with every default spelled out.")
_config.command("colfw.cli.config:check", name="check", help="Check a study against the plugins.")
app.command(_config)

_dram = App(name="dram", help="Simulate and look at DRAM by itself.", group=_MEMORY)
_dram.command("colfw.cli.dram:run", name="run", help="Replay a trace.")
_dram.command("colfw.cli.dram:specs", name="specs", help="List memories and what they were validated with.")
_dram.command("colfw.cli.dram:show", name="show", help="Show one DRAM with all its numbers.")
_dram.command("colfw.cli.dram:latency_curve", name="latency-curve", help="Measure latency against load.")
app.command(_dram)

_runs = App(name="runs", help="Look at past runs.", group=_LOOKING)
_runs.command("colfw.cli.runs:list_runs", name="list", help="List runs, newest first.")
_runs.command("colfw.cli.runs:show", name="show", help="Show one run.")
app.command(_runs)

_plugins = App(name="plugins", help="Look at what is plugged in.", group=_LOOKING)
_plugins.command("colfw.cli.plugins:list_plugins", name="list", help="List plugins and their owners.")
_plugins.command("colfw.cli.plugins:show", name="show", help="Show one plugin and its options.")
_plugins.command("colfw.cli.plugins:freeze", name="freeze", help="Print distributions to pin.")
app.command(_plugins)

app.command(
    "colfw.cli.glossary:glossary", name="glossary", help="Say what table columns mean.", group=_LOOKING
)
app.command("colfw.cli.doctor:doctor", name="doctor", help="Say what works on this machine.", group=_LOOKING)
app.command(
    "colfw.cli.completion:install_completion",
    name="--install-completion",
    help="Install shell completion for colfw.",
    group=_LOOKING,
)


def _refuse(problems: str, exit_code: int) -> NoReturn:
    for line in problems.splitlines():
        sys.stderr.write(f"colfw: {line}\n")
    sys.exit(exit_code)


def main(arguments: list[str] | None = None) -> None:
    """Run a command. What a user can act on is one line and an exit code; a bug keeps its traceback."""
    # Threads of torch (GNU OpenMP) keep a core busy for milliseconds when they wait, from the folding of
    # activations and from each other's processes. It is read when torch is loaded, here and in workers.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # Batch systems end a job with SIGTERM: it deserves the same care as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = app(arguments, result_action="return_value", print_error=False, exit_on_error=False)
        # At exit it would be too late to answer for a reader that went away.
        sys.stdout.flush()
    except CycloptsError as error:
        verb = " ".join(("colfw", *(error.command_chain or ())))
        _refuse(f"{' '.join(str(error).split())} (see `{verb} --help`)", _MISUSED)
    except ColfwError as error:
        if os.environ.get("COLFW_TRACEBACK"):
            raise
        _refuse(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe went away, as `| head` does: what is still buffered is for nobody.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        sys.exit(_READER_GONE)
    sys.exit(status if isinstance(status, int) else 0)
