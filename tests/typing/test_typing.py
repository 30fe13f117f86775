"""What the types say to users: what they can write is accepted, and what they cannot is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_types_are_what_users_are_told() -> None:
    """Each type is the one that is asserted, and no line is accepted that must be refused."""
    programs = [HERE / "accepted.py", HERE / "refused.py"]
    checked = subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, "-m", "mypy", "--strict", *programs],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.stdout, checked.stderr) == (
        "Success: no issues found in 2 source files\n",
        "",
    )
