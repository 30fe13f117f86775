"""The steps of a job's life: lost answers, forgotten jobs, late errors, contents read once."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from anyio.lowlevel import checkpoint
from support.servers import ONCE, Server, in_turn, json_answer, text_answer
from support.submitting import Time

from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.errors import (
    AuthenticationError,
    ConnectionLostError,
    FileUploadError,
    JobError,
    NotFoundError,
    PollTimeoutError,
    RequestRefusedError,
    UnavailableError,
)
from aiotcbatch.results.status import BatchError, BatchStatus
from aiotcbatch.submitting.job import Job, JobSettings, Phase
from aiotcbatch.submitting.polling import PollSchedule
from aiotcbatch.submitting.steps import Clock, Steps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from support.servers import Handler

pytest_plugins = ["support.wire"]

CREATED = json_answer({"batchStatus": {"status": "Created"}})
RUNNING = json_answer({"batchStatus": {"status": "Running"}})
COMPLETED = json_answer({"batchStatus": {"status": "Completed", "successCount": 1}})
QUEUED = json_answer({"batchStatus": {"status": "Queued"}}, status=202)
GONE = text_answer(status=404)
AWAY = text_answer(status=503)
APPEND = {"attribute_write_type": "Append"}


class Script:
    """A server that answers each kind of request in turn, as it was told."""

    def __init__(self, **answers: tuple[Handler, ...]) -> None:
        self.answers = {name: in_turn(*handlers) for name, handlers in answers.items()}
        self.asked: list[str] = []
        self.server: Server = Server("")

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer."""
        parts = request.path.split("/")[3:]
        if parts[-1] in {"createAndUpload", "results", "errors"}:
            name = parts[-1]
        elif parts == ["batch"]:
            name = "create"
        elif "groups" in parts:
            name = "file"
        else:
            name = "upload" if request.method == "POST" else "status"
        self.asked.append(name)
        return await self.answers[name](request)


async def lost(request: web.Request) -> web.StreamResponse:
    """Break the connection when the request was read."""
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError


def ids(*numbers: int) -> tuple[Handler, ...]:
    """Give the answers that create jobs."""
    return tuple(json_answer({"batchId": number}, status=201) for number in numbers)


async def job_of(files: dict[str, Any] | None = None, **settings: Any) -> Job:
    """Make a job of one address and some documents."""
    builder = TypedBuilder()
    builder.address("1.2.3.4", xid="i")
    for xid, content in (files or {}).items():
        builder.document(xid, "f.txt", xid=xid, file_content=content)
    await builder.drain()
    chunk = builder._cut()
    assert chunk is not None
    return Job(JobSettings(owner="MyOrg", **settings), chunk)


@pytest.fixture
def take(serve: Callable, connect: Callable) -> Callable[..., Awaitable[tuple[Steps, Script]]]:
    """Give a way to make steps that talk to a script."""

    async def take(clock: Clock | None = None, **answers: Any) -> tuple[Steps, Script]:
        script = Script(**answers)
        script.server = await serve(script)
        transport = connect(script.server.url, retry=ONCE)
        return Steps(transport, PollSchedule(), clock or Time().clock), script

    return take


async def no_nap(seconds: float) -> bool:
    """Sleep for no time."""
    await checkpoint()
    return False


