"""The keeper: what of a builder goes into the journal, and comes back from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import checkpoint

from aiotcbatch.collecting.chunk import Chunk
from aiotcbatch.collecting.held import HeldLink
from aiotcbatch.collecting.origins import Origin, StoredContent
from aiotcbatch.collecting.segments import Cut, loaded
from aiotcbatch.entities.contents import FileItem, LostContent
from aiotcbatch.errors import AiotcbatchError, JobError
from aiotcbatch.journal.recorder import JournalRecorder
from aiotcbatch.journal.records import Kind, Run, Segment
from aiotcbatch.journal.store import Journal
from aiotcbatch.results.status import BatchError, BatchStatus, UploadResult
from aiotcbatch.submitting.job import Job, JobSettings, Phase
from aiotcbatch.submitting.steps import NOT_KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from os import PathLike

    from aiotcbatch.collecting import segments
    from aiotcbatch.collecting.buffer import Buffer
    from aiotcbatch.collecting.group_buffer import GroupBuffer
    from aiotcbatch.collecting.spool import Spool, StoredSlice
    from aiotcbatch.entities.contents import FileContent
    from aiotcbatch.journal.records import Restored, StoredFile, StoredJob

__all__ = ["Keeper", "Resumed", "Unkept", "resume"]


class Unkept:
    """What the journal does not have yet, in the form in which it takes it."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.gone: list[Run] = []
        self.files: list[tuple[int, FileItem]] = []
        self._from: list[tuple[Buffer, list[segments.Segment], list[int]]] = []

    def add(self, kind: Kind, held: Buffer) -> None:
        """Take over what a buffer has."""
        segments, gone = held.unkept()
        self._from.append((held, segments, gone))
        self.segments += [
            Segment(
                kind,
                part.first,
                part.stored_starts,
                part.stored_body,
                part.refers,
                loaded(part.sources),
            )
            for part in segments
        ]
        self.gone += [Run(kind, place) for place in gone]

    def written(self, slices: Iterable[StoredSlice] = ()) -> None:
        """Note that the journal has it, and what stands for the segments from now on."""
        parts = [part for _, segments, _ in self._from for part in segments]
        for part, piece in zip(parts, slices, strict=False):
            part.kept = piece
        for held, segments, _ in self._from:
            held.kept(segments)

    def give_back(self) -> None:
        """Let the buffers have again what could not be written."""
        for held, segments, gone in self._from:
            held.unkept_again(segments, gone)


