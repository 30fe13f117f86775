"""Damaged journals: noticed when they are opened, and what can be saved is saved as it was."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.journals import OWNER, course, file_names, observed, perform, small_blocks

from aiotcbatch import ConfigurationError, JournalDamagedError, JournalError
from aiotcbatch.collecting.origins import Origin
from aiotcbatch.entities.contents import FileItem
from aiotcbatch.journal import Journal, Kind, Run, Segment, export

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How many steps a journal has behind it, and after how many its log was put into the file.
STEPS, CLOSED_AFTER = 45, 20
SUFFIXES = ("", "-wal", "-lock")


@dataclass
class Written:
    """A journal that somebody has left without closing it, and how it came to be."""

    files: dict[str, bytes]
    #: What it held after each transaction.
    states: list[dict[str, Any]]
    #: Every record that was ever in it.
    records: dict[Any, bytes]

    def put(self, directory: str | Path) -> Path:
        """Write its files."""
        path = Path(directory, "journal.db")
        for suffix, data in self.files.items():
            Path(f"{path}{suffix}").write_bytes(data)
        return path


@pytest.fixture(autouse=True, scope="module")
def blocks_are_small() -> Iterator[None]:
    """Have segments of many blocks."""
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, 100)
        yield


@cache
def written(seed: int) -> Written:
    """Take a course of steps, once for all tests."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(_write(Path(directory, "journal.db"), seed))


async def _write(path: Path, seed: int) -> Written:
    states = []
    journal = await Journal.open(path, owner=OWNER)
    for number, (model, op) in enumerate(islice(course(seed), STEPS + 1)):
        states.append(model.state())
        if number == STEPS:
            break
        if number == CLOSED_AFTER:
            await journal.aclose()
            journal = await Journal.open(path, owner=OWNER)
        await perform(journal, op)
    was = Written(_files(path), states, model.written)
    await journal.aclose()
    return was


def _files(path: Path) -> dict[str, bytes]:
    return {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in SUFFIXES}


async def _opened(path: Path) -> dict[str, Any]:
    async with await Journal.open(path, owner=OWNER) as journal:
        return await observed(await journal.load())


def _salvaged(path: Path) -> dict[str, Any]:
    salvaged = asyncio.run(Journal.salvage(path, owner=OWNER))
    state = asyncio.run(_opened(path))
    assert salvaged.record_count == len(state["records"])
    assert salvaged.job_count == len(state["jobs"])
    assert salvaged.file_count == len(state["files"])
    return state


def _exported(path: Path) -> tuple[list[bytes], Exception | None]:
    """Export a journal, as far as that goes, and what is raised then."""
    lines = []
    try:
        for line in export(path):
            lines.append(line)  # noqa: PERF402 - those before an error count
    except (ConfigurationError, JournalError) as error:
        return lines, error
    return lines, None


def _is_saved(state: dict[str, Any], was: Written) -> None:
    """Every record that was saved is one that was written, and jobs have records only."""
    for place, (data, job) in state["records"].items():
        assert data == was.records[place]
        assert job is None or job in state["jobs"]


damages = st.one_of(
    st.tuples(st.just("flip"), st.floats(0, 1, exclude_max=True), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.floats(0, 1, exclude_max=True), st.none()),
    st.tuples(st.just("zero"), st.floats(0, 1, exclude_max=True), st.sampled_from((16, 512, 8192))),
    st.tuples(st.just("delete"), st.none(), st.none()),
)


def damage(file: Path, how: tuple[str, float | None, int | None]) -> None:
    """Damage a file in one place."""
    kind, where, what = how
    if where is None:
        file.unlink()
        return
    data = bytearray(file.read_bytes())
    at = int(where * len(data))
    if kind == "flip":
        data[at] ^= what or 1
    elif kind == "cut":
        del data[at:]
    else:
        data[at : at + (what or 1)] = bytes(min(what or 1, len(data) - at))
    file.write_bytes(data)


