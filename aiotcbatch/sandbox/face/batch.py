"""The batch endpoints. Source: v2 Batch API."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import orjson
from aiohttp import BodyPartReader, web

from aiotcbatch.sandbox.engine import config as job_config
from aiotcbatch.sandbox.engine import document
from aiotcbatch.sandbox.face import answers
from aiotcbatch.sandbox.face.answers import RefusalError
from aiotcbatch.sandbox.face.routing import Endpoint, number_in, segment
from aiotcbatch.sandbox.store import jobs
from aiotcbatch.sandbox.store.jobs import State
from aiotcbatch.sandbox.store.spool import TooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiotcbatch.sandbox.engine.config import Config
    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.settings import User
    from aiotcbatch.sandbox.store.jobs import Job, JobError
    from aiotcbatch.sandbox.store.spool import Received

__all__ = ["BatchFace"]

_LARGEST_CONFIG = 1 << 20
_FORBIDDEN = (
    "Unable to perform the requested operation due to the following error(s): You do not have"
    " permission to create Indicators; Groups; Attributes; Tags; Security Labels;"
)
_DISABLED = (
    "Batch job api is not available.  Ensure that batchJobEnabled is true and document storage is"
    " enabled and configured;"
)
_SEVERITIES = {
    "err": "Error",
    "error": "Error",
    "warn": "Warning",
    "warning": "Warning",
    "info": "Info",
}


class BatchFace:
    """
    Takes jobs and tells how they are.

    Args:
        instance: The sandbox.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def endpoints(self) -> list[Endpoint]:
        """Return what it answers."""
        return [
            Endpoint("create", "POST", "/v2/batch", self.create),
            Endpoint(
                "create_and_upload", "POST", "/v2/batch/createAndUpload", self.create_and_upload
            ),
            Endpoint("upload", "POST", "/v2/batch/{id}", self.upload),
            Endpoint("status", "GET", "/v2/batch/{id}", self.status),
            Endpoint("errors", "GET", "/v2/batch/{id}/errors", self.errors),
            Endpoint("results", "GET", "/v2/batch/{id}/results", self.results),
        ]

    async def create(self, request: web.Request, user: User) -> web.Response:
        """Make a job; nothing is processed before its data comes."""
        try:
            body = await self._instance.store.spool.receive(
                request.content.iter_any(), _LARGEST_CONFIG
            )
        except TooLargeError:
            return answers.invalid("The request was not properly formed")
        value, config = self._config(body.body or b"", user)
        job = await self._new(config.owner, value)
        return answers.success({"batchId": job.id}, 201)

    async def upload(self, request: web.Request, user: User) -> web.Response:
        """Take the data of a job and queue it."""
        self._check(user)
        answers.require_bytes(request)
        job = await self._find(request, user)
        if job.state is not State.CREATED:
            return answers.invalid("The data of this batch job was uploaded already")
        limit = self._instance.settings.upload_limit
        try:
            body = await self._instance.store.spool.receive(request.content.iter_any(), limit)
        except TooLargeError:
            return _too_large(limit)
        if not await self._attach(job, body):
            return answers.invalid("The data of this batch job was uploaded already")
        self._instance.worker.enqueue(job.id)
        return answers.json(_envelope({"id": job.id, "status": "Queued"}), 202)

    async def create_and_upload(self, request: web.Request, user: User) -> web.Response:
        """Make a job with its data, and answer with the result if it is a small one."""
        limit = self._instance.settings.upload_limit
        try:
            parts = await self._parts(request, limit)
        except TooLargeError:
            return _too_large(limit)
        except (ValueError, AssertionError, KeyError):  # the last one without a content type
            return answers.invalid("The request was not properly formed")
        if "config" not in parts or "content" not in parts:
            return answers.invalid("The parts config and content are required")
        body = parts["content"]
        try:
            value, config = self._config(parts["config"].body or b"", user)
        except answers.RefusalError:
            await self._drop(body)
            raise
        job = await self._new(config.owner, value)
        inline = self._is_small(body, config)
        await self._attach(job, body, inline=inline)
        if not inline:
            self._instance.worker.enqueue(job.id)
            return answers.json(_envelope({"id": job.id, "status": "Queued"}), 202)
        await self._instance.worker.process(job.id)
        if job.state is not State.COMPLETED:  # it is stuck, so there is no result to answer with
            job.inline = False
            await self._instance.store.database.run(jobs.save, job)
            return answers.json(_envelope({"id": job.id, "status": "Queued"}), 202)
        state = _state(job, additional=_additional(request))
        del state["id"]
        if self._instance.settings.inline_errors:
            found = await self._instance.store.database.run(jobs.errors, job.id)
            state["errors"] = [_old_form(error) for error in found]
        return answers.json(_envelope(state))

    async def status(self, request: web.Request, user: User) -> web.Response:
        """Tell where a job is."""
        job = await self._find(request, user)
        return answers.json(_envelope(_state(job, additional=_additional(request))))

    async def errors(self, request: web.Request, user: User) -> web.Response:
        """Give what went wrong, in the older form."""
        found = await self._errors(request, user)
        return _file([_old_form(error) for error in found])

    async def results(self, request: web.Request, user: User) -> web.Response:
        """Give what went wrong, in the newer form, and only what was asked for."""
        found = await self._errors(request, user)
        query = request.query
        code, text = query.get("code"), query.get("contains")
        severity = query.get("severity")
        if severity is not None:
            severity = _SEVERITIES.get(severity.lower(), severity)
        kept = [
            _new_form(error)
            for error in found
            if (code is None or error.code.lower() == code.lower())
            and (severity is None or error.severity == severity)
            and (text is None or text in error.reason or text in error.message)
        ]
        if not kept:
            return answers.missing()
        return _file(kept)

    async def _errors(self, request: web.Request, user: User) -> list[JobError]:
        job = await self._find(request, user)
        if job.state is not State.COMPLETED:
            raise RefusalError(answers.invalid(f"Batch still in {job.state} state"))
        found = await self._instance.store.database.run(jobs.errors, job.id)
        if not found:
            raise RefusalError(answers.missing())
        return found

    def _check(self, user: User) -> None:
        """Refuse whoever may not have jobs."""
        if not self._instance.settings.batch_enabled:
            raise RefusalError(answers.plain(503, _DISABLED))
        if not user.may_write:
            raise RefusalError(answers.plain(401, _FORBIDDEN))

    def _config(self, body: bytes, user: User) -> tuple[dict[str, Any], Config]:
        """Read a configuration, and refuse it if the user may not have such a job."""
        self._check(user)
        try:
            value = orjson.loads(body)
            config = job_config.read(value)
        except orjson.JSONDecodeError:
            raise RefusalError(answers.invalid("The request was not properly formed")) from None
        except job_config.ConfigError as error:
            raise RefusalError(answers.invalid(str(error))) from None
        if config.owner not in self._instance.store.owners:
            raise RefusalError(answers.failure(403, "The requested owner was not found"))
        if not user.sees(config.owner):
            raise RefusalError(answers.failure(403, "Access Denied"))
        return value, config

    async def _new(self, owner: str, value: dict[str, Any]) -> Job:
        instance = self._instance
        now = await instance.moment("created")
        job = await instance.store.database.run(jobs.create, owner, value, now)
        instance.worker.remember(job)
        return job

    async def _attach(self, job: Job, body: Received, *, inline: bool = False) -> bool:
        now = await self._instance.moment("queued")
        done = await self._instance.store.database.run(
            jobs.attach, job.id, body, now, inline=inline
        )
        if not done:
            await self._drop(body)
            return False
        job.state, job.queued, job.inline = State.QUEUED, now, inline
        job.body_size = body.size
        return True

    def _is_small(self, body: Received, config: Config) -> bool:
        """Tell whether a document is processed while its sender waits."""
        limit = self._instance.settings.synchronous_limit
        return body.body is not None and document.count(body.body, limit, config.version) < limit

    async def _parts(self, request: web.Request, limit: int) -> dict[str, Received]:
        """Take in the parts of a form, with or without file names and content types."""
        spool = self._instance.store.spool
        parts: dict[str, Received] = {}
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader) and part.name is not None:
                parts[part.name] = await spool.receive(_pieces(part), limit)
        return parts

    async def _drop(self, body: Received) -> None:
        if body.file is not None:
            await anyio.to_thread.run_sync(self._instance.store.spool.remove, body.file)

    async def _find(self, request: web.Request, user: User) -> Job:
        job_id = number_in(segment(request, 2))
        job = None
        if job_id is not None:
            job = self._instance.worker.recall(job_id)
            job = job or await self._instance.store.database.run(jobs.get, job_id)
        if job is None or not user.sees(job.owner):
            raise RefusalError(answers.missing())
        return job


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk(1 << 16):
        yield piece


