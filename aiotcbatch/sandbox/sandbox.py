"""A local ThreatConnect: started, looked into and stopped from Python."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio.to_thread
from aiohttp import web

from aiotcbatch.auth import HmacAuth
from aiotcbatch.checking import checked_file, checked_kind, checked_path
from aiotcbatch.entities.values import one_of
from aiotcbatch.errors import ClosedError, ConfigurationError
from aiotcbatch.sandbox import views
from aiotcbatch.sandbox.access import Gate
from aiotcbatch.sandbox.catalog import Catalog, each_a
from aiotcbatch.sandbox.clock import SystemClock, checked_clock
from aiotcbatch.sandbox.face.tokens import TOKEN_PATH
from aiotcbatch.sandbox.faults import Faults
from aiotcbatch.sandbox.fields import is_text, refuse_unless
from aiotcbatch.sandbox.hosting import Host
from aiotcbatch.sandbox.instance import Instance
from aiotcbatch.sandbox.recording import Recorder
from aiotcbatch.sandbox.settings import Owner, Settings, User
from aiotcbatch.sandbox.snapshots import Snapshot
from aiotcbatch.sandbox.store import jobs as job_table
from aiotcbatch.sandbox.store import reading
from aiotcbatch.sandbox.store.store import Store
from aiotcbatch.sandbox.threaded import SandboxThread
from aiotcbatch.sandbox.vocabulary import SECURITY_LABELS, SecurityLabel

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from types import TracebackType

    from aiotcbatch.sandbox.clock import Clock
    from aiotcbatch.sandbox.store.reading import Entity
    from aiotcbatch.sandbox.vocabulary import (
        AssociationType,
        AttributeType,
        IndicatorType,
    )

__all__ = ["Sandbox"]

_LAST_PORT = 65_535
#: Where this machine reaches what listens on all of its addresses.
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 (to read only)


class Sandbox:
    """
    A local ThreatConnect that any client can talk to.

    ::

        async with Sandbox(owners=["MyOrg"]) as sandbox:
            async with Client(sandbox.api_url, sandbox.auth) as client:
                ...
        assert sandbox.jobs[0].counts.success == 1

    It may be entered in one task and left in another, as fixtures do.

    Args:
        owners: The owners that exist, by name or as `Owner`.
        db: ``":memory:"``, or a file that survives restarts. Files of that name and ``.files``
            behind it belong to it.
        host: The address to listen on; ``0.0.0.0`` and ``::`` are all that the machine has.
        port: The port, 0 for a free one.
        settings: Limits and speed; any of them can also be given by name.
        access_id: The user's access id, made up when "".
        secret_key: The user's secret key, made up when "".
        token: The user's token, made up when "".
        seed: Makes everything that is made up the same in every run.
        clock: Where the time comes from.
        record: A file to write everything into that clients send and are answered.
        indicator_types: Custom indicator types.
        attribute_types: Attribute types beside the default ones.
        association_types: Association types beside the default ones.
        security_labels: Labels beside the default ones.
        techniques: ATT&CK techniques beside the default ones, name by id.
        signature_types: Values of a Signature's ``fileType`` beside the default ones.
        routes: What is served beside the API and the page.
        **limits: Settings by name, such as ``entities_per_second=5000``.

    Raises:
        ConfigurationError: When an argument cannot be right; it is named.
    """

    def __init__(
        self,
        owners: Iterable[str | Owner] = ("MyOrg",),
        *,
        db: str | os.PathLike[str] = ":memory:",
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        access_id: str = "",
        secret_key: str = "",
        token: str = "",
        seed: int | None = None,
        clock: Clock | None = None,
        record: str | os.PathLike[str] | None = None,
        indicator_types: Iterable[IndicatorType] = (),
        attribute_types: Iterable[AttributeType] = (),
        association_types: Iterable[AssociationType] = (),
        security_labels: Iterable[SecurityLabel] = (),
        techniques: Mapping[str, str] | None = None,
        signature_types: Iterable[str] = (),
        routes: Iterable[web.AbstractRouteDef] = (),
        **limits: Any,
    ) -> None:
        _check_address(host, port)
        self._first_settings = _settings(settings, limits)
        self._user = _first_user(seed, access_id, secret_key, token)
        store = Store(
            _path_of(db),
            _owners(owners),
            (*SECURITY_LABELS, *each_a(SecurityLabel, "security_labels", security_labels)),
        )
        self._instance = Instance(
            store,
            Catalog(
                indicator_types, attribute_types, association_types, techniques, signature_types
            ),
            Gate([self._user]),
            self._first_settings,
            SystemClock() if clock is None else checked_clock(clock),
            Faults(seed),
        )
        self._snapshots: list[Snapshot] = []
        checked_file("record", record)
        recorder = None
        if record is not None:
            recorder = self._instance.clock = Recorder(Path(record), self._instance.clock)
        served = each_a(web.AbstractRouteDef, "routes", routes)
        self._host = Host(self._instance, (host, port), served, recorder, self._close)

    def __repr__(self) -> str:
        """Show where it listens and what it holds."""
        where = self.api_url if self._host.listening else "closed"
        return f"<Sandbox {where}, {self._instance.worker.waiting} jobs waiting>"

    async def __aenter__(self) -> Self:
        """Open the store, start the worker and listen."""
        await self._host.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening and close the store."""
        await self.aclose()

    async def aclose(self) -> None:
        """Stop listening, stop the worker and close the store; closing twice is harmless."""
        await self._host.stop()

    def _close(self) -> None:
        for snapshot in self._snapshots:
            snapshot.close()

    # Where it is ----------------------------------------------------------------------------

    @property
    def api_url(self) -> str:
        """
        The base of all API paths, as this machine reaches them.

        Raises:
            ClosedError: It is to have a free port, and does not run yet.
        """
        host, port = self._host.address
        if not port:
            raise ClosedError("the sandbox has no address yet; it is used inside its block")
        host = _REACHED_AT.get(host, host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/api"

    @property
    def access_id(self) -> str:
        """The access id of its first user."""
        return self._user.access_id

    @property
    def secret_key(self) -> str:
        """The secret key of its first user."""
        return self._user.secret_key

    @property
    def token(self) -> str:
        """The token of its first user."""
        return self._user.token

    @property
    def auth(self) -> HmacAuth:
        """What a client signs with."""
        return HmacAuth(self.access_id, self.secret_key)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which clients find it."""
        return {
            "TC_API_PATH": self.api_url,
            "TC_API_ACCESS_ID": self.access_id,
            "TC_API_SECRET_KEY": self.secret_key,
            "TC_TOKEN": self.token,
            "TC_TOKEN_URL": TOKEN_PATH,
        }

    @property
    def instance(self) -> Instance:
        """Its state, for what is built upon it, such as the page."""
        return self._instance

    # What it has ----------------------------------------------------------------------------

    @property
    def jobs(self) -> list[views.JobView]:
        """All batch jobs by number, with what was received."""
        store = self._instance.store
        return [self._current(job) for job in store.database.call(job_table.listed)]

    def _current(self, job: job_table.Job) -> views.JobView:
        return views.view(self._instance.store, self._instance.worker.recall(job.id) or job)

    def entities(
        self,
        *,
        owner: str | None = None,
        type: str | None = None,  # noqa: A002
    ) -> list[Entity]:
        """
        Return what is stored.

        Args:
            owner: Only what belongs to the owner of that name.
            type: Only groups or indicators of that type, in any letter case.

        Returns:
            The entities with all that hangs on them, in the order in which they were made.

        Raises:
            ConfigurationError: When one of them is neither text nor None, or there is no such
                owner or type; those of ``indicator_types`` are among what is accepted.
        """
        for name, wanted in (("owner", owner), ("type", type)):
            right = wanted is None or is_text(wanted)
            refuse_unless(right, name, wanted, "text, or None for all", "Sandbox")
        known = self._instance.store.owners
        if owner is not None and owner not in known:
            raise ConfigurationError("owner", owner, one_of(owner, known), about="Sandbox")
        kind = None if type is None else self._type_name(type)
        where, values = ["1"], []
        for column, value in (("o.name", owner), ("e.type", kind)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        return self._instance.store.database.call(_entities, " AND ".join(where), values)

    def _type_name(self, name: str) -> str:
        """Give a type in its proper spelling."""
        catalog = self._instance.catalog
        kind = catalog.type_name(name)
        if kind is None:
            accepted = one_of(name, catalog.type_names)
            raise ConfigurationError("type", name, accepted, about="Sandbox")
        return kind

    @property
    def files(self) -> views.Files:
        """The files that were uploaded, by the xid of their group."""
        return views.Files(self._instance.store)

    # What it does ---------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """Its limits and its speed."""
        return self._instance.settings

    def configure(self, **limits: Any) -> None:
        """
        Change settings by name, from now on.

        Raises:
            ConfigurationError: When there is no such setting, or it cannot be so.
        """
        self._instance.settings = _settings(self._instance.settings, limits)

    def add_user(self, user: User) -> None:
        """
        Let another user in; one of the same access id is replaced.

        Raises:
            ConfigurationError: When it is no `User`.
        """
        self._instance.gate.add(checked_kind("user", user, User, "a User of aiotcbatch.sandbox"))

    def expire_token(self, token: str) -> bool:
        """
        Make a token expire, so that its next request is refused until it was renewed.

        Returns:
            Whether there was such a token.

        Raises:
            ConfigurationError: When it is no text.
        """
        refuse_unless(is_text(token), "token", token, "text", "Sandbox")
        return self._instance.gate.revoke(token)

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        return self._instance.faults

    async def idle(self) -> None:
        """Wait until no job is queued or in work; stuck ones do not count."""
        await self._instance.worker.idle()

    def release_jobs(self) -> int:
        """Let stuck jobs go on, and return how many there were."""
        return self._instance.worker.release()

    async def reset(self) -> None:
        """Make it as it was when it was new: empty, without faults, with its first settings."""
        instance = self._instance
        instance.faults.clear()
        instance.settings = self._first_settings
        instance.gate.restrict([self._user])
        await instance.worker.halt()
        await instance.store.database.run(instance.store.empty)
        instance.worker.forget()

    async def snapshot(self) -> Snapshot:
        """Copy everything that it holds; close the snapshot when it is not needed any more."""
        made = await anyio.to_thread.run_sync(Snapshot)
        self._snapshots.append(made)
        await self._instance.store.database.run(made.take, self._instance.store)
        return made

    async def restore(self, snapshot: Snapshot) -> None:
        """
        Make everything as it was when it was copied; jobs that waited then go on.

        Args:
            snapshot: What `snapshot` returned.

        Raises:
            ClosedError: The snapshot is closed.
            ConfigurationError: It is none.
        """
        checked_kind("snapshot", snapshot, Snapshot, "what snapshot() has returned")
        instance = self._instance
        await instance.worker.halt()
        await instance.store.database.run(snapshot.put_back, instance.store)
        instance.worker.forget()
        await self._host.resume_jobs()

    def in_thread(self) -> SandboxThread:
        """Return it as a plain context manager that runs it in a thread of its own."""
        return SandboxThread(self)


def _entities(connection: Any, where: str, values: list[str]) -> list[Entity]:
    return reading.complete(connection, reading.select(connection, where, values))


def _check_address(host: str, port: int) -> None:
    refuse_unless(is_text(host), "host", host, "the name or address of this machine", "Sandbox")
    whole = isinstance(port, int) and not isinstance(port, bool)
    if not whole or not 0 <= port <= _LAST_PORT:
        raise ConfigurationError("port", port, f"a whole number from 0 to {_LAST_PORT}")


def _path_of(db: str | os.PathLike[str]) -> Path | None:
    """Give the path of the database, None if it is in memory."""
    accepted = "':memory:', or the path of a file"
    refuse_unless(db is not None, "db", db, accepted, "Sandbox")
    return None if db == ":memory:" else Path(checked_path("db", db, accepted))


def _owners(given: Iterable[str | Owner]) -> list[Owner]:
    accepted = "a list of owners or of their names, each once"
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigurationError("owners", given, accepted, about="Sandbox")
    owners = [owner if isinstance(owner, Owner) else Owner(name=owner) for owner in given]
    names = [owner.name for owner in owners]
    if not names or len(set(names)) < len(names):
        raise ConfigurationError("owners", names, accepted, about="Sandbox")
    return owners


def _settings(base: Settings | None, limits: dict[str, Any]) -> Settings:
    unknown = sorted(set(limits) - set(Settings.__dataclass_fields__))
    if unknown:
        known = ", ".join(sorted(Settings.__dataclass_fields__))
        raise ConfigurationError("settings", ", ".join(unknown), known)
    if base is None:
        return Settings(**limits)
    accepted = "a Settings of aiotcbatch.sandbox, or None"
    return replace(checked_kind("settings", base, Settings, accepted), **limits)


def _first_user(seed: int | None, access_id: str, secret_key: str, token: str) -> User:
    """Make up the credentials that were not given."""
    given = {"access_id": access_id, "secret_key": secret_key, "token": token}
    for name, text in given.items():
        # Not shown, as it may be a secret of another type.
        refuse_unless(is_text(text), name, type(text).__name__, "text", "Sandbox")
    if seed is not None:
        accepted = "a whole number, or None"
        refuse_unless(isinstance(seed, int), "seed", seed, accepted, "Sandbox")
    source = secrets.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311
    return User(
        access_id=access_id or str(source.randrange(10**19, 10**20)),
        secret_key=secret_key or f"{source.getrandbits(384):096x}",
        token=token or f"APIV2:1:{source.getrandbits(192):048x}",
    )
