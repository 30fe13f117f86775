"""The command line: ``aiotcbatch demo``, ``sandbox``, ``owners`` and ``submit``."""

from __future__ import annotations

import sys

__all__ = ["main"]

#: What the extra ``cli`` brings; everything else that is missing is a bug.
_EXTRA = frozenset({"click", "rich"})


def main() -> None:
    """Run the command line, or say in one line how to install what it needs."""
    try:
        from aiotcbatch.cli.app import cli  # noqa: PLC0415 (an extra may be missing)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(
            "aiotcbatch: the command line is an extra: pip install 'aiotcbatch[cli]'\n"
        )
        sys.exit(3)
    except KeyboardInterrupt:
        sys.exit(130)
    cli(prog_name="aiotcbatch")
