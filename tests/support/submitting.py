"""What tests of submitting use: a time that nobody waits for, and a transport with tripwires."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anyio.lowlevel import checkpoint

from aiotcbatch.batch import Batch
from aiotcbatch.submitting.steps import Clock
from aiotcbatch.transport.http import Transport
from aiotcbatch.transport.retry import RetryPolicy
from aiotcbatch.transport.settings import Settings
from support.servers import Naps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiotcbatch.sandbox import Sandbox

OWNER = "MyOrg"


@dataclass
class Time:
    """
    Time that passes as soon as somebody sleeps.

    Who sleeps waits for the sandbox to have done its jobs instead, so that nobody polls in vain.
    """

    sandbox: Sandbox | None = None
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    #: Called by whoever sleeps, with the seconds.
    on_sleep: Callable[[float], None] | None = None

    async def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.slept.append(seconds)
        self.now += seconds
        if self.on_sleep is not None:
            self.on_sleep(seconds)
        await checkpoint()
        if self.sandbox is not None:
            await self.sandbox.idle()

    @property
    def clock(self) -> Clock:
        """This time, as the library wants it."""
        return Clock(now=lambda: self.now, sleep=self.sleep)


class Wire(Transport):
    """
    A transport that notes what is asked, and where something can happen at each point.

    There are two points in each request: before it is sent, and when it was carried out and its
    answer is about to be given.
    """

    def __init__(self, api_url: str, auth: Any, **options: Any) -> None:
        options.setdefault("retry", RetryPolicy(attempts=1, sleep=Naps()))
        super().__init__(api_url, auth, Settings(**options))
        #: ``POST /v2/batch`` and the like; ids are not told apart.
        self.asked: list[str] = []
        #: Called at each point, with what is asked and whether it was carried out.
        self.at: Callable[[str, bool], Awaitable[None]] | None = None

    async def request(self, method: str, path: str, **rest: Any) -> Any:
        """Ask, with what is to happen before and after."""
        asked = f"{method} {_named(path)}"
        self.asked.append(asked)
        if self.at is not None:
            await self.at(asked, False)
        answer = await super().request(method, path, **rest)
        if self.at is not None:
            await self.at(asked, True)
        return answer

    def fail(self, asked: str, error: Exception, *, done: bool, times: int = 1) -> None:
        """Raise an error in the place of some answers, before or after the request is sent."""
        left = times

        async def at(now: str, is_done: bool) -> None:
            nonlocal left
            if left and now == asked and is_done is done:
                left -= 1
                raise error

        self.at = at


def _named(path: str) -> str:
    parts = ["{id}" if part.isdigit() else part for part in path.split("/")]
    if "groups" in parts:
        parts[4] = "{xid}"
    return "/".join(parts)


CREATE = "POST /v2/batch"
UPLOAD = "POST /v2/batch/{id}"
AT_ONCE = "POST /v2/batch/createAndUpload"
STATUS = "GET /v2/batch/{id}"
RESULTS = "GET /v2/batch/{id}/results"
ERRORS = "GET /v2/batch/{id}/errors"
FILE = "POST /v2/groups/documents/{xid}/upload"


@dataclass
class Place:
    """A sandbox, a wire to it, and batches on it whose time passes by itself."""

    sandbox: Sandbox
    wire: Wire
    time: Time

    def batch(self, **options: Any) -> Batch:
        """Make a batch."""
        options.setdefault("clock", self.time.clock)
        options.setdefault("halt_on_error", False)
        return Batch(self.wire, options.pop("owner", OWNER), **options)

    def documents(self) -> list[dict[str, Any]]:
        """Give the documents that the server has taken."""
        return [job.document for job in self.sandbox.jobs if job.body is not None]

    def sent(self) -> list[str]:
        """Give the xids of the entities that the server has taken, as often as it has."""
        return sorted(
            entity["xid"]
            for document in self.documents()
            for kind in ("group", "indicator")
            for entity in document.get(kind, ())
        )

    def stored(self) -> list[str]:
        """Give the names of what is on the server."""
        return sorted(entity.summary for entity in self.sandbox.entities())


def fill(batch: Any, count: int, first: int = 0) -> list[str]:
    """Add addresses; give their summaries in order."""
    numbers = range(first, first + count)
    return sorted(batch.address(f"10.0.{n >> 8}.{n & 255}").summary for n in numbers)


class Points:
    """
    Counts points, and lets something happen at one of them.

    Args:
        act: What is to happen.
        stop: The number of the point, from 1 on; 0 only counts.
    """

    def __init__(self, act: Callable[[], None], stop: int = 0) -> None:
        self.passed = 0
        self._act = act
        self._stop = stop
        #: What was under way when it happened, "" if it did not.
        self.where = ""

    async def at(self, asked: str, is_done: bool) -> None:
        """Count a point of a request."""
        self.count(f"{asked} {'done' if is_done else 'begun'}")
        await checkpoint()

    def count(self, where: object = "sleep") -> None:
        """Count a point."""
        self.passed += 1
        if self.passed == self._stop:
            self.where = str(where)
            self._act()