class TestSend:
    """The document to the server, once."""

    async def test_plainly(self, take: Callable) -> None:
        """Create, upload."""
        steps, script = await take(create=ids(5), upload=(QUEUED,))
        job = await job_of()
        await steps.send(job)

        assert script.asked == ["create", "upload"]
        assert (job.phase, job.id, job.uploaded_at) == (Phase.UPLOADED, 5, 1000.0)

    @pytest.mark.parametrize(
        "answer",
        [
            lost,
            text_answer(status=502),
            text_answer("<html>", content_type="text/html"),
            text_answer('{"status":', content_type="application/json"),
            text_answer("ok"),
        ],
    )
    @pytest.mark.parametrize("settings", [{}, APPEND])
    async def test_a_lost_answer_and_the_document_is_there(
        self, take: Callable, answer: Handler, settings: dict[str, str]
    ) -> None:
        """The status decides: it is not sent again."""
        steps, script = await take(create=ids(5), upload=(answer,), status=(RUNNING,))
        job = await job_of(**settings)
        await steps.send(job)

        assert script.asked == ["create", "upload", "status"]
        assert job.phase is Phase.UPLOADED

    @pytest.mark.parametrize("settings", [{}, APPEND])
    async def test_a_lost_answer_and_the_document_is_not_there(
        self, take: Callable, settings: dict[str, str]
    ) -> None:
        """The same job still waits for it: it is sent again."""
        steps, script = await take(create=ids(5), upload=(lost, QUEUED), status=(CREATED,))
        job = await job_of(**settings)
        await steps.send(job)

        assert script.asked == ["create", "upload", "status", "upload"]
        assert job.phase is Phase.UPLOADED

    async def test_it_never_arrives(self, take: Callable) -> None:
        """After three attempts the error is that of the last one; later it is asked about."""
        steps, script = await take(create=ids(5), upload=(lost,), status=(CREATED,))
        job = await job_of()
        with pytest.raises(ConnectionLostError):
            await steps.send(job)

        assert script.asked.count("upload") == 3
        assert job.phase is Phase.UPLOADING

    async def test_it_arrives_late(self, take: Callable) -> None:
        """The first one arrived when the status was asked for already: it is not sent thrice."""
        used = text_answer('{"description": "already uploaded"}', status=400)
        steps, script = await take(create=ids(5), upload=(lost, used), status=(CREATED, RUNNING))
        job = await job_of()
        await steps.send(job)

        assert script.asked == ["create", "upload", "status", "upload", "status"]
        assert job.phase is Phase.UPLOADED

    async def test_the_status_is_not_known_either(self, take: Callable) -> None:
        """The upload's error says so, and the next time it is asked for first."""
        steps, script = await take(create=ids(5), upload=(lost,), status=(AWAY, RUNNING))
        job = await job_of()
        with pytest.raises(ConnectionLostError) as caught:
            await steps.send(job)
        assert "could not be asked for either" in caught.value.__notes__[0]
        assert isinstance(caught.value.__cause__, UnavailableError)
        await steps.send(job)

        assert script.asked == ["create", "upload", "status", "status"]
        assert job.phase is Phase.UPLOADED

    async def test_it_is_still_not_known(self, take: Callable) -> None:
        """When there is no other error, that of the question is raised."""
        steps, _ = await take(status=(AWAY,))
        job = await job_of()
        job.created(5)
        job.uploading()
        with pytest.raises(UnavailableError):
            await steps.send(job)

        assert job.phase is Phase.UPLOADING

    async def test_a_refusal(self, take: Callable) -> None:
        """The server does not have the document, and the job can have another try."""
        refusal = text_answer("no", status=400)
        steps, script = await take(create=ids(5), upload=(refusal, QUEUED))
        job = await job_of()
        with pytest.raises(RequestRefusedError):
            await steps.send(job)
        assert job.phase is Phase.CREATED
        await steps.send(job)

        assert script.asked == ["create", "upload", "upload"]

    async def test_a_refusal_after_doubt(self, take: Callable) -> None:
        """One that is not about the document leaves the doubt."""
        steps, _ = await take(
            create=ids(5), upload=(lost, text_answer(status=401)), status=(CREATED,)
        )
        job = await job_of()
        with pytest.raises(AuthenticationError):
            await steps.send(job)

        assert job.phase is Phase.UPLOADING


class TestForgottenJobs:
    """A server that does not know the id any more."""

    @pytest.mark.parametrize("settings", [{}, APPEND])
    async def test_before_the_upload(self, take: Callable, settings: dict[str, str]) -> None:
        """It never had the document, so the job is made anew."""
        steps, script = await take(create=ids(5, 6), upload=(GONE, QUEUED))
        job = await job_of(**settings)
        await steps.send(job)

        assert script.asked == ["create", "upload", "create", "upload"]
        assert job.id == 6

    async def test_again_and_again(self, take: Callable) -> None:
        """It is made anew once; then it is an error, and the job is as if it was never sent."""
        steps, _ = await take(create=ids(5, 6, 7), upload=(GONE,))
        job = await job_of()
        with pytest.raises(NotFoundError):
            await steps.send(job)

        assert (job.phase, job.batch_id) == (Phase.CUT, None)

    async def test_after_a_lost_answer(self, take: Callable) -> None:
        """Replace makes the same of the document twice, so it is sent again."""
        steps, script = await take(create=ids(5, 6), upload=(lost, QUEUED), status=(GONE,))
        job = await job_of()
        await steps.send(job)

        assert script.asked == ["create", "upload", "status", "create", "upload"]
        assert job.id == 6

    async def test_after_a_lost_answer_with_append(self, take: Callable) -> None:
        """Append does not: the job is lost, and the error says what to do."""
        steps, script = await take(create=ids(5, 6), upload=(lost,), status=(GONE,))
        job = await job_of({"d": b"x"}, **APPEND)
        with pytest.raises(JobError, match="look on the server") as caught:
            await steps.send(job)

        assert script.asked == ["create", "upload", "status"]
        assert job.phase is Phase.LOST
        assert caught.value.batch_id == 5
        assert [upload.uploaded for upload in job.result.uploads] == [False]


