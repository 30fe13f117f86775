"""Request bodies: blocks of bytes of a known or unknown total, sent again if they can be."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

__all__ = ["Body", "BytesBody", "as_body", "multipart"]


@runtime_checkable
class Body(Protocol):
    """What can be sent with a request."""

    @property
    def size(self) -> int | None:
        """Exact number of bytes, None if it is known only at the end."""
        ...

    @property
    def replayable(self) -> bool:
        """Whether `blocks` can be asked for again."""
        ...

    def blocks(self) -> AsyncIterator[bytes | memoryview]:
        """Give the bytes, from the beginning at every call."""
        ...


class BytesBody:
    """
    A body that sits in memory.

    Args:
        data: The bytes; they are not copied.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Exact number of bytes."""
        return len(self._data)

    @property
    def replayable(self) -> bool:
        """Memory can be read again."""
        return True

    async def blocks(self) -> AsyncIterator[bytes | memoryview]:
        """Give the bytes as one block."""
        yield self._data


class _Sequence:
    """Bodies one after the other."""

    __slots__ = ("_bodies",)

    def __init__(self, bodies: Sequence[Body]) -> None:
        self._bodies = bodies

    @property
    def size(self) -> int | None:
        total = 0
        for body in self._bodies:
            if body.size is None:
                return None
            total += body.size
        return total

    @property
    def replayable(self) -> bool:
        return all(body.replayable for body in self._bodies)

    async def blocks(self) -> AsyncIterator[bytes | memoryview]:
        for body in self._bodies:
            async for block in body.blocks():
                yield block


def as_body(data: Body | bytes | None) -> Body | None:
    """Make a body of bytes; a body, and None, stay what they are."""
    return BytesBody(data) if isinstance(data, (bytes, bytearray, memoryview)) else data


def multipart(parts: Sequence[tuple[str, Body | bytes]]) -> tuple[Body, str]:
    """
    Make the body of a form with one file for each part.

    Source: v2 Batch API, createAndUpload: a part has a name and a filename that are the same, and
    no content type.

    Args:
        parts: Names and contents, in the order in which they are sent.

    Returns:
        The body, which knows its exact size if all the contents do, and its content type.
    """
    boundary = uuid4().hex
    framed = (
        (
            BytesBody(
                f"--{boundary}\r\nContent-Disposition: form-data;"
                f' name="{name}"; filename="{name}"\r\n\r\n'.encode()
            ),
            BytesBody(content) if isinstance(content, bytes) else content,
            BytesBody(b"\r\n"),
        )
        for name, content in parts
    )
    closing = BytesBody(f"--{boundary}--\r\n".encode())
    bodies: tuple[Body, ...] = (*chain.from_iterable(framed), closing)
    return _Sequence(bodies), f"multipart/form-data; boundary={boundary}"
