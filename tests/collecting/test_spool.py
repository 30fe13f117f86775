"""The spool: bytes on disk that leave nothing behind."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from aiotcbatch.collecting.spool import Spool
from aiotcbatch.collecting.typed import TypedBuilder

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Each slice gives its own bytes, whole and in part."""
    spool = Spool(tmp_path)
    first = await spool.write(memoryview(b"first block"))
    second = await spool.write(memoryview(b"second"))

    assert await first.fetch() == b"first block"
    assert second.read() == b"second"
    assert first[6:].read() == b"block"
    assert len(first[2:5]) == 3
    assert spool.nbytes == 17


def test_it_has_no_name(tmp_path: Path) -> None:
    """No other process can open it, and nothing is left in the directory."""
    spool = Spool(tmp_path)
    asyncio.run(spool.write(memoryview(b"secret")))

    assert list(tmp_path.iterdir()) == []


async def test_it_is_closed_with_its_last_slice(tmp_path: Path) -> None:
    """A slice keeps the file alive, and no descriptor is left after it."""
    spool = Spool(tmp_path)
    piece = await spool.write(memoryview(b"bytes"))
    descriptor = spool._descriptor
    del spool
    assert piece.read() == b"bytes"
    assert os.fstat(descriptor)

    del piece

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_reading_past_the_end_is_an_error() -> None:
    """A spool that does not give the bytes back says so."""
    with pytest.raises(OSError, match="nothing was spooled"):
        Spool().read(0, 1)


async def test_a_builder_holds_no_more_than_its_limit(tmp_path: Path) -> None:
    """After each drain() the encoded entities are within memory_limit, and all are sent."""
    builder = TypedBuilder(memory_limit=100_000, spool_directory=tmp_path)
    for number in range(3000):
        builder.address(f"10.0.{number >> 8}.{number & 255}").attribute("Description", "d" * 100)
        if number % 100 == 99:
            await builder.drain()
            assert builder._indicators.buffer.memory_bytes <= 100_000
    builder.address("10.0.0.7").tag("again")
    await builder.drain()

    chunk = builder._cut()
    assert chunk is not None
    sent = chunk.decode()["indicator"]

    assert len({entity["summary"] for entity in sent}) == len(sent) == 3000
    assert sent[-1]["tag"] == [{"name": "again"}]
