"""Adding many at once, from an iterable or an async iterable, and draining as they come."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar

from aiotcbatch.checking import checked_callable
from aiotcbatch.errors import ConfigurationError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["extend", "take_all"]

#: What was taken is drained each time that it is this many.
DRAIN_ITEMS = 256

T = TypeVar("T")


async def extend(
    add_plain: Callable[[Mapping[str, Any]], bool],
    add: Callable[..., object],
    drain: Callable[[], Awaitable[None]],
    items: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
    source: Callable[[int, Mapping[str, Any]], Any] | None,
    on_refused: Callable[[Mapping[str, Any], ValidationError], None] | None,
) -> int:
    """
    Add dicts, as `DictBuilder.extend` says; gives how many were added.

    Args:
        add_plain: Adds a dict at once that is of the usual kind, or says False.
        add: Adds any other, with its source, or raises.
        drain: As for `take_all`.
        items: The dicts.
        source: As `DictBuilder.extend` has it.
        on_refused: Likewise.
    """
    iterable = isinstance(items, (AsyncIterable, Iterable))
    if not iterable or isinstance(items, (Mapping, str, bytes)):
        raise ValidationError("items", items, "an iterable or async iterable of dicts")
    for name, function in (("source", source), ("on_refused", on_refused)):
        checked_callable(name, function, "a plain function of two arguments, or None")
        if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
            raise ConfigurationError(name, function, "a plain function; it is not awaited")
    taken = _Taken(add_plain, add, source, on_refused)
    return await take_all(items, taken.take, drain) - taken.refused


async def take_all(
    items: Iterable[T] | AsyncIterable[T],
    take: Callable[[T], None],
    drain: Callable[[], Awaitable[None]],
) -> int:
    """
    Take each of the items, and drain as they come and at the end.

    Args:
        items: What to take.
        take: Takes one.
        drain: Called after every `DRAIN_ITEMS`, and after the last.

    Returns:
        How many there were.
    """
    number = 0
    if isinstance(items, AsyncIterable):
        async for item in items:
            take(item)
            number += 1
            if not number % DRAIN_ITEMS:
                await drain()
    else:
        for item in items:
            take(item)
            number += 1
            if not number % DRAIN_ITEMS:
                await drain()
    await drain()
    return number


class _Taken:
    """The dicts that `extend` has taken so far."""

    def __init__(
        self,
        add_plain: Callable[[Mapping[str, Any]], bool],
        add: Callable[..., object],
        source: Callable[[int, Mapping[str, Any]], Any] | None,
        on_refused: Callable[[Mapping[str, Any], ValidationError], None] | None,
    ) -> None:
        self._add_plain = add_plain
        self._add = add
        self._source = source
        self._on_refused = on_refused
        self.number = 0
        self.refused = 0

    def take(self, item: Mapping[str, Any]) -> None:
        """Add the next dict, or say that it cannot be right."""
        number = self.number
        if self._source is None and self._add_plain(item):
            self.number = number + 1
            return
        source = None
        if self._source is not None and isinstance(item, Mapping):
            source = self._source(number, item)
        try:
            self._add(item, source=source)
        except ValidationError as error:
            about = ", ".join(filter(None, (f"item {number}", error.about)))
            refusal = ValidationError(error.field, error.value, error.accepted, about=about)
            if self._on_refused is None:
                raise refusal from None
            self._on_refused(item, refusal)
            self.refused += 1
        self.number = number + 1
