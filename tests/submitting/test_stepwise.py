"""Submitting step by step, in the forms that the documents of TcEx show."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint
from support.submitting import (
    CREATE,
    ERRORS,
    FILE,
    RESULTS,
    STATUS,
    UPLOAD,
    Place,
    fill,
)

from aiotcbatch.errors import (
    ConfigurationError,
    ConnectionLostError,
    FileUploadError,
    JobError,
    NotFoundError,
    PollTimeoutError,
    RequestRefusedError,
    UsageError,
)
from aiotcbatch.sandbox import Status, StuckJob
from aiotcbatch.submitting.backlog import REMEMBERED


class TestTheDocument:
    """The two options of the users' document, with ``await`` added."""

    async def test_option_1(self, place: Place) -> None:
        """Submit the job and wait for completion."""
        batch = place.batch()
        batch.address("1.2.3.4", xid="bad").attribute("No Such Type", "x")
        batch_data = await batch.submit(errors=True)
        errors = batch_data.get("errors")

        assert [error["xid"] for error in errors or []] == ["bad"]

    async def test_option_2(self, place: Place) -> None:
        """Call each step in submitting the batch job manually."""
        batch = place.batch()
        batch.document("doc", "doc.txt", xid="doc", file_content="text")
        batch.address("1.2.3.4", xid="bad").attribute("No Such Type", "x")

        batch_id = await batch.submit_job()
        assert batch_id is not None
        await batch.submit_data(batch_id)
        batch_status = await batch.poll(batch_id)
        count = batch_status.get("data", {}).get("batchStatus", {}).get("errorCount", 0)
        errors = await batch.errors(batch_id)
        upload_status = await batch.submit_files()

        assert count == 1
        assert [error.xid for error in errors] == ["bad"]
        assert upload_status == [{"uploaded": True, "xid": "doc", "error": None, "bytes": 4}]
        assert place.wire.asked == [CREATE, UPLOAD, STATUS, RESULTS, FILE]
        assert batch_status["status"] == "Success"
        assert (len(batch), batch.file_len) == (0, 0)

    async def test_in_the_words_of_2018(self, place: Place) -> None:
        """The positional forms of that time: poll(id, interval, timeout)."""
        batch = place.batch()
        fill(batch, 1)
        batch_id = await batch.create_job(True)
        assert batch_id is not None
        await batch.submit_data(batch_id, True)
        status = await batch.poll(batch_id, 3, 60, True)

        assert status["data"]["batchStatus"]["status"] == "Completed"
        assert place.time.slept == [3]
        assert await batch.errors(batch_id, True) == []
        assert await batch.submit_files(True) == []


