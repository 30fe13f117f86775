"""The lock of a journal: one holder at a time, and what the last one had committed."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from zlib import crc32

from aiotcbatch.errors import JournalLockedError

__all__ = ["FileLock", "noted_commits"]

_NONE = -1
#: The commits that are on disk for sure, the process that made them, and a checksum.
_NOTE = struct.Struct("<QQI")


class FileLock:
    """
    A file beside the journal that is locked while somebody has the journal.

    The system gives the lock back when its holder dies, however it dies. The lock is not on the
    journal itself, since a process that closes a file loses all its locks on it, those of SQLite
    included.

    The holder notes in the file how many transactions it has committed. A journal that has fewer
    when it is opened again has lost some: its ``-wal`` was damaged, cut or deleted, which SQLite
    takes for transactions that never were.

    Args:
        journal: The path of the journal.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._path = _lock_of(journal)
        self._descriptor = _NONE

    def acquire(self) -> int | None:
        """
        Take the lock, at once or not at all.

        Returns:
            The commits that the last holder noted; None if it ended normally.

        Raises:
            JournalLockedError: When somebody has it.
            OSError: When the file cannot be made.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            descriptor = os.open(self._path, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _, holder = _read(descriptor)
                os.close(descriptor)
                raise self._refusal(holder) from None
            except BaseException:
                os.close(descriptor)
                raise
            if self._is_at_path(descriptor):
                break
            os.close(descriptor)  # its last holder has removed it meanwhile
        self._descriptor = descriptor
        commits, _ = _read(descriptor)
        self.note(commits or 0)
        return commits

    def note(self, commits: int) -> None:
        """Note how many transactions are on disk."""
        data = struct.pack("<QQ", commits, os.getpid())
        os.pwrite(self._descriptor, data + struct.pack("<I", crc32(data)), 0)

    def release(self, *, remove: bool) -> None:
        """
        Give the lock back.

        Args:
            remove: Whether all is well, so that nothing needs to be remembered.
        """
        if self._descriptor == _NONE:
            return
        if remove:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = _NONE

    def forget(self) -> None:
        """Note, and make sure of it, that there is nothing to be missed."""
        self.note(0)
        os.fsync(self._descriptor)

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _refusal(self, holder: int | None) -> JournalLockedError:
        if holder == os.getpid():
            who = "another batch or stream of this process"
        else:
            who = "another process" if holder is None else f"process {holder}"
        return JournalLockedError(
            f"the journal {self._journal} is in use by {who}: end that first, or name another file",
            path=str(self._journal),
            holder=holder,
        )


def noted_commits(journal: Path) -> int | None:
    """Read, without the lock, how many transactions a journal must have; None if it is unknown."""
    try:
        descriptor = os.open(_lock_of(journal), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        commits, _ = _read(descriptor)
    finally:
        os.close(descriptor)
    return commits


def _lock_of(journal: Path) -> Path:
    return Path(f"{journal}-lock")


def _read(descriptor: int) -> tuple[int | None, int | None]:
    data = os.pread(descriptor, _NOTE.size, 0)
    if len(data) == _NOTE.size:
        commits, holder, crc = _NOTE.unpack(data)
        if crc == crc32(data[:-4]):
            return commits, holder
    return None, None
