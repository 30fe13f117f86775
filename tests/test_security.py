"""What is secret stays so, whichever way a request fails; and hostile answers do no harm."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import traceback
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from support.servers import AUTH, NOW, SECRET, Naps, Stream, bytes_answer, json_answer

from aiotcbatch import Client, ConfigurationError, HmacAuth, TokenAuth
from aiotcbatch.auth import secrets_in
from aiotcbatch.errors import (
    AiotcbatchError,
    ConnectError,
    RequestRefusedError,
    UnreadableAnswerError,
)
from aiotcbatch.transport.answers import Answer, error_for, inflate
from aiotcbatch.transport.http import Transport
from aiotcbatch.transport.retry import RetryPolicy
from aiotcbatch.transport.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiotcbatch.auth import Auth

pytest_plugins = ["support.wire"]

TOKEN = "APIV2:7:1513703787:c2VjcmV0/dG9rZW4+d2l0aA=="


async def supply() -> str:
    """Give the token."""
    return TOKEN


CREDENTIALS: dict[str, Callable[[], Auth]] = {
    "hmac": lambda: AUTH,
    "token": lambda: TokenAuth(TOKEN),
    "supplier": lambda: TokenAuth(supply),
}


def forms(secret: str) -> set[str]:
    """Give the forms in which a secret may be shown."""
    return {
        secret,
        secret.rpartition(":")[2],
        secret.rstrip("="),
        json.dumps(secret)[1:-1],
        secret.replace("/", "\\/"),
        quote(secret),
        quote(secret, safe=""),
        repr(secret.encode())[2:-1],
    }


class Echo:
    """A server that shows what it was sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a head, and answer."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heard.append(head)
        lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        writer.write(self.answer(lines.get("Authorization", "")))
        writer.close()

    def answer(self, shown: str) -> bytes:
        """Make the answer of this name."""
        status, headers, body = {
            "refusal": (400, {}, shown),
            "refusal in json": (400, {}, json.dumps({"message": f"no: {shown}"})),
            "escaped json": (500, {}, json.dumps({"message": shown}).replace("/", "\\/")),
            "other escapes": (500, {}, shown.replace("=", "\\u003d")),
            "only the credentials": (401, {}, f"unknown: {shown.partition(' ')[2]}"),
            "only their end": (401, {}, f"unknown: {shown.rpartition(':')[2]}"),
            "quoted": (403, {}, f"/login?{quote(shown, safe='')}"),
            "page": (502, {"Content-Type": "text/html"}, f"<title>{shown}</title>{shown}"),
            "page that is a yes": (200, {"Content-Type": "text/html"}, f"<p>{shown}"),
            "broken json": (200, {"Content-Type": "application/json"}, f'{{"a": "{shown}"'),
            "another shape": (200, {"Content-Type": "application/json"}, json.dumps([shown])),
            "redirect": (302, {"Location": f"http://x.example/{shown}?{shown}"}, shown),
            "headers": (400, {"X-A": shown, "Content-Type": f"text/plain; charset={shown}"}, "no"),
            "encoding": (200, {"Content-Encoding": shown}, shown),
            "clock": (401, {"Date": shown}, f"Timestamp out of acceptable time range {shown}"),
            "retry after": (503, {"Retry-After": shown}, shown),
            "packed": (400, {"Content-Encoding": "gzip"}, gzip.compress(shown.encode())),
            "packed badly": (200, {"Content-Encoding": "gzip"}, gzip.compress(shown.encode())[:-9]),
            "packed badly, seen": (200, {"Content-Encoding": "deflate"}, shown),
            "too large": (200, {}, shown * 500),
            "cut": (200, {"Content-Length": "9999"}, shown),
            "no http": (-1, {}, shown),
            "no status": (-1, {}, f"HTTP/1.1 {shown}"),
            "no header": (-1, {}, f"HTTP/1.1 200 OK\r\n{shown}"),
            "no end of the head": (-2, {}, f"HTTP/1.1 200 OK\r\nX-A: {shown}\r\n"),
            "no chunk": (200, {"Transfer-Encoding": "chunked", "Content-Length": ""}, shown),
        }[self.name]
        content = body if isinstance(body, bytes) else body.encode()
        if status < 0:
            return content + (b"\r\n\r\n" if status == -1 else b"")
        fields = {"Content-Length": str(len(content)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        return f"HTTP/1.1 {status} Shown {shown}\r\n{head}\r\n".encode() + content


ECHOES = [
    "refusal",
    "refusal in json",
    "escaped json",
    "other escapes",
    "only the credentials",
    "only their end",
    "quoted",
    "page",
    "page that is a yes",
    "broken json",
    "another shape",
    "redirect",
    "headers",
    "encoding",
    "clock",
    "retry after",
    "packed",
    "packed badly",
    "packed badly, seen",
    "too large",
    "cut",
    "no http",
    "no status",
    "no header",
    "no end of the head",
    "no chunk",
]


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture) -> Callable[..., Awaitable[str]]:
    """Give a way to make a call fail, and get all that is shown of it."""
    caplog.set_level(logging.DEBUG)

    async def fail(client: Client, told: list[Any], call: Callable[[], Awaitable[object]]) -> str:
        asyncio.get_running_loop().set_debug(True)
        try:
            await call()
        except AiotcbatchError as error:
            shown = [traceback.format_exc()]
            chain: list[BaseException | None] = [error]
            while (cause := chain.pop()) is not None:
                shown += [str(cause), repr(cause), repr(cause.args), repr(vars(cause))]
                chain += [cause.__cause__] if cause.__cause__ else [cause.__context__]
        else:
            raise AssertionError("it did not fail")
        shown += [repr(client), repr(client.transport), repr(vars(client.transport)["_auth"])]
        shown += [repr(client.transport.settings), repr(told), *map(str, told)]
        shown += [record.getMessage() + repr(vars(record)) for record in caplog.records]
        return "\n".join(shown)

    return fail


@pytest.fixture
async def client_of() -> AsyncIterator[Callable[..., tuple[Client, list[Any]]]]:
    """Make clients, and lists of what they tell."""
    made: list[Client] = []

    def make(url: str, auth: Auth, **options: Any) -> tuple[Client, list[Any]]:
        told: list[Any] = []
        retry = RetryPolicy(attempts=2, sleep=Naps(), circuit_failures=2)
        client = Client(
            url, auth, retry=retry, max_answer_bytes=10_000, on_event=told.append, **options
        )
        made.append(client)
        return client, told

    yield make
    for client in made:
        await client.aclose()


class TestSecrets:
    """No secret in anything that is shown."""

    @pytest.mark.parametrize("credentials", CREDENTIALS)
    @pytest.mark.parametrize("name", ECHOES)
    async def test_when_the_server_shows_them(
        self, serve_raw: Any, watch: Any, client_of: Any, name: str, credentials: str
    ) -> None:
        """Whatever a server repeats of a request, errors, logs and events do not."""
        server = Echo(name)
        client, told = client_of(await serve_raw(server), CREDENTIALS[credentials]())
        shown = await watch(client, told, client.owners)
        sent = [
            line.partition(": ")[2]
            for head in server.heard
            for line in head.split("\r\n")
            if line.startswith("Authorization")
        ]

        assert sent
        for secret in {SECRET, TOKEN, *sent, *(text.partition(" ")[2] for text in sent)}:
            assert not [form for form in forms(secret) if form in shown]

    @pytest.mark.parametrize("credentials", CREDENTIALS)
    @pytest.mark.parametrize("trouble", ["nobody", "reset", "silence", "held back"])
    async def test_when_no_answer_comes(
        self,
        serve_raw: Any,
        dead_port: int,
        watch: Any,
        client_of: Any,
        trouble: str,
        credentials: str,
    ) -> None:
        """What the client library and the system say of a failure has none in it."""

        async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if trouble == "reset":
                writer.transport.abort()

        url = await serve_raw(conversation)
        if trouble in {"nobody", "held back"}:
            url = f"http://127.0.0.1:{dead_port}/api"
        client, told = client_of(url, CREDENTIALS[credentials](), timeout=0.05)
        shown = await watch(client, told, client.owners)
        if trouble == "held back":
            client.transport.settings.retry.__dict__["total_seconds"] = 0.0
            shown += await watch(client, told, client.owners)
            assert "CircuitOpenError" in shown

        assert not [form for form in forms(SECRET) | forms(TOKEN) if form in shown]

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_of_a_proxy(self, serve: Any, watch: Any, client_of: Any, scheme: str) -> None:
        """A proxy's password is not shown either, though the proxy shows it."""

        async def refuse(request: web.BaseRequest) -> web.Response:
            said = str(dict(request.headers))
            return web.Response(status=407, text=said, headers={"X-A": said.replace("\n", "")})

        proxy = await serve(refuse)
        url = proxy.url.replace("http://", "http://me:hunter2-is-long@").removesuffix("/api")
        client, told = client_of(
            f"{scheme}://tc.example/api", AUTH, proxy=url, allow_plain_http=True
        )
        shown = await watch(client, told, client.owners)
        [seen, *_] = proxy.seen

        basic = seen.headers["Proxy-Authorization"].partition(" ")[2]
        assert basic
        assert not [form for form in forms(basic) | {"hunter2"} if form in shown]

    def test_headers_that_are_no_secret_are_shown(self) -> None:
        """Only what authorises is hidden, and nothing so short that it stands everywhere."""
        headers = {"Timestamp": "1513703787", "User-Agent": "feed/1.0", "Authorization": "a b"}

        assert secrets_in(headers) == ()
        assert "abcdefgh" in secrets_in({"X-Api-Key": "abcdefgh"})

    @pytest.mark.parametrize(
        "url",
        [
            "https://me:hunter2@[::1/api",
            "https://me:hunter2@host:port/api",
            "ftp://me:hunter2@host/api",
        ],
    )
    def test_of_a_url_that_is_none(self, url: str) -> None:
        """A url is not shown when a password may be in it."""
        with pytest.raises(ConfigurationError) as caught:
            Client(url, AUTH)

        assert "hunter2" not in f"{caught.value} {caught.value.value}"


class TestElsewhere:
    """Credentials go to the server that they are for, and only there."""

    @pytest.mark.parametrize("own", [True, False], ids=["session of one's own", "ours"])
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
    @pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
    async def test_no_redirect_is_followed(
        self, serve: Any, status: int, method: str, own: bool
    ) -> None:
        """Neither to another server nor to the same, with a body or without."""
        elsewhere = await serve(json_answer())
        server = await serve(_redirect(status, elsewhere.url))
        body = None if method == "GET" else Stream(b"x", size=1)
        async with aiohttp.ClientSession() as session:
            transport = Transport(server.url, AUTH, session=session if own else None)
            with pytest.raises(UnreadableAnswerError, match="redirect"):
                await transport.request(method, "/v2/x", body=body)
            await transport.aclose()

        assert (len(server.seen), elsewhere.seen) == (1, [])

    @pytest.mark.parametrize(
        ("url", "proxy", "allowed"),
        [
            ("http://tc.example/api", None, False),
            ("http://127.0.0.1.example/api", None, False),
            ("http://0.0.0.0/api", None, False),
            ("http://localhost.example/api", None, False),
            ("http://127.0.0.1/api", None, True),
            ("http://127.0.0.1/api", "http://proxy.example:3128", False),
            ("http://127.0.0.1/api", "http://127.0.0.1:9", True),
            ("https://tc.example/api", "http://127.0.0.1:9", True),
        ],
    )
    async def test_nothing_goes_in_the_clear_to_another_machine(
        self, url: str, proxy: str | None, allowed: bool
    ) -> None:
        """Plain HTTP is for this machine, a proxy on the way included."""
        retry = RetryPolicy(attempts=1)
        kind = ConnectError if allowed else ConfigurationError

        async def ask() -> None:
            async with Client(url, AUTH, proxy=proxy, retry=retry) as client:
                await client.owners()

        with pytest.raises(kind):
            await ask()


def _redirect(status: int, url: str) -> Any:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, headers={"Location": f"{url}/v2/x"})

    return handler


