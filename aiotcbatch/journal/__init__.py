"""
The journal: what ``drain()`` has returned for is never lost, whatever dies.

What is promised
    When a step returns, it is on the disk: the transaction is in SQLite's write-ahead log and
    that was synced (``synchronous=FULL``, with ``F_FULLFSYNC`` where there is one). A process
    that is killed, or a machine that loses its power, finds the last step that returned, and
    perhaps the one after it, whole. That is as true as the disk is when it says that it has
    written.

    One has the journal at a time. A second one is refused at once, in this process or another;
    the system takes the lock back when its holder dies. Looking at it is possible all the time
    (`Journal.look`, `export`).

    A record that is read is the record that was written. Each row has a checksum, all rows
    together have one, and the lock's file tells how many transactions there must be: so a page
    that has rotted, a file that was cut, and a log that was deleted are all noticed when the
    journal is opened, and `Journal.salvage` saves what can be read. Only who deletes the log and
    the lock's file together is believed that there was nothing in them.

    The files can be read by their user only. They are deleted when nothing is left to do.

What it costs
    One fsync a step, about as long as the disk takes for that, whatever the number of entities;
    steps that are awaited together share one. So drain some hundred entities at a time, not each
    by itself.

    Disk: the entities that are not done, twice over while they are in the log. Memory: 4 bytes
    for each entity when it is loaded; the entities themselves stay on disk.
"""

from __future__ import annotations

from aiotcbatch.journal.bodies import JournalSlice
from aiotcbatch.journal.export import export
from aiotcbatch.journal.records import (
    Kind,
    Restored,
    Run,
    Segment,
    StoredFile,
    StoredJob,
    StoredSegment,
)
from aiotcbatch.journal.salvage import Salvaged
from aiotcbatch.journal.store import Journal

__all__ = [
    "Journal",
    "JournalSlice",
    "Kind",
    "Restored",
    "Run",
    "Salvaged",
    "Segment",
    "StoredFile",
    "StoredJob",
    "StoredSegment",
    "export",
]
