"""The journal: what is written, and what is given back."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from support.journals import GROUPS, INDICATORS, OWNER, RECORDS, reopened, small_blocks

from aiotcbatch import ConfigurationError, JournalDamagedError, JournalError
from aiotcbatch.entities.contents import FileItem
from aiotcbatch.journal import Journal, Kind, Run, Segment, export
from aiotcbatch.submitting.job import JobSettings, Phase

if TYPE_CHECKING:
    from pathlib import Path

    from aiotcbatch.entities.contents import FileContent


# Records


async def test_slices_stand_for_what_was_written(journal: Journal) -> None:
    """Each segment has a slice that gives its bytes, whole and in part, and in part of a part."""
    first, second = await journal.drained([INDICATORS, GROUPS])

    assert first.read() == INDICATORS.body
    assert await second.fetch() == GROUPS.body
    assert len(first) == len(INDICATORS.body)
    assert first[12:23].read() == RECORDS[1]
    assert first[12:][0:11].read() == RECORDS[1]
    assert first[5:5].read() == first[8:2].read() == b""
    assert len(first[8:2]) == 0


async def test_nothing_to_write_is_no_transaction(journal: Journal) -> None:
    """A drain() with nothing in it costs no fsync."""
    before = journal._file._commits

    assert await journal.drained([]) == []
    await journal.done()

    assert journal._file._commits == before


async def test_segments_come_back_in_order(journal: Journal) -> None:
    """They come by kind and place, whatever the order of their coming was."""
    for first in (20, 0):
        await journal.drained([Segment.of(Kind.INDICATOR, first, RECORDS, refers=first > 0)])
    await journal.drained([GROUPS])

    restored = await reopened(journal)

    assert [(part.kind, part.first, part.refers) for part in restored.segments] == [
        (Kind.GROUP, 0, False),
        (Kind.INDICATOR, 0, False),
        (Kind.INDICATOR, 20, True),
    ]
    assert [restored.next_place(kind) for kind in Kind] == [10, 30, 0]
    assert restored.segment(Kind.INDICATOR, 29) is restored.segments[2]
    with pytest.raises(KeyError):
        restored.segment(Kind.INDICATOR, 10)
    with pytest.raises(KeyError):
        restored.segment(Kind.ASSOCIATION, 0)


async def test_records_are_decoded_in_pieces(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is decoded in runs of bounded size, each with the place of its first record."""
    monkeypatch.setattr("aiotcbatch.journal.records.DECODED_BYTES", 30)
    await journal.drained([INDICATORS], gone=[Run(Kind.INDICATOR, 4)])

    (segment,) = (await journal.load()).segments
    found = [(first, [data["xid"] for data in part]) async for first, part in segment.decoded()]

    assert found == [
        (0, ["0", "1"]),
        (2, ["2", "3"]),
        (5, ["5", "6"]),
        (7, ["7", "8"]),
        (9, ["9"]),
    ]


async def test_a_large_segment_is_read_by_slices(path: Path) -> None:
    """One record of a segment of 80 MB is read without reading the others."""
    count, size = 10_000, 8_000
    records = [b'{"xid":"%d","text":"%s"}' % (n, b"t" * size) for n in range(count)]
    async with await Journal.open(path, owner=OWNER) as journal:
        await journal.drained([Segment.of(Kind.INDICATOR, 0, records)])
    async with await Journal.open(path, owner=OWNER) as journal:
        tracemalloc.start()
        (segment,) = (await journal.load()).segments
        found = [
            segment.piece(range(place, place + 2)).read() for place in range(0, count, count // 7)
        ]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        last = await segment.body[-len(records[-1]) :].fetch()

    assert found == [b",".join(records[place : place + 2]) for place in range(0, count, count // 7)]
    assert last == records[-1]
    assert peak < 1_000_000


async def test_gone_records_are_not_given_back(journal: Journal) -> None:
    """What was continued or discarded is gone, across the borders of segments too."""
    await journal.drained([INDICATORS, Segment.of(Kind.INDICATOR, 10, RECORDS)])
    await journal.drained([], gone=[Run(Kind.INDICATOR, 8, 5), Run(Kind.INDICATOR, 0)])

    restored = await reopened(journal)

    assert [part.waiting for part in restored.segments] == [(range(1, 8),), (range(13, 20),)]


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda j: j.drained([GROUPS]), id="a segment twice"),
        pytest.param(
            lambda j: j.drained([Segment.of(Kind.GROUP, 9, RECORDS)]), id="two in one place"
        ),
        pytest.param(lambda j: j.drained([], gone=[Run(Kind.GROUP, 9, 2)]), id="gone: not there"),
        pytest.param(lambda j: j.drained([], gone=[Run(Kind.GROUP, 3)]), id="gone: again"),
        pytest.param(lambda j: j.drained([], gone=[Run(Kind.GROUP, 2, 3)]), id="gone: around it"),
        pytest.param(lambda j: j.cut({}, [Run(Kind.INDICATOR, 0)]), id="cut: not there"),
        pytest.param(lambda j: j.cut({}, [Run(Kind.GROUP, 2, 3)]), id="cut: gone"),
        pytest.param(lambda j: j.recut(1, [[Run(Kind.GROUP, 7)]]), id="recut: not of the job"),
        pytest.param(
            lambda j: j.recut(1, [[Run(Kind.GROUP, 0)], [Run(Kind.GROUP, 0)]]), id="recut: twice"
        ),
        pytest.param(lambda j: j.created(2, 7), id="no such job"),
        pytest.param(lambda j: j.done(1, 2), id="done: one is no job"),
        pytest.param(lambda j: j.filed(1, "x", {}), id="no such file"),
        pytest.param(
            lambda j: j.drained([], files=[(3, FileItem("3", "Report", b""))]), id="file: no group"
        ),
        pytest.param(
            lambda j: j.drained([Segment(Kind.GROUP, 20, GROUPS.starts, b"")]), id="no body"
        ),
    ],
)
async def test_a_step_that_cannot_be_right_changes_nothing(journal: Journal, step: Any) -> None:
    """A mistake of the program is an AssertionError, and no record is forgotten by it."""
    await journal.drained([GROUPS], gone=[Run(Kind.GROUP, 3)])
    await journal.cut({}, [Run(Kind.GROUP, 0, 2)])
    (segment,) = (await journal.load()).segments

    with pytest.raises(AssertionError):
        await step(journal)

    restored = await reopened(journal)
    assert [part.waiting for part in restored.segments] == [segment.waiting]
    assert [job.runs for job in restored.jobs] == [(Run(Kind.GROUP, 0, 2),)]


