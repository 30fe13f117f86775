"""Where the contents of files come from, as far as that can be kept and found again."""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from functools import partial, reduce
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiotcbatch.collecting.spool import StoredSlice
    from aiotcbatch.entities.contents import FileContent

__all__ = ["Origin", "Source", "StoredContent", "described"]


class Origin(IntEnum):
    """What a content was."""

    BYTES = 1
    TEXT = 2
    PATH = 3
    #: A callable that can be imported by its name.
    CALLABLE = 4
    #: What ends with its process: an open file, an async iterable, a lambda.
    OPAQUE = 5


class StoredContent:
    """A content that is kept in the journal, read when it is uploaded."""

    def __init__(self, kept: StoredSlice, *, text: bool) -> None:
        self._kept = kept
        self._text = text

    def __len__(self) -> int:
        return len(self._kept)

    async def __call__(self, xid: str) -> bytes | str:
        """Read it."""
        del xid
        return self._decoded(await self._kept.fetch())

    def load(self) -> bytes | str:
        """Read it at once; it raises what reading the slice raises."""
        return self._decoded(self._kept.read())

    def _decoded(self, data: bytes) -> bytes | str:
        return data.decode() if self._text else data


class Source(NamedTuple):
    """Where a content comes from."""

    origin: Origin
    #: The path, ``module:qualname`` of the callable, or what an opaque one looked like.
    detail: str
    #: What is kept in the journal, of bytes and text that were not uploaded yet.
    kept: StoredSlice | None = None

    def content(
        self, xid: str, ask: Callable[[str], FileContent | None] | None = None
    ) -> FileContent | None:
        """
        Give the content, or what makes it.

        Args:
            xid: The group that it belongs to.
            ask: Called with the xid for what the journal cannot keep: callables, open files and
                async iterables. None, or a None from it, has a callable imported by its name.

        Returns:
            The content; None if it cannot be had any more. A callable that cannot be imported is
            one that says so when it is called.
        """
        if self.origin in {Origin.BYTES, Origin.TEXT}:
            if self.kept is None:
                return None
            return StoredContent(self.kept, text=self.origin is Origin.TEXT)
        if self.origin is Origin.PATH:
            return Path(self.detail)
        asked = ask(xid) if ask is not None else None
        if asked is None and self.origin is Origin.CALLABLE:
            return _imported(self.detail)
        return asked

    def __str__(self) -> str:
        if self.origin in {Origin.BYTES, Origin.TEXT}:
            return f"{self.origin.name.lower()} in the journal"
        word = {Origin.PATH: "the file", Origin.CALLABLE: "the callable"}.get(self.origin, "")
        return f"{word} {self.detail}".lstrip()


def described(content: FileContent | None) -> tuple[Origin, str, bytes | memoryview]:
    """
    Say what is kept of a content.

    Returns:
        What it was, the text that tells where it comes from, and the bytes that are kept.
    """
    if isinstance(content, str):
        return Origin.TEXT, "", content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        return Origin.BYTES, "", memoryview(content).cast("B")
    if isinstance(content, os.PathLike):
        return Origin.PATH, str(Path(os.fspath(content)).absolute()), b""
    name = _name_of(content)
    if name is not None:
        return Origin.CALLABLE, name, b""
    return Origin.OPAQUE, f"a {type(content).__name__}", b""


def _name_of(content: object) -> str | None:
    """The name by which a callable can be imported again, None if there is none."""
    module, qualname = (getattr(content, name, None) for name in ("__module__", "__qualname__"))
    if not (isinstance(module, str) and isinstance(qualname, str) and callable(content)):
        return None
    found = _attribute(sys.modules.get(module), qualname)
    return f"{module}:{qualname}" if found is content else None


def _imported(name: str) -> FileContent:
    """Import a callable by its name; what stands for one that is not there fails when called."""
    module, _, qualname = name.partition(":")
    try:
        found = _attribute(import_module(module), qualname)
    except ImportError as error:
        return partial(_fail, name, str(error))
    if callable(found):
        return cast("FileContent", found)
    return partial(_fail, name, f"there is no function {qualname!r} in module {module!r}")


def _fail(name: str, why: str, xid: str) -> NoReturn:
    """Fail as a file does that cannot be read, so that the content stays in the journal."""
    raise ImportError(
        f"the content of {xid!r} comes from {name}, which cannot be imported: {why}; have it where"
        " Python finds modules (PYTHONPATH), or give it by `contents` of the batch or stream"
    )


def _attribute(module: object, qualname: str) -> object:
    return reduce(lambda found, name: getattr(found, name, None), qualname.split("."), module)
