"""Events: what is told, to whom, and what never is."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from support.servers import Naps
from support.submitting import OWNER, Time

import aiotcbatch.events
from aiotcbatch import (
    AccessDeniedError,
    Client,
    ConfigurationError,
    FileUploadError,
    HmacAuth,
    RequestRefusedError,
    RetryPolicy,
    UnavailableError,
)
from aiotcbatch.events import (
    BatchAbandoned,
    ClientEvent,
    FileFailed,
    FileUploaded,
    JobCompleted,
    JobCreated,
    JobFailed,
    JobFinished,
    JobUploaded,
    RequestRetried,
    SubmitEnded,
    SubmitStarted,
)
from aiotcbatch.sandbox import Sandbox, Status, internal_error, unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Stands in everything of an entity that is not its xid.
CONTENT = "classified"
CLASSES = [getattr(aiotcbatch.events, name) for name in aiotcbatch.events.__all__]
EVENTS = [cls for cls in CLASSES if cls is not ClientEvent]


@pytest.fixture
def told() -> list[ClientEvent]:
    """Collect events."""
    return []


@pytest.fixture
async def client(sandbox: Sandbox, told: list[ClientEvent]) -> AsyncIterator[Client]:
    """Give a client that tells what it does, and never sends anything twice."""
    retry = RetryPolicy(attempts=1)
    async with Client(sandbox.api_url, sandbox.auth, retry=retry, on_event=told.append) as client:
        yield client


def fill(batch: Any) -> Any:
    """Add two groups, one of them with a file, an indicator and an association."""
    batch.adversary(f"{CONTENT} name", xid="a").attribute("Description", CONTENT)
    batch.document(f"{CONTENT} doc", f"{CONTENT}.pdf", xid="d", file_content=CONTENT.encode())
    batch.host(f"{CONTENT}.example.com", xid="h").tag(CONTENT)
    batch.add_association(ref_1="a", ref_2="d", type_1="Adversary", type_2="Document")
    return batch


def shape(told: list[ClientEvent]) -> list[str]:
    """Give the names of events in their order, with several polls as one."""
    names = [event.event for event in told]
    return [name for at, name in enumerate(names) if name != "job_polled" or names[at - 1] != name]


class TestSubmit:
    """What a submit tells."""

    async def test_from_the_beginning_to_the_end(
        self, sandbox: Sandbox, client: Client, told: list[ClientEvent]
    ) -> None:
        """Each step of a job is told in its order, with its counts and sizes."""
        batch = fill(client.batch(OWNER, clock=Time(sandbox).clock))
        status = await batch.submit()

        assert shape(told) == [
            "submit_started",
            "job_created",
            "job_uploaded",
            "job_polled",
            "job_completed",
            "file_uploaded",
            "job_finished",
            "submit_ended",
        ]
        begin, created, uploaded, polled, completed, file, finished, end = told[-8:]
        [job] = status.jobs
        [taken] = sandbox.jobs
        assert begin == SubmitStarted(submit=end.submit)
        assert created == JobCreated(
            batch_id=job.id, owner=OWNER, action="Create", submit=begin.submit, seconds=0.0
        )
        assert uploaded == JobUploaded(
            batch_id=job.id,
            owner=OWNER,
            submit=begin.submit,
            groups=2,
            indicators=1,
            associations=1,
            size=len(taken.body),
            seconds=0.0,
        )
        assert (polled.batch_id, polled.status) == (job.id, "Completed")
        assert completed == JobCompleted(
            batch_id=job.id, accepted=3, refused=0, unprocessed=0, seconds=polled.seconds
        )
        assert polled.seconds > 0
        assert file.replace(seconds=0.0) == FileUploaded(
            xid="d", group_type="Document", batch_id=job.id, size=len(CONTENT), seconds=0.0
        )
        assert finished == JobFinished(
            batch_id=job.id, submit=begin.submit, files=1, files_failed=0
        )
        assert end == SubmitEnded(submit=begin.submit, jobs=1, seconds=polled.seconds, error=None)

    async def test_in_one_request(
        self, sandbox: Sandbox, client: Client, told: list[ClientEvent]
    ) -> None:
        """A job that is done at once is uploaded and completed, and has no id."""
        batch = client.batch(OWNER, create_and_upload=True)
        batch.adversary("x", xid="a")
        await batch.submit()

        assert shape(told) == [
            "submit_started",
            "job_uploaded",
            "job_completed",
            "job_finished",
            "submit_ended",
        ]
        assert [event.batch_id for event in told[1:4]] == [None, None, None]

    async def test_each_submit_has_its_number(
        self, client: Client, told: list[ClientEvent]
    ) -> None:
        """Jobs can be told apart by the submit that they belong to."""
        numbers = []
        for xid in ("a", "b"):
            batch = client.batch(OWNER)
            batch.adversary(xid, xid=xid)
            await batch.submit()
            numbers.append({event.submit for event in told if hasattr(event, "submit")})
            told.clear()

        assert [len(of_one) for of_one in numbers] == [1, 1]
        assert numbers[0] != numbers[1]

    async def test_a_halt(self, sandbox: Sandbox, client: Client, told: list[ClientEvent]) -> None:
        """What failed, how far the job was, and with what the submit ended, is told."""
        sandbox.faults.add("upload", internal_error())
        with pytest.raises(UnavailableError):
            await fill(client.batch(OWNER)).submit()

        assert isinstance(told[-2], JobFailed)
        assert (told[-2].phase, told[-2].error) == ("uploading", "UnavailableError")
        assert told[-2].batch_id == told[1].batch_id
        assert (told[-1].jobs, told[-1].error) == (0, "UnavailableError")

    async def test_going_on(
        self, sandbox: Sandbox, client: Client, told: list[ClientEvent]
    ) -> None:
        """A job that failed is not finished; the submit ends well."""
        sandbox.faults.add("upload", Status(400, b'{"message":"no"}'))
        status = await fill(client.batch(OWNER)).submit(halt_on_error=False)

        assert isinstance(status.jobs[0].failure, RequestRefusedError)
        assert shape(told) == ["submit_started", "job_created", "job_failed", "submit_ended"]
        assert (told[-2].phase, told[-1].error, told[-1].jobs) == ("created", None, 1)

    async def test_the_log_says_what_happened_to_whom(
        self, sandbox: Sandbox, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Who reads no more than the log knows which job failed, when, why and with how much."""
        batch = client.batch("No Such Owner")
        with pytest.raises(AccessDeniedError):
            await fill(batch).submit()

        said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(said) == 1
        assert said[0].startswith("a job without an id for 'No Such Owner', with ")
        assert " failed before the server had it: AccessDeniedError: POST " in said[0]

    async def test_a_cancelled_one(
        self, sandbox: Sandbox, client: Client, told: list[ClientEvent]
    ) -> None:
        """What is broken off ends by a cancellation."""
        asked = anyio.Event()

        async def nap(seconds: float) -> None:
            asked.set()
            await anyio.sleep_forever()

        clock = Time().clock.replace(sleep=nap)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fill(client.batch(OWNER, clock=clock)).submit)
            await asked.wait()
            tasks.cancel_scope.cancel()

        assert (told[-1].event, told[-1].error) == ("submit_ended", "CancelledError")

    async def test_step_by_step(
        self, sandbox: Sandbox, client: Client, told: list[ClientEvent]
    ) -> None:
        """Steps that the user takes are told as well, and belong to no submit."""
        batch = fill(client.batch(OWNER, clock=Time(sandbox).clock))
        batch_id = await batch.submit_job()
        await batch.submit_data(batch_id)
        await batch.poll(batch_id)
        await batch.submit_files()

        assert shape(told) == [
            "job_created",
            "job_uploaded",
            "job_polled",
            "job_completed",
            "file_uploaded",
        ]
        assert {event.batch_id for event in told} == {batch_id}
        assert told[0].submit is told[1].submit is None

    async def test_a_step_that_fails(
        self, sandbox: Sandbox, client: Client, told: list[ClientEvent]
    ) -> None:
        """A document that is refused is told where the step does not raise it."""
        sandbox.faults.add("upload", Status(400, b'{"message":"no"}'))
        batch = fill(client.batch(OWNER))
        await batch.submit_data(await batch.submit_job(), halt_on_error=False)

        assert (told[-1].event, told[-1].error) == ("job_failed", "RequestRefusedError")

    async def test_a_stream(
        self, sandbox: Sandbox, client: Client, told: list[ClientEvent]
    ) -> None:
        """A stream is one submit with as many jobs as it makes."""
        async with client.stream(OWNER, max_entities_per_job=2) as stream:
            for number in range(4):
                stream.adversary(f"a{number}", xid=f"a{number}")
                await stream.drain()

        assert isinstance(told[0], SubmitStarted)
        assert isinstance(told[-1], SubmitEnded)
        assert (told[-1].jobs, told[-1].error) == (2, None)
        assert shape(told).count("job_finished") == 2

    async def test_what_is_given_up(self, client: Client, told: list[ClientEvent]) -> None:
        """A batch that is closed says what was in it."""
        async with client.batch(OWNER) as batch:
            fill(batch)

        assert told == [BatchAbandoned(owner=OWNER, entities=3, associations=1, files=1)]

    async def test_what_a_stream_gives_up(self, client: Client, told: list[ClientEvent]) -> None:
        """A stream that is left by an error says what the server has nothing of."""
        with pytest.raises(ZeroDivisionError):
            async with client.stream(OWNER, linger=1e9) as stream:
                fill(stream)
                stream.host("bad.example").association("never")
                await stream.drain()
                raise ZeroDivisionError

        assert told[-1] == BatchAbandoned(owner=OWNER, entities=4, associations=2, files=1)


