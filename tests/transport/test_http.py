"""The transport, in conversation with servers on loopback."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import anyio
import pytest
from aiohttp import web
from aioresponses import aioresponses
from support.leaks import held
from support.servers import (
    AUTH,
    NOW,
    ONCE,
    Stream,
    bytes_answer,
    in_turn,
    json_answer,
    text_answer,
)

from aiotcbatch.auth import TokenAuth
from aiotcbatch.errors import (
    AuthenticationError,
    ClosedError,
    ConnectError,
    ConnectionLostError,
    RequestRefusedError,
    RequestTimeoutError,
    UnreadableAnswerError,
    UsageError,
)
from aiotcbatch.transport.answers import unreadable
from aiotcbatch.transport.body import multipart
from aiotcbatch.transport.http import Transport
from aiotcbatch.transport.retry import RetryPolicy
from aiotcbatch.transport.settings import Settings

pytest_plugins = ["support.wire"]


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/v2/owners", None, "/api/v2/owners"),
        ("/v2/batch/1", {"includeAdditional": "true"}, "/api/v2/batch/1?includeAdditional=true"),
        ("/v2/x", {"owner": "A & B/Ö+1"}, "/api/v2/x?owner=A%20%26%20B%2F%C3%96%2B1"),
        ("/v3/x?n=5", [("f", "a"), ("f", "b")], "/api/v3/x?n=5&f=a&f=b"),
        ("/v2/x/a%2Fb%3F%23%25:/upload", None, "/api/v2/x/a%2Fb%3F%23%25:/upload"),
        ("/v2/x/%2E%2E/upload", None, "/api/v2/x/%2E%2E/upload"),
    ],
)  # fmt: skip
async def test_signs_exactly_what_is_sent(serve, connect, path, query, target):
    """The request line is what was asked for, and the signature is of these very bytes."""
    server = await serve(json_answer())
    await connect(server.url + "/").request("GET", path, query=query)

    [seen] = server.seen
    expected = AUTH.headers("GET", seen.target, int(NOW))
    assert seen.target == target
    assert {name: seen.headers[name] for name in expected} == expected


async def test_a_body_is_streamed_with_its_exact_length(serve, connect):
    """A body of known size goes out with Content-Length, block by block, views included."""
    server = await serve(json_answer())
    big = memoryview(bytes(range(256)) * 4096)
    body = Stream(b"[", big, b"", b"]", size=len(big) + 2)
    await connect(server.url).request("POST", "/v2/batch/1", body=body, content_type="text/x")

    [seen] = server.seen
    assert seen.body == b"[" + bytes(big) + b"]"
    assert seen.headers["Content-Length"] == str(len(big) + 2)
    assert seen.headers["Content-Type"] == "text/x"
    assert (body.begun, body.closed) == (1, 1)


async def test_a_body_may_be_any_async_iterator(serve, connect):
    """Blocks need not come from a generator, which could be closed."""

    class Pieces(Stream):
        def blocks(self):
            return self

        async def __anext__(self):
            if not self.rest:
                raise StopAsyncIteration
            return self.rest.pop(0)

    server = await serve(json_answer())
    body = Pieces(size=3)
    body.rest = [b"a", b"bc"]
    await connect(server.url).request("POST", "/v2/x", body=body)

    assert server.seen[0].body == b"abc"


async def test_a_body_of_unknown_size_is_chunked(serve, connect):
    """A body that does not know its size goes out in chunks."""
    server = await serve(json_answer())
    await connect(server.url).request("POST", "/v2/x", body=Stream(b"ab", b"c"))

    [seen] = server.seen
    assert (seen.body, seen.headers["Transfer-Encoding"]) == (b"abc", "chunked")


@pytest.mark.parametrize("body", [b"", Stream(size=0)])
async def test_an_empty_body_has_length_zero(serve, connect, body):
    """Nothing is sent as nothing, not as a chunked body."""
    server = await serve(json_answer())
    await connect(server.url).request("POST", "/v2/x", body=body)

    [seen] = server.seen
    assert (seen.body, seen.headers["Content-Length"]) == (b"", "0")


async def test_multipart_has_the_form_of_the_reference_client(serve, connect):
    """Each part has name and filename and no content type, and the total length is exact."""
    server = await serve(json_answer())
    body, content_type = multipart([("config", b"{}"), ("content", Stream(b"[1", b"]", size=3))])
    await connect(server.url).request(
        "POST", "/v2/batch/createAndUpload", body=body, content_type=content_type
    )

    [seen] = server.seen
    boundary = content_type.removeprefix("multipart/form-data; boundary=")
    assert seen.headers["Content-Length"] == str(len(seen.body)) == str(body.size)
    assert seen.headers["Content-Type"] == content_type
    assert seen.body.decode() == (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="config"; filename="config"\r\n\r\n{}\r\n'
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="content"; filename="content"\r\n\r\n[1]\r\n'
        f"--{boundary}--\r\n"
    )


def test_multipart_is_what_its_parts_are():
    """It can be repeated, and knows its size, only if all its parts can and do."""
    body, _ = multipart([("a", b"1"), ("b", Stream(replayable=False))])

    assert (body.size, body.replayable) == (None, False)


async def test_user_agent_and_encoding_are_said(serve, connect):
    """The server learns who asks, and only encodings that can be read are asked for."""
    server = await serve(json_answer())
    await connect(server.url, user_agent="feed/1").request("GET", "/v2/owners")

    headers = server.seen[0].headers
    assert (headers["User-Agent"], headers["Accept-Encoding"]) == ("feed/1", "gzip, deflate")


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("https://tc.example/api/v3/x?resultStart=100", "/v3/x?resultStart=100"),
        ("http://tc.example/api/v3/x?resultStart=100", "/v3/x?resultStart=100"),
        ("/api/v3/x?a=b", "/v3/x?a=b"),
        ("/v3/x?a=b c", "/v3/x?a=b+c"),
        ("https://elsewhere.example/api/v3/x", None),
        ("https://tc.example:8443/api/v3/x", None),
        ("v3/x", None),
    ],
)
def test_links_are_followed_on_the_same_host_only(link, path):
    """A link is a path of the API, or leads elsewhere."""
    assert Transport("https://tc.example/api", AUTH).path_of(link) == path


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_401_is_tried_once_more_with_new_credentials(serve, connect, method):
    """A supplier is asked again, and the request signed anew and sent once more."""
    tokens = iter(["t1", "t2", "t3"])

    async def supply():
        return next(tokens)

    server = await serve(text_answer("", status=401))
    with pytest.raises(AuthenticationError, match="401"):
        await connect(server.url, TokenAuth(supply)).request(method, "/v2/x")

    sent = [seen.headers["Authorization"] for seen in server.seen]
    assert sent == ["TC-Token t1", "TC-Token t2"]


async def test_a_new_token_is_used_from_then_on(serve, connect):
    """An expired token costs one request."""
    tokens = iter(["t1", "t2"])

    async def supply():
        return next(tokens)

    async def handler(request):
        fresh = request.headers["Authorization"] == "TC-Token t2"
        return web.json_response({}, status=200 if fresh else 401)

    server = await serve(handler)
    transport = connect(server.url, TokenAuth(supply))
    body = Stream(b"x", size=1)
    await transport.request("POST", "/v2/x", body=body)
    await transport.request("GET", "/v2/x")

    assert (len(server.seen), body.begun) == (3, 2)


@pytest.mark.parametrize("error", [OSError("secret"), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("fails", ["first", "renewed"])
async def test_credentials_that_cannot_be_got_for_a_while(serve, connect, error, fails):
    """Whoever supplies them may be away, or wait for what is cancelled; it is asked again."""
    first = [error] if fails == "first" else []
    given = iter([*first, "t1", *(() if first else (error,)), "t2"])

    async def supply():
        token = next(given)
        if isinstance(token, BaseException):
            raise token
        return token

    async def handler(request):
        fresh = request.headers["Authorization"] == "TC-Token t2"
        return web.json_response({}, status=200 if fresh else 401)

    server = await serve(handler)
    answer = await connect(server.url, TokenAuth(supply)).request("POST", "/v2/x")

    assert answer.ok


async def test_credentials_that_cannot_be_got(serve, connect):
    """Nothing was sent, and what the supplier said is the cause alone, as it may be a secret."""

    def supply():
        raise OSError("secret")

    server = await serve(json_answer())
    with pytest.raises(ConnectError, match=r"has raised OSError$") as no:
        await connect(server.url, TokenAuth(supply)).request("POST", "/v2/x")

    assert str(no.value.__cause__) == "secret"
    assert server.seen == []


async def test_a_401_to_a_body_that_cannot_be_repeated_is_final(serve, connect):
    """New credentials do not bring back a body that is gone."""
    tokens = iter(["t1", "t2"])

    async def supply():
        return next(tokens)

    server = await serve(text_answer("", status=401))
    with pytest.raises(AuthenticationError):
        await connect(server.url, TokenAuth(supply)).request(
            "POST", "/v2/x", body=Stream(b"x", replayable=False)
        )

    assert len(server.seen) == 1


async def test_wrong_credentials_say_what_to_check(serve, connect):
    """A wrong key is an authentication error that names the server's words and the remedy."""
    message = {"status": "Failure", "message": "Signature data did not match expected result"}

    async def handler(request):
        return web.json_response(message, status=401)

    server = await serve(handler)
    with pytest.raises(AuthenticationError, match=r"did not match.*Check the credentials"):
        await connect(server.url).request("GET", "/v2/owners")


