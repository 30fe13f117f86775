"""The file of a journal: opened by one at a time, written in transactions, closed."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aiotcbatch.errors import (
    ClosedError,
    JournalDamagedError,
    JournalError,
)
from aiotcbatch.journal.bodies import Readers, way_out
from aiotcbatch.journal.ledger import Ledger
from aiotcbatch.journal.lock import FileLock
from aiotcbatch.journal.opening import (
    Opener,
    beside,
    connect,
    damage,
    explained,
    kept_settings,
    looked_into,
    prepare,
    read_meta,
    told_settings,
)
from aiotcbatch.journal.restoring import restored
from aiotcbatch.journal.schema import META, VERSION, Connection, MetaRow
from aiotcbatch.journal.survey import survey

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from aiotcbatch.journal.records import Restored

__all__ = ["JournalFile", "Step", "look_at"]

R = TypeVar("R")

#: A file of which this much is free is made small when nothing is left in it.
_FREE_BYTES = 16 * 1024 * 1024
#: The last byte of SQLite's codes tells their kind; this one is that the disk has failed.
_KIND, _IO_ERROR = 0xFF, 10


class Step(Generic[R]):
    """Something that is to be written, and what came of it."""

    def __init__(self, work: Callable[[Ledger], R]) -> None:
        self._work = work
        self._result: R
        self._error: BaseException | None = None
        #: Whether it is written, or has failed.
        self.done = False

    def run(self, ledger: Ledger) -> None:
        """Write it; the result holds once the transaction does."""
        self._result = self._work(ledger)

    def failed(self, error: BaseException) -> None:
        """Note that nothing is written."""
        self._error = error

    def outcome(self) -> R:
        """Give the result, or raise why there is none."""
        if self._error is not None:
            raise self._error
        return self._result


class JournalFile:
    """
    A journal that is open. Everything here blocks: it belongs in a worker thread.

    Args:
        path: The file, which has been prepared.
        lock: Its lock, which is held.
        clock: Seconds since 1970.
    """

    def __init__(self, path: Path, lock: FileLock, clock: Callable[[], float]) -> None:
        self.path = path
        self._lock = lock
        #: A task that was cancelled may leave a thread that still writes when the next comes.
        self._turn = Lock()
        self._broken = ""
        self._db: Connection | None = connect(path)
        try:
            self._ledger = Ledger(self._db, clock)
            meta = read_meta(self._db)
            (self._commits,) = self._db.execute("SELECT commits FROM seal").fetchone()
            self.readers = Readers(path)
        except BaseException:
            self._db.close()
            raise
        if meta is None:
            raise AssertionError("a journal is prepared before it is opened")
        self.owner = meta.owner
        #: Those with which it was opened the last time.
        self.settings, self._instance = told_settings(meta)
        self._kept = meta.settings
        lock.note(self._commits)

    @classmethod
    def open(
        cls,
        name: str | os.PathLike[str],
        opener: Opener,
        clock: Callable[[], float],
    ) -> JournalFile:
        """
        Open a journal, or make it.

        Args:
            name: The path of the file.
            opener: Who opens it; what it says is kept for the next time.
            clock: Seconds since 1970.

        Raises:
            JournalLockedError: When somebody has it.
            JournalDamagedError: When it is not as it was written.
            JournalError: When the disk does not let it be opened.
            ConfigurationError: When it is another owner's, has jobs of another instance, or is
                none that can be used.
        """
        path = Path(name).resolve()
        lock = FileLock(path)
        with explained(path):
            noted = lock.acquire()
            try:
                prepare(path, noted, opener)
                file = cls(path, lock, clock)
                file.keep_settings(opener)
            except BaseException:
                lock.release(remove=noted is None)
                raise
        return file

    def keep_settings(self, opener: Opener) -> None:
        """Keep settings for the next time; this time, the last ones are told."""
        wanted = kept_settings(opener.settings or self.settings, opener.instance or self._instance)
        if wanted != self._kept:
            row = MetaRow(1, VERSION, self.owner, wanted)
            step = Step(lambda ledger: META.update(ledger.db, row))
            self.write([step])
            step.outcome()

    def write(self, steps: Sequence[Step[Any]]) -> None:
        """Write some steps in one transaction, each as a whole or not at all."""
        with self._turn:
            try:
                self._transact(steps)
            except BaseException as error:  # noqa: BLE001 - raised where the steps are awaited
                for step in steps:
                    step.failed(self._explanation(error))
            finally:
                for step in steps:
                    step.done = True

    def _transact(self, steps: Sequence[Step[Any]]) -> None:
        db = self._usable()
        db.execute("BEGIN IMMEDIATE")
        try:
            for step in steps:
                self._take(db, step)
            db.execute("UPDATE seal SET commits = commits + 1")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._commits += 1
        with suppress(OSError):  # then less is missed if the log is lost
            self._lock.note(self._commits)
        self._shrink(db)

    def _take(self, db: Connection, step: Step[Any]) -> None:
        db.execute("SAVEPOINT step")
        try:
            step.run(self._ledger)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
                raise  # the disk, or the file: all steps of this transaction fail
            db.execute("ROLLBACK TO step")
            step.failed(error)
        db.execute("RELEASE step")

    def _shrink(self, db: Connection) -> None:
        """Give the disk back what a backlog has taken, when there is nothing left."""
        if db.execute("SELECT 1 FROM block LIMIT 1").fetchone() is not None:
            return
        (pages,) = db.execute("PRAGMA freelist_count").fetchone()
        (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
        if pages * page_bytes > _FREE_BYTES:
            with suppress(sqlite3.Error):  # it is small the next time
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _usable(self) -> Connection:
        if self._db is None:
            raise ClosedError(f"the journal {self.path} is closed")
        if self._broken:
            raise JournalError(self._broken, path=str(self.path))
        return self._db

    def _explanation(self, error: BaseException) -> BaseException:
        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & _KIND
        said = f"the journal {self.path} could not be written: {error}"
        if code == _IO_ERROR:
            # What an fsync has failed for may seem to be written by the next one, and is not.
            self._broken = f"{said}; open it again to go on from what is on the disk"
            said = self._broken
        elif code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            said = f"{said}: {way_out(self.path)}"
            return JournalDamagedError(said, path=str(self.path), faults=(str(error),))
        explanation = JournalError(said, path=str(self.path))
        if code == sqlite3.SQLITE_FULL:
            explanation.advise(
                "What it has stays there. When there is room, call drain() or submit() again; a"
                " stream that has ended by this is gone on with by who opens its journal."
            )
        explanation.__cause__ = error
        return explanation

    def load(self) -> Restored:
        """Read what is still to be done."""
        with self._turn:
            found = survey(self._usable(), deep=False)
            if found.faults:
                raise damage(self.path, found)
            return restored(found, self.readers, self.owner, self.settings)

    def _is_empty(self, db: Connection) -> bool:
        if self._broken:
            return False
        query = "SELECT EXISTS (SELECT 1 FROM segment) + EXISTS (SELECT 1 FROM job)"
        try:
            (left,) = db.execute(query).fetchone()
        except sqlite3.Error:
            return False
        return not left

    def close(self, *, remove_if_done: bool = False) -> bool:
        """
        Close the file; closing it twice is harmless.

        Args:
            remove_if_done: Whether to delete it when nothing is left to do.

        Returns:
            Whether it is deleted.
        """
        with self._turn:
            if self._db is None:
                return False
            db, self._db = self._db, None
            remove = remove_if_done and self._is_empty(db)
            self.readers.close()
            # The last one to close the file puts its log into it.
            db.close()
            if remove:
                self._lock.forget()
                for suffix in ("", "-wal", "-shm"):
                    beside(self.path, suffix).unlink(missing_ok=True)
            self._lock.release(remove=not beside(self.path, "-wal").exists())
            return remove


def look_at(name: str | os.PathLike[str]) -> Restored:
    """
    Read and check what is still to be done, while somebody may be at work on it.

    Records cannot be read from what this returns; `export` gives them.

    Raises:
        JournalDamagedError: When it is not as it was written.
        ConfigurationError: When there is no journal, but something else or nothing.
    """
    with looked_into(name) as (path, _, found):
        if found.meta is None or found.faults:
            raise damage(path, found)
        readers = Readers(path)
        readers.close()
        settings, _ = told_settings(found.meta)
        return restored(found, readers, found.meta.owner, settings)
