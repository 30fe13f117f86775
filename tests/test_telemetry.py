"""Spans and metrics, as the SDK's exporters in memory get them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.servers import Naps
from support.submitting import OWNER, Time

import aiotcbatch
from aiotcbatch import (
    Client,
    ConfigurationError,
    FileUploadError,
    RetryPolicy,
    UnavailableError,
    events,
)
from aiotcbatch.sandbox import Sandbox, internal_error, unavailable
from aiotcbatch.telemetry import OpenTelemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.sdk.trace import ReadableSpan

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


class Collected:
    """A listener, and what it has exported."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        meters = MeterProvider([self._reader])
        self.listener = OpenTelemetry(self.tracers, meters, **options)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended, in the order in which they did."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Give the spans of one name."""
        return [span for span in self.spans if span.name == f"aiotcbatch.{name}"]

    def tree(self) -> dict[str, str | None]:
        """Give the name of the parent for each name."""
        names = {span.context.span_id: span.name for span in self.spans if span.context}
        return {
            span.name: names.get(span.parent.span_id) if span.parent else None
            for span in self.spans
        }

    def metrics(self) -> dict[str, Any]:
        """Give the value of each metric with its attributes; of durations the count."""
        found: dict[str, Any] = {}
        data = self._reader.get_metrics_data()
        for scope in data.resource_metrics[0].scope_metrics if data else ():
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    attributes = ",".join(str(value) for value in (point.attributes or {}).values())
                    name = metric.name.removeprefix("aiotcbatch.")
                    value = getattr(point, "value", None)
                    found[f"{name} {attributes}".strip()] = point.count if value is None else value
        return found


@pytest.fixture
def collected() -> Collected:
    """Collect what is exported."""
    return Collected()


@pytest.fixture
async def client(sandbox: Sandbox, collected: Collected) -> AsyncIterator[Client]:
    """Give a client that is listened to."""
    retry = RetryPolicy(sleep=Naps(), attempts=3)
    async with Client(
        sandbox.api_url, sandbox.auth, retry=retry, on_event=collected.listener
    ) as client:
        yield client


def fill(batch: Any) -> Any:
    """Add a group with a file, and two indicators of which one is refused."""
    batch.document("d", "d.txt", xid="d", file_content=b"1234")
    batch.host("bad.example.com", xid="h")
    batch.add_indicator({"type": "Address", "summary": "nowhere", "xid": "a"})
    return batch


