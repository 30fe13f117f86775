"""Batch: everything at once, what is told, what stays, and what is given up."""

from __future__ import annotations

import gc
import logging
import tracemalloc
import weakref
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from support.submitting import (
    AT_ONCE,
    CREATE,
    FILE,
    OWNER,
    RESULTS,
    STATUS,
    UPLOAD,
    Place,
    fill,
)

from aiotcbatch.errors import (
    ClosedError,
    ConfigurationError,
    ConnectionLostError,
    CriticalError,
    FileUploadError,
    PollTimeoutError,
    RequestRefusedError,
    UsageError,
    ValidationError,
)
from aiotcbatch.results.status import COUNTS
from aiotcbatch.sandbox import (
    FailedJob,
    StuckJob,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiotcbatch import Client
    from aiotcbatch.batch import Batch
    from aiotcbatch.results.status import BatchStatus


def add_document(batch: Batch, xid: str, content: Any = b"content") -> None:
    """Add a document."""
    batch.document(xid, f"{xid}.txt", xid=xid, file_content=content)


def add_refused(batch: Batch, xid: str) -> None:
    """Add a document that the server refuses, since malware needs a password."""
    batch.add_group(
        {
            "type": "Document",
            "name": xid,
            "xid": xid,
            "fileName": "f",
            "malware": True,
            "fileContent": b"x",
        }
    )


class TestSubmit:
    """Everything at once."""

    async def test_one_job(self, place: Place) -> None:
        """Create, upload, poll, fetch what went wrong; the counts are the server's."""
        batch = place.batch()
        stored = fill(batch, 3)
        status = await batch.submit()

        assert place.wire.asked == [CREATE, UPLOAD, STATUS, RESULTS]
        assert place.stored() == stored
        assert (status.status, status.success_count, status.ok) == ("Completed", 3, True)
        assert status.get("errors") == []
        assert [job.id for job in status.jobs] == [1]
        assert len(batch) == 0

    async def test_as_many_as_the_limits_need(self, place: Place) -> None:
        """Counts are added up; each job's own are in its status, in order."""
        batch = place.batch(max_entities_per_job=4)
        fill(batch, 10)
        status = await batch.submit()

        assert status.success_count == 10
        assert [(job.id, job.success_count) for job in status.jobs] == [(1, 4), (2, 4), (3, 2)]

    async def test_it_ends_though_others_go_on(self, place: Place) -> None:
        """What is drained while it is under way is for the next submit."""
        batch, added = place.batch(max_entities_per_job=4), 10

        def add(_: float) -> None:
            nonlocal added
            fill(batch, 4, added)
            added += 4

        async def feed() -> None:
            while True:
                before = added
                await batch.drain()
                while added == before:
                    await anyio.lowlevel.checkpoint()

        fill(batch, 10)
        place.time.on_sleep = add
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed)
            status = await batch.submit()
            tasks.cancel_scope.cancel()
        place.time.on_sleep = None

        assert [job.success_count for job in status.jobs] == [4, 4, 4]
        assert len(batch) == added - 12
        assert (await batch.submit()).success_count == added - 12

    async def test_nothing(self, place: Place) -> None:
        """Zeros, and no request."""
        status = await place.batch().submit()

        assert status.ok
        assert [status[name] for name in COUNTS] == [0] * len(COUNTS)
        assert (status.errors, status.uploads, status.jobs) == ([], [], [])
        assert place.wire.asked == []
        assert place.sandbox.jobs == []

    async def test_associations_alone(self, place: Place) -> None:
        """They are something to send."""
        batch = place.batch()
        batch.adversary("a", "a")
        batch.campaign("c", xid="c")
        await batch.submit()
        batch.add_association(ref_1="a", ref_2="c")
        assert (len(batch), batch.association_len) == (0, 1)
        status = await batch.submit()

        assert status.success_association_count == 1
        assert batch.association_len == 0

    async def test_the_job_settings(self, place: Place) -> None:
        """They are those of the moment when the job is made."""
        batch = place.batch(attribute_write_type="Append")
        batch.tag_write_type = "Append"
        batch.halt_on_error = True
        fill(batch, 1)
        await batch.submit()

        config = place.sandbox.jobs[0].config
        assert config == batch.settings.config
        assert (config["attributeWriteType"], config["tagWriteType"]) == ("Append", "Append")
        assert config["haltOnError"] is True

    async def test_what_the_server_refuses_is_no_failure(self, place: Place) -> None:
        """It is in the errors, tied to its entity, and nothing is raised."""
        batch = place.batch()
        batch.address("1.2.3.4", xid="good")
        batch.address("5.6.7.8", xid="bad").attribute("No Such Type", "x")
        status = await batch.submit(halt_on_error=True)

        assert (status.success_count, status.error_count, status.ok) == (1, 1, False)
        assert [error.xid for error in status.errors] == ["bad"]
        assert status.failure is None

    async def test_errors_are_not_asked_for(self, place: Place) -> None:
        """Without errors nothing but the counts tells of them."""
        batch = place.batch()
        batch.address("5.6.7.8").attribute("No Such Type", "x")
        status = await batch.submit(errors=False)

        assert (status.error_count, status.errors) == (1, [])
        assert RESULTS not in place.wire.asked

    async def test_delete(self, place: Place) -> None:
        """A delete job takes two requests in any case, and has no files."""
        batch = place.batch()
        add_document(batch, "d")
        fill(batch, 2)
        await batch.submit()
        place.wire.asked.clear()
        batch = place.batch(action="Delete", create_and_upload=True)
        add_document(batch, "d")
        fill(batch, 2)
        status = await batch.submit()

        assert place.sandbox.entities() == []
        assert (status.success_count, status.uploads) == (3, [])
        assert place.wire.asked[:2] == [CREATE, UPLOAD]
        assert FILE not in place.wire.asked

    @pytest.mark.parametrize("interface", [1, 2, 3])
    async def test_delete_by_name_and_xid(self, place: Place, interface: int) -> None:
        """What only a new group needs is not asked for, by whichever interface."""
        batch = place.batch()
        batch.document("n", "f.txt", malware=True, password="p", xid="Document")
        batch.email("n", "s", "h", "b", xid="Email")
        batch.signature("n", "f", "Snort", "alert", xid="Signature")
        batch.registry_key("HKLM\\x", "v", "REG_SZ")
        batch.email_address("a@x.example")
        await batch.submit()
        batch = place.batch(action="Delete")
        if interface == 1:
            batch.document("n", xid="Document")
            batch.email("n", xid="Email")
            batch.signature("n", xid="Signature")
            batch.registry_key("HKLM\\x", "v", "REG_SZ")
            batch.email_address("a@x.example")
        for kind in ("Document", "Email", "Signature"):
            if interface == 2:
                batch.group(kind, "n", kind)
            elif interface == 3:
                batch.add_group({"type": kind, "name": "n", "xid": kind})
        for kind, summary in (
            ("Registry Key", "HKEY_LOCAL_MACHINE\\x : v : REG_SZ"),
            ("EmailAddress", "a@x.example"),
        ):
            if interface == 2:
                batch.indicator(kind, summary)
            elif interface == 3:
                batch.add_indicator({"type": kind, "summary": summary, "xid": kind})
        status = await batch.submit()

        assert (status.success_count, status.ok) == (5, True)
        assert place.sandbox.entities() == []

    async def test_a_create_asks_for_what_a_group_needs(self, place: Place) -> None:
        """Also where the batch was to delete before, and whatever was added then."""
        batch = place.batch(action="Delete")
        email = batch.email("n", xid="e")
        batch.action = "Create"
        with pytest.raises(ValidationError, match="subject"):
            batch.email("n", xid="f")
        with pytest.raises(ValidationError, match="subject"):
            batch.add_group({"type": "Email", "name": "n", "xid": "f"})
        with pytest.raises(ValidationError, match="subject"):
            await batch.drain()
        batch.discard(email)
        await batch.drain()

    @pytest.mark.parametrize("limit", [0, 100])
    async def test_in_one_request(self, place: Place, limit: int) -> None:
        """Inline or queued, the result is the same but for the id."""
        place.sandbox.configure(synchronous_limit=limit)
        batch = place.batch(create_and_upload=True)
        add_document(batch, "d")
        fill(batch, 1)
        batch.address("5.6.7.8").attribute("No Such Type", "x")
        status = await batch.submit()

        assert place.wire.asked[0] == AT_ONCE
        assert (status.success_count, status.error_count) == (2, 1)
        assert [upload.uploaded for upload in status.uploads] == [True]
        assert [job.id for job in status.jobs] == [None if limit else 1]

    async def test_errors_of_an_inline_job(self, place: Place) -> None:
        """What the answer lists is tied like any other."""
        place.sandbox.configure(inline_errors=True)
        batch = place.batch(create_and_upload=True)
        batch.address("5.6.7.8", xid="bad").attribute("No Such Type", "x")
        status = await batch.submit()

        assert [error.xid for error in status.errors] == ["bad"]

    async def test_one_at_a_time(self, place: Place) -> None:
        """A second submit, meanwhile, is refused and disturbs nothing."""
        batch = place.batch()
        fill(batch, 3)
        refused = []

        async def at(asked: str, done: bool) -> None:
            for call in (batch.submit(), batch.submit_data(1), batch.submit_files()):
                with pytest.raises(UsageError, match="already"):
                    await call
                refused.append(asked)

        place.wire.at = at
        status = await batch.submit()

        assert len(refused) >= 12
        assert status.success_count == 3

    async def test_what_cannot_be_sent_holds_all_back(self, place: Place) -> None:
        """Nothing is sent then; after it is mended everything is."""
        batch = place.batch()
        fill(batch, 2)
        email = batch.group("Email", "e", "e")
        with pytest.raises(ValidationError, match="subject") as caught:
            await batch.submit()
        assert place.wire.asked == []
        assert caught.value.partial is None
        assert len(batch) == 3
        batch.discard(email)
        await batch.submit()

        assert len(place.stored()) == 2


