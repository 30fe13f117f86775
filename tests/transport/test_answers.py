"""What the server says, and what it means."""

from __future__ import annotations

import gzip
import json
import zlib
from email.utils import formatdate

import pytest
from aiohttp import web
from support.servers import NOW, ONCE, json_answer, text_answer

from aiotcbatch.auth import TokenAuth
from aiotcbatch.errors import (
    AccessDeniedError,
    AuthenticationError,
    BatchDisabledError,
    ClockError,
    NotFoundError,
    RateLimitedError,
    RequestRefusedError,
    UnavailableError,
    UnreadableAnswerError,
    UploadTooLargeError,
)

pytest_plugins = ["support.wire"]


async def test_json_is_read_once(serve, connect):
    """An answer gives its value as often as it is asked."""
    server = await serve(json_answer({"batchId": 5}))
    answer = await connect(server.url).request("GET", "/v2/x")

    assert answer.json() == {"status": "Success", "data": {"batchId": 5}}
    assert answer.json() is answer.json()
    assert (answer.ok, answer.status, answer.method) == (True, 200, "GET")
    assert answer.url == f"{server.url}/v2/x"


ERRORS = json.dumps([{"errorReason": "näh", "n": n} for n in range(20_000)])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (ERRORS.encode(), {}),
        (gzip.compress(ERRORS.encode()), {"Content-Encoding": "gzip"}),
        (gzip.compress(ERRORS.encode()), {}),
        (gzip.compress(gzip.compress(ERRORS.encode())), {"Content-Encoding": "gzip"}),
        (gzip.compress(ERRORS[:5].encode()) + gzip.compress(ERRORS[5:].encode()), {}),
        (zlib.compress(ERRORS.encode()), {"Content-Encoding": "deflate"}),
        (zlib.compress(ERRORS.encode(), wbits=-15), {"Content-Encoding": "deflate"}),
    ],
)
async def test_packed_answers_are_unpacked(serve, connect, body, headers):
    """An error list is read whether its packing is declared, twice done, or only visible."""

    async def handler(request):
        kind = "application/octet-stream ; boundary="
        return web.Response(body=body, headers={"Content-Type": kind, **headers})

    server = await serve(handler)
    answer = await connect(server.url).request("GET", "/v2/batch/1/errors")

    assert answer.json() == json.loads(ERRORS)


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (gzip.compress(ERRORS.encode())[:-9], {"Content-Encoding": "gzip"}, "cut short"),
        (b"\x1f\x8bnonsense", {}, "unpack"),
        (b"xyz", {"Content-Encoding": "br"}, "'br', which was not asked for"),
        (b'{"data": {"batchId"', {"Content-Type": "application/json"}, "not complete JSON"),
        (b'[{"errorReason": "a"', {"Content-Type": "application/octet-stream"}, "JSON"),
        (b"<html><body>Please log in</body></html>", {"Content-Type": "text/html"}, "HTML page"),
        (b"\n <!DOCTYPE html>", {"Content-Type": "application/json"}, "HTML page"),
        (b"\xef\xbf", {"Content-Type": "application/json"}, "JSON"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_the_apis_is_unreadable(serve, connect, body, headers, said):
    """Pages, truncations and unknown encodings say what they are and what to check."""

    async def handler(request):
        return web.Response(body=body, headers=headers)

    server = await serve(handler)
    with pytest.raises(UnreadableAnswerError, match=said) as caught:
        await connect(server.url, retry=ONCE).request("GET", "/v2/x")

    assert (caught.value.status, caught.value.method) == (200, "GET")
    assert f"GET {server.url}/v2/x" in str(caught.value)
    assert "/api" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b" " * 1001, None), (gzip.compress(b" " * 1001), "gzip"), (gzip.compress(b" " * 1001), None)],
)
async def test_an_answer_that_is_too_large_is_refused(serve, connect, naps, body, encoding):
    """The limit holds for what arrives and for what it unpacks to, and is not tried again."""

    async def handler(request):
        return web.Response(body=body, headers={"Content-Encoding": encoding} if encoding else {})

    server = await serve(handler)
    with pytest.raises(UnreadableAnswerError, match="max_answer_bytes, 1000"):
        await connect(server.url, max_answer_bytes=1000).request("GET", "/v2/x")

    assert naps == []


async def test_an_answer_of_exactly_the_limit_is_taken(serve, connect):
    """The limit itself is allowed, packed or not."""

    async def handler(request):
        return web.Response(body=gzip.compress(b" " * 1000))

    server = await serve(handler)
    answer = await connect(server.url, max_answer_bytes=1000).request("GET", "/v2/x")

    assert answer.body == b" " * 1000


NO_PERMISSION = (
    "Unable to perform the requested operation due to the following error(s): You do not have"
    " permission to create Indicators; Groups; Attributes; Tags; Security Labels;"
)
BATCH_OFF = (
    "Batch job api is not available.  Ensure that batchJobEnabled is true and document storage is"
    " enabled and configured;"
)
NOT_FOR_BATCH = "Organization not authorized for batch"
NO_STORAGE = "Document storage not enabled for this instance"
NO_LICENSE = "API access has not been licensed for this system, ..."
TOO_LARGE = "File size greater than allowable limit of 2000000"


def message(text):
    """Say something as most endpoints do."""
    return json.dumps({"status": "Failure", "message": text})


