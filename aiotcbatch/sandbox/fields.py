"""Checks of what a sandbox is made of: each field takes what its annotation says, and no more."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from aiotcbatch.checking import is_amount
from aiotcbatch.entities.values import is_encodable
from aiotcbatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

__all__ = ["check_fields", "is_text", "refuse_unless"]

T = TypeVar("T")


def is_text(value: object) -> bool:
    """Say whether it is text that can be stored and sent."""
    return isinstance(value, str) and is_encodable(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_texts(value: object) -> bool:
    """Text by itself is none: it would be taken for its letters."""
    if not isinstance(value, Collection) or isinstance(value, str | bytes | Mapping):
        return False
    return all(is_text(one) for one in value)


def _are_lists_of_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(_are_texts(one) for one in value)


def _are_named_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(is_text, (*value, *value.values())))


#: What each annotation accepts, and how that is said.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (is_text, "text"),
    "bytes": (lambda value: isinstance(value, bytes), "bytes"),
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "int": (_is_whole, "a whole number from 0"),
    "float": (is_amount, "a number from 0"),
    "tuple[str, ...]": (_are_texts, "a tuple of texts"),
    "tuple[tuple[str, ...], ...]": (_are_lists_of_texts, "a tuple of tuples of texts"),
    "frozenset[str]": (_are_texts, "a set of texts"),
    "Collection[str]": (_are_texts, "a collection of texts"),
    "Mapping[str, str]": (_are_named_texts, "a mapping of texts to texts"),
}


def check_fields(value: DataclassInstance) -> None:
    """
    Refuse a value one of whose fields is not what its annotation says.

    Args:
        value: A dataclass whose annotations are strings; fields with others than those of
            `_KINDS`, such as classes, are left to itself.

    Raises:
        ConfigurationError: With the first field that is something else.
    """
    about = type(value).__name__
    for field in fields(value):
        kind, _, or_none = str(field.type).partition(" | ")
        given = getattr(value, field.name)
        if kind not in _KINDS or (or_none == "None" and given is None):
            continue
        is_right, accepted = _KINDS[kind]
        if not is_right(given):
            more = ", or None" if or_none == "None" else ""
            raise ConfigurationError(field.name, given, accepted + more, about=about)


def refuse_unless(right: bool, name: str, value: T, accepted: str, about: str) -> T:
    """
    Refuse a value unless it is right.

    Args:
        right: Whether it is.
        name: The field or argument.
        value: What was given.
        accepted: What is accepted, for the error.
        about: What it is a field of.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is not.
    """
    if not right:
        raise ConfigurationError(name, value, accepted, about=about)
    return value