class TestSubmitIter:
    """Job by job."""

    async def test_one_status_a_job(self, place: Place) -> None:
        """As they end, while the rest is pending."""
        batch = place.batch(max_entities_per_job=2, max_jobs=1)
        fill(batch, 6)
        left = []
        async for status in batch.submit_iter():
            assert status.success_count == 2
            left.append(len(batch))

        assert left[-1] == 0
        assert left == sorted(left, reverse=True)
        assert left[0] > 0

    async def test_in_the_loop_the_batch_can_be_used(self, place: Place) -> None:
        """What is added and drained goes with the next job, or by a submit of its own."""
        batch = place.batch(max_entities_per_job=2, max_jobs=1)
        fill(batch, 4)
        told = 0
        async for _ in batch.submit_iter():
            if not told:
                batch.address("10.9.9.9")
                assert (await batch.submit()).success_count == 3
            told += 1

        assert told == 1
        assert len(place.stored()) == 5

    async def test_left_and_closed(self, place: Place) -> None:
        """An iterator that is closed, or dropped, leaves the batch ready."""
        batch = place.batch(max_entities_per_job=2)
        fill(batch, 6)
        iterator = batch.submit_iter()
        await anext(iterator)
        await iterator.aclose()
        iterator = batch.submit_iter()
        await anext(iterator)
        del iterator
        gc.collect()
        status = await batch.submit()

        assert status.success_count == 2
        assert len(place.sent()) == 6

    async def test_what_was_not_told_is_told_next(self, place: Place) -> None:
        """Jobs that ended together are told one by one; none is forgotten when the loop is left."""
        batch = place.batch(max_entities_per_job=1)
        add_document(batch, "d", lambda xid: "x")
        fill(batch, 5)
        told = []
        async for status in batch.submit_iter():
            told.append(status)
            break
        told += await batch.submit_all()

        assert sum(status.success_count for status in told) == 6
        assert len({status.id for status in told}) == 6

    async def test_what_waits_to_be_told_is_told_at_once(self, place: Place) -> None:
        """No request comes before it."""
        batch = place.batch(max_entities_per_job=1)
        fill(batch, 3)
        with anyio.CancelScope() as scope:

            async def at(asked: str, done: bool) -> None:
                if len(place.wire.asked) == 12 and done:
                    scope.cancel()

            place.wire.at = at
            await batch.submit()
        place.wire.at = None
        place.wire.asked.clear()
        waiting = len(batch._backlog.ended)
        iterator = batch.submit_iter()
        for _ in range(waiting):
            await anext(iterator)
        assert waiting > 0
        assert place.wire.asked == []
        async for _ in iterator:
            pass

        assert len(place.sent()) == 3

    async def test_a_failure(self, place: Place) -> None:
        """It is raised in the loop; in partial is what was not yielded."""
        batch = place.batch(max_entities_per_job=1, max_jobs=1)
        fill(batch, 3)
        place.sandbox.faults.add("job", FailedJob(reason=CRITICAL), after=1, times=1)
        told = []
        with pytest.raises(CriticalError) as caught:
            async for status in batch.submit_iter():
                told.append(status.id)  # noqa: PERF401 (kept when it is broken off)

        assert told == [1]
        assert caught.value.partial is not None
        assert 1 not in [job.id for job in caught.value.partial.jobs]
        assert 2 in [job.id for job in caught.value.partial.jobs]

    async def test_a_failure_that_does_not_halt(self, place: Place) -> None:
        """It is yielded once, and the job stays pending for the next submit."""
        batch = place.batch(max_entities_per_job=1, max_jobs=1)
        fill(batch, 3)
        place.wire.fail(CREATE, ConnectionLostError("lost"), done=False)
        told = [status async for status in batch.submit_iter(halt_on_error=False)]

        assert [status.status for status in told] == ["Failed", "Completed", "Completed"]
        assert len(batch) == 1
        assert (await batch.submit()).success_count == 1


