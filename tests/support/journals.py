"""
A plain model of a journal, courses of steps for both, and a program that takes them until it dies.

The choice of a step depends on the model and on a source of randomness only, so that another
process can tell what the journal must hold after any number of steps.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from aiotcbatch.entities.contents import FileItem
from aiotcbatch.journal import Journal, Kind, Run, Segment
from aiotcbatch.journal.ledger import number_after, numbers_within
from aiotcbatch.submitting.job import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pytest

    from aiotcbatch.journal import Restored

__all__ = [
    "GROUPS",
    "INDICATORS",
    "OWNER",
    "RECORDS",
    "Model",
    "Op",
    "choose",
    "copy_of",
    "course",
    "file_names",
    "observed",
    "perform",
    "reopened",
    "small_blocks",
]

OWNER = "MyOrg"
RECORDS = [b'{"xid":"%d"}' % number for number in range(10)]
INDICATORS = Segment.of(Kind.INDICATOR, 0, RECORDS, refers=True)
GROUPS = Segment.of(Kind.GROUP, 0, RECORDS)
#: A record: its kind and its place.
Place = tuple[Kind, int]


@dataclass(frozen=True)
class Op:
    """A call of one method of the journal."""

    name: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any] = field(default_factory=dict)


async def reopened(journal: Journal) -> Restored:
    """Close a journal, and read what it has from the disk."""
    await journal.aclose()
    async with await Journal.open(journal.path, owner=OWNER) as again:
        return await again.load()


async def perform(journal: Journal, op: Op) -> Any:
    """Make the call."""
    return await getattr(journal, op.name)(*op.arguments, **op.keywords)


@dataclass(frozen=True)
class ModelJob:
    """A job as it must be."""

    settings: dict[str, Any]
    runs: tuple[Run, ...]
    batch_id: int | None = None
    phase: Phase = Phase.CUT
    status: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
    failure: str | None = None


@dataclass(frozen=True)
class ModelFile:
    """A file as it must be."""

    item: FileItem
    job: int | None = None
    result: dict[str, Any] | None = None


def places(runs: Sequence[Run]) -> Iterator[Place]:
    """Name the records of some runs."""
    return ((run.kind, place) for run in runs for place in run.places)


class Model:
    """What a journal must hold."""

    def __init__(self) -> None:
        self.records: dict[Place, bytes] = {}
        self.jobs: dict[int, ModelJob] = {}
        self.files: dict[int, ModelFile] = {}
        self.next_place = dict.fromkeys(Kind, 0)
        self.next_job = number_after(0)
        #: Every record that ever was.
        self.written: dict[Place, bytes] = {}

    @property
    def waiting(self) -> list[Place]:
        """The records that are in no job."""
        taken = {place for job in self.jobs.values() for place in places(job.runs)}
        return [place for place in self.records if place not in taken]

    def apply(self, op: Op) -> Any:
        """Do what the journal must do."""
        return getattr(self, op.name)(*op.arguments, **op.keywords)

    def drained(
        self, segments: Sequence[Segment], gone: Sequence[Run], files: Sequence[Any]
    ) -> None:
        for segment in segments:
            for at in range(len(segment)):
                record = bytes(segment.body[segment.starts[at] : segment.starts[at + 1] - 1])
                self.records[segment.kind, segment.first + at] = record
                self.written[segment.kind, segment.first + at] = record
            self.next_place[segment.kind] = segment.first + len(segment)
        for kind, place in places(gone):
            del self.records[kind, place]
            if kind is Kind.GROUP:
                self.files.pop(place, None)
        for place, item in files:
            self.files[place] = ModelFile(item)

    def cut(self, settings: dict[str, Any], runs: Sequence[Run], **more: Any) -> int:
        self.drained(more["segments"], more["gone"], more["files"])
        return self._add_job(self._new_number(), settings, runs)

    def _new_number(self) -> int:
        number = self.next_job
        self.next_job = number_after(number)
        return number

    def _add_job(self, number: int, settings: dict[str, Any], runs: Sequence[Run]) -> int:
        self.jobs[number] = ModelJob(settings, tuple(runs))
        for kind, place in places(runs):
            if kind is Kind.GROUP and place in self.files:
                self.files[place] = replace(self.files[place], job=number)
        return number

    def recut(
        self,
        number: int,
        parts: Sequence[Sequence[Run]],
        settings: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[int]:
        job = self.jobs.pop(number)
        for place, file in self.files.items():
            if file.job == number:
                self.files[place] = replace(file, job=None)
        kept = [job.settings for _ in parts] if settings is None else settings
        numbers = numbers_within(number, len(parts)) or [self._new_number() for _ in parts]
        return [
            self._add_job(own, one, part)
            for own, one, part in zip(numbers, kept, parts, strict=True)
        ]

    def created(self, number: int, batch_id: int) -> None:
        self._move(number, Phase.CREATED, batch_id=batch_id)

    def uploading(self, number: int) -> None:
        self._move(number, Phase.UPLOADING)

    def uploaded(self, number: int, batch_id: int | None) -> None:
        known = {} if batch_id is None else {"batch_id": batch_id}
        self._move(number, Phase.UPLOADED, **known)

    def completed(self, number: int, status: dict[str, Any]) -> None:
        self._move(number, Phase.COMPLETED, status=status)

    def explained(self, number: int, status: dict[str, Any]) -> None:
        self._move(number, Phase.FILING, status=status)

    def forgotten(self, number: int) -> None:
        self._move(number, Phase.CUT, batch_id=None, status={})

    def lost(self, number: int) -> None:
        self._move(number, Phase.LOST)

    def failed(self, number: int, why: str) -> None:
        job = self.jobs[number]
        self.jobs[number] = replace(job, attempts=job.attempts + 1, failure=why)

    def filed(self, number: int, xid: str, result: dict[str, Any]) -> None:
        for place, file in self.files.items():
            if file.job == number and file.item.xid == xid:
                self.files[place] = replace(file, result=result)

    def done(self, *numbers: int) -> None:
        for number in numbers:
            for kind, place in places(self.jobs.pop(number).runs):
                del self.records[kind, place]
                if kind is Kind.GROUP:
                    self.files.pop(place, None)

    def _move(self, number: int, phase: Phase, **changes: Any) -> None:
        self.jobs[number] = replace(self.jobs[number], phase=phase, failure=None, **changes)

    def state(self) -> dict[str, Any]:
        """Say what it holds, as `observed` does of a journal."""
        job_of = {place: n for n, job in self.jobs.items() for place in places(job.runs)}
        return {
            "records": {place: (data, job_of.get(place)) for place, data in self.records.items()},
            "jobs": {
                number: (
                    job.batch_id,
                    job.phase,
                    job.settings,
                    job.runs,
                    job.status,
                    job.attempts,
                    job.failure,
                )
                for number, job in self.jobs.items()
            },
            "files": {
                place: (
                    file.item.xid,
                    file.item.type,
                    file.item.file_name,
                    None if (file.result or {}).get("uploaded") else file.item.content,
                    file.job,
                    file.result,
                )
                for place, file in self.files.items()
            },
        }


async def observed(restored: Restored) -> dict[str, Any]:
    """Say what a journal holds, every byte of it."""
    records: dict[Place, Any] = {}
    for segment in restored.segments:
        body = segment.body.read()
        for place in (place for run in segment.waiting for place in run):
            at = place - segment.first
            data = body[segment.starts[at] : segment.starts[at + 1] - 1]
            assert (segment.kind, place) not in records
            records[segment.kind, place] = (data, None)
    for job in restored.jobs:
        for run, piece in restored.pieces(job):
            segment = restored.segment(run.kind, run.first)
            each = [segment.piece(range(place, place + 1)).read() for place in run.places]
            assert b",".join(each) == piece.read()
            for place, data in zip(run.places, each, strict=True):
                assert (run.kind, place) not in records
                records[run.kind, place] = (data, job.number)
    return {
        "records": records,
        "jobs": {
            job.number: (
                job.batch_id,
                job.phase,
                job.settings,
                job.runs,
                job.status,
                job.attempts,
                job.failure,
            )
            for job in restored.jobs
        },
        "files": {
            file.place: (
                file.xid,
                file.type,
                file.file_name,
                await file.source.kept.fetch() if file.source.kept is not None else None,
                file.job,
                file.result,
            )
            for file in restored.files
        },
    }


# Choosing what to do


def choose(model: Model, random: Random) -> Op:
    """Choose a step that is possible now."""
    possible = [_drained]
    if model.waiting:
        possible += [_cut, _cut]
    if model.jobs:
        possible += [_advanced, _advanced, _advanced, _done, _recut]
    if any(file.job is not None and file.result is None for file in model.files.values()):
        possible.append(_filed)
    return random.choice(possible)(model, random)


def _drained(model: Model, random: Random) -> Op:
    kinds = random.sample(list(Kind), random.randint(1, 2))
    segments = [_segment(model, random, kind, random.randint(1, 6)) for kind in kinds]
    gone = _some(model.waiting, random, 3)
    for segment in segments:
        # What was continued before it was drained has left nothing but its place.
        empty = [
            at for at in range(len(segment)) if segment.starts[at + 1] - segment.starts[at] == 1
        ]
        gone += [(segment.kind, segment.first + at) for at in empty]
    files = [
        (segment.first + at, _item(random, f"{segment.kind}-{segment.first + at}"))
        for segment in segments
        for at in range(len(segment))
        if segment.kind is Kind.GROUP
        and (segment.kind, segment.first + at) not in gone
        and random.random() < 0.4
    ]
    return Op("drained", (segments, _runs(gone, random), files))


def _segment(model: Model, random: Random, kind: Kind, count: int) -> Segment:
    first = model.next_place[kind] + random.choice((0, 0, 0, 2))
    records = []
    for place in range(first, first + count):
        padding = "p" * random.choice((0, 5, 40, 300))
        record = json.dumps(
            {"xid": f"{kind}-{place}", "value": random.randint(0, 99), "p": padding}
        )
        records.append(record.encode() if random.random() < 0.9 else b"")
    return Segment.of(kind, first, records, refers=random.random() < 0.5)


def _item(random: Random, xid: str) -> FileItem:
    content = random.randbytes(random.choice((0, 3, 50, 400)))
    return FileItem(xid, random.choice(("Document", "Report")), content, random.choice((None, "a")))


def _cut(model: Model, random: Random) -> Op:
    waiting = model.waiting
    taken = _some(waiting, random, len(waiting)) or waiting[:1]
    segments, gone, files = [], [], []
    groups = [place for kind, place in taken if kind is Kind.GROUP]
    if groups and random.random() < 0.3:
        # One of a circle is sent without its links, which follow by themselves.
        old = (Kind.GROUP, random.choice(groups))
        group = _segment(model, random, Kind.GROUP, 1)
        links = _segment(model, random, Kind.ASSOCIATION, 1)
        if len(group.body) and len(links.body):
            segments, gone = [group, links], [Run(*old)]
            taken = [place for place in taken if place != old] + [(Kind.GROUP, group.first)]
            if old[1] in model.files:
                files = [(group.first, model.files[old[1]].item)]
    settings = {"owner": OWNER, "halt_on_error": random.random() < 0.5}
    more = {"segments": segments, "gone": gone, "files": files}
    return Op("cut", (settings, _runs(taken, random)), more)


def _recut(model: Model, random: Random) -> Op:
    number = random.choice(list(model.jobs))
    parts: list[list[Place]] = [[] for _ in range(random.randint(0, 3))]
    for place in places(model.jobs[number].runs):
        if parts and random.random() < 0.9:
            random.choice(parts).append(place)
    runs = [_runs(part, random) for part in parts if part]
    if random.random() < 0.5:
        return Op("recut", (number, runs))
    settings = [{"owner": OWNER, "halt_on_error": random.random() < 0.5} for _ in runs]
    return Op("recut", (number, runs), {"settings": settings})


def _advanced(model: Model, random: Random) -> Op:
    number = random.choice(list(model.jobs))
    status = {"status": "Completed", "errors": [{"code": "0x1005", "xid": "1-0"}]}
    return random.choice(
        (
            Op("created", (number, random.randint(1, 1 << 40))),
            Op("uploading", (number,)),
            Op("uploaded", (number, random.choice((None, 7)))),
            Op("completed", (number, status)),
            Op("explained", (number, status)),
            Op("forgotten", (number,)),
            Op("lost", (number,)),
            Op("failed", (number, "it broke \N{SNOWMAN}")),
        )
    )


def _filed(model: Model, random: Random) -> Op:
    files = [f for f in model.files.values() if f.job is not None and f.result is None]
    file = random.choice(files)
    uploaded = random.random() < 0.7
    result = {"uploaded": uploaded, "xid": file.item.xid, "error": None if uploaded else "no"}
    return Op("filed", (file.job, file.item.xid, result))


def _done(model: Model, random: Random) -> Op:
    return Op("done", tuple(_some(list(model.jobs), random, 2)) or tuple(model.jobs)[:1])


def _some(things: list[Any], random: Random, most: int) -> list[Any]:
    return random.sample(things, random.randint(0, min(most, len(things))))


def _runs(taken: Sequence[Place], random: Random) -> list[Run]:
    """Join places to runs, in an order of their own."""
    ordered = sorted(taken) if random.random() < 0.7 else list(taken)
    runs: list[Run] = []
    for kind, place in ordered:
        if runs and runs[-1].kind is kind and runs[-1].stop == place:
            runs[-1] = replace(runs[-1], count=runs[-1].count + 1)
        else:
            runs.append(Run(kind, place))
    return runs


def course(seed: int) -> Iterator[tuple[Model, Op]]:
    """Give the steps of a course without end, each with the model as it is before it."""
    model, random = Model(), Random(seed)
    while True:
        op = choose(model, random)
        yield model, op
        model.apply(op)


# Files


def copy_of(path: Path, directory: Path, *, lock: bool = True) -> Path:
    """Copy a journal as it is on the disk, as the next process would find it."""
    directory.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal", *(("-lock",) if lock else ())):
        if (file := Path(f"{path}{suffix}")).exists():
            shutil.copyfile(file, directory / file.name)
    return directory / path.name


def file_names(directory: Path) -> list[str]:
    """Name what is in a directory."""
    return sorted(file.name for file in directory.iterdir())


def small_blocks(patch: pytest.MonkeyPatch, nbytes: int) -> None:
    """Have few bytes in a block, so that what takes many is small."""
    for module in ("bodies", "ledger", "salvage", "schema", "survey"):
        patch.setattr(f"aiotcbatch.journal.{module}.BLOCK_BYTES", nbytes)


# The program that is killed


async def take_steps(path: str, seed: int, skipped: int) -> None:
    """Take a course from some step on, telling the number of each that has returned."""
    async with await Journal.open(path, owner=OWNER) as journal:
        for number, (_, op) in enumerate(course(seed)):
            if number >= skipped:
                await perform(journal, op)
                sys.stdout.write(f"{number + 1}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(take_steps(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
