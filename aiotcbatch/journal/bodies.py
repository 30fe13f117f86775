"""Bytes that are kept in a journal, and reading them back without waiting for a writer."""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread

from aiotcbatch.errors import ClosedError, JournalDamagedError, JournalError
from aiotcbatch.journal.schema import BLOCK_BYTES, Connection, block_crc

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["AT_REST", "TIDY", "Extent", "JournalSlice", "Readers", "connect_reader", "way_out"]


#: How to read what has no log and to which nobody else can write: nothing is made beside it.
AT_REST = "mode=ro&immutable=1"
#: How to read what has no log while somebody may write to it: what is made beside it is deleted
#: by whoever is the last to close it, which SQLite does only where it could write.
TIDY = "mode=rw"


@dataclass(frozen=True, slots=True)
class Extent:
    """Where some bytes are: in consecutive blocks, all full but the last."""

    block: int
    nbytes: int
    #: The checksum of each block.
    crcs: array[int]


class JournalSlice:
    """Some bytes of a journal, as a stand-in for a memoryview of them."""

    __slots__ = ("_extent", "_length", "_offset", "_readers")

    def __init__(self, readers: Readers, extent: Extent, offset: int, length: int) -> None:
        self._readers = readers
        self._extent = extent
        self._offset = offset
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> JournalSlice:
        start, stop, _ = part.indices(self._length)
        return JournalSlice(self._readers, self._extent, self._offset + start, max(stop - start, 0))

    def read(self) -> bytes:
        """
        Read the bytes, from the page cache as a rule.

        Raises:
            ClosedError: When the journal is closed.
            JournalError: When they were deleted, or the disk does not give them back.
            JournalDamagedError: When they are not what was written.
        """
        return self._readers.read(self._extent, self._offset, self._length)

    async def fetch(self) -> bytes:
        """Read the bytes in a worker thread; it raises what `read` raises."""
        return await to_thread.run_sync(self.read, limiter=self._readers.limiter)


class Readers:
    """
    Connections that only read, beside the one that writes.

    In SQLite's WAL mode a reader waits neither for a writer nor for its fsync. Nobody waits for
    another reader either: who finds none free makes one, so there are as many as read at once.

    Args:
        path: The journal.
        first: A connection that is there already.
    """

    def __init__(self, path: Path, first: Connection | None = None) -> None:
        self._path = path
        self._free: deque[Connection] = deque([first or connect_reader(path)])
        self._closed = False
        #: Whole slices are read in one worker thread.
        self.limiter = CapacityLimiter(1)

    def close(self) -> None:
        """Close the connections; one that is reading is closed when it has read."""
        self._closed = True
        while self._free:
            self._free.pop().close()

    def read(self, extent: Extent, offset: int, length: int) -> bytes:
        """Read some bytes of an extent; blocks that are read as a whole are checked."""
        parts: list[bytes] = []
        with self._connection() as db:
            for at, (start, stop) in _spans(offset, length):
                number = extent.block + at
                try:
                    with db.blobopen("block", "data", number, readonly=True) as blob:
                        blob.seek(start)
                        data = blob.read(stop - start)
                        whole = not start and len(data) == len(blob)
                except sqlite3.Error as error:
                    raise JournalError(
                        f"the journal {self._path} does not give back block {number}: {error}",
                        path=str(self._path),
                    ) from error
                if len(data) != stop - start or (
                    whole and block_crc(number, data) != extent.crcs[at]
                ):
                    raise JournalDamagedError(
                        f"block {number} of the journal {self._path} is not as it was written:"
                        f" {way_out(self._path)}",
                        path=str(self._path),
                        faults=(f"block {number} is damaged",),
                    )
                parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        if self._closed:
            raise ClosedError(f"the journal {self._path} is closed; open it again to read it")
        try:
            db = self._free.pop()
        except IndexError:
            db = connect_reader(self._path)
        try:
            yield db
        finally:
            self._free.append(db)
            if self._closed:
                self.close()


def way_out(path: Path) -> str:
    """Say what can be done about damage."""
    command = f"aiotcbatch journal salvage {quote(str(path))}"
    return f"`{command}` saves what can be read, and keeps the damaged journal"


def connect_reader(path: Path, mode: str = "mode=ro") -> Connection:
    """
    Open a journal, or what may be one, so that nothing of it is changed.

    Args:
        path: The file.
        mode: How, as `AT_REST` or `TIDY`; else the files that readers and writers share are made
            beside it, and stay.
    """
    db = sqlite3.connect(
        f"{path.as_uri()}?{mode}", uri=True, isolation_level=None, check_same_thread=False
    )
    db.execute("PRAGMA query_only = ON")
    # What was text and is damaged is read all the same, and its checksum tells.
    db.text_factory = _decode_text
    return db


def _decode_text(data: bytes) -> str:
    return data.decode(errors="replace")


def _spans(offset: int, length: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Give the blocks that some bytes are in, and from where to where."""
    stop = offset + length
    while offset < stop:
        at, start = divmod(offset, BLOCK_BYTES)
        end = min(BLOCK_BYTES, start + stop - offset)
        yield at, (start, end)
        offset += end - start
