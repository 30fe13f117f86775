"""`journal show`, `resume`, `export` and `salvage` against a sandbox."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import anyio
import click
import pytest
from click.testing import CliRunner
from rich.console import Console
from support.command import environment

from aiotcbatch import Client
from aiotcbatch.cli.app import cli, journal_group
from aiotcbatch.cli.display import Display
from aiotcbatch.cli.journal import Resumption, resume, salvage, show, write_out
from aiotcbatch.cli.submit import Submission, submit
from aiotcbatch.errors import (
    AccessDeniedError,
    ConfigurationError,
    FileUploadError,
    JournalDamagedError,
    JournalLockedError,
    ValidationError,
)
from aiotcbatch.journal import Journal, Kind, Run
from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator

_HOUR = 3_600


class _Screen:
    """A display, and what it has shown."""

    def __init__(self) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        self.display = Display(
            Console(file=self._out, width=200), Console(file=self._err, width=200)
        )

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def err(self) -> str:
        return self._err.getvalue()


@pytest.fixture
def screen() -> _Screen:
    """Somewhere to show things."""
    return _Screen()


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """A sandbox that the environment points to."""
    async with Sandbox(owners=["MyOrg"]) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    """A place for a journal."""
    return str(tmp_path / "feed.journal")


async def _fill(path: str, count: int = 2, owner: str = "MyOrg", **options: Any) -> None:
    """Drain some entities into a journal, and leave it."""
    async with Client.from_env() as client, client.batch(owner, journal=path, **options) as batch:
        for number in range(count):
            batch.adversary(f"Bad Guy {number}", f"a-{number}")
        batch.host("bad.example.com", xid="h").association("a-0")
        batch.add_association(ref_1="a-0", ref_2="bad.example.com", type_2="Host")
        batch.document("D", "d.txt", b"the text", xid="d")
        await batch.drain()


async def _damage(path: str) -> None:
    """Spoil the records of a journal, as a disk that rots does."""
    file = anyio.Path(path)
    data = await file.read_bytes()
    assert b"Bad Guy" in data
    await file.write_bytes(data.replace(b"Bad Guy", b"Bad Gax"))


async def test_show_says_what_waits(sandbox: Sandbox, screen: _Screen, path: str) -> None:
    """The owner, the settings, and the numbers of what waits are shown; nothing is sent."""
    await _fill(path, tag_write_type="Append", halt_on_error=False)

    assert await show(screen.display, path) == 0
    for fact in (
        "owner: MyOrg",
        "tag write type: Append",
        "halt on error: no",
        "groups that wait: 3",
        "indicators that wait: 1",
        "associations that wait: 1",
        "jobs: none",
    ):
        assert fact in screen.out
    assert "in the journal" in screen.out
    assert sandbox.jobs == []


async def test_show_tells_how_far_jobs_are(sandbox: Sandbox, screen: _Screen, path: str) -> None:
    """A job has its id, its phase and how long it is in it."""
    async with await Journal.open(path, owner="MyOrg", clock=lambda: 1_000.0) as journal:
        job = await journal.cut({"owner": "MyOrg"}, ())
        await journal.created(job, 77)
        await journal.failed(job, "the network is gone")

    await show(screen.display, path, clock=lambda: 1_000.0 + 2.5 * _HOUR)

    assert "jobs: 1 created" in screen.out
    (row,) = [line.split(maxsplit=6) for line in screen.out.splitlines() if "77" in line]
    assert row[:2] == ["77", "created"]
    assert row[2:4] == ["2", "h"]
    assert row[-1].strip() == "the network is gone"


async def test_show_says_which_files_cannot_be_had(
    sandbox: Sandbox, screen: _Screen, path: str
) -> None:
    """Contents are told by where they come from; one that ended with its process stands out."""
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        batch.document("D", "d.txt", lambda _: b"gone", xid="d")
        batch.document("E", "e.txt", _named_content, xid="e")
        await batch.drain()

    await show(screen.display, path)

    assert "lost: a function, which ended with its process" in screen.out
    assert f"from {__name__}:_named_content, which is to be imported" in screen.out


def _named_content(xid: str) -> str:
    return xid


async def test_show_of_a_journal_in_use(sandbox: Sandbox, screen: _Screen, path: str) -> None:
    """Looking needs no lock."""
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        batch.adversary("a", "a")
        await batch.drain()

        assert await show(screen.display, path) == 0
    assert "groups that wait: 1" in screen.out


async def test_resume_brings_everything_to_its_end(
    sandbox: Sandbox, screen: _Screen, path: str
) -> None:
    """With the settings of the journal all of it arrives, and the journal is deleted."""
    await _fill(path, action="Create", tag_write_type="Append", halt_on_error=False)

    assert await resume(screen.display, Resumption(path=path)) == 0
    assert {entity.summary for entity in sandbox.entities()} == {
        "Bad Guy 0",
        "Bad Guy 1",
        "bad.example.com",
        "D",
    }
    assert sandbox.files["d"].content == b"the text"
    (job,) = sandbox.jobs
    assert (job.config["tagWriteType"], job.config["haltOnError"]) == ("Append", False)
    assert not await anyio.Path(path).exists()
    assert "goes on with it" not in screen.err


async def test_resume_says_what_was_refused(sandbox: Sandbox, screen: _Screen, path: str) -> None:
    """What the server refuses is told as by submit: the exit code is 1, the journal is done."""
    async with (
        Client.from_env() as client,
        client.batch("MyOrg", journal=path, halt_on_error=False) as batch,
    ):
        batch.host("bad.example.com", xid="h").association("nobody")
        await batch.drain()

    failed = f"{path}.failed"
    assert await resume(screen.display, Resumption(path=path, dead_letters=failed)) == 1
    assert "nobody" in screen.err
    assert f"What failed is in {failed}; put it right" in screen.err
    assert "--owner MyOrg` sends it again" in screen.err
    assert not await anyio.Path(path).exists()


async def test_resume_gives_a_line_of_json_for_each_job(
    sandbox: Sandbox, screen: _Screen, path: str
) -> None:
    """With --json stdout has the statuses, and nothing else."""
    await _fill(path)

    assert await resume(screen.display, Resumption(path=path, as_json=True)) == 0
    (status,) = [json.loads(line) for line in screen.out.splitlines()]
    assert status["successCount"] == 4


async def test_resume_that_fails_keeps_the_rest(
    sandbox: Sandbox, screen: _Screen, path: str
) -> None:
    """A step that fails is raised; what is left stays, and how to go on is said."""
    await _fill(path, owner="Elsewhere")

    with pytest.raises(AccessDeniedError):
        await resume(screen.display, Resumption(path=path))

    assert f"`aiotcbatch journal resume {path}` goes on with it" in screen.err
    assert "The owner was 'Elsewhere'; `aiotcbatch owners` lists" in screen.err
    assert "Not sent: 4 entities, 1 association, 1 file." in screen.err
    assert await show(screen.display, path) == 0


async def test_a_content_that_is_gone_is_reported(
    sandbox: Sandbox, screen: _Screen, path: str
) -> None:
    """A file whose content ended with its process is told as not uploaded; the exit code is 1."""
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        batch.document("D", "d.txt", lambda _: b"gone", xid="d")
        await batch.drain()

    assert await resume(screen.display, Resumption(path=path)) == 1
    assert "file of 'd'" in screen.err
    assert not await anyio.Path(path).exists()


async def test_a_function_that_cannot_be_imported_is_kept(
    sandbox: Sandbox,
    screen: _Screen,
    path: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its file stays in the journal, and goes up once the module is where it can be found."""
    module = types.ModuleType("contents_of_ours")
    exec("def content(xid): return xid.encode()", vars(module))  # noqa: S102 (its own module)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        batch.document("D", "d.txt", module.content, xid="d")
        await batch.drain()

    monkeypatch.delitem(sys.modules, module.__name__)
    for _ in range(2):
        with pytest.raises(FileUploadError, match="contents_of_ours:content, which cannot be"):
            await resume(screen.display, Resumption(path=path))
    assert await anyio.Path(path).exists()

    monkeypatch.setitem(sys.modules, module.__name__, types.ModuleType(module.__name__))
    with pytest.raises(FileUploadError, match="there is no function 'content'"):
        await resume(screen.display, Resumption(path=path))

    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert await resume(screen.display, Resumption(path=path)) == 0
    assert sandbox.files["d"].content == b"d"
    assert not await anyio.Path(path).exists()