class TestFiles:
    """What is told of files."""

    async def test_a_failure(
        self, sandbox: Sandbox, client: Client, told: list[ClientEvent]
    ) -> None:
        """A file that is not uploaded is told, and counted in its job."""
        sandbox.faults.add("file_upload", internal_error())
        await fill(client.batch(OWNER)).submit(halt_on_error=False)
        [failed] = [event for event in told if isinstance(event, FileFailed)]
        [finished] = [event for event in told if isinstance(event, JobFinished)]

        assert (failed.xid, failed.error) == ("d", "UnavailableError")
        assert (finished.files, finished.files_failed) == (0, 1)

    async def test_a_halt(self, sandbox: Sandbox, client: Client, told: list[ClientEvent]) -> None:
        """The file that ends a submit is told before it does."""

        def broken(xid: str) -> bytes:
            raise LookupError(CONTENT)

        batch = client.batch(OWNER)
        batch.document("d", "f", xid="d", file_content=broken)
        with pytest.raises(FileUploadError):
            await batch.submit()

        assert [(event.event, event.error) for event in told[-3:]] == [
            ("file_failed", "LookupError"),
            ("job_failed", "FileUploadError"),
            ("submit_ended", "FileUploadError"),
        ]

    async def test_no_content(self, client: Client, told: list[ClientEvent]) -> None:
        """A callable that gives nothing is told apart from an error."""
        batch = client.batch(OWNER)
        batch.document("d", "f", xid="d", file_content=lambda xid: None)
        await batch.submit()
        [failed] = [event for event in told if isinstance(event, FileFailed)]

        assert failed.error == "NoContent"