class TestSubmitData:
    """The document to a job that the user has made."""

    async def test_as_much_as_one_job_takes(self, place: Place) -> None:
        """The rest goes with the next one."""
        batch = place.batch(max_entities_per_job=2)
        fill(batch, 3)
        for left in (1, 0):
            batch_id = await batch.submit_job()
            assert batch_id is not None
            assert (await batch.submit_data(batch_id))["status"] == "Success"
            assert len(batch) == left
        await place.sandbox.idle()

        assert len(place.stored()) == 3

    async def test_nothing(self, place: Place) -> None:
        """A job without data would wait for ever."""
        batch = place.batch()
        batch_id = await batch.submit_job()
        assert batch_id is not None
        with pytest.raises(UsageError, match="nothing is pending"):
            await batch.submit_data(batch_id)

    @pytest.mark.parametrize("halt", [None, True, False])
    async def test_a_refusal(self, place: Place, halt: bool | None) -> None:
        """The data stays pending, for another id or for submit, which makes a job of its own."""
        batch = place.batch()
        fill(batch, 2)
        place.wire.fail(UPLOAD, RequestRefusedError("no", status=400), done=False)
        if halt is False:
            assert await batch.submit_data(77, halt) == {}
        else:
            with pytest.raises(RequestRefusedError):
                await batch.submit_data(77, halt)
        assert len(batch) == 2
        await batch.submit()

        assert len(place.sent()) == 2

    async def test_an_id_that_has_its_data(self, place: Place) -> None:
        """The server refuses a second document; a submit is not held to that id."""
        batch = place.batch()
        fill(batch, 2)
        batch_id = await batch.submit_job()
        assert batch_id is not None
        await batch.submit_data(batch_id)
        fill(batch, 2, 10)
        with pytest.raises(RequestRefusedError):
            await batch.submit_data(batch_id)

        assert (await batch.submit()).success_count == 2
        assert len(place.sent()) == 4

    async def test_an_id_that_is_not_known(self, place: Place) -> None:
        """It is an error, and the data stays."""
        batch = place.batch()
        fill(batch, 2)
        with pytest.raises(NotFoundError):
            await batch.submit_data(4711)

        assert (await batch.submit()).success_count == 2

    async def test_a_lost_answer(self, place: Place) -> None:
        """The status tells, and the answer is what it would have been."""
        batch = place.batch()
        fill(batch, 2)
        batch_id = await batch.submit_job()
        assert batch_id is not None
        place.wire.fail(UPLOAD, ConnectionLostError("lost"), done=True)

        assert await batch.submit_data(batch_id) == {"status": "Queued"}
        assert place.wire.asked == [CREATE, UPLOAD, STATUS]
        assert (await batch.poll(batch_id))["data"]["batchStatus"]["successCount"] == 2

    @pytest.mark.parametrize("is_done", [True, False])
    @pytest.mark.parametrize("by_submit", [True, False])
    async def test_cancelled(self, place: Place, is_done: bool, by_submit: bool) -> None:
        """Taken up again, by the same id or by submit, it is sent once."""
        batch = place.batch(attribute_write_type="Append")
        fill(batch, 2)
        batch_id = await batch.submit_job()
        assert batch_id is not None
        with anyio.CancelScope() as scope:

            async def at(asked: str, done: bool) -> None:
                if (asked, done) == (UPLOAD, is_done):
                    scope.cancel()
                await checkpoint()

            place.wire.at = at
            await batch.submit_data(batch_id)
        place.wire.at = None
        assert len(batch) == 2
        if by_submit:
            await batch.submit()
        else:
            await batch.submit_data(batch_id)

        assert len(place.sandbox.jobs) == 1
        assert len(place.sent()) == 2
        assert len(batch) == 0

    async def test_what_a_submit_has_on_the_server_is_not_sent_again(self, place: Place) -> None:
        """A job that a cancelled submit has uploaded is no data for another one."""
        batch = place.batch()
        fill(batch, 2)
        with anyio.CancelScope() as scope:

            async def at(asked: str, done: bool) -> None:
                if asked == STATUS:
                    scope.cancel()
                await checkpoint()

            place.wire.at = at
            await batch.submit()
        place.wire.at = None
        batch_id = await batch.submit_job()
        assert batch_id is not None
        with pytest.raises(UsageError, match="nothing is pending"):
            await batch.submit_data(batch_id)

        assert (await batch.submit()).success_count == 2
        assert len(place.sent()) == 2

    async def test_append_is_not_repeated_when_the_job_is_forgotten(self, place: Place) -> None:
        """What became of it cannot be told; it is not pending any more."""
        batch = place.batch(attribute_write_type="Append")
        fill(batch, 2)
        place.wire.fail(UPLOAD, ConnectionLostError("lost"), done=False)
        with pytest.raises(JobError, match="not sent again"):
            await batch.submit_data(4711)

        assert len(batch) == 0
        assert (await batch.submit()).jobs == []


class TestSubmitJob:
    """Creating a job."""

    async def test_a_failure(self, place: Place) -> None:
        """It raises, or gives None."""
        batch = place.batch(owner="Nobody")
        with pytest.raises(Exception, match="owner"):
            await batch.submit_job()

        assert await batch.submit_job(halt_on_error=False) is None
        batch.halt_on_batch_error = False
        assert await batch.submit_job(halt_on_error=True) is None


