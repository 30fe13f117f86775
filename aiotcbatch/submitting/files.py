"""Files: the contents of documents and reports on their way to their groups."""

from __future__ import annotations

from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING

import anyio

from aiotcbatch.entities.contents import LostContent
from aiotcbatch.errors import (
    AiotcbatchError,
    ConfigurationError,
    FileUploadError,
    NotFoundError,
    ValidationError,
)
from aiotcbatch.events import FileFailed, FileUploaded
from aiotcbatch.results.status import UploadResult
from aiotcbatch.submitting.producers import opened, produce
from aiotcbatch.transport.answers import unreadable
from aiotcbatch.transport.settings import quote_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from aiotcbatch.entities.contents import FileContent, FileItem
    from aiotcbatch.transport.answers import Answer
    from aiotcbatch.transport.body import Body
    from aiotcbatch.transport.http import Transport

__all__ = ["upload_files"]

#: Source: v2 API, file content of documents and reports.
_STORED = "success"
_BRANCHES = {"Document": "documents", "Report": "reports"}


async def upload_files(
    transport: Transport,
    items: Iterable[FileItem],
    *,
    owner: str,
    batch_id: int | None = None,
    concurrency: int = 8,
    halt_on_error: bool = False,
    on_result: Callable[[UploadResult], None] | None = None,
    absent_halts: bool = True,
) -> list[UploadResult]:
    """
    Upload contents to groups that are on the server.

    At most `concurrency` contents are open at once, each with one block of 256 KiB in memory,
    however large the files are and however many there are; see `producers.opened` for contents
    that can be read only once.

    Source: v2 Batch API, file content of documents and reports. A first upload is a POST; where
    the server answers 401, as it does when there is a content, it is repeated as a PUT. Where
    that is answered 401 as well, it was about the credentials.

    Args:
        transport: Where to send.
        items: What to send; an iterator is asked for the next one when there is room for it.
        owner: The owner of the groups.
        batch_id: The job of the groups, for events.
        concurrency: Contents that are open at once at most.
        halt_on_error: Whether the first failure ends everything. A content that is None is not a
            failure.
        on_result: Called with each result when it is there.
        absent_halts: Whether a group that is not on the server is a failure that ends everything;
            False where groups were refused before.

    Returns:
        One result for each item, in their order.

    Raises:
        FileUploadError: When an upload fails and `halt_on_error` is True. Uploads that are under
            way are cancelled; their results are not given.
        ConfigurationError: When `concurrency` is less than 1.
    """
    if concurrency < 1:
        raise ConfigurationError("file_concurrency", concurrency, "a number from 1 on")
    uploads = _Uploads(
        transport,
        iter(items),
        owner,
        batch_id,
        concurrency,
        on_result,
        halt=halt_on_error,
        absent_halts=absent_halts,
    )
    return await uploads.run(concurrency)


class _Uploads:
    """Workers that take one item after the other."""

    def __init__(
        self,
        transport: Transport,
        items: Iterator[FileItem],
        owner: str,
        batch_id: int | None,
        concurrency: int,
        on_result: Callable[[UploadResult], None] | None,
        *,
        halt: bool,
        absent_halts: bool,
    ) -> None:
        self._transport = transport
        self._items = enumerate(items)
        self._owner = owner
        self._batch_id = batch_id
        self._on_result = on_result
        self._halt = halt
        self._absent_halts = absent_halts
        self._threads = anyio.CapacityLimiter(concurrency)
        self._results: dict[int, UploadResult] = {}

    async def run(self, concurrency: int) -> list[UploadResult]:
        """
        Upload everything; raise what a worker raises as it is, not in a group.

        But not what ends the process, such as Ctrl-C: out of its group it would break the loop off
        once more where that is being closed, and the worker threads would never be told to end.
        """
        first = list(islice(self._items, concurrency))
        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as workers:
                for taken in first:
                    workers.start_soon(self._work, *taken)
        except ExceptionGroup as group:
            failure = group.exceptions[0]
        if failure is not None:
            raise failure
        return [self._results[index] for index in sorted(self._results)]

    async def _work(self, index: int, item: FileItem) -> None:
        taken: tuple[int, FileItem] | None = (index, item)
        while taken is not None:
            index, item = taken
            result = self._results[index] = await self._upload(item)
            if self._on_result is not None:
                self._on_result(result)
            taken = next(self._items, None)

    async def _upload(self, item: FileItem) -> UploadResult:
        began = anyio.current_time()
        try:
            content, made = await produce(item.content, item.xid, self._threads)
            if content is None:
                self._tell_failed(item, "NoContent", began)
                return _result(item, error=_why_none(item.content))
            async with opened(content, self._threads, owned=made) as body:
                await self._send(item, body)
                self._tell_uploaded(item, body.size, began)
                return _result(item, size=body.size)
        except Exception as error:  # a user's callable or stream may raise anything
            self._tell_failed(item, type(error).__name__, began)
            said = _said(error)
            if isinstance(error, NotFoundError) and not self._absent_halts:
                return _result(item, error=f"the group is not on the server: {said}")
            if self._halt:
                message = f"the file of {item.type} {item.xid!r} is not uploaded: {said}"
                raise FileUploadError(message, xid=item.xid) from error
            return _result(item, error=said)

    def _tell_uploaded(self, item: FileItem, size: int | None, began: float) -> None:
        self._transport.events.tell(
            FileUploaded(
                xid=item.xid,
                group_type=item.type,
                batch_id=self._batch_id,
                size=size or 0,
                seconds=anyio.current_time() - began,
            )
        )

    def _tell_failed(self, item: FileItem, error: str, began: float) -> None:
        self._transport.events.tell(
            FileFailed(
                xid=item.xid,
                group_type=item.type,
                batch_id=self._batch_id,
                error=error,
                seconds=anyio.current_time() - began,
            )
        )

    async def _send(self, item: FileItem, body: Body) -> None:
        branch = _BRANCHES.get(item.type)
        if branch is None:
            raise ValidationError("type", item.type, " or ".join(_BRANCHES), about=item.xid)
        path = f"/v2/groups/{branch}/{quote_segment(item.xid)}/upload"
        if await self._request("POST", path, body, accept=(HTTPStatus.UNAUTHORIZED,)):
            return
        try:
            await self._request("PUT", path, body)
        except NotFoundError:
            # There is nothing to replace, so the first answer was about the credentials.
            await self._request("POST", path, body)

    async def _request(
        self, method: str, path: str, body: Body, accept: Collection[int] = ()
    ) -> bool:
        answer = await self._transport.request(
            method,
            path,
            query={"owner": self._owner, "updateIfExists": "true"},
            body=body,
            content_type="application/octet-stream",
            # The same content twice is the same content.
            repeatable=True,
            accept=accept,
            check=_check_stored,
        )
        return answer.ok


def _check_stored(answer: Answer) -> None:
    """Refuse an answer to an upload that is not the server's yes, though it is 2xx."""
    if not answer.body:
        return
    data = answer.json()
    said = data.get("status") if isinstance(data, dict) else None
    if not isinstance(said, str) or said.lower() != _STORED:
        raise unreadable(answer, f"the answer is neither a yes nor a no: {answer.text[:200]!r}")


def _why_none(content: FileContent | None) -> str:
    if isinstance(content, LostContent):
        return str(content)
    return "there is no content" if content is None else "its callable returned None"


def _said(error: Exception) -> str:
    if isinstance(error, AiotcbatchError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _result(item: FileItem, *, error: str | None = None, size: int | None = 0) -> UploadResult:
    return UploadResult(uploaded=error is None, xid=item.xid, error=error, bytes=size or 0)
