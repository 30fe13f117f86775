"""What users cannot write; this is checked, and each line that says so must be refused."""

# pyright: reportUnnecessaryTypeIgnoreComment=true, reportUnnecessaryComparison=true

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_type

from aiotcbatch import Batch, BatchStatus, Client, HmacAuth, Settings, Stream, TokenAuth

if TYPE_CHECKING:
    from aiotcbatch import Adversary, Outcome
    from aiotcbatch.events import ClientEvent, JobFinished


def takes_one_kind(event: JobFinished) -> None:
    """Take one kind of event, where a listener is given all."""
    del event


def clients(auth: HmacAuth) -> None:
    """Credentials are objects, and settings are named."""
    Client("https://x/api", "secret")  # type: ignore[arg-type]
    Client("https://x/api", auth, timeout="5")  # type: ignore[arg-type]
    Client("https://x/api", auth, time_out=5)  # type: ignore[call-arg]
    Client("https://x/api", auth, on_event=takes_one_kind)  # type: ignore[arg-type]
    Settings(True)  # type: ignore[call-arg]
    TokenAuth(lambda: 5)  # type: ignore[arg-type, return-value]


def batches(client: Client) -> None:
    """Settings of batches and streams are not the same, and have types."""
    client.batch()  # type: ignore[call-arg]
    client.batch("o", linger=0.5)  # type: ignore[call-arg]
    client.batch("o", max_jobs="3")  # type: ignore[arg-type]
    client.batch("o", journal=3)  # type: ignore[arg-type]
    client.stream("o", spool_directory="x")  # type: ignore[call-arg]
    client.stream("o", on_job=takes_one_kind)  # type: ignore[arg-type]


def entities(batch: Batch, adversary: Adversary) -> None:
    """Names are text, and types have the fields that they have."""
    batch.adversary()  # type: ignore[call-arg]
    batch.adversary(3)  # type: ignore[arg-type]
    batch.adversary("a", event_date="2024-01-01")  # type: ignore[call-arg]
    batch.adversary("a", first_seen=[])  # type: ignore[arg-type]
    batch.address("1.2.3.4").rating = []  # type: ignore[assignment]
    batch.address("1.2.3.4", [])  # type: ignore[arg-type]
    batch.address("1.2.3.4", dns_active=True)  # type: ignore[call-arg]
    batch.host("a.example", dns_active="yes")  # type: ignore[call-overload]
    batch.document("d")  # type: ignore[call-overload]
    batch.document("d", "d.txt", 5)  # type: ignore[call-overload]
    batch.document("d", "d.txt", lambda: b"")  # type: ignore[arg-type]
    batch.email("e", "subject", xid="x")  # type: ignore[call-overload]
    adversary.tag(5)  # type: ignore[arg-type]
    adversary.tag("a", formatter="upper")  # type: ignore[arg-type]
    adversary.file_content = b""  # type: ignore[attr-defined]
    adversary.first_seen = []  # type: ignore[assignment]
    adversary.association(5)  # type: ignore[arg-type]
    batch.add_group("Adversary")  # type: ignore[arg-type]


async def submits(batch: Batch, stream: Stream) -> None:
    """What is awaited is awaited, and what is a coroutine is not a value."""
    _ = batch.submit().success_count  # type: ignore[attr-defined]
    await batch.adversary("a")  # type: ignore[misc]
    await batch.submit(halt_on_eror=True)  # type: ignore[call-arg]
    await batch.extend([1, 2])  # type: ignore[list-item]
    await batch.extend([], source="feed")  # type: ignore[arg-type]
    await batch.extend([], on_refused=lambda item: None)  # type: ignore[arg-type, misc]
    await batch.add_failed(3)  # type: ignore[arg-type]
    await stream.submit()  # type: ignore[attr-defined]
    with batch:  # type: ignore[attr-defined]
        pass
    for _ in batch.submit_iter():  # type: ignore[attr-defined]
        pass


def results(status: BatchStatus, outcome: Outcome, event: ClientEvent) -> None:
    """What was told cannot be changed, and has the states that it has."""
    status.success_count = 3  # type: ignore[misc]
    outcome.state = "accepted"  # type: ignore[misc]
    status.outcomes.count("refused")  # type: ignore[arg-type]
    if outcome.state == "refused":  # type: ignore[comparison-overlap]
        pass
    assert_type(outcome.data, dict[str, str])  # type: ignore[assert-type]
    _ = event.batch_id  # type: ignore[attr-defined]
    Path(outcome.summary)  # type: ignore[arg-type]