class TestRuns:
    """What real runs leave."""

    async def test_a_submit(self, sandbox: Sandbox, client: Client, collected: Collected) -> None:
        """A submit has its jobs, a job its upload, its poll and its files; all is counted."""
        tracer = collected.tracers.get_tracer("test")
        with tracer.start_as_current_span("feed"):
            batch = fill(client.batch(OWNER, halt_on_error=False, validate=False))
            status = await batch.submit()

        assert collected.tree() == {
            "aiotcbatch.upload": "aiotcbatch.job",
            "aiotcbatch.poll": "aiotcbatch.job",
            "aiotcbatch.file": "aiotcbatch.job",
            "aiotcbatch.job": "aiotcbatch.submit",
            "aiotcbatch.submit": "feed",
            "feed": None,
        }
        [job] = collected.named("job")
        [taken] = sandbox.jobs
        assert job.attributes == {
            "aiotcbatch.batch_id": status.jobs[0].id,
            "aiotcbatch.owner": OWNER,
            "aiotcbatch.action": "Create",
            "aiotcbatch.submit": job.attributes["aiotcbatch.submit"],
            "aiotcbatch.groups": 1,
            "aiotcbatch.indicators": 2,
            "aiotcbatch.associations": 0,
            "aiotcbatch.size": len(taken.body),
            "aiotcbatch.accepted": 2,
            "aiotcbatch.refused": 1,
            "aiotcbatch.unprocessed": 0,
            "aiotcbatch.files": 1,
            "aiotcbatch.files_failed": 0,
        }
        assert all(span.status.is_unset for span in collected.spans)
        assert collected.metrics() == {
            "jobs": 1,
            "entities accepted": 2,
            "entities refused": 1,
            "files uploaded": 1,
            "uploaded document": len(taken.body),
            "uploaded file": 4,
            "submit.duration": 1,
            "upload.duration": 1,
            "job.duration": 1,
            "file.duration": 1,
        }

    async def test_a_failure(self, sandbox: Sandbox, client: Client, collected: Collected) -> None:
        """What failed is marked where it failed, and repeats are counted."""
        sandbox.faults.add("upload", internal_error())
        with pytest.raises(UnavailableError):
            await fill(client.batch(OWNER, validate=False)).submit()
        [job], [submit] = collected.named("job"), collected.named("submit")

        for span in (job, submit):
            assert span.status.description == span.attributes["error.type"] == "UnavailableError"
        assert job.attributes["aiotcbatch.phase"] == "uploading"
        metrics = collected.metrics()
        assert metrics["job.failures UnavailableError"] == 1
        assert "jobs" not in metrics

    async def test_repeats(self, sandbox: Sandbox, client: Client, collected: Collected) -> None:
        """Repeats and pauses are counted, and noted in the submit."""
        sandbox.faults.add("create", unavailable(), times=2)
        await fill(client.batch(OWNER, validate=False)).submit()
        [submit] = collected.named("submit")

        assert collected.metrics()["retries UnavailableError"] == 2
        assert [event.name for event in submit.events] == ["request_retried"] * 2
        assert submit.events[0].attributes["aiotcbatch.status"] == 503

    async def test_a_file_that_fails(
        self, sandbox: Sandbox, client: Client, collected: Collected
    ) -> None:
        """A file has its own outcome."""
        sandbox.faults.add("file_upload", internal_error())
        with pytest.raises(FileUploadError):
            await fill(client.batch(OWNER, halt_on_error=False, validate=False)).submit()
        [file] = collected.named("file")

        assert file.attributes == {
            "aiotcbatch.xid": "d",
            "aiotcbatch.group_type": "Document",
            "aiotcbatch.batch_id": 1,
            "error.type": "UnavailableError",
        }
        assert collected.metrics()["files failed,UnavailableError"] == 1

    async def test_in_one_request(self, client: Client, collected: Collected) -> None:
        """A job without an id has its span as well."""
        batch = client.batch(OWNER, create_and_upload=True)
        batch.adversary("x", xid="x")
        await batch.submit()

        assert collected.tree() == {
            "aiotcbatch.upload": "aiotcbatch.job",
            "aiotcbatch.job": "aiotcbatch.submit",
            "aiotcbatch.submit": None,
        }
        assert collected.named("job")[0].attributes["aiotcbatch.accepted"] == 1

    async def test_step_by_step(
        self, sandbox: Sandbox, client: Client, collected: Collected
    ) -> None:
        """A job without a submit ends when the server has completed it."""
        batch = client.batch(OWNER, clock=Time(sandbox).clock)
        batch.adversary("x", xid="x")
        batch_id = await batch.submit_job()
        await batch.submit_data(batch_id)
        await batch.poll(batch_id)

        assert collected.tree() == {
            "aiotcbatch.upload": "aiotcbatch.job",
            "aiotcbatch.poll": "aiotcbatch.job",
            "aiotcbatch.job": None,
        }


