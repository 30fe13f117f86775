"""Producers of file contents: whatever a user hands over becomes a body that can be sent again."""

from __future__ import annotations

import inspect
import os
import tempfile
import threading
from collections.abc import AsyncIterable
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import anyio
from anyio import to_thread

from aiotcbatch.cancelling import only_ours
from aiotcbatch.entities.contents import ACCEPTED, is_content
from aiotcbatch.errors import UsageError, ValidationError
from aiotcbatch.transport.body import BytesBody

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from anyio import CapacityLimiter

    from aiotcbatch.entities.contents import Content, FileContent
    from aiotcbatch.transport.body import Body

__all__ = ["BLOCK_BYTES", "SPOOL_BYTES", "FileBody", "is_read_once", "opened", "produce"]

T = TypeVar("T")

#: Bytes that are read from a file at once.
BLOCK_BYTES = 256 * 1024
#: Bytes of a content that can be read only once which stay in memory; more go to disk.
SPOOL_BYTES = 1024 * 1024
#: Seconds to close what was opened when everything ends.
_GRACE = 5.0
_GIVER = "what gives the content"


async def produce(
    content: FileContent | None, xid: str, threads: CapacityLimiter
) -> tuple[Content | None, bool]:
    """
    Ask a callable for its content.

    Args:
        content: What the user handed over.
        xid: What the callable is given.
        threads: Limits the worker threads, in which callables run that are not coroutine
            functions.

    Returns:
        The content, and whether it was made for this call. An open file that was made so is
        closed after its upload, as nobody else can.

    Raises:
        UsageError: When the callable raises what is no ``Exception``, as by ``sys.exit()``.
        Exception: What else it raises.
    """
    if content is None or is_content(content) or not callable(content):
        return cast("Content | None", content), False
    if _is_async(content):
        made = content(xid)
    else:
        made = await _in_thread(threads, content, xid, abandon_on_cancel=True)
    if not inspect.isawaitable(made):
        return made, True
    with _no_exit():
        return await made, True


@contextmanager
def _no_exit() -> Iterator[None]:
    """
    Turn the end of the process into that of the upload.

    In a task it would break the loop off in the middle, and the threads would wait for ever for
    what the loop has to give them. Ctrl-C is left as it is.
    """
    try:
        with only_ours(_GIVER):
            yield
    except SystemExit as error:
        raise _refused(error) from error


async def _in_thread(
    threads: CapacityLimiter,
    function: Callable[..., T],
    *arguments: Any,
    abandon_on_cancel: bool = False,
) -> T:
    """Run something of the user's in a worker thread, where nothing may end the process."""
    return await to_thread.run_sync(
        partial(_call, function, *arguments), limiter=threads, abandon_on_cancel=abandon_on_cancel
    )


def _call(function: Callable[..., T], *arguments: Any) -> T:
    try:
        return function(*arguments)
    except Exception:
        raise
    except BaseException as error:
        # Ctrl-C never comes in a thread, and no cancellation: whoever was called has raised it.
        raise _refused(error) from error


def _refused(error: BaseException) -> UsageError:
    return UsageError(f"{_GIVER} has raised {error!r}: raise an Exception to have the upload fail")


def is_read_once(content: FileContent | None) -> bool:
    """
    Say whether a content is used up by an upload, whether that ends well or not.

    So are iterators and open files that cannot seek.
    """
    if isinstance(content, AsyncIterable):
        return hasattr(content, "__anext__")
    if not hasattr(content, "read"):
        return False
    seekable = getattr(content, "seekable", None)
    return not (callable(seekable) and not getattr(content, "closed", False) and seekable())


def _is_async(function: Callable[..., object]) -> bool:
    """Say whether calling it only makes a coroutine or an async generator."""
    method = getattr(type(function), "__call__", None)  # noqa: B004 - what a call would run
    return any(
        inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate)
        for candidate in (function, method)
    )


@asynccontextmanager
async def opened(
    content: Content, threads: CapacityLimiter, *, owned: bool = False
) -> AsyncIterator[Body]:
    """
    Open a content for sending, as often as need be.

    Files are read block by block from where they stand, up to where they end now. What can be
    read only once (async iterables, pipes) is copied first, into memory up to 1 MiB and beyond
    that into a temporary file (in ``TMPDIR``): then its size is known, and an upload to a group
    that has a content already, which takes a second request, does not lose it.

    Args:
        content: What to open.
        threads: Limits the worker threads that read files.
        owned: Whether to close an open file at the end. What is opened here always is.

    Yields:
        A body of known size that can be sent again.

    Raises:
        ValidationError: When it is none of what is accepted.
        OSError: When a file cannot be opened or read.
    """
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        yield BytesBody(memoryview(content).cast("B"))
        return
    file, owned = await _open(content, threads, owned=owned)
    try:
        yield file
    except BaseException:
        if not owned:
            # Another upload is to begin where this one did.
            await _close(file.rewind, threads)
        raise
    finally:
        if owned:
            await _close(file.close, threads)