CRITICAL = "This would exceed the number of allowed indicators: 5"


class TestHalting:
    """Which failures are raised, and what the error tells."""

    async def test_what_was_done_and_what_is_pending(self, place: Place) -> None:
        """The counts until then are in partial; the notes say how to go on."""
        batch = place.batch(max_entities_per_job=2, max_jobs=1)
        fill(batch, 6)
        place.sandbox.faults.add("job", FailedJob(reason=CRITICAL), after=1, times=1)
        with pytest.raises(CriticalError, match="the server gave up on job 2") as caught:
            await batch.submit()

        partial = caught.value.partial
        assert partial is not None
        assert partial.success_count == 2
        assert (partial.jobs[0].status, partial.jobs[0].ok) == ("Completed", True)
        note, advice = caught.value.__notes__
        assert "Until then 2 jobs completed: 2 entities accepted, 1 refused" in note
        assert (advice,) == caught.value.advice
        assert advice == (
            f"Still in the batch: {len(batch)} entities. Call submit() again to go on."
        )
        status = await batch.submit()
        assert status.success_count == 2

    async def test_what_is_on_the_server_is_named(self, place: Place) -> None:
        """A job that is not waited for any more has its number in the notes, and can be polled."""
        batch = place.batch(poll_timeout=5.0)
        fill(batch, 2)
        add_document(batch, "d")
        place.time.sandbox = None
        place.sandbox.faults.add("job", StuckJob(), times=1)
        with pytest.raises(PollTimeoutError, match="after 5 seconds") as caught:
            await batch.submit()

        poll, note, advice = caught.value.__notes__
        assert "Until then 0 jobs completed" in note
        assert caught.value.advice == (poll, advice)
        assert advice == (
            "Still in the batch: 1 file. On the server: job 1. Call submit() again to go on."
        )
        assert len(batch) == 0
        await place.sandbox.idle()  # or it would not be stuck yet
        assert place.sandbox.release_jobs() == 1
        await place.sandbox.idle()
        status = await batch.submit()
        assert status.success_count == 3
        assert [upload.uploaded for upload in status.uploads] == [True]
        assert place.wire.asked.count(UPLOAD) == 1

    @pytest.mark.parametrize("argument", [True, False, None])
    @pytest.mark.parametrize("override", [True, False, None])
    @pytest.mark.parametrize("step", ["batch", "poll", "file"])
    async def test_the_overrides(
        self, place: Place, argument: bool | None, override: bool | None, step: str
    ) -> None:
        """Each is over the argument for its own steps, and only for these."""
        batch = place.batch()
        add_document(batch, "d")
        asked = {"batch": CREATE, "poll": STATUS, "file": FILE}[step]
        place.wire.fail(asked, RequestRefusedError("no", status=400), done=False)
        setattr(batch, f"halt_on_{step}_error", override)
        others = {"batch", "poll", "file"} - {step}
        for other in others if override is not None else ():
            setattr(batch, f"halt_on_{other}_error", not override)
        halts = override if override is not None else argument is not False
        if halts:
            with pytest.raises((RequestRefusedError, FileUploadError)):
                await batch.submit(halt_on_error=argument)
            return
        status = await batch.submit(halt_on_error=argument)

        assert not status.ok
        failed = step != "file"
        assert (status.jobs[0].failure is not None) is failed
        assert [upload.uploaded for upload in status.uploads] == ([] if failed else [False])

    @pytest.mark.parametrize("step", ["batch", "poll", "file"])
    def test_an_override_is_checked(self, place: Place, step: str) -> None:
        """It is True, False or None."""
        batch = place.batch()
        with pytest.raises(ConfigurationError, match=f"halt_on_{step}_error"):
            setattr(batch, f"halt_on_{step}_error", "no")
        assert getattr(batch, f"halt_on_{step}_error") is None

    async def test_a_critical_failure_that_does_not_halt(self, place: Place) -> None:
        """It is in its job; files of that job say why they were not uploaded."""
        batch = place.batch(max_entities_per_job=1)
        add_document(batch, "d")
        fill(batch, 1)
        place.sandbox.faults.add("job", FailedJob(reason=CRITICAL), times=1)
        status = await batch.submit(halt_on_error=False)

        assert isinstance(status.jobs[0].failure, CriticalError)
        assert status.jobs[1].ok
        assert [upload.uploaded for upload in status.uploads] == [False]
        assert (len(batch), batch.file_len) == (0, 0)