def _too_large(limit: int) -> web.Response:
    return answers.invalid(f"File size greater than allowable limit of {limit}")


def _additional(request: web.Request) -> bool:
    return request.query.get("includeAdditional", "").lower() == "true"


def _envelope(state: dict[str, Any]) -> dict[str, Any]:
    return {"status": "Success", "data": {"batchStatus": state}}


def _state(job: Job, *, additional: bool) -> dict[str, Any]:
    """Return the status object, with the counts that belong to the job's state."""
    state: dict[str, Any] = {"id": job.id, "status": job.state.value}
    counts = job.counts
    if job.state is State.COMPLETED or additional:
        state["errorCount"] = counts.error
        state["successCount"] = counts.success
        state["unprocessCount"] = counts.unprocessed
    if additional:
        state["successIndicatorCount"] = counts.success_indicators
        state["errorIndicatorCount"] = counts.error_indicators
        state["successGroupCount"] = counts.success_groups
        state["errorGroupCount"] = counts.error_groups
        state["successAssociationCount"] = counts.success_associations
        state["errorAssociationCount"] = counts.error_associations
    return state


def _old_form(error: JobError) -> dict[str, Any]:
    reason = error.reason if error.section else error.message
    return {"errorReason": reason, "errorSource": error.source}


def _new_form(error: JobError) -> dict[str, Any]:
    return {
        "code": error.code,
        "severity": error.severity,
        "errorReason": error.reason,
        "errorMessage": error.message,
    }


def _file(errors: list[dict[str, Any]]) -> web.Response:
    """Answer as the API does: compressed, and not called JSON."""
    return web.Response(
        body=gzip.compress(orjson.dumps(errors), compresslevel=1, mtime=0),
        headers={
            "Content-Type": "application/octet-stream ; boundary=",
            "Content-Encoding": "gzip",
        },
    )