class TestAtOnce:
    """The one-request form."""

    async def test_inline(self, take: Callable) -> None:
        """Done at once."""
        steps, _ = await take(createAndUpload=(COMPLETED,))
        job = await job_of()
        await steps.send(job, at_once=True)

        assert (job.phase, job.batch_id) == (Phase.COMPLETED, None)
        assert job.result.success_count == 1

    async def test_queued(self, take: Callable) -> None:
        """To be polled."""
        queued = json_answer({"batchStatus": {"status": "Queued", "id": 9}})
        steps, _ = await take(createAndUpload=(queued,))
        job = await job_of()
        await steps.send(job, at_once=True)

        assert (job.phase, job.id) == (Phase.UPLOADED, 9)

    async def test_a_refusal(self, take: Callable) -> None:
        """The server has nothing."""
        steps, _ = await take(createAndUpload=(text_answer(status=400),))
        job = await job_of(**APPEND)
        with pytest.raises(RequestRefusedError):
            await steps.send(job, at_once=True)

        assert job.phase is Phase.CUT

    async def test_a_lost_answer(self, take: Callable) -> None:
        """Nothing tells what became of it: with Replace it can be sent again."""
        steps, _ = await take(createAndUpload=(lost, COMPLETED))
        job = await job_of()
        with pytest.raises(ConnectionLostError):
            await steps.send(job, at_once=True)
        assert job.phase is Phase.CUT
        await steps.send(job, at_once=True)

        assert job.phase is Phase.COMPLETED

    async def test_a_lost_answer_with_append(self, take: Callable) -> None:
        """With Append it cannot."""
        steps, _ = await take(createAndUpload=(lost,))
        job = await job_of(**APPEND)
        with pytest.raises(ConnectionLostError) as caught:
            await steps.send(job, at_once=True)

        assert "not sent again" in caught.value.__notes__[0]
        assert job.phase is Phase.LOST

    async def test_refused_unseen_with_append(self, take: Callable) -> None:
        """A server that says when to come back has not acted, so it can be sent again."""
        busy = text_answer(status=503, headers={"Retry-After": "1"})
        steps, _ = await take(createAndUpload=(busy, COMPLETED))
        job = await job_of(**APPEND)
        with pytest.raises(UnavailableError) as caught:
            await steps.send(job, at_once=True)
        assert job.phase is Phase.CUT
        assert "__notes__" not in vars(caught.value)
        await steps.send(job, at_once=True)

        assert job.phase is Phase.COMPLETED

    async def test_one_that_was_begun_goes_in_two_requests(self, take: Callable) -> None:
        """A job that has an id is given its document."""
        steps, script = await take(upload=(QUEUED,))
        job = await job_of()
        job.created(5)
        await steps.send(job, at_once=True)

        assert script.asked == ["upload"]


