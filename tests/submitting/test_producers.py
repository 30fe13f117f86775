"""Producers: every form of content becomes a body that can be sent again."""

from __future__ import annotations

import array
import asyncio
import contextlib
import functools
import gzip
import io
import os
import pathlib
import signal
import tempfile
import threading

import anyio
import pytest
from anyio import CapacityLimiter
from hypothesis import given
from hypothesis import strategies as st
from support.command import run

from aiotcbatch.errors import UsageError, ValidationError
from aiotcbatch.submitting.producers import BLOCK_BYTES, SPOOL_BYTES, is_read_once, opened, produce

DATA = b"0123456789" * 100_000


async def generate(data=DATA, step=70_000):
    """Give bytes in pieces."""
    for start in range(0, len(data), step):
        await anyio.lowlevel.checkpoint()
        yield data[start : start + step]


class Iterable:
    """Can be iterated, and has nothing to close."""

    def __init__(self, *blocks):
        self.blocks = list(blocks)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.blocks:
            raise StopAsyncIteration
        return self.blocks.pop(0)


class Pipe(io.RawIOBase):
    """A file that cannot seek."""

    def __init__(self, data):
        self.rest = data

    def readable(self):
        return True

    def read(self, size=-1):
        block, self.rest = self.rest[:size], self.rest[size:]
        return block


@pytest.fixture
def threads():
    """Limit the worker threads."""
    return CapacityLimiter(2)


@pytest.fixture
def path(tmp_path):
    """Give a file with content."""
    path = tmp_path / "report.pdf"
    path.write_bytes(DATA)
    return path


async def read(body):
    """Read a body, noting how large its blocks are."""
    blocks = [bytes(block) async for block in body.blocks()]
    return b"".join(blocks), max(map(len, blocks), default=0)


FORMS = {
    "bytes": lambda path: DATA,
    "bytearray": lambda path: bytearray(DATA),
    "memoryview": lambda path: memoryview(DATA),
    "array": lambda path: memoryview(array.array("H", DATA)),
    "str": lambda path: DATA.decode(),
    "path": lambda path: path,
    "file": lambda path: path.open("rb"),
    "unbuffered file": lambda path: path.open("rb", buffering=0),
    "memory file": lambda path: io.BytesIO(DATA),
    "pipe": lambda path: Pipe(DATA),
    "gzip file": lambda path: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA))),
    "async generator": lambda path: generate(),
    "async iterable": lambda path: Iterable(DATA[:10], b"", DATA[10:]),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_is_read_twice_with_its_exact_size(threads, path, form):
    """A body knows its size and gives the same bytes again, in blocks of bounded size."""
    content = FORMS[form](path)
    async with opened(content, threads) as body:
        first, largest = await read(body)
        second, _ = await read(body)

        assert first == second == DATA
        assert (body.size, body.replayable) == (len(DATA), True)
        assert largest <= BLOCK_BYTES or form in {
            "bytes",
            "bytearray",
            "memoryview",
            "array",
            "str",
        }
    getattr(content, "close", lambda: None)()


@pytest.mark.parametrize("text", ["", "Grüße"])
async def test_text_is_utf8(threads, text):
    """A str is the content itself, not a path."""
    async with opened(text, threads) as body:
        assert (await read(body))[0] == text.encode()


@pytest.mark.parametrize("content", [b"", io.BytesIO(), Iterable(), Pipe(b"")])
async def test_nothing_is_a_content(threads, content):
    """An empty content has size 0 and gives nothing."""
    async with opened(content, threads) as body:
        assert (body.size, b"".join([bytes(block) async for block in body.blocks()])) == (0, b"")


async def test_a_file_is_read_from_where_it_stands_to_where_it_ends(threads, tmp_path):
    """What was read before is not sent, nor what is appended while sending, also not again."""
    path = tmp_path / "log"
    path.write_bytes(b"headbody")
    with path.open("rb") as file:
        file.read(4)
        async with opened(file, threads) as body:
            with path.open("ab") as other:
                other.write(b"more")

            assert [(await read(body))[0] for _ in range(2)] == [b"body", b"body"]
        assert not file.closed


