"""What became of each entity and association of a job, one by one."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args

from anyio import to_thread

from aiotcbatch.errors import ConfigurationError, UsageError
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from aiotcbatch.collecting.chunk import Chunk
    from aiotcbatch.entities.contents import FileItem
    from aiotcbatch.results.status import BatchError, BatchStatus, UploadResult

__all__ = ["STATES", "JobRecord", "Kind", "Outcome", "OutcomeState", "Outcomes", "outcomes_of"]

Kind = Literal["group", "indicator", "association"]

#: What can become of an entity.
OutcomeState = Literal["accepted", "rejected", "unprocessed", "unknown"]
STATES: tuple[OutcomeState, ...] = get_args(OutcomeState)

#: Outcomes that are made at once in a worker thread.
_SLICE = 512


class Outcome(Value):
    """
    What became of one group, indicator or association.

    Attributes:
        kind: ``group``, ``indicator`` or ``association``.
        state: ``accepted``: it is on the server, perhaps without a part of it, which `errors`
            name. ``rejected``: the server refused it, as `errors` say. ``unprocessed``: the server
            does not have it, since it did not look at it or was not given it. ``unknown``: that
            cannot be told.
        data: It, as it was sent.
        errors: Every error of the server that is about it.
        source: What was given as its ``source=``, None if nothing was.
        upload: What became of its file; None if it has none, or that is not known yet.
        owner: The owner that it is for.
        action: ``Create`` or ``Delete``.
        batch_id: The job that it is in, None if the server gave none.
    """

    _hidden = frozenset({"file"})

    kind: Kind
    state: OutcomeState
    data: dict[str, Any]
    errors: tuple[BatchError, ...] = ()
    source: Any = None
    upload: UploadResult | None = None
    owner: str = ""
    action: str = "Create"
    batch_id: int | None = None
    #: Its content, if that was not uploaded.
    file: FileItem | None = None

    @property
    def xid(self) -> str | None:
        """Its xid, None for an association."""
        return self.data.get("xid")

    @property
    def type(self) -> str | None:
        """Its type, such as ``Adversary`` or ``Host``; None for an association."""
        return None if self.kind == "association" else self.data.get("type")

    @property
    def summary(self) -> str | None:
        """The name of a group, the summary of an indicator; None for an association."""
        return self.data.get("name" if self.kind == "group" else "summary")

    @property
    def ok(self) -> bool:
        """Whether all of it is on the server, its file included."""
        stored = self.upload is None or self.upload.uploaded
        return self.state == "accepted" and stored and all(error.harmless for error in self.errors)


class JobRecord:
    """
    What one job was given, and what is known of it at one moment.

    It holds the document, encoded: in memory, or in the temporary file of its batch where that
    is. Nothing is decoded before somebody asks.

    Args:
        chunk: The document.
        owner: The owner that it is for.
        action: ``Create`` or ``Delete``.
        standing: What can be said of all of it; None if the status of the job tells more.
        status: The status.
        uploads: What became of the files, by xid.
        files: Contents that were not uploaded, by xid.
    """

    def __init__(
        self,
        chunk: Chunk,
        *,
        owner: str,
        action: str,
        standing: OutcomeState | None,
        status: BatchStatus,
        uploads: Mapping[str, UploadResult | None],
        files: Mapping[str, FileItem],
    ) -> None:
        self.chunk = chunk
        self._owner = owner
        self._action = action
        self._status = status
        self._uploads = dict(uploads)
        self._files = dict(files)
        self._errors: dict[str, list[BatchError]] = {}
        self._about_links: list[BatchError] = []
        for error in status.errors:
            if error.xid is not None:
                self._errors.setdefault(error.xid, []).append(error)
            elif error.association is not None:
                self._about_links.append(error)
        self._entities: OutcomeState | None = standing or self._rest_of_entities()
        self._associations: OutcomeState = standing or self._rest_of_associations()
        self._counts: dict[OutcomeState, int] | None = None

    def _rest_of_entities(self) -> OutcomeState | None:
        """What can be said of entities that no error refuses; None if their place tells."""
        status = self._status
        if status.error_count > len(self._errors) or any(error.critical for error in status.errors):
            return "unknown"  # some are not there, and nothing tells which
        if not status.unprocess_count:
            return "accepted"
        if not status.success_count:
            return "unprocessed"
        return None

    def _rest_of_associations(self) -> OutcomeState:
        status = self._status
        if self._entities == "unknown" or status.error_association_count > len(self._about_links):
            return "unknown"
        # A job that halts does not come to its associations, which are its last part.
        return "unprocessed" if status.unprocess_count else "accepted"

    def __len__(self) -> int:
        return self.chunk.count

    @property
    def ok(self) -> bool:
        """Whether all of it is on the server."""
        return (
            self._entities == self._associations == "accepted"
            and not (self._errors or self._about_links)
            and all(upload is None or upload.uploaded for upload in self._uploads.values())
        )

    def may_have(self, states: frozenset[OutcomeState]) -> bool:
        """Whether there can be an outcome with one of these states, without looking at it."""
        if self._entities is None or self._errors or self._about_links:
            return True
        return bool(
            (self.chunk.entity_count and self._entities in states)
            or (self.chunk.associations.count and self._associations in states)
        )

    def counts(self) -> Mapping[OutcomeState, int]:
        """Count the outcomes by their states; where there are errors, each is looked at once."""
        if self._counts is None:
            counts = dict.fromkeys(STATES, 0)
            if self._entities is None or self._errors or self._about_links:
                for outcome in self.outcomes():
                    counts[outcome.state] += 1
            else:
                counts[self._entities] += self.chunk.entity_count
                counts[self._associations] += self.chunk.associations.count
            self._counts = counts
        return self._counts

    def outcomes(self) -> Iterator[Outcome]:
        """Give them in the order of the document."""
        halted_at = self._halted_at() if self._entities is None else 0
        kinds: tuple[Kind, ...] = ("group", "indicator")
        place = 0
        for kind in kinds:
            for data, source in self.chunk.records(kind):
                errors = tuple(self._errors.get(data.get("xid", ""), ()))
                rest = self._entities
                if rest is None:
                    rest = "unknown" if halted_at is None else _beside(place, halted_at)
                yield self._outcome(kind, data, source, errors, rest)
                place += 1
        for data, source in self.chunk.records("association"):
            errors = tuple(error for error in self._about_links if error.association == data)
            yield self._outcome("association", data, source, errors, self._associations)

    def _halted_at(self) -> int | None:
        """
        Where in the document the server halted, None if that cannot be told.

        It is at the last entity that has an error, if as many as were not processed follow.
        """
        place, last = 0, -1
        kinds: tuple[Kind, ...] = ("group", "indicator")
        for kind in kinds:
            for data, _ in self.chunk.records(kind):
                if data.get("xid") in self._errors:
                    last = place
                place += 1
        return last if place - last - 1 == self._status.unprocess_count else None

    def _outcome(
        self,
        kind: Kind,
        data: dict[str, Any],
        source: Any,
        errors: tuple[BatchError, ...],
        rest: OutcomeState,
    ) -> Outcome:
        if any(error.refused or kind == "association" for error in errors):
            rest = "rejected"
        elif errors and rest == "unprocessed":
            rest = "accepted"  # the server came to it and names a part; it counts for no success
        xid = data.get("xid", "") if kind == "group" else ""
        return Outcome(
            kind=kind,
            state=rest,
            data=data,
            errors=errors,
            source=source,
            upload=self._uploads.get(xid),
            owner=self._owner,
            action=self._action,
            batch_id=self._status.id,
            file=self._files.get(xid),
        )


def _beside(place: int, halted_at: int) -> OutcomeState:
    return "accepted" if place <= halted_at else "unprocessed"


class Outcomes:
    """
    What became of every group, indicator and association of one job, or of several.

    ::

        for outcome in status.outcomes.rejected:
            print(outcome.source, outcome.summary, *outcome.errors)

    Each is made when it is asked for, out of what was sent, so that a million take no more memory
    than one. ``async for`` reads in a worker thread what is on disk; ``for`` reads it at once, a
    few hundred at a time.

    Args:
        records: What is known of the jobs.
    """

    def __init__(self, records: Sequence[JobRecord]) -> None:
        #: What is known of each job.
        self.records = records

    def __len__(self) -> int:
        return sum(map(len, self.records))

    def __iter__(self) -> Iterator[Outcome]:
        for record in self.records:
            yield from record.outcomes()

    async def __aiter__(self) -> AsyncIterator[Outcome]:
        outcomes = iter(self)
        while part := await to_thread.run_sync(_next_of, outcomes):
            for outcome in part:
                yield outcome

    def count(self, state: OutcomeState) -> int:
        """
        Count those of one state.

        Raises:
            ConfigurationError: When there is no such state.
        """
        _check(state)
        return sum(record.counts()[state] for record in self.records)

    def having(self, *states: OutcomeState) -> Iterator[Outcome]:
        """
        Give those of some states; a job that has none of them is not looked at.

        Raises:
            ConfigurationError: When there is no such state.
        """
        for state in states:
            _check(state)
        return self._having(frozenset(states))

    def _having(self, states: frozenset[OutcomeState]) -> Iterator[Outcome]:
        for record in self.records:
            if record.may_have(states):
                yield from (found for found in record.outcomes() if found.state in states)

    @property
    def accepted(self) -> Iterator[Outcome]:
        """Those that are on the server, perhaps without a part."""
        return self.having("accepted")

    @property
    def rejected(self) -> Iterator[Outcome]:
        """Those that the server refused."""
        return self.having("rejected")

    @property
    def unprocessed(self) -> Iterator[Outcome]:
        """Those that the server does not have, since it did not look at them."""
        return self.having("unprocessed")

    @property
    def unknown(self) -> Iterator[Outcome]:
        """Those of which it cannot be told."""
        return self.having("unknown")

    @property
    def failed(self) -> Iterator[Outcome]:
        """Those of which not all is on the server, or not for sure: all that are not ``ok``."""
        for record in self.records:
            if not record.ok:
                yield from (outcome for outcome in record.outcomes() if not outcome.ok)

    def __repr__(self) -> str:
        return f"<Outcomes of {len(self):,} entities and associations>"


def _next_of(outcomes: Iterator[Outcome]) -> list[Outcome]:
    return list(islice(outcomes, _SLICE))


def _check(state: str) -> None:
    if state not in STATES:
        raise ConfigurationError("state", state, f"one of {', '.join(STATES)}")


def outcomes_of(jobs: Sequence[BatchStatus]) -> Outcomes:
    """
    Give the outcomes of jobs.

    Raises:
        UsageError: When their entities are not at hand.
    """
    records = [job.record for job in jobs]
    if None in records:
        raise UsageError(
            "the outcomes of single entities are with the status that a submit or a stream has"
            " given for its job: this one was copied, or is a running total"
        )
    return Outcomes([record for record in records if record is not None])
