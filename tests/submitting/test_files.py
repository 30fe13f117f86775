"""Files: uploads of contents to groups, in conversation with a server on loopback."""

from __future__ import annotations

import io
import threading
import tracemalloc

import anyio
import pytest
from aiohttp import web
from support.servers import ONCE, cancel_when, in_turn, json_answer, text_answer

from aiotcbatch.auth import TokenAuth
from aiotcbatch.entities.contents import FileItem, LostContent
from aiotcbatch.errors import (
    AuthenticationError,
    ConfigurationError,
    FileUploadError,
    RequestRefusedError,
    ValidationError,
)
from aiotcbatch.results.status import UploadResult
from aiotcbatch.submitting.files import upload_files

pytest_plugins = ["support.wire"]

OK = json_answer()
MEBIBYTE = 2**20


def items(*contents):
    """Make documents x-0, x-1 and so on."""
    return [FileItem(f"x-{n}", "Document", content) for n, content in enumerate(contents)]


class Store:
    """A server that keeps files as ThreatConnect does: a POST to what exists is a 401."""

    def __init__(self, *existing):
        self.files = dict.fromkeys(existing, b"")
        self.tokens = None

    async def __call__(self, request):
        """Keep or refuse one file."""
        if self.tokens is not None and request.headers["Authorization"] not in self.tokens:
            return web.json_response({"message": "Unauthorized"}, status=401)
        if (request.method == "POST") is (request.path in self.files):
            return web.Response(status=401 if request.method == "POST" else 404)
        self.files[request.path] = b""
        return web.json_response({"status": "Success"})


async def test_an_upload_is_a_post_with_the_bytes(serve, connect):
    """The xid is one segment of the path, the owner a parameter, the body the content."""
    server = await serve(OK)
    results = await upload_files(
        connect(server.url),
        [FileItem("a/b:c?", "Document", b"one"), FileItem("r-1", "Report", "zwei ü")],
        owner="My Org",
        concurrency=1,
    )

    assert [(seen.method, seen.target, seen.body) for seen in server.seen] == [
        (
            "POST",
            "/api/v2/groups/documents/a%2Fb%3Ac%3F/upload?owner=My%20Org&updateIfExists=true",
            b"one",
        ),
        (
            "POST",
            "/api/v2/groups/reports/r-1/upload?owner=My%20Org&updateIfExists=true",
            "zwei ü".encode(),
        ),
    ]
    assert [seen.headers["Content-Type"] for seen in server.seen] == [
        "application/octet-stream"
    ] * 2
    assert results == [
        {"uploaded": True, "xid": "a/b:c?", "error": None, "bytes": 3},
        {"uploaded": True, "xid": "r-1", "error": None, "bytes": 7},
    ]


async def stream(data=b"stream"):
    """Give bytes once."""
    yield data


@pytest.mark.parametrize("content", [b"bytes", io.BytesIO(b"file"), stream(), lambda xid: "made"])
async def test_what_exists_is_replaced(serve, connect, content):
    """A 401 to the POST means that there is a content: the same bytes go out as a PUT."""
    server = await serve(Store("/api/v2/groups/documents/x-0/upload"))
    [result] = await upload_files(connect(server.url), items(content), owner="o")

    assert [seen.method for seen in server.seen] == ["POST", "PUT"]
    assert server.seen[0].body == server.seen[1].body != b""
    assert server.seen[0].target == server.seen[1].target
    assert result.uploaded


async def test_wrong_credentials_are_not_taken_for_a_file_that_exists(serve, connect):
    """When the PUT is a 401 too, the credentials are meant, and the error says so."""
    server = await serve(text_answer('{"message": "Access Denied"}', status=401))
    with pytest.raises(FileUploadError, match=r"'x-0'.*Access Denied.*credentials") as caught:
        await upload_files(connect(server.url), items(b"1"), owner="o", halt_on_error=True)

    assert caught.value.xid == "x-0"
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert [seen.method for seen in server.seen] == ["POST", "PUT"]


