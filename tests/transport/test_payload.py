"""A body on its way: what it is not, and what it cannot do."""

from __future__ import annotations

import pytest

from aiotcbatch.transport.body import as_body
from aiotcbatch.transport.payload import WirePayload


class _Once:
    """A body that can be read once, as an iterator is."""

    size = None
    replayable = False

    async def blocks(self):
        """Give its bytes."""
        yield b"once"


class _Writer:
    """Takes what is written, as a connection does."""

    transport = None

    def __init__(self):
        self.written = b""

    async def write(self, piece):
        """Take a piece."""
        self.written += bytes(piece)


def _payload(body):
    return WirePayload(body, content_type=None, timeout=1.0, on_begin=lambda: None)


def test_a_body_is_no_text():
    """Whoever wants it as text, as some tools that show requests do, is told that it is none."""
    with pytest.raises(TypeError, match="not text"):
        _payload(as_body(b"a body")).decode()


async def test_a_body_that_can_be_read_once_is_begun_once():
    """A connection that is opened again by aiohttp itself gets no second half as the whole."""
    payload, writer = _payload(_Once()), _Writer()
    await payload.write(writer)
    with pytest.raises(ConnectionResetError, match="cannot be sent again"):
        await payload.write(writer)

    assert writer.written == b"once"


async def test_a_body_in_memory_is_begun_as_often_as_need_be():
    """Each time from its beginning."""
    payload, writer = _payload(as_body(b"again")), _Writer()
    await payload.write(writer)
    await payload.write(writer)

    assert writer.written == b"againagain"
