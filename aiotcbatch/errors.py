"""
What can go wrong, as one tree that is cut by what the caller can do about it.

::

    AiotcbatchError
    ├── ConfigurationError       a setting cannot be right: change it
    ├── ValidationError          a value of an entity is refused: change the data
    ├── UsageError               the call comes at the wrong time: change the program
    │   ├── SealedError          the entity was drained: name its xid again to continue it
    │   └── ClosedError          the client, batch or stream is closed
    ├── TransportError           no answer came: look at the network, try again
    │   ├── ConnectError         no connection was made: nothing was sent
    │   │   └── CircuitOpenError the server keeps failing, so it was not asked: wait
    │   ├── ConnectionLostError  it broke in the middle: the outcome is unknown
    │   └── RequestTimeoutError  the deadline passed: the outcome is unknown
    ├── ResponseError            an answer came and it is not a yes
    │   ├── AuthenticationError  401: credentials or permissions
    │   │   └── ClockError       the timestamp was refused: set this machine's clock
    │   ├── AccessDeniedError    403: the owner does not exist or is not yours
    │   ├── NotFoundError        404
    │   ├── RequestRefusedError  400: malformed, or against a rule
    │   │   └── UploadTooLargeError  with the limit that the server names
    │   ├── RateLimitedError     429: slow down
    │   ├── UnavailableError     5xx: try later
    │   ├── BatchDisabledError   the Batch API is not enabled: ask an administrator
    │   └── UnreadableAnswerError    not what this API answers: a proxy, a truncation
    ├── JobError                 a batch job did not do its work
    │   ├── PollTimeoutError     it did not complete in time; it may still
    │   └── CriticalError        the server gave up on the whole document
    ├── FileUploadError          a file's content did not arrive
    ├── DeadLettersError         what failed could not be written down: look at the disk
    └── JournalError             the journal cannot be written or read: look at the disk
        ├── JournalLockedError   it is in use: end that first, or name another file
        └── JournalDamagedError  it is not as it was written: salvage it

An exception that leaves ``submit()`` carries in `AiotcbatchError.partial` what had been done until
then. Its notes say it in words, and `AiotcbatchError.advice` is those of them that are about calls
of this library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiotcbatch.results.status import BatchStatus

__all__ = [
    "ERROR_CODES",
    "AccessDeniedError",
    "AiotcbatchError",
    "AuthenticationError",
    "BatchDisabledError",
    "CircuitOpenError",
    "ClockError",
    "ClosedError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionLostError",
    "CriticalError",
    "DeadLettersError",
    "ErrorCode",
    "FileUploadError",
    "JobError",
    "JournalDamagedError",
    "JournalError",
    "JournalLockedError",
    "NotFoundError",
    "PollTimeoutError",
    "RateLimitedError",
    "RequestRefusedError",
    "RequestTimeoutError",
    "ResponseError",
    "SealedError",
    "TransportError",
    "UnavailableError",
    "UnreadableAnswerError",
    "UploadTooLargeError",
    "UsageError",
    "ValidationError",
]


class AiotcbatchError(Exception):
    """The root of everything that this library raises on purpose."""

    #: What had been done when ``submit()`` was left by this exception, else None.
    partial: BatchStatus | None = None
    #: What a program can do about it by calls of this library, a sentence each; they are among the
    #: notes too. Who shows an error to somebody who cannot call anything leaves these out.
    advice: tuple[str, ...] = ()

    def __init__(self, message: str, **about: Any) -> None:
        super().__init__(message)
        self.message = message
        for name, value in about.items():
            setattr(self, name, value)

    def advise(self, advice: str) -> None:
        """
        Add a note that is for programs only.

        Args:
            advice: A sentence about calls of this library.
        """
        self.advice = (*self.advice, advice)
        self.add_note(advice)

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep every attribute when pickled, so that errors can cross processes."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[AiotcbatchError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class _FieldError(AiotcbatchError, ValueError):
    """A named value that is not one of those accepted."""

    def __init__(self, field: str, value: object, accepted: str, *, about: str = "") -> None:
        shown = _excerpt(value)
        prefix = f"{about}: " if about else ""
        super().__init__(f"{prefix}{field} is {shown}, accepted is {accepted}")
        #: The name of the field or setting, as the caller wrote it.
        self.field = field
        #: The value that was refused.
        self.value = value
        #: What would have been accepted, as text.
        self.accepted = accepted
        #: The entity or object that it is about, as text; "" if there is none.
        self.about = about


def _excerpt(value: object, width: int = 120) -> str:
    shown = repr(value)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


class ConfigurationError(_FieldError):
    """A setting cannot be right."""


class ValidationError(_FieldError):
    """A value of an entity would be refused by the server, so it is refused at the call."""


class UsageError(AiotcbatchError, RuntimeError):
    """A call came at a time or in a way in which it cannot be served."""


class SealedError(UsageError):
    """The entity was drained, so a change to this handle would be lost."""


class ClosedError(UsageError):
    """The client, batch or stream is closed."""


class TransportError(AiotcbatchError):
    """
    No answer came.

    Attributes:
        method: HTTP method.
        url: The URL, without credentials.
    """

    method: str = ""
    url: str = ""


class ConnectError(TransportError):
    """No connection was made, so nothing was sent."""


class CircuitOpenError(ConnectError):
    """
    The server has failed so often in a row that it was not asked.

    Its cause is the last failure.

    Attributes:
        seconds: How long it will not be asked, as far as is known.
    """

    seconds: float = 0.0


class ConnectionLostError(TransportError):
    """The connection broke after it was made; whether the server acted is unknown."""


class RequestTimeoutError(TransportError, TimeoutError):
    """The answer did not come in time; whether the server acted is unknown."""


class ResponseError(AiotcbatchError):
    """
    The server answered, and it is not a yes.

    Attributes:
        status: HTTP status.
        method: HTTP method.
        url: The URL, without credentials.
        body: The beginning of the answer's body, as text.
        server_message: What the server said, taken out of the body.
        retry_after: Seconds that the server asked to wait, or None.
    """

    status: int = 0
    method: str = ""
    url: str = ""
    body: str = ""
    server_message: str = ""
    retry_after: float | None = None


class AuthenticationError(ResponseError):
    """401: the credentials are wrong, or do not permit this."""


class ClockError(AuthenticationError):
    """
    The server refused the request's timestamp: this machine's clock is off.

    Attributes:
        offset: Seconds that the server's clock is ahead of this machine's, None if it does not
            say.
    """

    offset: float | None = None


class AccessDeniedError(ResponseError):
    """403: the owner does not exist, or these credentials may not use it."""


class NotFoundError(ResponseError):
    """404: the server does not know what was asked for."""


class RequestRefusedError(ResponseError):
    """400 or another 4xx: the request was malformed, or against a rule of the server."""


class UploadTooLargeError(RequestRefusedError):
    """
    The document is larger than the server takes.

    Attributes:
        limit: Bytes that the server allows.
    """

    limit: int = 0


class RateLimitedError(ResponseError):
    """429: too many requests."""


class UnavailableError(ResponseError):
    """5xx: the server cannot answer now."""


class BatchDisabledError(ResponseError):
    """The Batch API or its document storage is not enabled on this instance."""


class UnreadableAnswerError(ResponseError):
    """The answer is not one that this API gives: HTML, truncated, or of another shape."""


class JobError(AiotcbatchError):
    """
    A batch job did not do its work.

    Attributes:
        batch_id: The job's id, None if the server gave none.
    """

    batch_id: int | None = None


class PollTimeoutError(JobError, TimeoutError):
    """The job did not complete in the time that was given to it; it may still complete."""


class CriticalError(JobError):
    """The server gave up on the whole document."""


class FileUploadError(AiotcbatchError):
    """
    The content of a Document or Report did not arrive.

    Attributes:
        xid: The xid of the group.
    """

    xid: str = ""


class DeadLettersError(AiotcbatchError, OSError):
    """
    What failed could not be written to the file of dead letters; its cause says why.

    Attributes:
        path: The file.
    """

    path: str = ""


class JournalError(AiotcbatchError):
    """
    The journal cannot be written or read; what was written before is still in it.

    Attributes:
        path: The journal.
    """

    path: str = ""


class JournalLockedError(JournalError):
    """
    Somebody has the journal, and two cannot.

    Attributes:
        holder: The process that has it, None if that is not known.
    """

    holder: int | None = None


class JournalDamagedError(JournalError):
    """
    The journal is not as it was written.

    Attributes:
        faults: What is wrong with it, in words.
        record_count: Entities and associations in it that can be read and are not done.
    """

    faults: tuple[str, ...] = ()
    record_count: int = 0


class ErrorCode(Value, kw_only=False):
    """What a code in a job's results means, and what can be done about it."""

    meaning: str
    hint: str