async def _open(content: object, threads: CapacityLimiter, *, owned: bool) -> tuple[FileBody, bool]:
    """Open anything but memory, and say whether it must be closed."""
    if isinstance(content, os.PathLike):
        content = await to_thread.run_sync(partial(open, content, "rb"), limiter=threads)
        owned = True
    if isinstance(content, AsyncIterable):
        return await _spool(aiter(content), threads), True
    if not hasattr(content, "read"):
        raise ValidationError("file_content", content, ACCEPTED)
    handle = cast("IO[bytes]", content)
    try:
        file = await _in_thread(threads, FileBody.over, handle, threads)
        if file is not None:
            owned, close = False, owned
            return file, close
        return await _spool(_read_once(handle, threads), threads), True
    finally:
        if owned:
            await _close(handle.close, threads)


async def _close(close: Callable[[], None], threads: CapacityLimiter) -> None:
    with anyio.move_on_after(_GRACE, shield=True):
        await _in_thread(threads, close)


class FileBody:
    """
    A part of an open file, from a start to an end that do not move.

    Args:
        handle: A file that can seek.
        start: Where to begin.
        size: Number of bytes.
        threads: Limits the worker threads that read it.
    """

    def __init__(self, handle: IO[bytes], start: int, size: int, threads: CapacityLimiter) -> None:
        self._handle = handle
        self._start = start
        self._size = size
        self._threads = threads
        # A read whose request was cancelled may still run when the next request begins.
        self._reading = threading.Lock()

    @classmethod
    def over(cls, handle: IO[bytes], threads: CapacityLimiter) -> FileBody | None:
        """
        Measure a file from where it stands. It blocks: call it in a thread.

        Args:
            handle: The file.
            threads: Limits the worker threads that read it.

        Returns:
            The body, None if the file cannot seek.
        """
        try:
            start = handle.tell()
            handle.seek(0, os.SEEK_END)
            end = handle.tell()
            handle.seek(start)
        except (OSError, ValueError, AttributeError):
            # ValueError also says that the file is closed: then reading it says so again.
            return None
        return cls(handle, start, max(0, end - start), threads)

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self._size

    @property
    def replayable(self) -> bool:
        """It can seek."""
        return True

    async def blocks(self) -> AsyncIterator[bytes | memoryview]:
        """Read it block by block, each in a worker thread."""
        offset = 0
        while offset < self._size:
            block = await _in_thread(self._threads, self._read, offset)
            if not block:
                raise UsageError(
                    f"the file ends after {offset} of {self._size} bytes: it was cut meanwhile"
                )
            offset += len(block)
            yield block

    def rewind(self) -> None:
        """Put the file back to where it stood, after a read that may still be under way."""
        with self._reading, suppress(OSError, ValueError):  # its owner may have closed it
            self._handle.seek(self._start)

    def close(self) -> None:
        """Close the file, after a read that may still be under way."""
        with self._reading:
            self._handle.close()

    def _read(self, offset: int) -> bytes:
        with self._reading:
            self._handle.seek(self._start + offset)
            return _checked(self._handle.read(min(BLOCK_BYTES, self._size - offset)))


def _checked(block: Any) -> bytes:
    if isinstance(block, str):
        raise ValidationError("file_content", "a file or iterable of text", ACCEPTED)
    if not isinstance(block, bytes | bytearray | memoryview):
        raise ValidationError("file_content", f"one that gives {type(block).__name__}", ACCEPTED)
    return cast("bytes", block)


async def _read_once(handle: IO[bytes], threads: CapacityLimiter) -> AsyncIterator[bytes]:
    """Read what cannot seek; a pipe may keep its reader waiting for ever."""
    while block := await _in_thread(threads, handle.read, BLOCK_BYTES, abandon_on_cancel=True):
        yield block


async def _spool(blocks: AsyncIterator[bytes], threads: CapacityLimiter) -> FileBody:
    """Copy what can be read only once."""
    spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - closed by its body
    run = partial(to_thread.run_sync, limiter=threads)
    size = 0
    complete = False
    try:
        with _no_exit():
            async for block in blocks:
                size += memoryview(_checked(block)).nbytes
                await run(spool.write, block)
        complete = True
    finally:
        aclose = getattr(blocks, "aclose", None)
        with anyio.move_on_after(_GRACE, shield=True):
            if aclose is not None:
                await aclose()
            if not complete:
                await run(spool.close)
    return FileBody(cast("IO[bytes]", spool), 0, size, threads)