# Jobs


async def test_a_job_comes_back_as_it_was_left(path: Path) -> None:
    """Its settings, records, phase, id, status and the time of its last step are there."""
    now = 1000.0
    settings = JobSettings(owner=OWNER, attribute_write_type="Append")
    journal = await Journal.open(path, owner=OWNER, clock=lambda: now)
    await journal.drained([GROUPS, INDICATORS])
    runs = (Run(Kind.GROUP, 8, 2), Run(Kind.GROUP, 1), Run(Kind.INDICATOR, 0, 10))
    job = await journal.cut(settings, runs)
    await journal.created(job, 2**40)
    now = 1001.0
    await journal.completed(job, {"successCount": 13, "failure": ValueError("not kept")})
    now = 1002.0
    await journal.failed(job, "no answer")

    await journal.aclose()
    async with await Journal.open(path, owner=OWNER) as again:
        restored = await again.load()
        (stored,) = restored.jobs
        pieces = [(run, piece.read()) for run, piece in restored.pieces(stored)]

    assert JobSettings(**stored.settings) == settings
    assert (stored.number, stored.batch_id, stored.phase) == (job, 2**40, Phase.COMPLETED)
    assert (stored.runs, stored.status) == (runs, {"successCount": 13})
    assert (stored.attempts, stored.failure, stored.since) == (1, "no answer", 1001.0)
    assert pieces == [
        (runs[0], b",".join(RECORDS[8:])),
        (runs[1], RECORDS[1]),
        (runs[2], b",".join(RECORDS)),
    ]


async def test_a_run_over_two_segments_comes_in_pieces(journal: Journal) -> None:
    """Each piece is in one segment, since there is no comma between two."""
    await journal.drained([INDICATORS, Segment.of(Kind.INDICATOR, 10, RECORDS)])
    await journal.cut({}, [Run(Kind.INDICATOR, 8, 4)])

    restored = await journal.load()

    assert [(run.first, piece.read()) for run, piece in restored.pieces(restored.jobs[0])] == [
        (8, b",".join(RECORDS[8:])),
        (10, b",".join(RECORDS[:2])),
    ]


async def test_numbers_of_jobs_are_given_once(journal: Journal) -> None:
    """A number means one job for as long as the journal is there."""
    await journal.drained([GROUPS])
    first = await journal.cut({}, [Run(Kind.GROUP, 0)])
    await journal.done(first)
    await journal.aclose()

    async with await Journal.open(journal.path, owner=OWNER) as again:
        assert await again.cut({}, [Run(Kind.GROUP, 1)]) > first


# Files


