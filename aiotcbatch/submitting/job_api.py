"""The requests about batch jobs, one method each; every answer is read and checked here."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.errors import (
    ConnectionLostError,
    RequestTimeoutError,
    UnavailableError,
    UnreadableAnswerError,
)
from aiotcbatch.results.status import COUNTS, BatchError, BatchStatus
from aiotcbatch.transport.answers import unreadable
from aiotcbatch.transport.body import multipart

if TYPE_CHECKING:
    from aiotcbatch.submitting.job import JobSettings
    from aiotcbatch.transport.answers import Answer
    from aiotcbatch.transport.body import Body
    from aiotcbatch.transport.http import Transport

__all__ = ["UNKNOWN_OUTCOME", "JobApi"]

#: After one of these it is unknown whether the server has acted.
UNKNOWN_OUTCOME = (
    ConnectionLostError,
    RequestTimeoutError,
    UnavailableError,
    UnreadableAnswerError,
)

#: What the answer to an upload says when the server has the document.
#: Source: v2 Batch API, upload of a job's data.
_TAKEN = frozenset({"success", "queued", "running", "completed"})


class JobApi:
    """
    The requests about batch jobs.

    Args:
        transport: Where to send.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, settings: JobSettings) -> int:
        """
        Create a job; the server does nothing until it gets the document.

        Returns:
            The job's id.

        Raises:
            ResponseError: When the server does not create it.
            TransportError: When no answer came.
        """
        answer = await self._transport.request(
            "POST",
            "/v2/batch",
            body=orjson.dumps(settings.config),
            content_type="application/json; charset=utf-8",
            # A job that was created and is never used costs nothing.
            repeatable=True,
            check=_batch_id,
        )
        return _batch_id(answer)

    async def upload(self, batch_id: int, body: Body) -> dict[str, Any]:
        """
        Give a job its document, which starts it.

        It is sent once: when the answer does not come, or is not readable, only the job's status
        tells whether the document has arrived.

        Returns:
            The server's answer.

        Raises:
            NotFoundError: When the server does not know the id.
            ResponseError: When the server refuses the document, or its answer is not readable.
            TransportError: When no answer came.
        """
        answer = await self._transport.request(
            "POST",
            f"/v2/batch/{batch_id}",
            body=body,
            content_type="application/octet-stream",
            repeatable=False,
            check=_taken,
        )
        return _taken(answer)

    async def create_and_upload(self, settings: JobSettings, body: Body) -> BatchStatus:
        """
        Create a job and give it its document in one request.

        Returns:
            The status: completed and without an id if it was processed inline, else with one.

        Raises:
            ResponseError: When the server does not take it.
            TransportError: When no answer came; whether the job exists is then unknown.
        """
        form, content_type = multipart(
            [("config", orjson.dumps(settings.config)), ("content", body)]
        )
        answer = await self._transport.request(
            "POST",
            "/v2/batch/createAndUpload",
            query={"includeAdditional": "true"},
            body=form,
            content_type=content_type,
            repeatable=False,
            check=_begun,
        )
        return _begun(answer)

    async def status(self, batch_id: int) -> BatchStatus:
        """
        Ask how far a job is.

        Returns:
            The server's status, without the envelope around it.

        Raises:
            NotFoundError: When the server does not know the id.
        """
        answer = await self._transport.request(
            "GET",
            f"/v2/batch/{batch_id}",
            query={"includeAdditional": "true"},
            check=_batch_status,
        )
        return _batch_status(answer)

    async def results(self, batch_id: int) -> list[BatchError]:
        """
        Fetch the errors, warnings and information about a completed job.

        Returns:
            What the server sends, with codes and paths; [] if there is nothing, or if the
            platform is too old to have ``/results``.
        """
        return await self._error_list(f"/v2/batch/{batch_id}/results")

    async def errors(self, batch_id: int) -> list[BatchError]:
        """
        Fetch what went wrong in a completed job.

        ``/results`` is asked first, since it tells codes and paths, then ``/errors``.

        Returns:
            The errors as the server sends them, [] if there are none.

        Raises:
            RequestRefusedError: When the job has not completed.
        """
        return await self.results(batch_id) or await self._error_list(
            f"/v2/batch/{batch_id}/errors"
        )

    async def _error_list(self, path: str) -> list[BatchError]:
        answer = await self._transport.request(
            "GET", path, accept=(HTTPStatus.NOT_FOUND,), check=_list
        )
        return [] if answer.status == HTTPStatus.NOT_FOUND else _errors(_list(answer))


def _batch_id(answer: Answer) -> int:
    """Read the id of a job that was created."""
    data = _object(answer)
    inner = data.get("data", data)
    batch_id = _whole(inner.get("batchId")) if isinstance(inner, dict) else None
    if batch_id is None:
        raise _other(answer, "the answer has no batchId")
    return batch_id


def _taken(answer: Answer) -> dict[str, Any]:
    """Read the answer to an upload, which is a yes only if it says so."""
    data = _object(answer)
    inner = data.get("data")
    nested = inner.get("batchStatus") if isinstance(inner, dict) else None
    said = [data.get("status"), nested.get("status") if isinstance(nested, dict) else None]
    words = {word.lower() for word in said if isinstance(word, str)}
    if not words or words - _TAKEN:
        raise _other(answer, "the answer is neither a yes nor a no")
    return data


def _begun(answer: Answer) -> BatchStatus:
    """Read the answer of a job that was made in one request."""
    status = _batch_status(answer)
    if status.id is None and not status.completed:
        raise _other(answer, "the job is neither done nor has it an id")
    return status


def _list(answer: Answer) -> list[Any]:
    """Read a list of errors, which is empty if nothing comes."""
    found = answer.json() if answer.body else []
    if not isinstance(found, list):
        raise _other(answer, "the answer is not a list of errors")
    return found


def _errors(found: list[Any]) -> list[BatchError]:
    return [
        BatchError(error if isinstance(error, dict) else {"errorReason": str(error)})
        for error in found
    ]


def _object(answer: Answer) -> dict[str, Any]:
    data = answer.json()
    if not isinstance(data, dict):
        raise _other(answer, "the answer is not a JSON object")
    return data


def _batch_status(answer: Answer) -> BatchStatus:
    """Read a status with or without the envelope around it; numbers may come as text."""
    data = _object(answer)
    inner = data.get("data", data)
    found = inner.get("batchStatus", inner) if isinstance(inner, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("status"), str):
        raise _other(answer, "the answer has no batchStatus")
    status = BatchStatus(found)
    for name in ("id", *COUNTS):
        if status.get(name) is None:
            status.pop(name, None)
            continue
        status[name] = _whole(status[name])
        if status[name] is None:
            raise _other(answer, f"{name} is not a number")
    if isinstance(status.get("errors"), list):
        status["errors"] = _errors(status["errors"])
    else:
        status.pop("errors", None)
    return status


def _whole(value: object) -> int | None:
    """Read a whole number that may come as text or as 3.0; None if it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def _other(answer: Answer, what: str) -> UnreadableAnswerError:
    return unreadable(answer, f"{what}: {answer.text[:200]!r}")
