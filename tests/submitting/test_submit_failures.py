"""What a user sees when a submit cannot work: a typed error that says what to do; nothing lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from support.servers import text_answer
from support.submitting import OWNER, UPLOAD, Place, Time, Wire, fill

from aiotcbatch.auth import HmacAuth, TokenAuth
from aiotcbatch.client import Client
from aiotcbatch.errors import (
    AccessDeniedError,
    AiotcbatchError,
    AuthenticationError,
    BatchDisabledError,
    ConnectError,
    ConnectionLostError,
    FileUploadError,
    NotFoundError,
    RateLimitedError,
    RequestRefusedError,
    RequestTimeoutError,
    UnavailableError,
    UnreadableAnswerError,
    UsageError,
)
from aiotcbatch.sandbox import (
    ManualClock,
    Reset,
    Sandbox,
    Status,
    Truncated,
    User,
    WrongContentType,
    WrongShape,
    bad_gateway,
    forbidden,
    internal_error,
    rate_limited,
    storage_full,
    unauthorized,
    unavailable,
)
from aiotcbatch.transport.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiotcbatch.batch import Batch

pytest_plugins = ["support.wire"]

ONCE = RetryPolicy(attempts=1)


async def submit_in_vain(batch: Batch, kind: type[AiotcbatchError], advice: str) -> AiotcbatchError:
    """Submit five entities and a file; check the error, and that all of them are still there."""
    fill(batch, 4)
    batch.document("doc", "doc.txt", xid="doc", file_content=b"text")
    with pytest.raises(kind, match=advice) as caught:
        await batch.submit()

    assert type(caught.value) is kind
    assert caught.value.partial is not None
    assert caught.value.partial.success_count == 0
    assert not caught.value.partial.ok
    assert caught.value.partial.jobs[0].failure is caught.value
    assert "Still in the batch: 5 entities, 1 file. Call submit() again" in caught.value.advice[0]
    assert (len(batch), batch.file_len) == (5, 1)
    return caught.value


@pytest.mark.parametrize(
    ("auth", "advice"),
    [
        (HmacAuth("1", "wrong"), "Check the credentials"),
        (TokenAuth("APIV2:wrong"), "Check the credentials"),
    ],
)
async def test_wrong_credentials(sandbox: Sandbox, auth: Any, advice: str) -> None:
    """They are to be checked, and are not in the error; with the right ones all arrives."""
    async with Client(sandbox.api_url, auth, retry=ONCE) as client:
        batch = client.batch(OWNER)
        error = await submit_in_vain(batch, AuthenticationError, advice)
        assert "wrong" not in f"{error} {error.__notes__} {vars(error)}"


async def test_a_user_who_may_not_write(sandbox: Sandbox) -> None:
    """What the server says in plain text is in the error."""
    reader = User(access_id="reader", secret_key="key", role="Read Only User")
    sandbox.add_user(reader)
    async with Client(sandbox.api_url, HmacAuth("reader", "key"), retry=ONCE) as client:
        advice = "You do not have permission to create.*their user may do this"
        await submit_in_vain(client.batch(OWNER), AuthenticationError, advice)


async def test_a_wrong_owner(sandbox: Sandbox) -> None:
    """Its name is to be checked."""
    async with Client(sandbox.api_url, sandbox.auth, retry=ONCE) as client:
        await submit_in_vain(client.batch("MyOrgg"), AccessDeniedError, "Check the owner's name")


async def test_a_dead_host(dead_port: int) -> None:
    """The URL is to be checked, and whether the server is up."""
    url = f"http://127.0.0.1:{dead_port}/api"
    async with Client(url, TokenAuth("t"), retry=ONCE) as client:
        await submit_in_vain(client.batch(OWNER), ConnectError, "Check the API url")


async def test_a_wrong_path(serve: Any) -> None:
    """The URL ends in /api."""
    server = await serve(text_answer(status=404))
    async with Client(f"{server.url}/wrong", TokenAuth("t"), retry=ONCE) as client:
        await submit_in_vain(client.batch(OWNER), NotFoundError, "ends in /api")


@pytest.mark.parametrize("off", [600, -600])
async def test_a_clock_ten_minutes_off(off: float, caplog: pytest.LogCaptureFixture) -> None:
    """The server's time is taken instead, and by how much it is off is said once."""
    clock = ManualClock(time.time() + off, auto=True)
    async with (
        Sandbox(owners=[OWNER], clock=clock) as sandbox,
        Client(sandbox.api_url, sandbox.auth, retry=ONCE) as client,
    ):
        batch = client.batch(OWNER)
        fill(batch, 4)

        assert (await batch.submit()).success_count == 4
    [said] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert said.offset == pytest.approx(off, abs=1)


async def test_the_batch_api_is_off(sandbox: Sandbox) -> None:
    """An administrator can help."""
    sandbox.configure(batch_enabled=False)
    async with Client(sandbox.api_url, sandbox.auth, retry=ONCE) as client:
        await submit_in_vain(client.batch(OWNER), BatchDisabledError, "administrator must enable")


