"""Servers for benchmarks, each in a process of its own: the sandbox, or a sink."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from aiohttp import web

from aiotcbatch.sandbox import Latency, Sandbox
from aiotcbatch.sandbox.faults import parse
from aiotcbatch.sandbox.store import jobs
from benchmarks.harness import peak

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence


class Sink:
    """
    Takes every job and every file, and has done it at once.

    What is measured against it is the client alone, at its full speed.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._runner: web.AppRunner | None = None

    async def start(self) -> dict[str, str]:
        """Listen, and give the address."""
        app = web.Application(client_max_size=0)
        app.router.add_post("/api/v2/batch", self._create)
        app.router.add_post("/api/v2/batch/{id}", self._upload)
        app.router.add_get("/api/v2/batch/{id}", self._status)
        app.router.add_route("*", "/api/v2/groups/{tail:.*}", self._file)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        return {"api_url": f"http://127.0.0.1:{port}/api", "access_id": "1", "secret_key": "2"}

    async def answer(self, word: str) -> dict[str, Any]:
        """Do what standard input says; there is nothing to forget, and it was never busy."""
        return {"busy": 0.0, "done": word}

    async def aclose(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _create(self, request: web.Request) -> web.Response:
        await _swallow(request)
        data = {"batchId": next(self._numbers)}
        return web.json_response({"status": "Success", "data": data}, status=201)

    async def _upload(self, request: web.Request) -> web.Response:
        await _swallow(request)
        return _status(request, "Queued", 202)

    async def _status(self, request: web.Request) -> web.Response:
        counts = {"errorCount": 0, "successCount": 0, "unprocessCount": 0}
        return _status(request, "Completed", 200, **counts)

    async def _file(self, request: web.Request) -> web.Response:
        await _swallow(request)
        return web.json_response({"status": "Success"})


async def _swallow(request: web.Request) -> None:
    async for _ in request.content.iter_any():
        pass


def _status(request: web.Request, status: str, code: int, **counts: int) -> web.Response:
    state = {"id": int(request.match_info["id"]), "status": status, **counts}
    return web.json_response({"status": "Success", "data": {"batchStatus": state}}, status=code)


class Own:
    """
    The sandbox, with its settings.

    Args:
        upload_delay: Seconds that the answer to each file takes longer.
        faults: What goes wrong, as the command line of the sandbox takes it.
        **settings: Settings of the sandbox.
    """

    def __init__(
        self, *, upload_delay: float = 0.0, faults: Sequence[str] = (), **settings: Any
    ) -> None:
        self._sandbox = Sandbox(
            ["MyOrg"], **{"synchronous_limit": 0, "keep_bodies": 0, "seed": 1, **settings}
        )
        self._delay = upload_delay
        self._faults = faults

    async def start(self) -> dict[str, str]:
        """Listen, and give the address."""
        await self._sandbox.__aenter__()
        self._misbehave()
        return {
            "api_url": self._sandbox.api_url,
            "access_id": self._sandbox.access_id,
            "secret_key": self._sandbox.secret_key,
            "token": self._sandbox.token,
        }

    async def answer(self, word: str) -> dict[str, Any]:
        """Do what standard input says."""
        if word == "reset":
            await self._sandbox.reset()
            self._misbehave()
            return {}
        database = self._sandbox.instance.store.database
        if word == "counts":
            hits = sum(rule.hits for rule in self._sandbox.faults.rules)
            return {**await database.run(_counts), "faults": hits}
        found = await database.run(jobs.listed)
        spans = [(job.completed or 0) - (job.started or 0) for job in found if job.completed]
        return {"busy": sum(spans)}

    async def aclose(self) -> None:
        """Stop."""
        await self._sandbox.aclose()

    def _misbehave(self) -> None:
        if self._delay:
            self._sandbox.faults.add("file_upload", Latency(self._delay))
        self._sandbox.faults.rules += map(parse, self._faults)


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Count what the sandbox holds."""
    queries = {
        "indicators": "entity WHERE kind = 'I'",
        "groups": "entity WHERE kind = 'G'",
        "attributes": "attribute",
        "contents": "content",
        "jobs": "job",
    }
    return {
        name: connection.execute(f"SELECT count(*) FROM {query}").fetchone()[0]  # noqa: S608 (ours)
        for name, query in queries.items()
    }


def usage() -> dict[str, float]:
    """Give the processor time of this process in seconds, and its peak memory in bytes."""
    return {"cpu": time.process_time(), "peak": peak()}


async def main(kind: str, settings: str) -> None:
    """Serve until standard input ends; each line there is answered by one line of JSON."""
    served: Sink | Own = Sink() if kind == "sink" else Own(**json.loads(settings))
    print(json.dumps(await served.start()), flush=True)
    while word := (await anyio.to_thread.run_sync(sys.stdin.readline)).strip():
        answer = usage() if word == "usage" else await served.answer(word)
        print(json.dumps(answer), flush=True)
    await served.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
