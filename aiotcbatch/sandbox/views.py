"""What tests see of a sandbox: jobs, entities and files as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from aiotcbatch.sandbox.store import contents, jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiotcbatch.sandbox.store.contents import StoredFile
    from aiotcbatch.sandbox.store.jobs import Counts, Job, JobError, State
    from aiotcbatch.sandbox.store.store import Store

__all__ = ["Files", "JobView"]

#: How many xids are told.
_SHOWN = 5


@dataclass(frozen=True)
class JobView:
    """
    A batch job as the sandbox saw it.

    Attributes:
        id: Its number.
        owner: The owner's name.
        config: The configuration exactly as it was sent.
        state: ``Created``, ``Queued``, ``Running`` or ``Completed``.
        created: When it was made; seconds since the epoch on the sandbox's clock.
        queued: When its document had arrived.
        started: When its processing began.
        completed: When it was done.
        inline: Whether createAndUpload answered with its result.
        body_size: Bytes of its document, None before it came.
        body: Its document byte by byte, None before it came or when it is not kept any more.
        counts: What became of its entities.
        errors: What went wrong.
    """

    id: int
    owner: str
    config: dict[str, Any]
    state: State
    created: float
    queued: float | None
    started: float | None
    completed: float | None
    inline: bool
    body_size: int | None
    body: bytes | None
    counts: Counts
    errors: tuple[JobError, ...]

    @property
    def document(self) -> Any:
        """The document, decoded."""
        return None if self.body is None else orjson.loads(self.body)


def view(store: Store, job: Job) -> JobView:
    """Gather all that is known of a job."""
    body, file = store.database.call(jobs.body, job.id)
    if file is not None:
        body = store.spool.read(file)
    return JobView(
        id=job.id,
        owner=job.owner,
        config=job.config,
        state=job.state,
        created=job.created,
        queued=job.queued,
        started=job.started,
        completed=job.completed,
        inline=job.inline,
        body_size=job.body_size,
        body=body,
        counts=job.counts,
        errors=tuple(store.database.call(jobs.errors, job.id)),
    )


class Files(Mapping[str, "StoredFile"]):
    """
    The files that were uploaded, by the xid of their group.

    Args:
        store: Where they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows = {row[0]: row for row in store.database.call(contents.listed)}

    def __repr__(self) -> str:
        """Show whose files there are, as far as that is short."""
        shown = ", ".join(map(repr, list(self._rows)[:_SHOWN]))
        return f"<Files of {shown}{', ...' if len(self) > _SHOWN else ''}>"

    def __getitem__(self, xid: str) -> StoredFile:
        """Return a file with its bytes."""
        row = self._rows[xid]
        body, file = self._store.database.call(contents.get, row[6])
        if file is not None:
            body = self._store.spool.read(file)
        return contents.StoredFile(*row[:6], content=body or b"")

    def __iter__(self) -> Iterator[str]:
        """Go through the xids in the order in which their groups were made."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Count the files."""
        return len(self._rows)