class TestFiles:
    """Contents that go with groups."""

    async def test_they_follow_their_groups(self, place: Place) -> None:
        """One result each, in the order of the groups."""
        batch = place.batch()
        for number in range(5):
            add_document(batch, f"d{number}", f"content {number}")
        assert batch.file_len == 5
        status = await batch.submit()

        assert [upload.xid for upload in status.uploads] == [f"d{n}" for n in range(5)]
        assert all(upload.uploaded for upload in status.uploads)
        assert place.sandbox.files["d3"].content == b"content 3"
        assert batch.file_len == 0

    async def test_of_a_refused_group(self, place: Place) -> None:
        """It is not uploaded, whether or not errors are fetched, and that halts nothing."""
        for errors in (True, False):
            await place.sandbox.reset()
            batch = place.batch(validate=False)
            add_document(batch, "good")
            add_refused(batch, "bad")
            status = await batch.submit(errors=errors)

            assert list(place.sandbox.files) == ["good"]
            assert [(upload.xid, upload.uploaded) for upload in status.uploads] == [
                ("good", True),
                ("bad", False),
            ]
            assert "refused the group" in str(status.uploads[1].error)

    async def test_one_that_is_refused_each_time(self, place: Place) -> None:
        """The error says how to go on without it, since another submit ends there again."""
        batch = place.batch()
        batch.document("d", "d.zip", "no archive", xid="d", malware=True, password="infected")
        add_document(batch, "e")
        for _ in range(2):
            with pytest.raises(FileUploadError, match="password-protected") as caught:
                await batch.submit()
            assert caught.value.advice[-1].endswith(
                "Call submit() to try it again, or submit(halt_on_error=False) to go on."
            )
            assert "Until then 1 job completed: 2 entities accepted" in caught.value.__notes__[0]

        status = await batch.submit(halt_on_error=False)
        assert [upload.uploaded for upload in status.uploads] == [False, True]

    async def test_of_groups_after_a_halt(self, place: Place) -> None:
        """Groups that the server did not look at have no file, and that halts nothing."""
        batch = place.batch(halt_on_error=True, validate=False)
        add_refused(batch, "bad")
        add_document(batch, "after")
        status = await batch.submit()

        assert (status.error_count, status.unprocess_count) == (1, 1)
        assert [upload.uploaded for upload in status.uploads] == [False, False]

    async def test_they_can_wait(self, place: Place) -> None:
        """Without polling or without files they are not lost, and no other submit sends them."""
        for options in ({"poll": False}, {"process_files": False}):
            await place.sandbox.reset()
            batch = place.batch()
            add_document(batch, "d")
            status = await batch.submit(**options)
            assert status.uploads == []
            assert (len(batch), batch.file_len) == (0, 1)
            assert [job.chunk for job in batch._backlog.sent] == [None]
            await place.sandbox.idle()
            assert (await batch.submit()).jobs == []
            results = await batch.submit_files()

            assert [result.uploaded for result in results] == [True]
            assert batch.file_len == 0
            assert await batch.submit_files() == []

    async def test_of_an_inline_job_they_can_wait_too(self, place: Place) -> None:
        """Though it has no id."""
        batch = place.batch(create_and_upload=True)
        add_document(batch, "d")
        await batch.submit(process_files=False)

        assert [result.uploaded for result in await batch.submit_files()] == [True]

    async def test_a_failure_halts_and_is_tried_again(self, place: Place) -> None:
        """What is not up stays; the next submit uploads it and sends nothing else."""
        batch = place.batch()
        add_document(batch, "a")
        add_document(batch, "b")
        place.wire.fail(FILE, ConnectionLostError("lost"), done=False)
        with pytest.raises(FileUploadError) as caught:
            await batch.submit()
        assert "Still in the batch:" in caught.value.advice[0]
        assert batch.file_len >= 1
        place.wire.asked.clear()
        await batch.submit()

        assert sorted(place.sandbox.files) == ["a", "b"]
        assert {*place.wire.asked} == {FILE}