class Keeper:
    """
    Brings what is drained into a journal, and takes up what one has.

    Args:
        journal: The journal, which is open.
        groups: The groups of a builder.
        indicators: Its indicators.
        associations: Its associations.
    """

    def __init__(
        self, journal: Journal, groups: GroupBuffer, indicators: Buffer, associations: Buffer
    ) -> None:
        self._journal = journal
        self._groups = groups
        self._buffers = {
            Kind.GROUP: groups,
            Kind.INDICATOR: indicators,
            Kind.ASSOCIATION: associations,
        }

    async def keep(self) -> None:
        """
        Write what the journal does not have yet.

        Raises:
            JournalError: When it cannot be written; it is tried again the next time.
        """
        unkept = self.unkept()
        try:
            slices = await self._journal.drained(unkept.segments, unkept.gone, unkept.files)
        except BaseException:
            unkept.give_back()
            raise
        unkept.written(slices)
        # A cancellation that came while it was written is raised here, where all is noted: before
        # Python 3.13, one that outlives an asyncio.timeout() hits whatever comes after that.
        await checkpoint()

    def unkept(self) -> Unkept:
        """Take over what the journal does not have yet."""
        unkept = Unkept()
        for kind, held in self._buffers.items():
            unkept.add(kind, held)
        groups = [segment.first for segment in unkept.segments if segment.kind is Kind.GROUP]
        if groups:
            unkept.files += self._groups.files_from(min(groups))
        return unkept

    async def cut(self, job: Job) -> int:
        """
        Write that a job is made, and what its cutting has made anew.

        Returns:
            The number of the job in the journal.

        Raises:
            JournalError: When it cannot be written.
        """
        chunk = job.document
        unkept = self.unkept()
        new = {
            place
            for part in unkept.segments
            if part.kind is Kind.GROUP
            for place in range(part.first, part.first + len(part))
        }
        files = zip(chunk.groups.file_places, chunk.groups.files, strict=True)
        unkept.files += [(place, item) for place, item in files if place in new]
        try:
            number = await self._journal.cut(
                job.settings,
                tuple(runs_of(chunk)),
                segments=unkept.segments,
                gone=unkept.gone,
                files=unkept.files,
            )
        except BaseException:
            unkept.give_back()
            raise
        unkept.written()
        return number

    async def recut(self, number: int, parts: Sequence[Job]) -> list[int]:
        """
        Write that other jobs, which have its records between them, take the place of one.

        Args:
            number: Its number in the journal.
            parts: The jobs, in their order.

        Returns:
            Their numbers in the journal.

        Raises:
            JournalError: When it cannot be written.
        """
        return await self._journal.recut(
            number,
            [tuple(runs_of(part.document)) for part in parts],
            settings=[part.settings for part in parts],
        )

    # What a journal has

    async def restore(
        self, recorder: JournalRecorder, ask: Callable[[str], FileContent | None] | None
    ) -> Resumed:
        """
        Take up what the journal has.

        Args:
            recorder: Told of the jobs that are in the journal.
            ask: Called with the xid of a group whose file's content the journal cannot have, as
                it was a callable or an open file; gives it, or None.

        Returns:
            What is not in the buffers again.

        Raises:
            JournalDamagedError: When the journal is not as it was written.
        """
        restored = await self._journal.load()
        resumed = Resumed(self._journal, self, recorder)
        files = {file.place: file for file in restored.files}
        for segment in restored.segments:
            records: dict[int, dict[str, Any]] = {}
            async for first, decoded in segment.decoded():
                records.update(enumerate(decoded, first))
            held = self._buffers[segment.kind]
            held.begin_at(segment.first)
            if segment.kind is Kind.ASSOCIATION and segment.refers:
                links = (HeldLink.of_record(data, place) for place, data in records.items())
                resumed.held.extend(links)
            elif records:
                held.restore(
                    segment.first,
                    segment.starts,
                    segment.body,
                    records,
                    segment.sources,
                    refers=segment.refers,
                )
            if segment.kind is Kind.GROUP:
                for place, data in records.items():
                    file = files.get(place)
                    item = None if file is None else _item(file, ask)
                    links = data.get("associatedGroupXid", ())
                    self._groups.mark(place, data["xid"], links, item)
                    resumed.groups.append(data["xid"])
        for kind, held in self._buffers.items():
            held.begin_at(restored.next_place(kind))
            held.track()
        resumed.jobs += [self._job(restored, job, recorder, ask) for job in restored.jobs]
        return resumed

    def _job(
        self,
        restored: Restored,
        stored: StoredJob,
        recorder: JournalRecorder,
        ask: Callable[[str], FileContent | None] | None,
    ) -> Job:
        files = [file for file in restored.files if file.job == stored.number]
        items = [_item(file, ask) for file in files]
        chunk = _chunk(restored, stored, items, [file.place for file in files])
        job = Job(JobSettings(**stored.settings), chunk)
        job.batch_id = stored.batch_id
        job.status = BatchStatus(stored.status)
        if job.status.errors:
            job.status["errors"] = [BatchError(error) for error in job.status.errors]
        for file in files:
            if file.result is not None and file.xid in job.files:
                job.filed(UploadResult(file.result))
        job.phase = stored.phase
        if job.phase is Phase.CREATED:
            # Its upload may have been begun: its status is asked for before anything is sent.
            job.phase = Phase.UPLOADING
        elif job.phase is Phase.FILING:
            job.explained()  # what the server gave up on is told as such again
        elif job.phase is Phase.LOST:
            job.lost()
            what = "a job" if job.batch_id is None else f"job {job.batch_id}"
            job.failed(JobError(NOT_KNOWN.format(job=what), batch_id=job.batch_id))
        recorder.restored(job, stored.number)
        return job