def description(text):
    """Say something as the batch endpoints do."""
    return json.dumps({"status": "Invalid", "description": text})


NOES = [
    (401, message("Access Denied"), AuthenticationError, "Access Denied"),
    (401, NO_PERMISSION, AuthenticationError, NO_PERMISSION),
    (401, "", AuthenticationError, ""),
    (401, "<h1>no</h1>", AuthenticationError, ""),
    (403, message("x"), AccessDeniedError, "x"),
    (403, description(NOT_FOR_BATCH), BatchDisabledError, NOT_FOR_BATCH),
    (403, description(NO_STORAGE), BatchDisabledError, NO_STORAGE),
    (503, BATCH_OFF, BatchDisabledError, BATCH_OFF.replace("  ", " ")),
    (503, NO_LICENSE, BatchDisabledError, NO_LICENSE),
    (503, "<html><title>Gateway\n busy</title></html>", UnavailableError, "Gateway busy"),
    (503, "", UnavailableError, ""),
    (500, message("An unknown error occurred"), UnavailableError, "An unknown error occurred"),
    (501, "", UnavailableError, ""),
    (404, message("not found"), NotFoundError, "not found"),
    (400, description(TOO_LARGE), UploadTooLargeError, TOO_LARGE),
    (400, TOO_LARGE, UploadTooLargeError, TOO_LARGE),
    (413, "", UploadTooLargeError, ""),
    (400, '[{"errorReason": "odd"}]', RequestRefusedError, '[{"errorReason": "odd"}]'),
    (400, '{"errorReason": "odd"}', RequestRefusedError, "odd"),
    (407, "", RequestRefusedError, ""),
    (409, '{"message": 5}', RequestRefusedError, '{"message": 5}'),
    (429, "", RateLimitedError, ""),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), NOES)
async def test_every_no_is_a_typed_error(serve, connect, status, body, kind, said):
    """The class says what to do, the attributes what it is about, the text both."""
    server = await serve(text_answer(body, status=status))
    with pytest.raises(kind) as caught:
        await connect(server.url, retry=ONCE).request("POST", "/v2/batch")

    error = caught.value
    assert type(error) is kind
    assert (error.status, error.server_message, error.body) == (status, said, body)
    assert str(error).startswith(f"POST {server.url}/v2/batch: {status}")
    assert said in str(error)


async def test_the_limit_of_an_upload_is_read(serve, connect):
    """An upload that is too large says how large it may be."""
    server = await serve(text_answer(TOO_LARGE, status=400))
    with pytest.raises(UploadTooLargeError, match="max_bytes_per_job") as caught:
        await connect(server.url).request("POST", "/v2/batch/1", body=b"{}")

    assert caught.value.limit == 2_000_000


async def test_an_html_page_is_not_taken_for_the_servers_word(serve, connect):
    """An error page is said to be one, as a proxy may have made it."""
    server = await serve(text_answer("<html>502</html>", status=502, content_type="text/html"))
    with pytest.raises(UnavailableError, match=r"HTML page.* proxy"):
        await connect(server.url, retry=ONCE).request("GET", "/v2/x")


@pytest.mark.parametrize(
    ("off", "said"), [(600, "600 seconds ahead"), (-601, "601 seconds behind"), (None, "is off")]
)
async def test_a_clock_that_is_off_says_by_how_much(serve, connect, off, said):
    """The server's own time is in its answer, so the error names the difference."""

    async def handler(request):
        message = {"message": "Timestamp out of acceptable time range"}
        response = web.json_response(message, status=401)
        response.headers["Date"] = "?" if off is None else formatdate(NOW - off, usegmt=True)
        return response

    server = await serve(handler)
    with pytest.raises(ClockError, match=said) as caught:
        await connect(server.url).request("GET", "/v2/owners")

    assert caught.value.offset == (None if off is None else -off)


async def test_redirects_are_not_followed(serve, connect, naps):
    """Credentials do not go elsewhere: a redirect says where it points, without its query."""
    elsewhere = await serve(json_answer())

    async def handler(request):
        raise web.HTTPFound(f"{elsewhere.url}/v2/owners?token=abc")

    server = await serve(handler)
    with pytest.raises(UnreadableAnswerError, match=f"redirect to {elsewhere.url}/v2/owners,"):
        await connect(server.url).request("GET", "/v2/owners")

    assert (elsewhere.seen, naps) == ([], [])


async def test_accepted_statuses_are_returned(serve, connect):
    """A status that the caller expects is an answer, and a 401 asks for no other token."""
    server = await serve(text_answer("<html>", status=401))
    answer = await connect(server.url, TokenAuth("t")).request("GET", "/v2/x", accept=(401, 404))

    assert (answer.ok, answer.status, answer.text) == (False, 401, "<html>")


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("iso-8859-1", "näh".encode("latin-1")),
        ("utf-8", "näh".encode()),
        ("no-such", "näh".encode()),
    ],
)
async def test_text_is_decoded_as_declared(serve, connect, charset, body):
    """The declared charset is used, and UTF-8 where it is unknown."""

    async def handler(request):
        headers = {"Content-Type": f"text/plain; charset={charset}"}
        return web.Response(body=body, headers=headers)

    server = await serve(handler)
    answer = await connect(server.url).request("GET", "/v2/x")

    assert answer.text == "näh"
