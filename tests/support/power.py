"""Cutting the power of a process with a journal: what is on the disk then, torn writes included."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, to_thread

from aiotcbatch.journal.file import JournalFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    import pytest

__all__ = ["Power", "PowerError"]

#: A disk writes these as a whole, or not.
SECTOR = 512

#: The files of a journal that are on the disk, by their suffixes.
Files = dict[str, bytes]


class PowerError(BaseException):
    """The power is gone."""


class Power:
    """
    Counts events, which are requests and writes of a journal, and cuts the power at one of them.

    Args:
        path: The journal.
        patch: Undoes what is patched.
        random: Chooses what comes to the disk.
        at: The number of the event, from 1 on; 0 for none.
        way: ``before``, ``torn`` or ``after``.
    """

    def __init__(
        self, path: Path, patch: pytest.MonkeyPatch, random: Random, at: int, way: str
    ) -> None:
        self.is_cut = False
        self.passed = 0
        self._random = random
        self._at = at
        self._way = way
        self._path = path
        #: What is on the disk when the power is gone.
        self._left: Files = {}
        self._turn = Lock()
        self._counting = Lock()
        transact = JournalFile._transact

        def written(file: JournalFile, steps: Sequence[Any]) -> None:
            with self._turn:
                if not self._comes():
                    transact(file, steps)
                    return
                before = files_of(file.path)
                if self._way != "before":
                    transact(file, steps)
                after = files_of(file.path)
                self._left = after if self._way == "after" else self._torn(before, after)
            raise PowerError

        patch.setattr(JournalFile, "_transact", written)

    def _comes(self) -> bool:
        """Count an event; whether the power is cut at it."""
        with self._counting:
            if self.is_cut:
                raise PowerError
            self.passed += 1
            self.is_cut = self.passed == self._at
            return self.is_cut

    async def request(self) -> None:
        """Count a request; what is being written when it cuts the power is written first."""
        if self._comes():
            # Whoever else meets the cut may cancel this, and closes the journal after it.
            with CancelScope(shield=True):
                await to_thread.run_sync(self._look)
            raise PowerError

    def _look(self) -> None:
        with self._turn:
            self._left = files_of(self._path)

    def _torn(self, before: Files, after: Files) -> Files:
        """
        Write some of what is to be written, in any order, and spoil some.

        The lock's note is written when the log is on the disk; so it is as it was, or it is torn.
        """
        left = dict(before)
        left["-wal"] = self._mixed(before.get("-wal", b""), after.get("-wal", b""))
        if self._random.random() < 0.2:
            left["-lock"] = self._spoiled(left.get("-lock", b""))
        return left

    def _mixed(self, before: bytes, after: bytes) -> bytes:
        mixed = bytearray(before.ljust(len(after), b"\0"))
        for at in range(0, len(after), SECTOR):
            sector = after[at : at + SECTOR]
            if sector == mixed[at : at + SECTOR]:
                continue
            how = self._random.choice(("written", "written", "not written", "spoiled"))
            if how == "written":
                mixed[at : at + SECTOR] = sector
            elif how == "spoiled":
                mixed[at : at + SECTOR] = self._spoiled(sector)
        if len(after) > len(before):  # the length is written by itself
            del mixed[self._random.randint(len(before), len(after)) :]
        return bytes(mixed)

    def _spoiled(self, data: bytes) -> bytes:
        """Write only the beginning, then noise."""
        kept = self._random.randrange(len(data) + 1)
        return data[:kept] + self._random.randbytes(len(data) - kept)

    def restored(self, directory: Path) -> Path:
        """Give what the next process finds, in a directory of its own."""
        directory.mkdir()
        path = directory / self._path.name
        for suffix, data in self._left.items():
            Path(f"{path}{suffix}").write_bytes(data)
        return path


def files_of(path: Path) -> Files:
    """Read the files of a journal; what readers and writers share is on no disk."""
    found = {suffix: Path(f"{path}{suffix}") for suffix in ("", "-wal", "-lock")}
    return {suffix: file.read_bytes() for suffix, file in found.items() if file.exists()}
