"""Checks of settings that many have, made when these are given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from aiotcbatch.errors import ConfigurationError

__all__ = [
    "checked_bool",
    "checked_callable",
    "checked_directory",
    "checked_existing",
    "checked_file",
    "checked_kind",
    "checked_number",
    "checked_path",
    "checked_seconds",
    "checked_types",
    "checked_whole",
    "is_amount",
    "is_number",
]

C = TypeVar("C")
T = TypeVar("T", bound="Mapping[str, int | Sequence[str]] | None")
P = TypeVar("P", bound="str | os.PathLike[str] | None")

#: Values that a custom indicator type has at most.
_MOST_VALUES = 3


def is_number(value: object) -> bool:
    """Say whether something can be compared with a number; None and text cannot."""
    return isinstance(value, Real) and not isinstance(value, bool)


def checked_number(
    name: str, value: float, accepted: str = "a number from 0 on", *, about: str = ""
) -> float:
    """
    Refuse what is no number from 0 on; infinity is none, and neither is what no float can hold.

    Args:
        name: The setting.
        value: What was given.
        accepted: What is accepted, for the error.
        about: What it is a setting of, for the error.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is something else.
    """
    if not is_amount(value):
        raise ConfigurationError(name, value, accepted, about=about)
    return value


def is_amount(value: Any) -> bool:
    """Say whether something is a number from 0 on that a float can hold; infinity is none."""
    try:
        return is_number(value) and value >= 0 and isfinite(value)
    except OverflowError:  # an int of more than 300 digits
        return False


def checked_whole(name: str, value: int, least: int = 0, *, about: str = "") -> int:
    """
    Refuse what is no whole number, or a smaller one.

    Args:
        name: The setting.
        value: What was given.
        least: The smallest that is accepted.
        about: What it is a setting of, for the error.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(name, value, f"a whole number from {least} on", about=about)
    return value


def checked_bool(name: str, value: bool, *, about: str = "") -> bool:
    """
    Refuse what is neither True nor False, since of anything else nobody can say which it means.

    Args:
        name: The setting.
        value: What was given.
        about: What it is a setting of, for the error.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is something else.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(name, value, "True or False", about=about)
    return value


def checked_kind(name: str, value: C, kind: type, accepted: str) -> C:
    """
    Refuse what is not of a class.

    Args:
        name: The setting.
        value: What was given.
        kind: The class.
        accepted: What is accepted, for the error.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is of another class.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(name, value, accepted)
    return value


def checked_seconds(name: str, value: float) -> float:
    """
    Refuse what is no time that can be waited.

    Args:
        name: The setting.
        value: What was given, in seconds; for ever is accepted.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is no number, or less than 0.
    """
    if not is_number(value) or not value >= 0:
        raise ConfigurationError(name, value, "seconds, 0 or more")
    return value


def checked_callable(
    name: str, value: C, accepted: str = "a function of one argument, or None"
) -> C:
    """
    Refuse what cannot be called.

    Args:
        name: The setting.
        value: What was given; None is none, and passes.
        accepted: What is accepted, for the error.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is neither None nor a function.
    """
    if value is not None and not callable(value):
        raise ConfigurationError(name, value, accepted)
    return value


def checked_types(name: str, types: T) -> T:
    """
    Refuse what says nothing of indicator types.

    Args:
        name: The setting.
        types: What was given: how many values each type has, or their labels; None is none, and
            passes.

    Returns:
        The same.

    Raises:
        ConfigurationError: When it is something else; of a mapping it has the first item that is.
    """
    accepted = "a mapping of names of types to 1, 2 or 3, or to the labels of as many values"
    if types is None:
        return types
    if not isinstance(types, Mapping):
        raise ConfigurationError(name, types, accepted)
    for kind, values in types.items():
        if not isinstance(kind, str) or not kind or not _are_values(values):
            raise ConfigurationError(name, {kind: values}, accepted)
    return types


def _are_values(values: object) -> bool:
    """Say whether it is a number of values, or a list of their labels."""
    if isinstance(values, int):
        return not isinstance(values, bool) and 1 <= values <= _MOST_VALUES
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        return False
    return 1 <= len(values) <= _MOST_VALUES and all(isinstance(label, str) for label in values)


def checked_path(name: str, value: P, accepted: str = "a path, as text or as a Path") -> P:
    """
    Refuse what can be the path of nothing.

    Args:
        name: The setting.
        value: What was given; None is none, and passes.
        accepted: What is accepted, for the error.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is neither text nor a ``Path``, or has in it what no path has.
    """
    if value is not None and _text_of(value) is None:
        raise ConfigurationError(name, value, accepted)
    return value


def checked_file(name: str, value: P) -> P:
    """
    Refuse a path to which nothing can be written, as far as that shows; the file is not made.

    It looks at the disk, as a call that is made once and must say at once what is wrong.

    Args:
        name: The setting.
        value: What was given; None is none, and passes.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is no path, that of a directory, or in none that exists; or
            when it may not be written.
    """
    text = _text_of(checked_path(name, value))
    if text is None:
        return value
    path = Path(text)
    if path.is_dir():
        accepted = "a file, which this is not"
    elif not path.parent.is_dir():
        accepted = "a file in a directory that exists"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        accepted = "a file that you may write"
    else:
        return value
    raise ConfigurationError(name, value, accepted)


def checked_existing(name: str, value: P, accepted: str) -> P:
    """
    Refuse the path of a file that is not there; what is in it shows when it is read.

    Args:
        name: The setting.
        value: What was given; None is none, and passes.
        accepted: What is accepted, for the error.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is no path, or there is no such file.
    """
    text = _text_of(checked_path(name, value, accepted))
    if text is not None and not Path(text).is_file():
        raise ConfigurationError(name, value, accepted)
    return value


def checked_directory(name: str, value: P) -> P:
    """
    Refuse a directory in which no file can be made, as far as that shows.

    Args:
        name: The setting.
        value: What was given; None is none, and passes.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is no path, or not that of a directory that may be written to.
    """
    text = _text_of(checked_path(name, value))
    if text is None or (Path(text).is_dir() and os.access(text, os.W_OK | os.X_OK)):
        return value
    raise ConfigurationError(name, value, "a directory that exists and that you may write to")


def _text_of(value: object) -> str | None:
    """Give a path as text, None if it is none."""
    if not isinstance(value, str | os.PathLike):
        return None
    text = os.fspath(value)
    if not isinstance(text, str) or not text or "\0" in text:
        return None
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return None
    return text
