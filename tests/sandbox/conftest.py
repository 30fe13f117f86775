"""What the sandbox's tests share: a sandbox, and a plain HTTP caller that is not this library."""

from __future__ import annotations

import io
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from aiotcbatch.sandbox import ManualClock, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


@dataclass
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def batch(self) -> dict[str, Any]:
        """The status object of a batch answer."""
        return self.json["data"]["batchStatus"]


class Caller:
    """Sends requests with a token, exactly as they are given."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.session = session
        self.headers = {"Authorization": f"TC-Token {sandbox.token}"}

    async def __call__(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **rest: Any
    ) -> Reply:
        """Send one request and read the answer; text goes as bytes, which the API asks for."""
        if isinstance(rest.get("data"), str):
            rest["data"] = rest["data"].encode()
        url = URL(self.sandbox.api_url + path, encoded=True)
        sent = self.headers if headers is None else headers
        async with self.session.request(method, url, headers=sent, **rest) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def job(self, document: Any, **config: Any) -> tuple[int, dict[str, Any]]:
        """Run a job in two requests and return its id and its status."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        reply = await self("POST", "/v2/batch", json=configuration(**config))
        job_id = reply.json["data"]["batchId"]
        await self("POST", f"/v2/batch/{job_id}", data=io.BytesIO(body))
        await self.sandbox.idle()
        reply = await self("GET", f"/v2/batch/{job_id}?includeAdditional=true")
        return job_id, reply.batch

    async def inline(self, document: Any, **config: Any) -> Reply:
        """Run a job in one request."""
        form = aiohttp.FormData()
        form.add_field("config", json.dumps(configuration(**config)), filename="config")
        form.add_field("content", json.dumps(document), filename="content")
        path = "/v2/batch/createAndUpload?includeAdditional=true"
        return await self("POST", path, data=form)

    async def results(self, job_id: int, query: str = "") -> list[dict[str, Any]]:
        """Return what went wrong in a job, in the newer form."""
        reply = await self("GET", f"/v2/batch/{job_id}/results{query}")
        return [] if reply.status == 404 else reply.json


def configuration(**changes: Any) -> dict[str, Any]:
    """Return a job's configuration."""
    return {
        "owner": "MyOrg",
        "action": "Create",
        "attributeWriteType": "Replace",
        "haltOnError": False,
        "version": "V2",
        **changes,
    }


@asynccontextmanager
async def calling(sandbox: Sandbox) -> AsyncIterator[Caller]:
    """Open a sandbox and a caller for it."""
    async with sandbox, aiohttp.ClientSession() as session:
        yield Caller(sandbox, session)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that moves itself, so that nothing waits."""
    return ManualClock(auto=True)


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    """A caller for a sandbox with one owner and another."""
    async with calling(Sandbox(["MyOrg", "Other"], seed=1)) as caller:
        yield caller
