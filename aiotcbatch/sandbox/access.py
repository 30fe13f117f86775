"""Who may come in: signatures, tokens and roles. Source: v2 and v3 API, authentication."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiotcbatch.sandbox.settings import User

__all__ = ["LIFETIME", "DeniedError", "Gate", "signature"]

#: Seconds for which a token is good that was issued or renewed.
LIFETIME = 4 * 3600


class DeniedError(Exception):
    """The credentials are not good; the text is what the server says."""


def signature(secret_key: str, target: str, method: str, timestamp: str) -> str:
    """
    Compute what the HMAC scheme expects.

    Args:
        secret_key: The user's key.
        target: Path and query exactly as they stand on the request line.
        method: The HTTP method.
        timestamp: The Timestamp header.

    Returns:
        The signature in base 64.
    """
    message = f"{target}:{method.upper()}:{timestamp}"
    digest = hmac.digest(secret_key.encode(), message.encode("utf-8", "surrogateescape"), "sha256")
    return base64.b64encode(digest).decode()


class Gate:
    """
    Knows the users and checks what they present.

    Args:
        users: Who may come in.
    """

    def __init__(self, users: Iterable[User]) -> None:
        self._by_id: dict[str, User] = {}
        #: Whose each token is, and until when it is good.
        self._by_token: dict[str, tuple[User, float]] = {}
        self._expired: dict[str, User] = {}
        self._issued = 0
        for user in users:
            self.add(user)

    @property
    def users(self) -> tuple[User, ...]:
        """All who may come in."""
        return tuple(self._by_id.values())

    def restrict(self, users: Iterable[User]) -> None:
        """Let in these users and nobody else, with the tokens that they began with."""
        self._by_id.clear()
        self._by_token.clear()
        self._expired.clear()
        self._issued = 0
        for user in users:
            self.add(user)

    def add(self, user: User) -> None:
        """Let another user in; one of the same access id is replaced."""
        self._by_id[user.access_id] = user
        if user.token:
            self._by_token[user.token] = (user, math.inf)

    def revoke(self, token: str) -> bool:
        """Make a token expire; it can still be renewed."""
        held = self._by_token.pop(token, None)
        if held is not None:
            self._expired[token] = held[0]
        return held is not None

    def renew(self, token: str, now: float) -> str | None:
        """Give a new token for an old one, None if it never was one."""
        user = self._expired.pop(token, None) or self.holder(token)
        if user is None:
            return None
        self._by_token.pop(token, None)
        return self.issue(user, now)

    def issue(self, user: User, now: float) -> str:
        """
        Make a new token for a user, good for `LIFETIME`.

        It is the same in every run with the same clock.
        """
        self._issued += 1
        seed = f"{user.access_id}:{user.secret_key}:{self._issued}:{int(now)}"
        digest = base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()
        token = f"APIV2:{self._issued}:{int(now * 1000)}:{digest}"
        self._by_token[token] = (user, now + LIFETIME)
        return token

    def holder(self, token: str) -> User | None:
        """Return whose token it is."""
        held = self._by_token.get(token)
        return None if held is None else held[0]

    def check(
        self,
        authorization: str | None,
        timestamp: str | None,
        target: str,
        method: str,
        now: float,
        window: float,
    ) -> User:
        """
        Find out who sent a request.

        Args:
            authorization: The Authorization header.
            timestamp: The Timestamp header.
            target: Path and query exactly as they stand on the request line.
            method: The HTTP method.
            now: The time.
            window: Seconds by which the timestamp may be off.

        Returns:
            The user.

        Raises:
            DeniedError: It is nobody who may come in.
        """
        if not authorization:
            raise DeniedError("Access Denied")
        scheme, _, credentials = authorization.strip().partition(" ")
        if scheme == "TC-Token":
            return self._held(credentials.strip(), now)
        if scheme != "TC":
            raise DeniedError("Access Denied")
        return self._signed(credentials.strip(), timestamp, target, method, now, window)

    def _held(self, token: str, now: float) -> User:
        user, end = self._by_token.get(token, (None, math.inf))
        if now >= end:
            self.revoke(token)
        elif user is not None:
            return user
        raise DeniedError("Unauthorized")

    def _signed(
        self,
        credentials: str,
        timestamp: str | None,
        target: str,
        method: str,
        now: float,
        window: float,
    ) -> User:
        access_id, _, given = credentials.partition(":")
        user = self._by_id.get(access_id)
        if user is None:
            raise DeniedError("Access Denied")
        if timestamp is None or not timestamp.isascii() or not timestamp.isdigit():
            raise DeniedError("Invalid timestamp")
        if len(timestamp) > 15 or abs(int(timestamp) - now) > window:  # noqa: PLR2004
            raise DeniedError("Timestamp out of acceptable time range")
        expected = signature(user.secret_key, target, method, timestamp)
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            raise DeniedError("Signature data did not match expected result")
        return user
