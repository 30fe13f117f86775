"""Opening a journal: what it must be, and who is refused; and leaving it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.command import run
from support.journals import GROUPS, INDICATORS, OWNER, RECORDS, copy_of, file_names, reopened

from aiotcbatch import (
    ClosedError,
    ConfigurationError,
    JournalDamagedError,
    JournalError,
    JournalLockedError,
)
from aiotcbatch.journal import Journal, Kind, Run, Segment, export
from aiotcbatch.journal.lock import FileLock
from aiotcbatch.journal.schema import META, MetaRow

if TYPE_CHECKING:
    from pathlib import Path


async def test_settings_are_told_the_next_time(path: Path) -> None:
    """What it was opened with the last time is told, and replaced by what is given now."""
    told = []
    for settings in ({"action": "Create", "n": 1}, {"action": "Create", "n": 2}, None, {"n": 3}):
        async with await Journal.open(path, owner=OWNER, settings=settings) as journal:
            told.append((await journal.load()).settings.get("n"))

    assert told == [1, 1, 2, 2]


async def test_another_owner_is_refused(journal: Journal) -> None:
    """What was drained for one owner never goes to another one."""
    await journal.aclose()

    with pytest.raises(ConfigurationError, match="'Other', accepted is 'MyOrg', to whom"):
        await Journal.open(journal.path, owner="Other")
    async with await Journal.open(journal.path, owner=None) as again:
        assert again.owner == OWNER


async def test_another_action_is_refused(path: Path) -> None:
    """What was drained to be written is never deleted; with nothing drained, it does not matter."""
    async with await Journal.open(path, owner=OWNER, settings={"action": "Create"}):
        pass
    async with await Journal.open(path, owner=OWNER, settings={"action": "Delete"}) as journal:
        await journal.drained([GROUPS])

    with pytest.raises(ConfigurationError, match="'Create', accepted is 'Delete', for which"):
        await Journal.open(path, owner=OWNER, settings={"action": "Create"})


async def test_a_journal_without_an_owner_is_not_made(path: Path) -> None:
    """Who does not say for whom can only open one that is there; nothing is left by trying."""
    with pytest.raises(ConfigurationError, match="exists"):
        await Journal.open(path, owner=None)
    with pytest.raises(ConfigurationError, match="exists"):
        await Journal.look(path)

    assert file_names(path.parent) == []


async def test_another_release_is_refused(journal: Journal) -> None:
    """A journal of another layout is refused as a whole, and is no damaged one."""
    await journal.aclose()

    def change() -> None:
        with closing(sqlite3.connect(journal.path)) as db:
            META.update(db, MetaRow(1, 2, OWNER, "{}"))
            db.commit()

    await asyncio.to_thread(change)
    with pytest.raises(ConfigurationError, match="a journal of version 1, not 2"):
        await Journal.open(journal.path, owner=OWNER)


def test_a_database_of_somebody_else_is_refused(path: Path) -> None:
    """It is not touched."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()

    with pytest.raises(ConfigurationError, match="a journal, which this file never was"):
        asyncio.run(Journal.open(path, owner=OWNER))

    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["", "missing/journal.db", "journal.db/journal.db"])
async def test_a_path_that_cannot_be_a_file(tmp_path: Path, name: str) -> None:
    """A directory, or a file in none, is a mistake in the settings."""
    (tmp_path / "journal.db").touch()

    with pytest.raises(ConfigurationError, match="a file in a directory that exists"):
        await Journal.open(tmp_path / name, owner=OWNER)


@pytest.mark.parametrize("what", ["an empty file", "no file, but a log"])
def test_a_file_that_has_been_emptied(path: Path, what: str) -> None:
    """What may have been a journal is not taken for a new one."""
    if what == "an empty file":
        path.touch()
    else:
        path.with_name("journal.db-wal").write_bytes(b"log")

    with pytest.raises(JournalDamagedError, match=r"empty|gone"):
        asyncio.run(Journal.open(path, owner=OWNER))