async def test_results_are_shown_before_an_error_ends_it(
    sandbox: Sandbox, screen: _Screen, path: str, tmp_path: pathlib.Path
) -> None:
    """What a job came to is shown although its file cannot be read, which goes on later."""
    file = anyio.Path(tmp_path / "d.txt")
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        batch.document("D", "d.txt", tmp_path / "d.txt", xid="d")
        await batch.drain()

    with pytest.raises(FileUploadError):
        await resume(screen.display, Resumption(path=path))
    assert "Completed" in screen.out
    assert f"`aiotcbatch journal resume {path}` goes on with it" in screen.err

    await file.write_bytes(b"there again")
    assert await resume(screen.display, Resumption(path=path)) == 0
    assert sandbox.files["d"].content == b"there again"


async def test_resume_of_another_owner_is_refused(
    sandbox: Sandbox, screen: _Screen, path: str
) -> None:
    """--owner is a safeguard: a journal of somebody else is not sent."""
    await _fill(path)

    with pytest.raises(ConfigurationError, match="owner"):
        await resume(screen.display, Resumption(path=path, owner="Other"))

    assert sandbox.jobs == []


async def test_resume_of_a_journal_in_use_is_refused(
    sandbox: Sandbox, screen: _Screen, path: str
) -> None:
    """Two cannot work on one journal."""
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        batch.adversary("a", "a")
        await batch.drain()
        with pytest.raises(JournalLockedError):
            await resume(screen.display, Resumption(path=path))

    assert sandbox.jobs == []
    assert "goes on with it" not in screen.err


