"""The requests about jobs, at the edges of the wire that a server may show."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from support.servers import ONCE, bytes_answer, in_turn, json_answer, text_answer

from aiotcbatch.errors import (
    AuthenticationError,
    BatchDisabledError,
    NotFoundError,
    RequestRefusedError,
    UnreadableAnswerError,
    UploadTooLargeError,
)
from aiotcbatch.submitting.job import JobSettings
from aiotcbatch.submitting.job_api import JobApi
from aiotcbatch.transport.body import BytesBody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.servers import Handler, Server

    Ask = Callable[[Handler], Awaitable[tuple[JobApi, Server]]]

pytest_plugins = ["support.wire"]

SETTINGS = JobSettings(owner="MyOrg")
DOCUMENT = BytesBody(b'{"indicator":[]}')
NO_PERMISSION = (
    "Unable to perform the requested operation due to the following error(s): You do not have"
    " permission to create Indicators; Groups; Attributes; Tags; Security Labels;"
)
DISABLED = (
    "Batch job api is not available.  Ensure that batchJobEnabled is true and document storage is"
    " enabled and configured;"
)


@pytest.fixture
def ask(
    serve: Callable, connect: Callable
) -> Callable[[Handler], Awaitable[tuple[JobApi, Server]]]:
    """Give a way to ask a server that answers in one way."""

    async def ask(handler: Handler) -> tuple[JobApi, Server]:
        server = await serve(handler)
        return JobApi(connect(server.url, retry=ONCE)), server

    return ask


def bare(data: object, **kwargs: Any) -> Handler:
    """Make a handler that gives JSON as it is, without an envelope."""

    async def handler(request: web.Request) -> web.Response:
        return web.json_response(data, **kwargs)

    return handler


class TestCreate:
    """POST /v2/batch."""

    async def test_what_is_sent(self, ask: Callable) -> None:
        """The configuration as JSON."""
        api, server = await ask(json_answer({"batchId": 12}, status=201))
        await api.create(SETTINGS)

        (seen,) = server.seen
        assert (seen.method, seen.target) == ("POST", "/api/v2/batch")
        assert seen.headers["Content-Type"] == "application/json; charset=utf-8"
        assert json.loads(seen.body) == SETTINGS.config

    @pytest.mark.parametrize(
        "answer",
        [
            json_answer({"batchId": 12}, status=201),
            json_answer({"batchId": "12"}),
            json_answer({"batchId": 12.0}),
            bare({"batchId": "12"}),
            bare({"batchId": 12}),
        ],
    )
    async def test_the_id(self, ask: Callable, answer: Handler) -> None:
        """It may come with or without the envelope, as a number or as text."""
        api, _ = await ask(answer)

        assert await api.create(SETTINGS) == 12

    @pytest.mark.parametrize(
        "answer",
        [
            json_answer({}),
            json_answer([1]),
            json_answer({"batchId": None}),
            json_answer({"batchId": True}),
            json_answer({"batchId": "-1"}),
            json_answer({"batchId": 1.5}),
            bare([]),
            text_answer("12"),
            text_answer(""),
            text_answer("<html><title>Sign in</title></html>", content_type="text/html"),
            text_answer('{"batchId": 1', content_type="application/json"),
            text_answer('{"batchId": 1'),
        ],
    )
    async def test_no_id(self, ask: Callable, answer: Handler) -> None:
        """An answer without an id is said to be none of this API's."""
        api, _ = await ask(answer)
        with pytest.raises(UnreadableAnswerError, match="Check that the API url ends in /api"):
            await api.create(SETTINGS)

    @pytest.mark.parametrize(
        ("answer", "kind", "said"),
        [
            (text_answer(NO_PERMISSION, status=401), AuthenticationError, "permission to create"),
            (text_answer(DISABLED, status=503), BatchDisabledError, "administrator must enable"),
            (
                bare(
                    {"status": "Not Authorized", "description": "not authorized for batch"},
                    status=403,
                ),
                BatchDisabledError,
                "administrator must enable",
            ),
            (bare({"message": "no such field"}, status=400), RequestRefusedError, "no such field"),
        ],
    )
    async def test_a_refusal(self, ask: Callable, answer: Handler, kind: type, said: str) -> None:
        """In plain text as in JSON, the server's words and what to do about it are there."""
        api, _ = await ask(answer)
        with pytest.raises(kind, match=said):
            await api.create(SETTINGS)


