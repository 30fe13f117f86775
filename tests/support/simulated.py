"""A server in memory, with faults and cancellation at chosen requests, to try many courses fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from anyio.lowlevel import checkpoint

from aiotcbatch.errors import ConnectionLostError
from aiotcbatch.events import Events
from aiotcbatch.transport.answers import Answer, error_for

if TYPE_CHECKING:
    from collections.abc import Callable

#: What can happen at a request.
MISHAPS = ("", "before", "after", "503", "forget", "cancel before", "cancel after")


@dataclass
class SimulatedJob:
    """A job as the server has it."""

    looks: int
    document: dict[str, Any] | None = None
    state: str = "Created"


@dataclass
class Simulated:
    """
    Takes requests in the place of a transport, and works at one job after the other.

    Attributes:
        mishaps: What happens at the first requests, one for each; nothing happens after them.
        looks: How often a job is looked at before it is done.
        ordered: Whether to mind what points to a group that was not written.
        limit: Bytes of a document at most, None for no bound.
    """

    mishaps: list[str] = field(default_factory=list)
    looks: int = 2
    ordered: bool = True
    limit: int | None = None
    jobs: dict[int, SimulatedJob] = field(default_factory=dict)
    #: The documents that were taken, in their order.
    taken: list[dict[str, Any]] = field(default_factory=list)
    #: The xids of what was written.
    written: set[str] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)
    #: The most jobs that were queued at once.
    most_queued: int = 0
    #: Whether a job was forgotten that had its document.
    has_forgotten: bool = False
    cancel: Callable[[], None] = lambda: None
    events: Events = field(default_factory=Events)
    base: str = "https://simulated.example/api"
    document_limit: int | None = None
    _next_id: int = 1

    async def request(
        self, method: str, path: str, *, body: Any = None, accept: Any = (), **_: Any
    ) -> Answer:
        """Answer a request, or let something happen to it."""
        mishap = self.mishaps.pop(0) if self.mishaps else ""
        if mishap == "cancel before":
            self.cancel()
        await checkpoint()
        if mishap == "before":
            raise ConnectionLostError("lost on the way there")
        if mishap == "503":
            raise error_for(_answer(503, {}), now=0)
        content = await read(body)
        if mishap == "forget":
            self._forget()
        answer = self._act(method, path, content)
        if mishap == "cancel after":
            self.cancel()
        await checkpoint()
        if mishap == "after":
            raise ConnectionLostError("lost on the way back")
        if not answer.ok and answer.status not in accept:
            raise error_for(answer, now=0)
        return answer

    def _forget(self) -> None:
        """Lose all jobs that are not done, as a server that is started anew."""
        unfinished = [number for number, job in self.jobs.items() if job.state != "Completed"]
        self.has_forgotten |= any(self.jobs[number].document for number in unfinished)
        for number in unfinished:
            del self.jobs[number]

    def _act(self, method: str, path: str, content: bytes) -> Answer:
        parts = path.split("/")[2:]
        if parts == ["batch"]:
            return _answer(201, {"batchId": self._create()})
        if parts == ["batch", "createAndUpload"]:
            return self._at_once(content)
        if parts[0] == "groups":
            return self._file(parts[2], content)
        job = self.jobs.get(int(parts[1]))
        if job is None or len(parts) > 2:  # nor has it any errors
            return _answer(404, {})
        if method == "POST":
            return self._upload(job, content)
        self._work()
        count = len(entities(job.document)) if job.state == "Completed" and job.document else 0
        return _answer(200, {"batchStatus": {"status": job.state, "successCount": count}})

    def _create(self) -> int:
        number, self._next_id = self._next_id, self._next_id + 1
        self.jobs[number] = SimulatedJob(self.looks)
        return number

    def _upload(self, job: SimulatedJob, content: bytes) -> Answer:
        if job.document is not None:
            return _answer(400, {})
        if self.limit is not None and len(content) > self.limit:
            return _too_large(self.limit)
        job.document, job.state = orjson.loads(content), "Queued"
        self.taken.append(job.document)
        self.most_queued = max(self.most_queued, len(self._queue()))
        return _answer(202, {"batchStatus": {"status": "Queued"}})

    def _at_once(self, content: bytes) -> Answer:
        number = self._create()
        body = content.split(b"\r\n\r\n")[2].split(b"\r\n--")[0]
        answer = self._upload(self.jobs[number], body)
        if not answer.ok:
            return answer
        return _answer(200, {"batchStatus": {"status": "Queued", "id": number}})

    def _file(self, xid: str, content: bytes) -> Answer:
        if xid not in self.written:
            return _answer(404, {})
        self.files[xid] = content
        return _answer(200, {})

    def _queue(self) -> list[SimulatedJob]:
        return [job for job in self.jobs.values() if job.state == "Queued"]

    def _work(self) -> None:
        """Go on with the oldest job."""
        for job in self._queue()[:1]:
            job.looks -= 1
            if job.looks <= 0 and job.document is not None:
                self._write(job.document)
                job.state = "Completed"

    def _write(self, document: dict[str, Any]) -> None:
        xids = {entity["xid"] for entity in entities(document)}
        missing = set(links(document)) - xids - self.written
        assert not (self.ordered and missing), f"{missing} is pointed to and was not written"
        self.written |= xids


def entities(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Give groups and indicators."""
    return [*document.get("group", ()), *document.get("indicator", ())]


def links(document: dict[str, Any]) -> list[str]:
    """Give the xids of the groups that are pointed to."""
    found = []
    for entity in entities(document):
        found += entity.get("associatedGroupXid", ())
        found += [link["groupXid"] for link in entity.get("associatedGroups", ())]
    for association in document.get("association", ()):
        found += [association["ref_1"], association["ref_2"]]
    return found


def _answer(status: int, data: dict[str, Any]) -> Answer:
    body = orjson.dumps({"status": "Success", "data": data})
    headers = {"Content-Type": "application/json"}
    return Answer(status, headers, body, "http://simulated/api", "GET")


def _too_large(limit: int) -> Answer:
    said = {
        "status": "Invalid",
        "description": f"File size greater than allowable limit of {limit}",
    }
    headers = {"Content-Type": "application/json"}
    return Answer(400, headers, orjson.dumps(said), "http://simulated/api", "POST")


async def read(body: Any) -> bytes:
    """Read what is sent."""
    if body is None or isinstance(body, bytes):
        return body or b""
    return b"".join([bytes(block) async for block in body.blocks()])