@pytest.mark.parametrize("command", ["show", "resume", "export", "salvage"])
def test_a_journal_that_is_not_there(command: str, path: str) -> None:
    """No command makes a journal: a wrong name is one message, and the exit code is 3."""
    result = CliRunner().invoke(cli, ["journal", command, path])

    assert result.exit_code == 3
    assert "a journal that exists" in result.output
    assert "Traceback" not in result.output


async def test_export_writes_what_is_left(
    sandbox: Sandbox, screen: _Screen, path: str, tmp_path: pathlib.Path
) -> None:
    """Each entity has a line, in a file that only its user can read; the journal stays."""
    await _fill(path)
    out = anyio.Path(tmp_path / "left.ndjson")

    assert await write_out(screen.display, path, str(out)) == 0
    lines = [json.loads(line) for line in (await out.read_text()).splitlines()]
    assert sorted(line["kind"] for line in lines) == [
        "association",
        *["group"] * 3,
        "indicator",
    ]
    assert (await out.stat()).st_mode & 0o777 == 0o600
    assert await write_out(screen.display, path, str(out)) == 0


async def test_what_was_exported_is_submitted(
    sandbox: Sandbox, screen: _Screen, path: str, tmp_path: pathlib.Path
) -> None:
    """Contents go up out of the file; of one that it cannot have, that is said."""
    await anyio.Path(tmp_path / "p.txt").write_bytes(b"in a file")
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        batch.document("T", "t.txt", "the text", xid="t")
        batch.document("B", "b.bin", b"\0\xff", xid="b")
        batch.document("P", "p.txt", tmp_path / "p.txt", xid="p")
        batch.document("F", "f.txt", lambda _: b"gone", xid="f")
        batch.document("N", "n.txt", _named_content, xid="n")
        await batch.drain()
    out = str(tmp_path / "left.ndjson")
    await write_out(screen.display, path, out)

    assert await submit(screen.display, Submission(files=(out,), owner="MyOrg")) == 1
    assert {xid: file.content for xid, file in sandbox.files.items()} == {
        "t": b"the text",
        "b": b"\0\xff",
        "p": b"in a file",
    }
    told = 'its "file" needs "text", "base64" or "path"'
    gone = "left.ndjson:4 has no content for it (a function, which ended with its process)"
    name = f"the function {__name__}:_named_content, of which the journal has only the name"
    assert f"file of 'f': {tmp_path}/{gone}: {told}" in screen.err
    assert f"file of 'n': {tmp_path}/left.ndjson:5 has no content for it ({name}): " in screen.err


