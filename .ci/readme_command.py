"""Print one of the two commands of the README, word for word."""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: How each of the two begins and ends; between them they set everything up.
COMMANDS = {
    "demo": r"python3 -m venv .*aiotcbatch demo",
    "tests": r"python3 -m venv .*pytest",
}


def command(which: str, readme: str) -> str:
    """
    Find a command in the README, on a line of its own.

    Args:
        which: ``demo`` or ``tests``.
        readme: The text of the README.

    Returns:
        The command.

    Raises:
        SystemExit: When it stands there not exactly once.
    """
    found = re.findall(rf"^{COMMANDS[which]}$", readme, re.MULTILINE)
    if len(found) != 1:
        raise SystemExit(f"README.md has {len(found)} commands for {which!r}, not one")
    text: str = found[0]
    return text


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    sys.stdout.write(command(sys.argv[1], (root / "README.md").read_text("utf-8")) + "\n")
