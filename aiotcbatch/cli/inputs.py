"""Reading files and standard input in blocks, without holding the loop."""

from __future__ import annotations

import os
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import BinaryIO

__all__ = ["STDIN", "blocks", "total_size"]

#: What stands for standard input on a command line.
STDIN = "-"
_BLOCK = 1 << 20


async def blocks(name: str) -> AsyncGenerator[bytes, None]:
    """
    Read an input from beginning to end.

    Args:
        name: A path, or ``-`` for standard input.

    Yields:
        What it holds, in blocks.
    """
    if name == STDIN:
        async with aclosing(_stdin_blocks(sys.stdin.buffer)) as read:
            async for block in read:
                yield block
        return
    async with await anyio.open_file(name, "rb") as file:
        while block := await file.read(_BLOCK):
            yield block


async def _stdin_blocks(stdin: BinaryIO) -> AsyncGenerator[bytes, None]:
    """Wait in the loop, not in a thread: a thread that waits for a keyboard cannot be ended."""
    descriptor = stdin.fileno()
    waits = True
    while True:
        if waits:
            try:
                await anyio.wait_readable(descriptor)
            except PermissionError:  # a file was redirected: it never makes one wait
                waits = False
        block = await anyio.to_thread.run_sync(os.read, descriptor, _BLOCK)
        if not block:
            return
        yield block


async def total_size(names: tuple[str, ...]) -> int | None:
    """
    Tell how much there is to read.

    Args:
        names: Paths, or ``-`` for standard input.

    Returns:
        Bytes, or None when that cannot be known.

    Raises:
        OSError: When a file is not there.
    """
    if STDIN in names:
        return None
    return sum([(await anyio.Path(name).stat()).st_size for name in names])