@given(st.integers(0, 3), st.sampled_from(SUFFIXES), damages)
@example(0, "", ("delete", None, None))
@example(0, "-wal", ("delete", None, None))
@example(0, "-lock", ("delete", None, None))
@example(0, "", ("cut", 0.0, None))
@example(0, "-wal", ("cut", 0.0, None))
def test_what_is_lost_is_missed(
    seed: int, suffix: str, how: tuple[str, float | None, int | None]
) -> None:
    """A journal with a damage opens as it was left, or not at all; what is saved is true."""
    was = written(seed)
    with tempfile.TemporaryDirectory() as directory:
        path = was.put(directory)
        damage(Path(f"{path}{suffix}"), how)
        try:
            state = asyncio.run(_opened(path))
        except JournalDamagedError:
            assert suffix != "-lock"
            if path.exists():
                state = _salvaged(path)
                _is_saved(state, was)
                assert suffix != "-wal" or state in was.states
        else:
            assert state == was.states[-1]


@given(st.integers(0, 3), st.sampled_from(SUFFIXES), damages)
@example(0, "-wal", ("delete", None, None))
@example(0, "", ("cut", 0.0, None))
def test_who_only_looks_is_told_too(
    seed: int, suffix: str, how: tuple[str, float | None, int | None]
) -> None:
    """A journal with a damage is shown and exported as it was left, or the damage is raised."""
    was = written(seed)
    with tempfile.TemporaryDirectory() as directory:
        path = was.put(directory)
        damage(Path(f"{path}{suffix}"), how)
        lines, error = _exported(path)
        try:
            asyncio.run(Journal.look(path))
        except (ConfigurationError, JournalError):
            assert error is not None
        else:
            assert error is None
            assert len(lines) == len(was.states[-1]["records"])


@given(st.integers(0, 3), st.lists(st.tuples(st.sampled_from(SUFFIXES[:2]), damages), min_size=2))
def test_many_damages_give_no_wrong_record(
    seed: int, all_of_them: list[tuple[str, tuple[str, float | None, int | None]]]
) -> None:
    """However much is damaged, a record that is read is one that was written."""
    was = written(seed)
    with tempfile.TemporaryDirectory() as directory:
        path = was.put(directory)
        for suffix, how in all_of_them:
            if (file := Path(f"{path}{suffix}")).exists() and file.stat().st_size:
                damage(file, how)
        try:
            asyncio.run(Journal.salvage(path, owner=OWNER))
        except ConfigurationError:
            assert not path.exists()
            return
        _is_saved(asyncio.run(_opened(path)), was)


