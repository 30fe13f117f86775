"""The client: one session with one ThreatConnect instance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio

from aiotcbatch.auth import Auth, HmacAuth, TokenAuth
from aiotcbatch.batch import Batch
from aiotcbatch.checking import checked_kind
from aiotcbatch.errors import ConfigurationError
from aiotcbatch.instance import (
    AttributeType,
    IndicatorType,
    Owner,
    attribute_types_in,
    indicator_types_in,
    owners_in,
)
from aiotcbatch.stream import Stream
from aiotcbatch.submitting.job import JobSettings
from aiotcbatch.transport.answers import unreadable
from aiotcbatch.transport.http import Transport
from aiotcbatch.transport.settings import Settings, checked_settings, parse_api_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    from aiohttp import ClientSession

    from aiotcbatch.batch import BatchOptions
    from aiotcbatch.events import ClientEvent
    from aiotcbatch.stream import StreamOptions
    from aiotcbatch.transport.answers import Answer
    from aiotcbatch.transport.http import ClientStatistics
    from aiotcbatch.transport.settings import Options

__all__ = ["AttributeType", "Client", "IndicatorType", "Owner"]

#: The most that the server gives in one page.
_PAGE = 10_000


class Client:
    """
    One session with one ThreatConnect instance.

    It is a context manager, and can be closed by hand with `aclose` as well; closing twice is
    harmless. Nothing is sent before the first call that needs an answer.

    Args:
        api_url: URL of the API, such as ``https://host/api``.
        auth: Credentials: `HmacAuth` or `TokenAuth`.
        settings: How to reach it, as one value.
        session: A session of your own, which is not closed here; its connector decides about TLS,
            connections and proxies.
        on_event: Called with each of ``aiotcbatch.events`` as it happens, in the event loop, so
            it must be quick. What it raises is logged, the first time, and breaks nothing.
        **options: Fields of `Settings`, over those of ``settings``.

    Raises:
        ConfigurationError: When a setting cannot be right.
    """

    def __init__(
        self,
        api_url: str,
        auth: Auth,
        *,
        settings: Settings | None = None,
        session: ClientSession | None = None,
        on_event: Callable[[ClientEvent], object] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.transport = Transport(
            api_url, auth, merged(settings, options), session=session, on_event=on_event
        )
        self._asking = anyio.Lock()
        self._indicator_types: tuple[IndicatorType, ...] | None = None

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        settings: Settings | None = None,
        session: ClientSession | None = None,
        on_event: Callable[[ClientEvent], object] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """
        Make a client from environment variables.

        ``TC_API_PATH`` is the URL of the API. The credentials are ``TC_TOKEN``, or
        ``TC_API_ACCESS_ID`` with ``TC_API_SECRET_KEY``; where all are there, the token is used.
        White space around a value is ignored.

        Args:
            environ: The variables, by default those of this process.
            settings: As in the constructor.
            session: As in the constructor.
            on_event: As in the constructor.
            **options: As in the constructor.

        Returns:
            The client.

        Raises:
            ConfigurationError: When a variable is missing or cannot be right; it is named.
        """
        variables = _variables(environ)
        return cls(
            _api_url(variables, merged(settings, options)),
            _credentials(variables),
            settings=settings,
            session=session,
            on_event=on_event,
            **options,
        )

    def batch(
        self,
        owner: str,
        action: str = "Create",
        attribute_write_type: str = "Replace",
        halt_on_error: bool = True,
        playbook_triggers_enabled: bool = False,
        tag_write_type: str = "Replace",
        security_label_write_type: str = "Replace",
        **options: Unpack[BatchOptions],
    ) -> Batch:
        """
        Begin a batch for one owner; nothing is sent before something of it is awaited.

        Args:
            owner: The owner to write into.
            action: ``Create`` (which updates too) or ``Delete``.
            attribute_write_type: ``Replace``, ``Append``, ``Singleton`` or ``Static``.
            halt_on_error: The server stops a job at its first error.
            playbook_triggers_enabled: Fire playbook triggers for what is written.
            tag_write_type: ``Replace`` or ``Append``.
            security_label_write_type: ``Replace`` or ``Append``.
            **options: Further settings of `Batch`, such as ``max_entities_per_job``.

        Returns:
            The batch. When `indicator_types` has been awaited before, it knows the custom types
            of the instance.

        Raises:
            ConfigurationError: When a setting is not one of those that are accepted.
        """
        if "indicator_types" not in options:
            options["indicator_types"] = self._known_types()
        return Batch(
            self.transport,
            owner,
            action,
            attribute_write_type,
            halt_on_error,
            playbook_triggers_enabled,
            tag_write_type,
            security_label_write_type,
            **options,
        )

    def stream(
        self,
        owner: str,
        action: str = "Create",
        attribute_write_type: str = "Replace",
        halt_on_error: bool = True,
        playbook_triggers_enabled: bool = False,
        tag_write_type: str = "Replace",
        security_label_write_type: str = "Replace",
        *,
        file_merge_mode: str | None = None,
        hash_collision_mode: str | None = None,
        **options: Unpack[StreamOptions],
    ) -> Stream:
        """
        Begin a stream into one owner, which submits as it fills; it is used with ``async with``.

        Args:
            owner: The owner to write into.
            action: As in `batch`, like the next ones.
            attribute_write_type: As in `batch`.
            halt_on_error: As in `batch`: the server stops a job at its first error.
            playbook_triggers_enabled: As in `batch`.
            tag_write_type: As in `batch`.
            security_label_write_type: As in `batch`.
            file_merge_mode: As in `batch`.
            hash_collision_mode: As in `batch`.
            **options: Further settings of `Stream`, such as ``linger``.

        Returns:
            The stream.

        Raises:
            ConfigurationError: When a setting is not one of those that are accepted.
        """
        settings = JobSettings(
            owner=owner,
            action=action,
            attribute_write_type=attribute_write_type,
            halt_on_error=halt_on_error,
            playbook_triggers_enabled=playbook_triggers_enabled,
            tag_write_type=tag_write_type,
            security_label_write_type=security_label_write_type,
            file_merge_mode=file_merge_mode,
            hash_collision_mode=hash_collision_mode,
        )
        if "indicator_types" not in options:
            options["indicator_types"] = self._known_types()
        return Stream(self.transport, settings, **options)

    def _known_types(self) -> dict[str, int | Sequence[str]] | None:
        """The indicator types and the labels of their values, if the server was asked."""
        if self._indicator_types is None:
            return None
        named = (kind for kind in self._indicator_types if kind.name)
        return {kind.name: kind.value_labels or 1 for kind in named}

    async def owners(self) -> list[Owner]:
        """
        List the owners that these credentials may see.

        It is also the quickest way to learn whether the URL and the credentials are right.

        Returns:
            The owners, in the server's order.

        Raises:
            ResponseError: When the server refuses.
            TransportError: When it cannot be reached.
        """
        answer = await self.transport.request("GET", "/v2/owners", check=owners_in)
        return owners_in(answer)

    async def indicator_types(self) -> list[IndicatorType]:
        """
        List the indicator types of the instance, custom ones included.

        The server is asked once per client.

        Returns:
            The types, in the server's order.

        Raises:
            ResponseError: When the server refuses.
            TransportError: When it cannot be reached.
        """
        async with self._asking:
            if self._indicator_types is None:
                answer = await self.transport.request(
                    "GET", "/v2/types/indicatorTypes", check=indicator_types_in
                )
                self._indicator_types = tuple(indicator_types_in(answer))
        return list(self._indicator_types)

    async def attribute_types(self) -> list[AttributeType]:
        """
        List the attribute types of the instance.

        Returns:
            The types, in the server's order.

        Raises:
            ResponseError: When the server refuses.
            TransportError: When it cannot be reached.
        """
        found: list[AttributeType] = []
        path: str | None = f"/v3/attributeTypes?resultLimit={_PAGE}"
        seen: set[str] = set()
        while path is not None:
            seen.add(path)
            answer = await self.transport.request("GET", path, check=attribute_types_in)
            found += attribute_types_in(answer)
            path = self._next_page(answer, seen)
        return found

    def statistics(self) -> ClientStatistics:
        """Say what was sent, and how it is with the server."""
        return self.transport.statistics()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Client of {str(self.transport)[1:-1]}>"

    def _next_page(self, answer: Answer, seen: set[str]) -> str | None:
        link = answer.json().get("next")
        if not link:
            return None
        path = self.transport.path_of(link) if isinstance(link, str) else None
        if path is None:
            raise unreadable(answer, "the next page is on another server", transient=False)
        if path in seen:
            raise unreadable(answer, "the next page is one that was there before", transient=False)
        return path


def merged(settings: Settings | None, options: Options) -> Settings:
    """Put options over settings, checking the result."""
    return Settings(**{**vars(checked_settings(settings) or Settings()), **options})


def _variables(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    """Give the variables that count, of which each is text."""
    if environ is None:
        return os.environ
    accepted = "a mapping of names to texts, or None for the variables of this process"
    checked_kind("environ", environ, Mapping, accepted)
    for name in ("TC_API_PATH", "TC_TOKEN", "TC_API_ACCESS_ID", "TC_API_SECRET_KEY"):
        value = environ.get(name, "")
        if not isinstance(value, str):
            # The value is not shown: it may be a secret of another type.
            raise ConfigurationError(name, type(value).__name__, "text", about="environment")
    return environ


def _api_url(variables: Mapping[str, str], settings: Settings) -> str:
    """Give the URL of the API, or name the variable in which it cannot be right."""
    name = "TC_API_PATH"
    api_url = _variable(variables, name, "the url of the API, such as https://host/api")
    try:
        parse_api_url(api_url, allow_plain_http=settings.allow_plain_http, name=name)
    except ConfigurationError as error:
        raise ConfigurationError(name, error.value, error.accepted, about="environment") from None
    return api_url


def _variable(environ: Mapping[str, str], name: str, accepted: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigurationError(name, environ.get(name), accepted, about="environment")
    return value


def _credentials(environ: Mapping[str, str]) -> Auth:
    token = environ.get("TC_TOKEN", "").strip()
    if token:
        return TokenAuth(token)
    if not environ.get("TC_API_ACCESS_ID") and not environ.get("TC_API_SECRET_KEY"):
        accepted = "an API token, or TC_API_ACCESS_ID and TC_API_SECRET_KEY instead"
        raise ConfigurationError("TC_TOKEN", None, accepted, about="environment")
    access_id = _variable(environ, "TC_API_ACCESS_ID", "the access id that belongs to the key")
    secret_key = _variable(environ, "TC_API_SECRET_KEY", "the secret key of the access id")
    return HmacAuth(access_id, secret_key)