@pytest.mark.parametrize("existing", [(), ("/api/v2/groups/documents/x-0/upload",)])
async def test_an_expired_token_is_told_from_a_file_that_exists(serve, connect, existing):
    """With a new token the file arrives, whether it is the first content or another one."""
    store = Store(*existing)
    store.tokens = {"TC-Token t2"}
    tokens = iter(["t1", "t2"])

    async def supply():
        return next(tokens)

    server = await serve(store)
    [result] = await upload_files(connect(server.url, TokenAuth(supply)), items(b"1"), owner="o")

    assert result.uploaded
    assert server.seen[-1].method == ("PUT" if existing else "POST")


async def test_a_failed_upload_is_repeated(serve, connect, naps):
    """The same content twice is the same content, so transient errors are repeated."""
    server = await serve(in_turn(text_answer("", status=502), OK))
    [result] = await upload_files(connect(server.url), items(stream(b"abc")), owner="o")

    assert [seen.body for seen in server.seen] == [b"abc", b"abc"]
    assert (result.uploaded, result.size, len(naps)) == (True, 3, 1)


@pytest.mark.parametrize("said", ['{"unexpected": 1}', "[]", '{"status": "Failure"}', "hello"])
async def test_only_a_yes_is_one(serve, connect, naps, said):
    """Something in between that answers 200 by itself is not believed, and asked again."""
    server = await serve(in_turn(text_answer(said), OK))
    [result] = await upload_files(connect(server.url), items(b"1"), owner="o")
    [alone] = await upload_files(
        connect((await serve(text_answer(said))).url, retry=ONCE), items(b"1"), owner="o"
    )

    assert (result.uploaded, len(naps)) == (True, 1)
    assert not alone.uploaded


def raises(xid):
    """Fail as a user's function may."""
    raise LookupError(xid)


async def raises_later(xid):
    """Fail as a user's coroutine may."""
    await anyio.lowlevel.checkpoint()
    raise StopIteration


class Callback:
    """Raises the same error whenever it is called."""

    def __init__(self, error):
        self.error = error

    def __call__(self, xid):
        raise self.error


async def breaks(xid):
    """Fail in the middle of a stream."""
    yield b"a"
    raise LookupError(xid)


class Broken(io.BytesIO):
    """A file that cannot be read."""

    def read(self, size=-1):
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no content"),
        (lambda xid: None, "its callable returned None"),
        (LostContent("it burned"), "its content is lost: it burned; add its group once more"),
        (raises, "LookupError: x-1"),
        (raises_later, "RuntimeError: coroutine raised StopIteration"),
        (Callback(TimeoutError()), "TimeoutError"),
        (breaks, "LookupError: x-1"),
        (Broken(b"abc"), "Input/output error"),
        (5, "file_content is 5, accepted is bytes"),
        (lambda xid: 5, "file_content is 5, accepted is bytes"),
        (lambda xid: raises, "accepted is bytes"),
        (io.StringIO("text"), "accepted is bytes"),
        ("\udcff", "UnicodeEncodeError"),
    ],
)
async def test_a_broken_content_spoils_only_its_own_file(serve, connect, content, said):
    """A content that fails is reported with the reason, and the others go up."""
    server = await serve(OK)
    results = await upload_files(
        connect(server.url), items(b"0", content, b"2"), owner="o", concurrency=2
    )

    assert [result.uploaded for result in results] == [True, False, True]
    assert [result.xid for result in results] == ["x-0", "x-1", "x-2"]
    assert results[1].size == 0
    assert said in results[1].error
    assert {seen.body for seen in server.seen if len(seen.body) == 1} == {b"0", b"2"}


async def test_a_missing_path_spoils_only_its_own_file(serve, connect, tmp_path):
    """A file that is not there is named."""
    (tmp_path / "there").write_bytes(b"1")
    server = await serve(OK)
    missing, there = await upload_files(
        connect(server.url), items(tmp_path / "missing", tmp_path / "there"), owner="o"
    )

    assert (missing.uploaded, there.uploaded) == (False, True)
    assert "No such file" in missing.error
    assert "missing" in missing.error


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (FileItem("x", "Adversary", b"1"), ValidationError),
        (FileItem("", "Document", b"1"), ValidationError),
    ],
)
async def test_what_can_have_no_file_is_refused(connect, item, kind):
    """Only documents and reports with an xid have contents."""
    transport = connect("http://127.0.0.1:1/api")
    with pytest.raises(FileUploadError) as caught:
        await upload_files(transport, [item], owner="o", halt_on_error=True)

    assert isinstance(caught.value.__cause__, kind)


