"""Running the command line, or any Python program, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiotcbatch

__all__ = ["Python", "environment", "run"]

#: Runs the interpreter to its end.
Python = Callable[..., subprocess.CompletedProcess[str]]

_ROOT = Path(aiotcbatch.__file__).parents[1]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process: this package, and nothing that points to an instance."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TC_")}
    return kept | {"PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"} | more


def run(*arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run the interpreter to its end; keywords are environment variables."""
    return subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        input=stdin,
        env=environment(**more),
    )