class TestUpload:
    """POST /v2/batch/{id}."""

    async def test_what_is_sent(self, ask: Callable) -> None:
        """The document as it is, with its length."""
        api, server = await ask(bare({"status": "Queued"}, status=202))
        answer = await api.upload(12, DOCUMENT)

        (seen,) = server.seen
        assert (seen.method, seen.target) == ("POST", "/api/v2/batch/12")
        assert seen.headers["Content-Type"] == "application/octet-stream"
        assert seen.headers["Content-Length"] == str(len(seen.body))
        assert seen.body == b'{"indicator":[]}'
        assert answer == {"status": "Queued"}

    @pytest.mark.parametrize(
        "answer",
        [
            bare({"status": "Queued"}, status=202),
            bare({"status": "running"}),
            json_answer({"batchStatus": {"status": "Queued", "id": 12}}, status=202),
            json_answer({"batchStatus": {"status": "Completed"}}),
            json_answer(),
        ],
    )
    async def test_a_yes(self, ask: Callable, answer: Handler) -> None:
        """Every 2xx in JSON that says so, in its status or in that of the job."""
        api, _ = await ask(answer)

        assert isinstance(await api.upload(12, DOCUMENT), dict)

    @pytest.mark.parametrize(
        "answer",
        [
            bare({"status": "Failure", "message": "An unknown error occurred"}),
            json_answer({"batchStatus": {"status": "Created"}}),
            bare({}),
            bare({"unexpected": True}),
            bare(["Queued"]),
            text_answer("Queued"),
            text_answer(""),
            text_answer('{"status":', content_type="application/json"),
        ],
    )
    async def test_neither_yes_nor_no(self, ask: Callable, answer: Handler) -> None:
        """Whatever else comes with a 2xx leaves the outcome unknown; it is sent once."""
        api, server = await ask(answer)
        with pytest.raises(UnreadableAnswerError):
            await api.upload(12, DOCUMENT)

        assert len(server.seen) == 1

    async def test_too_large(self, ask: Callable) -> None:
        """The limit that the server names is in the error."""
        said = "File size greater than allowable limit of 2000000"
        api, _ = await ask(bare({"status": "Invalid", "description": said}, status=400))
        with pytest.raises(UploadTooLargeError, match="max_bytes_per_job") as caught:
            await api.upload(12, DOCUMENT)

        assert caught.value.limit == 2_000_000

    async def test_an_unknown_id(self, ask: Callable) -> None:
        """It is its own error, since something can be done about it."""
        api, _ = await ask(text_answer(status=404))
        with pytest.raises(NotFoundError):
            await api.upload(12, DOCUMENT)


class TestCreateAndUpload:
    """POST /v2/batch/createAndUpload."""

    async def test_what_is_sent(self, ask: Callable) -> None:
        """Configuration and document as two parts of a form."""
        api, server = await ask(json_answer({"batchStatus": {"status": "Completed"}}))
        await api.create_and_upload(SETTINGS, DOCUMENT)

        (seen,) = server.seen
        assert seen.target == "/api/v2/batch/createAndUpload?includeAdditional=true"
        assert seen.body.index(b'name="config"') < seen.body.index(b'name="content"')
        assert b'\r\n\r\n{"indicator":[]}\r\n' in seen.body

    async def test_inline(self, ask: Callable) -> None:
        """Done at once: counts, no id, and errors where the server lists some."""
        status = {"status": "Completed", "successCount": 1, "errorCount": "2", "errors": ["no", {}]}
        api, _ = await ask(json_answer({"batchStatus": status}))
        found = await api.create_and_upload(SETTINGS, DOCUMENT)

        assert (found.id, found.completed, found.success_count, found.error_count) == (
            None,
            True,
            1,
            2,
        )
        assert [error.reason for error in found.errors] == ["no", ""]

    async def test_queued(self, ask: Callable) -> None:
        """Not done: an id to ask for."""
        api, _ = await ask(json_answer({"batchStatus": {"id": "35", "status": "Queued"}}))
        found = await api.create_and_upload(SETTINGS, DOCUMENT)

        assert (found.id, found.completed) == (35, False)

    async def test_neither(self, ask: Callable) -> None:
        """A job that is not done and has no id could never be asked for."""
        api, _ = await ask(json_answer({"batchStatus": {"status": "Queued"}}))
        with pytest.raises(UnreadableAnswerError, match="neither done nor"):
            await api.create_and_upload(SETTINGS, DOCUMENT)


