"""
Checks of settings that many have, made when these are given.

Each `checked_` function takes the name of a setting and the value that was given for it. It gives
the value back if it can be right, and else raises a `ConfigurationError` that has both, and says
what is accepted: ``accepted``, where it can be told more exactly than here. ``about`` says what it
is a setting of. None, where the types allow it, stands for none and passes.
"""

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


def is_amount(value: Any) -> bool:
    """Say whether something is a number from 0 on that a float can hold; infinity is none."""
    try:
        return is_number(value) and value >= 0 and isfinite(value)
    except OverflowError:  # an int of more than 300 digits
        return False


def _checked(is_right: bool, name: str, value: C, accepted: str, about: str = "") -> C:
    if not is_right:
        raise ConfigurationError(name, value, accepted, about=about)
    return value


def checked_number(
    name: str, value: float, accepted: str = "a number from 0 on", *, about: str = ""
) -> float:
    """Accept a number from 0 on; infinity is none, and neither is what no float can hold."""
    return _checked(is_amount(value), name, value, accepted, about)


def checked_whole(name: str, value: int, least: int = 0, *, about: str = "") -> int:
    """Accept a whole number that is not smaller than the least."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    is_right = is_whole and value >= least
    return _checked(is_right, name, value, f"a whole number from {least} on", about)


def checked_bool(name: str, value: bool, *, about: str = "") -> bool:
    """Accept True and False, since of anything else nobody can say which it means."""
    return _checked(isinstance(value, bool), name, value, "True or False", about)


def checked_kind(name: str, value: C, kind: type, accepted: str) -> C:
    """Accept what is of a class."""
    return _checked(isinstance(value, kind), name, value, accepted)


def checked_seconds(name: str, value: float) -> float:
    """Accept a time that can be waited, also for ever."""
    return _checked(is_number(value) and value >= 0, name, value, "seconds, 0 or more")


def checked_callable(
    name: str, value: C, accepted: str = "a function of one argument, or None"
) -> C:
    """Accept what can be called."""
    return _checked(value is None or callable(value), name, value, accepted)


def checked_types(name: str, types: T) -> T:
    """
    Accept what says of indicator types how many values each has, or what their labels are.

    Of a mapping, the error has the first item that does not.
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
    """Accept text and ``Path`` objects that have nothing in them that no path has."""
    return _checked(value is None or _text_of(value) is not None, name, value, accepted)


def checked_file(name: str, value: P) -> P:
    """
    Accept a path to which a file can be written, as far as that shows; it is not made.

    It looks at the disk, as a call that is made once and must say at once what is wrong.
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
    """Accept the path of a file that is there; what is in it shows when it is read."""
    text = _text_of(checked_path(name, value, accepted))
    return _checked(text is None or Path(text).is_file(), name, value, accepted)


def checked_directory(name: str, value: P) -> P:
    """Accept the path of a directory in which files can be made, as far as that shows."""
    text = _text_of(checked_path(name, value))
    is_right = text is None or (Path(text).is_dir() and os.access(text, os.W_OK | os.X_OK))
    return _checked(is_right, name, value, "a directory that exists and that you may write to")


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