async def test_what_was_exported_knows_where_it_belongs(
    sandbox: Sandbox, screen: _Screen, path: str, tmp_path: pathlib.Path
) -> None:
    """It is not taken for another owner, and nothing that is to be deleted is created."""
    async with Client.from_env() as client:
        batch = client.batch("MyOrg")
        batch.host("a.example.com")
        await batch.submit()
        async with client.batch("MyOrg", action="Delete", journal=path) as batch:
            batch.host("a.example.com")
            await batch.drain()
    out = str(tmp_path / "left.ndjson")
    await write_out(screen.display, path, out)

    for name, options in {
        "action is 'Create', accepted is 'Delete'": {"owner": "MyOrg"},
        "owner is 'Other', accepted is 'MyOrg'": {"owner": "Other", "job": {"action": "Delete"}},
    }.items():
        with pytest.raises(ConfigurationError, match=name):
            await submit(screen.display, Submission(files=(out,), **options))
    asked = Submission(files=(out,), owner="MyOrg", job={"action": "Delete"})
    assert await submit(screen.display, asked) == 0
    assert sandbox.entities() == []


async def test_what_was_exported_and_never_sent_may_be_appended(
    sandbox: Sandbox, screen: _Screen, path: str, tmp_path: pathlib.Path
) -> None:
    """What waits, or is in a job that the server knows nothing of, is not there for sure."""
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        for name in "abc":
            batch.adversary(name, name).attribute("Description", "once")
        await batch.drain()
    async with await Journal.open(path, owner="MyOrg") as journal:
        await journal.cut({"owner": "MyOrg"}, [Run(Kind.GROUP, 1)])
    out = str(tmp_path / "left.ndjson")
    await write_out(screen.display, path, out)
    asked = Submission(files=(out,), owner="MyOrg", job={"attribute_write_type": "Append"})

    assert await submit(screen.display, asked) == 0
    assert [entity.xid for entity in sandbox.entities()] == ["a", "b", "c"]
    async with await Journal.open(path, owner="MyOrg") as journal:
        job = await journal.cut({"owner": "MyOrg"}, [Run(Kind.GROUP, 2)])
        await journal.created(job, 7)  # its upload may have been begun
    await write_out(screen.display, path, out)
    with pytest.raises(ValidationError, match="3: state is 'created', accepted is rejected"):
        await submit(screen.display, asked)


async def test_an_instance_that_has_moved(sandbox: Sandbox, screen: _Screen, path: str) -> None:
    """Its jobs are asked for under the new URL once that is said to be the same instance."""
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        batch.adversary("a", "a")
        await batch.submit(poll=False)
        here = str(client.transport.base)
    old = "https://old.example/api"
    async with await Journal.open(path, owner="MyOrg", instance=old, moved_from=here):
        pass
    with pytest.raises(ConfigurationError, match=f", or --journal-moved-from {old}"):
        await resume(screen.display, Resumption(path=path))

    asked = Resumption(path=path, journal_moved_from=old)
    assert await resume(screen.display, asked) == 0
    assert not await anyio.Path(path).exists()
    assert len(sandbox.jobs) == 1


