"""A busy service: one stream with a journal after the other, handed over without a gap."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio

from aiotcbatch import Client, HmacAuth, RetryPolicy
from benchmarks.load import address as summary
from benchmarks.vitals import Vitals

if TYPE_CHECKING:
    from aiotcbatch import BatchStatus
    from aiotcbatch.stream import Stream

#: Entities between two drains.
DRAIN = 500
#: Every so many indicators there is a group, which the next ones are linked to; and a document.
GROUP, DOCUMENT = 100, 1_000
CONTENT = b"content " * 128
#: Repeats come sooner than is polite to a server that is somebody else's.
RETRY = RetryPolicy(first_delay=0.02, max_delay=0.5, circuit_pause=0.2, circuit_max_pause=1.0)


class HandOverError(Exception):
    """The watch is over, with whatever is under way."""


class Service:
    """
    Adds entities, each with an attribute that a second sending would double.

    Args:
        client: A client of the server.
        folder: Where the journal is.
        number: Indicators in all.
        interval: Seconds between two looks at what the process holds.
    """

    def __init__(self, client: Client, folder: Path, number: int, interval: float) -> None:
        self._client = client
        self._journal = folder / "journal"
        self._number = number
        self.sent = {"indicators": 0, "groups": 0, "contents": 0}
        #: Contents of which it was told that they are not there.
        self.without: set[str] = set()
        self.vitals = Vitals(folder, interval, lambda: {"indicators": self.sent["indicators"]})

    async def run(self, watches: int) -> None:
        """Work in so many watches; all but the last end in the middle of what they do."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.vitals.watch)
            for watch in range(1, watches + 1):
                try:
                    await self._watch(self._number * watch // watches, last=watch == watches)
                except HandOverError:
                    continue
            tasks.cancel_scope.cancel()

    async def _watch(self, until: int, *, last: bool) -> None:
        async with self._client.stream(
            "MyOrg",
            attribute_write_type="Append",
            journal=self._journal,
            halt_on_failure=False,
            max_entities_per_job=1_000,
            memory_limit=16 << 20,
            linger=0.2,
            on_job=self._note,
        ) as stream:
            while self.sent["indicators"] < until:
                for _ in range(min(DRAIN, until - self.sent["indicators"])):
                    self._add(stream)
                await stream.drain()
            self.vitals.look()
            if not last:
                raise HandOverError

    async def _note(self, status: BatchStatus) -> None:
        self.without.update(upload.xid for upload in status.uploads if not upload.uploaded)

    def _add(self, stream: Stream) -> None:
        number = self.sent["indicators"]
        group = f"g-{number // GROUP}"
        if number % GROUP == 0:
            stream.campaign(f"campaign {number}", xid=group).attribute("Description", "once")
            self.sent["groups"] += 1
        if number % DOCUMENT == 0:
            document = stream.document(f"document {number}", "d.txt", CONTENT, xid=f"d-{number}")
            document.attribute("Description", "once")
            self.sent["groups"] += 1
            self.sent["contents"] += 1
        indicator = stream.address(summary(number), 5, 100, xid=f"i-{number}")
        indicator.attribute("Description", "once")
        indicator.tag("Automated")
        if number % 10 == 0:
            indicator.association(group)
        self.sent["indicators"] += 1


async def soak(
    address: dict[str, str], number: int, watches: int, interval: float
) -> dict[str, Any]:
    """Have a service work, and look at what its process holds."""
    with TemporaryDirectory() as folder:
        auth = HmacAuth(address["access_id"], address["secret_key"])
        async with Client(address["api_url"], auth, retry=RETRY) as client:
            service = Service(client, Path(folder), number, interval)
            began = time.perf_counter()
            await service.run(watches)
            wall = time.perf_counter() - began
        left = [path.name async for path in anyio.Path(folder).iterdir()]
    return {
        "wall": wall,
        "sent": service.sent,
        "without": len(service.without),
        "samples": service.vitals.samples,
        "left": left,
    }