async def test_contents_are_kept_until_they_are_uploaded(journal: Journal) -> None:
    """Bytes and text are there again, and give the disk back when the server has them."""
    await journal.drained(
        [GROUPS],
        files=[
            (0, FileItem("0", "Document", b"\0bytes", "a.bin")),
            (1, FileItem("1", "Report", "t\N{LATIN SMALL LETTER E WITH ACUTE}xt")),
            (2, FileItem("2", "Report", memoryview(b"view")[1:])),
            (3, FileItem("3", "Report", b"")),
        ],
    )
    job = await journal.cut({}, [Run(Kind.GROUP, 0, 2)])
    before = await journal.load()
    contents = [file.source.content(file.xid) for file in before.files]
    read = [await content(file.xid) for content, file in zip(contents, before.files, strict=True)]
    await journal.filed(job, "0", {"uploaded": True, "xid": "0", "bytes": 6})
    await journal.filed(job, "1", {"uploaded": False, "xid": "1", "error": "no"})

    restored = await reopened(journal)

    assert read == [b"\0bytes", "t\N{LATIN SMALL LETTER E WITH ACUTE}xt", b"iew", b""]
    assert [(f.xid, f.type, f.file_name, f.job, f.state) for f in restored.files] == [
        ("0", "Document", "a.bin", job, "uploaded"),
        ("1", "Report", None, job, "failed"),
        ("2", "Report", None, None, "waiting"),
        ("3", "Report", None, None, "waiting"),
    ]
    assert restored.files[0].source.content("0") is None
    assert restored.files[1].source.content("1") is not None
    assert (restored.files[1].result or {})["error"] == "no"


# Reading


async def test_blocks_that_rot_are_not_given(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read as a whole is checked again, however long ago the journal was opened."""
    small_blocks(monkeypatch, 50)
    (piece,) = await journal.drained([GROUPS])
    db = journal._file._usable()
    db.execute("UPDATE block SET data = zeroblob(50) WHERE number = 3")

    assert await piece[:50].fetch() == GROUPS.body[:50]
    with pytest.raises(JournalDamagedError, match="block 3"):
        await piece.fetch()
    db.execute("DELETE FROM block WHERE number = 3")
    with pytest.raises(JournalError, match="block 3"):
        await piece.fetch()


def test_what_is_exported(path: Path) -> None:
    """Each entity is a line: as it is sent, where it is, and what the server said about it."""

    async def write() -> None:
        async with await Journal.open(path, owner=OWNER) as journal:
            item = FileItem("2", "Document", b"bytes", "f.txt")
            await journal.drained([GROUPS, INDICATORS], [Run(Kind.GROUP, 4, 6)], [(2, item)])
            job = await journal.cut({}, [Run(Kind.GROUP, 1, 2), Run(Kind.INDICATOR, 5)])
            await journal.created(job, 7)
            errors = [{"code": "0x1006", "xid": "2"}, {"code": "0x1001"}]
            await journal.completed(job, {"errors": errors})

    asyncio.run(write())
    lines = [json.loads(line) for line in export(path)]

    assert lines[:4] == [
        {"kind": "group", "state": "waiting", "owner": OWNER, "entity": {"xid": "0"}},
        {"kind": "group", "state": "completed", "owner": OWNER, "job": 7, "entity": {"xid": "1"}},
        {
            "kind": "group",
            "state": "completed",
            "owner": OWNER,
            "job": 7,
            "errors": [{"code": "0x1006", "xid": "2"}],
            "file": {"file_name": "f.txt", "base64": "Ynl0ZXM="},
            "entity": {"xid": "2"},
        },
        {"kind": "group", "state": "waiting", "owner": OWNER, "entity": {"xid": "3"}},
    ]
    assert [line["kind"] for line in lines[4:]] == ["indicator"] * 10
    assert [line["state"] for line in lines[8:11]] == ["waiting", "completed", "waiting"]


def test_contents_are_exported_as_dead_letters_have_them(path: Path) -> None:
    """What is kept is in the line, what is up is not, and of the rest it says where it was."""
    contents: list[FileContent] = [
        b"up",
        "t\N{LATIN SMALL LETTER E WITH ACUTE}xt",
        b"",
        path,
        json.dumps,
        lambda _: b"",
    ]

    async def write() -> None:
        async with await Journal.open(path, owner=OWNER) as journal:
            files = [
                (at, FileItem(str(at), "Document", content)) for at, content in enumerate(contents)
            ]
            await journal.drained([GROUPS], [Run(Kind.GROUP, 6, 4)], files)
            job = await journal.cut({}, [Run(Kind.GROUP, 0, 2)])
            await journal.completed(job, {})
            await journal.filed(job, "0", {"uploaded": True, "xid": "0", "bytes": 2})
            await journal.filed(job, "1", {"uploaded": False, "xid": "1", "error": "no"})

    asyncio.run(write())
    lines = [json.loads(line) for line in export(path)]

    assert [line.get("file") for line in lines] == [
        None,
        {"text": "t\N{LATIN SMALL LETTER E WITH ACUTE}xt", "error": "no"},
        {"base64": ""},
        {"path": str(path)},
        {"lost": "the function json:dumps, of which the journal has only the name"},
        {"lost": "a function, which ended with its process"},
    ]


def test_there_is_nothing_to_export(path: Path) -> None:
    """A journal that is not there is an error."""
    with pytest.raises(ConfigurationError, match="exists"):
        list(export(path))