@pytest.mark.parametrize("begun", ["an empty file", "a database without tables"])
async def test_a_journal_whose_making_was_cut_short(path: Path, begun: str) -> None:
    """It had nothing in it, so it is made anew."""

    def begin() -> None:
        lock = FileLock(path)
        lock.acquire()
        path.touch()
        if begun == "a database without tables":
            with closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA application_id = 1")
        lock.release(remove=False)

    await asyncio.to_thread(begin)

    async with await Journal.open(path, owner=OWNER) as journal:
        await journal.drained([GROUPS])
        assert len((await reopened(journal)).segments) == 1


async def test_it_is_removed_when_all_is_done(journal: Journal) -> None:
    """Nothing is left of it, and the next one begins with nothing."""
    await journal.drained([GROUPS])
    await journal.done(await journal.cut({}, [Run(Kind.GROUP, 0, 10)]))

    assert (await journal.load()).empty
    assert await journal.remove_if_done()
    assert file_names(journal.path.parent) == []


@pytest.mark.parametrize("left", ["records", "a job"])
async def test_it_is_kept_when_something_is_left(journal: Journal, left: str) -> None:
    """Records that wait and jobs whose end was not told are there the next time."""
    await journal.drained([GROUPS])
    if left == "a job":
        await journal.cut({}, [Run(Kind.GROUP, 0, 10)])

    assert not await journal.remove_if_done()
    assert file_names(journal.path.parent) == ["journal.db"]


