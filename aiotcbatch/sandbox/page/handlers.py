"""The page over HTTP: who may look, with which headers, and what is sent."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio.to_thread
from aiohttp import web

from aiotcbatch.sandbox.face.routing import number_in
from aiotcbatch.sandbox.page.live import Live
from aiotcbatch.sandbox.page.views import Asked, Shown, Views
from aiotcbatch.sandbox.store import browsing, contents, jobs

if TYPE_CHECKING:
    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.page.rendering import Renderer

__all__ = ["Page"]

View = Callable[[Asked], Awaitable[Shown]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Nothing but the sandbox's own style sheet, script and pictures is ever loaded or run.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_FOREVER = {**_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
#: What comes from clients is saved, never opened in place.
_SAVED = {**_HEADERS, "Content-Security-Policy": "default-src 'none'; sandbox"}

_UNKNOWN_HOST = (
    "This page is for browsers that come by an address or by localhost, so that no web site can"
    " read it by pointing its own name to this machine.\n"
)
_MISSING = (
    "The API is here, at /api. A page to look at what it holds is here too when Jinja2 is"
    " installed:\n\n    pip install 'aiotcbatch[sandbox]'\n"
)


class Page:
    """
    Answers browsers.

    Args:
        instance: The sandbox that is shown.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._views = Views(instance)
        self._live = Live(instance, secrets.token_hex(4))
        self._renderer: Renderer | None = None

    def attach(self, app: web.Application) -> None:
        """Add its routes to an application, and its end to the application's."""
        views = self._views
        add = app.router.add_get
        for path, view in (
            ("/", views.overview),
            ("/jobs", views.jobs),
            (r"/jobs/{id:\d+}", views.job),
            ("/groups", views.entities),
            ("/indicators", views.entities),
            ("/search", views.entities),
            (r"/entities/{id:\d+}", views.entity),
            ("/files", views.files),
        ):
            add(path, self._guarded(self._showing(view)))
        add(r"/files/{id:\d+}", self._guarded(self._file))
        add(r"/jobs/{id:\d+}/document", self._guarded(self._document))
        add("/live", self._guarded(self._live.handle))
        add("/assets/{name}", self._guarded(self._asset))
        add(r"/{rest:(?!api(?:/|$)).+}", self._guarded(self._nothing))
        app.on_shutdown.append(self._live.close)

    def _guarded(self, handler: Handler) -> Handler:
        """Let in only browsers that mean this machine."""

        async def handle(request: web.Request) -> web.StreamResponse:
            if _is_loopback(request.remote or "") and not _names_this_machine(request.url.host):
                return web.Response(status=403, text=_UNKNOWN_HOST, headers=_HEADERS)
            try:
                return await handler(request)
            except web.HTTPNotFound:
                return await self._answer(request, Shown("missing.html", {}), 404)

        return handle

    def _showing(self, view: View) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, await view(_asked(request)))

        return handle

    async def _answer(
        self, request: web.Request, shown: Shown, status: int = 200
    ) -> web.StreamResponse:
        renderer = await self._rendering()
        if renderer is None:
            return web.Response(status=501, text=_MISSING, headers=_HEADERS)
        asked = _asked(request)
        values = {**self._views.frame(asked), "mark": self._live.mark, **shown.values}
        body = await anyio.to_thread.run_sync(renderer.page, shown.template, values)
        return web.Response(
            status=status, body=body, content_type="text/html", charset="utf-8", headers=_HEADERS
        )

    async def _rendering(self) -> Renderer | None:
        """Read the templates when someone looks for the first time; None without the engine."""
        if self._renderer is None:
            self._renderer = await anyio.to_thread.run_sync(_renderer)
        return self._renderer

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        renderer = await self._rendering()
        asset = None if renderer is None else renderer.assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        headers = _FOREVER if request.query_string == asset.tag else _HEADERS
        return web.Response(
            body=asset.body, headers={**headers, "Content-Type": asset.content_type}
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """Send the file of a group, to be saved."""
        database = self._instance.store.database
        entity_id = number_in(request.match_info["id"]) or 0
        row = await database.run(browsing.file_of, entity_id)
        if row is None:
            raise web.HTTPNotFound
        body, file = await database.run(contents.get, entity_id)
        return self._save(row.file_name or f"{row.type} {entity_id}", body, file)

    async def _document(self, request: web.Request) -> web.StreamResponse:
        """Send the document of a job as it came, to be saved."""
        job_id = number_in(request.match_info["id"]) or 0
        body, file = await self._instance.store.database.run(jobs.body, job_id)
        return self._save(f"batch-{job_id}.json", body, file)

    def _save(self, name: str, body: bytes | None, file: str | None) -> web.StreamResponse:
        headers = {
            **_SAVED,
            "Content-Type": "application/octet-stream",
            "Content-Disposition": _disposition(name),
        }
        if file is not None:
            return web.FileResponse(self._instance.store.spool.path(file), headers=headers)
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=body, headers=headers)

    async def _nothing(self, _: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound


def _renderer() -> Renderer | None:
    try:
        from aiotcbatch.sandbox.page.rendering import renderer  # noqa: PLC0415  (optional)
    except ModuleNotFoundError as error:
        if error.name not in {"jinja2", "markupsafe"}:
            raise
        return None
    return renderer()


def _asked(request: web.Request) -> Asked:
    query = {
        name: value.encode("utf-8", "replace").decode() for name, value in request.query.items()
    }
    return Asked(
        path=request.path,
        query=query,
        id=number_in(request.match_info.get("id", "")),
        api_url=f"{request.scheme}://{request.host}/api",
        local=_is_loopback(request.remote or ""),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _names_this_machine(host: str | None) -> bool:
    """Tell whether a host is an address or localhost, which no web site can make its own."""
    name = (host or "").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _disposition(name: str) -> str:
    """Return the header that has a browser save a file, under a name that is no path."""
    kept = "".join("_" if c in '/\\:*?"<>|' or not c.isprintable() else c for c in name)
    kept = kept.lstrip(".")[:150] or "file"
    return f"attachment; filename*=UTF-8''{quote(kept, safe='')}"