class TestCompletion:
    """Waiting for the server."""

    @staticmethod
    async def wait(steps: Steps, time: Time, limit: float, **rest: Any) -> BatchStatus | None:
        """Wait for job 5."""

        async def nap(seconds: float) -> bool:
            await time.sleep(seconds)
            return False

        rest.setdefault("nap", nap)
        return await steps.completion(5, count=10, since=time.now, limit=limit, **rest)

    async def test_until_it_is_done(self, take: Callable) -> None:
        """Early at first, then less often."""
        time = Time()
        steps, _ = await take(time.clock, status=(RUNNING,) * 30 + (COMPLETED,))
        status = await self.wait(steps, time, 60.0)

        assert status is not None
        assert status.success_count == 1
        assert time.slept[0] == pytest.approx(0.05)
        assert time.slept == sorted(time.slept)

    async def test_it_learns(self, take: Callable) -> None:
        """The next job of this size is looked at when it is likely to be done."""
        time = Time()
        steps, script = await take(time.clock, status=(RUNNING,) * 50 + (COMPLETED,))
        await self.wait(steps, time, 60.0)
        took = sum(time.slept)
        time.slept.clear()
        script.asked.clear()
        await self.wait(steps, time, 60.0, learn=False)

        assert steps._schedule.predict(10) == pytest.approx(took)
        assert time.slept[0] > 0.1

    async def test_a_timeout(self, take: Callable) -> None:
        """It says how far the job is and that it may still complete; no time is slept beyond."""
        time = Time()
        steps, _ = await take(time.clock, status=(RUNNING,))
        with pytest.raises(PollTimeoutError, match="job 5 is Running after 10 seconds") as caught:
            await self.wait(steps, time, 10.0)

        assert caught.value.batch_id == 5
        assert sum(time.slept) == pytest.approx(10.0, abs=0.01)

    @pytest.mark.parametrize("limit", [0.0, -5.0])
    async def test_it_looks_once_at_least(self, take: Callable, limit: float) -> None:
        """A job that is done is never said to have timed out."""
        time = Time()
        steps, script = await take(time.clock, status=(COMPLETED,))

        assert await self.wait(steps, time, limit) is not None
        assert script.asked == ["status"]

    async def test_at_an_interval(self, take: Callable) -> None:
        """An interval that was asked for is kept to."""
        time = Time()
        steps, _ = await take(time.clock, status=(RUNNING, RUNNING, COMPLETED))
        await self.wait(steps, time, 60.0, interval=7.0)

        assert time.slept == [7.0, 7.0, 7.0]

    async def test_a_nap_that_is_left(self, take: Callable) -> None:
        """Nothing is asked then."""
        time = Time()
        steps, script = await take(time.clock, status=(RUNNING,))

        async def leave(seconds: float) -> bool:
            await checkpoint()
            return True

        assert await self.wait(steps, time, 60.0, nap=leave) is None
        assert script.asked == []


