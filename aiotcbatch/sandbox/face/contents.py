"""Files of Documents and Reports, in and out. Source: v2 groups, upload and download; v3 twins."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from aiohttp import web

from aiotcbatch.sandbox.face import answers
from aiotcbatch.sandbox.face.answers import RefusalError
from aiotcbatch.sandbox.face.routing import Endpoint, number_in, segment
from aiotcbatch.sandbox.store import contents
from aiotcbatch.sandbox.store.spool import TooLargeError

if TYPE_CHECKING:
    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.settings import User
    from aiotcbatch.sandbox.store.contents import Place
    from aiotcbatch.sandbox.store.spool import Received

__all__ = ["ContentsFace"]

_BRANCHES = {"documents": "Document", "reports": "Report", "signatures": "Signature"}
_FULL = "There is insufficient document storage allocated to this account."
_PIECE = 1 << 18
_UNPROTECTED = "Malware must be uploaded as a password-protected zip file"
#: A zip whose first entry is encrypted has bit 0 of its flags set, at byte 6.
_ZIP = b"PK\x03\x04"


class ContentsFace:
    """
    Takes and gives the contents of Documents and Reports.

    Args:
        instance: The sandbox.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def endpoints(self) -> list[Endpoint]:
        """Return what it answers."""
        found = []
        for branch in ("documents", "reports"):
            path = f"/v2/groups/{branch}/{{ref}}/upload"
            found.append(Endpoint("file_upload", "POST", path, self.upload_v2))
            found.append(Endpoint("file_upload", "PUT", path, self.upload_v2))
        for branch in _BRANCHES:
            path = f"/v2/groups/{branch}/{{ref}}/download"
            found.append(Endpoint("file_download", "GET", path, self.download_v2))
        path = "/v3/groups/{ref}/upload"
        found.append(Endpoint("file_upload", "POST", path, self.upload_v3))
        found.append(Endpoint("file_upload", "PUT", path, self.upload_v3))
        found.append(
            Endpoint("file_download", "GET", "/v3/groups/{ref}/download", self.download_v3)
        )
        return found

    async def upload_v2(self, request: web.Request, user: User) -> web.Response:
        """Take a file; a POST does not replace one that is there."""
        kind = _BRANCHES[segment(request, 2)]
        return await self._upload(request, user, segment(request, 3), kind)

    async def upload_v3(self, request: web.Request, user: User) -> web.Response:
        """Take a file for a group of any type that has files."""
        answer = await self._upload(request, user, segment(request, 2), None)
        if answer.status == web.HTTPOk.status_code:
            return answers.json({"status": "Success", "message": "Upload successful"})
        return answer

    async def download_v2(self, request: web.Request, user: User) -> web.StreamResponse:
        """Give a file, or the text of a Signature."""
        kind = _BRANCHES[segment(request, 2)]
        return await self._download(request, user, segment(request, 3), kind)

    async def download_v3(self, request: web.Request, user: User) -> web.StreamResponse:
        """Give the file of a group of any type."""
        return await self._download(request, user, segment(request, 2), None)

    async def _upload(
        self, request: web.Request, user: User, ref: str, kind: str | None
    ) -> web.Response:
        if not user.may_write:
            raise RefusalError(answers.failure(401, "Access Denied"))
        answers.require_bytes(request)
        place = await self._find(request, user, ref, kind)
        settings, store = self._instance.settings, self._instance.store
        replace = request.method == "PUT" or (
            request.query.get("updateIfExists", "").lower() == "true"
        )
        if place.size is not None and not replace:
            await _discard(request)
            return answers.failure(401, "The file already exists")
        body = await self._receive(request, place)
        now = await self._instance.moment("stored")
        old = await store.database.run(
            contents.put,
            place,
            body,
            now,
            settings.storage_limit,
            request.query.get("filename"),
        )
        if old is False:
            await self._drop(body.file)
            return answers.failure(400, _FULL)
        if isinstance(old, str):
            await self._drop(old)
        return answers.json({"status": "Success"})

    async def _receive(self, request: web.Request, place: Place) -> Received:
        """Take in a file, and refuse it if it is not one for this group."""
        limit = self._instance.settings.file_limit
        try:
            body = await self._instance.store.spool.receive(request.content.iter_any(), limit)
        except TooLargeError:
            text = f"File size greater than allowable limit of {limit}"
            raise RefusalError(answers.failure(400, text)) from None
        if place.malware and not await self._is_protected(body):
            await self._drop(body.file)
            raise RefusalError(answers.failure(400, _UNPROTECTED))
        return body

    async def _download(
        self, request: web.Request, user: User, ref: str, kind: str | None
    ) -> web.StreamResponse:
        place = await self._find(request, user, ref, kind)
        if place.type == "Signature":
            return web.Response(text=place.text or "")
        body, file = await self._instance.store.database.run(contents.get, place.id)
        headers = {"Content-Type": "application/octet-stream"}
        if file is not None:
            return await self._stream(request, place, file)
        if body is None:
            return answers.missing()
        return web.Response(body=body, headers=headers)

    async def _stream(self, request: web.Request, place: Place, file: str) -> web.StreamResponse:
        """Give a large file piece by piece, each read in a worker thread."""
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = place.size
        now = await self._instance.moment("sent")
        response.headers["Date"] = formatdate(now, usegmt=True)
        await response.prepare(request)
        path = self._instance.store.spool.path(file)
        async with await anyio.open_file(path, "rb") as source:
            while piece := await source.read(_PIECE):
                await response.write(piece)
        return response

    async def _find(self, request: web.Request, user: User, ref: str, kind: str | None) -> Place:
        """Find the group by xid in the owner that is named, or by its id."""
        owner = request.query.get("owner")
        owners = self._instance.store.owners
        if owner is not None and (owner not in owners or not user.sees(owner)):
            raise RefusalError(answers.failure(403, "The requested owner was not found"))
        seen = [number for name, (number, _) in owners.items() if user.sees(name)]
        place = await self._instance.store.database.run(
            contents.find,
            None if owner is None else owners[owner][0],
            ref,
            number_in(ref),
            kind,
            seen,
        )
        if place is None:
            raise RefusalError(answers.missing())
        return place

    async def _is_protected(self, body: Received) -> bool:
        """Tell whether a file is a zip whose first entry is encrypted, by its header."""
        head = body.body
        if head is None and body.file is not None:
            path = self._instance.store.spool.path(body.file)
            head = await anyio.to_thread.run_sync(_head, path)
        return head is not None and head[:4] == _ZIP and len(head) > 6 and bool(head[6] & 1)  # noqa: PLR2004

    async def _drop(self, file: str | None) -> None:
        if file is not None:
            await anyio.to_thread.run_sync(self._instance.store.spool.remove, file)


def _head(path: object) -> bytes:
    with open(str(path), "rb") as file:  # noqa: PTH123  (a path of the spool)
        return file.read(16)


async def _discard(request: web.Request) -> None:
    """Read a body that is not wanted, so that its sender gets to read the answer."""
    async for _ in request.content.iter_any():
        pass
