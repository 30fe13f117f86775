"""A journal's jobs belong to the instance at which they were begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.journals import GROUPS, OWNER

from aiotcbatch import Client, ConfigurationError
from aiotcbatch.journal import Journal, Kind, Run
from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OLD = "https://old.example/api"
NEW = "https://new.example:8443/api"


@pytest.fixture
async def elsewhere() -> AsyncIterator[Client]:
    """A client of another instance, on which job 1 is somebody else's."""
    async with (
        Sandbox(owners=[OWNER]) as sandbox,
        Client(sandbox.api_url, sandbox.auth) as client,
    ):
        theirs = client.batch(OWNER)
        theirs.adversary("theirs")
        await theirs.submit()
        yield client


async def begin(path: Path, **opening: Any) -> None:
    """Leave a job that has an id in a journal."""
    async with await Journal.open(path, owner=OWNER, **opening) as journal:
        await journal.drained([GROUPS])
        job = await journal.cut({"owner": OWNER}, [Run(Kind.GROUP, 0)])
        await journal.created(job, 17)
        await journal.uploaded(job)


async def reopen(path: Path, **opening: Any) -> None:
    """Open a journal, and leave it."""
    async with await Journal.open(path, owner=OWNER, **opening):
        pass


@pytest.mark.parametrize("kind", ["batch", "stream"])
async def test_a_job_is_not_asked_for_elsewhere(
    client: Client, elsewhere: Client, path: Path, kind: str
) -> None:
    """Another instance is refused, with what to do; where the job was begun it is gone on with."""
    async with client.batch(OWNER, journal=path) as batch:
        batch.adversary("mine")
        await batch.submit(poll=False)

    builder: Any = getattr(elsewhere, kind)(OWNER, journal=path)
    with pytest.raises(ConfigurationError, match="finish them there; or, if") as raised:
        await builder.__aenter__()
    async with client.batch(OWNER, journal=path) as batch:
        status = await batch.submit()

    there, here = str(client.transport.base), str(elsewhere.transport.base)
    assert (raised.value.field, raised.value.value) == ("api_url", here)
    assert raised.value.accepted.startswith(f"{there!r}, where the journal {path} has begun jobs (")
    assert f"journal_moved_from={there!r}" in raised.value.accepted
    assert status.success_count == 1


async def test_what_waits_may_go_anywhere(client: Client, elsewhere: Client, path: Path) -> None:
    """Without jobs at a server another one is taken, to which the journal belongs from then on."""
    async with client.batch(OWNER, journal=path) as batch:
        batch.adversary("mine")
        await batch.drain()
    async with elsewhere.batch(OWNER, journal=path) as batch:
        await batch.submit(poll=False)

    with pytest.raises(ConfigurationError, match="api_url"):
        await client.batch(OWNER, journal=path).__aenter__()


async def test_an_instance_that_has_moved(path: Path) -> None:
    """Who names its old URL is believed, however it is written, and once is enough."""
    await begin(path, instance=OLD)
    async with Client(NEW, Sandbox(owners=[OWNER]).auth) as moved:
        for wrong in (None, "https://another.example/api"):
            batch = moved.batch(OWNER, journal=path, journal_moved_from=wrong)
            with pytest.raises(ConfigurationError, match=r"begun jobs \(17\)"):
                await batch.__aenter__()
        async with moved.batch(
            OWNER, journal=path, journal_moved_from="HTTPS://Old.Example:443/api/"
        ) as batch:
            assert batch.in_flight == (17,)
        async with moved.batch(OWNER, journal=path) as batch:
            assert batch.in_flight == (17,)


async def test_an_old_url_that_is_none(client: Client) -> None:
    """It is checked when the batch is made."""
    with pytest.raises(ConfigurationError, match="journal_moved_from is 'old', accepted is a url"):
        client.batch(OWNER, journal_moved_from="old")


async def test_the_same_instance_otherwise_written(path: Path) -> None:
    """The case of the host, its usual port and a slash at the end do not matter."""
    await begin(path, instance=OLD)
    async with (
        Client("https://OLD.example:443/api/", Sandbox(owners=[OWNER]).auth) as client,
        client.batch(OWNER, journal=path) as batch,
    ):
        assert batch.in_flight == (17,)


async def test_a_journal_that_does_not_tell(path: Path) -> None:
    """One of an earlier release belongs to whom opens it first."""
    await begin(path, settings={"action": "Create"})
    await reopen(path, settings={"action": "Create"}, instance=OLD)

    with pytest.raises(ConfigurationError, match=r"'https://old\.example/api', where"):
        await reopen(path, settings={"action": "Create"}, instance=NEW)


async def test_it_is_no_setting(path: Path) -> None:
    """The URL is not among the settings that are told, and stays if nobody gives another."""
    await begin(path, settings={"action": "Create"}, instance=OLD)
    await reopen(path, settings={"action": "Create", "n": 1})

    assert (await Journal.look(path)).settings == {"action": "Create", "n": 1}
    with pytest.raises(ConfigurationError, match="api_url"):
        await reopen(path, instance=NEW)


async def test_it_is_salvaged(path: Path) -> None:
    """What is saved of a damaged journal belongs where it did."""
    await begin(path, instance=OLD)
    await Journal.salvage(path)

    with pytest.raises(ConfigurationError, match="api_url"):
        await reopen(path, instance=NEW)


async def test_many_jobs_are_not_all_named(path: Path) -> None:
    """The error stays short."""
    async with await Journal.open(path, owner=OWNER, instance=OLD) as journal:
        await journal.drained([GROUPS])
        for number in range(7):
            await journal.created(await journal.cut({}, [Run(Kind.GROUP, number)]), number)

    with pytest.raises(ConfigurationError, match=r"\(0, 1, 2, 3, 4, \.\.\.\)"):
        await reopen(path, instance=NEW)
