"""The contents of documents and reports, as users hand them over and as they wait for upload."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import BinaryIO, NamedTuple

__all__ = ["Content", "FileContent", "FileItem"]

#: What the bytes of a file can come from; a str is the text itself, not a path.
Content = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | AsyncIterable[bytes]

#: The same, or a callable that is given the xid and returns it, or None for no file.
FileContent = Content | Callable[[str], Content | Awaitable[Content | None] | None]


class FileItem(NamedTuple):
    """A content that is uploaded once its group is on the server."""

    #: The xid of the group.
    xid: str
    #: ``Document`` or ``Report``.
    type: str
    content: FileContent | None
    file_name: str | None = None
