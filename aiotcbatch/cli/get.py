"""`aiotcbatch get`: one signed GET, to look at what an instance has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from aiotcbatch.client import Client

if TYPE_CHECKING:
    from aiotcbatch.cli.display import Display

__all__ = ["as_sent", "get"]

#: What stays as it was typed: what separates parts of a URL, and what is encoded already.
_KEPT = "/?&=%:+,;@!$'()*~"


async def get(display: Display, path: str) -> int:
    """
    Ask for a path of the API and write the answer to stdout.

    Args:
        display: Where to say that the answer was empty.
        path: Below the API URL, such as ``/v2/owners``.

    Returns:
        The exit code.
    """
    async with Client.from_env() as client:
        answer = await client.transport.request("GET", as_sent(path))
    if not answer.body:
        display.remark(f"The answer is empty (status {answer.status}).")
    content = answer.body
    if answer.is_json:
        content = orjson.dumps(
            answer.json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
    sys.stdout.buffer.write(content)
    return 0


def as_sent(path: str) -> str:
    """
    Encode a path as people type it.

    Args:
        path: With or without ``/api``, a first slash, and percent-encoding.

    Returns:
        The path below the API URL, as it goes out.
    """
    below = "/" + path.lstrip("/")
    if below.startswith("/api/"):
        below = below.removeprefix("/api")
    return quote(below, safe=_KEPT)
