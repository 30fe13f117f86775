"""Submits that are gone on with by another batch, from the journal that the first has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint
from support.submitting import CREATE, STATUS, UPLOAD, Place, fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def cancel_at(scope: anyio.CancelScope, asked: str, *, is_done: bool) -> Callable:
    """Make what cancels a scope at a request."""

    async def at(now: str, now_done: bool) -> None:
        if (now, now_done) == (asked, is_done):
            scope.cancel()
            await checkpoint()

    return at


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("by_steps", [True, False])
async def test_an_upload_that_was_broken_off(
    place: Place, tmp_path: Path, is_done: bool, by_steps: bool
) -> None:
    """Its job's status is asked for before anything is sent, so that it arrives once."""
    path = tmp_path / "journal"
    with anyio.CancelScope() as scope:
        async with place.batch(journal=path, attribute_write_type="Append") as batch:
            fill(batch, 3)
            await batch.drain()
            place.wire.at = cancel_at(scope, UPLOAD, is_done=is_done)
            if by_steps:
                await batch.submit_data(await batch.submit_job() or 0)
            else:
                await batch.submit()
    place.wire.at = None
    place.wire.asked.clear()
    async with place.batch(journal=path, attribute_write_type="Append") as batch:
        status = await batch.submit()

    assert place.wire.asked[0] == STATUS
    assert CREATE not in place.wire.asked
    assert (UPLOAD in place.wire.asked) is not is_done
    assert status.success_count == 3
    assert len(place.sent()) == 3
    assert not path.exists()


async def test_step_by_step(place: Place, tmp_path: Path) -> None:
    """Every step is in the journal, and after the last one nothing is left of it."""
    path = tmp_path / "journal"
    async with place.batch(journal=path) as batch:
        fill(batch, 2)
        batch.document("doc", "f.txt", xid="doc", file_content=b"text")
        batch_id = await batch.submit_job()
        assert batch_id is not None
        await batch.submit_data(batch_id)
        await batch.poll(batch_id)
        await batch.errors(batch_id)
        assert [result.uploaded for result in await batch.submit_files()] == [True]

    assert not path.exists()


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_step_by_step_broken_off(place: Place, tmp_path: Path, steps: int) -> None:
    """After any of the steps a submit brings the rest, and sends nothing again."""
    path = tmp_path / "journal"
    async with place.batch(journal=path) as batch:
        fill(batch, 2)
        batch.document("doc", "f.txt", xid="doc", file_content=b"text")
        batch_id = await batch.submit_job()
        assert batch_id is not None
        if steps > 1:
            await batch.submit_data(batch_id)
        else:
            await batch.drain()
        if steps > 2:
            await batch.poll(batch_id)
    async with place.batch(journal=path) as batch:
        status = await batch.submit()

    assert status.success_count == 3
    assert len(place.sent()) == 3
    assert place.sandbox.files["doc"].content == b"text"
    assert not path.exists()
