"""Batches and streams with a journal: what is drained survives, at whichever step they end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Event
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from anyio import Path
from anyio.lowlevel import checkpoint

from aiotcbatch import Client
from aiotcbatch.errors import (
    AccessDeniedError,
    ClosedError,
    ConfigurationError,
    JobError,
    JournalLockedError,
    SealedError,
    UsageError,
    ValidationError,
)
from aiotcbatch.journal import Journal, export
from aiotcbatch.journal.file import JournalFile
from aiotcbatch.sandbox import Reset, Sandbox, forbidden

if TYPE_CHECKING:
    import pathlib

    from aiotcbatch import Batch, Stream

OWNER = "MyOrg"


def render(xid: str) -> str:
    """Make a content; the journal keeps this function by its name."""
    return f"content of {xid}"


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """Give a place for a journal."""
    return tmp_path / "journal.db"


def fill(builder: Batch | Stream) -> None:
    """Add groups in a circle, indicators, links of their own, and files of three kinds."""
    for number in range(4):
        group = builder.adversary(f"group {number}", f"g-{number}")
        group.attribute("Description", "once")
        group.association(f"g-{(number + 1) % 4}")
    for number in range(3):
        host = builder.host(f"host-{number}.example.com")
        host.attribute("Description", "once")
        host.association("g-0")
    builder.document("bytes", "b.txt", b"content of d-1", xid="d-1")
    builder.document("text", "t.txt", "content of d-2", xid="d-2")
    builder.report("callable", "r.txt", render, xid="d-3")
    builder.add_association(ref_1="g-1", ref_2="host-2.example.com", type_2="Host")


def check(sandbox: Sandbox) -> None:
    """See that all of that is there, once."""
    there = {entity.summary: entity for entity in sandbox.entities()}
    assert len(there) == len(sandbox.entities()) == 10
    for name, entity in there.items():
        expected = ["once"] if name.startswith(("group", "host")) else []
        assert [note.value for note in entity.attributes] == expected, name
    for xid in ("d-1", "d-2", "d-3"):
        assert sandbox.files[xid].content == f"content of {xid}".encode()
    counts = [job.counts for job in sandbox.jobs if job.completed]
    assert sum(count.success_associations for count in counts) >= 1
    assert sum(count.error_associations for count in counts) == 0


class PowerError(BaseException):
    """The power is gone."""


class Fuse:
    """Cuts the power at one step of the journal, before or after it is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.step = 0
        self.blows_at: int | None = None
        self.after = False
        write = Journal._do

        async def do(journal: Journal, work: Any) -> Any:
            self.step += 1
            blows = self.blows_at is not None and self.step >= self.blows_at
            if blows and not self.after:
                raise PowerError
            result = await write(journal, work)
            if blows:
                raise PowerError
            return result

        monkeypatch.setattr(Journal, "_do", do)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["batch", "stream"])
async def test_it_may_end_at_any_step(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, kind: str, after: bool
) -> None:
    """Cut at each step of the journal in turn and opened again, everything arrives once."""
    fuse = Fuse(monkeypatch)
    fuse.after = after
    blows_at = 0
    while True:
        blows_at += 1
        async with Sandbox(owners=[OWNER]) as sandbox, Client(sandbox.api_url, sandbox.auth) as c:
            fuse.step, fuse.blows_at = 0, blows_at
            drained, whole = False, False
            try:
                async with make(c, kind, path) as builder:
                    fill(builder)
                    await builder.drain()
                    drained = True
                    if kind == "batch":
                        await builder.submit()
                whole = True
            except* PowerError:
                pass
            fuse.blows_at = None
            async with make(c, kind, path) as builder:
                if not drained and not sandbox.jobs and len(builder) == 0:
                    fill(builder)
                if kind == "batch":
                    await builder.submit()
            check(sandbox)
            assert not await Path(path).exists()
            if whole:
                break
    assert blows_at > 10


def make(client: Client, kind: str, path: pathlib.Path) -> Any:
    """Make a batch or a stream that needs several jobs."""
    options: Any = {"journal": path, "max_entities_per_job": 5, "attribute_write_type": "Append"}
    return client.batch(OWNER, **options) if kind == "batch" else client.stream(OWNER, **options)


async def test_what_is_continued_is_there_once(
    client: Client, sandbox: Sandbox, path: pathlib.Path
) -> None:
    """An entity that was drained, continued and drained again survives as it was last."""
    async with client.batch(OWNER, journal=path) as batch:
        batch.adversary("a", "a").tag("first")
        await batch.drain()
        batch.adversary("a", "a").tag("second")
        batch.adversary("b", "b")
        await batch.drain()
        batch.discard(batch.adversary("b", "b"))
        await batch.drain()
        batch.adversary("never drained", "c")

    async with client.batch(OWNER, journal=path) as batch:
        assert len(batch) == 1
        batch.adversary("a", "a").tag("third")
        await batch.submit()

    (job,) = sandbox.jobs
    tags = [tag["name"] for tag in job.document["group"][0]["tag"]]
    assert tags == ["first", "second", "third"]
    assert not await Path(path).exists()