async def test_a_backlog_gives_its_disk_back(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing is left, the file is small again, though it goes on."""
    monkeypatch.setattr("aiotcbatch.journal.file._FREE_BYTES", 100_000)
    large = Segment.of(Kind.INDICATOR, 0, [b'{"t":"%s"}' % (b"t" * 1_000_000)])
    await journal.drained([large])
    await journal.done(await journal.cut({}, [Run(Kind.INDICATOR, 0)]))
    await journal.drained([GROUPS])

    restored = await reopened(journal)

    assert journal._file.path.stat().st_size < 200_000
    assert len(restored.segments) == 1


# The lock


async def test_a_second_opener_is_refused(journal: Journal) -> None:
    """In the same process too, under whatever name; the first one is not disturbed by it."""
    link = journal.path.with_name("link.db")
    await asyncio.to_thread(link.symlink_to, journal.path)

    for name in (journal.path, link):
        with pytest.raises(JournalLockedError, match="of this process") as raised:
            await Journal.open(name, owner=OWNER)
        assert raised.value.holder == os.getpid()
    with pytest.raises(JournalLockedError):
        await Journal.salvage(journal.path)

    await journal.drained([GROUPS])
    assert len((await reopened(journal)).segments) == 1


async def test_another_process_is_refused(journal: Journal) -> None:
    """The error names who has it."""
    program = (
        "import asyncio, sys\n"
        "from aiotcbatch import JournalLockedError\n"
        "from aiotcbatch.journal import Journal\n"
        "try: asyncio.run(Journal.open(sys.argv[1], owner='MyOrg'))\n"
        "except JournalLockedError as error: print(error)\n"
    )
    done = await asyncio.to_thread(run, "-c", program, str(journal.path))

    assert done.stderr == ""
    assert f"is in use by process {os.getpid()}: end that first" in done.stdout


async def test_looking_is_possible_all_the_time(journal: Journal) -> None:
    """What is written is seen by who has not the journal, as far as it needs no record."""
    await journal.drained([GROUPS])
    await journal.cut({}, [Run(Kind.GROUP, 0)])

    seen = await Journal.look(journal.path)

    assert (seen.owner, len(seen.segments), len(seen.jobs)) == (OWNER, 1, 1)
    with pytest.raises(ClosedError):
        seen.segments[0].body.read()
    assert len(await asyncio.to_thread(lambda: list(export(journal.path)))) == 10


@pytest.mark.parametrize("may_write", [True, False])
async def test_looking_leaves_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, may_write: bool
) -> None:
    """Where nobody has it, nothing is beside it afterwards, also where nothing could be."""
    await journal.drained([GROUPS])
    await journal.aclose()
    directory, before = journal.path.parent, journal.path.read_bytes()
    if not may_write:
        monkeypatch.setattr("os.access", lambda _path, _mode: False)  # as also root is told then
        directory.chmod(0o500)

    seen = await Journal.look(journal.path)
    lines = await asyncio.to_thread(lambda: list(export(journal.path)))
    first = await asyncio.to_thread(lambda: next(export(journal.path)))
    directory.chmod(0o700)

    assert (len(seen.segments), len(lines), lines[0]) == (1, 10, first)
    assert file_names(directory) == [journal.path.name]
    assert journal.path.read_bytes() == before


async def test_a_log_that_cannot_be_read_is_no_damage(journal: Journal, tmp_path: Path) -> None:
    """Where SQLite cannot make what it reads a log by, it is said what to do about that."""
    await journal.drained([GROUPS])
    copied = copy_of(journal.path, tmp_path / "copied")
    copied.with_name("journal.db-shm").symlink_to("nowhere/at all")

    with pytest.raises(JournalError, match="nothing can be made beside it: copy it with"):
        await Journal.look(copied)


async def test_looking_takes_nothing_from_who_has_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log stays, also while there is nothing in it yet, and what is drained then is kept."""
    await journal.drained([GROUPS])
    await journal.aclose()
    async with await Journal.open(journal.path, owner=OWNER) as again:
        before = file_names(again.path.parent)
        for _ in range(2):
            assert len((await Journal.look(again.path)).segments) == 1
            monkeypatch.setattr("os.access", lambda _path, _mode: False)
        assert file_names(again.path.parent) == before
        await again.drained([INDICATORS])

    assert len((await Journal.look(journal.path)).segments) == 2


async def test_one_that_is_removed_meanwhile_is_not_locked(path: Path) -> None:
    """Whoever locks a file that its last holder has just removed tries again."""

    def race() -> int | None:
        first, second = FileLock(path), FileLock(path)
        first.acquire()
        flock = fcntl.flock

        def slow(descriptor: int, how: int) -> None:
            first.release(remove=True)
            flock(descriptor, how)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("aiotcbatch.journal.lock.fcntl.flock", slow)
            noted = second.acquire()
        with pytest.raises(JournalLockedError):
            FileLock(path).acquire()
        second.release(remove=True)
        return noted

    assert await asyncio.to_thread(race) is None
    assert file_names(path.parent) == []


async def test_a_refusal_leaves_no_lock(journal: Journal) -> None:
    """Who was refused for another reason can be followed by who is not."""
    await journal.aclose()
    with pytest.raises(ConfigurationError):
        await Journal.open(journal.path, owner="Other")

    assert file_names(journal.path.parent) == ["journal.db"]
    async with await Journal.open(journal.path, owner=OWNER):
        pass


# Privacy


def test_all_its_files_are_private(path: Path) -> None:
    """Whatever the umask is, nobody else can read them; a file that others could is closed."""

    async def modes(first: int) -> list[int]:
        async with await Journal.open(path, owner=OWNER) as journal:
            await journal.drained([Segment.of(Kind.GROUP, first, RECORDS)])
            return [file.stat().st_mode & 0o777 for file in path.parent.iterdir()]

    before = os.umask(0)
    try:
        made = asyncio.run(modes(0))
        path.chmod(0o644)
        again = asyncio.run(modes(10))
    finally:
        os.umask(before)

    assert made == again == [0o600] * 4


def test_a_salvaged_journal_is_private(path: Path) -> None:
    """So is the one that was damaged."""

    async def salvage() -> None:
        async with await Journal.open(path, owner=OWNER):
            pass
        await Journal.salvage(path)

    before = os.umask(0)
    try:
        asyncio.run(salvage())
    finally:
        os.umask(before)

    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
        "journal.db": 0o600,
        "journal.db.damaged": 0o600,
    }


def test_a_lock_that_is_a_link_is_not_followed(path: Path) -> None:
    """In a directory that others can write to, no file of ours is written over."""
    mine = path.with_name("mine")
    mine.write_text("text")
    path.with_name("journal.db-lock").symlink_to(mine)

    with pytest.raises(JournalError, match="cannot be used"):
        asyncio.run(Journal.open(path, owner=OWNER))

    assert mine.read_text() == "text"
