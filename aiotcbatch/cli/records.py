"""
Entities from files: NDJSON, or a batch document.

`RecordReader` is fed bytes and gives records; it reads no file itself.
"""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from aiotcbatch.entities.group import GROUP_CLASSES
from aiotcbatch.entities.values import nearest
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
#: TcEx adds it to what it deletes, with nothing in it.
_OF_TCEX = "file"
_GZIP = b"\x1f\x8b"
#: Bytes after which it is decided at last whether they are lines or one value.
_LOOKED_AT = 1 << 20
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
    Where the first line is the beginning of one that goes on in further lines, the whole input is
    taken as one value, and so held in memory. A byte order mark is skipped.

    Args:
        name: What the input is called in errors.
        on_refused: Called with what is wrong where there is no entity, instead of raising it.
    """

    def __init__(
        self, name: str, on_refused: Callable[[ValidationError], None] | None = None
    ) -> None:
        self._name = name
        self._refuse = on_refused or _raise
        self._rest: list[bytes] = []
        self._held = 0
        self._line = 0
        #: Whether each line is a value; None as long as that is not known.
        self._by_line: bool | None = None
        #: Whether the first line is the beginning of a value, as far as it tells.
        self._goes_on = False

    def feed(self, data: bytes) -> list[Record]:
        """
        Take the next bytes.

        Args:
            data: Any number of them, cut anywhere.

        Returns:
            The records that are complete now.

        Raises:
            ValidationError: When something is not JSON, or not an entity, and nobody is to be
                told of it instead.
        """
        self._rest.append(data)
        if self._by_line is None:
            self._held += len(data)
            if self._held >= _LOOKED_AT if self._goes_on else b"\n" in data:
                self._decide()
        if not self._by_line or b"\n" not in data:
            return []
        *lines, rest = b"".join(self._rest).split(b"\n")
        self._rest = [rest]
        return self._read_lines(lines)

    def close(self) -> list[Record]:
        """
        Say that the input is over.

        Returns:
            The last records.

        Raises:
            ValidationError: As `feed`.
        """
        text, self._rest = b"".join(self._rest), []
        if self._by_line:
            return self._read_lines(text.split(b"\n"))
        if self._by_line is None:
            text = text.removeprefix(BOM_UTF8)
        if not text.strip():
            return []
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            if self._by_line is None and _has_values_by_line(text):
                return self._read_lines(text.split(b"\n"))
            form, line = "one JSON object a line, or one batch document", f"line {error.lineno}, "
            self._refuse(_no_json(text, form, error, self._name, line))
            return []
        return list(self._flatten(value, self._name))

    def _decide(self) -> None:
        """Find out how the input is to be read, if that can be told from what is here."""
        text = b"".join(self._rest).removeprefix(BOM_UTF8)
        self._rest = [text]
        first, ended, _ = text.lstrip().partition(b"\n")
        if not ended:
            return
        self._goes_on = _may_go_on(first)
        if not self._goes_on:
            self._by_line = True
        elif self._held >= _LOOKED_AT:
            looked_at = text[:_LOOKED_AT].rpartition(b"\n")[0] or first
            self._by_line = not _may_go_on(looked_at) and _has_values_by_line(looked_at)

    def _read_lines(self, lines: list[bytes]) -> list[Record]:
        return [record for line in lines for record in self._read_line(line)]

    def _read_line(self, line: bytes) -> Iterator[Record]:
        self._line += 1
        if not line.strip():
            return
        where = f"{self._name}:{self._line}"
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            self._refuse(_no_json(line, "one JSON object a line", error, where))
        else:
            yield from self._flatten(value, where)

    def _flatten(self, value: Any, where: str) -> Iterator[Record]:
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._flatten(item, f"{where}[{index}]")
        elif not isinstance(value, dict):
            self._refuse(ValidationError("input", value, _SHAPES, about=where))
        elif is_letter(value) or not _is_document(value):
            try:
                yield _record(value, where)
            except ValidationError as error:
                self._refuse(error)
        else:
            yield from self._document(value, where)

    def _document(self, document: dict[str, Any], where: str) -> Iterator[Record]:
        for key, value in document.items():
            if key not in _KINDS and not (key == _OF_TCEX and not value):
                self._refuse(ValidationError("key", key, _keys_like(key), about=where))
        for kind in _KINDS:
            items = document.get(kind)
            if items is None:
                continue
            if not isinstance(items, list):
                self._refuse(ValidationError(kind, items, "a list of objects", about=where))
                continue
            for index, item in enumerate(items):
                place = f"{where} {kind}[{index}]"
                if isinstance(item, dict):
                    yield Record(kind, item, place)
                else:
                    self._refuse(ValidationError(kind, item, "an object", about=place))


def _raise(error: ValidationError) -> NoReturn:
    raise error


def _no_json(
    text: bytes, form: str, error: orjson.JSONDecodeError, where: str, line: str = ""
) -> ValidationError:
    shown = text[:60].decode(errors="replace")
    why = _other_encoding(text)
    # of what does not even begin as JSON does, what is wrong with it as JSON says nothing
    if why is None and _may_be_value(text):
        why = f"{error.msg}: {line}column {error.colno}"
    why = "" if why is None else f" ({why})"
    return ValidationError("input", shown, f"{form}{why}", about=where)


def _other_encoding(text: bytes) -> str | None:
    """Say what it is where it cannot be JSON in UTF-8."""
    if text.startswith(_GZIP):
        return "this is compressed: `gzip -dc FILE | aiotcbatch submit -`"
    if text.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "this is UTF-16: `iconv -f UTF-16 -t UTF-8 FILE | aiotcbatch submit -`"
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"this is not UTF-8: byte {error.start + 1} is {text[error.start]:#04x}"
    return None


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _may_be_value(text: bytes) -> bool:
    """Whether it begins as an object or a list does."""
    return text.lstrip()[:1] in {b"{", b"["}


def _may_go_on(text: bytes) -> bool:
    """Whether it is the beginning of an object or a list, and nothing is wrong with it so far."""
    if not _may_be_value(text):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return error.pos >= len(error.doc.rstrip())
    return False


def _has_values_by_line(text: bytes) -> bool:
    """
    Whether text that is no JSON as a whole is lines of JSON, some of which are wrong.

    The lines of an indented document are mostly none by themselves.
    """
    first, *others = [line for line in text.split(b"\n") if line.strip()] or [b""]
    if not _may_be_value(first):
        return True
    return sum(_may_be_value(line) and _is_json(line) for line in others) * 2 > len(others)


def _is_document(value: dict[str, Any]) -> bool:
    """Whether it holds entities, under keys that are right or nearly so, and is none itself."""
    if any(isinstance(value.get(kind), list) for kind in _KINDS):
        return True
    return "type" not in value and any(
        key in _KINDS or (isinstance(item, list) and nearest(key, _KINDS) is not None)
        for key, item in value.items()
    )


def _keys_like(key: str) -> str:
    near, known = nearest(key, _KINDS), "group, indicator or association"
    return f"a key of a batch document: {known}" if near is None else f"{near!r} ({known})"


def _record(value: dict[str, Any], where: str) -> Record:
    if is_letter(value):
        letter = letter_in(value, where)
        return Record(letter.kind, letter.entity, where, letter)
    return Record(_kind(value, where), value, where)


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