async def test_the_servers_reason_is_reported(serve, connect):
    """What the server says against a file is in its result."""
    reason = "There is insufficient document storage allocated to this account."
    server = await serve(text_answer(f'{{"message": "{reason}"}}', status=400))
    [result] = await upload_files(connect(server.url), items(b"1"), owner="o")

    assert (result.uploaded, reason in result.error) == (False, True)


async def test_a_dead_server_is_reported_for_every_file(connect, dead_port):
    """When nothing can be sent, each file says so."""
    transport = connect(f"http://127.0.0.1:{dead_port}/api", retry=ONCE)
    results = await upload_files(transport, items(b"1", b"2"), owner="o")

    assert ["no connection" in result.error for result in results] == [True, True]


async def test_halting_raises_the_first_failure(serve, connect):
    """What was done until then was told, the rest is neither sent nor reported."""
    server = await serve(in_turn(OK, text_answer("", status=400), OK))
    told = []
    with pytest.raises(FileUploadError, match="'x-1'") as caught:
        await upload_files(
            connect(server.url),
            items(b"0", b"1", b"2"),
            owner="o",
            concurrency=1,
            halt_on_error=True,
            on_result=told.append,
        )

    assert isinstance(caught.value.__cause__, RequestRefusedError)
    assert (told, len(server.seen)) == (
        [UploadResult(uploaded=True, xid="x-0", error=None, bytes=1)],
        2,
    )


async def test_halting_cancels_what_is_under_way(serve, connect):
    """Uploads that run when another fails are cancelled, and their contents closed."""
    closed = []
    waiting = anyio.Event()

    async def endless(xid):
        try:
            yield b"a"
            waiting.set()
            await anyio.sleep_forever()
        finally:
            closed.append(xid)

    async def fails(xid):
        await waiting.wait()
        raise LookupError(xid)

    server = await serve(OK)
    with pytest.raises(FileUploadError, match="LookupError"):
        await upload_files(
            connect(server.url), items(endless, fails), owner="o", halt_on_error=True
        )

    assert (closed, server.seen) == (["x-0"], [])


@pytest.mark.parametrize("absent_halts", [True, False])
async def test_a_group_that_is_not_there_halts_only_if_told_so(serve, connect, absent_halts):
    """Where groups were refused before, their files are reported and the others go up."""
    server = await serve(in_turn(text_answer("", status=404), OK))
    upload = upload_files(
        connect(server.url),
        items(b"0", b"1"),
        owner="o",
        concurrency=1,
        halt_on_error=True,
        absent_halts=absent_halts,
    )
    if absent_halts:
        with pytest.raises(FileUploadError, match="'x-0'"):
            await upload
        return
    first, second = await upload

    assert (first.uploaded, second.uploaded) == (False, True)
    assert first.error.startswith("the group is not on the server: ")


async def test_no_content_does_not_halt(serve, connect):
    """None is a way to say that there is no file, not a failure."""
    server = await serve(OK)
    results = await upload_files(
        connect(server.url), items(None, lambda xid: None, b"2"), owner="o", halt_on_error=True
    )

    assert [result.uploaded for result in results] == [False, False, True]


async def test_results_come_as_they_are_there_and_end_up_in_order(serve, connect):
    """Each result is told at once; the list has the order of the items."""
    second_done = anyio.Event()

    async def slow(xid):
        await second_done.wait()
        return b"slow"

    told = []

    def tell(result):
        told.append(result.xid)
        second_done.set()

    server = await serve(OK)
    results = await upload_files(connect(server.url), items(slow, b"1"), owner="o", on_result=tell)

    assert (told, [result.xid for result in results]) == (["x-1", "x-0"], ["x-0", "x-1"])


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_few_contents_are_open_at_once(serve, connect, concurrency):
    """However many items there are, they are taken one by one, when there is room."""
    lock = threading.Lock()
    now = most = taken = 0

    class Counted(io.BytesIO):
        def close(self):
            nonlocal now
            if not self.closed:
                with lock:
                    now -= 1
            super().close()

    def make(xid):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        return Counted(xid.encode())

    def feed():
        nonlocal taken
        for n in range(50):
            assert taken - len(told) <= concurrency
            taken += 1
            yield FileItem(f"x-{n}", "Report", make)

    told = []
    server = await serve(OK)
    results = await upload_files(
        connect(server.url), feed(), owner="o", concurrency=concurrency, on_result=told.append
    )

    assert len(results) == len(server.seen) == 50
    assert (now, most <= concurrency) == (0, True)


