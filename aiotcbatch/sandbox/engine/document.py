"""
Reading a batch document piece by piece, as the server's streaming parser does.

What stands before a fault has been handed out when the fault is met. Source: v2 Batch API, the
error ``Last known JSON path: '$.group[1]'``, which names where reading had got to.
"""

from __future__ import annotations

import codecs
import json
import re
from itertools import count as count_from
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Document", "DocumentError", "Item"]

SECTIONS = ("group", "indicator", "association")

_SPACE = re.compile(r"[ \t\r\n]*")
#: Bodies are looked through by pieces of so many bytes; meanwhile no other thread runs.
_PIECE = 1 << 20


class Item(NamedTuple):
    """One element of the document: where it stands, and what it is."""

    section: str
    position: int
    value: Any


class DocumentError(Exception):
    """The document cannot be read any further."""

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


#: Reads one value at a place and returns it with the place behind it; StopIteration for none.
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(
    strict=False, parse_constant=_constant
).scan_once  # type: ignore[attr-defined]  # what raw_decode calls, absent from the type stubs


class Document:
    """
    A batch document, read once from its beginning to its end.

    Args:
        body: The bytes that were sent.
        version: ``V2``, or ``V1`` for a bare array of indicators.
    """

    def __init__(self, body: bytes, version: str = "V2") -> None:
        self._text = _decoded(body).removeprefix("\ufeff")
        self._at = 0
        self._path = "$"
        self._version = version
        self._scrub = any(b"\\ud" in part or b"\\uD" in part for part in _parts(body, 2))

    @property
    def share(self) -> float:
        """How much of it has been read, from 0 to 1."""
        return self._at / len(self._text) if self._text else 1.0

    def items(self) -> Iterator[Item]:
        """
        Hand out the elements in the order in which they stand.

        Yields:
            Groups, indicators and associations.

        Raises:
            DocumentError: What follows is not JSON, or not of the documented shape.
        """
        first = self._next()
        if first == "[" and self._version == "V1":
            yield from self._array("indicator")
        elif first == "[":
            yield from self._wrapped()
        elif first == "{":
            yield from self._object()
        else:
            raise self._shape("a JSON Object")
        self._space()
        if self._at != len(self._text):
            raise self._syntax("Use JsonReader.setLenient(true) to accept malformed JSON")

    def _wrapped(self) -> Iterator[Item]:
        """Read the older form, the object inside an array of one element."""
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return
        if self._next() != "{":
            raise self._shape("a JSON Object")
        yield from self._object()
        if self._next() != "]":
            raise self._syntax("Expected the end of an array of one element")
        self._at += 1

    def _object(self) -> Iterator[Item]:
        self._at += 1
        if self._next() == "}":
            self._at += 1
            return
        while True:
            self._path = "$"
            key = self._key()
            self._path = f"$.{key}"
            if key in SECTIONS:
                yield from self._section(key)
            else:
                self._next()
                self._value()
            self._path = "$"
            mark = self._next()
            self._at += 1
            if mark == "}":
                return
            if mark != ",":
                raise self._syntax("Unterminated object")

    def _key(self) -> str:
        if self._next() != '"':
            raise self._syntax("Expected name")
        key = self._value()
        if self._next() != ":":
            raise self._syntax("Expected ':'")
        self._at += 1
        return str(key)

    def _section(self, name: str) -> Iterator[Item]:
        mark = self._next()
        if mark == "n":
            if self._value() is not None:
                raise self._syntax("Expected value")
            return
        if mark != "[":
            raise self._shape("a JSON Array")
        yield from self._array(name)

    def _array(self, name: str) -> Iterator[Item]:
        """Read the elements of an array; the loop that all of a job's data passes through."""
        text, scan = self._text, _scan
        prefix = f"$.{name}[" if self._version != "V1" else "$["
        clean = _clean if self._scrub else None
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return
        at = self._at
        for position in count_from():
            try:
                value, at = scan(text, at)
            except (StopIteration, ValueError, RecursionError) as error:
                self._path = f"{prefix}{position}]"
                raise self._unreadable(error) from None
            self._at = at
            yield Item(name, position, value if clean is None else clean(value))
            if text.startswith(",{", at):
                at += 1
            else:
                self._path = f"{prefix}{position + 1}]"
                if not self._goes_on():
                    return
                at = self._at

    def _goes_on(self) -> bool:
        """Go past what stands between two elements; False at the end of their array."""
        mark = self._next()
        self._at += 1
        if mark == "]":
            return False
        if mark != ",":
            raise self._syntax("Unterminated array")
        self._next()
        return True

    def _unreadable(self, error: Exception) -> DocumentError:
        """Say why a value is not one."""
        if isinstance(error, RecursionError):
            return DocumentError("java.lang.StackOverflowError: nested too deeply", self._path)
        return self._syntax(str(error) if isinstance(error, ValueError) else "Expected value")

    def _value(self) -> Any:
        try:
            value, self._at = _scan(self._text, self._at)
        except (StopIteration, ValueError, RecursionError) as error:
            raise self._unreadable(error) from None
        return value

    def _space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _next(self) -> str:
        """Go to the next character that means something and return it, without taking it."""
        self._space()
        if self._at >= len(self._text):
            raise self._syntax("End of input")
        return self._text[self._at]

    def _syntax(self, what: str) -> DocumentError:
        return DocumentError(
            f"com.google.gson.stream.MalformedJsonException: {what} at character {self._at}",
            self._path,
        )

    def _shape(self, expected: str) -> DocumentError:
        shown = self._text[self._at : self._at + 40].split("\n")[0]
        return DocumentError(
            f"com.google.gson.JsonSyntaxException: Not {expected}: {shown}", self._path
        )


def _decoded(body: bytes) -> str:
    """Decode UTF-8; what is none is replaced."""
    return "".join(codecs.iterdecode(_parts(body), "utf-8", "replace"))


def _parts(body: bytes, overlap: int = 0) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE + overlap]


def _clean(value: Any) -> Any:
    """Replace the halves of surrogate pairs that stand alone, which no UTF-8 text can have."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(element) for element in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(element) for key, element in value.items()}
    return value


def count(body: bytes, limit: int, version: str = "V2") -> int:
    """
    Count the groups and indicators of a document.

    Args:
        body: The bytes that were sent.
        limit: Where to stop counting.
        version: ``V2`` or ``V1``.

    Returns:
        How many there are before the end, the limit or the first fault.
    """
    number = 0
    try:
        for item in Document(body, version).items():
            number += item.section != "association"
            if number >= limit:
                break
    except DocumentError:
        pass
    return number
