"""Answers: what the server said, read as a value or as the error that it means."""

from __future__ import annotations

import re
import zlib
from contextlib import suppress
from datetime import UTC
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.errors import (
    AccessDeniedError,
    AuthenticationError,
    BatchDisabledError,
    ClockError,
    NotFoundError,
    RateLimitedError,
    RequestRefusedError,
    ResponseError,
    UnavailableError,
    UnreadableAnswerError,
    UploadTooLargeError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "error_for", "inflate", "unreadable"]

_UNREAD = object()
_EXCERPT = 2000
_MESSAGE = 500
#: Automatic detection of gzip and zlib headers, for zlib.
_ANY_HEADER = 32 + zlib.MAX_WBITS
_GZIP = b"\x1f\x8b"
_CHARSETS = (
    "ascii",
    "big5",
    "cp",
    "euc",
    "gb",
    "iso",
    "koi8",
    "latin",
    "shift",
    "us-",
    "utf",
    "win",
)
#: Servers send one member; a body of very many costs time out of proportion.
_MEMBERS = 1000
_PIECE = 64 * 1024
#: What says no is short: of a longer body only the beginning is looked at for the server's words.
_SAYING = 64 * 1024


class Answer:
    """
    What the server answered, complete and unpacked.

    Args:
        status: The HTTP status.
        headers: Its headers.
        body: Its body.
        url: The URL that was asked, which never carries credentials.
        method: How it was asked.
    """

    def __init__(
        self, status: int, headers: Mapping[str, str], body: bytes, url: str, method: str
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.url = url
        self.method = method
        self._value: Any = _UNREAD

    def with_body(self, body: bytes) -> Answer:
        """Give the same answer with another body."""
        return Answer(self.status, self.headers, body, self.url, self.method)

    def __repr__(self) -> str:
        return f"<Answer {self.status} to {self.method} {self.url}>"

    @property
    def ok(self) -> bool:
        """Whether it is a yes, 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def content_type(self) -> str:
        """The media type in lower case without its parameters, "" if there is none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people, which this API never sends."""
        return self.content_type == "text/html" or self.body[:64].lstrip()[:1] == b"<"

    @property
    def is_json(self) -> bool:
        """Whether it is meant as JSON; error lists come as octet streams."""
        if self.content_type == "application/octet-stream":
            return self.body[:1] in {b"[", b"{"}
        named = self.content_type == "application/json" or self.content_type.endswith("+json")
        return named and bool(self.body)

    @property
    def text(self) -> str:
        """The body as text; what cannot be decoded is replaced."""
        return _decode(self.body, self.headers)

    def json(self) -> Any:
        """
        Read the body as JSON, whatever its content type says.

        The API sends error lists as octet streams. The value is read once and kept; answers that
        say that they are JSON have been read in a worker thread before they are returned.

        Returns:
            The value.

        Raises:
            UnreadableAnswerError: When the body is not JSON, or not all of it.
        """
        if self._value is _UNREAD:
            try:
                self._value = orjson.loads(self.body)
            except orjson.JSONDecodeError as error:
                raise unreadable(self, f"the answer is not complete JSON ({error})") from error
        return self._value


def _decode(body: bytes, headers: Mapping[str, str]) -> str:
    content_type = Message()
    content_type["Content-Type"] = headers.get("Content-Type", "text/plain")
    charset = content_type.get_content_charset("utf-8")
    # Some of Python's codecs are none of text, or take their time with what is no text.
    with suppress(LookupError, ValueError):
        if charset.startswith(_CHARSETS):
            return body.decode(charset, "replace")
    return body.decode("utf-8", "replace")


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """
    Unpack a body.

    Source: v2 Batch API, errors of a job: the list is gzip-encoded. It is looked at for the magic
    number of gzip too, as a proxy may have lost the header (inferred).

    Args:
        body: The bytes as they came.
        encoding: The Content-Encoding, "" if there is none.
        limit: Bytes that the result may have at most.

    Returns:
        The bytes without their encoding.

    Raises:
        OverflowError: When there would be more than the limit.
        EOFError: When the packed data ends too early.
        ValueError: When they are not what the encoding says, or the encoding was not asked for.
    """
    if encoding in {"gzip", "x-gzip", "deflate"} and body:
        body = _unpack(body, limit)
    elif encoding not in {"", "identity"} and body:
        raise ValueError(f"its encoding is {encoding!r}, which was not asked for")
    return _unpack(body, limit) if body.startswith(_GZIP) else body


def _unpack(body: bytes, limit: int) -> bytes:
    wbits = _ANY_HEADER if body[:1] in {b"\x1f", b"\x78"} else -zlib.MAX_WBITS
    packed = memoryview(body)
    unpacked: list[bytes] = []
    room = limit
    # A gzip file may have several members; anything else at its end is padding.
    while packed:
        if len(unpacked) >= _MEMBERS:
            raise ValueError(f"it is packed in more than {_MEMBERS} members")
        data, packed = _unpack_member(packed, wbits, room)
        room -= len(data)
        unpacked.append(data)
        if packed[:2] != _GZIP:
            break
    return b"".join(unpacked)


def _unpack_member(packed: memoryview, wbits: int, room: int) -> tuple[bytes, memoryview]:
    """Unpack piece by piece, since what a member leaves of its last piece is copied."""
    unpacker = zlib.decompressobj(wbits)
    unpacked: list[bytes] = []
    at = 0
    while not unpacker.eof:
        if at >= len(packed):
            raise EOFError
        piece = packed[at : at + _PIECE]
        at += len(piece)
        try:
            data = unpacker.decompress(piece, room + 1)
        except zlib.error as error:
            raise ValueError(f"it does not unpack ({error})") from error
        room -= len(data)
        if room < 0:
            raise OverflowError
        unpacked.append(data)
    return b"".join(unpacked), packed[at - len(unpacker.unused_data) :]


def unreadable(answer: Answer, what: str, *, transient: bool = True) -> UnreadableAnswerError:
    """
    Make the error for an answer that this API does not give.

    Args:
        answer: The answer.
        what: What is wrong with it, as half a sentence.
        transient: Whether the next answer may be another one.

    Returns:
        The error.
    """
    return UnreadableAnswerError(
        f"{answer.method} {answer.url}: {what}. Check that the API url ends in /api, and ask"
        " whether a proxy stands in between.",
        transient=transient,
        **_about(answer),
    )


def error_for(answer: Answer, *, now: float) -> ResponseError:
    """
    Make the error that an answer other than 2xx means.

    Args:
        answer: The answer.
        now: This machine's time when the answer came, in seconds since 1970.

    Returns:
        The error, most specific first.
    """
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return _redirected(answer)
    said = _server_message(answer)
    kind, advice, extra = _meaning(answer, said, now)
    heard = f", the server says {said!r}" if said else ""
    page = " (an HTML page, which this API does not send: it may come from a proxy)"
    message = (
        f"{answer.method} {answer.url}: {answer.status}{heard}{page if answer.is_html else ''}."
        f" {advice}"
    )
    return kind(message, **extra, **_about(answer, said), retry_after=_retry_after(answer, now))


def _meaning(
    answer: Answer, said: str, now: float
) -> tuple[type[ResponseError], str, dict[str, Any]]:
    """Choose the error, what to do about it, and what only this error carries."""
    status = answer.status
    if status in {403, 503} and _BATCH_DISABLED.search(said):
        return BatchDisabledError, _ENABLE_BATCH, {}
    if status == HTTPStatus.UNAUTHORIZED and _CLOCK in said:
        server = _http_date(answer.headers.get("Date", ""))
        offset = None if server is None else server - int(now)
        return ClockError, _clock_advice(offset), {"offset": offset}
    too_large = _TOO_LARGE.search(said)
    if too_large is not None:
        return UploadTooLargeError, _SEND_LESS, {"limit": int(too_large[1].replace(",", ""))}
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return UploadTooLargeError, _SEND_LESS, {}
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError, "Try again later.", {}
    refused = RequestRefusedError, _MAKE_ROOM if _STORAGE_FULL in said else _AGAINST_A_RULE
    kind, advice = _BY_STATUS.get(status, refused)
    return kind, advice, {}


_BATCH_DISABLED = re.compile(
    "batch job api is not available|not authorized for batch|document storage not enabled"
    "|api access has not been licensed",
    re.IGNORECASE,
)
_STORAGE_FULL = "insufficient document storage"
_CLOCK = "Timestamp out of acceptable time range"
_TITLE = re.compile("<title[^>]{0,200}>", re.IGNORECASE)
_TITLE_END = re.compile("</title", re.IGNORECASE)
_TOO_LARGE = re.compile(r"allowable limit of ([\d,]+)")

_ENABLE_BATCH = "An administrator must enable the Batch API and document storage on this instance."
_SEND_LESS = "Send less at once: lower max_bytes_per_job to what the server allows."
_MAKE_ROOM = "Delete files, or ask an administrator for more document storage."
_AGAINST_A_RULE = "The request is malformed or against a rule of the server: correct what it names."

_BY_STATUS: dict[int, tuple[type[ResponseError], str]] = {
    401: (
        AuthenticationError,
        "Check the credentials, and that their user may do this.",
    ),
    403: (
        AccessDeniedError,
        "Check the owner's name, and that the API user may write to it.",
    ),
    404: (NotFoundError, "Check the id, and that the API url ends in /api."),
    407: (RequestRefusedError, "The proxy asks for credentials: put them into its url."),
    429: (RateLimitedError, "Send fewer requests at a time."),
}


def _clock_advice(offset: float | None) -> str:
    if offset is None:
        return "This machine's clock is off by more than the server allows: set it."
    direction = "behind" if offset > 0 else "ahead of"
    return f"This machine's clock is {abs(offset):.0f} seconds {direction} the server's: set it."


def _redirected(answer: Answer) -> UnreadableAnswerError:
    target = answer.headers.get("Location", "").partition("?")[0]
    return unreadable(
        answer,
        f"{answer.status}, a redirect to {target or 'nowhere'}, which is not followed as the"
        " credentials would go with it",
        transient=False,
    )


def _server_message(answer: Answer) -> str:
    """Take the server's words out of any of the forms in which it says them."""
    text = _decode(answer.body[:_SAYING], answer.headers)
    if answer.is_html:
        # Two searches, since one pattern would go to the end from every tag of a hostile page.
        begin = _TITLE.search(text)
        end = _TITLE_END.search(text, begin.end()) if begin else None
        return _one_line(text[begin.end() : end.start()]) if begin and end else ""
    value = None
    if len(answer.body) <= _SAYING:
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(answer.body)
    if isinstance(value, dict):
        for name in ("message", "description", "errorReason", "errorMessage", "error"):
            if isinstance(value.get(name), str) and value[name]:
                return _one_line(value[name])
    return _one_line(text)


def _one_line(text: str) -> str:
    line = " ".join(text[: 4 * _MESSAGE].split())
    return line if len(line) <= _MESSAGE else f"{line[: _MESSAGE - 1]}\u2026"


def _about(answer: Answer, said: str = "") -> dict[str, Any]:
    return {
        "status": answer.status,
        "method": answer.method,
        "url": answer.url,
        "body": _decode(answer.body[:_EXCERPT], answer.headers),
        "server_message": said,
    }


def _retry_after(answer: Answer, now: float) -> float | None:
    """Read seconds or an HTTP date, which is taken against the server's own clock."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    until = _http_date(value)
    if until is None:
        return None
    server = _http_date(answer.headers.get("Date", ""))
    return max(0.0, until - (now if server is None else server))


def _http_date(value: str) -> float | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
