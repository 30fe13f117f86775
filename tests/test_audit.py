"""The audit of dependencies in CI fails for what is known, and says what is not."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

VERDICT = runpy.run_path(str(Path(__file__).parents[1] / ".ci" / "audit.py"))["verdict"]


def package(name: str, *flaws: str, **more: Any) -> dict[str, Any]:
    """Give a package as pip-audit does."""
    vulns = [{"id": flaw, "fix_versions": ["2"]} for flaw in flaws]
    return {"name": name, "version": "1", "vulns": vulns, **more}


def test_a_known_vulnerability_fails() -> None:
    """It is named, with the version that mends it."""
    lines, is_well = VERDICT({"dependencies": [package("a"), package("b", "CVE-1")]})

    assert not is_well
    assert lines == [
        "b 1 has CVE-1, fixed in 2",
        "2 packages audited, 1 known vulnerabilities",
    ]


def test_what_is_not_known_is_said() -> None:
    """A package without an answer is named; all others count."""
    skipped = {"name": "b", "skip_reason": "not found"}
    lines, is_well = VERDICT({"dependencies": [package("a"), skipped]})

    assert is_well
    assert lines[-1] == "NOT AUDITED, for nothing is known of them: b"


def test_without_any_answer_nothing_is_audited() -> None:
    """Whether nobody answers or nobody knows anything: that is said, and does not fail."""
    skipped = {"name": "b", "skip_reason": "not found"}
    for report in (None, {"dependencies": [skipped]}):
        lines, is_well = VERDICT(report)

        assert is_well
        assert lines == ["NOT AUDITED: no advisories could be had, so nothing is known"]
