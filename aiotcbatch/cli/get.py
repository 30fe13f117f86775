"""`aiotcbatch get`: one signed GET, to look at what an instance has."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import orjson

from aiotcbatch.client import Client
from aiotcbatch.errors import ConfigurationError

if TYPE_CHECKING:
    from aiotcbatch.cli.display import Display

__all__ = ["as_sent", "get"]

_URL = re.compile(r"[a-z]+://", re.IGNORECASE)
#: What stays as it was typed: what separates parts of a URL, and what is encoded already.
_KEPT = "/?&=%:+,;@!$'()*~"


async def get(display: Display, path: str, *, allow_plain_http: bool = False) -> int:
    """
    Ask for a path of the API and write the answer to stdout.

    Args:
        display: Where to say that the answer was empty, or what its header ``Warning`` says.
        path: Below the API URL, such as ``/v2/owners``.
        allow_plain_http: Whether credentials may go in the clear to another machine.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: When it is no such path.
    """
    async with Client.from_env(allow_plain_http=allow_plain_http) as client:
        answer = await client.transport.request("GET", as_sent(path, str(client.transport.base)))
    if warning := answer.headers.get("Warning"):
        display.remark(f"The server warns: {unquote(warning)}")
    if not answer.body:
        display.remark(f"The answer is empty (status {answer.status}).")
    content = answer.body
    if answer.is_json:
        content = orjson.dumps(
            answer.json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
    sys.stdout.buffer.write(content)
    return 0


def as_sent(path: str, base: str) -> str:
    """
    Encode a path as people type it.

    Args:
        path: With or without the API URL, or ``/api``, a first slash, and percent-encoding.
        base: The API URL.

    Returns:
        The path below the API URL, as it goes out.

    Raises:
        ConfigurationError: When it is empty, or the URL of something else.
    """
    inner = path.removeprefix(f"{base}/")
    if not inner.strip("/") or _URL.match(inner):
        raise ConfigurationError("PATH", path, f"a path below {base}, such as /v2/owners")
    below = "/" + inner.lstrip("/")
    if below.startswith("/api/"):
        below = below.removeprefix("/api")
    return quote(below, safe=_KEPT)
