"""Bodies that clients send: small ones stay in memory, large ones go to a file as they come in."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Container

__all__ = ["Received", "Spool", "TooLargeError"]

#: Up to here a body is held in memory and stored in the database itself.
IN_MEMORY = 1 << 20
#: Files are written by pieces of this size, each in a worker thread.
PIECE = 1 << 20


class TooLargeError(Exception):
    """The body is larger than it may be."""


@dataclass(frozen=True, slots=True)
class Received:
    """
    A body that has arrived in full.

    Attributes:
        size: Its length in bytes.
        sha256: Its hash in hexadecimal digits.
        body: The bytes, when they are few.
        file: Else the name of the spool's file that has them.
    """

    size: int
    sha256: str
    body: bytes | None
    file: str | None


class Spool:
    """
    A directory of numbered files; no name that a client chose ever reaches the file system.

    Args:
        directory: Where, or None for a private temporary directory that goes when it is closed.
    """

    def __init__(self, directory: Path | None) -> None:
        self._kept = directory
        self._directory = directory
        self._count = 0
        self._naming = threading.Lock()

    @property
    def directory(self) -> Path:
        """Where the files are, made when it is first needed."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="aiotcbatch-sandbox-"))
        return self._directory

    def close(self) -> None:
        """Remove the directory if it was a temporary one."""
        if self._kept is None and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def path(self, file: str) -> Path:
        """Return where the file of that name is."""
        return self.directory / file

    def read(self, file: str) -> bytes:
        """Return all of a file."""
        return self.path(file).read_bytes()

    def remove(self, file: str) -> None:
        """Remove a file; one that is gone already is fine."""
        self.path(file).unlink(missing_ok=True)

    def empty(self) -> None:
        """Remove every file."""
        if self._directory is not None and self._directory.exists():
            for path in self._directory.iterdir():
                path.unlink(missing_ok=True)

    def link_all(self, target: Path) -> None:
        """Put a second name for every file into another directory; contents never change."""
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._directory is None or not self._directory.exists():
            return
        for path in self._directory.iterdir():
            try:
                os.link(path, target / path.name)
            except OSError:
                shutil.copyfile(path, target / path.name)

    def replace_by(self, source: Path) -> None:
        """Make the files those of another directory."""
        self.empty()
        for path in source.iterdir():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                os.link(path, self.directory / path.name)
            except OSError:
                shutil.copyfile(path, self.directory / path.name)

    def keep_only(self, names: Container[str]) -> None:
        """Remove files that nothing points to, such as uploads that a crash cut off."""
        if self._directory is not None and self._directory.exists():
            for path in self._directory.iterdir():
                if path.name not in names:
                    path.unlink(missing_ok=True)

    async def receive(self, stream: AsyncIterable[bytes], limit: int) -> Received:
        """
        Take in a body, with never more than a piece of it in memory.

        Args:
            stream: The body as it comes.
            limit: The most bytes that it may have.

        Returns:
            What arrived and where it is.

        Raises:
            TooLargeError: It has more bytes than that; nothing is kept of it.
        """
        pieces: list[bytes] = []
        held = size = 0
        digest = hashlib.sha256()
        file: str | None = None
        try:
            async for piece in stream:
                size += len(piece)
                if size > limit:
                    raise TooLargeError  # noqa: TRY301  (what was spooled is removed below)
                pieces.append(piece)
                held += len(piece)
                if held >= PIECE and size > IN_MEMORY:
                    if file is None:
                        file = await anyio.to_thread.run_sync(self._name)
                    await anyio.to_thread.run_sync(self._append, file, pieces, digest)
                    pieces, held = [], 0
            if file is None:
                body = b"".join(pieces)
                digest.update(body)
                return Received(size, digest.hexdigest(), body, None)
            await anyio.to_thread.run_sync(self._append, file, pieces, digest)
            return Received(size, digest.hexdigest(), None, file)
        except BaseException:
            if file is not None:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self.remove, file)
            raise

    def _name(self) -> str:
        """Make an empty file of a new name; worker threads may do so at the same time."""
        with self._naming:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                self._count += 1
                name = f"{self._count:08d}"
                if not self.path(name).exists():
                    self.path(name).touch(mode=0o600)
                    return name

    def _append(self, file: str, pieces: list[bytes], digest: hashlib._Hash) -> None:
        block = b"".join(pieces)
        digest.update(block)
        with self.path(file).open("ab") as target:
            target.write(block)
