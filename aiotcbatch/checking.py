"""Checks of settings that many have, made when these are given."""

from __future__ import annotations

import os
from numbers import Real
from pathlib import Path
from typing import TypeVar

from aiotcbatch.errors import ConfigurationError

__all__ = [
    "checked_callable",
    "checked_directory",
    "checked_file",
    "checked_path",
    "checked_seconds",
    "is_number",
]

C = TypeVar("C")
P = TypeVar("P", bound="str | os.PathLike[str] | None")


def is_number(value: object) -> bool:
    """Say whether something can be compared with a number; None and text cannot."""
    return isinstance(value, Real) and not isinstance(value, bool)


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


def checked_callable(name: str, value: C) -> C:
    """
    Refuse what cannot be called.

    Args:
        name: The setting.
        value: What was given; None is none, and passes.

    Returns:
        The value.

    Raises:
        ConfigurationError: When it is neither None nor a function.
    """
    if value is not None and not callable(value):
        raise ConfigurationError(name, value, "a function of one argument, or None")
    return value


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