def test_a_move_from_where_no_journal_can_be_from(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both commands look at the URL, and without a journal it is for nothing."""
    for name, value in {
        "TC_API_PATH": "https://new.example/api",
        "TC_TOKEN": "token",
        "TC_OWNER": "MyOrg",
    }.items():
        monkeypatch.setenv(name, value)
    anyio.run(_begin, path)
    moved = ["--journal-moved-from", "old"]
    runs = [
        CliRunner().invoke(cli, [*command, *moved])
        for command in (
            ["journal", "resume", path],
            ["submit", __file__, "--journal", path],
            ["submit", __file__],
        )
    ]

    assert [result.exit_code for result in runs] == [3, 3, 2]
    assert all("journal_moved_from is 'old', accepted is a url" in run.stderr for run in runs[:2])
    assert "--journal-moved-from needs --journal" in runs[2].stderr


async def _begin(path: str) -> None:
    """Make a journal."""
    async with await Journal.open(path, owner="MyOrg"):
        pass


async def test_what_is_up_is_not_reported_as_failed(
    sandbox: Sandbox, screen: _Screen, path: str, tmp_path: pathlib.Path
) -> None:
    """A group whose file was uploaded before it was exported is sent, and its file is left."""
    async with Client.from_env() as client, client.batch("MyOrg", journal=path) as batch:
        batch.document("D", "d.txt", b"the text", xid="d")
        await batch.drain()
    async with await Journal.open(path, owner="MyOrg") as journal:
        job = await journal.cut({"owner": "MyOrg"}, [Run(Kind.GROUP, 0)])
        await journal.created(job, 1)
        await journal.completed(job, {"successCount": 1})
        await journal.filed(job, "d", {"uploaded": True, "xid": "d", "bytes": 8})
    out = str(tmp_path / "left.ndjson")
    await write_out(screen.display, path, out)

    assert await submit(screen.display, Submission(files=(out,), owner="MyOrg")) == 0
    assert [entity.xid for entity in sandbox.entities()] == ["d"]
    assert "file of" not in screen.err


async def test_export_to_stdout(
    sandbox: Sandbox, screen: _Screen, path: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """By default the lines go to stdout, and nothing else does."""
    await _fill(path, count=1_000)

    assert await write_out(screen.display, path, "-") == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == 1_003


async def test_export_does_not_overwrite_the_journal(
    sandbox: Sandbox, screen: _Screen, path: str
) -> None:
    """The journal as its own output would be gone."""
    await _fill(path)

    with pytest.raises(ConfigurationError, match="another file"):
        await write_out(screen.display, path, path)

    assert await show(screen.display, path) == 0


async def test_export_of_damage_says_that_it_is_not_all(
    sandbox: Sandbox, screen: _Screen, path: str, tmp_path: pathlib.Path
) -> None:
    """What cannot be read is left out; that is said, and the exit code is 1."""
    await _fill(path)
    await _damage(path)

    assert await write_out(screen.display, path, str(tmp_path / "left.ndjson")) == 1
    assert f"`aiotcbatch journal salvage {path}`" in screen.err


async def test_damage_is_told_with_the_way_out(
    sandbox: Sandbox, screen: _Screen, path: str
) -> None:
    """Whoever meets damage is told which command saves the rest."""
    await _fill(path)
    await _damage(path)

    for call in (show(screen.display, path), resume(screen.display, Resumption(path=path))):
        with pytest.raises(JournalDamagedError, match=r"`aiotcbatch journal salvage .* saves what"):
            await call
    assert not screen.err
    assert sandbox.jobs == []


async def test_salvage_saves_what_can_be_read(sandbox: Sandbox, screen: _Screen, path: str) -> None:
    """What is whole is in a new journal, the damaged one is kept, and what was wrong is said."""
    await _fill(path)
    await _damage(path)

    assert await salvage(screen.display, path, "MyOrg") == 0
    assert f"kept as {path}.damaged" in screen.out
    assert "fault: " in screen.out
    assert "none was found" not in screen.out
    assert await show(screen.display, path) == 0


@pytest.mark.parametrize("command", sorted(journal_group.commands))
def test_help_says_what_everything_is_for(command: str) -> None:
    """Every command below journal and every option of it has a help text."""
    result = CliRunner().invoke(cli, ["journal", command, "-h"])
    options = journal_group.commands[command].params

    assert result.exit_code == 0
    assert journal_group.commands[command].help
    assert all(option.help for option in options if isinstance(option, click.Option))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_leaves_the_journal_true(
    signum: int, screen: _Screen, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended while the server works on a job, resume says how to go on; then all is there, once."""
    async with Sandbox(owners=["MyOrg"], entities_per_second=1) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        await _fill(path, count=30, attribute_write_type="Append")
        options = ["journal", "resume", path, "--grace", "0"]
        command = [sys.executable, "-X", "dev", "-m", "aiotcbatch.cli", *options]
        async with await anyio.open_process(
            command, stderr=subprocess.STDOUT, env=environment(**sandbox.environment)
        ) as process:
            with anyio.fail_after(200):
                while not sandbox.jobs or not sandbox.jobs[0].document:
                    await anyio.lowlevel.checkpoint()
            process.send_signal(signum)
            assert process.stdout is not None
            said = b"".join([data async for data in process.stdout]).decode()

        assert process.returncode == 128 + signum, said
        assert said.endswith("goes on with it.\nInterrupted.\n")
        assert "Traceback" not in said
        sandbox.configure(entities_per_second=None)
        assert await resume(screen.display, Resumption(path=path)) == 0
        assert len(sandbox.jobs) == 1
        assert len(sandbox.entities()) == 32
    assert not await anyio.Path(path).exists()
