"""
Telemetry: spans and metrics for OpenTelemetry, made of events.

It needs ``pip install 'aiotcbatch[otel]'``, and only who uses it imports it::

    from aiotcbatch.telemetry import OpenTelemetry

    async with Client.from_env(on_event=OpenTelemetry()) as client:
        ...
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aiotcbatch import events
from aiotcbatch.errors import ConfigurationError
from aiotcbatch.version import VERSION

try:
    from opentelemetry.metrics import get_meter
    from opentelemetry.trace import Status, StatusCode, get_tracer, set_span_in_context
except ImportError as error:
    raise ImportError("telemetry needs OpenTelemetry: pip install 'aiotcbatch[otel]'") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

__all__ = ["OpenTelemetry"]

_Attributes: TypeAlias = dict[str, str | int | float]

_NANOSECONDS = 1_000_000_000
#: Jobs whose end was not told, of the steps that a user takes; older ones are ended.
_MOST_JOBS = 1000
#: Bounds of the buckets of durations: from a request on a fast line to a job of an hour.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class OpenTelemetry:
    """
    Makes spans and metrics of the events of one client.

    It is given to ``Client(..., on_event=...)``, each client having its own.

    Args:
        tracer_provider: Where spans go; None for the global one.
        meter_provider: Where metrics go; None for the global one.
        clock: Gives the time in nanoseconds since 1970.

    Raises:
        ConfigurationError: When a provider is none, or the clock no function.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        _check_provider("tracer_provider", tracer_provider, "get_tracer")
        _check_provider("meter_provider", meter_provider, "get_meter")
        if not callable(clock):
            raise ConfigurationError("clock", clock, "a function without arguments")
        spans = _Spans(get_tracer("aiotcbatch", VERSION, tracer_provider), clock)
        metrics = _Metrics(get_meter("aiotcbatch", VERSION, meter_provider))
        self._takers = (spans.take, metrics.take)

    def __call__(self, event: events.ClientEvent) -> None:
        """Take an event; what means nothing to it is left alone."""
        for take in self._takers:
            take(event)


def _check_provider(name: str, provider: object, method: str) -> None:
    is_provider = callable(getattr(provider, method, None)) and not isinstance(provider, type)
    if provider is not None and not is_provider:
        raise ConfigurationError(name, provider, f"a provider with {method}(), or None")


