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
    "success",
    "v3_failure",
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


def missing() -> web.Response:
    """Say that there is no such thing."""
    return failure(404, "The requested resource was not found")


def v3_failure(status: int, message: str, code: str = "0x1001") -> web.Response:
    """Say no in the form of v3."""
    return json({"status": "Error", "message": message, "errCode": code}, status)


def page(request: web.Request, found: list[dict[str, Any]]) -> web.Response:
    """Answer with one page of a list that is at hand, in the form of v3."""
    start = _number(request, "resultStart", 0)
    limit = min(_number(request, "resultLimit", 100), LARGEST_PAGE)
    return listing(request, found[start : start + limit], start, limit, len(found))


def listing(
    request: web.Request, part: list[dict[str, Any]], start: int, limit: int, total: int
) -> web.Response:
    """
    Answer with a page of a list, and with the addresses of its neighbours.

    These begin with the path, as clients take only ``https`` ones to be absolute.
    """
    answer: dict[str, Any] = {}
    if start + limit < total:
        answer["next"] = _neighbour(request, start + limit)
    if start > 0:
        answer["prev"] = _neighbour(request, max(0, start - limit))
    answer["data"] = part
    answer["count"] = total
    answer["status"] = "Success"
    return json(answer)


def _neighbour(request: web.Request, start: int) -> str:
    query = [(k, v) for k, v in request.query.items() if k != "resultStart"]
    path = request.path.removeprefix("/api")
    return f"{path}?{urlencode([*query, ('resultStart', str(start))])}"


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default  # noqa: PLR2004
