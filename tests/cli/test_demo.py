"""The demo, where not all is as it should be."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from aiotcbatch import Client, FileUploadError
from aiotcbatch.cli.demo import Demo, _program, demo
from aiotcbatch.cli.display import Display
from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

_ASKED = Demo(owner="MyOrg", entities_per_job=25_000)
_APT29 = "mitre-attack:899ce53f-13a0-479b-a0e4-67d46e241542"
_DLL_INJECTION = "mitre-attack:f4599aa0-4f85-4a32-80ea-fc39dc965945"


def _display() -> tuple[Display, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Display(Console(file=out, width=200), Console(file=err, width=200)), out, err


async def test_what_differs_is_flagged(tmp_path: Path) -> None:
    """One association too many among 18,000 shows in its row, in words and in the exit code."""
    async with (
        Sandbox(owners=["MyOrg"], db=tmp_path / "tc.db") as sandbox,
        Client(sandbox.api_url, sandbox.auth) as client,
    ):
        batch = client.batch("MyOrg")
        batch.intrusion_set("APT29", _APT29).association(_DLL_INJECTION)
        batch.attack_pattern("Process Injection", _DLL_INJECTION)
        batch.adversary("Someone Else", "mine").association(_APT29)
        await batch.submit()
    display, out, err = _display()

    code = await demo(display, Sandbox(owners=["MyOrg"], db=tmp_path / "tc.db"), _ASKED)

    assert code == 1
    differing = [line.split() for line in out.getvalue().splitlines() if "differ" in line]
    assert [(line[0], line[-2:]) for line in differing] == [("Associations", ["1", "differ"])]
    assert f"there and not sent: {_APT29} | {_DLL_INJECTION}" in err.getvalue()
    assert "What was sent is NOT there as it was sent" in out.getvalue()


async def test_a_file_that_is_not_taken_ends_it() -> None:
    """When the server has no room for the reports, the error says so and the demo ends."""
    display, _, _ = _display()

    with pytest.raises(FileUploadError, match="storage"):
        await demo(display, Sandbox(owners=["MyOrg"], storage_limit=1000), _ASKED)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (".venv/bin/aiotcbatch", ".venv/bin/aiotcbatch"),
        ("/usr/bin/aiotcbatch", "aiotcbatch"),
        ("tests/pytest", "aiotcbatch"),
    ],
)
def test_the_command_is_told_as_it_was_typed(
    monkeypatch: pytest.MonkeyPatch, typed: str, shown: str
) -> None:
    """Who has not activated the environment can type what is told."""
    monkeypatch.setattr("sys.argv", [typed, "demo"])

    assert _program() == shown
