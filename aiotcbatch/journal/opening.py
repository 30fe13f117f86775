"""Finding out what a file is before it is used: a journal, a damaged one, or something else."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.errors import ConfigurationError, JournalDamagedError, JournalError
from aiotcbatch.journal.bodies import AT_REST, TIDY, connect_reader, way_out
from aiotcbatch.journal.lock import noted_commits
from aiotcbatch.journal.schema import (
    APPLICATION_ID,
    META,
    SCHEMA,
    TABLES,
    UNREADABLE,
    VERSION,
    Connection,
    MetaRow,
)
from aiotcbatch.journal.survey import Survey, survey
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Opener",
    "beside",
    "connect",
    "connect_locked",
    "damage",
    "examined",
    "explained",
    "has_log",
    "kept_settings",
    "looked_into",
    "make",
    "prepare",
    "read_meta",
    "refuse_other",
    "told_settings",
]

_PAGE_BYTES = 8192
#: The log is brought into the database when it has so many pages, 32 MiB. With a quarter of that,
#: which is SQLite's default, a batch of 60,000 takes an eighth more: of what is sent soon, most is
#: deleted before it would be copied.
_LOG_PAGES = 4096
#: A log that grew larger in one transaction is cut to this.
_LOG_BYTES = 64 * 1024 * 1024
_FAULTS_TOLD = 3
_TABLE_NAMES = {table.name for table in TABLES}
#: How long the header of a database is. Many of its bytes are zero, in whatever version.
#: Source: SQLite, "Database File Format".
_HEADER_BYTES = 100
_EMPTY = "the file is empty; if there never was anything in it, delete it"
#: Jobs that are named at most.
_JOBS_TOLD = 5
#: Beside the settings, under this name, is the URL of the instance.
_INSTANCE = "api_url"
#: These say that the file was not read at all.
_NOT_OPENED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY}


class Opener(Value):
    """Who opens a journal, and for what."""

    #: Whom it must be for; None takes any, and makes none.
    owner: str | None
    #: What is kept with it. With another action, what is left in it would be deleted instead of
    #: written.
    settings: Mapping[str, Any]
    #: The URL of the API that jobs are sent to; None if that is not known.
    instance: str | None = None
    #: Another URL of the same instance, at which the jobs may have been begun.
    moved_from: str | None = None


def prepare(path: Path, noted: int | None, opener: Opener) -> None:
    """
    Check a journal, or make it if there is none.

    Args:
        path: The file.
        noted: The commits that its last holder noted, None if it ended normally.
        opener: Who is to use it.

    Raises:
        JournalDamagedError: When it is not as it was written.
        ConfigurationError: When it cannot be used for this owner, action or instance, or is no
            journal.
    """
    refuse_other(path, noted)
    if not _is_there(path, noted):
        if opener.owner is None:
            raise ConfigurationError("journal", str(path), "a journal that exists")
        make(path, opener.owner, kept_settings(opener.settings, opener.instance))
        return
    with closing(connect_locked(path)) as db:
        meta = _checked_meta(db, path)
        if meta is not None:
            _check_use(path, meta, opener.owner)
        found = examined(db, noted)
        if found.faults:
            raise damage(path, found)
        _check_action(found, opener.settings)
        _check_instance(path, found, opener)


def kept_settings(settings: Mapping[str, Any], instance: str | None) -> str:
    """Give the settings, and the instance if it is known, as they are kept."""
    beside = {} if instance is None else {_INSTANCE: instance}
    return orjson.dumps({**settings, **beside}, default=str).decode()


def told_settings(meta: MetaRow) -> tuple[dict[str, Any], str | None]:
    """Give the settings that are kept, and the instance; older journals do not have that."""
    settings: dict[str, Any] = orjson.loads(meta.settings)
    return settings, settings.pop(_INSTANCE, None)


def refuse_other(path: Path, noted: int | None) -> None:
    """
    Refuse a file that never was a journal, so that nobody is told to salvage it.

    That is certain of text, since a journal whose beginning is torn, cut or rotted has zeros in
    it or is too short to tell; and of another program's database, which has other tables.

    Args:
        path: The file; nothing is said if it is not there.
        noted: As for `prepare`; there was a journal where something was noted.

    Raises:
        ConfigurationError: When it is something else.
    """
    if not noted and path.is_file() and (_is_text(path) or _is_other_database(path, noted)):
        raise ConfigurationError(
            "journal", str(path), "a journal, which this file never was, or a new file"
        )


def _is_text(path: Path) -> bool:
    if has_log(path):
        return False
    with path.open("rb") as file:
        begin = file.read(_HEADER_BYTES)
    return len(begin) == _HEADER_BYTES and 0 not in begin


def _is_other_database(path: Path, noted: int | None) -> bool:
    """Whether it can be read, and has neither the mark of a journal nor its tables."""
    if not path.stat().st_size:
        return False
    with closing(connect_locked(path)) as db, suppress(*UNREADABLE):
        names = _table_names(db)
        (application,) = db.execute("PRAGMA application_id").fetchone()
        begun = noted is not None and not names  # by who died before the first commit
        return application != APPLICATION_ID and not names >= _TABLE_NAMES and not begun
    return False


@contextmanager
def looked_into(name: str | os.PathLike[str]) -> Iterator[tuple[Path, Connection, Survey]]:
    """
    Read a journal while somebody may be at work on it.

    Args:
        name: The path of the file.

    Yields:
        Where it is, a connection that sees it as it was at one moment, and what is in it.

    Raises:
        ConfigurationError: When there is none, but something else or nothing.
        JournalDamagedError: When nothing of it can be read.
        JournalError: When the disk does not let it be read.
    """
    path = Path(name).resolve()
    if not path.is_file():
        raise ConfigurationError("journal", str(path), "a journal that exists")
    noted = noted_commits(path)  # before it is read, since somebody may add to both
    with explained(path):
        refuse_other(path, noted)
        if not path.stat().st_size and not has_log(path):
            raise _lost(path, _EMPTY)
        with closing(_connect_shared(path)) as db:
            db.execute("BEGIN")
            _check_opened(db, path)
            found = examined(db, noted)
            if found.meta is None and not found.segments:
                raise damage(path, found)
            yield path, db, found


def examined(db: Connection, noted: int | None) -> Survey:
    """
    Read every byte of a journal, and what is wrong with it.

    Args:
        db: A connection.
        noted: The commits that it must have at least, None if that is unknown.
    """
    found = survey(db, deep=True)
    if noted and found.commits < noted:
        found.faults.append(
            f"its last {noted - found.commits} transactions are missing: its -wal file was"
            " damaged, cut or deleted"
        )
    return found


def _is_there(path: Path, noted: int | None) -> bool:
    """Whether a file is more than the beginning of a journal that was never finished."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a directory", str(path))
    size = path.stat().st_size if path.exists() else None
    if not size and (noted or (size is None and has_log(path))):
        raise _lost(path, "the file is gone" if size is None else "the file is empty")
    if size == 0 and noted is None:
        raise _lost(path, _EMPTY)
    if size and noted == 0:
        # Its maker died before the first commit, or it has nothing to do with journals.
        with closing(connect_locked(path)) as db, _damaging(path):
            return bool(_table_names(db))
    return bool(size)