#: The codes of a job's results. Source: v2 Batch API, ``/results``.
#: 0x1xxx are errors, 0x2xxx warnings and 0x3xxx information (inferred from their names).
ERROR_CODES: Mapping[str, ErrorCode] = {
    "0x1001": ErrorCode("General error", "read errorMessage; it names the entity or its path"),
    "0x1002": ErrorCode(
        "Permission", "the API user may not write this kind of object in this owner"
    ),
    "0x1003": ErrorCode(
        "JSON syntax", "a part of the document has the wrong shape; the path says which"
    ),
    "0x1004": ErrorCode("Internal error", "submit it again; if it stays, ask the administrator"),
    "0x1005": ErrorCode("Invalid indicator", "correct the summary or the field that is named"),
    "0x1006": ErrorCode("Invalid group", "correct the name or the field that is named"),
    "0x1007": ErrorCode(
        "Item not found", "what is pointed to is neither in the job nor in the owner"
    ),
    "0x1008": ErrorCode(
        "Indicator limit", "the owner's quota is full: delete indicators or raise the quota"
    ),
    "0x1009": ErrorCode(
        "Association", "check that both ends exist in this owner and that the types fit"
    ),
    "0x100A": ErrorCode("Duplicate item", "it is in the job twice: send it once"),
    "0x100B": ErrorCode("File I/O", "the server could not store the file: submit it again"),
    "0x2001": ErrorCode(
        "Indicator partial loss", "the indicator is there; an attribute, tag or label is not"
    ),
    "0x2002": ErrorCode(
        "Group partial loss", "the group is there; an attribute, tag or label is not"
    ),
    "0x2003": ErrorCode("File hash merge", "two files became one; check their hashes"),
    "0x3001": ErrorCode("File hash merge", "two files became one; nothing is lost"),
}