FAULTS: list[tuple[Any, type[AiotcbatchError], str]] = [
    (Reset(), ConnectionLostError, "the connection broke"),
    (unauthorized(), AuthenticationError, "Check the credentials"),
    (forbidden(), AccessDeniedError, "Check the owner's name"),
    (rate_limited(), RateLimitedError, "fewer requests"),
    (internal_error(), UnavailableError, "Try again later"),
    (bad_gateway(), UnavailableError, "an HTML page.*may come from a proxy"),
    (unavailable(), UnavailableError, "Try again later"),
    (Status(400, b'{"message":"no"}'), RequestRefusedError, "'no'"),
    (Status(200, b"<html><title>Sign in</title>", "text/html"), UnreadableAnswerError, "HTML page"),
    (Truncated(), ConnectionLostError, "broke within the answer"),
    (Status(200, b'{"status":"Succ'), UnreadableAnswerError, "not complete JSON"),
    (WrongContentType(), UnreadableAnswerError, "HTML page"),
    (WrongShape(), UnreadableAnswerError, "not a JSON object"),
    (Status(302, headers={"Location": "https://x/y"}), UnreadableAnswerError, "https://x/y"),
]


@pytest.mark.parametrize(("fault", "kind", "advice"), FAULTS)
async def test_a_job_cannot_be_made(
    sandbox: Sandbox, fault: Any, kind: type[AiotcbatchError], advice: str
) -> None:
    """Whatever goes wrong at the first request; when it is over everything arrives."""
    sandbox.faults.add("create", fault)
    async with Client(sandbox.api_url, sandbox.auth, retry=ONCE) as client:
        batch = client.batch(OWNER)
        await submit_in_vain(batch, kind, advice)
        sandbox.faults.clear()
        status = await batch.submit()

    assert (status.success_count, len(status.uploads), status.ok) == (5, 1, True)


#: Faults that are carried out and then give no answer that can be read.
DONE = (Reset(after_done=True), Truncated(), WrongContentType(), WrongShape())


@pytest.fixture
async def place(sandbox: Sandbox) -> AsyncIterator[Place]:
    """Give a wire to the sandbox, of which each request is sent once."""
    wire = Wire(sandbox.api_url, sandbox.auth)
    yield Place(sandbox, wire, Time(sandbox))
    await wire.aclose()


@pytest.mark.parametrize("endpoint", ["upload", "status", "results", "file_upload"])
@pytest.mark.parametrize(("fault", "kind"), [fault[:2] for fault in FAULTS])
async def test_at_every_step(
    place: Place, endpoint: str, fault: Any, kind: type[AiotcbatchError]
) -> None:
    """
    Whatever goes wrong once at a later step is an error of the same kind, if it is one.

    What the server had done until then is not done again, and the next submit brings the rest.
    """
    place.sandbox.faults.add(endpoint, fault, times=1)
    batch = place.batch()
    fill(batch, 4)
    batch.document("doc", "doc.txt", xid="doc", file_content=b"text")
    raised: AiotcbatchError | None = None
    try:
        await batch.submit()
    except AiotcbatchError as error:
        raised = error
    if raised is not None:
        cause = raised.__cause__ if isinstance(raised, FileUploadError) else raised
        assert type(cause) is kind
        assert raised.partial is not None
        assert len(raised.__notes__) - len(raised.advice) == 1
        await batch.submit()

    assert len(place.sent()) == 5
    assert place.sandbox.files["doc"].content == b"text"
    assert (len(batch), batch.file_len) == (0, 0)
    silent = endpoint == "upload" and (fault in DONE or kind in HEALED)
    assert (raised is None) is (silent or (endpoint, fault) in HARMLESS)


#: After these the status is asked, and the document is sent again.
HEALED = (ConnectionLostError, UnavailableError, UnreadableAnswerError)
#: A 401 to a POST of a file says that there is one, so a PUT follows; and an empty list says that
#: there are no errors, as does a 404 of any kind.
HARMLESS = [
    ("file_upload", unauthorized()),
    ("results", WrongShape()),
    ("results", WrongContentType()),
]


async def test_no_room_for_files(place: Place) -> None:
    """The server's words are in the error, and the entities have arrived."""
    place.sandbox.faults.add("file_upload", storage_full())
    batch = place.batch()
    batch.document("doc", "doc.txt", xid="doc", file_content=b"text")
    with pytest.raises(FileUploadError, match="insufficient document storage") as caught:
        await batch.submit()

    assert caught.value.xid == "doc"
    assert caught.value.partial is not None
    assert caught.value.partial.success_count == 1
    assert (len(batch), batch.file_len) == (0, 1)


async def test_a_server_that_does_not_answer(place: Place, serve_raw: Any) -> None:
    """The deadline is named, with the setting that changes it."""

    async def silent(reader: Any, writer: Any) -> None:
        await reader.read()

    url = await serve_raw(silent)
    async with Client(url, TokenAuth("t"), retry=ONCE, timeout=0.05) as client:
        await submit_in_vain(client.batch(OWNER), RequestTimeoutError, "raise timeout")


async def test_what_is_being_submitted_is_not_closed(place: Place, tmp_path: Path) -> None:
    """It would be told and written down as given up, though it is sent."""
    dead = tmp_path / "dead.ndjson"
    batch = place.batch(dead_letters=dead)
    fill(batch, 2)

    async def at(asked: str, is_done: bool) -> None:
        if asked == UPLOAD and not is_done:
            with pytest.raises(UsageError, match="being submitted"):
                await batch.aclose()

    place.wire.at = at
    status = await batch.submit()
    await batch.aclose()

    assert status.success_count == 2
    assert not dead.exists()
