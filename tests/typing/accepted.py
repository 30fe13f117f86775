"""What users write, and of which type it is; this is checked and not run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, assert_type

from aiotcbatch import (
    Address,
    Adversary,
    Association,
    Attribute,
    AttributeType,
    Batch,
    BatchError,
    BatchStatus,
    Client,
    ClientStatistics,
    CustomIndicator,
    Document,
    Entity,
    ErrorCode,
    File,
    FileContent,
    FileOccurrence,
    Group,
    HmacAuth,
    Host,
    Indicator,
    IndicatorType,
    Outcome,
    Outcomes,
    Owner,
    RegistryKey,
    RetryPolicy,
    SecurityLabel,
    Settings,
    Stream,
    StreamStatistics,
    Tag,
    TokenAuth,
    UploadResult,
    ValidationError,
    generate_xid,
)
from aiotcbatch.events import ClientEvent, JobFinished
from aiotcbatch.telemetry import OpenTelemetry


def listening(event: ClientEvent) -> None:
    """Tell events apart, as a listener does."""
    assert_type(event.fields, dict[str, object])
    if isinstance(event, JobFinished):
        assert_type(event.batch_id, int | None)


async def fresh_token() -> str:
    """Make a token."""
    return "token"


async def clients() -> None:
    """Clients, and what they are asked."""
    hmac = HmacAuth("id", "secret")
    Client("https://x/api", TokenAuth(fresh_token), on_event=listening, timeout=5, verify=False)
    Client("https://x/api", hmac, settings=Settings(retry=RetryPolicy(attempts=3)))
    Client("https://x/api", hmac, on_event=lambda event: event.event)
    Client("https://x/api", hmac, on_event=OpenTelemetry())
    async with Client.from_env({"TC_TOKEN": "x"}, max_connections=4) as client:
        assert_type(client, Client)
        assert_type(await client.owners(), list[Owner])
        assert_type(await client.indicator_types(), list[IndicatorType])
        assert_type(await client.attribute_types(), list[AttributeType])
        assert_type(client.statistics(), ClientStatistics)
        assert_type(client.batch("o", "Delete", max_jobs=2, journal=Path("x")), Batch)
        assert_type(client.stream("o", linger=0.5, on_job=None, journal="x"), Stream)


def groups(batch: Batch) -> None:
    """Each method gives its own class, whose fields are properties."""
    adversary = batch.adversary("Fancy Bear", first_seen=datetime.now(UTC), source=["feed", 3])
    assert_type(adversary, Adversary)
    assert_type(adversary.name, str | None)
    assert_type(adversary.first_seen, str | None)
    adversary.first_seen = "2 days ago"
    adversary.first_seen = 1_700_000_000
    adversary.first_seen = None
    assert_type(adversary.attribute("Description", 3, displayed=True, pinned=True), Attribute)
    assert_type(adversary.tag("APT", formatter=str.upper), Tag)
    assert_type(adversary.security_label("TLP:GREEN"), SecurityLabel)
    adversary.association(batch.campaign("c", "2024-01-01"))
    adversary.association("an xid")
    assert_type(batch.group("Adversary", "x", xid=False), Group)
    assert_type(batch.document("d", "d.txt", b"", xid="x"), Document)
    for to_delete in (batch.document, batch.email, batch.signature):
        to_delete("d", xid="x")
    assert_type(batch.add_group({"type": "Adversary", "name": "x", "xid": "x"}), Group)
    assert_type(generate_xid(["a", "b"]), str)


def indicators(batch: Batch) -> None:
    """Numbers may be text, and a host takes its flags in both places."""
    address = batch.address("1.2.3.4", "5.0", "100", active=False)
    assert_type(address, Address)
    assert_type(address.rating, float | None)
    assert_type(address.confidence, int | None)
    address.rating, address.confidence = "5.0", 100
    assert_type(batch.host("a.example", 5, 100), Host)
    assert_type(batch.host("a.example", True, False, 5, 100), Host)
    assert_type(batch.host("a.example", rating=4.5, dns_active=True), Host)
    assert_type(batch.registry_key("HKLM\\x", "value", "REG_DWORD"), RegistryKey)
    file = batch.file("a" * 32, size=4)
    assert_type(file, File)
    assert_type(file.md5, str | None)
    assert_type(file.size, int | None)
    assert_type(file.occurrence("a.exe", date="2024-01-01"), FileOccurrence)
    file.occurrence().date = datetime.now(UTC)
    file.association(batch.document("d", "d.txt"))
    assert_type(batch.indicator("Custom", ["a", "b"], 5), Indicator)
    assert_type(batch.add_indicator({"type": "Host", "summary": "a.example"}), Indicator)
    assert_type(batch.add_association(ref_1="a", ref_2="b"), Association)
    assert_type(batch.add_association({"ref_1": "a", "ref_2": "b"}), Association)
    assert_type(batch.add({}), Group | Indicator | Association)


def is_an_entity(indicator: CustomIndicator, group: Document) -> Entity:
    """Groups and indicators are entities."""
    assert_type(indicator.xid, str)
    assert_type(indicator.data, dict[str, Any])
    return indicator or group


async def blocks() -> AsyncIterator[bytes]:
    """Give a content block by block."""
    yield b"block"


def content(xid: str) -> bytes:
    """Make a content."""
    return xid.encode()


async def content_later(xid: str) -> Path | None:
    """Make a content later."""
    return Path(xid)


def contents(batch: Batch, opened: BinaryIO, any_of_them: FileContent) -> None:
    """A content can be whatever is said of it."""
    for one in (b"bytes", bytearray(), memoryview(b""), "text", Path("a"), any_of_them):
        batch.document("d", "d.txt", one)
    for other in (opened, blocks(), content, content_later, lambda xid: xid):
        batch.document("d", "d.txt", file_content=other)
    report = batch.report("r", file_name="r.txt")
    assert_type(report.file_content, FileContent | None)
    report.file_content = content_later
    report.add_file("r.txt", blocks())


async def feed() -> AsyncGenerator[dict[str, str], None]:
    """Give dicts as they come."""
    yield {"type": "Host", "summary": "a.example", "xid": "a"}


async def extending(batch: Batch, refused: list[object]) -> None:
    """Many dicts come from an iterable or an async iterable."""
    dicts: list[dict[str, str]] = []

    def on_refused(item: Mapping[str, Any], error: ValidationError) -> None:
        refused.append((item["xid"], error.field, error.value))

    assert_type(await batch.extend(dicts), int)
    assert_type(await batch.extend(iter(dicts), source=lambda number, item: number), int)
    assert_type(await batch.extend(feed(), on_refused=on_refused), int)


async def submitting(batch: Batch) -> None:
    """A submit gives a status, whole or job by job."""
    status = await batch.submit(halt_on_error=False)
    assert_type(status, BatchStatus)
    assert_type(await batch.submit_all(poll=False), list[BatchStatus])
    assert_type([one async for one in batch.submit_iter()], list[BatchStatus])
    assert_type(await batch.retry(status), BatchStatus)
    assert_type(await batch.add_failed(Path("failed.ndjson")), int)
    batch_id = await batch.submit_job()
    assert_type(batch_id, int | None)
    if batch_id is not None:
        assert_type(await batch.submit_data(batch_id), dict[str, Any])
        assert_type(await batch.poll(batch_id), dict[str, Any])
        assert_type(await batch.errors(batch_id), list[BatchError])
        assert_type(await batch.submit_files(), list[UploadResult])
    assert_type(batch.in_flight, tuple[int, ...])
    batch.halt_on_file_error = None
    batch.max_entities_per_job = 5


async def results(status: BatchStatus) -> None:
    """A status is a dict, and has properties that know what they are."""
    assert_type(status["successCount"], Any)
    assert_type(status.success_count, int)
    assert_type(status.jobs, list[BatchStatus])
    assert_type(status.uploads, list[UploadResult])
    assert_type(status.failure, Exception | None)
    assert_type(await status.write_dead_letters("failed.ndjson"), int)
    for error in status.errors:
        assert_type(error, BatchError)
        assert_type(error.code, str | None)
        assert_type(error.xid, str | None)
    assert_type(status.outcomes, Outcomes)
    assert_type(status.outcomes.rejected, Iterator[Outcome])
    assert_type(status.outcomes.count("rejected"), int)
    for outcome in status.outcomes:
        assert_type(outcome.errors, tuple[BatchError, ...])
        assert_type(outcome.xid, str | None)
        assert_type(outcome.upload, UploadResult | None)
        if outcome.kind == "association":
            continue
        if outcome.state == "rejected":
            return
    async for outcome in status.outcomes:
        assert_type(outcome, Outcome)


async def streaming(stream: Stream, on_job: Callable[[BatchStatus], None]) -> None:
    """A stream is entered, drained and followed."""
    async with stream as entered:
        assert_type(entered, Stream)
        assert_type(entered.address("1.2.3.4"), Address)
        await entered.drain()
        async with entered.following() as jobs:
            async for status in jobs:
                assert_type(status, BatchStatus)
                on_job(status)
        assert_type(await entered.extend(feed()), int)
        assert_type(entered.statistics(), StreamStatistics)
        assert_type(entered.status, BatchStatus)


def meanings(error: ErrorCode) -> tuple[str, str]:
    """A code of the server has a meaning and a hint."""
    return error.meaning, error.hint