class _Metrics:
    """Counts and durations."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._jobs = self._counter("jobs", "{job}", "Jobs that the server has completed.")
        self._job_failures = self._counter(
            "job.failures", "{failure}", "Steps of jobs that failed."
        )
        self._entities = self._counter("entities", "{entity}", "Groups and indicators, by outcome.")
        self._files = self._counter("files", "{file}", "Files, by outcome.")
        self._bytes = self._counter("uploaded", "By", "Documents and files that the server has.")
        self._retries = self._counter("retries", "{request}", "Requests that were sent again.")
        self._pauses = self._counter("pauses", "{pause}", "Pauses, as the server kept failing.")
        self._submit_time = self._duration("submit", "Time of a submit.")
        self._upload_time = self._duration("upload", "Time until the server has a document.")
        self._job_time = self._duration("job", "Time of the server's work on a job.")
        self._file_time = self._duration("file", "Time until the server has a file.")

    def _counter(self, name: str, unit: str, text: str) -> Counter:
        return self._meter.create_counter(f"aiotcbatch.{name}", unit, text)

    def _duration(self, name: str, text: str) -> Histogram:
        return self._meter.create_histogram(
            f"aiotcbatch.{name}.duration", "s", text, explicit_bucket_boundaries_advisory=_BOUNDS
        )

    def take(self, event: events.ClientEvent) -> None:
        """Count an event."""
        match event:
            case events.SubmitEnded():
                self._submit_time.record(event.seconds, _error(event.error))
            case events.JobUploaded():
                self._upload_time.record(event.seconds)
                self._bytes.add(event.size, {"aiotcbatch.content": "document"})
            case events.JobCompleted():
                self._completed(event)
            case events.JobFailed():
                self._job_failures.add(1, _error(event.error))
            case events.FileUploaded():
                self._files.add(1, {"aiotcbatch.outcome": "uploaded"})
                self._bytes.add(event.size, {"aiotcbatch.content": "file"})
                self._file_time.record(event.seconds)
            case events.FileFailed():
                self._files.add(1, {"aiotcbatch.outcome": "failed", **_error(event.error)})
                self._file_time.record(event.seconds, _error(event.error))
            case events.RequestRetried():
                self._retries.add(1, _error(event.error))
            case events.CircuitOpened():
                self._pauses.add(1, _error(event.error))

    def _completed(self, event: events.JobCompleted) -> None:
        self._jobs.add(1)
        self._job_time.record(event.seconds)
        for outcome in ("accepted", "refused", "unprocessed"):
            number = getattr(event, outcome)
            if number:
                self._entities.add(number, {"aiotcbatch.outcome": outcome})


@dataclass(slots=True)
class _Job:
    """A job whose end was not told yet."""

    span: Span
    submit: int | None


class _Spans:
    """
    Spans: submits, in them jobs, in these what was done for them.

    What has ended when it is told is given the time at which it began, so only submits and jobs
    are remembered.
    """

    def __init__(self, tracer: Tracer, clock: Callable[[], int]) -> None:
        self._tracer = tracer
        self._clock = clock
        self._submits: dict[int, Span] = {}
        #: By the job's id. One that is done at once has none, and nothing comes between its events.
        self._jobs: dict[int | None, _Job] = {}

    def take(self, event: events.ClientEvent) -> None:
        """Begin, end or make a span for an event."""
        match event:
            case events.SubmitStarted():
                self._submits[event.submit] = self._begin("submit", 0.0, None, _fields(event))
            case events.SubmitEnded():
                self._submit_ended(event)
            case events.JobCreated():
                self._job_began(event)
            case events.JobUploaded():
                self._job_uploaded(event)
            case events.JobCompleted():
                self._job_completed(event)
            case events.JobFinished() | events.JobFailed() | events.JobRecut():
                error = getattr(event, "error", None)
                self._job_ended(event.batch_id, _fields(event), error)
            case events.FileUploaded() | events.FileFailed():
                context, error = self._in_job(event.batch_id), getattr(event, "error", None)
                self._past("file", event.seconds, context, _fields(event), error)
            case events.RequestRetried() | events.CircuitOpened() | events.ClockCorrected():
                for span in self._submits.values():
                    span.add_event(event.event, _fields(event), self._clock())

    def _submit_ended(self, event: events.SubmitEnded) -> None:
        left = [key for key, job in self._jobs.items() if job.submit == event.submit]
        for batch_id in left:
            self._job_ended(batch_id, {})
        span = self._submits.pop(event.submit, None)
        if span is not None:
            self._end(span, _fields(event), event.error)

    # Jobs

    def _job_began(self, event: events.JobCreated | events.JobUploaded) -> _Job:
        submit = self._submits.get(event.submit) if event.submit is not None else None
        context = None if submit is None else set_span_in_context(submit)
        span = self._begin("job", event.seconds, context, _fields(event))
        self._job_ended(event.batch_id, {})  # a server that is set back gives ids twice
        job = self._jobs[event.batch_id] = _Job(span, event.submit)
        if len(self._jobs) > _MOST_JOBS:
            self._job_ended(next(iter(self._jobs)), {})
        return job

    def _job_uploaded(self, event: events.JobUploaded) -> None:
        job = self._jobs.get(event.batch_id) or self._job_began(event)
        job.span.set_attributes(_fields(event))
        context = set_span_in_context(job.span)
        self._past("upload", event.seconds, context, {"aiotcbatch.size": event.size})

    def _job_completed(self, event: events.JobCompleted) -> None:
        job = self._jobs.get(event.batch_id)
        if event.batch_id is not None:
            self._past("poll", event.seconds, self._in_job(event.batch_id), {})
        if job is None:
            return
        job.span.set_attributes(_fields(event))
        if job.submit is None or event.batch_id is None:  # its end is not told
            self._job_ended(event.batch_id, {})

    def _job_ended(
        self, batch_id: int | None, attributes: _Attributes, error: str | None = None
    ) -> None:
        job = self._jobs.pop(batch_id, None)
        if job is not None:
            self._end(job.span, attributes, error)

    def _in_job(self, batch_id: int | None) -> Context | None:
        job = self._jobs.get(batch_id)
        return None if job is None else set_span_in_context(job.span)

    # Spans

    def _begin(
        self, name: str, ago: float, context: Context | None, attributes: _Attributes
    ) -> Span:
        began = self._clock() - int(ago * _NANOSECONDS)
        return self._tracer.start_span(
            f"aiotcbatch.{name}", context, attributes=attributes, start_time=began
        )

    def _past(
        self,
        name: str,
        seconds: float,
        context: Context | None,
        attributes: _Attributes,
        error: str | None = None,
    ) -> None:
        """Make a span of what is over."""
        self._end(self._begin(name, seconds, context, attributes), {}, error)

    def _end(self, span: Span, attributes: _Attributes, error: str | None = None) -> None:
        span.set_attributes(attributes)
        if error is not None:
            span.set_attributes(_error(error))
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(self._clock())


def _fields(event: events.ClientEvent) -> _Attributes:
    """Give the fields of an event as attributes, but for times and what is not known."""
    return {
        f"aiotcbatch.{name}": value
        for name, value in event.fields.items()
        if isinstance(value, str | int | float) and name not in {"seconds", "error"}
    }


def _error(error: str | None) -> dict[str, str]:
    return {} if error is None else {"error.type": error}