async def test_a_file_whose_upload_fails_is_put_back(threads):
    """A file of the user's stands where it stood, so that another upload begins there."""
    file = io.BytesIO(b"headbody")
    file.read(4)
    with pytest.raises(LookupError):
        async with opened(file, threads) as body:
            await read(body)
            raise LookupError

    assert file.read() == b"body"


@pytest.mark.parametrize(
    ("content", "once"),
    [
        (None, False),
        (b"", False),
        ("text", False),
        (pathlib.Path("x"), False),
        (lambda xid: "made", False),
        (io.BytesIO(b""), False),
        (Pipe(b""), True),
        (Iterable(), True),
    ],
)
def test_what_is_used_up_by_an_upload_is_known(content, once):
    """Iterators and pipes are gone after one try, everything else can be tried again."""
    assert is_read_once(content) is once


async def test_a_file_behind_its_end_is_empty(threads):
    """A position after the end leaves nothing to read."""
    file = io.BytesIO(b"abc")
    file.seek(10)
    async with opened(file, threads) as body:
        assert body.size == 0


async def test_a_file_that_becomes_shorter_is_an_error(threads, tmp_path):
    """What was there at first and is no longer is not silently left out."""
    path = tmp_path / "log"
    path.write_bytes(b"headbody")
    async with opened(path, threads) as body:
        os.truncate(path, 5)
        with pytest.raises(UsageError, match="after 5 of 8 bytes"):
            await read(body)


@pytest.mark.parametrize(
    "content",
    [5, object(), ["list"], io.StringIO("text"), Iterable("text"), Iterable(5), Pipe("text")],
)
async def test_what_is_no_content_says_what_is(threads, content):
    """Other objects, and files of text, are refused with what is accepted."""
    with pytest.raises(ValidationError, match="accepted is bytes, str, a path"):
        async with opened(content, threads) as body:
            await read(body)


@pytest.mark.parametrize("name", ["missing", "."])
async def test_a_path_that_cannot_be_opened_is_the_systems_error(threads, tmp_path, name):
    """A missing file or a directory is said to be one."""
    with pytest.raises(OSError, match=r"No such file|Is a directory"):
        async with opened(tmp_path / name, threads):
            pytest.fail("it was opened")


async def test_a_closed_file_is_an_error(threads):
    """A file that was closed before is not an empty one."""
    file = io.BytesIO(b"abc")
    file.close()
    with pytest.raises(ValueError, match="closed"):
        async with opened(file, threads):
            pytest.fail("it was opened")


@pytest.mark.parametrize(("owned", "closed"), [(True, True), (False, False)])
@pytest.mark.parametrize("kind", [io.BytesIO, Pipe])
async def test_only_files_made_for_us_are_closed(threads, kind, owned, closed):
    """What the user opened stays open, what a callable opened for this upload does not."""
    file = kind(b"abc")
    async with opened(file, threads, owned=owned) as body:
        await read(body)

    assert file.closed is closed


async def test_a_stream_stays_on_disk(threads, monkeypatch):
    """Beyond a bound, what can be read only once goes to a temporary file that is closed."""
    spools = []
    make = tempfile.SpooledTemporaryFile
    monkeypatch.setattr(
        "aiotcbatch.submitting.producers.tempfile.SpooledTemporaryFile",
        lambda **kwargs: spools.append(make(**kwargs)) or spools[-1],
    )
    async with opened(generate(bytes(SPOOL_BYTES + 1)), threads) as body:
        assert (spools[0]._rolled, body.size) == (True, SPOOL_BYTES + 1)
    async with opened(generate(bytes(SPOOL_BYTES)), threads):
        assert not spools[1]._rolled

    assert all(spool.closed for spool in spools)


@pytest.mark.parametrize("problem", [RuntimeError("odd"), StopAsyncIteration, OSError(5, "disk")])
async def test_an_async_generator_is_closed_whatever_happens(threads, problem):
    """A generator that raises, or is left in the middle, has run its finally."""
    closed = []

    async def broken():
        try:
            yield b"a"
            raise problem
        finally:
            closed.append(True)

    with pytest.raises((RuntimeError, OSError)):
        async with opened(broken(), threads):
            pytest.fail("it was opened")

    assert closed == [True]


async def test_an_async_generator_of_text_is_closed(threads):
    """A generator that gives what is no content is not left in the middle."""
    closed = []

    async def text():
        try:
            yield "a"
        finally:
            closed.append(True)

    with pytest.raises(ValidationError):
        async with opened(text(), threads):
            pytest.fail("it was opened")

    assert closed == [True]


