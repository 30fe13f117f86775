"""The work that is measured, with aiotcbatch. Each function runs in a process of its own."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiotcbatch import Client, HmacAuth
from benchmarks.harness import peak
from benchmarks.lag import Lag
from benchmarks.load import as_dict, as_unlike_dict, fill

if TYPE_CHECKING:
    from aiotcbatch import Batch
    from aiotcbatch.stream import Stream

#: Entities between two drains, where nothing else is said.
DRAIN = 1000
NOWHERE = {"api_url": "http://127.0.0.1:9/api", "access_id": "1", "secret_key": "2"}
WARM = 50_000


def client(address: dict[str, str]) -> Client:
    """Make a client for a server."""
    return Client(address["api_url"], HmacAuth(address["access_id"], address["secret_key"]))


async def collect(
    batch: Batch | Stream,
    number: int,
    *,
    interface: int = 1,
    first: int = 0,
    every: int = DRAIN,
    unlike: bool = False,
) -> None:
    """Add so many indicators, and drain now and then."""
    make = as_unlike_dict if unlike else as_dict
    for start in range(first, number, every):
        numbers = range(start, min(start + every, number))
        if interface == 1:
            for index in numbers:
                fill(batch, index)
        else:
            for index in numbers:
                batch.add_indicator(make(index))
        await batch.drain()


async def build(
    number: int,
    interface: int,
    *,
    at_once: bool = False,
    every: int = DRAIN,
    unlike: bool = False,
) -> dict[str, Any]:
    """Build, encode and cut into jobs, as a submit does."""

    async def add(batch: Batch, number: int) -> None:
        if at_once:
            await batch.extend(map(as_dict, range(number)))
        else:
            await collect(batch, number, interface=interface, every=every, unlike=unlike)

    async with client(NOWHERE) as nobody:
        await add(nobody.batch("MyOrg"), DRAIN)  # warms up
        batch = nobody.batch("MyOrg")
        began, cpu = time.perf_counter(), time.process_time()
        await add(batch, number)
        nbytes = 0
        while (chunk := batch._cut()) is not None:  # noqa: SLF001 (what a submit would send next)
            nbytes += chunk.size
        await batch._tidy()  # noqa: SLF001 (as a submit does at its end)
        return {
            "wall": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "bytes": nbytes,
        }


async def collected(number: int, interface: int, *, limited: bool) -> dict[str, Any]:
    """Collect as it comes, or in memory without a limit, and look at the memory."""
    limits = {} if limited else {"memory_limit": 1 << 40}
    async with client(NOWHERE) as nobody:
        batch = nobody.batch("MyOrg", **limits)
        await collect(batch, number, interface=interface)
        return {"memory": peak()}


async def submit(
    address: dict[str, str], number: int, per_job: int, max_jobs: int = 3
) -> dict[str, Any]:
    """Submit in jobs of one size; what is timed is the submit."""
    async with client(address) as ours:
        batch = ours.batch("MyOrg", max_entities_per_job=per_job, max_jobs=max_jobs)
        await collect(batch, number)
        began = time.perf_counter()
        status = await batch.submit()
        wall = time.perf_counter() - began
    return {"wall": wall, "written": status.success_count, "jobs": len(status.jobs)}


async def stream(address: dict[str, str], number: int) -> dict[str, Any]:
    """Stream, and look at the memory after the first of them and at the end."""
    async with client(address) as ours:
        began, cpu = time.perf_counter(), time.process_time()
        warm = min(WARM, number // 2)
        async with ours.stream("MyOrg") as stream:
            await collect(stream, warm)
            before = peak()
            await collect(stream, number, first=warm)
    return {
        "wall": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "growth": peak() - before,
    }


async def stall(address: dict[str, str], number: int, every: int) -> dict[str, Any]:
    """Build, drain and submit while watching the event loop."""
    async with client(address) as ours:
        async with Lag() as idle:
            await asyncio.sleep(0.5)
        batch = ours.batch("MyOrg")
        async with Lag() as beginning:
            await collect(batch, every, every=every)
        async with Lag() as building:
            await collect(batch, number, first=every, every=every)
        async with Lag() as submitting:
            await batch.submit()
    phases = {
        "idle": idle,
        f"build and drain the first {every}": beginning,
        "build and drain the others": building,
        "submit": submitting,
    }
    return {"phases": {name: lag.figures() for name, lag in phases.items()}}


async def documents(
    address: dict[str, str], number: int, concurrencies: list[int]
) -> dict[str, Any]:
    """Upload small files with each concurrency; what is timed is the upload."""
    found = {}
    for concurrency in concurrencies:
        async with client(address) as ours:
            batch = ours.batch("MyOrg", file_concurrency=concurrency)
            for index in range(number):
                xid = f"d-{concurrency}-{index}"
                batch.document(f"document {index}", "d.txt", b"content " * 64, xid=xid)
            await batch.submit(process_files=False)
            began = time.perf_counter()
            results = await batch.submit_files()
            found[str(concurrency)] = time.perf_counter() - began
            if not all(result.uploaded for result in results):
                raise RuntimeError(f"some files were not uploaded: {results[:3]}")
    return {"wall": found}


async def large_file(address: dict[str, str], nbytes: int) -> dict[str, Any]:
    """Upload a file of a few bytes, then one of many, and look at the memory after each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.bin")
        async with client(address) as ours:
            peaks = []
            for size in (1 << 20, nbytes):
                _sparse(path, size)
                batch = ours.batch("MyOrg")
                batch.document("large", "large.bin", path, xid=f"large-{size}")
                began = time.perf_counter()
                await batch.submit()
                wall = time.perf_counter() - began
                peaks.append(peak())
    return {"wall": wall, "growth": peaks[1] - peaks[0]}


def _sparse(path: Path, nbytes: int) -> None:
    """Make a file of so many zeros, which take no place on the disk."""
    with path.open("wb") as file:
        file.truncate(nbytes)


async def journal(address: dict[str, str], number: int, *, kept: bool) -> dict[str, Any]:
    """Build, drain every 500 and submit, with a journal or without."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal") if kept else None
        async with client(address) as ours, ours.batch("MyOrg", journal=path) as batch:
            began, cpu = time.perf_counter(), time.process_time()
            await collect(batch, number, every=500)
            drained = time.perf_counter() - began
            await batch.submit()
            return {
                "wall": time.perf_counter() - began,
                "cpu": time.process_time() - cpu,
                "drained": drained,
            }
