"""The work of the sandbox that is measured. Each function runs in a process of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio

from aiotcbatch.sandbox import Sandbox
from aiotcbatch.sandbox.store import jobs
from aiotcbatch.sandbox.store.spool import Received
from benchmarks.mix import MIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = {"owner": "MyOrg", "action": "Create", "version": "V2"}
#: Seconds between two looks at a job.
_PERIOD = 0.05


async def work(mix: str, number: int, per_job: int) -> dict[str, Any]:
    """Process jobs by the worker alone, without HTTP: new entities, then the same ones again."""
    document = MIXES[mix]
    bodies = [document(index, per_job) for index in range(number)]
    found: dict[str, Any] = {}
    async with Sandbox(["MyOrg"], keep_bodies=0) as sandbox:
        await _process(sandbox, document(number, per_job))  # warms up
        for name in ("new", "updated"):
            began, cpu = time.perf_counter(), time.process_time()
            for body in bodies:
                await _process(sandbox, body)
            found[name] = {
                "wall": time.perf_counter() - began,
                "cpu": time.process_time() - cpu,
            }
    return found


async def _process(sandbox: Sandbox, body: bytes) -> None:
    instance = sandbox.instance
    run = instance.store.database.run
    job = await run(jobs.create, "MyOrg", CONFIG, 0.0)
    await run(jobs.attach, job.id, Received(len(body), "", body, None), 0.0)
    instance.worker.remember(job)
    await instance.worker.process(job.id)
    if job.counts.error or not job.counts.success:
        raise RuntimeError(f"the sandbox did not take the job: {job.counts}")


async def send(
    address: dict[str, str], mix: str, number: int, per_job: int, distinct: int, at_once: int = 3
) -> dict[str, Any]:
    """
    Send jobs that were prepared, some at a time, each as soon as one before it is completed.

    Args:
        address: Where the sandbox is.
        mix: What is in the jobs.
        number: How many jobs.
        per_job: How many entities each of them has.
        distinct: How many documents there are; they are sent in turns.
        at_once: How many jobs are with the sandbox at any time.

    Returns:
        The wall time, and the processor time of this process.
    """
    bodies = [MIXES[mix](index, per_job) for index in range(distinct)]
    turns = iter([bodies[index % distinct] for index in range(number)])
    headers = {"Authorization": f"TC-Token {address['token']}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        began, cpu = time.perf_counter(), time.process_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(at_once):
                tasks.start_soon(_send_all, session, f"{address['api_url']}/v2/batch", turns)
        return {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}


async def _send_all(session: aiohttp.ClientSession, url: str, bodies: Iterator[bytes]) -> None:
    for body in bodies:
        async with session.post(url, json=CONFIG) as answer:
            number = (await answer.json())["data"]["batchId"]
        kind = {"Content-Type": "application/octet-stream"}
        async with session.post(f"{url}/{number}", data=body, headers=kind) as answer:
            await answer.read()
        status: dict[str, Any] = {}
        while status.get("status") != "Completed":
            await anyio.sleep(_PERIOD)
            async with session.get(f"{url}/{number}") as answer:
                status = (await answer.json())["data"]["batchStatus"]
        if status["errorCount"] or not status["successCount"]:
            raise RuntimeError(f"the sandbox did not take the job: {status}")