class _KeptContent(StoredContent):
    """A content that the journal has as long as its job is not done."""

    async def keep(self, spool: Spool) -> None:
        """Copy it to a spool."""
        self._kept = await spool.write(memoryview(await self._kept.fetch()))


def _item(file: StoredFile, ask: Callable[[str], FileContent | None] | None) -> FileItem:
    content: FileContent | None
    source = file.source
    if source.kept is not None:
        content = _KeptContent(source.kept, text=source.origin is Origin.TEXT)
    else:
        content = source.content(file.xid, ask)
    if content is None and source.origin is Origin.OPAQUE:
        content = LostContent(source.detail)
    return FileItem(xid=file.xid, type=file.type, content=content, file_name=file.file_name)


def _chunk(
    restored: Restored, stored: StoredJob, items: list[FileItem], file_places: list[int]
) -> Chunk:
    """Make the document of a job anew, out of slices of the journal."""
    cuts = {kind: Cut() for kind in Kind}
    for run, piece in restored.pieces(stored):
        cut, segment = cuts[run.kind], restored.segment(run.kind, run.first)
        cut.add(piece, run.count, run.first, segment.sources, run.first - segment.first)
        cut.refers = cut.refers or segment.refers
    cuts[Kind.GROUP].files = items
    cuts[Kind.GROUP].file_places = file_places
    return Chunk(
        groups=cuts[Kind.GROUP],
        indicators=cuts[Kind.INDICATOR],
        associations=cuts[Kind.ASSOCIATION],
    )


def runs_of(chunk: Chunk) -> Iterator[Run]:
    """Give the places of a chunk's records, in the order of the document."""
    for kind, cut in (
        (Kind.GROUP, chunk.groups),
        (Kind.INDICATOR, chunk.indicators),
        (Kind.ASSOCIATION, chunk.associations),
    ):
        for places in cut.places:
            yield Run(kind, places.start, len(places))


@dataclass(slots=True)
class Resumed:
    """A journal that is open, and what it had."""

    journal: Journal
    keeper: Keeper
    recorder: JournalRecorder
    #: The jobs that were begun, in their order.
    jobs: list[Job] = field(default_factory=list)
    #: The xids of groups that wait.
    groups: list[str] = field(default_factory=list)
    #: Links that wait for groups which have not come.
    held: list[HeldLink] = field(default_factory=list)

    async def keep_contents(self, jobs: Iterable[Job], spool: Spool) -> None:
        """
        Copy what jobs could not upload out of the journal, which is to forget it.

        Args:
            jobs: They are over, and their results are told.
            spool: Where to.
        """
        for job in jobs:
            for item in job.unfiled.values():
                if isinstance(item.content, _KeptContent):
                    # Where that cannot be, the job is done all the same: who reads it is told.
                    with suppress(AiotcbatchError, OSError):
                        await item.content.keep(spool)


async def resume(
    path: str | PathLike[str],
    settings: JobSettings,
    buffers: tuple[GroupBuffer, Buffer, Buffer],
    ask: Callable[[str], FileContent | None] | None,
    instance: str,
    moved_from: str | None = None,
) -> Resumed:
    """
    Open a journal, and take up what it has.

    Args:
        path: The journal; it is made if there is none.
        settings: How the server treats the jobs of who opens it.
        buffers: Those of groups, indicators and associations, which are empty.
        ask: As for `Keeper.restore`.
        instance: The URL of the API that jobs are sent to.
        moved_from: A URL that this instance had before.

    Raises:
        JournalLockedError: When somebody has the journal.
        JournalDamagedError: When it is not as it was written.
        ConfigurationError: When it is another owner's, or has jobs of another instance.
    """
    journal = await Journal.open(
        path,
        owner=settings.owner,
        settings=settings.fields,
        instance=instance,
        moved_from=moved_from,
    )
    try:
        keeper = Keeper(journal, *buffers)
        recorder = JournalRecorder(journal, keeper)
        return await keeper.restore(recorder, ask)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await journal.aclose()
        raise
