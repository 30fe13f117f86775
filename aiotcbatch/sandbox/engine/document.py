"""
Reading a batch document piece by piece, as the server's streaming parser does.

What stands before a fault has been handed out when the fault is met. Source: v2 Batch API, the
error ``Last known JSON path: '$.group[1]'``, which names where reading had got to.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Document", "DocumentError", "Part"]

SECTIONS = ("group", "indicator", "association")

#: What may be half of a pair; orjson takes whole pairs only, and cleans nothing.
_SURROGATE = re.compile(r"\\u[dD]")
_SPACE = re.compile(r"[ \t\r\n]*")
#: Bodies are looked through by pieces of so many bytes; meanwhile no other thread runs.
_PIECE = 1 << 20
#: Elements that look alike are read together from so many characters, or else from fewer.
_BLOCKS = (1 << 16, 1 << 13)
#: Where they do not look alike, so many characters are read one by one before the next try, and
#: twice as many after each that fails.
_LEAST = 1 << 9
#: What can stand at the end of an element, and between two of them.
_CLOSING = ' \t\r\n"]}'
#: How far the end of an element and the first key of the next one are looked at.
_LOOK = 32


class Part(NamedTuple):
    """
    Elements of the document that stand together.

    Attributes:
        section: Their array.
        first: The index there of the first of them.
        values: What they are.
    """

    section: str
    first: int
    values: list[Any]


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
        self._out = 0
        self._path = "$"
        self._version = version
        self._limit = 1
        self._seam = ("", 0)
        self._alone = 0
        self._patience = _LEAST
        self._read = self._parts()

    @property
    def share(self) -> float:
        """How much of it has been handed out, from 0 to 1."""
        return self._out / len(self._text) if self._text else 1.0

    def read(self, limit: int) -> Part | None:
        """
        Read the elements that come next.

        Args:
            limit: The most elements to read.

        Returns:
            Groups, indicators or associations; None when all were read.

        Raises:
            DocumentError: What follows is not JSON, or not of the documented shape.
        """
        self._limit = limit
        return next(self._read, None)

    def _parts(self) -> Iterator[Part]:
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
        self._out = self._at
        if self._at != len(self._text):
            raise self._syntax("Use JsonReader.setLenient(true) to accept malformed JSON")

    def _wrapped(self) -> Iterator[Part]:
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

    def _object(self) -> Iterator[Part]:
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

    def _section(self, name: str) -> Iterator[Part]:
        mark = self._next()
        if mark == "n":
            if self._value() is not None:
                raise self._syntax("Expected value")
            return
        if mark != "[":
            raise self._shape("a JSON Array")
        yield from self._array(name)

    def _array(self, name: str) -> Iterator[Part]:
        """Hand out the elements of an array; those that stand before a fault come before it."""
        prefix = f"$.{name}[" if self._version != "V1" else "$["
        self._at += 1
        more = self._next() != "]"
        self._at += not more
        start, first = self._at, 0
        values: list[Any] = []
        fault: DocumentError | None = None
        while True:
            while more and len(values) < self._limit:
                try:
                    more = self._elements(values, prefix, first)
                except DocumentError as error:
                    fault, more = error, False
            if not values:
                break
            number = min(len(values), self._limit)
            size = (self._at - start) // (first + len(values))
            self._out = self._at - (len(values) - number) * size  # about what was read ahead
            # No name for it here, since that would keep it until the next one is asked for.
            yield Part(name, first, _taken(values, number))
            first += number
        if fault is not None:
            raise fault

    def _elements(self, values: list[Any], prefix: str, first: int) -> bool:
        """Read one element, or many that look alike; False behind the last one of the array."""
        if self._seam[0] and self._at >= self._alone and self._block(values):
            return True
        self._path = f"{prefix}{first + len(values)}]"
        start = self._at
        value = self._value()
        alone = _SURROGATE.search(self._text, start, self._at)
        values.append(value if alone is None else _clean(value))
        self._path = f"{prefix}{first + len(values)}]"
        end = self._at
        more = self._goes_on()
        self._seam = self._between(end) if more else ("", 0)
        return more

    def _between(self, end: int) -> tuple[str, int]:
        """
        Look at what stands between two elements: how one ends, and the next one's first key.

        Returns:
            The text, and how much of it belongs to the first of them; "" if that is no object.
        """
        text, start = self._text, self._at
        behind = text.find(":", start, start + _LOOK)
        if behind < 0:
            return "", 0
        before = text[max(0, end - _LOOK) : end]
        closing = len(before) - len(before.rstrip(_CLOSING))
        return text[end - closing : behind], closing

    def _block(self, values: list[Any]) -> bool:
        """
        Read the elements up to the last place that looks like one between two of them.

        What is JSON between brackets is a row of whole elements, wherever that place is; what is
        not, or not for orjson, which is stricter and three times as fast, is read one by one.
        """
        text, start = self._text, self._at
        seam, closing = self._seam
        for size in _BLOCKS:
            place = text.rfind(seam, start, start + size)
            if place < 0:
                break
            try:
                values += orjson.loads(f"[{text[start : place + closing]}]")
            except orjson.JSONDecodeError:
                continue
            self._at = place + closing
            self._patience = _LEAST
            return self._goes_on()
        self._alone = start + self._patience
        self._patience = min(2 * self._patience, _BLOCKS[0])
        return False

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


def _taken(values: list[Any], number: int) -> list[Any]:
    """Take the first values out of a list."""
    taken = values[:number]
    del values[:number]
    return taken


def _decoded(body: bytes) -> str:
    """Decode UTF-8; what is none is replaced."""
    return "".join(codecs.iterdecode(_parts(body), "utf-8", "replace"))


def _parts(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


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
    document = Document(body, version)
    try:
        while number < limit and (part := document.read(limit - number)) is not None:
            number += len(part.values) if part.section != "association" else 0
    except DocumentError:
        pass
    return number
