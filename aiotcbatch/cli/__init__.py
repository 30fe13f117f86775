"""The command line: ``aiotcbatch demo`` and the other commands, which need an extra."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

__all__ = ["main"]

#: What the extra ``cli`` brings; everything else that is missing is a bug.
_EXTRA = frozenset({"click", "rich"})


def main() -> None:
    """Run the command line, or say in one line how to install what it needs."""
    for signum in (signal.SIGINT, signal.SIGTERM):  # until a command's loop takes them over
        signal.signal(signum, _leave)
    try:
        from aiotcbatch.cli.app import cli  # noqa: PLC0415 (an extra may be missing)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(
            "aiotcbatch: the command line is an extra: pip install 'aiotcbatch[cli]'\n"
        )
        sys.exit(3)
    cli(prog_name="aiotcbatch")


def _leave(signum: int, frame: object) -> NoReturn:  # noqa: ARG001 (the form of a handler)
    sys.exit(128 + signum)