class TestLog:
    """What is logged."""

    async def test_records_have_the_fields(
        self, client: Client, told: list[ClientEvent], caplog: pytest.LogCaptureFixture
    ) -> None:
        """There is a record for each event, with its name, its level and all its fields."""
        caplog.set_level(logging.DEBUG, "aiotcbatch")
        await fill(client.batch(OWNER)).submit()
        records = [record for record in caplog.records if record.name == "aiotcbatch"]

        assert len(records) == len(told)
        for record, event in zip(records, told, strict=True):
            assert (record.event, record.levelno) == (event.event, event.level)
            assert record.getMessage() == str(event)
            assert {name: vars(record)[name] for name in event.fields} == event.fields

    async def test_a_run_without_trouble_is_quiet(
        self, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nothing is a warning that nobody needs to look at."""
        caplog.set_level(logging.DEBUG, "aiotcbatch")
        await fill(client.batch(OWNER)).submit()

        assert {record.levelno for record in caplog.records if record.name == "aiotcbatch"} == {
            logging.DEBUG,
            logging.INFO,
        }

    async def test_nothing_of_an_entity_but_its_xid(
        self, sandbox: Sandbox, told: list[ClientEvent], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither events nor records have names, summaries, values or contents in them."""
        caplog.set_level(logging.DEBUG)
        for endpoint in ("create", "status", "file_upload"):
            sandbox.faults.add(endpoint, unavailable(), times=3)
        retry = RetryPolicy(sleep=Naps(), attempts=3)
        async with Client(
            sandbox.api_url, sandbox.auth, retry=retry, on_event=told.append
        ) as client:
            batch = fill(client.batch(OWNER, halt_on_error=False, validate=False))
            batch.address(f"{CONTENT} address", xid="e")
            for _ in range(5):
                await batch.submit(halt_on_error=False)

        assert any(isinstance(event, RequestRetried) for event in told)
        assert any(isinstance(event, JobCompleted) and event.refused for event in told)
        assert CONTENT not in f"{told} {caplog.text}"


class TestListener:
    """Who is told."""

    async def test_one_that_raises_breaks_nothing(
        self, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its first error is logged, and it is told of everything all the same."""
        told: list[ClientEvent] = []

        def listen(event: ClientEvent) -> None:
            told.append(event)
            raise LookupError("broken listener")

        async with Client(sandbox.api_url, sandbox.auth, on_event=listen) as client:
            status = await fill(client.batch(OWNER)).submit()

        assert status.ok
        assert isinstance(told[-1], SubmitEnded)
        [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert record.event == "listener_failed"
        assert "broken listener" in caplog.text

    @pytest.mark.parametrize("listener", ["text", "function", "object"])
    def test_one_that_cannot_be_called_is_refused(self, listener: str) -> None:
        """What is no function, or would have to be awaited, is noticed at once."""

        async def function(event: ClientEvent) -> None:
            """Never be called."""

        class Listener:
            async def __call__(self, event: ClientEvent) -> None:
                """Never be called."""

        given: Any = {"text": "print", "function": function, "object": Listener()}[listener]
        with pytest.raises(ConfigurationError) as caught:
            Client("https://host/api", HmacAuth("id", "key"), on_event=given)

        assert caught.value.field == "on_event"


def _kinds(cls: type[Any]) -> dict[str, str]:
    """The fields of an event, with their types."""
    return {name: kind for name, kind in cls.__annotations__.items() if "ClassVar" not in kind}


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)
class TestEvents:
    """What all events have in common."""

    def make(self, cls: type[Any]) -> ClientEvent:
        """Make one of some values."""
        samples: dict[str, Any] = {
            "int": 3,
            "float": 1.5,
            "str": "x",
            "int | None": None,
            "str | None": None,
        }
        event = cls(**{name: samples[kind] for name, kind in _kinds(cls).items()})
        assert isinstance(event, ClientEvent)
        return event

    def test_the_name_is_that_of_the_class(self, cls: type[ClientEvent]) -> None:
        """Who knows the class knows the name."""
        assert cls.event == re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def test_the_text_can_be_made(self, cls: type[ClientEvent]) -> None:
        """The text has the values of the fields in it, even if there are none."""
        text = str(self.make(cls))

        assert "{" not in text
        assert all(
            repr(value) in text
            for name, value in self.make(cls).fields.items()
            if value == 3 and f"{{{name}}}" in cls.text
        )

    def test_it_is_a_value(self, cls: type[ClientEvent]) -> None:
        """It cannot be changed, has no room for more, and is equal to its equal."""
        event = self.make(cls)
        name = next(iter(event.fields))

        assert event == self.make(cls)
        for forbidden in (name, "further"):
            with pytest.raises(AttributeError, match="cannot be changed"):
                setattr(event, forbidden, 1)

    def test_fields_do_not_hide_those_of_records(self, cls: type[ClientEvent]) -> None:
        """Each field can be an attribute of a log record."""
        taken = vars(logging.makeLogRecord({})).keys() | {"message", "asctime", "event"}

        assert not taken & self.make(cls).fields.keys()


_PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "observe.md"


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)
def test_it_is_documented(cls: type[ClientEvent]) -> None:
    """The page has the name, the level and the fields of each event."""
    fields = ", ".join(f"`{name}`" for name in _kinds(cls))
    level = logging.getLevelName(cls.level)

    assert f"| `{cls.__name__}` | `{cls.event}` | {level} | {fields} |\n" in _PAGE.read_text()
