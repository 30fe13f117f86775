"""
Look for known vulnerabilities in what is installed beside this Python.

It fails when there are any. Where nobody can be asked, it says that nothing was audited, and does
not fail: so CI runs without the network that advisories need.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

#: The packages that are ours have no advisories.
OURS = "aiotcbatch"
#: Seconds for all answers.
TIMEOUT = 300


def asked() -> dict[str, Any] | None:
    """Have pip-audit ask for advisories; None if it could not."""
    command = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off"]
    try:
        done = subprocess.run(  # noqa: S603 (our own arguments)
            command, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        report: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return report


def verdict(report: dict[str, Any] | None) -> tuple[list[str], bool]:
    """
    Judge an answer.

    Args:
        report: What pip-audit has found, None if it could not ask.

    Returns:
        What is to be said, and whether all is well as far as that is known.
    """
    packages = [] if report is None else report["dependencies"]
    packages = [package for package in packages if package["name"] != OURS]
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        return ["NOT AUDITED: no advisories could be had, so nothing is known"], True
    found = [
        f"{package['name']} {package['version']} has {flaw['id']},"
        f" fixed in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for package in audited
        for flaw in package["vulns"]
    ]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    said = [*found, f"{len(audited)} packages audited, {len(found)} known vulnerabilities"]
    if unknown:
        said.append(f"NOT AUDITED, for nothing is known of them: {', '.join(unknown)}")
    return said, not found


if __name__ == "__main__":
    lines, is_well = verdict(asked())
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(not is_well)
