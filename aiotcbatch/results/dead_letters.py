"""
Dead letters: what was not accepted, as lines of JSON that can be put right and sent again.

A line is an object::

    entity      the group, indicator or association, as it was sent
    kind        ``group``, ``indicator`` or ``association``
    state       ``rejected``, ``unprocessed`` or ``unknown``; ``accepted`` if a part is missing
    errors      every error of the server about it, with what its code means
    source      what was given as its ``source=``, if anything was
    file        the content of a document or report, if it is not uploaded: ``file_name``, and
                ``text``, ``base64`` or ``path``, or ``lost`` where it can be had from nowhere
    owner       the owner that it is for
    action      ``Create`` or ``Delete``
    job         the id of its job at the server, if it had one
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from anyio import to_thread

from aiotcbatch.checking import checked_path
from aiotcbatch.collecting.origins import Origin, StoredContent, described
from aiotcbatch.entities.contents import LostContent
from aiotcbatch.errors import (
    AiotcbatchError,
    ConfigurationError,
    DeadLettersError,
    ValidationError,
)
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator
    from typing import BinaryIO

    from aiotcbatch.entities.contents import FileContent, FileItem
    from aiotcbatch.results.outcomes import Kind, Outcome
    from aiotcbatch.results.status import BatchError

__all__ = ["Letter", "is_letter", "letter_in", "read_letters", "write_letters"]

#: Lines that are written or read at once in a worker thread.
_SLICE = 256
_KINDS = ("group", "indicator", "association")


class Letter(Value):
    """One entity to be sent again."""

    entity: dict[str, Any]
    kind: Kind
    state: str
    source: Any
    owner: str | None
    action: str | None
    #: The content that is to be uploaded; None if it has no file.
    content: FileContent | None
    #: Where it stands, such as ``failed.ndjson:3``.
    where: str


# Writing


async def write_letters(path: str | os.PathLike[str], outcomes: Iterable[Outcome]) -> int:
    """
    Append outcomes to a file that only its user can read; without any it is not made.

    Returns:
        How many there were.

    Raises:
        DeadLettersError: When it cannot be written.
        ConfigurationError: When it is no path.
    """
    written = 0
    rest = iter(outcomes)
    if path is None:
        raise ConfigurationError("path", path, "a path, as text or as a Path")
    file = Path(checked_path("path", path))
    while lines := await to_thread.run_sync(_append, file, rest):
        written += lines
    return written


def _append(path: Path, outcomes: Iterator[Outcome]) -> int:
    lines = [_line(outcome) for outcome in islice(outcomes, _SLICE)]
    if lines:
        try:
            with open(path, "ab", opener=_open_private) as file:
                file.write(b"".join(lines))
        except OSError as error:
            raise DeadLettersError(
                f"what failed could not be written to {path}: {error.strerror or error}",
                path=str(path),
            ) from error
    return len(lines)


def _open_private(name: str, flags: int) -> int:
    descriptor = os.open(name, flags, 0o600)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) and mode & 0o077:  # it was there, for others too
        os.fchmod(descriptor, 0o600)
    return descriptor


def _line(outcome: Outcome) -> bytes:
    line: dict[str, Any] = {
        "entity": outcome.data,
        "kind": outcome.kind,
        "state": outcome.state,
        "errors": [_error(error) for error in outcome.errors],
    }
    if outcome.source is not None:
        line["source"] = outcome.source
    if outcome.file is not None:
        line["file"] = _file(outcome.file)
        if outcome.upload is not None and outcome.upload.error:
            line["file"]["error"] = outcome.upload.error
    line |= {"owner": outcome.owner, "action": outcome.action}
    if outcome.batch_id is not None:
        line["job"] = outcome.batch_id
    return orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE)


def _error(error: BatchError) -> dict[str, Any]:
    said = {name: value for name, value in error.items() if name not in {"xid", "association"}}
    return said | ({"meaning": error.meaning, "hint": error.hint} if error.meaning else {})


def _file(item: FileItem) -> dict[str, Any]:
    said: dict[str, Any] = {} if item.file_name is None else {"file_name": item.file_name}
    content: FileContent | None = item.content
    if isinstance(content, StoredContent):
        try:
            content = content.load()
        except AiotcbatchError as error:
            return said | {"lost": str(error)}
    if isinstance(content, LostContent):
        return said | {"lost": content.why}
    origin, detail, kept = described(content)
    if origin is Origin.TEXT:
        return said | {"text": bytes(kept).decode()}
    if origin is Origin.BYTES:
        return said | {"base64": base64.b64encode(kept).decode()}
    if origin is Origin.PATH:
        return said | {"path": detail}
    return said | {"lost": detail}


# Reading


async def read_letters(path: str | os.PathLike[str]) -> AsyncGenerator[Letter, None]:
    """
    Read a file of dead letters, whatever was changed in it by hand.

    Yields:
        One for each line that is not empty.

    Raises:
        ConfigurationError: When there is no such file, or it cannot be read.
        ValidationError: When a line is not a dead letter, with its number.
    """
    name = Path(path)
    try:
        file = await to_thread.run_sync(lambda: name.open("rb"))
    except FileNotFoundError:
        raise ConfigurationError("dead letters", str(path), "a file that exists") from None
    except OSError as error:
        accepted = f"a file that can be read ({error.strerror})"
        raise ConfigurationError("dead letters", str(path), accepted) from error
    number = 0
    try:
        # What is appended meanwhile, as by a submit of these, is not for this one.
        size = os.fstat(file.fileno()).st_size
        while lines := await to_thread.run_sync(_lines, file, size):
            for line in lines:
                number += 1
                if line.strip():
                    yield _read(line, f"{name.name}:{number}")
    finally:
        file.close()


def _lines(file: BinaryIO, size: int) -> list[bytes]:
    lines: list[bytes] = []
    while len(lines) < _SLICE and file.tell() < size:
        lines.append(file.readline())
    return lines


def _read(line: bytes, where: str) -> Letter:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        shown = line[:60].decode(errors="replace").rstrip()
        raise ValidationError("line", shown, f"JSON ({error})", about=where) from None
    if not is_letter(value):
        raise ValidationError("line", value, 'an object with an "entity"', about=where)
    return letter_in(value, where)


def is_letter(value: Any) -> bool:
    """Whether a JSON value is a dead letter, or a line of a journal's export."""
    return isinstance(value, dict) and isinstance(value.get("entity"), dict)