async def test_credentials_in_a_page_are_not_repeated(serve, connect):
    """A debug page that shows the request's headers does not carry them into the error."""

    async def handler(request):
        return web.Response(text=f"bad: {request.headers['Authorization']}", status=400)

    server = await serve(handler)
    with pytest.raises(RequestRefusedError) as caught:
        await connect(server.url, TokenAuth("token-0001")).request("GET", "/v2/x")

    assert caught.value.body == "bad: [credentials]"
    assert "token-0001" not in repr(vars(caught.value)) + str(caught.value)


async def head_of(reader):
    """Read the head of a request."""
    return await reader.readuntil(b"\r\n\r\n")


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        OK[:-1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
async def test_a_cut_connection_is_lost_and_tried_again(serve_raw, connect, naps, answer):
    """A cut is no answer: repeatable requests are sent again, others are not."""
    count = 0

    async def cut(reader, writer):
        nonlocal count
        count += 1
        await head_of(reader)
        writer.write(answer)
        writer.close()

    transport = connect(await serve_raw(cut), retry=RetryPolicy(attempts=3, sleep=naps))
    with pytest.raises(ConnectionLostError, match="broke") as caught:
        await transport.request("GET", "/v2/x")
    assert (count, caught.value.method) == (3, "GET")
    assert isinstance(caught.value.__cause__, aiohttp.ClientError)

    with pytest.raises(ConnectionLostError):
        await transport.request("POST", "/v2/x")
    assert count == 4


async def test_a_reset_while_sending_is_a_lost_connection(serve_raw, connect):
    """A connection that breaks under an upload closes the body and says what may be the matter."""

    async def reset(reader, writer):
        await head_of(reader)
        writer.transport.abort()

    body = Stream(*[bytes(2**16)] * 1000, size=2**16 * 1000)
    with pytest.raises(ConnectionLostError, match="size"):
        await connect(await serve_raw(reset)).request("POST", "/v2/x", body=body)

    assert (body.begun, body.closed) == (1, 1)


async def test_what_is_checked_is_asked_for_again(serve, connect, naps):
    """An answer that is not what was asked for is repeated, if the request may be."""

    def check(answer):
        if "wanted" not in answer.json():
            raise unreadable(answer, "it is not what was asked for")

    server = await serve(in_turn(bytes_answer(b"{}"), bytes_answer(b'{"wanted": 1}')))
    transport = connect(server.url)
    answer = await transport.request("GET", "/v2/x", check=check)
    assert answer.json() == {"wanted": 1}
    assert (len(server.seen), len(naps)) == (2, 1)

    server = await serve(bytes_answer(b"{}"))
    with pytest.raises(UnreadableAnswerError, match="not what was asked for"):
        await connect(server.url).request("POST", "/v2/x", check=check)
    assert len(server.seen) == 1


async def test_what_is_not_http_is_unreadable(serve_raw, connect):
    """Another protocol on the port is said to be one."""

    async def ssh(reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_9.7\r\n\r\n")
        writer.close()

    with pytest.raises(UnreadableAnswerError, match="does not speak HTTP") as caught:
        await connect(await serve_raw(ssh), retry=ONCE).request("GET", "/v2/x")

    assert "TC 1000" not in repr(caught.value.__cause__)


async def test_a_dead_host_is_no_connection(connect, naps, dead_port):
    """Nobody listens: nothing was sent, so any request is tried again, and the error says so."""
    transport = connect(f"http://127.0.0.1:{dead_port}/api")
    with pytest.raises(ConnectError, match=r"no connection\. Check the API url"):
        await transport.request("POST", "/v2/batch", body=b"{}")

    assert len(naps) == 4


async def test_an_unknown_host_is_no_connection(connect):
    """A host name that nobody knows is said to be unknown."""
    transport = connect("https://no-such-host.invalid/api", retry=ONCE)
    with pytest.raises(ConnectError, match="the host is unknown"):
        await transport.request("GET", "/v2/owners")


async def test_silence_is_a_timeout(serve_raw, connect):
    """A server that takes the request and says nothing is not waited for for ever."""

    async def silent(reader, writer):
        await head_of(reader)

    transport = connect(await serve_raw(silent), retry=ONCE, timeout=0.05)
    with pytest.raises(RequestTimeoutError, match="timeout") as caught:
        await transport.request("GET", "/v2/x")

    assert isinstance(caught.value, TimeoutError)


async def test_an_answer_that_trickles_is_a_timeout(serve_raw, connect):
    """Bytes that never come to an answer do not count as progress."""

    async def trickle(reader, writer):
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)

    transport = connect(await serve_raw(trickle), retry=ONCE, timeout=0.1)
    with pytest.raises(RequestTimeoutError):
        await transport.request("GET", "/v2/x")


async def test_a_body_that_nobody_takes_is_a_timeout(serve_raw, connect):
    """A server that stops reading does not hold an upload for ever."""

    async def deaf(reader, writer):
        reader._transport.pause_reading()

    body = Stream(*[bytes(2**20)] * 64, size=2**26)
    transport = connect(await serve_raw(deaf), timeout=0.1)
    with pytest.raises(RequestTimeoutError):
        await transport.request("POST", "/v2/x", body=body)

    assert (body.begun, body.closed) == (1, 1)


async def test_an_answer_before_the_end_of_the_body_is_taken(serve_raw, connect):
    """A server that refuses at once is heard, and the rest of the body is not sent."""
    received = 0
    lost = anyio.Event()

    async def refuse(reader, writer):
        nonlocal received
        await head_of(reader)
        writer.write(b'HTTP/1.1 400 No\r\nContent-Length: 16\r\n\r\n{"message":"no"}')
        with contextlib.suppress(ConnectionError):
            while block := await reader.read(2**16):
                received += len(block)
        lost.set()

    body = Stream(*[bytes(2**20)] * 256, size=2**28)
    with pytest.raises(RequestRefusedError, match="says 'no'"):
        await connect(await serve_raw(refuse)).request("POST", "/v2/x", body=body)
    await lost.wait()

    assert (body.begun, body.closed) == (1, 1)
    assert received < 2**27


@pytest.mark.parametrize("size", [None, 100])
async def test_an_error_of_the_body_gets_out_as_it_is(serve, connect, naps, size):
    """What the body raises is not taken for a broken connection, nor tried again."""
    server = await serve(json_answer())
    body = Stream(b"a", OSError(5, "disk"), size=size)
    with pytest.raises(OSError, match="disk"):
        await connect(server.url).request("PUT", "/v2/x", body=body)

    assert (body.closed, naps) == (1, [])


async def test_a_refusal_of_half_a_body_leaves_no_connection(serve_raw, connect):
    """The rest of a body is not kept for a server that no longer reads, and the body is closed."""

    class Slow(Stream):
        async def blocks(self):
            try:
                for _ in range(256):
                    yield bytes(2**20)
            finally:
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                self.closed += 1

    async def refuse(reader, writer):
        await head_of(reader)
        reader._transport.pause_reading()
        writer.write(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")

    url = await serve_raw(refuse)
    before = held().sockets
    body = Slow(size=2**28)
    with pytest.raises(RequestRefusedError):
        await connect(url).request("POST", "/v2/x", body=body)

    assert body.closed == 1
    await anyio.lowlevel.checkpoint()
    assert len(held().sockets - before) <= 1


async def test_a_body_without_end_is_stopped(serve, connect):
    """A body that gives more than it said is stopped, not only regretted."""

    class Endless(Stream):
        async def blocks(self):
            while True:
                yield b"abc"

    server = await serve(json_answer())
    with pytest.raises(UsageError, match="a body of 4 bytes gave 6 bytes or more"):
        await connect(server.url).request("PUT", "/v2/x", body=Endless(size=4))


async def test_a_yes_to_half_a_body_is_none(serve_raw, connect):
    """A server that says yes before it has all did not take it."""
    waiting = anyio.Event()

    class Halting(Stream):
        async def blocks(self):
            yield b"a"
            waiting.set()
            await anyio.sleep_forever()

    async def hasty(reader, writer):
        await head_of(reader)
        await waiting.wait()
        writer.write(OK)

    transport = connect(await serve_raw(hasty), retry=ONCE)
    with pytest.raises(UnreadableAnswerError, match="before it has the whole body"):
        await transport.request("PUT", "/v2/x", body=Halting(size=5))


async def test_a_yes_to_all_bytes_is_one(serve_raw, connect):
    """A body that is slow to say that there is no more has been taken all the same."""

    class Lingering(Stream):
        async def blocks(self):
            yield b"abc"
            await anyio.sleep_forever()

    async def quick(reader, writer):
        await head_of(reader)
        await reader.readexactly(3)
        writer.write(OK)

    transport = connect(await serve_raw(quick), retry=ONCE)

    assert (await transport.request("PUT", "/v2/x", body=Lingering(size=3))).ok


async def test_an_error_of_the_body_is_not_hidden_by_an_early_yes(serve_raw, connect):
    """A server that says yes to a body that breaks does not make it whole."""
    begun, broken = anyio.Event(), anyio.Event()

    class Late(Stream):
        async def blocks(self):
            yield b"a"
            await begun.wait()
            broken.set()
            raise LookupError("late")

    async def hasty(reader, writer):
        await head_of(reader)
        writer.write(OK[:-1])
        await writer.drain()
        begun.set()
        await broken.wait()
        writer.write(OK[-1:])

    transport = connect(await serve_raw(hasty), retry=ONCE)
    with pytest.raises(LookupError, match="late"):
        await transport.request("PUT", "/v2/x", body=Late(size=5))


@pytest.mark.parametrize("blocks", [(b"abc",), (b"abc", b"abc")])
async def test_a_body_of_another_size_is_refused(serve, connect, blocks):
    """A body that gives more or less than it said is not sent as if it were whole."""
    server = await serve(json_answer())
    with pytest.raises(UsageError, match="a body of 4 bytes gave"):
        await connect(server.url).request("PUT", "/v2/x", body=Stream(*blocks, size=4))

    assert [seen.body for seen in server.seen if len(seen.body) == 4] == []


async def test_a_session_of_ones_own_is_used_and_left_open(serve, connect):
    """A session that was passed in serves the requests, and closing is its owner's business."""
    server = await serve(json_answer())
    async with aiohttp.ClientSession(headers={"X-Own": "1"}) as session:
        transport = connect(server.url, session=session)
        await transport.request("GET", "/v2/x")
        await transport.aclose()

        assert server.seen[0].headers["X-Own"] == "1"
        assert not session.closed


async def test_a_closed_session_of_ones_own_is_named(connect):
    """A session that its owner has closed is told from a client that is closed."""
    async with aiohttp.ClientSession() as session:
        transport = connect("https://tc.example/api", session=session)
    with pytest.raises(ClosedError, match="the session that the client was given"):
        await transport.request("GET", "/v2/x")


@pytest.mark.parametrize("replayable", [True, False])
async def test_what_aiohttp_repeats_by_itself_is_whole_or_lost(serve_raw, connect, replayable):
    """A session of one's own may repeat a PUT: all of the body is sent again, or nothing."""
    heard = []

    async def forgetful(reader, writer):
        head = await head_of(reader)
        heard.append(
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0]))
        )
        if len(heard) > 1:
            writer.write(OK)
        writer.close()

    url = await serve_raw(forgetful)
    body = Stream(b"ab", b"cd", size=4, replayable=replayable)
    async with aiohttp.ClientSession() as session:
        transport = connect(url, session=session, retry=ONCE)
        with contextlib.nullcontext() if replayable else pytest.raises(ConnectionLostError):
            await transport.request("PUT", "/v2/x", body=body)

    assert heard == ([b"abcd"] * 2 if replayable else [b"abcd"])


