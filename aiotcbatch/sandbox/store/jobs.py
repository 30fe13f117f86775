"""Batch jobs and their errors, in the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.spool import Received

__all__ = ["Counts", "Job", "JobError", "State"]


class State(StrEnum):
    """Where a job is in its life. There is no failed state."""

    CREATED = "Created"
    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"


@dataclass(slots=True)
class Counts:
    """What became of a job's entities and associations."""

    success_groups: int = 0
    error_groups: int = 0
    success_indicators: int = 0
    error_indicators: int = 0
    success_associations: int = 0
    error_associations: int = 0
    unprocessed: int = 0
    #: Errors about the document as a whole.
    critical: int = 0

    @property
    def success(self) -> int:
        """Groups and indicators that are stored as they were sent."""
        return self.success_groups + self.success_indicators

    @property
    def error(self) -> int:
        """Groups and indicators with an error or a loss, and errors about the whole document."""
        return self.error_groups + self.error_indicators + self.critical

    def encoded(self) -> str:
        """Return all of it as JSON, as it stands in the table."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return orjson.dumps(values).decode()

    @classmethod
    def decoded(cls, text: str) -> Counts:
        """Read what `encoded` wrote."""
        return cls(**orjson.loads(text))


@dataclass(frozen=True, slots=True)
class JobError:
    """
    One thing that went wrong in a job.

    Attributes:
        section: ``group``, ``indicator``, ``association``, or "" for the whole document.
        position: The index in that section.
        code: ``0x1001`` and so on.
        severity: ``Error``, ``Warning`` or ``Info``.
        reason: What was wrong.
        source: Which entity, in words.
        message: The same with the place in the document.
        xid: The xid of the entity, if it has one.
    """

    section: str
    position: int
    code: str
    severity: str
    reason: str
    source: str
    message: str
    xid: str | None = None


@dataclass(slots=True)
class Job:
    """
    A batch job as the sandbox knows it.

    Attributes:
        id: Its number.
        owner: The owner's name.
        config: The configuration as the client sent it.
        state: Where it is in its life.
        created: When it was made; seconds since the epoch, as all times here.
        queued: When its document had arrived.
        started: When its processing began.
        completed: When it was done.
        inline: Whether it was answered at once and has no id that clients know.
        body_size: Bytes of its document, None before it came.
        position: Entities and associations that are done.
        counts: What became of them.
    """

    id: int
    owner: str
    config: dict[str, Any]
    state: State
    created: float
    queued: float | None = None
    started: float | None = None
    completed: float | None = None
    inline: bool = False
    body_size: int | None = None
    position: int = 0
    counts: Counts = field(default_factory=Counts)


_COLUMNS = (
    "id, owner, config, state, created, queued, started, completed, inline, body_size,"
    " position, counts"
)


def _job(row: Sequence[Any]) -> Job:
    values = list(row)
    values[2] = orjson.loads(values[2])
    values[3] = State(values[3])
    values[8] = bool(values[8])
    values[11] = Counts.decoded(values[11])
    return Job(*values)


def create(connection: Connection, owner: str, config: dict[str, Any], now: float) -> Job:
    """Note a new job and give it a number."""
    cursor = connection.execute(
        "INSERT INTO job (owner, config, state, created) VALUES (?, ?, 'Created', ?)",
        (owner, orjson.dumps(config).decode(), now),
    )
    return Job(cursor.lastrowid or 0, owner, config, State.CREATED, now)


def attach(
    connection: Connection, job_id: int, body: Received, now: float, *, inline: bool = False
) -> bool:
    """
    Give a job its document and queue it.

    Returns:
        False if it has one already.
    """
    cursor = connection.execute(
        "UPDATE job SET state = 'Queued', queued = ?, body_size = ?, inline = ?"
        " WHERE id = ? AND state = 'Created'",
        (now, body.size, inline, job_id),
    )
    if cursor.rowcount != 1:
        return False
    connection.execute("INSERT INTO job_body VALUES (?, ?, ?)", (job_id, body.body, body.file))
    return True


def save(connection: Connection, job: Job) -> None:
    """Write down where a job is."""
    connection.execute(
        "UPDATE job SET state = ?, started = ?, completed = ?, inline = ?, position = ?,"
        " counts = ? WHERE id = ?",
        (
            job.state,
            job.started,
            job.completed,
            job.inline,
            job.position,
            job.counts.encoded(),
            job.id,
        ),
    )


def get(connection: Connection, job_id: int) -> Job | None:
    """Return a job, None if there is none of that number."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM job WHERE id = ?",  # noqa: S608  (column names are ours)
        (job_id,),
    ).fetchone()
    return None if row is None else _job(row)


def listed(
    connection: Connection, *, newest_first: bool = False, limit: int = -1, start: int = 0
) -> list[Job]:
    """Return jobs by number."""
    direction = "DESC" if newest_first else "ASC"
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM job ORDER BY id {direction} LIMIT ? OFFSET ?",  # noqa: S608
        (limit, start),
    )
    return [_job(row) for row in rows]


def waiting(connection: Connection) -> list[int]:
    """Return the numbers of jobs that have a document and are not completed, oldest first."""
    rows = connection.execute(
        "SELECT id FROM job WHERE state IN ('Queued', 'Running') ORDER BY queued, id"
    )
    return [job_id for (job_id,) in rows]


def body(connection: Connection, job_id: int) -> tuple[bytes | None, str | None]:
    """Return a job's document, as bytes or as the name of a file."""
    row = connection.execute(
        "SELECT body, body_file FROM job_body WHERE job_id = ?", (job_id,)
    ).fetchone()
    return row if row is not None else (None, None)


def forget_bodies(connection: Connection, keep: int) -> list[str]:
    """Drop the documents of all but the latest completed jobs; return the files to remove."""
    rows = connection.execute(
        "SELECT job_id, body_file FROM job_body JOIN job ON job.id = job_id"
        " WHERE state = 'Completed' ORDER BY job_id DESC LIMIT -1 OFFSET ?",
        (keep,),
    ).fetchall()
    connection.executemany("DELETE FROM job_body WHERE job_id = ?", [(row[0],) for row in rows])
    return [row[1] for row in rows if row[1]]


def add_errors(connection: Connection, job_id: int, errors: Sequence[JobError]) -> None:
    """Note what went wrong."""
    if not errors:
        return
    (count,) = connection.execute(
        "SELECT count(*) FROM job_error WHERE job_id = ?", (job_id,)
    ).fetchone()
    connection.executemany(
        "INSERT INTO job_error VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                job_id,
                seq,
                error.section,
                error.position,
                error.code,
                error.severity,
                error.reason,
                error.source,
                error.message,
                error.xid,
            )
            for seq, error in enumerate(errors, count)
        ],
    )


def errors(connection: Connection, job_id: int) -> list[JobError]:
    """Return what went wrong in a job, in the order in which it was met."""
    rows = connection.execute(
        "SELECT section, position, code, severity, reason, source, message, xid"
        " FROM job_error WHERE job_id = ? ORDER BY seq",
        (job_id,),
    )
    return [JobError(*row) for row in rows]