async def test_what_is_changed_is_kept_as_it_was_until_it_is_drained(
    client: Client, path: pathlib.Path
) -> None:
    """A change that drain() refuses takes nothing from the journal; nor does one that is left."""
    async with client.batch(OWNER, journal=path, max_bytes_per_job=300) as batch:
        batch.adversary("a", "a").tag("first")
        batch.host("b.example.com", xid="b").tag("first")
        await batch.drain()
        batch.adversary("a", "a").attribute("Description", "large" * 100)
        with pytest.raises(ValidationError):
            await batch.drain()
        batch.host("b.example.com", xid="b").tag("left")

    lines = [orjson.loads(line) for line in await asyncio.to_thread(list, export(path))]
    assert [line["entity"]["tag"] for line in lines] == [[{"name": "first"}]] * 2


async def test_contents_that_cannot_be_kept_are_asked_for(
    client: Client, sandbox: Sandbox, path: pathlib.Path
) -> None:
    """A callable without a name is asked for by the xid; without an answer that is reported."""
    async with client.batch(OWNER, journal=path) as batch:
        batch.document("d", "f.txt", lambda _: b"lost", xid="asked")
        batch.document("e", "f.txt", lambda _: b"lost", xid="unknown")
        await batch.drain()

    found = {"asked": b"found"}
    async with client.batch(OWNER, journal=path, contents=found.get) as batch:
        status = await batch.submit(halt_on_error=False)

    assert {upload.xid: upload.uploaded for upload in status.uploads} == {
        "asked": True,
        "unknown": False,
    }
    told = "its content is lost: a function, which ended with its process; add its group"
    assert [(upload.error or told).startswith(told) for upload in status.uploads] == [True, True]
    assert sandbox.files["asked"].content == b"found"


@pytest.mark.parametrize("at_once", [True, False])
async def test_contents_of_groups_that_are_named_again(
    client: Client, sandbox: Sandbox, path: pathlib.Path, *, at_once: bool
) -> None:
    """Who goes on can add to a group that is in the journal: its content stays with it."""
    async with client.batch(OWNER, journal=path) as batch:
        batch.document("d", "d.bin", b"kept", xid="d")
        batch.document("e", "e.txt", "kept", xid="e")
        batch.document("f", "f.txt", lambda _: b"lost", xid="f")
        await batch.drain()

    async with client.batch(OWNER, journal=path) as batch:
        for xid in "dfd":
            batch.add_group({"type": "Document", "name": "new", "xid": xid})
            await batch.drain()
        if at_once:
            status = await batch.submit(halt_on_error=False)
    if not at_once:
        async with client.batch(OWNER, journal=path) as batch:
            status = await batch.submit(halt_on_error=False)

    assert {xid: file.content for xid, file in sandbox.files.items()} == {
        "d": b"kept",
        "e": b"kept",
    }
    (missing,) = (upload for upload in status.uploads if not upload.uploaded)
    assert missing.xid == "f"
    assert "lost: a function, which ended with its process; add its" in missing.error


async def _hold_a_link(client: Client, path: pathlib.Path) -> None:
    """Leave a link in a journal that waits for a group."""
    with pytest.raises(ZeroDivisionError):
        async with client.stream(OWNER, journal=path, linger=1000) as stream:
            stream.campaign("early", xid="early").association("late")
            await stream.drain()
            raise ZeroDivisionError


async def test_links_that_were_held_survive(
    client: Client, sandbox: Sandbox, path: pathlib.Path
) -> None:
    """A link to a group that had not come is made by who goes on."""
    await _hold_a_link(client, path)

    async with client.stream(OWNER, journal=path) as stream:
        stream.adversary("late", "late")

    assert stream.status.success_count == 2
    assert stream.status.success_association_count == 1


