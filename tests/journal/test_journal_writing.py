"""Writing to a journal: together, on a disk that fails, and when it is cancelled."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import sys
import threading
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from support.journals import GROUPS, INDICATORS, OWNER, RECORDS, reopened

from aiotcbatch import ClosedError, JournalError
from aiotcbatch.journal import Journal, Kind, Run, Segment
from aiotcbatch.journal.file import Step


async def test_steps_that_are_awaited_together_share_a_transaction(journal: Journal) -> None:
    """A hundred steps at once are a few transactions, in the order of the calls."""
    before = journal._file._commits
    async with anyio.create_task_group() as tasks:
        for first in range(0, 1000, 10):
            tasks.start_soon(journal.drained, [Segment.of(Kind.INDICATOR, first, RECORDS)])
        tasks.start_soon(journal.cut, {}, [Run(Kind.INDICATOR, 0, 1000)])

    restored = await reopened(journal)

    assert journal._file._commits - before <= 5
    assert len(restored.segments) == 100
    assert len(restored.jobs) == 1


async def test_a_step_that_fails_fails_alone(journal: Journal) -> None:
    """What shares its transaction is written all the same."""
    outcomes: list[Any] = []

    async def drained(segment: Segment) -> None:
        try:
            outcomes.append(await journal.drained([segment]))
        except AssertionError as error:
            outcomes.append(error)

    async with anyio.create_task_group() as tasks:
        for segment in (GROUPS, GROUPS, INDICATORS):
            tasks.start_soon(drained, segment)

    assert [type(outcome) for outcome in outcomes] == [list, AssertionError, list]
    assert len((await reopened(journal)).segments) == 2


async def test_all_that_share_a_transaction_hear_that_it_was_broken_off(journal: Journal) -> None:
    """None of it is written, so none returns as if it were, whatever it is broken off by."""
    steps: list[Step[Any]] = [
        Step(lambda ledger: ledger.lost(1)),
        Step(lambda _: sys.exit(3)),
    ]
    await asyncio.to_thread(journal._file.write, steps)

    for step in steps:
        with pytest.raises(SystemExit):
            step.outcome()


async def test_a_full_disk_loses_nothing(journal: Journal) -> None:
    """A step that does not fit has not happened, and can be tried again when there is room."""
    await journal.drained([GROUPS])
    db = journal._file._usable()
    db.execute("PRAGMA max_page_count = 40")
    large = Segment.of(Kind.INDICATOR, 0, [b'{"t":"%s"}' % (b"t" * 500_000)])

    with pytest.raises(JournalError, match=r"could not be written.*full"):
        await journal.drained([large], gone=[Run(Kind.GROUP, 0, 10)])
    between = await journal.load()
    db.execute("PRAGMA max_page_count = 100000")
    await journal.drained([large], gone=[Run(Kind.GROUP, 0, 10)])

    restored = await reopened(journal)
    assert [part.kind for part in between.segments] == [Kind.GROUP]
    assert [part.kind for part in restored.segments] == [Kind.INDICATOR]


async def test_a_disk_that_fails_is_not_trusted_again(journal: Journal) -> None:
    """After an fsync that failed nothing is said to be written, until the journal is reopened."""
    await journal.drained([GROUPS])

    def fail(ledger: Any) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR | 4 << 8
        raise error

    with pytest.raises(JournalError, match="disk I/O error"):
        await journal._do(fail)
    with pytest.raises(JournalError, match="open it again"):
        await journal.drained([INDICATORS])
    assert not await journal.remove_if_done()

    async with await Journal.open(journal.path, owner=OWNER) as again:
        assert [part.kind for part in (await again.load()).segments] == [Kind.GROUP]


async def test_a_note_that_cannot_be_made_fails_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed is never said to have failed."""

    def fail(commits: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(journal._file._lock, "note", fail)
    (piece,) = await journal.drained([GROUPS])

    assert piece.read() == GROUPS.body


class Gate:
    """Keeps a step in its thread until it is opened."""

    def __init__(self, journal: Journal) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        write = journal._file.write

        def waiting(steps: Any) -> None:
            self.entered.set()
            self.opened.wait(20)
            write(steps)

        journal._file.write = waiting  # type: ignore[method-assign]

    async def has_one(self) -> None:
        """Wait until a step is in its thread."""
        await asyncio.to_thread(self.entered.wait, 20)


@pytest.mark.parametrize("how", ["task", "scope", "timeout"])
async def test_a_step_that_has_begun_is_finished(journal: Journal, how: str) -> None:
    """Cancelled by whomever, it returns what it did; the next await is cancelled."""
    gate = Gate(journal)
    told: list[Any] = []

    async def drain() -> None:
        told.append(await journal.drained([GROUPS]))
        told.append("next")
        await checkpoint()
        told.append("not reached")

    scope, deadline = anyio.CancelScope(), asyncio.timeout(None)

    async def cancellable() -> None:
        if how == "scope":
            with scope:
                await drain()
            assert scope.cancelled_caught
        elif how == "timeout":
            with pytest.raises(TimeoutError):
                async with deadline:
                    await drain()
            await checkpoint()
        else:
            await drain()

    task = asyncio.create_task(cancellable())
    await gate.has_one()
    if how == "scope":
        scope.cancel()
    elif how == "timeout":
        deadline.reschedule(0)
    else:
        task.cancel()
    for _ in range(5):
        await checkpoint()
    gate.opened.set()
    await asyncio.wait([task])

    assert task.cancelled() == (how == "task")
    assert [bytes(told[0][0].read()), *told[1:]] == [GROUPS.body, "next"]
    assert len((await reopened(journal)).segments) == 1


async def test_a_step_that_was_cancelled_before_has_not_begun(journal: Journal) -> None:
    """Nothing is written."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await journal.drained([GROUPS])

    assert scope.cancelled_caught
    assert (await reopened(journal)).empty


async def test_closing_waits_for_a_step(journal: Journal) -> None:
    """A step that has begun is written before the file is closed."""
    gate = Gate(journal)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.drained, [GROUPS])
        await gate.has_one()
        tasks.start_soon(journal.aclose)
        await checkpoint()
        gate.opened.set()

    assert len((await reopened(journal)).segments) == 1


async def test_a_closed_journal_says_so(journal: Journal) -> None:
    """After its end nothing is written or read; closing it again is harmless."""
    (piece,) = await journal.drained([GROUPS])
    assert repr(journal) == f"<Journal {str(journal.path)!r} of 'MyOrg': open>"
    await journal.aclose()
    await journal.aclose()

    assert repr(journal) == f"<Journal {str(journal.path)!r} of 'MyOrg': closed>"
    assert not await journal.remove_if_done()
    with pytest.raises(ClosedError):
        await journal.drained([INDICATORS])
    with pytest.raises(ClosedError):
        await journal.load()
    with pytest.raises(ClosedError):
        piece.read()
