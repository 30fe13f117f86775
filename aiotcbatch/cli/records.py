"""
Entities from files: NDJSON, or a batch document.

`RecordReader` is fed bytes and gives records; it reads no file itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.entities.group import GROUP_CLASSES
from aiotcbatch.errors import ValidationError
from aiotcbatch.results.dead_letters import is_letter, letter_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiotcbatch.results.dead_letters import Letter
    from aiotcbatch.results.outcomes import Kind

__all__ = ["Record", "RecordReader"]

_KINDS: tuple[Kind, ...] = ("group", "indicator", "association")
_ENDS = frozenset({"ref_1", "ref_2", "id_1", "id_2"})
_GROUP_TYPES = frozenset(name.casefold() for name in GROUP_CLASSES)
_SHAPES = 'an entity, or a batch document {"group": [], "indicator": [], "association": []}'


@dataclass(frozen=True, slots=True)
class Record:
    """
    One entity as the file has it.

    Attributes:
        kind: What it is.
        data: It, in the form of the wire.
        where: Where it stands, such as ``feed.ndjson:12``.
        letter: The dead letter that it is in, None if it is in none.
    """

    kind: Kind
    data: dict[str, Any]
    where: str
    letter: Letter | None = None


class RecordReader:
    """
    Cuts bytes into records.

    One line is one JSON value: an entity, a dead letter, a batch document, or a list of these.
    Where the first line is not complete JSON, the whole input is taken as one value, and so held
    in memory.

    Args:
        name: What the input is called in errors.
        on_refused: Called with what is wrong with a line that has no entity, instead of raising it.
    """

    def __init__(
        self, name: str, on_refused: Callable[[ValidationError], None] | None = None
    ) -> None:
        self._name = name
        self._on_refused = on_refused
        self._rest: list[bytes] = []
        self._line = 0
        self._by_line: bool | None = None

    def feed(self, data: bytes) -> list[Record]:
        """
        Take the next bytes.

        Args:
            data: Any number of them, cut anywhere.

        Returns:
            The records that are complete now.

        Raises:
            ValidationError: When a line is not JSON, or not an entity.
        """
        if self._by_line is False or b"\n" not in data:
            self._rest.append(data)
            return []
        *lines, rest = b"".join((*self._rest, data)).split(b"\n")
        if self._by_line is None:
            first = next((line for line in lines if line.strip()), None)
            if first is not None:
                self._by_line = _is_json(first)
            if not self._by_line:
                self._rest = [b"\n".join((*lines, rest))]
                return []
        self._rest = [rest]
        return [record for line in lines for record in self._read_line(line)]

    def close(self) -> list[Record]:
        """
        Say that the input is over.

        Returns:
            The last records.

        Raises:
            ValidationError: As `feed`.
        """
        rest, self._rest = b"".join(self._rest), []
        if self._by_line:
            return self._read_line(rest)
        return list(self._records(rest, self._name)) if rest.strip() else []

    def _read_line(self, line: bytes) -> list[Record]:
        self._line += 1
        if not line.strip():
            return []
        try:
            return list(self._records(line, f"{self._name}:{self._line}"))
        except ValidationError as error:
            if self._on_refused is None:
                raise
            self._on_refused(error)
            return []

    def _records(self, text: bytes, where: str) -> Iterator[Record]:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            shown = text[:60].decode(errors="replace")
            raise ValidationError("input", shown, f"JSON ({error})", about=where) from error
        yield from _flatten(value, where)


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _flatten(value: Any, where: str) -> Iterator[Record]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flatten(item, f"{where}[{index}]")
    elif not isinstance(value, dict):
        raise ValidationError("input", value, _SHAPES, about=where)
    elif is_letter(value):
        letter = letter_in(value, where)
        yield Record(letter.kind, letter.entity, where, letter)
    elif any(isinstance(value.get(kind), list) for kind in _KINDS):
        yield from _document(value, where)
    else:
        yield Record(_kind(value, where), value, where)


def _document(document: dict[str, Any], where: str) -> Iterator[Record]:
    for kind in _KINDS:
        for index, item in enumerate(document.get(kind) or ()):
            place = f"{where} {kind}[{index}]"
            if not isinstance(item, dict):
                raise ValidationError(kind, item, "an object", about=place)
            yield Record(kind, item, place)


def _kind(data: dict[str, Any], where: str) -> Kind:
    if not _ENDS.isdisjoint(data):
        return "association"
    type_ = data.get("type")
    if not isinstance(type_, str):
        raise ValidationError("type", type_, "a group or indicator type", about=where)
    if type_.casefold() in _GROUP_TYPES:
        return "group"
    # what has a name and no summary is a group whose type has a slip
    return "group" if "name" in data and "summary" not in data else "indicator"