def _checked_meta(db: Connection, path: Path) -> MetaRow | None:
    """Read what the journal is, None if that is damaged."""
    with _damaging(path):
        names = _table_names(db)
    if META.name not in names:
        raise _lost(path, "its tables are gone")
    return read_meta(db)


def read_meta(db: Connection) -> MetaRow | None:
    """Read what a journal is, None if that is damaged."""
    try:
        values = db.execute(META.select).fetchone()
    except UNREADABLE:
        return None
    if values is None or len(values) != META.width:
        return None
    meta = META.row(values[:-1])
    return meta if META.crc(meta) == values[-1] else None


def _check_use(path: Path, meta: MetaRow, owner: str | None) -> None:
    if meta.version != VERSION:
        raise ConfigurationError(
            "journal",
            str(path),
            f"a journal of version {VERSION}, not {meta.version} as another release of"
            " aiotcbatch has made it",
        )
    if owner is not None and owner != meta.owner:
        raise ConfigurationError(
            "owner", owner, f"{meta.owner!r}, to whom the journal {path} belongs"
        )


def _check_action(found: Survey, settings: Mapping[str, Any]) -> None:
    if found.meta is None or not found.segments:
        return
    was, action = orjson.loads(found.meta.settings).get("action"), settings.get("action")
    if was is not None and action is not None and was != action:
        raise ConfigurationError(
            "action", action, f"{was!r}, for which the journal has entities; submit these first"
        )


def _check_instance(path: Path, found: Survey, opener: Opener) -> None:
    """Refuse an instance that would be asked for the jobs of another one."""
    if found.meta is None or opener.instance is None:
        return
    _, was = told_settings(found.meta)
    ids = [row.batch_id for row in found.jobs if row.batch_id is not None]
    if was is None or was in {opener.instance, opener.moved_from} or not ids:
        return
    named = ", ".join(map(str, ids[:_JOBS_TOLD])) + (", ..." if ids[_JOBS_TOLD:] else "")
    raise ConfigurationError(
        "api_url",
        opener.instance,
        f"{was!r}, where the journal {path} has begun jobs ({named}): finish them there; or, if"
        " that is the same instance under another url, say so once by"
        f" journal_moved_from={was!r} of client.batch(), or --journal-moved-from {was}",
    )


