"""
Events: what a client does, told as it happens.

Each is told twice, if somebody wants to know: to the function that the client was given
(``Client(..., on_event=...)``), and to the logger ``aiotcbatch``, whose records have the name of
the event and its fields (``record.event``, ``record.batch_id`` and so on). Names and fields are
stable. They are ids, counts, sizes and seconds: never a secret, and of entities only the xid,
unless the server names one when it says why a job failed.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, ClassVar

from aiotcbatch.errors import ConfigurationError
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BatchAbandoned",
    "CircuitClosed",
    "CircuitOpened",
    "ClientEvent",
    "ClockCorrected",
    "FileFailed",
    "FileUploaded",
    "JobCompleted",
    "JobCreated",
    "JobFailed",
    "JobFinished",
    "JobPolled",
    "JobRecut",
    "JobUploaded",
    "RequestRetried",
    "RetryRefused",
    "SubmitEnded",
    "SubmitStarted",
]

_logger = logging.getLogger("aiotcbatch")


class ClientEvent(Value):
    """
    What all events have in common.

    Events are equal when they are of one class and say the same.
    """

    #: The name of the event in logs.
    event: ClassVar[str]
    #: The level of its log record.
    level: ClassVar[int] = logging.INFO
    #: Its text in logs, with its fields in braces.
    text: ClassVar[str]

    def __str__(self) -> str:
        return self.text.format_map(self.fields)


# Submits


class SubmitStarted(ClientEvent):
    """A submit began to send what is pending, or a stream was opened."""

    event: ClassVar[str] = "submit_started"
    level: ClassVar[int] = logging.DEBUG
    text: ClassVar[str] = "submit {submit} begins"

    #: Its number, which is its own within this process.
    submit: int


class SubmitEnded(ClientEvent):
    """A submit ended, whichever way."""

    event: ClassVar[str] = "submit_ended"
    text: ClassVar[str] = (
        "submit {submit} ended after {seconds:.3f} s with {jobs} jobs at their end"
    )

    #: As in `SubmitStarted`.
    submit: int
    #: Jobs that came to their end in it.
    jobs: int
    #: Seconds that it took.
    seconds: float
    #: The class of the error that it ended with, None if it ended well.
    error: str | None


# Jobs


class JobCreated(ClientEvent):
    """The server gave a job an id, and waits for its document."""

    event: ClassVar[str] = "job_created"
    level: ClassVar[int] = logging.DEBUG
    text: ClassVar[str] = "job {batch_id} is created in {owner!r}"

    batch_id: int
    owner: str
    #: ``Create`` or ``Delete``.
    action: str
    #: The submit that it belongs to, None for a step that the user took.
    submit: int | None
    #: Seconds that the request took.
    seconds: float


class JobUploaded(ClientEvent):
    """The server has the document of a job."""

    event: ClassVar[str] = "job_uploaded"
    text: ClassVar[str] = (
        "job {batch_id} is uploaded: {groups} groups, {indicators} indicators,"
        " {associations} associations, {size} bytes in {seconds:.3f} s"
    )

    #: None for a job that was made in one request and done at once.
    batch_id: int | None
    owner: str
    submit: int | None
    groups: int
    indicators: int
    associations: int
    #: Bytes of the document.
    size: int
    #: Seconds that it took, all attempts together.
    seconds: float


class JobPolled(ClientEvent):
    """The server was asked how far a job is, and answered."""

    event: ClassVar[str] = "job_polled"
    level: ClassVar[int] = logging.DEBUG
    text: ClassVar[str] = "job {batch_id} is {status} after {seconds:.3f} s"

    batch_id: int
    #: The server's word, such as ``Running``.
    status: str
    #: Seconds since the server had the document and nothing before it to do, as far as is known.
    seconds: float


class JobCompleted(ClientEvent):
    """The server has done its work on a job, with or without errors."""

    event: ClassVar[str] = "job_completed"
    text: ClassVar[str] = (
        "job {batch_id} is completed after {seconds:.3f} s: {accepted} accepted, {refused} refused,"
        " {unprocessed} not processed"
    )

    #: None for a job that was made in one request and done at once.
    batch_id: int | None
    #: Groups and indicators that were written.
    accepted: int
    #: Groups and indicators that were refused.
    refused: int
    #: Groups and indicators that were not looked at, after a halt.
    unprocessed: int
    #: Seconds as in `JobPolled`.
    seconds: float


class JobFinished(ClientEvent):
    """Nothing is left to do for a job: its errors are known and its files are up."""

    event: ClassVar[str] = "job_finished"
    level: ClassVar[int] = logging.DEBUG
    text: ClassVar[str] = "job {batch_id} is finished, with {files} of its files uploaded"

    batch_id: int | None
    submit: int | None
    #: Files that were uploaded.
    files: int
    #: Files that were not.
    files_failed: int


class JobFailed(ClientEvent):
    """A step of a job failed; another submit may go on from there."""

    event: ClassVar[str] = "job_failed"
    level: ClassVar[int] = logging.WARNING
    text: ClassVar[str] = (
        "{job} for {owner!r}, with {groups} groups, {indicators} indicators and {associations}"
        " associations, failed {when}: {error}: {reason}"
    )

    #: None if the server gave it none.
    batch_id: int | None
    owner: str
    submit: int | None
    #: How far it is: ``cut``, ``created``, ``uploading``, ``uploaded``, ``completed``, ``filing``,
    #: ``done`` or ``lost``.
    phase: str
    groups: int
    indicators: int
    associations: int
    #: The class of the error. The error itself is raised, or is in the job's status.
    error: str
    #: What the error says. Where it is the server that says so, it may name an entity.
    reason: str

    def __str__(self) -> str:
        job = "a job without an id" if self.batch_id is None else f"job {self.batch_id}"
        return self.text.format(
            job=job, when=_FAILED_WHEN.get(self.phase, self.phase), **self.fields
        )


#: When a job failed, by how far it is.
_FAILED_WHEN = {
    "cut": "before the server had it",
    "created": "before its upload",
    "uploading": "in its upload, and the server may have it",
    "uploaded": "while the server was at it",
    "completed": "when its errors were asked for",
    "filing": "when its files were uploaded",
    "done": "and is over",
    "lost": "and it is not known whether the server has it",
}


class JobRecut(ClientEvent):
    """The server cannot do with the document of a job, so it is cut into smaller jobs."""

    event: ClassVar[str] = "job_recut"
    level: ClassVar[int] = logging.WARNING
    text: ClassVar[str] = "job {batch_id} in {owner!r} is cut into {jobs} smaller jobs: {error}"

    #: None if the server gave it none.
    batch_id: int | None
    owner: str
    submit: int | None
    #: The jobs that take its place.
    jobs: int
    #: The class of the error: ``UploadTooLargeError`` or ``CriticalError``.
    error: str
    #: Bytes that a document has at most from now on, None if it was not too large.
    limit: int | None


class BatchAbandoned(ClientEvent):
    """A batch was closed, or a stream left, with what was not submitted."""

    event: ClassVar[str] = "batch_abandoned"
    level: ClassVar[int] = logging.WARNING
    text: ClassVar[str] = (
        "a batch or stream in {owner!r} is closed with {entities} entities, {associations}"
        " associations and {files} files that were not submitted"
    )

    owner: str
    entities: int
    associations: int
    files: int


# Files


class FileUploaded(ClientEvent):
    """The content of a document or report is on the server."""

    event: ClassVar[str] = "file_uploaded"
    level: ClassVar[int] = logging.DEBUG
    text: ClassVar[str] = "the file of {xid!r} is uploaded, {size} bytes in {seconds:.3f} s"

    #: The xid of the group.
    xid: str
    #: The type of the group, ``Document`` or ``Report``.
    group_type: str
    #: The job of the group, None if it is not known.
    batch_id: int | None
    #: Bytes of the content, 0 if it did not know.
    size: int
    #: Seconds that it took, all attempts and the making of the content together.
    seconds: float


class FileFailed(ClientEvent):
    """The content of a document or report is not on the server."""

    event: ClassVar[str] = "file_failed"
    level: ClassVar[int] = logging.WARNING
    text: ClassVar[str] = "the file of {xid!r} is not uploaded: {error}"

    xid: str
    group_type: str
    batch_id: int | None
    #: The class of the error, or ``NoContent`` if there is nothing to upload.
    error: str
    seconds: float


# Requests


class RequestRetried(ClientEvent):
    """A request failed, and will be sent again."""

    event: ClassVar[str] = "request_retried"
    text: ClassVar[str] = (
        "{method} {path}: {error}, status {status}; attempt {attempt} of {attempts}, the next one"
        " in {delay:.1f} s"
    )

    method: str
    #: The path below the host, without its query.
    path: str
    #: The number of the attempt that failed, from 1 on.
    attempt: int
    #: Attempts that there are at most.
    attempts: int
    #: Seconds until the next one.
    delay: float
    #: The class of the error.
    error: str
    #: The HTTP status, None if no answer came.
    status: int | None


class RetryRefused(ClientEvent):
    """A request failed that would be sent again, had not too many others been."""

    event: ClassVar[str] = "retry_refused"
    level: ClassVar[int] = logging.WARNING
    text: ClassVar[str] = (
        "{method} {path}: {error}, status {status}; not sent again, since too many requests were"
    )

    method: str
    path: str
    attempt: int
    error: str
    status: int | None


class CircuitOpened(ClientEvent):
    """The server has failed too often in a row, so nothing is sent to it for a while."""

    event: ClassVar[str] = "circuit_opened"
    level: ClassVar[int] = logging.WARNING
    text: ClassVar[str] = (
        "{failures} requests in a row have failed, the last one with {error}, status {status}:"
        " nothing is sent for {pause:.1f} s"
    )

    #: Failures in a row.
    failures: int
    #: Seconds until one request tries whether the server is well.
    pause: float
    #: The class of the last error.
    error: str
    #: Its HTTP status, None if no answer came.
    status: int | None


class CircuitClosed(ClientEvent):
    """The server answers again, so everything is sent."""

    event: ClassVar[str] = "circuit_closed"
    text: ClassVar[str] = "the server answers again, after {failures} failures in a row"

    failures: int


class ClockCorrected(ClientEvent):
    """The server refused a timestamp, and its own time is used for signing from now on."""

    event: ClassVar[str] = "clock_corrected"
    level: ClassVar[int] = logging.WARNING
    text: ClassVar[str] = (
        "the server's clock is {offset:+.0f} s from this machine's, and requests are signed by it;"
        " set this machine's clock"
    )

    #: Seconds that the server's clock is ahead of this machine's.
    offset: float


class Events:
    """
    Tells events to whom they concern.

    A function that raises does not break what it is told of: its first error is logged, with its
    traceback, and it is told of the next events all the same.

    Args:
        listener: Called with each event, at once and in the event loop; it must be quick.

    Raises:
        ConfigurationError: When it cannot be called so.
    """

    __slots__ = ("_has_failed", "_listener")

    def __init__(self, listener: Callable[[ClientEvent], object] | None = None) -> None:
        if listener is not None and (
            not callable(listener)
            or inspect.iscoroutinefunction(listener)
            or inspect.iscoroutinefunction(type(listener).__call__)
        ):
            raise ConfigurationError("on_event", listener, "a plain function of one argument")
        self._listener = listener
        self._has_failed = False

    def tell(self, event: ClientEvent) -> None:
        """Tell an event."""
        if _logger.isEnabledFor(event.level):
            _logger.log(event.level, "%s", event, extra={"event": event.event, **event.fields})
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                _logger.exception(
                    "on_event raised at %s; further errors of it are not logged",
                    event.event,
                    extra={"event": "listener_failed"},
                )
