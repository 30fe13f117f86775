"""Signals while jobs are under way: what is in flight is finished, or kept for the next time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from support.command import environment

from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

COUNT, SIZE = 60, 10


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox that takes longer for a job than any command needs to take a signal."""
    async with Sandbox(owners=["MyOrg"], entities_per_second=1) as sandbox:
        yield sandbox


@pytest.fixture
async def feed(tmp_path: Path) -> str:
    """A file of addresses."""
    lines = [
        json.dumps({"type": "Address", "summary": f"10.0.0.{number}"}) for number in range(COUNT)
    ]
    await anyio.Path(tmp_path / "feed.ndjson").write_text("\n".join(lines))
    return str(tmp_path / "feed.ndjson")


class Command:
    """A command of aiotcbatch that runs, and what it has said."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self.said = ""
        self.code: int | None = None

    def send(self, signum: int) -> None:
        """Send it a signal."""
        self._process.send_signal(signum)

    async def wait_for(self, text: str) -> None:
        """Read until it has said something."""
        while text not in self.said:
            self.said += (await self._process.stdout.receive()).decode()

    async def ended(self) -> None:
        """Read to its end."""
        async for data in self._process.stdout:
            self.said += data.decode()
        self.code = await self._process.wait()


@asynccontextmanager
async def running(sandbox: Sandbox, *arguments: str) -> AsyncIterator[Command]:
    """Run a command, for some minutes at most."""
    dev = ("-X", "dev", "-W", "error::ResourceWarning")
    command = [sys.executable, *dev, "-m", "aiotcbatch.cli", *arguments]
    known = environment(**sandbox.environment, TC_OWNER="MyOrg")
    with anyio.fail_after(200):
        async with await anyio.open_process(
            command, stderr=subprocess.STDOUT, env=known
        ) as process:
            yield Command(process)


async def until(is_so: Callable[[], object]) -> None:
    """Wait for something in the sandbox."""
    while not is_so():
        await anyio.lowlevel.checkpoint()


async def lines_of(path: Path) -> list[dict[str, Any]]:
    """Read lines of JSON."""
    return [json.loads(line) for line in (await anyio.Path(path).read_text()).splitlines()]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_what_is_in_flight_is_finished(
    sandbox: Sandbox, feed: str, tmp_path: Path, signum: int
) -> None:
    """No further job is begun, those on the server are waited for, the rest is written down."""
    failed = tmp_path / "failed.ndjson"
    options = ("--entities-per-job", str(SIZE), "--grace", "30", "--dead-letters", str(failed))
    async with running(sandbox, "submit", feed, *options) as command:
        await until(lambda: sandbox.jobs and sandbox.jobs[0].document)
        command.send(signum)
        await command.wait_for("waited for, 30 seconds at most")
        sandbox.configure(entities_per_second=None)
        await command.ended()

    assert command.code == 128 + signum, command.said
    assert "Traceback" not in command.said
    done = [job for job in sandbox.jobs if job.document is not None]
    assert 1 <= len(done) < COUNT // SIZE
    assert len(sandbox.entities()) == len(done) * SIZE
    assert command.said.count("Completed") == len(done)
    left = COUNT - len(done) * SIZE
    assert f"Not sent: {left} entities" in command.said
    letters = await lines_of(failed)
    assert [letter["state"] for letter in letters] == ["unprocessed"] * left
    assert letters[-1]["source"] == f"{feed}:{COUNT}"

    async with running(sandbox, "submit", str(failed)) as command:
        await command.ended()
    assert command.code == 0, command.said
    assert len(sandbox.entities()) == COUNT


@pytest.mark.parametrize("twice", [True, False])
async def test_the_grace_ends(sandbox: Sandbox, feed: str, tmp_path: Path, twice: bool) -> None:
    """After the time of grace, or a second signal, it is over, and says what it has left."""
    failed = tmp_path / "failed.ndjson"
    options = ("--grace", "30" if twice else "0.01", "--dead-letters", str(failed))
    async with running(sandbox, "submit", feed, *options) as command:
        await until(lambda: sandbox.jobs and sandbox.jobs[0].document)
        command.send(signal.SIGTERM)
        if twice:
            await command.wait_for("Another signal")
            command.send(signal.SIGINT)
        await command.ended()

    assert command.code == 143, command.said
    assert command.said.endswith("Interrupted.\n")
    assert "Traceback" not in command.said
    assert {letter["state"] for letter in await lines_of(failed)} == {"unknown"}
    assert len(await lines_of(failed)) == COUNT


async def test_a_journal_has_what_is_left(sandbox: Sandbox, feed: str, tmp_path: Path) -> None:
    """What is in flight and what is not sent is in the journal, and arrives once."""
    path = str(tmp_path / "feed.journal")
    options = ("--entities-per-job", str(SIZE), "--grace", "0", "--journal", path)
    async with running(sandbox, "submit", feed, *options) as command:
        await until(lambda: sandbox.jobs and sandbox.jobs[0].document)
        command.send(signal.SIGTERM)
        await command.ended()
    assert command.code == 143, command.said
    assert f"`aiotcbatch journal resume {path}` goes on with it" in command.said

    sandbox.configure(entities_per_second=None)
    async with running(sandbox, "journal", "resume", path) as command:
        await command.ended()
    assert command.code == 0, command.said
    sent = [
        entity["xid"]
        for job in sandbox.jobs
        if job.document
        for entity in job.document["indicator"]
    ]
    assert len(sent) == len(set(sent)) == COUNT
    assert not await anyio.Path(path).exists()
