"""The sandbox as the command line makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aiotcbatch import Client
from aiotcbatch.cli.serve import environment, make_sandbox, page
from aiotcbatch.errors import ConfigurationError, UnavailableError
from aiotcbatch.transport.retry import RetryPolicy

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_is_printed_is_enough_for_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines to paste give a client everything, quoted for the shell."""
    async with make_sandbox(("Our Own Org", "Two"), db=None, seed=1) as sandbox:
        lines = environment(sandbox, "Our Own Org")
        for line in lines:
            name, _, value = line.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, value)
        async with Client.from_env() as client:
            owners = await client.owners()

        assert "export TC_OWNER='Our Own Org'" in lines
        assert [owner.name for owner in owners] == ["Our Own Org", "Two"]
        assert page(sandbox) == sandbox.api_url[: -len("api")]


@pytest.mark.parametrize("recorded", [False, True])
async def test_it_can_listen_on_every_address(tmp_path: Path, *, recorded: bool) -> None:
    """With --host 0.0.0.0 what is printed is still an address that one can go to."""
    record = str(tmp_path / "recording") if recorded else None
    async with (
        make_sandbox(("o",), db=None, host="0.0.0.0", record=record) as sandbox,  # noqa: S104
        Client(sandbox.api_url, sandbox.auth) as client,
    ):
        assert sandbox.api_url.startswith("http://127.0.0.1:")
        assert [owner.name for owner in await client.owners()] == ["o"]


async def test_the_same_seed_gives_the_same_credentials() -> None:
    """With --seed, what was pasted once is right again after a restart."""
    first, second = (make_sandbox(("o",), db=None, seed=7) for _ in range(2))

    assert (first.access_id, first.secret_key) == (second.access_id, second.secret_key)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("upload_limit=2000000", "upload_limit", 2_000_000),
        ("batch_enabled=false", "batch_enabled", False),
        ("storage_limit=null", "storage_limit", None),
        ("clock_window=1.5", "clock_window", 1.5),
    ],
)
def test_any_setting_can_be_set(text: str, name: str, value: object) -> None:
    """--set takes every setting of the sandbox by its name."""
    sandbox = make_sandbox(("o",), db=None, limits=(text,))

    assert getattr(sandbox.settings, name) == value


@pytest.mark.parametrize(
    ("what", "text", "message"),
    [
        ("limits", "upload_limit=many", "--set: upload_limit is 'many'"),
        ("limits", "upload_limit", "--set is 'upload_limit', accepted is NAME=VALUE"),
        ("limits", "upload_limit=-1", "upload_limit is -1"),
        ("limits", "no_such=1", "no_such"),
        ("faults", "upload", "fault is 'upload', accepted is ENDPOINT=FAULT"),
    ],
)
def test_a_setting_that_cannot_be_right_is_named(what: str, text: str, message: str) -> None:
    """What is wrong is said before anything is started."""
    with pytest.raises(ConfigurationError, match=message):
        make_sandbox(("o",), db=None, **{what: (text,)})


async def test_what_is_said_can_be_recorded(tmp_path: Path) -> None:
    """With --record, what clients send stands in the file."""
    path = tmp_path / "recording"
    async with (
        make_sandbox(("o",), db=None, record=str(path)) as sandbox,
        Client(sandbox.api_url, sandbox.auth) as client,
    ):
        await client.owners()

    assert "GET /api/v2/owners" in path.read_text()


async def test_faults_happen() -> None:
    """A fault of the command line strikes where it says."""
    async with (
        make_sandbox(("o",), db=None, faults=("owners=503,times=1",)) as sandbox,
        Client(sandbox.api_url, sandbox.auth, retry=RetryPolicy(attempts=1)) as client,
    ):
        with pytest.raises(UnavailableError):
            await client.owners()
        assert len(await client.owners()) == 1