async def test_a_late_read_does_not_move_the_file_under_the_next(threads):
    """Two reads of one file, as when a request is cancelled and the next begins, do not mix."""
    both = threading.Barrier(2)

    class Slow(io.BytesIO):
        def read(self, size=-1):
            # Let the other thread seek in between, if it can.
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.02)
            both.reset()
            return super().read(size)

    data = bytes(BLOCK_BYTES) + b"1" * BLOCK_BYTES + b"2" * BLOCK_BYTES
    seen = []

    async def use(body):
        seen.append(await read(body))

    async with opened(Slow(data), threads) as body, anyio.create_task_group() as tasks:
        tasks.start_soon(use, body)
        tasks.start_soon(use, body)

    assert seen == [(data, BLOCK_BYTES)] * 2


async def test_cancelling_a_stream_closes_it(threads):
    """Cancelled while the generator waits, it is closed at once."""
    waiting, closed = anyio.Event(), []

    async def endless():
        try:
            yield b"a"
            waiting.set()
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    async def use():
        async with opened(endless(), threads):
            pytest.fail("it was opened")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        await waiting.wait()
        tasks.cancel_scope.cancel()

    assert closed == [True]


async def test_cancelling_a_pipe_does_not_wait_for_it(threads):
    """A pipe to which nobody writes holds nobody up."""
    reading, writing = os.pipe()
    file = os.fdopen(reading, "rb")

    async def use():
        async with opened(file, threads):
            pytest.fail("it was opened")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    os.close(writing)
    file.close()


# Callables


def plain(xid):
    """Give a content."""
    return f"of {xid}"


async def coroutine(xid):
    """Give a content, later."""
    await anyio.lowlevel.checkpoint()
    return f"of {xid}"


async def generator(xid):
    """Give a content in pieces."""
    yield b"of "
    yield xid.encode()


class Callable:
    """An object that can be called."""

    def __init__(self, function):
        self.function = function

    def __call__(self, xid):
        return self.function(xid)


class AsyncCallable:
    """An object whose call is a coroutine."""

    async def __call__(self, xid):
        return f"of {xid}"


@pytest.mark.parametrize(
    "function",
    [
        plain,
        coroutine,
        generator,
        Callable(plain),
        Callable(coroutine),
        Callable(generator),
        AsyncCallable(),
        functools.partial(coroutine),
        lambda xid: io.BytesIO(f"of {xid}".encode()),
    ],
)
async def test_callables_of_every_kind_give_contents(threads, function):
    """Functions, coroutines, generators and objects get the xid and give the content."""
    content, made = await produce(function, "x-1", threads)
    async with opened(content, threads, owned=made) as body:
        assert (made, (await read(body))[0]) == (True, b"of x-1")


@pytest.mark.parametrize("content", [None, b"", "text", io.BytesIO(b""), Iterable(), 5])
async def test_other_contents_are_not_called(threads, content):
    """What is no callable is given back as it is."""
    assert await produce(content, "x-1", threads) == (content, False)


async def test_plain_callables_run_in_threads_and_others_in_the_loop(threads):
    """A function may block, a coroutine function may not."""
    ran = []

    def blocking(xid):
        ran.append(threading.current_thread() is threading.main_thread())

    async def waiting(xid):
        ran.append(threading.current_thread() is threading.main_thread())

    await produce(blocking, "x", threads)
    await produce(waiting, "x", threads)

    assert ran == [False, True]


async def test_cancelling_does_not_wait_for_a_callable(threads):
    """A function that takes long holds nobody up when the upload is cancelled."""
    started, release = threading.Event(), threading.Event()

    def slow(xid):
        started.set()
        release.wait(30)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(produce, slow, "x", threads)
        await anyio.to_thread.run_sync(started.wait)
        tasks.cancel_scope.cancel()
    release.set()


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(1, 50))
async def test_any_part_of_any_file_is_read(data, position, step):
    """Whatever its content and position, a file gives what a read would, and a stream too."""
    threads = CapacityLimiter(1)
    file = io.BytesIO(data)
    file.seek(position)
    for content in (file, generate(data[position:], step)):
        async with opened(content, threads) as body:
            assert (await read(body))[0] == data[position:]


