"""One batch job: its settings, its requests, and its life from the chunk to the result."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.errors import (
    ConfigurationError,
    ConnectionLostError,
    NotFoundError,
    RequestTimeoutError,
    UnavailableError,
    UnreadableAnswerError,
)
from aiotcbatch.http import multipart
from aiotcbatch.results import BatchStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiotcbatch.chunk import Chunk
    from aiotcbatch.contents import FileItem
    from aiotcbatch.files import UploadResult
    from aiotcbatch.http import Answer, Body, Transport

__all__ = ["UNKNOWN_OUTCOME", "Job", "JobApi", "JobSettings", "Phase"]

_CHOICES = {
    "action": ("Create", "Delete"),
    "attribute_write_type": ("Append", "Replace", "Singleton", "Static"),
    "tag_write_type": ("Append", "Replace"),
    "security_label_write_type": ("Append", "Replace"),
    "file_merge_mode": ("Merge", "Distribute"),
    "hash_collision_mode": (
        "FavorIncoming",
        "FavorExisting",
        "IgnoreIncoming",
        "IgnoreExisting",
        "Split",
    ),
}
_OPTIONAL = frozenset({"file_merge_mode", "hash_collision_mode"})

#: A document whose arrival the job's status denies is sent this many times.
UPLOAD_ATTEMPTS = 3

#: After one of these it is unknown whether the server has the document.
UNKNOWN_OUTCOME = (
    ConnectionLostError,
    RequestTimeoutError,
    UnavailableError,
    UnreadableAnswerError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """
    How the server is to treat a job's document.

    Source: v2 Batch API, job configuration.

    Raises:
        ConfigurationError: When a value is not one that the server knows.
    """

    owner: str
    action: str = "Create"
    attribute_write_type: str = "Replace"
    tag_write_type: str = "Replace"
    security_label_write_type: str = "Replace"
    halt_on_error: bool = True
    playbook_triggers_enabled: bool = False
    file_merge_mode: str | None = None
    hash_collision_mode: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.owner, str) or not self.owner:
            raise ConfigurationError("owner", self.owner, "the name of an owner")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices and not (value is None and name in _OPTIONAL):
                near = difflib.get_close_matches(str(value).title(), choices, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ConfigurationError(name, value, f"one of {', '.join(choices)}{hint}")
        for name in ("halt_on_error", "playbook_triggers_enabled"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ConfigurationError(name, value, "True or False")

    @property
    def config(self) -> dict[str, Any]:
        """The body of the request that creates the job."""
        config = {
            "action": self.action,
            "attributeWriteType": self.attribute_write_type,
            "haltOnError": self.halt_on_error,
            "owner": self.owner,
            "playbookTriggersEnabled": self.playbook_triggers_enabled,
            "securityLabelWriteType": self.security_label_write_type,
            "tagWriteType": self.tag_write_type,
            "version": "V2",
        }
        if self.file_merge_mode is not None:
            config["fileMergeMode"] = self.file_merge_mode
        if self.hash_collision_mode is not None:
            config["hashCollisionMode"] = self.hash_collision_mode
        return config


class Phase(Enum):
    """How far a job is."""

    #: Its chunk is cut; the server knows nothing.
    CUT = 1
    #: It has an id; the server waits for the document.
    CREATED = 2
    #: The server has the document.
    UPLOADED = 3
    #: The server has done its work; files may still have to go up.
    COMPLETED = 4
    #: Nothing is left to do.
    DONE = 5
    #: It is not known whether the server has the document, and it is not safe to send again.
    LOST = 6


@dataclass(slots=True, eq=False)
class Job:
    """One batch job, which can be taken up again in whichever phase it was left."""

    settings: JobSettings
    chunk: Chunk
    batch_id: int | None = None
    phase: Phase = Phase.CUT
    status: BatchStatus = field(default_factory=BatchStatus)
    #: When the document was uploaded, on the clock of the pipeline.
    uploaded_at: float = 0.0
    #: How often it was taken up.
    attempts: int = 0
    #: Contents that are still to be uploaded, by xid.
    files: dict[str, FileItem] = field(default_factory=dict)
    #: What became of those that were, by xid.
    uploads: dict[str, UploadResult] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.settings.action != "Delete":
            self.files = {item.xid: item for item in self.chunk.files}

    @property
    def id(self) -> int:
        """The id of a job that the server has created."""
        if self.batch_id is None:
            raise AssertionError(f"a job in phase {self.phase.name} has no id")
        return self.batch_id

    @property
    def result(self) -> BatchStatus:
        """What it came to, as far as it is."""
        result = BatchStatus(self.status)
        result.setdefault("status", "Failed" if "failure" in result else self.phase.name.title())
        if self.batch_id is not None:
            result["id"] = self.batch_id
        result.setdefault("errors", [])
        xids = [item.xid for item in self.chunk.files]
        result["uploads"] = [self.uploads[xid] for xid in xids if xid in self.uploads]
        return result

    @property
    def unfinished(self) -> bool:
        """Whether taking it up again can get it further."""
        return self.phase not in {Phase.DONE, Phase.LOST}

    def failed(self, error: Exception) -> None:
        """Note why it did not get further, until it is taken up again."""
        self.status["failure"] = error

    def retried(self) -> None:
        """Note that it is taken up again."""
        self.status.pop("failure", None)
        self.attempts += 1

    def filed(self, upload: UploadResult) -> None:
        """Note what became of a file."""
        self.files.pop(upload["xid"], None)
        self.uploads[upload["xid"]] = upload

    def created(self, batch_id: int) -> None:
        """Note that the server gave it an id."""
        self.batch_id, self.phase = batch_id, Phase.CREATED

    def uploaded(self, at: float) -> None:
        """Note that the server has the document."""
        self.uploaded_at, self.phase = at, Phase.UPLOADED

    def completed(self, status: Mapping[str, Any]) -> None:
        """Note that the server has done its work."""
        self.status.update(status)
        self.phase = Phase.COMPLETED

    def forgotten(self) -> None:
        """Note that the server does not know the id any more."""
        self.batch_id, self.phase = None, Phase.CUT


class JobApi:
    """The requests about jobs, one method each; every answer is read and checked here."""

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
        )
        data = _object(answer)
        batch_id = data.get("data", data)
        batch_id = batch_id.get("batchId") if isinstance(batch_id, dict) else None
        if isinstance(batch_id, (int, str)) and str(batch_id).isdecimal():
            return int(batch_id)
        raise _unreadable(answer, "no batchId in it")

    async def upload(self, batch_id: int, body: Body | bytes) -> dict[str, Any]:
        """
        Give a job its document, which starts it.

        When the answer is lost, the job's status says whether the document arrived, and it is
        sent again only if it did not.

        Returns:
            The server's answer.

        Raises:
            NotFoundError: When the server does not know the id.
            ResponseError: When the server refuses the document.
            TransportError: When it stays unknown whether the document arrived.
        """
        for attempt in range(1, UPLOAD_ATTEMPTS + 1):
            try:
                answer = await self._transport.request(
                    "POST",
                    f"/v2/batch/{batch_id}",
                    body=body,
                    content_type="application/octet-stream",
                    repeatable=False,
                )
            except UNKNOWN_OUTCOME as error:
                status = await self._status_after(batch_id, error)
                if status != "created":
                    return {"status": "Queued"}
                if attempt == UPLOAD_ATTEMPTS:
                    raise
            else:
                return _object(answer)
        raise AssertionError("unreachable")

    async def _status_after(self, batch_id: int, error: Exception) -> str:
        """Ask how far a job is after an upload whose answer was lost."""
        try:
            status = await self.status(batch_id)
        except NotFoundError:
            raise
        except Exception as second:
            error.add_note(f"the job's status could not be asked for either: {second}")
            raise error from second
        return status.status.lower()

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
        )
        return _batch_status(answer)

    async def status(self, batch_id: int) -> BatchStatus:
        """
        Ask how far a job is.

        Raises:
            NotFoundError: When the server does not know the id.
        """
        return _batch_status(await self._status_answer(batch_id))

    async def status_envelope(self, batch_id: int) -> dict[str, Any]:
        """Ask how far a job is, and give the answer as the documents of TcEx show it."""
        answer = _object(await self._status_answer(batch_id))
        if "data" in answer:
            return answer
        return {"status": "Success", "data": {"batchStatus": answer}}

    async def _status_answer(self, batch_id: int) -> Answer:
        return await self._transport.request(
            "GET", f"/v2/batch/{batch_id}", query={"includeAdditional": "true"}
        )

    async def results(self, batch_id: int) -> list[dict[str, Any]]:
        """
        Fetch the errors, warnings and information about a completed job.

        Returns:
            What the server sends, with codes and paths; [] if there is nothing, or if the
            platform is too old to have ``/results``.
        """
        return await self._error_list(f"/v2/batch/{batch_id}/results")

    async def errors(self, batch_id: int) -> list[dict[str, Any]]:
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

    async def _error_list(self, path: str) -> list[dict[str, Any]]:
        answer = await self._transport.request("GET", path, accept=(HTTPStatus.NOT_FOUND,))
        if answer.status == HTTPStatus.NOT_FOUND or not answer.body:
            return []
        errors = answer.json()
        if not isinstance(errors, list):
            raise _unreadable(answer, "not a list of errors")
        return [
            error if isinstance(error, dict) else {"errorReason": str(error)} for error in errors
        ]


def _object(answer: Answer) -> dict[str, Any]:
    data = answer.json()
    if not isinstance(data, dict):
        raise _unreadable(answer, "not a JSON object")
    return data


def _batch_status(answer: Answer) -> BatchStatus:
    """Read a status with or without the envelope around it."""
    data = _object(answer)
    inner = data.get("data", data)
    status = inner.get("batchStatus", inner) if isinstance(inner, dict) else None
    if not isinstance(status, dict) or not isinstance(status.get("status"), str):
        raise _unreadable(answer, "no batchStatus in it")
    batch_id = status.get("id")
    if isinstance(batch_id, str) and batch_id.isdecimal():
        status["id"] = int(batch_id)
    return BatchStatus(status)


def _unreadable(answer: Answer, what: str) -> UnreadableAnswerError:
    return UnreadableAnswerError(
        f"{answer.method} {answer.url} was answered with {what}: {answer.text[:200]!r};"
        " is the URL that of a ThreatConnect API?",
        status=answer.status,
        method=answer.method,
        url=answer.url,
        body=answer.text[:1000],
    )