class TestStatus:
    """GET /v2/batch/{id}."""

    @pytest.mark.parametrize(
        "answer",
        [
            bare({"status": "Running"}),
            json_answer({"batchStatus": {"id": 12, "status": "Running"}}),
            json_answer({"batchStatus": {"id": "12", "status": "Running", "errorCount": None}}),
        ],
    )
    async def test_running(self, ask: Callable, answer: Handler) -> None:
        """With or without the envelope; counts may not be there yet."""
        api, server = await ask(answer)
        status = await api.status(12)

        assert server.seen[0].target == "/api/v2/batch/12?includeAdditional=true"
        assert (status.status, status.completed, status.error_count) == ("Running", False, 0)
        assert status.id in {12, None}

    async def test_completed(self, ask: Callable) -> None:
        """The counts are numbers, whatever they came as."""
        counts = {"successCount": "405432", "errorCount": 342, "unprocessCount": 0.0}
        api, _ = await ask(bare({"status": "Completed", **counts}))
        status = await api.status(12)

        assert status.completed
        assert [type(status[name]) for name in counts] == [int, int, int]
        assert (status.success_count, status.error_count, status.unprocess_count) == (
            405432,
            342,
            0,
        )

    @pytest.mark.parametrize(
        "answer",
        [
            bare({}),
            bare({"status": 1}),
            bare({"status": "Completed", "errorCount": "many"}),
            bare({"status": "Completed", "id": "x"}),
            json_answer({"batchStatus": "Running"}),
            json_answer([]),
            bare("Running"),
            text_answer("<h1>", content_type="text/html"),
        ],
    )
    async def test_another_answer(self, ask: Callable, answer: Handler) -> None:
        """What is no status is not taken for one."""
        api, _ = await ask(answer)
        with pytest.raises(UnreadableAnswerError):
            await api.status(12)


ERRORS = [
    {"errorReason": "Incident i-1 has an invalid status.", "errorSource": "i-1 is not valid."}
]


class TestErrors:
    """GET /v2/batch/{id}/results and /errors."""

    @pytest.mark.parametrize(
        "answer",
        [
            bytes_answer(
                gzip.compress(json.dumps(ERRORS).encode()),
                Content_Type="application/octet-stream ; boundary=",
                Content_Encoding="gzip",
            ),
            bytes_answer(gzip.compress(json.dumps(ERRORS).encode())),
            bytes_answer(json.dumps(ERRORS).encode(), Content_Type="text/plain"),
            bare(ERRORS),
        ],
    )
    async def test_in_every_packing(self, ask: Callable, answer: Handler) -> None:
        """Packed or not, and whatever the content type says."""
        api, server = await ask(answer)

        assert await api.errors(12) == ERRORS
        assert [seen.target for seen in server.seen] == ["/api/v2/batch/12/results"]

    async def test_an_old_platform(self, ask: Callable) -> None:
        """Where there is no /results there is /errors."""
        api, server = await ask(in_turn(text_answer(status=404), bare(ERRORS)))

        assert await api.errors(12) == ERRORS
        assert server.seen[1].target == "/api/v2/batch/12/errors"

    @pytest.mark.parametrize("answer", [text_answer(status=404), bare([]), text_answer("")])
    async def test_none(self, ask: Callable, answer: Handler) -> None:
        """A 404, an empty list and an empty body all say that there are none."""
        api, server = await ask(answer)

        assert await api.errors(12) == []
        assert len(server.seen) == 2

    async def test_what_is_no_object(self, ask: Callable) -> None:
        """Text in the list is taken as the reason."""
        api, _ = await ask(bare(["one", None]))

        assert [error.reason for error in await api.results(12)] == ["one", "None"]

    async def test_too_early(self, ask: Callable) -> None:
        """The server says so while the job runs."""
        said = {"status": "Invalid", "description": "Batch still in Running state"}
        api, _ = await ask(bare(said, status=400))
        with pytest.raises(RequestRefusedError, match="still in Running state"):
            await api.errors(12)

    @pytest.mark.parametrize("answer", [bare({"status": "Success"}), text_answer('[{"a":')])
    async def test_no_list(self, ask: Callable, answer: Handler) -> None:
        """Anything but a list is not taken for errors, nor for none."""
        api, _ = await ask(answer)
        with pytest.raises(UnreadableAnswerError):
            await api.errors(12)
