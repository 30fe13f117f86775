"""The forms of the API's answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

__all__ = [
    "RefusalError",
    "failure",
    "invalid",
    "json",
    "listing",
    "missing",
    "page",
    "plain",
    "require_bytes",
    "success",
    "v3_failure",
    "window",
]

LARGEST_PAGE = 10_000


class RefusalError(Exception):
    """
    The request is refused; whoever let it in sends the answer.

    Args:
        answer: What to send.
    """

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


def json(value: Any, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        body=orjson.dumps(value), status=status, content_type="application/json", charset="utf-8"
    )


def success(data: dict[str, Any], status: int = 200) -> web.Response:
    """Answer with the v2 envelope."""
    return json({"status": "Success", "data": data}, status)


def failure(status: int, message: str) -> web.Response:
    """Say no in the form of v2."""
    return json({"status": "Failure", "message": message}, status)


def invalid(description: str) -> web.Response:
    """Say no in the form of the batch endpoints."""
    return json({"status": "Invalid", "description": description}, 400)


def plain(status: int, text: str) -> web.Response:
    """Say no in plain text, as the batch endpoints do about permissions and features."""
    return web.Response(text=text, status=status)


def require_bytes(request: web.Request) -> None:
    """
    Refuse a body that is not said to be bytes, as the server does for documents and files.

    Raises:
        RefusalError: The content type is another one. The status is inferred.
    """
    if request.content_type != "application/octet-stream" or "Content-Type" not in request.headers:
        raise RefusalError(failure(415, "The content type must be application/octet-stream"))


def missing() -> web.Response:
    """Say that there is no such thing."""
    return failure(404, "The requested resource was not found")


def v3_failure(status: int, message: str, code: str = "0x1001") -> web.Response:
    """Say no in the form of v3."""
    return json({"status": "Error", "message": message, "errCode": code}, status)


def page(
    request: web.Request, query: list[tuple[str, str]], found: list[dict[str, Any]]
) -> web.Response:
    """Answer with one page of a list that is at hand, in the form of v3."""
    start, limit = window(dict(query))
    return listing(request, query, found[start : start + limit], start, limit, len(found))


def window(query: dict[str, str]) -> tuple[int, int]:
    """Return how many to skip and how many to show at most."""
    return _number(query, "resultStart", 0), min(_number(query, "resultLimit", 100), LARGEST_PAGE)


def listing(
    request: web.Request,
    query: list[tuple[str, str]],
    part: list[dict[str, Any]],
    start: int,
    limit: int,
    total: int,
) -> web.Response:
    """
    Answer with a page of a list, and with the addresses of its neighbours.

    These begin with the path, as clients take only ``https`` ones to be absolute.

    Args:
        request: What was asked.
        query: Its parameters, wherever they stood.
        part: What is on the page.
        start: How many come before it.
        limit: The most that a page has.
        total: How many there are.
    """
    answer: dict[str, Any] = {}
    path = request.path.removeprefix("/api")
    kept = [(name, value) for name, value in query if name != "resultStart"]
    if limit and start + limit < total:
        answer["next"] = f"{path}?{urlencode([*kept, ('resultStart', str(start + limit))])}"
    if start > 0:
        before = str(max(0, start - limit))
        answer["prev"] = f"{path}?{urlencode([*kept, ('resultStart', before)])}"
    answer["data"] = part
    answer["count"] = total
    answer["status"] = "Success"
    return json(answer)


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default  # noqa: PLR2004