class TestPending:
    """What the batch says of itself."""

    async def test_after_a_failure(self, place: Place) -> None:
        """What the server does not have counts, whether it is cut into jobs or not."""
        batch = place.batch(max_entities_per_job=2)
        add_document(batch, "d")
        batch.adversary("a", "a")
        fill(batch, 5)
        batch.add_association(ref_1="d", ref_2="a")
        counts = (batch.group_len, batch.indicator_len, batch.association_len, batch.file_len)
        place.wire.fail(CREATE, RequestRefusedError("no", status=400), done=False)
        with pytest.raises(RequestRefusedError):
            await batch.submit()

        assert counts == (2, 5, 1, 1)
        assert (
            batch.group_len,
            batch.indicator_len,
            batch.association_len,
            batch.file_len,
        ) == counts
        assert len(batch) == 7
        assert "7 pending, 2 groups, 5 indicators, 1 associations" in repr(batch)

    async def test_closing(self, place: Place, caplog: pytest.LogCaptureFixture) -> None:
        """What is given up is logged, once; afterwards nothing can be added or sent."""
        async with place.batch() as batch:
            fill(batch, 3)
            add_document(batch, "d")
        await batch.close()

        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert (record.event, record.entities, record.files) == ("batch_abandoned", 4, 1)
        for call in (batch.submit(), batch.submit_job(), batch.submit_data(1)):
            with pytest.raises(ClosedError):
                await call
        with pytest.raises(ClosedError):
            batch.address("1.2.3.4")
        assert "closed" in repr(batch)

    async def test_closing_when_all_is_sent(
        self, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        """There is nothing to log."""
        async with place.batch() as batch:
            fill(batch, 3)
            await batch.submit()

        assert caplog.records == []


class TestStop:
    """A submit that is to end soon."""

    @pytest.mark.parametrize("one_by_one", [True, False])
    async def test_it_begins_no_further_job(self, place: Place, one_by_one: bool) -> None:
        """Jobs on the server are followed to their end, the rest stays for the next submit."""
        batch = place.batch(max_entities_per_job=1, max_jobs=2)
        summaries = fill(batch, 6)

        async def at(asked: str, done: bool) -> None:
            if (asked, done) == (UPLOAD, True) and len(place.documents()) == 2:
                batch.stop()

        place.wire.at = at
        if one_by_one:
            statuses = [status async for status in batch.submit_iter()]
        else:
            statuses = await batch.submit_all()

        assert [status.completed for status in statuses] == [True, True]
        assert len(place.documents()) == 2
        assert len(batch) == 4
        assert batch.in_flight == ()
        assert (await batch.submit()).success_count == 4
        assert place.stored() == summaries
        assert len(place.sent()) == 6

    async def test_between_two_statuses(self, place: Place) -> None:
        """Asked while a status is looked at, it ends with the jobs that are there."""
        batch = place.batch(max_entities_per_job=1, max_jobs=1)
        fill(batch, 5)
        told = 0
        async for _ in batch.submit_iter():
            told += 1
            batch.stop()

        assert told == len(place.documents()) < 5
        assert len(batch) == 5 - told


class TestMemory:
    """What is sent is not held."""

    async def test_documents_are_given_up_with_their_statuses(self, place: Place) -> None:
        """When the last of many jobs is uploaded the first ones are gone, if nobody keeps them."""
        batch = place.batch(max_entities_per_job=50, max_jobs=1)
        fill(batch, 500)
        pieces: list[weakref.ref[memoryview]] = []
        alive: list[int] = []
        cut = batch._cut

        def watch(server_limit: int | None) -> Any:
            chunk = cut(server_limit)
            if chunk is not None:
                gc.collect()
                alive.append(sum(piece() is not None for piece in pieces))
                pieces.append(weakref.ref(chunk.indicators.slices[0]))
            return chunk

        batch._cut = watch  # type: ignore[method-assign]
        async for _ in batch.submit_iter():
            pass

        assert len(alive) == 10
        assert max(alive) <= 4  # one on the server, one completed, one that waits

    async def test_a_long_life(self, place: Place) -> None:
        """A batch that submits again and again does not grow."""
        batch = place.batch()

        async def round_of() -> None:
            fill(batch, 20)
            add_document(batch, "d")
            await batch.submit()

        for _ in range(3):
            await round_of()
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        place.wire.asked.clear()
        place.time.slept.clear()
        for _ in range(10):
            await round_of()
        place.wire.asked.clear()
        place.time.slept.clear()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        held = [batch._backlog.pending, batch._backlog.ended, batch._backlog.sent]
        assert held == [[], [], []]
        assert after - before < 400_000  # of which most is the sandbox's


async def test_nothing_is_left_by_a_signal(place: Place) -> None:
    """A submit that is cancelled as Ctrl-C does leaves no task and no connection in use."""
    batch = place.batch(max_entities_per_job=1)
    fill(batch, 10)
    async with anyio.create_task_group() as tasks:

        async def at(asked: str, done: bool) -> None:
            if asked == STATUS:
                tasks.cancel_scope.cancel()

        place.wire.at = at
        tasks.start_soon(batch.submit)
    place.wire.at = None

    # The fixtures of every test look for tasks and sockets; here the batch must be usable as well.
    assert not batch._submitting
    assert (await batch.submit()).completed


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_jobs", 0),
        ("file_concurrency", 0),
        ("poll_timeout", -1.0),
        ("poll_timeout", float("nan")),
        ("poll_timeout", None),
        ("max_jobs", True),
        ("max_entities_per_job", 0),
        ("action", "Update"),
        ("owner", "\ud800"),
        ("owner", ""),
        ("journal", 5),
        ("journal", "\0"),
        ("journal", ""),
        ("spool_directory", "/nonexistent"),
        ("spool_directory", __file__),
        ("spool_directory", 5),
        ("contents", "no function"),
    ],
)
async def test_settings_are_checked(client: Client, setting: str, value: object) -> None:
    """A setting that cannot be right is refused when the batch is made, by its name."""
    options: dict[str, Any] = {"owner": OWNER, setting: value}
    with pytest.raises(ConfigurationError) as raised:
        client.batch(**options)

    assert (raised.value.field, raised.value.value) == (setting, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("action", "Delete"),
        ("attribute_write_type", "Static"),
        ("tag_write_type", "Append"),
        ("security_label_write_type", "Append"),
        ("halt_on_error", True),
        ("playbook_triggers_enabled", True),
        ("file_merge_mode", "Distribute"),
        ("hash_collision_mode", "Split"),
        ("poll_timeout", 60.0),
        ("max_entities_per_job", 7),
        ("max_bytes_per_job", 7000),
    ],
)
def test_settings_can_be_changed_later(place: Place, name: str, value: object) -> None:
    """Each is a property, which refuses what its keyword refuses."""
    batch = place.batch()
    setattr(batch, name, value)

    assert getattr(batch, name) == value
    with pytest.raises(ConfigurationError, match=name):
        setattr(batch, name, -1)
    assert getattr(batch, name) == value


def test_the_owner_cannot_be_changed(place: Place) -> None:
    """What was added was meant for the one that was named."""
    batch = place.batch()
    assert batch.owner == OWNER
    with pytest.raises(AttributeError):
        batch.owner = "other"  # type: ignore[misc]


async def statuses(batch: Batch) -> list[BatchStatus]:
    """Give what submit_iter tells."""
    return [status async for status in batch.submit_iter()]


@pytest.mark.parametrize("way", [lambda batch: batch.submit_all(), statuses])
async def test_all_ways_tell_the_same(place: Place, way: Callable) -> None:
    """One status a job, whichever way they are asked for."""
    batch = place.batch(max_entities_per_job=2)
    fill(batch, 5)

    assert [(status.id, status.success_count) for status in await way(batch)] == [
        (1, 2),
        (2, 2),
        (3, 1),
    ]
