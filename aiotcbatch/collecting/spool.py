"""The spool: encoded records that are kept on disk until they are sent."""

from __future__ import annotations

import os
import tempfile
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
from anyio import to_thread

from aiotcbatch.checking import checked_directory

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Spool", "SpooledSlice", "StoredSlice"]

T = TypeVar("T")

#: The descriptor of a spool to which nothing was written.
_NONE = -1


class StoredSlice(Protocol):
    """Some bytes that are on disk, as a stand-in for a memoryview of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> StoredSlice: ...

    def read(self) -> bytes:
        """Read the bytes."""
        ...

    async def fetch(self) -> bytes:
        """Read the bytes in a worker thread."""
        ...


class SpooledSlice:
    """Some bytes of the spool, as a stand-in for a memoryview of them."""

    __slots__ = ("_length", "_offset", "_spool")

    def __init__(self, spool: Spool, offset: int, length: int) -> None:
        self._spool = spool
        self._offset = offset
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> SpooledSlice:
        start, stop, _ = part.indices(self._length)
        return SpooledSlice(self._spool, self._offset + start, max(stop - start, 0))

    def read(self) -> bytes:
        """
        Read the bytes, from the page cache as a rule.

        Raises:
            OSError: When the disk does not give them back.
        """
        return self._spool.read(self._offset, self._length)

    async def fetch(self) -> bytes:
        """Read the bytes in a worker thread."""
        return await self._spool.in_thread(self.read)


class Spool:
    """
    A temporary file that only grows, and is gone when nothing refers to it any more.

    It has no name, so that nobody else can open it and nothing is left of it when the process
    dies; it is made when something is written to it for the first time.

    Args:
        directory: Where to make it; None for the system's place of temporary files.

    Raises:
        ConfigurationError: When no file can be made there.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self._directory = checked_directory("spool_directory", directory)
        self._descriptor = _NONE
        self._limiter: anyio.CapacityLimiter | None = None
        #: Bytes that were written to it.
        self.nbytes = 0

    async def write(self, block: memoryview) -> SpooledSlice:
        """
        Append a block.

        Returns:
            What stands for it from now on.

        Raises:
            OSError: When the disk is full.
        """
        if self._descriptor == _NONE:
            with anyio.CancelScope(shield=True):
                self._descriptor = await self.in_thread(partial(_open_unnamed, self._directory))
                # Slices outlive the batch, in chunks under way: the last one closes it.
                weakref.finalize(self, os.close, self._descriptor)
        offset = self.nbytes
        # A worker thread remembers its last call, so that is not to hold the spool alive.
        await self.in_thread(partial(_write, self._descriptor, block, offset))
        self.nbytes += len(block)
        return SpooledSlice(self, offset, len(block))

    def read(self, offset: int, length: int) -> bytes:
        """Read some bytes back."""
        if self._descriptor == _NONE:
            raise OSError("nothing was spooled")
        data = os.pread(self._descriptor, length, offset)
        if len(data) != length:
            raise OSError(f"the spool ends after {len(data)} of {length} bytes at {offset}")
        return data

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run something that reads or writes in a worker thread, one at a time."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        return await to_thread.run_sync(call, limiter=self._limiter)


def _open_unnamed(directory: str | os.PathLike[str] | None) -> int:
    descriptor, path = tempfile.mkstemp(prefix="aiotcbatch-", dir=directory)
    Path(path).unlink()
    return descriptor


def _write(descriptor: int, block: memoryview, offset: int) -> None:
    while block:
        written = os.pwrite(descriptor, block, offset)
        block, offset = block[written:], offset + written