async def test_no_items_are_no_requests(connect):
    """An empty list is done at once."""
    assert await upload_files(connect("http://127.0.0.1:1/api"), [], owner="o") == []


async def test_a_concurrency_below_one_is_refused(connect):
    """A setting that cannot be right names itself."""
    with pytest.raises(ConfigurationError, match="file_concurrency is 0"):
        await upload_files(connect("http://127.0.0.1:1/api"), [], owner="o", concurrency=0)


@pytest.mark.parametrize("halt", [True, False])
async def test_an_error_of_the_caller_gets_out_as_it_is(serve, connect, halt):
    """What the items or the callback raise is neither swallowed nor put into a group."""

    def broken():
        yield FileItem("x", "Document", b"1")
        raise LookupError("feed")

    def tell(result):
        raise KeyError(result.xid)

    server = await serve(OK)
    transport = connect(server.url)
    with pytest.raises(LookupError, match="feed"):
        await upload_files(transport, broken(), owner="o", concurrency=1, halt_on_error=halt)
    with pytest.raises(KeyError, match="x-0"):
        await upload_files(transport, items(b"0"), owner="o", on_result=tell, halt_on_error=halt)


@pytest.mark.parametrize("native", [False, True], ids=["scope", "task"])
@pytest.mark.parametrize("form", ["path", "file", "made file", "stream"])
async def test_cancelling_closes_what_was_opened(serve_raw, connect, tmp_path, form, native):
    """Cancelled in the middle of a body, our files are closed, and the user's are not."""
    stalled, lost = anyio.Event(), anyio.Event()

    async def server(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()
        stalled.set()
        await cancelled.wait()
        reader._transport.resume_reading()
        try:
            while await reader.read(MEBIBYTE):
                pass
        except ConnectionError:
            pass
        lost.set()

    path = tmp_path / "large"
    path.write_bytes(bytes(32 * MEBIBYTE))
    opened = []

    def make(xid):
        opened.append(path.open("rb"))
        return opened[0]

    content = {
        "path": lambda: path,
        "file": lambda: make(""),
        "made file": lambda: make,
        "stream": lambda: stream(bytes(32 * MEBIBYTE)),
    }[form]()
    cancelled = anyio.Event()
    transport = connect(await serve_raw(server))

    async def upload():
        await upload_files(transport, items(content), owner="o")

    await cancel_when(stalled, upload, native=native)
    cancelled.set()
    await lost.wait()

    assert [file.closed for file in opened] == {"file": [False], "made file": [True]}.get(form, [])
    for file in opened:
        file.close()


@pytest.mark.parametrize("form", ["path", "stream"])
async def test_a_large_file_costs_no_more_memory_than_a_small_one(
    serve_raw, connect, tmp_path, form
):
    """Memory for an upload is a few blocks, whatever the size."""
    size = 64 * MEBIBYTE

    async def server(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(size // 2**16):
            await reader.readexactly(2**16)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def pieces():
        for _ in range(size // MEBIBYTE):
            yield bytes(MEBIBYTE)

    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
    transport = connect(await serve_raw(server))
    content = path if form == "path" else pieces()
    tracemalloc.start()
    try:
        [result] = await upload_files(transport, items(content), owner="o")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (result.error, result.size) == (None, size)
    assert peak < 6 * MEBIBYTE


def test_a_result_is_a_dict_with_properties():
    """The keys are those of the documents, the properties have types."""
    result = UploadResult(uploaded=False, xid="x", error="why")

    assert (result.uploaded, result.xid, result.error, result.size) == (False, "x", "why", 0)
    assert result == {"uploaded": False, "xid": "x", "error": "why"}
