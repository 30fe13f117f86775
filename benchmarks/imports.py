"""What it takes to import the package, and to start the command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness import ROOT, Ratio, Result, Size

if TYPE_CHECKING:
    from benchmarks.harness import Options

_IMPORT = (
    "import time; wall, cpu = time.perf_counter(), time.process_time(); import {}; "
    "print(time.perf_counter() - wall, time.process_time() - cpu)"
)
_COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "aiotcbatch --version": ["-m", "aiotcbatch.cli", "--version"],
}


def run(options: Options) -> Result:
    """Run it."""
    turns = options.pick(1, 5, 10, 30)
    packages = ("aiohttp", "aiotcbatch")
    wall: dict[str, list[float]] = {name: [] for name in (*packages, *_COMMANDS)}
    cpu: dict[str, list[float]] = {name: [] for name in packages}
    for _ in range(turns):
        for name in packages:
            words = _python(["-c", _IMPORT.format(name)]).split()
            wall[name].append(float(words[0]))
            cpu[name].append(float(words[1]))
        for name, arguments in _COMMANDS.items():
            began = time.perf_counter()
            _python(arguments)
            wall[name].append(time.perf_counter() - began)
    rows = [
        (
            f"`import {name}`" if name in packages else f"`{name}`",
            f"{min(spent) * 1000:.0f} ms",
            f"{median(spent) * 1000:.0f} ms",
            f"{min(cpu[name]) * 1000:.0f} ms" if name in cpu else "",
        )
        for name, spent in wall.items()
    ]
    bounds = (1.3, 1.1) if options.size >= Size.FULL else (None, None)
    ratios = [
        Ratio(
            name=f"aiotcbatch over aiohttp, {what}",
            value=choose(times["aiotcbatch"]) / choose(times["aiohttp"]),
            least=bounds[0],
            aim=bounds[1],
            more_is_better=False,
        )
        for what, choose, times in (
            ("minimum of processor time", min, cpu),
            ("median of wall time", median, wall),
        )
    ]
    return Result(
        title="Import and start",
        method=(
            f"Fresh interpreters, {turns} of each in turns, time the import alone, with the "
            "bytecode that the first of them has written. The commands are timed from outside, "
            "the interpreter's own start included."
        ),
        columns=("what", "least wall time", "median", "least processor time"),
        rows=rows,
        ratios=ratios,
    )


def _python(arguments: list[str]) -> str:
    environment = {**os.environ}
    # An installer has written the bytecode of both packages; of a source tree the first turn does.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=True,
    )
    return done.stdout
