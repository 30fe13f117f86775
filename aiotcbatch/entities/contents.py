"""The contents of documents and reports, as users hand them over and as they wait for upload."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import BinaryIO, NamedTuple

from aiotcbatch.errors import ValidationError

__all__ = [
    "ACCEPTED",
    "Content",
    "FileContent",
    "FileItem",
    "LostContent",
    "check_content",
    "is_content",
]

#: What a content can be, in words.
ACCEPTED = (
    "bytes, str, a path, a file open in binary mode, an async iterable of bytes, or a callable"
    " that returns one of these"
)

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


class LostContent:
    """
    Stands for a content that can be had from nowhere any more: its file is told as not uploaded.

    Args:
        why: What has become of it.
        told: What the result of the upload says; None says why.
    """

    __slots__ = ("_told", "why")

    def __init__(self, why: str, told: str | None = None) -> None:
        self.why = why
        self._told = told

    async def __call__(self, xid: str) -> None:
        """Give nothing."""
        del xid

    def __str__(self) -> str:
        return self._told or (
            f"its content is lost: {self.why}; add its group once more, with a content"
        )


def is_content(content: object) -> bool:
    """Say whether it is a content by itself, not a callable that returns one."""
    in_memory = isinstance(content, bytes | bytearray | memoryview | str)
    return in_memory or isinstance(content, os.PathLike | AsyncIterable) or hasattr(content, "read")


def check_content(content: object, field: str, about: str = "") -> None:
    """
    Refuse what no file can come from; None is no file.

    Raises:
        ValidationError: When it is none of what is accepted.
    """
    if content is None or is_content(content) or callable(content):
        return
    accepted = ACCEPTED
    if inspect.iscoroutine(content):
        content.close()  # it is not awaited any more, which Python would warn of
        accepted = f"{ACCEPTED}; give the function, not its call"
    raise ValidationError(field, content, accepted, about=about)