def letter_in(value: dict[str, Any], where: str) -> Letter:
    """
    Read a line.

    Args:
        value: The object.
        where: Where it stands.

    Raises:
        ValidationError: When a part of it cannot be understood.
    """
    kind = value.get("kind")
    if kind not in _KINDS:
        raise ValidationError("kind", kind, f"one of {', '.join(_KINDS)}", about=where)
    file = value.get("file")
    if file is not None and not isinstance(file, dict):
        raise ValidationError("file", file, "an object", about=where)
    return Letter(
        entity=value["entity"],
        kind=kind,
        state=str(value.get("state", "rejected")),
        source=value.get("source"),
        owner=value.get("owner"),
        action=value.get("action"),
        content=None if file is None else _content(file, where),
        where=where,
    )


def _content(file: dict[str, Any], where: str) -> FileContent:
    for name in ("text", "base64", "path"):
        value = file.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise ValidationError(f"file {name}", value, "text", about=where)
        if name == "text":
            return value
        if name == "path":
            return Path(value)
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ValidationError("file base64", value, f"base64 ({error})", about=where) from None
    why = file.get("lost") or "none was given"
    needed = 'its "file" needs "text", "base64" or "path"'
    return LostContent(str(why), f"{where} has no content for it ({why}): {needed}")