def make(path: Path, owner: str, settings: str) -> None:
    """
    Make a journal with nothing in it, private to this user and safe against power loss.

    Args:
        path: The file.
        owner: Whom it is for.
        settings: A JSON object, as `kept_settings` gives it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.close(descriptor)
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    with closing(connect(path)) as db:
        row = MetaRow(1, VERSION, owner, settings)
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
        META.insert(db, row)
        db.execute("UPDATE seal SET commits = 1")
        db.execute("COMMIT")


def connect(path: Path) -> Connection:
    """Open a journal for writing."""
    # psow=0: a disk that loses its power while it writes may spoil what is in the same sector, so
    # each commit fills its last one up. Source: SQLite, "Powersafe Overwrite".
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw&psow=0", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "fullfsync = ON",
            "checkpoint_fullfsync = ON",
            "secure_delete = OFF",
            "temp_store = MEMORY",
            f"journal_size_limit = {_LOG_BYTES}",
            f"wal_autocheckpoint = {_LOG_PAGES}",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
        _require_log(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _require_log(db: Connection, path: Path) -> None:
    (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        raise JournalError(
            f"the journal {path} cannot be there: SQLite's log does not work on that file system",
            path=str(path),
        )


def beside(path: Path, suffix: str) -> Path:
    """Name a file that belongs to a journal."""
    return Path(f"{path}{suffix}")


def connect_locked(path: Path) -> Connection:
    """Open a journal whose lock is held for reading only."""
    return connect_reader(path) if has_log(path) else connect_reader(path, AT_REST)


def _connect_shared(path: Path) -> Connection:
    """Open a journal for reading only, while somebody may be at work on it."""
    if has_log(path):
        return connect_reader(path)
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return connect_reader(path, TIDY)
    # Who is at work on it has a log, be it empty.
    shared = beside(path, "-wal").exists()
    return connect_reader(path) if shared else connect_reader(path, AT_REST)


def _check_opened(db: Connection, path: Path) -> None:
    """Tell what SQLite could not open from what is damaged."""
    try:
        _table_names(db)
    except UNREADABLE as error:
        if has_log(path) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_OPENED:
            raise JournalError(
                f"the journal {path} cannot be read there, for nothing can be made beside it:"
                f" copy it with {path.name}-wal and {path.name}-lock to another directory",
                path=str(path),
            ) from error


def has_log(path: Path) -> bool:
    """Whether there is a log beside a journal with something in it."""
    log = beside(path, "-wal")
    return log.exists() and log.stat().st_size > 0


def damage(path: Path, found: Survey) -> JournalDamagedError:
    """Say what is damaged, and what can be done about it."""
    faults = found.faults
    more = f"; and {len(faults) - _FAULTS_TOLD} more" if len(faults) > _FAULTS_TOLD else ""
    if found.meta is None and not found.segments:
        rest = (
            "nothing of a journal is found there; look whether it ever was one, and for a new one"
            f" name another file, or move away all that is named {path.name} or {path.name}-..."
        )
    else:
        rest = (
            f"{found.record_count} entities, {len(found.jobs)} jobs and {len(found.files)} files"
            f" can be read. {way_out(path)}"
        )
    return JournalDamagedError(
        f"the journal {path} is damaged ({'; '.join(faults[:_FAULTS_TOLD])}{more}): {rest}",
        path=str(path),
        faults=tuple(faults),
        record_count=found.record_count,
    )


def _lost(path: Path, why: str) -> JournalDamagedError:
    return damage(path, Survey(faults=[why]))


def _table_names(db: Connection) -> set[str]:
    found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name for (name,) in found}


@contextmanager
def _damaging(path: Path) -> Iterator[None]:
    """What can be opened and SQLite does not understand is damaged."""
    try:
        yield
    except UNREADABLE as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_OPENED:
            raise
        raise _lost(path, str(error)) from error


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Map what the system and SQLite say to what a user can do something about."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise JournalError(f"the journal {path} cannot be used: {error}", path=str(path)) from error
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ConfigurationError(
            "journal", str(path), f"a file in a directory that exists ({error.strerror})"
        ) from error
    except OSError as error:
        raise JournalError(
            f"the journal {path} cannot be used: {error.strerror or error}", path=str(path)
        ) from error