class TestPoll:
    """Waiting for a job."""

    async def test_a_timeout_is_always_raised(self, place: Place) -> None:
        """Whatever halt_on_error says; the job can be polled again."""
        batch = place.batch()
        fill(batch, 1)
        place.time.sandbox = None
        place.sandbox.faults.add("job", StuckJob(), times=1)
        batch_id = await batch.submit_job()
        assert batch_id is not None
        await batch.submit_data(batch_id)
        with pytest.raises(PollTimeoutError, match="after 2 seconds"):
            await batch.poll(batch_id, timeout=2, halt_on_error=False)
        await place.sandbox.idle()  # or it would not be stuck yet
        assert place.sandbox.release_jobs() == 1
        await place.sandbox.idle()

        assert (await batch.poll(batch_id, timeout=0))["data"]["batchStatus"]["successCount"] == 1

    async def test_a_failure(self, place: Place) -> None:
        """It raises, or gives an empty answer from which everything can be asked."""
        batch = place.batch()
        with pytest.raises(NotFoundError):
            await batch.poll(4711)
        answer = await batch.poll(4711, halt_on_error=False)

        assert answer.get("data", {}).get("batchStatus", {}).get("errorCount", 0) == 0

    @pytest.mark.parametrize("setting", ["timeout", "interval"])
    async def test_what_it_refuses(self, place: Place, setting: str) -> None:
        """Times are not negative."""
        with pytest.raises(ConfigurationError, match=setting):
            await place.batch().poll(1, **{setting: -1})

    async def test_a_job_of_a_submit(self, place: Place) -> None:
        """One that was submitted without polling can be polled, and have its files uploaded."""
        batch = place.batch()
        batch.document("doc", "doc.txt", xid="doc", file_content="text")
        status = await batch.submit(poll=False)
        assert status.status == "Queued"
        batch_id = status.jobs[0].id
        assert batch_id is not None
        await batch.poll(batch_id)

        assert [result.uploaded for result in await batch.submit_files()] == [True]

    async def test_a_job_whose_files_are_left(self, place: Place) -> None:
        """One that a submit has brought further is looked at, and that changes nothing."""
        batch = place.batch()
        batch.document("doc", "doc.txt", xid="doc", file_content="text")
        batch.address("1.2.3.4").attribute("No Such Type", "x")
        place.wire.fail(FILE, ConnectionLostError("lost"), done=False)
        with pytest.raises(FileUploadError):
            await batch.submit()
        answer = await batch.poll(1)
        assert answer["data"]["batchStatus"]["errorCount"] == 1
        status = await batch.submit()

        assert len(status.errors) == 1
        assert [upload.uploaded for upload in status.uploads] == [True]