LIMIT = 10_000
BOMB = gzip.compress(bytes(20 * LIMIT))


class TestHostileAnswers:
    """Answers that are made to cost time or memory."""

    @pytest.mark.parametrize(
        ("body", "encoding"),
        [
            (BOMB, "gzip"),
            (BOMB, ""),
            (gzip.compress(BOMB), "gzip"),
            (zlib.compress(bytes(20 * LIMIT)), "deflate"),
            (gzip.compress(bytes(LIMIT // 2)) * 3, "gzip"),
            (gzip.compress(bytes(LIMIT + 1)), "gzip"),
        ],
    )
    async def test_a_bomb_is_refused(
        self, serve: Any, connect: Any, body: bytes, encoding: str
    ) -> None:
        """What unpacks to more than the limit is refused, at once and once."""
        headers = {"Content_Encoding": encoding} if encoding else {}
        server = await serve(bytes_answer(body, **headers))
        with pytest.raises(UnreadableAnswerError, match="max_answer_bytes, 10000"):
            await connect(server.url, max_answer_bytes=LIMIT).request("GET", "/v2/x")

        assert len(server.seen) == 1

    @pytest.mark.parametrize("count", [1, 1000])
    def test_members_are_joined(self, count: int) -> None:
        """A file of several members is one file, as far as there are so many."""
        assert inflate(gzip.compress(b"ab") * count, "gzip", LIMIT) == b"ab" * count

    def test_very_many_members_are_refused(self) -> None:
        """A body of nothing but beginnings is not followed to its end."""
        with pytest.raises(ValueError, match="more than 1000 members"):
            inflate(gzip.compress(b"") * 1001, "gzip", LIMIT)

    def test_a_large_member_is_unpacked_piece_by_piece(self) -> None:
        """What is larger than a piece is whole, and what follows it is found."""
        noise = bytes(range(256)) * 2000
        packed = gzip.compress(noise, 0) + gzip.compress(b"end") + b"padding"

        assert inflate(packed, "gzip", len(noise) + 3) == noise + b"end"

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>" + b"<title>" * 50_000,
            b"<html>" + b"<title" * 50_000,
            b'{"a":' * 50_000,
            b'{"message": "' + b"x" * 300_000,
            b"[" * 300_000,
        ],
        ids=["titles", "tags", "objects", "message", "lists"],
    )
    def test_a_long_refusal_is_read_in_short_time(self, body: bytes) -> None:
        """An error keeps the beginning of the body only, and does not search it for long."""
        kind = "text/html" if body[:1] == b"<" else "application/json"
        answer = Answer(400, {"Content-Type": kind}, body, "https://tc.example/api", "GET")
        error = error_for(answer, now=NOW)

        assert isinstance(error, RequestRefusedError)
        assert len(str(error)) < 1000
        assert len(error.body) <= 2000

    @pytest.mark.parametrize(
        "charset", ["idna", "punycode", "undefined", "hex", "unicode_escape", "utf-8\0", "cp0"]
    )
    def test_a_charset_that_is_none_is_taken_for_utf_8(self, charset: str) -> None:
        """Python knows codecs that are none of text."""
        headers = {"Content-Type": f"text/plain; charset={charset}"}
        answer = Answer(400, headers, "\\x41 é -".encode(), "https://tc.example/api", "GET")

        assert answer.text == "\\x41 é -"

    async def test_many_headers_are_refused(self, serve_raw: Any, connect: Any) -> None:
        """A head without end is given up."""

        async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nX-A: ")
            for _ in range(100):
                if writer.is_closing():
                    break
                writer.write(b"a" * 1000)
                await writer.drain()

        with pytest.raises(UnreadableAnswerError):
            await connect(await serve_raw(endless), retry=RetryPolicy(attempts=1)).request(
                "GET", "/v2/x"
            )


def test_what_is_shown_of_settings() -> None:
    """Neither settings nor credentials show what is secret in them."""
    settings = Settings(proxy="http://me:hunter2@proxy:3128")
    shown = f"{settings!r} {HmacAuth('id', SECRET)!r} {TokenAuth(TOKEN)!r} {TokenAuth(supply)!r}"

    assert not [secret for secret in ("hunter2", SECRET, TOKEN) if secret in shown]