def test_a_transport_can_be_made_where_no_loop_runs():
    """It belongs to the loop of its first request, not to the place where it was made."""
    transport = Transport("http://127.0.0.1:1/api", AUTH, Settings(retry=ONCE))

    async def use():
        with pytest.raises(ConnectError):
            await transport.request("GET", "/v2/x")
        await transport.aclose()

    asyncio.run(use())


async def test_a_closed_transport_says_so(serve, connect):
    """After closing, which may be done twice, nothing is sent."""
    server = await serve(json_answer())
    transport = connect(server.url)
    await transport.request("GET", "/v2/x")
    await transport.aclose()
    await transport.aclose()
    with pytest.raises(ClosedError):
        await transport.request("GET", "/v2/x")

    assert len(server.seen) == 1
    assert repr(transport).endswith("closed>")


async def test_repr_is_a_status_line_without_secrets(serve, connect):
    """It shows where to, as whom, and whether there is a session."""
    server = await serve(json_answer())
    transport = connect(server.url)
    before = repr(transport)
    await transport.request("GET", "/v2/x")

    shown = f"<Transport to {server.url}, <HmacAuth 10000000000000000001>, "
    assert (before, repr(transport)) == (f"{shown}not connected>", f"{shown}open>")


async def test_cookies_are_not_kept(serve, connect):
    """No request depends on the one before it."""
    server = await serve(json_answer(headers={"Set-Cookie": "a=b"}))
    transport = connect(server.url.replace("127.0.0.1", "localhost"))
    await transport.request("GET", "/v2/x")
    await transport.request("GET", "/v2/x")

    assert "Cookie" not in server.seen[1].headers


async def test_single_answers_at_the_edge_of_the_wire():
    """Errors that the client library itself raises are ours when they get out."""
    with aioresponses() as wire:
        async with aiohttp.ClientSession() as session:
            transport = Transport(
                "https://tc.example/api", AUTH, Settings(retry=ONCE), session=session
            )
            url = "https://tc.example/api/v2/x"
            wire.get(url, exception=aiohttp.ServerDisconnectedError())
            wire.get(url, exception=aiohttp.ClientPayloadError("cut"))
            wire.get(url, exception=aiohttp.SocketTimeoutError())
            with pytest.raises(ConnectionLostError):
                await transport.request("GET", "/v2/x")
            with pytest.raises(ConnectionLostError):
                await transport.request("GET", "/v2/x")
            with pytest.raises(RequestTimeoutError):
                await transport.request("GET", "/v2/x")
