"""The HTTP face put together: every endpoint, and what stands around all of them."""

from __future__ import annotations

import logging
import re
from email.utils import formatdate
from typing import TYPE_CHECKING

from aiohttp import web

from aiotcbatch.sandbox.face import answers
from aiotcbatch.sandbox.face.batch import BatchFace
from aiotcbatch.sandbox.face.contents import ContentsFace
from aiotcbatch.sandbox.face.reading import ReadingFace
from aiotcbatch.sandbox.face.routing import guarded
from aiotcbatch.sandbox.face.tokens import TokensFace
from aiotcbatch.sandbox.face.types import TypesFace
from aiotcbatch.sandbox.page import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiohttp.typedefs import Handler, Middleware

    from aiotcbatch.sandbox.face.routing import Endpoint
    from aiotcbatch.sandbox.instance import Instance

__all__ = ["build", "endpoints"]

_log = logging.getLogger("aiotcbatch.sandbox")


def endpoints(instance: Instance) -> list[Endpoint]:
    """Return everything that the API can be asked, what is more special first."""
    return [
        *BatchFace(instance).endpoints(),
        *ContentsFace(instance).endpoints(),
        *TypesFace(instance).endpoints(),
        *ReadingFace(instance).endpoints(),
        *TokensFace(instance).endpoints(),
    ]


def build(
    instance: Instance,
    *,
    middlewares: Iterable[Middleware] = (),
    routes: Iterable[web.AbstractRouteDef] = (),
) -> web.Application:
    """
    Make the aiohttp application.

    Args:
        instance: The sandbox that it speaks for.
        middlewares: What sees each request before anything else, the outermost first.
        routes: What is served beside the API and the page; without a check of who asks.

    Returns:
        The application.
    """
    app = web.Application(
        middlewares=[*middlewares, _frame(instance)], client_max_size=_LARGEST_QUERY
    )
    for endpoint in endpoints(instance):
        app.router.add_route(
            endpoint.method,
            f"/api{_SEGMENT.sub(_ANY_TEXT, endpoint.path)}",
            guarded(instance, endpoint),
        )
    app.router.add_get("/api/appAuth", TokensFace(instance).renew)
    app.router.add_routes(routes)
    Page(instance).attach(app)
    return app


def _frame(instance: Instance) -> Middleware:
    """Make what every answer passes through: latency, and the API's form for refusals."""

    @web.middleware
    async def frame(request: web.Request, handler: Handler) -> web.StreamResponse:
        latency = instance.settings.latency
        if latency and request.path.startswith("/api"):
            await instance.clock.sleep(latency)
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            answer = _refusal(request, error)
        except ConnectionError:  # the client is gone in the middle of its request
            answer = answers.failure(400, "The request was not properly formed")
        except Exception:
            if not request.path.startswith("/api"):
                raise
            _log.exception("%s %s failed inside the sandbox", request.method, request.path)
            answer = _form(request)(500, "An unknown error occurred")
        if not answer.prepared:
            if "Date" not in answer.headers:
                now = await instance.moment("request")
                answer.headers["Date"] = formatdate(now, usegmt=True)
            answer.headers.setdefault("Server", "aiotcbatch-sandbox")
        return answer

    return frame


def _form(request: web.Request) -> Callable[[int, str], web.Response]:
    """Return what says no in the form of the API that was asked."""
    return answers.v3_failure if request.path.startswith("/api/v3") else answers.failure


def _refusal(request: web.Request, error: web.HTTPException) -> web.Response:
    """Say no as the API does; what is not the API's, but the page's, is left to the page."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return _wrong_method(request, sorted(error.allowed_methods))
    if not request.path.startswith("/api"):
        raise error
    return _form(request)(error.status, _SAID.get(error.status, error.reason))


def _wrong_method(request: web.Request, allowed: list[str]) -> web.Response:
    """Say which methods a path takes, and where the API is if it was asked beside it."""
    accepted = ", ".join(allowed)
    said = f"Method Not Allowed: {request.method} {request.path}, which takes {accepted}"
    if not request.path.startswith("/api"):
        said += "; the API is under /api"
    answer = _form(request)(405, said)
    answer.headers["Allow"] = accepted
    return answer


#: A segment of a path may be any text; by itself aiohttp takes none with braces.
_SEGMENT = re.compile(r"\{(\w+)\}")
_ANY_TEXT = r"{\1:[^/]+}"
#: The longest body that is read as a whole; documents and files are taken in as they come.
_LARGEST_QUERY = 1 << 20
_SAID = {404: "The requested resource was not found"}
