"""How long colfw takes to answer, as whole processes: the verbs that must answer at once.

    python benchmarks/startup.py

Prints the median of several runs beside that of a bare Python, and fails when a verb takes 0.3 s or more.
Machines differ and are shared: the ratio to the bare interpreter, measured in the same run, says more than
the seconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RUNS = 15
LIMIT_SECONDS = 0.3
COLFW = str(Path(sys.executable).with_name("colfw"))
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "colfw --help": (COLFW, "--help"),
    "colfw plugins list": (COLFW, "plugins", "list"),
}


def seconds(command: tuple[str, ...]) -> float:
    """One run, start to exit."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    """Time all commands in turn, so that a slow moment of the machine meets all of them."""
    for command in COMMANDS.values():
        seconds(command)  # fills file caches
    rounds = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(RUNS)]
    medians = {name: median(times[name] for times in rounds) for name in COMMANDS}
    bare = medians["python -c pass"]
    print(f"{'command':<20} {'median':>9} {'of bare python':>15}")
    for name, value in medians.items():
        print(f"{name:<20} {value:>7.3f} s {value / bare:>15.1f}")
    slow = [name for name, value in medians.items() if value >= LIMIT_SECONDS]
    if slow:
        print(f"slower than {LIMIT_SECONDS} s: {', '.join(slow)}")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