class TestErrors:
    """What went wrong in a job."""

    async def test_too_early(self, place: Place) -> None:
        """A job that has not completed has no errors yet, which is an error."""
        batch = place.batch()
        batch_id = await batch.submit_job()
        assert batch_id is not None
        with pytest.raises(RequestRefusedError, match="still in Created state"):
            await batch.errors(batch_id)

        assert await batch.errors(batch_id, halt_on_error=False) == []

    async def test_of_another_batch(self, place: Place) -> None:
        """They are as the server sends them."""
        batch = place.batch()
        batch.address("1.2.3.4").attribute("No Such Type", "x")
        await batch.submit(errors=False)
        (error,) = await place.batch().errors(1)

        assert (error.code, error.xid) == ("0x2001", None)

    async def test_asked_for_twice(self, place: Place) -> None:
        """They are tied as often as they are asked for."""
        batch = place.batch()
        batch.address("1.2.3.4", xid="bad").attribute("No Such Type", "x")
        batch_id = await batch.submit_job()
        assert batch_id is not None
        await batch.submit_data(batch_id)
        await batch.poll(batch_id)

        for _ in range(2):
            assert [error.xid for error in await batch.errors(batch_id)] == ["bad"]

    async def test_of_a_job_that_was_not_polled(self, place: Place) -> None:
        """Both lists are asked then, and whether there is such a job, since no count is known."""
        batch = place.batch()
        fill(batch, 1)
        batch_id = await batch.submit_job()
        assert batch_id is not None
        await batch.submit_data(batch_id)
        await place.sandbox.idle()

        assert await batch.errors(batch_id) == []
        assert place.wire.asked[-3:] == [RESULTS, ERRORS, STATUS]

    async def test_of_a_job_that_is_not_there(self, place: Place) -> None:
        """It is not told as one without errors, though the server answers the same."""
        with pytest.raises(NotFoundError):
            await place.batch().errors(99)

        assert await place.batch().errors(99, halt_on_error=False) == []

    async def test_of_another_batch_that_come_late(self, place: Place) -> None:
        """They are waited for where the status counts them."""
        batch = place.batch(validate=False)
        batch.address("bad")
        await batch.submit(errors=False)
        for endpoint in ("results", "errors"):
            place.sandbox.faults.add(endpoint, Status(404), times=2)

        assert len(await place.batch().errors(1)) == 1

    async def test_a_long_life(self, place: Place) -> None:
        """Jobs without files are forgotten after a while: their documents do not pile up."""
        batch = place.batch()
        for number in range(REMEMBERED + 4):
            batch.address(f"10.0.0.{number}", xid=f"x{number}").attribute("No Such Type", "x")
            batch_id = await batch.submit_job()
            assert batch_id is not None
            await batch.submit_data(batch_id)
        await place.sandbox.idle()

        assert len(batch._backlog.sent) == REMEMBERED
        assert [error.xid for error in await batch.errors(1)] == [None]
        assert [error.xid for error in await batch.errors(REMEMBERED + 4)] == [f"x{REMEMBERED + 3}"]


class TestSubmitFiles:
    """The contents of what is on the server."""

    async def test_only_what_is_on_the_server(self, place: Place) -> None:
        """A group that waits to be sent has no file yet."""
        batch = place.batch()
        batch.document("doc", "doc.txt", xid="doc", file_content="text")

        assert await batch.submit_files() == []
        assert batch.file_len == 1

    async def test_a_failure(self, place: Place) -> None:
        """What is not up stays for another call; in partial are those that are."""
        batch = place.batch(file_concurrency=1)
        for xid in ("a", "b", "c"):
            batch.document(xid, "f.txt", xid=xid, file_content="text")
        batch_id = await batch.submit_job()
        assert batch_id is not None
        await batch.submit_data(batch_id)
        await batch.poll(batch_id)
        done = 0

        async def at(asked: str, is_done: bool) -> None:
            nonlocal done
            done += is_done
            if done == 1 and not is_done:
                done = 2
                raise ConnectionLostError("lost")

        place.wire.at = at
        with pytest.raises(FileUploadError) as caught:
            await batch.submit_files()
        assert caught.value.xid == "b"
        assert caught.value.partial is not None
        assert [upload.xid for upload in caught.value.partial.uploads] == ["a"]
        assert batch.file_len == 2
        results = await batch.submit_files()

        assert [(result.xid, result.uploaded) for result in results] == [("b", True), ("c", True)]

    async def test_a_failure_that_does_not_halt(self, place: Place) -> None:
        """It is in its result, and the file is done with."""
        batch = place.batch()
        batch.document("doc", "f.txt", xid="doc", file_content=lambda xid: 1 // 0)
        await batch.submit(process_files=False)
        (result,) = await batch.submit_files(halt_on_error=False)

        assert not result.uploaded
        assert "ZeroDivisionError" in str(result.error)
        assert batch.file_len == 0

    async def test_those_of_refused_groups(self, place: Place) -> None:
        """Once their errors are known they are left out."""
        batch = place.batch(validate=False)
        batch.add_group(
            {
                "type": "Document",
                "name": "bad",
                "xid": "bad",
                "malware": True,
                "fileName": "f",
                "fileContent": b"x",
            }
        )
        batch_id = await batch.submit_job()
        assert batch_id is not None
        await batch.submit_data(batch_id)
        await batch.poll(batch_id)
        await batch.errors(batch_id)
        place.wire.asked.clear()
        (result,) = await batch.submit_files()

        assert "refused the group" in str(result.error)
        assert place.wire.asked == []
