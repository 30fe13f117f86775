"""Tokens: how Apps get and renew them. Source: App runtimes of TcEx and the Java SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.sandbox.access import LIFETIME
from aiotcbatch.sandbox.face import answers
from aiotcbatch.sandbox.face.routing import Endpoint

if TYPE_CHECKING:
    from aiohttp import web

    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.settings import User

__all__ = ["TOKEN_PATH", "TokensFace"]

#: What stands in ``TC_TOKEN_URL``; the kind of token follows it.
TOKEN_PATH = "/internal/token/"  # noqa: S105  (a path)


class TokensFace:
    """
    Issues and renews tokens.

    Args:
        instance: The sandbox.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def endpoints(self) -> list[Endpoint]:
        """Return what it answers."""
        return [Endpoint("token", "POST", f"{TOKEN_PATH}{{kind}}", self.issue)]

    async def issue(self, _: web.Request, user: User) -> web.Response:
        """Give a signed request's user a token."""
        now = await self._instance.moment("token")
        return answers.json({"data": self._instance.gate.issue(user, now)})

    async def renew(self, request: web.Request) -> web.Response:
        """Give a new token for an expired one; the expired one is all the credentials there are."""
        gate, now = self._instance.gate, await self._instance.moment("token")
        token = gate.renew(request.query.get("expiredToken", ""), now)
        if token is None:
            return answers.json({"success": False, "message": "Unauthorized"}, 401)
        return answers.json(
            {"success": True, "apiToken": token, "apiTokenExpires": int(now + LIFETIME)}
        )