async def test_a_job_that_is_lost_is_told_as_lost(
    client: Client, sandbox: Sandbox, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nobody was told before the process ended, who goes on is told, its files included."""
    sandbox.faults.add("create_and_upload", Reset(after_done=True), times=1)
    options: Any = {"attribute_write_type": "Append", "create_and_upload": True, "journal": path}

    async def ends(journal: Journal, *jobs: int) -> None:
        raise PowerError

    with monkeypatch.context() as patch, pytest.raises(PowerError):
        async with client.batch(OWNER, **options) as batch:
            batch.document("d", "f.txt", b"content", xid="d")
            patch.setattr(Journal, "done", ends)
            await batch.submit()

    async with client.batch(OWNER, **options) as batch:
        status = await batch.submit(halt_on_error=False)

    (job,) = status.jobs
    assert job.status == "Unknown"
    assert isinstance(job.failure, JobError)
    assert [(upload.xid, upload.uploaded) for upload in status.uploads] == [("d", False)]
    assert not status.ok
    assert len(sandbox.jobs) == 1
    assert not await Path(path).exists()


async def test_a_drain_that_runs_out_of_time_is_over(
    client: Client, sandbox: Sandbox, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout that comes while it writes is raised there, and what is written is kept, once."""
    began, goes_on = Event(), Event()
    write = JournalFile.write

    def slow(file: JournalFile, steps: Any) -> None:
        began.set()
        goes_on.wait(20)
        write(file, steps)

    async with client.batch(OWNER, journal=path) as batch:
        batch.adversary("a", "a")
        monkeypatch.setattr(JournalFile, "write", slow)
        deadline = asyncio.timeout(None)

        async def drain() -> None:
            async with deadline:
                await batch.drain()

        task = asyncio.create_task(drain())
        await asyncio.to_thread(began.wait, 20)
        deadline.reschedule(0)
        for _ in range(5):
            await checkpoint()
        goes_on.set()
        with pytest.raises(TimeoutError):
            await task
        await batch.drain()
        assert len(await asyncio.to_thread(list, export(path))) == 1
        assert (await batch.submit()).success_count == 1


@pytest.mark.parametrize("end", [1, 2])
async def test_links_that_were_held_wait_again(
    client: Client, sandbox: Sandbox, path: pathlib.Path, end: int
) -> None:
    """Who goes on holds them until their group comes, also where the other end is gone long ago."""
    ends = {f"ref_{end}": "late", f"ref_{3 - end}": "early"}
    with pytest.raises(ZeroDivisionError):
        async with client.stream(OWNER, journal=path, linger=0) as stream:
            stream.campaign("early", xid="early").association("late")
            stream.address("1.2.3.4").association("late")
            stream.add_association(**ends)
            await stream.flush()
            raise ZeroDivisionError
    first = len(sandbox.jobs)

    async with client.stream(OWNER, journal=path, linger=0) as stream:
        assert stream.statistics().held_links == 3
        stream.address("1.2.3.5")
        await stream.flush()
        assert (len(sandbox.jobs), stream.statistics().held_links) == (first + 1, 3)
        stream.adversary("late", "late")
        await stream.flush()
        assert stream.statistics().held_links == 0

    assert stream.status.error_association_count == 0
    linked = [entity for entity in sandbox.entities() if entity.summary == "late"]
    assert len(linked[0].associations) == 2
    assert not await Path(path).exists()


async def test_a_batch_makes_links_that_were_held(
    client: Client, sandbox: Sandbox, path: pathlib.Path
) -> None:
    """It waits for no group: they go with its first submit, once, and the journal is gone."""
    await _hold_a_link(client, path)
    async with client.batch(OWNER, journal=path) as batch:
        assert batch.association_len == 1
        batch.adversary("late", "late")
        status = await batch.submit()

    assert (status.success_count, status.success_association_count) == (2, 1)
    assert not await Path(path).exists()


@pytest.mark.parametrize("halts", [True, False])
@pytest.mark.parametrize("endpoint", ["create", "upload", "status"])
async def test_why_a_job_failed_is_noted(
    client: Client, sandbox: Sandbox, path: pathlib.Path, endpoint: str, halts: bool
) -> None:
    """Who looks at the journal sees how often a job was tried, and why it got no further."""
    sandbox.faults.add(endpoint, forbidden(), times=2)
    async with client.batch(OWNER, journal=path) as batch:
        batch.adversary("a")
        for _ in range(2):
            with suppress(AccessDeniedError):
                await batch.submit(halt_on_error=halts)
        found = await Journal.look(path)

        (job,) = found.jobs
        assert job.attempts == 2
        assert job.failure is not None
        assert "Access Denied" in job.failure
        assert (await batch.submit()).success_count == 1


async def test_why_a_job_failed_is_noted_step_by_step(
    client: Client, sandbox: Sandbox, path: pathlib.Path
) -> None:
    """A failed upload is noted too, and nothing of a job that the journal has forgotten."""
    sandbox.faults.add("upload", forbidden(), times=1)
    async with client.batch(OWNER, journal=path) as batch:
        batch.adversary("a")
        batch_id = await batch.submit_job()
        assert batch_id is not None
        assert await batch.submit_data(batch_id, halt_on_error=False) == {}
        found = await Journal.look(path)

        assert [job.attempts for job in found.jobs] == [1]


async def test_a_lost_job_names_its_entities(
    client: Client, sandbox: Sandbox, path: pathlib.Path
) -> None:
    """With Append, what became of it is not known: so each is told of, when all else is gone."""
    sandbox.faults.add("create_and_upload", Reset(after_done=True), times=1)
    async with client.batch(
        OWNER, attribute_write_type="Append", create_and_upload=True, journal=path
    ) as batch:
        batch.adversary("a", "a", source="actors.csv:2")
        batch.address("1.2.3.4", xid="i")
        status = await batch.submit(halt_on_error=False)

    assert not await Path(path).exists()
    assert [(one.xid, one.state, one.source) for one in status.outcomes] == [
        ("a", "unknown", "actors.csv:2"),
        ("i", "unknown", None),
    ]


async def test_a_link_to_a_group_that_waits_is_not_held(client: Client, path: pathlib.Path) -> None:
    """A group that was drained before the journal was opened again has come."""
    with pytest.raises(ZeroDivisionError):
        async with client.stream(OWNER, journal=path, linger=1000) as stream:
            stream.adversary("a", "a")
            await stream.drain()
            raise ZeroDivisionError
    async with client.stream(OWNER, journal=path, linger=1000) as stream:
        stream.address("1.2.3.4").association("a")
        await stream.drain()

        assert stream.statistics().held_links == 0


async def test_it_is_opened_once(client: Client, path: pathlib.Path) -> None:
    """A second one is refused at once, and nothing happens to the first."""
    async with client.batch(OWNER, journal=path) as batch:
        batch.adversary("a")
        await batch.drain()
        with pytest.raises(JournalLockedError, match=r"journal\.db"):
            await client.stream(OWNER, journal=path).__aenter__()
        assert (await batch.submit()).success_count == 1


async def test_another_owner_is_refused(client: Client, path: pathlib.Path) -> None:
    """What waits for one owner is not sent to another."""
    async with client.batch(OWNER, journal=path) as batch:
        batch.adversary("a")
        await batch.drain()

    with pytest.raises(ConfigurationError, match="owner"):
        await client.batch("Other", journal=path).__aenter__()


@pytest.mark.parametrize("kind", ["batch", "stream"])
async def test_it_needs_its_block(client: Client, path: pathlib.Path, kind: str) -> None:
    """Outside its block a journal is not open: the first call that adds says so, and any other."""
    builder: Any = getattr(client, kind)(OWNER, journal=path)
    for add in (
        lambda: builder.adversary("a"),
        lambda: builder.host("a.example.com"),
        lambda: builder.group("Threat", "a"),
        lambda: builder.add_indicator({"type": "Host", "summary": "a.example.com", "xid": "h"}),
        lambda: builder.add_association(ref_1="a", ref_2="b"),
    ):
        with pytest.raises(UsageError, match=f"inside its block: async with client.{kind}"):
            add()
    with pytest.raises(UsageError, match="inside its block"):
        await builder.drain()
    assert "closed" not in repr(builder)
    assert not await Path(path).exists()

    async with builder:
        builder.adversary("a")
        await builder.drain()
    with pytest.raises(ClosedError):
        builder.adversary("b")


async def test_beyond_the_memory_limit_the_journal_holds_the_records(
    client: Client, sandbox: Sandbox, path: pathlib.Path
) -> None:
    """With a journal nothing is spooled: its own copy is what is sent."""
    async with client.batch(OWNER, journal=path, memory_limit=0) as batch:
        address = batch.address("1.2.3.4")
        for number in range(500):
            batch.address(f"10.0.{number >> 8}.{number & 255}")
        await batch.drain()
        assert batch._indicators.buffer.memory_bytes == 0
        assert batch._spool.nbytes == 0
        with pytest.raises(SealedError):
            address.tag("late")
        assert (await batch.submit()).success_count == 501


async def test_memory_is_counted_for_what_the_journal_gives_back(
    client: Client, path: pathlib.Path
) -> None:
    """Sources come back into memory, and leave it when their records are sent."""
    with suppress(ZeroDivisionError):
        async with client.stream(OWNER, journal=path) as stream:
            for number in range(20):
                stream.host(f"host-{number}.example.com", source={"line": number})
            await stream.drain()
            raise ZeroDivisionError
    async with client.batch(OWNER, journal=path) as batch:
        buffer = batch._indicators.buffer
        assert buffer.memory_bytes == sum(len(part.sources) for part in buffer._segments) > 0
        await batch.submit()
        assert buffer.memory_bytes == 0