class TestTimes:
    """When spans begin and end."""

    def test_what_is_over_began_when_it_did(self) -> None:
        """A span that is made at its end has the time that it took."""
        told = Collected(clock=lambda: NOW)
        told.listener(created(1))
        told.listener(uploaded(1))
        told.listener(completed(1))

        times = {span.name: (span.start_time, span.end_time) for span in told.spans}
        assert times == {
            "aiotcbatch.upload": (NOW - 2 * SECOND, NOW),
            "aiotcbatch.poll": (NOW - 5 * SECOND, NOW),
            "aiotcbatch.job": (NOW - SECOND // 2, NOW),
        }

    def test_jobs_that_are_left_end_with_their_submit(self) -> None:
        """A submit that is broken off leaves no span open, and none of others is closed."""
        told = Collected()
        for submit in (1, 2):
            told.listener(events.SubmitStarted(submit=submit))
            told.listener(created(submit, submit))
        told.listener(events.SubmitEnded(submit=1, jobs=0, seconds=1.0, error="CancelledError"))

        assert [span.attributes["aiotcbatch.submit"] for span in told.spans] == [1, 1]

    def test_jobs_that_never_end_are_not_kept(self) -> None:
        """Of jobs whose end nobody told only so many are remembered."""
        told = Collected()
        for number in range(1005):
            told.listener(created(number))

        assert [span.attributes["aiotcbatch.batch_id"] for span in told.spans] == [0, 1, 2, 3, 4]


def created(batch_id: int, submit: int | None = None) -> events.JobCreated:
    """Make an event."""
    return events.JobCreated(
        batch_id=batch_id, owner=OWNER, action="Create", submit=submit, seconds=0.5
    )


def uploaded(batch_id: int | None, submit: int | None = None) -> events.JobUploaded:
    """Make an event."""
    return events.JobUploaded(
        batch_id=batch_id,
        owner=OWNER,
        submit=submit,
        groups=1,
        indicators=2,
        associations=3,
        size=4,
        seconds=2.0,
    )


def completed(batch_id: int | None) -> events.JobCompleted:
    """Make an event."""
    return events.JobCompleted(batch_id=batch_id, accepted=1, refused=2, unprocessed=0, seconds=5.0)


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(1, 2),
    "int | None": st.sampled_from([None, 1, 2]),
    "float": st.sampled_from([0.0, 2.5]),
    "str": st.just("text"),
    "str | None": st.sampled_from([None, "LookupError"]),
}
_ANY = st.one_of(
    st.builds(
        cls,
        **{
            name: _VALUES[kind]
            for name, kind in cls.__annotations__.items()
            if "ClassVar" not in kind
        },
    )
    for cls in (getattr(events, name) for name in events.__all__)
    if cls is not events.ClientEvent
)


@given(st.lists(_ANY, max_size=30))
def test_any_course_of_events_can_be_taken(course: list[events.ClientEvent]) -> None:
    """Whatever is told in whichever order, nothing is raised, and submits that end are closed."""
    told = Collected()
    is_open = {1: False, 2: False}
    begun = 0
    last = [events.SubmitEnded(submit=n, jobs=0, seconds=0.0, error=None) for n in is_open]
    for event in [*course, *last]:
        if isinstance(event, events.SubmitStarted):
            begun += not is_open[event.submit]
            is_open[event.submit] = True
        elif isinstance(event, events.SubmitEnded):
            is_open[event.submit] = False
        told.listener(event)

    assert len(told.named("submit")) == begun


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import aiotcbatch; print('opentelemetry' in sys.modules)", "False"),
        (
            """if True:
            sys.modules["opentelemetry.metrics"] = None
            try: import aiotcbatch.telemetry
            except ImportError as error: print(error)""",
            "telemetry needs OpenTelemetry: pip install 'aiotcbatch[otel]'",
        ),
    ],
)
def test_only_who_uses_it_needs_it(code: str, said: str) -> None:
    """The library does not import it, and what is missing is said."""
    done = subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, "-c", f"import sys\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(aiotcbatch.__file__).parents[1])},
    )

    assert done.stdout.strip() == said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tracer_provider", "global"),
        ("tracer_provider", TracerProvider),
        ("tracer_provider", MeterProvider()),
        ("meter_provider", 5),
        ("meter_provider", MeterProvider),
        ("clock", None),
        ("clock", NOW),
    ],
)
def test_what_is_no_provider_is_refused(name: str, value: Any) -> None:
    """It is named at once; the same holds for a clock that is no function."""
    with pytest.raises(ConfigurationError) as caught:
        OpenTelemetry(**{name: value})

    assert (name, value) == (caught.value.field, caught.value.value)