class Ending:
    """A file whose reading ends everything; it can seek, or not."""

    def __init__(self, error, *, seekable=True):
        self.error = error
        self.can_seek = seekable
        self.at = 0

    def tell(self):
        if not self.can_seek:
            raise OSError
        return self.at

    def seek(self, offset, whence=os.SEEK_SET):
        self.at = 5 if whence == os.SEEK_END else offset

    def read(self, size):
        raise self.error


def ending(error):
    """Give contents of each kind that end everything."""

    def call(xid):
        raise error

    async def wait(xid):
        raise error

    async def iterate():
        yield b"first"
        raise error

    return [call, wait, iterate(), Ending(error), Ending(error, seekable=False)]


@pytest.mark.parametrize("at", range(5), ids=["call", "wait", "iterate", "file", "pipe"])
@pytest.mark.parametrize("error", [SystemExit(7), asyncio.CancelledError()], ids=repr)
async def test_what_ends_a_process_ends_an_upload_only(threads, error, at):
    """It is an error like others, which says what was raised."""
    with pytest.raises(UsageError, match="what gives the content has raised") as raised:
        await read_all(ending(error)[at], threads)

    assert raised.value.__cause__ is error


@pytest.mark.parametrize("at", [0, 3, 4], ids=["call", "file", "pipe"])
async def test_there_is_no_ctrl_c_in_a_thread(threads, at):
    """Who raises it there does not end the process."""
    with pytest.raises(UsageError, match=r"KeyboardInterrupt\(\)"):
        await read_all(ending(KeyboardInterrupt())[at], threads)


async def read_all(content, threads):
    """Ask for a content, and read it."""
    made, owned = await produce(content, "x", threads)
    async with opened(made, threads, owned=owned) as body:
        return [block async for block in body.blocks()]


_PROGRAM = """
import asyncio, sys
from aiotcbatch import Client
from aiotcbatch.sandbox import Sandbox

def leave(xid):
    if xid == "exit":
        sys.exit(7)
    raise KeyboardInterrupt

async def wait(xid):
    sys.exit(7)

async def main():
    async with Sandbox(owners=["MyOrg"]) as sandbox:
        async with Client(sandbox.api_url, sandbox.auth) as client:
            batch = client.batch("MyOrg")
            for xid, content in (("exit", leave), ("keyboard", leave), ("waits", wait)):
                batch.document(xid, "d.txt", content, xid=xid)
            for upload in (await batch.submit(halt_on_error=False)).uploads:
                print(upload.xid, upload.error)

asyncio.run(main())
"""


def test_the_process_goes_on_and_ends():
    """Nothing waits for ever for a thread in which somebody has called ``sys.exit()``."""
    done = run("-c", _PROGRAM)

    told = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert told == [
        "exit what gives the content has raised SystemExit(7)",
        "keyboard what gives the content has raised KeyboardInterrupt()",
        "waits what gives the content has raised SystemExit(7)",
    ]
    assert done.returncode == 0


_INTERRUPTED = """
import asyncio, sys
from aiotcbatch import Client
from aiotcbatch.sandbox import Sandbox

async def wait(xid):
    await asyncio.sleep(0)
    raise KeyboardInterrupt

async def iterate():
    yield b"first"
    raise KeyboardInterrupt

async def main(url, auth):
    try:
        async with Client(url, auth) as client, getattr(client, sys.argv[1])("MyOrg") as builder:
            builder.document("d", "d.txt", wait if sys.argv[2] == "wait" else iterate(), xid="d")
            await (builder.drain() if sys.argv[1] == "stream" else builder.submit())
    finally:
        print("cleaned up")

with Sandbox(owners=["MyOrg"]).in_thread() as sandbox:
    asyncio.run(main(sandbox.api_url, sandbox.auth))
"""


@pytest.mark.parametrize("builder", ["batch", "stream"])
@pytest.mark.parametrize("content", ["wait", "iterate"])
def test_ctrl_c_in_a_coroutine_ends_the_process(builder, content):
    """It ends as by Ctrl-C anywhere else, after its clean-up, and waits for no thread."""
    done = run("-c", _INTERRUPTED, builder, content)

    assert done.stdout == "cleaned up\n"
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert done.returncode == -signal.SIGINT
