"""How a sandbox is to behave: its limits, its speed, and who may use it."""

from __future__ import annotations

from dataclasses import dataclass

from aiotcbatch.sandbox.fields import check_fields, refuse_unless

__all__ = ["Owner", "Settings", "User"]

_OWNER_TYPES = ("Organization", "Community", "Source")
_ROLES = ("Standard User", "Read Only User")
_NOT_EMPTY = "a text that is not empty"


@dataclass(frozen=True, kw_only=True)
class Owner:
    """
    A place that holds data.

    Attributes:
        name: Its name.
        type: ``Organization``, ``Community`` or ``Source``.
    """

    name: str
    type: str = "Organization"

    def __post_init__(self) -> None:
        check_fields(self)
        refuse_unless(bool(self.name), "name", self.name, _NOT_EMPTY, "Owner")
        accepted = ", ".join(_OWNER_TYPES)
        refuse_unless(self.type in _OWNER_TYPES, "type", self.type, accepted, "Owner")


@dataclass(frozen=True, kw_only=True)
class User:
    """
    Someone who may use the API.

    Attributes:
        access_id: The id that stands before the colon of an HMAC signature.
        secret_key: The key that signs.
        token: The token that stands for this user, "" for none.
        name: The name that ``/v2/whoami`` gives.
        role: ``Standard User``, or ``Read Only User`` who may not write.
        owners: The names of the owners that this user sees, None for all.
    """

    access_id: str
    secret_key: str
    token: str = ""
    name: str = "api-user"
    role: str = "Standard User"
    owners: frozenset[str] | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("access_id", "secret_key"):
            refuse_unless(bool(getattr(self, name)), name, "", _NOT_EMPTY, "User")
        refuse_unless(self.role in _ROLES, "role", self.role, ", ".join(_ROLES), "User")

    def __repr__(self) -> str:
        """Show who it is, without the secrets."""
        return f"User({self.access_id!r}, role={self.role!r})"

    @property
    def may_write(self) -> bool:
        """Whether this user may change anything."""
        return self.role != "Read Only User"

    def sees(self, owner: str) -> bool:
        """Tell whether this user may use the owner of that name."""
        return self.owners is None or owner in self.owners


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    The limits and the speed of a sandbox.

    Attributes:
        synchronous_limit: createAndUpload answers inline for documents with fewer entities than
            this (the server's ``synchronousBatchSaveLimit``). 0 queues everything.
        entities_per_second: How fast jobs are processed, None for as fast as it goes.
        upload_limit: The largest document in bytes.
        max_indicators: The most indicators in one job.
        indicator_quota: The most indicators in one owner, None for no bound.
        batch_enabled: Whether the Batch API is enabled on this instance.
        storage_limit: The most bytes of files in the document storage, None for no bound.
        file_limit: The largest file in bytes.
        latency: Seconds that pass before each answer.
        clock_window: Seconds by which a request's timestamp may differ from the clock.
        absent_clears: Whether, under Replace, an entity without a ``tag``, ``attribute`` or
            ``securityLabel`` key loses those that it has. The API's documents do not say.
        inline_errors: Whether an inline answer of createAndUpload lists errors. Not documented.
        keep_bodies: How many completed jobs keep the document that was sent, None for all.
        chunk: The most entities that are written in one transaction.
    """

    synchronous_limit: int = 100
    entities_per_second: float | None = None
    upload_limit: int = 100_000_000
    max_indicators: int = 25_000
    indicator_quota: int | None = None
    batch_enabled: bool = True
    storage_limit: int | None = None
    file_limit: int = 5_000_000_000
    latency: float = 0.0
    clock_window: float = 300.0
    absent_clears: bool = False
    inline_errors: bool = False
    keep_bodies: int | None = 100
    chunk: int = 1000

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("entities_per_second", "chunk"):
            value = getattr(self, name)
            refuse_unless(value != 0, name, value, "a positive number", "Settings")