@pytest.mark.parametrize("seed", range(4))
def test_a_log_that_ends_early_is_a_state_that_was(seed: int, tmp_path: Path) -> None:
    """Without the lock's note, a log that was cut gives what was committed up to there."""
    was = written(seed)
    log = was.files["-wal"]
    found = []
    for number, at in enumerate(range(0, len(log), max(1, len(log) // 12))):
        (tmp_path / str(number)).mkdir()
        path = was.put(tmp_path / str(number))
        Path(f"{path}-wal").write_bytes(log[:at])
        Path(f"{path}-lock").unlink()
        # Steps that change nothing are not told apart.
        found.append(was.states.index(asyncio.run(_opened(path)), found[-1] if found else 0))

    assert found[0] < found[-1]


def test_a_damaged_journal_is_not_touched(tmp_path: Path) -> None:
    """Who is refused has changed nothing, so that it can still be looked at."""
    was = written(1)
    path = was.put(tmp_path)
    damage(Path(f"{path}-wal"), ("cut", 0.5, None))
    before = path.read_bytes(), Path(f"{path}-wal").read_bytes(), Path(f"{path}-lock").read_bytes()

    with pytest.raises(JournalDamagedError):
        asyncio.run(_opened(path))

    after = path.read_bytes(), Path(f"{path}-wal").read_bytes(), Path(f"{path}-lock").read_bytes()
    assert after[:2] == before[:2]
    assert after[2][:8] == before[2][:8]


async def _with_block_damaged(path: Path) -> None:
    """Make a journal of ten records, a block each, of which one is damaged."""
    records = [b'{"xid":"%d","text":"%s"}' % (n, b"t" * 78) for n in range(10)]
    async with await Journal.open(path, owner=OWNER) as journal:
        await journal.drained(
            [Segment.of(Kind.GROUP, 0, records)],
            [Run(Kind.GROUP, 0)],
            [(9, FileItem("9", "Document", b"c" * 300)), (8, FileItem("8", "Report", b"r"))],
        )
        assert len(records[0]) == 99
        job = await journal.cut({"owner": OWNER}, [Run(Kind.GROUP, 2, 5)])
        await journal.created(job, 17)
    with closing(sqlite3.connect(path)) as db:
        # The starts, ten blocks of records, and three of the first file.
        for number in (5, 13):
            (data,) = db.execute("SELECT data FROM block WHERE number = ?", (number,)).fetchone()
            db.execute("UPDATE block SET data = ? WHERE number = ?", (bytes(len(data)), number))
        db.commit()


async def test_the_damage_is_named(tmp_path: Path) -> None:
    """The error says what is damaged, how much can be read, and what to do."""
    path = tmp_path / "journal.db"
    await _with_block_damaged(path)

    with pytest.raises(
        JournalDamagedError, match=r"block 5 is damaged.*`aiotcbatch journal salvage"
    ) as raised:
        await Journal.open(path, owner=OWNER)

    assert raised.value.faults == ("block 5 is damaged", "the content of '9' is damaged")
    assert str(path) in str(raised.value)


async def test_records_in_whole_blocks_are_saved(tmp_path: Path) -> None:
    """Of a segment with a damaged block, all other records are saved, in their jobs and places."""
    path = tmp_path / "journal.db"
    await _with_block_damaged(path)

    salvaged = await Journal.salvage(path)

    async with await Journal.open(path, owner=OWNER) as journal:
        restored = await journal.load()
    (job,) = restored.jobs
    assert salvaged.damaged == tmp_path / "journal.db.damaged"
    assert salvaged.damaged.exists()
    assert (salvaged.record_count, salvaged.job_count, salvaged.file_count) == (8, 1, 2)
    assert (job.batch_id, job.runs) == (17, (Run(Kind.GROUP, 2, 1), Run(Kind.GROUP, 4, 3)))
    assert [run for part in restored.segments for run in part.waiting] == [
        range(1, 2),
        range(7, 10),
    ]
    assert [(file.place, file.source.origin) for file in restored.files] == [
        (8, Origin.BYTES),
        (9, Origin.OPAQUE),
    ]


async def test_salvaging_twice_keeps_both(tmp_path: Path) -> None:
    """No damaged journal is overwritten by another one."""
    path = tmp_path / "journal.db"
    for _ in range(2):
        await _with_block_damaged(path)
        await Journal.salvage(path)
        path.unlink()

    assert file_names(tmp_path) == [
        "journal.db.damaged",
        "journal.db.damaged-2",
    ]


async def test_what_cannot_be_read_at_all(tmp_path: Path) -> None:
    """A file that is no database can be salvaged only by who tells the owner, to nothing."""
    path = tmp_path / "journal.db"
    path.write_bytes(b"no journal at all\0" * 1000)
    with pytest.raises(JournalDamagedError, match=r"not a database.*look whether it ever was one"):
        await Journal.open(path, owner=OWNER)
    with pytest.raises(ConfigurationError, match="owner"):
        await Journal.salvage(path)
    assert path.read_bytes().startswith(b"no journal")

    salvaged = await Journal.salvage(path, owner=OWNER)

    assert (salvaged.record_count, salvaged.job_count, salvaged.file_count) == (0, 0, 0)
    assert file_names(tmp_path) == ["journal.db", "journal.db.damaged"]


async def test_a_text_is_no_journal(tmp_path: Path) -> None:
    """A file of somebody else's is not called damaged, and is not moved away."""
    path = tmp_path / "feed.jsonl"
    text = b'{"type": "Host", "summary": "bad.example.com"}\n' * 10
    path.write_bytes(text)

    for use in (
        Journal.open(path, owner=OWNER),
        Journal.look(path),
        Journal.salvage(path, owner=OWNER),
    ):
        with pytest.raises(ConfigurationError, match="a journal, which this file never was"):
            await use

    with pytest.raises(ConfigurationError, match="a journal, which this file never was"):
        await asyncio.to_thread(list, export(path))
    assert path.read_bytes() == text
    assert file_names(tmp_path) == ["feed.jsonl"]


@pytest.mark.parametrize("made", ["PRAGMA user_version = 1", "CREATE TABLE meta (name, value)"])
@pytest.mark.parametrize("log", [False, True])
async def test_the_database_of_somebody_else_is_no_journal(
    tmp_path: Path, made: str, *, log: bool
) -> None:
    """It is not called damaged, though it may have a table that is named like a journal's."""
    path = tmp_path / "cookies.sqlite"
    mode = "WAL" if log else "DELETE"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute(made)
        assert len(file_names(tmp_path)) == (3 if log else 1)
        for use in (
            Journal.open(path, owner=OWNER),
            Journal.look(path),
            Journal.salvage(path, owner=OWNER),
        ):
            with pytest.raises(ConfigurationError, match="a journal, which this file never was"):
                await use
        with pytest.raises(ConfigurationError, match="a journal, which this file never was"):
            await asyncio.to_thread(list, export(path))

    assert file_names(tmp_path) == ["cookies.sqlite"]


async def test_a_journal_without_its_mark_is_still_one(tmp_path: Path) -> None:
    """What has the tables of a journal is one that is damaged, and can be salvaged."""
    path = tmp_path / "journal.db"
    await _with_block_damaged(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA application_id = 1")

    with pytest.raises(JournalDamagedError):
        await Journal.look(path)
    assert (await Journal.salvage(path)).record_count == 8


async def test_an_empty_file_is_told_as_such(tmp_path: Path) -> None:
    """Whoever looks is told what who opens it is told."""
    path = tmp_path / "journal.db"
    path.touch()

    for use in (Journal.open(path, owner=OWNER), Journal.look(path)):
        with pytest.raises(JournalDamagedError, match="if there never was anything in it, delete"):
            await use


def test_a_text_in_the_place_of_a_journal(tmp_path: Path) -> None:
    """Where a journal is known to have been, it is damaged, and the log is not thrown away."""
    path = written(0).put(tmp_path)
    path.write_bytes(b"no journal at all\n" * 1000)

    with pytest.raises(JournalDamagedError, match="not a database"):
        asyncio.run(_opened(path))


def test_an_export_leaves_out_what_is_damaged(tmp_path: Path) -> None:
    """What is exported of a damaged journal is whole, and that it is not all is raised at last."""
    path = tmp_path / "journal.db"
    asyncio.run(_with_block_damaged(path))

    lines, error = _exported(path)

    assert [line.partition(b'"xid":')[2][:3] for line in lines] == [
        b'"%d"' % n for n in (1, 2, 4, 5, 6, 7, 8, 9)
    ]
    assert b'"file":{"lost":"what the journal had of it is damaged"}' in lines[-1]
    assert isinstance(error, JournalDamagedError)
    assert error.faults == ("block 5 is damaged", "the content of '9' is damaged")
    assert error.record_count == 8


async def test_who_looks_is_told_of_damage(tmp_path: Path) -> None:
    """A damaged record is found by who only looks, as it is by who opens the journal."""
    path = tmp_path / "journal.db"
    await _with_block_damaged(path)

    with pytest.raises(JournalDamagedError, match="block 5 is damaged"):
        await Journal.look(path)


async def test_nothing_to_salvage(tmp_path: Path) -> None:
    """A journal that is not there is an error, and is not made."""
    with pytest.raises(ConfigurationError, match="exists"):
        await Journal.salvage(tmp_path / "journal.db", owner=OWNER)

    assert file_names(tmp_path) == []


def test_a_row_that_is_missing_is_missed(tmp_path: Path) -> None:
    """A page that was never written leaves a file in which all that is there is right."""
    path = tmp_path / "journal.db"

    async def write() -> None:
        async with await Journal.open(path, owner=OWNER) as journal:
            await journal.drained([Segment.of(Kind.GROUP, 0, [b"{}"] * 3)])
            await journal.cut({}, [Run(Kind.GROUP, 0)])

    asyncio.run(write())
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TRIGGER job_out; DELETE FROM job;")

    with pytest.raises(JournalDamagedError, match="4 rows are there and 5 were written"):
        asyncio.run(_opened(path))
