"""
The fault matrix: what comes of each fault at each endpoint, once and for good.

This is the table. `test_matrix` runs every cell of it, and ``docs/explanation/faults.md`` shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aiotcbatch.errors import (
    AccessDeniedError,
    AuthenticationError,
    BatchDisabledError,
    ConnectionLostError,
    JobError,
    NotFoundError,
    PollTimeoutError,
    RateLimitedError,
    RequestRefusedError,
    RequestTimeoutError,
    UnavailableError,
    UnreadableAnswerError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiotcbatch.errors import AiotcbatchError

__all__ = [
    "AGAIN",
    "ANEW",
    "ARRIVED",
    "ASKED",
    "ENDPOINTS",
    "FAULTS",
    "FINE",
    "OUTCOMES",
    "PARTS",
    "PUT",
    "RENEWED",
    "REPORTED",
    "UNNAMED",
    "WORDS",
    "Endpoint",
    "Fails",
    "Outcome",
]

# What can come of it ----------------------------------------------------------------------------

FINE = "fine"
AGAIN = "again"
RENEWED = "renewed"
ASKED = "asked, again"
ARRIVED = "asked, arrived"
ANEW = "anew"
PUT = "put"
UNNAMED = "unnamed"
REPORTED = "reported"
PARTS = "in parts"

#: The words of the table, as the page explains them.
WORDS: Mapping[str, str] = {
    FINE: "It makes no difference.",
    AGAIN: "The same request is sent again, after a wait, and all is well.",
    RENEWED: "The supplier of the token is asked for a new one, and the request is sent again.",
    ASKED: "The job's status says that the document has not come; it is sent again to the same job,"
    " and all is well.",
    ARRIVED: "The job's status says that the document has come; it is not sent again, and all is"
    " well.",
    ANEW: "The server does not know the job, so another one is made for its document.",
    PUT: "It is taken for the answer to a content that exists already: a PUT follows, and all is"
    " well.",
    UNNAMED: "The counts say how many entities were refused, and nothing says which.",
    REPORTED: "Nothing is raised; the result says what is not on the server, and why.",
    PARTS: "The server gave up on the whole document, so its parts are sent again to find out for"
    " which entity, and all is well.",
    "XError": "The step fails, after as many attempts as the error allows; what the server does"
    " not have stays in the batch, and the next `submit()` brings it.",
    "XError, then twice": "The same; the server has the document already, and gets it from the next"
    " `submit()` once more, which is no harm with `Replace`.",
    "XError, unknown": "Whether the server has the document is not known and cannot be found out;"
    " with `Append` it is not sent again, and its job is reported as `Unknown`.",
}


@dataclass(frozen=True)
class Fails:
    """
    The step fails.

    Attributes:
        error: With what; for files it is the cause of a `FileUploadError`.
        unknown: Whether it remains unknown if the server has the document.
        twice: Whether the server has the document, and gets it once more from the next submit.
    """

    error: type[AiotcbatchError]
    unknown: bool = False
    twice: bool = False

    def __str__(self) -> str:
        """Show it as the page does."""
        marks = {"unknown": self.unknown, "then twice": self.twice}
        return ", ".join((self.error.__name__, *(mark for mark, is_so in marks.items() if is_so)))


Outcome: TypeAlias = "str | Fails"
#: What comes of a fault that strikes once, and of one that strikes for good.
Pair: TypeAlias = "tuple[Outcome, Outcome]"


def _always(outcome: Outcome) -> Pair:
    return outcome, outcome


# What can go wrong ------------------------------------------------------------------------------

#: The faults, as the page explains them, in its order.
FAULTS: Mapping[str, str] = {
    "reset before": "the connection breaks before the request is read",
    "reset within": "the connection breaks within the body of the request",
    "reset after": "the request is carried out, and the connection breaks before the answer",
    "cut in headers": "the request is carried out, and the answer breaks off within its headers",
    "cut in body": "the request is carried out, and the answer breaks off within its body",
    "stall": "the request is not carried out, and no answer comes",
    "stall after": "the request is carried out, and no answer comes",
    "slow drip": "the request is carried out, and the answer drips more slowly than `timeout`",
    "slow answer": "the request is carried out, and the answer comes slowly, but in time",
    "401, renewable": "the token has expired, and its supplier has another one",
    "401, keys": "the signature is refused, or the user may not do this",
    "403": "the owner is not there, or not for this user",
    "404": "the server does not know what the request is about",
    "429": "too many requests, with Retry-After",
    "500": "the server fails",
    "502": "a proxy says in HTML that it does not reach the server",
    "502 after": "the same, though the server has carried the request out",
    "503": "the server is not available",
    "503, Retry-After": "the server is not available, and says when it will be",
    "503, disabled": "the Batch API is not enabled",
    "wrong type": "the request is carried out, and its answer is said to be HTML",
    "wrong shape": "the request is carried out, and its answer is other JSON",
    "other answer": "the request is not carried out, and something answers 200 with other JSON",
    "half the JSON": "the request is carried out, and half of its answer is missing unnoticed",
    "storage full": "the document storage is full",
    "stuck": "the job runs for ever",
    "failing": "the job ends with an error about its whole document",
    "given up": "the server gives up on the document, with the text that says so",
}

# What comes of it -------------------------------------------------------------------------------

#: A request that can be sent twice without harm.
_PLAIN: Mapping[str, Pair] = {
    "reset before": (AGAIN, Fails(ConnectionLostError)),
    "reset after": (AGAIN, Fails(ConnectionLostError)),
    "cut in headers": (AGAIN, Fails(ConnectionLostError)),
    "cut in body": (AGAIN, Fails(ConnectionLostError)),
    "stall": (AGAIN, Fails(RequestTimeoutError)),
    "stall after": (AGAIN, Fails(RequestTimeoutError)),
    "slow drip": (AGAIN, Fails(RequestTimeoutError)),
    "slow answer": (FINE, FINE),
    "401, renewable": (RENEWED, Fails(AuthenticationError)),
    "401, keys": _always(Fails(AuthenticationError)),
    "403": _always(Fails(AccessDeniedError)),
    "404": _always(Fails(NotFoundError)),
    "429": (AGAIN, Fails(RateLimitedError)),
    "500": (AGAIN, Fails(UnavailableError)),
    "502": (AGAIN, Fails(UnavailableError)),
    "502 after": (AGAIN, Fails(UnavailableError)),
    "503": (AGAIN, Fails(UnavailableError)),
    "503, Retry-After": (AGAIN, Fails(UnavailableError)),
    "503, disabled": _always(Fails(BatchDisabledError)),
    "wrong type": (AGAIN, Fails(UnreadableAnswerError)),
    "wrong shape": (AGAIN, Fails(UnreadableAnswerError)),
    "other answer": (AGAIN, Fails(UnreadableAnswerError)),
    "half the JSON": (AGAIN, Fails(UnreadableAnswerError)),
}

_WITH_BODY = {**_PLAIN, "reset within": (AGAIN, Fails(ConnectionLostError))}

#: The data of a job: sent again by the transport only where the server has refused it unseen.
_UPLOAD = {
    **_WITH_BODY,
    "reset before": (ASKED, Fails(ConnectionLostError)),
    "reset within": (ASKED, Fails(ConnectionLostError)),
    "reset after": _always(ARRIVED),
    "cut in headers": _always(ARRIVED),
    "cut in body": _always(ARRIVED),
    "stall": (ASKED, Fails(RequestTimeoutError)),
    "stall after": _always(ARRIVED),
    "slow drip": _always(ARRIVED),
    "404": (ANEW, Fails(NotFoundError)),
    "500": (ASKED, Fails(UnavailableError)),
    "502": (ASKED, Fails(UnavailableError)),
    "502 after": _always(ARRIVED),
    "503": (ASKED, Fails(UnavailableError)),
    "wrong type": _always(ARRIVED),
    "wrong shape": _always(ARRIVED),
    "other answer": (ASKED, Fails(UnreadableAnswerError)),
    "half the JSON": _always(ARRIVED),
}

#: A job in one request: nothing tells whether it is there when its answer is lost.
_AT_ONCE = {
    **_WITH_BODY,
    "reset before": _always(Fails(ConnectionLostError)),
    "reset within": _always(Fails(ConnectionLostError)),
    "reset after": _always(Fails(ConnectionLostError, twice=True)),
    "cut in headers": _always(Fails(ConnectionLostError, twice=True)),
    "cut in body": _always(Fails(ConnectionLostError, twice=True)),
    "stall": _always(Fails(RequestTimeoutError)),
    "stall after": _always(Fails(RequestTimeoutError, twice=True)),
    "slow drip": _always(Fails(RequestTimeoutError, twice=True)),
    "500": _always(Fails(UnavailableError)),
    "502": _always(Fails(UnavailableError)),
    "502 after": _always(Fails(UnavailableError, twice=True)),
    "503": _always(Fails(UnavailableError)),
    "wrong type": _always(Fails(UnreadableAnswerError, twice=True)),
    "wrong shape": _always(Fails(UnreadableAnswerError, twice=True)),
    "other answer": _always(Fails(UnreadableAnswerError)),
    "half the JSON": _always(Fails(UnreadableAnswerError, twice=True)),
}

#: With Append it must not be sent again then.
_AT_ONCE_APPEND = {
    **_AT_ONCE,
    "reset before": _always(Fails(ConnectionLostError, unknown=True)),
    "reset within": _always(Fails(ConnectionLostError, unknown=True)),
    "reset after": _always(Fails(ConnectionLostError, unknown=True)),
    "cut in headers": _always(Fails(ConnectionLostError, unknown=True)),
    "cut in body": _always(Fails(ConnectionLostError, unknown=True)),
    "stall": _always(Fails(RequestTimeoutError, unknown=True)),
    "stall after": _always(Fails(RequestTimeoutError, unknown=True)),
    "slow drip": _always(Fails(RequestTimeoutError, unknown=True)),
    "500": _always(Fails(UnavailableError, unknown=True)),
    "502": _always(Fails(UnavailableError, unknown=True)),
    "502 after": _always(Fails(UnavailableError, unknown=True)),
    "503": _always(Fails(UnavailableError, unknown=True)),
    "wrong type": _always(Fails(UnreadableAnswerError, unknown=True)),
    "wrong shape": _always(Fails(UnreadableAnswerError, unknown=True)),
    "other answer": _always(Fails(UnreadableAnswerError, unknown=True)),
    "half the JSON": _always(Fails(UnreadableAnswerError, unknown=True)),
}

_FILE = {**_WITH_BODY, "storage full": _always(Fails(RequestRefusedError))}


@dataclass(frozen=True)
class Endpoint:
    """
    A request in the course of something that a user does.

    Attributes:
        request: The request.
        what: What it does, and how it is got to if that is not plain.
        rule: What the sandbox calls it.
        append: Whether the batch writes attributes with ``Append``.
    """

    request: str
    what: str
    rule: str
    append: bool = False

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.partition(" ")[0]


ENDPOINTS: Mapping[str, Endpoint] = {
    "create": Endpoint("POST /v2/batch", "make a job", "create"),
    "upload": Endpoint("POST /v2/batch/{id}", "give a job its document", "upload"),
    "upload Append": Endpoint(
        "POST /v2/batch/{id}", "give a job its document, with `Append`", "upload", append=True
    ),
    "createAndUpload": Endpoint(
        "POST /v2/batch/createAndUpload", "both in one request", "create_and_upload"
    ),
    "createAndUpload Append": Endpoint(
        "POST /v2/batch/createAndUpload",
        "both in one request, with `Append`",
        "create_and_upload",
        append=True,
    ),
    "status": Endpoint("GET /v2/batch/{id}", "ask how far a job is", "status"),
    "status Append": Endpoint(
        "GET /v2/batch/{id}", "ask how far a job is, with `Append`", "status", append=True
    ),
    "results": Endpoint("GET /v2/batch/{id}/results", "fetch what went wrong in a job", "results"),
    "errors": Endpoint(
        "GET /v2/batch/{id}/errors", "the same from a server without `/results`", "errors"
    ),
    "file POST": Endpoint(
        "POST /v2/groups/documents/{xid}/upload", "upload the content of a group", "file_upload"
    ),
    "file PUT": Endpoint(
        "PUT /v2/groups/documents/{xid}/upload", "replace a content that is there", "file_upload"
    ),
    "owners": Endpoint("GET /v2/owners", "list owners", "owners"),
    "indicatorTypes": Endpoint("GET /v2/types/indicatorTypes", "list indicator types", "types"),
    "attributeTypes": Endpoint("GET /v3/attributeTypes", "list attribute types", "attribute_types"),
    "job": Endpoint("", "no request fails, but the job does", "job"),
}

#: The table: by endpoint and fault, what comes of it once and for good.
OUTCOMES: Mapping[str, Mapping[str, Pair]] = {
    "create": _WITH_BODY,
    "upload": _UPLOAD,
    "upload Append": _UPLOAD,
    "createAndUpload": _AT_ONCE,
    "createAndUpload Append": _AT_ONCE_APPEND,
    "status": {**_PLAIN, "404": (ANEW, Fails(NotFoundError, twice=True))},
    "status Append": {**_PLAIN, "404": _always(Fails(JobError, unknown=True))},
    "results": {**_PLAIN, "404": _always(FINE)},
    "errors": {**_PLAIN, "404": (FINE, UNNAMED)},
    "file POST": {**_FILE, "401, renewable": _always(PUT), "401, keys": _always(PUT)},
    # Where there is nothing to replace, the first answer was about the credentials.
    "file PUT": {**_FILE, "404": _always(Fails(AuthenticationError))},
    "owners": _PLAIN,
    "indicatorTypes": _PLAIN,
    "attributeTypes": _PLAIN,
    "job": {
        "stuck": _always(Fails(PollTimeoutError)),
        "failing": (PARTS, REPORTED),
        "given up": (PARTS, REPORTED),
    },
}