def listed(*xids: str) -> Handler:
    """Give an error list that names some xids."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response([{"errorReason": f"'{xid}' is not valid"} for xid in xids])

    return handler


class TestExplain:
    """The errors of a completed job."""

    @staticmethod
    async def completed(**counts: int) -> Job:
        """Make a completed job."""
        job = await job_of()
        job.created(5)
        job.uploaded(0.0)
        job.completed({"status": "Completed", **counts})
        return job

    async def test_they_are_tied(self, take: Callable) -> None:
        """Each names its entity; the document is given up."""
        steps, script = await take(results=(listed("i"),))
        job = await self.completed(errorCount=1)

        assert await steps.explain(job, no_nap) == []
        assert [error.xid for error in job.status.errors] == ["i"]
        assert script.asked == ["results"]
        assert job.chunk is None
        assert job.phase is Phase.DONE

    async def test_there_are_none(self, take: Callable) -> None:
        """One question is enough where the counts say that all is well."""
        steps, script = await take(results=(GONE,))
        job = await self.completed(errorCount=0)

        assert await steps.explain(job, no_nap) == []
        assert (job.status.errors, script.asked) == ([], ["results"])

    @pytest.mark.parametrize("counts", [{"errorCount": 1}, {"errorAssociationCount": 1}])
    async def test_they_lag_behind(self, take: Callable, counts: dict[str, int]) -> None:
        """What the counts speak of is asked for until it is there."""
        time = Time()
        steps, script = await take(time.clock, results=(GONE, GONE, listed("i")), errors=(GONE,))
        job = await self.completed(**counts)

        async def nap(seconds: float) -> bool:
            await time.sleep(seconds)
            return False

        assert await steps.explain(job, nap) == []
        assert len(job.status.errors) == 1
        assert script.asked == ["results", "errors", "results", "errors", "results"]
        assert time.slept == [0.2, 1.0]

    async def test_they_never_come(self, take: Callable) -> None:
        """After some seconds the counts have to do; no time is slept for nothing."""
        time = Time()
        steps, script = await take(time.clock, results=(GONE,), errors=(GONE,))
        job = await self.completed(errorCount=1)

        async def nap(seconds: float) -> bool:
            await time.sleep(seconds)
            return False

        assert await steps.explain(job, nap) == []
        assert (job.status.errors, job.phase) == ([], Phase.DONE)
        assert sum(time.slept) == pytest.approx(5.2)
        assert script.asked[-2:] == ["results", "errors"]
        assert len(script.asked) == 8

    async def test_a_nap_that_is_left(self, take: Callable) -> None:
        """The errors are still to be fetched then."""
        steps, _ = await take(results=(GONE,), errors=(GONE,))
        job = await self.completed(errorCount=1)

        async def leave(seconds: float) -> bool:
            await checkpoint()
            return True

        assert await steps.explain(job, leave) is None
        assert job.phase is Phase.COMPLETED

    async def test_of_an_inline_job(self, take: Callable) -> None:
        """Nothing can be asked for; what the answer lists is tied."""
        steps, script = await take()
        job = await job_of()
        job.completed(BatchStatus(status="Completed", errors=[BatchError(errorReason="'i' no")]))

        assert await steps.explain(job, no_nap) == []
        assert [error.xid for error in job.status.errors] == ["i"]
        assert script.asked == []


OK = json_answer()


class TestFiles:
    """The contents of a job's groups."""

    @staticmethod
    async def completed(files: dict[str, Any], *errors: BatchError, **counts: int) -> Job:
        """Make a job whose files can go up."""
        job = await job_of(files)
        job.completed({"status": "Completed", **counts})
        job.explained(list(errors))
        return job

    async def test_they_go_up(self, take: Callable) -> None:
        """Each has its result, and the job is done."""
        steps, _ = await take(file=(OK,))
        job = await self.completed({"a": b"1", "b": lambda xid: xid})
        await steps.upload_files(job, concurrency=2, halt=True)

        assert [upload.size for upload in job.result.uploads] == [1, 1]
        assert job.phase is Phase.DONE

    async def test_those_of_refused_groups_do_not(self, take: Callable) -> None:
        """Each says why; a group that lost a part only is there."""
        steps, script = await take(file=(OK,))
        errors = (
            BatchError(xid="a", code="0x1006", severity="Error", errorReason="bad name"),
            BatchError(xid="b", code="0x2002", severity="Warning"),
            BatchError(xid="c", code="0x1009", severity="Error"),
        )
        job = await self.completed({"a": b"1", "b": b"2", "c": b"3"}, *errors, errorCount=3)
        await steps.upload_files(job, concurrency=1, halt=True)

        assert [upload.uploaded for upload in job.result.uploads] == [False, True, True]
        assert "bad name" in str(job.result.uploads[0].error)
        assert script.asked == ["file", "file"]

    @pytest.mark.parametrize("counts", [{"errorCount": 1}, {"unprocessCount": 3}])
    async def test_an_absent_group_is_no_failure_where_some_were_refused(
        self, take: Callable, counts: dict[str, int]
    ) -> None:
        """The server stopped before it, or did not say which one it refused."""
        steps, _ = await take(file=(GONE, OK))
        job = await self.completed({"a": b"1", "b": b"2"}, **counts)
        await steps.upload_files(job, concurrency=1, halt=True)

        assert [upload.uploaded for upload in job.result.uploads] == [False, True]
        assert "not on the server" in str(job.result.uploads[0].error)

    async def test_an_absent_group_is_a_failure_where_none_was_refused(
        self, take: Callable
    ) -> None:
        """It should have been there."""
        steps, _ = await take(file=(GONE,))
        job = await self.completed({"a": b"1"})
        with pytest.raises(FileUploadError):
            await steps.upload_files(job, concurrency=1, halt=True)

        assert list(job.files) == ["a"]

    async def test_they_can_be_left_for_later(self, take: Callable) -> None:
        """What was not begun stays in the job."""
        steps, _ = await take(file=(OK,))
        job = await self.completed({"a": b"1", "b": b"2", "c": b"3"})
        await steps.upload_files(job, concurrency=1, halt=True, stop=lambda: len(job.files) == 2)

        assert list(job.files) == ["b", "c"]
        assert job.phase is Phase.FILING

    async def test_a_content_that_can_be_read_once(self, take: Callable) -> None:
        """After an upload that did not end it is not sent again, cut short as it would be."""
        steps, script = await take(file=(AWAY, OK))

        async def stream() -> AsyncIterator[bytes]:
            yield b"abc"

        job = await self.completed({"a": stream(), "b": lambda xid: stream()})
        with pytest.raises(FileUploadError):
            await steps.upload_files(job, concurrency=1, halt=True)
        assert script.asked == ["file"]
        await steps.upload_files(job, concurrency=1, halt=True)

        assert [upload.uploaded for upload in job.result.uploads] == [False, True]
        assert "read only once" in str(job.result.uploads[0].error)

    async def test_a_file_begins_where_it_stood(self, take: Callable) -> None:
        """An open file is sent from its place again after an upload that did not end."""
        steps, script = await take(file=(AWAY, OK))
        file = io.BytesIO(b"..abc")
        file.seek(2)
        job = await self.completed({"a": file})
        with pytest.raises(FileUploadError):
            await steps.upload_files(job, concurrency=1, halt=True)
        await steps.upload_files(job, concurrency=1, halt=True)

        assert [seen.body for seen in script.server.seen] == [b"abc", b"abc"]
